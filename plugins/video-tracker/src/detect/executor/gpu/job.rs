use crate::detect::executor::error::PlanError;
use crate::detect::executor::graph::{Activation, Binary, Window};
use crate::detect::executor::plan::{
    BestStep, ConvolutionStep, Form, MapStep, Planes, PoolStep, Step,
};

/// What one dispatch needs: a kernel, its `Job`, and how many workgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) kernel: Kernel,
    pub(super) words: [u32; JOB_WORDS],
    pub(super) workgroups: [u32; 3],
}

/// A kernel, in one of its forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kernel {
    Pointwise(Tile),
    Dense(Tile),
    Depthwise,
    MaxPool,
    Map,
    Best,
}

/// What a workgroup computes of a product of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tile {
    pub(super) outputs: u32,
    pub(super) pixels: u32,
}

impl Job {
    pub(super) fn of(step: &Step) -> Result<Self, PlanError> {
        let (kernel, words, workgroups) = match step {
            Step::Convolution(step) => convolution(step)?,
            Step::MaxPool(step) => max_pool(step),
            Step::Map(step) => map(step),
            Step::Best(step) => best(step),
        };
        Ok(Self { kernel, words: words.finish(), workgroups })
    }
}

fn convolution(step: &ConvolutionStep) -> Result<(Kernel, Words, [u32; 3]), PlanError> {
    let words = picture(&step.input, &step.output, step.residual.as_ref(), step.window)
        .add([step.weights, step.bias, usize::from(step.residual.is_some())])
        .activation(step.activation);
    let [outputs, rows, columns] = step.output.size;
    if step.form == Form::Depthwise {
        return Ok((Kernel::Depthwise, words, spread(step.output.len().div_ceil(64))));
    }
    let tile = Tile::choose(outputs, rows * columns);
    let kernel = match step.form {
        Form::Pointwise => Kernel::Pointwise(tile),
        _ => Kernel::Dense(tile),
    };
    let [x, y, _] = spread((rows * columns).div_ceil(tile.pixels as usize));
    let z = outputs.div_ceil(tile.outputs as usize);
    if z > GROUPS_MAX {
        return Err(PlanError::TooLarge {
            what: "rows of workgroups",
            needed: z,
            most: GROUPS_MAX,
        });
    }
    Ok((kernel, words, [x, y, z as u32]))
}

fn max_pool(step: &PoolStep) -> (Kernel, Words, [u32; 3]) {
    let words = picture(&step.input, &step.output, None, step.window);
    (Kernel::MaxPool, words, spread(step.output.len().div_ceil(64)))
}

fn map(step: &MapStep) -> (Kernel, Words, [u32; 3]) {
    let elements = step.size.iter().product::<usize>();
    let (operator, right) = match &step.right {
        None => (0, step.left),
        Some((Binary::Add, right)) => (1, *right),
        Some((Binary::Subtract, right)) => (2, *right),
        Some((Binary::Multiply, right)) => (3, *right),
        Some((Binary::Divide, right)) => (4, *right),
    };
    let words = Words::default()
        .add(step.size)
        .add(step.output.strides)
        .add(step.left.strides)
        .add(right.strides)
        .add(step.divisors)
        .add([step.output.start, step.left.start, right.start, operator])
        .add([usize::from(step.left.is_weight), usize::from(right.is_weight), elements])
        .activation(step.activation);
    (Kernel::Map, words, spread(elements.div_ceil(64)))
}

fn best(step: &BestStep) -> (Kernel, Words, [u32; 3]) {
    let [row, column] = step.strides;
    let words =
        Words::default().add([step.rows, step.columns, step.input, row, column, step.output]);
    (Kernel::Best, words, spread(step.rows.div_ceil(64)))
}

/// The first fields of the `Job` in picture.wgsl.
fn picture(input: &Planes, output: &Planes, residual: Option<&Planes>, window: Window) -> Words {
    let place = |planes: &Planes| {
        let [channels, rows, columns] = planes.strides;
        [planes.start, channels, rows, columns]
    };
    let size = |planes: &Planes| {
        let [channels, rows, columns] = planes.size;
        [channels, rows, columns, planes.len()]
    };
    Words::default()
        .add(place(input))
        .add(place(output))
        .add(residual.map_or([0; 4], place))
        .add(size(input))
        .add(size(output))
        .add([window.size, window.stride].concat())
        .add([window.before, window.dilation].concat())
}

