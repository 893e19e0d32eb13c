use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use keepsight_contract::{CaptureWish, Frame, HistogramSnapshot, SourceRegistration, SourceUri};
use serde_json::Value;

use super::{
    LatestResult, Listener, MailboxMode, SessionState, SourceState, StatusListener, StreamLimits,
    StreamSpec, StreamStatus,
    feed::Feed,
    session,
    source_worker::{self, Sequence},
    wiring::wiring,
};
use crate::{
    lifecycle::Cause,
    loader::{Backoff, Clock, InstanceHost, MetricsSnapshot},
    sandbox::{MemoryAccount, MemoryUse, Sandbox, SandboxScope, Worker},
};

/// A source and the plugins it feeds, at work until stopped.
pub struct Stream(Arc<StreamShared>);

/// What the workers of a stream share.
pub(super) struct StreamShared {
    pub(super) name: Arc<str>,
    pub(super) source: SourceUri,
    pub(super) wish: CaptureWish,
    pub(super) limits: StreamLimits,
    memory: Option<u64>,
    pub(super) registration: SourceRegistration,
    pub(super) host: Arc<InstanceHost>,
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) feeds: Vec<Feed>,
    /// Feeds that see a frame first.
    pub(super) first: Vec<usize>,
    pub(super) listeners: Vec<Listener>,
    on_change: StatusListener,
    pub(super) mode: MailboxMode,
    rounds: AtomicU64,
    openings: AtomicU64,
    parts: Mutex<StreamParts>,
    changed: Condvar,
}

struct StreamParts {
    critical: bool,
    grace: Duration,
    status: StreamStatus,
    backoff: Backoff,
    lost_at: Option<Instant>,
    sequence: Sequence,
    newest: Option<Frame>,
    /// What the source as it was opened last is charged to.
    account: Option<MemoryAccount>,
    source_worker: Option<Worker>,
    sessions_open: usize,
    stopped: bool,
    stopped_at: Option<Instant>,
}

/// Everything about a stream at one moment.
#[derive(Clone, Debug)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// Its source, without a password.
    pub source: String,
    /// How its source does.
    pub status: StreamStatus,
    /// What happens to frames that plugins are too slow for.
    pub mode: MailboxMode,
    /// What the source has of memory since it was opened last, decoded frames included; `None`
    /// where this binary's allocator doesn't measure it.
    pub memory: Option<MemoryUse>,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// The plugins it feeds, in their order.
    pub feeds: Vec<FeedReport>,
}

/// A plugin on a stream at one moment.
#[derive(Clone, Debug)]
pub struct FeedReport {
    /// Name of the instance.
    pub plugin: String,
    /// Where its session stands.
    pub state: SessionState,
    /// Frames that gave a response.
    pub processed: u64,
    /// Frames lost in front of it.
    pub dropped: u64,
    /// Frames that gave an error or a fault.
    pub errors: u64,
    /// From capture to response, for the newest.
    pub last_latency: Option<Duration>,
    /// The same for all so far, in milliseconds.
    pub latency_ms: HistogramSnapshot,
}

