use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use keepsight_contract::{Frame, FrameSize, Response, Tracks};
use serde_json::json;
use tokio::sync::watch;

use super::event_log::EventFilter;
use crate::health::{milliseconds, utc, wall_time};

/// Tells those who follow a stream that a plugin has answered to another frame, and its tracks.
///
/// Holds the newest answer of each plugin on each stream and no older one: who is slow passes
/// over some. Publishing takes a short lock and waits for nobody.
pub struct ResultFeed {
    parts: Mutex<Parts>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Parts {
    /// By stream and plugin.
    results: BTreeMap<(Arc<str>, Arc<str>), Arc<NewResult>>,
    /// Of the newest result; 0 before the first.
    newest: u64,
}

/// A plugin's newest answer on a stream.
pub(super) struct NewResult {
    number: u64,
    at: Instant,
    stream: Arc<str>,
    plugin: Arc<str>,
    sequence: u64,
    size: FrameSize,
    captured: Instant,
    latency: Duration,
    response: Arc<Response>,
    /// Made when the first follower wants it.
    text: OnceLock<Option<Arc<str>>>,
}

impl ResultFeed {
    /// Notes that `plugin` answered to `frame` of `stream`.
    pub fn publish(
        &self,
        stream: &Arc<str>,
        plugin: &Arc<str>,
        frame: &Frame,
        response: &Arc<Response>,
    ) {
        let at = Instant::now();
        let mut parts = self.parts();
        parts.newest += 1;
        let number = parts.newest;
        let result = NewResult {
            number,
            at,
            stream: stream.clone(),
            plugin: plugin.clone(),
            sequence: frame.sequence(),
            size: frame.size(),
            captured: frame.captured(),
            latency: at.saturating_duration_since(frame.captured()),
            response: response.clone(),
            text: OnceLock::new(),
        };
        let key = (stream.clone(), plugin.clone());
        let before = parts.results.insert(key, Arc::new(result));
        // Streams and plugins that are no more leave nothing behind.
        parts.results.retain(|_, result| at.saturating_duration_since(result.at) < KEPT);
        self.newest.send_replace(number);
        drop(parts);
        drop(before);
    }

    /// Changes with each result.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The number of the newest result.
    pub(super) fn count(&self) -> u64 {
        self.parts().newest
    }

    /// The results behind the number `seen` that have tracks and that `filter` wants, as
    /// server-sent events without an id; and the number to go on from.
    pub(super) fn tracks_behind(&self, seen: u64, filter: &EventFilter) -> (Vec<Arc<str>>, u64) {
        let (mut found, newest) = {
            let parts = self.parts();
            let found = parts.results.values().filter(|result| {
                result.number > seen && filter.wants_names(&result.plugin, &result.stream)
            });
            (found.cloned().collect::<Vec<_>>(), parts.newest)
        };
        found.sort_by_key(|result| result.number);
        (found.iter().filter_map(|result| result.text()).collect(), newest)
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ResultFeed {
    fn default() -> Self {
        Self { parts: Mutex::default(), newest: watch::Sender::new(0) }
    }
}

impl NewResult {
    fn text(&self) -> Option<Arc<str>> {
        let make = || {
            let tracks = self.response.output::<Tracks>()?;
            let data = json!({
                "time": utc(wall_time(self.captured)),
                "stream": &*self.stream,
                "plugin": &*self.plugin,
                "sequence": self.sequence,
                "latency_ms": milliseconds(self.latency),
                "size": { "width": self.size.width, "height": self.size.height },
                "tracks": tracks,
            });
            Some(format!("event: tracks\ndata: {data}\n\n").into())
        };
        self.text.get_or_init(make).clone()
    }
}

/// Results older than that are of streams that stand still, or are no more.
const KEPT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use keepsight_contract::{JsonOutput, PixelBuffer, PixelFormat};

    use super::*;

    fn publish(feed: &ResultFeed, stream: &str, plugin: &str, sequence: u64, with_tracks: bool) {
        let size = FrameSize::new(4, 2);
        let frame = Frame::builder(PixelFormat::Gray, size, PixelBuffer::from(vec![0; 8]))
            .sequence(sequence)
            .build()
            .unwrap();
        let response = if with_tracks {
            Response::new().with(Tracks::default())
        } else {
            Response::new().with(JsonOutput::new("a", 1))
        };
        feed.publish(&stream.into(), &plugin.into(), &frame, &Arc::new(response));
    }

    #[track_caller]
    fn check(feed: &ResultFeed, seen: u64, filter: &EventFilter, expected: &[(&str, u64)]) -> u64 {
        let (texts, newest) = feed.tracks_behind(seen, filter);
        let found: Vec<(String, u64)> = texts
            .iter()
            .map(|text| {
                let data = text.strip_prefix("event: tracks\ndata: ").unwrap();
                let data: serde_json::Value = serde_json::from_str(data).unwrap();
                (data["stream"].as_str().unwrap().to_owned(), data["sequence"].as_u64().unwrap())
            })
            .collect();
        let found: Vec<_> = found.iter().map(|(stream, number)| (&**stream, *number)).collect();
        assert_eq!(found, expected);
        newest
    }

    #[test]
    fn a_follower_gets_the_newest_of_each_and_passes_over_the_rest() {
        let feed = ResultFeed::default();
        let all = EventFilter::default();
        assert_eq!(check(&feed, 0, &all, &[]), 0);
        publish(&feed, "yard", "tracker", 7, true);
        publish(&feed, "door", "tracker", 1, true);
        publish(&feed, "door", "tracker", 2, true);
        publish(&feed, "door", "stats", 2, false);
        let seen = check(&feed, 0, &all, &[("yard", 7), ("door", 2)]);
        check(&feed, seen, &all, &[]);
        publish(&feed, "yard", "tracker", 8, true);
        check(&feed, seen, &all, &[("yard", 8)]);
        let door = EventFilter { stream: Some("door".to_owned()), plugin: None };
        check(&feed, 0, &door, &[("door", 2)]);
        assert_eq!(feed.count(), 5);
    }

    #[test]
    fn tracks_are_written_once_for_all_followers() {
        let feed = ResultFeed::default();
        publish(&feed, "door", "tracker", 1, true);
        let all = EventFilter::default();
        let first = feed.tracks_behind(0, &all).0[0].clone();
        assert!(Arc::ptr_eq(&first, &feed.tracks_behind(0, &all).0[0]));
    }
}
