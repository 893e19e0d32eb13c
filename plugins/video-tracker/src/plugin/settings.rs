use std::sync::Arc;

use keepsight_contract::{BoundingBox, ConfigError, Detection, FrameSize, OverlayShape, Polygon};

use super::{Config, DetectEvery, given::Given};
use crate::{
    associate::AssociateConfig,
    detect::{DetectOptions, ModelDescription},
};

/// What a session does, from its stream's configuration and the model.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) detect: DetectOptions,
    pub(super) detect_every: DetectEvery,
    pub(super) follow: bool,
    pub(super) associate: AssociateConfig,
    pub(super) given: Given,
    /// The class of given detections.
    given_class: Arc<str>,
    masks: Vec<Polygon>,
}

impl Settings {
    /// # Errors
    /// [`ConfigError`] when the configuration asks for what the model or its files don't have.
    pub(super) fn new(
        config: &Config,
        model: Option<&ModelDescription>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let associate = config.associate();
        let classes = match model {
            Some(model) => class_ids(&config.classes, model)?,
            None => Vec::new(),
        };
        let given = Given::read(config.detections.as_deref(), config.camera_motion.as_deref())
            .map_err(|error| ConfigError::new(told(&error)))?;
        Ok(Self {
            detect: DetectOptions {
                confidence_min: associate.low_score,
                overlap_max: config.overlap.value(),
                detections_max: associate.detections_max,
                classes,
            },
            detect_every: config.detect_every,
            follow: config.follow,
            associate,
            given,
            given_class: config.classes.first().map_or("object", String::as_str).into(),
            masks: config.masks.clone(),
        })
    }

    /// Whether the centre of a box lies under a mask.
    pub(super) fn is_masked(&self, bbox: &BoundingBox, size: FrameSize) -> bool {
        let [x, y] = bbox.center();
        let (x, y) = (x / size.width as f32, y / size.height as f32);
        self.masks.iter().any(|mask| mask.contains(x, y))
    }

    /// The outlines of the masks, in pixels.
    pub(super) fn mask_shapes(&self, size: FrameSize) -> impl Iterator<Item = OverlayShape> {
        let (width, height) = (size.width as f32, size.height as f32);
        self.masks.iter().map(move |mask| {
            let corners = mask.points();
            let closed = corners.iter().chain(corners.first());
            let points = closed.map(|[x, y]| [x * width, y * height]).collect();
            OverlayShape::Line { points, color: MASK_COLOR }
        })
    }

    /// The name of a class: the model's, or the one of given detections.
    pub(super) fn class(&self, id: u32, model: Option<&ModelDescription>) -> Arc<str> {
        let named = model.and_then(|model| model.class(id as usize));
        named.unwrap_or(&self.given_class).clone()
    }

    /// The given detections of a frame, or `None` where they are a detector's to find.
    pub(super) fn given_detections(&self, sequence: u64) -> Option<Vec<Detection>> {
        let given = self.given.detections(sequence)?;
        let detections = given.iter().map(|seen| Detection {
            bbox: seen.bbox,
            confidence: seen.confidence,
            class: self.given_class.clone(),
            class_id: seen.class_id,
        });
        Some(detections.collect())
    }
}

fn class_ids(names: &[String], model: &ModelDescription) -> Result<Vec<u32>, ConfigError> {
    let id = |name: &String| {
        model.class_id(name).ok_or_else(|| {
            let known: Vec<_> = model.class_names().collect();
            ConfigError::new(format!(
                "classes: the model knows no {name:?}; it knows {}",
                known.join(", ")
            ))
        })
    };
    names.iter().map(id).collect()
}

/// An error and its causes in one line.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

const MASK_COLOR: [u8; 3] = [128, 128, 128];
