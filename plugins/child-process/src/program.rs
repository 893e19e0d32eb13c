//! A running program, with the group of processes that it is.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::stderr_tail::StderrTail;

/// A program whose output is read. Dropping it ends it and everything that it started in its
/// group.
///
/// The group is led by a guard, a shell that waits for the other end of a pipe which only this
/// process holds. Should this process end in any way, be it by `SIGKILL`, the kernel closes the
/// pipe and the guard ends the group. A program that is just being started holds the pipe as
/// well, but only until it runs, when it is in the group already; so there is no moment at which
/// it could be left over. As long as the guard has not been waited for, the group's number can't
/// be given to others: signals reach nobody else.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    status: Option<ExitStatus>,
    guard: Child,
    group: Pid,
    output: PipeReader,
    complaints: Option<PipeReader>,
    tail: StderrTail,
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// As many bytes; not 0.
    Bytes(usize),
    /// None yet.
    Nothing,
    /// There will be no more.
    End,
}

impl Program {
    /// Starts `program` in a group of its own; `secrets` are not repeated by [`said`](Self::said).
    ///
    /// # Errors
    /// What the system says of the program, or of the guard.
    pub(crate) fn start(
        program: &str,
        arguments: &[String],
        secrets: &[String],
    ) -> io::Result<Self> {
        let (output, output_end) = io::pipe()?;
        let (complaints, complaints_end) = io::pipe()?;
        // More than the 64 KiB that a pipe holds by itself means fewer turns for each picture.
        // Where the user has used up what he may have of that, it stays as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "keepsight-guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let group = Pid::from_child(&guard);
        let started = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output_end)
            .stderr(complaints_end)
            .process_group(group.as_raw_nonzero().get())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                let _ = kill_process_group(group, Signal::KILL);
                wait_for(&mut guard, KILLED_WITHIN);
                return Err(error);
            }
        };
        let tail = StderrTail::new(secrets);
        Ok(Self { child, status: None, guard, group, output, complaints: Some(complaints), tail })
    }

    /// Waits until `until` for the program to write, and reads into `space` what it wrote.
    ///
    /// # Errors
    /// When the system can't wait or read.
    pub(crate) fn read(&mut self, space: &mut [u8], until: Instant) -> io::Result<Output> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let [output_ready, complaints_ready] = self.wait_readable(left)?;
            if complaints_ready {
                self.listen();
            }
            if output_ready {
                return match self.output.read(space) {
                    Ok(0) => Ok(Output::End),
                    Ok(count) => Ok(Output::Bytes(count)),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
            }
            if left.is_zero() {
                // Something that it left behind may hold its output open.
                let gone = self.has_ended();
                return Ok(if gone { Output::End } else { Output::Nothing });
            }
        }
    }

    /// How the program ended, if it did within `limit`.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.status = self.status.or_else(|| wait_for(&mut self.child, limit));
        self.status
    }

    /// The last lines that the program wrote to its standard error.
    pub(crate) fn said(&mut self) -> String {
        while matches!(self.wait_readable(Duration::ZERO), Ok([_, true])) {
            self.listen();
        }
        self.tail.said()
    }

    fn has_ended(&mut self) -> bool {
        self.ended_within(Duration::ZERO).is_some()
    }

    /// Whether output and complaints can be read without waiting; waits for either.
    fn wait_readable(&self, limit: Duration) -> io::Result<[bool; 2]> {
        let wanted = PollFlags::IN;
        let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let output = PollFd::from_borrowed_fd(self.output.as_fd(), wanted);
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let polled = match &self.complaints {
            Some(complaints) => {
                let mut fds = [output, PollFd::from_borrowed_fd(complaints.as_fd(), wanted)];
                poll(&mut fds, Some(&limit)).map(|_| [ready(&fds[0]), ready(&fds[1])])
            }
            None => {
                let mut fds = [output];
                poll(&mut fds, Some(&limit)).map(|_| [ready(&fds[0]), false])
            }
        };
        match polled {
            Err(rustix::io::Errno::INTR) => Ok([false; 2]),
            other => other.map_err(io::Error::from),
        }
    }

    /// Takes one piece of what it says.
    fn listen(&mut self) {
        let mut bytes = [0; 4096];
        let Some(complaints) = &mut self.complaints else { return };
        match complaints.read(&mut bytes) {
            Ok(0) | Err(_) => self.complaints = None,
            Ok(count) => self.tail.push(&bytes[..count]),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group, Signal::TERM);
        self.ended_within(ASKED_WITHIN);
        // Also what the program started and left behind, and the guard.
        let _ = kill_process_group(self.group, Signal::KILL);
        let child = self.ended_within(KILLED_WITHIN);
        let guard = wait_for(&mut self.guard, KILLED_WITHIN);
        if child.is_none() || guard.is_none() {
            // It hangs in the kernel; nobody can do more.
            tracing::warn!(program = self.child.id(), "a program has not ended though killed");
        }
    }
}

/// Waits for a process's end and collects it.
fn wait_for(process: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    let mut pause = Duration::from_micros(200);
    loop {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => {
                thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(10));
            }
            Ok(None) | Err(_) => return None,
        }
    }
}

/// `kill 0` is the group, the guard included; `TERM` does nothing to it.
const GUARD: &str = "trap '' TERM HUP INT; read -r _; kill -TERM 0; sleep 2; kill -KILL 0";
const PIPE_BYTES: usize = 1 << 20;
/// A stream stops within a second: half of it is for a program that wants to end in order.
const ASKED_WITHIN: Duration = Duration::from_millis(400);
const KILLED_WITHIN: Duration = Duration::from_millis(250);
const _: () = assert!(
    ASKED_WITHIN.as_millis() + 2 * KILLED_WITHIN.as_millis() <= 900,
    "a stream waits no longer for its source"
);
