//! `/v1/events`: what happens, as server-sent events.

use std::{sync::Arc, time::Duration};

use hyper::{StatusCode, body::Bytes};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    answer_body::Lasting,
    event_log::{EventFilter, EventLog, Place},
    result_feed::ResultFeed,
    status_table::SOON,
};
use crate::{config::ServerLimits, health::Reply};

/// Those who follow the events, each at its own pace and none waited for.
pub(super) struct Subscribers {
    log: Arc<EventLog>,
    results: Arc<ResultFeed>,
    places: Arc<Semaphore>,
    places_max: usize,
    heartbeat: Duration,
    patience: Duration,
    stop: watch::Receiver<bool>,
}

/// What is sent to one subscriber, on a task of its own.
struct Subscription {
    log: Arc<EventLog>,
    results: Arc<ResultFeed>,
    filter: EventFilter,
    /// The number of the last event that it had, or did not want.
    seen: u64,
    /// Up to this number it was told how many events are missing.
    told: u64,
    to: mpsc::Sender<Bytes>,
    heartbeat: Duration,
    patience: Duration,
    stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Subscribers {
    pub(super) fn new(
        log: Arc<EventLog>,
        results: Arc<ResultFeed>,
        limits: &ServerLimits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            log,
            results,
            places: Arc::new(Semaphore::new(limits.subscribers)),
            places_max: limits.subscribers,
            heartbeat: limits.heartbeat,
            patience: limits.write_time,
            stop,
        }
    }

    /// Begins to send what `filter` wants: from now on, or from behind the event of the id
    /// `resume`. Call it within the server's runtime.
    pub(super) fn subscribe(
        &self,
        filter: EventFilter,
        resume: Option<&str>,
    ) -> Result<Lasting, Reply> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            let detail = "as many subscribers as are allowed follow the events";
            let reply = Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail);
            return Err(reply.retry_after(Some(SOON)));
        };
        let (to, body) = mpsc::channel(1);
        let log = self.log.clone();
        let (seen, told, gap) = match resume.map(|id| log.place(id)) {
            None => {
                let newest = log.count();
                (newest, newest, None)
            }
            Some(Place::Behind(number)) => {
                let (missed, newest) = log.missed_behind(number);
                (number, newest, (missed > 0).then(|| gap(&missed.to_string())))
            }
            // Nobody knows how much happened in between.
            Some(Place::Unknown) => (0, log.count(), Some(gap("null"))),
        };
        let subscription = Subscription {
            filter,
            seen,
            told,
            to,
            heartbeat: self.heartbeat,
            patience: self.patience,
            stop: self.stop.clone(),
            _place: place,
            results: self.results.clone(),
            log,
        };
        tokio::spawn(subscription.serve(gap));
        Ok(Lasting::new(CONTENT_TYPE, body))
    }

    /// How many follow the events now.
    pub(super) fn count(&self) -> usize {
        self.places_max.saturating_sub(self.places.available_permits())
    }

    /// How many events there ever were.
    pub(super) fn events_count(&self) -> u64 {
        self.log.count()
    }
}

impl Subscription {
    /// Sends until the client goes, takes nothing for too long or falls behind the log, or the
    /// server stops. Whoever was cut off asks again, and is told of the gap then.
    async fn serve(mut self, gap: Option<String>) {
        let mut newest = self.log.watch();
        let mut results = self.results.watch();
        let mut results_seen = self.results.count();
        let mut text = format!("retry: {RETRY_MS}\nid: {}\n\n", self.log.id(self.seen));
        text.extend(gap);
        loop {
            if !self.send(text).await {
                return;
            }
            let beat_at = Instant::now() + self.heartbeat;
            text = loop {
                let batch = self.log.behind(self.seen, BATCH_MAX);
                if batch.missed > 0 && self.fell_behind(batch.seen) {
                    return;
                }
                self.seen = batch.seen;
                let wanted = batch.events.iter().filter(|event| self.filter.wants(event));
                let text: String =
                    wanted.map(|event| event.text(&self.log.id(event.number))).collect();
                if !text.is_empty() {
                    break text;
                }
                if !batch.events.is_empty() {
                    continue;
                }
                // Tracks come last and have no id of their own: they are of now, and who comes
                // back later wants no old ones.
                let (tracks, seen) = self.results.tracks_behind(results_seen, &self.filter);
                results_seen = seen;
                if !tracks.is_empty() {
                    break tracks.concat();
                }
                tokio::select! {
                    changed = newest.changed() => if changed.is_err() { return },
                    changed = results.changed() => if changed.is_err() { return },
                    () = sleep_until(beat_at) => {
                        // With the id, so that what was not wanted is not missed later.
                        break format!(": alive\nid: {}\n\n", self.log.id(self.seen));
                    }
                    () = self.to.closed() => return,
                    _ = self.stop.wait_for(|stop| *stop) => return,
                }
            };
        }
    }

    /// Whether events are missing, up to the number `next`, of which it was not told.
    fn fell_behind(&self, next: u64) -> bool {
        next > self.told && (self.seen >= self.told || self.log.missed_behind(self.told).0 > 0)
    }

    async fn send(&self, text: String) -> bool {
        matches!(timeout(self.patience, self.to.send(text.into())).await, Ok(Ok(())))
    }
}

const CONTENT_TYPE: &str = "text/event-stream";

fn gap(missed: &str) -> String {
    format!("event: gap\ndata: {{\"missed\":{missed}}}\n\n")
}

/// After which a browser that was cut off asks again, in milliseconds.
const RETRY_MS: u32 = 2000;
/// Events that are sent as one piece.
const BATCH_MAX: usize = 64;
