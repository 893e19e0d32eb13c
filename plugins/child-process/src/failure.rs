//! What a program's end means for a stream.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use keepsight_contract::{SourceError, SourceFault};
use keepsight_jpeg::FilmError;

use crate::plan::Plan;

/// The program could not be started.
pub(crate) fn not_started(plan: &Plan, error: &io::Error) -> SourceError {
    let program = &plan.program;
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::new(
            SourceFault::NotFound,
            format!("the program {program} is not installed"),
        )
        .hint(remedy(program)),
        io::ErrorKind::PermissionDenied => {
            SourceError::new(SourceFault::Denied, format!("the program {program} may not be run"))
                .hint("let the user that Keepsight runs as execute it")
        }
        _ => SourceError::new(SourceFault::Failed, format!("cannot start {program}: {error}")),
    }
}

/// The program ended, and not because its pictures did. `said` is what it said last.
pub(crate) fn ended(
    plan: &Plan,
    status: Option<ExitStatus>,
    said: &str,
    pictures: u64,
) -> SourceError {
    let how = match status {
        None => "closed its output".to_owned(),
        Some(status) if status.success() => "has ended".to_owned(),
        // "exit status: 1", "signal: 11 (SIGSEGV)".
        Some(status) => format!("ended with {status}"),
    };
    let said_so = if said.is_empty() { String::new() } else { format!(": {said}") };
    let reason = format!("{} {how}{said_so}", program_name(&plan.program));
    if let Some((_, fault, hint)) = KNOWN.iter().find(|(words, ..)| said.contains(words)) {
        return SourceError::new(*fault, reason).hint(*hint);
    }
    let fault = match (plan.live, pictures) {
        (true, 0) => SourceFault::Failed,
        (true, _) => SourceFault::Lost,
        // The same input would end in the same way.
        (false, _) => SourceFault::Invalid,
    };
    let hint = if plan.live { HINT_LIVE } else { HINT_FILM };
    SourceError::new(fault, reason).hint(hint)
}

/// What the program writes can't be read.
pub(crate) fn unreadable(plan: &Plan, error: &FilmError, said: &str) -> SourceError {
    let said = if said.is_empty() { String::new() } else { format!("; it says: {said}") };
    let reason =
        format!("what {} writes can't be read: {error}{said}", program_name(&plan.program));
    let fault = match error {
        FilmError::Chroma { .. } | FilmError::OddWidth { .. } | FilmError::Size(_) => {
            SourceFault::Unsupported
        }
        _ if plan.live => SourceFault::Failed,
        _ => SourceFault::Invalid,
    };
    let hint = match error {
        FilmError::Chroma { .. } | FilmError::OddWidth { .. } => "let it write yuv420p",
        FilmError::Unknown { .. } => {
            "its standard output has to be Y4M or JPEGs, as ffmpeg writes with -f yuv4mpegpipe or -f mjpeg"
        }
        _ => "",
    };
    SourceError::new(fault, reason).hint(hint)
}

/// The program lives and writes no picture, for so long.
pub(crate) fn stalled(plan: &Plan, silent: Duration, said: &str) -> SourceError {
    let said = if said.is_empty() { String::new() } else { format!("; it says: {said}") };
    let (program, seconds) = (program_name(&plan.program), silent.as_secs_f64());
    let reason = format!("no picture from {program} for {seconds:.1} s{said}");
    SourceError::new(SourceFault::Stalled, reason)
        .hint("see whether the camera is on; the program is started again by itself")
}

fn program_name(program: &str) -> &str {
    program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(program)
}

fn remedy(program: &str) -> String {
    let package = match program {
        "ffmpeg" | "ffprobe" => "ffmpeg",
        "gst-launch-1.0" => "gstreamer1.0-tools",
        "rpicam-vid" => "rpicam-apps",
        "libcamera-vid" => "libcamera-apps",
        "curl" => "curl",
        _ => return format!("install {program}, or write where it is"),
    };
    format!("apt install {package}")
}

/// What programs say, ffmpeg above all, what it means and what to do.
const KNOWN: [(&str, SourceFault, &str); 12] = [
    ("401 Unauthorized", SourceFault::Denied, "check user and password in the address"),
    ("403 Forbidden", SourceFault::Denied, "check user and password in the address"),
    ("404 Not Found", SourceFault::NotFound, "check the path in the address"),
    ("Connection refused", SourceFault::NotFound, CHECK_CAMERA),
    ("No route to host", SourceFault::NotFound, CHECK_CAMERA),
    ("Network is unreachable", SourceFault::NotFound, "check this machine's network"),
    ("Connection timed out", SourceFault::NotFound, CHECK_CAMERA),
    ("Failed to resolve hostname", SourceFault::NotFound, "check the host in the address"),
    ("No such file or directory", SourceFault::NotFound, "check the path"),
    ("No such device", SourceFault::Lost, "see whether the device is plugged in"),
    ("Permission denied", SourceFault::Denied, "let the user that Keepsight runs as use it"),
    ("Device or resource busy", SourceFault::Busy, "another program uses the device"),
];

const HINT_LIVE: &str = "it is started again by itself; run it by hand to see what ails it";
const HINT_FILM: &str = "check that its input is whole; run it by hand to see what it makes of it";
const CHECK_CAMERA: &str = "see whether the camera is on, and check its address";

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn plan(uri: &str) -> Plan {
        Plan::of(&uri.parse().unwrap(), &Default::default()).unwrap()
    }

    #[test]
    fn an_absent_program_comes_with_its_remedy() {
        for (program, hint) in [
            ("ffmpeg", "apt install ffmpeg"),
            ("gst-launch-1.0", "apt install gstreamer1.0-tools"),
            ("/opt/x", "install /opt/x"),
        ] {
            let error =
                not_started(&plan(&format!("exec:{program}")), &io::ErrorKind::NotFound.into());
            assert_eq!(error.fault(), SourceFault::NotFound);
            assert!(error.hint_text().contains(hint), "{}", error.hint_text());
        }
        let denied = not_started(&plan("exec:a"), &io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.fault(), SourceFault::Denied);
        let other = not_started(&plan("exec:a"), &io::ErrorKind::OutOfMemory.into());
        assert_eq!(other.fault(), SourceFault::Failed);
    }

    #[test]
    fn what_it_said_decides_what_to_do() {
        let camera = plan("rtsp://h/s");
        let status = Some(ExitStatus::from_raw(1 << 8));
        for (said, pictures, fault) in [
            (
                "rtsp://h/s: Server returned 401 Unauthorized (authorization failed)",
                0,
                SourceFault::Denied,
            ),
            ("rtsp://h/s: Connection refused", 0, SourceFault::NotFound),
            ("something", 0, SourceFault::Failed),
            ("something", 7, SourceFault::Lost),
            ("", 7, SourceFault::Lost),
        ] {
            let error = ended(&camera, status, said, pictures);
            assert_eq!(error.fault(), fault, "{said}");
            assert!(error.reason().starts_with("ffmpeg ended with exit status: 1"), "{error}");
            assert!(error.reason().ends_with(said), "{error}");
        }
        let film = ended(&plan("ffmpeg:a.mp4"), status, "moov atom not found", 0);
        assert_eq!(film.fault(), SourceFault::Invalid);
        assert!(film.hint_text().contains("whole"), "{}", film.hint_text());
        let killed = ended(&camera, Some(ExitStatus::from_raw(9)), "", 0);
        assert!(killed.reason().contains("SIGKILL"), "{killed}");
        assert_eq!(ended(&camera, None, "", 0).reason(), "ffmpeg closed its output");
    }
}
