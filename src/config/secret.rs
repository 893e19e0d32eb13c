use std::{fmt, sync::Arc};

use keepsight_contract::ConfigError as PluginConfigError;
use serde_json::Value;

use super::{errors::Place, origin::Origin};

/// A text that may hold a secret: `Debug` and `Display` show the form that may be seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    shown: String,
}

/// Free JSON for a plugin, of which `Debug` shows the form that may be seen. Two are the same if
/// they mean the same, wherever they stand.
#[derive(Clone)]
pub struct Settings {
    value: Value,
    shown: Value,
    /// `None` for those that stand in no file.
    origin: Option<Arc<Origin>>,
}

/// Why a text with `${…}` cannot be filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FillError {
    /// The variable is not set.
    Missing(String),
    /// `${` without `}`, or no name between them.
    Malformed,
}

impl Secret {
    /// A text of which nothing may be seen.
    pub fn hidden(value: impl Into<String>) -> Self {
        Self { value: value.into(), shown: "***".to_owned() }
    }

    /// A text that may be seen, but for a password in a URI's user part
    /// (`rtsp://user:password@host`).
    pub fn uri(value: impl Into<String>) -> Self {
        let value = value.into();
        Self { shown: without_password(&value), value }
    }

    /// `written` with each `${NAME}` replaced from `environment`; `$${` stands for `${`.
    pub(super) fn fill(
        written: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, FillError> {
        let mut value = String::with_capacity(written.len());
        let mut rest = written;
        while let Some(start) = rest.find("${") {
            if rest[..start].ends_with('$') {
                value.push_str(&rest[..start]);
                value.push('{');
                rest = &rest[start + 2..];
                continue;
            }
            value.push_str(&rest[..start]);
            let (name, after) = rest[start + 2..].split_once('}').ok_or(FillError::Malformed)?;
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(FillError::Malformed);
            }
            let found = environment(name).ok_or_else(|| FillError::Missing(name.to_owned()))?;
            value.push_str(&found);
            rest = after;
        }
        value.push_str(rest);
        Ok(Self { value, shown: without_password(written) })
    }

    /// The text itself, not to be logged or answered.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// The form that may be seen.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Nothing of this one may be seen, however it was written.
    pub(super) fn into_hidden(self) -> Self {
        Self::hidden(self.value)
    }
}

impl Settings {
    /// JSON that may be seen as it is.
    pub fn plain(value: Value) -> Self {
        Self { shown: value.clone(), value, origin: None }
    }

    pub(super) fn new(value: Value, shown: Value, origin: Origin) -> Self {
        Self { value, shown, origin: Some(Arc::new(origin)) }
    }

    /// None, where the table `section` could stand at `place`.
    pub(super) fn empty(section: String, place: Place) -> Self {
        let none = Value::Object(serde_json::Map::new());
        Self::new(none.clone(), none, Origin::new(section, place))
    }

    /// What the plugin that should read these finds wrong, with its place in the file and without
    /// secrets.
    pub fn explain(&self, error: &PluginConfigError) -> String {
        let reason = self.without_secrets(error.to_string());
        match &self.origin {
            Some(origin) => origin.explain(error.path(), &reason),
            None => reason,
        }
    }

    /// What the plugin finds wrong in these settings of a stream, laid over `instance`'s.
    pub fn explain_over(&self, instance: &Self, error: &PluginConfigError) -> String {
        let reason = instance.without_secrets(self.without_secrets(error.to_string()));
        let has = |settings: &Self| {
            let origin = settings.origin.clone();
            origin.filter(|origin| error.path().is_empty() || origin.has(error.path()))
        };
        match has(self).or_else(|| has(instance)) {
            Some(origin) => origin.explain(error.path(), &reason),
            None => reason,
        }
    }

