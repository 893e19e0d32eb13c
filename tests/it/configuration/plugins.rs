//! Plugins that come, go and are configured otherwise.

use std::{
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};

use keepsight::runtime::RereadError;
use keepsight_contract::Response;
use serde_json::{Value, json};

use super::support::{Seen, await_more_frames, plugin, stream};
use crate::support::{Gate, Script, Site, client, gate::LONGEST, site::await_value};

/// Nothing that hangs is waited for longer than needed.
const SHORT_LIMITS: &str = "[runtime.limits]\nshutdown = \"300ms\"\ncall = \"300ms\"\n";

fn names(site: &Site) -> Vec<String> {
    let (_, list) = site.get("/v1/plugins");
    let names = list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

/// Names the script, and tells of each instance of it that is dropped.
fn drops_of(name: &str, script: Script) -> mpsc::Receiver<()> {
    let (dropped, drops) = mpsc::channel();
    let dropped = Mutex::new(dropped);
    let on_drop = move || {
        let _ = dropped.lock().unwrap().send(());
    };
    script.on_drop(on_drop).named(name);
    drops
}

#[test]
fn what_is_new_is_loaded_and_what_is_gone_is_gone_everywhere() {
    let drops = drops_of("comes-goes", Script::default());
    let seen = Seen::script("stays");
    let base = format!("{}{}", plugin("a", "stays", ""), stream("s", "stays", "\"a\""));
    let more = plugin("b", "comes-goes", "critical = true");
    let more = format!("{base}{more}{}", stream("t", "comes-goes", "\"b\""));

    let site = Site::start(&base);
    site.await_state("a", "RUNNING");
    site.check_reread(&more, &["plugin b added", "stream t added"]);
    site.await_state("b", "RUNNING");
    assert_eq!(names(&site), ["a", "b"]);
    assert_eq!(site.run_tool("b", "do", &json!({})).0, 200);
    let (_, ready) = site.get("/readyz?verbose");
    assert!(ready.to_string().contains("\"b\""), "{ready}");

    site.check_reread(&base, &["plugin b removed", "stream t removed"]);
    drops.recv_timeout(LONGEST).expect("what was built is dropped");
    assert_eq!(names(&site), ["a"]);
    for path in ["/v1/plugins/b/health", "/v1/plugins/b/manifest", "/v1/streams/t"] {
        assert_eq!(site.get(path).0, 404, "{path}");
    }
    assert_eq!(site.run_tool("b", "do", &json!({})).0, 400);
    assert_eq!(site.post("/v1/plugins/b/reload", "").0, 404);
    let metrics = client::get(site.address(), "/metrics").body;
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("plugin=\"a\"") && !metrics.contains("plugin=\"b\""), "{metrics}");
    let (_, ready) = site.get("/readyz?verbose");
    assert!(!ready.to_string().contains("\"b\""), "{ready}");

    // Another of that name begins anew.
    site.check_reread(&more, &["plugin b added", "stream t added"]);
    assert_eq!(site.await_state("b", "RUNNING")["generation"], 1);
    seen.check_no_gap();
}

#[test]
fn what_is_the_same_is_not_touched() {
    let seen = Seen::script("untouched");
    Script::default().named("other");
    let kept = format!("{}{}", plugin("kept", "untouched", ""), stream("s", "kept", "\"kept\""));
    let other = |label: &str| {
        let label = format!("[plugins.other.config]\nscript = \"other\"\nlabel = \"{label}\"\n");
        format!("{kept}[plugins.other]\nuse = \"scripted\"\n{label}")
    };
    let site = Site::start(&other("first"));
    site.await_state("kept", "RUNNING");
    site.await_state("other", "INITIALIZED");
    let began = site.health("kept")["since"].clone();

    site.check_reread(&other("first"), &[]);
    for (round, label) in ["second", "third"].into_iter().enumerate() {
        site.check_reread(&other(label), &["plugin other rebuilt"]);
        let generation = round as u64 + 2;
        site.await_health("other", |health| {
            health["generation"] == generation && health["state"] == "INITIALIZED"
        });
    }
    site.check_reread(&kept, &["plugin other removed"]);
    await_more_frames(&site, "s");
    seen.check_no_gap();
    assert_eq!(seen.opened(), 1);
    let health = site.health("kept");
    assert_eq!((&health["generation"], &health["since"]), (&json!(1), &began), "{health:#}");
    assert_eq!(site.stream("s")["reconnects"], 0);
}

