//! A film of JPEGs: MJPEG in an AVI file.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use keepsight_contract::FrameSize;

/// Writes JPEGs as the frames of an AVI film (Motion JPEG, `MJPG`).
///
/// The file has the classic layout (RIFF, one `movi` list, an `idx1` index), which holds up to
/// 4 GiB. Its headers say zero frames until [`AviWriter::finish`] has written the index; players
/// that trust them show nothing of a file that was never finished.
///
/// Layout: Microsoft, "AVI RIFF File Reference".
pub struct AviWriter<W: Write + Seek = BufWriter<File>> {
    out: W,
    size: FrameSize,
    rate: (u32, u32),
    /// Offset of the end of the file, bytes.
    position: u64,
    /// One per frame: where its chunk starts, counted from the word `movi`, and its length.
    index: Vec<(u32, u32)>,
    frame_bytes_max: u32,
}

impl AviWriter {
    /// Creates (or empties) the file at `path`; `rate` is in frames a second.
    ///
    /// # Errors
    /// [`AviError::Rate`] unless `rate` lies in 0.001–1,000; [`AviError::Io`].
    pub fn create(path: impl AsRef<Path>, size: FrameSize, rate: f64) -> Result<Self, AviError> {
        // Checked first, so that a wrong rate doesn't empty a file.
        rational(rate)?;
        Self::new(BufWriter::with_capacity(256 * 1024, File::create(path)?), size, rate)
    }
}

impl<W: Write + Seek> AviWriter<W> {
    /// Starts a film at the present position of `out`, which has to be its start.
    ///
    /// # Errors
    /// As [`AviWriter::create`].
    pub fn new(mut out: W, size: FrameSize, rate: f64) -> Result<Self, AviError> {
        let rate = rational(rate)?;
        let header = header(size, rate, 0, 0, 0);
        out.write_all(&header)?;
        Ok(Self {
            out,
            size,
            rate,
            position: header.len() as u64,
            index: Vec::new(),
            frame_bytes_max: 0,
        })
    }

    /// Adds one frame: the bytes of a complete JPEG of the film's size.
    ///
    /// # Errors
    /// [`AviError::NotJpeg`]; [`AviError::Full`] where the file would pass 4 GiB, after which
    /// what was written before can still be finished; [`AviError::Io`].
    pub fn push(&mut self, jpeg: &[u8]) -> Result<(), AviError> {
        if !jpeg.starts_with(&[0xff, 0xd8]) {
            return Err(AviError::NotJpeg);
        }
        let padded = jpeg.len() as u64 + jpeg.len() as u64 % 2;
        let index_bytes = (self.index.len() as u64 + 1) * 16 + 8;
        if self.position + 8 + padded + index_bytes > FILE_BYTES_MAX {
            return Err(AviError::Full { frames: self.index.len() });
        }
        let length = jpeg.len() as u32;
        self.out.write_all(b"00dc")?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(jpeg)?;
        self.out.write_all(&[0][..jpeg.len() % 2])?;
        self.index.push(((self.position - MOVI_OFFSET) as u32, length));
        self.position += 8 + padded;
        self.frame_bytes_max = self.frame_bytes_max.max(length);
        Ok(())
    }

    /// Width and height of its frames, in pixels.
    pub fn size(&self) -> FrameSize {
        self.size
    }

    /// Frames written up to now.
    pub fn frames(&self) -> usize {
        self.index.len()
    }

