//! From an ONNX file to a [`Graph`]: operators become operations, constants are computed, shapes
//! are found out. What there is no code for is refused by name.
//!
//! Semantics: the ONNX operators' specification, sets 9 to 17 of the default domain.

mod arithmetic;
mod convolution;
mod shape;

use std::collections::HashMap;
use std::rc::Rc;

use super::error::PlanError;
use super::graph::{Graph, Operand, Operation, Shape, ValueId};
use crate::detect::onnx::{Attribute, OnnxModel, OnnxNode, OnnxTensor, TensorData};

/// Reads a model with one input of this shape, whose outputs are those in `wanted`, in that order,
/// or all of them where none is named.
///
/// # Errors
/// [`PlanError`]
pub(super) fn lower(bytes: &[u8], input: [usize; 4], wanted: &[&str]) -> Result<Graph, PlanError> {
    let model = OnnxModel::read(bytes).map_err(|reason| PlanError::Malformed { reason })?;
    let mut lowering = Lowering::default();
    let OnnxModel { nodes, constants, inputs, outputs, .. } = model;
    for (name, tensor) in constants {
        lowering.known.insert(name, Known::Constant(Rc::new(tensor)));
    }
    // Old files list constants among the inputs.
    let open: Vec<_> =
        inputs.into_iter().filter(|name| !lowering.known.contains_key(name)).collect();
    let [name] = open[..] else {
        return Err(PlanError::ends(format!("it takes {} inputs, not 1", open.len())));
    };
    lowering.graph.input = lowering.graph.value(input.to_vec());
    lowering.known.insert(name, Known::Value(lowering.graph.input));
    for node in &nodes {
        lowering.node(node)?;
    }
    let names = if wanted.is_empty() { &outputs[..] } else { wanted };
    if names.is_empty() || names.len() > OUTPUTS_MAX {
        return Err(PlanError::ends(format!("it gives {} outputs", names.len())));
    }
    for name in names {
        match lowering.known.get(name) {
            Some(Known::Value(value)) if outputs.contains(name) => {
                lowering.graph.outputs.push(*value);
            }
            _ => {
                let found = outputs.join(", ");
                return Err(PlanError::ends(format!("it gives {found}, {name} is needed")));
            }
        }
    }
    Ok(lowering.graph)
}

#[derive(Default)]
struct Lowering<'m> {
    graph: Graph,
    known: HashMap<&'m str, Known>,
    /// Of constants that were computed or copied: a small file may name a large one often.
    elements: usize,
}

/// What a name stands for.
#[derive(Clone)]
enum Known {
    Value(ValueId),
    Constant(Rc<OnnxTensor>),
}

impl<'m> Lowering<'m> {
    fn node(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        if !node.domain.is_empty() {
            let operator = format!("{}.{}", node.domain, node.operator);
            return Err(PlanError::Operator { operator });
        }
        match node.operator {
            "Conv" => self.convolution(node),
            "MaxPool" => self.max_pool(node),
            "Resize" | "Upsample" => self.resize(node),
            "Add" | "Sum" | "Sub" | "Mul" | "Div" => self.binary(node),
            "Relu" | "LeakyRelu" | "Clip" | "Sigmoid" | "Exp" => self.unary(node),
            "Reshape" | "Flatten" => self.reshape(node),
            "Squeeze" | "Unsqueeze" => self.squeeze(node),
            "Transpose" => self.transpose(node),
            "Slice" => self.slice(node),
            "Split" => self.split(node),
            "Concat" => self.concat(node),
            "Constant" => self.constant(node),
            "Cast" => self.cast(node),
            "Identity" | "Dropout" => {
                let known = self.input(node, 0)?;
                self.define(node, 0, known)
            }
            operator => Err(PlanError::Operator { operator: operator.to_owned() }),
        }
    }

    fn constant(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let tensor = match node.attribute("value").or_else(|| node.attribute("value_ints")) {
            Some(Attribute::Tensor(tensor)) => tensor.clone(),
            Some(Attribute::Integers(list)) => {
                OnnxTensor { shape: vec![list.len()], data: TensorData::Integers(list.clone()) }
            }
            _ => return Err(form(node, "it has no value that is a tensor")),
        };
        self.define_constant(node, tensor)
    }

    /// Of constants alone: the network computes with one kind of number.
    fn cast(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let known = self.input(node, 0)?;
        let kind = integer(node, "to", 0);
        const FLOAT: i64 = 1;
        const INT64: i64 = 7;
        const INT32: i64 = 6;
        match known {
            Known::Value(_) if kind == FLOAT => self.define(node, 0, known),
            Known::Value(_) => Err(form(node, "what is computed is cast to another kind")),
            Known::Constant(tensor) => {
                let data = match (&tensor.data, kind) {
                    (TensorData::Floats(_), FLOAT) | (TensorData::Integers(_), INT64 | INT32) => {
                        return self.define(node, 0, Known::Constant(tensor));
                    }
                    (TensorData::Integers(data), FLOAT) => {
                        TensorData::Floats(data.iter().map(|number| *number as f32).collect())
                    }
                    (TensorData::Floats(data), INT64 | INT32) => {
                        TensorData::Integers(data.iter().map(|number| *number as i64).collect())
                    }
                    _ => return Err(form(node, format!("a cast to the kind {kind}"))),
                };
                let shape = tensor.shape.clone();
                self.define_constant(node, OnnxTensor { shape, data })
            }
        }
    }

