//! Drawing results over a picture: boxes, labels, lines.
//!
//! Whoever shows a frame to a person (`snapshot.jpg`, a film of a tracking run) draws with
//! [`draw_response`] or with its parts. Lines and letters grow with the picture, so that they are
//! as readable at 1080p as at 480p. Anything may lie outside the picture; it is cut at the edge.

mod canvas;
mod draw;
mod font;
mod palette;

pub use draw::{draw_detections, draw_response, draw_shapes, draw_tracks};
pub use palette::track_colour;
