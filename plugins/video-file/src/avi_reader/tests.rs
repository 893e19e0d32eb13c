use std::io::Cursor;

use keepsight_contract::FrameSize;
use keepsight_jpeg::{AviWriter, Picture, encode};

use super::*;

fn jpegs(count: u8) -> Vec<Vec<u8>> {
    (0..count).map(|n| encode(&Picture::filled(32, 16, [n * 40, 90, 10]), 80).unwrap()).collect()
}

fn film(rate: f64, jpegs: &[Vec<u8>]) -> Vec<u8> {
    let mut film = AviWriter::new(Cursor::new(Vec::new()), FrameSize::new(32, 16), rate).unwrap();
    for jpeg in jpegs {
        film.push(jpeg).unwrap();
    }
    film.finish().unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Result<AviReader<Cursor<&[u8]>>, FileError> {
    AviReader::new(Cursor::new(bytes), bytes.len() as u64, Path::new("film.avi"))
}

fn bytes_of(picture: &StoredPicture) -> &[u8] {
    match &picture.content {
        Content::Encoded(bytes) | Content::Checked { bytes, .. } => bytes,
    }
}

/// All frames, and how reading ended.
fn read(bytes: &[u8]) -> (Vec<StoredPicture>, Result<(), FileError>) {
    let mut frames = Vec::new();
    let mut reader = match open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (frames, Err(error)),
    };
    loop {
        match reader.next() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
    }
}

fn position(bytes: &[u8], name: &[u8; 4]) -> usize {
    bytes.windows(4).position(|window| window == name).unwrap()
}

#[test]
fn what_was_written_is_read() {
    let jpegs = jpegs(5);
    let bytes = film(29.97, &jpegs);
    assert!(AviReader::starts_like_one(&bytes));
    let mut reader = open(&bytes).unwrap();
    assert!((reader.rate().unwrap() - 29.97).abs() < 1e-3);
    for round in 0..2 {
        for (number, jpeg) in jpegs.iter().enumerate() {
            let frame = reader.next().unwrap().unwrap();
            assert_eq!(
                (frame.number, bytes_of(&frame)),
                (number as u64, &jpeg[..]),
                "round {round}"
            );
        }
        assert!(reader.next().unwrap().is_none());
        reader.rewind().unwrap();
    }
}

#[test]
fn a_truncated_film_gives_its_whole_frames_and_then_says_where_it_stops() {
    let jpegs = jpegs(4);
    let bytes = film(25.0, &jpegs);
    let whole = read(&bytes).0.len();
    assert_eq!(whole, 4);
    for length in 12..bytes.len() {
        let (frames, end) = read(&bytes[..length]);
        for (frame, jpeg) in frames.iter().zip(&jpegs) {
            assert_eq!(bytes_of(frame), jpeg);
        }
        let Err(FileError::Truncated { offset, .. }) = end else {
            panic!("{length} of {} bytes: {end:?}", bytes.len())
        };
        assert!(offset as usize <= length);
    }
}

#[test]
fn a_recording_that_was_never_finished_is_read() {
    let jpegs = jpegs(3);
    let mut bytes = film(25.0, &jpegs);
    bytes.truncate(position(&bytes, b"idx1"));
    bytes[4..8].fill(0);
    let (frames, end) = read(&bytes);
    assert_eq!(frames.len(), 3);
    assert!(end.is_ok(), "{end:?}");
}

