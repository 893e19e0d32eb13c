//! Tracks given detections: `associate DET.txt [--gmc GMC.txt] [--fps N] OUT.txt`, all in MOT
//! Challenge text.

use std::{
    collections::BTreeMap,
    error::Error,
    fs::File,
    io::{BufReader, BufWriter, Write},
    process::ExitCode,
    time::Instant,
};

use keepsight_contract::TrackState;
use keepsight_video_tracker::{
    associate::{AssociateConfig, Associator, Step},
    mot_text,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("associate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut paths = Vec::new();
    let (mut motions, mut rate) = (BTreeMap::new(), 30.0);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--gmc" => {
                motions = mot_text::read_camera_motions(BufReader::new(File::open(value()?)?))?;
            }
            "--fps" => rate = value()?.parse()?,
            _ => paths.push(argument),
        }
    }
    let [detections, output] = &paths[..] else {
        return Err("usage: associate DET.txt [--gmc GMC.txt] [--fps N] OUT.txt".into());
    };
    let detections = mot_text::read_detections(BufReader::new(File::open(detections)?))?;
    let mut output = BufWriter::new(File::create(output)?);
    let mut associator = Associator::new(AssociateConfig::for_given_detections());
    let (mut rejected, mut spent) = (0, std::time::Duration::ZERO);
    let last = detections.last_key_value().map_or(0, |(frame, _)| *frame);
    for frame in 1..=last {
        let began = Instant::now();
        let outcome = associator.step(&Step {
            sequence: frame.into(),
            elapsed: 1.0 / rate,
            observations: Some(detections.get(&frame).map_or(&[], Vec::as_slice)),
            camera_motion: motions.get(&frame).copied(),
        });
        spent += began.elapsed();
        rejected += outcome.rejections.total();
        for target in associator.targets() {
            if target.state() == TrackState::Confirmed {
                let bbox = target.bounding_box();
                mot_text::write_track(&mut output, frame, target.id(), &bbox, target.confidence())?;
            }
        }
    }
    output.flush()?;
    let per_frame = spent / last.max(1);
    eprintln!("{last} frames, {per_frame:?} a frame, {rejected} inputs refused");
    Ok(())
}
