use super::{assignment::Assignment, grid::Edges, grid::Grid};

/// Finds which targets and detections belong together: candidates by the grid, split into
/// groups that share none, and the best assignment within each. Keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Matching {
    grid: Grid,
    candidates: Vec<Candidate>,
    groups: Groups,
    /// Candidates per target and per detection.
    rivals: [Vec<u32>; 2],
    contested: Vec<(u32, Candidate)>,
    assignment: Assignment,
    gains: Vec<f32>,
    rows: Vec<u32>,
    columns: Vec<u32>,
    likeness: Likeness,
    matched: Vec<(u32, u32)>,
}

/// A target and a detection that could be one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    target: u32,
    detection: u32,
    /// Above 0.
    gain: f32,
}

/// How alike rivals look to what they want.
#[derive(Debug, Default)]
struct Likeness {
    /// Target and detection.
    pairs: Vec<(u32, u32)>,
    answers: Vec<Option<f32>>,
    /// Of each detection, the sum and number of its answers.
    means: Vec<(f32, f32)>,
}

/// Disjoint sets of numbers (union-find with path halving), the smallest member their root.
#[derive(Debug, Default)]
struct Groups(Vec<u32>);

impl Matching {
    /// The pairs (index of the target, index of the detection), in no promised but always the
    /// same order. `gain` is asked with both indices and their IoU, which is above 0; what it
    /// answers must be above 0 for the pair to be possible. The sum of the gains is the largest
    /// there is, except in groups so large that only somebody hostile makes them: those are
    /// paired greedily.
    pub(super) fn solve(
        &mut self,
        targets: impl Iterator<Item = Edges>,
        detections: impl Iterator<Item = Edges>,
        gain: impl FnMut(u32, u32, f32) -> f32,
    ) -> &[(u32, u32)] {
        self.solve_with(targets, detections, gain, |_, _| {})
    }

    /// As [`Self::solve`], where `compare` is told of all pairs whose detection several targets
    /// could be, if there are any, and may push for each how alike the two look, from 0 to 1:
    /// that moves their gains, by as much as they differ from their rivals.
    pub(super) fn solve_with(
        &mut self,
        targets: impl Iterator<Item = Edges>,
        detections: impl Iterator<Item = Edges>,
        mut gain: impl FnMut(u32, u32, f32) -> f32,
        compare: impl FnMut(&[(u32, u32)], &mut Vec<Option<f32>>),
    ) -> &[(u32, u32)] {
        self.matched.clear();
        self.candidates.clear();
        self.grid.fill(detections);
        let mut target = 0;
        for edges in targets {
            self.grid.overlaps(&edges, |detection, iou| {
                let gain = gain(target, detection, iou);
                if gain > 0.0 {
                    self.candidates.push(Candidate { target, detection, gain });
                }
            });
            target += 1;
        }
        self.count_rivals(target as usize);
        self.match_uncontested(target);
        if !self.contested.is_empty() {
            self.weigh_likeness(compare);
        }
        self.match_contested();
        &self.matched
    }

    fn count_rivals(&mut self, targets: usize) {
        let counts = [targets, self.grid.len()];
        for (rivals, count) in self.rivals.iter_mut().zip(counts) {
            rivals.clear();
            rivals.resize(count, 0);
        }
        for candidate in &self.candidates {
            self.rivals[0][candidate.target as usize] += 1;
            self.rivals[1][candidate.detection as usize] += 1;
        }
    }

    /// Pairs those that have only each other; gathers the others by group.
    fn match_uncontested(&mut self, targets: u32) {
        self.contested.clear();
        let [of_targets, of_detections] = &self.rivals;
        for candidate in &self.candidates {
            let (target, detection) = (candidate.target, candidate.detection);
            if of_targets[target as usize] == 1 && of_detections[detection as usize] == 1 {
                self.matched.push((target, detection));
            } else {
                self.contested.push((0, *candidate));
            }
        }
        if self.contested.is_empty() {
            return;
        }
        self.groups.reset(targets as usize + self.grid.len());
        for (_, candidate) in &self.contested {
            self.groups.join(candidate.target, targets + candidate.detection);
        }
        for (group, candidate) in &mut self.contested {
            *group = self.groups.root(candidate.target);
        }
        self.contested.sort_unstable_by_key(|(group, c)| (*group, c.target, c.detection));
    }

