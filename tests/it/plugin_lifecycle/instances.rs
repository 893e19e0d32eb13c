//! Whole instances on their way through the lifecycle, asked by HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use keepsight_contract::{CallError, InitError, Response};
use serde_json::json;

use crate::support::{Gate, Script, Site, client::get, gate::LONGEST};

fn start(script: &str) -> Site {
    let site = Site::start(&format!(
        "[plugins.p]
         use = \"scripted\"
         restart = {{ budget = 3, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }}
         config = {{ script = \"{script}\" }}
         [streams.s]
         source = \"test:{script}\"
         plugins = [\"p\"]"
    ));
    site.await_state("p", "RUNNING");
    site
}

#[test]
fn a_reload_with_a_stream_attached_drops_the_old_instance_and_goes_on() {
    let drops = Arc::new(AtomicU64::new(0));
    let dropped = drops.clone();
    Script::default()
        .on_drop(move || {
            dropped.fetch_add(1, SeqCst);
        })
        .named("reload-healthy");
    let site = start("reload-healthy");
    for generation in 2..5 {
        let (status, answer) = site.post("/v1/plugins/p/reload", "");
        assert_eq!(status, 200, "{answer}");
        let health = site.await_state("p", "RUNNING");
        assert_eq!(health["generation"], generation);
        site.await_health("p", |_| drops.load(SeqCst) == generation - 1);
    }
    let before = site.stream("s")["plugins"][0]["processed"].as_u64().unwrap();
    site.await_stream("s", |report| {
        report["plugins"][0]["processed"].as_u64().unwrap() > before + 5
    });
}

#[test]
fn a_second_reload_is_refused_while_one_runs() {
    let (gate, inits) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let held = gate.clone();
    Script::default()
        .init(move |_| {
            if inits.fetch_add(1, SeqCst) == 1 {
                held.wait();
            }
            Ok(())
        })
        .named("reload-twice");
    let site = start("reload-twice");
    thread::scope(|scope| {
        let first = scope.spawn(|| site.post("/v1/plugins/p/reload", ""));
        gate.await_waiting(1);
        assert_eq!(site.health("p")["state"], "LOADED");
        assert_eq!(site.post("/v1/plugins/p/reload", "").0, 409);
        assert_eq!(site.run_tool("p", "do", &json!({})).0, 503);
        gate.open();
        assert_eq!(first.join().unwrap().0, 200);
    });
    assert_eq!(site.post("/v1/plugins/nobody/reload", "").0, 404);
}

#[test]
fn a_broken_instance_is_built_anew_and_its_queued_calls_are_answered_once() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |request, _| {
            if request.frame().is_none() {
                held.wait();
                return Err(CallError::broken("for good"));
            }
            Ok(Response::new())
        })
        .named("broken-busy");
    let site = start("broken-busy");
    thread::scope(|scope| {
        let calls: Vec<_> =
            (0..6).map(|_| scope.spawn(|| site.run_tool("p", "do", &json!({})))).collect();
        // Two run at a time; the others wait in the queue.
        gate.await_waiting(2);
        gate.open();
        let statuses: Vec<_> = calls.into_iter().map(|call| call.join().unwrap().0).collect();
        assert!(statuses.iter().all(|status| matches!(status, 500 | 503)), "{statuses:?}");
        assert!(statuses.contains(&500), "{statuses:?}");
    });
    site.await_health("p", |health| {
        health["state"] == "RUNNING" && health["generation"].as_u64() > Some(1)
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |request, _| {
            if request.frame().is_none() {
                held.wait();
            }
            Ok(Response::new())
        })
        .named("queue-full");
    let site = start("queue-full");
    thread::scope(|scope| {
        let running: Vec<_> =
            (0..2).map(|_| scope.spawn(|| site.run_tool("p", "do", &json!({})).0)).collect();
        gate.await_waiting(2);
        // Eight may wait, so of nine more one is refused while nothing moves.
        let (refused, answers) = std::sync::mpsc::channel();
        for _ in 0..9 {
            let (refused, site) = (refused.clone(), &site);
            scope.spawn(move || refused.send(site.run_tool("p", "do", &json!({})).0));
        }
        let first = answers.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        assert_eq!(first, 503);
        gate.open();
        assert!(answers.iter().take(8).all(|status| status == 200));
        assert!(running.into_iter().all(|call| call.join().unwrap() == 200));
    });
}

#[test]
fn a_reload_waits_for_what_runs_and_refuses_what_waits() {
    let (gate, inits) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let (held, begun) = (gate.clone(), inits.clone());
    let ran = Arc::new(AtomicU64::new(0));
    let counted = ran.clone();
    Script::default()
        .init(move |_| {
            begun.fetch_add(1, SeqCst);
            Ok(())
        })
        .run(move |request, _| {
            if request.frame().is_none() {
                counted.fetch_add(1, SeqCst);
                held.wait();
            }
            Ok(Response::new())
        })
        .named("reload-busy");
    let site = start("reload-busy");
    thread::scope(|scope| {
        let (answer, answers) = std::sync::mpsc::channel();
        for _ in 0..7 {
            let (answer, site) = (answer.clone(), &site);
            scope.spawn(move || answer.send(site.run_tool("p", "do", &json!({})).0));
        }
        gate.await_waiting(2);
        // Until the other five wait, a reload would find fewer.
        let instance = site.runtime.registry().find("p").unwrap();
        site.await_health("p", |_| instance.calls_waiting() == 5);
        let reload = scope.spawn(|| site.post("/v1/plugins/p/reload", ""));
        let refused: Vec<u16> = (0..5).map(|_| answers.recv_timeout(LONGEST).unwrap()).collect();
        assert_eq!(refused, [503; 5], "at once, while two still run");
        assert_eq!(inits.load(SeqCst), 1, "and nothing of the next generation does");
        assert_eq!(site.health("p")["state"], "LOADED");
        gate.open();
        let finished: Vec<u16> = (0..2).map(|_| answers.recv_timeout(LONGEST).unwrap()).collect();
        assert_eq!(finished, [200; 2], "what ran is drained");
        assert_eq!(reload.join().unwrap().0, 200);
    });
    let health = site.await_state("p", "RUNNING");
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(2), &json!(0)));
    assert_eq!(ran.load(SeqCst), 2, "no refused call was run by the next generation");
}

