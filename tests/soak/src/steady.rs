//! Plugins that do well, and notice when the runtime doesn't.

use std::sync::Mutex;

use keepsight_contract::{
    CallContext, CallError, Host, InitError, JsonOutput, Manifest, OutputKind, Plugin, Regions,
    Request, Response, StreamInfo, Tool,
};
use serde::Deserialize;
use serde_json::Value;

/// Gives back what it was given: the argument `id`, or the frame's sequence.
pub(crate) struct Steady;

/// Wants what [`Steady`] gave for the same frame.
pub(crate) struct Follower;

/// Nothing can be configured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {}

/// What was noticed, for [`Ledger`](crate::ledger::Ledger) to collect.
pub(crate) static NOTICED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Where a session's frames got to.
pub(crate) struct Session {
    stream: String,
    last: Option<u64>,
}

impl Session {
    fn new(stream: &StreamInfo) -> Self {
        Self { stream: stream.name.clone(), last: None }
    }

    fn saw(&mut self, sequence: u64) {
        if self.last.is_some_and(|last| last >= sequence) {
            notice(format!("{}: {sequence} came after {:?}", self.stream, self.last));
        }
        self.last = Some(sequence);
    }
}

impl Plugin for Steady {
    type Config = Config;
    type Session = Session;

    fn manifest() -> Manifest {
        Manifest::new("steady", "Steady", "1.0.0", "gives back what it was given")
            .tool(Tool::new("echo", "Echo", "gives back what it was given"))
            .stream_tool("echo")
            .produces(OutputKind::Json)
    }

    fn init(_: Config, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn open(&self, stream: &StreamInfo, _: &Host) -> Result<Session, CallError> {
        Ok(Session::new(stream))
    }

    fn run(
        &self,
        session: &mut Session,
        request: &Request,
        _: &CallContext,
    ) -> Result<Response, CallError> {
        let Some(frame) = request.frame() else {
            return Ok(Response::new().with(JsonOutput::new("id", request.args()["id"].clone())));
        };
        session.saw(frame.sequence());
        let luma = frame.luma()?;
        std::hint::black_box(&luma);
        Ok(Response::new().with(JsonOutput::new("sequence", Value::from(frame.sequence()))))
    }
}

impl Plugin for Follower {
    type Config = Config;
    type Session = Session;

    fn manifest() -> Manifest {
        Manifest::new("follower", "Follower", "1.0.0", "wants what came before")
            .tool(Tool::new("follow", "Follow", "wants what came before"))
            .stream_tool("follow")
            .consumes(OutputKind::Json)
            .produces(OutputKind::Regions)
    }

    fn init(_: Config, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn open(&self, stream: &StreamInfo, _: &Host) -> Result<Session, CallError> {
        Ok(Session::new(stream))
    }

    fn run(
        &self,
        session: &mut Session,
        request: &Request,
        _: &CallContext,
    ) -> Result<Response, CallError> {
        let frame = request.frame().ok_or_else(|| CallError::bad_arguments("frames only"))?;
        session.saw(frame.sequence());
        let before = request.upstream::<JsonOutput>().map(|output| output.value.clone());
        if before != Some(Value::from(frame.sequence())) {
            notice(format!("{}: {before:?} of frame {}", session.stream, frame.sequence()));
        }
        Ok(Response::new().with(Regions::default()))
    }
}

fn notice(what: String) {
    let mut noticed = NOTICED.lock().expect("nothing panics while it is held");
    if noticed.len() < 100 {
        noticed.push(what);
    }
}
