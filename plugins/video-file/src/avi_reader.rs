//! Motion JPEG in AVI files.
//!
//! An AVI file is a RIFF file: chunks of a four-letter name, a length in 32 bits and as many
//! bytes, padded to an even number; some are lists that hold chunks. It is read from its start to
//! its end, chunk by chunk, and lists that matter are entered simply by reading on, so that no
//! nesting has to be believed, files larger than 4 GiB (OpenDML) need no index, and a recording
//! that was cut off gives what it has.
//!
//! Layout: Microsoft, "AVI RIFF File Reference"; OpenDML AVI File Format Extensions 1.02.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::FileError;
use crate::film::{Content, PICTURE_BYTES_MAX, StoredPicture};
use crate::settings::rate_fits;

/// Reads the frames of an AVI film one after the other.
pub(crate) struct AviReader<R = BufReader<File>> {
    path: PathBuf,
    input: R,
    /// Bytes of the file.
    length: u64,
    position: u64,
    /// Where the file should end, as its first header says; `None` where a recorder never got to
    /// write that down.
    announced_end: Option<u64>,
    /// The stream headers met so far.
    streams: u32,
    /// Kind and codec of the stream whose format is still to come.
    current: Option<StreamHeader>,
    video: Option<VideoStream>,
    /// Codecs of video streams that can't be read.
    unreadable: Vec<String>,
    frames: u64,
}

struct StreamHeader {
    index: u32,
    is_video: bool,
    codec: [u8; 4],
    rate: Option<f64>,
    /// How many frames it says to have; 0 where a recorder never got to write that down.
    frames: u32,
}

struct VideoStream {
    /// Two digits that its chunks' names begin with.
    digits: [u8; 2],
    rate: Option<f64>,
    frames: u32,
}

impl AviReader {
    /// Opens the film at `path` and reads its headers.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::io(path))?;
        let length = file.metadata().map_err(FileError::io(path))?.len();
        Self::new(BufReader::with_capacity(128 * 1024, file), length, path)
    }

    /// Whether a file that starts with these 12 bytes is an AVI.
    pub(crate) fn starts_like_one(start: &[u8]) -> bool {
        start.len() >= 12 && start.starts_with(b"RIFF") && &start[8..12] == b"AVI "
    }
}

impl<R: Read + Seek> AviReader<R> {
    pub(crate) fn new(input: R, length: u64, path: &Path) -> Result<Self, FileError> {
        let mut reader = Self {
            path: path.to_owned(),
            input,
            length,
            position: 0,
            announced_end: None,
            streams: 0,
            current: None,
            video: None,
            unreadable: Vec::new(),
            frames: 0,
        };
        reader.read_headers()?;
        Ok(reader)
    }

