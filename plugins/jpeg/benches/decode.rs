//! What a camera's or a film's JPEG costs, on one thread: 768×576, as the films of the tracker's
//! benchmark have it, to RGB and to brightness. The budget is 400 pictures a second, 2.5 ms each.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};
use keepsight_jpeg::{JpegDecoder, Limits, Picture, decode_jpeg, encode};

const SIZE: FrameSize = FrameSize::new(768, 576);

/// Usual for cameras: about 80 kB for a picture of this size.
const QUALITY: u8 = 85;

/// The scene's photograph of a street, at the size of the bench and with a camera's noise, which
/// it lacks: smooth blocks are cheap to decode.
fn picture() -> Picture {
    let photograph = include_bytes!("../../scene/assets/background.jpg");
    let photograph = decode_jpeg(photograph, &Limits::default()).expect("it is a JPEG");
    let mut picture = Picture::filled(SIZE.width, SIZE.height, [0; 3]);
    let (width, from_width) = (SIZE.width as usize, photograph.width() as usize);
    let mut noise = 0x2545_f491_u32;
    for (at, pixel) in picture.rgb_mut().chunks_exact_mut(3).enumerate() {
        let column = at % width * from_width / width;
        let row = at / width * photograph.height() as usize / SIZE.height as usize;
        let from = &photograph.rgb()[(row * from_width + column) * 3..];
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        for (channel, value) in pixel.iter_mut().zip(from) {
            *channel = value.saturating_add((noise >> 28) as u8 / 2);
        }
    }
    picture
}

fn decode(c: &mut Criterion) {
    let jpeg = encode(&picture(), QUALITY).expect("the size is one that JPEG holds");
    eprintln!("decode: {} bytes a picture; the budget is 400 elements a second", jpeg.len());
    let pixels = PixelBuffer::from(jpeg);
    // A frame remembers what it was decoded to, so each is new; its bytes stay shared.
    let frame = || {
        Frame::builder(PixelFormat::Mjpeg, SIZE, pixels.clone())
            .decoder(Arc::new(JpegDecoder::default()))
            .build()
            .expect("JPEGs are of any length")
    };
    let mut group = c.benchmark_group("mjpeg_768x576");
    group.sample_size(20).warm_up_time(Duration::from_secs(1)).throughput(Throughput::Elements(1));
    group.bench_function("rgb", |b| b.iter(|| black_box(frame()).to_rgb().expect("it is whole")));
    group.bench_function("luma", |b| b.iter(|| black_box(frame()).luma().expect("it is whole")));
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
