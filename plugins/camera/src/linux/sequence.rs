use std::time::{Duration, Instant};

/// Turns a driver's 32 bit frame numbers into ones that never wrap, and counts the gaps.
///
/// A driver counts the frames that it gave up too, so a gap is a number of frames lost between
/// the sensor and this process.
#[derive(Debug, Default)]
pub(crate) struct SequenceCounter {
    last: Option<(u32, u64)>,
}

impl SequenceCounter {
    /// The 64 bit number of the frame that the driver numbered `raw`, and how many frames are
    /// missing before it.
    pub(crate) fn extend(&mut self, raw: u32) -> (u64, u64) {
        let (number, missing) = match self.last {
            None => (u64::from(raw), 0),
            Some((last, number)) => match raw.wrapping_sub(last) {
                // A driver that does not number its frames, or starts anew: only order is left.
                0 => (number + 1, 0),
                step if step > SEQUENCE_STEP_MAX => (number + 1, 0),
                step => (number + u64::from(step), u64::from(step) - 1),
            },
        };
        self.last = Some((raw, number));
        (number, missing)
    }
}

/// A larger step is a counter that was set back, not frames lost: at 60 frames a second this is
/// more than a year without one.
const SEQUENCE_STEP_MAX: u32 = 1 << 31;

/// The instant at which a frame was captured.
///
/// `stamp` is the driver's time of the frame and `clock` what the same clock (CLOCK_MONOTONIC)
/// shows at `now`; without a stamp, or with one that cannot be true, it is `now`.
pub(crate) fn captured_at(stamp: Option<Duration>, clock: Duration, now: Instant) -> Instant {
    stamp
        .and_then(|stamp| clock.checked_sub(stamp))
        .filter(|age| *age <= FRAME_AGE_MAX)
        .and_then(|age| now.checked_sub(age))
        .unwrap_or(now)
}

/// An older frame than this has a stamp of some other clock.
const FRAME_AGE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &[u32], expected: &[(u64, u64)]) {
        let mut counter = SequenceCounter::default();
        let extended: Vec<_> = raw.iter().map(|raw| counter.extend(*raw)).collect();
        assert_eq!(extended, expected);
    }

    #[test]
    fn gaps_are_kept_and_counted() {
        check(&[0, 1, 2], &[(0, 0), (1, 0), (2, 0)]);
        check(&[7, 9, 20], &[(7, 0), (9, 1), (20, 10)]);
    }

    #[test]
    fn numbers_go_on_when_the_driver_wraps() {
        let top = u64::from(u32::MAX);
        check(&[u32::MAX, 0, 2], &[(top, 0), (top + 1, 0), (top + 3, 1)]);
    }

    #[test]
    fn a_counter_that_stands_or_is_set_back_still_grows() {
        check(&[0, 0, 0], &[(0, 0), (1, 0), (2, 0)]);
        check(&[100, 5, 6], &[(100, 0), (101, 0), (102, 0)]);
    }

    #[test]
    fn a_stamp_dates_the_frame_back() {
        let now = Instant::now();
        let clock = Duration::from_secs(1000);
        let at = |stamp| captured_at(stamp, clock, now);
        assert_eq!(at(Some(Duration::from_millis(999_960))), now - Duration::from_millis(40));
        assert_eq!(at(None), now);
        assert_eq!(at(Some(Duration::from_secs(1001))), now, "a stamp of the future");
        assert_eq!(at(Some(Duration::from_secs(1))), now, "a stamp of another clock");
    }
}
