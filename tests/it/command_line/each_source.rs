//! `keepsight run` on a source of each kind.

use std::{fmt::Write, fs, path::Path};

use keepsight_contract::{FrameSize, testing::frames};
use keepsight_jpeg::{AviWriter, encode_frame};
use serde_json::Value;

use super::{network_camera::NetworkCamera, support::Place};

/// A stream's name, its source, and why it can't be had here, if so.
type Kind = (&'static str, String, Option<&'static str>);

const FRAMES: usize = 20;
const SIZE: FrameSize = FrameSize::new(64, 48);

/// Lays out a film in each format that a file can have.
fn lay_out(place: &Place) {
    let mut y4m = b"YUV4MPEG2 W64 H48 F50:1 Cmono\n".to_vec();
    let mut jpegs = Vec::new();
    let mut avi = AviWriter::create(place.path().join("film.avi"), SIZE, 50.0).unwrap();
    for folder in ["pictures", "MOT/img1"] {
        fs::create_dir_all(place.path().join(folder)).unwrap();
    }
    place.write("MOT/seqinfo.ini", "[Sequence]\nimDir=img1\nframeRate=50\n");
    for number in 0..FRAMES {
        let frame =
            frames::gray(SIZE.width, SIZE.height, |x, y| (x * 3 + y + 5 * number as u32) as u8);
        let jpeg = encode_frame(&frame, 90).unwrap();
        for folder in ["pictures", "MOT/img1"] {
            let path = place.path().join(folder).join(format!("{number}.jpg"));
            fs::write(path, &jpeg).unwrap();
        }
        avi.push(&jpeg).unwrap();
        y4m.extend(b"FRAME\n");
        y4m.extend(frame.pixels());
        jpegs.extend(jpeg);
    }
    avi.finish().unwrap();
    fs::write(place.path().join("film.y4m"), y4m).unwrap();
    fs::write(place.path().join("film.mjpeg"), jpegs).unwrap();
}

#[test]
fn what_can_not_be_opened_is_named_with_what_to_do() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).unwrap();
    place.write("text.bin", "no film");
    let refused = [
        ("camera:", "names no camera"),
        ("camera:4711", "no camera 4711"),
        ("camera:0?backend=v4l", "backend=v4l"),
        ("camera:0?backnd=native", "\"backnd\""),
        ("file:", "names no file"),
        ("file:nowhere.avi", "nowhere.avi: No such file"),
        ("file:text.bin", "text.bin is neither"),
        ("file:text.bin?fps=fast", "fps=fast"),
        ("file:empty", "the folder empty has no"),
        ("scene:square", "\"square\""),
        ("scene:?targets=99", "targets=99"),
        ("exec:", "names no program"),
        ("exec:no-such-program -x", "no-such-program is not installed"),
        ("exec:echo hello", "what echo writes"),
        ("exec:cat text.bin?stal=3", "\"stal\""),
        ("ffmpeg:", "names no input"),
        ("rtsp:foo", "names no camera"),
        ("rtsp://h/s?transport=x25", "transport=x25"),
    ];
    let mut toml = "version = 1\n".to_owned();
    for (number, (source, _)) in refused.iter().enumerate() {
        let table = format!("[streams.s{number:02}]\nsource = {source:?}\nplugins = []\n");
        toml += &table;
    }
    place.write("keepsight.toml", &toml);
    let findings = place.run(&["check", "--json"]).check(1, &[]).json();
    let findings = findings.as_array().unwrap().iter();
    let findings: Vec<_> = findings.filter(|finding| finding["kind"] == "stream").collect();
    assert_eq!(findings.len(), refused.len());
    for (finding, (source, named)) in findings.iter().zip(refused) {
        let text = |key: &str| finding[key].as_str().unwrap_or_default();
        assert_eq!((text("subject"), &finding["met"]), (source, &false.into()));
        assert!(text("reason").contains(named), "{finding:#}");
        assert!(!text("hint").is_empty(), "{finding:#}");
    }
}

#[test]
fn every_kind_of_source_feeds_a_plugin() {
    let place = Place::new();
    lay_out(&place);
    let lacks_camera = NetworkCamera::lacking();
    let lacks_ffmpeg = lacks_camera.filter(|reason| reason.starts_with("ffmpeg"));
    let lacks_video = (!Path::new("/dev/video0").exists())
        .then_some("no camera is here; make camera-test brings one");
    let network = lacks_camera.is_none().then(|| NetworkCamera::start(0));
    let port = network.as_ref().map_or(0, |(_, port)| *port);
    let kinds: [Kind; 10] = [
        ("folder", "file:pictures?loop=1&fps=50".into(), None),
        ("sequence", "file:MOT?loop=1".into(), None),
        ("y4m", "file:film.y4m?loop=1".into(), None),
        ("avi", "file:film.avi?loop=1".into(), None),
        ("mjpeg", "file:film.mjpeg?loop=1&fps=50".into(), None),
        ("program", "exec:cat film.y4m?live=0&loop=1".into(), None),
        ("ffmpeg", "ffmpeg:film.avi?loop=1".into(), lacks_ffmpeg),
        ("network", format!("rtsp://127.0.0.1:{port}/cam"), lacks_camera),
        ("scene", "scene:?size=320x240".into(), None),
        ("camera", "camera:0".into(), lacks_video),
    ];
    let mut toml = "version = 1\n[plugins.frame-stats]\n".to_owned();
    for (name, source, _) in kinds.iter().filter(|(.., lacking)| lacking.is_none()) {
        let stream =
            format!("[streams.{name}]\nsource = {source:?}\nplugins = [\"frame-stats\"]\n");
        toml += &stream;
    }
    place.write("keepsight.toml", &toml);
    let serving = place.serve(&[]);
    let mut summary = String::new();
    for (name, source, lacking) in &kinds {
        if let Some(reason) = lacking {
            writeln!(summary, "skip  {source:38} {reason}").unwrap();
            continue;
        }
        let fed = |stream: &Value| stream["plugins"][0]["processed"].as_u64();
        let stream = serving.await_get(&format!("/v1/streams/{name}"), |stream| {
            fed(stream) > Some(FRAMES as u64) && stream["state"] == "live"
        });
        let (format, size) = (stream["format"].as_str().unwrap(), &stream["size"]);
        let (width, height, count) = (&size["width"], &size["height"], fed(&stream).unwrap());
        assert_eq!((&stream["reason"], &stream["plugins"][0]["errors"]), (&Value::Null, &0.into()));
        writeln!(
            summary,
            "ok    {source:38} {width}x{height} {format}, {count} frames into a plugin"
        )
        .unwrap();
    }
    serving.signal("TERM");
    serving.ended().check(0, &[]);
    // `make test` shows it.
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("each-source.txt"), summary).unwrap();
}
