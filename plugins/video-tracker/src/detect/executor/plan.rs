//! What has to be done for one frame, step by step, in one piece of memory.

use super::arena::{Piece, pack};
use super::error::PlanError;
use super::graph::{
    Activation, Binary, Convolution, Graph, Map, Operand, Operation, ValueId, Window,
};
use super::place::{Copy, place};
use super::view::View;
use crate::detect::path::Work;

/// Steps that compute a graph's outputs from its input, all within one arena.
///
/// Places and strides are in elements.
#[derive(Debug)]
pub(in crate::detect) struct Plan {
    pub(super) steps: Vec<Step>,
    /// What the steps read and never write.
    pub(super) weights: Vec<f32>,
    pub(super) arena_elements: usize,
    /// Where the input is to be before the first step, its elements one after the other.
    pub(super) input: usize,
    /// Where the outputs are after the last step, their elements one after the other.
    pub(super) outputs: Vec<Output>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) start: usize,
    pub(super) shape: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Convolution(ConvolutionStep),
    MaxPool(PoolStep),
    Map(MapStep),
    Best(BestStep),
}

/// See [`Convolution`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConvolutionStep {
    pub(super) form: Form,
    pub(super) input: Planes,
    pub(super) output: Planes,
    pub(super) residual: Option<Planes>,
    pub(super) window: Window,
    /// Depthwise: channels × rows × columns of the window. Else: input channels × rows × columns ×
    /// output channels.
    pub(super) weights: usize,
    pub(super) bias: usize,
    pub(super) activation: Activation,
}

/// Which inputs an output of a convolution sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All channels of its own pixel.
    Pointwise,
    /// All channels of a window.
    Dense,
    /// Its own channel of a window.
    Depthwise,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct PoolStep {
    pub(super) input: Planes,
    pub(super) output: Planes,
    pub(super) window: Window,
}

/// See [`Map`]; four axes, which are not those of the values any more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MapStep {
    pub(super) size: [usize; 4],
    pub(super) output: Strided,
    pub(super) left: Strided,
    /// By how much places along each axis are divided before `left` is read.
    pub(super) divisors: [usize; 4],
    pub(super) right: Option<(Binary, Strided)>,
    pub(super) activation: Activation,
}

/// Of rows, the place of the greatest element and that element, side by side.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BestStep {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) input: usize,
    /// From row to row, and from column to column.
    pub(super) strides: [usize; 2],
    /// Two elements for each row, one after the other.
    pub(super) output: usize,
}

/// Where channels, rows and columns lie in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planes {
    pub(super) start: usize,
    pub(super) size: [usize; 3],
    pub(super) strides: [usize; 3],
}

/// Where four axes lie in the arena or the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strided {
    pub(super) is_weight: bool,
    pub(super) start: usize,
    pub(super) strides: [usize; 4],
}

/// Plans a graph.
pub(super) fn plan(graph: &Graph) -> Result<Plan, PlanError> {
    let places = place(graph);
    let mut planning = Planning { views: places.views, steps: Vec::new(), weights: Vec::new() };
    for (node, copies) in graph.nodes.iter().zip(&places.copies) {
        for copy in copies {
            planning.copy(copy)?;
        }
        planning.node(&node.operation, node.output)?;
    }
    for copy in &places.last_copies {
        planning.copy(copy)?;
    }
    let Planning { views, mut steps, weights } = planning;

    // How long each piece is needed. The input is there before the first step.
    let last = steps.len();
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; places.pieces.len()];
    let mut touch = |piece: usize, step: usize| {
        let (from, to) = lives[piece].unwrap_or((step, step));
        lives[piece] = Some((from.min(step), to.max(step)));
    };
    touch(views[graph.input].piece, 0);
    for (i, (pieces, _)) in steps.iter().enumerate() {
        pieces.iter().for_each(|piece| touch(*piece, i));
    }
    places.outputs.iter().for_each(|output| touch(output.piece, last));
    let pieces: Vec<_> = lives
        .iter()
        .zip(&places.pieces)
        .map(|(life, len)| match life {
            Some((from, to)) => Piece { len: *len, steps: *from..=*to },
            None => Piece { len: 0, steps: 0..=0 },
        })
        .collect();
    let (starts, arena_elements) = pack(&pieces, ALIGN);
    fits("elements of memory", arena_elements, ELEMENTS_MAX)?;
    fits("weights", weights.len(), ELEMENTS_MAX)?;

    for (pieces, step) in &mut steps {
        step.shift(|place| starts[pieces[place]]);
    }
    let start_of = |view: &View| starts[view.piece] + view.offset;
    let output = |view: &View| Output { start: start_of(view), shape: view.shape() };
    Ok(Plan {
        steps: steps.into_iter().map(|(_, step)| step).collect(),
        weights,
        arena_elements,
        input: start_of(&views[graph.input]),
        outputs: places.outputs.iter().map(output).collect(),
    })
}

