//! Every interleaving of a worker with those who give it up, and every order in which one thread
//! may see another's writes: `make loom`.
//!
//! The call slot is the file of the sandbox itself, with the model checker's atomics in place of
//! the processor's.
#![cfg(loom)]

#[path = "../../../src/sandbox/call_slot.rs"]
mod call_slot;
#[path = "../../../src/sandbox/phase.rs"]
mod phase;

pub use call_slot::{CallSlot, NotBegun, SlotState, Ticket};
pub use phase::{AbandonReason, Phase};

#[cfg(test)]
mod tests {
    use loom::{
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
        thread,
    };

    use super::*;

    fn slot() -> Arc<CallSlot> {
        Arc::new(CallSlot::new())
    }

    #[test]
    fn a_call_has_one_end_whoever_ends_it() {
        loom::model(|| {
            let slot = slot();
            let ticket = slot.begin(Phase::Run).unwrap();
            let expired = thread::spawn({
                let slot = slot.clone();
                move || slot.expire(ticket)
            });
            let outgrown = thread::spawn({
                let slot = slot.clone();
                move || slot.abandon_call(ticket, AbandonReason::Memory)
            });
            let finished = slot.finish(ticket);
            let (expired, outgrown) = (expired.join().unwrap(), outgrown.join().unwrap());
            let ends = u32::from(finished.is_ok()) + u32::from(expired) + u32::from(outgrown);
            assert_eq!(ends, 1, "{finished:?} {expired} {outgrown}");
            match finished {
                Ok(()) => assert_eq!(slot.state(), SlotState::Idle),
                Err(reason) => {
                    assert_eq!(outgrown, reason == AbandonReason::Memory);
                    assert_eq!(slot.state(), SlotState::Abandoned { reason });
                }
            }
        });
    }

    #[test]
    fn a_deadline_ends_no_call_but_its_own() {
        loom::model(|| {
            let slot = slot();
            let first = slot.begin(Phase::Run).unwrap();
            let late = thread::spawn({
                let slot = slot.clone();
                move || slot.expire(first)
            });
            let finished = slot.finish(first);
            let second = slot.begin(Phase::Run);
            let expired = late.join().unwrap();
            if expired {
                assert_eq!(finished, Err(AbandonReason::Deadline));
                assert_eq!(second, Err(NotBegun::Stopped(AbandonReason::Deadline)));
            } else {
                assert_eq!(finished, Ok(()));
                let ticket = second.expect("nobody gave the second up");
                assert_eq!(slot.finish(ticket), Ok(()));
            }
        });
    }

    #[test]
    fn who_sees_a_call_sees_what_was_stored_before_it_began() {
        loom::model(|| {
            let shared = Arc::new((CallSlot::new(), AtomicU64::new(0)));
            let watchdog = thread::spawn({
                let shared = shared.clone();
                move || {
                    let (slot, due) = &*shared;
                    match slot.state() {
                        SlotState::Running { .. } => Some(due.load(Relaxed)),
                        _ => None,
                    }
                }
            });
            let (slot, due) = &*shared;
            due.store(7, Relaxed);
            let ticket = slot.begin(Phase::Run).unwrap();
            assert_eq!(slot.finish(ticket), Ok(()));
            assert!(matches!(watchdog.join().unwrap(), None | Some(7)));
        });
    }

    #[test]
    fn nothing_begins_after_a_stop_but_clean_up() {
        loom::model(|| {
            let slot = slot();
            let stopped = thread::spawn({
                let slot = slot.clone();
                move || {
                    let first = slot.cancel(AbandonReason::Reload);
                    (first, slot.cancel(AbandonReason::Shutdown))
                }
            });
            let begun = slot.begin(Phase::Run);
            if let Ok(ticket) = begun {
                assert_eq!(slot.finish(ticket), Ok(()));
            }
            assert_eq!(stopped.join().unwrap(), (true, false), "the first reason stays");
            let reason = AbandonReason::Reload;
            assert_eq!(slot.stop_reason(), Some(reason));
            assert_eq!(slot.begin(Phase::Run), Err(NotBegun::Stopped(reason)));
            let ticket = slot.begin(Phase::Close).expect("clean-up is begun");
            assert_eq!(slot.finish(ticket), Ok(()));
        });
    }

    #[test]
    fn the_end_and_an_abandonment_agree_on_which_came_first() {
        loom::model(|| {
            let slot = slot();
            let abandoned = thread::spawn({
                let slot = slot.clone();
                move || slot.abandon(AbandonReason::Shutdown)
            });
            let before_end = slot.end();
            let abandoned = abandoned.join().unwrap();
            let was_abandoned = matches!(before_end, SlotState::Abandoned { .. });
            assert_eq!(abandoned.is_some(), was_abandoned, "{before_end:?} {abandoned:?}");
            assert_eq!(slot.state(), SlotState::Ended);
        });
    }

    #[test]
    fn an_answer_and_a_caller_that_has_waited_long_enough_never_both_win() {
        loom::model(|| {
            let slot = slot();
            let impatient = thread::spawn({
                let slot = slot.clone();
                move || slot.abandon_unanswered(AbandonReason::Deadline)
            });
            let answered = match slot.begin(Phase::Run) {
                Ok(ticket) => slot.finish(ticket).is_ok(),
                Err(_) => false,
            };
            assert_ne!(answered, impatient.join().unwrap().is_some());
        });
    }
}
