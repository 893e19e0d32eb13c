//! One instance's walk through the transition table.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Instant;

use super::{LifecycleEvent, LifecycleState};

/// The present state of one plugin instance and how it came there.
///
/// Holds no lock and reads no clock: whoever shares it wraps it, and passes the monotonic time of
/// each event. Takes at most [`HISTORY_LENGTH`](Self::HISTORY_LENGTH) transitions of memory.
#[derive(Debug)]
pub struct LifecycleManager {
    state: LifecycleState,
    cause: Cause,
    since: Instant,
    initialized_at: Option<Instant>,
    generation: u64,
    history: VecDeque<Transition>,
    forgotten: u64,
    engagements: u64,
    refused: u64,
}

/// Why a transition happened: a stable code for programs, a sentence and a hint for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Such as `dependency.gpu_missing`; never changes its meaning.
    pub code: Cow<'static, str>,
    /// What happened, for a person.
    pub reason: String,
    /// What a person can do about it.
    pub hint: Option<String>,
}

/// One step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// The state left; `None` for the registration.
    pub from: Option<LifecycleState>,
    /// The state entered.
    pub to: LifecycleState,
    /// What happened.
    pub event: LifecycleEvent,
    /// Why.
    pub cause: Cause,
    /// Monotonic time of the step.
    pub at: Instant,
    /// The generation *after* the step: a step into LOADED carries the new one.
    pub generation: u64,
}

/// An event that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusedTransition {
    /// The table has no such line.
    #[error("{event} ({}) has no place in state {from}", event.code())]
    OutOfPlace {
        /// The state the instance is in, and stays in.
        from: LifecycleState,
        /// What was reported.
        event: LifecycleEvent,
    },
    /// The event belongs to an instance that has been replaced since.
    #[error("late result of generation {stamped} ({}), the present one is {current}", event.code())]
    Late {
        /// What was reported.
        event: LifecycleEvent,
        /// The generation it was reported for.
        stamped: u64,
        /// The generation that is alive.
        current: u64,
    },
}

impl LifecycleManager {
    /// Transitions kept; the oldest is forgotten first.
    pub const HISTORY_LENGTH: usize = 64;

    /// A freshly registered instance: LOADED, generation 1.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let cause = Cause::from(LifecycleEvent::Registered);
        let registration = Transition {
            from: None,
            to: LifecycleState::Loaded,
            event: LifecycleEvent::Registered,
            cause: cause.clone(),
            at: now,
            generation: 1,
        };
        Self {
            state: LifecycleState::Loaded,
            cause,
            since: now,
            initialized_at: None,
            generation: 1,
            history: VecDeque::from([registration]),
            forgotten: 0,
            engagements: 0,
            refused: 0,
        }
    }

    /// Takes an event of the present generation.
    ///
    /// # Errors
    /// [`RefusedTransition::OutOfPlace`] where the table has no such line. Nothing changes but the
    /// count of refusals.
    pub fn apply(
        &mut self,
        event: LifecycleEvent,
        cause: impl Into<Cause>,
        now: Instant,
    ) -> Result<Transition, RefusedTransition> {
        self.apply_stamped(self.generation, event, cause, now)
    }

    /// Takes an event that was stamped with the generation it was started for: the outcome of an
    /// init, the failure of a session.
    ///
    /// # Errors
    /// [`RefusedTransition::Late`] when that generation has been replaced, and
    /// [`RefusedTransition::OutOfPlace`] as for [`apply`](Self::apply). Nothing changes but the
    /// count of refusals.
    pub fn apply_stamped(
        &mut self,
        stamped: u64,
        event: LifecycleEvent,
        cause: impl Into<Cause>,
        now: Instant,
    ) -> Result<Transition, RefusedTransition> {
        let from = self.state;
        if stamped != self.generation {
            self.refused += 1;
            return Err(RefusedTransition::Late { event, stamped, current: self.generation });
        }
        let Some(to) = from.after(event) else {
            self.refused += 1;
            return Err(RefusedTransition::OutOfPlace { from, event });
        };

        if to == LifecycleState::Loaded {
            self.generation += 1;
        }
        self.initialized_at = match (event, to.is_available()) {
            (LifecycleEvent::Initialized, _) => Some(now),
            (_, true) => self.initialized_at,
            (_, false) => None,
        };
        self.state = to;
        self.since = now;
        self.cause = cause.into();

        let transition = Transition {
            from: Some(from),
            to,
            event,
            cause: self.cause.clone(),
            at: now,
            generation: self.generation,
        };
        match event {
            LifecycleEvent::Engaged => self.engagements += 1,
            LifecycleEvent::Disengaged => {}
            _ => self.keep(transition.clone()),
        }
        Ok(transition)
    }

    /// Says better why the instance is in its present state, which stays; the history keeps what
    /// was said first.
    pub fn explain(&mut self, cause: Cause) {
        self.cause = cause;
    }

    /// The present state.
    #[must_use]
    pub fn state(&self) -> LifecycleState {
        self.state
    }

    /// Why it is in that state.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// When it entered that state.
    #[must_use]
    pub fn since(&self) -> Instant {
        self.since
    }

    /// When init last succeeded, as long as the instance is INITIALIZED or RUNNING.
    #[must_use]
    pub fn initialized_at(&self) -> Option<Instant> {
        self.initialized_at
    }

    /// Which instance this is, from 1; one more each time LOADED is entered again.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The transitions kept, oldest first. INITIALIZED ↔ RUNNING is not among them.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Transition> + ExactSizeIterator {
        self.history.iter()
    }

    /// How many transitions no longer fit into the history.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How often INITIALIZED became RUNNING.
    #[must_use]
    pub fn engagements(&self) -> u64 {
        self.engagements
    }

    /// How many events were refused, late ones included.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    fn keep(&mut self, transition: Transition) {
        if self.history.len() == Self::HISTORY_LENGTH {
            self.history.pop_front();
            self.forgotten += 1;
        }
        self.history.push_back(transition);
    }
}

