//! What to run, as a source's URI and wishes say.

use std::time::Duration;

use keepsight_contract::{
    CaptureWish, FrameSize, Pace, SourceError, SourceFault, SourceUri, redact_passwords,
};

use crate::command_line;

/// What to run and how to take what it writes, all of it checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    /// What it brings, for people, without passwords.
    pub(crate) label: String,
    /// Passwords that it is given.
    pub(crate) secrets: Vec<String>,
    /// Frames come as they happen.
    pub(crate) live: bool,
    /// Begins anew at the end.
    pub(crate) repeat: bool,
    /// Frames a second, where the program doesn't say so itself.
    pub(crate) rate: Option<f64>,
    /// For so long it may write no picture.
    pub(crate) stall: Duration,
}

impl Plan {
    /// Reads a URI of a scheme that is opened here.
    ///
    /// # Errors
    /// Invalid, naming what is wrong.
    pub(crate) fn of(uri: &SourceUri, wish: &CaptureWish) -> Result<Self, SourceError> {
        match uri.scheme() {
            "exec" => Self::of_command(uri, wish),
            "ffmpeg" => Self::of_input(uri, wish),
            _ => Self::of_camera(uri, wish),
        }
    }

    fn of_command(uri: &SourceUri, wish: &CaptureWish) -> Result<Self, SourceError> {
        uri.expect_params(EXEC_PARAMS).map_err(|error| {
            SourceError::from(error).hint(
                "a ? that belongs to the command is followed by another one: exec:COMMAND?live=1",
            )
        })?;
        let mut words = command_line::split(uri.path()).map_err(|error| {
            SourceError::new(SourceFault::Invalid, format!("exec: is no command: {error}"))
                .hint("write exec:PROGRAM ARGUMENTS, with quotes around what holds spaces")
        })?;
        let program = words.remove(0);
        Ok(Self {
            live: live(uri, wish, true)?,
            repeat: uri.flag("loop")?.unwrap_or(false),
            rate: rate(uri)?,
            stall: stall(uri)?,
            label: redact_passwords(uri.path().trim()),
            secrets: secrets(uri.path()),
            program,
            arguments: words,
        })
    }

    fn of_input(uri: &SourceUri, wish: &CaptureWish) -> Result<Self, SourceError> {
        let (input, uri) = address(uri.path().to_owned(), uri, FFMPEG_PARAMS)?;
        if input.is_empty() {
            return Err(SourceError::new(SourceFault::Invalid, "ffmpeg: names no input")
                .hint("write ffmpeg:FILE or ffmpeg:ADDRESS"));
        }
        let is_address = input.contains("://") && !input.starts_with("file:");
        let live = live(&uri, wish, is_address || input.starts_with("/dev/"))?;
        let repeat = uri.flag("loop")?.unwrap_or(false);
        Self::ffmpeg(&uri, wish, input, live, repeat, &[])
    }

    fn of_camera(uri: &SourceUri, wish: &CaptureWish) -> Result<Self, SourceError> {
        let (input, uri) = address(format!("{}:{}", uri.scheme(), uri.path()), uri, RTSP_PARAMS)?;
        if !uri.path().starts_with("//") || uri.path().len() < 3 {
            let reason = format!("{}: names no camera", uri.scheme());
            return Err(SourceError::new(SourceFault::Invalid, reason)
                .hint("write rtsp://USER:PASSWORD@HOST/PATH, as the camera's manual has it"));
        }
        let transports = ["tcp", "udp", "http"].map(|name| (name, ["-rtsp_transport", name]));
        let transport = uri.choice("transport", &transports)?;
        let transport = transport.unwrap_or(["-rtsp_flags", "prefer_tcp"]);
        let live = live(&uri, wish, true)?;
        Self::ffmpeg(&uri, wish, input, live, false, &transport)
    }

    /// An input that ffmpeg reads; `options` stand in front of it.
    fn ffmpeg(
        uri: &SourceUri,
        wish: &CaptureWish,
        input: String,
        live: bool,
        repeat: bool,
        options: &[&str],
    ) -> Result<Self, SourceError> {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|it| (*it).to_owned()));
        add(&["-nostdin", "-hide_banner", "-nostats", "-loglevel", "error"]);
        if live {
            add(&["-fflags", "nobuffer"]);
        }
        add(options);
        for (name, option) in [("hwaccel", "-hwaccel"), ("decoder", "-c:v")] {
            match uri.param(name) {
                Some(value) if is_name(value) => add(&[option, value]),
                Some(_) => return Err(uri.bad_param(name, "a name that ffmpeg knows").into()),
                None => {}
            }
        }
        add(&["-i", &input, "-map", "0:v:0"]);
        let mut filters = Vec::new();
        if let Some(rate) = rate(uri)?.or(wish.rate.filter(|rate| RATES.contains(rate))) {
            filters.push(format!("fps={rate}"));
        }
        let size = uri.checked_param("size", SIZE, size_fits)?;
        if let Some(size) = size.or(wish.size.filter(size_fits)) {
            filters.push(format!("scale={}:{}", size.width, size.height));
        }
        if !filters.is_empty() {
            add(&["-vf", &filters.join(",")]);
        }
        if live {
            // Each picture when it comes, and none twice: a camera's clock is not ours.
            add(&["-vsync", "passthrough"]);
        }
        add(&["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "pipe:1"]);
        Ok(Self {
            program: "ffmpeg".to_owned(),
            arguments,
            label: redact_passwords(&input),
            secrets: secrets(&input),
            live,
            repeat,
            rate: None,
            stall: stall(uri)?,
        })
    }
}

