//! The contract's results, drawn.

use keepsight_contract::{
    BoundingBox, Detections, OverlayShape, Response, Track, TrackState, Tracks,
};

use super::canvas::{Canvas, text_extent};
use super::palette::track_colour;
use crate::Picture;

/// Draws what a plugin gave for this frame: tracks, or detections where there are no tracks, and
/// its overlay shapes above them.
pub fn draw_response(picture: &mut Picture, response: &Response) {
    match (response.output::<Tracks>(), response.output::<Detections>()) {
        (Some(tracks), _) => draw_tracks(picture, tracks),
        (None, Some(detections)) => draw_detections(picture, detections),
        (None, None) => {}
    }
    draw_shapes(picture, &response.overlay);
}

/// Draws each track's box in [`track_colour`], labelled with number, class and confidence.
///
/// A track that is only tentative or lost is left out: its place is a guess. A coasting one has
/// a thin line.
pub fn draw_tracks(picture: &mut Picture, tracks: &Tracks) {
    let mut canvas = Canvas::new(picture);
    for track in &tracks.0 {
        let thickness = match track.state {
            TrackState::Tentative | TrackState::Lost => continue,
            TrackState::Coasting => 1,
            _ => line_thickness(&canvas),
        };
        let Track { track_id, class, confidence, .. } = track;
        let label = format!("#{track_id} {class} {}%", percent(*confidence));
        labelled_box(&mut canvas, &track.bbox, &label, track_colour(*track_id), thickness);
    }
}

/// Draws each detection's box in its class's colour, labelled with class and confidence.
pub fn draw_detections(picture: &mut Picture, detections: &Detections) {
    let mut canvas = Canvas::new(picture);
    for detection in &detections.0 {
        let label = format!("{} {}%", detection.class, percent(detection.confidence));
        let colour = track_colour(u64::from(detection.class_id));
        let thickness = line_thickness(&canvas);
        labelled_box(&mut canvas, &detection.bbox, &label, colour, thickness);
    }
}

/// Draws overlay shapes, in their order.
pub fn draw_shapes(picture: &mut Picture, shapes: &[OverlayShape]) {
    let mut canvas = Canvas::new(picture);
    let thickness = line_thickness(&canvas);
    for shape in shapes {
        match shape {
            OverlayShape::Box { bbox, label, color } => {
                labelled_box(&mut canvas, bbox, label, *color, thickness);
            }
            OverlayShape::Line { points, color } => {
                for ends in points.windows(2) {
                    canvas.line(ends[0], ends[1], thickness, *color);
                }
            }
            OverlayShape::Text { at, text, color } if at.iter().all(|it| it.is_finite()) => {
                plate(&mut canvas, at[0] as i32, at[1] as i32, text, *color);
            }
            // A text that is nowhere, and shapes that only a newer contract knows.
            _ => {}
        }
    }
}

/// A box, and its label above it; inside it where there is no room above.
fn labelled_box(
    canvas: &mut Canvas<'_>,
    bbox: &BoundingBox,
    label: &str,
    colour: [u8; 3],
    thickness: i32,
) {
    if !bbox.is_valid() {
        return;
    }
    // Coordinates saturate at what i32 holds; far outside is outside all the same.
    let corners = bbox.corners().map(|edge| (edge.round() as i32).clamp(-FAR, FAR));
    canvas.outline(corners, thickness, colour);
    if label.is_empty() {
        return;
    }
    let [left, top, right, bottom] = corners;
    if right <= 0 || left >= canvas.width() || bottom <= 0 || top >= canvas.height() {
        return;
    }
    let [plate_width, plate_height] = plate_extent(canvas, label);
    let x = left.min(canvas.width() - plate_width).max(0);
    let y = if top >= plate_height { top - plate_height } else { top.max(0) };
    plate(canvas, x, y, label, colour);
}

/// Text on a plate of `colour`, black or white, whichever can be read on it.
fn plate(canvas: &mut Canvas<'_>, x: i32, y: i32, text: &str, colour: [u8; 3]) {
    let (x, y) = (x.clamp(-FAR, FAR), y.clamp(-FAR, FAR));
    let [width, height] = plate_extent(canvas, text);
    let scale = text_scale(canvas);
    canvas.fill([x, y, x + width, y + height], colour, 215);
    // BT.601's weights, in 256ths.
    let [red, green, blue] = colour.map(u32::from);
    let luma = (77 * red + 150 * green + 29 * blue) >> 8;
    let ink = if luma > 120 { [0; 3] } else { [255; 3] };
    canvas.text(x + PLATE_MARGIN * scale, y + PLATE_MARGIN * scale, text, scale, ink);
}

fn plate_extent(canvas: &Canvas<'_>, text: &str) -> [i32; 2] {
    let scale = text_scale(canvas);
    text_extent(text, scale).map(|extent| extent + 2 * PLATE_MARGIN * scale)
}

/// Two pixels up to 720 rows, three beyond, more for very large pictures.
fn line_thickness(canvas: &Canvas<'_>) -> i32 {
    2 + canvas.height() / 900
}

/// Letters of 7 pixels in small pictures, 14 from 400 rows on, 21 from 1,000.
fn text_scale(canvas: &Canvas<'_>) -> i32 {
    match canvas.height() {
        ..400 => 1,
        400..1000 => 2,
        rows => 3 + (rows - 1000) / 600,
    }
}

fn percent(share: f32) -> i32 {
    (share.clamp(0.0, 1.0) * 100.0).round() as i32
}

/// Space around a label's letters, in pixels of the font.
const PLATE_MARGIN: i32 = 1;
/// Where coordinates stop to count.
const FAR: i32 = 1 << 20;

#[cfg(test)]
mod tests;
