//! Whether bytes have the outline of an ONNX file, before the engine reads them.
//!
//! The engine's reader never ends on a varint that is longer than ten bytes
//! (rten-onnx 0.27), as damaged files have them, so the levels that make up
//! nearly all of a file are walked here first: model, graph, nodes, weights.

use super::wire::{Content, fields};

/// # Errors
/// What is wrong, for a person.
pub(crate) fn check(model: &[u8]) -> Result<(), String> {
    let mut has_graph = false;
    walk(model, |field, bytes| {
        if field != MODEL_GRAPH {
            return Ok(());
        }
        has_graph = true;
        walk(bytes, |field, bytes| match field {
            GRAPH_NODE | GRAPH_INITIALIZER => walk(bytes, |_, _| Ok(())),
            _ => Ok(()),
        })
    })?;
    if has_graph { Ok(()) } else { Err("it has no graph".to_owned()) }
}

/// Goes through the fields of a message and hands on those made of bytes.
fn walk(
    bytes: &[u8],
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    fields(bytes, |field, content| match content {
        Content::Bytes(bytes) => visit(field, bytes),
        _ => Ok(()),
    })
}

const MODEL_GRAPH: u64 = 7;
const GRAPH_NODE: u64 = 1;
const GRAPH_INITIALIZER: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(bytes: &[u8], said: &str) {
        let reason = check(bytes).unwrap_err();
        assert!(reason.contains(said), "{reason}");
    }

    #[test]
    fn an_outline_is_fields_within_fields() {
        // IR version 8, and a graph of one node with one input named "x".
        let model = [0x08, 8, 0x3a, 5, 0x0a, 3, 0x0a, 1, b'x'];
        assert_eq!(check(&model), Ok(()));
        refused(&model[..2], "it has no graph");
        refused(&model[..8], "the file ends within the field at byte 2 of 8");
        refused(b"", "it has no graph");
        refused(b"RTEN", "the file ends within the field");
        refused(&[0x0f], "there is no field");
        refused(&[0x08], "there is a broken number");
        refused(&[0x0a, 0x80], "there is a broken length");
        refused(&[0xff; 64], "there is a broken number");
    }

    #[test]
    fn damage_inside_the_graph_is_seen() {
        let mut node = vec![0x3a, 13, 0x0a, 11];
        node.extend([0xff; 11]);
        refused(&node, "there is a broken number at byte 0 of 11");
        node[2] = 0x2a;
        refused(&node, "there is a broken number at byte 0 of 11");
    }
}
