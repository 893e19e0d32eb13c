//! Rotation in a folder, with the time passed in.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use tempfile::TempDir;

use super::{
    line_file::FileError,
    moment::Moment,
    rotating_file::{Keep, RotatingFile},
};

/// A folder, a limit, and a clock that the test moves.
struct Bench {
    folder: TempDir,
    keep: Keep,
    now: Moment,
}

impl Bench {
    fn new(bytes: Option<u64>, age: Option<Duration>) -> Self {
        // A wall clock that shows whole seconds makes names that are easy to read.
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_500_966);
        let now = Moment { wall, steady: Instant::now() };
        Self { folder: tempfile::tempdir().unwrap(), keep: Keep { bytes, age }, now }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("tracks.jsonl")
    }

    fn open(&self) -> RotatingFile {
        RotatingFile::open(&self.path(), self.keep, self.now).unwrap()
    }

    fn pass(&mut self, time: Duration) {
        self.now.wall += time;
        self.now.steady += time;
    }

    /// Every file that there is, sorted by name, the one in use last.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|path| (*path == self.path(), path.clone()));
        files
    }

    fn names(&self) -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        self.files().into_iter().map(name).collect()
    }

    /// Every line that is kept, oldest first.
    fn lines(&self) -> Vec<String> {
        let text: String =
            self.files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    fn bytes(&self) -> u64 {
        self.files().iter().map(|path| fs::metadata(path).unwrap().len()).sum()
    }
}

fn numbered(number: u64) -> String {
    format!("{{\"number\":{number:09}}}\n")
}

#[track_caller]
fn add(file: &mut RotatingFile, bench: &Bench, line: &str) {
    file.append(line.as_bytes(), bench.now).unwrap();
}

#[test]
fn all_files_together_stay_below_the_size_and_hold_the_newest_lines() {
    let mut bench = Bench::new(Some(4096), None);
    let mut file = bench.open();
    for number in 0..1000 {
        add(&mut file, &bench, &numbered(number));
        bench.pass(Duration::from_secs(1));
        assert!(bench.bytes() <= 4096, "{} bytes after line {number}", bench.bytes());
    }
    let lines = bench.lines();
    let first = 1000 - lines.len() as u64;
    let expected: Vec<_> = (first..1000).map(|n| numbered(n).trim_end().to_owned()).collect();
    assert_eq!(lines, expected, "no line is lost at a rotation, and order is kept");
    let piece = 4096 / 8 / numbered(0).len();
    let kept = 4096 / numbered(0).len();
    assert!(lines.len() > kept - 2 * piece, "only {} of {kept} lines are kept", lines.len());
}

#[test]
fn nothing_older_than_the_age_is_kept_whether_lines_come_or_not() {
    const HOUR: Duration = Duration::from_secs(3600);
    let mut bench = Bench::new(None, Some(HOUR * 24));
    let mut file = bench.open();
    for number in 0..100 {
        add(&mut file, &bench, &numbered(number));
        let kept = bench.lines().len() as u64;
        assert!(kept <= 25, "{kept} lines after hour {number}");
        assert!(kept >= (number + 1).min(20), "only {kept} lines after hour {number}");
        bench.pass(HOUR);
    }
    bench.pass(HOUR * 12);
    file.retire(bench.now).unwrap();
    let before = bench.lines().len();
    assert!((8..=13).contains(&before), "{before} lines after 12 hours of nothing");
    bench.pass(HOUR * 24);
    file.retire(bench.now).unwrap();
    assert_eq!(bench.lines(), Vec::<String>::new());
    add(&mut file, &bench, &numbered(100));
    assert_eq!(bench.lines().len(), 1);
}

#[test]
fn files_are_named_by_their_first_line_and_sort_though_the_clock_is_set_back() {
    let mut bench = Bench::new(Some(4096), None);
    let mut file = bench.open();
    let line = "x".repeat(400) + "\n";
    add(&mut file, &bench, &line);
    bench.pass(Duration::from_secs(1));
    add(&mut file, &bench, &line);
    bench.now.wall -= Duration::from_secs(86_400);
    add(&mut file, &bench, &line);
    add(&mut file, &bench, &line);
    let names = bench.names();
    assert_eq!(
        names,
        [
            "tracks.20260314T150926.000Z.jsonl",
            "tracks.20260314T150927.000Z.jsonl",
            "tracks.20260314T150927.001Z.jsonl",
            "tracks.jsonl",
        ]
    );
}

#[test]
fn a_clock_that_jumps_ages_nothing() {
    let mut bench = Bench::new(Some(4096), Some(Duration::from_secs(86_400)));
    let mut file = bench.open();
    let line = "x".repeat(400) + "\n";
    add(&mut file, &bench, &line);
    bench.now.wall += Duration::from_secs(365 * 86_400);
    add(&mut file, &bench, &line);
    file.retire(bench.now).unwrap();
    assert_eq!(bench.lines().len(), 2);
}

#[test]
fn what_an_earlier_process_left_counts() {
    let mut bench = Bench::new(Some(4096), Some(Duration::from_secs(1000)));
    let mut file = bench.open();
    let captured = "{\"captured\":\"2026-03-14T15:09:26.000Z\"}\n";
    for _ in 0..30 {
        add(&mut file, &bench, captured);
    }
    let before = bench.names();
    assert!(before.len() > 2, "{before:?}");
    drop(file);

    bench.pass(Duration::from_secs(900));
    let mut file = bench.open();
    add(&mut file, &bench, captured);
    assert_eq!(bench.lines().len(), 31);
    assert_eq!(bench.names().len(), before.len() + 1, "the file in use was old enough");
    bench.pass(Duration::from_secs(101));
    file.retire(bench.now).unwrap();
    assert_eq!(bench.lines().len(), 1);

    bench.keep.bytes = None;
    bench.pass(Duration::from_secs(2000));
    let mut file = bench.open();
    file.retire(bench.now).unwrap();
    assert_eq!(bench.lines().len(), 0);
}

