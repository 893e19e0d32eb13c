//! Where the values lie: what is put together is written to its place in the whole, what is merely
//! seen otherwise is no copy.

use super::graph::{Change, Graph, Operation, ValueId};
use super::view::View;

/// Every value's place in pieces of memory.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) views: Vec<View>,
    /// Elements of each piece.
    pub(super) pieces: Vec<usize>,
    /// By node: what has to be copied where that node runs.
    pub(super) copies: Vec<Vec<Copy>>,
    /// What has to be copied in the end: outputs whose elements don't lie one after the other.
    pub(super) last_copies: Vec<Copy>,
    /// Places of the graph's outputs.
    pub(super) outputs: Vec<View>,
}

#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) from: View,
    pub(super) to: View,
}

/// Finds a place for every value of a graph.
pub(super) fn place(graph: &Graph) -> Places {
    let mut placing = Placing {
        graph,
        makers: graph.makers(),
        views: vec![None; graph.shapes.len()],
        pieces: Vec::new(),
        copies: vec![Vec::new(); graph.nodes.len()],
    };
    placing.settle_anew(graph.input);
    // Backwards, for the whole decides where its parts are.
    let mut late = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        match &node.operation {
            Operation::View { .. } => continue,
            Operation::Concat { inputs, axis } => {
                let whole = placing.settle_anew(node.output);
                let mut starts = vec![0; whole.axes.len()];
                let steps = vec![1; whole.axes.len()];
                for input in inputs {
                    let shape = &graph.shapes[*input];
                    let part = whole.sliced(&starts, &steps, shape);
                    starts[*axis] += shape[*axis];
                    if !placing.settle(*input, &part) {
                        late.push((i, *input, part));
                    }
                }
            }
            _ => {
                placing.settle_anew(node.output);
            }
        }
    }
    // Forwards, for what is seen otherwise lies where the thing itself does.
    for (i, node) in graph.nodes.iter().enumerate() {
        let Operation::View { input, change } = &node.operation else { continue };
        if placing.views[node.output].is_none() {
            placing.derive(i, *input, change, node.output);
        }
    }
    for (node, input, to) in late {
        let from = placing.view(input).clone();
        placing.copies[node].push(Copy { from, to });
    }
    placing.finish()
}

struct Placing<'g> {
    graph: &'g Graph,
    makers: Vec<Option<usize>>,
    views: Vec<Option<View>>,
    pieces: Vec<usize>,
    copies: Vec<Vec<Copy>>,
}

impl Placing<'_> {
    fn view(&self, value: ValueId) -> &View {
        self.views[value].as_ref().expect("inputs are placed before what is computed from them")
    }

    /// Where the value is, in a piece of its own unless it has a place.
    fn settle_anew(&mut self, value: ValueId) -> View {
        if self.views[value].is_none() {
            self.views[value] = Some(self.piece(&self.graph.shapes[value]));
        }
        self.view(value).clone()
    }

    fn piece(&mut self, shape: &[usize]) -> View {
        self.pieces.push(shape.iter().product());
        View::whole(self.pieces.len() - 1, shape)
    }

    /// Has a value computed at its place in something larger, if nothing is against it.
    fn settle(&mut self, value: ValueId, view: &View) -> bool {
        let mut settled = vec![(value, view.clone())];
        loop {
            let (value, view) = settled.last().expect("it is never empty");
            if self.views[*value].is_some() {
                return false;
            }
            let Some(maker) = self.makers[*value] else { return false };
            let Operation::View { input, change } = &self.graph.nodes[maker].operation else {
                break;
            };
            let before = match change {
                Change::Reshape => view.reshaped(&self.graph.shapes[*input]),
                Change::Transpose { order } => Some(view.transposed_back(order)),
                Change::Slice { .. } => None,
            };
            let Some(before) = before else { return false };
            settled.push((*input, before));
        }
        for (value, view) in settled {
            self.views[value] = Some(view);
        }
        true
    }

    fn derive(&mut self, node: usize, input: ValueId, change: &Change, output: ValueId) {
        let from = self.view(input).clone();
        let shape = &self.graph.shapes[output];
        let view = match change {
            Change::Reshape => from.reshaped(shape),
            Change::Transpose { order } => Some(from.transposed(order)),
            Change::Slice { starts, steps } => Some(from.sliced(starts, steps, shape)),
        };
        self.views[output] = Some(view.unwrap_or_else(|| {
            let to = self.piece(&self.graph.shapes[input]);
            let whole = View::whole(to.piece, shape);
            self.copies[node].push(Copy { from, to });
            whole
        }));
    }

    fn finish(mut self) -> Places {
        let mut last_copies = Vec::new();
        let mut outputs = Vec::new();
        for value in &self.graph.outputs {
            let view = self.view(*value).clone();
            outputs.push(if view.is_dense() {
                view
            } else {
                let to = self.piece(&view.shape());
                last_copies.push(Copy { from: view, to: to.clone() });
                to
            });
        }
        let views = self.views.into_iter().map(|view| {
            // Values that nobody computes or uses any more have no place.
            view.unwrap_or_else(|| View::whole(0, &[]))
        });
        let views = views.collect();
        Places { views, pieces: self.pieces, copies: self.copies, last_copies, outputs }
    }
}
