//! Recorded pictures as a source of frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keepsight_contract::{
    CallContext, CaptureWish, Counter, DecodeError, DecodedPixels, Decoder, Frame, FrameSize, Host,
    Pace, PixelBuffer, PixelFormat, Source, SourceError, SourceEvent, SourceFault, SourceInfo,
    SourceUri, register_source,
};
use keepsight_jpeg::{JpegDecoder, Limits, PictureFormat, decode_png, inspect_jpeg};
use serde_json::json;

use crate::error::FileError;
use crate::film::{Content, Film, StoredPicture};
use crate::settings::{Settings, rate_fits};

/// Pictures or a film from files; see the crate's text for its URI.
///
/// A JPEG is checked when it is read (its header, its end) and decoded where its pixels are
/// needed; a PNG is decoded at once.
pub struct FileSource {
    settings: Settings,
    host: Host,
    damaged: Counter,
    /// What was wrong with the first of the pictures that were left out before the last one read.
    damage: Option<FileError>,
    film: Film,
    /// Those of the first picture; others may have another.
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
        host: &Host,
    ) -> Result<Self, SourceError> {
        let settings = Settings::of(uri)?;
        let film = Film::open(&settings.path)?;
        let mut source = Self {
            rate: RATE,
            format: PixelFormat::Mjpeg,
            size: FrameSize::new(0, 0),
            pace: if settings.unpaced { Pace::Unpaced } else { wish.pace },
            started: Instant::now(),
            waiting: None,
            round_start: 0,
            next_sequence: 0,
            host: host.clone(),
            damaged: host.counter("frames_damaged"),
            damage: None,
            settings,
            film,
        };
        let (picture, sequence) = match source.read_whole()? {
            Some(first) => first,
            None => {
                let none = FileError::NoFrames { path: source.settings.path.clone() };
                return Err(source.damage.take().unwrap_or(none).into());
            }
        };
        let wished = wish.rate.filter(rate_fits);
        source.rate = source.settings.rate.or(source.film.rate()).or(wished).unwrap_or(RATE);
        (source.format, source.size) = (picture.format, picture.size);
        source.next_sequence = sequence + 1;
        source.waiting = Some(Upcoming { picture, sequence, restarts: false });
        Ok(source)
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

    fn frames(&self) -> Option<u64> {
        self.film.frames().filter(|_| !self.settings.repeat)
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
        if self.pace == Pace::Native && !call.wait_until(due) {
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
        let mut read = self.read_whole()?;
        if read.is_none() && self.settings.repeat {
            self.film.rewind()?;
            self.round_start = self.next_sequence;
            read = self.read_whole()?;
            restarts = true;
        }
        let Some((picture, number)) = read else { return Ok(None) };
        let sequence = self.round_start + number;
        self.next_sequence = sequence + 1;
        Ok(Some(Upcoming { picture, sequence, restarts }))
    }

    /// The next picture that is whole, with its number. Whatever is wrong with a single picture is
    /// counted, and the film goes on behind it.
    fn read_whole(&mut self) -> Result<Option<(Checked, u64)>, FileError> {
        self.damage = None;
        let mut in_a_row = 0;
        loop {
            let stored = self.film.next();
            let error = match stored.and_then(|it| it.map(numbered_and_checked).transpose()) {
                Ok(picture) => return Ok(picture),
                Err(error) if self.film.goes_on_after(&error) => error,
                Err(error) => return Err(error),
            };
            self.damaged.add(1);
            in_a_row += 1;
            if self.damage.is_none() {
                // One event for a row of them.
                self.host.event("frame_damaged", json!({ "reason": error.to_string() }));
            }
            let first = self.damage.take().unwrap_or(error);
            if in_a_row > DAMAGED_IN_A_ROW_MAX {
                return Err(first);
            }
            self.damage = Some(first);
        }
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

fn numbered_and_checked(stored: StoredPicture) -> Result<(Checked, u64), FileError> {
    let number = stored.number;
    Ok((check(stored)?, number))
}

/// Finds out what a picture is and whether it is whole.
fn check(stored: StoredPicture) -> Result<Checked, FileError> {
    let StoredPicture { content, origin, .. } = stored;
    let bytes = match content {
        Content::Encoded(bytes) => bytes,
        Content::Checked { format, size, bytes } => {
            return Ok(Checked { format, size, bytes, origin });
        }
    };
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

/// So many damaged pictures one after the other are no film any more.
const DAMAGED_IN_A_ROW_MAX: u32 = 100;
/// Frames a second where nobody says anything.
const RATE: f64 = 30.0;

#[cfg(test)]
mod tests;
