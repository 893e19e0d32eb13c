use std::{fmt, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::FrameSize;

/// How a frame's bytes stand for pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PixelFormat {
    /// Packed 4:2:2, bytes Y0 U Y1 V for two pixels; BT.601, limited range. The width is even.
    Yuyv,
    /// A plane of Y, then one of interleaved U V at half the size in both directions (rounded
    /// up), with the same stride; BT.601, limited range.
    Nv12,
    /// A JPEG picture.
    Mjpeg,
    /// Three bytes red, green, blue a pixel.
    Rgb,
    /// One byte of brightness a pixel, 0–255.
    Gray,
}

/// Bytes shared between threads, whoever provides them: a vector, a mapped file, shared memory.
#[derive(Clone)]
pub struct PixelBuffer {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl PixelFormat {
    /// Whether the bytes need a decoder.
    pub fn is_compressed(self) -> bool {
        matches!(self, PixelFormat::Mjpeg)
    }

    /// Bytes in a row of the first plane, without padding; 0 for a compressed format.
    pub fn row_bytes(self, width: u32) -> usize {
        let width = width as usize;
        match self {
            PixelFormat::Yuyv => width * 2,
            // A row of chroma holds a pair for each two pixels, rounded up.
            PixelFormat::Nv12 => width.next_multiple_of(2),
            PixelFormat::Rgb => width * 3,
            PixelFormat::Gray => width,
            PixelFormat::Mjpeg => 0,
        }
    }

    /// Bytes of a whole picture of `size`; the last row may lack its padding. `stride` is in
    /// bytes. 0 for a compressed format.
    pub(crate) fn bytes_needed(self, size: FrameSize, stride: usize) -> u64 {
        let rows = match self {
            PixelFormat::Mjpeg => return 0,
            PixelFormat::Nv12 => u64::from(size.height) + u64::from(size.height.div_ceil(2)),
            _ => u64::from(size.height),
        };
        (rows - 1).saturating_mul(stride as u64).saturating_add(self.row_bytes(size.width) as u64)
    }
}

impl PixelBuffer {
    /// The part `range` of shared bytes.
    ///
    /// # Panics
    /// When `range` reaches beyond them.
    pub fn slice_of(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= (*bytes).as_ref().len(),
            "{range:?} lies outside the buffer"
        );
        Self { bytes, range }
    }
}

impl AsRef<[u8]> for PixelBuffer {
    fn as_ref(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.range.clone()]
    }
}

impl From<Vec<u8>> for PixelBuffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { range: 0..bytes.len(), bytes: Arc::new(bytes) }
    }
}

impl From<Arc<dyn AsRef<[u8]> + Send + Sync>> for PixelBuffer {
    fn from(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        Self { range: 0..(*bytes).as_ref().len(), bytes }
    }
}

impl fmt::Debug for PixelBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PixelBuffer({} bytes)", self.range.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_may_be_part_of_another() {
        let whole: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(vec![1u8, 2, 3, 4]);
        assert_eq!(PixelBuffer::slice_of(whole.clone(), 1..3).as_ref(), [2, 3]);
        assert_eq!(PixelBuffer::from(whole).as_ref(), [1, 2, 3, 4]);
    }
}