impl Stream {
    /// Starts the workers of a stream: its source's and one for each plugin.
    pub fn start(
        spec: StreamSpec,
        registration: SourceRegistration,
        host: Arc<InstanceHost>,
        sandbox: Arc<Sandbox>,
        listeners: Vec<Listener>,
    ) -> Self {
        let manifests: Vec<_> =
            spec.feeds.iter().map(|feed| feed.instance.manifest().cloned()).collect();
        let mut feeds: Vec<_> = spec
            .feeds
            .into_iter()
            .map(|feed| Feed::new(feed.instance, feed.overrides, spec.mode, spec.limits.backoff))
            .collect();
        let mut first = Vec::new();
        for (index, follows) in wiring(&manifests).into_iter().enumerate() {
            match follows {
                Some(earlier) => feeds[earlier].downstream.push(index),
                None => first.push(index),
            }
        }
        let parts = StreamParts {
            critical: spec.critical,
            grace: spec.grace,
            status: StreamStatus::new(spec.clock.now()),
            backoff: Backoff::new(spec.limits.backoff, &spec.name),
            lost_at: None,
            sequence: Sequence::default(),
            newest: None,
            account: None,
            source_worker: None,
            sessions_open: feeds.len(),
            stopped: false,
            stopped_at: None,
        };
        let shared = Arc::new(StreamShared {
            name: Arc::from(spec.name.as_str()),
            source: spec.source,
            wish: spec.wish,
            limits: spec.limits,
            memory: spec.memory,
            registration,
            host,
            sandbox,
            clock: spec.clock,
            feeds,
            first,
            listeners,
            on_change: spec.on_change,
            mode: spec.mode,
            rounds: AtomicU64::new(0),
            openings: AtomicU64::new(0),
            parts: Mutex::new(parts),
            changed: Condvar::new(),
        });
        for index in 0..shared.feeds.len() {
            session::start(&shared, index);
        }
        match spec.left_alone {
            None => source_worker::start(&shared),
            Some(cause) => shared.leave_alone(cause),
        }
        Self(shared)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Everything about it now.
    pub fn report(&self) -> StreamReport {
        let shared = &self.0;
        let feed_report = |feed: &Feed| {
            let (state, processed, errors, last_latency) = feed.counts();
            FeedReport {
                plugin: feed.plugin.to_string(),
                state,
                processed,
                dropped: feed.mailbox.dropped(),
                errors,
                last_latency,
                latency_ms: feed.latency_ms.snapshot(),
            }
        };
        let (status, critical, grace, memory) = {
            let parts = shared.parts();
            let memory = parts.account.as_ref().map(MemoryAccount::instance_use);
            (parts.status.clone(), parts.critical, parts.grace, memory)
        };
        StreamReport {
            name: shared.name.to_string(),
            source: shared.source.redacted(),
            status,
            mode: shared.mode,
            memory,
            critical,
            grace,
            feeds: shared.feeds.iter().map(feed_report).collect(),
        }
    }

    /// Says anew whether the process is not ready without it, and after which absence.
    pub fn set_critical(&self, critical: bool, grace: Duration) {
        let mut parts = self.0.parts();
        (parts.critical, parts.grace) = (critical, grace);
    }

    /// Sets what the stream has otherwise than the configuration of the instance `plugin`, an
    /// object. Where that is news, its session is opened anew with the next frame; source and
    /// other plugins go on.
    pub fn set_overrides(&self, plugin: &str, overrides: &Value) {
        self.0
            .feeds
            .iter()
            .filter(|feed| *feed.plugin == *plugin)
            .for_each(|feed| feed.override_with(overrides));
    }

    /// The newest result of the plugin of that name, or of each in their order.
    pub fn latest(&self, plugin: Option<&str>) -> Vec<LatestResult> {
        let wanted = |feed: &&Feed| plugin.is_none_or(|plugin| *feed.plugin == *plugin);
        self.0.feeds.iter().filter(wanted).filter_map(Feed::latest).collect()
    }

    /// What the source counts itself.
    pub fn source_metrics(&self) -> MetricsSnapshot {
        self.0.host.metrics()
    }

    /// Scheme of its source.
    pub fn scheme(&self) -> &str {
        self.0.source.scheme()
    }

    /// The newest frame, with or without results.
    pub fn newest_frame(&self) -> Option<Frame> {
        self.0.parts().newest.clone()
    }

    /// Waits until the source has ended and every session has seen its last frame, at most for
    /// `limit`; says whether that is so.
    pub fn wait_ended(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut parts = self.0.parts();
        while parts.sessions_open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            parts = self.0.wait(parts, left);
        }
        true
    }

    /// Asks every worker to end, and cancels what it runs; returns at once.
    pub fn stop(&self) {
        {
            let mut parts = self.0.parts();
            parts.stopped = true;
            parts.source_worker.iter().for_each(Worker::stop);
            parts.stopped_at.get_or_insert_with(Instant::now);
        }
        self.0.changed.notify_all();
        for feed in &self.0.feeds {
            feed.stop_worker();
            feed.mailbox.wake();
            feed.instance.wake();
        }
    }

    /// Ends it for good for `reason`: from now on it says that, and every worker is asked to end;
    /// returns at once.
    pub fn retire(&self, reason: &str) {
        let status = {
            let mut parts = self.0.parts();
            let now = self.0.clock.now();
            parts.status.turn(SourceState::Ended, now);
            parts.status.explain("config.changed", reason.to_owned(), "", now);
            parts.stopped = true;
            parts.status.clone()
        };
        (self.0.on_change)(self.name(), &status);
        self.stop();
    }

    /// Waits for every worker to end, at most until `limit` after [`stop`](Self::stop); who hasn't
    /// by then is abandoned. A source is waited for a second at most, whatever its driver does.
    pub fn join(&self, limit: Duration) {
        let sessions: Vec<Worker> = self.0.feeds.iter().filter_map(Feed::take_worker).collect();
        let (source, stopped_at) = {
            let mut parts = self.0.parts();
            (parts.source_worker.take(), parts.stopped_at.unwrap_or_else(Instant::now))
        };
        let source = source.into_iter().map(|worker| (worker, limit.min(SOURCE_STOPS_WITHIN)));
        let sessions = sessions.into_iter().map(|worker| (worker, limit));
        // All are told before any is waited for.
        let workers: Vec<_> = source.chain(sessions).collect();
        workers.iter().for_each(|(worker, _)| worker.stop());
        for (worker, limit) in workers {
            if !worker.join_within(limit.saturating_sub(stopped_at.elapsed())) {
                tracing::warn!(stream = self.name(), "a worker did not end in time");
            }
        }
    }
}

impl StreamShared {
    pub(super) fn is_stopped(&self) -> bool {
        self.parts().stopped
    }

