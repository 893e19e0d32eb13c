//! Streams that come, go and are configured otherwise.

use serde_json::json;

use super::support::{Seen, await_more_frames, plugin, stream};
use crate::support::{Behaviour, Gate, Site, Switch, site::await_value};

#[test]
fn settings_open_a_session_anew_and_leave_the_source_and_the_others_alone() {
    let (first, second) = (Seen::script("one-session"), Seen::script("two-sessions"));
    let source = Switch::named("settings", Behaviour::Gives);
    let base = format!(
        "{}{}{}",
        plugin("a", "one-session", ""),
        plugin("b", "two-sessions", ""),
        stream("s", "settings", "\"a\", \"b\""),
    );
    let site = Site::start(&base);
    await_more_frames(&site, "s");
    site.await_health("b", |health| health["streams"]["s"] == "running");
    let labelled = format!("{base}settings.b = {{ label = \"x\" }}\n");
    site.check_reread(&labelled, &["stream s adjusted"]);
    await_value(|| second.opened().into(), |opened| *opened == 2);
    await_more_frames(&site, "s");
    assert_eq!((first.opened(), source.open_count()), (1, 1));
    first.check_no_gap();
    second.check_no_gap();
    assert_eq!(site.health("b")["generation"], 1);
    assert_eq!(site.stream("s")["reconnects"], 0);
    // And back.
    site.check_reread(&base, &["stream s adjusted"]);
    await_value(|| second.opened().into(), |opened| *opened == 3);
}

#[test]
fn what_is_critical_changes_without_a_frame_lost() {
    let seen = Seen::script("turns-critical");
    let base = format!("{}{}", plugin("p", "turns-critical", ""), stream("s", "crit", "\"p\""));
    let silent = Switch::named("crit", Behaviour::Gives);
    let site = Site::start(&base);
    await_more_frames(&site, "s");
    assert_eq!(site.get("/readyz").0, 200);
    let critical = format!("{base}critical = true\ngrace = \"1ms\"\n");
    site.check_reread(&critical, &["stream s adjusted"]);
    assert_eq!(site.stream("s")["critical"], true);
    assert_eq!(site.get("/readyz").0, 200);
    await_more_frames(&site, "s");
    seen.check_no_gap();
    assert_eq!(seen.opened(), 1);
    silent.set(Behaviour::Fails(keepsight_contract::SourceFault::Lost));
    await_value(|| site.get("/readyz").0.into(), |status| *status == 503);
    site.check_reread(&base, &["stream s adjusted"]);
    assert_eq!(site.get("/readyz").0, 200);
}

#[test]
fn another_source_is_opened_once_the_one_before_is_closed() {
    let seen = Seen::script("resourced");
    let [one, two] = ["source-one", "source-two"].map(|name| Switch::named(name, Behaviour::Gives));
    let toml =
        |source: &str| format!("{}{}", plugin("p", "resourced", ""), stream("s", source, "\"p\""));
    let site = Site::start(&toml("source-one"));
    await_more_frames(&site, "s");
    site.check_reread(&toml("source-two"), &["stream s rebuilt"]);
    let report = site.await_stream("s", |report| report["state"] == "live");
    assert_eq!(report["source"], "test:source-two");
    assert_eq!((one.open_count(), two.open_count()), (0, 1));
    await_more_frames(&site, "s");
    assert_eq!((seen.opened(), &site.health("p")["generation"]), (2, &json!(1)));

    for (line, opened) in [("size = \"64x48\"", 3), ("fps = 5", 4), ("mode = \"newest\"", 5)] {
        let toml = toml("source-two").replace("mode = \"every\"", line);
        site.check_reread(&toml, &["stream s rebuilt"]);
        await_value(|| seen.opened().into(), |count| *count == opened);
        assert_eq!(two.open_count(), 1, "{line}");
    }
    let limited = toml("source-two").replace("mode = \"every\"", "memory = \"64MiB\"");
    site.check_reread(&limited, &["stream s rebuilt"]);
    // Its limit shows once it is open.
    site.await_stream("s", |stream| stream["memory"]["limit_bytes"] == 64 << 20);
    site.check_reread(&plugin("p", "resourced", ""), &["stream s removed"]);
    assert_eq!(two.open_count(), 0);
    site.await_state("p", "INITIALIZED");
    assert_eq!(site.health("p")["streams"], json!({}));
}

#[test]
fn other_plugins_are_fed() {
    let (a, b) = (Seen::script("fed-first"), Seen::script("fed-later"));
    let plugins = plugin("a", "fed-first", "") + &plugin("b", "fed-later", "");
    let toml = |list: &str| format!("{plugins}{}", stream("s", "fed", list));
    let site = Site::start(&toml("\"a\""));
    await_more_frames(&site, "s");
    site.check_reread(&toml("\"b\""), &["stream s rebuilt"]);
    await_more_frames(&site, "s");
    site.await_state("a", "INITIALIZED");
    let seen = a.sequences().len();
    await_more_frames(&site, "s");
    assert_eq!((a.sequences().len(), b.opened()), (seen, 1));
}

#[test]
fn a_driver_that_hangs_holds_up_neither_its_end_nor_its_successor() {
    let gate = Gate::default();
    Switch::named("hung-driver", Behaviour::Hangs(gate.clone()));
    let limits = "[runtime.limits]\nshutdown = \"200ms\"\n";
    let site = Site::start(&format!("{limits}{}", stream("s", "hung-driver", "")));
    gate.await_waiting(1);
    let next = format!("{limits}{}", stream("s", "good-driver", ""));
    site.check_reread(&next, &["stream s rebuilt"]);
    site.await_stream("s", |report| report["state"] == "live");
    gate.open();
}