#[test]
fn a_failed_plugin_with_a_stream_attached_is_reloaded() {
    let mended = Arc::new(AtomicBool::new(true));
    let is_mended = mended.clone();
    Script::default()
        .init(move |_| match is_mended.load(SeqCst) {
            true => Ok(()),
            false => Err(InitError::Failed("not now".into())),
        })
        .named("reload-failed");
    let site = start("reload-failed");
    mended.store(false, SeqCst);
    let (status, answer) = site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("not now"), "{answer}");
    let health = site.await_health("p", |health| health["quarantined"] == true);
    assert_eq!((&health["state"], &health["restarts"]), (&json!("FAILED"), &json!(3)));
    assert_eq!(health["streams"]["s"], "waiting");
    assert_eq!(site.run_tool("p", "do", &json!({})).0, 503);
    mended.store(true, SeqCst);
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 200);
    let health = site.await_state("p", "RUNNING");
    assert_eq!((&health["quarantined"], &health["generation"]), (&json!(false), &json!(6)));
}

#[test]
fn an_instance_that_ends_while_its_threads_are_abandoned_is_dropped_once_one_returns() {
    let (gate, dropped) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let (held, count) = (gate.clone(), dropped.clone());
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .on_drop(move || {
            count.fetch_add(1, SeqCst);
        })
        .named("dropped-late");
    let site = Site::start(
        "[runtime.limits]
         call = \"50ms\"
         [plugins.it]
         use = \"scripted\"
         config = { script = \"dropped-late\" }
         restart = { budget = 9, window = \"1ms\", backoff = [\"1ms\", \"1ms\"] }",
    );
    site.await_state("it", "INITIALIZED");
    let abandoned = || {
        let metrics = get(site.address(), "/metrics").body;
        String::from_utf8(metrics).unwrap().contains("keepsight_abandoned_workers 3\n")
    };
    // Three is as many as an instance may have.
    while !abandoned() {
        site.run_tool("it", "do", &json!({}));
    }
    let counted = site.health("it")["error_count"].clone();
    let (status, answer) = site.run_tool("it", "do", &json!({}));
    assert_eq!((status, &site.health("it")["error_count"]), (503, &counted), "{answer}");
    site.post("/v1/plugins/it/reload", "");
    assert_eq!(dropped.load(SeqCst), 0, "it has no thread for that");
    gate.open();
    site.await_health("it", |_| dropped.load(SeqCst) > 0);
}

#[test]
fn the_end_of_the_process_waits_for_the_plugins_drop() {
    let (gate, ended) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let (held, dropped) = (gate.clone(), ended.clone());
    Script::default()
        .on_drop(move || {
            held.wait();
            dropped.store(true, SeqCst);
        })
        .named("dropped-at-the-end");
    let site = start("dropped-at-the-end");
    thread::scope(|scope| {
        let end = scope.spawn(|| site.runtime.shut_down());
        gate.await_waiting(1);
        assert!(!end.is_finished());
        gate.open();
        end.join().unwrap();
    });
    assert!(ended.load(SeqCst));
}