#[test]
fn another_configuration_is_another_generation_with_the_streams_attached() {
    let (label, labels) = mpsc::channel();
    let label = Mutex::new(label);
    Script::default()
        .open(move |stream| {
            let settings: Value = stream.settings().unwrap();
            let _ = label.lock().unwrap().send(settings);
            Ok(())
        })
        .named("labelled");
    let toml = |label: &str| {
        format!(
            "[plugins.p]\nuse = \"scripted\"\n\
             config = {{ script = \"labelled\", label = \"{label}\" }}\n\
             [streams.own]\nsource = \"test:own\"\nplugins = [\"p\"]\n\
             settings.p = {{ label = \"own\" }}\n"
        )
    };
    let next = || labels.recv_timeout(LONGEST).unwrap()["label"].clone();
    let site = Site::start(&toml("one"));
    assert_eq!(next(), "own");
    let before = site.await_state("p", "RUNNING")["success_count"].as_u64();

    site.check_reread(&toml("two"), &["plugin p rebuilt"]);
    assert_eq!(next(), "own", "the stream's own label lies over the new one too");
    let health = site.await_health("p", |health| {
        health["generation"] == 2 && health["streams"]["own"] == "running"
    });
    assert!(health["success_count"].as_u64() >= before, "it is the same instance: {health:#}");
    // A call has the instance's.
    assert_eq!(site.run_tool("p", "do", &json!({})).0, 200);
    assert_eq!(next(), "two");
}

#[test]
fn limits_are_changed_without_building_anything_anew() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |request, _| {
            if request.frame().is_none() {
                held.wait();
            }
            Ok(Response::new())
        })
        .named("limits");
    let site = Site::start(&plugin("p", "limits", ""));
    site.await_state("p", "INITIALIZED");
    let changed = plugin(
        "p",
        "limits",
        "critical = true\ngrace = \"7s\"\ndeadline = \"250ms\"\nmemory = \"64MiB\"\n\
         restart = { budget = 2, window = \"1h\", backoff = [\"3s\", \"4s\"] }",
    );
    let changed = format!("{SHORT_LIMITS}{changed}");
    site.check_reread(&changed, &["plugin p adjusted"]);
    site.check_reread(&changed, &[]);

    let (_, inspection) = site.get("/v1/inspector/plugins/p");
    let restart = json!({
        "budget": 2, "window_seconds": 3600.0,
        "backoff_first_seconds": 3.0, "backoff_longest_seconds": 4.0,
    });
    assert_eq!(inspection["restart_policy"], restart);
    let limits = &inspection["time_limits_seconds"];
    assert_eq!((&limits["frame"], &limits["call"]), (&json!(0.25), &json!(0.3)), "{limits}");
    assert_eq!(inspection["memory"]["limit_bytes"], 64 << 20);
    assert_eq!((&inspection["critical"], &inspection["generation"]), (&json!(true), &json!(1)));
    let (status, answer) = site.run_tool("p", "do", &json!({}));
    assert_eq!(status, 408, "{answer}");
    gate.open();
}

#[test]
fn an_instance_of_another_plugin_is_another_instance() {
    Script::default().named("replaced");
    let toml = |plugin: &str, config: &str| {
        format!(
            "[plugins.p]\nuse = \"{plugin}\"\nconfig = {{ {config} }}\n\
             [streams.s]\nsource = \"test:replaced\"\nplugins = [\"p\"]\n"
        )
    };
    let site = Site::start(&toml("scripted", "script = \"replaced\""));
    site.await_state("p", "RUNNING");
    site.check_reread(&toml("fault-injector", ""), &["plugin p rebuilt", "stream s rebuilt"]);
    let health = site.await_state("p", "RUNNING");
    assert_eq!((&health["generation"], &health["streams"]["s"]), (&json!(1), &json!("running")));
    assert_eq!(site.get("/v1/plugins/p/manifest").1["id"], "fault-injector");
}

#[test]
fn what_runs_is_drained_and_what_waits_is_refused() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("drained");
    let site = Site::start(&plugin("p", "drained", ""));
    site.await_state("p", "INITIALIZED");
    thread::scope(|scope| {
        let running: Vec<_> =
            (0..2).map(|_| scope.spawn(|| site.run_tool("p", "do", &json!({})).0)).collect();
        gate.await_waiting(2);
        // Eight may wait, so once one of nine more is refused, the others do.
        let (answered, answers) = mpsc::channel();
        for _ in 0..9 {
            let (answered, site) = (answered.clone(), &site);
            scope.spawn(move || answered.send(site.run_tool("p", "do", &json!({}))));
        }
        assert_eq!(answers.recv_timeout(LONGEST).unwrap().0, 503);
        let reread = scope.spawn(|| site.reread("").map(drop).map_err(|error| error.to_string()));
        await_value(|| names(&site).into(), |names| *names == json!([]));
        assert_eq!(site.run_tool("p", "do", &json!({})).0, 400);
        // Meanwhile nobody else's turn has come.
        let busy = site.reread("").unwrap_err();
        assert!(matches!(busy, RereadError::UnderWay), "{busy}");
        for _ in 0..8 {
            let (status, refusal) = answers.recv_timeout(LONGEST).unwrap();
            assert_eq!(status, 503, "{refusal}");
            let refusal = refusal.to_string();
            assert!(refusal.contains("no longer in the configuration"), "{refusal}");
        }
        gate.open();
        assert!(running.into_iter().all(|call| call.join().unwrap() == 200));
        reread.join().unwrap().unwrap();
    });
}

