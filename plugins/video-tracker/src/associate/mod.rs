//! Links detections to targets over time: pure, without threads, pixels or clocks.
//!
//! ```
//! use keepsight_contract::{BoundingBox, TrackState};
//! use keepsight_video_tracker::associate::{AssociateConfig, Associator, Observation, Step};
//!
//! let mut associator = Associator::new(AssociateConfig::default());
//! for sequence in 0..30 {
//!     let bbox = BoundingBox::new(10.0 + 2.0 * sequence as f32, 40.0, 50.0, 120.0);
//!     let walker = Observation { bbox, confidence: 0.9, class_id: 0 };
//!     associator.step(&Step {
//!         sequence,
//!         elapsed: 1.0 / 30.0,
//!         observations: Some(&[walker]),
//!         camera_motion: None,
//!     });
//! }
//! let [target] = associator.targets() else { panic!() };
//! assert_eq!(target.state(), TrackState::Confirmed);
//! assert!((target.velocity()[0] - 60.0).abs() < 5.0);
//! ```
//!
//! It promises that ids are never given twice, that the same input gives the same output bit for
//! bit, and that whatever the input, a step's time and memory are bounded. It does not know the
//! picture's size: targets may reach beyond it.

mod affine;
mod assignment;
mod associator;
mod config;
mod grid;
mod matching;
mod motion;
mod observation;
#[cfg(test)]
mod random;
mod sight;
mod target;

pub use affine::Affine;
pub use associator::{Associator, EndReason, Step, StepOutcome, TargetEvent};
pub use config::AssociateConfig;
pub use motion::MotionNoise;
pub use observation::{Observation, Rejections};
pub use sight::{Expected, Followed, Sight};
pub use target::Target;
