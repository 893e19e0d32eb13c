//! What any file must keep to that is read here; `fuzz/` calls it, and so do the tests.

use crate::{
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
