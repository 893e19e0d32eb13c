use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use keepsight_contract::Host;
use serde_json::json;

use super::pace::NewPace;

/// The streams of an instance whose detector does not look at every frame, for lack of time.
#[derive(Debug, Default)]
pub(super) struct Slowed(Mutex<BTreeMap<String, NewPace>>);

/// One stream's part in it; with its end, the stream is forgotten.
#[derive(Debug)]
pub(super) struct SlowedStream {
    slowed: Arc<Slowed>,
    stream: String,
    host: Host,
}

impl SlowedStream {
    pub(super) fn new(slowed: &Arc<Slowed>, stream: &str, host: &Host) -> Self {
        Self { slowed: slowed.clone(), stream: stream.to_owned(), host: host.clone() }
    }

    /// Says how often the detector looks from here on.
    pub(super) fn report(&self, pace: NewPace) {
        let NewPace { every, look, interval } = pace;
        self.host.event(
            "detection_interval",
            json!({
                "stream": self.stream,
                "every": every,
                "detect_ms": look.as_secs_f64() * 1e3,
                "frame_ms": interval.as_secs_f64() * 1e3,
            }),
        );
        self.slowed.set(&self.stream, (every > 1).then_some(pace), &self.host);
    }
}

impl Drop for SlowedStream {
    fn drop(&mut self) {
        self.slowed.set(&self.stream, None, &self.host);
    }
}

impl Slowed {
    fn set(&self, stream: &str, pace: Option<NewPace>, host: &Host) {
        // Held until the host knows, so that the last word is the latest.
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match pace {
            Some(pace) => streams.insert(stream.to_owned(), pace),
            None => streams.remove(stream),
        };
        if streams.is_empty() {
            if before.is_some() {
                host.recovered(DETECTION_SLOWED);
            }
            return;
        }
        let told = streams.iter().take(STREAMS_TOLD_MAX).map(|(stream, pace)| {
            let (look, interval) = (pace.look.as_millis(), pace.interval.as_millis());
            format!(
                "{stream}: at every {} frames, for a look takes {look} ms and frames come each \
                 {interval} ms",
                pace.every
            )
        });
        let mut reason = format!(
            "the detector looks less often than frames come: {}",
            told.collect::<Vec<_>>().join("; ")
        );
        if streams.len() > STREAMS_TOLD_MAX {
            reason.push_str(&format!("; and {} more", streams.len() - STREAMS_TOLD_MAX));
        }
        host.degraded(DETECTION_SLOWED, reason, HINT);
    }
}

const DETECTION_SLOWED: &str = "detection.slowed";
const HINT: &str = "tracks are followed in between; fewer frames a second, fewer \
                    streams, a smaller model or a GPU give the detector more time, detect_every \
                    sets its interval";
const STREAMS_TOLD_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keepsight_contract::testing::RecordingHost;

    use super::*;

    fn pace(every: u32) -> NewPace {
        NewPace { every, look: Duration::from_millis(70), interval: Duration::from_millis(40) }
    }

    #[test]
    fn it_is_told_while_any_stream_is_slowed() {
        let recording = RecordingHost::new();
        let slowed = Arc::new(Slowed::default());
        let [door, yard] =
            ["door", "yard"].map(|name| SlowedStream::new(&slowed, name, &recording.host()));
        assert_eq!(recording.degraded(), []);
        door.report(pace(2));
        yard.report(pace(3));
        let [degraded] = &recording.degraded()[..] else { panic!("it was not told") };
        assert_eq!(degraded.code, "detection.slowed");
        for part in ["door: at every 2 frames", "yard: at every 3 frames", "70 ms", "40 ms"] {
            assert!(degraded.reason.contains(part), "{part:?} is not in {degraded:?}");
        }
        door.report(pace(1));
        assert!(!recording.degraded()[0].reason.contains("door"));
        drop(yard);
        assert_eq!(recording.degraded(), []);
        let every: Vec<_> =
            recording.events().iter().map(|(_, data)| data["every"].as_u64().unwrap()).collect();
        assert_eq!(every, [2, 3, 1]);
    }

    #[test]
    fn many_streams_make_no_long_reason() {
        let recording = RecordingHost::new();
        let slowed = Arc::new(Slowed::default());
        let streams: Vec<_> = (0..7)
            .map(|n| SlowedStream::new(&slowed, &format!("s{n}"), &recording.host()))
            .collect();
        streams.iter().for_each(|stream| stream.report(pace(2)));
        assert!(recording.degraded()[0].reason.ends_with("; and 3 more"));
    }
}
