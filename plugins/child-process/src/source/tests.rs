use std::fs;
use std::path::Path;
use std::process::Command;

use keepsight_contract::CancelToken;
use keepsight_contract::testing::{RecordingHost, call_context};
use keepsight_jpeg::{Picture, encode};
use tempfile::TempDir;

use super::*;

/// However slow the machine is.
const LONG: Duration = Duration::from_secs(60);

fn open_paced(uri: &str, pace: Pace) -> Result<ProgramSource, SourceError> {
    let wish = CaptureWish { pace, ..CaptureWish::default() };
    let uri = uri.parse().unwrap();
    ProgramSource::open(&uri, &wish, &call_context(LONG), &RecordingHost::new().host())
}

fn open(uri: &str) -> ProgramSource {
    open_paced(uri, Pace::Native).unwrap()
}

/// What comes next, however often there is nothing yet.
fn event(source: &mut ProgramSource) -> Result<SourceEvent, SourceError> {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        match source.next(&call_context(LONG))? {
            SourceEvent::Pending => {}
            event => return Ok(event),
        }
    }
    panic!("nothing in {LONG:?}")
}

#[track_caller]
fn next(source: &mut ProgramSource) -> Frame {
    match event(source).unwrap() {
        SourceEvent::Frame(frame) => frame,
        other => panic!("{other:?} instead of a frame"),
    }
}

/// A script in a folder of its own that begins with `$0`, the folder.
fn script(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let command = format!("exec:sh -c '{text}' {}", folder.path().display());
    (folder, command)
}

/// A Y4M film of gray pictures, as `printf` has it.
fn y4m(brightness: &[u8]) -> Vec<u8> {
    let mut film = b"YUV4MPEG2 W4 H2 F20:1 Cmono\n".to_vec();
    for value in brightness {
        film.extend(b"FRAME\n");
        film.extend([*value; 8]);
    }
    film
}

fn jpeg(brightness: u8) -> Vec<u8> {
    encode(&Picture::filled(32, 16, [brightness; 3]), 90).unwrap()
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

/// Whether a process runs; one that has ended and wasn't collected doesn't.
fn runs(process: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// The processes whose numbers a script wrote to a file, once there are `count`.
fn processes(folder: &Path, count: usize) -> Vec<String> {
    let end = Instant::now() + LONG;
    while Instant::now() < end {
        let text = fs::read_to_string(folder.join("pids")).unwrap_or_default();
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() >= count && text.ends_with('\n') {
            return lines;
        }
        std::thread::yield_now();
    }
    panic!("the script did not write {count} numbers")
}

#[track_caller]
fn all_end(processes: &[String]) {
    let end = Instant::now() + LONG;
    while processes.iter().any(|process| runs(process)) {
        assert!(Instant::now() < end, "of {processes:?} some still run");
        std::thread::yield_now();
    }
}

#[track_caller]
fn check_fault(uri: &str, fault: SourceFault, named: &str) -> SourceError {
    let error = match open_paced(uri, Pace::Native) {
        Err(error) => error,
        Ok(mut source) => loop {
            match event(&mut source) {
                Err(error) => break error,
                Ok(SourceEvent::Ended) => panic!("{uri} ended well"),
                Ok(_) => {}
            }
        },
    };
    assert_eq!(error.fault(), fault, "{uri}: {error}");
    assert!(error.reason().contains(named), "{uri}: {error}");
    error
}

#[test]
fn a_film_on_standard_output_is_read_to_its_end() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "a film.y4m", &y4m(&[10, 20, 30]));
    let mut source = open(&format!("exec:cat \"{path}\"?live=0"));
    let info = source.info();
    assert_eq!((info.format, info.size), (PixelFormat::Gray, FrameSize::new(4, 2)));
    assert_eq!((info.rate, info.live), (Some(20.0), false));
    let frames = [next(&mut source), next(&mut source), next(&mut source)];
    assert_eq!(frames.each_ref().map(|frame| frame.pixels()[7]), [10, 20, 30]);
    assert_eq!(frames.each_ref().map(Frame::sequence), [0, 1, 2]);
    assert_eq!(frames[2].captured() - frames[0].captured(), Duration::from_millis(100));
    for _ in 0..2 {
        assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
    }
}

