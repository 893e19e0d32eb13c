use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Width and height of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameSize {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A text that is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size, such as \"1280x720\"")]
pub struct ParseFrameSizeError(String);

/// An axis-parallel box in pixels of the captured picture; the origin is its top left corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct BoundingBox {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Extent to the right.
    pub width: f32,
    /// Extent downwards.
    pub height: f32,
}

impl FrameSize {
    /// The size `width` × `height`, in pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn pixel_count(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl FromStr for FrameSize {
    type Err = ParseFrameSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('x')
            .and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)))
            .filter(|(width, height)| *width > 0u32 && *height > 0u32)
            .map(|(width, height)| Self { width, height })
            .ok_or_else(|| ParseFrameSizeError(text.to_owned()))
    }
}

impl Serialize for FrameSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FrameSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl BoundingBox {
    /// The box with its upper left corner at (`x`, `y`).
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// The box between two corners.
    pub fn from_corners(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self::new(left, top, right - left, bottom - top)
    }

    /// Left, upper, right and lower edge.
    pub fn corners(&self) -> [f32; 4] {
        [self.x, self.y, self.x + self.width, self.y + self.height]
    }

    /// The middle point (x, y).
    pub fn center(&self) -> [f32; 2] {
        [self.x + self.width / 2.0, self.y + self.height / 2.0]
    }

    /// Width × height, in square pixels; 0 for a box turned inside out.
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// Intersection over union with `other`, in 0..=1; 0 where either has no area.
    pub fn iou(&self, other: &Self) -> f32 {
        let [left, top, right, bottom] = self.corners();
        let [other_left, other_top, other_right, other_bottom] = other.corners();
        let width = right.min(other_right) - left.max(other_left);
        let height = bottom.min(other_bottom) - top.max(other_top);
        // `min` and `max` pass NaN over, so a box that has one is told by its corner.
        let placed = (self.x + self.y + other.x + other.y).is_finite();
        if !(width > 0.0 && height > 0.0 && placed) {
            return 0.0;
        }
        let shared = width * height;
        shared / (self.area() + other.area() - shared)
    }

    /// The part inside a picture of `size`, or `None` where nothing of it is.
    pub fn clipped(&self, size: FrameSize) -> Option<Self> {
        let [left, top, right, bottom] = self.corners();
        let (left, right) = (left.max(0.0), right.min(size.width as f32));
        let (top, bottom) = (top.max(0.0), bottom.min(size.height as f32));
        (right > left && bottom > top).then(|| Self::from_corners(left, top, right, bottom))
    }

    /// Whether all four numbers are finite and the box has an area.
    pub fn is_valid(&self) -> bool {
        [self.x, self.y, self.width, self.height].iter().all(|n| n.is_finite())
            && self.width > 0.0
            && self.height > 0.0
    }
}

/// As the wire has it: `x`, `y`, `width`, `height` and the corners again as `xyxy`.
impl Serialize for BoundingBox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            x: f32,
            y: f32,
            width: f32,
            height: f32,
            xyxy: [f32; 4],
        }
        let Self { x, y, width, height } = *self;
        Wire { x, y, width, height, xyxy: self.corners() }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        assert_eq!("1280x720".parse(), Ok(FrameSize::new(1280, 720)));
        assert_eq!(FrameSize::new(1280, 720).to_string(), "1280x720");
        for text in ["1280", "0x720", "1280x", "-1x2", "axb", "1280x720x3"] {
            assert!(text.parse::<FrameSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn overlap_is_a_share_of_the_union() {
        let a = BoundingBox::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&BoundingBox::new(5.0, 0.0, 10.0, 10.0)), 1.0 / 3.0);
        assert_eq!(a.iou(&BoundingBox::new(10.0, 0.0, 10.0, 10.0)), 0.0);
        assert_eq!(a.iou(&BoundingBox::new(f32::NAN, 0.0, 10.0, 10.0)), 0.0);
    }

    #[test]
    fn clipping_keeps_what_is_inside() {
        let size = FrameSize::new(100, 50);
        let clipped = BoundingBox::new(-10.0, 40.0, 30.0, 30.0).clipped(size);
        assert_eq!(clipped, Some(BoundingBox::new(0.0, 40.0, 20.0, 10.0)));
        assert_eq!(BoundingBox::new(100.0, 0.0, 5.0, 5.0).clipped(size), None);
    }

    #[test]
    fn the_wire_has_corners_too() {
        let json = serde_json::to_value(BoundingBox::new(1.0, 2.0, 3.0, 4.0)).unwrap();
        assert_eq!(json["xyxy"], serde_json::json!([1.0, 2.0, 4.0, 6.0]));
        let back: BoundingBox = serde_json::from_value(json).unwrap();
        assert_eq!(back, BoundingBox::new(1.0, 2.0, 3.0, 4.0));
    }
}
