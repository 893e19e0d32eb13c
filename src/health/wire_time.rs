//! Times as the wire has them. Wall time is a label that is added here; nothing is measured by it.

use std::time::{Duration, Instant, SystemTime};

/// ISO 8601 in UTC with `Z`, to the millisecond; the nearest time that has such a form.
pub fn utc(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// The wall time of the monotonic time `then`, by both clocks as they stand now.
pub fn wall_time(then: Instant) -> SystemTime {
    let now = SystemTime::now();
    now.checked_sub(then.elapsed()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// In milliseconds, to the microsecond.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// In seconds, to the millisecond.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_labelled_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
        assert_eq!(utc(time), "2023-11-14T22:13:20.123Z");
        assert_eq!(utc(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn the_wall_time_of_a_moment_lies_before_now() {
        let label = wall_time(Instant::now());
        assert!(label.elapsed().unwrap() < Duration::from_secs(60));
    }

    #[test]
    fn numbers_are_rounded_down_to_what_is_meant() {
        assert_eq!(milliseconds(Duration::from_nanos(1_234_567)), 1.234);
        assert_eq!(seconds(Duration::from_micros(1_234_567)), 1.234);
    }
}