impl Plan {
    /// What running it takes.
    pub(super) fn work(&self) -> Work {
        let mut work = Work {
            steps: self.steps.len(),
            arena_bytes: self.arena_elements as u64 * 4,
            ..Work::default()
        };
        for step in &self.steps {
            let len = |planes: &Planes| planes.size.iter().product::<usize>();
            let (multiply_adds, elements) = match step {
                Step::Convolution(step) => {
                    let window = step.window.size.iter().product::<usize>();
                    let inputs = if step.form == Form::Depthwise { 1 } else { step.input.size[0] };
                    let (read, written) = (len(&step.input), len(&step.output));
                    let residual = step.residual.as_ref().map_or(0, len);
                    let weights = (window * inputs + 1) * step.output.size[0];
                    (written * window * inputs, read + written + residual + weights)
                }
                Step::MaxPool(step) => (0, len(&step.input) + len(&step.output)),
                Step::Map(step) => {
                    let elements = step.size.iter().product::<usize>();
                    (0, elements * if step.right.is_some() { 3 } else { 2 })
                }
                Step::Best(step) => (0, step.rows * (step.columns + 2)),
            };
            work.multiply_adds += multiply_adds as u64;
            work.bytes += elements as u64 * 4;
        }
        work
    }
}

struct Planning {
    views: Vec<View>,
    /// Each with the pieces that it touches: of its output, its input, and a second input or,
    /// again, the first. Until the pieces are packed, places are counted from their pieces' start.
    steps: Vec<([usize; 3], Step)>,
    weights: Vec<f32>,
}

impl Planning {
    fn node(&mut self, operation: &Operation, output: ValueId) -> Result<(), PlanError> {
        match operation {
            Operation::Convolution(convolution) => self.convolution(convolution, output),
            Operation::MaxPool { input, window } => {
                let (to, from) = (self.views[output].clone(), self.views[*input].clone());
                let step = PoolStep {
                    input: Planes::of(&from)?,
                    output: Planes::of(&to)?,
                    window: *window,
                };
                self.steps.push(([to.piece, from.piece, from.piece], Step::MaxPool(step)));
                Ok(())
            }
            Operation::Enlarge { input, factors } => {
                let (to, from) = (&self.views[output], &self.views[*input]);
                let strides = |view: &View| four(view.axes.iter().map(|axis| axis.stride));
                let step = MapStep {
                    size: four(to.axes.iter().map(|axis| axis.size)),
                    output: Strided::of(to, strides(to)),
                    left: Strided::of(from, strides(from)),
                    divisors: [1, 1, factors[0], factors[1]],
                    right: None,
                    activation: Activation::Linear,
                };
                self.steps.push(([to.piece, from.piece, from.piece], Step::Map(step)));
                Ok(())
            }
            Operation::Map(map) => self.map(map, output),
            Operation::Best { input } => {
                let (to, from) = (&self.views[output], &self.views[*input]);
                let columns = *from.shape().last().expect("a row has a last axis");
                let rows = from.elements() / columns;
                let flat = from.reshaped(&[rows, columns]);
                let flat = flat.filter(|_| to.is_dense()).ok_or_else(|| {
                    PlanError::ends("the outputs' rows don't lie at even distances")
                })?;
                let step = BestStep {
                    rows,
                    columns,
                    input: from.offset,
                    strides: [flat.axes[0].stride, flat.axes[1].stride],
                    output: to.offset,
                };
                self.steps.push(([to.piece, from.piece, from.piece], Step::Best(step)));
                Ok(())
            }
            // They have become places.
            Operation::View { .. } | Operation::Concat { .. } => Ok(()),
        }
    }

