use std::io::Read;

use super::*;
use crate::{Picture, encode};

/// Everything that a film gives, handed over in pieces of `piece` bytes at most.
fn read(film: &[u8], piece: usize) -> Result<Vec<FilmItem>, FilmError> {
    let mut parser = FilmParser::new(Limits::default());
    let (mut items, mut rest) = (Vec::new(), film);
    while !rest.is_empty() {
        let space = parser.space();
        let room = space.len().min(piece);
        let count = rest.read(&mut space[..room]).unwrap();
        parser.filled(count)?;
        while let Some(item) = parser.next()? {
            items.push(item);
        }
    }
    items.extend(parser.finish()?);
    Ok(items)
}

fn jpeg(brightness: u8) -> Vec<u8> {
    encode(&Picture::filled(32, 16, [brightness; 3]), 90).unwrap()
}

/// Number, offset and bytes of each picture; damaged ones without bytes.
#[track_caller]
fn check(film: &[u8], expected: &[(u64, u64, &[u8])]) {
    for piece in [1, 3, 7, 64, 100_000] {
        let found = read(film, piece).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|item| match item {
                FilmItem::Picture(picture) => (picture.number, picture.offset, &picture.bytes[..]),
                FilmItem::Damaged { number, offset, .. } => (*number, *offset, &[][..]),
            })
            .collect();
        assert!(found == expected, "in pieces of {piece}: {found:?}");
    }
}

#[track_caller]
fn check_error(film: &[u8], named: &str) {
    for piece in [1, 100_000] {
        let error = read(film, piece).unwrap_err();
        assert!(error.to_string().contains(named), "in pieces of {piece}: {error}");
    }
}

#[test]
fn a_y4m_film_gives_its_pictures() {
    let film = b"YUV4MPEG2 W2 H2 F25:1 Cmono\nFRAME\nabcdFRAME Ip\nefghFRAME\nijkl";
    check(film, &[(0, 28, b"abcd"), (1, 38, b"efgh"), (2, 51, b"ijkl")]);
    let mut parser = FilmParser::new(Limits::default());
    for byte in film.iter().take(28) {
        parser.space()[0] = *byte;
        parser.filled(1).unwrap();
    }
    assert_eq!(parser.rate(), Some(25.0));
    check(b"YUV4MPEG2 W2 H2\n", &[]);
}

#[test]
fn a_y4m_film_that_goes_wrong_says_where() {
    check_error(b"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdEMARF\nabcd", "byte 32");
    check_error(b"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAME\nabc", "picture that begins at byte 32");
    check_error(b"YUV4MPEG2 W2 H2 Cmono\nFRA", "picture that begins at byte 22");
    check_error(b"YUV4MPEG2 W2 H2", "begins at byte 0");
    check_error(b"YUV4MPEG2 W2 H2 C420p16\n", "C420p16");
    check_error(&[&b"YUV4MPEG2 W2 H2 X"[..], &[b'x'; 5000]].concat(), "no end");
    check_error(&[&b"YUV4MPEG2 W2 H2\nFRAME X"[..], &[b'x'; 5000]].concat(), "byte 16");
    check_error(b"YUV4MPEG2 W99999 H99999\nFRAME\n", "99999x99999");
}

#[test]
fn memory_is_taken_for_what_came() {
    let mut film = b"YUV4MPEG2 W7680 H4320 C444\nFRAME\n".to_vec();
    film.extend([0; 1000]);
    let mut parser = FilmParser::new(Limits::default());
    let mut rest = &film[..];
    while !rest.is_empty() {
        let count = rest.read(parser.space()).unwrap();
        parser.filled(count).unwrap();
    }
    assert!(parser.planes.len() <= AT_ONCE_BYTES, "{} bytes", parser.planes.len());
}

#[test]
fn a_large_picture_grows_to_its_size() {
    let mut film = b"YUV4MPEG2 W3000 H3000 Cmono\n".to_vec();
    for brightness in [7, 8] {
        film.extend(b"FRAME\n");
        film.extend(vec![brightness; 9_000_000]);
    }
    let items = read(&film, usize::MAX).unwrap();
    for (item, brightness) in items.iter().zip([7, 8]) {
        let FilmItem::Picture(picture) = item else { panic!("{item:?}") };
        assert!(picture.bytes == vec![brightness; 9_000_000]);
    }
    assert_eq!(items.len(), 2);
}

