//! Code that doesn't come back in time: its caller is answered, its thread is counted, and what it
//! brings when it comes back after all changes nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use keepsight_contract::{JsonOutput, Response};
use serde_json::{Value, json};

use super::{
    Case,
    places::{HANGING_PROBE, camera},
    stage::Stage,
};
use crate::support::{Gate, Script, gate::LONGEST, site::await_value};

pub(super) const CASES: &[Case] = &[
    ("sleep past the deadline", asleep),
    ("lock held for ever", in_a_lock),
    ("infinite loop", in_a_loop),
    ("infinite loops, as many as a plugin may have", in_loops_up_to_the_cap),
    ("hang in init", in_init),
    ("hang in open", in_open),
    ("hang in a session's drop", in_a_sessions_drop),
    ("hang in the plugin's drop", in_the_plugins_drop),
    ("hang in a probe", in_a_probe),
    ("result after the deadline", a_late_result),
    ("init that ends after its deadline", a_late_init),
    ("64 sessions hung at once", many_at_once),
];

/// A deadline for a stream's frames, and a stream.
const ON_A_STREAM: &str = "deadline = \"100ms\"
     [streams.s]
     source = \"test:matrix\"
     plugins = [\"p\"]";

fn is_call(request: &keepsight_contract::Request) -> bool {
    request.frame().is_none()
}

fn asleep() {
    let first = First::default();
    let script = Script::default().run(move |request, _| {
        if !is_call(request) && first.is_it() {
            thread::sleep(Duration::from_millis(300));
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, ON_A_STREAM);
    let fault = stage.fault("run.timed_out", "run gave no answer within 100ms");
    assert_eq!(fault["stream"], "s");
    stage.abandoned(0);
    let before = stage.well()["success_count"].as_u64();
    stage.site.await_health("p", |health| health["success_count"].as_u64() > before);
    stage.end();
}

fn in_a_lock() {
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let held = lock.lock().unwrap();
    let first = First::default();
    let script = Script::default().run(move |request, _| {
        if !is_call(request) && first.is_it() {
            drop(wanted.lock());
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, ON_A_STREAM);
    stage.fault("run.timed_out", "run gave no answer within 100ms");
    stage.abandoned(1);
    stage.call("do", json!({}), 200);
    drop(held);
    stage.abandoned(0);
    stage.end();
}

/// It is put into the idle class, where it takes nothing from anybody, and loops on.
fn in_a_loop() {
    let over = Arc::new(AtomicBool::new(false));
    let _ends = OnDrop(over.clone());
    let (looping, loops) = mpsc::channel();
    let (asked, first) = (over.clone(), First::default());
    let script = Script::default().run(move |request, _| {
        if !is_call(request) && first.is_it() {
            looping.send(thread_status()).unwrap();
            while !asked.load(SeqCst) {
                std::hint::spin_loop();
            }
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, ON_A_STREAM);
    stage.fault("run.timed_out", "run gave no answer within 100ms");
    #[cfg(target_os = "linux")]
    {
        let status = loops.recv_timeout(LONGEST).unwrap();
        await_value(|| json!(scheduling_class(&status)), |class| *class == json!(SCHED_IDLE));
    }
    stage.abandoned(1);
    stage.call("do", json!({}), 200);
    over.store(true, SeqCst);
    stage.abandoned(0);
    stage.end();
}

/// Then it is left alone until one of them ends.
fn in_loops_up_to_the_cap() {
    let over = Arc::new(AtomicBool::new(false));
    let _ends = OnDrop(over.clone());
    let asked = over.clone();
    let script = Script::default().run(move |request, _| {
        while !is_call(request) && !asked.load(SeqCst) {
            std::hint::spin_loop();
        }
        Ok(Response::new())
    });
    let stage = Stage::playing(script, ON_A_STREAM);
    let health = stage.state("FAILED", "supervisor.quarantined", "3 of its threads hang");
    assert_eq!(health["quarantined"], true, "{health:#}");
    stage.abandoned(3);
    stage.call("do", json!({}), 503);
    over.store(true, SeqCst);
    let health = stage.site.await_state("p", "RUNNING");
    assert_eq!(health["quarantined"], false, "{health:#}");
    stage.abandoned(0);
    stage.end();
}

fn in_init() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().init(move |_| {
        held.wait();
        Ok(())
    });
    let lines = "restart.backoff = [\"1h\", \"1h\"]\n[runtime.limits]\ninit = \"100ms\"";
    let stage = Stage::playing(script, lines);
    stage.state("FAILED", "init.timed_out", "init gave no answer within 100ms");
    stage.abandoned(1);
    gate.open();
    stage.abandoned(0);
    stage.state("FAILED", "init.timed_out", "");
    stage.end();
}

fn in_open() {
    let gate = Gate::default();
    let (held, first) = (gate.clone(), First::default());
    let script = Script::default().open(move |stream| {
        if stream.name == "s" && first.is_it() {
            held.wait();
        }
        Ok(())
    });
    let stage = Stage::playing(script, ON_A_STREAM);
    stage.fault("open.timed_out", "open gave no answer within 100ms");
    stage.call("do", json!({}), 200);
    gate.open();
    stage.abandoned(0);
    stage.site.await_state("p", "RUNNING");
    stage.end();
}

fn in_a_sessions_drop() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().on_close(move || held.wait());
    let stage = Stage::playing(script, "[runtime.limits]\nshutdown = \"100ms\"");
    let answer = stage.call("do", json!({}), 200);
    assert!(answer["result"].is_object(), "the result was there before: {answer}");
    stage.fault("close.timed_out", "close gave no answer within 100ms");
    gate.open();
    stage.abandoned(0);
    stage.end();
}

fn in_the_plugins_drop() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().on_drop(move || held.wait());
    let stage = Stage::playing(script, "[runtime.limits]\nshutdown = \"100ms\"");
    stage.call("do", json!({}), 200);
    let (status, answer) = stage.site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 200, "nobody waits for it: {answer}");
    stage.fault("close.timed_out", "close gave no answer within 100ms");
    stage.call("do", json!({}), 200);
    gate.open();
    stage.abandoned(0);
    stage.end();
}

fn in_a_probe() {
    let script = Script::default().requires(camera("hangs"));
    let stage = Stage::playing(script, "[runtime.limits]\nprobe = \"100ms\"");
    stage.state("UNAVAILABLE", "probe.timed_out", "probe gave no answer within 100ms");
    let (status, answer) = stage.site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 503, "{answer}");
    stage.state("UNAVAILABLE", "dependency.probe_hung", "has not returned for");
    HANGING_PROBE.await_waiting(1);
    HANGING_PROBE.open();
    await_value(|| json!(stage.site.post("/v1/plugins/p/reload", "").0), |status| *status == 200);
    stage.call("do", json!({}), 200);
    stage.end();
}

/// It is dropped where it was made, and nobody gets it.
fn a_late_result() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().run(move |request, call| {
        if request.args()["late"] == true {
            held.wait();
            assert!(call.is_cancelled(), "it could have known");
        }
        Ok(Response::new().with(JsonOutput::new("late", "a result")))
    });
    let stage = Stage::playing(script, "[runtime.limits]\ncall = \"500ms\"");
    stage.call("do", json!({ "late": true }), 408);
    stage.fault("run.timed_out", "run gave no answer within 500ms");
    stage.abandoned(1);
    gate.open();
    stage.abandoned(0);
    let health = stage.well();
    let counted = ["success_count", "error_count", "generation"].map(|key| &health[key]);
    assert_eq!(counted, [0, 1, 1], "{health:#}");
    stage.end();
}

fn a_late_init() {
    let gate = Gate::default();
    let held = gate.clone();
    let first = First::default();
    let dropped = Arc::new(AtomicBool::new(false));
    let drops = dropped.clone();
    let script = Script::default()
        .init(move |_| {
            if first.is_it() {
                held.wait();
            }
            Ok(())
        })
        .on_drop(move || drops.store(true, SeqCst));
    let stage = Stage::playing(script, "[runtime.limits]\ninit = \"100ms\"");
    stage.went_through("FAILED", "init.timed_out", "init gave no answer within 100ms");
    let health = stage.site.await_state("p", "INITIALIZED");
    let generation = health["generation"].as_u64();
    assert!(generation > Some(1), "{health:#}");
    assert!(!dropped.load(SeqCst));
    gate.open();
    await_value(|| json!(dropped.load(SeqCst)), |dropped| *dropped == true);
    stage.abandoned(0);
    let health = stage.well();
    assert_eq!(health["generation"].as_u64(), generation, "it revived nothing: {health:#}");
    stage.end();
}

fn many_at_once() {
    const SESSIONS: usize = 64;
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().run(move |request, _| {
        if !is_call(request) {
            held.wait();
        }
        Ok(Response::new())
    });
    let stream =
        |number| format!("[streams.s{number}]\nsource = \"test:matrix\"\nplugins = [\"p\"]\n");
    let streams: String = (0..SESSIONS).map(stream).collect();
    let lines =
        "deadline = \"2s\"\nrestart.budget = 1000\nrestart.backoff = [\"10ms\", \"50ms\"]\n";
    let stage = Stage::playing(script, &format!("{lines}{streams}"));
    gate.await_waiting(SESSIONS);
    stage.abandoned(SESSIONS);
    stage.fault("run.timed_out", "run gave no answer within 2s");
    let (_, host) = stage.site.get("/v1/inspector/host");
    assert_eq!(host["abandoned_workers"], SESSIONS, "{host:#}");
    gate.open();
    stage.abandoned(0);
    stage.end();
}

/// Tells the first of those who ask.
#[derive(Default)]
struct First(AtomicBool);

impl First {
    fn is_it(&self) -> bool {
        !self.0.swap(true, SeqCst)
    }
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Where the system says how it is with this thread (proc_pid_stat(5)).
fn thread_status() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self").map_or_else(
        |_| std::path::PathBuf::new(),
        |thread| std::path::Path::new("/proc").join(thread).join("stat"),
    )
}

/// Field 41, counted behind the name, which may hold blanks.
#[cfg(target_os = "linux")]
fn scheduling_class(status: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(status).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    fields.split_ascii_whitespace().nth(41 - 3).unwrap().parse().unwrap()
}

/// sched(7), in the numbers of the kernel.
#[cfg(target_os = "linux")]
const SCHED_IDLE: u32 = 5;
