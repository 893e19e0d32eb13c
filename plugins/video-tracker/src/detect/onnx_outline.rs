//! Whether bytes have the outline of an ONNX file, before the engine reads them.
//!
//! The engine's reader never ends on a varint that is longer than ten bytes
//! (rten-onnx 0.27), as damaged files have them, so the levels that make up
//! nearly all of a file are walked here first: model, graph, nodes, weights.
//! Encoding: protobuf.dev, "Encoding"; numbers: onnx.proto3.

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
    mut bytes: &[u8],
    mut visit: impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let whole = bytes.len();
    while !bytes.is_empty() {
        let at = whole - bytes.len();
        let broken = |what: &str| format!("{what} at byte {at} of {whole} in a message");
        let tag = varint(&mut bytes).ok_or_else(|| broken("there is a broken number"))?;
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes).ok_or_else(|| broken("there is a broken number"))?;
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes).ok_or_else(|| broken("there is a broken length"))?,
            5 => 4,
            _ => return Err(broken("there is no field")),
        };
        let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
        let (content, rest) = split.ok_or_else(|| broken("the file ends within the field"))?;
        if tag & 7 == 2 {
            visit(tag >> 3, content)?;
        }
        bytes = rest;
    }
    Ok(())
}

/// Takes a base-128 number, the low 7 bits first, off the front.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

const VARINT_BYTES_MAX: usize = 10;
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