    /// Lets looks have a say where several targets want one detection.
    fn weigh_likeness(&mut self, mut compare: impl FnMut(&[(u32, u32)], &mut Vec<Option<f32>>)) {
        let Self { rivals: [_, of_detections], contested, likeness, .. } = self;
        let Likeness { pairs, answers, means } = likeness;
        let is_wanted = |candidate: &Candidate| of_detections[candidate.detection as usize] > 1;
        pairs.clear();
        let wanted = contested.iter().map(|(_, candidate)| candidate).filter(|c| is_wanted(c));
        pairs.extend(wanted.map(|candidate| (candidate.target, candidate.detection)));
        if pairs.is_empty() {
            return;
        }
        answers.clear();
        compare(pairs, answers);
        if answers.len() != pairs.len() {
            return;
        }
        // A target of unknown looks is as alike as its rivals are on average.
        means.clear();
        means.resize(of_detections.len(), (0.0, 0.0));
        for ((_, detection), answer) in pairs.iter().zip(&*answers) {
            if let Some(answer) = answer {
                let (sum, count) = &mut means[*detection as usize];
                *sum += answer;
                *count += 1.0;
            }
        }
        let mut answers = answers.iter();
        for (_, candidate) in contested.iter_mut().filter(|(_, candidate)| is_wanted(candidate)) {
            let answer = answers.next().expect("one for each pair");
            let (sum, count) = means[candidate.detection as usize];
            if let Some(answer) = answer {
                let ahead = answer - sum / count;
                candidate.gain = (candidate.gain + LIKENESS_WEIGHT * ahead).max(GAIN_MIN);
            }
        }
    }

    fn match_contested(&mut self) {
        let mut contested = std::mem::take(&mut self.contested);
        for group in contested.chunk_by_mut(|a, b| a.0 == b.0) {
            self.rows.clear();
            self.rows.extend(group.iter().map(|(_, candidate)| candidate.target));
            self.rows.dedup();
            self.columns.clear();
            self.columns.extend(group.iter().map(|(_, candidate)| candidate.detection));
            self.columns.sort_unstable();
            self.columns.dedup();
            let (rows, columns) = (self.rows.len(), self.columns.len());
            if rows == 1 || columns == 1 || rows.min(columns) > EXACT_SIDE_MAX {
                self.match_greedily(group);
            } else {
                self.match_exactly(group);
            }
        }
        self.contested = contested;
    }

    /// The best pair, then the best of those left; exact where one side has one member.
    fn match_greedily(&mut self, group: &mut [(u32, Candidate)]) {
        group.sort_by(|(_, a), (_, b)| b.gain.total_cmp(&a.gain));
        let [of_targets, of_detections] = &mut self.rivals;
        for (_, candidate) in group {
            let target = &mut of_targets[candidate.target as usize];
            let detection = &mut of_detections[candidate.detection as usize];
            // 0 rivals marks the ones taken: no candidate has so few.
            if *target > 0 && *detection > 0 {
                (*target, *detection) = (0, 0);
                self.matched.push((candidate.target, candidate.detection));
            }
        }
    }

