use super::{Lowering, form, integer, integers, text};
use crate::detect::executor::error::PlanError;
use crate::detect::executor::graph::{Activation, Convolution, Operation, ValueId, Window};
use crate::detect::onnx::{OnnxNode, OnnxTensor, TensorData};

impl<'m> Lowering<'m> {
    pub(super) fn convolution(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let [channels, rows, columns] = self.picture(node, input)?;
        let tensor = self.constant_input(node, 1)?;
        let tensor = tensor.ok_or_else(|| form(node, "it has no weights"))?;
        let (&[outputs, per_output, height, width], TensorData::Floats(weights)) =
            (&tensor.shape[..], &tensor.data)
        else {
            return Err(form(node, "its weights are no four axes of floats"));
        };
        let groups = usize::try_from(integer(node, "group", 1)).unwrap_or(0);
        let depthwise = groups == channels && per_output == 1 && outputs == channels;
        // One channel, convolved by itself, is both.
        if !depthwise && (groups != 1 || per_output != channels) {
            return Err(form(
                node,
                format!("{channels} channels in {groups} groups become {outputs}"),
            ));
        }
        let bias = match self.constant_input(node, 2)?.as_deref() {
            None => vec![0.0; outputs],
            Some(OnnxTensor { data: TensorData::Floats(bias), .. }) if bias.len() == outputs => {
                bias.clone()
            }
            Some(_) => return Err(form(node, "its bias doesn't fit")),
        };
        self.spend(node, weights.len() + bias.len())?;
        let (window, [rows, columns]) = window(node, [height, width], [rows, columns])?;
        let convolution = Convolution {
            input,
            depthwise,
            weights: weights.clone(),
            bias,
            window,
            activation: Activation::Linear,
            residual: None,
        };
        let shape = vec![1, outputs, rows, columns];
        self.define_value(node, Operation::Convolution(convolution), shape)
    }

    pub(super) fn max_pool(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let [channels, rows, columns] = self.picture(node, input)?;
        let size = pair(node, "kernel_shape")?.ok_or_else(|| form(node, "it has no window"))?;
        if integer(node, "ceil_mode", 0) != 0 || node.outputs.len() > 1 {
            return Err(form(node, "sizes are rounded up, or places asked for"));
        }
        let (window, [rows, columns]) = window(node, size, [rows, columns])?;
        // Else there are windows that see nothing.
        if (0..2).any(|i| window.before[i] >= window.size[i]) {
            return Err(form(node, "there is more padding than window"));
        }
        let shape = vec![1, channels, rows, columns];
        self.define_value(node, Operation::MaxPool { input, window }, shape)
    }

