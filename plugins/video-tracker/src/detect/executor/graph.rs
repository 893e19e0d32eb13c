//! A network as operations on values, whose shapes are known.

/// Sizes of the axes of a value, each at least 1.
pub(super) type Shape = Vec<usize>;

/// A value, by its place in [`Graph::shapes`].
pub(super) type ValueId = usize;

/// Operations in an order in which each finds its inputs computed.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Of every value.
    pub(super) shapes: Vec<Shape>,
    pub(super) nodes: Vec<Node>,
    /// The one value that comes from outside.
    pub(super) input: ValueId,
    pub(super) outputs: Vec<ValueId>,
}

/// An operation and the value that it computes, which nothing else computes.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) operation: Operation,
    pub(super) output: ValueId,
}

#[derive(Debug)]
pub(super) enum Operation {
    Convolution(Convolution),
    /// The greatest element under a window; none of them is outside of the input.
    MaxPool {
        input: ValueId,
        window: Window,
    },
    /// Each element repeated along rows and columns of a value of four axes.
    Enlarge {
        input: ValueId,
        factors: [usize; 2],
    },
    /// Element by element.
    Map(Map),
    /// The same elements, seen otherwise.
    View {
        input: ValueId,
        change: Change,
    },
    /// One after the other along an axis.
    Concat {
        inputs: Vec<ValueId>,
        axis: usize,
    },
    /// Of each row, which is the last axis, the place of its greatest element and that element:
    /// the first of several, and −1 where none is a number.
    Best {
        input: ValueId,
    },
}

/// `activation(convolution + bias) + residual`, on values of four axes: 1, channels, rows, columns.
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) input: ValueId,
    /// Whether each channel is convolved by itself, or all are summed up.
    pub(super) depthwise: bool,
    /// Output channels × input channels (1 if depthwise) × rows × columns of the window.
    pub(super) weights: Vec<f32>,
    /// One for each output channel.
    pub(super) bias: Vec<f32>,
    pub(super) window: Window,
    pub(super) activation: Activation,
    pub(super) residual: Option<ValueId>,
}

/// What of the input an element of the output sees; rows, then columns.
///
/// Row `y` of the output sees rows `y · stride + i · dilation − before`, `i` below `size`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) size: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) before: [usize; 2],
}

/// `activation(left)` or `activation(left ∘ right)`; axes of size 1 are stretched.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) left: Operand,
    pub(super) right: Option<(Binary, Operand)>,
    pub(super) activation: Activation,
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Value(ValueId),
    Constant { shape: Shape, elements: Vec<f32> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// What becomes of each element in the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Activation {
    /// Nothing.
    Linear,
    /// Held within bounds; both are finite numbers.
    Clip { low: f32, high: f32 },
    /// Negative ones are multiplied with a slope.
    Leaky { slope: f32 },
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `x / (1 + e⁻ˣ)`
    Silu,
    /// `eˣ`
    Exponential,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The same elements in the same order.
    Reshape,
    /// Axis `i` of the output is axis `order[i]` of the input.
    Transpose { order: Vec<usize> },
    /// Along each axis, every `steps`-th element from `starts` on.
    Slice { starts: Vec<usize>, steps: Vec<usize> },
}

impl Graph {
    pub(super) fn value(&mut self, shape: Shape) -> ValueId {
        self.shapes.push(shape);
        self.shapes.len() - 1
    }

    pub(super) fn push(&mut self, operation: Operation, shape: Shape) -> ValueId {
        let output = self.value(shape);
        self.nodes.push(Node { operation, output });
        output
    }

    /// How often each value is used, as an input or an output of the graph.
    pub(super) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.shapes.len()];
        for node in &self.nodes {
            node.operation.for_inputs(|input| uses[input] += 1);
        }
        self.outputs.iter().for_each(|output| uses[*output] += 1);
        uses
    }

    /// The node that computes each value.
    pub(super) fn makers(&self) -> Vec<Option<usize>> {
        let mut makers = vec![None; self.shapes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            makers[node.output] = Some(i);
        }
        makers
    }
}

impl Operation {
    pub(super) fn for_inputs(&self, mut visit: impl FnMut(ValueId)) {
        match self {
            Self::Convolution(Convolution { input, residual, .. }) => {
                visit(*input);
                residual.iter().copied().for_each(visit);
            }
            Self::MaxPool { input, .. }
            | Self::Enlarge { input, .. }
            | Self::View { input, .. }
            | Self::Best { input } => visit(*input),
            Self::Map(Map { left, right, .. }) => {
                let right = right.as_ref().map(|(_, right)| right);
                [Some(left), right]
                    .into_iter()
                    .flatten()
                    .filter_map(Operand::value)
                    .for_each(visit);
            }
            Self::Concat { inputs, .. } => inputs.iter().copied().for_each(visit),
        }
    }

    pub(super) fn for_inputs_mut(&mut self, mut visit: impl FnMut(&mut ValueId)) {
        match self {
            Self::Convolution(Convolution { input, residual, .. }) => {
                visit(input);
                residual.iter_mut().for_each(visit);
            }
            Self::MaxPool { input, .. }
            | Self::Enlarge { input, .. }
            | Self::View { input, .. }
            | Self::Best { input } => visit(input),
            Self::Map(Map { left, right, .. }) => {
                let right = right.as_mut().map(|(_, right)| right);
                for operand in [Some(left), right].into_iter().flatten() {
                    if let Operand::Value(value) = operand {
                        visit(value);
                    }
                }
            }
            Self::Concat { inputs, .. } => inputs.iter_mut().for_each(visit),
        }
    }
}

impl Operand {
    fn value(&self) -> Option<ValueId> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Constant { .. } => None,
        }
    }
}

impl Map {
    pub(super) fn unary(input: ValueId, activation: Activation) -> Self {
        Self { left: Operand::Value(input), right: None, activation }
    }
}

impl Binary {
    pub(super) fn of(self, left: f32, right: f32) -> f32 {
        match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
        }
    }
}

impl Activation {
    pub(super) const RELU: Self = Self::Clip { low: 0.0, high: f32::MAX };

    pub(super) fn of(self, x: f32) -> f32 {
        match self {
            Self::Linear => x,
            Self::Clip { low, high } => x.max(low).min(high),
            Self::Leaky { slope } => x.max(0.0) + slope * x.min(0.0),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Exponential => x.exp(),
        }
    }
}
