use std::{io, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// Catches the signals that ask the process to end or to read its configuration again, from here
/// until it has ended: asking twice doesn't cut the drain short.
pub(super) struct Signals {
    runtime: Runtime,
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To end; the signal's name.
    End(&'static str),
    /// To read the configuration again.
    Reread,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let hangup = signal(SignalKind::hangup())?;
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(context);
        Ok(Self { runtime, hangup, terminate, interrupt })
    }

    /// Waits for one of them, at most `limit`, and says what it asks for.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<Asked> {
        let Self { runtime, hangup, terminate, interrupt } = self;
        runtime.block_on(async {
            let any = async {
                tokio::select! {
                    biased;
                    _ = terminate.recv() => Asked::End("SIGTERM"),
                    _ = interrupt.recv() => Asked::End("SIGINT"),
                    _ = hangup.recv() => Asked::Reread,
                }
            };
            timeout(limit, any).await.ok()
        })
    }
}
