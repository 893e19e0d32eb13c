use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{
    Bytes, ErasedSource, Frame, SourceError, SourceEvent, SourceFault, SourceInfo,
};

use super::{
    SourceState,
    feed::Work,
    source_frame::owned_by_source,
    stillness::Stillness,
    stream::{StreamShared, source_scope},
};
use crate::sandbox::{Phase, RunFault, SandboxScope, WorkerSeat};

/// Why a source is closed.
enum End {
    /// The stream ends.
    Stopped,
    /// It has no more frames.
    Finished,
    /// It is to be opened again after a pause.
    Again,
    /// Trying again can't help.
    Lasting,
}

/// Starts the worker that opens the stream's source and brings its frames, for as long as the
/// stream lives.
pub(super) fn start(stream: &Arc<StreamShared>) {
    let on_abandon = {
        let stream = stream.clone();
        move |fault: RunFault| abandoned(&stream, &fault)
    };
    let body = {
        let stream = stream.clone();
        move |seat: &WorkerSeat| drive(&stream, seat)
    };
    let scope = source_scope(&stream.name, 0);
    match stream.sandbox.spawn_worker(&format!("{}-source", stream.name), scope, on_abandon, body) {
        Ok(worker) => stream.set_source_worker(worker),
        Err(fault) => {
            tracing::error!(stream = %stream.name, %fault, "no thread for a source");
            note_fault(stream, &fault);
            start_later(stream);
        }
    }
}

/// The watchdog gave the worker up, since the driver hangs. Runs on the watchdog's thread.
fn abandoned(stream: &Arc<StreamShared>, fault: &RunFault) {
    stream.host.end_generation();
    if !stream.is_stopped() {
        note_fault(stream, fault);
        start_later(stream);
    }
}

fn start_later(stream: &Arc<StreamShared>) {
    let pause = stream.next_reconnect();
    let waiting = stream.clone();
    let thread = thread::Builder::new().name(format!("{}-pause", stream.name)).spawn(move || {
        if !waiting.pause(pause) {
            start(&waiting);
        }
    });
    if let Err(error) = thread {
        tracing::error!(stream = %stream.name, %error, "no thread to reopen a source from");
    }
}

fn drive(stream: &Arc<StreamShared>, seat: &WorkerSeat) {
    while !stream.is_stopped() && !seat.stop_requested() {
        // Those of an earlier worker that was given up.
        end_threads(stream);
        let scope = stream.next_opening();
        let _engaged = seat.work_for(scope.clone());
        let end = match open(stream, seat) {
            Some(source) => run(stream, seat, source, &scope),
            None if seat.is_abandoned() => return,
            None if stream.status().state == SourceState::Failed => End::Lasting,
            None => End::Again,
        };
        if seat.is_abandoned() {
            return;
        }
        match end {
            End::Again => {
                let pause = stream.next_reconnect();
                if stream.pause(pause) {
                    break;
                }
            }
            End::Finished => {
                tracing::info!(stream = %stream.name, "the source has ended");
                stream.update(|status, now| status.turn(SourceState::Ended, now));
                break;
            }
            End::Lasting | End::Stopped => break,
        }
    }
    stream.source_ended();
}

fn open(stream: &Arc<StreamShared>, seat: &WorkerSeat) -> Option<Box<dyn ErasedSource>> {
    let (spec, host) = (&stream.source, stream.host.host());
    let opened = seat.run(Phase::SourceOpen, stream.limits.open, |call| {
        (stream.registration.open)(spec, &stream.wish, call, &host)
    });
    match opened {
        Ok(Ok(source)) => {
            let info = seat
                .run(Phase::SourceOpen, stream.limits.open, |_| (source.info(), source.frames()));
            match info {
                Ok((info, frames)) => {
                    tracing::info!(stream = %stream.name, device = %info.device,
                        size = %info.size, format = ?info.format, "source opened");
                    tell_what_was_taken(stream, &info);
                    stream.update(|status, _| status.opened(info, frames));
                    Some(source)
                }
                Err(fault) => {
                    faulted(stream, seat, &fault);
                    close(stream, seat, source);
                    None
                }
            }
        }
        // A stream that ends meanwhile has no trouble.
        _ if stream.is_stopped() && !seat.is_abandoned() => None,
        Ok(Err(error)) => {
            failed(stream, &error);
            None
        }
        Err(fault) => {
            faulted(stream, seat, &fault);
            None
        }
    }
}

