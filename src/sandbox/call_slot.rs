//! Who decides a call: its result, its deadline, or somebody who cancels.

use std::fmt;

use self::atomic::{AtomicU64, Ordering};

use super::{AbandonReason, Phase};

/// The processor's atomics, or the model checker's (tests/loom).
mod atomic {
    #[cfg(loom)]
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    #[cfg(not(loom))]
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
}

/// The state of one worker's calls, in one atomic word.
///
/// The worker [begins](Self::begin) and [finishes](Self::finish) calls, one at a time; others
/// [expire](Self::expire), [cancel](Self::cancel) or [abandon](Self::abandon). Whatever the
/// interleaving, exactly one of result and abandonment wins a call, and both sides learn which.
/// Nothing here blocks, waits or reads a clock.
///
/// The word, from its lowest bit:
///
/// | bits | what |
/// |---|---|
/// | 2 | idle, running, abandoned, ended |
/// | 4 | the phase that runs, or the reason it was abandoned for |
/// | 3 | the reason the worker was asked to stop for, plus one; 0 where it was not |
/// | 55 | the number of the call that runs or ran last |
///
/// At a call every microsecond the number lasts for a thousand years.
pub struct CallSlot {
    word: AtomicU64,
}

/// Which of a worker's calls; a later call has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u64);

/// What a slot says at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// No call runs.
    Idle,
    /// A call runs.
    Running {
        /// Which.
        ticket: Ticket,
        /// What it is.
        phase: Phase,
    },
    /// The worker was given up, during a call or between two.
    Abandoned {
        /// Why.
        reason: AbandonReason,
    },
    /// The worker is over.
    Ended,
}

/// Why [`CallSlot::begin`] began nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBegun {
    /// The worker was asked to stop, or given up.
    Stopped(AbandonReason),
    /// A call is running.
    Running,
    /// The worker is over.
    Ended,
}

impl CallSlot {
    /// A slot in which nothing has run.
    #[must_use]
    pub fn new() -> Self {
        Self { word: AtomicU64::new(IDLE) }
    }

    /// Begins a call. Only the worker does.
    ///
    /// # Errors
    /// [`NotBegun::Stopped`] once the worker was abandoned, or asked to stop; in the latter case
    /// phases that [close](Phase::is_closing) are still begun.
    pub fn begin(&self, phase: Phase) -> Result<Ticket, NotBegun> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            match word & TAG_MASK {
                IDLE => {}
                RUNNING => return Err(NotBegun::Running),
                ABANDONED => return Err(NotBegun::Stopped(reason_of(word))),
                _ => return Err(NotBegun::Ended),
            }
            if let (Some(reason), false) = (stop_of(word), phase.is_closing()) {
                return Err(NotBegun::Stopped(reason));
            }
            let ticket = (word >> TICKET_SHIFT) + 1;
            let begun = ticket << TICKET_SHIFT
                | word & STOP_MASK
                | (phase as u64) << DETAIL_SHIFT
                | RUNNING;
            // Sequentially consistent, as the watchdog's scheme for sleeping needs it.
            match self.word.compare_exchange_weak(word, begun, Ordering::SeqCst, Ordering::Acquire)
            {
                Ok(_) => return Ok(Ticket(ticket)),
                Err(now) => word = now,
            }
        }
    }

    /// Ends a call with its result. Only the worker does, with the ticket it was given.
    ///
    /// # Errors
    /// The reason for which the call was abandoned; its result is nobody's then.
    pub fn finish(&self, ticket: Ticket) -> Result<(), AbandonReason> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & TAG_MASK == ABANDONED {
                return Err(reason_of(word));
            }
            debug_assert_eq!((word & TAG_MASK, word >> TICKET_SHIFT), (RUNNING, ticket.0));
            let finished = word & !(TAG_MASK | DETAIL_MASK) | IDLE;
            match self.word.compare_exchange_weak(
                word,
                finished,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Abandons exactly this call because its deadline has passed; `false` if it is over already.
    pub fn expire(&self, ticket: Ticket) -> bool {
        self.abandon_call(ticket, AbandonReason::Deadline)
    }

    /// As [`expire`](Self::expire), for another reason.
    pub fn abandon_call(&self, ticket: Ticket, reason: AbandonReason) -> bool {
        self.abandon_where(reason, |word| {
            word & TAG_MASK == RUNNING && word >> TICKET_SHIFT == ticket.0
        })
        .is_some()
    }

    /// Abandons the worker, whatever it does; `None` if it is abandoned or over already, else the
    /// state it was in.
    pub fn abandon(&self, reason: AbandonReason) -> Option<SlotState> {
        self.abandon_where(reason, |word| matches!(word & TAG_MASK, IDLE | RUNNING))
    }

    /// Abandons a worker that is there for one call, unless that call has finished; for a caller
    /// that has waited long enough, even if the call has not been begun.
    pub fn abandon_unanswered(&self, reason: AbandonReason) -> Option<SlotState> {
        self.abandon_where(reason, |word| match word & TAG_MASK {
            IDLE => word >> TICKET_SHIFT == 0,
            tag => tag == RUNNING,
        })
    }

    /// Asks the worker to stop: nothing but clean-up begins any more, and the call that runs should
    /// end soon. `false` if it was asked before, or is abandoned or over.
    pub fn cancel(&self, reason: AbandonReason) -> bool {
        let stop = (reason as u64 + 1) << STOP_SHIFT;
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                let open = matches!(word & TAG_MASK, IDLE | RUNNING);
                (open && word & STOP_MASK == 0).then_some(word | stop)
            })
            .is_ok()
    }

    /// Says that the worker is over; the state it was in. Only the worker does, as its last act.
    pub fn end(&self) -> SlotState {
        decode(self.word.fetch_or(ENDED, Ordering::AcqRel))
    }

    /// What the slot says now.
    #[must_use]
    pub fn state(&self) -> SlotState {
        // Sequentially consistent for the same reason as in `begin`.
        decode(self.word.load(Ordering::SeqCst))
    }

    /// Why the worker was asked to stop, or given up.
    #[must_use]
    pub fn stop_reason(&self) -> Option<AbandonReason> {
        let word = self.word.load(Ordering::Acquire);
        stop_of(word).or_else(|| (word & TAG_MASK == ABANDONED).then(|| reason_of(word)))
    }

    fn abandon_where(
        &self,
        reason: AbandonReason,
        applies: impl Fn(u64) -> bool,
    ) -> Option<SlotState> {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                applies(word).then_some(
                    word & !(TAG_MASK | DETAIL_MASK) | (reason as u64) << DETAIL_SHIFT | ABANDONED,
                )
            })
            .ok()
            .map(decode)
    }
}