impl Cause {
    /// A cause without a hint.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into(), hint: None }
    }

    /// The same cause with what a person can do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<LifecycleEvent> for Cause {
    /// For events that need no further explanation.
    fn from(event: LifecycleEvent) -> Self {
        Self::new(event.code(), event.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    use LifecycleEvent as Event;
    use LifecycleState as State;

    fn after(events: &[Event], start: Instant) -> LifecycleManager {
        let mut life = LifecycleManager::new(start);
        for (seconds, event) in (1..).zip(events) {
            life.apply(*event, *event, start + Duration::from_secs(seconds)).expect("in the table");
        }
        life
    }

    #[test]
    fn a_new_instance_is_loaded_in_generation_one() {
        let start = Instant::now();
        let life = LifecycleManager::new(start);
        assert_eq!((life.state(), life.generation()), (State::Loaded, 1));
        assert_eq!(life.since(), start);
        assert_eq!(life.initialized_at(), None);
        assert_eq!(life.cause().code, "lifecycle.registered");
        let kept: Vec<_> = life.history().map(|step| (step.from, step.to)).collect();
        assert_eq!(kept, [(None, State::Loaded)]);
    }

    #[test]
    fn a_transition_says_what_when_and_why() {
        let start = Instant::now();
        let mut life = LifecycleManager::new(start);
        let cause = Cause::new("init.panicked", "index out of bounds").with_hint("report it");
        let at = start + Duration::from_secs(3);
        let step = life.apply(Event::InitFailed, cause.clone(), at).expect("in the table");
        assert_eq!(
            step,
            Transition {
                from: Some(State::Loaded),
                to: State::Failed,
                event: Event::InitFailed,
                cause: cause.clone(),
                at,
                generation: 1,
            }
        );
        assert_eq!(life.cause(), &cause);
        assert_eq!(life.since(), at);
        assert_eq!(life.history().next_back(), Some(&step));
    }

    #[test]
    fn an_event_out_of_place_is_refused_and_counted_and_changes_nothing() {
        let start = Instant::now();
        let mut life = after(&[Event::InitFailed], start);
        let before = (life.state(), life.since(), life.cause().clone(), life.history().len());
        let refused = life
            .apply(Event::Initialized, Event::Initialized, start + Duration::from_secs(9))
            .unwrap_err();
        assert_eq!(
            refused,
            RefusedTransition::OutOfPlace { from: State::Failed, event: Event::Initialized }
        );
        assert_eq!(
            before,
            (life.state(), life.since(), life.cause().clone(), life.history().len())
        );
        assert_eq!(life.refused(), 1);
    }

    #[test]
    fn a_late_result_of_an_older_generation_revives_nothing() {
        let start = Instant::now();
        let mut life = after(&[Event::Initialized, Event::ReloadAsked, Event::InitFailed], start);
        life.apply(Event::RestartDue, Event::RestartDue, start).expect("in the table");
        assert_eq!((life.state(), life.generation()), (State::Loaded, 3));

        // LOADED would take it, had it been this generation's init.
        let refused =
            life.apply_stamped(2, Event::Initialized, Event::Initialized, start).unwrap_err();
        assert_eq!(
            refused,
            RefusedTransition::Late { event: Event::Initialized, stamped: 2, current: 3 }
        );
        assert_eq!(life.state(), State::Loaded);
        assert_eq!(life.refused(), 1);

        life.apply_stamped(3, Event::Initialized, Event::Initialized, start).expect("this one's");
        assert_eq!(life.state(), State::Initialized);
    }

    #[test]
    fn the_generation_rises_on_every_return_to_loaded_and_only_then() {
        let start = Instant::now();
        for (events, generation) in [
            (&[Event::Initialized, Event::Engaged, Event::Disengaged][..], 1),
            (&[Event::Initialized, Event::ReloadAsked][..], 2),
            (&[Event::RequirementUnmet, Event::ReprobeDue][..], 2),
            (&[Event::InitFailed, Event::RestartDue, Event::InitFailed, Event::ReloadAsked][..], 3),
        ] {
            assert_eq!(after(events, start).generation(), generation, "{events:?}");
        }
    }

    #[test]
    fn uptime_counts_from_init_and_ends_with_availability() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        for (events, initialized_at) in [
            (&[Event::Initialized][..], Some(second(1))),
            (&[Event::Initialized, Event::Engaged, Event::Disengaged][..], Some(second(1))),
            (&[Event::Initialized, Event::Engaged, Event::Broken][..], None),
            (&[Event::Initialized, Event::ReloadAsked][..], None),
            (&[Event::Initialized, Event::ReloadAsked, Event::Initialized][..], Some(second(3))),
        ] {
            assert_eq!(after(events, start).initialized_at(), initialized_at, "{events:?}");
        }
    }

    #[test]
    fn running_and_idle_are_counted_but_not_kept() {
        let start = Instant::now();
        let mut life = after(&[Event::Initialized], start);
        let times = if cfg!(miri) { 20 } else { 1000 };
        for _ in 0..times {
            life.apply(Event::Engaged, Event::Engaged, start).expect("in the table");
            life.apply(Event::Disengaged, Event::Disengaged, start).expect("in the table");
        }
        assert_eq!(life.engagements(), times);
        assert_eq!(life.history().len(), 2, "registration and init");
    }

    #[test]
    fn the_history_is_bounded_and_keeps_the_newest() {
        let start = Instant::now();
        let mut life = LifecycleManager::new(start);
        for _ in 0..100 {
            life.apply(Event::InitFailed, Event::InitFailed, start).expect("in the table");
            life.apply(Event::RestartDue, Event::RestartDue, start).expect("in the table");
        }
        assert_eq!(life.history().len(), LifecycleManager::HISTORY_LENGTH);
        assert_eq!(life.forgotten(), 201 - LifecycleManager::HISTORY_LENGTH as u64);
        let newest = life.history().next_back().expect("not empty");
        assert_eq!((newest.to, newest.generation), (State::Loaded, 101));
    }

    #[test]
    fn a_state_can_be_explained_better() {
        let start = Instant::now();
        let mut life = after(&[Event::InitFailed], start);
        let (since, steps) = (life.since(), life.history().len());
        life.explain(Cause::new("supervisor.quarantined", "too many faults"));
        assert_eq!(life.cause().code, "supervisor.quarantined");
        assert_eq!(
            (life.state(), life.since(), life.history().len()),
            (State::Failed, since, steps)
        );
    }

    #[test]
    fn refusals_read_well() {
        let out_of_place =
            RefusedTransition::OutOfPlace { from: State::Failed, event: Event::Engaged };
        assert_eq!(
            out_of_place.to_string(),
            "in use (lifecycle.engaged) has no place in state FAILED"
        );
        let late = RefusedTransition::Late { event: Event::Initialized, stamped: 2, current: 3 };
        assert_eq!(
            late.to_string(),
            "late result of generation 2 (lifecycle.initialized), the present one is 3"
        );
    }
}
