use super::*;
use crate::encode;

/// A picture with edges and gradients, so that its JPEG has long and short codes.
fn colourful(width: u32, height: u32) -> Picture {
    let mut picture = Picture::filled(width, height, [0; 3]);
    for (at, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        pixel.copy_from_slice(&[(x * 3) as u8, (y * 5) as u8, ((x / 16 + y / 16) % 2 * 90) as u8]);
    }
    picture
}

fn png_of(
    width: u32,
    height: u32,
    color: png::ColorType,
    depth: png::BitDepth,
    palette: Option<&[u8]>,
    samples: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some(palette) = palette {
        encoder.set_palette(palette.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    bytes
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }
}

#[test]
fn a_jpeg_comes_back_nearly_as_it_was() {
    let picture = colourful(61, 43);
    let read = decode_picture(&encode(&picture, 97).unwrap()).unwrap();
    assert_eq!(read.size(), picture.size());
    let sum: u64 =
        read.rgb().iter().zip(picture.rgb()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    let mean = sum as f64 / picture.rgb().len() as f64;
    assert!(mean < 8.0, "differs by {mean} on average");
}

#[test]
fn every_kind_of_png_becomes_rgb() {
    use png::{BitDepth, ColorType};
    let palette = [10, 20, 30, 40, 50, 60];
    let cases: [(ColorType, BitDepth, &[u8]); 6] = [
        (ColorType::Rgb, BitDepth::Eight, &[10, 20, 30, 40, 50, 60]),
        (ColorType::Rgba, BitDepth::Eight, &[10, 20, 30, 255, 40, 50, 60, 0]),
        (ColorType::Indexed, BitDepth::One, &[0b0100_0000]),
        (ColorType::Rgb, BitDepth::Sixteen, &[10, 0, 20, 0, 30, 0, 40, 0, 50, 0, 60, 0]),
        (ColorType::Grayscale, BitDepth::Eight, &[7, 9]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, &[7, 0, 9, 255]),
    ];
    for (color, depth, samples) in cases {
        let palette = (color == ColorType::Indexed).then_some(&palette[..]);
        let picture = decode_picture(&png_of(2, 1, color, depth, palette, samples)).unwrap();
        let gray = matches!(color, ColorType::Grayscale | ColorType::GrayscaleAlpha);
        let expected = if gray { [7, 7, 7, 9, 9, 9] } else { [10, 20, 30, 40, 50, 60] };
        assert_eq!(picture.rgb(), expected, "{color:?} {depth:?}");
    }
}

#[test]
fn bytes_of_another_kind_are_named() {
    for bytes in [&b""[..], b"GIF89a", b"\xff\xd8", b"\x89PN"] {
        let error = decode_picture(bytes).unwrap_err();
        assert!(matches!(error, PictureError::UnknownFormat), "{error}");
    }
}

#[test]
fn pictures_beyond_the_limits_are_refused() {
    let jpeg = encode(&colourful(64, 48), 80).unwrap();
    let png = png_of(64, 48, png::ColorType::Grayscale, png::BitDepth::Eight, None, &[0; 64 * 48]);
    let fitting = Limits { width_max: 64, height_max: 48, pixels_max: 64 * 48 };
    assert!(decode_jpeg(&jpeg, &fitting).is_ok());
    assert!(decode_png(&png, &fitting).is_ok());
    for limits in [
        Limits { width_max: 63, ..fitting },
        Limits { height_max: 47, ..fitting },
        Limits { pixels_max: 64 * 48 - 1, ..fitting },
    ] {
        for error in [
            decode_jpeg(&jpeg, &limits).unwrap_err(),
            decode_png(&png, &limits).unwrap_err(),
            inspect_jpeg(&jpeg, &limits).unwrap_err(),
        ] {
            assert!(
                matches!(error, PictureError::TooLarge { width: 64, height: 48, .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn a_header_that_promises_gigapixels_costs_nothing() {
    let mut jpeg = encode(&colourful(64, 48), 80).unwrap();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    let error = decode_picture(&jpeg).unwrap_err();
    assert!(matches!(error, PictureError::TooLarge { width: 65_535, .. }), "{error}");
}

#[test]
fn a_truncated_picture_is_an_error_not_half_a_picture() {
    let picture = colourful(64, 48);
    let jpeg = encode(&picture, 80).unwrap();
    let png = png_of(64, 48, png::ColorType::Rgb, png::BitDepth::Eight, None, picture.rgb());
    // A few bytes at the end may go unnoticed: the decoder reads ahead.
    for length in 4..jpeg.len() - 16 {
        let error = decode_jpeg(&jpeg[..length], &Limits::default()).unwrap_err();
        assert!(matches!(error, PictureError::Jpeg { .. }), "{length} bytes: {error}");
        assert!(inspect_jpeg(&jpeg[..length], &Limits::default()).is_err(), "{length} bytes");
    }
    assert_eq!(inspect_jpeg(&jpeg, &Limits::default()).unwrap(), (64, 48));
    let without_end = decode_jpeg(&jpeg[..jpeg.len() - 2], &Limits::default()).unwrap();
    assert!(without_end == decode_picture(&jpeg).unwrap(), "cameras leave the end mark out");
    assert_eq!(inspect_jpeg(&jpeg[..jpeg.len() - 2], &Limits::default()).unwrap(), (64, 48));
    for length in (8..png.len() - 16).step_by(7) {
        let error = decode_picture(&png[..length]).unwrap_err();
        assert!(matches!(error, PictureError::Png { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn flipped_bits_never_panic() {
    let picture = colourful(64, 48);
    let valid = [
        encode(&picture, 80).unwrap(),
        png_of(64, 48, png::ColorType::Rgb, png::BitDepth::Eight, None, picture.rgb()),
    ];
    let small = Limits { width_max: 512, height_max: 512, pixels_max: 512 * 512 };
    let mut random = Random(1);
    let (mut read, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut bytes = valid[round % 2].clone();
        for _ in 0..1 + random.below(6) {
            // Headers are where a flipped bit does most, so half the flips go there.
            let range = if random.below(2) == 0 { bytes.len() } else { bytes.len().min(640) };
            let at = random.below(range);
            bytes[at] ^= 1 << random.below(8);
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(bytes.len()) + 1);
        }
        let outcome =
            [decode_jpeg(&bytes, &small), decode_png(&bytes, &small)].into_iter().any(|it| {
                it.inspect(|picture| assert!(picture.width() <= 512 && picture.height() <= 512))
                    .is_ok()
            });
        if outcome { read += 1 } else { refused += 1 }
    }
    assert!(read > 50 && refused > 50, "{read} read, {refused} refused: the flips test nothing");
}

#[test]
fn the_number_of_pixels_has_to_fit() {
    let error = Picture::from_rgb(4, 4, vec![0; 47]).unwrap_err();
    assert!(matches!(error, PictureError::Pixels { bytes: 47, .. }), "{error}");
}
