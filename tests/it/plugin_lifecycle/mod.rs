//! The life of one instance, told from outside: what a supervisor does to it, over time.

mod containment;
mod hanging;
mod instances;
mod reloads;
mod restarts;

use std::time::{Duration, Instant};

use keepsight::lifecycle::{Cause, LifecycleEvent, LifecycleManager, LifecycleState};

use LifecycleEvent as Event;
use LifecycleState as State;

/// A month in which much goes wrong, each line with the state it leads to.
const STORY: &[(Event, State)] = &[
    (Event::RequirementUnmet, State::Unavailable),
    (Event::ReprobeDue, State::Loaded),
    (Event::InitFailed, State::Failed),
    (Event::RestartDue, State::Loaded),
    (Event::Initialized, State::Initialized),
    (Event::Engaged, State::Running),
    (Event::Disengaged, State::Initialized),
    (Event::Engaged, State::Running),
    (Event::Broken, State::Failed),
    (Event::ReloadAsked, State::Loaded),
    (Event::Initialized, State::Initialized),
    (Event::ReloadAsked, State::Loaded),
];

#[test]
fn a_month_in_which_much_goes_wrong() {
    let start = Instant::now();
    let mut life = LifecycleManager::new(start);
    for (hour, (event, state)) in (1..).zip(STORY) {
        let now = start + Duration::from_secs(hour * 3600);
        let step = life.apply(*event, *event, now).expect("the story follows the table");
        assert_eq!((step.to, life.state(), life.since()), (*state, *state, now), "hour {hour}");
    }
    assert_eq!(life.generation(), 5);
    assert_eq!(life.engagements(), 2);
    assert_eq!(life.refused(), 0);
    let kept: Vec<_> = life.history().map(|step| (step.to.as_str(), step.generation)).collect();
    assert_eq!(
        kept,
        [
            ("LOADED", 1),
            ("UNAVAILABLE", 1),
            ("LOADED", 2),
            ("FAILED", 2),
            ("LOADED", 3),
            ("INITIALIZED", 3),
            ("FAILED", 3),
            ("LOADED", 4),
            ("INITIALIZED", 4),
            ("LOADED", 5),
        ]
    );
}

#[test]
fn an_init_that_was_given_up_cannot_bring_its_generation_back() {
    let now = Instant::now();
    let mut life = LifecycleManager::new(now);
    let stamp = life.generation();
    let timed_out = Cause::new("init.timed_out", "init gave no answer within 120s");
    life.apply_stamped(stamp, Event::InitFailed, timed_out.clone(), now).expect("in the table");

    // The hung init returns after all: before the restart, then after it.
    assert!(life.apply_stamped(stamp, Event::Initialized, Event::Initialized, now).is_err());
    assert_eq!((life.state(), life.cause()), (State::Failed, &timed_out));
    life.apply(Event::RestartDue, Event::RestartDue, now).expect("in the table");
    assert!(life.apply_stamped(stamp, Event::Initialized, Event::Initialized, now).is_err());
    assert_eq!(life.state(), State::Loaded);
    assert_eq!(life.refused(), 2);
}
