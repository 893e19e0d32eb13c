use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{CallError, FrameSize, PixelFormat, located};

/// What a session is opened for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Name of the stream; for a call by HTTP a made-up one.
    pub name: String,
    /// Format of its first frame, where that is known.
    pub format: Option<PixelFormat>,
    /// Size of its first frame, where that is known.
    pub size: Option<FrameSize>,
    /// Frames a second, where that is known.
    pub rate: Option<f64>,
    /// Whether its frames come as they happen; a file's don't.
    pub live: bool,
    /// Whether frames are left out for which there is no time; where not, every one is waited for.
    pub leaves_out: bool,
    settings: Value,
}

impl StreamInfo {
    /// A stream of that name of which nothing more is known.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            format: None,
            size: None,
            rate: None,
            live: false,
            leaves_out: false,
            settings: Value::Object(serde_json::Map::new()),
        }
    }

    /// Sets the instance's configuration with the stream's own settings merged in.
    pub fn with_settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// The instance's configuration with this stream's overrides merged in.
    ///
    /// # Errors
    /// [`ConfigError`](crate::ConfigError), as [`CallError::Failed`], when they are not of the type `C`.
    pub fn settings<C: DeserializeOwned>(&self) -> Result<C, CallError> {
        Ok(located::read(&self.settings)?)
    }

    /// `config` with `overrides` laid over it: objects key by key, everything else whole.
    pub fn merge_settings(config: &Value, overrides: &Value) -> Value {
        match (config, overrides) {
            (Value::Object(config), Value::Object(overrides)) => {
                let mut merged = config.clone();
                for (key, value) in overrides {
                    let value = match merged.get(key) {
                        Some(old) => Self::merge_settings(old, value),
                        None => value.clone(),
                    };
                    merged.insert(key.clone(), value);
                }
                Value::Object(merged)
            }
            (_, overrides) => overrides.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_streams_settings_lie_over_the_instances() {
        let merged = StreamInfo::merge_settings(
            &json!({"a": 1, "nested": {"x": 1, "y": 2}, "list": [1, 2]}),
            &json!({"nested": {"y": 3}, "list": [9]}),
        );
        assert_eq!(merged, json!({"a": 1, "nested": {"x": 1, "y": 3}, "list": [9]}));
    }
}
