use keepsight_contract::BoundingBox;

/// The edges of a box and its area, as overlaps are computed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
    area: f32,
}

/// Boxes sorted into the cells of a coarse grid, so that the overlaps of another box are found
/// without looking at all of them.
#[derive(Debug, Default)]
pub(super) struct Grid {
    boxes: Vec<Edges>,
    /// The cells each box covers.
    spans: Vec<Span>,
    /// Of cell `c`, the boxes are `members[starts[c]..starts[c + 1]]`.
    starts: Vec<u32>,
    members: Vec<u32>,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    left: f32,
    top: f32,
    cells_per_pixel: [f32; 2],
    columns: u16,
    rows: u16,
}

/// Columns and rows, last ones included.
#[derive(Clone, Copy, Debug)]
struct Span {
    column: u16,
    row: u16,
    column_last: u16,
    row_last: u16,
}

impl Edges {
    pub(super) fn new(bbox: &BoundingBox) -> Self {
        let [left, top, right, bottom] = bbox.corners();
        Self { left, top, right, bottom, area: bbox.area() }
    }

    /// Intersection over union; 0 where the boxes are apart.
    fn iou(&self, other: &Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        if width <= 0.0 || height <= 0.0 {
            return 0.0;
        }
        let shared = width * height;
        shared / (self.area + other.area - shared)
    }
}

impl Grid {
    /// Replaces what the grid holds.
    pub(super) fn fill(&mut self, boxes: impl Iterator<Item = Edges>) {
        self.boxes.clear();
        self.boxes.extend(boxes);
        self.layout = Layout::fitting(&self.boxes);
        let layout = self.layout;
        self.spans.clear();
        self.spans.extend(self.boxes.iter().map(|edges| layout.span(edges)));

        let cells = usize::from(layout.columns) * usize::from(layout.rows);
        self.starts.clear();
        self.starts.resize(cells + 1, 0);
        for span in &self.spans {
            layout.cells(*span, |cell| self.starts[cell] += 1);
        }
        let mut total = 0;
        for start in &mut self.starts {
            total += *start;
            *start = total;
        }
        self.members.clear();
        self.members.resize(total as usize, 0);
        // Filled from behind, each cell's end moves down to become its start.
        for (index, span) in self.spans.iter().enumerate().rev() {
            layout.cells(*span, |cell| {
                self.starts[cell] -= 1;
                self.members[self.starts[cell] as usize] = index as u32;
            });
        }
    }

    /// Number of boxes held.
    pub(super) fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Calls `found` once with the index and the IoU of each held box that overlaps `edges`.
    pub(super) fn overlaps(&self, edges: &Edges, mut found: impl FnMut(u32, f32)) {
        let span = self.layout.span(edges);
        for row in span.row..=span.row_last {
            for column in span.column..=span.column_last {
                let cell = self.layout.cell(column, row);
                let range = self.starts[cell] as usize..self.starts[cell + 1] as usize;
                for &index in &self.members[range] {
                    // Boxes that share several cells are met in the first of them alone.
                    let other = &self.spans[index as usize];
                    if column != span.column.max(other.column) || row != span.row.max(other.row) {
                        continue;
                    }
                    let iou = edges.iou(&self.boxes[index as usize]);
                    if iou > 0.0 {
                        found(index, iou);
                    }
                }
            }
        }
    }
}

impl Layout {
    /// Cells about as large as the average box, no more of them than about twice the boxes.
    fn fitting(boxes: &[Edges]) -> Self {
        let Some(first) = boxes.first() else {
            return Self { columns: 1, rows: 1, ..Self::default() };
        };
        let mut bounds = *first;
        let (mut width, mut height) = (0.0, 0.0);
        for edges in boxes {
            bounds.left = bounds.left.min(edges.left);
            bounds.top = bounds.top.min(edges.top);
            bounds.right = bounds.right.max(edges.right);
            bounds.bottom = bounds.bottom.max(edges.bottom);
            width += edges.right - edges.left;
            height += edges.bottom - edges.top;
        }
        let count = boxes.len() as f32;
        let most = (2.0 * count).sqrt().min(SIDE_MAX);
        let (across, down) = (bounds.right - bounds.left, bounds.bottom - bounds.top);
        // Boxes so narrow that rounding makes lines of them leave no number here.
        let cells = |share: f32| share.max(1.0).min(most).floor();
        let (columns, rows) = (cells(across * count / width), cells(down * count / height));
        Self {
            left: bounds.left,
            top: bounds.top,
            cells_per_pixel: [columns / across, rows / down],
            columns: columns as u16,
            rows: rows as u16,
        }
    }

    fn span(&self, edges: &Edges) -> Span {
        let column = |x: f32| index_at((x - self.left) * self.cells_per_pixel[0], self.columns);
        let row = |y: f32| index_at((y - self.top) * self.cells_per_pixel[1], self.rows);
        Span {
            column: column(edges.left),
            row: row(edges.top),
            column_last: column(edges.right),
            row_last: row(edges.bottom),
        }
    }

    fn cells(&self, span: Span, mut visit: impl FnMut(usize)) {
        for row in span.row..=span.row_last {
            for column in span.column..=span.column_last {
                visit(self.cell(column, row));
            }
        }
    }

    fn cell(&self, column: u16, row: u16) -> usize {
        usize::from(row) * usize::from(self.columns) + usize::from(column)
    }
}

/// The cell at `position`, the nearest one for what lies outside.
fn index_at(position: f32, count: u16) -> u16 {
    // A cast saturates, and takes what is not a number for 0.
    (position as u16).min(count - 1)
}

const SIDE_MAX: f32 = 64.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::random::Random;

    fn scattered(random: &mut Random, count: usize) -> Vec<BoundingBox> {
        (0..count)
            .map(|index| {
                // Now and then one box larger than all others, which covers many cells.
                let size = if index % 10 == 9 { 600.0 } else { 60.0 };
                BoundingBox::new(
                    random.below(1_900.0) - 100.0,
                    random.below(1_000.0) - 50.0,
                    1.0 + random.below(size),
                    1.0 + random.below(size),
                )
            })
            .collect()
    }

    #[test]
    fn finds_each_overlap_once() {
        let mut random = Random::new(7);
        let mut grid = Grid::default();
        for count in [1, 2, 3, 10, 50, 300] {
            let (held, asked) = (scattered(&mut random, count), scattered(&mut random, count));
            grid.fill(held.iter().map(Edges::new));
            for bbox in &asked {
                let mut found = Vec::new();
                grid.overlaps(&Edges::new(bbox), |index, _| found.push(index as usize));
                found.sort_unstable();
                let expected: Vec<_> =
                    (0..held.len()).filter(|index| held[*index].iou(bbox) > 0.0).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn boxes_without_breadth_are_held_too() {
        let mut grid = Grid::default();
        let line = Edges::new(&BoundingBox::new(50_000.0, 7.0, 1e-30, 1e-30));
        grid.fill(std::iter::repeat_n(line, 3));
        grid.overlaps(&line, |index, _| panic!("found {index}"));
        grid.overlaps(&Edges::new(&BoundingBox::new(0.0, 0.0, 1e5, 9.0)), |index, _| {
            panic!("found {index}")
        });
    }

    #[test]
    fn an_empty_grid_has_no_overlaps() {
        let mut grid = Grid::default();
        grid.fill(std::iter::empty());
        grid.overlaps(&Edges::new(&BoundingBox::new(0.0, 0.0, 9.0, 9.0)), |index, _| {
            panic!("found {index}")
        });
    }
}
