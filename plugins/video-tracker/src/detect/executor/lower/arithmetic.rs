use super::{Known, Lowering, form};
use crate::detect::executor::error::PlanError;
use crate::detect::executor::graph::{Activation, Binary, Map, Operand, Operation, Shape};
use crate::detect::onnx::{Attribute, OnnxNode, OnnxTensor, TensorData};

impl<'m> Lowering<'m> {
    pub(super) fn binary(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let operator = match node.operator {
            "Add" | "Sum" => Binary::Add,
            "Sub" => Binary::Subtract,
            "Mul" => Binary::Multiply,
            _ => Binary::Divide,
        };
        if node.inputs.len() != 2 {
            return Err(form(node, format!("it has {} inputs", node.inputs.len())));
        }
        let (left, right) = (self.operand(node, 0)?, self.operand(node, 1)?);
        let shapes = [&left, &right].map(|operand| self.operand_shape(operand));
        let shape = stretched(shapes)
            .ok_or_else(|| form(node, format!("{:?} and {:?} don't fit", shapes[0], shapes[1])))?;
        match (&left, &right) {
            (Operand::Constant { elements: l, .. }, Operand::Constant { elements: r, .. }) => {
                // Of the same shape, or with a single number; nothing else was seen.
                let len = shape.iter().product();
                let at = |elements: &[f32], i: usize| {
                    elements.get(if elements.len() == 1 { 0 } else { i }).copied()
                };
                let elements = (0..len).map(|i| Some(operator.of(at(l, i)?, at(r, i)?)));
                let same = [l, r].iter().all(|e| e.len() == 1 || e.len() == len);
                let elements = same.then(|| elements.collect::<Option<Vec<_>>>()).flatten();
                let elements = elements.ok_or_else(|| form(node, "constants are stretched"))?;
                self.define_constant(node, OnnxTensor::floats(&shape, elements))
            }
            _ => {
                let right = Some((operator, right));
                let map = Map { left, right, activation: Activation::Linear };
                self.define_value(node, Operation::Map(map), shape)
            }
        }
    }

    pub(super) fn unary(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let activation = match node.operator {
            "Relu" => Activation::RELU,
            "LeakyRelu" => Activation::Leaky { slope: float(node, "alpha").unwrap_or(0.01) },
            "Sigmoid" => Activation::Sigmoid,
            "Exp" => Activation::Exponential,
            _ => {
                let [low, high] = self.bounds(node)?;
                Activation::Clip { low: low.unwrap_or(f32::MIN), high: high.unwrap_or(f32::MAX) }
            }
        };
        match self.input(node, 0)? {
            Known::Value(value) => {
                let shape = self.shape(value).clone();
                let map = Map::unary(value, activation);
                self.define_value(node, Operation::Map(map), shape)
            }
            Known::Constant(tensor) => match &tensor.data {
                TensorData::Floats(data) => {
                    let elements = data.iter().map(|x| activation.of(*x)).collect();
                    self.define_constant(node, OnnxTensor::floats(&tensor.shape, elements))
                }
                TensorData::Integers(_) => Err(form(node, "it computes with integers")),
            },
        }
    }

    /// Of a Clip: attributes up to operator set 10, inputs from then on.
    fn bounds(&self, node: &OnnxNode<'m>) -> Result<[Option<f32>; 2], PlanError> {
        let mut bounds = [float(node, "min"), float(node, "max")];
        for (i, bound) in bounds.iter_mut().enumerate() {
            match self.constant_input(node, i + 1)?.as_deref() {
                None => {}
                Some(OnnxTensor { data: TensorData::Floats(data), .. }) if data.len() == 1 => {
                    *bound = Some(data[0]);
                }
                Some(_) => return Err(form(node, "a bound is no single number")),
            }
        }
        let is_number = |bound: &Option<f32>| bound.is_none_or(|bound| !bound.is_nan());
        if bounds.iter().all(is_number) {
            Ok(bounds.map(|bound| bound.map(|bound| bound.clamp(f32::MIN, f32::MAX))))
        } else {
            Err(form(node, "a bound is not a number"))
        }
    }

    fn operand_shape<'s>(&'s self, operand: &'s Operand) -> &'s Shape {
        match operand {
            Operand::Value(value) => self.shape(*value),
            Operand::Constant { shape, .. } => shape,
        }
    }
}

fn float(node: &OnnxNode<'_>, name: &str) -> Option<f32> {
    match node.attribute(name) {
        Some(Attribute::Float(number)) => Some(*number),
        _ => None,
    }
}

/// The shape that two shapes have together, axes counted from the last; those of size 1 are
/// stretched (numpy's rules).
fn stretched([left, right]: [&Shape; 2]) -> Option<Shape> {
    let rank = left.len().max(right.len());
    let size = |shape: &Shape, axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => 1,
    };
    (0..rank)
        .map(|axis| match (size(left, axis), size(right, axis)) {
            (left, right) if left == right => Some(left),
            (1, size) | (size, 1) => Some(size),
            _ => None,
        })
        .collect()
}