impl Tile {
    /// Large tiles read the least; there have to be enough of them to keep a GPU busy.
    fn choose(outputs: usize, pixels: usize) -> Self {
        let tiles = |side: usize| outputs.div_ceil(side) * pixels.div_ceil(side);
        if pixels <= 32 {
            Self { outputs: 64, pixels: 16 }
        } else if outputs <= 16 {
            Self { outputs: 16, pixels: 64 }
        } else if outputs > 32 && tiles(64) >= TILES_MIN {
            Self { outputs: 64, pixels: 64 }
        } else {
            Self { outputs: 32, pixels: 32 }
        }
    }

    /// How much of the matrices' common side goes through workgroup memory at once: the more, the
    /// less often a workgroup waits for itself.
    pub(super) fn depth(self) -> u32 {
        if 4 * 32 * (self.outputs + self.pixels) <= WORKGROUP_BYTES_MAX { 32 } else { 16 }
    }
}

impl Planes {
    fn len(&self) -> usize {
        self.size.iter().product()
    }
}

/// The words of a `Job`, one after the other.
#[derive(Default)]
struct Words(Vec<u32>);

impl Words {
    fn add(mut self, numbers: impl IntoIterator<Item = usize>) -> Self {
        // All are places in 128 MiB, or sizes of what lies there.
        self.0.extend(numbers.into_iter().map(|number| number as u32));
        self
    }

    /// The kind, and its bounds at the next even word.
    fn activation(mut self, activation: Activation) -> Self {
        let (kind, bounds) = match activation {
            Activation::Linear => (0, [0.0; 2]),
            Activation::Clip { low, high } => (1, [low, high]),
            Activation::Leaky { slope } => (2, [slope, 0.0]),
            Activation::Sigmoid => (3, [0.0; 2]),
            Activation::Silu => (4, [0.0; 2]),
            Activation::Exponential => (5, [0.0; 2]),
        };
        self.0.push(kind);
        if self.0.len() % 2 == 1 {
            self.0.push(0);
        }
        self.0.extend(bounds.map(f32::to_bits));
        self
    }

    fn finish(self) -> [u32; JOB_WORDS] {
        let mut words = [0; JOB_WORDS];
        words[..self.0.len()].copy_from_slice(&self.0);
        words
    }
}

/// So many workgroups in rows of at most [`GROUPS_MAX`].
fn spread(groups: usize) -> [u32; 3] {
    let rows = groups.div_ceil(GROUPS_MAX).max(1);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}

/// Words of the largest `Job`, rounded up to the distance at which any device binds uniforms:
/// 256 bytes.
pub(super) const JOB_WORDS: usize = 64;

/// The most workgroups along each dimension (wgpu's downlevel default limits).
const GROUPS_MAX: usize = 65_535;

/// Of workgroup memory (wgpu's downlevel default limits).
const WORKGROUP_BYTES_MAX: u32 = 16_352;

/// About as many workgroups as a large GPU runs at once.
const TILES_MIN: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workgroups_cover_everything_within_the_limit() {
        for groups in [1, 64, 65_535, 65_536, 1 << 19] {
            let [x, y, z] = spread(groups).map(|count| count as usize);
            assert!(x <= GROUPS_MAX && y <= GROUPS_MAX && z == 1);
            assert!((groups..groups + y).contains(&(x * y)), "{groups}: {x} × {y}");
        }
    }

    #[test]
    fn tiles_fit_the_kernel() {
        for outputs in [1, 16, 24, 64, 1000] {
            for pixels in [1, 25, 100, 400, 22_500] {
                let tile = Tile::choose(outputs, pixels);
                let quads = [tile.outputs / 4, tile.pixels / 4];
                assert!(quads.iter().all(|quads| 16 % quads == 0), "{tile:?}");
                assert!(quads[0] * quads[1] <= 256, "{tile:?}");
                let depth = tile.depth();
                assert!(4 * depth * (tile.outputs + tile.pixels) <= WORKGROUP_BYTES_MAX);
                assert!(depth.is_multiple_of(16), "{tile:?}");
            }
        }
    }
}
