//! Detections in and tracks out as the MOT Challenge writes them, and camera motions beside them.
//!
//! A row is `frame,id,x,y,width,height,confidence,-1,-1,-1`: frames from 1, pixels, origin at the
//! top left corner. Columns after the seventh are not looked at.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read, Write},
};

use keepsight_contract::BoundingBox;

use crate::associate::{Affine, Observation};

/// Why a text could not be read; lines count from 1.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MotTextError {
    /// The reader failed.
    #[error("cannot read line {line}")]
    Read {
        /// The line being read.
        line: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// A line that no such file has.
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes")]
    LongLine {
        /// The line.
        line: u64,
    },
    /// A row that ends early.
    #[error("line {line} has {found} columns, {expected} are needed")]
    MissingColumns {
        /// The line.
        line: u64,
        /// Columns there are.
        found: usize,
        /// Columns needed.
        expected: usize,
    },
    /// Something that should be a number.
    #[error("line {line}, column {column}: {text:?} is not a number")]
    NotANumber {
        /// The line.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What is there.
        text: String,
    },
    /// A frame number that is not a whole number from 1 to 10,000,000.
    #[error("line {line}: {text:?} is not a frame number from 1 to {FRAME_MAX}")]
    FrameNumber {
        /// The line.
        line: u64,
        /// What is there.
        text: String,
    },
}

/// Reads detections, all of class 0, by frame. Odd numbers (negative sizes, confidences above 1)
/// are kept for the association to count.
///
/// # Errors
/// [`MotTextError`] at the first line that is not a row; empty lines are skipped.
pub fn read_detections(
    reader: impl BufRead,
) -> Result<BTreeMap<u32, Vec<Observation>>, MotTextError> {
    let mut frames = BTreeMap::<u32, Vec<Observation>>::new();
    for_each_row(reader, |line, row| {
        let (frame, [_, x, y, width, height, confidence]) = numbers(line, row.split(','))?;
        let bbox = BoundingBox::new(x, y, width, height);
        frames.entry(frame).or_default().push(Observation { bbox, confidence, class_id: 0 });
        Ok(())
    })?;
    Ok(frames)
}

/// Reads camera motions: the frame, then, row by row and separated by spaces, the 2 × 3 matrix
/// that carries the previous frame's pixels to this frame's.
///
/// # Errors
/// [`MotTextError`] at the first line that is not a row; empty lines are skipped.
pub fn read_camera_motions(reader: impl BufRead) -> Result<BTreeMap<u32, Affine>, MotTextError> {
    let mut frames = BTreeMap::new();
    for_each_row(reader, |line, row| {
        let (frame, [a, b, tx, c, d, ty]) = numbers(line, row.split_whitespace())?;
        frames.insert(frame, Affine { rows: [[a, b, tx], [c, d, ty]] });
        Ok(())
    })?;
    Ok(frames)
}

/// Writes one row of a result: where track `id` is on `frame` (from 1).
///
/// # Errors
/// What the writer says.
pub fn write_track(
    writer: &mut impl Write,
    frame: u32,
    id: u64,
    bbox: &BoundingBox,
    confidence: f32,
) -> io::Result<()> {
    let BoundingBox { x, y, width, height } = bbox;
    writeln!(writer, "{frame},{id},{x:.2},{y:.2},{width:.2},{height:.2},{confidence:.4},-1,-1,-1")
}

/// Calls `take` with each line that is not empty and its number.
fn for_each_row(
    mut reader: impl BufRead,
    mut take: impl FnMut(u64, &str) -> Result<(), MotTextError>,
) -> Result<(), MotTextError> {
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let mut bounded = reader.by_ref().take(LINE_BYTES_MAX + 1);
        let bytes =
            bounded.read_line(&mut text).map_err(|source| MotTextError::Read { line, source })?;
        if bytes as u64 > LINE_BYTES_MAX {
            return Err(MotTextError::LongLine { line });
        }
        if bytes == 0 {
            break;
        }
        let row = text.trim();
        if !row.is_empty() {
            take(line, row)?;
        }
    }
    Ok(())
}

/// The frame and the `N` numbers after it.
fn numbers<'a, const N: usize>(
    line: u64,
    columns: impl Iterator<Item = &'a str>,
) -> Result<(u32, [f32; N]), MotTextError> {
    let mut columns = columns.map(str::trim);
    let frame = columns.next().unwrap_or_default();
    let frame = frame
        .parse()
        .ok()
        .filter(|number| (1..=FRAME_MAX).contains(number))
        .ok_or_else(|| MotTextError::FrameNumber { line, text: frame.to_owned() })?;
    let mut found = [0.0; N];
    for (index, number) in found.iter_mut().enumerate() {
        let missing = MotTextError::MissingColumns { line, found: index + 1, expected: N + 1 };
        let text = columns.next().ok_or(missing)?;
        *number = text.parse().map_err(|_| MotTextError::NotANumber {
            line,
            column: index + 2,
            text: text.to_owned(),
        })?;
    }
    Ok((frame, found))
}

const LINE_BYTES_MAX: u64 = 1_024;
const FRAME_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detections_are_gathered_by_frame() {
        let text = "2,-1,10,20.5,30,40,0.9,-1,-1,-1\r\n\n1,-1,1,2,3,4,1\n2,-1, 5,6,7,8, 0.5\n";
        let frames = read_detections(text.as_bytes()).unwrap();
        let boxes = |frame: u32| -> Vec<_> {
            frames[&frame].iter().map(|seen| (seen.bbox.y, seen.confidence)).collect()
        };
        assert_eq!(boxes(1), [(2.0, 1.0)]);
        assert_eq!(boxes(2), [(20.5, 0.9), (6.0, 0.5)]);
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn camera_motions_are_matrices() {
        let motions = read_camera_motions(&b"7 1 0.5 -3 -0.5 1.25 4\n"[..]).unwrap();
        assert_eq!(motions[&7], Affine { rows: [[1.0, 0.5, -3.0], [-0.5, 1.25, 4.0]] });
    }

    #[test]
    fn a_written_track_is_a_row() {
        let mut text = Vec::new();
        let bbox = BoundingBox::new(-1.0, 2.126, 30.0, 40.0);
        write_track(&mut text, 12, 7, &bbox, 0.5).unwrap();
        assert_eq!(text, b"12,7,-1.00,2.13,30.00,40.00,0.5000,-1,-1,-1\n");
    }

    #[track_caller]
    fn check(text: &[u8], message: &str) {
        assert_eq!(read_detections(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn what_is_no_row_is_named_with_its_line() {
        check(b"1,-1,1,2,3,4,1\n1,-1,1,2\n", "line 2 has 4 columns, 7 are needed");
        check(b"1,-1,1,x,3,4,1\n", "line 1, column 4: \"x\" is not a number");
        check(b"\n0,-1,1,2,3,4,1\n", "line 2: \"0\" is not a frame number from 1 to 10000000");
        check(b"1.5,-1,1,2,3,4,1\n", "line 1: \"1.5\" is not a frame number from 1 to 10000000");
        check(
            b"99999999,-1,1,2,3,4,1\n",
            "line 1: \"99999999\" is not a frame number from 1 to 10000000",
        );
        check(&[b'1'; 5_000], "line 1 is longer than 1024 bytes");
        check(b"1,-1,\xff\n", "cannot read line 1");
    }
}
