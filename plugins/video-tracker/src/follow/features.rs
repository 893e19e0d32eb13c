use super::patch::Patch;
use super::tables::{hann, hue_axes, orientation_axes};
use super::{
    CELL, CELLS, CHANNELS, CHROMA_SIDE, FollowConfig, GRID, HUES, LUMA_SIDE, ORIENTATIONS,
    PATCH_SIDE,
};

/// `CHANNELS` planes of `GRID × GRID` cells.
pub(super) type Features = [[f32; CELLS]; CHANNELS];

/// Turns patches into features. Has the tables that depend on nothing else.
#[derive(Debug)]
pub(super) struct Extractor {
    /// ½ cos 2φ, ½ sin 2φ of each orientation's axis φ.
    orientations: [[f32; 2]; ORIENTATIONS],
    /// cos φ, sin φ of each hue.
    hues: [[f32; 2]; HUES],
    window: [f32; CELLS],
    energy: [f32; CELLS],
}

/// Of each orientation, a line of the patch.
type Lines = [[f32; PATCH_SIDE]; ORIENTATIONS];

impl Extractor {
    pub(super) fn new() -> Self {
        let hann = hann();
        let mut window = [0.0; CELLS];
        for (cell, weight) in window.iter_mut().enumerate() {
            *weight = hann[cell / GRID] * hann[cell % GRID];
        }
        Self { orientations: orientation_axes(), hues: hue_axes(), window, energy: [0.0; CELLS] }
    }

    /// The features of a patch, windowed.
    pub(super) fn extract(
        &mut self,
        patch: &Patch,
        config: &FollowConfig,
        features: &mut Features,
    ) {
        self.gradients(patch, features);
        self.normalise(features);
        self.colours(patch, config, features);
        self.gray(patch, config, features);
        for channel in features.iter_mut() {
            for (value, weight) in channel.iter_mut().zip(&self.window) {
                *value *= weight;
            }
        }
    }

    /// Histograms of gradients' orientations, each pixel shared by its four nearest cells.
    fn gradients(&self, patch: &Patch, features: &mut Features) {
        let mut upper: Lines = [[0.0; PATCH_SIDE]; ORIENTATIONS];
        let mut lower: Lines = [[0.0; PATCH_SIDE]; ORIENTATIONS];
        // The band of lines between the middles of cells `band - 1` and `band`.
        for band in 0..=GRID {
            for line in 0..CELL {
                let y = (band * CELL + line) as isize - (CELL / 2) as isize;
                if !(0..PATCH_SIDE as isize).contains(&y) {
                    continue;
                }
                let share = (line as f32 + 0.5) / CELL as f32;
                self.line(patch, y as usize, share, &mut upper, &mut lower);
            }
            if band > 0 {
                for (line, channel) in upper.iter().zip(features.iter_mut()) {
                    gather(line, &mut channel[(band - 1) * GRID..][..GRID]);
                }
            }
            upper = lower;
            lower = [[0.0; PATCH_SIDE]; ORIENTATIONS];
        }
    }

    /// Adds the gradients of line `y`: `share` of them to `lower`, the rest to `upper`.
    fn line(&self, patch: &Patch, y: usize, share: f32, upper: &mut Lines, lower: &mut Lines) {
        let row = |y: usize| &patch.luma[y * LUMA_SIDE..][..LUMA_SIDE];
        let (above, here, below) = (row(y), row(y + 1), row(y + 2));
        let mut magnitude = [0.0; PATCH_SIDE];
        let mut cosine = [0.0; PATCH_SIDE];
        let mut sine = [0.0; PATCH_SIDE];
        for x in 0..PATCH_SIDE {
            let across = here[x + 2] - here[x];
            let down = below[x + 1] - above[x + 1];
            let square = across * across + down * down;
            let inverse = 1.0 / (square + GRADIENT_FLOOR);
            magnitude[x] = square.sqrt();
            cosine[x] = (across * across - down * down) * inverse;
            sine[x] = 2.0 * across * down * inverse;
        }
        let lines = self.orientations.iter().zip(upper.iter_mut().zip(lower));
        for ([half_cosine, half_sine], (upper, lower)) in lines {
            for x in 0..PATCH_SIDE {
                let near = 0.5 + cosine[x] * half_cosine + sine[x] * half_sine;
                let nearer = near * near;
                let value = nearer * nearer * magnitude[x];
                lower[x] += value * share;
                upper[x] += value * (1.0 - share);
            }
        }
    }

