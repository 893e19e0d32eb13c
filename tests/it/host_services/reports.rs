//! Metrics, events and degradations: what of them arrives, and what is too much.

use keepsight_contract::{Finding, Host, Requirement};
use serde_json::{Value, json};

use crate::support::{Script, Site, client};

fn start(script: &str) -> Site {
    let site =
        Site::start(&format!("[plugins.p]\nuse = \"scripted\"\nconfig.script = \"{script}\""));
    site.await_state("p", "INITIALIZED");
    site
}

/// The samples of one metric, as `/metrics` has them.
fn samples(site: &Site, name: &str) -> Vec<String> {
    let text = String::from_utf8(client::get(site.address(), "/metrics").body).unwrap();
    let is_wanted = |line: &&str| line.starts_with(&format!("{name}{{"));
    text.lines().filter(is_wanted).map(str::to_owned).collect()
}

#[test]
fn metrics_have_a_namespace_and_a_cap() {
    Script::default()
        .init(|host| {
            for index in 0..Host::METRICS_MAX + 5 {
                host.counter(&format!("count_{index:03}")).increment();
            }
            host.counter("count_000").increment();
            host.gauge("level").set(0.5);
            host.histogram("wait_ms").record(3.0);
            host.gauge(&"x".repeat(Host::NAME_BYTES_MAX + 1)).set(1.0);
            Ok(())
        })
        .named("metrics-capped");
    let site = start("metrics-capped");
    assert_eq!(
        samples(&site, "plugin_scripted_count_000_total"),
        ["plugin_scripted_count_000_total{plugin=\"p\"} 2"]
    );
    assert_eq!(
        samples(&site, "plugin_scripted_level"),
        ["plugin_scripted_level{plugin=\"p\"} 0.5"]
    );
    assert_eq!(samples(&site, "plugin_scripted_wait_ms_count").len(), 1);
    let last = Host::METRICS_MAX - 1;
    assert_eq!(samples(&site, &format!("plugin_scripted_count_{last:03}_total")).len(), 1);
    assert_eq!(samples(&site, &format!("plugin_scripted_count_{:03}_total", last + 1)).len(), 0);
    let own = site.runtime.registry().find("p").unwrap().services().metrics();
    assert_eq!((own.counters.len(), own.gauges.len()), (Host::METRICS_MAX, 1));
    assert_eq!(
        samples(&site, "keepsight_plugin_metric_names_refused_total"),
        ["keepsight_plugin_metric_names_refused_total{plugin=\"p\"} 6"]
    );
    // What an earlier generation counted goes on.
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 200);
    assert_eq!(
        samples(&site, "plugin_scripted_count_000_total"),
        ["plugin_scripted_count_000_total{plugin=\"p\"} 4"]
    );
}

#[test]
fn degradations_stand_until_recovered_or_the_generation_ends() {
    Script::default()
        .init(|host| {
            host.degraded("lens.dirty", "the lens is dirty", "wipe it");
            host.degraded("lens.dirty", "the lens is very dirty", "wipe it well");
            host.degraded("lens.loose", "the lens is loose", "fix it");
            host.recovered("lens.loose");
            host.recovered("lens.unheard_of");
            Ok(())
        })
        .named("degraded");
    let site = start("degraded");
    let expected = json!([{
        "code": "lens.dirty", "reason": "the lens is very dirty", "hint": "wipe it well",
    }]);
    assert_eq!(site.health("p")["degraded"], expected);
    assert_eq!(
        samples(&site, "keepsight_plugin_degraded"),
        ["keepsight_plugin_degraded{plugin=\"p\",code=\"lens.dirty\"} 1"]
    );
    Script::default().named("degraded");
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 200);
    assert_eq!(site.health("p")["degraded"], json!([]));
}

#[test]
fn degradations_are_so_many_and_so_long() {
    Script::default()
        .init(|host| {
            for index in 0..Host::DEGRADATIONS_MAX + 3 {
                host.degraded(format!("code.{index}"), "r".repeat(5000), "h".repeat(5000));
            }
            Ok(())
        })
        .named("degraded-much");
    let site = start("degraded-much");
    let health = site.health("p");
    let degraded = health["degraded"].as_array().unwrap();
    assert_eq!(degraded.len(), Host::DEGRADATIONS_MAX);
    let length = |key: &str| degraded[0][key].as_str().unwrap().len();
    assert_eq!((length("reason"), length("hint")), (Host::TEXT_BYTES_MAX, Host::TEXT_BYTES_MAX));
}

#[test]
fn an_event_too_large_arrives_without_its_data() {
    Script::default()
        .init(|host| {
            host.event("large", Value::from("x".repeat(1 << 20)));
            host.event("small", json!({ "answer": 42 }));
            Ok(())
        })
        .named("events-large");
    let site = start("events-large");
    let mut client = client::Client::connect(site.address());
    client.send(
        b"GET /v1/events?plugin=p HTTP/1.1\r\nhost: localhost\r\nlast-event-id: beginning\r\n\r\n",
    );
    client.receive().unwrap();
    let mut text = String::new();
    while !text.contains("\"small\"") {
        text += &client.chunk().expect("events go on");
    }
    let data: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .filter_map(|data| serde_json::from_str(data).ok())
        .filter(|data: &Value| data.get("kind").is_some())
        .collect();
    let bytes = (1 << 20) + 2;
    assert_eq!(data[0]["kind"], "large");
    assert_eq!(data[0]["data"], json!({ "truncated": true, "bytes": bytes }), "{data:?}");
    assert_eq!((&data[1]["kind"], &data[1]["data"]), (&json!("small"), &json!({ "answer": 42 })));
}

#[test]
fn a_plugin_can_ask_for_what_would_be_welcome() {
    let missing = Requirement::EnvVar { name: "KEEPSIGHT_TEST_NEVER_SET".to_owned() };
    let here = Requirement::EnvVar { name: "PATH".to_owned() };
    let (tell, told) = std::sync::mpsc::channel::<[Option<Finding>; 2]>();
    Script::default()
        .init(move |host| {
            tell.send([host.check(&missing), host.check(&here)])?;
            Ok(())
        })
        .named("checks");
    let _site = start("checks");
    let [missing, here] = told.recv().unwrap().map(|finding| finding.expect("probes are here"));
    assert!(!missing.met && !missing.hint.is_empty(), "{missing:?}");
    assert!(here.met, "{here:?}");
}
