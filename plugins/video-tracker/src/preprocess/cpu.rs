use keepsight_contract::Frame;

use super::error::PreprocessError;
use super::input::{ColorOrder, ModelInput, Padding, Placement};
use super::layout::{Layout, bt601};
use super::taps::{Tap, taps};

/// Fits frames into a model's input on the calling thread.
///
/// It is the twin of the kernel: both read the same pixels with the same
/// weights, and differ only in how floating point rounds.
#[derive(Debug)]
pub struct CpuPreprocess {
    input: ModelInput,
    tables: Option<Tables>,
    rows: Rows,
}

/// What depends on the picture's size alone.
#[derive(Debug)]
struct Tables {
    placement: Placement,
    columns: Vec<Tap>,
    /// `columns`, for a plane of half the width.
    chroma_columns: Vec<Tap>,
    lines: Vec<Tap>,
}

/// Lines of the picture on their way into the tensor: two are blended, which
/// vectorises over whole lines, then taken apart into planes, then sampled at
/// the tensor's columns.
#[derive(Debug, Default)]
struct Rows {
    /// Bytes of two blended lines, level × 256.
    blended: Vec<u16>,
    /// The same for NV12's second plane.
    blended_chroma: Vec<u16>,
    /// Y, U, V or R, G, B, level × 256.
    planes: [Vec<u16>; 3],
    /// Levels at the tensor's columns, 0–255.
    levels: [Vec<f32>; 3],
}

impl CpuPreprocess {
    /// A path into this input.
    pub fn new(input: &ModelInput) -> Self {
        Self { input: *input, tables: None, rows: Rows::default() }
    }

    /// The input that frames are fitted into.
    pub fn input(&self) -> &ModelInput {
        &self.input
    }

    /// Fits `frame` into `tensor`, of which every element is written.
    ///
    /// A compressed frame is decoded first, once for all who ask for it.
    ///
    /// # Errors
    /// [`PreprocessError`] when the frame can't be decoded or the tensor has
    /// another length than the input.
    pub fn run(&mut self, frame: &Frame, tensor: &mut [f32]) -> Result<Placement, PreprocessError> {
        let Self { input, tables, rows } = self;
        input.check_tensor(tensor)?;
        let frame = frame.decoded()?;
        let layout = Layout::of(&frame)?;

        let placement = input.placement(frame.size());
        let tables = match tables {
            Some(tables) if tables.placement == placement => tables,
            stale => stale.insert(Tables::new(placement)),
        };
        let mut colors = colors_of(input, tensor);
        let width = input.width as usize;
        for (line, tap) in tables.lines.iter().enumerate() {
            rows.blend(&frame, layout, *tap);
            rows.take_apart(layout, frame.size().width as usize);
            rows.sample(layout, tables);
            let columns = line * width..line * width + tables.columns.len();
            rows.write(layout, input, colors.each_mut().map(|color| &mut color[columns.clone()]));
        }
        if let Padding::LetterboxTopLeft(level) = input.padding {
            let value = level * input.scale + input.offset;
            for color in colors {
                fill_outside(color, width, placement, value);
            }
        }
        Ok(placement)
    }
}

impl Tables {
    fn new(placement: Placement) -> Self {
        let (picture, content) = (placement.picture(), placement.content());
        let columns = taps(picture.width, content.width);
        let chroma_columns = columns.iter().map(|tap| tap.halved()).collect();
        Self { placement, columns, chroma_columns, lines: taps(picture.height, content.height) }
    }
}

impl Rows {
    fn blend(&mut self, frame: &Frame, layout: Layout, line: Tap) {
        let (bytes, stride) = (frame.pixels(), frame.stride());
        let (width, height) = (frame.size().width as usize, frame.size().height as usize);
        let row_bytes = frame.format().row_bytes(frame.size().width);
        let luma_bytes = if layout == Layout::Nv12 { width } else { row_bytes };
        blend_lines(bytes, stride, luma_bytes, line, &mut self.blended);
        if layout == Layout::Nv12 {
            let chroma = &bytes[height * stride..];
            blend_lines(chroma, stride, row_bytes, line.halved(), &mut self.blended_chroma);
        }
    }

