use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// It did what it was asked to; from `check`: everything is fine.
    Success = 0,
    /// It failed at what it was asked to; from `check`: something works less well than it could.
    Failure = 1,
    /// Arguments, configuration or the build itself are wrong.
    Configuration = 2,
    /// Something is missing that is needed: from `check` and with `strict`, a plugin or source.
    Missing = 3,
    /// The server's address can't be listened on.
    Address = 4,
    /// Faults can no longer be contained (`on_lost_containment = "exit"`); start it again.
    LostContainment = 75,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}
