use super::features::Features;
use super::spectrum::Plane;
use super::{CELLS, CHANNELS, FollowConfig, GRID};

/// A target's look: a discriminative correlation filter over all channels, in the frequency
/// domain (Bolme et al. 2010, "Visual Object Tracking using Adaptive Correlation Filters", with
/// channels after Danelljan et al. 2014, "Accurate Scale Estimation", section 3).
///
/// Spectra of real planes repeat themselves mirrored, so that half of each is kept.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// The wanted response times the features' conjugate, by channel.
    numerator: Spectra,
    /// The features' energy over all channels.
    energy: [f32; HALF],
}

/// The spectra of all channels: rows 0 to `GRID / 2` of each.
#[derive(Clone, Debug)]
pub(super) struct Spectra {
    re: [[f32; HALF]; CHANNELS],
    im: [[f32; HALF]; CHANNELS],
}

impl Spectra {
    pub(super) const ZERO: Self = Self { re: [[0.0; HALF]; CHANNELS], im: [[0.0; HALF]; CHANNELS] };

    /// Two channels a transform, one as real and one as imaginary part: the even part of the
    /// spectrum is then the first one's, the odd part the second one's.
    pub(super) fn fill(&mut self, features: &Features, plane: &mut Plane) {
        let pairs = features.as_chunks::<2>().0.iter();
        let spectra = self.re.as_chunks_mut::<2>().0.iter_mut();
        let spectra = spectra.zip(self.im.as_chunks_mut::<2>().0);
        for ([first, second], ([re_first, re_second], [im_first, im_second])) in pairs.zip(spectra)
        {
            plane.set_real(first);
            plane.set_imaginary(second);
            plane.transform();
            for row in 0..=GRID / 2 {
                let (re, im) = (&plane.re[row], &plane.im[row]);
                let (re_mirrored, im_mirrored) = (
                    mirrored(&plane.re[(GRID - row) % GRID]),
                    mirrored(&plane.im[(GRID - row) % GRID]),
                );
                for column in 0..GRID {
                    let at = row * GRID + column;
                    re_first[at] = 0.5 * (re[column] + re_mirrored[column]);
                    im_first[at] = 0.5 * (im[column] - im_mirrored[column]);
                    re_second[at] = 0.5 * (im[column] + im_mirrored[column]);
                    im_second[at] = 0.5 * (re_mirrored[column] - re[column]);
                }
            }
        }
    }
}

impl Filter {
    /// A filter that has seen nothing; it has to learn at the rate 1 first.
    pub(super) fn new() -> Self {
        Self { numerator: Spectra::ZERO, energy: [0.0; HALF] }
    }

    /// Moves the share `rate` of the way to what answers `spectra` with `wanted`.
    pub(super) fn learn(&mut self, spectra: &Spectra, wanted: &[f32; HALF], rate: f32) {
        if rate >= 1.0 {
            // Whatever it was, also if that was no number.
            *self = Self::new();
        }
        let Self { numerator, energy } = self;
        for energy in &mut *energy {
            *energy *= 1.0 - rate;
        }
        let numerators = numerator.re.iter_mut().zip(&mut numerator.im);
        for ((re, im), (to_re, to_im)) in spectra.re.iter().zip(&spectra.im).zip(numerators) {
            for at in 0..HALF {
                energy[at] += rate * (re[at] * re[at] + im[at] * im[at]);
                to_re[at] += rate * (wanted[at] * re[at] - to_re[at]);
                to_im[at] += rate * (-wanted[at] * im[at] - to_im[at]);
            }
        }
    }

    /// How well each shift of what `spectra` show fits, by cells, row-major and cyclic; about 1
    /// for a perfect fit.
    pub(super) fn respond(
        &self,
        spectra: &Spectra,
        config: &FollowConfig,
        plane: &mut Plane,
        response: &mut [f32; CELLS],
    ) {
        let (mut sum_re, mut sum_im) = ([0.0; HALF], [0.0; HALF]);
        let numerators = self.numerator.re.iter().zip(&self.numerator.im);
        for ((re, im), (by_re, by_im)) in spectra.re.iter().zip(&spectra.im).zip(numerators) {
            for at in 0..HALF {
                sum_re[at] += re[at] * by_re[at] - im[at] * by_im[at];
                sum_im[at] += re[at] * by_im[at] + im[at] * by_re[at];
            }
        }
        for at in 0..HALF {
            let inverse = 1.0 / (self.energy[at] + config.regularization);
            sum_re[at] *= inverse;
            sum_im[at] *= inverse;
        }
        let rows = sum_re.as_chunks::<GRID>().0.iter().zip(sum_im.as_chunks::<GRID>().0);
        for (row, (re, im)) in rows.enumerate() {
            plane.re[row] = *re;
            plane.im[row] = *im;
            if row > 0 && row < GRID / 2 {
                plane.re[GRID - row] = mirrored(re);
                plane.im[GRID - row] = mirrored(im).map(|value| -value);
            }
        }
        plane.transform_back();
        for (target, row) in response.as_chunks_mut::<GRID>().0.iter_mut().zip(&plane.re) {
            *target = row.map(|value| value / CELLS as f32);
        }
    }
}

/// The spectrum of the wanted response: a Gauss bell around no shift, real since it is even.
pub(super) fn wanted(sigma: f32) -> [f32; HALF] {
    let mut plane = Plane::ZERO;
    let distance = |at: usize| at.min(GRID - at) as f32;
    for (y, row) in plane.re.iter_mut().enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            let square = distance(x).powi(2) + distance(y).powi(2);
            *value = (-0.5 * square / (sigma * sigma)).exp();
        }
    }
    plane.transform();
    let mut wanted = [0.0; HALF];
    for (target, row) in wanted.as_chunks_mut::<GRID>().0.iter_mut().zip(&plane.re) {
        *target = *row;
    }
    wanted
}

/// A row at the mirrored frequencies: the first stays, the others turn round.
fn mirrored(row: &[f32; GRID]) -> [f32; GRID] {
    let mut turned = *row;
    turned[1..].reverse();
    turned
}

/// Frequencies kept of a plane.
pub(super) const HALF: usize = (GRID / 2 + 1) * GRID;
