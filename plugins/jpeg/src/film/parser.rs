use keepsight_contract::{FrameSize, PixelFormat};

use super::jpeg_cutter::{Cut, JpegCutter};
use super::y4m_header::Y4mHeader;
use super::{FilmError, y4m_pixels};
use crate::{Limits, inspect_jpeg};

/// Makes pictures of a film's bytes as they come.
///
/// ```
/// use keepsight_jpeg::{FilmItem, FilmParser, Limits};
///
/// let mut film = &b"YUV4MPEG2 W2 H2 F25:1 C420\nFRAME\n\x51\x51\x51\x51\x5a\xf0"[..];
/// let mut parser = FilmParser::new(Limits::default());
/// loop {
///     let count = std::io::Read::read(&mut film, parser.space())?;
///     if count == 0 {
///         break;
///     }
///     parser.filled(count)?;
///     while let Some(FilmItem::Picture(picture)) = parser.next()? {
///         assert_eq!((picture.number, picture.bytes.len()), (0, 6));
///     }
/// }
/// assert!(parser.finish()?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FilmParser {
    limits: Limits,
    state: State,
    /// Bytes of the line or the beginning that is being read; beyond `have`, room.
    line: Vec<u8>,
    have: usize,
    cutter: JpegCutter,
    header: Option<Y4mHeader>,
    /// The Y4M picture that is being read.
    planes: Vec<u8>,
    /// Bytes of the film before what is being read; for JPEGs the cutter counts.
    offset: u64,
    numbered: u64,
    ready: Option<FilmPicture>,
}

/// What is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first bytes, which say what it is.
    Start,
    /// A Y4M film's header.
    Header,
    /// The line before a picture.
    FrameLine,
    /// A picture.
    Planes,
    /// JPEGs.
    Jpegs,
}

