use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use keepsight_contract::{ConfigError, Polygon, Ratio, Seconds};
use serde::Deserialize;

use super::DetectEvery;
use crate::{
    associate::AssociateConfig,
    detect::{GpuPolicy, GpuWish},
};

/// The plugin's part of the configuration; everything may be left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether to work on a GPU. For the whole instance.
    pub gpu: GpuPolicy,
    /// Only a GPU whose name contains this text. For the whole instance.
    pub adapter: Option<String>,
    /// Whether a GPU that is the processor in disguise will do; slow, for trying kernels. For
    /// the whole instance.
    pub software_gpu: bool,
    /// An ONNX file with its description beside it; without it, the bundled model. For the whole
    /// instance.
    pub model: Option<PathBuf>,
    /// How many threads detect; without it, as many as there are processors, at most 4. For the
    /// whole instance.
    pub threads: Option<NonZeroUsize>,
    /// Names of the classes to look for; empty for all that the model knows.
    pub classes: Vec<String>,
    /// How sure the detector must be.
    pub thresholds: Option<Thresholds>,
    /// Detections of one class that overlap by more than this (intersection over union) are one.
    pub overlap: Ratio,
    /// The most detections taken from a frame.
    pub detections_max: NonZeroUsize,
    /// How often the detector looks.
    pub detect_every: DetectEvery,
    /// Whether targets are followed by what they look like on the frames between.
    pub follow: bool,
    /// Nothing whose centre lies in one of these is detected.
    pub masks: Vec<Polygon>,
    /// How long an unseen track is kept.
    pub lost_after: Seconds,
    /// A file of detections in MOT Challenge text, instead of a detector. Its frame 1 is the
    /// stream's frame of sequence 0.
    pub detections: Option<PathBuf>,
    /// A file of camera motions that belongs to the stream's frames in the same way.
    pub camera_motion: Option<PathBuf>,
}

/// How sure the detector must be.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// From here on a detection is matched first, and reported.
    pub high: Ratio,
    /// From here on it may at least continue a track.
    pub low: Ratio,
    /// From here on it may begin one.
    pub new: Ratio,
}

impl Config {
    /// Refuses combinations that make no sense.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(Thresholds { high, low, new }) = self.thresholds
            && !(low <= high && high <= new)
        {
            return Err(ConfigError::new("thresholds: low ≤ high ≤ new is needed"));
        }
        if self.lost_after.0 > LOST_AFTER_MAX {
            return Err(ConfigError::new("lost_after is more than a minute"));
        }
        if self.detections_max.get() > DETECTIONS_MAX {
            return Err(ConfigError::new(format!("detections_max is more than {DETECTIONS_MAX}")));
        }
        if self.detections.is_some() && self.gpu == GpuPolicy::Required {
            return Err(ConfigError::new("gpu = \"required\" has no use with given detections"));
        }
        Ok(())
    }

    /// Refuses a stream's `overrides` of what only the whole instance can have.
    pub(super) fn check_overrides(&self, overrides: &Self) -> Result<(), ConfigError> {
        let changed = [
            ("gpu", self.gpu != overrides.gpu),
            ("adapter", self.adapter != overrides.adapter),
            ("software_gpu", self.software_gpu != overrides.software_gpu),
            ("model", self.model != overrides.model),
            ("threads", self.threads != overrides.threads),
        ];
        match changed.iter().find(|(_, changed)| *changed) {
            Some((key, _)) => Err(ConfigError::new(format!(
                "{key} is the whole instance's; a stream can't have its own"
            ))),
            None => overrides.check(),
        }
    }

    /// Which GPU will do.
    pub(super) fn gpu_wish(&self) -> GpuWish {
        GpuWish {
            policy: self.gpu,
            adapter: self.adapter.clone(),
            software_allowed: self.software_gpu,
        }
    }

    /// How many threads detect.
    pub(super) fn detector_threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(|| processors().min(THREADS_DEFAULT_MAX), NonZeroUsize::get)
    }

    /// What the association is to do.
    pub(super) fn associate(&self) -> AssociateConfig {
        let mut associate = match self.detections {
            Some(_) => AssociateConfig::for_given_detections(),
            None => AssociateConfig::default(),
        };
        if let Some(Thresholds { high, low, new }) = self.thresholds {
            associate.high_score = high.value();
            associate.low_score = low.value();
            associate.new_score = new.value();
        }
        associate.lost_seconds = self.lost_after.0.as_secs_f32();
        associate.detections_max = self.detections_max.get();
        associate.targets_max = 2 * self.detections_max.get();
        associate
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            gpu: GpuPolicy::Auto,
            adapter: None,
            software_gpu: false,
            model: None,
            threads: None,
            classes: Vec::new(),
            thresholds: None,
            overlap: Ratio::new(0.5).expect("in 0..=1"),
            detections_max: NonZeroUsize::new(300).expect("not 0"),
            detect_every: DetectEvery::Auto,
            follow: true,
            masks: Vec::new(),
            lost_after: Seconds(Duration::from_secs(1)),
            detections: None,
            camera_motion: None,
        }
    }
}

const LOST_AFTER_MAX: Duration = Duration::from_secs(60);
const DETECTIONS_MAX: usize = 1_000;
const THREADS_DEFAULT_MAX: usize = 4;
