use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{BoxError, OutputWriter};

use super::{
    Trouble,
    output::{Next, OutputShared},
};
use crate::sandbox::{Phase, RunFault, SandboxScope, WorkerSeat};

/// Why the target is let go of.
enum End {
    /// All is written, or the worker is given up.
    Over,
    /// It is to be opened again after a pause.
    Again,
}

/// Starts the worker that opens the output and writes to it for as long as the output lives.
pub(super) fn start(output: &Arc<OutputShared>) {
    let on_abandon = {
        let output = output.clone();
        move |fault: RunFault| abandoned(&output, &fault)
    };
    let body = {
        let output = output.clone();
        move |seat: &WorkerSeat| drive(&output, seat)
    };
    let scope = SandboxScope::new(output.name.clone(), None, 0);
    match output.sandbox.spawn_worker(&output.name, scope, on_abandon, body) {
        Ok(worker) => output.set_worker(worker),
        Err(fault) => {
            output.fails(Trouble::caught(&fault));
            start_later(output);
        }
    }
}

/// The watchdog gave the worker up, since what it writes to hangs. Runs on the watchdog's thread.
fn abandoned(output: &Arc<OutputShared>, fault: &RunFault) {
    if output.is_stopped() {
        return;
    }
    output.hung();
    output.fails(Trouble::caught(fault));
    start_later(output);
}

fn start_later(output: &Arc<OutputShared>) {
    let waiting = output.clone();
    let thread = thread::Builder::new().name(format!("{}-pause", output.name)).spawn(move || {
        if !waiting.pause() {
            start(&waiting);
        }
    });
    if let Err(error) = thread {
        tracing::error!(output = %output.to, %error, "no thread to reopen an output from");
    }
}

fn drive(output: &OutputShared, seat: &WorkerSeat) {
    loop {
        // What waits at the end has one more attempt.
        let last = output.is_stopped();
        let end = match open(output, seat) {
            Some(writer) => write(output, seat, writer),
            None => End::Again,
        };
        if last || matches!(end, End::Over) || seat.stop_requested() {
            return;
        }
        output.pause();
    }
}

fn open(output: &OutputShared, seat: &WorkerSeat) -> Option<Box<dyn OutputWriter>> {
    let host = output.host.host();
    let opened = seat.run(Phase::Output, output.limits.open, |_| {
        (output.registration.open)(&output.settings, &host)
    });
    done(output, seat, opened)
}

fn write(output: &OutputShared, seat: &WorkerSeat, mut writer: Box<dyn OutputWriter>) -> End {
    let end = records(output, seat, writer.as_mut());
    let closed = seat.run(Phase::Close, output.limits.flush, move |_| drop(writer));
    if let Err(fault) = closed {
        tracing::warn!(output = %output.to, %fault, "the output was not closed well");
    }
    output.host.end_generation();
    for thread in output.host.join_ended(output.limits.flush) {
        tracing::warn!(output = %output.to, thread, "a thread did not end in time");
    }
    output.closed(matches!(end, End::Again));
    end
}

fn records(output: &OutputShared, seat: &WorkerSeat, writer: &mut dyn OutputWriter) -> End {
    output.opened();
    let limits = &output.limits;
    let mut flush_due = Instant::now() + limits.flush_every;
    loop {
        let now = Instant::now();
        let next = output.next(flush_due.saturating_duration_since(now).min(LOOK_ROUND));
        if let Next::Record(record) = &next {
            let written = seat.run(Phase::Output, limits.write, |_| writer.write(record));
            if done(output, seat, written).is_none() {
                if seat.is_abandoned() {
                    return End::Over;
                }
                output.not_written();
                return End::Again;
            }
            output.written();
        }
        let ended = matches!(next, Next::Ended);
        if ended || Instant::now() >= flush_due {
            let flushed = seat.run(Phase::Output, limits.flush, |_| writer.flush());
            if done(output, seat, flushed).is_none() {
                return if ended { End::Over } else { End::Again };
            }
            flush_due = Instant::now() + limits.flush_every;
        }
        if ended || seat.stop_requested() {
            return End::Over;
        }
    }
}

/// What was asked for, or nothing; why not is noted, unless whoever gave the worker up does that.
fn done<T>(
    output: &OutputShared,
    seat: &WorkerSeat,
    outcome: Result<Result<T, BoxError>, RunFault>,
) -> Option<T> {
    match outcome {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(error)) => output.fails(Trouble::reported(error.as_ref())),
        Err(RunFault::Cancelled { .. }) => {}
        Err(_) if seat.is_abandoned() => {}
        Err(fault) => output.fails(Trouble::caught(&fault)),
    }
    None
}

/// How often a worker that waits looks whether it should stop.
const LOOK_ROUND: Duration = Duration::from_millis(500);
