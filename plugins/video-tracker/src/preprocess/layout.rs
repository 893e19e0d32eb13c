use keepsight_contract::{Frame, PixelFormat};

use super::error::PreprocessError;

/// How the bytes of an uncompressed frame lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Yuyv,
    Nv12,
    Rgb,
    Gray,
}

impl Layout {
    /// The layout of a frame that was decoded where it was compressed.
    pub(super) fn of(frame: &Frame) -> Result<Self, PreprocessError> {
        match frame.format() {
            PixelFormat::Yuyv => Ok(Self::Yuyv),
            PixelFormat::Nv12 => Ok(Self::Nv12),
            PixelFormat::Rgb => Ok(Self::Rgb),
            PixelFormat::Gray => Ok(Self::Gray),
            format => Err(PreprocessError::Format { format }),
        }
    }
}

/// Full-range red, green and blue, 0–255, of a pixel in limited-range
/// Y′CbCr (ITU-R BT.601, 8 bits: Y 16–235, Cb and Cr 16–240).
#[inline(always)]
pub(super) fn bt601(y: f32, u: f32, v: f32) -> [f32; 3] {
    let (y, u, v) = ((y - 16.0) * LUMA, u - 128.0, v - 128.0);
    [y + RED_V * v, y + GREEN_U * u + GREEN_V * v, y + BLUE_U * u]
        .map(|level| level.clamp(0.0, 255.0))
}

// Kr = 0.299, Kb = 0.114 (BT.601); the kernel has the same numbers.
const LUMA: f32 = 255.0 / 219.0;
const RED_V: f32 = 255.0 / 224.0 * 1.402;
const GREEN_U: f32 = -255.0 / 224.0 * 1.772 * 0.114 / 0.587;
const GREEN_V: f32 = -255.0 / 224.0 * 1.402 * 0.299 / 0.587;
const BLUE_U: f32 = 255.0 / 224.0 * 1.772;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bt601_has_its_corners() {
        for ([y, u, v], rgb) in [
            ([16.0, 128.0, 128.0], [0.0, 0.0, 0.0]),
            ([235.0, 128.0, 128.0], [255.0, 255.0, 255.0]),
            ([81.0, 90.0, 240.0], [254.0, 0.0, 0.0]),
            ([145.0, 54.0, 34.0], [0.0, 255.0, 1.0]),
            ([41.0, 240.0, 110.0], [0.0, 0.0, 255.0]),
        ] {
            for (level, expected) in bt601(y, u, v).into_iter().zip(rgb) {
                assert!((level - expected).abs() < 1.0, "{y} {u} {v}: {level} is not {expected}");
            }
        }
    }
}