/// What a film holds.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilmItem {
    /// A picture.
    Picture(FilmPicture),
    /// A picture that can't be read; the film goes on behind it.
    Damaged {
        /// Its number in the film.
        number: u64,
        /// Where it begins, in bytes from the film's start.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// One picture of a film.
#[derive(Debug, PartialEq, Eq)]
pub struct FilmPicture {
    /// Mjpeg for JPEGs; for Y4M Nv12, Yuyv, Rgb or Gray.
    pub format: PixelFormat,
    /// Width and height, in pixels.
    pub size: FrameSize,
    /// Its pixels, without padding between rows.
    pub bytes: Vec<u8>,
    /// Its number in the film, damaged ones counted.
    pub number: u64,
    /// Where it begins, in bytes from the film's start.
    pub offset: u64,
}

impl FilmParser {
    /// A parser of one film, whose pictures are within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::Start,
            line: vec![0; MAGIC.len()],
            have: 0,
            cutter: JpegCutter::default(),
            header: None,
            planes: Vec::new(),
            offset: 0,
            numbered: 0,
            ready: None,
        }
    }

    /// Frames a second, once that was read.
    pub fn rate(&self) -> Option<f64> {
        self.header.as_ref().and_then(|header| header.rate)
    }

    /// Where the next bytes belong; never empty. Memory is taken for what came, not for what a
    /// header promises.
    pub fn space(&mut self) -> &mut [u8] {
        match self.state {
            State::Start | State::Header | State::FrameLine => &mut self.line[self.have..],
            State::Planes => &mut self.planes[self.have..],
            State::Jpegs => self.cutter.space(),
        }
    }

    /// As many bytes were written to the start of the last [`space`](Self::space). Whoever calls
    /// it takes all that is ready then, before more comes.
    ///
    /// # Errors
    /// [`FilmError`]; the film can't be read on.
    pub fn filled(&mut self, count: usize) -> Result<(), FilmError> {
        if self.state == State::Jpegs {
            self.cutter.filled(count);
            return Ok(());
        }
        self.have += count;
        match self.state {
            State::Start if self.have < self.line.len() => {}
            State::Start if self.line == MAGIC => {
                self.line.push(0);
                self.state = State::Header;
            }
            State::Start => {
                let begun = &self.line[..];
                self.cutter.space()[..begun.len()].copy_from_slice(begun);
                self.cutter.filled(begun.len());
                self.state = State::Jpegs;
            }
            State::Header if self.line.ends_with(b"\n") => {
                let header = Y4mHeader::parse(&self.line[..self.have - 1], &self.limits)?;
                self.header = Some(header);
                self.begin_frame_line();
            }
            State::Header => self.lengthen_line(LINE_BYTES_MAX)?,
            State::FrameLine if self.have < self.line.len() => {}
            State::FrameLine if !self.line.starts_with(FRAME) => return Err(self.damaged()),
            State::FrameLine if self.line.ends_with(b"\n") => {
                self.state = State::Planes;
                self.have = 0;
                self.planes = vec![0; self.header().picture_bytes().min(AT_ONCE_BYTES)];
            }
            State::FrameLine => self.lengthen_line(LINE_BYTES_MAX)?,
            State::Planes => self.fill_planes(),
            State::Jpegs => unreachable!("handled above"),
        }
        Ok(())
    }

    /// The next picture that is there, or damage in its place.
    ///
    /// # Errors
    /// [`FilmError`]; the film can't be read on.
    #[expect(clippy::should_implement_trait, reason = "more may come after `None`")]
    pub fn next(&mut self) -> Result<Option<FilmItem>, FilmError> {
        if let Some(picture) = self.ready.take() {
            return Ok(Some(FilmItem::Picture(picture)));
        }
        if self.state != State::Jpegs {
            return Ok(None);
        }
        match self.cutter.cut() {
            Ok(cut) => Ok(cut.map(|cut| self.jpeg(cut))),
            Err(FilmError::Damaged { .. }) if self.numbered == 0 => Err(self.unknown()),
            Err(error) => Err(error),
        }
    }

    /// The film is over: its last picture, should only its end be missing.
    ///
    /// # Errors
    /// [`FilmError::Truncated`], [`FilmError::Unknown`] and [`FilmError::Empty`].
    pub fn finish(&mut self) -> Result<Option<FilmItem>, FilmError> {
        match self.state {
            State::Start if self.have == 0 => Err(FilmError::Empty),
            State::Start => Err(self.unknown()),
            State::Header => Err(FilmError::Truncated { offset: 0 }),
            State::FrameLine if self.have == 0 => Ok(None),
            State::FrameLine | State::Planes => Err(FilmError::Truncated { offset: self.offset }),
            State::Jpegs => match self.cutter.rest() {
                Some(cut) => Ok(Some(self.jpeg(cut))),
                None if self.numbered == 0 => Err(self.unknown()),
                None => Ok(None),
            },
        }
    }

    fn jpeg(&mut self, cut: Cut) -> FilmItem {
        let Cut { bytes, offset, whole } = cut;
        let number = self.numbered;
        self.numbered += 1;
        match inspect_jpeg(&bytes, &self.limits) {
            Ok((width, height)) => FilmItem::Picture(FilmPicture {
                format: PixelFormat::Mjpeg,
                size: FrameSize::new(width, height),
                bytes,
                number,
                offset,
            }),
            Err(error) => {
                let reason = if whole { error.to_string() } else { format!("cut off: {error}") };
                FilmItem::Damaged { number, offset, reason }
            }
        }
    }

    fn fill_planes(&mut self) {
        let whole = self.header().picture_bytes();
        if self.have < whole {
            if self.have == self.planes.len() {
                self.planes.resize(whole.min(self.have * 2), 0);
            }
            return;
        }
        let planes = std::mem::take(&mut self.planes);
        let header = self.header();
        self.ready = Some(FilmPicture {
            format: header.format(),
            size: header.size,
            bytes: y4m_pixels::pixels(header, planes),
            number: self.numbered,
            offset: self.offset,
        });
        self.numbered += 1;
        self.offset += (self.line.len() + whole) as u64;
        self.state = State::FrameLine;
        self.reset_line(FRAME.len());
    }

    fn begin_frame_line(&mut self) {
        self.offset = self.line.len() as u64;
        self.state = State::FrameLine;
        self.reset_line(FRAME.len());
    }

    /// The line is read as far as it must go on, and then byte by byte: what follows isn't its.
    fn reset_line(&mut self, length: usize) {
        self.line.clear();
        self.line.resize(length + 1, 0);
        self.have = 0;
    }

    fn lengthen_line(&mut self, most: usize) -> Result<(), FilmError> {
        if self.line.len() >= most {
            return Err(match self.state {
                State::Header => FilmError::Header { reason: "it has no end".into() },
                _ => self.damaged(),
            });
        }
        self.line.push(0);
        Ok(())
    }

    fn header(&self) -> &Y4mHeader {
        self.header.as_ref().expect("frames follow the header")
    }

    fn damaged(&self) -> FilmError {
        FilmError::Damaged { offset: self.offset }
    }

    fn unknown(&self) -> FilmError {
        let begins = String::from_utf8_lossy(&self.line[..self.have]);
        FilmError::Unknown { begins: format!("{begins:?}") }
    }
}

/// How a Y4M film begins.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2 ";
const FRAME: &[u8] = b"FRAME";
/// Header lines are about a hundred bytes.
const LINE_BYTES_MAX: usize = 1024;
/// Pictures up to 1080p are given their memory at once.
const AT_ONCE_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests;