/// The address, and the URI with those parameters that are ours. A query of which no key is known
/// is the address's own.
fn address(
    input: String,
    uri: &SourceUri,
    known: &[&str],
) -> Result<(String, SourceUri), SourceError> {
    let text = uri.to_string();
    let query = &text[uri.scheme().len() + 1 + uri.path().len()..];
    let keys = || query.trim_start_matches('?').split('&').map(|it| it.split('=').next());
    let is_ours = |key: Option<&str>| key.is_some_and(|key| known.contains(&key));
    if query.is_empty() || keys().all(is_ours) {
        return Ok((input, uri.clone()));
    }
    if keys().any(is_ours) {
        let error = uri.expect_params(known).expect_err("one of the keys is not known");
        return Err(SourceError::from(error)
            .hint("what is the address's comes first: rtsp://HOST/PATH?channel=1?transport=tcp"));
    }
    let bare = format!("{}:{}", uri.scheme(), uri.path());
    Ok((input + query, bare.parse().map_err(SourceError::from)?))
}

/// Unpaced, frames are worked on one after the other, whatever the source is: nothing is lost
/// then, and its end is an end.
fn live(uri: &SourceUri, wish: &CaptureWish, default: bool) -> Result<bool, SourceError> {
    Ok(uri.flag("live")?.unwrap_or(default) && wish.pace == Pace::Native)
}

fn rate(uri: &SourceUri) -> Result<Option<f64>, SourceError> {
    let fits = |rate: &f64| RATES.contains(rate);
    Ok(uri.checked_param("fps", "a rate of 0.001 to 1000", fits)?)
}

fn stall(uri: &SourceUri) -> Result<Duration, SourceError> {
    let fits = |seconds: &f64| (1.0..=600.0).contains(seconds);
    let seconds = uri.checked_param("stall", "a number of seconds, 1 to 600", fits)?;
    Ok(seconds.map_or(STALL, Duration::from_secs_f64))
}

fn is_name(text: &str) -> bool {
    let named = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    !text.is_empty() && !text.starts_with('-') && text.chars().all(named)
}

fn size_fits(size: &FrameSize) -> bool {
    let sides = 16..=8192;
    sides.contains(&size.width) && sides.contains(&size.height) && size.width.is_multiple_of(2)
}

/// The passwords of the addresses in `text`: short ones would hide half of what is said.
fn secrets(text: &str) -> Vec<String> {
    let user_info = |address: &str| {
        let (user_info, _) = address.rsplit_once('@')?;
        let (_, password) = user_info.split_once(':')?;
        (password.len() >= 4).then(|| password.to_owned())
    };
    text.split("://").skip(1).filter_map(user_info).collect()
}

pub(crate) const EXEC_PARAMS: &[&str] = &["live", "loop", "fps", "stall"];
pub(crate) const FFMPEG_PARAMS: &[&str] =
    &["live", "loop", "fps", "stall", "size", "hwaccel", "decoder"];
pub(crate) const RTSP_PARAMS: &[&str] =
    &["fps", "stall", "size", "hwaccel", "decoder", "transport"];

