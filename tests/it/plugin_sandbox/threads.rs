//! Panics on threads that are not the sandbox's workers: the plugin's own, and those of pools that
//! work for it.

use std::thread;

use keepsight_contract::Response;
use serde_json::{Value, json};

use crate::support::{Script, Site};

fn start(script: &str, lines: &str) -> Site {
    let site = Site::start(&format!(
        "[plugins.p]\nuse = \"scripted\"\nconfig = {{ script = \"{script}\" }}\n{lines}"
    ));
    site.await_state("p", "INITIALIZED");
    site
}

/// Waits until the newest fault is that of a thread; then the plugin is degraded for it, too.
#[track_caller]
fn check(site: &Site, thread: &str, message: &str) -> Value {
    let reason = format!("thread {thread:?}: panicked in thread: {message}");
    let health = site.await_health("p", |health| {
        let degraded = health["degraded"].as_array().unwrap().iter();
        degraded.clone().any(|each| each["code"] == "thread.panicked" && each["reason"] == reason)
    });
    let (_, report) = site.get("/v1/inspector/plugins/p");
    let fault = report["faults"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&fault["code"], &fault["reason"]), (&json!("thread.panicked"), &json!(reason)));
    assert!(fault["location"].as_str().unwrap().contains("threads.rs:"), "{fault:#}");
    let hint = health["degraded"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("reload it"), "{health:#}");
    assert_eq!((&health["success_count"], &health["error_count"]), (&json!(1), &json!(0)));
    health
}

#[test]
fn an_own_threads_panic_degrades_the_plugin_and_a_second_builds_it_anew() {
    let host = std::sync::Arc::new(std::sync::Mutex::new(None));
    let kept = host.clone();
    Script::default()
        .init(move |host| {
            *kept.lock().unwrap() = Some(host.clone());
            Ok(())
        })
        .run(move |_, _| {
            let host = host.lock().unwrap().clone().unwrap();
            host.spawn("own", |_| panic!("a thread's {}", "own"))?;
            Ok(Response::new())
        })
        .named("own-thread-panics");
    let policy = "restart = { budget = 5, window = \"10min\", backoff = [\"10ms\", \"50ms\"] }";
    let site = start("own-thread-panics", policy);
    assert_eq!(site.run_tool("p", "do", &json!({})).0, 200, "the call went well");
    let health = check(&site, "own", "a thread's own");
    assert_eq!((&health["state"], &health["generation"]), (&json!("INITIALIZED"), &json!(1)));

    assert_eq!(site.run_tool("p", "do", &json!({})).0, 200);
    let health = site
        .await_health("p", |health| health["state"] == "INITIALIZED" && health["generation"] == 2);
    assert_eq!(health["degraded"], json!([]), "the next generation has all of its threads");
}

#[test]
fn a_foreign_threads_panic_in_the_plugins_scope_degrades_it_until_it_is_built_anew() {
    let host = std::sync::Arc::new(std::sync::Mutex::new(None));
    let kept = host.clone();
    Script::default()
        .init(move |host| {
            *kept.lock().unwrap() = Some(host.clone());
            Ok(())
        })
        .run(move |_, _| {
            let scope = host.lock().unwrap().clone().unwrap().scope();
            let pool = thread::Builder::new().name("pool-7".to_owned()).spawn(move || {
                let _entered = scope.enter();
                panic!("in a pool");
            })?;
            let joined: thread::Result<()> = pool.join();
            assert!(joined.is_err());
            Ok(Response::new())
        })
        .named("pool-panics");
    let site = start("pool-panics", "");
    assert_eq!(site.run_tool("p", "do", &json!({})).0, 200);
    check(&site, "pool-7", "in a pool");

    let (status, answer) = site.post("/v1/plugins/p/reload", "");
    assert_eq!(status, 200, "{answer}");
    let health = site.health("p");
    assert_eq!((&health["generation"], &health["degraded"]), (&json!(2), &json!([])));
}