impl Default for CallSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for CallSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallSlot").field(&self.state()).finish()
    }
}

const TAG_MASK: u64 = 0b11;
const IDLE: u64 = 0;
const RUNNING: u64 = 1;
const ABANDONED: u64 = 2;
/// All tag bits, so that `end` needs no loop.
const ENDED: u64 = 3;

const DETAIL_SHIFT: u32 = 2;
const DETAIL_MASK: u64 = 0b1111 << DETAIL_SHIFT;
const STOP_SHIFT: u32 = 6;
const STOP_MASK: u64 = 0b111 << STOP_SHIFT;
const TICKET_SHIFT: u32 = 9;

// Both enums must fit their bits.
const _: () = assert!(Phase::ALL.len() <= 16 && AbandonReason::ALL.len() < 8);

fn decode(word: u64) -> SlotState {
    match word & TAG_MASK {
        IDLE => SlotState::Idle,
        RUNNING => SlotState::Running {
            ticket: Ticket(word >> TICKET_SHIFT),
            phase: Phase::ALL[((word & DETAIL_MASK) >> DETAIL_SHIFT) as usize],
        },
        ABANDONED => SlotState::Abandoned { reason: reason_of(word) },
        _ => SlotState::Ended,
    }
}

fn reason_of(abandoned: u64) -> AbandonReason {
    AbandonReason::ALL[((abandoned & DETAIL_MASK) >> DETAIL_SHIFT) as usize]
}

