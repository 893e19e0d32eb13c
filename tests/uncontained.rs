//! A build in which a panic ends the process: refused without the feature, and with it every panic
//! leaves a record that the next start reads. `make uncontained`.
//!
//! It builds such a binary, which takes minutes, so `make test` leaves it out.
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const FEATURES: &str = "frame-stats,fault-injector,uncontained";
/// Nothing takes longer, beside building.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn without_the_feature_it_does_not_compile() {
    let refused = cargo(&["check", "--no-default-features", "--lib"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    for part in ["contains panics by unwinding", "panic = \"abort\"", "feature `uncontained`"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn a_panic_ends_the_process_and_the_next_one_names_whose_it_was() {
    let program = build();
    let info = Command::new(&program).args(["build-info", "--json"]).output().unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["panic"], "abort: not contained");
    assert!(info["features"].as_array().unwrap().contains(&json!("uncontained")), "{info:#}");

    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path().join("state");
    let config = format!(
        "version = 1\n[runtime]\nstate_dir = {state_dir:?}\n\
         [plugins.bystander]\nuse = \"frame-stats\"\n\
         [plugins.culprit]\nuse = \"fault-injector\"\n"
    );
    let config_path = folder.path().join("keepsight.toml");
    fs::write(&config_path, config).unwrap();

    let first = Process::start(&program, &config_path);
    first.await_state("culprit", "INITIALIZED");
    first.await_state("bystander", "INITIALIZED");
    assert_eq!(first.report("culprit")["last_crash"], json!(null));
    let (status, said) = first.die_of("panic_formatted");
    assert_eq!(status.signal(), Some(6), "{said}");
    assert!(said.contains("a panic on request"), "{said}");
    assert!(state_dir.join("last-panic.json").exists());

    let second = Process::start(&program, &config_path);
    second.await_state("culprit", "INITIALIZED");
    let report = second.report("culprit");
    let crash = &report["last_crash"];
    assert_eq!((&crash["phase"], &crash["in_a_row"]), (&json!("run"), &json!(1)), "{crash:#}");
    let panic = crash["panic"].as_str().unwrap();
    assert!(panic.contains("fault.rs:") && panic.contains("a panic on request"), "{panic}");
    assert_eq!(
        (&report["isolation"], &report["not_contained"][0]),
        (&json!("none"), &json!("panic"))
    );
    assert_eq!(second.get("/v1/inspector/host").unwrap()["panic"], "abort: not contained");
    assert_eq!(second.report("bystander")["last_crash"], json!(null), "it was the other one's");
    assert!(!state_dir.join("last-panic.json").exists(), "taken");
    let (status, said) = second.die_of("panic_scope");
    assert_eq!(status.signal(), Some(6), "{said}");

    let third = Process::start(&program, &config_path);
    third.await_state("bystander", "INITIALIZED");
    let report = third.report("culprit");
    let crash = &report["last_crash"];
    assert_eq!(crash["in_a_row"], 2, "{crash:#}");
    assert!(crash["panic"].as_str().unwrap().contains("a pool thread's panic"), "{crash:#}");
    let found = ["state", "code", "quarantined"].map(|key| &report[key]);
    assert_eq!(found, [&json!("FAILED"), &json!("supervisor.crashed_process"), &json!(true)]);
    assert!(report["reason"].as_str().unwrap().contains("a pool thread's panic"), "{report:#}");
    let (status, said) = third.terminate();
    assert_eq!(status.code(), Some(0), "{said}");
}

/// Runs cargo for the profile.
fn cargo(arguments: &[&str]) -> Output {
    let (command, rest) = arguments.split_first().expect("a command");
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([command, "--locked", "--profile", "aborting"])
        .args(rest)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap()
}

fn build() -> PathBuf {
    let built =
        cargo(&["build", "--no-default-features", "--features", FEATURES, "--bin", "keepsight"]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // This test is `TARGET/debug/deps/NAME`.
    let this = env::current_exe().unwrap();
    this.ancestors().nth(3).expect("the target folder").join("aborting").join("keepsight")
}

/// The program at work; killed when it is dropped.
struct Process {
    child: Child,
    address: String,
    /// All of standard error, once that is closed.
    log: mpsc::Receiver<String>,
}

impl Process {
    fn start(program: &Path, config: &Path) -> Self {
        let mut child = Command::new(program)
            .args(["run", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (say, address) = mpsc::channel();
        let (keep, log) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            for line in lines.map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("health is at http://") {
                    let _ = say.send(rest.split('/').next().unwrap().to_owned());
                }
                text.push_str(&line);
                text.push('\n');
            }
            let _ = keep.send(text);
        });
        let address = address.recv_timeout(LONGEST).expect("it serves");
        Self { child, address, log }
    }

    /// The answer's body; `None` where there is no answer.
    fn ask(&self, head: &str, body: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn get(&self, path: &str) -> Option<Value> {
        self.ask(&format!("GET {path}"), "")
    }

    fn report(&self, plugin: &str) -> Value {
        self.get(&format!("/v1/inspector/plugins/{plugin}")).expect("an answer")
    }

    #[track_caller]
    fn await_state(&self, plugin: &str, state: &str) {
        let end = Instant::now() + LONGEST;
        while self.report(plugin)["state"] != state {
            assert!(Instant::now() < end, "{:#}", self.report(plugin));
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Has the culprit do `kind`, and waits for the end; how it ended and what it said.
    fn die_of(mut self, kind: &str) -> (ExitStatus, String) {
        let body = json!({ "args": { "kind": kind } }).to_string();
        let answer = self.ask("POST /v1/plugins/culprit/tools/fail/run", &body);
        assert_eq!(answer, None, "the process has gone");
        self.ended()
    }

    fn terminate(mut self) -> (ExitStatus, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        self.ended()
    }

    fn ended(&mut self) -> (ExitStatus, String) {
        let said = self.log.recv_timeout(LONGEST).expect("it ends");
        (self.child.wait().unwrap(), said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
