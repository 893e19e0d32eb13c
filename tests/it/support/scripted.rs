use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use keepsight_contract::{
    CallContext, CallError, ConfigError, Host, InitError, JsonOutput, Manifest, OutputKind, Plugin,
    Request, Requirement, Response, StreamInfo, Tool,
};
use serde::Deserialize;

type Init = dyn Fn(&Host) -> Result<(), InitError> + Send + Sync;
type Open = dyn Fn(&StreamInfo) -> Result<(), CallError> + Send + Sync;
type Run = dyn Fn(&Request, &CallContext) -> Result<Response, CallError> + Send + Sync;

/// What a [`Scripted`] instance does; tests say so by name before they start it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) requirements: Vec<Requirement>,
    pub(crate) init: Arc<Init>,
    pub(crate) open: Arc<Open>,
    pub(crate) run: Arc<Run>,
    pub(crate) on_close: Arc<dyn Fn() + Send + Sync>,
    pub(crate) on_drop: Arc<dyn Fn() + Send + Sync>,
}

/// A plugin that does what the script of the name in its configuration says.
pub(crate) struct Scripted(Script);

/// A session of it, which says when it is dropped.
pub(crate) struct ScriptedSession(Arc<dyn Fn() + Send + Sync>);

/// The same, but it wants the JSON of an earlier plugin, and gives regions.
pub(crate) struct Following(Scripted);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    script: String,
    #[serde(default)]
    label: Option<String>,
}

static SCRIPTS: Mutex<BTreeMap<String, Script>> = Mutex::new(BTreeMap::new());

impl Default for Script {
    fn default() -> Self {
        Self {
            requirements: Vec::new(),
            init: Arc::new(|_| Ok(())),
            open: Arc::new(|_| Ok(())),
            run: Arc::new(|request, _| {
                let sequence = request.frame().map_or(0, |frame| frame.sequence());
                Ok(Response::new().with(JsonOutput::new("sequence", sequence)))
            }),
            on_close: Arc::new(|| {}),
            on_drop: Arc::new(|| {}),
        }
    }
}

impl Script {
    pub(crate) fn named(self, name: &str) {
        SCRIPTS.lock().unwrap().insert(name.to_owned(), self);
    }

    pub(crate) fn requires(mut self, requirement: Requirement) -> Self {
        self.requirements.push(requirement);
        self
    }

    pub(crate) fn init(
        mut self,
        init: impl Fn(&Host) -> Result<(), InitError> + Send + Sync + 'static,
    ) -> Self {
        self.init = Arc::new(init);
        self
    }

    pub(crate) fn open(
        mut self,
        open: impl Fn(&StreamInfo) -> Result<(), CallError> + Send + Sync + 'static,
    ) -> Self {
        self.open = Arc::new(open);
        self
    }

    pub(crate) fn run(
        mut self,
        run: impl Fn(&Request, &CallContext) -> Result<Response, CallError> + Send + Sync + 'static,
    ) -> Self {
        self.run = Arc::new(run);
        self
    }

    pub(crate) fn on_close(mut self, on_close: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_close = Arc::new(on_close);
        self
    }

    pub(crate) fn on_drop(mut self, on_drop: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_drop = Arc::new(on_drop);
        self
    }
}

fn script(name: &str) -> Script {
    SCRIPTS.lock().unwrap().get(name).cloned().unwrap_or_default()
}

impl Plugin for Scripted {
    type Config = Config;
    type Session = ScriptedSession;

    fn manifest() -> Manifest {
        Manifest::new("scripted", "Scripted", "1.2.3", "does what a test says")
            .tool(Tool::new("do", "Do", "does it"))
            .stream_tool("do")
            .produces(OutputKind::Json)
    }

    fn requirements(config: &Config) -> Vec<Requirement> {
        script(&config.script).requirements
    }

    fn check_stream(instance: &Config, stream: &Config) -> Result<(), ConfigError> {
        if instance.script != stream.script {
            return Err(ConfigError::new("`script` can't differ by stream"));
        }
        Ok(())
    }

    fn init(config: Config, host: &Host) -> Result<Self, InitError> {
        let script = script(&config.script);
        (script.init)(host)?;
        Ok(Self(script))
    }

    fn open(&self, stream: &StreamInfo, _: &Host) -> Result<ScriptedSession, CallError> {
        // A stream's own label shows that its settings arrive.
        let config: Config = stream.settings()?;
        if config.label.as_deref() == Some("refuse") {
            return Err(CallError::failed("told to refuse"));
        }
        (self.0.open)(stream)?;
        Ok(ScriptedSession(self.0.on_close.clone()))
    }

    fn run(
        &self,
        _: &mut ScriptedSession,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        (self.0.run)(request, call)
    }
}

impl Drop for ScriptedSession {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Plugin for Following {
    type Config = Config;
    type Session = ScriptedSession;

    fn manifest() -> Manifest {
        Manifest::new("following", "Following", "1.2.3", "does what a test says, after another")
            .tool(Tool::new("do", "Do", "does it"))
            .stream_tool("do")
            .consumes(OutputKind::Json)
            .produces(OutputKind::Regions)
    }

    fn init(config: Config, host: &Host) -> Result<Self, InitError> {
        Scripted::init(config, host).map(Self)
    }

    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<ScriptedSession, CallError> {
        self.0.open(stream, host)
    }

    fn run(
        &self,
        session: &mut ScriptedSession,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        self.0.run(session, request, call)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        (self.0.on_drop)();
    }
}
