//! Small ONNX files for tests, written byte by byte (onnx.proto3, IR version 8).

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::model_file::hexadecimal;

/// A graph of one node without attributes.
pub(super) struct OnnxFixture {
    pub(super) operator: &'static str,
    pub(super) node_inputs: &'static [&'static str],
    pub(super) node_outputs: &'static [&'static str],
    pub(super) inputs: &'static [(&'static str, &'static [u64])],
    pub(super) outputs: &'static [&'static str],
}

/// A graph of any nodes, put together one by one.
#[derive(Default)]
pub(super) struct GraphFixture {
    graph: Vec<u8>,
    constants: usize,
}

/// What an attribute of a node is set to.
pub(super) enum Set<'a> {
    Integer(i64),
    Integers(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

impl GraphFixture {
    pub(super) fn new(input: &[u64]) -> Self {
        let mut fixture = Self::default();
        message(&mut fixture.graph, 11, &value_info("x", Some(input)));
        fixture
    }

    /// Adds a node.
    pub(super) fn node(
        self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Set<'_>)],
    ) -> Self {
        let is_set = |wanted: &str| attributes.iter().any(|(name, _)| *name == wanted);
        // What may be left out, the engine wants all the same.
        let defaults = [
            ("strides", Set::Integers(&[1, 1])),
            ("dilations", Set::Integers(&[1, 1])),
            ("pads", Set::Integers(&[0; 4])),
        ];
        let defaults = defaults.into_iter().filter(|(name, _)| {
            operator == "Conv" && !is_set(name) && (*name != "pads" || !is_set("auto_pad"))
        });
        let defaults: Vec<_> = defaults.collect();
        self.bare_node(operator, inputs, outputs, &mut attributes.iter().chain(&defaults))
    }

    fn bare_node(
        mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &mut dyn Iterator<Item = &(&str, Set<'_>)>,
    ) -> Self {
        let mut node = Vec::new();
        inputs.iter().for_each(|name| text(&mut node, 1, name));
        outputs.iter().for_each(|name| text(&mut node, 2, name));
        text(&mut node, 4, operator);
        for (name, set) in attributes {
            let mut attribute = Vec::new();
            text(&mut attribute, 1, name);
            // And the kind of attribute, which one reader looks at and the other one doesn't.
            match set {
                Set::Float(value) => {
                    attribute.push(2 << 3 | 5);
                    attribute.extend(value.to_le_bytes());
                    kind(&mut attribute, 1);
                }
                Set::Integer(value) => {
                    number(&mut attribute, 3, *value as u64);
                    kind(&mut attribute, 2);
                }
                Set::Text(value) => {
                    text(&mut attribute, 4, value);
                    kind(&mut attribute, 3);
                }
                Set::Integers(values) => {
                    values.iter().for_each(|value| number(&mut attribute, 8, *value as u64));
                    kind(&mut attribute, 7);
                }
            }
            message(&mut node, 5, &attribute);
        }
        message(&mut self.graph, 1, &node);
        self
    }

    /// Adds a constant of floats, any numbers between −1 and 1.
    pub(super) fn weights(mut self, name: &str, shape: &[u64]) -> Self {
        self.constants += 1;
        let elements = shape.iter().product::<u64>();
        let bytes = (0..elements).flat_map(|i| {
            let mixed = (i + 97 * self.constants as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            (mixed as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()
        });
        let bytes: Vec<_> = bytes.collect();
        self.constant(name, 1, shape, &bytes)
    }

    /// Adds a constant of these floats.
    pub(super) fn floats(self, name: &str, shape: &[u64], values: &[f32]) -> Self {
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, 1, shape, &bytes)
    }

    /// Adds a list of integers.
    pub(super) fn integers(self, name: &str, values: &[i64]) -> Self {
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(name, 7, &[values.len() as u64], &bytes)
    }

    fn constant(mut self, name: &str, kind: u64, shape: &[u64], bytes: &[u8]) -> Self {
        let mut tensor = Vec::new();
        shape.iter().for_each(|size| number(&mut tensor, 1, *size));
        number(&mut tensor, 2, kind);
        text(&mut tensor, 8, name);
        message(&mut tensor, 9, bytes);
        message(&mut self.graph, 5, &tensor);
        self
    }

    /// The file, whose outputs these are.
    pub(super) fn bytes(mut self, outputs: &[&str]) -> Vec<u8> {
        text(&mut self.graph, 2, "fixture");
        for name in outputs {
            message(&mut self.graph, 12, &value_info(name, None));
        }
        model(&self.graph)
    }
}

fn kind(attribute: &mut Vec<u8>, kind: u64) {
    attribute.push(0xa0);
    attribute.push(1);
    varint(attribute, kind);
}

fn model(graph: &[u8]) -> Vec<u8> {
    let mut opset = Vec::new();
    number(&mut opset, 2, 13);
    let mut model = Vec::new();
    number(&mut model, 1, 8);
    message(&mut model, 7, graph);
    message(&mut model, 8, &opset);
    model
}

impl OnnxFixture {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut node = Vec::new();
        self.node_inputs.iter().for_each(|name| text(&mut node, 1, name));
        self.node_outputs.iter().for_each(|name| text(&mut node, 2, name));
        text(&mut node, 4, self.operator);

        let mut graph = Vec::new();
        message(&mut graph, 1, &node);
        text(&mut graph, 2, "fixture");
        for (name, shape) in self.inputs {
            message(&mut graph, 11, &value_info(name, Some(shape)));
        }
        for name in self.outputs {
            message(&mut graph, 12, &value_info(name, None));
        }
        model(&graph)
    }
}

/// A model of the YOLOX family for an input of 32 × 32 and two classes, whose every number is the
/// square root of one of the input's: what is dark there is not a number here.
pub(crate) fn roots() -> (Vec<u8>, &'static str) {
    let node = |operator: &str, inputs: &[&str], output: &str| {
        let mut node = Vec::new();
        inputs.iter().for_each(|name| text(&mut node, 1, name));
        text(&mut node, 2, output);
        text(&mut node, 4, operator);
        node
    };
    let mut graph = Vec::new();
    message(&mut graph, 1, &node("Slice", &["x", "starts", "ends", "axes"], "corner"));
    message(&mut graph, 1, &node("Reshape", &["corner", "shape"], "rows"));
    message(&mut graph, 1, &node("Sqrt", &["rows"], "y"));
    text(&mut graph, 2, "fixture");
    for (name, numbers) in
        [("starts", [0, 0, 0]), ("ends", [1, 21, 7]), ("axes", [1, 2, 3]), ("shape", [1, 21, 7])]
    {
        let mut tensor = Vec::new();
        number(&mut tensor, 1, 3);
        // INT64
        number(&mut tensor, 2, 7);
        text(&mut tensor, 8, name);
        message(&mut tensor, 9, numbers.map(i64::to_le_bytes).as_flattened());
        message(&mut graph, 5, &tensor);
    }
    message(&mut graph, 11, &value_info("x", Some(&[1, 3, 32, 32])));
    message(&mut graph, 12, &value_info("y", None));
    (model(&graph), ROOTS)
}

const ROOTS: &str = r#"
    name = "roots"
    family = "yolox"
    classes = ["person", "car"]
    [input]
    width = 32
    height = 32
    color = "rgb"
    scale = 1.0
    offset = -128.0
    letterbox = 0.0
"#;

/// Writes a model and a description that fits its bytes; returns the model's
/// path.
pub(crate) fn write_model(folder: &Path, bytes: &[u8], description: &str) -> PathBuf {
    let path = folder.join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    let sha256 = hexadecimal(&Sha256::digest(bytes));
    let text = format!("sha256 = {sha256:?}\n{description}");
    std::fs::write(path.with_extension("toml"), text).unwrap();
    path
}

fn value_info(name: &str, shape: Option<&[u64]>) -> Vec<u8> {
    let mut tensor = Vec::new();
    // FLOAT
    number(&mut tensor, 1, 1);
    if let Some(shape) = shape {
        let mut dimensions = Vec::new();
        for size in shape {
            let mut dimension = Vec::new();
            number(&mut dimension, 1, *size);
            message(&mut dimensions, 1, &dimension);
        }
        message(&mut tensor, 2, &dimensions);
    }
    let mut of_type = Vec::new();
    message(&mut of_type, 1, &tensor);
    let mut info = Vec::new();
    text(&mut info, 1, name);
    message(&mut info, 2, &of_type);
    info
}

fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn text(out: &mut Vec<u8>, field: u8, text: &str) {
    message(out, field, text.as_bytes());
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