    /// From interleaved bytes to planes.
    fn take_apart(&mut self, layout: Layout, width: usize) {
        let [first, second, third] = &mut self.planes;
        match layout {
            Layout::Yuyv => {
                let (quads, _) = self.blended.as_chunks::<4>();
                first.resize(width + 1, 0);
                second.resize(width / 2 + 1, 0);
                third.resize(width / 2 + 1, 0);
                let pairs = first.as_chunks_mut::<2>().0;
                for (quad, pair) in quads.iter().zip(pairs) {
                    *pair = [quad[0], quad[2]];
                }
                for (quad, (u, v)) in quads.iter().zip(second.iter_mut().zip(third)) {
                    (*u, *v) = (quad[1], quad[3]);
                }
            }
            Layout::Nv12 => {
                let (pairs, _) = self.blended_chroma.as_chunks::<2>();
                first.resize(width + 1, 0);
                second.resize(pairs.len() + 1, 0);
                third.resize(pairs.len() + 1, 0);
                first[..width].copy_from_slice(&self.blended);
                for (pair, (u, v)) in pairs.iter().zip(second.iter_mut().zip(third)) {
                    (*u, *v) = (pair[0], pair[1]);
                }
            }
            Layout::Rgb => {
                let (pixels, _) = self.blended.as_chunks::<3>();
                for plane in [&mut *first, &mut *second, &mut *third] {
                    plane.resize(width + 1, 0);
                }
                let planes = first.iter_mut().zip(second).zip(third);
                for (pixel, ((red, green), blue)) in pixels.iter().zip(planes) {
                    (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
                }
            }
            Layout::Gray => {
                first.resize(width + 1, 0);
                first[..width].copy_from_slice(&self.blended);
            }
        }
    }

    fn sample(&mut self, layout: Layout, tables: &Tables) {
        let columns = match layout {
            Layout::Yuyv | Layout::Nv12 => {
                [&tables.columns, &tables.chroma_columns, &tables.chroma_columns]
            }
            Layout::Rgb | Layout::Gray => [&tables.columns; 3],
        };
        let planes = if layout == Layout::Gray { 1 } else { 3 };
        let rows = self.planes.iter().zip(columns).zip(&mut self.levels);
        for ((plane, columns), levels) in rows.take(planes) {
            sample_line(plane, columns, levels);
        }
    }

    fn write(&self, layout: Layout, input: &ModelInput, colors: [&mut [f32]; 3]) {
        let (scale, offset) = (input.scale, input.offset);
        match layout {
            Layout::Yuyv | Layout::Nv12 => {
                let [y, u, v] = &self.levels;
                let [red, green, blue] = colors;
                let levels = y.iter().zip(u).zip(v);
                let colors = red.iter_mut().zip(green).zip(blue);
                for (((y, u), v), ((red, green), blue)) in levels.zip(colors) {
                    [*red, *green, *blue] = bt601(*y, *u, *v).map(|level| level * scale + offset);
                }
            }
            Layout::Rgb | Layout::Gray => {
                for (i, color) in colors.into_iter().enumerate() {
                    let levels = &self.levels[if layout == Layout::Gray { 0 } else { i }];
                    for (element, level) in color.iter_mut().zip(levels) {
                        *element = level * scale + offset;
                    }
                }
            }
        }
    }
}

/// The red, green and blue plane of a tensor, whatever their order in it.
fn colors_of<'a>(input: &ModelInput, tensor: &'a mut [f32]) -> [&'a mut [f32]; 3] {
    let plane = input.plane_elements();
    let (first, rest) = tensor.split_at_mut(plane);
    let (second, third) = rest.split_at_mut(plane);
    match input.color_order {
        ColorOrder::Rgb => [first, second, third],
        ColorOrder::Bgr => [third, second, first],
    }
}

/// Blends `row_bytes` bytes of the line at `tap` and the line after it.
fn blend_lines(bytes: &[u8], stride: usize, row_bytes: usize, tap: Tap, blended: &mut Vec<u16>) {
    let start = tap.index as usize * stride;
    let upper = &bytes[start..start + row_bytes];
    // There may be no line below the last one, whose weight is 0.
    let below = if tap.weight == 0 { start } else { start + stride };
    let lower = &bytes[below..below + row_bytes];
    let weight = tap.weight as u16;
    blended.resize(row_bytes, 0);
    for ((out, upper), lower) in blended.iter_mut().zip(upper).zip(lower) {
        *out = u16::from(*upper) * (256 - weight) + u16::from(*lower) * weight;
    }
}

/// Reads `plane` (level × 256) at each tap, between an element and the next.
fn sample_line(plane: &[u16], taps: &[Tap], levels: &mut Vec<f32>) {
    levels.resize(taps.len(), 0.0);
    for (level, tap) in levels.iter_mut().zip(taps) {
        let index = tap.index as usize;
        let pair = &plane[index..index + 2];
        let sum = u32::from(pair[0]) * (256 - tap.weight) + u32::from(pair[1]) * tap.weight;
        // At most 255 · 2¹⁶, which f32 holds exactly.
        *level = sum as f32 * (1.0 / 65_536.0);
    }
}

/// Fills what lies right of the content and below it.
fn fill_outside(plane: &mut [f32], width: usize, placement: Placement, value: f32) {
    let content = placement.content();
    let (inside, below) = plane.split_at_mut(content.height as usize * width);
    if (content.width as usize) < width {
        for line in inside.chunks_exact_mut(width) {
            line[content.width as usize..].fill(value);
        }
    }
    below.fill(value);
}
