//! Follows boxes through a folder of JPEG or PNG pictures, without a detector:
//! `follow FOLDER [--frames N] X,Y,WIDTH,HEIGHT … OUT.txt` writes MOT Challenge text, the boxes
//! numbered from 1 as they were given. What is timed is the following, not the decoding.

use std::{
    error::Error,
    fs::{self, File},
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use keepsight_contract::{BoundingBox, Frame};
use keepsight_jpeg::decode_picture;
use keepsight_video_tracker::{
    follow::{CpuFollower, FollowConfig, Found, Lesson, Sought},
    mot_text,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("follow: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut positional = Vec::new();
    let mut frames_max = usize::MAX;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--frames" => {
                frames_max = arguments.next().ok_or("--frames needs a number")?.parse()?
            }
            _ => positional.push(argument),
        }
    }
    let [folder, firsts @ .., output] = &positional[..] else {
        return Err("usage: follow FOLDER [--frames N] X,Y,WIDTH,HEIGHT … OUT.txt".into());
    };
    let mut boxes = firsts.iter().map(|first| parsed(first)).collect::<Result<Vec<_>, _>>()?;
    let mut pictures: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        ["jpg", "jpeg", "png"].contains(&ending.to_ascii_lowercase().as_str())
    };
    pictures.retain(is_picture);
    pictures.sort();
    pictures.truncate(frames_max);

    let mut output = BufWriter::new(File::create(output)?);
    let mut follower = CpuFollower::new(FollowConfig::default());
    let (mut found, mut spent) = (Vec::new(), Duration::ZERO);
    for (frame, path) in (1..).zip(&pictures) {
        let picture = decode_picture(&fs::read(path)?)?.into_frame(frame, Instant::now())?;
        let began = Instant::now();
        follow(&mut follower, &picture, frame == 1, &mut boxes, &mut found)?;
        if frame > 1 {
            spent += began.elapsed();
        }
        for ((id, bbox), found) in (1..).zip(&boxes).zip(&found) {
            mot_text::write_track(
                &mut output,
                frame as u32,
                id,
                bbox,
                found.likeness.clamp(0.0, 1.0),
            )?;
        }
    }
    output.flush()?;
    let per_frame = spent.as_secs_f64() * 1e3 / pictures.len().saturating_sub(1).max(1) as f64;
    eprintln!("{} frames, {per_frame:.3} ms a frame", pictures.len());
    Ok(())
}

/// Moves `boxes` to where their targets are in `frame`.
fn follow(
    follower: &mut CpuFollower,
    frame: &Frame,
    is_first: bool,
    boxes: &mut [BoundingBox],
    found: &mut Vec<Found>,
) -> Result<(), Box<dyn Error>> {
    follower.take(frame)?;
    let config = *follower.config();
    let mut lessons = Vec::new();
    if is_first {
        let lesson = |(slot, bbox): (usize, &BoundingBox)| Lesson { slot, bbox: *bbox, rate: 1.0 };
        lessons.extend(boxes.iter().enumerate().map(lesson));
        follower.learn(&lessons);
    }
    let sought: Vec<_> =
        boxes.iter().enumerate().map(|(slot, bbox)| Sought { slot, bbox: *bbox }).collect();
    follower.locate(&sought, found);
    if is_first {
        return Ok(());
    }
    for (slot, (bbox, found)) in boxes.iter_mut().zip(found).enumerate() {
        if found.is_there(&config) {
            *bbox = found.bbox;
        }
        if found.is_clear(&config) {
            lessons.push(Lesson { slot, bbox: *bbox, rate: config.learning_rate });
        }
    }
    follower.learn(&lessons);
    Ok(())
}

fn parsed(text: &str) -> Result<BoundingBox, Box<dyn Error>> {
    let numbers = text.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>()?;
    let [x, y, width, height] = numbers[..] else {
        return Err(format!("{text} is not X,Y,WIDTH,HEIGHT").into());
    };
    let bbox = BoundingBox::new(x, y, width, height);
    if bbox.is_valid() { Ok(bbox) } else { Err(format!("{text} is no box").into()) }
}
