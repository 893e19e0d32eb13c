use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use super::DetectEvery;

/// Says at which frames of a stream the detector looks: at every n-th, those counted that were
/// left out on the way here.
///
/// Where it may adapt, `n` follows from what a look takes and how fast frames come. It rises
/// soon once frames are left out, and falls when that would long have been possible. It knows
/// no clock: times are passed in.
#[derive(Debug)]
pub(super) struct Pace {
    every: u32,
    /// Frames of the stream until the next look.
    remaining: u64,
    previous: Option<(u64, Instant)>,
    load: Option<Load>,
}

/// What looking costs, in seconds, and for how many looks something else would have been right.
#[derive(Debug)]
struct Load {
    look: Smoothed,
    /// All work on a frame at which the detector doesn't look.
    other: Smoothed,
    interval: Smoothed,
    left_out: bool,
    strained: u32,
    relaxed: u32,
    /// Looks for which a fall must have been possible.
    patience: u32,
    since_fall: u32,
}

/// A mean in which what came last counts most; nothing before the first value.
#[derive(Debug, Default)]
struct Smoothed(Option<f64>);

/// The detector looks at every `every`-th frame from here on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NewPace {
    pub(super) every: u32,
    /// What a look takes.
    pub(super) look: Duration,
    /// Between two frames of the stream.
    pub(super) interval: Duration,
}

impl Pace {
    /// `leaves_out` says whether the stream leaves out frames for which there is no time: where
    /// every frame is waited for, nothing depends on how long anything takes.
    pub(super) fn new(detect: DetectEvery, leaves_out: bool) -> Self {
        let (every, adapts) = match detect {
            DetectEvery::Auto => (NonZeroU32::MIN, leaves_out),
            DetectEvery::Frames(every) => (every, false),
        };
        let load = adapts.then(Load::new);
        Self { every: every.get(), remaining: 0, previous: None, load }
    }

    /// At every how many-th frame of the stream the detector looks.
    pub(super) fn every(&self) -> u32 {
        self.every
    }

    /// Takes note of the next frame; whether the detector is to look at it.
    pub(super) fn is_due(&mut self, sequence: u64, captured: Instant) -> bool {
        if let Some((before, then)) = self.previous.replace((sequence, captured)) {
            // A caller who doesn't number its frames leaves none out.
            let steps = sequence.checked_sub(before).filter(|steps| *steps > 0).unwrap_or(1);
            self.remaining = self.remaining.saturating_sub(steps);
            if let Some(load) = &mut self.load {
                load.left_out |= steps > 1;
                let passed = captured.saturating_duration_since(then).as_secs_f64();
                load.interval.add(passed / steps as f64);
            }
        }
        self.remaining == 0
    }

    /// The detector has looked, which took so long. A look that failed is not told, so that it
    /// is tried again at the next frame.
    pub(super) fn looked(&mut self, took: Duration) -> Option<NewPace> {
        let change = self.load.as_mut().and_then(|load| load.adapted(self.every, took));
        if let Some(NewPace { every, .. }) = change {
            self.every = every;
        }
        self.remaining = self.every.into();
        change
    }

    /// A frame was done without the detector, which took so long.
    pub(super) fn passed(&mut self, took: Duration) {
        if let Some(load) = &mut self.load {
            load.other.add(took.as_secs_f64());
        }
    }
}

impl Load {
    fn new() -> Self {
        Self {
            look: Smoothed::default(),
            other: Smoothed::default(),
            interval: Smoothed::default(),
            left_out: false,
            strained: 0,
            relaxed: 0,
            patience: PATIENCE_MIN,
            since_fall: u32::MAX,
        }
    }

    fn adapted(&mut self, every: u32, took: Duration) -> Option<NewPace> {
        self.look.add(took.as_secs_f64());
        self.since_fall = self.since_fall.saturating_add(1);
        let left_out = std::mem::take(&mut self.left_out);
        let needed = self.needed(RESERVE)?;
        self.strained = if needed > every { self.strained + u32::from(left_out) } else { 0 };
        let enough = self.needed(RESERVE_AT_FALL)?;
        self.relaxed = if enough < every { self.relaxed + 1 } else { 0 };
        let every = if self.strained >= STRAINED_LOOKS {
            // A fall that did not last was wrong: the next one takes longer.
            if self.since_fall < 4 * self.patience {
                self.patience = (2 * self.patience).min(PATIENCE_MAX);
            }
            needed
        } else if self.relaxed >= self.patience {
            self.since_fall = 0;
            enough
        } else {
            return None;
        };
        (self.strained, self.relaxed) = (0, 0);
        let duration = |seconds: &Smoothed| Duration::from_secs_f64(seconds.0.unwrap_or(0.0));
        Some(NewPace { every, look: duration(&self.look), interval: duration(&self.interval) })
    }

    /// The least `n` at which one look and `n - 1` other frames are done within `n` intervals,
    /// with something to spare, unless looks would come too seldom then.
    fn needed(&self, reserve: f64) -> Option<u32> {
        let (look, interval) = (self.look.0?, self.interval.0.filter(|seconds| *seconds > 0.0)?);
        let other = self.other.0.unwrap_or(0.0);
        let most = (LOOK_INTERVAL_MAX / interval).max(1.0);
        let spare = interval - reserve * other;
        let needed = if spare > 0.0 { reserve * (look - other).max(0.0) / spare } else { most };
        Some(needed.ceil().clamp(1.0, most.floor()) as u32)
    }
}