    fn convolution(&mut self, convolution: &Convolution, output: ValueId) -> Result<(), PlanError> {
        let to = self.views[output].clone();
        let from = self.views[convolution.input].clone();
        let residual = convolution.residual.map(|value| self.views[value].clone());
        let window = convolution.window;
        let is_point = window.size == [1, 1] && window.stride == [1, 1] && window.before == [0, 0];
        let form = match convolution.depthwise {
            true => Form::Depthwise,
            // With padding behind, the output is larger than the input.
            false if is_point && to.shape()[2..] == from.shape()[2..] => Form::Pointwise,
            false => Form::Dense,
        };
        let outputs = convolution.bias.len();
        let weights = match form {
            Form::Depthwise => self.keep(convolution.weights.iter().copied()),
            Form::Pointwise | Form::Dense => {
                let inputs = convolution.weights.len() / outputs;
                let turned = (0..inputs).flat_map(|input| {
                    (0..outputs).map(move |output| convolution.weights[output * inputs + input])
                });
                self.keep(turned)
            }
        };
        let step = ConvolutionStep {
            form,
            input: Planes::of(&from)?,
            output: Planes::of(&to)?,
            residual: residual.as_ref().map(Planes::of).transpose()?,
            window,
            weights,
            bias: self.keep(convolution.bias.iter().copied()),
            activation: convolution.activation,
        };
        let third = residual.as_ref().unwrap_or(&from).piece;
        self.steps.push(([to.piece, from.piece, third], Step::Convolution(step)));
        Ok(())
    }

    fn map(&mut self, map: &Map, output: ValueId) -> Result<(), PlanError> {
        let left = self.operand(&map.left);
        let right = map.right.as_ref().map(|(binary, operand)| (*binary, self.operand(operand)));
        let to = self.views[output].clone();
        self.mapped(&to, left, right, map.activation)
    }

    fn copy(&mut self, copy: &Copy) -> Result<(), PlanError> {
        // Each node is a step at most, but it may put together the same thing hundreds of times.
        fits("steps", self.steps.len(), STEPS_MAX)?;
        self.mapped(&copy.to, (false, copy.from.clone()), None, Activation::Linear)
    }

    /// An operand's place, and whether it is a weight.
    fn operand(&mut self, operand: &Operand) -> (bool, View) {
        match operand {
            Operand::Value(value) => (false, self.views[*value].clone()),
            Operand::Constant { shape, elements } => {
                let start = self.keep(elements.iter().copied());
                (true, View { offset: start, ..View::whole(0, shape) })
            }
        }
    }

    fn mapped(
        &mut self,
        to: &View,
        left: (bool, View),
        right: Option<(Binary, (bool, View))>,
        activation: Activation,
    ) -> Result<(), PlanError> {
        let shape = to.shape();
        let mut strides = vec![to.strides_in(&shape), left.1.strides_in(&shape)];
        strides.extend(right.iter().map(|(_, (_, view))| view.strides_in(&shape)));
        let (size, strides) = merged(&shape, &strides).ok_or_else(|| {
            PlanError::form("Map", format!("its {} axes lie in too many ways", shape.len()))
        })?;
        let piece = |(is_weight, view): &(bool, View)| (!is_weight).then_some(view.piece);
        let first = piece(&left).unwrap_or(to.piece);
        let second = right.as_ref().and_then(|(_, right)| piece(right)).unwrap_or(first);
        let strided = |(is_weight, view): &(bool, View), strides: [usize; 4]| Strided {
            is_weight: *is_weight,
            ..Strided::of(view, strides)
        };
        let step = MapStep {
            size,
            output: Strided::of(to, strides[0]),
            left: strided(&left, strides[1]),
            divisors: [1; 4],
            right: right.as_ref().map(|(binary, right)| (*binary, strided(right, strides[2]))),
            activation,
        };
        self.steps.push(([to.piece, first, second], Step::Map(step)));
        Ok(())
    }

