use keepsight_contract::BoundingBox;

use super::patch::Region;
use super::peak::{Peak, vertex};
use super::{FollowConfig, Found, GRID, SCALES};

impl FollowConfig {
    /// What a filter looks at to see the target in `bbox`, `scale` times as large as it was.
    pub(super) fn region(&self, bbox: &BoundingBox, scale: f32) -> Region {
        let side = (bbox.width * bbox.height).sqrt();
        let extent = |own: f32| {
            let own = side + (own - side) * self.anisotropy;
            ((own + self.padding * side) * scale).max(1.0)
        };
        Region { center: bbox.center(), size: [extent(bbox.width), extent(bbox.height)] }
    }
}

/// The answer from the peaks at all scales.
pub(super) fn choose(config: &FollowConfig, bbox: &BoundingBox, peaks: &[Peak; 3]) -> Found {
    let [smaller, same, larger] = peaks.map(|peak| peak.value);
    let reluctant = [smaller * config.scale_reluctance, same, larger * config.scale_reluctance];
    let mut best = 1;
    for other in [0, 2] {
        if reluctant[other] > reluctant[best] {
            best = other;
        }
    }
    let peak = &peaks[best];
    let exponent = SCALES[best] as f32
        + if best == 1 { vertex(reluctant[0], reluctant[1], reluctant[2]) } else { 0.0 };
    let scale = config.scale_step.powf(exponent * config.scale_trust);
    let looked = config.scale_step.powi(SCALES[best]);
    moved(config, bbox, peak, looked, scale)
}

/// The answer from the peak at the box's own size.
pub(super) fn stay(config: &FollowConfig, bbox: &BoundingBox, peak: &Peak) -> Found {
    moved(config, bbox, peak, 1.0, 1.0)
}

/// `looked` is the scale at which the peak was found, `scale` the one believed.
fn moved(config: &FollowConfig, bbox: &BoundingBox, peak: &Peak, looked: f32, scale: f32) -> Found {
    let region = config.region(bbox, looked);
    let [x, y] = region.center;
    let [x, y] = [
        x + peak.shift[0] * region.size[0] / GRID as f32,
        y + peak.shift[1] * region.size[1] / GRID as f32,
    ];
    let (width, height) = (bbox.width * scale, bbox.height * scale);
    Found {
        bbox: BoundingBox::new(x - width / 2.0, y - height / 2.0, width, height),
        likeness: peak.value,
        sidelobe_ratio: peak.sidelobe_ratio,
    }
}
