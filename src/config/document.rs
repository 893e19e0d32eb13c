use std::path::Path;

use serde_json::Value;
use toml::{Spanned, de::DeValue};

use super::{
    errors::{ConfigError, Place},
    origin::Origin,
    secret::{FillError, Secret, Settings},
};

/// What a file's meaning depends on besides its text.
pub struct Environment<'a> {
    /// Ids of the plugins in this build.
    pub plugins: &'a [&'a str],
    /// Gives an environment variable's value.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// A file being read, for places and variables.
pub(super) struct Document<'d> {
    pub(super) file: &'d Path,
    pub(super) text: &'d str,
    pub(super) environment: &'d Environment<'d>,
}

impl<'d> Document<'d> {
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.file.to_owned(),
            line: 1 + before.matches('\n').count() as u32,
            column: 1 + before[line_start..].chars().count() as u32,
        }
    }

    pub(super) fn fill(
        &self,
        key: &str,
        written: &str,
        place: Place,
    ) -> Result<Secret, ConfigError> {
        Secret::fill(written, self.environment.variable).map_err(|error| match error {
            FillError::Missing(name) => ConfigError::MissingVariable { place, name },
            FillError::Malformed => ConfigError::Invalid {
                place,
                key: key.to_owned(),
                reason: "a variable is written ${NAME}, and $${ stands for ${ itself".to_owned(),
            },
        })
    }

    /// A plugin's settings in the table `section`: as JSON with variables filled in, as it may be
    /// shown, and where each part of it stands.
    pub(super) fn settings(
        &self,
        section: String,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Settings, ConfigError> {
        let mut origin = Origin::new(section, self.place(value.span().start));
        let (value, shown) = self.json(key, value, &mut Vec::new(), &mut origin)?;
        Ok(Settings::new(value, shown, origin))
    }

    /// The value as JSON, twice: with variables filled in, and as it may be shown.
    fn json(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        path: &mut Vec<String>,
        origin: &mut Origin,
    ) -> Result<(Value, Value), ConfigError> {
        let place = || self.place(value.span().start);
        let plain = |value: Value| Ok((value.clone(), value));
        match value.get_ref() {
            DeValue::String(text) => {
                let secret = self.fill(key, text, place())?;
                Ok((secret.expose().into(), secret.shown().into()))
            }
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => plain(number.into()),
                    Err(_) => Err(self.invalid(key, place(), "the number is too big")),
                }
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => plain(number.into()),
                _ => Err(self.invalid(key, place(), "the number is not finite")),
            },
            DeValue::Boolean(flag) => plain((*flag).into()),
            DeValue::Datetime(time) => plain(time.to_string().into()),
            DeValue::Array(items) => {
                let mut pairs = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(index.to_string());
                    origin.note(path, None, self.place(item.span().start));
                    pairs.push(self.json(key, item, path, origin)?);
                    path.pop();
                }
                let (values, shown): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
                Ok((values.into(), shown.into()))
            }
            DeValue::Table(table) => {
                let (mut values, mut shown) = (serde_json::Map::new(), serde_json::Map::new());
                for (name, item) in table.iter() {
                    path.push(name.get_ref().to_string());
                    let key = self.place(name.span().start);
                    origin.note(path, Some(key), self.place(item.span().start));
                    let (value, seen) = self.json(name.get_ref(), item, path, origin)?;
                    path.pop();
                    values.insert(name.get_ref().to_string(), value);
                    shown.insert(name.get_ref().to_string(), seen);
                }
                Ok((values.into(), shown.into()))
            }
        }
    }

    pub(super) fn invalid(&self, key: &str, place: Place, reason: impl ToString) -> ConfigError {
        ConfigError::Invalid { place, key: key.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn wrong_type(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> ConfigError {
        let found = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let place = self.place(value.span().start);
        ConfigError::WrongType { place, key: key.to_owned(), expected, found }
    }
}
