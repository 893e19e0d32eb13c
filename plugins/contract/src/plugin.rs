use std::any::Any;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    CallContext, CallError, ConfigError, Host, InitError, Manifest, Request, Requirement, Response,
    StreamInfo, located,
};

/// A plugin: what all streams share. What belongs to one stream is its [`Plugin::Session`].
pub trait Plugin: Send + Sync + Sized + 'static {
    /// Its part of the configuration; use `#[serde(deny_unknown_fields)]`.
    type Config: DeserializeOwned;
    /// What it keeps for one stream: opened, run and dropped on one thread.
    type Session: 'static;

    /// What the plugin is and does.
    fn manifest() -> Manifest;

    /// What it needs from its surroundings with this configuration.
    fn requirements(config: &Self::Config) -> Vec<Requirement> {
        let _ = config;
        Vec::new()
    }

    /// Whether `stream`, the configuration with a stream's overrides merged in, is one that a
    /// session can honour beside `instance`, the configuration that `init` gets.
    ///
    /// # Errors
    /// [`ConfigError`] naming a key that only `init` can honour.
    fn check_stream(instance: &Self::Config, stream: &Self::Config) -> Result<(), ConfigError> {
        let _ = (instance, stream);
        Ok(())
    }

    /// Builds what all streams share.
    ///
    /// # Errors
    /// [`InitError::Unmet`] when something outside is missing, [`InitError::Failed`] otherwise.
    fn init(config: Self::Config, host: &Host) -> Result<Self, InitError>;

    /// Begins a stream.
    ///
    /// # Errors
    /// As [`Plugin::run`].
    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<Self::Session, CallError>;

    /// Answers one request of a stream.
    ///
    /// # Errors
    /// [`CallError`] says what the failure means for the caller and the instance.
    fn run(
        &self,
        session: &mut Self::Session,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError>;
}

/// A session of any plugin.
pub type ErasedSession = Box<dyn Any>;

/// An instance of any plugin.
pub trait ErasedPlugin: Send + Sync {
    /// [`Plugin::open`].
    ///
    /// # Errors
    /// As [`Plugin::open`].
    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<ErasedSession, CallError>;

    /// [`Plugin::run`], on a session that this instance opened.
    ///
    /// # Errors
    /// As [`Plugin::run`].
    fn run(
        &self,
        session: &mut dyn Any,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError>;
}

impl<P: Plugin> ErasedPlugin for P {
    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<ErasedSession, CallError> {
        Plugin::open(self, stream, host).map(|session| Box::new(session) as ErasedSession)
    }

    fn run(
        &self,
        session: &mut dyn Any,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        match session.downcast_mut() {
            Some(session) => Plugin::run(self, session, request, call),
            None => Err(CallError::broken("the session is another plugin's")),
        }
    }
}

/// The functions of a plugin with its types erased; [`register_plugin!`](crate::register_plugin)
/// fills it in.
#[derive(Clone, Copy)]
#[doc(hidden)]
pub struct PluginFunctions {
    pub manifest: fn() -> Manifest,
    pub requirements: fn(&Value) -> Result<Vec<Requirement>, ConfigError>,
    pub check_stream: fn(&Value, &Value) -> Result<(), ConfigError>,
    pub init: InitPlugin,
}

type InitPlugin = fn(&Value, &Host) -> Result<Box<dyn ErasedPlugin>, InitError>;

impl PluginFunctions {
    /// Those of `P`.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            manifest: P::manifest,
            requirements: |config| Ok(P::requirements(&parse::<P>(config)?)),
            check_stream: |instance, stream| {
                P::check_stream(&parse::<P>(instance)?, &parse::<P>(stream)?)
            },
            init: |config, host| {
                let config = parse::<P>(config)?;
                Ok(Box::new(P::init(config, host)?))
            },
        }
    }
}

fn parse<P: Plugin>(config: &Value) -> Result<P::Config, ConfigError> {
    located::read(config)
}
