use keepsight_contract::BoundingBox;

/// What sees the pixels for the association, which sees none.
pub trait Sight {
    /// Looks for targets around where they should be; adds those that it finds to `found`.
    fn follow(&mut self, expected: &[Expected], found: &mut Vec<Followed>);

    /// How much what is in each box looks like the target, about 0 to 1; pushes an answer for
    /// each, `None` where it can't tell. Only asked about boxes that several targets want.
    fn compare(&mut self, pairs: &[Expected], likeness: &mut Vec<Option<f32>>);
}

/// A target and a place for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// The target's id.
    pub id: u64,
    /// Pixels of the captured picture.
    pub bbox: BoundingBox,
}

/// Where a target was found without a detector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Followed {
    /// The target's id.
    pub id: u64,
    /// Pixels of the captured picture.
    pub bbox: BoundingBox,
}

/// Nobody looks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blind;

impl Sight for Blind {
    fn follow(&mut self, _: &[Expected], _: &mut Vec<Followed>) {}

    fn compare(&mut self, pairs: &[Expected], likeness: &mut Vec<Option<f32>>) {
        likeness.extend(pairs.iter().map(|_| None));
    }
}
