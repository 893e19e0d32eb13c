//! The lifecycle once more, as plainly as it can be said, to hold the real one against.
//!
//! Nothing of the runtime asks this. Tests and fuzz targets do: they make up what happens to an
//! instance, and [`check`] has it happen to a [`LifecycleManager`] and to a [`Model`] that was
//! written from the published table without a look at the other.

use std::time::{Duration, Instant};

use super::{
    Cause, LifecycleEvent, LifecycleManager, LifecycleState, RefusedTransition, Transition,
};

/// Something done to a [`LifecycleManager`], and how long after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deed {
    /// What is done.
    pub act: Act,
    /// Time that passes before, in seconds.
    pub seconds: u32,
}

/// What can be done to a [`LifecycleManager`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// An event of whichever generation is present.
    Apply(LifecycleEvent),
    /// An event of the generation this much before the present one; negative for one to come.
    ApplyStamped(LifecycleEvent, i8),
    /// The present state is explained again.
    Explain,
}

/// The published table, a line for each of its cells: from, event, to.
const TABLE: &str = "
    LOADED       lifecycle.requirement_unmet  UNAVAILABLE
    LOADED       lifecycle.initialized        INITIALIZED
    LOADED       lifecycle.init_failed        FAILED
    INITIALIZED  lifecycle.engaged            RUNNING
    RUNNING      lifecycle.disengaged         INITIALIZED
    INITIALIZED  lifecycle.broken             FAILED
    RUNNING      lifecycle.broken             FAILED
    INITIALIZED  lifecycle.reload_asked       LOADED
    RUNNING      lifecycle.reload_asked       LOADED
    FAILED       lifecycle.restart_due        LOADED
    FAILED       lifecycle.reload_asked       LOADED
    UNAVAILABLE  lifecycle.reprobe_due        LOADED
    UNAVAILABLE  lifecycle.reload_asked       LOADED
";

/// Everything that ever happened, nothing forgotten; each answer is worked out from that.
#[derive(Debug)]
struct Model {
    taken: Vec<Taken>,
    refused: u64,
    explained: Option<Cause>,
}

/// A step that was taken.
#[derive(Debug)]
struct Taken {
    from: Option<&'static str>,
    event: &'static str,
    to: &'static str,
    cause: Cause,
    at: Instant,
}

/// Has what `bytes` stand for happen to a manager and to the model: two bytes a deed, any bytes
/// are good.
///
/// # Panics
/// Where the manager and the model differ.
pub fn check_sequence(bytes: &[u8]) {
    check(bytes.chunks_exact(2).map(|pair| Deed::from_bytes([pair[0], pair[1]])));
}

/// Has each of `deeds` happen to a manager and to the model.
///
/// # Panics
/// Where they differ.
pub fn check(deeds: impl IntoIterator<Item = Deed>) {
    let mut now = Instant::now();
    let mut manager = LifecycleManager::new(now);
    let mut model = Model::new(now);
    model.compare(&manager);
    for (number, deed) in deeds.into_iter().enumerate() {
        now += Duration::from_secs(deed.seconds.into());
        // Each has a cause of its own, so that one that stays too long is seen.
        let cause = Cause::new(format!("test.cause_{number}"), format!("deed {number}"));
        match deed.act {
            Act::Apply(event) => {
                let outcome = manager.apply(event, cause.clone(), now);
                model.apply(event, 0, cause, now, outcome);
            }
            Act::ApplyStamped(event, back) => {
                let stamped = manager.generation().wrapping_sub_signed(back.into());
                let outcome = manager.apply_stamped(stamped, event, cause.clone(), now);
                model.apply(event, back, cause, now, outcome);
            }
            Act::Explain => {
                manager.explain(cause.clone());
                model.explained = Some(cause);
            }
        }
        model.compare(&manager);
    }
}

