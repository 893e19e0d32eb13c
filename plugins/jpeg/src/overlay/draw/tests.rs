use keepsight_contract::Detection;

use super::*;

const RED: [u8; 3] = [255, 0, 0];

fn shape(bbox: BoundingBox, label: &str) -> OverlayShape {
    OverlayShape::Box { bbox, label: label.to_owned(), color: RED }
}

fn track(track_id: u64, state: TrackState) -> Track {
    Track {
        track_id,
        bbox: BoundingBox::new(40.0, 40.0, 50.0, 40.0),
        velocity: [0.0; 2],
        confidence: 0.87,
        class: "person".into(),
        class_id: 0,
        state,
        age_frames: 3,
        first_sequence: 0,
        since_seconds: 0.1,
    }
}

/// Pixels that are not black any more.
fn painted(picture: &Picture) -> usize {
    picture.rgb().chunks(3).filter(|pixel| *pixel != [0; 3]).count()
}

#[test]
fn a_box_is_its_outline() {
    let mut picture = Picture::filled(64, 48, [0; 3]);
    draw_shapes(&mut picture, &[shape(BoundingBox::new(10.0, 12.0, 20.0, 16.0), "")]);
    assert_eq!(painted(&picture), 20 * 16 - 16 * 12, "two pixels on each side");
    for (x, y) in [(10, 12), (29, 12), (10, 27), (29, 27), (11, 20), (28, 20)] {
        assert_eq!(picture.pixel(x, y), RED, "({x}, {y})");
    }
    for (x, y) in [(9, 12), (30, 12), (12, 14), (20, 20), (10, 28)] {
        assert_eq!(picture.pixel(x, y), [0; 3], "({x}, {y})");
    }
}

#[test]
fn whatever_lies_outside_is_cut() {
    let boxes = [
        BoundingBox::new(-1e30, -1e30, 2e30, 2e30),
        BoundingBox::new(1e9, 1e9, 10.0, 10.0),
        BoundingBox::new(-20.0, 5.0, 10.0, 10.0),
        BoundingBox::new(f32::NAN, 5.0, 10.0, 10.0),
        BoundingBox::new(5.0, 5.0, f32::INFINITY, 10.0),
        BoundingBox::new(5.0, 5.0, -10.0, 10.0),
    ];
    let mut picture = Picture::filled(64, 48, [0; 3]);
    for bbox in boxes {
        draw_shapes(&mut picture, &[shape(bbox, "far away")]);
        assert_eq!(
            painted(&picture) > 0,
            bbox == boxes[0],
            "only the first, which surrounds the picture, leaves its label: {bbox:?}"
        );
        picture = Picture::filled(64, 48, [0; 3]);
    }
    let points = vec![[-1e30, f32::NAN], [-50.0, 24.0], [1e6, 24.0], [f32::INFINITY, 0.0]];
    draw_shapes(&mut picture, &[OverlayShape::Line { points, color: RED }]);
    assert_eq!(painted(&picture), 64 * 2, "a line through the whole picture");
    let text = OverlayShape::Text { at: [1e30, -1e30], text: "no".repeat(500), color: RED };
    draw_shapes(&mut Picture::filled(0, 0, [0; 3]), &[text]);
}

#[test]
fn a_label_moves_into_the_picture() {
    let mut picture = Picture::filled(64, 48, [0; 3]);
    draw_shapes(&mut picture, &[shape(BoundingBox::new(50.0, 2.0, 30.0, 40.0), "cat")]);
    let columns: Vec<u32> = (0..64).filter(|&x| picture.pixel(x, 6) != [0; 3]).collect();
    assert_eq!(columns.first(), Some(&45), "19 pixels of plate end at the right edge");
}

#[test]
fn every_letter_has_its_own_shape() {
    let mut shapes = std::collections::BTreeMap::new();
    for letter in ' '..='~' {
        let mut picture = Picture::filled(8, 10, [0; 3]);
        Canvas::new(&mut picture).text(1, 1, &letter.to_string(), 1, [255; 3]);
        if let Some(other) = shapes.insert(picture.into_rgb(), letter) {
            panic!("{letter:?} looks like {other:?}");
        }
    }
    assert_eq!(shapes.len(), 95);
    let mut unknown = Picture::filled(8, 10, [0; 3]);
    Canvas::new(&mut unknown).text(1, 1, "ж", 1, [255; 3]);
    assert_eq!(shapes[unknown.rgb()], '?');
}

#[test]
fn tracks_are_told_apart_by_colour_and_guesses_left_out() {
    let drawn = |track: Track| {
        let mut picture = Picture::filled(160, 120, [0; 3]);
        draw_tracks(&mut picture, &Tracks(vec![track]));
        picture
    };
    assert_eq!(drawn(track(4, TrackState::Confirmed)).pixel(41, 79), track_colour(4));
    assert_eq!(drawn(track(5, TrackState::Confirmed)).pixel(41, 79), track_colour(5));
    let coasting = drawn(track(4, TrackState::Coasting));
    assert_eq!(coasting.pixel(40, 60), track_colour(4));
    assert_eq!(coasting.pixel(41, 60), [0; 3], "a thin line");
    for state in [TrackState::Tentative, TrackState::Lost] {
        assert_eq!(painted(&drawn(track(4, state))), 0, "{state:?}");
    }
}

#[test]
fn a_response_shows_tracks_before_detections_and_shapes_above() {
    let detections = Detections(vec![Detection {
        bbox: BoundingBox::new(100.0, 60.0, 20.0, 20.0),
        confidence: 0.5,
        class: "cat".into(),
        class_id: 15,
    }]);
    let mut picture = Picture::filled(160, 120, [0; 3]);
    draw_response(&mut picture, &Response::new().with(detections.clone()));
    assert_eq!(picture.pixel(100, 79), track_colour(15));

    let mut picture = Picture::filled(160, 120, [0; 3]);
    let response = Response::new()
        .with(detections)
        .with(Tracks(vec![track(4, TrackState::Confirmed)]))
        .overlay(OverlayShape::Line { points: vec![[0.0, 79.0], [159.0, 79.0]], color: RED });
    draw_response(&mut picture, &response);
    assert_eq!(picture.pixel(100, 70), [0; 3], "the detection is shown as a track already");
    assert_eq!(picture.pixel(40, 60), track_colour(4));
    assert_eq!(picture.pixel(60, 79), RED);
}
