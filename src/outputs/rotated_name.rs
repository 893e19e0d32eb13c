use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, civil, tz::TimeZone};

/// How the files beside `tracks.jsonl` are named that hold its older lines:
/// `tracks.20260314T150926.535Z.jsonl`, with the time of the first line (UTC). Names sort by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RotatedName {
    folder: PathBuf,
    /// `tracks.`
    before: String,
    /// `.jsonl`, or nothing.
    after: String,
}

impl RotatedName {
    /// Names beside `path`; `None` if it names no file. A name that isn't Unicode is read with
    /// replacement characters.
    pub(super) fn beside(path: &Path) -> Option<Self> {
        path.file_name()?;
        let text = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().map(|_| format!(".{}", text(path.extension())));
        Some(Self {
            folder: folder_of(path).to_owned(),
            before: format!("{}.", text(path.file_stem())),
            after: ending.unwrap_or_default(),
        })
    }

    /// The folder in which all of it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file whose first line was written at `time`, to the millisecond.
    pub(super) fn at(&self, time: SystemTime) -> PathBuf {
        let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
        let stamp = time.strftime(STAMP_WRITTEN);
        self.folder.join(format!("{}{stamp}{}", self.before, self.after))
    }

    /// The time in `name`, if it is one of these.
    pub(super) fn time_of(&self, name: &OsStr) -> Option<SystemTime> {
        let stamp = name.to_str()?.strip_prefix(&self.before)?.strip_suffix(&*self.after)?;
        if stamp.len() != STAMP_BYTES {
            return None;
        }
        let time = civil::DateTime::strptime(STAMP_READ, stamp).ok()?;
        let time = TimeZone::UTC.to_timestamp(time).ok()?;
        let since = u64::try_from(time.as_millisecond()).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(since))
    }
}

/// The folder that `path` lies in; the working directory for a bare name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

const STAMP_WRITTEN: &str = "%Y%m%dT%H%M%S%.3fZ";
const STAMP_READ: &str = "%Y%m%dT%H%M%S%.fZ";
const STAMP_BYTES: usize = "20260314T150926.535Z".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, rotated: &str) {
        let names = RotatedName::beside(Path::new(path)).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_773_500_966_535);
        let file = names.at(time);
        assert_eq!(file, Path::new(rotated));
        assert_eq!(names.time_of(file.file_name().unwrap()), Some(time));
    }

    #[test]
    fn names_hold_the_time_and_give_it_back() {
        check("tracks.jsonl", "./tracks.20260314T150926.535Z.jsonl");
        check("/var/log/door.tracks.jsonl", "/var/log/door.tracks.20260314T150926.535Z.jsonl");
        check("out/tracks", "out/tracks.20260314T150926.535Z");
    }

    #[test]
    fn other_files_are_left_alone() {
        let names = RotatedName::beside(Path::new("tracks.jsonl")).unwrap();
        for other in [
            "tracks.jsonl",
            "tracks.old.jsonl",
            "tracks.20260314T150926.535Z.jsonl.gz",
            "tracks.20260314.jsonl",
            "tracks.20261314T150926.535Z.jsonl",
            "tracks.20260314T150926.53xZ.jsonl",
            "door.20260314T150926.535Z.jsonl",
        ] {
            assert_eq!(names.time_of(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(RotatedName::beside(Path::new("/")), None);
    }
}
