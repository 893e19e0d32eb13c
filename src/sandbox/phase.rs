//! What is being run, and why it may be given up.

use std::fmt;

/// Which piece of foreign code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Checking one requirement.
    Probe,
    /// Building a plugin instance.
    Init,
    /// Opening a session.
    Open,
    /// One call.
    Run,
    /// Dropping a session or an instance.
    Close,
    /// A thread that a plugin owns, and anything on a worker outside a call.
    Thread,
    /// Opening a source.
    SourceOpen,
    /// Waiting for a source's next frame.
    SourceNext,
    /// Releasing a source.
    SourceClose,
    /// Writing to an output.
    Output,
}

/// Why a worker is asked to stop, or given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AbandonReason {
    /// The call outlived its deadline.
    Deadline,
    /// The instance is being replaced.
    Reload,
    /// The process, or what the worker worked for, is ending.
    Shutdown,
    /// The call crossed its instance's memory limit.
    Memory,
}

impl Phase {
    /// Every phase, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::Probe,
        Self::Init,
        Self::Open,
        Self::Run,
        Self::Close,
        Self::Thread,
        Self::SourceOpen,
        Self::SourceNext,
        Self::SourceClose,
        Self::Output,
    ];

    /// Whether it runs at nearly any moment, whoever ends the process: that it did says little.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(self, Self::Thread | Self::SourceNext)
    }

    /// The name used in codes and logs, such as `init` or `source_open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Init => "init",
            Self::Open => "open",
            Self::Run => "run",
            Self::Close => "close",
            Self::Thread => "thread",
            Self::SourceOpen => "source_open",
            Self::SourceNext => "source_next",
            Self::SourceClose => "source_close",
            Self::Output => "output",
        }
    }

    /// Whether this is clean-up, which a worker that was asked to stop still does.
    #[must_use]
    pub const fn is_closing(self) -> bool {
        matches!(self, Self::Close | Self::SourceClose)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AbandonReason {
    /// Every reason, in declaration order.
    pub const ALL: [Self; 4] = [Self::Deadline, Self::Reload, Self::Shutdown, Self::Memory];

    /// The name used in codes and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Reload => "reload",
            Self::Shutdown => "shutdown",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for AbandonReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_declaration_order() {
        // `CallSlot` packs both as their position in these lists.
        for (position, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, position, "{phase}");
        }
        for (position, reason) in AbandonReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position, "{reason}");
        }
    }
}