impl Deed {
    /// What two bytes stand for; every event can be had, and most are of the present generation.
    #[must_use]
    pub fn from_bytes([what, when]: [u8; 2]) -> Self {
        let event = LifecycleEvent::ALL[usize::from(what) % LifecycleEvent::ALL.len()];
        let act = match what / 16 {
            0..=9 => Act::Apply(event),
            10..=11 => Act::ApplyStamped(event, 0),
            12..=13 => Act::ApplyStamped(event, 1),
            14 => Act::ApplyStamped(event, (when as i8) / 16),
            _ => Act::Explain,
        };
        // From no time at all to some 35 hours.
        Self { act, seconds: u32::from(when) * u32::from(when) * 2 }
    }
}

impl Model {
    fn new(now: Instant) -> Self {
        let registered = LifecycleEvent::Registered;
        let (event, to) = (registered.code(), "LOADED");
        let registration = Taken { from: None, event, to, cause: registered.into(), at: now };
        Self { taken: vec![registration], refused: 0, explained: None }
    }

    /// Takes an event of the generation `back` before the present one, and holds what the manager
    /// made of it against that.
    fn apply(
        &mut self,
        event: LifecycleEvent,
        back: i8,
        cause: Cause,
        at: Instant,
        outcome: Result<Transition, RefusedTransition>,
    ) {
        let (from, generation) = (self.state(), self.generation());
        let to = look_up(from, event.code());
        match (to, outcome) {
            (Some(to), Ok(step)) if back == 0 => {
                self.explained = None;
                self.taken.push(Taken { from: Some(from), event: event.code(), to, cause, at });
                self.compare_step(self.newest(), &step, self.generation());
            }
            (_, Err(RefusedTransition::Late { event: said, stamped, current })) if back != 0 => {
                self.refused += 1;
                let stamp = generation.wrapping_sub_signed(back.into());
                assert_eq!((said, stamped, current), (event, stamp, generation));
            }
            (None, Err(RefusedTransition::OutOfPlace { from: said, event: of })) if back == 0 => {
                self.refused += 1;
                assert_eq!((said.as_str(), of), (from, event));
            }
            (to, outcome) => panic!(
                "{event:?} of {back} generations back in {from}: {outcome:?}, the table says {to:?}"
            ),
        }
    }

    fn compare(&self, manager: &LifecycleManager) {
        assert_eq!(manager.state().as_str(), self.state());
        assert_eq!(manager.since(), self.newest().at);
        assert_eq!(manager.cause(), self.explained.as_ref().unwrap_or(&self.newest().cause));
        assert_eq!(manager.generation(), self.generation());
        assert_eq!(manager.initialized_at(), self.initialized_at());
        assert_eq!(manager.refused(), self.refused);
        assert_eq!(manager.engagements(), self.count("lifecycle.engaged"));

        let kept = self.kept();
        let length = kept.len().min(LifecycleManager::HISTORY_LENGTH);
        assert_eq!(manager.history().len(), length);
        assert_eq!(manager.forgotten(), (kept.len() - length) as u64);
        for ((taken, generation), step) in kept.into_iter().rev().zip(manager.history().rev()) {
            self.compare_step(taken, step, generation);
        }
    }

    fn compare_step(&self, taken: &Taken, step: &Transition, generation: u64) {
        let Transition { from, to, event, cause, at, generation: of } = step;
        let of = (from.map(LifecycleState::as_str), to.as_str(), event.code(), cause, *at, *of);
        assert_eq!(of, (taken.from, taken.to, taken.event, &taken.cause, taken.at, generation));
    }

    fn newest(&self) -> &Taken {
        self.taken.last().expect("the registration stays")
    }

    fn state(&self) -> &'static str {
        self.newest().to
    }

    /// One for each time that LOADED was entered.
    fn generation(&self) -> u64 {
        self.taken.iter().filter(|taken| taken.to == "LOADED").count() as u64
    }

    fn count(&self, event: &str) -> u64 {
        self.taken.iter().filter(|taken| taken.event == event).count() as u64
    }

    /// When init succeeded last, if nothing has ended what it built.
    fn initialized_at(&self) -> Option<Instant> {
        let available = ["INITIALIZED", "RUNNING"];
        let mut since = self.taken.iter().rev().take_while(|taken| available.contains(&taken.to));
        since.find(|taken| taken.event == "lifecycle.initialized").map(|taken| taken.at)
    }

    /// The steps that the history has, were it without end, each with its generation.
    fn kept(&self) -> Vec<(&Taken, u64)> {
        let unkept = ["lifecycle.engaged", "lifecycle.disengaged"];
        let mut generation = 0;
        let numbered = self.taken.iter().map(|taken| {
            generation += u64::from(taken.to == "LOADED");
            (taken, generation)
        });
        numbered.filter(|(taken, _)| !unkept.contains(&taken.event)).collect()
    }
}

