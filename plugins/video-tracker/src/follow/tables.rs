use std::f32::consts::PI;

use super::{GRID, HUES, ORIENTATIONS};

/// A Hann window over the cells of one axis.
pub(super) fn hann() -> [f32; GRID] {
    std::array::from_fn(|cell| (PI * (cell as f32 + 0.5) / GRID as f32).sin().powi(2))
}

/// ½ cos 2φ and ½ sin 2φ of each orientation φ, half a turn in equal parts: ½ + their product
/// with a gradient's own cos 2θ and sin 2θ is cos²(θ − φ).
pub(super) fn orientation_axes() -> [[f32; 2]; ORIENTATIONS] {
    std::array::from_fn(|nth| {
        let doubled = 2.0 * PI * nth as f32 / ORIENTATIONS as f32;
        [0.5 * doubled.cos(), 0.5 * doubled.sin()]
    })
}

/// cos and sin of each hue's angle in the plane of U and V.
pub(super) fn hue_axes() -> [[f32; 2]; HUES] {
    std::array::from_fn(|nth| {
        let angle = 2.0 * PI * nth as f32 / HUES as f32;
        [angle.cos(), angle.sin()]
    })
}

/// The spectrum, along one axis, of a Gauss bell around no shift: the two-dimensional one is its
/// product with itself.
#[cfg(feature = "gpu")]
pub(super) fn wanted_axis(sigma: f32) -> [f32; GRID] {
    std::array::from_fn(|frequency| {
        let term = |at: usize| {
            let distance = at.min(GRID - at) as f32;
            let turn = 2.0 * PI * ((frequency * at) % GRID) as f32 / GRID as f32;
            (-0.5 * distance * distance / (sigma * sigma)).exp() * turn.cos()
        };
        (0..GRID).map(term).sum()
    })
}