#[test]
fn a_line_longer_than_all_that_is_kept_is_refused_and_nothing_deleted() {
    let bench = Bench::new(Some(4096), None);
    let mut file = bench.open();
    add(&mut file, &bench, &numbered(1));
    let error = file.append(&[b'x'; 4097], bench.now).unwrap_err();
    assert!(matches!(error, FileError::TooLong { bytes: 4097, keep: 4096 }), "{error}");
    assert_eq!(bench.lines().len(), 1);
}

#[test]
fn a_file_that_is_gone_from_its_place_is_begun_anew() {
    let bench = Bench::new(Some(4096), None);
    let mut file = bench.open();
    add(&mut file, &bench, &numbered(1));
    fs::rename(bench.path(), bench.folder.path().join("moved")).unwrap();
    add(&mut file, &bench, &numbered(2));
    assert_eq!(fs::read_to_string(bench.path()).unwrap(), numbered(2));
    fs::remove_dir_all(bench.folder.path()).unwrap();
    add(&mut file, &bench, &numbered(3));
    assert_eq!(fs::read_to_string(bench.path()).unwrap(), numbered(3));
}

#[track_caller]
fn check_last_line(before: &str, after: &str) {
    let bench = Bench::new(None, None);
    fs::write(bench.path(), before).unwrap();
    add(&mut bench.open(), &bench, "{}\n");
    assert_eq!(fs::read_to_string(bench.path()).unwrap(), after);
}

#[test]
fn a_line_that_a_power_cut_left_half_is_mended() {
    check_last_line("", "{}\n");
    check_last_line("{\"stream\":\"a\"}\n", "{\"stream\":\"a\"}\n{}\n");
    check_last_line("{\"stream\":\"a\"}\n{\"stream\":\"a\",\"plu", "{\"stream\":\"a\"}\n{}\n");
    check_last_line("{\"st", "{}\n");
    check_last_line("{}\n\0\0\0", "{}\n{}\n");
    check_last_line("somebody's notes", "somebody's notes\n{}\n");
}

#[test]
fn a_line_that_another_is_writing_is_left_alone() {
    let bench = Bench::new(None, None);
    let half = "{\"stream\":\"a\",\"plu";
    fs::write(bench.path(), half).unwrap();
    let other = fs::File::open(bench.path()).unwrap();
    other.lock().unwrap();
    drop(bench.open());
    assert_eq!(fs::read_to_string(bench.path()).unwrap(), half);
    drop(other);
    drop(bench.open());
    assert_eq!(fs::read_to_string(bench.path()).unwrap(), "");
}

#[test]
fn what_a_link_points_to_is_rotated_and_not_the_link() {
    let mut bench = Bench::new(Some(4096), None);
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("real.jsonl");
    fs::File::create(&real).unwrap().write_all(b"{}\n").unwrap();
    std::os::unix::fs::symlink(&real, bench.path()).unwrap();
    let mut file = bench.open();
    for _ in 0..3 {
        add(&mut file, &bench, &("x".repeat(400) + "\n"));
        bench.pass(Duration::from_secs(1));
    }
    assert_eq!(bench.names(), ["tracks.jsonl"]);
    assert!(fs::read_dir(elsewhere.path()).unwrap().count() > 2);
}

#[test]
fn a_device_is_written_to_and_never_set_aside() {
    let bench = Bench::new(Some(4096), Some(Duration::from_secs(1)));
    let mut file = RotatingFile::open(Path::new("/dev/null"), bench.keep, bench.now).unwrap();
    for number in 0..1000 {
        add(&mut file, &bench, &numbered(number));
    }
    file.retire(bench.now).unwrap();
    file.sync().unwrap();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn each_thing_that_can_go_wrong_says_which_file_it_was() {
    let bench = Bench::new(Some(4096), None);
    let open = |path: &Path| RotatingFile::open(path, bench.keep, bench.now).unwrap_err();
    assert!(matches!(open(Path::new("/")), FileError::NoName { .. }));
    assert!(matches!(open(bench.folder.path()), FileError::Open { .. }));
    fs::write(bench.path(), "{}\n").unwrap();
    assert!(matches!(open(&bench.path().join("below")), FileError::Folder { .. }));

    let mut full = RotatingFile::open(Path::new("/dev/full"), bench.keep, bench.now).unwrap();
    let error = full.append(b"{}\n", bench.now).unwrap_err();
    assert!(matches!(error, FileError::Write { .. }), "{error}");

    // A folder in the place of a file can't be removed as one, and no file renamed onto it.
    let mut file = bench.open();
    add(&mut file, &bench, &("x".repeat(600) + "\n"));
    add(&mut file, &bench, &("x".repeat(600) + "\n"));
    let rotated = bench.files().swap_remove(0);
    fs::remove_file(&rotated).unwrap();
    fs::create_dir(&rotated).unwrap();
    let mut outcome = Ok(());
    for _ in 0..10 {
        outcome = outcome.and(file.append(("x".repeat(600) + "\n").as_bytes(), bench.now));
    }
    assert!(matches!(outcome, Err(FileError::Remove { .. })), "{outcome:?}");
    assert!(outcome.unwrap_err().to_string().contains(rotated.to_str().unwrap()));
}
