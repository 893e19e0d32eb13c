use std::time::Instant;

use keepsight_contract::Frame;

#[cfg(feature = "gpu")]
use super::GpuFollower;
use super::{CpuFollower, FollowConfig, FollowError, Found, Lesson, Sought};

/// One of the two ways to follow targets, for one session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Follower {
    /// On the calling thread.
    Cpu(Box<CpuFollower>),
    /// On a GPU.
    #[cfg(feature = "gpu")]
    Gpu(Box<GpuFollower>),
}

impl Follower {
    /// The CPU's way, which always works.
    pub fn cpu(config: FollowConfig) -> Self {
        Self::Cpu(Box::new(CpuFollower::new(config)))
    }

    /// What it does.
    pub fn config(&self) -> &FollowConfig {
        match self {
            Self::Cpu(follower) => follower.config(),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => follower.config(),
        }
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// [`FollowError`] when the frame can't be decoded or converted, or has no room on a GPU;
    /// where [`is_gpu_fault`](FollowError::is_gpu_fault) says so, [`fall_back`](Self::fall_back).
    pub fn take(&mut self, frame: &Frame) -> Result<(), FollowError> {
        match self {
            Self::Cpu(follower) => follower.take(frame),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => follower.take(frame),
        }
    }

    /// Lets go of the frame; the next one has to be taken in before anything else.
    pub fn release(&mut self) {
        match self {
            Self::Cpu(follower) => follower.release(),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => follower.release(),
        }
    }

    /// Looks for each of `sought` in the frame, around its box, and says where it is; a GPU is
    /// waited for until `deadline`.
    ///
    /// # Errors
    /// [`FollowError`] when the GPU fails.
    pub fn locate(
        &mut self,
        sought: &[Sought],
        deadline: Instant,
        found: &mut Vec<Found>,
    ) -> Result<(), FollowError> {
        let _ = deadline;
        match self {
            Self::Cpu(follower) => follower.locate(sought, found),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => return follower.locate(sought, deadline, found),
        }
        Ok(())
    }

    /// Looks at each box of the frame with its filter, in that size only.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub fn compare(
        &mut self,
        sought: &[Sought],
        deadline: Instant,
        found: &mut Vec<Found>,
    ) -> Result<(), FollowError> {
        let _ = deadline;
        match self {
            Self::Cpu(follower) => follower.compare(sought, found),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => return follower.compare(sought, deadline, found),
        }
        Ok(())
    }

    /// Teaches filters what their targets look like in the frame.
    ///
    /// # Errors
    /// As [`locate`](Self::locate).
    pub fn learn(&mut self, lessons: &[Lesson]) -> Result<(), FollowError> {
        match self {
            Self::Cpu(follower) => follower.learn(lessons),
            #[cfg(feature = "gpu")]
            Self::Gpu(follower) => return follower.learn(lessons),
        }
        Ok(())
    }

    /// From here on on the CPU, without any filter.
    pub fn fall_back(&mut self) {
        *self = Self::cpu(*self.config());
    }
}
