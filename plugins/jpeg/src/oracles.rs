//! What any bytes must keep to that are taken for a picture; `fuzz/` calls it, and so do the
//! tests. How much memory a picture may take is the fuzzer's to watch: limits are small here.

use keepsight_contract::{Decoder, FrameSize};

use crate::{
    FilmError, FilmItem, FilmParser, FilmPicture, JpegDecoder, Limits, Picture, PictureError,
    decode_jpeg, decode_png, inspect_jpeg,
};

const LIMITS: Limits = Limits { width_max: 640, height_max: 640, pixels_max: 256 * 256 };

/// A JPEG that is decoded is within the limits, looks whole from outside, and decodes to the same
/// as a frame does.
pub fn check_jpeg(input: &[u8]) {
    let inspected = inspect_jpeg(input, &LIMITS);
    let Some(picture) = checked(decode_jpeg(input, &LIMITS)) else { return };
    let size = picture.size();
    assert_eq!(inspected.expect("it was decoded"), (size.width, size.height));
    let decoded = JpegDecoder::new(LIMITS).decode(input, size).expect("it was decoded");
    assert_eq!(decoded.size, size);
    let other = FrameSize::new(size.width + 1, size.height);
    assert!(JpegDecoder::new(LIMITS).decode(input, other).is_err());
}

/// A PNG that is decoded is within the limits.
pub fn check_png(input: &[u8]) {
    checked(decode_png(input, &LIMITS));
}

/// A film gives the same pictures in whatever pieces it comes, within the limits.
pub fn check_film(input: &[u8]) {
    let (whole, end) = film(input, input.len());
    for (number, item) in whole.iter().enumerate() {
        let (FilmItem::Picture(FilmPicture { number: found, offset, .. })
        | FilmItem::Damaged { number: found, offset, .. }) = item;
        assert_eq!(*found, number as u64);
        assert!(*offset < input.len() as u64, "picture {number} begins at byte {offset}");
        if let FilmItem::Picture(FilmPicture { size, .. }) = item {
            assert!(size.pixel_count() <= LIMITS.pixels_max, "{size}");
        }
    }
    let pieces = film(input, 1 + input.len() % 7);
    assert_eq!(pieces.0, whole);
    assert_eq!(format!("{:?}", pieces.1), format!("{end:?}"));
}

/// What a film holds that comes in pieces of `piece` bytes, and how it ended.
fn film(mut input: &[u8], piece: usize) -> (Vec<FilmItem>, Result<(), FilmError>) {
    let mut items = Vec::new();
    let mut parser = FilmParser::new(LIMITS);
    let mut read = || {
        while !input.is_empty() {
            let space = parser.space();
            let count = space.len().min(piece).min(input.len());
            space[..count].copy_from_slice(&input[..count]);
            input = &input[count..];
            parser.filled(count)?;
            while let Some(item) = parser.next()? {
                items.push(item);
            }
        }
        items.extend(parser.finish()?);
        Ok(())
    };
    let end = read();
    (items, end)
}

fn checked(decoded: Result<Picture, PictureError>) -> Option<Picture> {
    let picture = decoded.ok()?;
    let size = picture.size();
    assert!(size.width <= LIMITS.width_max && size.height <= LIMITS.height_max, "{size}");
    assert!(size.pixel_count() <= LIMITS.pixels_max, "{size}");
    assert_eq!(picture.rgb().len() as u64, size.pixel_count() * 3);
    Some(picture)
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;
    use crate::decode_picture;

    const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/");

    #[test]
    fn jpegs_hold() {
        try_variations(format!("{SEEDS}jpeg"), 3_000, check_jpeg);
    }

    #[test]
    fn pngs_hold() {
        try_variations(format!("{SEEDS}png"), 3_000, check_png);
    }

    #[test]
    fn films_hold() {
        try_variations(format!("{SEEDS}film"), 3_000, check_film);
    }

    #[test]
    fn seeds_are_pictures() {
        for folder in ["jpeg", "png"] {
            let count = std::fs::read_dir(format!("{SEEDS}{folder}")).unwrap().map(|entry| {
                let path = entry.unwrap().path();
                let picture = decode_picture(&std::fs::read(&path).unwrap());
                picture.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            });
            assert!(count.count() >= 3);
        }
    }
}
