use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::{service_manager::ServiceManager, settings};
use crate::{loader::Catalog, runtime::Runtime};

/// Reads the configuration again when it is asked to, on a thread of its own: whoever asks has
/// the watchdog to feed.
pub(super) struct Rereader {
    shared: Arc<Shared>,
    under_way: Option<JoinHandle<Result<(), String>>>,
    /// Asked while one was under way, which may have read the file before it was changed.
    again: bool,
}

struct Shared {
    runtime: Arc<Runtime>,
    /// `None` where none was read at the start either.
    file: Option<PathBuf>,
    /// What the command line says of it.
    listen: Option<String>,
    catalog: Catalog,
}

impl Rereader {
    pub(super) fn new(
        runtime: Arc<Runtime>,
        file: Option<PathBuf>,
        listen: Option<String>,
        catalog: Catalog,
    ) -> Self {
        let shared = Arc::new(Shared { runtime, file, listen, catalog });
        Self { shared, under_way: None, again: false }
    }

    /// Begins to, or does so once more when the one under way is over.
    pub(super) fn begin(&mut self, manager: &ServiceManager) {
        if self.under_way.is_some() {
            self.again = true;
            return;
        }
        manager.rereading();
        let shared = self.shared.clone();
        let reread = move || shared.reread();
        match thread::Builder::new().name("keepsight-reread".to_owned()).spawn(reread) {
            Ok(thread) => self.under_way = Some(thread),
            Err(error) => {
                tracing::error!(%error, "no thread to read the configuration again on");
                manager.reread(Some("no thread to read the configuration again on"));
            }
        }
    }

    /// Whether one is under way; tells `manager` when it no longer is.
    pub(super) fn is_under_way(&mut self, manager: &ServiceManager) -> bool {
        match self.under_way.take_if(|thread| thread.is_finished()) {
            None => return self.under_way.is_some(),
            Some(thread) => {
                let outcome = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
                manager.reread(outcome.err().as_deref());
            }
        }
        if std::mem::take(&mut self.again) {
            self.begin(manager);
        }
        self.under_way.is_some()
    }
}

impl Shared {
    fn reread(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            let reason = "it runs without a file, so there is nothing to read again";
            tracing::warn!("{reason}");
            return Err(reason.to_owned());
        };
        let config =
            settings::read_file(file, &self.catalog).and_then(|config| match &self.listen {
                Some(listen) => config.listening_on(listen),
                None => Ok(config),
            });
        let outcome = self.runtime.reread(config, &self.catalog);
        outcome.map(drop).map_err(|error| error.to_string())
    }
}