    /// Waits for `time`, or until the stream is stopped; says whether it is.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let end = self.clock.now() + time;
        let mut parts = self.parts();
        while !parts.stopped {
            let left = end.saturating_duration_since(self.clock.now());
            if left.is_zero() {
                return false;
            }
            parts = self.wait(parts, self.clock.patience(left));
        }
        true
    }

    pub(super) fn status(&self) -> StreamStatus {
        self.parts().status.clone()
    }

    pub(super) fn update<R>(&self, change: impl FnOnce(&mut StreamStatus, Instant) -> R) -> R {
        let mut parts = self.parts();
        if parts.stopped {
            // The last word is said.
            return change(&mut parts.status.clone(), self.clock.now());
        }
        let before = (parts.status.state, parts.status.code.clone());
        let result = change(&mut parts.status, self.clock.now());
        let same = (parts.status.state, &parts.status.code) == (before.0, &before.1);
        let changed = (!same).then(|| parts.status.clone());
        drop(parts);
        if let Some(status) = changed {
            (self.on_change)(&self.name, &status);
        }
        result
    }

    /// The frame with the number that it has in the stream.
    pub(super) fn number(&self, frame: Frame) -> Frame {
        self.parts().sequence.number(frame)
    }

    pub(super) fn keep_newest(&self, frame: &Frame) {
        let before = self.parts().newest.replace(frame.clone());
        drop(before);
    }

    pub(super) fn set_source_worker(&self, worker: Worker) {
        let before = self.parts().source_worker.replace(worker);
        drop(before);
    }

    /// In whose scope the source's code runs from here on, until it is opened again: with an account
    /// of its own, so that what an earlier opening left behind is not held against this one.
    pub(super) fn next_opening(&self) -> SandboxScope {
        let number = self.openings.fetch_add(1, Relaxed) + 1;
        let account = self.sandbox.open_account(self.memory);
        let scope = source_scope(&self.name, number).charging(account.clone());
        self.host.set_scope(scope.clone());
        let before = std::mem::replace(&mut self.parts().account, account);
        drop(before);
        scope
    }

    /// The source is not opened; sessions end as they do behind a file.
    fn leave_alone(&self, cause: Cause) {
        tracing::error!(stream = %self.name, reason = %cause.reason, "the source is left alone");
        self.update(|status, now| {
            status.turn(SourceState::Failed, now);
            let hint = cause.hint.as_deref().unwrap_or_default();
            status.explain(cause.code, cause.reason, hint, now);
        });
        self.source_ended();
    }

    /// The pause before the source is opened again.
    pub(super) fn next_reconnect(&self) -> Duration {
        let mut parts = self.parts();
        parts.status.reconnects += 1;
        parts.lost_at.get_or_insert_with(|| self.clock.now());
        parts.backoff.next_wait()
    }

    /// The first frame after an opening came.
    pub(super) fn connected(&self) {
        let mut parts = self.parts();
        parts.backoff.reset();
        parts.lost_at = None;
    }

    /// The round that frames of a source opened at `now` belong to: sessions live through a
    /// short loss of their source, and are opened anew after a long one.
    pub(super) fn next_round(&self, now: Instant) -> u64 {
        let lost_at = self.parts().lost_at;
        if lost_at.is_some_and(|at| now.saturating_duration_since(at) > SESSION_OUTLIVES) {
            self.begin_round()
        } else {
            self.rounds.load(Relaxed)
        }
    }

    pub(super) fn begin_round(&self) -> u64 {
        self.rounds.fetch_add(1, Relaxed) + 1
    }

    /// No more frames will come.
    pub(super) fn source_ended(&self) {
        for index in &self.first {
            self.feeds[*index].mailbox.end();
        }
    }

    /// A session is over for good; plugins that follow it get no more frames.
    pub(super) fn session_closed(&self, index: usize) {
        for next in &self.feeds[index].downstream {
            self.feeds[*next].mailbox.end();
        }
        let mut parts = self.parts();
        parts.sessions_open = parts.sessions_open.saturating_sub(1);
        drop(parts);
        self.changed.notify_all();
    }

    fn parts(&self) -> MutexGuard<'_, StreamParts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(
        &self,
        parts: MutexGuard<'a, StreamParts>,
        limit: Duration,
    ) -> MutexGuard<'a, StreamParts> {
        self.changed.wait_timeout(parts, limit).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl StreamReport {
    /// Whether frames come now.
    pub fn is_live(&self) -> bool {
        self.status.state == SourceState::Live
    }
}

/// In which a source's code runs, as its crash slot names it.
pub(super) fn source_scope(stream: &Arc<str>, opening: u64) -> SandboxScope {
    SandboxScope::new(format!("source:{stream}"), Some(stream.clone()), opening)
}

/// After which a source that was asked to end is waited for no longer; the rest of a second is for
/// whatever else the end of a stream takes.
const SOURCE_STOPS_WITHIN: Duration = Duration::from_millis(900);
/// A loss of the source that lasts longer ends the sessions.
const SESSION_OUTLIVES: Duration = Duration::from_secs(5);
