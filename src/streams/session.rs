use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{CallError, ErasedSession, Frame, Request, StreamInfo};
use serde_json::Value;

use super::{
    FrameOutcome, MailboxMode, SessionState, Taken,
    feed::{Feed, Work},
    stream::StreamShared,
};
use crate::{
    loader::{Attachment, FAILED_IN_A_ROW_MAX, Fault, Generation, Readiness, call_error_code},
    sandbox::{Phase, RunFault, SandboxScope, WorkerSeat},
};

/// Why a session is over.
enum End {
    /// The stream ends, or this worker is to stop.
    Stopped,
    /// Another generation, round or format: open the next session at once.
    Next(Option<Work>),
    /// A fault: open the next session after a pause.
    Faulted,
}

/// What belongs to the session that a worker has open, for the watchdog to release when the
/// worker is late.
#[derive(Default)]
struct Held {
    attachment: Option<Attachment>,
    generation: u64,
}

type Holding = Arc<Mutex<Held>>;

/// Starts the worker that opens and runs the sessions of feed `index`, one after the other.
pub(super) fn start(stream: &Arc<StreamShared>, index: usize) {
    let feed = &stream.feeds[index];
    let holding: Holding = Arc::default();
    let on_abandon = {
        let (stream, holding) = (stream.clone(), holding.clone());
        move |fault: RunFault| abandoned(&stream, index, &holding, &fault)
    };
    let body = {
        let stream = stream.clone();
        move |seat: &WorkerSeat| drive(&stream, index, seat, &holding)
    };
    let name = format!("{}-{}", stream.name, feed.plugin);
    let generation = feed.instance.generation();
    let scope = SandboxScope::new(feed.plugin.clone(), Some(stream.name.clone()), generation);
    match feed.instance.sandbox().spawn_worker(&name, scope, on_abandon, body) {
        Ok(worker) => feed.set_worker(Some(worker)),
        Err(fault) => {
            tracing::error!(stream = %stream.name, plugin = %feed.plugin, %fault,
                "no thread for a session");
            start_later(stream, index, generation);
        }
    }
}

/// The watchdog gave the worker up: another takes its place after a pause. Runs on the
/// watchdog's thread.
fn abandoned(stream: &Arc<StreamShared>, index: usize, holding: &Holding, fault: &RunFault) {
    let feed = &stream.feeds[index];
    let held = std::mem::take(&mut *holding.lock().unwrap_or_else(PoisonError::into_inner));
    drop(held.attachment);
    if stream.is_stopped() {
        return;
    }
    if let RunFault::TimedOut { limit: took, .. } | RunFault::MemoryExceeded { after: took, .. } =
        fault
    {
        feed.instance.record_run(Some(fault.code()), *took);
        feed.failed();
    }
    let reported = Fault::caught(fault, Some(&stream.name));
    feed.instance.session_faulted(reported, held.generation);
    start_later(stream, index, held.generation);
}

/// Starts another worker after the feed's pause, from a thread of its own that ends with the
/// stream.
fn start_later(stream: &Arc<StreamShared>, index: usize, generation: u64) {
    let waiting = stream.clone();
    let thread = thread::Builder::new().name(format!("{}-pause", stream.name)).spawn(move || {
        let feed = &waiting.feeds[index];
        pause(&waiting, feed, generation);
        // One that is left alone since its threads hang gets none until one returns.
        match wait_for_plugin(&waiting, feed, &mut None) {
            Some(_) => start(&waiting, index),
            None => close(&waiting, index),
        }
    });
    if let Err(error) = thread {
        tracing::error!(stream = %stream.name, %error, "no thread to restart a session from");
    }
}

/// The pause after a fault in a session of `generation`; it is over early once the instance is
/// built anew, or the stream ends.
fn pause(stream: &StreamShared, feed: &Feed, generation: u64) {
    feed.instance.wait_while_present(generation, feed.next_pause(), || stream.is_stopped());
}

/// The worker's life: one session after the other until the stream ends.
fn drive(stream: &Arc<StreamShared>, index: usize, seat: &WorkerSeat, holding: &Holding) {
    let feed = &stream.feeds[index];
    let mut first = None;
    while !stream.is_stopped() && !seat.stop_requested() {
        let Some(generation) = wait_for_plugin(stream, feed, &mut first) else { break };
        let Some(work) = first.take().or_else(|| wait_for_work(feed, &generation, seat)) else {
            if feed.mailbox.has_ended() {
                break;
            }
            continue;
        };
        match session(stream, index, seat, holding, &generation, work) {
            End::Stopped => break,
            End::Next(work) => first = work,
            End::Faulted if seat.is_abandoned() => return,
            End::Faulted => pause(stream, feed, generation.number),
        }
    }
    close(stream, index);
}