/// A wish that could not be had, and what was taken instead.
fn tell_what_was_taken(stream: &StreamShared, info: &SourceInfo) {
    if let Some(wished) = stream.wish.size
        && wished != info.size
    {
        tracing::info!(stream = %stream.name, %wished, size = %info.size,
            "the nearest size was taken");
    }
    if let (Some(wished), Some(rate)) = (stream.wish.rate, info.rate)
        && (rate / wished - 1.0).abs() > RATE_ROUNDING
    {
        tracing::info!(stream = %stream.name, wished, rate, "the nearest rate was taken");
    }
}

fn run(
    stream: &Arc<StreamShared>,
    seat: &WorkerSeat,
    mut source: Box<dyn ErasedSource>,
    scope: &SandboxScope,
) -> End {
    let round = stream.next_round(stream.clock.now());
    let end = frames(stream, seat, source.as_mut(), scope, round);
    close(stream, seat, source);
    end
}

fn frames(
    stream: &Arc<StreamShared>,
    seat: &WorkerSeat,
    source: &mut dyn ErasedSource,
    scope: &SandboxScope,
    mut round: u64,
) -> End {
    let live = stream.status().info.is_none_or(|info| info.live);
    let mut quiet_since = stream.clock.now();
    let quiet_for = |since: Instant| stream.clock.now().saturating_duration_since(since);
    // A file may show the same for as long as it likes.
    let mut stillness = live.then(|| Stillness::new(stream.limits.frozen_after));
    loop {
        if stream.is_stopped() || seat.stop_requested() {
            return End::Stopped;
        }
        let event = match seat.run(Phase::SourceNext, stream.limits.next, |call| source.next(call))
        {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => {
                failed(stream, &error);
                return if error.fault().is_lasting() { End::Lasting } else { End::Again };
            }
            Err(RunFault::Cancelled { .. }) => return End::Stopped,
            Err(fault) => {
                faulted(stream, seat, &fault);
                return End::Again;
            }
        };
        match event {
            SourceEvent::Frame(frame) => {
                bring(stream, frame, scope, round, &mut stillness);
                quiet_since = stream.clock.now();
            }
            SourceEvent::Restarted(frame) => {
                round = stream.begin_round();
                bring(stream, frame, scope, round, &mut stillness);
                quiet_since = stream.clock.now();
            }
            SourceEvent::Ended if live => {
                failed(stream, &SourceError::new(SourceFault::Lost, "the source has ended"));
                return End::Again;
            }
            SourceEvent::Ended => return End::Finished,
            _ if live && quiet_for(quiet_since) > stream.limits.given_up => {
                failed(stream, &stalled(quiet_for(quiet_since)));
                return End::Again;
            }
            _ if live && quiet_for(quiet_since) > stream.limits.stalled => {
                note_stall(stream, quiet_for(quiet_since));
            }
            _ => {}
        }
    }
}

/// Hands a frame to every plugin that sees it first.
fn bring(
    stream: &Arc<StreamShared>,
    frame: Frame,
    scope: &SandboxScope,
    round: u64,
    stillness: &mut Option<Stillness>,
) {
    let frame = owned_by_source(stream.number(frame), scope);
    let still =
        stillness.as_mut().and_then(|stillness| stillness.after(&frame, stream.clock.now()));
    let news = stream.update(|status, now| match still {
        Some(still) => {
            status.count(&frame, now);
            status.froze(still, now)
        }
        None => status.frame(&frame, now),
    });
    match still {
        Some(_) if news => {
            let reason = stream.status().reason;
            tracing::warn!(stream = %stream.name, reason, "the picture is frozen");
        }
        None if news => {
            tracing::info!(stream = %stream.name, "live");
            stream.connected();
        }
        _ => {}
    }
    stream.keep_newest(&frame);
    for index in &stream.first {
        let work = Work { frame: frame.clone(), upstream: Vec::new(), round };
        stream.feeds[*index].mailbox.put(work, || stream.is_stopped());
    }
}