    /// What an input stands for.
    fn input(&self, node: &OnnxNode<'m>, place: usize) -> Result<Known, PlanError> {
        let name = node.inputs.get(place).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| form(node, format!("it has no input {place}")))?;
        self.known
            .get(name)
            .cloned()
            .ok_or_else(|| form(node, format!("nothing computes {name:?}")))
    }

    /// An input that may be left out.
    fn optional_input(
        &self,
        node: &OnnxNode<'m>,
        place: usize,
    ) -> Result<Option<Known>, PlanError> {
        match node.inputs.get(place) {
            None | Some(&"") => Ok(None),
            Some(_) => self.input(node, place).map(Some),
        }
    }

    fn value_input(&self, node: &OnnxNode<'m>, place: usize) -> Result<ValueId, PlanError> {
        match self.input(node, place)? {
            Known::Value(value) => Ok(value),
            Known::Constant(_) => Err(form(node, format!("its input {place} is a constant"))),
        }
    }

    fn constant_input(
        &self,
        node: &OnnxNode<'m>,
        place: usize,
    ) -> Result<Option<Rc<OnnxTensor>>, PlanError> {
        match self.optional_input(node, place)? {
            None => Ok(None),
            Some(Known::Constant(tensor)) => Ok(Some(tensor)),
            Some(Known::Value(_)) => Err(form(node, format!("its input {place} is computed"))),
        }
    }

    /// Numbers from an input that is a constant, where there is one.
    fn integers_input(
        &self,
        node: &OnnxNode<'m>,
        place: usize,
    ) -> Result<Option<Vec<i64>>, PlanError> {
        match self.constant_input(node, place)?.as_deref() {
            None => Ok(None),
            Some(OnnxTensor { data: TensorData::Integers(data), .. }) => Ok(Some(data.clone())),
            Some(_) => Err(form(node, format!("its input {place} is no list of integers"))),
        }
    }

    fn operand(&mut self, node: &OnnxNode<'m>, place: usize) -> Result<Operand, PlanError> {
        match self.input(node, place)? {
            Known::Value(value) => Ok(Operand::Value(value)),
            Known::Constant(tensor) => {
                self.spend(node, tensor.len())?;
                match &tensor.data {
                    TensorData::Floats(elements) => Ok(Operand::Constant {
                        shape: tensor.shape.clone(),
                        elements: elements.clone(),
                    }),
                    TensorData::Integers(_) => Err(form(node, "it computes with integers")),
                }
            }
        }
    }

    fn define(&mut self, node: &OnnxNode<'m>, place: usize, known: Known) -> Result<(), PlanError> {
        let name = node.outputs.get(place).filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| form(node, format!("it has no output {place}")))?;
        match self.known.insert(name, known) {
            None => Ok(()),
            Some(_) => Err(form(node, format!("{name:?} is computed twice"))),
        }
    }

    fn define_constant(
        &mut self,
        node: &OnnxNode<'m>,
        tensor: OnnxTensor,
    ) -> Result<(), PlanError> {
        self.spend(node, tensor.len())?;
        self.define(node, 0, Known::Constant(Rc::new(tensor)))
    }

    /// Counts elements of constants that are made.
    fn spend(&mut self, node: &OnnxNode<'m>, elements: usize) -> Result<(), PlanError> {
        self.elements += elements;
        if self.elements > ELEMENTS_MAX {
            return Err(form(node, "the constants have too many elements"));
        }
        Ok(())
    }

    /// A node whose one output is a new value of this shape.
    fn define_value(
        &mut self,
        node: &OnnxNode<'m>,
        operation: Operation,
        shape: Shape,
    ) -> Result<(), PlanError> {
        let value = self.push(node, operation, shape)?;
        self.define(node, 0, Known::Value(value))
    }

    fn push(
        &mut self,
        node: &OnnxNode<'m>,
        operation: Operation,
        shape: Shape,
    ) -> Result<ValueId, PlanError> {
        let elements = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let fits = elements.is_some_and(|elements| (1..=ELEMENTS_MAX).contains(&elements));
        if !fits || shape.len() > RANK_MAX {
            return Err(form(node, format!("its output would be {shape:?}")));
        }
        if self.graph.nodes.len() >= NODES_MAX {
            return Err(form(node, "there are too many nodes"));
        }
        Ok(self.graph.push(operation, shape))
    }

    fn shape(&self, value: ValueId) -> &Shape {
        &self.graph.shapes[value]
    }
}

fn form(node: &OnnxNode<'_>, reason: impl Into<String>) -> PlanError {
    PlanError::form(node.operator, reason)
}

/// An attribute that is a number, or what stands for it where it isn't set.
fn integer(node: &OnnxNode<'_>, name: &str, default: i64) -> i64 {
    match node.attribute(name) {
        Some(Attribute::Integer(number)) => *number,
        _ => default,
    }
}

fn integers<'n>(node: &'n OnnxNode<'_>, name: &str) -> Option<&'n [i64]> {
    match node.attribute(name) {
        Some(Attribute::Integers(list)) => Some(list),
        _ => None,
    }
}

fn text<'n>(node: &'n OnnxNode<'_>, name: &str) -> &'n [u8] {
    match node.attribute(name) {
        Some(Attribute::Text(text)) => text,
        _ => b"",
    }
}

/// The axis that a number means, which counts from the end where it is negative.
fn axis(node: &OnnxNode<'_>, number: i64, rank: usize) -> Result<usize, PlanError> {
    let counted = if number < 0 { number.saturating_add(rank as i64) } else { number };
    usize::try_from(counted)
        .ok()
        .filter(|axis| *axis < rank)
        .ok_or_else(|| form(node, format!("there is no axis {number} of {rank}")))
}

/// The most elements of one value: 128 MiB, which is what every device binds.
const ELEMENTS_MAX: usize = 1 << 25;
const RANK_MAX: usize = 8;
const NODES_MAX: usize = 8192;
const OUTPUTS_MAX: usize = 8;
