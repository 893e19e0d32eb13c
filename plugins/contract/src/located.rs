//! Reads a configuration so that an error knows where in it something is wrong.

use std::cell::RefCell;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess,
        Unexpected, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};

use crate::ConfigError;

/// `value` as a `C`.
///
/// # Errors
/// [`ConfigError`] with the path of what is wrong.
pub(crate) fn read<C: DeserializeOwned>(value: &Value) -> Result<C, ConfigError> {
    let failed = RefCell::new(None);
    let place = Place { parent: None, step: String::new() };
    C::deserialize(Located { value, place: &place, failed: &failed }).map_err(|error| {
        let path = failed.into_inner().unwrap_or_default();
        ConfigError::new(error.to_string()).at(path)
    })
}

/// A way down from the root, on the stack.
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    /// A key or an index; empty at the root.
    step: String,
}

/// A value and where it stands. The first error below it leaves its path in `failed`.
#[derive(Clone, Copy)]
struct Located<'v> {
    value: &'v Value,
    place: &'v Place<'v>,
    failed: &'v RefCell<Option<Vec<String>>>,
}

struct Fields<'v> {
    fields: serde_json::map::Iter<'v>,
    current: Option<(&'v String, &'v Value)>,
    whole: Located<'v>,
}

struct Items<'v> {
    items: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    whole: Located<'v>,
}

impl Place<'_> {
    fn path(&self) -> Vec<String> {
        let Some(parent) = self.parent else { return Vec::new() };
        let mut path = parent.path();
        path.push(self.step.clone());
        path
    }
}

impl Located<'_> {
    /// `outcome`, of what was read at `place`.
    fn noting<R>(&self, place: &Place<'_>, outcome: Result<R, Error>) -> Result<R, Error> {
        if outcome.is_err() {
            self.failed.borrow_mut().get_or_insert_with(|| place.path());
        }
        outcome
    }

    fn below<'d, S: DeserializeSeed<'d>>(
        &self,
        step: String,
        value: &Value,
        seed: S,
    ) -> Result<S::Value, Error> {
        let place = Place { parent: Some(self.place), step };
        let read = seed.deserialize(Located { value, place: &place, failed: self.failed });
        // Also where the type itself found the error, after all was read.
        self.noting(&place, read)
    }
}

impl<'de> Deserializer<'de> for Located<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(fields) => {
                visitor.visit_map(Fields { fields: fields.iter(), current: None, whole: self })
            }
            Value::Array(items) => {
                let mut left = Items { items: items.iter().enumerate(), whole: self };
                visitor.visit_seq(&mut left).and_then(|read| match left.items.len() {
                    0 => Ok(read),
                    _ => Err(Error::invalid_length(items.len(), &"fewer elements in array")),
                })
            }
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => {
                let text: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            // What is inside of a variant has no place of its own.
            Value::Object(_) => self.value.clone().deserialize_enum(name, variants, visitor),
            _ => Err(Error::invalid_type(Unexpected::Other("another type"), &"a name")),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'d> MapAccess<'d> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'d>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.current = self.fields.next();
        let Some((name, _)) = self.current else { return Ok(None) };
        let place = Place { parent: Some(self.whole.place), step: name.clone() };
        let text: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
        self.whole.noting(&place, seed.deserialize(text).map(Some))
    }

    fn next_value_seed<V: DeserializeSeed<'d>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self.current.take().expect("a value is asked for after its key");
        self.whole.below(name.clone(), value, seed)
    }
}

impl<'d> SeqAccess<'d> for &mut Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'d>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, value)) = self.items.next() else { return Ok(None) };
        self.whole.below(index.to_string(), value, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, num::NonZeroU32};

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::{Polygon, Ratio, Seconds};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[serde(default)]
        step: Option<NonZeroU32>,
        #[serde(default)]
        nested: Nested,
        #[serde(default)]
        masks: Vec<Polygon>,
        #[serde(default)]
        mode: Mode,
        #[serde(default)]
        pair: (i8, f32),
        #[serde(default)]
        by_name: BTreeMap<String, Seconds>,
        must: bool,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nested {
        high: Option<Ratio>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        #[default]
        Off,
        Level(u8),
    }

    #[track_caller]
    fn check(value: Value, path: &[&str], reason: &str) {
        let error = read::<Config>(&value).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.path().join("/")),
            (reason, path.join("/")),
            "{value}"
        );
        // The reason is the one that is given without a place.
        assert_eq!(serde_json::from_value::<Config>(value).unwrap_err().to_string(), reason);
    }

    #[test]
    fn an_error_knows_its_place() {
        let expected =
            "expected one of `step`, `nested`, `masks`, `mode`, `pair`, `by_name`, `must`";
        check(
            json!({"must": true, "stop": 1}),
            &["stop"],
            &format!("unknown field `stop`, {expected}"),
        );
        check(
            json!({"must": true, "nested": {"hihg": 1}}),
            &["nested", "hihg"],
            "unknown field `hihg`, expected `high`",
        );
        check(
            json!({"must": true, "nested": {"high": 1.5}}),
            &["nested", "high"],
            "1.5 is not in 0..=1",
        );
        check(
            json!({"must": true, "masks": [[[0, 0], [1, 1], [0, 1]], [[0, 0], [1, "x"]]]}),
            &["masks", "1", "1", "1"],
            "invalid type: string \"x\", expected f32",
        );
        check(
            json!({"must": true, "step": "x"}),
            &["step"],
            "invalid type: string \"x\", expected a nonzero u32",
        );
        check(
            json!({"must": true, "mode": "on"}),
            &["mode"],
            "unknown variant `on`, expected `off` or `level`",
        );
        check(
            json!({"must": true, "pair": [1, 2, 3]}),
            &["pair"],
            "invalid length 3, expected fewer elements in array",
        );
        check(
            json!({"must": true, "by_name": {"a": "soon"}}),
            &["by_name", "a"],
            "\"soon\" is not a time, such as \"500ms\", \"30s\", \"10min\", \"2h\" or \"14d\"",
        );
        check(json!({}), &[], "missing field `must`");
    }

    #[test]
    fn what_is_right_is_read_as_without_places() {
        let value = json!({
            "must": true, "step": 3, "nested": {"high": 0.5}, "mode": {"level": 7},
            "masks": [[[0, 0], [1, 1], [0, 1]]], "pair": [-1, 0.5], "by_name": {"a": "2s"},
        });
        let config: Config = read(&value).unwrap();
        assert_eq!(config, serde_json::from_value(value).unwrap());
        assert_eq!((config.mode, config.pair), (Mode::Level(7), (-1, 0.5)));
    }
}