fn close(stream: &StreamShared, index: usize) {
    stream.feeds[index].set_state(SessionState::Closed);
    stream.session_closed(index);
}

/// Waits until the plugin can be used. Meanwhile a plugin that won't come soon takes no frames,
/// so that a source in mode Every doesn't wait for it.
fn wait_for_plugin(
    stream: &StreamShared,
    feed: &Feed,
    first: &mut Option<Work>,
) -> Option<Arc<Generation>> {
    loop {
        if stream.is_stopped() || (feed.mailbox.has_ended() && feed.is_absent()) {
            return None;
        }
        match feed.instance.wait_ready(LOOK_ROUND) {
            Readiness::Ready(generation) => {
                feed.mailbox.set_open(true);
                feed.set_generation(generation.number);
                return Some(generation);
            }
            Readiness::Coming => feed.set_state(SessionState::Waiting),
            Readiness::Absent => {
                feed.set_state(SessionState::Waiting);
                *first = None;
                feed.mailbox.set_open(false);
            }
        }
    }
}

fn wait_for_work(feed: &Feed, generation: &Generation, seat: &WorkerSeat) -> Option<Work> {
    feed.set_state(SessionState::Waiting);
    while !generation.has_ended() && !seat.stop_requested() {
        match feed.mailbox.take(LOOK_ROUND) {
            Taken::Item(work) => return Some(work),
            Taken::Nothing => {}
            Taken::Ended => return None,
        }
    }
    None
}

/// Opens a session for the frame in `work` and runs it for as long as frames belong to it.
fn session(
    stream: &Arc<StreamShared>,
    index: usize,
    seat: &WorkerSeat,
    holding: &Holding,
    generation: &Arc<Generation>,
    work: Work,
) -> End {
    let feed = &stream.feeds[index];
    let Some(attachment) = feed.instance.attach(generation) else { return End::Next(Some(work)) };
    *holding.lock().unwrap_or_else(PoisonError::into_inner) =
        Held { attachment: Some(attachment), generation: generation.number };
    feed.set_state(SessionState::Opening);
    let limits = feed.instance.spec().limits;
    let overrides = feed.overrides();
    let settings = StreamInfo::merge_settings(generation.config(), &overrides.settings);
    let info = describe(stream, settings, &work.frame);
    let host = feed.instance.host();
    let _engaged = seat.work_for(generation.scope().session(Some(stream.name.clone())));
    let opened = seat.run(Phase::Open, limits.frame, |_| generation.plugin().open(&info, &host));
    let end = match opened {
        Ok(Ok(mut session)) => {
            feed.set_state(SessionState::Running);
            let end =
                frames(stream, index, seat, generation, &mut session, overrides.version, work);
            if let Err(fault) = seat.run(Phase::Close, limits.close, move |_| drop(session)) {
                faulted(stream, feed, seat, generation, &fault);
            }
            end
        }
        Ok(Err(error)) => {
            refused(stream, feed, generation, error);
            End::Faulted
        }
        Err(fault) => {
            faulted(stream, feed, seat, generation, &fault);
            End::Faulted
        }
    };
    let held = std::mem::take(&mut *holding.lock().unwrap_or_else(PoisonError::into_inner));
    drop(held);
    end
}

