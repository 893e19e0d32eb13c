//! Writes a scene as the MOT Challenge keeps its sequences: `pictures URI FOLDER` makes
//! `FOLDER/img1/000001.jpg` …, `FOLDER/gt/gt.txt` and `FOLDER/seqinfo.ini`. The URI says how many
//! frames: `scene:?frames=300&seed=3`.

use std::{
    error::Error,
    fs,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use keepsight_contract::{
    CaptureWish, Frame, Pace, Source, SourceEvent, SourceUri,
    testing::{RecordingHost, call_context},
};
use keepsight_jpeg::encode_frame;
use keepsight_scene::SceneSource;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pictures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [uri, folder] = &arguments[..] else {
        return Err("usage: pictures URI FOLDER".into());
    };
    let (uri, folder) = (uri.parse::<SourceUri>()?, PathBuf::from(folder));
    if uri.param("frames").is_none() {
        return Err("the URI has to say how many frames: scene:?frames=300".into());
    }
    let wish = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
    let call = call_context(Duration::from_secs(3600));
    let mut scene = SceneSource::open(&uri, &wish, &call, &RecordingHost::new().host())?;
    fs::create_dir_all(folder.join("img1"))?;
    fs::create_dir_all(folder.join("gt"))?;
    let mut truth = BufWriter::new(fs::File::create(folder.join("gt/gt.txt"))?);
    let mut frames = 0;
    loop {
        match scene.next(&call)? {
            SourceEvent::Frame(frame) => {
                frames += 1;
                write_frame(&frame, frames, &folder, &mut truth)?;
            }
            SourceEvent::Ended => break,
            _ => {}
        }
    }
    truth.flush()?;
    let info = scene.info();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    fs::write(
        folder.join("seqinfo.ini"),
        format!(
            "[Sequence]\nname={name}\nimDir=img1\nframeRate={}\nseqLength={frames}\n\
             imWidth={}\nimHeight={}\nimExt=.jpg\n",
            info.rate.unwrap_or_default(),
            info.size.width,
            info.size.height,
        ),
    )?;
    Ok(())
}

fn write_frame(
    frame: &Frame,
    number: u64,
    folder: &Path,
    truth: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    fs::write(folder.join(format!("img1/{number:06}.jpg")), encode_frame(frame, QUALITY)?)?;
    for object in frame.truth().map_or(&[][..], |truth| &truth.objects) {
        let [x, y] = [object.bbox.x, object.bbox.y];
        let (width, height) = (object.bbox.width, object.bbox.height);
        // Class 1 is the only one that MOT's tools count.
        let (id, visibility) = (object.id, object.visibility);
        writeln!(truth, "{number},{id},{x},{y},{width},{height},1,1,{visibility:.3}")?;
    }
    Ok(())
}

/// Of the pictures, so good that little is lost.
const QUALITY: u8 = 95;
