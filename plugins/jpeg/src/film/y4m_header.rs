use keepsight_contract::{FrameSize, PixelFormat};

use super::FilmError;
use crate::Limits;

/// What the first line of a Y4M film says.
///
/// `YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL` (the format of
/// mjpegtools, `yuv4mpeg(5)`). Interlacing, the pixels' shape and other comments are passed over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Y4mHeader {
    pub(super) size: FrameSize,
    /// Frames a second.
    pub(super) rate: Option<f64>,
    pub(super) chroma: Chroma,
    /// Brightness 0–255 instead of 16–235.
    pub(super) full_range: bool,
}

/// How colours are stored beside brightness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chroma {
    /// Two planes of half the size in both directions.
    C420,
    /// Two planes of half the width.
    C422,
    /// Two planes of the same size.
    C444,
    /// None.
    Mono,
}

impl Y4mHeader {
    /// Reads the line, without its end.
    pub(super) fn parse(line: &[u8], limits: &Limits) -> Result<Self, FilmError> {
        let line = String::from_utf8_lossy(line);
        let wrong = |reason: String| FilmError::Header { reason };
        let (mut width, mut height, mut rate) = (None, None, None);
        let (mut chroma, mut range) = ("420", None);
        for word in line.split(' ').skip(1).filter(|word| !word.is_empty()) {
            let (key, value) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            let number = || {
                let number = value.parse::<u32>().ok().filter(|number| *number > 0);
                number.ok_or_else(|| wrong(format!("{word} is not a number of pixels")))
            };
            match key {
                "W" => width = Some(number()?),
                "H" => height = Some(number()?),
                "F" => {
                    rate = Some(ratio(value).ok_or_else(|| wrong(format!("{word} is no rate")))?)
                }
                "C" => chroma = value,
                "X" => range = value.strip_prefix("COLORRANGE=").or(range),
                _ => {}
            }
        }
        let (Some(width), Some(height)) = (width, height) else {
            return Err(wrong("it doesn't say how large its pictures are".into()));
        };
        limits.check(u64::from(width), u64::from(height))?;
        let size = FrameSize::new(width, height);
        let chroma = match chroma {
            // Where the colours lie between the pixels makes no difference here.
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::C420,
            "422" if width % 2 == 1 => return Err(FilmError::OddWidth { size }),
            "422" => Chroma::C422,
            "444" => Chroma::C444,
            "mono" => Chroma::Mono,
            other => return Err(FilmError::Chroma { chroma: other.escape_debug().to_string() }),
        };
        // Without a word on it, brightness alone is a picture of its own, and colour is video.
        let full_range = range.map_or(chroma == Chroma::Mono, |range| range == "FULL");
        let rate = rate.filter(|rate| (0.001..=1000.0).contains(rate));
        Ok(Self { size, rate, chroma, full_range })
    }

    /// Width and height of a plane of colours.
    pub(super) fn chroma_size(&self) -> (usize, usize) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        match self.chroma {
            Chroma::C420 => (width.div_ceil(2), height.div_ceil(2)),
            Chroma::C422 => (width / 2, height),
            Chroma::C444 => (width, height),
            Chroma::Mono => (0, 0),
        }
    }

    /// Bytes of a picture's planes.
    pub(super) fn picture_bytes(&self) -> usize {
        let (width, height) = self.chroma_size();
        self.size.pixel_count() as usize + 2 * width * height
    }

    /// What frames become of the pictures.
    pub(super) fn format(&self) -> PixelFormat {
        match self.chroma {
            Chroma::C420 => PixelFormat::Nv12,
            Chroma::C422 => PixelFormat::Yuyv,
            Chroma::C444 => PixelFormat::Rgb,
            Chroma::Mono => PixelFormat::Gray,
        }
    }
}

/// `30000:1001` as a number; 0:0 says that nobody knows.
fn ratio(text: &str) -> Option<f64> {
    let (count, per) = text.split_once(':')?;
    let (count, per) = (count.parse::<u32>().ok()?, per.parse::<u32>().ok()?);
    Some(f64::from(count) / f64::from(per))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Y4mHeader, FilmError> {
        Y4mHeader::parse(line.as_bytes(), &Limits::default())
    }

    #[test]
    fn size_rate_and_colours_are_read() {
        let header =
            parse("YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420mpeg2 XYSCSS=420MPEG2").unwrap();
        assert_eq!((header.size, header.chroma), (FrameSize::new(640, 480), Chroma::C420));
        assert!((header.rate.unwrap() - 29.97).abs() < 1e-3 && !header.full_range);
        assert_eq!(header.picture_bytes(), 640 * 480 * 3 / 2);
        let header = parse("YUV4MPEG2 H3  W5 F0:0 XCOLORRANGE=FULL").unwrap();
        assert_eq!((header.size, header.rate), (FrameSize::new(5, 3), None));
        assert!(header.full_range);
        assert_eq!(header.picture_bytes(), 15 + 2 * 3 * 2);
        for (line, format, bytes, full) in [
            ("YUV4MPEG2 W4 H2 C422", PixelFormat::Yuyv, 16, false),
            ("YUV4MPEG2 W3 H2 C444", PixelFormat::Rgb, 18, false),
            ("YUV4MPEG2 W3 H2 Cmono", PixelFormat::Gray, 6, true),
            ("YUV4MPEG2 W3 H2 Cmono XCOLORRANGE=LIMITED", PixelFormat::Gray, 6, false),
        ] {
            let header = parse(line).unwrap();
            assert_eq!((header.format(), header.picture_bytes()), (format, bytes), "{line}");
            assert_eq!(header.full_range, full, "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (line, named) in [
            ("YUV4MPEG2 W640", "how large"),
            ("YUV4MPEG2 W0 H1", "W0"),
            ("YUV4MPEG2 Wx H1", "Wx"),
            ("YUV4MPEG2 W1 H-1", "H-1"),
            ("YUV4MPEG2 W1 H1 F30", "F30"),
            ("YUV4MPEG2 W8 H8 C420p10", "C420p10"),
            ("YUV4MPEG2 W8 H8 C444alpha", "C444alpha"),
            ("YUV4MPEG2 W8 H8 C411", "C411"),
            ("YUV4MPEG2 W7 H8 C422", "7x8"),
            ("YUV4MPEG2 W4000000000 H4000000000", "4000000000x4000000000"),
            ("YUV4MPEG2 W8 H8 Cé\u{7}", "\\u{7}"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
