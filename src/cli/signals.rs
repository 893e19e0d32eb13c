use std::{io, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// Catches the signals that ask the process to end, from here until it has ended: asking twice
/// doesn't cut the drain short.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let context = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        drop(context);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Waits for one of them, at most `limit`, and names it.
    pub(super) fn wait(&mut self, limit: Duration) -> Option<&'static str> {
        let Self { runtime, terminate, interrupt } = self;
        runtime.block_on(async {
            let either = async {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            };
            timeout(limit, either).await.ok()
        })
    }
}
