use std::collections::BTreeMap;

use super::{Place, errors::nearest};

/// Where each part of a plugin's settings stands in the file.
#[derive(Debug)]
pub(super) struct Origin {
    /// As an error names the whole, such as `[plugins.tracker.config]`.
    section: String,
    whole: Place,
    parts: BTreeMap<Vec<String>, Part>,
}

/// Where something stands: a key, if it has one of its own, and its value.
#[derive(Debug)]
struct Part {
    key: Option<Place>,
    value: Place,
}

impl Origin {
    pub(super) fn new(section: String, whole: Place) -> Self {
        Self { section, whole, parts: BTreeMap::new() }
    }

    /// Notes what stands at `path`: keys, and indices in lists, from the outside in.
    pub(super) fn note(&mut self, path: &[String], key: Option<Place>, value: Place) {
        self.parts.insert(path.to_vec(), Part { key, value });
    }

    /// Whether something of what is here stands at `path`.
    pub(super) fn has(&self, path: &[String]) -> bool {
        self.parts.contains_key(path)
    }

    /// What is wrong at `path` for `reason`, in the words of the configuration's own errors.
    pub(super) fn explain(&self, path: &[String], reason: &str) -> String {
        let inner = |path: &[String]| {
            let keys = path.iter().map(|key| format!(".{key}")).collect::<String>();
            self.section.strip_suffix(']').map_or_else(
                || format!("{}{keys}", self.section),
                |section| format!("{section}{keys}]"),
            )
        };
        let place = |path: &[String]| self.parts.get(path).map_or(&self.whole, |part| &part.value);
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let names: Vec<String> = quoted(reason);
        if reason.starts_with("missing field")
            && let [name, ..] = &names[..]
        {
            return format!("{}: {} has no '{name}'", place(path), inner(path));
        }
        let Some((key, around)) = path.split_last() else {
            return format!("{}: {} cannot be used: {reason}", self.whole, self.section);
        };
        let part = self.parts.get(path);
        if reason.starts_with("unknown field")
            && let [_, known @ ..] = &names[..]
        {
            let place = part.and_then(|part| part.key.as_ref()).unwrap_or(&self.whole);
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let meant = match (nearest(key, known.iter().copied()), &known[..]) {
                (Some(nearest), _) => format!("; did you mean '{nearest}'?"),
                (None, []) => "; it takes none".to_owned(),
                (None, known) => format!("; it takes {}", known.join(", ")),
            };
            return format!("{place}: unknown key '{key}' in {}{meant}", inner(around));
        }
        // An item of a list is called by the list's name.
        let is_index = |step: &&String| step.bytes().all(|byte| byte.is_ascii_digit());
        let name = path.iter().rev().find(|step| !is_index(step)).unwrap_or(key);
        format!("{}: '{name}' cannot be used: {reason}", place(path))
    }
}
