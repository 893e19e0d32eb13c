use serde::{Deserialize, Serialize};

use crate::{BoundingBox, Output, TypedOutput};

/// What a call gives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Response {
    /// Results that other plugins and clients read.
    pub outputs: Vec<Output>,
    /// Files, such as a cropped picture.
    pub attachments: Vec<Attachment>,
    /// What to draw over the frame beside the boxes of its detections or tracks.
    pub overlay: Vec<OverlayShape>,
}

/// A file that belongs to a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// File name.
    pub name: String,
    /// Such as `image/jpeg`.
    pub media_type: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// Something to draw over a frame; coordinates are pixels of the frame, colours RGB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverlayShape {
    /// A box with a label at its upper edge.
    Box {
        /// Where.
        #[serde(flatten)]
        bbox: BoundingBox,
        /// Text; may be empty.
        label: String,
        /// Red, green, blue.
        color: [u8; 3],
    },
    /// Connected lines, such as the trail of a track.
    Line {
        /// Corners, in order.
        points: Vec<[f32; 2]>,
        /// Red, green, blue.
        color: [u8; 3],
    },
    /// A text.
    Text {
        /// Upper left corner.
        at: [f32; 2],
        /// What to write.
        text: String,
        /// Red, green, blue.
        color: [u8; 3],
    },
}

impl Response {
    /// An empty response.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a typed output.
    pub fn with(mut self, output: impl Into<Output>) -> Self {
        self.outputs.push(output.into());
        self
    }

    /// Adds a file.
    pub fn attach(mut self, name: &str, media_type: &str, bytes: Vec<u8>) -> Self {
        self.attachments.push(Attachment {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            bytes,
        });
        self
    }

    /// Adds a shape to draw.
    pub fn overlay(mut self, shape: OverlayShape) -> Self {
        self.overlay.push(shape);
        self
    }

    /// The first output of a type.
    pub fn output<T: TypedOutput>(&self) -> Option<&T> {
        self.outputs.iter().find_map(T::from_output)
    }
}