/// Where the table's line for `from` and `event` leads.
fn look_up(from: &str, event: &str) -> Option<&'static str> {
    let cells = TABLE.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut lines = cells.filter(|cells| cells.len() == 3);
    lines.find(|cells| cells[..2] == [from, event]).map(|cells| cells[2])
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn events() -> impl Strategy<Value = LifecycleEvent> {
        proptest::sample::select(LifecycleEvent::ALL.to_vec())
    }

    const LENGTH_MAX: usize = if cfg!(miri) { 20 } else { 300 };

    /// What happens to an instance: mostly what the table has a line for.
    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let act = prop_oneof![
            6 => events().prop_map(Act::Apply),
            2 => events().prop_map(|event| Act::ApplyStamped(event, 0)),
            1 => (events(), -3..4_i8).prop_map(|(event, back)| Act::ApplyStamped(event, back)),
            1 => Just(Act::Explain),
        ];
        let deed = (act, 0..200_000_u32).prop_map(|(act, seconds)| Deed { act, seconds });
        vec(deed, 0..LENGTH_MAX)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            // Miri takes a thousand times as long.
            cases: if cfg!(miri) { 2 } else { 256 },
            // Regressions are written as tests; nothing is left in the folders of the source.
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn whatever_happens_the_manager_agrees_with_the_table(deeds in deeds()) {
            check(deeds);
        }

        #[test]
        fn so_it_does_for_any_bytes(bytes in vec(any::<u8>(), 0..2 * LENGTH_MAX)) {
            check_sequence(&bytes);
        }
    }

    #[test]
    fn bytes_can_stand_for_every_deed() {
        let pairs = (0..=u8::MAX).flat_map(|what| [0, 16, 128].map(|when| [what, when]));
        let acts: Vec<Act> = pairs.map(|pair| Deed::from_bytes(pair).act).collect();
        for event in LifecycleEvent::ALL {
            for wanted in
                [Act::Apply(event), Act::ApplyStamped(event, 0), Act::ApplyStamped(event, 1)]
            {
                assert!(acts.contains(&wanted), "{wanted:?}");
            }
        }
        assert!(acts.contains(&Act::Explain));
        let to_come = |act: &Act| matches!(act, Act::ApplyStamped(_, back) if *back < 0);
        assert!(acts.iter().any(to_come));
    }

    #[test]
    fn a_walk_over_every_line_of_the_table() {
        use LifecycleEvent as Event;
        let walk = [
            Event::RequirementUnmet,
            Event::ReprobeDue,
            Event::RequirementUnmet,
            Event::ReloadAsked,
            Event::InitFailed,
            Event::RestartDue,
            Event::InitFailed,
            Event::ReloadAsked,
            Event::Initialized,
            Event::Broken,
            Event::ReloadAsked,
            Event::Initialized,
            Event::Engaged,
            Event::Disengaged,
            Event::ReloadAsked,
            Event::Initialized,
            Event::Engaged,
            Event::Broken,
            Event::RestartDue,
            Event::Initialized,
            Event::Engaged,
            Event::ReloadAsked,
        ];
        let mut state = "LOADED";
        let mut met = std::collections::BTreeSet::new();
        for event in walk {
            met.insert((state, event.code()));
            state = look_up(state, event.code()).expect("the walk follows the table");
        }
        let lines = TABLE.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!((met.len(), lines), (13, 13));
        check(walk.map(|event| Deed { act: Act::Apply(event), seconds: 60 }));
    }
}
