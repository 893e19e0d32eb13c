/// Solver of small dense assignments: which row goes with which column so that the sum of the
/// gains is largest. Keeps its buffers between calls.
///
/// Shortest augmenting paths with dual variables (Jonker and Volgenant 1987), `rows² × columns`
/// steps at most.
#[derive(Debug, Default)]
pub(super) struct Assignment {
    row_dual: Vec<f64>,
    column_dual: Vec<f64>,
    /// Of each column, the row assigned to it. The last column is the path's start.
    row_of: Vec<usize>,
    /// Of each column, the column before it on the cheapest path.
    before: Vec<usize>,
    slack: Vec<f64>,
    visited: Vec<bool>,
}

impl Assignment {
    /// Assigns each of the `rows` to a column of its own, `rows` ≤ `columns`, and calls
    /// `assigned(row, column)` for each pair. `gains` is row-major; 0 where nothing is gained.
    pub(super) fn solve(
        &mut self,
        rows: usize,
        columns: usize,
        gains: &[f32],
        mut assigned: impl FnMut(usize, usize),
    ) {
        debug_assert!(rows <= columns && gains.len() == rows * columns);
        reset(&mut self.row_dual, rows, 0.0);
        reset(&mut self.column_dual, columns + 1, 0.0);
        reset(&mut self.row_of, columns + 1, NONE);
        reset(&mut self.before, columns + 1, columns);
        for row in 0..rows {
            self.insert(row, columns, gains);
        }
        for column in 0..columns {
            if self.row_of[column] != NONE {
                assigned(self.row_of[column], column);
            }
        }
    }

    /// Adds one row, moving those already there along the cheapest path.
    fn insert(&mut self, row: usize, columns: usize, gains: &[f32]) {
        reset(&mut self.slack, columns, f64::INFINITY);
        reset(&mut self.visited, columns + 1, false);
        let mut column = columns;
        self.row_of[columns] = row;
        while self.row_of[column] != NONE {
            self.visited[column] = true;
            let current = self.row_of[column];
            let (mut step, mut next) = (f64::INFINITY, columns);
            for other in 0..columns {
                if self.visited[other] {
                    continue;
                }
                let cost = -f64::from(gains[current * columns + other]);
                let reduced = cost - self.row_dual[current] - self.column_dual[other];
                if reduced < self.slack[other] {
                    self.slack[other] = reduced;
                    self.before[other] = column;
                }
                if self.slack[other] < step {
                    step = self.slack[other];
                    next = other;
                }
            }
            for other in 0..columns {
                if self.visited[other] {
                    self.row_dual[self.row_of[other]] += step;
                    self.column_dual[other] -= step;
                } else {
                    self.slack[other] -= step;
                }
            }
            self.row_dual[row] += step;
            self.column_dual[columns] -= step;
            column = next;
        }
        while column != columns {
            let previous = self.before[column];
            self.row_of[column] = self.row_of[previous];
            column = previous;
        }
    }
}

fn reset<T: Clone>(buffer: &mut Vec<T>, length: usize, value: T) {
    buffer.clear();
    buffer.resize(length, value);
}

const NONE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::associate::random::Random;

    fn total(rows: usize, columns: usize, gains: &[f32]) -> f32 {
        let mut sum = 0.0;
        let mut taken = vec![false; columns];
        let mut seen = 0;
        Assignment::default().solve(rows, columns, gains, |row, column| {
            assert!(!taken[column], "column {column} twice");
            taken[column] = true;
            seen += 1;
            sum += gains[row * columns + column];
        });
        assert_eq!(seen, rows);
        sum
    }

    /// The best sum by trying everything.
    fn best(row: usize, rows: usize, columns: usize, gains: &[f32], taken: &mut [bool]) -> f32 {
        if row == rows {
            return 0.0;
        }
        let mut most = f32::NEG_INFINITY;
        for column in 0..columns {
            if !taken[column] {
                taken[column] = true;
                let rest = best(row + 1, rows, columns, gains, taken);
                most = most.max(gains[row * columns + column] + rest);
                taken[column] = false;
            }
        }
        most
    }

    #[test]
    fn the_sum_is_the_largest_there_is() {
        let mut random = Random::new(3);
        for (rows, columns) in [(1, 1), (1, 4), (2, 2), (3, 5), (5, 5), (6, 7)] {
            for _ in 0..50 {
                let gains: Vec<f32> =
                    (0..rows * columns).map(|_| (random.below(2.0) - 1.0).max(0.0)).collect();
                let expected = best(0, rows, columns, &gains, &mut vec![false; columns]);
                let found = total(rows, columns, &gains);
                assert!((found - expected).abs() < 1e-5, "{found} for {expected} in {gains:?}");
            }
        }
    }

    #[test]
    fn two_small_gains_beat_a_large_one() {
        assert_eq!(total(2, 2, &[0.75, 0.5, 0.5, 0.0]), 1.0);
    }
}
