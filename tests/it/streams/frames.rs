//! The way of a frame: shared, never copied, the same for every plugin that sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    loader::{InstanceHost, SystemClock},
    sandbox::{Sandbox, SandboxLimits},
    streams::{MailboxMode, SourceState, Stream, StreamLimits, StreamSpec},
};
use keepsight_contract::{
    CaptureWish, Frame, JsonOutput, Region, Regions, Request, Response, SourceRegistration,
    testing::frames::numbered,
};
use serde_json::Value;

use crate::support::{
    Behaviour, Gate, Script, Site, Switch, gate::LONGEST, test_source::TestSource,
};

/// Every frame that a source gave, kept so that no buffer's place is used again.
type Given = Arc<Mutex<BTreeMap<u64, Frame>>>;

/// Has the source `name` keep what it gives.
fn keep_given(name: &str) -> Given {
    let given = Given::default();
    let keep = given.clone();
    let make = move |sequence: u64| {
        let pixels = (0..16 * 8).map(|at| (at + sequence) as u8).collect();
        let frame = numbered(sequence, keepsight_contract::PixelFormat::Gray, 16, 8, pixels);
        keep.lock().unwrap().insert(sequence, frame.clone());
        frame
    };
    Switch::named(name, Behaviour::GivesMade(Arc::new(make)));
    given
}

fn is_the_given_one(given: &Given, frame: &Frame) -> bool {
    let given = given.lock().unwrap();
    given.get(&frame.sequence()).is_some_and(|one| std::ptr::eq(one.pixels(), frame.pixels()))
}