#[test]
fn jpegs_are_cut_apart() {
    let (one, two) = (jpeg(10), jpeg(200));
    let film = [&one[..], &two, &one].concat();
    let (second, third) = (one.len() as u64, (one.len() + two.len()) as u64);
    check(&film, &[(0, 0, &one), (1, second, &two), (2, third, &one)]);
}

#[test]
fn what_stands_between_jpegs_is_passed_over() {
    let (one, two) = (jpeg(10), jpeg(200));
    let between = b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n";
    let film = [between, &one[..], between, &two, between].concat();
    let (first, second) = (between.len(), 2 * between.len() + one.len());
    check(&film, &[(0, first as u64, &one), (1, second as u64, &two)]);
}

#[test]
fn a_preview_inside_a_picture_is_no_picture() {
    let (preview, picture) = (jpeg(10), jpeg(200));
    let mut film = picture[..2].to_vec();
    film.extend([0xff, 0xe1]);
    film.extend((preview.len() as u16 + 2).to_be_bytes());
    film.extend(&preview);
    film.extend(&picture[2..]);
    check(&film, &[(0, 0, &film)]);
}

#[test]
fn damage_is_counted_and_passed_over() {
    let (one, two) = (jpeg(10), jpeg(200));
    // Its second half is missing, and the next one begins.
    let film = [&one[..], &one[..300], &two].concat();
    let second = one.len() as u64;
    check(&film, &[(0, 0, &one), (1, second, &[]), (2, second + 300, &two)]);
    // A header that leads nowhere.
    let film = [&[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 3, 4, 5, 6][..], &two].concat();
    check(&film, &[(0, 0, &[]), (1, 12, &two)]);
}

#[test]
fn a_last_picture_without_its_end_is_one() {
    let (one, two) = (jpeg(10), jpeg(200));
    let film = [&one[..], &two[..two.len() - 2]].concat();
    check(&film, &[(0, 0, &one), (1, one.len() as u64, &two[..two.len() - 2])]);
}

#[test]
fn what_is_no_film_is_named() {
    check_error(b"", "empty");
    check_error(b"YUV4", "YUV4");
    check_error(b"no such stream\n", "no such st");
    check_error(&vec![0; 3 << 20], "neither YUV4MPEG2 nor JPEGs");
    // After a picture, as much is damage.
    let film = [&jpeg(10)[..], &vec![0; 3 << 20]].concat();
    check_error(&film, "damaged at byte");
}

#[test]
fn a_picture_without_end_is_refused() {
    let mut film = jpeg(10);
    film.truncate(film.len() - 2);
    film.resize(65 << 20, 0);
    let error = read(&film, usize::MAX).unwrap_err();
    assert!(matches!(error, FilmError::PictureBytes { offset: 0, .. }), "{error}");
}

#[test]
fn however_bytes_are_changed_and_cut_there_is_an_end() {
    let mut seed = 1u64;
    let mut random = |bound: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let mut films = vec![[jpeg(10), jpeg(99), jpeg(200)].concat()];
    films.push(b"YUV4MPEG2 W4 H4 F25:1 C420\nFRAME\n0123456789abcdef01234567".repeat(2));
    let mut kinds = [0; 3];
    for round in 0..600 {
        let mut film = films[round % 2].clone();
        for _ in 0..random(4) {
            let at = random(film.len());
            film[at] = [0xff, 0xd8, 0xd9, 0xda, 0, b'\n'][random(6)];
        }
        film.truncate(random(film.len() * 2).max(1));
        let whole = read(&film, usize::MAX);
        let pieces = read(&film, 1 + random(50));
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert!(whole == pieces, "round {round}");
                kinds
                    [usize::from(whole.iter().any(|it| matches!(it, FilmItem::Damaged { .. })))] +=
                    1;
            }
            (Err(whole), Err(pieces)) => {
                assert_eq!(whole.to_string(), pieces.to_string(), "round {round}");
                kinds[2] += 1;
            }
            (whole, pieces) => panic!("round {round}: {whole:?}, in pieces {pieces:?}"),
        }
    }
    assert!(kinds.iter().all(|count| *count > 20), "whole, damaged, refused: {kinds:?}");
}
