//! `args.session`: calls that share a session, where it lives and when it ends.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread::{self, ThreadId},
};

use keepsight_contract::{CallError, Response};
use serde_json::{Value, json};

use super::client::post;
use crate::support::{Gate, Script, Site, gate::LONGEST};

/// An instance `it` of the scripted plugin, of which each step is told; what it ran in counts.
struct Told {
    site: Site,
    steps: mpsc::Receiver<Step>,
    /// Calls with `hold` wait here.
    gate: Gate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Step {
    what: What,
    on: ThreadId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Init,
    Open,
    Run,
    Close,
}

impl Told {
    /// `limits` are those of `[runtime.limits]`.
    fn start(script: &str, limits: &str) -> Self {
        let (teller, steps) = mpsc::channel();
        let teller = Arc::new(Mutex::new(teller));
        let tell = move |what| {
            let step = Step { what, on: thread::current().id() };
            // At the very end nobody listens any more.
            let _ = teller.lock().unwrap().send(step);
        };
        let gate = Gate::default();
        let held = gate.clone();
        let [init, open, run, close] = [(); 4].map(|()| tell.clone());
        Script::default()
            .init(move |_| {
                init(What::Init);
                Ok(())
            })
            .open(move |_| {
                open(What::Open);
                Ok(())
            })
            .run(move |request, call| {
                run(What::Run);
                assert_eq!(request.args().get("session"), None, "it is not the plugin's");
                match request.args()["do"].as_str() {
                    Some("hold") => held.wait(),
                    Some("panic") => panic!("as asked for"),
                    Some("fail") => return Err(CallError::failed("as asked for")),
                    Some("refuse") => return Err(CallError::bad_arguments("as asked for")),
                    Some("await-cancel") => loop {
                        call.checkpoint()?;
                        thread::yield_now();
                    },
                    _ => {}
                }
                Ok(Response::new())
            })
            .on_close(move || close(What::Close))
            .named(script);
        let site = Site::start(&format!(
            "[runtime.limits]\n{limits}\n\
             [plugins.it]\nuse = \"scripted\"\nconfig = {{ script = \"{script}\" }}"
        ));
        let told = Self { site, steps, gate };
        told.next(What::Init);
        told.site.await_state("it", "INITIALIZED");
        told
    }

    fn call(&self, session: &str, what: &str) -> u16 {
        call(&self.site, session, what)
    }

    /// The next step, which is `what`; where it was taken.
    #[track_caller]
    fn next(&self, what: What) -> ThreadId {
        let step = self.steps.recv_timeout(LONGEST).expect("another step");
        assert_eq!(step.what, what);
        step.on
    }

    #[track_caller]
    fn nothing_more(&self) {
        assert_eq!(self.steps.try_recv().ok(), None);
    }
}

fn call(site: &Site, session: &str, what: &str) -> u16 {
    site.run_tool("it", "do", &json!({ "session": session, "do": what })).0
}

/// How many calls the session says that it has had.
#[track_caller]
fn check_calls(site: &Site, args: Value, expected: u64) {
    let (status, body) = site.run_tool("faults", "ok", &args);
    assert_eq!((status, &body["result"]), (200, &json!({ "calls": expected })), "{args}");
}

#[test]
fn calls_of_one_name_share_a_session_and_others_do_not() {
    let site = Site::start("[plugins.faults]\nuse = \"fault-injector\"");
    site.await_state("faults", "INITIALIZED");
    for expected in 1..=3 {
        check_calls(&site, json!({ "session": "a" }), expected);
        check_calls(&site, json!({}), 1);
    }
    check_calls(&site, json!({ "session": "b" }), 1);
    check_calls(&site, json!({ "session": "a" }), 4);
    // What is kept and idle engages nothing.
    site.await_state("faults", "INITIALIZED");
}

#[test]
fn what_is_kept_is_in_the_inspectors_report() {
    let site = Site::start("[plugins.faults]\nuse = \"fault-injector\"");
    site.await_state("faults", "INITIALIZED");
    let kept = || site.get("/v1/inspector/plugins/faults").1["call_sessions"].clone();
    assert_eq!(kept(), json!([]));
    for name in ["b", "a"] {
        check_calls(&site, json!({ "session": name }), 1);
    }
    let kept = kept();
    assert_eq!([&kept[0]["name"], &kept[1]["name"]], ["a", "b"]);
    assert!(kept[0]["idle_seconds"].as_f64() < Some(60.0), "{kept}");
}

#[test]
fn what_is_no_name_is_a_bad_argument() {
    let site = Site::start("[plugins.faults]\nuse = \"fault-injector\"");
    site.await_state("faults", "INITIALIZED");
    for name in [json!(""), json!("a b"), json!("../a"), json!(7), json!(null), json!("ä")] {
        let (status, body) = site.run_tool("faults", "ok", &json!({ "session": name }));
        assert_eq!(status, 400, "{name}");
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.starts_with("a session's name has 1 to 64 letters"), "{detail}");
    }
}