#[test]
fn hostile_sizes_cost_no_memory() {
    let bytes = film(25.0, &jpegs(2));
    let mut large = bytes.clone();
    let frame = position(&large, b"00dc");
    large[frame + 4..frame + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    let (frames, end) = read(&large);
    assert!(frames.is_empty());
    assert!(matches!(end, Err(FileError::PictureBytes { bytes: 4_294_967_295, .. })), "{end:?}");

    let mut long = bytes.clone();
    long[frame + 4..frame + 8].copy_from_slice(&(32u32 << 20).to_le_bytes());
    assert!(matches!(read(&long).1, Err(FileError::Truncated { .. })));

    let mut header = bytes;
    let strf = position(&header, b"strf");
    header[strf + 4..strf + 8].copy_from_slice(&(1u32 << 20).to_le_bytes());
    let error = open(&header).err().unwrap();
    assert!(matches!(error, FileError::Damaged { offset, .. } if offset == strf as u64), "{error}");
}

#[test]
fn nothing_but_motion_jpeg_is_read() {
    let mut bytes = film(25.0, &jpegs(1));
    while let Some(at) = bytes.windows(4).position(|window| window == b"MJPG") {
        bytes[at..at + 4].copy_from_slice(b"H264");
    }
    let error = open(&bytes).err().unwrap();
    assert!(matches!(&error, FileError::NotMotionJpeg { found, .. } if found == "H264"), "{error}");

    let error = open(b"RIFF\x04\0\0\0AVI ").err().unwrap();
    assert!(error.to_string().contains("no video at all"), "{error}");

    let streams = b"strh\x1c\0\0\0audsxxxxyyyyyyyyyyyyyyyyyyyy".repeat(101);
    let many = [b"RIFF\0\0\0\0AVI ".as_slice(), &streams].concat();
    let error = open(&many).err().unwrap();
    assert!(error.to_string().contains("hundred streams"), "{error}");
}

#[test]
fn another_stream_and_unknown_chunks_are_passed_over() {
    let jpegs = jpegs(2);
    let bytes = film(25.0, &jpegs);
    let (movi, idx1) = (position(&bytes, b"movi") + 4, position(&bytes, b"idx1"));
    // Sound, a list of index data, a dropped frame and an odd chunk before the frames.
    let mut more = bytes[..movi].to_vec();
    more.extend(b"01wb\x04\0\0\0abcdLIST\x08\0\0\0INFOabcdJUNK\x03\0\0\0abc\0");
    more.extend(b"00dc\0\0\0\0");
    more.extend(&bytes[movi..idx1]);
    more[4..8].fill(0);
    let (frames, end) = read(&more);
    assert!(end.is_ok(), "{end:?}");
    let numbers: Vec<u64> = frames.iter().map(|frame| frame.number).collect();
    assert_eq!(numbers, [1, 2], "the dropped frame has a number");
}

#[test]
fn flipped_bits_never_panic() {
    let bytes = film(25.0, &jpegs(3));
    let mut outcomes = [0, 0];
    for at in 0..bytes.len().min(400) * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let (frames, end) = read(&flipped);
        assert!(frames.len() <= 4);
        outcomes[usize::from(end.is_ok())] += 1;
    }
    assert!(outcomes[0] > 100 && outcomes[1] > 100, "{outcomes:?}");
}

#[test]
fn a_film_that_still_grows_is_read_up_to_where_it_ended() {
    let bytes = film(25.0, &jpegs(4));
    let whole = read(&bytes).0.len();
    for length in 12..bytes.len() as u64 {
        let opened = AviReader::new(Cursor::new(&bytes[..]), length, Path::new("film.avi"));
        let Ok(mut reader) = opened else { continue };
        let frames = std::iter::from_fn(|| reader.next().ok().flatten()).count();
        assert!(frames <= whole);
    }
}

#[test]
fn a_film_that_loops_forgets_its_last_round() {
    // An unreadable stream in front: its header, then its format.
    let mut other = b"strh".to_vec();
    other.extend(56u32.to_le_bytes());
    other.extend(b"vidsH264");
    other.extend([0; 48]);
    other.extend(b"strf");
    other.extend(40u32.to_le_bytes());
    other.extend([0; 16]);
    other.extend(b"H264");
    other.extend([0; 20]);
    let mut bytes = film(25.0, &jpegs(2));
    let header = position(&bytes, b"strh");
    bytes.splice(header..header, other);
    let end = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&end.to_le_bytes());
    // What is a frame of the first stream is one of the second now.
    for at in 0..bytes.len() - 4 {
        if &bytes[at..at + 4] == b"00dc" {
            bytes[at + 1] = b'1';
        }
    }
    let mut reader = open(&bytes).unwrap();
    for _ in 0..5 {
        assert_eq!(std::iter::from_fn(|| reader.next().unwrap()).count(), 2);
        assert_eq!(reader.unreadable, ["H264"]);
        reader.rewind().unwrap();
    }
}
