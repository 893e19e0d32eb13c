//! How the elements of a value lie in a piece of memory.

/// The elements of a value within a piece of memory, which others may share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Which piece of memory.
    pub(super) piece: usize,
    /// The first element's place in it.
    pub(super) offset: usize,
    pub(super) axes: Vec<Axis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) size: usize,
    /// Elements from one to the next.
    pub(super) stride: usize,
}

impl View {
    /// All of a piece, row by row.
    pub(super) fn whole(piece: usize, shape: &[usize]) -> Self {
        let mut stride = 1;
        let mut axes: Vec<_> = shape
            .iter()
            .rev()
            .map(|size| {
                let axis = Axis { size: *size, stride };
                stride *= size;
                axis
            })
            .collect();
        axes.reverse();
        Self { piece, offset: 0, axes }
    }

    /// Axis `i` of the result is axis `order[i]` of this.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let axes = order.iter().map(|axis| self.axes[*axis]).collect();
        Self { axes, ..self.clone() }
    }

    /// The view of which this is the transposed one.
    pub(super) fn transposed_back(&self, order: &[usize]) -> Self {
        let mut axes = self.axes.clone();
        for (axis, from) in self.axes.iter().zip(order) {
            axes[*from] = *axis;
        }
        Self { axes, ..self.clone() }
    }

    /// Every `steps`-th element from `starts` on, as many as `shape` says.
    pub(super) fn sliced(&self, starts: &[usize], steps: &[usize], shape: &[usize]) -> Self {
        let mut view = self.clone();
        for (i, axis) in view.axes.iter_mut().enumerate() {
            view.offset += starts[i] * axis.stride;
            // Where one element is left, the step may be any number.
            let stride = if shape[i] > 1 { axis.stride * steps[i] } else { 0 };
            *axis = Axis { size: shape[i], stride };
        }
        view
    }

    /// The same elements in the same order under another shape, where one stride for each axis can
    /// say it.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        let old: Vec<_> = self.axes.iter().filter(|axis| axis.size > 1).collect();
        let mut axes: Vec<_> = shape.iter().map(|size| Axis { size: *size, stride: 0 }).collect();
        let mut new: Vec<_> = axes.iter_mut().filter(|axis| axis.size > 1).collect();
        let (mut i, mut j) = (0, 0);
        while i < old.len() {
            // The smallest runs of axes with as many elements on both sides.
            let (first, start) = (i, j);
            let (mut left, mut right) = (old[i].size, new.get(j)?.size);
            while left != right {
                if left < right {
                    i += 1;
                    left *= old.get(i)?.size;
                } else {
                    j += 1;
                    right *= new.get(j)?.size;
                }
            }
            let is_run = old[first..=i].windows(2).all(|pair| {
                let [outer, inner] = pair else { return false };
                outer.stride == inner.size * inner.stride
            });
            if !is_run {
                return None;
            }
            let mut stride = old[i].stride;
            for axis in new[start..=j].iter_mut().rev() {
                axis.stride = stride;
                stride *= axis.size;
            }
            (i, j) = (i + 1, j + 1);
        }
        Some(Self { axes, ..self.clone() })
    }

    /// Whether the elements lie one after the other.
    pub(super) fn is_dense(&self) -> bool {
        let mut stride = 1;
        self.axes.iter().rev().filter(|axis| axis.size > 1).all(|axis| {
            let is_next = axis.stride == stride;
            stride *= axis.size;
            is_next
        })
    }

    pub(super) fn shape(&self) -> Vec<usize> {
        self.axes.iter().map(|axis| axis.size).collect()
    }

    pub(super) fn elements(&self) -> usize {
        self.axes.iter().map(|axis| axis.size).product()
    }

    /// The strides along the axes of a shape that this one is stretched to; 0 where it is.
    pub(super) fn strides_in(&self, shape: &[usize]) -> Vec<usize> {
        let missing = shape.len() - self.axes.len();
        let stretched = |axis: &Axis| if axis.size == 1 { 0 } else { axis.stride };
        std::iter::repeat_n(0, missing).chain(self.axes.iter().map(stretched)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each element lies, in the order of the elements.
    fn places(view: &View) -> Vec<usize> {
        (0..view.elements())
            .map(|mut rest| {
                let along = view.axes.iter().rev().map(|axis| {
                    let at = rest % axis.size * axis.stride;
                    rest /= axis.size;
                    at
                });
                view.offset + along.sum::<usize>()
            })
            .collect()
    }

    fn view() -> View {
        // Rows 2 and 3 of a 2 × 5 × 6 × 4, every other column.
        View::whole(0, &[2, 5, 6, 4]).sliced(&[0, 2, 0, 1], &[1, 1, 1, 2], &[2, 2, 6, 2])
    }

    #[test]
    fn a_slice_has_the_elements_it_names() {
        let view = View::whole(0, &[3, 4]).sliced(&[1, 1], &[1, 2], &[2, 2]);
        assert_eq!(places(&view), [5, 7, 9, 11]);
        assert!(!view.is_dense());
        assert!(View::whole(0, &[3, 4]).is_dense());
        assert!(View::whole(0, &[3, 4]).sliced(&[1, 0], &[1, 1], &[2, 4]).is_dense());
    }

    #[test]
    fn a_transposed_view_finds_back() {
        let order = [2, 0, 3, 1];
        let transposed = view().transposed(&order);
        assert_eq!(transposed.shape(), [6, 2, 2, 2]);
        assert_eq!(transposed.transposed_back(&order), view());
    }

    #[track_caller]
    fn check(view: &View, shape: &[usize], possible: bool) {
        let reshaped = view.reshaped(shape);
        assert_eq!(reshaped.is_some(), possible, "{view:?} as {shape:?}");
        if let Some(reshaped) = reshaped {
            assert_eq!(reshaped.shape(), shape);
            assert_eq!(places(&reshaped), places(view), "{shape:?}");
        }
    }

    #[test]
    fn a_reshaped_view_has_the_same_elements_in_the_same_order() {
        check(&View::whole(0, &[4, 6]), &[2, 3, 4], true);
        check(&View::whole(0, &[4, 6]), &[1, 24, 1], true);
        check(&View::whole(0, &[1, 1]), &[], true);
        check(&View::whole(0, &[24]).transposed(&[0]), &[4, 6], true);
        check(&View::whole(0, &[4, 6]).transposed(&[1, 0]), &[24], false);
        check(&View::whole(0, &[4, 6]).transposed(&[1, 0]), &[3, 2, 4], true);
        check(&view(), &[2, 2, 3, 2, 2, 1], true);
        check(&view(), &[2, 12, 2], true);
        check(&view(), &[4, 6, 2], false);
        check(&view(), &[2, 2, 12], true);
    }

    #[test]
    fn strides_of_what_is_stretched_are_none() {
        let view = View::whole(0, &[3, 1, 2]);
        assert_eq!(view.strides_in(&[5, 3, 4, 2]), [0, 2, 0, 1]);
    }
}