impl Smoothed {
    fn add(&mut self, value: f64) {
        let mean = self.0.get_or_insert(value);
        *mean += (value - *mean) / 8.0;
    }
}

/// Looks after which frames were missing before a pace that is too fast slows down.
const STRAINED_LOOKS: u32 = 4;
/// Looks in a row at which the pace could have been faster before it is.
const PATIENCE_MIN: u32 = 32;
const PATIENCE_MAX: u32 = 1_024;
/// How much longer than measured the work may take.
const RESERVE: f64 = 1.1;
const RESERVE_AT_FALL: f64 = 1.4;
/// Who looks less often than this, in seconds, tracks nothing.
const LOOK_INTERVAL_MAX: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream with a frame each 40 ms in which the newest frame waits for whoever has time.
    struct Stream {
        pace: Pace,
        began: Instant,
        /// When there is time again, in seconds.
        free: f64,
        sequence: u64,
        looks: Vec<u64>,
        changes: Vec<u32>,
    }

    impl Stream {
        fn new(detect: DetectEvery, leaves_out: bool) -> Self {
            let pace = Pace::new(detect, leaves_out);
            let began = Instant::now();
            Self { pace, began, free: 0.0, sequence: 0, looks: vec![], changes: vec![] }
        }

        /// Goes on for so many frames of which each look takes `look` seconds.
        fn run(&mut self, frames: u64, look: f64) -> &mut Self {
            let end = self.sequence + frames;
            while self.sequence < end {
                // The newest frame that has been captured, or the next one that will be.
                let captured = (self.free / 0.04).floor() as u64;
                self.sequence = captured.max(self.sequence + 1);
                let at = self.sequence as f64 * 0.04;
                let instant = self.began + Duration::from_secs_f64(at);
                let took = if self.pace.is_due(self.sequence, instant) {
                    self.looks.push(self.sequence);
                    let change = self.pace.looked(Duration::from_secs_f64(look));
                    self.changes.extend(change.map(|change| change.every));
                    look
                } else {
                    self.pace.passed(Duration::from_millis(1));
                    0.001
                };
                self.free = at.max(self.free) + took;
            }
            self
        }

        fn last_step(&self) -> u64 {
            let [.., before, last] = self.looks[..] else { panic!("{:?}", self.looks) };
            last - before
        }
    }

    #[test]
    fn who_keeps_up_looks_at_every_frame() {
        let mut stream = Stream::new(DetectEvery::Auto, true);
        stream.run(200, 0.03);
        assert_eq!((stream.looks.len(), &stream.changes[..]), (200, &[][..]));
    }

    #[test]
    fn who_can_not_keep_up_looks_less_often_and_again_more_often_later() {
        let mut stream = Stream::new(DetectEvery::Auto, true);
        stream.run(100, 0.06);
        assert_eq!((stream.last_step(), &stream.changes[..]), (2, &[2][..]));
        stream.run(300, 0.1);
        assert_eq!((stream.last_step(), &stream.changes[..]), (3, &[2, 3][..]));
        stream.run(300, 0.02);
        assert_eq!((stream.last_step(), stream.changes.last()), (1, Some(&1)));
    }

    #[test]
    fn it_never_looks_less_often_than_twice_a_second() {
        let mut stream = Stream::new(DetectEvery::Auto, true);
        stream.run(2_000, 3.0);
        assert_eq!(stream.changes, [12]);
    }

    #[test]
    fn a_fall_that_does_not_last_is_tried_less_and_less_often() {
        let mut stream = Stream::new(DetectEvery::Auto, true);
        let mut looks = Vec::new();
        for _ in 0..4 {
            while stream.changes.last() != Some(&2) {
                stream.run(1, 0.07);
            }
            let before = stream.looks.len();
            while stream.changes.last() != Some(&1) {
                stream.run(1, 0.01);
            }
            looks.push(stream.looks.len() - before);
        }
        assert!(looks.is_sorted_by(|a, b| a < b), "{looks:?}");
    }

    #[test]
    fn a_pace_that_is_set_is_kept_whatever_it_takes() {
        let three = DetectEvery::Frames(NonZeroU32::new(3).unwrap());
        for (detect, leaves_out, step) in
            [(three, true, 3), (three, false, 3), (DetectEvery::Auto, false, 1)]
        {
            let mut stream = Stream::new(detect, leaves_out);
            stream.run(60, 0.0);
            assert_eq!((stream.last_step(), &stream.changes[..]), (step, &[][..]));
            stream.run(60, 0.03);
            assert_eq!((stream.last_step(), &stream.changes[..]), (step, &[][..]));
        }
    }

    #[test]
    fn frames_without_numbers_count_one_by_one() {
        let mut pace = Pace::new(DetectEvery::Frames(NonZeroU32::new(2).unwrap()), true);
        let now = Instant::now();
        let due: Vec<_> = (0..5)
            .map(|_| {
                let due = pace.is_due(0, now);
                if due {
                    pace.looked(Duration::ZERO);
                }
                due
            })
            .collect();
        assert_eq!(due, [true, false, true, false, true]);
    }

    #[test]
    fn a_look_that_failed_is_tried_again_at_the_next_frame() {
        let mut pace = Pace::new(DetectEvery::Frames(NonZeroU32::new(9).unwrap()), true);
        let now = Instant::now();
        assert!(pace.is_due(0, now) && pace.is_due(1, now));
        pace.looked(Duration::ZERO);
        assert!(!pace.is_due(2, now));
    }
}
