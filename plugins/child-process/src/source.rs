//! A program's output as a source of frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keepsight_contract::{
    CallContext, CaptureWish, Counter, Frame, FrameSize, Host, Pace, PixelBuffer, PixelFormat,
    Source, SourceError, SourceEvent, SourceFault, SourceInfo, SourceUri, register_source,
};
use keepsight_jpeg::{FilmError, FilmItem, FilmParser, FilmPicture, JpegDecoder, Limits};
use serde_json::json;

use crate::failure;
use crate::plan::Plan;
use crate::program::{Output, Program};

/// What an installed program writes; see the crate's text for its URIs.
pub struct ProgramSource {
    plan: Plan,
    pace: Pace,
    host: Host,
    damaged: Counter,
    /// The newest picture was one of those.
    was_damaged: bool,
    program: Program,
    parser: FilmParser,
    format: PixelFormat,
    size: FrameSize,
    /// The next picture, while it waits to be due; the first one was read to open the source.
    waiting: Option<Upcoming>,
    /// The program has closed its output.
    over: bool,
    /// What was wrong with the output's end.
    bad_end: Option<FilmError>,
    /// When the first bytes of the next picture came.
    begun: Option<Instant>,
    /// For so long it has been waited for the next picture.
    silent: Duration,
    /// Pictures that this run of the program gave.
    pictures: u64,
    /// For a film: when its frame 0 was due.
    started: Instant,
    /// Sequence of this round's first frame, and of the next frame.
    round_start: u64,
    next_sequence: u64,
    restarts: bool,
}

struct Upcoming {
    picture: FilmPicture,
    captured: Instant,
    restarts: bool,
}

/// What came of reading on.
enum Progress {
    Picture(FilmPicture, Instant),
    Nothing,
    Over,
}

impl Source for ProgramSource {
    fn open(
        uri: &SourceUri,
        wish: &CaptureWish,
        call: &CallContext,
        host: &Host,
    ) -> Result<Self, SourceError> {
        let plan = Plan::of(uri, wish)?;
        let program = start(&plan)?;
        let now = Instant::now();
        let mut source = Self {
            pace: wish.pace,
            host: host.clone(),
            damaged: host.counter("frames_damaged"),
            was_damaged: false,
            program,
            parser: FilmParser::new(Limits::default()),
            format: PixelFormat::Mjpeg,
            size: FrameSize::new(0, 0),
            waiting: None,
            over: false,
            bad_end: None,
            begun: None,
            silent: Duration::ZERO,
            pictures: 0,
            started: now,
            round_start: 0,
            next_sequence: 0,
            restarts: false,
            plan,
        };
        // The last moment at which the reason for a silence can still be told.
        let latest = call.deadline().checked_sub(ANSWER_BEFORE).unwrap_or(now);
        loop {
            if call.is_cancelled() {
                return Err(SourceError::new(SourceFault::Failed, "stopped while it was opened"));
            }
            match source.advance(call)? {
                Progress::Picture(picture, captured) => {
                    (source.format, source.size) = (picture.format, picture.size);
                    source.started = Instant::now();
                    source.waiting = Some(Upcoming { picture, captured, restarts: false });
                    return Ok(source);
                }
                Progress::Over => unreachable!("a film without pictures is an error"),
                Progress::Nothing if Instant::now() >= latest => return Err(source.stalled()),
                Progress::Nothing => {}
            }
        }
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: self.plan.label.clone(),
            stable_id: None,
            format: self.format,
            size: self.size,
            rate: self.rate().or((!self.plan.live).then_some(RATE)),
            live: self.plan.live,
        }
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        let upcoming = match self.waiting.take() {
            Some(upcoming) => upcoming,
            None => match self.advance(call)? {
                Progress::Picture(picture, captured) => {
                    let restarts = std::mem::take(&mut self.restarts);
                    Upcoming { picture, captured, restarts }
                }
                Progress::Nothing => return Ok(SourceEvent::Pending),
                Progress::Over if self.plan.repeat && self.pictures > 0 => {
                    self.begin_anew()?;
                    return Ok(SourceEvent::Pending);
                }
                Progress::Over => return Ok(SourceEvent::Ended),
            },
        };
        let sequence = self.round_start + upcoming.picture.number;
        let captured = if self.plan.live { upcoming.captured } else { self.due(sequence) };
        if self.pace == Pace::Native && !self.plan.live && !call.wait_until(captured) {
            self.waiting = Some(upcoming);
            return Ok(SourceEvent::Pending);
        }
        self.next_sequence = sequence + 1;
        let restarts = upcoming.restarts;
        let frame = frame(upcoming.picture, sequence, captured)?;
        Ok(if restarts { SourceEvent::Restarted(frame) } else { SourceEvent::Frame(frame) })
    }
}

register_source!(ProgramSource, schemes = ["exec", "ffmpeg", "rtsp", "rtsps"]);

