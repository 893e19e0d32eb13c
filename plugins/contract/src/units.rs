use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time in a configuration: `"500ms"`, `"30s"`, `"10min"`, `"2h"`, `"14d"`, or a
/// number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub Duration);

/// A number of bytes in a configuration: `"300MiB"`, `"64KiB"`, `"2GiB"`, `"10MB"`, or a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A share in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
pub struct Ratio(f32);

/// A polygon in shares of the picture: at least three points, each coordinate in 0..=1, origin
/// at the top left corner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Polygon(Vec<[f32; 2]>);

/// A text that is not the unit it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseUnitError {
    text: String,
    expected: &'static str,
}

impl Ratio {
    /// A ratio, if `value` is in 0..=1.
    pub fn new(value: f32) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    /// The share, in 0..=1.
    pub fn value(self) -> f32 {
        self.0
    }
}

impl Polygon {
    /// A polygon of at least three points, if each coordinate is in 0..=1.
    pub fn new(points: Vec<[f32; 2]>) -> Option<Self> {
        let inside = points.iter().flatten().all(|c| (0.0..=1.0).contains(c));
        (points.len() >= 3 && inside).then_some(Self(points))
    }

    /// The corners, in order.
    pub fn points(&self) -> &[[f32; 2]] {
        &self.0
    }

    /// Whether the point (`x`, `y`), in shares of the picture, lies inside (even-odd rule).
    pub fn contains(&self, x: f32, y: f32) -> bool {
        let mut inside = false;
        let mut previous = self.0[self.0.len() - 1];
        for &corner in &self.0 {
            let ([xa, ya], [xb, yb]) = (previous, corner);
            if (ya > y) != (yb > y) && x < (xb - xa) * (y - ya) / (yb - ya) + xa {
                inside = !inside;
            }
            previous = corner;
        }
        inside
    }
}

impl FromStr for Seconds {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units =
            [("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3_600.0), ("d", 86_400.0), ("", 1.0)];
        let expected = "a time, such as \"500ms\", \"30s\", \"10min\", \"2h\" or \"14d\"";
        scaled(text, &units)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Seconds)
            .ok_or_else(|| ParseUnitError { text: text.to_owned(), expected })
    }
}

impl FromStr for Bytes {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kib = 1024.0;
        let units = [
            ("KiB", kib),
            ("MiB", kib * kib),
            ("GiB", kib * kib * kib),
            ("kB", 1e3),
            ("MB", 1e6),
            ("GB", 1e9),
            ("B", 1.0),
            ("", 1.0),
        ];
        let expected = "a size, such as \"64KiB\", \"300MiB\" or \"2GB\"";
        scaled(text, &units)
            .filter(|bytes| *bytes < u64::MAX as f64)
            .map(|bytes| Bytes(bytes as u64))
            .ok_or_else(|| ParseUnitError { text: text.to_owned(), expected })
    }
}

/// The number in front of a unit, times the unit's size; `None` if either is missing or negative.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<f64>().ok().map(|number| number * factor)
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.0 {
            0..1024 => return write!(f, "{} B", self.0),
            1024..1_048_576 => (1024.0, "KiB"),
            1_048_576..1_073_741_824 => (1_048_576.0, "MiB"),
            _ => (1_073_741_824.0, "GiB"),
        };
        write!(f, "{:.1} {unit}", self.0 as f64 / size)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// Either the text form or a bare number.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrNumber {
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match TextOrNumber::deserialize(deserializer)? {
            TextOrNumber::Text(text) => text.parse().map_err(de::Error::custom),
            TextOrNumber::Number(seconds) => Duration::try_from_secs_f64(seconds)
                .map(Seconds)
                .map_err(|_| de::Error::custom(format!("{seconds} is no number of seconds"))),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match TextOrNumber::deserialize(deserializer)? {
            TextOrNumber::Text(text) => text.parse().map_err(de::Error::custom),
            TextOrNumber::Number(bytes) if (0.0..u64::MAX as f64).contains(&bytes) => {
                Ok(Bytes(bytes as u64))
            }
            TextOrNumber::Number(bytes) => {
                Err(de::Error::custom(format!("{bytes} is no number of bytes")))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f32::deserialize(deserializer)?;
        Ratio::new(value).ok_or_else(|| de::Error::custom(format!("{value} is not in 0..=1")))
    }
}

impl<'de> Deserialize<'de> for Polygon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Polygon::new(Vec::deserialize(deserializer)?).ok_or_else(|| {
            de::Error::custom("a polygon has at least three points [x, y], each in 0..=1")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        for (text, milliseconds) in
            [("500ms", 500), ("30s", 30_000), ("10min", 600_000), ("2h", 7_200_000), ("1.5", 1_500)]
        {
            assert_eq!(text.parse(), Ok(Seconds(Duration::from_millis(milliseconds))), "{text}");
        }
        for text in ["", "s", "5 weeks", "-1s", "1e400s", "99999999999999999999d"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [("64KiB", 65_536), ("300MiB", 314_572_800), ("2GB", 2_000_000_000)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["MiB", "1TiB?", "-4", "99999999999999GiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!(Bytes(314_572_800).to_string(), "300.0 MiB");
    }

    #[test]
    fn ratios_and_polygons_refuse_what_lies_outside() {
        assert!(serde_json::from_str::<Ratio>("0.5").is_ok());
        for text in ["1.1", "-0.1", "\"x\""] {
            assert!(serde_json::from_str::<Ratio>(text).is_err(), "{text}");
        }
        let polygon: Polygon = serde_json::from_str("[[0,0],[0.5,0],[0.5,1],[0,1]]").unwrap();
        assert!(polygon.contains(0.25, 0.5) && !polygon.contains(0.75, 0.5));
        for text in ["[[0,0],[1,1]]", "[[0,0],[1,1],[2,0]]"] {
            assert!(serde_json::from_str::<Polygon>(text).is_err(), "{text}");
        }
    }
}
