//! What of a detector's outputs decoding needs: of the scores, each box's best alone.

use super::error::PlanError;
use super::graph::{Change, Graph, Operation, ValueId};
use crate::detect::description::{Family, ModelDescription};
use crate::detect::yolox;

/// Names of the outputs that a family has, in the order in which they are taken; none where there
/// is but one, whatever its name.
pub(super) fn outputs_of(family: Family) -> &'static [&'static str] {
    match family {
        Family::Ssd => &["boxes", "scores"],
        Family::Yolox => &[],
    }
}

/// Puts in the place of a graph's outputs what decoding needs: the numbers of each box (4, for
/// YOLOX 5 with the objectness), then the place and the value of its best score.
pub(super) fn shorten(graph: &mut Graph, description: &ModelDescription) -> Result<(), PlanError> {
    let columns = description.class_columns();
    let (boxes, scores) = match (description.family(), &graph.outputs[..]) {
        (Family::Ssd, &[boxes, scores]) => {
            let count = graph.shapes[boxes].iter().product::<usize>() / 4;
            check(graph, boxes, &[1, count, 1, 4])?;
            check(graph, scores, &[1, count, columns])?;
            (boxes, scores)
        }
        (Family::Yolox, &[rows]) => {
            let cells = yolox::cells(description.input());
            check(graph, rows, &[1, cells, 5 + columns])?;
            let boxes = columns_of(graph, rows, 0..5);
            let scores = columns_of(graph, rows, 5..5 + columns);
            (boxes, scores)
        }
        (_, outputs) => return Err(PlanError::ends(format!("it gives {} outputs", outputs.len()))),
    };
    let mut shape = graph.shapes[scores].clone();
    *shape.last_mut().expect("it was checked") = 2;
    let best = graph.push(Operation::Best { input: scores }, shape);
    graph.outputs = vec![boxes, best];
    Ok(())
}

fn columns_of(graph: &mut Graph, rows: ValueId, columns: std::ops::Range<usize>) -> ValueId {
    let mut shape = graph.shapes[rows].clone();
    shape[2] = columns.len();
    let change = Change::Slice { starts: vec![0, 0, columns.start], steps: vec![1; 3] };
    graph.push(Operation::View { input: rows, change }, shape)
}

fn check(graph: &Graph, value: ValueId, expected: &[usize]) -> Result<(), PlanError> {
    let found = &graph.shapes[value];
    if found == expected {
        return Ok(());
    }
    Err(PlanError::ends(format!("it gives {found:?}, its family and classes mean {expected:?}")))
}
