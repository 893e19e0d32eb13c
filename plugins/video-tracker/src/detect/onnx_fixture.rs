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

        let mut opset = Vec::new();
        number(&mut opset, 2, 13);
        let mut model = Vec::new();
        number(&mut model, 1, 8);
        message(&mut model, 7, &graph);
        message(&mut model, 8, &opset);
        model
    }
}

/// Writes a model and a description that fits its bytes; returns the model's
/// path.
pub(super) fn write_model(folder: &Path, bytes: &[u8], description: &str) -> PathBuf {
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