#[test]
fn no_pixel_is_copied_and_whoever_follows_sees_the_same_frame_with_its_outputs() {
    let given = keep_given("chained");
    let (wrong, followed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let check = {
        let (given, wrong) = (given.clone(), wrong.clone());
        move |request: &Request, upstream: Option<u64>| {
            let frame = request.frame().unwrap();
            let said = request.upstream::<JsonOutput>().and_then(|output| output.value.as_u64());
            let responses = request.upstream_responses().len();
            if !is_the_given_one(&given, frame)
                || said != upstream.map(|_| frame.sequence())
                || responses != usize::from(upstream.is_some())
            {
                wrong.fetch_add(1, SeqCst);
            }
            frame.sequence()
        }
    };
    let first = check.clone();
    Script::default()
        .run(move |request, _| {
            let sequence = Value::from(first(request, None));
            Ok(Response::new().with(JsonOutput::new("sequence", sequence)))
        })
        .named("chain-first");
    let count = followed.clone();
    Script::default()
        .run(move |request, _| {
            check(request, Some(0));
            count.fetch_add(1, SeqCst);
            Ok(Response::new().with(Regions(Vec::<Region>::new())))
        })
        .named("chain-second");
    let site = Site::start(
        "[plugins.first]
         use = \"scripted\"
         config = { script = \"chain-first\" }
         [plugins.second]
         use = \"following\"
         config = { script = \"chain-second\" }
         [plugins.third]
         use = \"following\"
         config = { script = \"chain-second\" }
         [streams.s]
         source = \"test:chained\"
         plugins = [\"first\", \"second\", \"third\"]",
    );
    let processed = |report: &Value, index: usize| report["plugins"][index]["processed"].as_u64();
    let report = site.await_stream("s", |report| {
        processed(report, 1) > Some(20) && processed(report, 2) > Some(20)
    });
    assert!(processed(&report, 0) >= processed(&report, 1), "{report:#}");
    assert_eq!(wrong.load(SeqCst), 0, "of {} frames", followed.load(SeqCst));
}

#[test]
fn streams_into_one_plugin_have_a_session_each() {
    let given = BTreeMap::from(["one", "two", "three"].map(|name| (name, keep_given(name))));
    // Sessions are opened and run on a thread of their own.
    let sessions = Arc::new(Mutex::new(BTreeMap::new()));
    let opened = sessions.clone();
    let (mixed, seen) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(BTreeMap::new())));
    let (noted, counted) = (mixed.clone(), seen.clone());
    Script::default()
        .open(move |stream| {
            let thread = format!("{:?}", thread::current().id());
            opened.lock().unwrap().insert(thread, stream.name.clone());
            Ok(())
        })
        .run(move |request, _| {
            let thread = format!("{:?}", thread::current().id());
            let stream = sessions.lock().unwrap()[&thread].clone();
            if !is_the_given_one(&given[stream.as_str()], request.frame().unwrap()) {
                noted.fetch_add(1, SeqCst);
            }
            *counted.lock().unwrap().entry(stream).or_insert(0) += 1;
            Ok(Response::new())
        })
        .named("shared");
    let stream =
        |name: &str| format!("[streams.{name}]\nsource = \"test:{name}\"\nplugins = [\"p\"]\n");
    let plugin = "[plugins.p]\nuse = \"scripted\"\nconfig = { script = \"shared\" }\n";
    let site = Site::start(&(plugin.to_owned() + &["one", "two", "three"].map(stream).concat()));
    let running = serde_json::json!({"one": "running", "two": "running", "three": "running"});
    site.await_health("p", |health| health["streams"] == running);
    site.await_health("p", |_| {
        let seen = seen.lock().unwrap();
        seen.len() == 3 && seen.values().all(|count| *count > 20)
    });
    assert_eq!(mixed.load(SeqCst), 0);
}

#[test]
fn numbers_go_on_when_a_driver_hangs_and_another_worker_takes_over() {
    let switch = Switch::named("numbers", Behaviour::Gives);
    let sandbox = Sandbox::new(SandboxLimits::default());
    let (changes, changed) = mpsc::channel();
    let limits = StreamLimits { next: Duration::from_millis(100), ..StreamLimits::default() };
    let spec = StreamSpec {
        name: "numbers".to_owned(),
        source: "test:numbers".parse().unwrap(),
        wish: CaptureWish::default(),
        mode: MailboxMode::Newest,
        critical: false,
        grace: LONGEST,
        feeds: Vec::new(),
        memory: None,
        left_alone: None,
        limits,
        clock: Arc::new(SystemClock),
        on_change: Arc::new(move |_, status| drop(changes.send(status.clone()))),
    };
    let registration = SourceRegistration::of::<TestSource>("test", &["test"]);
    let host = InstanceHost::new("source:numbers", None, &sandbox, |_| {});
    let stream = Stream::start(spec, registration, host, sandbox, Vec::new());
    let await_state = |wanted| {
        while changed.recv_timeout(LONGEST).expect("it changes again").state != wanted {}
    };
    await_state(SourceState::Live);
    let gate = Gate::default();
    switch.set(Behaviour::Hangs(gate.clone()));
    await_state(SourceState::Reconnecting);
    let before = stream.newest_frame().expect("it was live").sequence();
    switch.set(Behaviour::Gives);
    await_state(SourceState::Live);
    let end = Instant::now() + LONGEST;
    let after = loop {
        let newest = stream.newest_frame().expect("it was live").sequence();
        if newest != before {
            break newest;
        }
        assert!(Instant::now() < end, "no other frame");
        thread::yield_now();
    };
    assert!(after > before, "{after} came after {before}");
    gate.open();
    stream.stop();
    stream.join(LONGEST);
}

#[test]
fn the_end_waits_for_no_driver() {
    let gate = Gate::default();
    let names = ["hung-1", "hung-2", "hung-3"];
    let mut toml = "[runtime.limits]\nshutdown = \"10min\"\n".to_owned();
    toml += "[plugins.p]\nuse = \"scripted\"\nconfig = { script = \"\" }\n";
    for name in names {
        Switch::named(name, Behaviour::Hangs(gate.clone()));
        toml += &format!("[streams.{name}]\nsource = \"test:{name}\"\nplugins = [\"p\"]\n");
    }
    let site = Site::start(&toml);
    gate.await_waiting(names.len());
    let (done, ended) = mpsc::channel();
    let runtime = site.runtime.clone();
    let end = thread::spawn(move || {
        runtime.shut_down();
        done.send(()).unwrap();
    });
    // A second; what is asserted is only that it isn't the ten minutes.
    ended.recv_timeout(LONGEST).expect("drivers that hang don't hold up the end");
    gate.open();
    end.join().unwrap();
}
