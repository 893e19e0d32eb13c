use std::num::NonZeroU32;

use serde::{Deserialize, Deserializer, de};

/// How often the detector looks: `"auto"`, or a number of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetectEvery {
    /// At every frame; at fewer while a stream leaves out frames because of it.
    #[default]
    Auto,
    /// At every n-th frame of the stream, whatever that takes.
    Frames(NonZeroU32),
}

impl<'de> Deserialize<'de> for DetectEvery {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl de::Visitor<'_> for Visitor {
    type Value = DetectEvery;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"auto\" or a number of frames above 0")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DetectEvery, E> {
        match text {
            "auto" => Ok(DetectEvery::Auto),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<DetectEvery, E> {
        u32::try_from(number)
            .ok()
            .and_then(NonZeroU32::new)
            .map(DetectEvery::Frames)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<DetectEvery, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn it_reads_as_people_write_it() {
        let read = |value: Value| serde_json::from_value::<DetectEvery>(value);
        assert_eq!(read(json!("auto")).unwrap(), DetectEvery::Auto);
        assert_eq!(read(json!(3)).unwrap(), DetectEvery::Frames(NonZeroU32::new(3).unwrap()));
        for wrong in [json!(0), json!(-1), json!("often"), json!(1.5), json!(1u64 << 40)] {
            let error = read(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains("expected \"auto\" or a number of frames"), "{wrong}: {error}");
        }
    }
}
