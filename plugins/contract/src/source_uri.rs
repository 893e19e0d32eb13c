use std::{fmt, str::FromStr};

/// Where frames come from: `scheme:path?key=value&key=value`.
///
/// Nothing is percent-decoded: a path is taken as it stands, up to the last `?` that is followed
/// by a parameter.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUri {
    scheme: String,
    path: String,
    params: Vec<(String, String)>,
}

/// Why a text is no source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceUriError {
    /// No `scheme:` in front.
    #[error("{0:?} is no source; one looks like camera:0, file:PATH or scene:")]
    NoScheme(String),
    /// A parameter that the source doesn't know.
    #[error("the source {scheme}: has no parameter {name:?}; it knows {known}")]
    UnknownParam {
        /// The source's scheme.
        scheme: String,
        /// The parameter's name.
        name: String,
        /// Those that it knows.
        known: String,
    },
    /// A parameter whose value can't be read.
    #[error("{name}={value} is not {expected}")]
    BadParam {
        /// The parameter's name.
        name: String,
        /// What was given.
        value: String,
        /// What it should be.
        expected: String,
    },
}

impl SourceUri {
    /// What stands before the first colon.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands between scheme and parameters.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of a parameter; the last one counts.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, read as a `T`; `expected` names what it should be.
    ///
    /// # Errors
    /// [`SourceUriError::BadParam`] when it can't be read.
    pub fn parsed_param<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, SourceUriError> {
        self.checked_param(name, expected, |_| true)
    }

    /// The value of a parameter, read as a `T` that `fits`; `expected` names what it should be.
    ///
    /// # Errors
    /// [`SourceUriError::BadParam`] when it can't be read, or doesn't fit.
    pub fn checked_param<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
        fits: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>, SourceUriError> {
        let Some(value) = self.param(name) else { return Ok(None) };
        let read = value.parse().ok().filter(fits);
        read.map(Some).ok_or_else(|| self.bad_param(name, expected))
    }

    /// The value of a parameter that is 0 or 1.
    ///
    /// # Errors
    /// [`SourceUriError::BadParam`] for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, SourceUriError> {
        match self.param(name) {
            None => Ok(None),
            Some("0" | "false") => Ok(Some(false)),
            Some("1" | "true") => Ok(Some(true)),
            Some(_) => Err(self.bad_param(name, "0 or 1")),
        }
    }

    /// What the value of a parameter stands for among `choices`.
    ///
    /// # Errors
    /// [`SourceUriError::BadParam`], naming them all, for anything else.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, SourceUriError> {
        let Some(value) = self.param(name) else { return Ok(None) };
        if let Some((_, chosen)) = choices.iter().find(|(text, _)| *text == value) {
            return Ok(Some(*chosen));
        }
        let texts: Vec<_> = choices.iter().map(|(text, _)| *text).collect();
        let expected = match &texts[..] {
            [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
            one => one.concat(),
        };
        Err(self.bad_param(name, &expected))
    }

    /// That the value of a parameter is not what was `expected`.
    pub fn bad_param(&self, name: &str, expected: &str) -> SourceUriError {
        SourceUriError::BadParam {
            name: name.to_owned(),
            value: self.param(name).unwrap_or_default().to_owned(),
            expected: expected.to_owned(),
        }
    }

    /// Refuses parameters that are not in `known`.
    ///
    /// # Errors
    /// [`SourceUriError::UnknownParam`] for the first of them.
    pub fn expect_params(&self, known: &[&str]) -> Result<(), SourceUriError> {
        match self.params.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(SourceUriError::UnknownParam {
                scheme: self.scheme.clone(),
                name: name.clone(),
                known: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            }),
        }
    }

    /// The URI as logs and health show it: [`redact_passwords`].
    pub fn redacted(&self) -> String {
        redact_passwords(&self.to_string())
    }
}

/// The text with the passwords of the addresses in it replaced by `***`: what stands between the
/// colon and the `@` of `//user:password@host`, and the value behind `password=` and the like in
/// an address's query. It would rather hide too much.
pub fn redact_passwords(text: &str) -> String {
    let schemes = text.match_indices("://").filter_map(|(at, slashes)| {
        scheme_before(text, at).map(|scheme| scheme..at + slashes.len())
    });
    let mut schemes = schemes.peekable();
    let mut shown = text[..schemes.peek().map_or(text.len(), |scheme| scheme.start)].to_owned();
    while let Some(scheme) = schemes.next() {
        let end = schemes.peek().map_or(text.len(), |next| next.start);
        let address = &text[scheme.end..end];
        shown.push_str(&text[scheme]);
        // Whatever a password is made of, it is behind the first colon and before the last `@`.
        let rest = match (address.find(':'), address.rfind('@')) {
            (Some(colon), Some(at)) if colon < at => {
                shown.push_str(&address[..colon]);
                shown.push_str(":***");
                &address[at..]
            }
            _ => address,
        };
        redact_query(rest, &mut shown);
    }
    shown
}

/// Where the scheme begins whose `://` is at `at`, if it is one's: in `rtsp://cam://x@host` the
/// second is none, but the colon behind a user and a password that begins with two slashes.
fn scheme_before(text: &str, at: usize) -> Option<usize> {
    let named = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let before = text[..at].trim_end_matches(named);
    (before.len() < at && !before.ends_with('/')).then_some(before.len())
}

