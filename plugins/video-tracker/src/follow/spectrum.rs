use super::{CELLS, GRID};

/// A complex plane of `GRID × GRID`.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) re: [[f32; GRID]; GRID],
    pub(super) im: [[f32; GRID]; GRID],
}

/// Lanes of one transform: the same place of all columns.
type Lanes = [f32; GRID];

impl Plane {
    pub(super) const ZERO: Self = Self { re: [[0.0; GRID]; GRID], im: [[0.0; GRID]; GRID] };

    /// The discrete Fourier transform, in place and not scaled.
    pub(super) fn transform(&mut self) {
        // Down the columns, all at once; then turned, down the other axis, and turned back.
        for _ in 0..2 {
            transform_columns(&mut self.re, &mut self.im);
            transpose(&mut self.re);
            transpose(&mut self.im);
        }
    }

    /// `CELLS` times the inverse: a transform with both parts exchanged.
    pub(super) fn transform_back(&mut self) {
        std::mem::swap(&mut self.re, &mut self.im);
        self.transform();
        std::mem::swap(&mut self.re, &mut self.im);
    }

    pub(super) fn set_real(&mut self, values: &[f32; CELLS]) {
        for (row, values) in self.re.iter_mut().zip(values.as_chunks::<GRID>().0) {
            *row = *values;
        }
    }

    pub(super) fn set_imaginary(&mut self, values: &[f32; CELLS]) {
        for (row, values) in self.im.iter_mut().zip(values.as_chunks::<GRID>().0) {
            *row = *values;
        }
    }
}

/// Sixteen-point transforms as 4 × 4: decimated in time, radix 4 (Cooley and Tukey 1965).
fn transform_columns(re: &mut [Lanes; GRID], im: &mut [Lanes; GRID]) {
    let (mut between_re, mut between_im) = ([[0.0; GRID]; GRID], [[0.0; GRID]; GRID]);
    for first in 0..4 {
        let inputs = [0, 1, 2, 3].map(|nth| first + 4 * nth);
        let (out_re, out_im) = butterfly(inputs.map(|at| &re[at]), inputs.map(|at| &im[at]));
        for second in 0..4 {
            let [cosine, sine] = TWIDDLES[first * second];
            let (target_re, target_im) =
                (&mut between_re[second * 4 + first], &mut between_im[second * 4 + first]);
            for lane in 0..GRID {
                let (a, b) = (out_re[second][lane], out_im[second][lane]);
                target_re[lane] = a * cosine + b * sine;
                target_im[lane] = b * cosine - a * sine;
            }
        }
    }
    for second in 0..4 {
        let inputs = [0, 1, 2, 3].map(|first| second * 4 + first);
        let (out_re, out_im) =
            butterfly(inputs.map(|at| &between_re[at]), inputs.map(|at| &between_im[at]));
        for third in 0..4 {
            re[second + 4 * third] = out_re[third];
            im[second + 4 * third] = out_im[third];
        }
    }
}

/// Four-point transforms of all lanes.
#[inline(always)]
fn butterfly(re: [&Lanes; 4], im: [&Lanes; 4]) -> ([Lanes; 4], [Lanes; 4]) {
    let (mut out_re, mut out_im) = ([[0.0; GRID]; 4], [[0.0; GRID]; 4]);
    for lane in 0..GRID {
        let even = [re[0][lane] + re[2][lane], im[0][lane] + im[2][lane]];
        let odd = [re[0][lane] - re[2][lane], im[0][lane] - im[2][lane]];
        let even_late = [re[1][lane] + re[3][lane], im[1][lane] + im[3][lane]];
        let odd_late = [re[1][lane] - re[3][lane], im[1][lane] - im[3][lane]];
        (out_re[0][lane], out_im[0][lane]) = (even[0] + even_late[0], even[1] + even_late[1]);
        (out_re[1][lane], out_im[1][lane]) = (odd[0] + odd_late[1], odd[1] - odd_late[0]);
        (out_re[2][lane], out_im[2][lane]) = (even[0] - even_late[0], even[1] - even_late[1]);
        (out_re[3][lane], out_im[3][lane]) = (odd[0] - odd_late[1], odd[1] + odd_late[0]);
    }
    (out_re, out_im)
}

fn transpose(plane: &mut [Lanes; GRID]) {
    for row in 1..GRID {
        let (above, below) = plane.split_at_mut(row);
        for (column, above) in above.iter_mut().enumerate() {
            std::mem::swap(&mut above[row], &mut below[0][column]);
        }
    }
}

/// cos and sin of 2πn/16.
const TWIDDLES: [[f32; 2]; 10] = [
    [1.0, 0.0],
    [COS_1, SIN_1],
    [std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::FRAC_1_SQRT_2],
    [SIN_1, COS_1],
    [0.0, 1.0],
    [-SIN_1, COS_1],
    [-std::f32::consts::FRAC_1_SQRT_2, std::f32::consts::FRAC_1_SQRT_2],
    [-COS_1, SIN_1],
    [-1.0, 0.0],
    [-COS_1, -SIN_1],
];
/// cos and sin of 2π/16.
const COS_1: f32 = 0.923_879_5;
const SIN_1: f32 = 0.382_683_43;

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// By the definition.
    fn slow(plane: &Plane) -> Vec<[f64; 2]> {
        let value = |row: usize, column: usize| {
            [f64::from(plane.re[row][column]), f64::from(plane.im[row][column])]
        };
        let mut sums = Vec::new();
        for (u, v) in (0..GRID).flat_map(|u| (0..GRID).map(move |v| (u, v))) {
            let (mut re, mut im) = (0.0, 0.0);
            for (row, column) in (0..GRID).flat_map(|r| (0..GRID).map(move |c| (r, c))) {
                let angle = -TAU * ((u * row + v * column) % GRID) as f64 / GRID as f64;
                let ([a, b], (sine, cosine)) = (value(row, column), angle.sin_cos());
                re += a * cosine - b * sine;
                im += a * sine + b * cosine;
            }
            sums.push([re, im]);
        }
        sums
    }

    fn noise() -> Plane {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        };
        let mut plane = Plane::ZERO;
        plane.re.iter_mut().chain(&mut plane.im).flatten().for_each(|value| *value = next());
        plane
    }

    #[test]
    fn the_transform_is_what_it_is_defined_to_be() {
        let mut plane = noise();
        let expected = slow(&plane);
        plane.transform();
        for (at, [re, im]) in expected.into_iter().enumerate() {
            let (row, column) = (at / GRID, at % GRID);
            assert!((f64::from(plane.re[row][column]) - re).abs() < 1e-5, "{row} {column}");
            assert!((f64::from(plane.im[row][column]) - im).abs() < 1e-5, "{row} {column}");
        }
    }

    #[test]
    fn there_and_back_is_where_it_was() {
        let before = noise();
        let mut plane = before.clone();
        plane.transform();
        plane.transform_back();
        let pairs = plane.re.iter().chain(&plane.im).flatten();
        for (after, before) in pairs.zip(before.re.iter().chain(&before.im).flatten()) {
            assert!((after / CELLS as f32 - before).abs() < 1e-6);
        }
    }
}
