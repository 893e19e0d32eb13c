//! `keepsight track`: from frames to files.

use std::{collections::BTreeSet, fs};

use keepsight_contract::testing::frames;
use keepsight_jpeg::{Picture, decode_picture, encode_frame};
use serde_json::Value;

use super::support::Place;
use crate::support::site::await_value;

const SCENE: &str = "scene:?frames=3&fps=10&size=320x240&targets=3";

#[test]
fn tracks_are_written_as_mot_text() {
    let place = Place::new();
    place.run(&["track", SCENE, "--tracks", "out.txt"]).check(0, &["3 frames", "detect_ms"]);
    let text = String::from_utf8(read(&place, "out.txt")).unwrap();
    let mut last = 0;
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let numbers: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let [frame, id, x, y, width, height, confidence, unused @ ..] = &numbers[..] else {
            panic!("{line}");
        };
        assert!((1.0..=3.0).contains(frame) && *frame as u64 >= last, "{text}");
        last = *frame as u64;
        // Two boxes of one object in one frame make no sense to any tool that reads this.
        assert!(*id >= 1.0 && ids.insert((last, *id as u64)), "{text}");
        assert!(*width > 0.0 && *height > 0.0, "{line}");
        assert!((-50.0..320.0).contains(x) && (-50.0..240.0).contains(y), "{line}");
        assert!((0.0..=1.0).contains(confidence), "{line}");
        assert_eq!(unused, [-1.0, -1.0, -1.0], "{line}");
    }
    assert_eq!(last, 3, "{text}");
    assert_eq!(place.names(), ["out.txt"], "nothing else is left");
}

#[test]
fn given_detections_are_tracked_without_a_model() {
    let place = Place::new();
    let rows = (0..8).map(|frame| format!("{},-1,{},20,30,60,0.9\n", frame + 1, 10 + 5 * frame));
    place.write("det.txt", &rows.collect::<String>());
    let still = |frame| format!("{frame} 1 0 0 0 1 0\n");
    place.write("gmc.txt", &(1..=8).map(still).collect::<String>());
    // So fast that nobody is followed by their looks, which are not what is detected here.
    let scene = "scene:?frames=8&fps=20&size=320x240";
    let from = ["--detections", "det.txt", "--camera-motion", "gmc.txt"];
    let arguments = [&["track", scene, "--tracks", "out.txt"][..], &from].concat();
    place.run(&arguments).check(0, &["8 frames, 1 tracks"]);
    let text = String::from_utf8(read(&place, "out.txt")).unwrap();
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.lines().all(|line| line.split(',').nth(1) == Some("1")), "{text}");

    // Nothing is on the pictures that matters, so they may be missing.
    let alone = ["--size", "320x240", "--fps", "20", "--tracks", "alone.txt"];
    let without = [&["track"][..], &from, &alone].concat();
    place.run(&without).check(0, &["8 frames, 1 tracks"]);
    assert_eq!(text.as_bytes(), read(&place, "alone.txt"));

    place.write("det.txt", "1,-1,10,20,thirty,60,0.9\n");
    place.run(&arguments).check(3, &["det.txt", "line 1"]);
    place.run(&without).check(3, &["det.txt", "line 1"]);
    fs::remove_file(place.path().join("det.txt")).unwrap();
    place.run(&without).check(3, &["cannot read det.txt", "No such file"]);
}

#[test]
fn what_is_left_out_has_to_be_given_by_something_else() {
    let place = Place::new();
    for (arguments, said) in [
        (&["track"][..], "INPUT"),
        (&["track", "--detections", "d.txt"], "INPUT"),
        (&["track", "--detections", "d.txt", "--size", "9x9"], "--fps"),
        (&["track", "--size", "9x9", "--fps", "9"], "--detections"),
        (&["track", "i", "--detections", "d", "--size", "9x9", "--fps", "9"], "cannot be used"),
        (&["track", "--detections", "d", "--size", "9", "--fps", "9"], "--size"),
        (&["track", "--detections", "d", "--size", "9x9", "--fps", "0"], "0.001 to 1000"),
    ] {
        place.run(arguments).check(2, &[said]);
    }
}