fn redact_query(address: &str, shown: &mut String) {
    for part in address.split_inclusive(['?', '&']) {
        match part.split_once('=') {
            Some((key, value)) if SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()) => {
                let end = value.find(|c: char| "?& \t\n\"'".contains(c)).unwrap_or(value.len());
                let hidden = if end > 0 { "***" } else { "" };
                shown.extend([key, "=", hidden, &value[end..]]);
            }
            _ => shown.push_str(part),
        }
    }
}

/// What cameras call a password in an address's query.
const SECRET_KEYS: [&str; 6] = ["password", "passwd", "pwd", "pass", "token", "auth"];

impl FromStr for SourceUri {
    type Err = SourceUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_scheme = || SourceUriError::NoScheme(text.to_owned());
        let (scheme, rest) = text.split_once(':').ok_or_else(no_scheme)?;
        let named = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '+';
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(named) {
            return Err(no_scheme());
        }
        let (path, query) = match rest.rsplit_once('?') {
            Some((path, query)) if query.contains('=') => (path, query),
            _ => (rest, ""),
        };
        let params = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { scheme: scheme.to_owned(), path: path.to_owned(), params })
    }
}

impl fmt::Display for SourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.path)?;
        for (index, (key, value)) in self.params.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for SourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_scheme_path_and_parameters() {
        let uri: SourceUri = "scene:?targets=5&seed=1".parse().unwrap();
        assert_eq!((uri.scheme(), uri.path(), uri.param("seed")), ("scene", "", Some("1")));
        let uri: SourceUri = "file:/a b/what?.avi?loop=1".parse().unwrap();
        assert_eq!((uri.path(), uri.param("loop")), ("/a b/what?.avi", Some("1")));
        assert_eq!(uri.to_string(), "file:/a b/what?.avi?loop=1");
        let uri: SourceUri = "file:what?".parse().unwrap();
        assert_eq!(uri.path(), "what?");
        for text in ["", "0", "/a/b", ":x", "1a:x", "a b:x"] {
            assert_eq!(text.parse::<SourceUri>(), Err(SourceUriError::NoScheme(text.into())));
        }
    }

    #[test]
    fn parameters_are_checked() {
        let uri: SourceUri = "scene:?targets=x&sed=1".parse().unwrap();
        let error = uri.expect_params(&["targets", "seed"]).unwrap_err();
        assert!(matches!(&error, SourceUriError::UnknownParam { name, .. } if name == "sed"));
        let error = uri.parsed_param::<u32>("targets", "a number").unwrap_err();
        assert!(matches!(error, SourceUriError::BadParam { .. }));
        assert_eq!(uri.parsed_param::<u32>("sed", "a number"), Ok(Some(1)));
        assert_eq!(uri.parsed_param::<u32>("none", "a number"), Ok(None));
        let below_two = |uri: &SourceUri| uri.checked_param("n", "0 or 1", |n: &u32| *n < 2);
        let asked = |text: &str| below_two(&text.parse().unwrap());
        assert_eq!((asked("x:"), asked("x:?n=1")), (Ok(None), Ok(Some(1))));
        assert_eq!(asked("x:?n=2").unwrap_err().to_string(), "n=2 is not 0 or 1");
        let uri: SourceUri = "x:?a=1&b=false&c=yes".parse().unwrap();
        assert_eq!((uri.flag("a"), uri.flag("b")), (Ok(Some(true)), Ok(Some(false))));
        assert_eq!((uri.flag("c").is_err(), uri.flag("d")), (true, Ok(None)));
        let choices = [("one", 1), ("two", 2), ("three", 3)];
        let chosen = |text: &str| text.parse::<SourceUri>().unwrap().choice("n", &choices);
        assert_eq!((chosen("x:?n=two"), chosen("x:")), (Ok(Some(2)), Ok(None)));
        assert_eq!(chosen("x:?n=2").unwrap_err().to_string(), "n=2 is not one, two or three");
    }

    #[test]
    fn a_password_is_not_shown() {
        let uri: SourceUri = "rtsp://cam:secret@192.0.2.40/stream2".parse().unwrap();
        assert_eq!(uri.redacted(), "rtsp://cam:***@192.0.2.40/stream2");
        assert!(!format!("{uri:?}").contains("secret"));
        let odd: SourceUri = "rtsp://cam:sec//ret@x@192.0.2.40/stream2".parse().unwrap();
        assert_eq!(odd.redacted(), "rtsp://cam:***@192.0.2.40/stream2");
        let plain: SourceUri = "rtsp://192.0.2.40:554/stream2".parse().unwrap();
        assert_eq!(plain.redacted(), plain.to_string());
        for (text, shown) in [
            ("a://u:p@h and b://v:q:r@i/x", "a://u:***@h and b://v:***@i/x"),
            ("exec:x 'a://u:p/@:@h' -y", "exec:x 'a://u:***@h' -y"),
            ("a://u@h:1/x", "a://u@h:1/x"),
            ("a://h/x?user=me&PASSWORD=so&c=1", "a://h/x?user=me&PASSWORD=***&c=1"),
            ("a://h/x?pwd=so: refused", "a://h/x?pwd=*** refused"),
            ("a://h/x?pwd=&c=1", "a://h/x?pwd=&c=1"),
            ("a://u:p q//r@h", "a://u:***@h"),
            ("a://u://p@h, then b://v://q@i", "a://u:***@h, then b://v:***@i"),
            ("a://u:p/b://q@h", "a://u:***@h"),
            ("://u:p@h", "://u:p@h"),
            ("pwd=1 is no address, nor is 12:30@x", "pwd=1 is no address, nor is 12:30@x"),
            ("", ""),
        ] {
            assert_eq!(redact_passwords(text), shown);
        }
    }
}