    /// Frames a second, as the stream's header says.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.video.as_ref().and_then(|video| video.rate)
    }

    /// How many frames the stream's header promises.
    pub(crate) fn frames(&self) -> Option<u64> {
        let frames = self.video.as_ref().map_or(0, |video| video.frames);
        (frames > 0).then_some(frames.into())
    }

    /// The next frame's JPEG; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<StoredPicture>, FileError> {
        while let Some(chunk) = self.next_chunk()? {
            if !self.is_frame(&chunk) {
                self.skip(&chunk)?;
                continue;
            }
            let number = self.frames;
            self.frames += 1;
            // A frame without bytes repeats the one before: the recorder had none.
            if chunk.bytes == 0 {
                continue;
            }
            let origin =
                format!("{}, frame {number} at byte {}", self.path.display(), chunk.offset);
            if u64::from(chunk.bytes) > PICTURE_BYTES_MAX {
                let (bytes, most) = (chunk.bytes.into(), PICTURE_BYTES_MAX);
                if self.skip(&chunk).is_err() {
                    // It reaches beyond the file's end.
                    self.position = self.length;
                }
                return Err(FileError::PictureBytes { origin, bytes, most });
            }
            let bytes = self.payload(&chunk)?;
            return Ok(Some(StoredPicture { content: Content::Encoded(bytes), origin, number }));
        }
        Ok(None)
    }

    /// Begins anew.
    pub(crate) fn rewind(&mut self) -> Result<(), FileError> {
        self.input.seek(SeekFrom::Start(0)).map_err(FileError::io(&self.path))?;
        self.position = 0;
        self.streams = 0;
        self.current = None;
        self.video = None;
        self.unreadable.clear();
        self.frames = 0;
        self.read_headers()
    }

    /// Reads up to where the frames begin.
    fn read_headers(&mut self) -> Result<(), FileError> {
        while let Some(chunk) = self.next_chunk()? {
            match &chunk.name {
                b"strh" => self.stream_header(&chunk)?,
                b"strf" => self.stream_format(&chunk)?,
                b"movi" => break,
                _ => self.skip(&chunk)?,
            }
        }
        if self.video.is_some() {
            return Ok(());
        }
        let found = match &self.unreadable[..] {
            [] => "no video at all".to_owned(),
            codecs => codecs.join(", "),
        };
        Err(FileError::NotMotionJpeg { path: self.path.clone(), found })
    }

    /// Reads a stream's header: what it is, and how fast.
    fn stream_header(&mut self, chunk: &Chunk) -> Result<(), FileError> {
        let bytes = self.header_payload(chunk, 28)?;
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (scale, rate) = (f64::from(word(20)), f64::from(word(24)));
        self.current = Some(StreamHeader {
            index: self.streams,
            is_video: bytes.starts_with(b"vids"),
            codec: [bytes[4], bytes[5], bytes[6], bytes[7]],
            rate: Some(rate / scale).filter(rate_fits),
            frames: if bytes.len() >= 36 { word(32) } else { 0 },
        });
        self.streams += 1;
        if self.streams > STREAMS_MAX {
            return Err(self.damaged(chunk.offset, "more than a hundred streams"));
        }
        Ok(())
    }

    /// Reads a stream's format, and takes the stream if it is the first of Motion JPEG.
    fn stream_format(&mut self, chunk: &Chunk) -> Result<(), FileError> {
        let Some(header) = self.current.take().filter(|header| header.is_video) else {
            return self.skip(chunk);
        };
        let format = self.header_payload(chunk, 20)?;
        let codecs = [header.codec, [format[16], format[17], format[18], format[19]]];
        let is_jpeg = codecs
            .iter()
            .any(|codec| [b"MJPG", b"JPEG"].iter().any(|known| codec.eq_ignore_ascii_case(*known)));
        if !is_jpeg {
            self.unreadable.push(String::from_utf8_lossy(&codecs[1]).escape_debug().to_string());
        } else if self.video.is_none() {
            let digits = [b'0' + (header.index / 10) as u8, b'0' + (header.index % 10) as u8];
            self.video = Some(VideoStream { digits, rate: header.rate, frames: header.frames });
        }
        Ok(())
    }

    fn is_frame(&self, chunk: &Chunk) -> bool {
        let [first, second, kind @ ..] = chunk.name;
        let ours = self.video.as_ref().is_some_and(|video| video.digits == [first, second]);
        ours && (kind == *b"dc" || kind == *b"db")
    }

    /// The next chunk that is no list, or `movi`, with the input at its first byte; `None` at the
    /// end of the file.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, FileError> {
        loop {
            let offset = self.position;
            if offset >= self.length {
                return match self.announced_end {
                    Some(end) if end > self.length => Err(self.truncated(offset)),
                    _ => Ok(None),
                };
            }
            let mut header = [0; 8];
            self.read(&mut header, offset)?;
            let [a, b, c, d, size @ ..] = header;
            let chunk = Chunk { name: [a, b, c, d], bytes: u32::from_le_bytes(size), offset };
            if !chunk.name.iter().all(|letter| (b' '..=b'~').contains(letter)) {
                return Err(self.damaged(offset, "no chunk begins here"));
            }
            if chunk.name != *b"RIFF" && chunk.name != *b"LIST" {
                return Ok(Some(chunk));
            }
            let mut kind = [0; 4];
            self.read(&mut kind, offset)?;
            if chunk.name == *b"RIFF" && offset == 0 {
                self.announced_end = (chunk.bytes > 0).then(|| 8 + u64::from(chunk.bytes));
            }
            match &kind {
                b"movi" => return Ok(Some(Chunk { name: kind, bytes: 0, offset })),
                b"AVI " | b"AVIX" | b"hdrl" | b"strl" | b"rec " => {}
                _ => {
                    let rest = Chunk { bytes: chunk.bytes.saturating_sub(4), ..chunk };
                    self.skip(&rest)?;
                }
            }
        }
    }

    /// A header chunk's bytes, at least `least` of them.
    fn header_payload(&mut self, chunk: &Chunk, least: u32) -> Result<Vec<u8>, FileError> {
        if !(least..=HEADER_BYTES_MAX).contains(&chunk.bytes) {
            let reason = format!("a stream's header of {} bytes", chunk.bytes);
            return Err(self.damaged(chunk.offset, reason));
        }
        self.payload(chunk)
    }

    /// A chunk's bytes; its size has been held against a limit before.
    fn payload(&mut self, chunk: &Chunk) -> Result<Vec<u8>, FileError> {
        // Memory for what the file has, not for what it claims.
        if u64::from(chunk.bytes) > self.remaining() {
            return Err(self.truncated(chunk.offset));
        }
        let mut bytes = vec![0; chunk.bytes as usize];
        self.read(&mut bytes, chunk.offset)?;
        self.skip_padding(chunk)?;
        Ok(bytes)
    }

    /// Bytes ahead. A file that grew since it was opened may have been read beyond its end of then.
    fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }

    fn skip(&mut self, chunk: &Chunk) -> Result<(), FileError> {
        if u64::from(chunk.bytes) > self.remaining() {
            return Err(self.truncated(chunk.offset));
        }
        self.advance(i64::from(chunk.bytes))?;
        self.skip_padding(chunk)
    }

    /// Passes over the byte that makes a chunk's length even; at the file's end it may be missing.
    fn skip_padding(&mut self, chunk: &Chunk) -> Result<(), FileError> {
        if chunk.bytes % 2 == 1 && self.position < self.length {
            self.advance(1)?;
        }
        Ok(())
    }

    fn advance(&mut self, bytes: i64) -> Result<(), FileError> {
        self.input.seek_relative(bytes).map_err(FileError::io(&self.path))?;
        self.position += bytes.unsigned_abs();
        Ok(())
    }

    /// Fills `bytes`; they belong to the chunk at `offset`.
    fn read(&mut self, bytes: &mut [u8], offset: u64) -> Result<(), FileError> {
        match self.input.read_exact(bytes) {
            Ok(()) => {
                self.position += bytes.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.truncated(offset))
            }
            Err(source) => Err(FileError::Io { path: self.path.clone(), source }),
        }
    }

    fn truncated(&self, offset: u64) -> FileError {
        FileError::Truncated { path: self.path.clone(), offset }
    }

    fn damaged(&self, offset: u64, reason: impl Into<String>) -> FileError {
        FileError::Damaged { path: self.path.clone(), offset, reason: reason.into() }
    }
}

/// A chunk's name, its length without the padding, and where its header begins.
#[derive(Clone, Copy)]
struct Chunk {
    name: [u8; 4],
    bytes: u32,
    offset: u64,
}

/// Names of chunks have two digits for their stream.
const STREAMS_MAX: u32 = 100;
/// A video format is 40 bytes, with a palette about a thousand.
const HEADER_BYTES_MAX: u32 = 64 * 1024;

#[cfg(test)]
mod tests;
