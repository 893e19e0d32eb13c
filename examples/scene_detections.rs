//! Writes what is really in the generated scene as a set of the MOT Challenge's layout, with
//! detections made of the truth and noise:
//!
//! ```text
//! scene_detections FOLDER [TARGETS] [FRAMES] [VISIBLE]
//! ```
//!
//! fills `FOLDER/scene/` with `seqinfo.ini`, `gt/gt.txt` and `det/det.txt`, for
//! benches/tracking-scores.sh. Boxes are off by 1 % of their size in place and 1.5 % in width and
//! height, confidences are 0.85 ± 0.07 (standard deviations), 3 % are missed, and every fourth
//! frame has a false detection. Objects of which less than the share `VISIBLE` can be seen (0
//! without it: all are there, also who is hidden) are neither in the truth nor detected.

use std::{error::Error, fmt::Write, fs, path::Path, process::ExitCode, time::Duration};

use keepsight_contract::{
    CaptureWish, Pace, Source, SourceEvent,
    testing::{RecordingHost, call_context},
};
use keepsight_scene::SceneSource;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scene_detections: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: scene_detections FOLDER [TARGETS] [FRAMES] [VISIBLE]";
    let folder = arguments.next().ok_or(usage)?;
    let targets: u32 = arguments.next().map_or(Ok(20), |number| number.parse())?;
    let frames: u32 = arguments.next().map_or(Ok(900), |number| number.parse())?;
    let visible: f32 = arguments.next().map_or(Ok(0.0), |share| share.parse())?;

    let uri = format!("scene:?targets={targets}&frames={frames}&size={WIDTH}x{HEIGHT}&fps={RATE}");
    let wish = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
    let call = call_context(Duration::from_secs(3600));
    let mut source = SceneSource::open(&uri.parse()?, &wish, &call, &RecordingHost::new().host())?;
    let (mut truth, mut detections) = (String::new(), String::new());
    let mut random = Random(0x5EED_2025);
    while let SourceEvent::Frame(frame) = source.next(&call)? {
        let number = frame.sequence() + 1;
        let there = frame.truth().ok_or("the scene knows its truth")?;
        for object in there.objects.iter().filter(|object| object.visibility >= visible) {
            let (id, bbox, visibility) = (object.id, &object.bbox, object.visibility);
            writeln!(
                truth,
                "{number},{id},{:.2},{:.2},{:.2},{:.2},1,1,{visibility:.2}",
                bbox.x, bbox.y, bbox.width, bbox.height
            )?;
            if random.share() > 0.97 {
                continue;
            }
            let [x, y] = bbox.center();
            let (x, y) =
                (x + 0.01 * bbox.width * random.normal(), y + 0.01 * bbox.height * random.normal());
            let width = bbox.width * (1.0 + 0.015 * random.normal());
            let height = bbox.height * (1.0 + 0.015 * random.normal());
            let confidence = (0.85 + 0.07 * random.normal()).clamp(0.1, 1.0);
            let (left, top) = (x - width / 2.0, y - height / 2.0);
            writeln!(
                detections,
                "{number},-1,{left:.2},{top:.2},{width:.2},{height:.2},{confidence:.3},-1,-1,-1"
            )?;
        }
        if random.share() < 0.25 {
            let (left, top) = (random.share() * WIDTH as f32, random.share() * HEIGHT as f32 * 0.6);
            let (height, confidence) = (40.0 + 120.0 * random.share(), 0.1 + 0.7 * random.share());
            let width = 0.4 * height;
            writeln!(
                detections,
                "{number},-1,{left:.2},{top:.2},{width:.2},{height:.2},{confidence:.3},-1,-1,-1"
            )?;
        }
    }
    let sequence = Path::new(&folder).join("scene");
    for part in ["gt", "det"] {
        fs::create_dir_all(sequence.join(part))?;
    }
    fs::write(sequence.join("gt/gt.txt"), truth)?;
    fs::write(sequence.join("det/det.txt"), detections)?;
    let info = format!(
        "[Sequence]\nname=scene\nimDir=img1\nframeRate={RATE}\nseqLength={frames}\n\
         imWidth={WIDTH}\nimHeight={HEIGHT}\nimExt=.jpg\n"
    );
    fs::write(sequence.join("seqinfo.ini"), info)?;
    Ok(())
}

/// Seeded numbers (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    /// In 0..1.
    fn share(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Nearly normal, with a standard deviation of 1: the sum of twelve.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.share()).sum::<f32>() - 6.0
    }
}

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const RATE: u32 = 30;
