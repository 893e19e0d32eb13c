use super::{Known, Lowering, axis, form, integer, integers};
use crate::detect::executor::error::PlanError;
use crate::detect::executor::graph::{Change, Operation, Shape, ValueId};
use crate::detect::onnx::{OnnxNode, OnnxTensor, TensorData};

impl<'m> Lowering<'m> {
    pub(super) fn reshape(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let known = self.input(node, 0)?;
        let old = self.known_shape(&known);
        let elements: usize = old.iter().product();
        let sizes = if node.operator == "Flatten" {
            let axis = integer(node, "axis", 1);
            let axis = usize::try_from(axis).ok().filter(|axis| *axis <= old.len());
            let axis = axis.ok_or_else(|| form(node, "there is no such axis"))?;
            vec![old[..axis].iter().product::<usize>() as i64, -1]
        } else {
            self.integers_input(node, 1)?.ok_or_else(|| form(node, "it has no shape"))?
        };
        // 0 keeps a size, one −1 takes what is left.
        let mut shape = Vec::with_capacity(sizes.len());
        let mut open = None;
        for (i, size) in sizes.iter().enumerate() {
            shape.push(match size {
                0 => *old.get(i).ok_or_else(|| form(node, "there is no size to keep"))?,
                -1 if open.is_none() => {
                    open = Some(i);
                    1
                }
                size => usize::try_from(*size).map_err(|_| form(node, "a negative size"))?,
            });
        }
        let given = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let given = given.filter(|given| *given > 0);
        if let (Some(open), Some(given)) = (open, given) {
            shape[open] = elements / given;
        }
        let given = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if given != Some(elements) {
            return Err(form(node, format!("{old:?} can't become {sizes:?}")));
        }
        self.seen_as(node, known, shape)
    }

    pub(super) fn squeeze(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let known = self.input(node, 0)?;
        let old = self.known_shape(&known).clone();
        // An attribute up to operator set 12, an input from then on.
        let axes = match self.integers_input(node, 1)? {
            Some(axes) => Some(axes),
            None => integers(node, "axes").map(<[_]>::to_vec),
        };
        let shape: Shape = match (node.operator, axes) {
            ("Squeeze", None) => old.into_iter().filter(|size| *size != 1).collect(),
            ("Squeeze", Some(axes)) => {
                let axes = axes.iter().map(|number| axis(node, *number, old.len()));
                let axes = axes.collect::<Result<Vec<_>, _>>()?;
                if axes.iter().any(|axis| old[*axis] != 1) {
                    return Err(form(node, format!("{old:?} has more along the axes {axes:?}")));
                }
                let kept = old.iter().enumerate().filter(|(i, _)| !axes.contains(i));
                kept.map(|(_, size)| *size).collect()
            }
            (_, Some(axes)) => {
                let rank = old.len() + axes.len();
                let axes = axes.iter().map(|number| axis(node, *number, rank));
                let axes = axes.collect::<Result<Vec<_>, _>>()?;
                let mut sizes = old.iter();
                let size = |i| if axes.contains(&i) { Some(1) } else { sizes.next().copied() };
                let shape: Option<Shape> = (0..rank).map(size).collect();
                shape.ok_or_else(|| form(node, "an axis is named twice"))?
            }
            (_, None) => return Err(form(node, "it has no axes")),
        };
        self.seen_as(node, known, shape)
    }

