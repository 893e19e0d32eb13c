//! Fewer operations that compute the same.

use super::graph::{Activation, Binary, Change, Graph, Map, Operand, Operation, ValueId};

/// Draws activations, constants and sums into the convolutions before them, and drops what nobody
/// uses.
pub(super) fn fuse(graph: &mut Graph) {
    for pass in [find_silu, sink_activations, add_constants, add_residuals] {
        pass(graph);
        skip_identities(graph);
        drop_unused(graph);
    }
}

/// `x · sigmoid(x)` as one.
fn find_silu(graph: &mut Graph) {
    let makers = graph.makers();
    for i in 0..graph.nodes.len() {
        let Operation::Map(Map {
            left: Operand::Value(left),
            right: Some((Binary::Multiply, Operand::Value(right))),
            activation: Activation::Linear,
        }) = graph.nodes[i].operation
        else {
            continue;
        };
        let is_sigmoid_of = |value: ValueId, of: ValueId| {
            makers[value].is_some_and(|maker| {
                matches!(
                    &graph.nodes[maker].operation,
                    Operation::Map(Map {
                        left: Operand::Value(input),
                        right: None,
                        activation: Activation::Sigmoid,
                    }) if *input == of
                )
            })
        };
        if is_sigmoid_of(right, left) {
            graph.nodes[i].operation = Operation::Map(Map::unary(left, Activation::Silu));
        } else if is_sigmoid_of(left, right) {
            graph.nodes[i].operation = Operation::Map(Map::unary(right, Activation::Silu));
        }
    }
}

/// An activation of what was merely seen otherwise or put together is one of what it was made of.
fn sink_activations(graph: &mut Graph) {
    let makers = graph.makers();
    let uses = graph.uses();
    for i in 0..graph.nodes.len() {
        let Operation::Map(Map { left: Operand::Value(input), right: None, activation }) =
            graph.nodes[i].operation
        else {
            continue;
        };
        let mut leaves = Vec::new();
        if activation != Activation::Linear
            && find_leaves(graph, &makers, &uses, input, &mut leaves)
        {
            for leaf in leaves {
                match &mut graph.nodes[leaf].operation {
                    Operation::Convolution(convolution) => convolution.activation = activation,
                    Operation::Map(map) => map.activation = activation,
                    _ => unreachable!("a leaf is one of these"),
                }
            }
            graph.nodes[i].operation = Operation::View { input, change: Change::Reshape };
        }
    }
}

/// The operations without an activation that a value, which nobody else uses, comes from.
fn find_leaves(
    graph: &Graph,
    makers: &[Option<usize>],
    uses: &[usize],
    value: ValueId,
    leaves: &mut Vec<usize>,
) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        let Some(maker) = makers[value].filter(|_| uses[value] == 1) else { return false };
        match &graph.nodes[maker].operation {
            Operation::Convolution(convolution) if convolution.activation == Activation::Linear => {
                leaves.push(maker);
            }
            Operation::Map(map) if map.activation == Activation::Linear => leaves.push(maker),
            Operation::View { input, .. } => open.push(*input),
            Operation::Concat { inputs, .. } => open.extend(inputs),
            _ => return false,
        }
    }
    true
}

/// A constant for each channel that is added to a convolution, or to a sum with one, is part of
/// its bias.
fn add_constants(graph: &mut Graph) {
    let makers = graph.makers();
    let uses = graph.uses();
    for i in 0..graph.nodes.len() {
        let Operation::Map(Map { left, right: Some((Binary::Add, right)), activation }) =
            &graph.nodes[i].operation
        else {
            continue;
        };
        let (value, shape, elements) = match (left, right) {
            (Operand::Value(value), Operand::Constant { shape, elements })
            | (Operand::Constant { shape, elements }, Operand::Value(value)) => {
                (*value, shape, elements)
            }
            _ => continue,
        };
        let to = &graph.shapes[graph.nodes[i].output];
        // The constant must not stretch the value.
        if *to != graph.shapes[value] || *activation != Activation::Linear {
            continue;
        }
        let Some(biases) = per_channel(shape, elements, to) else { continue };
        let Some(convolution) = linear_convolution(graph, &makers, &uses, value) else { continue };
        let output = &mut graph.nodes[convolution].operation;
        let Operation::Convolution(convolution) = output else { unreachable!("it was found") };
        for (bias, more) in convolution.bias.iter_mut().zip(biases) {
            *bias += more;
        }
        graph.nodes[i].operation = Operation::View { input: value, change: Change::Reshape };
    }
}

