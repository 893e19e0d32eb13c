use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use keepsight_contract::{Frame, Histogram, Response};
use serde_json::Value;

use super::{LatestResult, Mailbox, MailboxMode, SessionState};
use crate::{
    loader::{Backoff, BackoffPolicy, PluginInstance},
    sandbox::Worker,
};

/// One plugin on one stream: its mailbox, its session's state, its newest result.
pub(super) struct Feed {
    pub(super) instance: Arc<PluginInstance>,
    pub(super) plugin: Arc<str>,
    pub(super) tool: Arc<str>,
    pub(super) mailbox: Mailbox<Work>,
    /// Feeds on the same stream that see a frame after this one.
    pub(super) downstream: Vec<usize>,
    pub(super) latency_ms: Histogram,
    parts: Mutex<FeedParts>,
}

struct FeedParts {
    overrides: Arc<Overrides>,
    state: SessionState,
    processed: u64,
    errors: u64,
    last_latency: Option<Duration>,
    latest: Option<LatestResult>,
    backoff: Backoff,
    generation: u64,
    worker: Option<Worker>,
}

/// What a stream has otherwise than the instance's configuration.
pub(super) struct Overrides {
    pub(super) settings: Value,
    /// How often they were set since the stream began.
    pub(super) version: u64,
}

/// A frame on its way through the plugins of a stream.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) frame: Frame,
    pub(super) upstream: Vec<Arc<Response>>,
    /// Which round of its source the frame belongs to; a session is for one round.
    pub(super) round: u64,
}

impl Feed {
    pub(super) fn new(
        instance: Arc<PluginInstance>,
        overrides: Value,
        mode: MailboxMode,
        backoff: BackoffPolicy,
    ) -> Self {
        let tool = instance.manifest().and_then(|manifest| manifest.stream_tool.clone());
        let name = instance.name().to_owned();
        Self {
            plugin: Arc::from(name.as_str()),
            tool: Arc::from(tool.unwrap_or_default()),
            mailbox: Mailbox::new(mode),
            downstream: Vec::new(),
            latency_ms: Histogram::default(),
            parts: Mutex::new(FeedParts {
                overrides: Arc::new(Overrides { settings: overrides, version: 0 }),
                state: SessionState::Waiting,
                processed: 0,
                errors: 0,
                last_latency: None,
                latest: None,
                backoff: Backoff::new(backoff, &name),
                generation: 0,
                worker: None,
            }),
            instance,
        }
    }

    pub(super) fn overrides(&self) -> Arc<Overrides> {
        self.parts().overrides.clone()
    }

    /// Sessions opened from now on have these settings, and the present one makes way for such a
    /// one; nothing happens where they are the same.
    pub(super) fn override_with(&self, settings: &Value) {
        let mut parts = self.parts();
        if parts.overrides.settings != *settings {
            let version = parts.overrides.version + 1;
            parts.overrides = Arc::new(Overrides { settings: settings.clone(), version });
        }
    }

    pub(super) fn set_state(&self, state: SessionState) {
        self.parts().state = state;
    }

    pub(super) fn set_worker(&self, worker: Option<Worker>) {
        let before = std::mem::replace(&mut self.parts().worker, worker);
        drop(before);
    }

    pub(super) fn stop_worker(&self) {
        self.parts().worker.iter().for_each(Worker::stop);
    }

    pub(super) fn take_worker(&self) -> Option<Worker> {
        self.parts().worker.take()
    }

    /// Sessions are of this generation from here on; with another one the pauses begin anew, since
    /// the supervisor has made its own.
    pub(super) fn set_generation(&self, number: u64) {
        let mut parts = self.parts();
        if parts.generation != number {
            parts.generation = number;
            parts.backoff.reset();
        }
    }

    /// The session failed: the pause before the next one.
    pub(super) fn next_pause(&self) -> Duration {
        let mut parts = self.parts();
        parts.state = SessionState::Restarting;
        parts.backoff.next_wait()
    }

    pub(super) fn succeeded(&self, frame: Frame, response: Arc<Response>) {
        let now = Instant::now();
        let latency = now.saturating_duration_since(frame.captured());
        self.latency_ms.record(latency.as_secs_f64() * 1e3);
        let latest =
            LatestResult { plugin: self.plugin.clone(), frame, response, latency, at: now };
        let mut parts = self.parts();
        parts.processed += 1;
        parts.last_latency = Some(latency);
        parts.backoff.reset();
        let before = parts.latest.replace(latest);
        drop(parts);
        drop(before);
    }

    pub(super) fn failed(&self) {
        self.parts().errors += 1;
    }

    pub(super) fn latest(&self) -> Option<LatestResult> {
        self.parts().latest.clone()
    }

    /// State, frames processed, errors, and the newest result's latency.
    pub(super) fn counts(&self) -> (SessionState, u64, u64, Option<Duration>) {
        let parts = self.parts();
        (parts.state, parts.processed, parts.errors, parts.last_latency)
    }

    fn parts(&self) -> MutexGuard<'_, FeedParts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
