use std::{panic, thread, time::Duration};

use keepsight_contract::{Bytes, CallContext, CallError, Finding, Host, InitError, Seconds};
use serde::Deserialize;

use crate::gate;

/// What to do wrong, and how much of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// How long [`FaultKind::Sleep`] sleeps; 60 s unless told.
    pub seconds: Option<Seconds>,
    /// How much [`FaultKind::Memory`] takes; 64 MiB unless told.
    pub bytes: Option<Bytes>,
    /// What [`FaultKind::Memory`] does afterwards.
    #[serde(default)]
    pub then: AfterGrowth,
}

/// What can be done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// Panics with a literal text.
    Panic,
    /// Panics with a formatted text.
    PanicFormatted,
    /// Panics with a payload that is no text.
    PanicPayload,
    /// Panics with a payload whose drop panics.
    PanicPayloadDrop,
    /// Panics on a thread of its own.
    PanicThread,
    /// Panics on a thread that the host doesn't know, in the plugin's scope.
    PanicScope,
    /// Replaces the panic hook by a silent one, then panics.
    PanicHook,
    /// Reports a failure.
    Failed,
    /// Reports that the instance is broken.
    Broken,
    /// Reports that the arguments are unusable.
    BadArguments,
    /// Reports that something outside is missing; in init only.
    Unmet,
    /// Reports that it was cancelled, which is not so.
    Cancelled,
    /// Hangs, without using the processor, until released.
    Hang,
    /// Hangs at full speed, without a checkpoint, until released.
    Spin,
    /// Hangs at full speed for ever: only the end of the process ends it.
    SpinForever,
    /// Hangs in a lock, the first one holding it, until released.
    Lock,
    /// Sleeps for a fixed time or until released, then goes on as if nothing were.
    Sleep,
    /// Hangs until released, but at checkpoints, so that it ends once cancelled.
    Wait,
    /// Takes memory and keeps it for the rest of the session.
    Memory,
    /// Ends the process by `abort`.
    Abort,
    /// Ends the process by `exit`, with status 3.
    Exit,
    /// Ends the process by a stack overflow.
    StackOverflow,
}

/// What follows once the memory is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterGrowth {
    /// The call goes well.
    #[default]
    Return,
    /// As [`FaultKind::Wait`]; there are checkpoints while it grows, too.
    Wait,
    /// As [`FaultKind::Hang`].
    Hang,
}

/// What a fault needs of the place where it happens.
pub(crate) struct Surroundings<'a> {
    pub(crate) host: &'a Host,
    /// There is none in init, open and drop.
    pub(crate) call: Option<&'a CallContext>,
    /// Memory that is kept.
    pub(crate) hoard: &'a mut Vec<Vec<u8>>,
}

/// What a fault reports, if it reports at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Failed,
    Broken,
    BadArguments,
    Unmet,
    Cancelled,
}

impl Fault {
    /// Does it.
    pub(crate) fn inflict(&self, around: Surroundings<'_>) -> Result<(), Report> {
        let cancelled = || match around.call {
            Some(call) => call.checkpoint().map_err(|_| Report::Cancelled),
            None => Ok(()),
        };
        match self.kind {
            FaultKind::Panic => panic!("a panic on request"),
            FaultKind::PanicFormatted => panic!("a panic on request, of the kind {:?}", self.kind),
            FaultKind::PanicPayload => panic::panic_any(OddPayload),
            FaultKind::PanicPayloadDrop => panic::panic_any(PanicsInDrop),
            FaultKind::PanicThread => {
                let started =
                    around.host.spawn("panics", |_| panic!("a thread's panic on request"));
                return started.map_err(|_| Report::Failed);
            }
            FaultKind::PanicScope => {
                let scope = around.host.scope();
                let pool = thread::Builder::new().name("pool".to_owned()).spawn(move || {
                    let _entered = scope.enter();
                    panic!("a pool thread's panic on request");
                });
                let joined: thread::Result<()> = pool.map_err(|_| Report::Failed)?.join();
                return match joined {
                    Ok(()) => Err(Report::Failed),
                    Err(_panic) => Ok(()),
                };
            }
            FaultKind::PanicHook => {
                panic::set_hook(Box::new(|_| {}));
                panic!("a panic on request, behind a hook of the plugin's own");
            }
            FaultKind::Failed => return Err(Report::Failed),
            FaultKind::Broken => return Err(Report::Broken),
            FaultKind::BadArguments => return Err(Report::BadArguments),
            FaultKind::Unmet => return Err(Report::Unmet),
            FaultKind::Cancelled => return Err(Report::Cancelled),
            FaultKind::Hang => gate::hang(Duration::MAX),
            FaultKind::Spin => gate::spin(),
            FaultKind::SpinForever => loop {
                std::hint::spin_loop();
            },
            FaultKind::Lock => gate::lock(),
            FaultKind::Sleep => gate::hang(self.seconds.map_or(SLEEP, |seconds| seconds.0)),
            FaultKind::Wait => gate::wait(cancelled)?,
            FaultKind::Memory => {
                let Bytes(bytes) = self.bytes.unwrap_or(MEMORY);
                for _ in 0..bytes.div_ceil(CHUNK as u64) {
                    if self.then == AfterGrowth::Wait {
                        cancelled()?;
                    }
                    // Not zero, so that the pages are really there.
                    around.hoard.push(vec![0xA5; CHUNK]);
                }
                match self.then {
                    AfterGrowth::Return => {}
                    AfterGrowth::Wait => gate::wait(cancelled)?,
                    AfterGrowth::Hang => gate::hang(Duration::MAX),
                }
            }
            FaultKind::Abort => std::process::abort(),
            FaultKind::Exit => std::process::exit(3),
            FaultKind::StackOverflow => {
                std::hint::black_box(descend(0));
            }
        }
        Ok(())
    }
}

impl FaultKind {
    /// Whether it answers with an error instead of doing something.
    pub(crate) fn is_report(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Broken | Self::BadArguments | Self::Unmet | Self::Cancelled
        )
    }
}

impl From<Report> for CallError {
    fn from(report: Report) -> Self {
        match report {
            Report::Failed => Self::failed("a failure on request"),
            Report::Broken => Self::broken("broken on request"),
            Report::BadArguments => Self::bad_arguments("refused on request"),
            Report::Unmet => Self::failed("nothing can be missing after init"),
            Report::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Report> for InitError {
    fn from(report: Report) -> Self {
        match report {
            Report::Unmet => Self::Unmet(Finding::unmet(
                "dependency.file_missing",
                "a thing that nobody has",
                "it is missing on request",
                "take the fault out of the configuration",
            )),
            _ => Self::failed("a failure on request"),
        }
    }
}

/// A panic payload that is no text.
struct OddPayload;

/// A panic payload that panics in turn.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a panic on request, in the drop of another's payload");
    }
}

#[expect(unconditional_recursion, reason = "it is to overflow the stack")]
fn descend(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    frame[0] + descend(depth + 1) + frame[63]
}

const SLEEP: Duration = Duration::from_secs(60);
const MEMORY: Bytes = Bytes(64 << 20);
const CHUNK: usize = 1 << 20;
