//! When a plugin is tried again, over days that pass in milliseconds.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use keepsight_contract::{CallError, Finding, InitError, Requirement, Response};
use serde_json::{Value, json};

use crate::support::{ManualClock, Script, Site, site::Setup};

/// A plugin that is tried six times in ten days, and the clock that it goes by.
fn start(script: &str) -> (Site, ManualClock) {
    let clock = ManualClock::new();
    let setup = Setup { clock: Arc::new(clock.clone()), ..Setup::default() };
    let toml = format!(
        "[plugins.p]
         use = \"scripted\"
         restart = {{ budget = 6, window = \"10d\", backoff = [\"1h\", \"2d\"] }}
         config = {{ script = \"{script}\" }}"
    );
    (Site::start_with(&toml, setup).unwrap(), clock)
}

/// A script whose init fails until it is told not to.
fn fails_until_mended(name: &str) -> Arc<AtomicBool> {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    Script::default()
        .init(move |_| match is_mended.load(SeqCst) {
            true => Ok(()),
            false => Err(InitError::Failed("not yet".into())),
        })
        .named(name);
    mended
}

fn next_attempt(health: &Value) -> f64 {
    health["next_attempt_in_seconds"].as_f64().unwrap_or(f64::NAN)
}

/// Waits until the plugin is FAILED for the time after `restarts` restarts, with the next one
/// planned; gives back the seconds to it.
#[track_caller]
fn await_planned(site: &Site, restarts: u64) -> f64 {
    let health = site.await_health("p", |health| {
        health["restarts"] == restarts && health["next_attempt_in_seconds"].is_number()
    });
    let said = (&health["state"], &health["code"], &health["quarantined"], &health["generation"]);
    let expected = (&json!("FAILED"), &json!("init.failed"), &json!(false), &json!(restarts + 1));
    assert_eq!(said, expected, "{health:#}");
    next_attempt(&health)
}

#[test]
fn days_of_back_off_end_in_quarantine_and_a_reload_forgives() {
    let mended = fails_until_mended("backs-off");
    let (site, clock) = start("backs-off");
    for restart in 0..6 {
        let wait = await_planned(&site, restart);
        // Doubled from an hour up to two days, moved by up to a fifth.
        let middle = (3600.0 * f64::from(1_u32 << restart)).min(2.0 * 86_400.0);
        assert!((middle * 0.79..=middle * 1.21).contains(&wait), "{restart}: {wait}");

        clock.advance(Duration::from_secs_f64(wait - 1.0));
        let left = next_attempt(&site.health("p"));
        assert!(left <= 1.0, "a second before its time nothing has begun: {left}");
        assert_eq!(site.health("p")["generation"], restart + 1);
        clock.advance(Duration::from_millis(1100));
    }
    let quarantined = site.await_health("p", |health| health["quarantined"] == true);
    assert_eq!(
        [&quarantined["state"], &quarantined["code"], &quarantined["next_attempt_in_seconds"]],
        [&json!("FAILED"), &json!("supervisor.quarantined"), &Value::Null],
    );
    assert_eq!((&quarantined["restarts"], &quarantined["generation"]), (&json!(6), &json!(7)));
    let reason = quarantined["reason"].as_str().unwrap();
    assert!(reason.contains("6 restarts") && reason.contains("not yet"), "{reason}");
    assert!(!quarantined["hint"].as_str().unwrap().is_empty());

    clock.advance(Duration::from_secs(365 * 86_400));
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 503, "and it is tried, a year later");
    // The reload has forgiven what was, so that the first pause is the first again.
    let health = site.await_health("p", |health| health["next_attempt_in_seconds"].is_number());
    assert!(next_attempt(&health) < 4400.0, "{health:#}");
    assert_eq!((&health["restarts"], &health["generation"]), (&json!(6), &json!(8)));

    mended.store(true, SeqCst);
    clock.advance(Duration::from_secs(4400));
    let health = site.await_state("p", "INITIALIZED");
    assert_eq!((&health["restarts"], &health["quarantined"]), (&json!(7), &json!(false)));
    assert_eq!((&health["code"], &health["next_attempt_in_seconds"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_wall_clock_that_jumps_changes_labels_and_nothing_else() {
    fails_until_mended("wall-jumps");
    let (site, clock) = start("wall-jumps");
    let wait = await_planned(&site, 0);
    let before = site.health("p");
    for (years, label) in [(0, "1970-"), (80, "2050-")] {
        let there = Duration::from_secs(years * 31_557_600 + 43_200);
        clock.set_wall(SystemTime::UNIX_EPOCH + there);
        let health = site.health("p");
        assert!(health["since"].as_str().unwrap().starts_with(label), "{}", health["since"]);
        let without_label = |mut health: Value| {
            health["since"] = Value::Null;
            health
        };
        assert_eq!(without_label(health), without_label(before.clone()));
    }
    // It comes when it would have come.
    clock.advance(Duration::from_secs_f64(wait - 1.0));
    assert!(next_attempt(&site.health("p")) <= 1.0);
    clock.set_wall(SystemTime::UNIX_EPOCH);
    clock.advance(Duration::from_millis(1100));
    await_planned(&site, 1);
}

/// The plugin is UNAVAILABLE with this code until `appear`, and is found by itself then.
#[track_caller]
fn check_comes_back(script: &str, code: &str, appear: impl FnOnce()) {
    let (site, clock) = start(script);
    site.await_state("p", "UNAVAILABLE");
    for _ in 0..3 {
        site.await_health("p", |health| next_attempt(health) > 14.0 && next_attempt(health) < 15.1);
        let health = site.health("p");
        assert_eq!((&health["state"], &health["code"]), (&json!("UNAVAILABLE"), &json!(code)));
        clock.advance(Duration::from_secs(15));
    }
    appear();
    clock.advance(Duration::from_secs(15));
    let health = site.await_state("p", "INITIALIZED");
    assert_eq!((&health["restarts"], &health["code"]), (&json!(0), &Value::Null));
}

#[test]
fn what_was_lacking_appears_and_the_plugin_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    Script::default().requires(Requirement::File { path: path.clone() }).named("lacks-file");
    check_comes_back("lacks-file", "dependency.file_missing", || fs::write(&path, "1").unwrap());

    let program = folder.path().join("program");
    let requirement = Requirement::Program {
        name: program.to_str().unwrap().to_owned(),
        remedy: "install it".to_owned(),
    };
    Script::default().requires(requirement).named("lacks-program");
    check_comes_back("lacks-program", "dependency.program_missing", || make_program(&program));

    // What only init can tell is tried each time.
    let there = Arc::new(AtomicBool::new(false));
    let is_there = there.clone();
    Script::default()
        .init(move |_| match is_there.load(SeqCst) {
            true => Ok(()),
            false => {
                let lacks = Finding::unmet("dependency.licence_missing", "licence", "none", "buy");
                Err(InitError::Unmet(lacks))
            }
        })
        .named("lacks-licence");
    check_comes_back("lacks-licence", "dependency.licence_missing", || there.store(true, SeqCst));
}

fn make_program(path: &Path) {
    fs::write(path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn looking_again_is_no_transition() {
    let path = tempfile::tempdir().unwrap().path().join("never");
    Script::default().requires(Requirement::File { path }).named("lacks-always");
    let (site, clock) = start("lacks-always");
    let first = site.await_health("p", |health| next_attempt(health) > 14.0);
    for _ in 0..20 {
        clock.advance(Duration::from_secs(15));
        site.await_health("p", |health| next_attempt(health) > 14.0);
    }
    let last = site.health("p");
    for key in ["state", "generation", "reason", "restarts"] {
        assert_eq!(last[key], first[key], "{key}");
    }
}

/// A plugin on a stream, which panics in its next frame each time that it is told to.
fn start_streaming(script: &str) -> (Site, ManualClock, Arc<AtomicBool>) {
    let panics = Arc::new(AtomicBool::new(false));
    let is_told = panics.clone();
    Script::default()
        .run(move |request, _| {
            assert!(request.frame().is_none() || !is_told.swap(false, SeqCst), "told to");
            Ok(Response::new())
        })
        .named(script);
    let clock = ManualClock::new();
    let setup = Setup { clock: Arc::new(clock.clone()), ..Setup::default() };
    let toml = format!(
        "[plugins.p]
         use = \"scripted\"
         restart = {{ budget = 5, window = \"10min\", backoff = [\"1s\", \"2min\"] }}
         config = {{ script = \"{script}\" }}
         [streams.s]
         source = \"test:{script}\"
         plugins = [\"p\"]"
    );
    let site = Site::start_with(&toml, setup).unwrap();
    site.await_health("p", |health| health["success_count"].as_u64() > Some(0));
    (site, clock, panics)
}

#[test]
fn a_second_fault_within_the_window_is_the_instances() {
    let (site, clock, panics) = start_streaming("faults-apart");
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    for fault in 1..4 {
        panics.store(true, SeqCst);
        let health = site.await_health("p", |health| health["streams"]["s"] == "restarting");
        assert_eq!((&health["state"], &health["generation"]), (&json!("INITIALIZED"), &json!(1)));
        assert_eq!(health["degraded"][0]["code"], "session.restarting", "{health:#}");
        let why = health["degraded"][0]["reason"].as_str().unwrap();
        assert!(why.contains("told to"), "{why}");
        // Its session is opened again after half a second or so, and not before.
        clock.advance(second);
        let health = site.await_state("p", "RUNNING");
        assert_eq!((&health["degraded"], &health["error_count"]), (&json!([]), &json!(fault)));
        clock.advance(11 * minute);
    }
    panics.store(true, SeqCst);
    site.await_health("p", |health| health["streams"]["s"] == "restarting");
    clock.advance(second);
    site.await_state("p", "RUNNING");
    clock.advance(9 * minute);
    panics.store(true, SeqCst);
    let health = site.await_state("p", "FAILED");
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(1), &json!(0)));
    assert_eq!(health["code"], "run.panicked");
    let health = site.await_health("p", |health| health["next_attempt_in_seconds"].is_number());
    assert!((0.8..=1.2).contains(&next_attempt(&health)), "{health:#}");
    clock.advance(2 * second);
    let health = site.await_state("p", "RUNNING");
    assert_eq!((&health["generation"], &health["restarts"]), (&json!(2), &json!(1)));
}

#[test]
fn calls_that_fail_without_end_count_as_faults() {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    Script::default()
        .run(move |_, _| {
            // One that goes well in between begins the count anew.
            match counted.fetch_add(1, SeqCst) {
                28 => Ok(Response::new()),
                _ => Err(CallError::failed("no more")),
            }
        })
        .named("calls-fail");
    let (site, clock) = start("calls-fail");
    site.await_state("p", "INITIALIZED");
    let call = || site.run_tool("p", "do", &json!({})).0;
    let statuses: Vec<u16> = (0..88).map(|_| call()).collect();
    assert!(
        statuses.iter().enumerate().all(|(n, status)| *status == [500, 200][usize::from(n == 28)])
    );
    assert_eq!(site.health("p")["generation"], 1);
    assert_eq!(call(), 500, "the thirtieth for the second time");
    let health = site.await_state("p", "FAILED");
    assert_eq!((&health["code"], &health["error_count"]), (&json!("run.failed"), &json!(88)));
    clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(site.await_state("p", "INITIALIZED")["generation"], 2);
}
