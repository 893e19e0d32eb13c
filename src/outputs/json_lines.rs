use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use keepsight_contract::{
    BoxError, Detection, Host, Output, OutputRecord, OutputSettings, OutputTarget, Region, Track,
    register_output,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    moment::Moment,
    rotating_file::{Keep, RotatingFile},
};

/// JSON Lines in a file, one record a line: `file:tracks.jsonl`, `file:/var/lib/tracks.jsonl`.
///
/// A relative path begins at the working directory; folders are made. A line is written in one
/// piece or not at all. With `keep`, older lines are set aside in files beside it, named by the
/// time of their first line, and the oldest of these deleted.
///
/// A line holds `stream`, `plugin`, `sequence`, `captured` (ISO 8601 in UTC) and, as far as the
/// plugin gave them, the lists `detections`, `tracks` and `regions`, and under `json` every other
/// value by its name.
#[derive(Debug)]
pub struct JsonLines {
    file: RotatingFile,
    line: Vec<u8>,
}

impl OutputTarget for JsonLines {
    fn open(settings: &OutputSettings, _: &Host) -> Result<Self, BoxError> {
        let keep = Keep {
            bytes: settings.size_max.map(|size| size.0),
            age: settings.age_max.map(|age| age.0),
        };
        let file = RotatingFile::open(&without_authority(&settings.path), keep, Moment::now())?;
        Ok(Self { file, line: Vec::new() })
    }

    fn write(&mut self, record: &OutputRecord) -> Result<(), BoxError> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Line::of(record))?;
        self.line.push(b'\n');
        Ok(self.file.append(&self.line, Moment::now())?)
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        self.file.retire(Moment::now())?;
        Ok(self.file.sync()?)
    }
}

register_output!(JsonLines, scheme = "file");

/// A record as its line has it; `stream` stays first, by which a line that was cut off is known.
#[derive(Debug, Serialize)]
struct Line<'a> {
    stream: &'a str,
    plugin: &'a str,
    sequence: u64,
    captured: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detections: Option<Vec<&'a Detection>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracks: Option<Vec<&'a Track>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regions: Option<Vec<&'a Region>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    json: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Line<'a> {
    fn of(record: &'a OutputRecord) -> Self {
        let mut line = Self {
            stream: &record.stream,
            plugin: &record.plugin,
            sequence: record.sequence,
            captured: utc(record.captured),
            detections: None,
            tracks: None,
            regions: None,
            json: BTreeMap::new(),
        };
        for output in &record.response.outputs {
            match output {
                Output::Detections(found) => {
                    line.detections.get_or_insert_default().extend(&found.0);
                }
                Output::Tracks(found) => line.tracks.get_or_insert_default().extend(&found.0),
                Output::Regions(found) => line.regions.get_or_insert_default().extend(&found.0),
                Output::Json(found) => _ = line.json.insert(&found.name, &found.value),
                // A sort of result that this file has no place for.
                _ => {}
            }
        }
        line
    }
}

/// `file:///var/x` means the same as `file:/var/x`.
fn without_authority(path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix("///")) {
        Some(rest) => Path::new("/").join(rest),
        None => path.to_owned(),
    }
}

/// ISO 8601 in UTC, to the millisecond.
fn utc(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use expect_test::expect;
    use keepsight_contract::{
        BoundingBox, Detections, JsonOutput, Regions, Response, Tracks, registered,
        testing::RecordingHost,
    };

    use super::{super::line_file::RECORD_BEGINS, *};

    fn record(response: Response) -> OutputRecord {
        OutputRecord {
            stream: "door".into(),
            plugin: "tracker".into(),
            sequence: 7,
            captured: SystemTime::UNIX_EPOCH + Duration::from_millis(1_773_500_966_535),
            response: Arc::new(response),
        }
    }

    fn settings(path: &Path) -> OutputSettings {
        OutputSettings { path: path.to_owned(), size_max: None, age_max: None }
    }

    #[test]
    fn every_build_has_it() {
        let schemes: Vec<_> = registered::outputs().map(|output| output.scheme).collect();
        assert_eq!(schemes, ["file"]);
    }

    #[test]
    fn a_line_holds_what_the_record_holds() {
        let detection = Detection {
            bbox: BoundingBox::new(1.0, 2.0, 3.5, 4.0),
            confidence: 0.1,
            class: "person".into(),
            class_id: 0,
        };
        let response = Response::new()
            .with(Detections(vec![detection.clone()]))
            .with(Detections(vec![detection]))
            .with(Tracks::default())
            .with(JsonOutput::new("mean", 0.5))
            .with(JsonOutput::new("count", 2));
        let line = serde_json::to_string(&Line::of(&record(response))).unwrap();
        assert!(line.as_bytes().starts_with(RECORD_BEGINS));
        expect![[r#"{"stream":"door","plugin":"tracker","sequence":7,"captured":"2026-03-14T15:09:26.535Z","detections":[{"x":1.0,"y":2.0,"width":3.5,"height":4.0,"xyxy":[1.0,2.0,4.5,6.0],"confidence":0.1,"class":"person","class_id":0},{"x":1.0,"y":2.0,"width":3.5,"height":4.0,"xyxy":[1.0,2.0,4.5,6.0],"confidence":0.1,"class":"person","class_id":0}],"tracks":[],"json":{"count":2,"mean":0.5}}"#]].assert_eq(&line);
    }

    #[test]
    fn what_the_plugin_did_not_give_is_left_out() {
        let line = serde_json::to_string(&Line::of(&record(Response::new()))).unwrap();
        expect![[r#"{"stream":"door","plugin":"tracker","sequence":7,"captured":"2026-03-14T15:09:26.535Z"}"#]].assert_eq(&line);
        let regions = record(Response::new().with(Regions::default()));
        let line = serde_json::to_value(Line::of(&regions)).unwrap();
        assert_eq!(line["regions"], serde_json::json!([]), "nothing there is a result too");
    }

    #[test]
    fn folders_are_made_and_lines_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/tracks.jsonl");
        let host = RecordingHost::new();
        let address = PathBuf::from(format!("//{}", path.display()));
        for _ in 0..2 {
            let mut target = JsonLines::open(&settings(&address), &host.host()).unwrap();
            OutputTarget::write(&mut target, &record(Response::new())).unwrap();
            OutputTarget::flush(&mut target).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn what_is_no_place_for_a_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let host = RecordingHost::new();
        let open = |path: &Path| JsonLines::open(&settings(path), &host.host());
        assert_eq!(open(Path::new("")).unwrap_err().to_string(), " names no file");
        assert!(open(folder.path()).unwrap_err().to_string().starts_with("cannot open "));
        let file = folder.path().join("file");
        std::fs::write(&file, "x\n").unwrap();
        let below = open(&file.join("tracks.jsonl")).unwrap_err();
        assert!(below.to_string().starts_with("cannot make the folder "), "{below}");
    }
}
