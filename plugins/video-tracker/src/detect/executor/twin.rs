//! The kernels' twin on the CPU: each step as plainly as it can be said.

use super::graph::Window;
use super::plan::{
    BestStep, ConvolutionStep, Form, MapStep, Output, Plan, Planes, PoolStep, Step, Strided,
};

impl Plan {
    /// Runs the plan on an arena of its own; the outputs' elements.
    pub(super) fn run_twin(&self, input: &[f32]) -> Vec<Vec<f32>> {
        let mut arena = vec![0.0; self.arena_elements];
        arena[self.input..][..input.len()].copy_from_slice(input);
        for step in &self.steps {
            run(step, &self.weights, &mut arena);
        }
        let read =
            |output: &Output| arena[output.start..][..output.shape.iter().product()].to_vec();
        self.outputs.iter().map(read).collect()
    }
}

/// One step.
pub(super) fn run(step: &Step, weights: &[f32], arena: &mut [f32]) {
    match step {
        Step::Convolution(step) => convolution(step, weights, arena),
        Step::MaxPool(step) => max_pool(step, arena),
        Step::Map(step) => map(step, weights, arena),
        Step::Best(step) => best(step, arena),
    }
}

fn convolution(step: &ConvolutionStep, weights: &[f32], arena: &mut [f32]) {
    let [outputs, rows, columns] = step.output.size;
    let [height, width] = step.window.size;
    let weights_of = &weights[step.weights..];
    let mut sums = vec![0.0; rows * columns];
    for output in 0..outputs {
        sums.fill(0.0);
        let inputs = match step.form {
            Form::Depthwise => output..output + 1,
            Form::Pointwise | Form::Dense => 0..step.input.size[0],
        };
        for input in inputs {
            for tap in 0..height * width {
                let weight = match step.form {
                    Form::Depthwise => weights_of[output * height * width + tap],
                    _ => weights_of[(input * height * width + tap) * outputs + output],
                };
                add_tap(step, [input, tap / width, tap % width], weight, arena, &mut sums);
            }
        }
        for (at, sum) in sums.iter().enumerate() {
            let (y, x) = (at / columns, at % columns);
            let mut result = step.activation.of(sum + weights[step.bias + output]);
            if let Some(residual) = &step.residual {
                result += arena[residual.at(output, y, x)];
            }
            arena[step.output.at(output, y, x)] = result;
        }
    }
}

/// Adds what one element of a window, on one channel, gives to each pixel.
fn add_tap(
    step: &ConvolutionStep,
    [input, i, j]: [usize; 3],
    weight: f32,
    arena: &[f32],
    sums: &mut [f32],
) {
    for (y, sums) in sums.chunks_exact_mut(step.output.size[2]).enumerate() {
        let Some(row) = seen(step.window, &step.input, 0, y, i) else { continue };
        let start = step.input.at(input, row, 0);
        for (x, sum) in sums.iter_mut().enumerate() {
            if let Some(column) = seen(step.window, &step.input, 1, x, j) {
                *sum += weight * arena[start + column * step.input.strides[2]];
            }
        }
    }
}

fn max_pool(step: &PoolStep, arena: &mut [f32]) {
    let [height, width] = step.window.size;
    for (channel, y, x) in places(step.output.size) {
        let mut greatest = f32::MIN;
        for i in 0..height {
            for j in 0..width {
                let row = seen(step.window, &step.input, 0, y, i);
                let column = seen(step.window, &step.input, 1, x, j);
                if let Some((row, column)) = row.zip(column) {
                    greatest = greatest.max(arena[step.input.at(channel, row, column)]);
                }
            }
        }
        arena[step.output.at(channel, y, x)] = greatest;
    }
}

fn map(step: &MapStep, weights: &[f32], arena: &mut [f32]) {
    let [a, b, c, d] = step.size;
    for i in 0..a * b * c * d {
        let place = [i / (b * c * d), i / (c * d) % b, i / d % c, i % d];
        let read = |operand: &Strided, place: [usize; 4], arena: &[f32]| {
            let at = operand.at(place);
            if operand.is_weight { weights[at] } else { arena[at] }
        };
        let mut divided = place;
        for (place, divisor) in divided.iter_mut().zip(step.divisors) {
            *place /= divisor;
        }
        let mut value = read(&step.left, divided, arena);
        if let Some((binary, right)) = &step.right {
            value = binary.of(value, read(right, place, arena));
        }
        arena[step.output.at(place)] = step.activation.of(value);
    }
}

fn best(step: &BestStep, arena: &mut [f32]) {
    for row in 0..step.rows {
        let (mut place, mut greatest) = (-1.0, f32::MIN);
        for column in 0..step.columns {
            let element = arena[step.input + row * step.strides[0] + column * step.strides[1]];
            if element > greatest {
                (place, greatest) = (column as f32, element);
            }
        }
        arena[step.output + 2 * row] = place;
        arena[step.output + 2 * row + 1] = greatest;
    }
}

/// The row (axis 0) or column (1) of the input under place `within` of the window of place `at`,
/// unless that is outside.
fn seen(window: Window, input: &Planes, axis: usize, at: usize, within: usize) -> Option<usize> {
    let padded = at * window.stride[axis] + within * window.dilation[axis];
    padded.checked_sub(window.before[axis]).filter(|at| *at < input.size[axis + 1])
}

fn places([channels, rows, columns]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels)
        .flat_map(move |c| (0..rows).flat_map(move |y| (0..columns).map(move |x| (c, y, x))))
}

impl Planes {
    pub(super) fn at(&self, channel: usize, row: usize, column: usize) -> usize {
        let [channels, rows, columns] = self.strides;
        self.start + channel * channels + row * rows + column * columns
    }
}

impl Strided {
    fn at(&self, place: [usize; 4]) -> usize {
        self.start + place.iter().zip(self.strides).map(|(at, stride)| at * stride).sum::<usize>()
    }
}
