//! A source that misbehaves at random, as drivers and networks do.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{
    CallContext, CaptureWish, DecodeError, DecodedPixels, Decoder, Frame, FrameSize, Host,
    PixelBuffer, PixelFormat, Source, SourceError, SourceEvent, SourceFault, SourceInfo, SourceUri,
};

use crate::random::Random;

/// `wild:NAME?seed=N`, live, or with `frames=N` a file of so many frames.
pub(crate) struct WildSource {
    random: Random,
    size: FrameSize,
    live: bool,
    frames_left: Option<u64>,
    sequence: u64,
    mood: Mood,
    until: Instant,
}

/// What it does for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    /// The same picture again and again.
    Frozen,
    /// Pictures that can't be decoded.
    Damaged,
    /// Pictures whose decoder panics.
    Poisoned,
    Silent,
    Slow,
    /// Each of these once, then another mood.
    AnotherSize,
    Restart,
    Gap,
    Lost,
    Ended,
    Panic,
    Hang,
}

/// Refuses, or panics.
struct Breaking {
    panics: bool,
}

/// Each opening goes on where the one before stopped.
static RANDOM: Mutex<BTreeMap<String, Random>> = Mutex::new(BTreeMap::new());

impl Source for WildSource {
    fn open(
        uri: &SourceUri,
        _: &CaptureWish,
        _: &CallContext,
        _: &Host,
    ) -> Result<Self, SourceError> {
        uri.expect_params(&["seed", "frames"])?;
        let seed = uri.parsed_param("seed", "a number")?.unwrap_or(1);
        let frames_left = uri.parsed_param("frames", "a number of frames")?;
        let mut random = {
            let mut all = RANDOM.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(uri.path().to_owned()).or_insert_with(|| Random::new(seed)).fork()
        };
        match random.below(100) {
            0..20 => thread::sleep(random.milliseconds(50..1500)),
            20..36 => {
                let faults = [SourceFault::NotFound, SourceFault::Busy, SourceFault::Denied];
                let fault = faults[random.below(3) as usize];
                return Err(SourceError::new(fault, "not now").hint("wait"));
            }
            36..42 => panic!("the driver panics when opened"),
            42 => thread::sleep(random.milliseconds(10_200..11_500)),
            _ => {}
        }
        Ok(Self {
            random,
            size: SIZES[0],
            live: frames_left.is_none(),
            frames_left,
            sequence: 0,
            mood: Mood::Well,
            until: Instant::now() + Duration::from_secs(1),
        })
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            device: "wild".to_owned(),
            stable_id: None,
            format: PixelFormat::Gray,
            size: self.size,
            rate: Some(100.0),
            live: self.live,
        }
    }

    fn next(&mut self, call: &CallContext) -> Result<SourceEvent, SourceError> {
        if self.frames_left == Some(0) {
            return Ok(SourceEvent::Ended);
        }
        if Instant::now() >= self.until {
            self.change_mood();
        }
        thread::sleep(PACE);
        match self.mood {
            Mood::Well | Mood::Frozen | Mood::Damaged | Mood::Poisoned => {}
            Mood::Silent => {
                thread::sleep(PACE * 10);
                return Ok(SourceEvent::Pending);
            }
            Mood::Slow => thread::sleep(self.random.milliseconds(100..900)),
            once => {
                self.mood = Mood::Well;
                match once {
                    Mood::AnotherSize => {
                        self.size = SIZES[self.random.below(SIZES.len() as u64) as usize];
                    }
                    Mood::Restart => {
                        self.sequence = 0;
                        return Ok(SourceEvent::Restarted(self.frame(once)));
                    }
                    Mood::Gap => self.sequence += self.random.below(50),
                    Mood::Lost => return Err(SourceError::new(SourceFault::Lost, "unplugged")),
                    Mood::Ended if self.live => return Ok(SourceEvent::Ended),
                    Mood::Panic => panic!("the driver panics"),
                    Mood::Hang => {
                        // In a driver that heeds nothing, beyond the limit of 5 s; or in one that
                        // heeds that it should stop.
                        let end = Instant::now() + self.random.milliseconds(5_200..6_500);
                        let heeds = self.random.one_in(3);
                        while Instant::now() < end && !(heeds && call.is_cancelled()) {
                            thread::sleep(PACE);
                        }
                    }
                    _ => {}
                }
            }
        }
        self.frames_left = self.frames_left.map(|left| left - 1);
        Ok(SourceEvent::Frame(self.frame(self.mood)))
    }

    fn close(mut self) -> Result<(), SourceError> {
        match self.random.below(40) {
            0..4 => Err(SourceError::new(SourceFault::Failed, "it doesn't close")),
            4..7 => panic!("the driver panics when closed"),
            7 => {
                thread::sleep(self.random.milliseconds(5_200..6_500));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl WildSource {
    fn change_mood(&mut self) {
        let choices = [
            (60, Mood::Well),
            (6, Mood::Frozen),
            (6, Mood::Damaged),
            (3, Mood::Poisoned),
            (5, Mood::Silent),
            (4, Mood::Slow),
            (8, Mood::AnotherSize),
            (4, Mood::Restart),
            (6, Mood::Gap),
            (5, Mood::Lost),
            (3, Mood::Ended),
            (4, Mood::Panic),
            (1, Mood::Hang),
        ];
        self.mood = *self.random.weighted(&choices);
        let lasts = match self.mood {
            Mood::Damaged | Mood::Poisoned => 10..400,
            // Some beyond the limits after which a source is stalled, then opened again.
            Mood::Silent | Mood::Frozen => 500..12_500,
            _ => 200..3000,
        };
        self.until = Instant::now() + self.random.milliseconds(lasts);
    }

    fn frame(&mut self, mood: Mood) -> Frame {
        let sequence = self.sequence;
        self.sequence += 1;
        let (format, pixels) = match mood {
            Mood::Damaged | Mood::Poisoned => (PixelFormat::Mjpeg, vec![0xD8; 64]),
            Mood::Frozen => (PixelFormat::Gray, vec![7; self.size.pixel_count() as usize]),
            _ => {
                let shade = sequence as u8;
                let pixels =
                    (0..self.size.pixel_count()).map(|at| (at as u8).wrapping_add(shade)).collect();
                (PixelFormat::Gray, pixels)
            }
        };
        let frame = Frame::builder(format, self.size, PixelBuffer::from(pixels)).sequence(sequence);
        let frame = match mood {
            Mood::Damaged => frame.decoder(Arc::new(Breaking { panics: false })),
            Mood::Poisoned => frame.decoder(Arc::new(Breaking { panics: true })),
            _ => frame,
        };
        frame.build().expect("as many bytes as its size says")
    }
}

impl Decoder for Breaking {
    fn decode(&self, _: &[u8], _: FrameSize) -> Result<DecodedPixels, DecodeError> {
        assert!(!self.panics, "the decoder panics");
        Err(DecodeError::new(PixelFormat::Mjpeg, "no picture at all"))
    }
}

const SIZES: [FrameSize; 3] =
    [FrameSize::new(160, 120), FrameSize::new(320, 240), FrameSize::new(64, 48)];
/// Between frames.
const PACE: Duration = Duration::from_millis(15);