    /// Divides each cell's histogram by the energy of its neighbourhood.
    fn normalise(&mut self, features: &mut Features) {
        let Self { energy, .. } = self;
        let (histograms, _) = features.split_at_mut(ORIENTATIONS);
        energy.fill(0.0);
        for channel in &*histograms {
            for (energy, value) in energy.iter_mut().zip(channel) {
                *energy += value * value;
            }
        }
        let at = |x: usize, y: usize| energy[y * GRID + x];
        for y in 0..GRID {
            let (above, below) = (y.saturating_sub(1), (y + 1).min(GRID - 1));
            for x in 0..GRID {
                let (left, right) = (x.saturating_sub(1), (x + 1).min(GRID - 1));
                let line = |y| at(left, y) + 2.0 * at(x, y) + at(right, y);
                let around = line(above) + 2.0 * line(y) + line(below);
                let scale = 1.0 / (around / 16.0 + ENERGY_FLOOR).sqrt();
                for channel in &mut *histograms {
                    channel[y * GRID + x] = (channel[y * GRID + x] * scale).min(HISTOGRAM_MAX);
                }
            }
        }
    }

    /// How much each cell is black, gray, white, or of one of the hues.
    fn colours(&self, patch: &Patch, config: &FollowConfig, features: &mut Features) {
        let [u, v] = &*patch.chroma;
        let (_, colours) = features.split_at_mut(ORIENTATIONS);
        for y in 0..GRID {
            for x in 0..GRID {
                let cell = y * GRID + x;
                let at = 2 * y * CHROMA_SIDE + 2 * x;
                let mean = |plane: &[f32]| {
                    let sum = plane[at]
                        + plane[at + 1]
                        + plane[at + CHROMA_SIDE]
                        + plane[at + CHROMA_SIDE + 1];
                    (sum / 4.0 - 128.0) / 112.0
                };
                let (u, v) = (mean(u), mean(v));
                let length = (u * u + v * v).sqrt();
                let saturation = length / (length + config.saturation_half);
                let light = luma_mean(patch, x, y) / 255.0;
                let gray = (1.0 - saturation) * config.colour_weight;
                let black = (1.0 - 2.0 * light).max(0.0);
                let white = (2.0 * light - 1.0).max(0.0);
                colours[0][cell] = gray * black;
                colours[1][cell] = gray * (1.0 - black - white);
                colours[2][cell] = gray * white;
                let strength = saturation * config.colour_weight / HUE_SUM;
                let inverse = 0.5 / (length + 1e-6);
                for (channel, [cosine, sine]) in colours[3..].iter_mut().zip(&self.hues) {
                    let near = 0.5 + (u * cosine + v * sine) * inverse;
                    let nearer = near * near;
                    channel[cell] = strength * nearer * nearer;
                }
            }
        }
    }

    fn gray(&self, patch: &Patch, config: &FollowConfig, features: &mut Features) {
        let channel = &mut features[CHANNELS - 1];
        for (cell, value) in channel.iter_mut().enumerate() {
            let light = luma_mean(patch, cell % GRID, cell / GRID);
            *value = (light / 255.0 - 0.5) * config.gray_weight;
        }
    }
}

/// Of a cell's pixels.
fn luma_mean(patch: &Patch, x: usize, y: usize) -> f32 {
    let rows = (0..CELL).map(|line| {
        let start = (y * CELL + line + 1) * LUMA_SIDE + x * CELL + 1;
        patch.luma[start..start + CELL].iter().sum::<f32>()
    });
    rows.sum::<f32>() / (CELL * CELL) as f32
}

/// A line of pixels into a line of cells, each pixel shared by its two nearest.
fn gather(line: &[f32; PATCH_SIDE], cells: &mut [f32]) {
    let mut padded = [0.0; PATCH_SIDE + CELL];
    padded[CELL / 2..][..PATCH_SIDE].copy_from_slice(line);
    for (cell, value) in cells.iter_mut().enumerate() {
        let pixels: &[f32; 2 * CELL] =
            padded[cell * CELL..][..2 * CELL].try_into().expect("it is as long");
        let mut sum = 0.0;
        for (pixel, weight) in pixels.iter().zip(SHARES) {
            sum += pixel * weight;
        }
        *value = sum;
    }
}

const SHARES: [f32; 2 * CELL] = [0.125, 0.375, 0.625, 0.875, 0.875, 0.625, 0.375, 0.125];

/// So faint a gradient, in squared levels, has no direction.
const GRADIENT_FLOOR: f32 = 1.0;
/// Energy of cells without contrast, in squared levels: what is fainter stays faint.
const ENERGY_FLOOR: f32 = 400.0;
/// No single contrast counts for more (Dalal and Triggs 2005, 6.4).
const HISTOGRAM_MAX: f32 = 0.4;
/// The hues' weights add up to this: 7 · C(8, 4) / 2⁸.
const HUE_SUM: f32 = 7.0 * 70.0 / 256.0;
