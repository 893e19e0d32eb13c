//! Each fault happens where and when it was asked for.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
    time::Duration,
};

use keepsight_contract::{
    CallContext, CallError, CancelToken, InitError, JsonOutput, Plugin, Request, StreamInfo,
    testing::{RecordingHost, call_context},
};
use keepsight_fault_injector::{FaultInjector, Session, release_all, wait_until_hung};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

fn init(config: Value) -> Result<FaultInjector, InitError> {
    let config = serde_json::from_value(config).expect("a configuration");
    FaultInjector::init(config, &RecordingHost::new().host())
}

fn open(plugin: &FaultInjector, settings: Value) -> Result<Session, CallError> {
    let stream = StreamInfo::new("test").with_settings(settings);
    plugin.open(&stream, &RecordingHost::new().host())
}

/// A call of `ok` on a session with `settings`, or of `fail` with `args`.
fn call(session: &mut Session, request: Request) -> Result<u64, CallError> {
    let plugin = init(json!({})).unwrap();
    let response = plugin.run(session, &request, &call_context(LIMIT))?;
    Ok(response.output::<JsonOutput>().unwrap().value.as_u64().unwrap())
}

fn fail(args: Value) -> Result<u64, CallError> {
    let plugin = init(json!({})).unwrap();
    let mut session = open(&plugin, json!({})).unwrap();
    call(&mut session, Request::new("fail").with_args(args))
}

fn planned(fault: Value) -> Value {
    json!({"faults": [fault]})
}

/// The payload of the panic that `action` ends with.
#[track_caller]
fn panic_of<T>(action: impl FnOnce() -> T) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => payload,
    }
}

#[test]
fn panics_come_with_every_sort_of_payload() {
    let panic = |kind| panic_of(|| fail(json!({"kind": kind})));
    assert!(panic("panic").is::<&str>());
    assert!(panic("panic_formatted").downcast::<String>().unwrap().contains("PanicFormatted"));
    let odd = panic("panic_payload");
    assert!(!odd.is::<&str>() && !odd.is::<String>());
    let bomb = panic("panic_payload_drop");
    assert!(panic_of(move || drop(bomb)).is::<&str>());
    let before = std::panic::take_hook();
    assert!(panic("panic_hook").is::<&str>());
    std::panic::set_hook(before);
}

#[test]
fn a_thread_can_panic_by_itself() {
    let recording = RecordingHost::new();
    let plugin = init(json!({})).unwrap();
    let stream = StreamInfo::new("test");
    let mut session = plugin.open(&stream, &recording.host()).unwrap();
    let request = Request::new("fail").with_args(json!({"kind": "panic_thread"}));
    plugin.run(&mut session, &request, &call_context(LIMIT)).unwrap();
    assert_eq!(recording.join_threads(), 1);
    let request = Request::new("fail").with_args(json!({"kind": "panic_scope"}));
    plugin.run(&mut session, &request, &call_context(LIMIT)).unwrap();
    assert_eq!((recording.join_threads(), recording.scopes_entered()), (0, 1));
}

#[test]
fn errors_are_the_ones_asked_for() {
    assert!(matches!(fail(json!({"kind": "failed"})), Err(CallError::Failed(_))));
    assert!(matches!(fail(json!({"kind": "broken"})), Err(CallError::Broken(_))));
    assert!(matches!(fail(json!({"kind": "bad_arguments"})), Err(CallError::BadArguments(_))));
    assert!(matches!(fail(json!({"kind": "cancelled"})), Err(CallError::Cancelled)));
    for args in [json!(null), json!({}), json!({"kind": "sulk"})] {
        assert!(matches!(fail(args), Err(CallError::BadArguments(_))));
    }
}

#[test]
fn a_plan_says_when() {
    let plugin = init(json!({})).unwrap();
    let settings = planned(json!({"at": "run", "kind": "failed", "after": 2, "every": 3}));
    let mut session = open(&plugin, settings).unwrap();
    let outcomes: Vec<_> = (0..9).map(|_| call(&mut session, Request::new("ok")).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, true, true, false, true, true, false]);

    let mut session = open(&plugin, planned(json!({"at": "run", "kind": "failed"}))).unwrap();
    let outcomes: Vec<_> = (0..3).map(|_| call(&mut session, Request::new("ok")).is_ok()).collect();
    assert_eq!(outcomes, [false, true, true]);
}

