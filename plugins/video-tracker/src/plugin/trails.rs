use std::collections::{BTreeMap, VecDeque};

use keepsight_contract::{OverlayShape, Track, TrackState};

/// Where tracks came from, for drawing.
#[derive(Debug, Default)]
pub(super) struct Trails(BTreeMap<u64, VecDeque<[f32; 2]>>);

impl Trails {
    /// Adds where `tracks` are now, and forgets those that are not among them.
    pub(super) fn extend(&mut self, tracks: &[Track]) {
        self.0.retain(|id, _| tracks.iter().any(|track| track.track_id == *id));
        for track in tracks {
            let [x, _] = track.bbox.center();
            let trail = self.0.entry(track.track_id).or_default();
            if trail.len() == POINTS_MAX {
                trail.pop_front();
            }
            trail.push_back([x, track.bbox.y + track.bbox.height]);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// A line for each track that is seen.
    pub(super) fn shapes(&self, tracks: &[Track]) -> impl Iterator<Item = OverlayShape> {
        let seen = tracks.iter().filter(|track| track.state == TrackState::Confirmed);
        seen.filter_map(|track| {
            let trail = self.0.get(&track.track_id).filter(|trail| trail.len() > 1)?;
            let points = trail.iter().copied().collect();
            Some(OverlayShape::Line { points, color: color(track.track_id) })
        })
    }
}

/// A colour that neighbouring ids don't share: hues a golden angle apart.
fn color(id: u64) -> [u8; 3] {
    let hue = (id as f64 * 0.618_033_988_749_895).fract() * 6.0;
    let ramp = (hue.fract() * 200.0) as u8;
    let (low, high) = (40, 240);
    match hue as u8 {
        0 => [high, low + ramp, low],
        1 => [high - ramp, high, low],
        2 => [low, high, low + ramp],
        3 => [low, high - ramp, high],
        4 => [low + ramp, low, high],
        _ => [high, low, high - ramp],
    }
}

const POINTS_MAX: usize = 32;
