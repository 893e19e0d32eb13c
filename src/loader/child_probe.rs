use std::{
    io::{self, Read},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// The program that looks around in a child process: this one again, as `keepsight probe KIND`.
#[derive(Clone, Debug)]
pub struct ProbeProgram(PathBuf);

/// Why a look around gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SurveyError {
    /// The child could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// What was to be started.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was killed, since it hadn't ended in time.
    #[error("it had not ended after {limit:?} and was killed")]
    TimedOut {
        /// The time it had.
        limit: Duration,
    },
    /// It ended in another way than it should.
    #[error("it ended with {status}{said}")]
    Died {
        /// Exit code or signal.
        status: String,
        /// The last line that it wrote, if any, behind a colon.
        said: String,
    },
    /// What it printed is no JSON.
    #[error("it printed something else than a report")]
    Garbled(#[source] serde_json::Error),
}

impl ProbeProgram {
    /// Another program than this one; tests have their own `main`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// This program.
    ///
    /// # Errors
    /// When the system can't say which file that is.
    pub fn this() -> io::Result<Self> {
        std::env::current_exe().map(Self)
    }

    /// What the child reports on `kind`; it has `limit` to do so.
    pub(super) fn survey(&self, kind: &str, limit: Duration) -> Result<Value, SurveyError> {
        let mut child = Command::new(&self.0)
            .args(["probe", kind, "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| SurveyError::Start { program: self.0.clone(), source })?;
        let stdout = child.stdout.take().expect("it was piped");
        let stderr = child.stderr.take().expect("it was piped");
        let (printed, both) = mpsc::channel();
        for (index, mut pipe) in
            [(0, Box::new(stdout) as Box<dyn Read + Send>), (1, Box::new(stderr))]
        {
            let printed = printed.clone();
            // The thread ends when the child does, or is killed; a grandchild that keeps the
            // pipe open keeps it, and nobody waits for it.
            thread::Builder::new()
                .name(format!("probe-{kind}"))
                .spawn(move || {
                    let mut bytes = Vec::new();
                    let _ = pipe.by_ref().take(REPORT_BYTES_MAX).read_to_end(&mut bytes);
                    let _ = printed.send((index, bytes));
                })
                .map_err(|source| SurveyError::Start { program: self.0.clone(), source })?;
        }
        let mut texts = [Vec::new(), Vec::new()];
        let end = Instant::now() + limit;
        for _ in 0..2 {
            let left = end.saturating_duration_since(Instant::now());
            match both.recv_timeout(left).ok() {
                Some((index, bytes)) => texts[index] = bytes,
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(SurveyError::TimedOut { limit });
                }
            }
        }
        // Both pipes are closed, so it has ended or is about to.
        let status = child
            .wait()
            .map_err(|source| SurveyError::Start { program: self.0.clone(), source })?;
        if !status.success() {
            let text = String::from_utf8_lossy(&texts[1]).into_owned();
            let said = text.lines().rev().find(|line| !line.trim().is_empty());
            let said = said.map(|line| format!(": {}", line.trim())).unwrap_or_default();
            return Err(SurveyError::Died { status: status.to_string(), said });
        }
        serde_json::from_slice(&texts[0]).map_err(SurveyError::Garbled)
    }
}

/// More than any report is.
const REPORT_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn survey_by(script: &str, limit: Duration) -> Result<Value, SurveyError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe");
        // Written by another process: a file that this one had open for writing can't be run
        // while a child that another test starts has not begun its own program (ETXTBSY).
        let write = Command::new("sh")
            .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#])
            .args([path.as_os_str(), script.as_ref()])
            .status();
        assert!(write.unwrap().success());
        ProbeProgram::at(path).survey("gpu", limit)
    }

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_child_reports() {
        let report = survey_by(r#"echo "{\"kind\": \"$2\"}""#, LONG).unwrap();
        assert_eq!(report["kind"], "gpu");
    }

    #[test]
    fn a_child_that_dies_says_why() {
        let error = survey_by("echo first >&2; echo 'no driver' >&2; exit 3", LONG).unwrap_err();
        assert!(matches!(error, SurveyError::Died { .. }), "{error}");
        assert!(error.to_string().contains("3") && error.to_string().contains("no driver"));
        let killed = survey_by("kill -SEGV $$", LONG).unwrap_err();
        assert!(matches!(killed, SurveyError::Died { .. }), "{killed}");
    }

    #[test]
    fn a_child_that_hangs_is_killed() {
        let start = Instant::now();
        let error = survey_by("exec sleep 600", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, SurveyError::TimedOut { .. }), "{error}");
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let error = survey_by("echo hello", LONG).unwrap_err();
        assert!(matches!(error, SurveyError::Garbled(_)), "{error}");
        let error = ProbeProgram::at("/nonexistent/keepsight").survey("gpu", LONG).unwrap_err();
        assert!(matches!(error, SurveyError::Start { .. }), "{error}");
    }
}
