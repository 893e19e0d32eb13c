use std::time::{Duration, Instant};

use keepsight_contract::Frame;

/// Notices pictures that are the same byte for byte: a camera's noise never repeats itself, but a
/// driver that hangs, or a recorder whose camera is gone, sends its last picture again and again.
pub(super) struct Stillness {
    limit: Duration,
    /// The newest picture, and since when it is the same.
    picture: Option<(Frame, Instant)>,
}

impl Stillness {
    /// A picture that is the same for `limit` is frozen.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, picture: None }
    }

    /// A frame came at `now`; says for how long the picture is frozen, if it is.
    pub(super) fn after(&mut self, frame: &Frame, now: Instant) -> Option<Duration> {
        let since = match &self.picture {
            Some((before, since)) if is_same(before, frame) => *since,
            _ => now,
        };
        // The stream keeps its newest frame anyway, so this one holds no other memory.
        self.picture = Some((frame.clone(), since));
        let still = now.saturating_duration_since(since);
        (still >= self.limit).then_some(still)
    }
}

/// Whether both show the same. Nearly always a few bytes spread over the picture tell that they
/// don't, so that a live picture costs a microsecond; only a still one is compared as a whole.
fn is_same(before: &Frame, now: &Frame) -> bool {
    let (old, new) = (before.pixels(), now.pixels());
    if before.format() != now.format() || before.size() != now.size() || old.len() != new.len() {
        return false;
    }
    // A source may give the very same buffer again.
    if std::ptr::eq(old, new) {
        return true;
    }
    let step = (new.len() / SAMPLES).max(1);
    let differ = |at: usize| old[at] != new[at];
    !(0..new.len()).step_by(step).any(differ) && old == new
}

const SAMPLES: usize = 509;

#[cfg(test)]
mod tests {
    use keepsight_contract::testing;

    use super::*;

    /// Times in tenths of a second and pictures, by one number each; for which of them, with a
    /// limit of one second, the picture was frozen.
    #[track_caller]
    fn check(frames: &[(u64, u8)], frozen: &[u64]) {
        let start = Instant::now();
        let mut stillness = Stillness::new(Duration::from_secs(1));
        let at = |tenths: u64| Duration::from_millis(100 * tenths);
        let found = frames.iter().filter_map(|&(tenths, shade)| {
            let frame =
                testing::frames::gray(64, 48, |x, y| if (x, y) == (63, 47) { shade } else { 9 });
            stillness.after(&frame, start + at(tenths)).map(|_| tenths)
        });
        assert_eq!(found.collect::<Vec<_>>(), frozen, "{frames:?}");
    }

    #[test]
    fn only_the_same_picture_over_the_whole_time_is_frozen() {
        check(&[(0, 1), (5, 1), (10, 1), (11, 1), (12, 2), (13, 2)], &[10, 11]);
        check(&[(0, 1), (5, 2), (10, 1), (15, 2), (20, 1)], &[]);
        check(&[(0, 1), (9, 1), (10, 2), (19, 2), (20, 2), (21, 3)], &[20]);
        // The last byte is none of the samples.
        check(&[(0, 1), (30, 2)], &[]);
        check(&[(0, 1), (30, 1)], &[30]);
    }

    #[test]
    fn another_size_or_format_is_another_picture() {
        let (start, mut stillness) = (Instant::now(), Stillness::new(Duration::from_secs(1)));
        let later = start + Duration::from_secs(2);
        let frames = [testing::frames::gray(4, 2, |_, _| 0), testing::frames::gray(2, 4, |_, _| 0)];
        assert_eq!(stillness.after(&frames[0], start), None);
        assert_eq!(stillness.after(&frames[1], later), None);
        assert_eq!(stillness.after(&frames[0], later), None);
        let same_buffer = frames[0].clone();
        let still = stillness.after(&same_buffer, later + Duration::from_secs(3));
        assert_eq!(still, Some(Duration::from_secs(3)));
    }
}
