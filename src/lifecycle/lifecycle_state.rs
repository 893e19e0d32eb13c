//! The transition table.

use std::fmt;

/// Where a plugin instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifecycleState {
    /// Registered, or sent back to the start: requirements, probes and init are due or under way.
    Loaded,
    /// Ready; nothing uses it at the moment.
    Initialized,
    /// Ready, and a call runs or a stream is attached.
    Running,
    /// It was tried and went wrong. A restart may follow.
    Failed,
    /// It cannot work here as things are: something it needs is missing.
    Unavailable,
}

/// What can happen to a plugin instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LifecycleEvent {
    /// The loader took it in. The first event of every instance, and only that.
    Registered,
    /// A requirement is not met, or init said so.
    RequirementUnmet,
    /// Init succeeded.
    Initialized,
    /// Init failed, panicked or timed out.
    InitFailed,
    /// The first call runs, or the first stream was attached.
    Engaged,
    /// No call runs and no stream is attached any more.
    Disengaged,
    /// The instance is broken, or none of its sessions can live.
    Broken,
    /// Somebody asked for a reload.
    ReloadAsked,
    /// The back-off after a failure is over.
    RestartDue,
    /// It is time to look again for what was missing.
    ReprobeDue,
}

impl LifecycleState {
    /// Every state, in the order a healthy instance meets them, then the two others.
    pub const ALL: [Self; 5] =
        [Self::Loaded, Self::Initialized, Self::Running, Self::Failed, Self::Unavailable];

    /// The state that `event` leads to from this one, or `None` where that event has no place here.
    ///
    /// [`LifecycleEvent::Registered`] has no place in any state: it is what
    /// [`LifecycleManager::new`](super::LifecycleManager::new) stands for.
    #[must_use]
    pub const fn after(self, event: LifecycleEvent) -> Option<Self> {
        use LifecycleEvent as Event;

        match (self, event) {
            (Self::Loaded, Event::RequirementUnmet) => Some(Self::Unavailable),
            (Self::Loaded, Event::Initialized) => Some(Self::Initialized),
            (Self::Loaded, Event::InitFailed) => Some(Self::Failed),
            (Self::Initialized, Event::Engaged) => Some(Self::Running),
            (Self::Running, Event::Disengaged) => Some(Self::Initialized),
            (Self::Initialized | Self::Running, Event::Broken) => Some(Self::Failed),
            (Self::Initialized | Self::Running, Event::ReloadAsked) => Some(Self::Loaded),
            (Self::Failed, Event::RestartDue | Event::ReloadAsked) => Some(Self::Loaded),
            (Self::Unavailable, Event::ReprobeDue | Event::ReloadAsked) => Some(Self::Loaded),
            _ => None,
        }
    }

    /// The published spelling, in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "LOADED",
            Self::Initialized => "INITIALIZED",
            Self::Running => "RUNNING",
            Self::Failed => "FAILED",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// Whether calls are accepted: INITIALIZED or RUNNING.
    #[must_use]
    pub const fn is_available(self) -> bool {
        matches!(self, Self::Initialized | Self::Running)
    }
}

impl fmt::Display for LifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LifecycleEvent {
    /// Every event, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::Registered,
        Self::RequirementUnmet,
        Self::Initialized,
        Self::InitFailed,
        Self::Engaged,
        Self::Disengaged,
        Self::Broken,
        Self::ReloadAsked,
        Self::RestartDue,
        Self::ReprobeDue,
    ];

    /// A stable code for logs and for a cause that has nothing better to say.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Registered => "lifecycle.registered",
            Self::RequirementUnmet => "lifecycle.requirement_unmet",
            Self::Initialized => "lifecycle.initialized",
            Self::InitFailed => "lifecycle.init_failed",
            Self::Engaged => "lifecycle.engaged",
            Self::Disengaged => "lifecycle.disengaged",
            Self::Broken => "lifecycle.broken",
            Self::ReloadAsked => "lifecycle.reload_asked",
            Self::RestartDue => "lifecycle.restart_due",
            Self::ReprobeDue => "lifecycle.reprobe_due",
        }
    }
}

impl fmt::Display for LifecycleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Registered => "registered",
            Self::RequirementUnmet => "a requirement is not met",
            Self::Initialized => "initialized",
            Self::InitFailed => "init did not succeed",
            Self::Engaged => "in use",
            Self::Disengaged => "no longer in use",
            Self::Broken => "broken",
            Self::ReloadAsked => "a reload was asked for",
            Self::RestartDue => "a restart is due",
            Self::ReprobeDue => "another probe is due",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use LifecycleEvent as Event;
    use LifecycleState as State;

    /// The published table once more, written the other way round: one line per pair that moves.
    const TABLE: [(State, Event, State); 13] = [
        (State::Loaded, Event::RequirementUnmet, State::Unavailable),
        (State::Loaded, Event::Initialized, State::Initialized),
        (State::Loaded, Event::InitFailed, State::Failed),
        (State::Initialized, Event::Engaged, State::Running),
        (State::Running, Event::Disengaged, State::Initialized),
        (State::Initialized, Event::Broken, State::Failed),
        (State::Running, Event::Broken, State::Failed),
        (State::Initialized, Event::ReloadAsked, State::Loaded),
        (State::Running, Event::ReloadAsked, State::Loaded),
        (State::Failed, Event::RestartDue, State::Loaded),
        (State::Failed, Event::ReloadAsked, State::Loaded),
        (State::Unavailable, Event::ReprobeDue, State::Loaded),
        (State::Unavailable, Event::ReloadAsked, State::Loaded),
    ];

    #[track_caller]
    fn check(from: State, event: Event, to: Option<State>) {
        assert_eq!(from.after(event), to, "{from:?} on {event:?}");
    }

    #[test]
    fn every_pair_of_state_and_event_is_as_the_table_says() {
        let mut moves = 0;
        for from in State::ALL {
            for event in Event::ALL {
                let expected = TABLE
                    .iter()
                    .find(|(state, on, _)| (*state, *on) == (from, event))
                    .map(|(_, _, to)| *to);
                moves += usize::from(expected.is_some());
                check(from, event, expected);
            }
        }
        assert_eq!(moves, TABLE.len(), "the product met every line of the table");
    }

    #[test]
    fn every_state_can_be_left_and_every_state_can_be_reached() {
        for state in State::ALL {
            assert!(Event::ALL.iter().any(|event| state.after(*event).is_some()), "{state}");
            assert!(
                State::ALL
                    .iter()
                    .flat_map(|from| Event::ALL.map(|event| from.after(event)))
                    .any(|to| to == Some(state)),
                "{state}"
            );
        }
    }

    #[test]
    fn no_event_keeps_a_state_as_it_is() {
        for state in State::ALL {
            for event in Event::ALL {
                assert_ne!(state.after(event), Some(state), "{state} on {event}");
            }
        }
    }

    #[test]
    fn the_published_spelling() {
        assert_eq!(
            State::ALL.map(State::as_str),
            ["LOADED", "INITIALIZED", "RUNNING", "FAILED", "UNAVAILABLE"]
        );
        assert_eq!(
            State::ALL.map(State::is_available),
            [false, true, true, false, false],
            "available means INITIALIZED or RUNNING"
        );
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes = Event::ALL.map(Event::code).to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Event::ALL.len());
    }
}