    /// Whole multiples, each element repeated.
    pub(super) fn resize(&mut self, node: &OnnxNode<'m>) -> Result<(), PlanError> {
        let input = self.value_input(node, 0)?;
        let [channels, rows, columns] = self.picture(node, input)?;
        if !matches!(text(node, "mode"), b"nearest" | b"") {
            return Err(form(node, "it is not the nearest element that is taken"));
        }
        let nearest = text(node, "nearest_mode");
        let is_plain = match text(node, "coordinate_transformation_mode") {
            b"asymmetric" => nearest == b"floor",
            // Of whole multiples, no centre is as near to one element as to another.
            b"half_pixel" | b"" => {
                matches!(nearest, b"round_prefer_floor" | b"round_prefer_ceil" | b"")
            }
            _ => false,
        };
        if node.operator == "Resize" && !is_plain {
            return Err(form(node, "elements are found in another way"));
        }
        let scales_at = if node.operator == "Upsample" { 1 } else { 2 };
        let sizes = self.integers_input(node, 3)?;
        let factors = match (self.constant_input(node, scales_at)?.as_deref(), sizes) {
            (Some(OnnxTensor { data: TensorData::Floats(scales), .. }), None)
                if scales.len() == 4 =>
            {
                scales.iter().map(|scale| whole(f64::from(*scale))).collect()
            }
            (None | Some(OnnxTensor { data: TensorData::Floats(_), .. }), Some(sizes))
                if sizes.len() == 4 =>
            {
                let old = [1, channels, rows, columns];
                let factors = sizes.iter().zip(old);
                factors
                    .map(|(new, old)| whole(*new as f64 / old as f64))
                    .collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        let Some([1, 1, down, right]) = factors.as_deref() else {
            return Err(form(node, "rows and columns are not repeated whole times"));
        };
        let (down, right) = (*down, *right);
        let shape = vec![1, channels, rows * down, columns * right];
        self.define_value(node, Operation::Enlarge { input, factors: [down, right] }, shape)
    }

    /// Channels, rows and columns of a value that is one picture.
    fn picture(&self, node: &OnnxNode<'m>, value: ValueId) -> Result<[usize; 3], PlanError> {
        match self.shape(value)[..] {
            [1, channels, rows, columns] => Ok([channels, rows, columns]),
            ref shape => Err(form(node, format!("its input is {shape:?}, not one picture"))),
        }
    }
}

/// A window of this size on this picture, and the size of what it leaves.
fn window(
    node: &OnnxNode<'_>,
    size: [usize; 2],
    picture: [usize; 2],
) -> Result<(Window, [usize; 2]), PlanError> {
    let stride = pair(node, "strides")?.unwrap_or([1, 1]);
    let dilation = pair(node, "dilations")?.unwrap_or([1, 1]);
    let within = |sizes: [usize; 2]| sizes.iter().all(|size| (1..=SIDE_MAX).contains(size));
    if !within(size) || !within(stride) || !within(dilation) {
        return Err(form(node, format!("its window is {size:?}, {stride:?}, {dilation:?}")));
    }
    let covers: [usize; 2] = [0, 1].map(|i| (size[i] - 1) * dilation[i] + 1);
    let (before, after) = match text(node, "auto_pad") {
        b"" | b"NOTSET" => match integers(node, "pads") {
            None => ([0, 0], [0, 0]),
            Some(&[top, left, bottom, right]) => {
                (sides(node, [top, left])?, sides(node, [bottom, right])?)
            }
            Some(_) => return Err(form(node, "it is padded on other than four sides")),
        },
        b"VALID" => ([0, 0], [0, 0]),
        mode @ (b"SAME_UPPER" | b"SAME_LOWER") => {
            let needed = [0, 1].map(|i| {
                let steps = picture[i].div_ceil(stride[i]) - 1;
                (steps * stride[i] + covers[i]).saturating_sub(picture[i])
            });
            let less = needed.map(|needed| needed / 2);
            let more = [0, 1].map(|i| needed[i] - less[i]);
            if mode == b"SAME_UPPER" { (less, more) } else { (more, less) }
        }
        _ => return Err(form(node, "it is padded in a way that is not known")),
    };
    let mut left = [0; 2];
    for i in 0..2 {
        let padded = picture[i] + before[i] + after[i];
        let Some(steps) = padded.checked_sub(covers[i]) else {
            return Err(form(node, format!("its window {size:?} is larger than {picture:?}")));
        };
        left[i] = steps / stride[i] + 1;
    }
    Ok((Window { size, stride, dilation, before }, left))
}

fn pair(node: &OnnxNode<'_>, name: &str) -> Result<Option<[usize; 2]>, PlanError> {
    match integers(node, name) {
        None => Ok(None),
        Some(&[rows, columns]) => sides(node, [rows, columns]).map(Some),
        Some(_) => Err(form(node, format!("{name} are not two numbers"))),
    }
}

fn sides(node: &OnnxNode<'_>, numbers: [i64; 2]) -> Result<[usize; 2], PlanError> {
    let side = |number| usize::try_from(number).ok().filter(|side| *side <= SIDE_MAX);
    match numbers.map(side) {
        [Some(rows), Some(columns)] => Ok([rows, columns]),
        _ => Err(form(node, format!("{numbers:?} are no sizes"))),
    }
}

/// The whole number that this is.
fn whole(number: f64) -> Option<usize> {
    let fits = number.fract() == 0.0 && (1.0..=SIDE_MAX as f64).contains(&number);
    fits.then_some(number as usize)
}

/// The most rows or columns of a window, of its steps, and of padding.
const SIDE_MAX: usize = 4096;
