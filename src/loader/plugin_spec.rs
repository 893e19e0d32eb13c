use std::{fmt, sync::Arc, time::Duration};

use keepsight_contract::ConfigError;
use serde_json::Value;

/// What one instance of a plugin is configured to be.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceSpec {
    /// Its name, unique in the process.
    pub name: String,
    /// Id of the plugin that it is an instance of.
    pub plugin: String,
    /// The plugin's own configuration; an object.
    pub config: Value,
    /// Says what the plugin finds wrong in that.
    pub explain: ExplainConfig,
    /// Whether the process is not ready without it.
    pub critical: bool,
    /// How long it may be away before that counts.
    pub grace: Duration,
    /// What its code may take.
    pub limits: InstanceLimits,
}

/// Says what a plugin finds wrong in its configuration; whoever read the file knows where that
/// stands, and what of it is secret. Any two count as the same.
#[derive(Clone)]
pub struct ExplainConfig(Arc<dyn Fn(&ConfigError) -> String + Send + Sync>);

/// How long an instance's code may take, and how much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Building it.
    pub init: Duration,
    /// Opening a session, and one frame of a stream.
    pub frame: Duration,
    /// One call by HTTP.
    pub call: Duration,
    /// A session that is kept for calls, without a call.
    pub session: Duration,
    /// Dropping a session or the instance.
    pub close: Duration,
    /// What it and all of its sessions may have together, in bytes; `None` for no limit. It holds
    /// where this binary's allocator [counts](crate::sandbox::CountingAllocator).
    pub memory: Option<u64>,
}

impl InstanceSpec {
    /// An instance named as its plugin, with defaults.
    pub fn new(plugin: &str) -> Self {
        Self {
            name: plugin.to_owned(),
            plugin: plugin.to_owned(),
            config: Value::Object(serde_json::Map::new()),
            explain: ExplainConfig::default(),
            critical: false,
            grace: Duration::from_secs(30),
            limits: InstanceLimits::default(),
        }
    }
}

impl ExplainConfig {
    /// One that says what this function does.
    pub fn new(explain: impl Fn(&ConfigError) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(explain))
    }

    pub(super) fn explain(&self, error: &ConfigError) -> String {
        (self.0)(error)
    }
}

impl Default for ExplainConfig {
    fn default() -> Self {
        Self::new(|error| error.to_string())
    }
}

impl fmt::Debug for ExplainConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExplainConfig")
    }
}

impl PartialEq for ExplainConfig {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Default for InstanceLimits {
    fn default() -> Self {
        Self {
            init: Duration::from_secs(120),
            frame: Duration::from_secs(5),
            call: Duration::from_secs(30),
            session: Duration::from_secs(60),
            close: Duration::from_secs(5),
            memory: None,
        }
    }
}
