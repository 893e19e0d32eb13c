use super::tensor::{OnnxTensor, floats, integers, text};
use super::wire::{Content, fields};

/// A model as its file says it: one graph, nodes in the order of the file.
#[derive(Debug, Default)]
pub(in crate::detect) struct OnnxModel<'m> {
    /// The version of the default operator set.
    pub(in crate::detect) opset: i64,
    pub(in crate::detect) nodes: Vec<OnnxNode<'m>>,
    /// Constants, by name.
    pub(in crate::detect) constants: Vec<(&'m str, OnnxTensor)>,
    pub(in crate::detect) inputs: Vec<&'m str>,
    pub(in crate::detect) outputs: Vec<&'m str>,
    elements: usize,
}

/// One operator of a graph.
#[derive(Debug, Default)]
pub(in crate::detect) struct OnnxNode<'m> {
    pub(in crate::detect) operator: &'m str,
    /// Empty for the default operator set.
    pub(in crate::detect) domain: &'m str,
    /// Names of values; empty where one is left out.
    pub(in crate::detect) inputs: Vec<&'m str>,
    pub(in crate::detect) outputs: Vec<&'m str>,
    pub(in crate::detect) attributes: Vec<(&'m str, Attribute<'m>)>,
}

/// What an attribute is set to.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::detect) enum Attribute<'m> {
    Float(f32),
    Integer(i64),
    Text(&'m [u8]),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Tensor(OnnxTensor),
    /// Graphs and lists of them, which nothing here takes.
    Other,
}

impl<'m> OnnxModel<'m> {
    /// # Errors
    /// What is wrong, for a person.
    pub(in crate::detect) fn read(bytes: &'m [u8]) -> Result<Self, String> {
        let mut model = Self::default();
        let mut has_graph = false;
        fields(bytes, |field, content| match (field, content) {
            (MODEL_GRAPH, Content::Bytes(graph)) => {
                has_graph = true;
                fields(graph, |field, content| model.graph_field(field, content))
            }
            (MODEL_OPSET, Content::Bytes(opset)) => {
                let (mut domain, mut version) = ("", 0);
                fields(opset, |field, content| {
                    match (field, content) {
                        (1, Content::Bytes(name)) => domain = text(name)?,
                        (2, Content::Number(number)) => version = number as i64,
                        _ => {}
                    }
                    Ok(())
                })?;
                if is_default(domain) {
                    model.opset = version;
                }
                Ok(())
            }
            _ => Ok(()),
        })?;
        if has_graph { Ok(model) } else { Err("it has no graph".to_owned()) }
    }

    fn graph_field(&mut self, field: u64, content: Content<'m>) -> Result<(), String> {
        let Content::Bytes(bytes) = content else { return Ok(()) };
        match field {
            GRAPH_NODE => {
                bounded(self.nodes.len(), NODES_MAX, "nodes")?;
                let node = self.node(bytes)?;
                self.nodes.push(node);
            }
            GRAPH_INITIALIZER => {
                bounded(self.constants.len(), CONSTANTS_MAX, "constants")?;
                let constant = OnnxTensor::read(bytes, ELEMENTS_MAX - self.elements)?;
                self.elements += constant.1.len();
                self.constants.push(constant);
            }
            GRAPH_INPUT | GRAPH_OUTPUT => {
                let values =
                    if field == GRAPH_INPUT { &mut self.inputs } else { &mut self.outputs };
                bounded(values.len(), CONSTANTS_MAX, "inputs or outputs")?;
                fields(bytes, |field, content| {
                    if let (1, Content::Bytes(name)) = (field, content) {
                        values.push(text(name)?);
                    }
                    Ok(())
                })?;
            }
            GRAPH_SPARSE => return Err("it has sparse constants".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn node(&mut self, bytes: &'m [u8]) -> Result<OnnxNode<'m>, String> {
        let mut node = OnnxNode::default();
        fields(bytes, |field, content| {
            let Content::Bytes(bytes) = content else { return Ok(()) };
            match field {
                1 | 2 => {
                    let values = if field == 1 { &mut node.inputs } else { &mut node.outputs };
                    bounded(values.len(), ARGUMENTS_MAX, "inputs or outputs of a node")?;
                    values.push(text(bytes)?);
                }
                4 => node.operator = text(bytes)?,
                5 => {
                    bounded(node.attributes.len(), ARGUMENTS_MAX, "attributes of a node")?;
                    node.attributes.push(self.attribute(bytes)?);
                }
                7 => node.domain = text(bytes)?,
                _ => {}
            }
            Ok(())
        })?;
        if is_default(node.domain) {
            node.domain = "";
        }
        Ok(node)
    }

    fn attribute(&mut self, bytes: &'m [u8]) -> Result<(&'m str, Attribute<'m>), String> {
        let mut name = "";
        let mut value = Attribute::Other;
        fields(bytes, |field, content| {
            match (field, content) {
                (1, Content::Bytes(bytes)) => name = text(bytes)?,
                (2, Content::Four(four)) => value = Attribute::Float(f32::from_le_bytes(four)),
                (3, Content::Number(number)) => value = Attribute::Integer(number as i64),
                (4, Content::Bytes(bytes)) => value = Attribute::Text(bytes),
                (5, Content::Bytes(bytes)) => {
                    let (_, tensor) = OnnxTensor::read(bytes, ELEMENTS_MAX - self.elements)?;
                    self.elements += tensor.len();
                    value = Attribute::Tensor(tensor);
                }
                (7, content) => {
                    if !matches!(value, Attribute::Floats(_)) {
                        value = Attribute::Floats(Vec::new());
                    }
                    let Attribute::Floats(list) = &mut value else { unreachable!("it was set") };
                    floats(content, LIST_MAX, list)?;
                }
                (8, content) => {
                    if !matches!(value, Attribute::Integers(_)) {
                        value = Attribute::Integers(Vec::new());
                    }
                    let Attribute::Integers(list) = &mut value else { unreachable!("it was set") };
                    integers(content, LIST_MAX, list)?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok((name, value))
    }
}

impl OnnxNode<'_> {
    /// An attribute, if it is set.
    pub(in crate::detect) fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

fn is_default(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn bounded(count: usize, most: usize, what: &str) -> Result<(), String> {
    if count < most { Ok(()) } else { Err(format!("it has more than {most} {what}")) }
}

const MODEL_GRAPH: u64 = 7;
const MODEL_OPSET: u64 = 8;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;
const GRAPH_INPUT: u64 = 11;
const GRAPH_OUTPUT: u64 = 12;
const GRAPH_SPARSE: u64 = 15;

const NODES_MAX: usize = 8192;
const CONSTANTS_MAX: usize = 16_384;
const ARGUMENTS_MAX: usize = 256;
const LIST_MAX: usize = 4096;
/// Of all constants together: 256 MiB as `f32`.
const ELEMENTS_MAX: usize = 1 << 26;