#[test]
fn a_file_calls_a_plan_off() {
    let here = file!().rsplit('/').next().unwrap();
    let here = format!("{}/tests/{here}", env!("CARGO_MANIFEST_DIR"));
    for (unless, well) in [(here.as_str(), true), ("/nonexistent", false)] {
        let plan = planned(json!({"at": "init", "kind": "failed", "unless": unless}));
        assert_eq!(init(plan).is_ok(), well);
    }
}

#[test]
fn faults_happen_in_init_open_and_drop() {
    let missing = init(planned(json!({"at": "init", "kind": "unmet"})));
    assert!(matches!(missing, Err(InitError::Unmet(finding)) if !finding.met));
    let failed = init(planned(json!({"at": "init", "kind": "failed"})));
    assert!(matches!(failed, Err(InitError::Failed(_))));
    panic_of(|| init(planned(json!({"at": "init", "kind": "panic"}))));

    let plugin = init(json!({})).unwrap();
    let second = planned(json!({"at": "open", "kind": "panic", "after": 1}));
    drop(open(&plugin, second.clone()).unwrap());
    panic_of(|| open(&plugin, second));

    let plugin = init(json!({})).unwrap();
    let session = open(&plugin, planned(json!({"at": "drop", "kind": "panic"}))).unwrap();
    panic_of(|| drop(session));
    let plugin = init(planned(json!({"at": "shutdown", "kind": "panic"}))).unwrap();
    panic_of(|| drop(plugin));
}

#[test]
fn plans_that_cannot_happen_are_refused() {
    for fault in [
        json!({"at": "drop", "kind": "failed"}),
        json!({"at": "shutdown", "kind": "broken"}),
        json!({"at": "run", "kind": "unmet"}),
        json!({"at": "run", "kind": "panic", "every": 0}),
    ] {
        assert!(matches!(init(planned(fault)), Err(InitError::Failed(_))));
    }
    let unknown = serde_json::from_value::<keepsight_fault_injector::Config>(planned(
        json!({"at": "run", "kind": "panic", "evry": 1}),
    ));
    assert!(unknown.is_err());
}

#[test]
fn memory_is_taken_and_kept_with_the_session() {
    let grow = json!({"kind": "memory", "bytes": "3MiB"});
    let plugin = init(json!({})).unwrap();
    let mut session = open(&plugin, json!({})).unwrap();
    for calls in 1..=2 {
        let request = Request::new("fail").with_args(grow.clone());
        assert_eq!(call(&mut session, request).unwrap(), calls);
    }
    assert_eq!(session.kept_bytes(), 6 << 20);
}

/// One test for all that hangs: a release lets everything in the process go.
#[test]
fn what_hangs_is_counted_and_released() {
    for kinds in [&["hang"][..], &["spin"], &["lock", "lock", "lock"], &["sleep"], &["wait"]] {
        let (done, answers) = mpsc::channel();
        let threads: Vec<_> = kinds
            .iter()
            .map(|kind| {
                let (done, args) = (done.clone(), json!({"kind": kind, "seconds": 3_600}));
                thread::spawn(move || done.send(fail(args).is_ok()).unwrap())
            })
            .collect();
        assert!(wait_until_hung(kinds.len(), LIMIT), "{kinds:?} does not hang");
        assert!(answers.try_recv().is_err(), "{kinds:?} has answered");
        release_all();
        for _ in &threads {
            assert_eq!(answers.recv_timeout(LIMIT), Ok(true), "{kinds:?} was not released");
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
    assert!(!wait_until_hung(1, Duration::ZERO));

    // What asks at checkpoints ends by itself, also while it takes memory.
    for args in [json!({"kind": "wait"}), json!({"kind": "memory", "then": "wait"})] {
        let token = CancelToken::default();
        let context = CallContext::new(std::time::Instant::now() + LIMIT, token.clone());
        let waiting = thread::spawn(move || {
            let plugin = init(json!({})).unwrap();
            let mut session = open(&plugin, json!({})).unwrap();
            let request = Request::new("fail").with_args(args);
            matches!(plugin.run(&mut session, &request, &context), Err(CallError::Cancelled))
        });
        assert!(wait_until_hung(1, LIMIT));
        token.cancel();
        assert!(waiting.join().unwrap());
    }
}
