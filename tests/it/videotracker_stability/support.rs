use serde_json::{Value, json};

use crate::support::{Site, site::Setup};

/// A site of the scene, which the tracker `tracker` and the statistics `stats` watch. Both lines
/// are TOML: the tracker's configuration and the runtime's.
#[track_caller]
pub(super) fn start_scene(tracker: &str, runtime: &str, setup: Setup) -> Site {
    let toml = format!(
        "{runtime}
         [plugins.tracker]
         use = \"video-tracker\"
         config = {{ threads = 1, {tracker} }}
         [plugins.stats]
         use = \"frame-stats\"
         [streams.scene]
         source = \"scene:?size=160x120\"
         plugins = [\"tracker\", \"stats\"]"
    );
    Site::start_with(&toml, setup).unwrap_or_else(|error| panic!("{error}"))
}

/// The instance can't be used for a reason that a person can act on, its tools say so too, and
/// the process is alive.
#[track_caller]
pub(super) fn check_unavailable(site: &Site, name: &str, code: &str, reasons: &[&str]) {
    let health = site.await_state(name, "UNAVAILABLE");
    assert_eq!(health["code"], code, "{health:#}");
    let reason = health["reason"].as_str().unwrap();
    for part in reasons {
        assert!(reason.contains(part), "{part:?} is not in {health:#}");
    }
    assert!(health["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{health:#}");
    let (status, answer) = site.run_tool(name, "track", &json!({}));
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains(reason), "{answer}");
    check_alive(site);
}

#[track_caller]
pub(super) fn check_alive(site: &Site) {
    let (status, answer) = site.get("/v1/health");
    assert_eq!((status, &answer["status"]), (200, &json!("healthy")), "{answer}");
}

/// The plugin on the stream takes frame after frame without an error.
#[track_caller]
pub(super) fn check_undisturbed(site: &Site, stream: &str, plugin: &str, more: u64) {
    let before = fed(site, stream, plugin)["processed"].as_u64().unwrap();
    site.await_stream(stream, |report| {
        find_fed(report, plugin)["processed"].as_u64().unwrap() >= before + more
    });
    let health = site.health(plugin);
    let found = ["state", "error_count", "restarts", "generation"].map(|key| &health[key]);
    assert_eq!(found, [&json!("RUNNING"), &json!(0), &json!(0), &json!(1)], "{health:#}");
}

/// How the stream sees the plugin.
pub(super) fn fed(site: &Site, stream: &str, plugin: &str) -> Value {
    find_fed(&site.stream(stream), plugin).clone()
}

pub(super) fn find_fed<'a>(report: &'a Value, plugin: &str) -> &'a Value {
    let fed = report["plugins"].as_array().unwrap();
    fed.iter().find(|fed| fed["plugin"] == plugin).unwrap_or_else(|| panic!("{plugin}: {report:#}"))
}
