use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BoundingBox;

/// What a plugin found in a frame, in a type that other plugins understand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Output {
    /// Objects, each on its own.
    Detections(Detections),
    /// Objects followed through time.
    Tracks(Tracks),
    /// Parts of the picture with a meaning.
    Regions(Regions),
    /// Anything else.
    Json(JsonOutput),
}

/// The sort of an [`Output`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputKind {
    /// [`Detections`].
    Detections,
    /// [`Tracks`].
    Tracks,
    /// [`Regions`].
    Regions,
    /// [`JsonOutput`].
    Json,
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Detections => "detections",
            Self::Tracks => "tracks",
            Self::Regions => "regions",
            Self::Json => "json",
        })
    }
}

/// A type that an [`Output`] can hold.
pub trait TypedOutput: Sized {
    /// Its sort.
    const KIND: OutputKind;
    /// The value, if `output` holds one of this type.
    fn from_output(output: &Output) -> Option<&Self>;
}

/// Objects found in one frame, each on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Detections(pub Vec<Detection>);

/// One object found in one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Where it is.
    #[serde(flatten)]
    pub bbox: BoundingBox,
    /// How sure the detector is, 0..=1.
    pub confidence: f32,
    /// Name of its class.
    pub class: Arc<str>,
    /// Number of its class in the detector's list, from 0.
    pub class_id: u32,
}

/// Objects followed up to one frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracks(pub Vec<Track>);

/// One object followed through time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Never reused within a run.
    pub track_id: u64,
    /// Where it is.
    #[serde(flatten)]
    pub bbox: BoundingBox,
    /// Of its centre, in pixels a second: right, down.
    pub velocity: [f32; 2],
    /// Of its newest detection, 0..=1.
    pub confidence: f32,
    /// Name of its class.
    pub class: Arc<str>,
    /// Number of its class in the detector's list, from 0.
    pub class_id: u32,
    /// How well it is known.
    pub state: TrackState,
    /// Frames since its first detection.
    pub age_frames: u32,
    /// Sequence of the frame in which it was first seen.
    pub first_sequence: u64,
    /// Seconds since it was first seen.
    pub since_seconds: f64,
}

/// How well a track is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TrackState {
    /// Seen too seldom to be sure.
    Tentative,
    /// Seen in the last frame that was looked at for objects, or a moment before that and since
    /// then hidden by one that was.
    Confirmed,
    /// Not seen when last looked for; where it should be by its motion.
    Coasting,
    /// Not seen for so long that its place is a guess.
    Lost,
}

/// Parts of one frame with a meaning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Regions(pub Vec<Region>);

/// A part of a frame with a meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// What it means, such as `motion`.
    pub label: String,
    /// Where it is.
    #[serde(flatten)]
    pub bbox: BoundingBox,
    /// How strongly, in the units of whoever made it.
    pub score: f32,
}

/// A named value for which there is no type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JsonOutput {
    /// Name of the value within the plugin's results.
    pub name: String,
    /// The value.
    pub value: Value,
}

impl JsonOutput {
    /// The value `value` under `name`.
    pub fn new(name: &str, value: impl Into<Value>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}

impl Output {
    /// The sort of this output.
    pub fn kind(&self) -> OutputKind {
        match self {
            Self::Detections(_) => OutputKind::Detections,
            Self::Tracks(_) => OutputKind::Tracks,
            Self::Regions(_) => OutputKind::Regions,
            Self::Json(_) => OutputKind::Json,
        }
    }
}

impl OutputKind {
    /// Its name in configurations and results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detections => "detections",
            Self::Tracks => "tracks",
            Self::Regions => "regions",
            Self::Json => "json",
        }
    }
}

macro_rules! typed_output {
    ($($type:ident in $variant:ident),+) => {$(
        impl TypedOutput for $type {
            const KIND: OutputKind = OutputKind::$variant;

            fn from_output(output: &Output) -> Option<&Self> {
                match output {
                    Output::$variant(value) => Some(value),
                    _ => None,
                }
            }
        }

        impl From<$type> for Output {
            fn from(value: $type) -> Self {
                Output::$variant(value)
            }
        }
    )+};
}

typed_output!(Detections in Detections, Tracks in Tracks, Regions in Regions, JsonOutput in Json);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_has_the_keys_of_the_wire() {
        let track = Track {
            track_id: 7,
            bbox: BoundingBox::new(1.0, 2.0, 3.0, 4.0),
            velocity: [0.0, 1.0],
            confidence: 0.5,
            class: "person".into(),
            class_id: 0,
            state: TrackState::Confirmed,
            age_frames: 3,
            first_sequence: 1,
            since_seconds: 0.1,
        };
        let json = serde_json::to_value(&track).unwrap();
        for key in
            ["track_id", "x", "y", "width", "height", "xyxy", "confidence", "class", "class_id"]
        {
            assert!(json.get(key).is_some(), "{key} is missing in {json}");
        }
        assert_eq!(serde_json::from_value::<Track>(json).unwrap(), track);
    }

    #[test]
    fn outputs_survive_the_wire() {
        let outputs = vec![
            Output::from(Detections::default()),
            Output::from(Regions(vec![Region {
                label: "motion".into(),
                bbox: BoundingBox::new(0.0, 0.0, 1.0, 1.0),
                score: 2.0,
            }])),
            Output::from(JsonOutput::new("mean", 0.5)),
        ];
        let json = serde_json::to_string(&outputs).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Output>>(&json).unwrap(), outputs);
        for output in &outputs {
            assert!(json.contains(output.kind().as_str()));
        }
    }
}