fn frames(
    stream: &Arc<StreamShared>,
    index: usize,
    seat: &WorkerSeat,
    generation: &Arc<Generation>,
    session: &mut ErasedSession,
    overrides: u64,
    mut work: Work,
) -> End {
    let feed = &stream.feeds[index];
    let (round, size, format) = (work.round, work.frame.size(), work.frame.format());
    let mut failed_in_a_row = 0;
    loop {
        let mut request = Request::new(feed.tool.clone()).with_frame(work.frame.clone());
        for response in &work.upstream {
            request = request.with_upstream(response.clone());
        }
        let limit = feed.instance.spec().limits.frame;
        let start = Instant::now();
        let outcome = seat.run(Phase::Run, limit, |call| {
            generation.plugin().run(session.as_mut(), &request, call)
        });
        let took = start.elapsed();
        drop(request);
        if seat.is_abandoned() {
            return End::Faulted;
        }
        match outcome {
            Ok(Ok(response)) => {
                feed.instance.record_run(None, took);
                failed_in_a_row = 0;
                deliver(stream, index, work, Ok(Arc::new(response)), took);
            }
            Ok(Err(CallError::Cancelled)) if seat.stop_requested() => return End::Stopped,
            Ok(Err(error)) => {
                feed.instance.record_run(Some(call_error_code(&error)), took);
                feed.failed();
                deliver(stream, index, work, Err(error.to_string()), took);
                let is_fault = match &error {
                    CallError::Broken(_) => true,
                    CallError::BadArguments(_) | CallError::Cancelled => false,
                    _ => {
                        failed_in_a_row += 1;
                        failed_in_a_row == FAILED_IN_A_ROW_MAX
                    }
                };
                if is_fault {
                    refused(stream, feed, generation, error);
                    return End::Faulted;
                }
            }
            Err(RunFault::Cancelled { .. }) => return End::Stopped,
            Err(fault) => {
                feed.instance.record_run(Some(fault.code()), took);
                feed.failed();
                deliver(stream, index, work, Err(fault.to_string()), took);
                faulted(stream, feed, seat, generation, &fault);
                return End::Faulted;
            }
        }
        work = loop {
            if stream.is_stopped() || seat.stop_requested() {
                return End::Stopped;
            }
            if generation.has_ended() {
                return End::Next(None);
            }
            match feed.mailbox.take(LOOK_ROUND) {
                Taken::Item(next) => break next,
                Taken::Nothing => {}
                Taken::Ended => return End::Stopped,
            }
        };
        let same = (work.round, work.frame.size(), work.frame.format()) == (round, size, format);
        let configured = feed.overrides().version == overrides;
        if !same || !configured || generation.has_ended() {
            return End::Next(Some(work));
        }
    }
}

/// Keeps a result and hands it on: to plugins that follow, to whoever listens.
fn deliver(
    stream: &Arc<StreamShared>,
    index: usize,
    work: Work,
    result: Result<Arc<keepsight_contract::Response>, String>,
    took: Duration,
) {
    let feed = &stream.feeds[index];
    let outcome = FrameOutcome {
        stream: stream.name.clone(),
        plugin: feed.plugin.clone(),
        frame: work.frame.clone(),
        result: result.clone(),
        took,
    };
    if let Ok(response) = result {
        feed.succeeded(work.frame.clone(), response.clone());
        for next in &feed.downstream {
            let mut upstream = work.upstream.clone();
            upstream.push(response.clone());
            let work = Work { frame: work.frame.clone(), upstream, round: work.round };
            stream.feeds[*next].mailbox.put(work, || stream.is_stopped());
        }
    }
    for listener in &stream.listeners {
        listener(&outcome);
    }
}

/// The plugin said no: to opening a session, or to too many frames in a row.
fn refused(stream: &StreamShared, feed: &Feed, generation: &Generation, error: CallError) {
    let reason = error.to_string();
    match error {
        CallError::Broken(_) => {
            let fault = Fault::reported("run.broken", reason, Some(&stream.name));
            feed.instance.broke(fault, generation.number);
        }
        _ => {
            let fault = Fault::reported("run.failed", reason, Some(&stream.name));
            feed.instance.session_faulted(fault, generation.number);
        }
    }
}

fn faulted(
    stream: &StreamShared,
    feed: &Feed,
    seat: &WorkerSeat,
    generation: &Generation,
    fault: &RunFault,
) {
    // A worker that was given up has been reported by the watchdog, and one that was asked to
    // stop has nothing to report.
    if seat.is_abandoned() || matches!(fault, RunFault::Cancelled { .. }) {
        return;
    }
    feed.instance.session_faulted(Fault::caught(fault, Some(&stream.name)), generation.number);
}

fn describe(stream: &StreamShared, settings: Value, frame: &Frame) -> StreamInfo {
    let mut info = StreamInfo::new(&stream.name).with_settings(settings);
    info.format = Some(frame.format());
    info.size = Some(frame.size());
    let source = stream.status().info;
    info.rate = source.as_ref().and_then(|source| source.rate);
    info.live = source.is_some_and(|source| source.live);
    info.leaves_out = stream.mode == MailboxMode::Newest;
    info
}

impl Feed {
    /// Whether the plugin won't come soon.
    fn is_absent(&self) -> bool {
        matches!(self.instance.readiness(), Readiness::Absent)
    }
}

/// How often a worker that waits looks whether it should stop.
const LOOK_ROUND: Duration = Duration::from_millis(200);
