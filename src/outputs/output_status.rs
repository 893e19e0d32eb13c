use std::{
    error::Error,
    io,
    time::{Instant, SystemTime},
};

use crate::sandbox::RunFault;

/// Where an output stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputState {
    /// It is being opened for the first time.
    Opening,
    /// It takes records.
    Writing,
    /// It could not be opened or written to; it is tried again.
    Failing,
}

/// An output at one moment: how it does, and why.
#[derive(Clone, Debug)]
pub struct OutputStatus {
    /// Where it stands.
    pub state: OutputState,
    /// Since when.
    pub since: Instant,
    /// What went wrong last; over, unless it is [`OutputState::Failing`].
    pub last_trouble: Option<Trouble>,
    /// Records that were written.
    pub written: u64,
    /// Records that were lost: no room in the queue, or not to be written.
    pub dropped: u64,
    /// Records that wait.
    pub queued: usize,
    /// Whether records were lost for want of room since the queue was last empty.
    pub overflowing: bool,
}

/// What was wrong with an output.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// A stable code, such as `output.no_space`.
    pub code: &'static str,
    /// What was the matter, with its causes.
    pub reason: String,
    /// What a person can do about it.
    pub hint: &'static str,
    /// When it was noticed last.
    pub at: SystemTime,
}

impl OutputStatus {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            state: OutputState::Opening,
            since: now,
            last_trouble: None,
            written: 0,
            dropped: 0,
            queued: 0,
            overflowing: false,
        }
    }

    /// Notes that it works; says what is over, if it did not before.
    pub(super) fn works(&mut self, now: Instant) -> Option<OutputState> {
        let before = self.state;
        self.turn(OutputState::Writing, now);
        (before != OutputState::Writing).then_some(before)
    }

    /// Notes that it doesn't work; says whether that is news.
    pub(super) fn fails(&mut self, trouble: Trouble, now: Instant) -> bool {
        let known = self.last_trouble.as_ref().is_some_and(|last| last.reason == trouble.reason);
        let news = self.state != OutputState::Failing || !known;
        self.turn(OutputState::Failing, now);
        self.last_trouble = Some(trouble);
        news
    }

    fn turn(&mut self, state: OutputState, now: Instant) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

impl Trouble {
    /// What an output's code said.
    pub fn reported(error: &(dyn Error + 'static)) -> Self {
        let mut reason = error.to_string();
        let mut kind = kind_of(error);
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(&format!(": {error}"));
            kind = kind.or_else(|| kind_of(error));
            cause = error.source();
        }
        let (code, hint) = meaning(kind);
        Self { code, reason, hint, at: SystemTime::now() }
    }

    /// What the sandbox caught.
    pub fn caught(fault: &RunFault) -> Self {
        let hint = match fault {
            RunFault::TimedOut { .. } => {
                "what it writes to doesn't answer: look at the disk or the network share"
            }
            RunFault::Panicked { .. } => "this is a bug in what writes the output",
            _ => fault.hint(),
        };
        Self { code: fault.code(), reason: fault.to_string(), hint, at: SystemTime::now() }
    }
}

fn kind_of(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// The code and the hint for an error of the system.
fn meaning(kind: Option<io::ErrorKind>) -> (&'static str, &'static str) {
    use io::ErrorKind as Kind;
    match kind {
        Some(Kind::StorageFull | Kind::QuotaExceeded) => {
            ("output.no_space", "free some space, or lower `keep.size`; it goes on by itself")
        }
        Some(Kind::PermissionDenied | Kind::ReadOnlyFilesystem) => (
            "output.denied",
            "let the user that runs keepsight write there; a service may need ReadWritePaths=",
        ),
        _ => ("output.failed", "see that it can be written to; it is tried again by itself"),
    }
}

impl OutputState {
    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Writing => "writing",
            Self::Failing => "failing",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(kind: io::ErrorKind, code: &str) {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot write x")]
        struct Outer(#[source] io::Error);
        let trouble = Trouble::reported(&Outer(kind.into()));
        assert_eq!(trouble.code, code);
        assert!(trouble.reason.starts_with("cannot write x: "), "{}", trouble.reason);
    }

    #[test]
    fn troubles_say_what_the_system_said() {
        check(io::ErrorKind::StorageFull, "output.no_space");
        check(io::ErrorKind::QuotaExceeded, "output.no_space");
        check(io::ErrorKind::PermissionDenied, "output.denied");
        check(io::ErrorKind::ReadOnlyFilesystem, "output.denied");
        check(io::ErrorKind::NotADirectory, "output.failed");
    }

    #[test]
    fn the_same_trouble_is_news_once_and_again_after_it_was_over() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let trouble = |text: &str| Trouble::reported(&io::Error::other(text.to_owned()));
        let mut status = OutputStatus::new(start);
        assert!(status.fails(trouble("a"), start));
        assert!(!status.fails(trouble("a"), later));
        assert_eq!(status.since, start, "it stands there since the first time");
        assert!(status.fails(trouble("b"), later));
        assert_eq!(status.works(later), Some(OutputState::Failing));
        assert_eq!(status.works(later), None);
        assert_eq!(status.last_trouble.as_ref().unwrap().reason, "b", "what was is still told");
        assert!(status.fails(trouble("b"), later));
    }
}
