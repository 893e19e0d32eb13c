//! The life of one plugin instance: which state it is in, since when, and why.
//!
//! Two halves. [`LifecycleState::after`] is the transition table and nothing else: pure, total,
//! and tested over the whole product of states and events. [`LifecycleManager`] walks that table
//! for one instance and remembers: the generation, the cause of the present state, a bounded
//! history, and how often it said no.
//!
//! Promised: a transition the table does not list never happens, it is refused and counted; an
//! event that belongs to an older generation revives nothing.
//!
//! Not done here: deciding *when* to restart or probe again (the supervisor does), running plugin
//! code (the sandbox does), and reading a clock; every time is passed in.
//!
//! ```
//! use std::time::Instant;
//! use keepsight::lifecycle::{Cause, LifecycleEvent, LifecycleManager, LifecycleState};
//!
//! let now = Instant::now();
//! let mut life = LifecycleManager::new(now);
//! let cause = Cause::new("dependency.gpu_missing", "no GPU").with_hint("install a Vulkan driver");
//! life.apply(LifecycleEvent::RequirementUnmet, cause, now)?;
//! assert_eq!(life.state(), LifecycleState::Unavailable);
//!
//! assert!(life.apply(LifecycleEvent::Engaged, LifecycleEvent::Engaged, now).is_err());
//! assert_eq!(life.refused(), 1);
//! # Ok::<(), keepsight::lifecycle::RefusedTransition>(())
//! ```

mod lifecycle_manager;
mod lifecycle_state;
#[doc(hidden)]
pub mod model;

pub use lifecycle_manager::{Cause, LifecycleManager, RefusedTransition, Transition};
pub use lifecycle_state::{LifecycleEvent, LifecycleState};