    pub(super) fn transpose(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let old = self.shape(input).clone();
        let order = match integers(node, "perm") {
            None => (0..old.len()).rev().collect(),
            Some(order) => order
                .iter()
                .map(|number| axis(node, *number, old.len()))
                .collect::<Result<Vec<_>, _>>()?,
        };
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..old.len()) {
            return Err(form(node, format!("{order:?} is no order of the axes of {old:?}")));
        }
        let shape = order.iter().map(|axis| old[*axis]).collect();
        self.view(node, 0, input, Change::Transpose { order }, shape)
    }

    /// Of computed values; starts, ends, axes and steps are inputs from operator set 10 on.
    pub(super) fn slice(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let mut shape = self.shape(input).clone();
        let list = |name, place| match integers(node, name) {
            Some(list) => Ok(Some(list.to_vec())),
            None => self.integers_input(node, place),
        };
        let missing = || form(node, "it has no bounds");
        let (from, to) = (list("starts", 1)?.ok_or_else(missing)?, list("ends", 2)?);
        let to = to.ok_or_else(missing)?;
        let axes = list("axes", 3)?.unwrap_or_else(|| (0..from.len() as i64).collect());
        let every = self.integers_input(node, 4)?.unwrap_or_else(|| vec![1; from.len()]);
        if [to.len(), axes.len(), every.len()] != [from.len(); 3] {
            return Err(form(node, "its bounds are not for the same axes"));
        }
        let (mut starts, mut steps) = (vec![0; shape.len()], vec![1; shape.len()]);
        for i in 0..from.len() {
            let axis = axis(node, axes[i], shape.len())?;
            let size = shape[axis] as i64;
            let place = |number: i64| {
                let counted = if number < 0 { number.saturating_add(size) } else { number };
                counted.clamp(0, size) as usize
            };
            let step = usize::try_from(every[i]).ok().filter(|step| *step > 0);
            let step = step.ok_or_else(|| form(node, "it goes backwards"))?;
            let (start, end) = (place(from[i]), place(to[i]));
            (starts[axis], steps[axis]) = (start, step);
            shape[axis] = end.saturating_sub(start).div_ceil(step);
        }
        self.view(node, 0, input, Change::Slice { starts, steps }, shape)
    }

    pub(super) fn split(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let whole = self.shape(input).clone();
        let axis = axis(node, integer(node, "axis", 0), whole.len())?;
        let sizes = match (integers(node, "split"), self.integers_input(node, 1)?) {
            (Some(sizes), _) => sizes.to_vec(),
            (None, Some(sizes)) => sizes,
            (None, None) => {
                let size = whole[axis].div_ceil(node.outputs.len().max(1));
                let starts = (0..whole[axis]).step_by(size.max(1));
                starts.map(|start| size.min(whole[axis] - start) as i64).collect()
            }
        };
        let sizes: Option<Vec<_>> = sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
        let sizes = sizes.filter(|sizes| {
            sizes.len() == node.outputs.len()
                && sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size))
                    == Some(whole[axis])
        });
        let sizes = sizes.ok_or_else(|| form(node, "its parts are not the whole"))?;
        let mut start = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            let mut shape = whole.clone();
            shape[axis] = size;
            let mut starts = vec![0; shape.len()];
            starts[axis] = start;
            start += size;
            let steps = vec![1; shape.len()];
            self.view(node, i, input, Change::Slice { starts, steps }, shape)?;
        }
        Ok(())
    }

    pub(super) fn concat(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let known = (0..node.inputs.len()).map(|place| self.input(node, place));
        let known = known.collect::<Result<Vec<_>, _>>()?;
        let Some(first) = known.first() else { return Err(form(node, "it has no inputs")) };
        let mut shape = self.known_shape(first).clone();
        let axis = axis(node, integer(node, "axis", 0), shape.len())?;
        let mut inputs = Vec::with_capacity(known.len());
        let (mut numbers, mut total) = (Vec::new(), 0);
        for known in &known {
            let part = self.known_shape(known);
            let fits = part.len() == shape.len()
                && (0..part.len()).all(|i| i == axis || part[i] == shape[i]);
            if !fits {
                return Err(form(node, format!("{part:?} doesn't fit beside {shape:?}")));
            }
            total += part[axis];
            match known {
                Known::Value(value) => inputs.push(*value),
                // Shapes are put together like this, and nothing else that is constant.
                Known::Constant(tensor) => match &tensor.data {
                    TensorData::Integers(data) if part.len() == 1 => numbers.extend(data),
                    _ => return Err(form(node, "it puts constants together")),
                },
            }
        }
        shape[axis] = total;
        match (inputs.len(), numbers.len()) {
            (_, 0) => self.define_value(node, Operation::Concat { inputs, axis }, shape),
            (0, _) => {
                let data = TensorData::Integers(numbers);
                self.define_constant(node, OnnxTensor { shape, data })
            }
            _ => Err(form(node, "it puts constants beside what is computed")),
        }
    }

    /// The same elements in the same order, under another shape.
    fn seen_as(
        &mut self,
        node: &OnnxNode<'m>,
        known: Known,
        shape: Shape,
    ) -> Result<(), PlanError> {
        match known {
            Known::Value(input) => self.view(node, 0, input, Change::Reshape, shape),
            Known::Constant(tensor) => {
                let data = tensor.data.clone();
                self.define_constant(node, OnnxTensor { shape, data })
            }
        }
    }

    fn view(
        &mut self,
        node: &OnnxNode<'m>,
        place: usize,
        input: ValueId,
        change: Change,
        shape: Shape,
    ) -> Result<(), PlanError> {
        let value = self.push(node, Operation::View { input, change }, shape)?;
        self.define(node, place, Known::Value(value))
    }

    fn known_shape<'s>(&'s self, known: &'s Known) -> &'s Shape {
        match known {
            Known::Value(value) => self.shape(*value),
            Known::Constant(tensor) => &tensor.shape,
        }
    }
}
