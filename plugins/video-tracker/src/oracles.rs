//! What any file and any detections must keep to; `fuzz/` calls it, and so do the tests.

use keepsight_contract::{BoundingBox, TrackState};

use crate::{
    associate::{Affine, AssociateConfig, Associator, Observation, Step, TargetEvent},
    detect::{ModelDescription, outline_of, try_plan},
    mot_text::{MotTextError, read_camera_motions, read_detections, write_track},
};

/// Detections and camera motions: frames have numbers from 1, a row that was written is read
/// again, and whatever is wrong is in a line that there is.
pub fn check_mot_text(input: &[u8]) {
    let lines = 1 + input.iter().filter(|byte| **byte == b'\n').count() as u64;
    match read_detections(input) {
        Err(error) => check_line(&error, lines),
        Ok(frames) => {
            let mut written = Vec::new();
            for (frame, seen) in &frames {
                assert!((1..=10_000_000).contains(frame), "frame {frame}");
                assert!(!seen.is_empty(), "frame {frame} has no row");
                for seen in seen {
                    write_track(&mut written, *frame, 1, &seen.bbox, seen.confidence)
                        .expect("memory takes it");
                }
            }
            let again = read_detections(&written[..]).expect("it was written here");
            let count = |frames: &std::collections::BTreeMap<u32, Vec<_>>| {
                frames.iter().map(|(frame, seen)| (*frame, seen.len())).collect::<Vec<_>>()
            };
            assert_eq!(count(&again), count(&frames));
        }
    }
    match read_camera_motions(input) {
        Err(error) => check_line(&error, lines),
        Ok(motions) => assert!(motions.keys().all(|frame| (1..=10_000_000).contains(frame))),
    }
}

fn check_line(error: &MotTextError, lines: u64) {
    let (MotTextError::Read { line, .. }
    | MotTextError::LongLine { line }
    | MotTextError::MissingColumns { line, .. }
    | MotTextError::NotANumber { line, .. }
    | MotTextError::FrameNumber { line, .. }) = error;
    assert!((1..=lines).contains(line), "{error}, and there are {lines} lines");
}

/// The outline of a model is found or missed, and nothing is believed about lengths.
pub fn check_onnx_outline(input: &[u8]) {
    if let Err(reason) = outline_of(input) {
        assert!(!reason.is_empty());
        return;
    }
    // Fields may be put together: what has the outline has it twice too.
    assert_eq!(outline_of(&[input, input].concat()), Ok(()));
}

/// A model is planned or refused; what is planned is within its bounds, and runs.
pub fn check_onnx_plan(input: &[u8]) {
    let steps = match try_plan(input, 10_000_000) {
        Err(error) => return assert!(!error.to_string().is_empty()),
        Ok(steps) => steps,
    };
    assert!(steps <= 32_768, "{steps} steps");
}

/// A description that can be read describes a model that could be.
pub fn check_model_description(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(description) = ModelDescription::parse(text) else { return };
    let input = description.input();
    assert!((1..=4096).contains(&input.width) && (1..=4096).contains(&input.height), "{input:?}");
    assert!(input.scale.is_finite() && input.scale > 0.0 && input.offset.is_finite(), "{input:?}");
    assert!((1..=4096).contains(&description.class_columns()));
    for name in description.class_names() {
        let column = description.class_id(name).expect("it is there");
        assert_eq!(description.class(column as usize).map(|class| &**class), Some(name));
    }
    assert_eq!(description.sha256().len(), 64);
}

/// Detections as no detector makes them, at times and under camera motions that there are not:
/// targets stay boxes, their number is bounded, ids only grow, and all of it repeats.
///
/// `input` is a row of steps, each `elapsed` (f32), a byte of flags, where those say so six
/// numbers (f32) of camera motion, the number of detections (a byte), how often each is there
/// (a byte; 0 is forty times, with which the most are ten thousand), and as many detections of
/// five numbers (f32) and a class (a byte).
pub fn check_association(input: &[u8]) {
    assert_eq!(associated(input), associated(input), "the same input, another output");
}