    /// `text` with what the environment gave replaced by its variable's name.
    fn without_secrets(&self, text: String) -> String {
        fn hide(value: &Value, shown: &Value, text: &mut String) {
            match (value, shown) {
                (Value::String(value), Value::String(shown)) if value != shown => {
                    // As errors quote it. Of a few letters, only that: they may be in any word.
                    *text = text.replace(&format!("{value:?}"), &format!("{shown:?}"));
                    if value.len() >= 4 {
                        *text = text.replace(value.as_str(), shown);
                    }
                }
                (Value::Array(values), Value::Array(shown)) => {
                    values.iter().zip(shown).for_each(|(value, shown)| hide(value, shown, text));
                }
                (Value::Object(values), Value::Object(shown)) => {
                    let pairs = values.values().zip(shown.values());
                    pairs.for_each(|(value, shown)| hide(value, shown, text));
                }
                _ => {}
            }
        }
        let mut text = text;
        hide(&self.value, &self.shown, &mut text);
        text
    }

    /// The JSON itself, not to be logged or answered.
    pub fn expose(&self) -> &Value {
        &self.value
    }

    /// The form that may be seen: `${NAME}` as it is written.
    pub fn shown(&self) -> &Value {
        &self.shown
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        (&self.value, &self.shown) == (&other.value, &other.shown)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::plain(Value::Object(serde_json::Map::new()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?})", self.shown)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({})", self.shown)
    }
}

/// `text`, with the password of `scheme://user:password@host` replaced by `***`, unless it is
/// written as a variable.
fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    // A password may hold an '@' of its own; the last one ends it.
    let Some((user_part, host)) = authority.rsplit_once('@') else { return text.to_owned() };
    let Some((user, password)) = user_part.split_once(':') else { return text.to_owned() };
    if password.starts_with("${") && password.ends_with('}') {
        return text.to_owned();
    }
    format!("{scheme}://{user}:***@{host}{}", &rest[authority.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        (name == "DRIVE_PASSWORD").then(|| "hunter2".to_owned())
    }

    #[track_caller]
    fn check(written: &str, value: &str, shown: &str) {
        let secret = Secret::fill(written, &environment).unwrap();
        assert_eq!((secret.expose(), secret.shown()), (value, shown));
        assert_eq!(secret.to_string(), shown);
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn variables_are_filled_in_and_never_shown() {
        check("plain", "plain", "plain");
        check(
            "rtsp://cam:${DRIVE_PASSWORD}@192.0.2.40/s",
            "rtsp://cam:hunter2@192.0.2.40/s",
            "rtsp://cam:${DRIVE_PASSWORD}@192.0.2.40/s",
        );
        check("a ${DRIVE_PASSWORD}${DRIVE_PASSWORD} b", "a hunter2hunter2 b", {
            "a ${DRIVE_PASSWORD}${DRIVE_PASSWORD} b"
        });
        check("costs $${5} and $5", "costs ${5} and $5", "costs $${5} and $5");
    }

    #[test]
    fn a_password_written_out_is_hidden_too() {
        check("rtsp://cam:open@host:554/a?b", "rtsp://cam:open@host:554/a?b", {
            "rtsp://cam:***@host:554/a?b"
        });
        check("rtsp://cam:p@ss@host", "rtsp://cam:p@ss@host", "rtsp://cam:***@host");
        check("rtsp://host:554/a@b:c", "rtsp://host:554/a@b:c", "rtsp://host:554/a@b:c");
    }

    #[test]
    fn what_cannot_be_filled_in_is_refused() {
        let fill = |written| Secret::fill(written, &environment).unwrap_err();
        assert_eq!(fill("x${OTHER}"), FillError::Missing("OTHER".to_owned()));
        assert_eq!(fill("x${DRIVE_PASSWORD"), FillError::Malformed);
        assert_eq!(fill("${}"), FillError::Malformed);
        assert_eq!(fill("${a b}"), FillError::Malformed);
    }

    #[test]
    fn hidden_texts_show_nothing() {
        let key = Secret::fill("abc${DRIVE_PASSWORD}", &environment).unwrap().into_hidden();
        assert_eq!((key.expose(), key.to_string().as_str()), ("abchunter2", "***"));
        assert_eq!(format!("{key:?}"), "Secret(\"***\")");
    }
}