#[test]
fn jpegs_on_standard_output_are_read() {
    let folder = TempDir::new().unwrap();
    let film = [jpeg(100), jpeg(100)[..300].to_vec(), jpeg(200)].concat();
    let path = file(&folder, "film", &film);
    let host = RecordingHost::new();
    let uri = format!("exec:cat {path}?live=0&fps=12.5").parse().unwrap();
    let wish = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
    let mut source = ProgramSource::open(&uri, &wish, &call_context(LONG), &host.host()).unwrap();
    assert_eq!((source.info().format, source.info().rate), (PixelFormat::Mjpeg, Some(12.5)));
    let frames = [next(&mut source), next(&mut source)];
    assert_eq!(frames.each_ref().map(Frame::sequence), [0, 2], "the damaged one leaves a gap");
    let luma = frames[1].luma().unwrap().pixels[0];
    assert!(luma.abs_diff(200) <= 2, "{luma}");
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
    assert_eq!(host.host().counter("frames_damaged").value(), 1);
    assert_eq!(host.events()[0].0, "frame_damaged");
}

#[test]
fn a_film_can_begin_anew() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "film", &y4m(&[10, 20]));
    let mut source = open_paced(&format!("exec:cat {path}?live=0&loop=1"), Pace::Unpaced).unwrap();
    for round in 0..3 {
        for nth in 0..2 {
            let frame = match event(&mut source).unwrap() {
                SourceEvent::Restarted(frame) if nth == 0 && round > 0 => frame,
                SourceEvent::Frame(frame) if nth > 0 || round == 0 => frame,
                other => panic!("round {round}, frame {nth}: {other:?}"),
            };
            assert_eq!(frame.sequence(), round * 2 + nth);
            assert_eq!(u64::from(frame.pixels()[0]), 10 * (nth + 1));
        }
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named_with_its_remedy() {
    let absent = check_fault("exec:no-such-program -x", SourceFault::NotFound, "not installed");
    assert!(absent.hint_text().contains("no-such-program"));
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "data", b"x");
    check_fault(&format!("exec:{path}"), SourceFault::Denied, "may not be run");
}

#[test]
fn a_live_programs_end_is_a_loss_with_what_it_said() {
    let (folder, command) = script(
        r#"cat "$0/film"; echo first >&2; echo "open rtsp://cam:s3cret@h/x: lost" >&2; exit 3"#,
    );
    file(&folder, "film", &y4m(&[10]));
    let error = check_fault(&command, SourceFault::Lost, "sh ended with exit status: 3");
    let said = "first; open rtsp://cam:***@h/x: lost";
    assert!(error.reason().ends_with(said), "{error}");
    // Without a picture it never was there; an end with 0 is one as well.
    check_fault("exec:sh -c 'exit 3'", SourceFault::Failed, "exit status: 3");
    check_fault("exec:true", SourceFault::Failed, "what true writes can't be read: it is empty");
    check_fault("exec:sh -c 'kill -SEGV $$'", SourceFault::Failed, "SIGSEGV");
}