fn stop_of(word: u64) -> Option<AbandonReason> {
    let stop = (word & STOP_MASK) >> STOP_SHIFT;
    (stop > 0).then(|| AbandonReason::ALL[stop as usize - 1])
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// What one side does; `Worker` steps beyond the first call depend on nothing but order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Step {
        Begin,
        Finish,
        End,
        /// Reads which call runs, as the watchdog does before it looks at the deadline.
        Look,
        /// Expires the call that `Look` saw.
        Expire,
        Cancel,
        Abandon,
    }

    /// What came of one interleaving.
    #[derive(Debug, Default)]
    struct Story {
        slot: CallSlot,
        ticket: Option<Ticket>,
        seen: Option<Ticket>,
        begun: u32,
        refused: u32,
        finished: u32,
        lost: u32,
        abandonments: u32,
        looked_at_call: u32,
        expired_call: Option<Ticket>,
        cancelled: bool,
        over: bool,
    }

    impl Story {
        fn step(&mut self, step: Step) {
            match step {
                Step::Begin => match self.slot.begin(Phase::Run) {
                    Ok(ticket) => {
                        self.ticket = Some(ticket);
                        self.begun += 1;
                    }
                    Err(_) => self.refused += 1,
                },
                Step::Finish => {
                    if let Some(ticket) = self.ticket.take() {
                        match self.slot.finish(ticket) {
                            Ok(()) => self.finished += 1,
                            Err(_) => self.lost += 1,
                        }
                    }
                }
                Step::End => {
                    self.slot.end();
                    self.over = true;
                }
                Step::Look => {
                    if let SlotState::Running { ticket, .. } = self.slot.state() {
                        self.seen = Some(ticket);
                        self.looked_at_call += 1;
                    }
                }
                Step::Expire => {
                    if let Some(ticket) = self.seen.take()
                        && self.slot.expire(ticket)
                    {
                        self.abandonments += 1;
                        self.expired_call = Some(ticket);
                    }
                }
                Step::Cancel => self.cancelled = self.slot.cancel(AbandonReason::Reload),
                Step::Abandon => {
                    self.abandonments +=
                        u32::from(self.slot.abandon(AbandonReason::Shutdown).is_some());
                }
            }
        }
    }

    /// Calls `visit` with every order in which the sides' steps can happen.
    fn interleavings(sides: &[&[Step]], so_far: &mut Vec<Step>, visit: &mut dyn FnMut(&[Step])) {
        if sides.iter().all(|side| side.is_empty()) {
            return visit(so_far);
        }
        for (position, side) in sides.iter().enumerate() {
            if let [first, rest @ ..] = side {
                let mut others = sides.to_vec();
                others[position] = rest;
                so_far.push(*first);
                interleavings(&others, so_far, visit);
                so_far.pop();
            }
        }
    }

    const WORKER: &[Step] = &[Step::Begin, Step::Finish, Step::Begin, Step::Finish, Step::End];
    const WATCHDOG: &[Step] = &[Step::Look, Step::Expire];

    #[test]
    fn in_every_interleaving_each_call_has_exactly_one_outcome() {
        let mut outcomes = BTreeSet::new();
        let mut visited = 0;
        let sides = [WORKER, WATCHDOG, &[Step::Cancel], &[Step::Abandon]];
        interleavings(&sides, &mut Vec::new(), &mut |order| {
            let mut story = Story::default();
            for step in order {
                story.step(*step);
            }
            visited += 1;
            outcomes.insert((story.finished, story.lost, story.abandonments));

            assert_eq!(story.begun, story.finished + story.lost, "{order:?}: {story:?}");
            assert_eq!(story.begun + story.refused, 2, "{order:?}: {story:?}");
            assert!(story.abandonments <= 1, "{order:?}: {story:?}");
            assert!(story.lost <= story.abandonments, "{order:?}: {story:?}");
            assert_eq!(story.slot.state(), SlotState::Ended, "{order:?}");
        });
        assert_eq!(visited, 1512, "9! / (5! 2!) orders");
        // (finished, lost, abandonments): all that can happen does.
        let possible = [
            (0, 0, 0),
            (0, 0, 1),
            (0, 1, 1),
            (1, 0, 0),
            (1, 0, 1),
            (1, 1, 1),
            (2, 0, 0),
            (2, 0, 1),
        ];
        assert_eq!(outcomes, BTreeSet::from(possible));
    }

    #[test]
    fn an_expiry_meant_for_one_call_never_hits_the_next() {
        let mut stale = 0;
        interleavings(&[WORKER, WATCHDOG], &mut Vec::new(), &mut |order| {
            let mut story = Story::default();
            let mut running_at_expiry = None;
            let mut seen_at_expiry = None;
            for step in order {
                if *step == Step::Expire {
                    running_at_expiry = story.ticket;
                    seen_at_expiry = story.seen;
                }
                story.step(*step);
            }
            if story.expired_call.is_some() {
                assert_eq!(running_at_expiry, seen_at_expiry, "{order:?}");
            } else if seen_at_expiry.is_some() && running_at_expiry.is_some() {
                stale += 1;
                assert_ne!(running_at_expiry, seen_at_expiry, "{order:?}");
            }
        });
        assert_eq!(stale, 1, "looked during the first call, expired during the second");
    }

    #[test]
    fn a_cancelled_slot_begins_nothing_but_clean_up() {
        for reason in AbandonReason::ALL {
            let slot = CallSlot::new();
            let running = slot.begin(Phase::Run).unwrap();
            assert!(slot.cancel(reason));
            assert!(!slot.cancel(AbandonReason::Deadline), "the first reason stays");
            assert_eq!(slot.finish(running), Ok(()), "a result that comes in time counts");
            assert_eq!(slot.stop_reason(), Some(reason));
            for phase in Phase::ALL {
                match slot.begin(phase) {
                    Ok(ticket) => {
                        assert!(phase.is_closing(), "{phase}");
                        slot.finish(ticket).unwrap();
                    }
                    Err(refused) => {
                        assert!(!phase.is_closing(), "{phase}");
                        assert_eq!(refused, NotBegun::Stopped(reason));
                    }
                }
            }
        }
    }

    #[test]
    fn an_abandoned_slot_begins_nothing_at_all() {
        for reason in AbandonReason::ALL {
            let slot = CallSlot::new();
            let running = slot.begin(Phase::Open).unwrap();
            assert_eq!(
                slot.abandon(reason),
                Some(SlotState::Running { ticket: running, phase: Phase::Open })
            );
            assert_eq!(slot.abandon(AbandonReason::Shutdown), None);
            assert_eq!(slot.state(), SlotState::Abandoned { reason });
            assert_eq!(slot.finish(running), Err(reason));
            assert_eq!(slot.begin(Phase::Close), Err(NotBegun::Stopped(reason)));
            assert_eq!(slot.stop_reason(), Some(reason));
            assert!(!slot.cancel(AbandonReason::Reload));
            assert_eq!(slot.end(), SlotState::Abandoned { reason });
        }
    }

    #[test]
    fn a_call_that_has_finished_is_not_unanswered() {
        let deadline = AbandonReason::Deadline;
        let slot = CallSlot::new();
        assert_eq!(slot.abandon_unanswered(deadline), Some(SlotState::Idle), "not begun");

        let slot = CallSlot::new();
        let ticket = slot.begin(Phase::Run).unwrap();
        let running = SlotState::Running { ticket, phase: Phase::Run };
        assert_eq!(slot.abandon_unanswered(deadline), Some(running));
        assert_eq!(slot.abandon_unanswered(deadline), None, "abandoned before");

        let slot = CallSlot::new();
        let ticket = slot.begin(Phase::Run).unwrap();
        slot.finish(ticket).unwrap();
        assert_eq!(slot.abandon_unanswered(deadline), None, "its answer is on its way");
        slot.end();
        assert_eq!(slot.abandon_unanswered(deadline), None, "over");
    }

    #[test]
    fn calls_do_not_nest_and_an_ended_slot_is_over() {
        let slot = CallSlot::new();
        let ticket = slot.begin(Phase::Run).unwrap();
        assert_eq!(slot.begin(Phase::Run), Err(NotBegun::Running));
        slot.finish(ticket).unwrap();
        assert_eq!(slot.end(), SlotState::Idle);
        assert_eq!(slot.begin(Phase::Close), Err(NotBegun::Ended));
        assert_eq!(slot.abandon(AbandonReason::Shutdown), None);
        assert!(!slot.expire(ticket));
    }

    #[test]
    fn every_phase_survives_the_packing() {
        for phase in Phase::ALL {
            let slot = CallSlot::new();
            let ticket = slot.begin(phase).unwrap();
            assert_eq!(slot.state(), SlotState::Running { ticket, phase });
        }
    }

    #[test]
    fn between_threads_result_and_deadline_never_both_win_and_never_both_lose() {
        let times = if cfg!(miri) { 20 } else { 2_000 };
        for _ in 0..times {
            let slot = CallSlot::new();
            let ticket = slot.begin(Phase::Run).unwrap();
            let start = Barrier::new(3);
            let (finished, expired, abandoned) = thread::scope(|scope| {
                let expired = scope.spawn(|| {
                    start.wait();
                    slot.expire(ticket)
                });
                let abandoned = scope.spawn(|| {
                    start.wait();
                    matches!(slot.abandon(AbandonReason::Reload), Some(SlotState::Running { .. }))
                });
                start.wait();
                let finished = slot.finish(ticket).is_ok();
                (finished, expired.join().unwrap(), abandoned.join().unwrap())
            });
            assert_eq!(
                u32::from(finished) + u32::from(expired) + u32::from(abandoned),
                1,
                "finished {finished}, expired {expired}, abandoned {abandoned}"
            );
        }
    }
}
