//! Both paths against a definition written down pixel by pixel.

use keepsight_contract::testing::frames;
use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};

use super::*;

/// How far from the definition, or from each other, two paths may be: 1/100
/// level.
pub(super) const LEVELS_OFF_MAX: f32 = 0.01;

pub(super) const INPUTS: [ModelInput; 3] = [
    ModelInput {
        width: 300,
        height: 300,
        color_order: ColorOrder::Rgb,
        scale: 1.0 / 127.5,
        offset: -1.0,
        padding: Padding::Stretch,
    },
    ModelInput {
        width: 416,
        height: 416,
        color_order: ColorOrder::Bgr,
        scale: 1.0,
        offset: 0.0,
        padding: Padding::LetterboxTopLeft(114.0),
    },
    ModelInput {
        width: 33,
        height: 17,
        color_order: ColorOrder::Rgb,
        scale: 1.0,
        offset: 0.0,
        padding: Padding::LetterboxTopLeft(0.0),
    },
];

/// A frame of noise whose rows have `padding` bytes of filler behind them.
pub(super) fn noise(format: PixelFormat, width: u32, height: u32, padding: usize) -> Frame {
    let stride = format.row_bytes(width) + padding;
    let rows = match format {
        PixelFormat::Nv12 => height + height.div_ceil(2),
        _ => height,
    };
    let mut state = u64::from(width) << 32 | u64::from(height);
    let bytes = (0..stride * rows as usize)
        .map(|_| {
            // Knuth's MMIX generator; its upper bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect::<Vec<_>>();
    Frame::builder(format, FrameSize::new(width, height), PixelBuffer::from(bytes))
        .stride(stride)
        .build()
        .unwrap()
}

/// Formats, sizes and bytes of row padding that each path must get right.
pub(super) fn awkward_frames() -> Vec<Frame> {
    let sizes = [(1, 1), (1, 7), (2, 2), (3, 5), (641, 479), (640, 480), (1280, 721)];
    let formats = [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::Rgb, PixelFormat::Gray];
    let mut awkward = Vec::new();
    for format in formats {
        for (width, height) in sizes {
            let width = if format == PixelFormat::Yuyv { width + width % 2 } else { width };
            for padding in [0, 5] {
                awkward.push(noise(format, width, height, padding));
            }
        }
    }
    awkward
}

pub(super) fn levels_off(input: &ModelInput, left: &[f32], right: &[f32]) -> f32 {
    let off = left.iter().zip(right).map(|(left, right)| {
        let off = (left - right).abs();
        if off.is_nan() { f32::INFINITY } else { off }
    });
    off.fold(0.0, f32::max) / input.scale
}

/// The definition in the module's documentation, one element at a time.
fn by_definition(frame: &Frame, input: &ModelInput) -> Vec<f32> {
    let content = input.placement(frame.size()).content();
    let mut tensor = Vec::new();
    for channel in 0..3 {
        let color = match input.color_order {
            ColorOrder::Rgb => channel,
            ColorOrder::Bgr => 2 - channel,
        };
        for row in 0..input.height {
            for column in 0..input.width {
                let level = if row < content.height && column < content.width {
                    let x = position(column, frame.size().width, content.width);
                    let y = position(row, frame.size().height, content.height);
                    level(frame, x, y)[color]
                } else {
                    match input.padding {
                        Padding::LetterboxTopLeft(level) => f64::from(level),
                        Padding::Stretch => unreachable!("the content fills the input"),
                    }
                };
                tensor.push((level * f64::from(input.scale) + f64::from(input.offset)) as f32);
            }
        }
    }
    tensor
}

fn position(i: u32, pixels: u32, elements: u32) -> f64 {
    let exact = (f64::from(i) + 0.5) * f64::from(pixels) / f64::from(elements) - 0.5;
    ((exact * 256.0 + 0.5).floor() / 256.0).clamp(0.0, f64::from(pixels - 1))
}

fn level(frame: &Frame, x: f64, y: f64) -> [f64; 3] {
    let right = (x.ceil() as usize).min(frame.size().width as usize - 1);
    let below = (y.ceil() as usize).min(frame.size().height as usize - 1);
    let corners = [
        (x as usize, y as usize, (1.0 - x.fract()) * (1.0 - y.fract())),
        (right, y as usize, x.fract() * (1.0 - y.fract())),
        (x as usize, below, (1.0 - x.fract()) * y.fract()),
        (right, below, x.fract() * y.fract()),
    ];
    let mut sum = [0.0; 3];
    for (x, y, weight) in corners {
        for (sum, sample) in sum.iter_mut().zip(samples(frame, x, y)) {
            *sum += f64::from(sample) * weight;
        }
    }
    let [y, u, v] = sum;
    match frame.format() {
        PixelFormat::Yuyv | PixelFormat::Nv12 => {
            let (y, u, v) = ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0);
            let red = y + 1.402 * v;
            let blue = y + 1.772 * u;
            let green = (y - 0.299 * red - 0.114 * blue) / 0.587;
            [red, green, blue].map(|level| (level * 255.0).clamp(0.0, 255.0))
        }
        _ => sum,
    }
}

fn samples(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
    let bytes = frame.pixels();
    let row = y * frame.stride();
    match frame.format() {
        PixelFormat::Yuyv => {
            let pair = row + x / 2 * 4;
            [bytes[row + x * 2], bytes[pair + 1], bytes[pair + 3]]
        }
        PixelFormat::Nv12 => {
            let chroma = (frame.size().height as usize + y / 2) * frame.stride() + x / 2 * 2;
            [bytes[row + x], bytes[chroma], bytes[chroma + 1]]
        }
        PixelFormat::Rgb => [0, 1, 2].map(|color| bytes[row + x * 3 + color]),
        _ => [bytes[row + x]; 3],
    }
}

#[test]
fn the_cpu_path_follows_the_definition() {
    for input in INPUTS {
        let mut path = CpuPreprocess::new(&input);
        let mut tensor = vec![f32::NAN; input.elements()];
        for frame in awkward_frames() {
            tensor.fill(f32::NAN);
            path.run(&frame, &mut tensor).unwrap();
            let off = levels_off(&input, &tensor, &by_definition(&frame, &input));
            assert!(off <= LEVELS_OFF_MAX, "{frame:?} stride {}: {off}", frame.stride());
        }
    }
}

#[test]
fn the_same_picture_gives_the_same_tensor_in_every_format() {
    let input = INPUTS[0];
    let gray = frames::gray(64, 48, |x, y| (x * 2 + y) as u8);
    let run = |frame: &Frame| {
        let mut tensor = vec![0.0; input.elements()];
        CpuPreprocess::new(&input).run(frame, &mut tensor).unwrap();
        tensor
    };
    let from_gray = run(&gray);
    assert_eq!(run(&gray.to_rgb().unwrap()), from_gray);
}

#[test]
fn colours_arrive_in_the_order_that_was_asked_for() {
    // Blue in YUYV, a full-range blue of (0, 0, 255) but for rounding.
    let blue = frames::from_bytes(PixelFormat::Yuyv, 2, 2, [41, 240, 41, 110].repeat(2));
    for (order, planes) in
        [(ColorOrder::Rgb, [0.0, 0.0, 255.0]), (ColorOrder::Bgr, [255.0, 0.0, 0.0])]
    {
        let input = ModelInput { color_order: order, ..INPUTS[2] };
        let mut tensor = vec![0.0; input.elements()];
        let placement = CpuPreprocess::new(&input).run(&blue, &mut tensor).unwrap();
        assert_eq!(placement.content(), FrameSize::new(17, 17));
        for (plane, expected) in tensor.chunks_exact(33 * 17).zip(planes) {
            assert!((plane[0] - expected).abs() < 1.0, "{order:?}: {} {expected}", plane[0]);
            assert_eq!(plane[17], 0.0, "the letterbox's level");
        }
    }
}

#[test]
fn a_tensor_of_another_length_is_refused() {
    let frame = noise(PixelFormat::Gray, 8, 8, 0);
    let refused = CpuPreprocess::new(&INPUTS[0]).run(&frame, &mut [0.0; 7]).unwrap_err();
    assert!(matches!(refused, PreprocessError::Tensor { needed: 270_000, found: 7 }), "{refused}");
}

#[test]
fn a_frame_that_cannot_be_decoded_is_refused() {
    let size = FrameSize::new(8, 8);
    let damaged =
        Frame::builder(PixelFormat::Mjpeg, size, PixelBuffer::from(vec![1, 2, 3])).build().unwrap();
    let mut tensor = vec![0.0; INPUTS[0].elements()];
    let refused = CpuPreprocess::new(&INPUTS[0]).run(&damaged, &mut tensor).unwrap_err();
    assert!(matches!(refused, PreprocessError::Decode(_)), "{refused}");
    assert!(!refused.is_gpu_fault());
}