    /// Adds numbers to the weights and says where they are.
    fn keep(&mut self, numbers: impl IntoIterator<Item = f32>) -> usize {
        let start = self.weights.len();
        self.weights.extend(numbers);
        start
    }
}

impl Step {
    /// Adds the start of each operand's piece, by its place among the step's pieces.
    fn shift(&mut self, start: impl Fn(usize) -> usize) {
        let shift = |operand: &mut Strided, place| {
            if !operand.is_weight {
                operand.start += start(place);
            }
        };
        match self {
            Self::Convolution(step) => {
                step.output.start += start(0);
                step.input.start += start(1);
                if let Some(residual) = &mut step.residual {
                    residual.start += start(2);
                }
            }
            Self::MaxPool(step) => {
                step.output.start += start(0);
                step.input.start += start(1);
            }
            Self::Map(step) => {
                shift(&mut step.output, 0);
                shift(&mut step.left, 1);
                if let Some((_, right)) = &mut step.right {
                    shift(right, 2);
                }
            }
            Self::Best(step) => {
                step.output += start(0);
                step.input += start(1);
            }
        }
    }
}

impl Planes {
    fn of(view: &View) -> Result<Self, PlanError> {
        let [batch, channels, rows, columns] = &view.axes[..] else {
            return Err(PlanError::ends("a picture has four axes"));
        };
        debug_assert_eq!(batch.size, 1, "pictures come one by one");
        let axes = [channels, rows, columns];
        Ok(Self {
            start: view.offset,
            size: axes.map(|axis| axis.size),
            strides: axes.map(|axis| axis.stride),
        })
    }
}

impl Strided {
    fn of(view: &View, strides: [usize; 4]) -> Self {
        Self { is_weight: false, start: view.offset, strides }
    }
}

/// At most four axes that go through the same elements: those of size 1 are left out, and those
/// that go on where another ends, for all operands, are one.
fn merged(shape: &[usize], strides: &[Vec<usize>]) -> Option<([usize; 4], Vec<[usize; 4]>)> {
    let mut axes: Vec<(usize, Vec<usize>)> = Vec::new();
    for (i, size) in shape.iter().enumerate().filter(|(_, size)| **size > 1) {
        let here: Vec<_> = strides.iter().map(|strides| strides[i]).collect();
        match axes.last_mut() {
            Some((outer, above))
                if above.iter().zip(&here).all(|(above, here)| *above == here * size) =>
            {
                *outer *= size;
                *above = here;
            }
            _ => axes.push((*size, here)),
        }
    }
    if axes.len() > 4 {
        return None;
    }
    let from = 4 - axes.len();
    let mut sizes = [1; 4];
    let mut merged = vec![[0; 4]; strides.len()];
    for (i, (size, strides)) in axes.into_iter().enumerate() {
        sizes[from + i] = size;
        for (to, stride) in merged.iter_mut().zip(strides) {
            to[from + i] = stride;
        }
    }
    Some((sizes, merged))
}

fn four(numbers: impl Iterator<Item = usize>) -> [usize; 4] {
    let mut four = [0; 4];
    for (to, number) in four.iter_mut().zip(numbers) {
        *to = number;
    }
    four
}

fn fits(what: &'static str, needed: usize, most: usize) -> Result<(), PlanError> {
    if needed <= most { Ok(()) } else { Err(PlanError::TooLarge { what, needed, most }) }
}

/// Of places in the arena, in elements: 256 bytes, at which any device can bind a buffer.
const ALIGN: usize = 64;
const STEPS_MAX: usize = 16_384;
/// 128 MiB, which is what every device binds (wgpu's downlevel default limits).
const ELEMENTS_MAX: usize = 1 << 25;
