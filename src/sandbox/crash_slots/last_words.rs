//! What a panic says that ends the process.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::sandbox::{PanicReport, SandboxScope};

/// The panic that ended a process, in a build in which panics do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastWords {
    /// Whose code panicked: the instance, `source:NAME` or a probe.
    pub instance: String,
    /// The stream, where it was one's.
    pub stream: Option<String>,
    /// The instance's generation.
    pub generation: u64,
    /// The panic's message.
    pub message: String,
    /// Where it panicked, as `file:line:column`.
    pub location: Option<String>,
    /// The name of the thread it panicked on.
    pub thread: String,
}

/// From now on last words are written in `folder`; a process has one such folder, the newest.
pub(super) fn keep_in(folder: Option<&Path>) {
    *place() = folder.map(Path::to_owned);
}

/// Writes last words. For the panic hook, once nothing but the end of the process can follow:
/// what goes wrong here can't be told to anybody any more.
pub(in crate::sandbox) fn leave(scope: &SandboxScope, panic: &PanicReport) {
    // A panic while the lock is held would wait for itself.
    let Some(folder) = PLACE.try_lock().ok().and_then(|place| place.clone()) else { return };
    let _ = write(&folder, scope, panic);
}

fn write(folder: &Path, scope: &SandboxScope, panic: &PanicReport) -> io::Result<()> {
    let words = LastWords {
        instance: scope.instance().to_string(),
        stream: scope.stream().map(|stream| stream.to_string()),
        generation: scope.generation(),
        message: panic.message.clone(),
        location: panic.location.clone(),
        thread: panic.thread.clone(),
    };
    fs::write(folder.join(NAME), serde_json::to_vec(&words)?)
}

/// Takes what the process before left. What can't be read says nothing.
pub(super) fn take(folder: &Path) -> Option<LastWords> {
    let path = folder.join(NAME);
    let text = fs::read(&path).ok()?;
    if let Err(error) = fs::remove_file(&path) {
        // The next process would take them for this one's.
        tracing::warn!(path = %path.display(), %error, "last words can't be removed");
    }
    serde_json::from_slice(&text).ok()
}

fn place() -> std::sync::MutexGuard<'static, Option<PathBuf>> {
    PLACE.lock().unwrap_or_else(PoisonError::into_inner)
}

static PLACE: Mutex<Option<PathBuf>> = Mutex::new(None);
const NAME: &str = "last-panic.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_taken_once_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(take(folder), None);
        let scope = SandboxScope::new("tracker", Some("door".into()), 3);
        let mut panic = PanicReport::without_record("no more".to_owned());
        panic.location = Some("here.rs:1:2".to_owned());
        write(folder, &scope, &panic).unwrap();
        let words = take(folder).unwrap();
        assert_eq!((&*words.instance, words.stream.as_deref()), ("tracker", Some("door")));
        assert_eq!((words.generation, &*words.message), (3, "no more"));
        assert_eq!(words.location.as_deref(), Some("here.rs:1:2"));
        assert_eq!(take(folder), None, "taken");
        fs::write(folder.join(NAME), "{").unwrap();
        assert_eq!(take(folder), None);
        assert!(!folder.join(NAME).exists());
    }
}