    fn match_exactly(&mut self, group: &[(u32, Candidate)]) {
        // The solver wants the shorter side as rows.
        let turned = self.rows.len() > self.columns.len();
        let (short, long) =
            if turned { (&self.columns, &self.rows) } else { (&self.rows, &self.columns) };
        self.gains.clear();
        self.gains.resize(short.len() * long.len(), 0.0);
        let position = |of: &[u32], number| {
            of.binary_search(&number).expect("both sides were made from this group")
        };
        for (_, candidate) in group {
            let row = position(&self.rows, candidate.target);
            let column = position(&self.columns, candidate.detection);
            let (row, column) = if turned { (column, row) } else { (row, column) };
            self.gains[row * long.len() + column] = candidate.gain;
        }
        let (gains, matched) = (&self.gains, &mut self.matched);
        self.assignment.solve(short.len(), long.len(), gains, |row, column| {
            if gains[row * long.len() + column] > 0.0 {
                let pair = (short[row], long[column]);
                matched.push(if turned { (pair.1, pair.0) } else { pair });
            }
        });
    }
}

impl Groups {
    fn reset(&mut self, count: usize) {
        self.0.clear();
        self.0.extend(0..count as u32);
    }

    fn root(&mut self, mut member: u32) -> u32 {
        while self.0[member as usize] != member {
            let above = self.0[self.0[member as usize] as usize];
            self.0[member as usize] = above;
            member = above;
        }
        member
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b) as usize] = a.min(b);
    }
}

/// What a difference in likeness counts for against one in overlap.
const LIKENESS_WEIGHT: f32 = 0.5;
/// A pair stays possible, however little it is alike.
const GAIN_MIN: f32 = 1e-3;

/// Groups whose smaller side exceeds this are paired greedily, which bounds a step's time.
const EXACT_SIDE_MAX: usize = 192;

#[cfg(test)]
mod tests {
    use keepsight_contract::BoundingBox;

    use super::*;
    use crate::associate::random::Random;

    fn pairs(targets: &[BoundingBox], detections: &[BoundingBox]) -> Vec<(u32, u32)> {
        let mut matching = Matching::default();
        let found = matching.solve(
            targets.iter().map(Edges::new),
            detections.iter().map(Edges::new),
            |_, _, iou| iou - 0.2,
        );
        let mut found = found.to_vec();
        found.sort_unstable();
        found
    }

    fn at(x: f32) -> BoundingBox {
        BoundingBox::new(x, 0.0, 100.0, 100.0)
    }

    #[test]
    fn who_has_only_each_other_is_paired() {
        let targets = [at(0.0), at(1_000.0), at(5_000.0)];
        assert_eq!(pairs(&targets, &[at(1_010.0), at(5.0)]), [(0, 1), (1, 0)]);
    }

    #[test]
    fn rivals_are_assigned_for_the_largest_sum() {
        // Target 0 likes detection 0 best, but only it can take detection 1.
        let targets = [at(0.0), at(20.0)];
        let detections = [at(9.0), at(-50.0)];
        assert_eq!(pairs(&targets, &detections), [(0, 1), (1, 0)]);
    }

    #[test]
    fn one_detection_goes_to_the_nearest_of_many() {
        assert_eq!(pairs(&[at(0.0), at(20.0), at(50.0)], &[at(25.0)]), [(1, 0)]);
        assert_eq!(pairs(&[at(25.0)], &[at(0.0), at(20.0), at(50.0)]), [(0, 1)]);
    }

    #[test]
    fn nobody_is_paired_twice_in_a_crowd() {
        let mut random = Random::new(11);
        for count in [20, 80, 400] {
            let mut crowd = || -> Vec<_> {
                (0..count).map(|_| at(random.below(count as f32 * 20.0))).collect()
            };
            let found = pairs(&crowd(), &crowd());
            let mut detections: Vec<_> = found.iter().map(|(_, detection)| detection).collect();
            detections.sort_unstable();
            detections.dedup();
            assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0));
            assert_eq!(detections.len(), found.len());
            assert!(found.len() > count / 2, "{} of {count}", found.len());
        }
    }

    #[test]
    fn a_crowd_on_one_spot_is_paired_greedily_and_completely() {
        let crowd: Vec<_> = (0..300).map(|index| at(index as f32 * 0.1)).collect();
        let expected: Vec<_> = (0..300).map(|index| (index, index)).collect();
        assert_eq!(pairs(&crowd, &crowd), expected);
    }
}
