use std::time::SystemTime;

/// Everything that is known of an output at one moment.
#[derive(Clone, Debug)]
pub struct OutputReport {
    /// Its address in the form that may be seen, unique.
    pub to: String,
    /// Kinds of results that are written, such as `tracks`.
    pub what: Vec<&'static str>,
    /// `opening`, `writing` or `failing`.
    pub state: &'static str,
    /// Why it is failing, as a stable code such as `output.no_space`.
    pub code: Option<&'static str>,
    /// The same, for a person to act on.
    pub reason: Option<String>,
    /// What a person can do about it.
    pub hint: Option<&'static str>,
    /// When it came into this state.
    pub since: SystemTime,
    /// Records that were written.
    pub written: u64,
    /// Records that were lost, for want of room in the queue or because they could not be written.
    pub dropped: u64,
    /// Records that wait.
    pub queued: usize,
    /// Whether records were lost for want of room since the queue was last empty.
    pub overflowing: bool,
    /// What went wrong last, though it may be over.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<SystemTime>,
}
