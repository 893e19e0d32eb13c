use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{client, site::await_value};

/// A folder to run the program in.
pub(super) struct Place(TempDir);

/// How the program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// The program at work; killed when it is dropped.
pub(super) struct Working {
    child: Child,
    /// All of standard error, once that is closed.
    log: mpsc::Receiver<String>,
}

/// The program at work as a server.
pub(super) struct Serving {
    working: Working,
    address: SocketAddr,
}

impl Place {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// Names of what lies here, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.retain(|name| name != STATE);
        names
    }

    /// The program, in this folder and with nothing of the surroundings that would change what
    /// it does.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keepsight"));
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("KEEPSIGHT_LOG")
            .env_remove("KEEPSIGHT_KEY")
            .env_remove("STATE_DIRECTORY")
            .env("XDG_STATE_HOME", self.path().join(STATE))
            // What GPU there may be is not the matter here, and its driver takes its time.
            .env("VK_DRIVER_FILES", "/nonexistent")
            .env("VK_ICD_FILENAMES", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments))
    }

    /// Starts the program, which works until it is asked to end.
    #[allow(dead_code, reason = "only the tracker's tests do, which not every build has")]
    #[track_caller]
    pub(super) fn start(&self, arguments: &[&str]) -> Working {
        start_listening(&mut self.command(arguments), |_| {})
    }

    /// Starts `keepsight run` with `arguments` on a free port of loopback.
    #[track_caller]
    pub(super) fn serve(&self, arguments: &[&str]) -> Serving {
        self.serve_with(arguments, |_| {})
    }

    /// As [`serve`](Self::serve), with surroundings that `change` sets.
    #[track_caller]
    pub(super) fn serve_with(
        &self,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Serving {
        let arguments = [&["run", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut command = self.command(&arguments);
        change(&mut command);
        let (say, address) = mpsc::channel();
        let working = start_listening(&mut command, move |line| {
            if let Some((_, rest)) = line.split_once("health is at http://") {
                let _ = say.send(rest.split('/').next().unwrap().to_owned());
            }
        });
        match address.recv_timeout(LONGEST) {
            Ok(address) => Serving { working, address: address.parse().unwrap() },
            Err(_) => panic!("it doesn't serve: {}", working.killed()),
        }
    }
}

/// Starts a program and has `hear` listen to each line of its standard error.
fn start_listening(command: &mut Command, hear: impl Fn(&str) + Send + 'static) -> Working {
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (keep, log) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        while let Some(Ok(line)) = lines.next() {
            hear(&line);
            text.push_str(&line);
            text.push('\n');
        }
        let _ = keep.send(text);
    });
    Working { child, log }
}

/// Waits for the end of a program that is about to be started.
#[track_caller]
pub(super) fn ended(command: &mut Command) -> Ended {
    let mut child = command.spawn().unwrap();
    let [out, err] = [
        child.stdout.take().map(|pipe| text_of(Box::new(pipe))),
        child.stderr.take().map(|pipe| text_of(Box::new(pipe))),
    ];
    let end = Instant::now() + LONGEST;
    let mut text = |pipe: Option<mpsc::Receiver<String>>| {
        let Some(pipe) = pipe else { return String::new() };
        match pipe.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(text) => text,
            Err(_) => {
                let _ = child.kill();
                panic!("it does not end: {command:?}");
            }
        }
    };
    let (out, err) = (text(out), text(err));
    // Its pipes are closed, so it is about to end.
    let code = child.wait().unwrap().code();
    Ended { code, out, err }
}

fn text_of(mut pipe: Box<dyn Read + Send>) -> mpsc::Receiver<String> {
    let (send, text) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

impl Ended {
    #[track_caller]
    pub(super) fn check(&self, code: i32, said: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        for part in said {
            let there = self.err.contains(part) || self.out.contains(part);
            assert!(there, "{part:?} is not in {self}");
        }
        self
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self}"))
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, out, err } = self;
        write!(f, "code {code:?}\n-- output\n{out}\n-- error\n{err}")
    }
}

impl Serving {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's id.
    #[allow(dead_code, reason = "only tests of rereading do, which not every build has")]
    pub(super) fn id(&self) -> u32 {
        self.working.child.id()
    }

    pub(super) fn get(&self, path: &str) -> Value {
        client::get(self.address, path).json()
    }

    #[track_caller]
    pub(super) fn await_get(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        await_value(|| self.get(path), wanted)
    }

    pub(super) fn signal(&self, name: &str) {
        self.working.signal(name);
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(super) fn ended(self) -> Ended {
        self.working.ended()
    }
}

impl Working {
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(super) fn ended(mut self) -> Ended {
        let Ok(err) = self.log.recv_timeout(LONGEST) else { panic!("it does not end") };
        let code = self.child.wait().unwrap().code();
        Ended { code, out: String::new(), err }
    }

    /// What it said until now.
    fn killed(mut self) -> String {
        let _ = self.child.kill();
        self.log.recv_timeout(LONGEST).unwrap_or_default()
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No program of a test may take longer.
const LONGEST: Duration = Duration::from_secs(60);
/// The program's state, beside what a test looks at.
const STATE: &str = ".state";