#[test]
fn what_hangs_is_left_behind() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .run(move |_, _| {
            held.wait();
            Ok(Response::new())
        })
        .named("hangs-at-removal");
    let hanging = plugin("p", "hangs-at-removal", "deadline = \"60s\"");
    let hanging = format!("{SHORT_LIMITS}{hanging}{}", stream("s", "hung", "\"p\""));
    let seen = Seen::script("lives-on");
    let living = format!("{}{}", plugin("l", "lives-on", ""), stream("t", "living", "\"l\""));
    let site = Site::start(&format!("{hanging}{living}"));
    gate.await_waiting(1);
    thread::scope(|scope| {
        let call = scope.spawn(|| site.run_tool("p", "do", &json!({})));
        gate.await_waiting(2);
        let start = Instant::now();
        let living = format!("{SHORT_LIMITS}{living}");
        site.check_reread(&living, &["plugin p removed", "stream s removed"]);
        assert!(start.elapsed() < LONGEST, "every wait has its end");
        assert_eq!(call.join().unwrap().0, 408);
    });
    assert_eq!(names(&site), ["l"]);
    assert_eq!(site.get("/v1/inspector/host").1["abandoned_workers"], 2);
    await_more_frames(&site, "t");
    seen.check_no_gap();
    gate.open();
    await_value(|| site.get("/v1/inspector/host").1, |host| host["abandoned_workers"] == 0);
}

#[test]
fn what_was_left_alone_goes_and_comes_back_as_any_other() {
    Script::default()
        .run(|request, _| match request.frame() {
            Some(_) => panic!("at every frame"),
            None => Ok(Response::new()),
        })
        .named("quarantined-removal");
    let base = stream("s", "quarantined", "");
    let quarantined = plugin("p", "quarantined-removal", "restart = { budget = 0 }");
    let with = format!("{quarantined}{}", stream("s", "quarantined", "\"p\""));
    let site = Site::start(&with);
    site.await_health("p", |health| health["quarantined"] == true);
    site.check_reread(&base, &["plugin p removed", "stream s rebuilt"]);
    assert_eq!(names(&site), [""; 0]);
    site.check_reread(&format!("{base}{quarantined}"), &["plugin p added"]);
    let health = site.await_state("p", "INITIALIZED");
    assert_eq!((&health["quarantined"], &health["restarts"]), (&json!(false), &json!(0)));
}

#[test]
fn another_configuration_lifts_a_quarantine() {
    Script::default()
        .init(|_| Err(keepsight_contract::InitError::failed("never")))
        .named("cannot-load");
    Script::default().named("can-load");
    let toml = |script| plugin("p", script, "restart = { budget = 0 }");
    let site = Site::start(&toml("cannot-load"));
    site.await_health("p", |health| health["quarantined"] == true);
    site.check_reread(&toml("can-load"), &["plugin p rebuilt"]);
    site.await_state("p", "INITIALIZED");
}

#[test]
fn what_is_gone_before_it_was_loaded_never_comes() {
    let gate = Gate::default();
    let held = gate.clone();
    let script = Script::default().init(move |_| {
        held.wait();
        Ok(())
    });
    let drops = drops_of("gone-early", script);
    let site = Site::start(&plugin("p", "gone-early", ""));
    gate.await_waiting(1);
    site.check_reread("", &["plugin p removed"]);
    gate.open();
    drops.recv_timeout(LONGEST).expect("what was built in spite of that is dropped");
    assert_eq!(names(&site), [""; 0]);
}

#[test]
fn one_that_is_being_loaded_is_built_anew_after_that() {
    let gate = Gate::default();
    let held = gate.clone();
    Script::default()
        .init(move |_| {
            held.wait();
            Ok(())
        })
        .named("slow-load");
    Script::default().named("quick-load");
    let site = Site::start(&plugin("p", "slow-load", ""));
    gate.await_waiting(1);
    site.check_reread(&plugin("p", "quick-load", ""), &["plugin p rebuilt"]);
    gate.open();
    site.await_health("p", |health| health["generation"] == 2 && health["state"] == "INITIALIZED");
}

#[test]
fn nothing_is_read_before_the_beginning_or_after_the_end() {
    let site = Site::start("");
    site.runtime.shut_down();
    let error = site.reread("").unwrap_err();
    assert!(matches!(error, RereadError::NotRunning), "{error}");
}
