use keepsight_contract::BoundingBox;

/// How the camera moved between two frames: the map that carries the earlier frame's pixels to
/// the later one's, `x' = a·x + b·y + tx`, `y' = c·x + d·y + ty`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The rows `[a, b, tx]` and `[c, d, ty]`; translations in pixels.
    pub rows: [[f32; 3]; 2],
}

impl Affine {
    /// A camera that stood still.
    pub const IDENTITY: Self = Self { rows: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] };

    /// Whether the map can be a camera's: all numbers finite, the picture scaled by 1/4 to 4 in
    /// both directions and not mirrored, moved by at most 65,536 pixels.
    pub fn is_plausible(&self) -> bool {
        let [[a, b, tx], [c, d, ty]] = self.rows;
        let determinant = a * d - b * c;
        let [across, down] = self.scales();
        self.rows.iter().flatten().all(|n| n.is_finite())
            && determinant > 0.0
            && (SCALE_MIN..=SCALE_MAX).contains(&across)
            && (SCALE_MIN..=SCALE_MAX).contains(&down)
            && tx.abs() <= TRANSLATION_MAX
            && ty.abs() <= TRANSLATION_MAX
    }

    /// Where the point (`x`, `y`) of the earlier frame is in the later one.
    pub fn point(&self, x: f32, y: f32) -> [f32; 2] {
        let [[a, b, tx], [c, d, ty]] = self.rows;
        [a * x + b * y + tx, c * x + d * y + ty]
    }

    /// Where the box of the earlier frame is in the later one: its centre mapped, its sides
    /// scaled. A rotation does not widen it, for what it bounds stays as wide.
    pub fn bounding_box(&self, bbox: &BoundingBox) -> BoundingBox {
        let [x, y] = bbox.center();
        let [x, y] = self.point(x, y);
        let [across, down] = self.scales();
        let (width, height) = (bbox.width * across, bbox.height * down);
        BoundingBox::new(x - width / 2.0, y - height / 2.0, width, height)
    }

    /// The linear part's rows, for directions and speeds.
    pub(super) fn linear(&self) -> [[f32; 2]; 2] {
        let [[a, b, _], [c, d, _]] = self.rows;
        [[a, b], [c, d]]
    }

    /// By how much horizontal and vertical lengths grow.
    pub(super) fn scales(&self) -> [f32; 2] {
        let [[a, b, _], [c, d, _]] = self.rows;
        [(a * a + c * c).sqrt(), (b * b + d * d).sqrt()]
    }
}

const SCALE_MIN: f32 = 0.25;
const SCALE_MAX: f32 = 4.0;
const TRANSLATION_MAX: f32 = 65_536.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zooming_camera_moves_and_widens_a_box() {
        let zoom = Affine { rows: [[2.0, 0.0, -10.0], [0.0, 2.0, 5.0]] };
        let seen = zoom.bounding_box(&BoundingBox::new(10.0, 20.0, 4.0, 8.0));
        assert_eq!(seen, BoundingBox::new(10.0, 45.0, 8.0, 16.0));
    }

    #[test]
    fn a_turning_camera_keeps_sizes() {
        let (sin, cos) = 0.1f32.sin_cos();
        let turn = Affine { rows: [[cos, -sin, 0.0], [sin, cos, 0.0]] };
        let seen = turn.bounding_box(&BoundingBox::new(0.0, 0.0, 30.0, 60.0));
        assert!((seen.width - 30.0).abs() < 1e-3 && (seen.height - 60.0).abs() < 1e-3);
    }

    #[test]
    fn only_what_a_camera_can_do_is_plausible() {
        assert!(Affine::IDENTITY.is_plausible());
        for rows in [
            [[f32::NAN, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[1.0, 0.0, f32::INFINITY], [0.0, 1.0, 0.0]],
            [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            [[9.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
            [[1.0, 0.0, 1e9], [0.0, 1.0, 0.0]],
        ] {
            assert!(!Affine { rows }.is_plausible(), "{rows:?}");
        }
    }
}
