use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use keepsight_contract::{
    CallContext, CallError, Host, InitError, JsonOutput, Manifest, OutputKind, Plugin, Request,
    Response, StreamInfo, Tool, register_plugin,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Config, Fault, Place,
    fault::{Report, Surroundings},
};

/// Fails on request.
#[derive(Debug)]
pub struct FaultInjector {
    config: Config,
    host: Host,
    sessions_opened: AtomicU64,
    sessions_dropped: Arc<AtomicU64>,
}

/// Fails on request, for one stream.
#[derive(Debug)]
pub struct Session {
    config: Config,
    host: Host,
    runs: u64,
    sessions_dropped: Arc<AtomicU64>,
    hoard: Vec<Vec<u8>>,
}

impl Plugin for FaultInjector {
    type Config = Config;
    type Session = Session;

    fn manifest() -> Manifest {
        let ok = Tool::new("ok", "Succeed", "does nothing but what the configuration plans")
            .output(
                "calls",
                json!({"type": "integer", "description": "the session's calls so far"}),
            );
        let fail = Tool::new("fail", "Fail", "does at once what its arguments say")
            .input(
                "kind",
                json!({
                    "type": "string",
                    "description": "what to do: panic, panic_formatted, panic_payload, \
                        panic_payload_drop, panic_thread, panic_scope, panic_hook, failed, \
                        broken, bad_arguments, cancelled, hang, spin, spin_forever, lock, sleep, wait, memory, \
                        abort, exit, stack_overflow",
                }),
            )
            .input("seconds", json!({"description": "how long sleep sleeps, such as \"2s\""}))
            .input("bytes", json!({"description": "what memory takes, such as \"64MiB\""}))
            .input("then", json!({"enum": ["return", "wait", "hang"]}));
        Manifest::new(
            "fault-injector",
            "Fault injector",
            env!("CARGO_PKG_VERSION"),
            "fails on request, to try whether the runtime contains it; not for production",
        )
        .capability("testing")
        .tool(ok)
        .tool(fail)
        .stream_tool("ok")
        .produces(OutputKind::Json)
    }

    fn init(config: Config, host: &Host) -> Result<Self, InitError> {
        config.check()?;
        inflict(&config, Place::Init, 0, host)?;
        Ok(Self {
            config,
            host: host.clone(),
            sessions_opened: AtomicU64::new(0),
            sessions_dropped: Arc::default(),
        })
    }

    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<Session, CallError> {
        let config: Config = stream.settings()?;
        config.check()?;
        let before = self.sessions_opened.fetch_add(1, Relaxed);
        inflict(&config, Place::Open, before, host)?;
        Ok(Session {
            config,
            host: host.clone(),
            runs: 0,
            sessions_dropped: self.sessions_dropped.clone(),
            hoard: Vec::new(),
        })
    }

    fn run(
        &self,
        session: &mut Session,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        let before = session.runs;
        session.runs += 1;
        let fault = match request.tool() {
            "fail" => Some(
                Fault::deserialize(request.args())
                    .map_err(|error| CallError::bad_arguments(error.to_string()))?,
            ),
            _ => session.config.due(Place::Run, before),
        };
        if let Some(fault) = fault {
            let Session { host, hoard, .. } = session;
            fault.inflict(Surroundings { host, call: Some(call), hoard })?;
        }
        let calls = Value::from(session.runs);
        Ok(Response::new().with(JsonOutput::new("calls", calls)))
    }
}

register_plugin!(FaultInjector);

impl Session {
    /// Bytes that [`FaultKind::Memory`](crate::FaultKind::Memory) took.
    pub fn kept_bytes(&self) -> usize {
        self.hoard.iter().map(Vec::len).sum()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let before = self.sessions_dropped.fetch_add(1, Relaxed);
        inflict(&self.config, Place::Drop, before, &self.host)
            .expect("plans that report in a drop were refused");
    }
}

impl Drop for FaultInjector {
    fn drop(&mut self) {
        inflict(&self.config, Place::Shutdown, 0, &self.host)
            .expect("plans that report in a drop were refused");
    }
}

/// Does what is planned for a place where nothing is kept and no call is running.
fn inflict(config: &Config, place: Place, before: u64, host: &Host) -> Result<(), Report> {
    match config.due(place, before) {
        Some(fault) => fault.inflict(Surroundings { host, call: None, hoard: &mut Vec::new() }),
        None => Ok(()),
    }
}