#[test]
fn tracks_are_written_as_json_lines_and_the_summary_as_json() {
    let place = Place::new();
    let summary = place.run(&["track", SCENE, "--tracks", "out.jsonl", "--json"]);
    let summary = summary.check(0, &[]).json();
    let text = String::from_utf8(read(&place, "out.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let frames: Vec<_> = lines.iter().map(|line| line["frame"].as_u64().unwrap()).collect();
    assert_eq!(frames, [1, 2, 3], "frames without tracks have a line too");
    let mut ids = BTreeSet::new();
    for track in lines.iter().flat_map(|line| line["tracks"].as_array().unwrap()) {
        ids.insert(track["track_id"].as_u64().unwrap());
        for key in ["x", "y", "width", "height", "confidence"] {
            assert!(track[key].is_number(), "{track:#}");
        }
        assert!(track["class"].is_string() && track["state"].is_string(), "{track:#}");
    }
    assert_eq!(summary["frames"], 3);
    assert_eq!(summary["frames_failed"], 0);
    assert_eq!(summary["tracks"], ids.len());
    assert!(!ids.is_empty(), "{text}");
    assert!(summary["frames_per_second"].as_f64() > Some(0.0), "{summary:#}");
}

#[test]
fn the_same_input_gives_the_same_file() {
    let place = Place::new();
    for name in ["one.jsonl", "two.jsonl"] {
        place.run(&["track", SCENE, "--tracks", name]).check(0, &[]);
    }
    let [one, two] = ["one.jsonl", "two.jsonl"].map(|name| read(&place, name));
    assert!(one == two, "the files differ");
}

#[test]
fn the_film_shows_every_frame_and_can_be_tracked_in_turn() {
    let place = Place::new();
    place.run(&["track", SCENE, "--overlay", "out.avi"]).check(0, &["3 frames"]);
    assert_eq!(place.names(), ["out.avi"]);
    let film = read(&place, "out.avi");
    assert_eq!((&film[..4], &film[8..12]), (&b"RIFF"[..], &b"AVI "[..]));
    let length = u32::from_le_bytes(film[4..8].try_into().unwrap());
    assert_eq!(length as usize + 8, film.len(), "the header tells the length");
    let pictures = pictures_of(&film);
    assert_eq!(pictures.len(), 3);
    for picture in &pictures {
        assert_eq!((picture.width(), picture.height()), (320, 240));
    }
    let summary = place.run(&["track", "out.avi", "--json"]).check(0, &[]).json();
    assert_eq!(summary["frames"], 3);
}

#[test]
fn a_folder_of_pictures_is_tracked_and_a_damaged_one_among_them_told() {
    let place = Place::new();
    let folder = place.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    let noise =
        frames::rgb(64, 48, |x, y| [x * 31 % 256, y * 57 % 256, x * y % 256].map(|v| v as u8));
    let jpeg = encode_frame(&noise, 90).unwrap();
    for name in ["1.jpg", "2.jpg", "10.jpg"] {
        fs::write(folder.join(name), &jpeg).unwrap();
    }
    let summary = place.run(&["track", "pictures", "--tracks", "o.jsonl", "--json"]);
    assert_eq!(summary.check(0, &[]).json()["frames"], 3);

    // What leaves a picture out must not pass for the whole folder's tracks; the rest is there.
    let whole = read(&place, "o.jsonl");
    fs::write(folder.join("2.jpg"), &jpeg[..jpeg.len() / 2]).unwrap();
    let ended = place.run(&["track", "pictures", "--tracks", "o.jsonl", "--json"]);
    let summary = ended.check(1, &["left out: 1 damaged picture"]).json();
    assert_eq!((&summary["frames"], &summary["frames_damaged"]), (&2.into(), &1.into()));
    assert_eq!(place.names(), ["o.jsonl", "pictures"]);
    let rest = String::from_utf8(read(&place, "o.jsonl")).unwrap();
    let numbers = |text: &str| -> Vec<u64> {
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["frame"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(std::str::from_utf8(&whole).unwrap()), [1, 2, 3]);
    assert_eq!(numbers(&rest), [1, 3], "numbers stay those of the pictures");
}

#[test]
fn pictures_of_several_sizes_are_tracked_and_shown_in_the_size_of_the_first() {
    let place = Place::new();
    let folder = place.path().join("pictures");
    fs::create_dir(&folder).unwrap();
    for (name, width, height) in [("1.jpg", 64, 48), ("2.jpg", 48, 64), ("3.jpg", 128, 32)] {
        let gray = frames::gray(width, height, |x, y| (x * 5 + y) as u8);
        fs::write(folder.join(name), encode_frame(&gray, 90).unwrap()).unwrap();
    }
    place.run(&["track", "pictures", "--overlay", "out.avi"]).check(0, &["3 frames"]);
    let film = pictures_of(&read(&place, "out.avi"));
    let sizes: Vec<_> = film.iter().map(|picture| picture.size().to_string()).collect();
    assert_eq!(sizes, ["64x48"; 3]);
}

#[test]
fn who_interrupts_it_has_what_was_tracked_until_then() {
    for name in ["INT", "TERM"] {
        let place = Place::new();
        let endless = "scene:?size=64x48";
        let working = place.start(&["track", endless, "--tracks", "o.jsonl", "--overlay", "o.avi"]);
        let begun = place.path().join("o.avi.part");
        await_value(|| begun.exists().into(), |begun| begun == &Value::Bool(true));
        working.signal(name);
        working.ended().check(0, &[]);
        assert_eq!(place.names(), ["o.avi", "o.jsonl"], "{name}");
        let text = String::from_utf8(read(&place, "o.jsonl")).unwrap();
        for (index, line) in text.lines().enumerate() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["frame"], index + 1);
        }
        let summary = place.run(&["track", "o.avi", "--json"]).check(0, &[]).json();
        assert_eq!(summary["frames"], text.lines().count(), "{name}");
    }
}

#[test]
fn an_input_that_is_not_there_or_empty_is_missing() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).unwrap();
    place.run(&["track", "nowhere.avi"]).check(3, &["nowhere.avi", "No such file"]);
    place.run(&["track", "/no/such/folder"]).check(3, &["/no/such/folder", "check the path"]);
    place.run(&["track", "empty"]).check(3, &["empty has no JPEG or PNG pictures"]);
    place.write("film.avi", "this is no film");
    place.run(&["track", "film.avi", "--tracks", "o.txt"]).check(3, &["film.avi"]);
    assert_eq!(place.names(), ["empty", "film.avi"], "no file of results was begun");
}