#[test]
fn a_film_that_ends_badly_is_no_whole_film() {
    let (folder, command) = script(r#"cat "$0/film"; exit 4"#);
    file(&folder, "film", &y4m(&[10]));
    check_fault(&format!("{command}?live=0"), SourceFault::Invalid, "exit status: 4");
    let mut film = y4m(&[10, 20]);
    film.truncate(film.len() - 3);
    let path = file(&folder, "cut", &film);
    check_fault(&format!("exec:cat {path}?live=0"), SourceFault::Invalid, "begins at byte 42");
    check_fault("exec:true?live=0", SourceFault::Invalid, "empty");
}

#[test]
fn what_is_no_film_is_named() {
    let unknown = check_fault("exec:echo no film?live=0", SourceFault::Invalid, "no film");
    assert!(unknown.hint_text().contains("Y4M"), "{}", unknown.hint_text());
    check_fault("exec:cat /dev/zero", SourceFault::Failed, "neither YUV4MPEG2 nor JPEGs");
    let deep = "exec:echo YUV4MPEG2 W8 H8 C420p10";
    check_fault(deep, SourceFault::Unsupported, "C420p10");
    let large = "exec:echo YUV4MPEG2 W80000 H80000";
    check_fault(large, SourceFault::Unsupported, "80000x80000");
}

#[test]
fn a_silent_program_is_ended_and_said_to_be_silent() {
    let (folder, command) =
        script(r#"echo $$ >"$0/pids"; cat "$0/film"; echo waiting >&2; exec sleep 600"#);
    file(&folder, "film", &y4m(&[10]));
    let mut source = open(&format!("{command}?stall=1"));
    next(&mut source);
    let error = event(&mut source).unwrap_err();
    assert_eq!(error.fault(), SourceFault::Stalled);
    assert!(error.reason().contains("no picture from sh for 1."), "{error}");
    assert!(error.reason().ends_with("it says: waiting"), "{error}");
    drop(source);
    all_end(&processes(folder.path(), 1));
    check_fault("exec:sleep 600?stall=1", SourceFault::Stalled, "no picture from sleep");
}

#[test]
fn opening_ends_when_nobody_waits_any_more() {
    let token = CancelToken::default();
    let call = CallContext::new(Instant::now() + LONG, token.clone());
    let opener = std::thread::spawn(move || {
        let uri = "exec:sleep 600?stall=600".parse().unwrap();
        ProgramSource::open(&uri, &CaptureWish::default(), &call, &RecordingHost::new().host())
            .map(drop)
    });
    token.cancel();
    let error = opener.join().unwrap().unwrap_err();
    assert!(error.reason().contains("stopped"), "{error}");
}

#[test]
fn a_call_returns_though_the_program_floods_without_a_picture() {
    // Damaged pictures without end: each a beginning, and nothing behind it.
    let (_folder, command) = script(r#"while printf "\377\330\377x"; do :; done"#);
    let error = check_fault(&format!("{command}?stall=1"), SourceFault::Stalled, "no picture");
    assert!(error.reason().contains("sh"), "{error}");
}

#[test]
fn nothing_of_the_program_is_left_over() {
    // A program that won't end when asked to, with children of its own.
    let (folder, command) = script(
        r#"trap "" TERM; echo $$ >"$0/pids"
        sleep 600 & echo $! >>"$0/pids"
        (trap "" TERM; while :; do sleep 600; done) & echo $! >>"$0/pids"
        cat "$0/film"; while :; do sleep 600; done"#,
    );
    file(&folder, "film", &y4m(&[10]));
    let source = open(&command);
    let started = processes(folder.path(), 3);
    assert!(started.iter().all(|process| runs(process)), "{started:?}");
    source.close().unwrap();
    all_end(&started);
}

#[test]
fn what_holds_the_output_open_does_not_hide_the_programs_end() {
    let (folder, command) = script(r#"cat "$0/film"; sleep 600 & echo $! >"$0/pids"; exit 5"#);
    file(&folder, "film", &y4m(&[10]));
    check_fault(&command, SourceFault::Lost, "exit status: 5");
    all_end(&processes(folder.path(), 1));
}

#[test]
fn a_source_leaves_no_descriptors_and_no_processes() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "film", &y4m(&[10]));
    let ours = || fs::read_dir("/proc/self/fd").unwrap().count();
    // Other tests open and close files at the same time, so a leak shows as growth over many.
    let before = ours();
    for _ in 0..50 {
        let mut source = open_paced(&format!("exec:cat {path}"), Pace::Native).unwrap();
        next(&mut source);
    }
    assert!(ours() < before + 50, "{before} descriptors before, {} after", ours());
}

/// Whether ffmpeg is there; where not, the test says that it tests nothing.
fn has_ffmpeg(test: &str) -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        eprintln!("{test}: skipped, ffmpeg is not installed");
    }
    found
}

#[test]
fn ffmpeg_reads_what_we_do_not() {
    if !has_ffmpeg("ffmpeg_reads_what_we_do_not") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let film = folder.path().join("film.mkv");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"])
        .args(["color=c=red:size=64x48:rate=10:duration=1.2", "-c:v", "mpeg4"])
        .arg(&film)
        .status();
    assert!(made.unwrap().success());

    let uri = format!("ffmpeg:{}", film.display());
    let mut source = open_paced(&uri, Pace::Unpaced).unwrap();
    let info = source.info();
    assert_eq!((info.format, info.size), (PixelFormat::Nv12, FrameSize::new(64, 48)));
    assert_eq!((info.rate, info.live), (Some(10.0), false));
    for sequence in 0..12 {
        let frame = next(&mut source);
        assert_eq!(frame.sequence(), sequence);
        let rgb = frame.to_rgb().unwrap();
        let [red, green, blue] = [rgb.pixels()[0], rgb.pixels()[1], rgb.pixels()[2]];
        assert!(red > 240 && green < 15 && blue < 15, "{red} {green} {blue}");
    }
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));

    let smaller = open_paced(&format!("{uri}?size=32x24&fps=5"), Pace::Unpaced).unwrap();
    assert_eq!((smaller.info().size, smaller.info().rate), (FrameSize::new(32, 24), Some(5.0)));
    check_fault("ffmpeg:/no/such/film.mp4", SourceFault::NotFound, "No such file");
    let text = file(&folder, "text.mp4", b"no film");
    check_fault(&format!("ffmpeg:{text}"), SourceFault::Invalid, "ffmpeg ended with");
}

#[test]
fn a_camera_that_is_not_there_is_named_without_its_password() {
    if !has_ffmpeg("a_camera_that_is_not_there_is_named_without_its_password") {
        return;
    }
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("rtsp://cam:s3cret@127.0.0.1:{port}/s");
    let error = check_fault(&uri, SourceFault::NotFound, "Connection refused");
    assert!(!error.reason().contains("s3cret"), "{error}");
    assert!(error.hint_text().contains("camera"), "{}", error.hint_text());
}