impl ProgramSource {
    /// Reads on to the next picture, for a fifth of a second at most.
    fn advance(&mut self, call: &CallContext) -> Result<Progress, SourceError> {
        let asked = Instant::now();
        let until = call.deadline().min(asked + WAIT_MAX);
        while !self.over {
            match self.parser.next() {
                Ok(Some(item)) => match self.taken(item) {
                    Some(progress) => return Ok(progress),
                    None => continue,
                },
                Ok(None) => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
            if call.is_cancelled() || Instant::now() >= until {
                // Only what is spent here: that nobody asks is not the program's silence.
                self.silent += asked.elapsed();
                let stalled = self.silent > self.plan.stall;
                return if stalled { Err(self.stalled()) } else { Ok(Progress::Nothing) };
            }
            let output = self.program.read(self.parser.space(), until).map_err(|error| {
                let reason = format!("cannot read what {} writes: {error}", self.plan.program);
                SourceError::new(SourceFault::Failed, reason)
            })?;
            match output {
                Output::Nothing => {}
                Output::Bytes(count) => {
                    self.begun.get_or_insert_with(Instant::now);
                    self.parser.filled(count).map_err(|error| self.unreadable(&error))?;
                }
                Output::End => {
                    self.over = true;
                    match self.parser.finish() {
                        Ok(None) => {}
                        Ok(Some(item)) => {
                            if let Some(progress) = self.taken(item) {
                                return Ok(progress);
                            }
                        }
                        Err(error) => self.bad_end = Some(error),
                    }
                }
            }
        }
        self.check_end()?;
        Ok(Progress::Over)
    }

    /// A picture, or damage that is counted.
    fn taken(&mut self, item: FilmItem) -> Option<Progress> {
        let captured = self.begun.take().unwrap_or_else(Instant::now);
        match item {
            FilmItem::Picture(picture) => {
                self.pictures += 1;
                self.was_damaged = false;
                self.silent = Duration::ZERO;
                Some(Progress::Picture(picture, captured))
            }
            FilmItem::Damaged { offset, reason, .. } => {
                self.damaged.add(1);
                // One event for a row of them.
                if !std::mem::replace(&mut self.was_damaged, true) {
                    let reason = format!("the picture at byte {offset}: {reason}");
                    self.host.event("frame_damaged", json!({ "reason": reason }));
                }
                None
            }
            _ => None,
        }
    }

    /// Whether the end of the program's output is that of a film, and the program's end a good one.
    fn check_end(&mut self) -> Result<(), SourceError> {
        let status = self.program.ended_within(ENDS_WITHIN);
        let well = status.is_some_and(|status| status.success());
        match self.bad_end.take() {
            // A program that was killed says more by that than by half a picture.
            Some(error) if well => Err(self.unreadable(&error)),
            None if well && !self.plan.live && self.pictures > 0 => Ok(()),
            _ => Err(failure::ended(&self.plan, status, &self.program.said(), self.pictures)),
        }
    }

    fn unreadable(&mut self, error: &FilmError) -> SourceError {
        failure::unreadable(&self.plan, error, &self.program.said())
    }

    fn stalled(&mut self) -> SourceError {
        failure::stalled(&self.plan, self.silent, &self.program.said())
    }

    /// Runs the program again, for another round of its film.
    fn begin_anew(&mut self) -> Result<(), SourceError> {
        // The old one ends before the new one begins, should both want the same device.
        self.program = start(&self.plan)?;
        self.parser = FilmParser::new(Limits::default());
        (self.over, self.begun, self.pictures) = (false, None, 0);
        self.silent = Duration::ZERO;
        self.round_start = self.next_sequence;
        self.restarts = true;
        Ok(())
    }

    fn rate(&self) -> Option<f64> {
        // Of a live input that has no rate, ffmpeg makes up one of its clock.
        let told = self.parser.rate().filter(|rate| !self.plan.live || *rate <= LIVE_RATE_MAX);
        self.plan.rate.or(told)
    }

    /// When a film's frame is due.
    fn due(&self, sequence: u64) -> Instant {
        let seconds = sequence as f64 / self.rate().unwrap_or(RATE);
        self.started + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }
}

fn start(plan: &Plan) -> Result<Program, SourceError> {
    Program::start(&plan.program, &plan.arguments, &plan.secrets)
        .map_err(|error| failure::not_started(plan, &error))
}

fn frame(picture: FilmPicture, sequence: u64, captured: Instant) -> Result<Frame, SourceError> {
    let FilmPicture { format, size, bytes, .. } = picture;
    let mut frame = Frame::builder(format, size, PixelBuffer::from(bytes))
        .sequence(sequence)
        .captured(captured);
    if format == PixelFormat::Mjpeg {
        frame = frame.decoder(Arc::new(JpegDecoder::default()));
    }
    frame.build().map_err(|error| SourceError::new(SourceFault::Failed, error.to_string()))
}

/// Frames a second of a film where nobody says anything.
const RATE: f64 = 30.0;
const LIVE_RATE_MAX: f64 = 240.0;
/// A call returns within a quarter of a second, so that a stop is obeyed promptly.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// After its output, a program ends soon.
const ENDS_WITHIN: Duration = Duration::from_millis(500);
/// Left of the time to open, to end the program and say why.
const ANSWER_BEFORE: Duration = Duration::from_millis(1500);

#[cfg(test)]
mod tests;
