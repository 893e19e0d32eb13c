use super::FilmError;

/// Cuts JPEGs out of a row of bytes, by walking from marker to marker: a preview inside a header
/// is no picture, and what stands between pictures (the headers of `multipart/x-mixed-replace`,
/// as cameras send over HTTP) is passed over.
#[derive(Debug, Default)]
pub(super) struct JpegCutter {
    /// What came; beyond `filled` there is room.
    bytes: Vec<u8>,
    /// Everything before was dealt with.
    start: usize,
    /// Everything before was walked over; a header may lead it beyond `filled`.
    at: usize,
    filled: usize,
    place: Place,
    /// No pixels of this picture have come yet.
    in_header: bool,
    /// Offset of `bytes[0]` in the film.
    offset: u64,
    /// Bytes passed over since the last picture.
    strange: usize,
}

/// What is expected at `at`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A picture's beginning, some time.
    #[default]
    Between,
    /// A marker.
    Marker,
    /// Coded pixels.
    Scan,
}

/// What was cut out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) bytes: Vec<u8>,
    /// Of its first byte in the film.
    pub(super) offset: u64,
    /// It has its end.
    pub(super) whole: bool,
}

impl JpegCutter {
    /// Where the next bytes belong; never empty.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.filled, 0);
        self.offset += self.start as u64;
        self.at -= self.start;
        self.filled -= self.start;
        self.start = 0;
        let wanted = self.filled + READ_BYTES;
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// As many bytes were written into the space.
    pub(super) fn filled(&mut self, count: usize) {
        self.filled += count;
    }

    /// The next picture that is there.
    pub(super) fn cut(&mut self) -> Result<Option<Cut>, FilmError> {
        while let Some(rest) = self.bytes[..self.filled].get(self.at..) {
            match self.place {
                Place::Between => {
                    let found = rest.windows(3).position(|it| it == BEGINNING);
                    // Two bytes may be the beginning of three.
                    let passed = found.unwrap_or(rest.len().saturating_sub(2));
                    self.strange += passed;
                    self.start = self.at + passed;
                    self.at = self.start;
                    if found.is_none() {
                        let offset = self.offset + self.start as u64;
                        let lost = self.strange > STRANGE_BYTES_MAX;
                        return if lost { Err(FilmError::Damaged { offset }) } else { Ok(None) };
                    }
                    self.at += 2;
                    self.place = Place::Marker;
                    self.in_header = true;
                }
                Place::Marker => match rest {
                    // Any number of 0xff may stand in front of a marker.
                    [0xff, 0xff, ..] => self.at += 1,
                    [0xff, 0xd9, ..] => return Ok(Some(self.take(self.at + 2, true))),
                    [0xff, 0xd8, ..] => return Ok(Some(self.take(self.at, false))),
                    [0xff, 0x01 | 0xd0..=0xd7, ..] => self.at += 2,
                    [0xff, marker, high, low, ..] => {
                        if *marker == 0xda {
                            self.place = Place::Scan;
                            self.in_header = false;
                        }
                        let length = usize::from(*high) << 8 | usize::from(*low);
                        self.at += 2 + length.max(2);
                    }
                    [] | [0xff] | [0xff, _] | [0xff, _, _] => break,
                    _ => return Ok(Some(self.take(self.next_beginning(), false))),
                },
                Place::Scan => {
                    let found = rest.iter().position(|byte| *byte == 0xff);
                    let Some(found) = found.filter(|found| found + 1 < rest.len()) else {
                        self.at += found.unwrap_or(rest.len());
                        break;
                    };
                    self.at += found;
                    match rest[found + 1] {
                        0 | 0xd0..=0xd7 => self.at += 2,
                        0xff => self.at += 1,
                        _ => self.place = Place::Marker,
                    }
                }
            }
        }
        if self.filled - self.start > PICTURE_BYTES_MAX {
            let offset = self.offset + self.start as u64;
            return Err(FilmError::PictureBytes { offset, most: PICTURE_BYTES_MAX });
        }
        Ok(None)
    }

    /// What is left at the film's end: the beginning of a picture, or nothing.
    pub(super) fn rest(&mut self) -> Option<Cut> {
        (self.place != Place::Between).then(|| self.take(self.filled, false))
    }

    /// Where another picture may begin, should this one be broken off at `at`: a header that was
    /// cut off leads far into what follows it.
    fn next_beginning(&self) -> usize {
        let walked = if self.in_header { self.start + 2 } else { self.at };
        let found = self.bytes[walked..=self.at].windows(3).position(|it| it == BEGINNING);
        found.map_or(self.at, |found| walked + found)
    }

    /// Takes the picture that ends at `end`.
    fn take(&mut self, end: usize, whole: bool) -> Cut {
        let bytes = self.bytes[self.start..end].to_vec();
        let offset = self.offset + self.start as u64;
        (self.start, self.at, self.place, self.strange) = (end, end, Place::Between, 0);
        Cut { bytes, offset, whole }
    }
}

/// A start-of-image marker, and what begins the next one.
const BEGINNING: [u8; 3] = [0xff, 0xd8, 0xff];
/// As much as a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// The largest encoded picture.
pub(super) const PICTURE_BYTES_MAX: usize = 64 << 20;
/// So much that is no picture is no film.
pub(super) const STRANGE_BYTES_MAX: usize = 1 << 20;
