//! Threads that a plugin owns: they are asked to stop, waited for, and given up.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use keepsight_contract::{CallError, Host, StopToken};
use serde_json::{Value, json};

use crate::support::{Gate, Script, Site, gate::LONGEST, site::await_value};

fn start(script: &str, more: &str) -> Site {
    let site = Site::start(&format!(
        "{more}
         [plugins.p]
         use = \"scripted\"
         restart = {{ budget = 5, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }}
         config = {{ script = \"{script}\" }}"
    ));
    site.await_state("p", "INITIALIZED");
    site
}

fn wait_for_stop(stop: &StopToken) {
    while !stop.is_stopped() {
        thread::park_timeout(Duration::from_millis(1));
    }
}

fn inspected(site: &Site, plugin: &str) -> Value {
    site.get(&format!("/v1/inspector/plugins/{plugin}")).1
}

#[test]
fn a_thread_has_ended_before_the_next_generation_is_built() {
    let (told, tellings) = mpsc::channel();
    let inits = Arc::new(AtomicU64::new(0));
    Script::default()
        .init(move |host| {
            let number = inits.fetch_add(1, SeqCst) + 1;
            told.send(("built", number))?;
            let told = told.clone();
            host.spawn("polls", move |stop| {
                wait_for_stop(&stop);
                told.send(("ended", number)).unwrap();
            })?;
            Ok(())
        })
        .named("threads-joined");
    let site = start("threads-joined", "");
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 200);
    site.runtime.shut_down();
    let order: Vec<_> = tellings.try_iter().collect();
    assert_eq!(order, [("built", 1), ("ended", 1), ("built", 2), ("ended", 2)]);
    assert_eq!(site.runtime.inspector().host().abandoned_ever, 0);
}

#[test]
fn a_thread_that_does_not_end_is_named_counted_and_left_behind() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .init(move |host| {
            let held = held.clone();
            host.spawn("deaf", move |_| held.wait())?;
            Ok(())
        })
        .named("threads-deaf");
    let site = start("threads-deaf", "[runtime.limits]\nshutdown = \"50ms\"");
    gate.await_waiting(1);
    let (status, answer) = site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 200, "{answer}");
    let plugin = inspected(&site, "p");
    assert_eq!(plugin["abandoned_workers"], 1, "{plugin:#}");
    let fault = &plugin["faults"][0];
    assert_eq!(fault["code"], "thread.timed_out", "{plugin:#}");
    assert!(fault["reason"].as_str().unwrap().contains("\"deaf\""), "{fault:#}");

    // Nor does it hold up the end: the other one of it is left behind there.
    gate.await_waiting(2);
    site.runtime.shut_down();
    assert_eq!(site.runtime.inspector().host().abandoned, 2);
    gate.open();
    let abandoned = || site.runtime.inspector().host().abandoned.into();
    await_value(abandoned, |abandoned| *abandoned == 0);
}

#[test]
fn whoever_waits_for_a_thread_holds_nobody_else_up() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .init(move |host| {
            let held = held.clone();
            host.spawn("deaf", move |_| held.wait())?;
            Ok(())
        })
        .run(|_, _| Err(CallError::broken("on request")))
        .named("threads-waited-for");
    Script::default().run(|_, _| Err(CallError::broken("on request"))).named("threads-beside");
    let site = start(
        "threads-waited-for",
        &format!(
            "[runtime.limits]
             shutdown = \"{}s\"
             [plugins.beside]
             use = \"scripted\"
             restart = {{ budget = 5, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }}
             config = {{ script = \"threads-beside\" }}",
            LONGEST.as_secs()
        ),
    );
    site.await_state("beside", "INITIALIZED");
    gate.await_waiting(1);
    // Neither who made the call waits, nor the supervisor, which has another one to look after.
    assert_eq!(site.run_tool("p", "do", &json!({})).0, 500);
    assert_ne!(site.health("p")["state"], "INITIALIZED");
    assert_eq!(site.run_tool("beside", "do", &json!({})).0, 500);
    site.await_health("beside", |health| {
        health["state"] == "INITIALIZED" && health["generation"] == 2
    });
    assert_eq!(site.health("p")["state"], "LOADED", "it waits for its thread");
    gate.open();
    site.await_health("p", |health| health["state"] == "INITIALIZED");
    assert_eq!(site.runtime.inspector().host().abandoned_ever, 0);
}

#[test]
fn a_plugin_may_own_so_many_threads() {
    let refused = Arc::new(AtomicU64::new(0));
    let count = refused.clone();
    Script::default()
        .init(move |host| {
            for _ in 0..Host::THREADS_MAX {
                host.spawn("one", |stop| wait_for_stop(&stop))?;
            }
            let (ended, end) = mpsc::channel::<()>();
            if host.spawn("one-too-many", move |_| drop(ended)).is_err() {
                count.fetch_add(1, SeqCst);
            }
            end.recv().unwrap_err();
            Ok(())
        })
        .named("threads-many");
    let site = start("threads-many", "");
    assert_eq!(refused.load(SeqCst), 1);
    site.runtime.shut_down();
    assert_eq!(site.runtime.inspector().host().abandoned_ever, 0);
}

#[test]
fn a_thread_that_takes_too_much_memory_is_told_to_stop() {
    let (told, tellings) = mpsc::channel();
    Script::default()
        .init(move |host| {
            let told = told.clone();
            host.spawn("greedy", move |stop| {
                let hoard = black_box(vec![1_u8; 8 << 20]);
                wait_for_stop(&stop);
                drop(hoard);
                told.send(()).unwrap();
            })?;
            Ok(())
        })
        .named("threads-greedy");
    let site = Site::start(
        "[plugins.p]\nuse = \"scripted\"\nmemory = \"4MiB\"\nconfig = { script = \"threads-greedy\" }",
    );
    tellings.recv_timeout(LONGEST).unwrap();
    // Its init may have been told too, if it was not over yet.
    let own = |plugin: &Value| {
        let faults = plugin["faults"].as_array().unwrap().clone();
        faults.into_iter().find(|fault| fault["code"] == "thread.memory_exceeded")
    };
    let plugin = await_value(|| inspected(&site, "p"), |plugin| own(plugin).is_some());
    let fault = own(&plugin).unwrap();
    assert!(fault["reason"].as_str().unwrap().contains("\"greedy\""), "{fault:#}");
}
