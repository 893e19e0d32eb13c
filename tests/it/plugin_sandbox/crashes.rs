//! What ends the whole process: the next one knows who ran. Each crash happens in a child, which
//! is this test's binary again.

use std::{
    hint::black_box,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, LazyLock, mpsc},
    thread,
    time::Duration,
};

use keepsight::{
    api::Backend,
    config::{Config, Environment},
    lifecycle::LifecycleState,
    loader::{InstanceReport, LastCrash, ProbeProgram, ToolCall},
    runtime::{Runtime, RuntimeOptions},
    sandbox::{NOT_CONTAINED, Phase},
};
use keepsight_contract::{Host, InitError, Pace, Response};
use serde_json::json;

use super::support::{BOUND, eventually};
use crate::support::{Gate, Script, gate::LONGEST, site};

/// In a child: how to die, and the state folder.
const DEATH: &str = "KEEPSIGHT_TEST_DEATH";
const STATE: &str = "KEEPSIGHT_TEST_STATE";

/// A process that runs a healthy instance and one that does what `death` says when it is called.
fn start(state_dir: &Path, death: &'static str) -> Arc<Runtime> {
    Script::default().init(move |host| own_thread(host, death, false)).named("bystander");
    Script::default()
        .init(move |host| own_thread(host, death, true))
        .run(move |_, _| {
            die(death);
            Ok(Response::new())
        })
        .named("crashes");
    let text = format!(
        "version = 1
         [runtime]
         state_dir = {state_dir:?}
         [plugins.bystander]
         use = \"scripted\"
         config = {{ script = \"bystander\" }}
         [plugins.culprit]
         use = \"scripted\"
         config = {{ script = \"crashes\" }}"
    );
    let catalog = site::catalog();
    let plugins = catalog.plugin_ids();
    let environment = Environment { plugins: &plugins, variable: &|_| None };
    let config = Config::parse(&text, Path::new("test.toml"), &environment)
        .unwrap_or_else(|error| panic!("{error}"));
    let probe_program = ProbeProgram::at(env!("CARGO_BIN_EXE_keepsight"));
    let options = RuntimeOptions { probe_program, pace: Pace::Native, listeners: Vec::new() };
    let runtime = Arc::new(Runtime::new(&config, &catalog, options).unwrap());
    runtime.remember_crashes().unwrap();
    runtime.begin();
    assert!(runtime.wait_loaded(BOUND));
    runtime
}

/// What threads don't contain, each with how a process ends by it.
const DEATHS: [(&str, End); 6] = [
    ("stack overflow", End::Signal(6)),
    ("abort", End::Signal(6)),
    ("segmentation fault", End::Signal(11)),
    ("panic while unwinding", End::Signal(6)),
    ("process exit", End::Code(3)),
    ("allocation failure", End::Signal(6)),
];

fn die(death: &str) {
    match death {
        "stack overflow" => assert!(overflow(1) > 0),
        "abort" | BESIDE_THREADS => std::process::abort(),
        "segmentation fault" => {
            let id = std::process::id().to_string();
            // The standard library's own handler takes the first and steps aside; until it has,
            // the next is the same to the kernel.
            for _ in 0..1000 {
                Command::new("kill").args(["-SEGV", &id]).status().unwrap();
            }
        }
        "panic while unwinding" => {
            let _falls_too = FallsToo;
            panic!("the first");
        }
        "process exit" => std::process::exit(3),
        // No machine has so much to give.
        "allocation failure" => drop(black_box(Vec::<u8>::with_capacity(isize::MAX as usize / 2))),
        _ => {}
    }
}

/// Both have a thread for as long as they live.
const BESIDE_THREADS: &str = "abort beside threads";
/// The culprit's own thread does it while nothing else runs.
const IN_A_THREAD: &str = "abort in a thread";
static EVERYBODY_IS_IDLE: LazyLock<Gate> = LazyLock::new(Gate::default);

/// The thread that such a death wants; it runs when this returns.
fn own_thread(host: &Host, death: &str, is_culprit: bool) -> Result<(), InitError> {
    let aborts = match death {
        BESIDE_THREADS => false,
        IN_A_THREAD if is_culprit => true,
        _ => return Ok(()),
    };
    let (began, begins) = mpsc::channel();
    host.spawn("own", move |stop| {
        began.send(()).unwrap();
        if aborts {
            EVERYBODY_IS_IDLE.wait();
            std::process::abort();
        }
        while !stop.is_stopped() {
            thread::park_timeout(Duration::from_millis(1));
        }
    })?;
    begins.recv()?;
    Ok(())
}

struct FallsToo;

impl Drop for FallsToo {
    fn drop(&mut self) {
        panic!("while the first unwinds");
    }
}

#[expect(unconditional_recursion, reason = "the stack is to overflow")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    overflow(depth + 1) + black_box(frame)[7]
}

fn call(runtime: &Runtime, plugin: &str) {
    runtime.run_tool(plugin, do_it()).unwrap();
}

fn report(runtime: &Runtime, plugin: &str) -> InstanceReport {
    runtime.registry().find(plugin).unwrap().report()
}

/// The child's part; nothing where this is no child.
fn be_a_child_that_dies() {
    let (Ok(death), Some(state)) = (std::env::var(DEATH), std::env::var_os(STATE)) else { return };
    let runtime = start(Path::new(&state), death.leak());
    if std::env::var(DEATH).as_deref() == Ok(IN_A_THREAD) {
        EVERYBODY_IS_IDLE.open();
        thread::park_timeout(LONGEST);
    }
    call(&runtime, "bystander");
    // Its session is closed after the answer; who dies while that runs is no bystander.
    eventually("the call's session ends", || {
        report(&runtime, "bystander").state == LifecycleState::Initialized
    });
    call(&runtime, "culprit");
    if std::env::var(DEATH).as_deref() == Ok("no death") {
        runtime.shut_down();
        std::process::exit(7);
    }
    unreachable!("the culprit should have ended this process");
}

/// Lets a process die in its plugin.
fn run_child(state_dir: &Path, death: &str) -> ExitStatus {
    let test = std::thread::current().name().expect("a test's thread has its name").to_owned();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(DEATH, death)
        .env(STATE, state_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[derive(Clone, Copy, Debug)]
enum End {
    Code(i32),
    /// By its number (signal(7)).
    Signal(i32),
}

/// Two children die so, one after the other; after each the next process knows.
#[track_caller]
fn check(death: &str) {
    be_a_child_that_dies();
    let (_, expected) = DEATHS.into_iter().find(|(name, _)| *name == death).expect("in the table");
    let ends_with = |status: ExitStatus| match expected {
        End::Code(code) => status.code() == Some(code),
        End::Signal(signal) => status.signal() == Some(signal),
    };
    let folder = tempfile::tempdir().unwrap();
    let state_dir = folder.path();
    let status = run_child(state_dir, death);
    assert!(ends_with(status), "{death}: {status}");
    let status = run_child(state_dir, death);
    assert!(ends_with(status), "{death} once more: it was given another chance; {status}");

    let runtime = start(state_dir, "no death");
    let bystander = report(&runtime, "bystander");
    assert_eq!((bystander.state, bystander.last_crash), (LifecycleState::Initialized, None));
    let culprit = report(&runtime, "culprit");
    let crash =
        LastCrash { phase: Phase::Run, stream: None, generation: 1, in_a_row: 2, panic: None };
    assert_eq!(culprit.last_crash, Some(crash), "{death}");
    assert_eq!(culprit.state, LifecycleState::Failed);
    assert!(culprit.quarantined);
    assert_eq!(culprit.cause.code, "supervisor.crashed_process");
    assert!(runtime.run_tool("culprit", do_it()).is_err(), "it is left alone");

    runtime.reload("culprit").unwrap();
    let culprit = report(&runtime, "culprit");
    assert!(culprit.state == LifecycleState::Initialized && !culprit.quarantined);
    call(&runtime, "culprit");
    runtime.shut_down();
    drop(runtime);

    let runtime = start(state_dir, "no death");
    assert_eq!(report(&runtime, "culprit").last_crash, None, "an end in order names nobody");
    runtime.shut_down();
}

fn do_it() -> ToolCall {
    ToolCall { tool: "do".to_owned(), args: json!({}), frame: None, session: None }
}

#[test]
fn every_kind_of_death_that_the_reports_list_is_died_here() {
    assert_eq!(DEATHS.map(|(death, _)| death), NOT_CONTAINED);
}

#[test]
fn after_a_stack_overflow_the_next_process_knows_who_ran() {
    check("stack overflow");
}

#[test]
fn after_an_abort_the_next_process_knows_who_ran() {
    check("abort");
}

#[test]
fn after_a_segmentation_fault_the_next_process_knows_who_ran() {
    check("segmentation fault");
}

#[test]
fn after_a_panic_while_unwinding_the_next_process_knows_who_ran() {
    check("panic while unwinding");
}

#[test]
fn after_an_exit_the_next_process_knows_who_ran() {
    check("process exit");
}

#[test]
fn after_an_allocation_failure_the_next_process_knows_who_ran() {
    check("allocation failure");
}

#[test]
fn a_process_that_ends_in_order_names_nobody() {
    be_a_child_that_dies();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_child(folder.path(), "no death").code(), Some(7));
    let runtime = start(folder.path(), "no death");
    assert_eq!(report(&runtime, "culprit").last_crash, None);
    runtime.shut_down();
}

/// Two children die so; in what state the third process leaves the bystander and the culprit.
#[track_caller]
fn after_two_deaths(death: &'static str) -> [InstanceReport; 2] {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        assert_eq!(run_child(folder.path(), death).signal(), Some(6), "{death}");
    }
    let runtime = start(folder.path(), "no death");
    let reports = ["bystander", "culprit"].map(|plugin| report(&runtime, plugin));
    runtime.shut_down();
    reports
}

/// A thread that a plugin keeps for good runs whoever ends the process.
#[test]
fn a_thread_that_was_not_alone_is_not_to_blame() {
    be_a_child_that_dies();
    let [bystander, culprit] = after_two_deaths(BESIDE_THREADS);
    let crash = bystander.last_crash.expect("that it ran is told all the same");
    assert_eq!((crash.phase, crash.in_a_row), (Phase::Thread, 2));
    assert_eq!((bystander.state, bystander.quarantined), (LifecycleState::Initialized, false));

    let crash = culprit.last_crash.unwrap();
    assert_eq!((crash.phase, crash.in_a_row), (Phase::Run, 2), "its call counts, not its thread");
    assert!(culprit.quarantined);
}

#[test]
fn a_thread_that_was_alone_is_to_blame() {
    be_a_child_that_dies();
    let [bystander, culprit] = after_two_deaths(IN_A_THREAD);
    assert_eq!((bystander.last_crash, bystander.quarantined), (None, false));
    let crash = culprit.last_crash.unwrap();
    assert_eq!((crash.phase, crash.in_a_row), (Phase::Thread, 2));
    assert!(culprit.quarantined);
}