/// One number for each channel of `to`, where the constant has no more.
fn per_channel(shape: &[usize], elements: &[f32], to: &[usize]) -> Option<Vec<f32>> {
    let &[1, channels, _, _] = to else { return None };
    let from_end = |axis: usize| shape.len().checked_sub(axis).map_or(1, |axis| shape[axis]);
    if from_end(1) != 1 || from_end(2) != 1 || shape.len() > 4 {
        return None;
    }
    match elements {
        [one] => Some(vec![*one; channels]),
        many if many.len() == channels && from_end(3) == channels => Some(many.to_vec()),
        _ => None,
    }
}

/// The convolution without an activation that a value is, or is the sum of with something else.
fn linear_convolution(
    graph: &Graph,
    makers: &[Option<usize>],
    uses: &[usize],
    value: ValueId,
) -> Option<usize> {
    let made = |value: ValueId| makers[value].filter(|_| uses[value] == 1);
    let is_linear = |maker: &usize| {
        matches!(
            &graph.nodes[*maker].operation,
            Operation::Convolution(convolution) if convolution.activation == Activation::Linear
        )
    };
    let maker = made(value)?;
    match &graph.nodes[maker].operation {
        Operation::Convolution(_) => Some(maker).filter(is_linear),
        Operation::Map(Map {
            left: Operand::Value(left),
            right: Some((Binary::Add, Operand::Value(right))),
            activation: Activation::Linear,
        }) if graph.shapes[*left] == graph.shapes[*right] => {
            [*left, *right].into_iter().find_map(|part| made(part).filter(is_linear))
        }
        _ => None,
    }
}

/// A sum of a convolution and of what is there before it is computed along with it.
fn add_residuals(graph: &mut Graph) {
    let makers = graph.makers();
    let uses = graph.uses();
    for i in 0..graph.nodes.len() {
        let Operation::Map(Map {
            left: Operand::Value(left),
            right: Some((Binary::Add, Operand::Value(right))),
            activation: Activation::Linear,
        }) = graph.nodes[i].operation
        else {
            continue;
        };
        if graph.shapes[left] != graph.shapes[right] || left == right {
            continue;
        }
        for (sum, other) in [(left, right), (right, left)] {
            let Some(maker) = makers[sum].filter(|_| uses[sum] == 1) else { continue };
            let is_before = makers[other].is_none_or(|other| other < maker);
            if let Operation::Convolution(convolution) = &mut graph.nodes[maker].operation
                && convolution.residual.is_none()
                && is_before
            {
                convolution.residual = Some(other);
                let view = Operation::View { input: sum, change: Change::Reshape };
                graph.nodes[i].operation = view;
                break;
            }
        }
    }
}

/// What is seen under its own shape is the thing itself.
fn skip_identities(graph: &mut Graph) {
    let mut same: Vec<_> = (0..graph.shapes.len()).collect();
    for node in &mut graph.nodes {
        node.operation.for_inputs_mut(|input| *input = same[*input]);
        if let Operation::View { input, change: Change::Reshape } = node.operation
            && graph.shapes[input] == graph.shapes[node.output]
        {
            same[node.output] = input;
        }
    }
    graph.outputs.iter_mut().for_each(|output| *output = same[*output]);
}

fn drop_unused(graph: &mut Graph) {
    let mut uses = graph.uses();
    for node in graph.nodes.iter().rev() {
        if uses[node.output] == 0 {
            node.operation.for_inputs(|input| uses[input] -= 1);
        }
    }
    graph.nodes.retain(|node| uses[node.output] > 0);
}
