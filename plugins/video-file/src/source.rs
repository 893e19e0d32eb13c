//! Recorded pictures as a source of frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keepsight_contract::{
    CallContext, CaptureWish, DecodeError, DecodedPixels, Decoder, Frame, FrameSize, Host, Pace,
    PixelBuffer, PixelFormat, Source, SourceError, SourceEvent, SourceFault, SourceInfo, SourceUri,
    register_source,
};
use keepsight_jpeg::{JpegDecoder, Limits, PictureFormat, decode_png, inspect_jpeg};

use crate::error::FileError;
use crate::film::{EncodedPicture, Film};
use crate::settings::Settings;

/// Pictures or a film from files; see the crate's text for its URI.
///
/// A JPEG is checked when it is read (its header, its end) and decoded where its pixels are
/// needed; a PNG is decoded at once.
pub struct FileSource {
    settings: Settings,
    film: Film,
    format: PixelFormat,
    size: FrameSize,
    rate: f64,
    pace: Pace,
    started: Instant,
    /// The next frame, while it waits to be due; the first one has been read to open the source.
    waiting: Option<Upcoming>,
    /// Sequence of this round's first frame.
    round_start: u64,
    /// Sequence of the frame after the last one read.
    next_sequence: u64,
}

/// A frame that has been read.
struct Upcoming {
    picture: Checked,
    sequence: u64,
    /// It is the first of another round.
    restarts: bool,
}

/// A picture that was found to be whole.
struct Checked {
    format: PixelFormat,
    size: FrameSize,
    /// A JPEG's bytes, or RGB.
    bytes: Vec<u8>,
    origin: String,
}

impl Source for FileSource {
    fn open(
        uri: &SourceUri,
        wish: &CaptureWish,
        _call: &CallContext,
        _host: &Host,
    ) -> Result<Self, SourceError> {
        let settings = Settings::of(uri)?;
        let mut film = Film::open(&settings.path)?;
        let first = film.next()?;
        let first = first.ok_or(FileError::NoFrames { path: settings.path.clone() })?;
        let next_sequence = first.number + 1;
        let sequence = first.number;
        let picture = check(first)?;
        let wished = wish.rate.filter(|rate| (0.001..=1000.0).contains(rate));
        Ok(Self {
            rate: settings.rate.or(film.rate()).or(wished).unwrap_or(RATE),
            format: picture.format,
            size: picture.size,
            pace: wish.pace,
            started: Instant::now(),
            waiting: Some(Upcoming { picture, sequence, restarts: false }),
            round_start: 0,
            next_sequence,
            settings,
            film,
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: self.settings.path.display().to_string(),
            stable_id: None,
            format: self.format,
            size: self.size,
            rate: Some(self.rate),
            live: false,
        }
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        let upcoming = match self.waiting.take() {
            Some(upcoming) => upcoming,
            None => match self.read()? {
                Some(upcoming) => upcoming,
                None => return Ok(SourceEvent::Ended),
            },
        };
        let due = self.due(upcoming.sequence);
        if self.pace == Pace::Native && !wait_until(due, call) {
            self.waiting = Some(upcoming);
            return Ok(SourceEvent::Pending);
        }
        let restarts = upcoming.restarts;
        let frame = self.frame(upcoming, due)?;
        Ok(if restarts { SourceEvent::Restarted(frame) } else { SourceEvent::Frame(frame) })
    }
}

register_source!(FileSource, schemes = ["file"]);

impl FileSource {
    /// Reads the next picture; at the end of a film that is repeated, its first.
    fn read(&mut self) -> Result<Option<Upcoming>, FileError> {
        let mut restarts = false;
        let mut encoded = self.film.next()?;
        if encoded.is_none() && self.settings.repeat {
            self.film.rewind()?;
            self.round_start = self.next_sequence;
            encoded = self.film.next()?;
            restarts = true;
        }
        let Some(encoded) = encoded else { return Ok(None) };
        let sequence = self.round_start + encoded.number;
        let picture = check(encoded)?;
        if (picture.size, picture.format) != (self.size, self.format) {
            let described = |size, format| match format {
                PixelFormat::Mjpeg => format!("a JPEG of {size}"),
                _ => format!("a PNG of {size}"),
            };
            return Err(FileError::Differs {
                found: described(picture.size, picture.format),
                first: described(self.size, self.format),
                origin: picture.origin,
            });
        }
        self.next_sequence = sequence + 1;
        Ok(Some(Upcoming { picture, sequence, restarts }))
    }

    fn frame(&self, upcoming: Upcoming, due: Instant) -> Result<Frame, SourceError> {
        let Checked { format, size, bytes, origin } = upcoming.picture;
        let mut frame = Frame::builder(format, size, PixelBuffer::from(bytes))
            .sequence(upcoming.sequence)
            .captured(due);
        if format == PixelFormat::Mjpeg {
            frame = frame.decoder(Arc::new(NamingDecoder { origin }));
        }
        let failed = |error| SourceError::new(SourceFault::Invalid, format!("{error}"));
        frame.build().map_err(failed)
    }

    /// When a frame is due, by the film's rate.
    fn due(&self, sequence: u64) -> Instant {
        let seconds = sequence as f64 / self.rate;
        self.started + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }
}

/// Decodes a JPEG and says in which file it was if that fails.
struct NamingDecoder {
    origin: String,
}

impl Decoder for NamingDecoder {
    fn decode(&self, bytes: &[u8], size: FrameSize) -> Result<DecodedPixels, DecodeError> {
        JpegDecoder::default().decode(bytes, size).map_err(|error| {
            DecodeError::new(PixelFormat::Mjpeg, format!("{}: {error}", self.origin))
        })
    }
}

/// Finds out what a picture is and whether it is whole.
fn check(encoded: EncodedPicture) -> Result<Checked, FileError> {
    let EncodedPicture { bytes, origin, .. } = encoded;
    let limits = Limits::default();
    let checked = match PictureFormat::of(&bytes) {
        Some(PictureFormat::Png) => decode_png(&bytes, &limits)
            .map(|picture| (PixelFormat::Rgb, picture.size(), picture.into_rgb())),
        // What is no picture at all is named as a damaged JPEG: that is what a film holds.
        _ => inspect_jpeg(&bytes, &limits)
            .map(|(width, height)| (PixelFormat::Mjpeg, FrameSize::new(width, height), bytes)),
    };
    match checked {
        Ok((format, size, bytes)) => Ok(Checked { format, size, bytes, origin }),
        Err(source) => Err(FileError::Picture { origin, source }),
    }
}

/// Sleeps until `due`, but not longer than one call may; whether it is due now.
fn wait_until(due: Instant, call: &CallContext) -> bool {
    let now = Instant::now();
    if now < due {
        let longest = WAIT_MAX.min(call.deadline().saturating_duration_since(now));
        std::thread::sleep(longest.min(due - now));
    }
    Instant::now() >= due
}

/// Frames a second where nobody says anything.
const RATE: f64 = 30.0;
/// A call returns within a quarter of a second, so that a stop is obeyed promptly.
const WAIT_MAX: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