fn close(stream: &StreamShared, seat: &WorkerSeat, source: Box<dyn ErasedSource>) {
    match seat.run(Phase::SourceClose, stream.limits.close, move |_| source.close()) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(stream = %stream.name, reason = error.reason(),
                "the source was not closed well");
        }
        Err(fault) => {
            tracing::warn!(stream = %stream.name, %fault, "the source was not closed well");
        }
    }
    end_threads(stream);
}

/// Ends the threads that the source owns; one that hasn't ended in time is given up.
fn end_threads(stream: &StreamShared) {
    stream.host.end_generation();
    for thread in stream.host.join_ended(stream.limits.close) {
        tracing::warn!(stream = %stream.name, thread, "a thread did not end in time");
    }
}

fn failed(stream: &StreamShared, error: &SourceError) {
    let changed = stream.update(|status, now| {
        let known = status.reason.as_deref() == Some(error.reason());
        status.failed(error, now);
        !known
    });
    // The same trouble at every attempt is one line, not one an attempt.
    if changed {
        tracing::warn!(stream = %stream.name, code = error.code(), reason = error.reason(),
            hint = error.hint_text(), "no frames");
    }
}

fn faulted(stream: &StreamShared, seat: &WorkerSeat, fault: &RunFault) {
    if !seat.is_abandoned() {
        note_fault(stream, fault);
    }
}

fn note_fault(stream: &StreamShared, fault: &RunFault) {
    let (code, reason, hint) = match fault {
        RunFault::MemoryExceeded { limit, used, .. } => (
            "source.memory_exceeded",
            format!("the source took {}, beyond its limit of {}", Bytes(*used), Bytes(*limit)),
            "raise the stream's `memory` if its frames need it; otherwise the source leaks",
        ),
        _ => (fault.code(), fault.to_string(), fault.hint()),
    };
    tracing::warn!(stream = %stream.name, code, reason, "the source's code failed");
    stream.update(|status, now| {
        status.turn(SourceState::Reconnecting, now);
        status.explain(code, reason, hint, now);
    });
}

fn note_stall(stream: &StreamShared, quiet: Duration) {
    let error = stalled(quiet);
    let fresh = stream.update(|status, now| {
        let fresh = status.state != SourceState::Stalled;
        status.turn(SourceState::Stalled, now);
        status.explain(error.code(), error.reason().to_owned(), error.hint_text(), now);
        fresh
    });
    if fresh {
        tracing::warn!(stream = %stream.name, reason = error.reason(), "no frames");
    }
}

fn stalled(quiet: Duration) -> SourceError {
    SourceError::new(SourceFault::Stalled, format!("no frame for {:.1} s", quiet.as_secs_f64()))
        .hint("check the device and its cable; it is opened again by itself")
}

/// Numbers frames through every opening of the source, by whichever worker, so that a stream's
/// sequence only grows and keeps the gaps that the source saw.
#[derive(Default)]
pub(super) struct Sequence {
    next: u64,
    source_next: Option<u64>,
}

impl Sequence {
    pub(super) fn number(&mut self, frame: Frame) -> Frame {
        let seen = frame.sequence();
        let gap = match self.source_next {
            Some(expected) if seen > expected => (seen - expected).min(GAP_MAX),
            _ => 0,
        };
        self.source_next = Some(seen.saturating_add(1));
        let number = self.next + gap;
        self.next = number + 1;
        frame.renumbered(number)
    }
}

/// 29.97 frames a second are 30 to whoever wished for those.
const RATE_ROUNDING: f64 = 0.01;
/// A larger gap is the driver counting anew.
const GAP_MAX: u64 = 10_000;
