use std::{
    ops::{Range, RangeInclusive},
    str::FromStr,
    time::Duration,
};

use keepsight_contract::{Bytes, Seconds};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    document::Document,
    errors::{ConfigError, Place, nearest},
    secret::{Secret, Settings},
};

/// A table of which all keys are known.
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    /// As an error names it, such as `[streams.door]`.
    name: String,
    span: Range<usize>,
    table: &'d DeTable<'d>,
}

/// A value, and where it stands.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'d> Section<'d> {
    /// The whole file.
    pub(super) fn root(
        document: &'d Document<'d>,
        table: &'d DeTable<'d>,
        known: &[&'static str],
    ) -> Result<Self, ConfigError> {
        Self::open(document, "the top level".to_owned(), 0..0, table, known)
    }

    fn open(
        document: &'d Document<'d>,
        name: String,
        span: Range<usize>,
        table: &'d DeTable<'d>,
        known: &[&'static str],
    ) -> Result<Self, ConfigError> {
        // The table is in alphabetical order; a person looks for the first mistake in the file.
        let unknown = table.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(Self { document, name, span, table }),
            Some(key) => Err(ConfigError::UnknownKey {
                place: document.place(key.span().start),
                key: key.get_ref().to_string(),
                section: name,
                nearest: nearest(key.get_ref(), known.iter().copied()),
            }),
        }
    }

    /// Where the section begins.
    pub(super) fn place(&self) -> Place {
        self.document.place(self.span.start)
    }

    pub(super) fn missing(&self, key: &'static str, hint: &'static str) -> ConfigError {
        let section = self.name.clone();
        ConfigError::MissingKey { place: self.place(), key, section, hint }
    }

    /// A text, with variables filled in.
    pub(super) fn text(&self, key: &str) -> Result<Option<Placed<Secret>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.text_of(key, value, "a text").map(Some)
    }

    fn text_of(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> Result<Placed<Secret>, ConfigError> {
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, expected));
        };
        let place = self.document.place(value.span().start);
        Ok(Placed { value: self.document.fill(key, text, place.clone())?, place })
    }

    /// A text that reads as a `T`.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        expected: &'static str,
    ) -> Result<Option<T>, ConfigError>
    where
        T: FromStr,
    {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.parse(key, &self.text_of(key, value, expected)?, expected).map(Some)
    }

    fn parse<T: FromStr>(
        &self,
        key: &str,
        text: &Placed<Secret>,
        expected: &'static str,
    ) -> Result<T, ConfigError> {
        text.value.expose().parse().map_err(|_| {
            let reason = format!("\"{}\" is not {expected}", text.value);
            self.document.invalid(key, text.place.clone(), reason)
        })
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            _ => Err(self.document.wrong_type(key, value, "true or false")),
        }
    }

    /// A whole number within `range`.
    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "a whole number"));
        };
        let number = u32::from_str_radix(number.as_str(), number.radix()).ok();
        number.filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
            let place = self.document.place(value.span().start);
            let reason = format!("it is not within {} and {}", range.start(), range.end());
            self.document.invalid(key, place, reason)
        })
    }

    /// A number above 0.
    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Integer(number) => {
                u32::from_str_radix(number.as_str(), number.radix()).ok().map(f64::from)
            }
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => return Err(self.document.wrong_type(key, value, "a number")),
        };
        number.filter(|number: &f64| number.is_finite() && *number > 0.0).map(Some).ok_or_else(
            || {
                let place = self.document.place(value.span().start);
                self.document.invalid(key, place, "it is not a number above 0")
            },
        )
    }

    /// A time above 0.
    pub(super) fn time(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.time_of(key, value).map(Some)
    }

    fn time_of(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Duration, ConfigError> {
        let text = self.text_of(key, value, "a time, such as \"30s\"")?;
        let Seconds(time) = self.parse(key, &text, "a time, such as \"500ms\" or \"10min\"")?;
        // A year is longer than any limit means, and short enough for every clock's arithmetic.
        if time.is_zero() || time > Duration::from_secs(366 * 86_400) {
            let reason = "it is not above 0 and at most a year";
            return Err(self.document.invalid(key, text.place, reason));
        }
        Ok(time)
    }

    /// Two times, the second not before the first.
    pub(super) fn times(&self, key: &str) -> Result<Option<(Duration, Duration)>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let expected = "a list of two times, such as [\"1s\", \"2min\"]";
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, expected));
        };
        let place = || self.document.place(value.span().start);
        let [first, second] = &items[..] else {
            return Err(self.document.invalid(key, place(), format!("it is not {expected}")));
        };
        let (first, second) = (self.time_of(key, first)?, self.time_of(key, second)?);
        if first > second {
            return Err(self.document.invalid(key, place(), "the second time is the shorter"));
        }
        Ok(Some((first, second)))
    }

    /// A number of bytes within `range`.
    pub(super) fn size(
        &self,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let text = self.text_of(key, value, "a size, such as \"300MiB\"")?;
        let Bytes(bytes) = self.parse(key, &text, "a size, such as \"64KiB\" or \"300MiB\"")?;
        if !range.contains(&bytes) {
            let reason =
                format!("it is not within {} and {}", Bytes(*range.start()), Bytes(*range.end()));
            return Err(self.document.invalid(key, text.place, reason));
        }
        Ok(Some(bytes))
    }

    /// A list of texts; empty where the key is not there.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<Placed<Secret>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let expected = "a list of texts";
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, expected));
        };
        items.iter().map(|item| self.text_of(key, item, expected)).collect()
    }

    /// A table with keys of our own.
    pub(super) fn section(
        &self,
        key: &str,
        name: &str,
        known: &[&'static str],
    ) -> Result<Option<Section<'d>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        self.section_of(key, value, name.to_owned(), known).map(Some)
    }

    fn section_of(
        &self,
        key: &str,
        value: &'d Spanned<DeValue<'d>>,
        name: String,
        known: &[&'static str],
    ) -> Result<Section<'d>, ConfigError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "a table"));
        };
        Section::open(self.document, name, value.span(), table, known)
    }

    /// A table of tables whose names are the user's: name and section, in the names' order.
    pub(super) fn named_sections(
        &self,
        key: &str,
        known: &[&'static str],
    ) -> Result<Vec<(String, Section<'d>)>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "tables with names"));
        };
        let mut sections = Vec::with_capacity(table.len());
        for (name, value) in table.iter() {
            let place = self.document.place(name.span().start);
            let name = name.get_ref().to_string();
            let usable = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if name.is_empty() || name.len() > 64 || !name.chars().all(usable) {
                let reason =
                    "a name has 1 to 64 letters of ASCII, digits, hyphens, underscores or dots";
                return Err(self.document.invalid(&name, place, reason));
            }
            let title = format!("[{key}.{name}]");
            sections.push((name.clone(), self.section_of(&name, value, title, known)?));
        }
        Ok(sections)
    }

    /// A list of tables.
    pub(super) fn listed_sections(
        &self,
        key: &str,
        known: &[&'static str],
    ) -> Result<Vec<Section<'d>>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "a list of tables, [[outputs]]"));
        };
        items.iter().map(|item| self.section_of(key, item, format!("[[{key}]]"), known)).collect()
    }

    /// A table with keys of a plugin; empty where it is not there.
    pub(super) fn settings(&self, key: &str) -> Result<Settings, ConfigError> {
        let name = format!("{}.{key}]", self.name.trim_end_matches(']'));
        let Some(value) = self.table.get(key) else {
            return Ok(Settings::empty(name, self.place()));
        };
        let DeValue::Table(_) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "a table"));
        };
        self.document.settings(name, key, value)
    }

    /// A table of plugins' tables: instance, its place, and the settings.
    pub(super) fn named_settings(
        &self,
        key: &str,
    ) -> Result<Vec<(Placed<String>, Settings)>, ConfigError> {
        let Some(value) = self.table.get(key) else { return Ok(Vec::new()) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.document.wrong_type(key, value, "tables with plugins' names"));
        };
        let mut all = Vec::with_capacity(table.len());
        for (name, value) in table.iter() {
            let place = self.document.place(name.span().start);
            let name = name.get_ref().to_string();
            let DeValue::Table(_) = value.get_ref() else {
                return Err(self.document.wrong_type(&name, value, "a table"));
            };
            let section = format!("{}.{key}.{name}]", self.name.trim_end_matches(']'));
            let settings = self.document.settings(section, &name, value)?;
            all.push((Placed { value: name, place }, settings));
        }
        Ok(all)
    }

    pub(super) fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// The text of a value of any simple type, for an error, and where it stands.
    pub(super) fn written(&self, key: &str) -> Option<Placed<String>> {
        let value = self.table.get(key)?;
        let text = self.document.text.get(value.span()).unwrap_or_default().to_owned();
        Some(Placed { value: text, place: self.document.place(value.span().start) })
    }
}