    /// Writes the index, puts the true numbers into the headers, flushes, and gives back what
    /// was written to.
    ///
    /// # Errors
    /// [`AviError::Io`].
    pub fn finish(mut self) -> Result<W, AviError> {
        let movi_bytes = (self.position - MOVI_OFFSET) as u32;
        self.out.write_all(b"idx1")?;
        self.out.write_all(&(self.index.len() as u32 * 16).to_le_bytes())?;
        for (offset, length) in &self.index {
            self.out.write_all(b"00dc")?;
            self.out.write_all(&KEY_FRAME.to_le_bytes())?;
            self.out.write_all(&offset.to_le_bytes())?;
            self.out.write_all(&length.to_le_bytes())?;
        }
        let file_bytes = self.position + 8 + self.index.len() as u64 * 16;
        let mut header =
            header(self.size, self.rate, self.index.len() as u32, self.frame_bytes_max, movi_bytes);
        header[4..8].copy_from_slice(&((file_bytes - 8) as u32).to_le_bytes());
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        self.out.seek(SeekFrom::Start(file_bytes))?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Why a film could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AviError {
    /// A frame rate that no film has.
    #[error("a film of {rate} frames a second; 0.001 to 1000 can be written")]
    Rate {
        /// Frames a second, as asked for.
        rate: f64,
    },
    /// What was given as a frame does not start as a JPEG does.
    #[error("the frame is not a JPEG")]
    NotJpeg,
    /// No further frame fits.
    #[error("an AVI file holds 4 GiB; it is full after {frames} frames")]
    Full {
        /// Frames that are in it.
        frames: usize,
    },
    /// The file could not be written.
    #[error("the film cannot be written")]
    Io(#[from] io::Error),
}

/// All of the file before its first frame, [`HEADER_BYTES`] long.
fn header(
    size: FrameSize,
    (rate, scale): (u32, u32),
    frames: u32,
    frame_bytes_max: u32,
    movi_bytes: u32,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    let words = |bytes: &mut Vec<u8>, words: &[u32]| {
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    bytes.extend(b"RIFF\0\0\0\0AVI LIST");
    words(&mut bytes, &[192]);
    bytes.extend(b"hdrlavih");
    let micros_per_frame = (1_000_000.0 * f64::from(scale) / f64::from(rate)).round() as u32;
    let bytes_per_second = u64::from(frame_bytes_max) * u64::from(rate) / u64::from(scale);
    words(
        &mut bytes,
        &[
            56,
            micros_per_frame,
            bytes_per_second.min(u64::from(u32::MAX)) as u32,
            0,
            HAS_INDEX,
            frames,
            0,
            1,
            frame_bytes_max,
            size.width,
            size.height,
            0,
            0,
            0,
            0,
        ],
    );
    bytes.extend(b"LIST");
    words(&mut bytes, &[116]);
    bytes.extend(b"strlstrh");
    words(&mut bytes, &[56]);
    bytes.extend(b"vidsMJPG");
    // Flags, priority and language, initial frames, scale, rate, start, length, buffer,
    // quality (default), sample size (varies), and the rectangle in 16 bits each.
    words(&mut bytes, &[0, 0, 0, scale, rate, 0, frames, frame_bytes_max, u32::MAX, 0, 0]);
    bytes.extend((size.width as u16).to_le_bytes());
    bytes.extend((size.height as u16).to_le_bytes());
    bytes.extend(b"strf");
    let picture_bytes = size.width.saturating_mul(size.height).saturating_mul(3);
    words(&mut bytes, &[40, 40, size.width, size.height, 1 | 24 << 16]);
    bytes.extend(b"MJPG");
    words(&mut bytes, &[picture_bytes, 0, 0, 0, 0]);
    bytes.extend(b"LIST");
    words(&mut bytes, &[movi_bytes]);
    bytes.extend(b"movi");
    debug_assert_eq!(bytes.len(), HEADER_BYTES);
    bytes
}

/// `rate` as the fraction that AVI keeps: whole, a whole number over 1.001 as television has it,
/// or in thousandths.
fn rational(rate: f64) -> Result<(u32, u32), AviError> {
    if !(0.001..=1000.0).contains(&rate) {
        return Err(AviError::Rate { rate });
    }
    let near = |value: f64| (value - value.round()).abs() < 1e-4 && value.round() >= 1.0;
    Ok(if near(rate) {
        (rate.round() as u32, 1)
    } else if near(rate * 1.001) {
        ((rate * 1.001).round() as u32 * 1000, 1001)
    } else {
        ((rate * 1000.0).round() as u32, 1000)
    })
}

const HEADER_BYTES: usize = 224;
/// Where the word `movi` stands; the index counts from there.
const MOVI_OFFSET: u64 = HEADER_BYTES as u64 - 4;
/// RIFF counts bytes in 32 bits.
const FILE_BYTES_MAX: u64 = u32::MAX as u64;
/// `AVIF_HASINDEX`.
const HAS_INDEX: u32 = 0x10;
/// `AVIIF_KEYFRAME`: every JPEG stands alone.
const KEY_FRAME: u32 = 0x10;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Picture, encode};

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn film(rate: f64, jpegs: &[Vec<u8>]) -> Vec<u8> {
        let size = FrameSize { width: 32, height: 16 };
        let mut film = AviWriter::new(Cursor::new(Vec::new()), size, rate).unwrap();
        for jpeg in jpegs {
            film.push(jpeg).unwrap();
        }
        assert_eq!(film.frames(), jpegs.len());
        film.finish().unwrap().into_inner()
    }

    #[test]
    fn finished_headers_and_index_tell_the_truth() {
        let jpegs: Vec<_> = [10, 60, 95]
            .map(|quality| encode(&Picture::filled(32, 16, [90, 10, quality]), quality).unwrap())
            .into();
        let bytes = film(25.0, &jpegs);
        assert_eq!(&bytes[..4], b"RIFF");
        assert_eq!(word(&bytes, 4) as usize, bytes.len() - 8);
        assert_eq!(word(&bytes, 32), 40_000, "microseconds a frame");
        assert_eq!(word(&bytes, 48), 3, "frames in avih");
        assert_eq!((word(&bytes, 128), word(&bytes, 132)), (1, 25), "scale and rate in strh");
        assert_eq!(word(&bytes, 140), 3, "length in strh");

        let movi = MOVI_OFFSET as usize;
        assert_eq!(&bytes[movi..movi + 4], b"movi");
        let index = movi + word(&bytes, movi - 4) as usize;
        assert_eq!(&bytes[index..index + 4], b"idx1");
        assert_eq!(word(&bytes, index + 4) as usize, 3 * 16);
        assert_eq!(bytes.len(), index + 8 + 3 * 16);
        for (nth, jpeg) in jpegs.iter().enumerate() {
            let entry = index + 8 + nth * 16;
            let chunk = movi + word(&bytes, entry + 8) as usize;
            assert_eq!(&bytes[chunk..chunk + 4], b"00dc");
            assert_eq!(chunk % 2, 0, "chunks are aligned to two bytes");
            assert_eq!(word(&bytes, chunk + 4) as usize, jpeg.len());
            assert_eq!(&bytes[chunk + 8..chunk + 8 + jpeg.len()], jpeg);
        }
    }

    #[test]
    fn rates_become_fractions() {
        for (rate, fraction) in [
            (30.0, (30, 1)),
            (29.97, (30_000, 1001)),
            (29.97002997, (30_000, 1001)),
            (12.5, (12_500, 1000)),
            (0.5, (500, 1000)),
        ] {
            assert_eq!(rational(rate).unwrap(), fraction, "{rate}");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let error = rational(rate).unwrap_err();
            assert!(matches!(error, AviError::Rate { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_jpeg_is_refused() {
        let size = FrameSize { width: 32, height: 16 };
        let mut film = AviWriter::new(Cursor::new(Vec::new()), size, 30.0).unwrap();
        assert!(matches!(film.push(b"GIF89a").unwrap_err(), AviError::NotJpeg));
        assert_eq!(film.frames(), 0);
    }

    #[test]
    fn a_full_file_takes_no_further_frame_and_can_be_finished() {
        /// Counts what is written and keeps none of it, so that 4 GiB cost nothing.
        struct Counted(u64);
        impl Write for Counted {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 += bytes.len() as u64;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Seek for Counted {
            fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
                Ok(0)
            }
        }
        let size = FrameSize { width: 32, height: 16 };
        let mut film = AviWriter::new(Counted(0), size, 30.0).unwrap();
        let mut jpeg = vec![0; 512 << 20];
        jpeg[..2].copy_from_slice(&[0xff, 0xd8]);
        let error = (0..9).find_map(|_| film.push(&jpeg).err()).expect("nine times 512 MiB");
        assert!(matches!(error, AviError::Full { frames: 7 }), "{error}");
        assert!(film.finish().unwrap().0 < FILE_BYTES_MAX);
    }

    #[test]
    fn a_file_that_cannot_be_created_says_why() {
        let size = FrameSize { width: 32, height: 16 };
        let error = AviWriter::create("/nowhere/film.avi", size, 30.0).err().unwrap();
        assert!(matches!(error, AviError::Io(_)), "{error}");
    }
}