const RATES: std::ops::RangeInclusive<f64> = 0.001..=1000.0;
/// For so long a program may write no picture where nothing is said.
const STALL: Duration = Duration::from_secs(10);
const SIZE: &str = "a size of 16x16 to 8192x8192 with an even width";

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(uri: &str) -> Result<Plan, SourceError> {
        Plan::of(&uri.parse().unwrap(), &CaptureWish::default())
    }

    /// The plan's arguments as one text.
    fn arguments(uri: &str) -> String {
        plan(uri).unwrap().arguments.join(" ")
    }

    #[test]
    fn a_command_is_run_as_it_stands() {
        let plan = plan("exec:rpicam-vid -t 0 --codec 'mj peg' -o -?fps=15&stall=2.5").unwrap();
        assert_eq!(plan.program, "rpicam-vid");
        assert_eq!(plan.arguments, ["-t", "0", "--codec", "mj peg", "-o", "-"]);
        assert_eq!((plan.live, plan.repeat, plan.rate), (true, false, Some(15.0)));
        assert_eq!(plan.stall, Duration::from_millis(2500));
        let film = self::plan("exec:cat what?.y4m?live=0&loop=1").unwrap();
        assert_eq!((film.live, film.repeat), (false, true));
        assert_eq!(film.arguments, ["what?.y4m"]);
    }

    #[test]
    fn what_ffmpeg_reads_is_live_or_a_film() {
        for (uri, live) in [
            ("ffmpeg:film.mp4", false),
            ("ffmpeg:file:///a/film.mp4", false),
            ("ffmpeg:film.mp4?live=1", true),
            ("ffmpeg:/dev/video0", true),
            ("ffmpeg:http://192.0.2.1/mjpg", true),
            ("ffmpeg:http://192.0.2.1/film.mp4?live=0", false),
            ("rtsp://192.0.2.1/s", true),
        ] {
            let plan = plan(uri).unwrap();
            assert_eq!(plan.live, live, "{uri}");
            let passes = plan.arguments.iter().any(|it| it == "passthrough");
            assert_eq!(passes, live, "{uri}: a camera's pictures are passed on as they come");
            let unpaced = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
            assert!(!Plan::of(&uri.parse().unwrap(), &unpaced).unwrap().live, "{uri}");
        }
    }

    #[test]
    fn parameters_and_wishes_become_options() {
        let uri =
            "rtsp://cam:pw@192.0.2.1/s?transport=udp&fps=5&size=640x360&hwaccel=vaapi&decoder=h264";
        let all = arguments(uri);
        for part in [
            "-rtsp_transport udp",
            "-hwaccel vaapi -c:v h264 -i rtsp://cam:pw@192.0.2.1/s",
            "-vf fps=5,scale=640:360",
        ] {
            assert!(all.contains(part), "{all}");
        }
        assert!(arguments("rtsp://192.0.2.1/s").contains("-rtsp_flags prefer_tcp -i rtsp://"));
        let wish = CaptureWish {
            size: Some(FrameSize::new(320, 240)),
            rate: Some(12.5),
            ..CaptureWish::default()
        };
        let wished = Plan::of(&"ffmpeg:a.mp4?fps=2".parse().unwrap(), &wish).unwrap();
        assert!(wished.arguments.join(" ").contains("-vf fps=2,scale=320:240"), "{wished:?}");
    }

    #[test]
    fn an_addresss_own_query_stays_its_own() {
        for (uri, address, ours) in [
            ("rtsp://h/cam?channel=1&subtype=0", "rtsp://h/cam?channel=1&subtype=0", false),
            ("rtsp://h/cam?channel=1?transport=udp", "rtsp://h/cam?channel=1", true),
            ("rtsp://h/cam?transport=udp", "rtsp://h/cam", true),
            ("ffmpeg:http://h/a?res=1", "http://h/a?res=1", false),
        ] {
            let words = plan(uri).unwrap().arguments;
            let at = words.iter().position(|it| it == "-i").unwrap();
            assert_eq!(words[at + 1], address);
            assert_eq!(words.contains(&"udp".to_owned()), ours, "{uri}");
        }
        let error = plan("rtsp://h/cam?channel=1&transport=udp").unwrap_err();
        assert!(error.reason().contains("channel"), "{error}");
        assert!(error.hint_text().contains("?transport="), "{}", error.hint_text());
    }

    #[test]
    fn passwords_are_known_and_not_shown() {
        let plan = plan("rtsp://cam:s3cret@192.0.2.1/s").unwrap();
        assert_eq!(plan.label, "rtsp://cam:***@192.0.2.1/s");
        assert_eq!(plan.secrets, ["s3cret"]);
        let plan = self::plan("exec:curl http://a:pass1@h/x http://b:pass2@h/y").unwrap();
        assert_eq!(plan.secrets, ["pass1", "pass2"]);
        assert!(!plan.label.contains("pass1") && !plan.label.contains("pass2"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (uri, named) in [
            ("exec:", "names no program"),
            ("exec:a 'b", "no end"),
            ("exec:a?lvie=1", "lvie"),
            ("exec:a?live=2", "live"),
            ("exec:a?fps=0", "fps"),
            ("exec:a?stall=0", "stall"),
            ("exec:a?stall=nan", "stall"),
            ("ffmpeg:", "names no input"),
            ("ffmpeg:a?size=0x0", "size"),
            ("ffmpeg:a?size=641x480", "size"),
            ("ffmpeg:a?hwaccel=-y", "hwaccel"),
            ("ffmpeg:a?decoder=", "decoder"),
            ("rtsp:", "names no camera"),
            ("rtsp:h/s", "names no camera"),
            ("rtsp://h/s?transport=x25", "transport"),
        ] {
            let error = plan(uri).unwrap_err();
            assert_eq!(error.fault(), SourceFault::Invalid, "{uri}");
            assert!(error.reason().contains(named), "{uri}: {error}");
        }
    }
}