/// Ids and the bits of the boxes after each step.
fn associated(input: &[u8]) -> Vec<(u64, [u32; 4])> {
    let config =
        AssociateConfig { detections_max: 300, targets_max: 400, ..AssociateConfig::default() };
    let mut associator = Associator::new(config);
    let (mut alive, mut trace) = (Vec::new(), Vec::new());
    let mut input = Bytes(input);
    for sequence in 0..STEPS_MAX {
        let Some(step) = HostileStep::read(&mut input) else { break };
        let outcome = associator.step(&Step {
            sequence,
            elapsed: step.elapsed,
            observations: step.observations.as_deref(),
            camera_motion: step.camera_motion,
        });
        let detections = step.observations.as_ref().map_or(0, Vec::len);
        assert!(outcome.rejections.total() as usize <= 2 + 2 * detections, "{outcome:?}");
        for event in outcome.events {
            match event {
                TargetEvent::Started { id } => alive.push(id),
                TargetEvent::Ended { id, .. } => {
                    let place = alive.iter().position(|other| *other == id);
                    alive.remove(place.expect("only who started ends, and once"));
                }
            }
        }
        let targets = associator.targets();
        assert!(targets.len() <= config.targets_max, "{} targets", targets.len());
        assert!(targets.windows(2).all(|pair| pair[0].id() < pair[1].id()), "ids grow");
        for target in targets {
            let bbox = target.bounding_box();
            let started = alive.contains(&target.id());
            assert_eq!(started, target.state() != TrackState::Tentative, "{target:?}");
            assert!(bbox.is_valid() && target.id() < associator.id_next(), "{target:?}");
            assert!((0.0..=1.0).contains(&target.confidence()), "{target:?}");
            assert!(target.velocity().iter().all(|speed| speed.is_finite()), "{target:?}");
            assert!(target.observation().is_none_or(|index| index < detections), "{target:?}");
            let BoundingBox { x, y, width, height } = bbox;
            trace.push((target.id(), [x, y, width, height].map(f32::to_bits)));
        }
        assert!(alive.len() <= targets.len(), "{alive:?} in {targets:?}");
    }
    trace
}

struct HostileStep {
    elapsed: f64,
    camera_motion: Option<Affine>,
    observations: Option<Vec<Observation>>,
}

impl HostileStep {
    fn read(input: &mut Bytes<'_>) -> Option<Self> {
        let elapsed = input.number()?.into();
        let flags = input.byte()?;
        let camera_motion = if flags & 1 == 0 {
            None
        } else {
            let mut rows = [[0.0; 3]; 2];
            for number in rows.as_flattened_mut() {
                *number = input.number()?;
            }
            Some(Affine { rows })
        };
        let (count, copies) = (input.byte()?, input.byte()?);
        let copies = if copies == 0 { 40 } else { usize::from(copies % 4) };
        let mut observations = Vec::new();
        for _ in 0..count {
            let [x, y, width, height, confidence] = [(); 5].map(|()| input.number());
            let observation = Observation {
                bbox: BoundingBox::new(x?, y?, width?, height?),
                confidence: confidence?,
                class_id: input.byte()?.into(),
            };
            observations.extend(std::iter::repeat_n(observation, copies));
        }
        let observations = (flags & 2 == 0).then_some(observations);
        Some(Self { elapsed, camera_motion, observations })
    }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<f32> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f32::from_le_bytes(*first))
    }
}

const STEPS_MAX: u64 = 200;

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/");

    #[test]
    fn mot_texts_hold() {
        try_variations(format!("{SEEDS}mot_text"), 3_000, check_mot_text);
    }

    #[test]
    fn associations_hold() {
        try_variations(format!("{SEEDS}association"), 1_000, check_association);
    }

    #[test]
    fn ten_thousand_hostile_detections_hold() {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN, f32::MAX, -1.0, 0.0];
        let (mut bytes, mut detections) = (Vec::new(), 0);
        for elapsed in [0.04, f32::NAN, -1.0, f32::MAX, 0.04] {
            bytes.extend(f32::to_le_bytes(elapsed));
            bytes.extend([0, 250, 0]);
            for index in 0..250usize {
                let mut numbers = [index as f32 * 7.0, 50.0, 40.0, 90.0, 0.9];
                if index % 3 == 0 {
                    numbers[index % 5] = odd[index % 7];
                }
                bytes.extend(numbers.map(f32::to_le_bytes).as_flattened());
                bytes.push(0);
                detections += 40;
            }
        }
        assert_eq!(detections, 5 * 10_000);
        check_association(&bytes);
        assert!(!associated(&bytes).is_empty(), "some are real");
    }

    #[test]
    fn outlines_hold() {
        try_variations(format!("{SEEDS}onnx_outline"), 5_000, check_onnx_outline);
    }

    #[test]
    fn plans_hold() {
        try_variations(format!("{SEEDS}onnx_plan"), 5_000, check_onnx_plan);
    }

    #[test]
    fn descriptions_hold() {
        try_variations(format!("{SEEDS}model_description"), 2_000, check_model_description);
    }
}