#[test]
fn a_session_lives_on_one_thread() {
    let told = Told::start("session-thread", "session = \"60s\"");
    assert_eq!(told.call("a", ""), 200);
    let worker = told.next(What::Open);
    assert_eq!(told.next(What::Run), worker);
    // While that worker is busy, its session's calls wait for it, and others do not.
    let site = &told.site;
    thread::scope(|scope| {
        let held = scope.spawn(|| call(site, "a", "hold"));
        told.gate.await_waiting(1);
        assert_eq!(told.next(What::Run), worker);
        let waits = scope.spawn(|| call(site, "a", ""));
        assert_eq!(told.call("b", ""), 200);
        assert_ne!(told.next(What::Open), worker);
        assert_ne!(told.next(What::Run), worker);
        told.nothing_more();
        told.gate.open();
        assert_eq!([held.join().unwrap(), waits.join().unwrap()], [200, 200]);
    });
    assert_eq!(told.next(What::Run), worker);
    told.nothing_more();
    // The end of everything is theirs too, each on its own thread.
    let Told { site, steps, .. } = told;
    drop(site);
    let closed: Vec<_> = steps.try_iter().collect();
    assert!(closed.iter().all(|step| step.what == What::Close), "{closed:?}");
    assert_eq!(closed.iter().filter(|step| step.on == worker).count(), 1);
    assert_eq!(closed.len(), 2);
}

#[test]
fn a_session_that_nobody_asks_for_is_closed() {
    let told = Told::start("session-idle", "session = \"20ms\"");
    assert_eq!(told.call("a", ""), 200);
    let worker = told.next(What::Open);
    told.next(What::Run);
    assert_eq!(told.next(What::Close), worker);
    assert_eq!(told.call("a", ""), 200);
    told.next(What::Open);
    told.next(What::Run);
}

#[test]
fn of_too_many_the_one_idle_for_longest_is_closed() {
    let told = Told::start("session-many", "session = \"60s\"");
    for index in 0..32 {
        assert_eq!(told.call(&format!("s{index}"), ""), 200);
        told.next(What::Open);
        told.next(What::Run);
    }
    assert_eq!(told.call("s0", ""), 200);
    told.next(What::Run);
    // It makes room first: there are never more than 32.
    assert_eq!(told.call("another", ""), 200);
    told.next(What::Close);
    told.next(What::Open);
    told.next(What::Run);
    assert_eq!(told.call("s0", ""), 200);
    told.next(What::Run);
    assert_eq!(told.call("s1", ""), 200);
    told.next(What::Close);
    told.next(What::Open);
}

#[test]
fn a_session_ends_with_its_worker() {
    let told = Told::start("session-hang", "call = \"200ms\"");
    assert_eq!(told.call("a", ""), 200);
    let worker = told.next(What::Open);
    told.next(What::Run);
    assert_eq!(told.call("a", "hold"), 408);
    assert_eq!(told.next(What::Run), worker);
    assert_eq!(told.call("a", ""), 200);
    assert_ne!(told.next(What::Open), worker);
    assert_ne!(told.next(What::Run), worker);
    told.nothing_more();
    // When the thread returns after all, what it had is closed there.
    told.gate.open();
    assert_eq!(told.next(What::Close), worker);
}

#[test]
fn a_fault_ends_a_session_and_a_refusal_does_not() {
    let told = Told::start("session-fault", "session = \"60s\"");
    for (what, status) in [("", 200), ("fail", 500), ("refuse", 400), ("panic", 500)] {
        assert_eq!(told.call("a", what), status, "{what}");
        if what.is_empty() {
            told.next(What::Open);
        }
        told.next(What::Run);
    }
    told.next(What::Close);
    assert_eq!(told.call("a", ""), 200);
    told.next(What::Open);
    told.next(What::Run);
}

#[test]
fn a_call_that_heeds_its_deadline_is_late_all_the_same() {
    let told = Told::start("session-late", "call = \"50ms\"");
    assert_eq!(told.call("a", "await-cancel"), 408);
    let health = told.site.await_health("it", |health| health["error_count"] == 1);
    assert_eq!(health["success_count"], 0, "{health}");
}

#[test]
fn a_reload_closes_all_sessions_before_it_builds_anew() {
    let told = Told::start("session-reload", "session = \"60s\"");
    for session in ["a", "b"] {
        assert_eq!(told.call(session, ""), 200);
        told.next(What::Open);
        told.next(What::Run);
    }
    assert_eq!(told.site.post("/v1/plugins/it/reload", "").0, 200);
    told.next(What::Close);
    told.next(What::Close);
    told.next(What::Init);
    assert_eq!(told.call("a", ""), 200);
    told.next(What::Open);
}

#[test]
fn a_panic_at_a_sessions_end_is_contained() {
    let site = Site::start(
        "[runtime.limits]\nsession = \"20ms\"\n[plugins.faults]\nuse = \"fault-injector\"\n\
         [[plugins.faults.config.faults]]\nat = \"drop\"\nkind = \"panic\"",
    );
    site.await_state("faults", "INITIALIZED");
    check_calls(&site, json!({ "session": "a" }), 1);
    let report = crate::support::site::await_value(
        || site.get("/v1/inspector/plugins/faults").1,
        |report| report["faults"][0]["code"].is_string(),
    );
    assert_eq!(report["faults"][0]["code"], "close.panicked", "{report}");
    // The call itself went well.
    assert_eq!((&report["success_count"], &report["error_count"]), (&json!(1), &json!(0)));
    check_calls(&site, json!({ "session": "a" }), 1);
}

#[test]
fn a_call_that_hangs_at_its_sessions_end_has_its_answer() {
    let site = Site::start(
        "[runtime.limits]\nshutdown = \"200ms\"\n[plugins.faults]\nuse = \"fault-injector\"\n\
         [[plugins.faults.config.faults]]\nat = \"drop\"\nkind = \"sleep\"\nseconds = \"2s\"",
    );
    site.await_state("faults", "INITIALIZED");
    let path = "/v1/plugins/faults/tools/ok/run";
    assert_eq!(post(site.address(), path, r#"{"args":{}}"#).status, 200);
    let health = site.await_health("faults", |health| health["state"] == "INITIALIZED");
    assert_eq!((&health["success_count"], &health["error_count"]), (&json!(1), &json!(0)));
}
