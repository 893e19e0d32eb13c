//! A hangup has the configuration read again.

use std::fs;

use serde_json::{Value, json};

use super::support::{Place, Serving};
use crate::support::site::await_value;

const ONE: &str = "version = 1\nruntime.limits.shutdown = \"2s\"\n\
    [plugins.stats]\nuse = \"frame-stats\"\n\
    [streams.yard]\nsource = \"scene:?size=64x48&targets=0\"\nplugins = [\"stats\"]\n";

const MORE: &str = "[plugins.more]\nuse = \"frame-stats\"\nconfig = { step = 2 }\n\
    [streams.other]\nsource = \"scene:?size=64x48&targets=1\"\nplugins = [\"more\", \"stats\"]\n\
    [[outputs]]\nto = \"file:out.jsonl\"\nwhat = [\"json\"]\n";

/// Has the file read again that now says `toml`; waits for the outcome and gives its report.
#[track_caller]
fn reread(place: &Place, serving: &Serving, toml: &str) -> Value {
    let last = |host: &Value| host["last_reread"]["at"].clone();
    let before = last(&serving.get("/v1/inspector/host"));
    place.write("keepsight.toml", toml);
    serving.signal("HUP");
    let host = serving.await_get("/v1/inspector/host", |host| last(host) != before);
    host["last_reread"].clone()
}

#[test]
fn what_the_file_says_now_is_in_force() {
    let place = Place::new();
    place.write("keepsight.toml", ONE);
    let serving = place.serve(&[]);
    let states = |wanted: &'static str| {
        move |list: &Value| {
            let items = list.as_array().unwrap().iter();
            let states = items.map(|item| format!("{} {}", item["name"], item["state"]));
            states.collect::<Vec<_>>().join(", ").replace('"', "") == wanted
        }
    };
    serving.await_get("/v1/plugins", states("stats RUNNING"));
    let report = reread(&place, &serving, &format!("{ONE}{MORE}"));
    assert_eq!((&report["outcome"], &report["needs_restart"]), (&json!("applied"), &json!([])));
    serving.await_get("/v1/plugins", states("more RUNNING, stats RUNNING"));

    let report = reread(&place, &serving, &format!("{ONE}[plugins.stats]\nuse = \"x\"\n"));
    assert_eq!(report["outcome"], "refused");
    let reason = report["reason"].as_str().unwrap();
    assert_eq!(reason, "keepsight.toml:8:10: duplicate key");
    fs::remove_file(place.path().join("keepsight.toml")).unwrap();
    serving.signal("HUP");
    let host = serving.await_get("/v1/inspector/host", |host| {
        host["last_reread"]["reason"].as_str().is_some_and(|reason| reason.contains("cannot read"))
    });
    assert_eq!(host["last_reread"]["outcome"], "refused");
    serving.await_get("/v1/plugins", states("more RUNNING, stats RUNNING"));
    serving.signal("TERM");
    serving.ended().check(
        0,
        &[
            "configured otherwise kind=\"plugin\" name=\"more\" change=\"added\"",
            "the configuration is refused",
            "duplicate key",
        ],
    );
}

#[test]
fn ten_readings_in_a_row_leave_nothing_behind() {
    let place = Place::new();
    place.write("keepsight.toml", ONE);
    let serving = place.serve(&[]);
    let stats =
        serving.await_get("/v1/plugins/stats/health", |health| health["state"] == "RUNNING");
    // Twice for what is made when it is first needed.
    for _ in 0..2 {
        reread(&place, &serving, &format!("{ONE}{MORE}"));
        reread(&place, &serving, ONE);
    }
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", serving.id())).unwrap().count();
    // Those of the server come and go with the requests.
    let threads = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", serving.id())).unwrap();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
        let mut names: Vec<_> = tasks.filter_map(|task| name(task.ok()?)).collect();
        names.retain(|name| name != "http\n");
        names.sort();
        Value::from(names)
    };
    let (threads_before, descriptors_before) = (threads(), descriptors());
    for _ in 0..5 {
        let report = reread(&place, &serving, &format!("{ONE}{MORE}"));
        assert_eq!(report["changes"].as_array().map(Vec::len), Some(3), "{report}");
        reread(&place, &serving, ONE);
    }
    await_value(threads, |threads| *threads == threads_before);
    let is_no_more = |count: &Value| count.as_u64() <= Some(descriptors_before as u64);
    await_value(|| descriptors().into(), is_no_more);
    let host = serving.get("/v1/inspector/host");
    assert_eq!((&host["abandoned_workers_ever"], &host["children"]), (&json!(0), &json!(0)));
    let now = serving.get("/v1/plugins/stats/health");
    assert_eq!((&now["since"], &now["generation"]), (&stats["since"], &stats["generation"]));
    serving.signal("TERM");
    serving.ended().check(0, &[]);
}