#[test]
fn a_tracker_that_can_not_be_built_is_missing() {
    let place = Place::new();
    place.write(
        "k.toml",
        "version = 1\n[plugins.eye]\nuse = \"video-tracker\"\n\
         config = { gpu = \"off\", model = \"nowhere/model.onnx\" }\n",
    );
    let ended = place.run(&["track", SCENE, "--config", "k.toml", "--tracks", "o.txt"]);
    ended.check(3, &["UNAVAILABLE", "nowhere/model.onnx"]);
    place.write("k.toml", "version = 1\n");
    place.run(&["track", SCENE, "--config", "k.toml"]).check(2, &["no instance of video-tracker"]);
    assert_eq!(place.names(), ["k.toml"]);
}

#[test]
fn files_of_other_kinds_are_refused_before_anything_is_tracked() {
    let place = Place::new();
    // The input isn't there either, which would be told if it had been looked for.
    for (arguments, said) in [
        (["--tracks", "o.csv"], "o.csv: tracks are written to a .txt (MOT text) or a .jsonl"),
        (["--tracks", "o"], "o: tracks are written to"),
        (["--overlay", "o.mp4"], "o.mp4: the film is written to an .avi"),
    ] {
        let arguments = [&["track", "nowhere.avi"][..], &arguments].concat();
        place.run(&arguments).check(2, &[said]);
    }
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_place_that_can_not_be_written_to_is_named_and_nothing_is_left_behind() {
    let place = Place::new();
    let scene = "scene:?frames=1&size=64x48";
    let ended = place.run(&["track", scene, "--tracks", "nowhere/o.txt"]);
    ended.check(1, &["cannot write nowhere/o.txt", "No such file"]);
    place.write("o.txt", "what was there before");
    let ended = place.run(&["track", scene, "--tracks", "o.txt", "--overlay", "nowhere/o.avi"]);
    ended.check(1, &["cannot write the film nowhere/o.avi", "No such file"]);
    assert_eq!(place.names(), ["o.txt"], "what was begun is gone");
    assert_eq!(read(&place, "o.txt"), b"what was there before");
}

/// The pictures of a film in AVI.
fn pictures_of(film: &[u8]) -> Vec<Picture> {
    let mut at = film.windows(4).position(|window| window == b"movi").unwrap() + 4;
    let mut pictures = Vec::new();
    while &film[at..at + 4] == b"00dc" {
        let length = u32::from_le_bytes(film[at + 4..at + 8].try_into().unwrap()) as usize;
        pictures.push(decode_picture(&film[at + 8..at + 8 + length]).unwrap());
        at += 8 + length.next_multiple_of(2);
    }
    pictures
}

fn read(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The whole detector on a GPU, be it the processor in disguise, finds what it finds on the CPU.
#[cfg(feature = "gpu")]
#[test]
fn on_a_gpu_the_tracks_are_those_of_the_cpu() {
    let place = Place::new();
    let tracks = |name: &str, config: &str| -> Result<Vec<Vec<f64>>, super::support::Ended> {
        let toml = format!(
            "version = 1\n[plugins.eye]\nuse = \"video-tracker\"\ndeadline = \"60s\"\n\
             config = {{ {config} }}\n"
        );
        place.write("keepsight.toml", &toml);
        let arguments = ["track", SCENE, "--config", "keepsight.toml", "--tracks", name];
        let mut command = place.command(&arguments);
        command.env_remove("VK_DRIVER_FILES").env_remove("VK_ICD_FILENAMES");
        let ended = super::support::ended(&mut command);
        if ended.code != Some(0) {
            return Err(ended);
        }
        let text = String::from_utf8(read(&place, name)).unwrap();
        let numbers = |line: &str| line.split(',').map(|field| field.parse().unwrap()).collect();
        Ok(text.lines().map(numbers).collect())
    };
    let found = match tracks("gpu.txt", "gpu = \"required\", software_gpu = true") {
        Ok(found) => found,
        Err(ended) => {
            assert!(ended.err.contains("no graphics driver offers an adapter"), "{ended}");
            eprintln!("skipped: this machine has no graphics adapter, not even lavapipe");
            return;
        }
    };
    let expected = tracks("cpu.txt", "gpu = \"off\"").unwrap();
    assert!(!expected.is_empty());
    assert_eq!(found.len(), expected.len(), "{found:?} {expected:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found[..2], expected[..2], "frame and track");
        for (found, expected) in found[2..7].iter().zip(&expected[2..7]) {
            // Pixels, and in the end the confidence.
            assert!((found - expected).abs() < 0.5, "{found} {expected}");
        }
        assert!((found[6] - expected[6]).abs() < 0.02, "{found:?} {expected:?}");
    }
}
