//! What is critical makes the process not ready, once it is away for longer than its grace.

use keepsight_contract::SourceFault;
use serde_json::{Value, json};

use crate::support::{Behaviour, Site, Switch, site::await_value};

fn verdicts(body: &Value) -> Vec<(&str, &str)> {
    let checks = body["checks"].as_array().expect("asked for with verbose");
    checks
        .iter()
        .map(|check| (check["name"].as_str().unwrap(), check["verdict"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_critical_stream_counts_once_it_is_away_for_longer_than_its_grace() {
    let door = Switch::named("critical-door", Behaviour::Gives);
    let gate = Switch::named("critical-gate", Behaviour::Fails(SourceFault::NotFound));
    Switch::named("critical-yard", Behaviour::Fails(SourceFault::NotFound));
    let site = Site::start(
        "[streams.door]
         source = \"test:critical-door\"
         critical = true
         grace = \"200ms\"
         [streams.gate]
         source = \"test:critical-gate\"
         critical = true
         grace = \"1h\"
         [streams.yard]
         source = \"test:critical-yard\"",
    );
    site.await_stream("door", |report| report["state"] == "live");
    site.await_stream("gate", |report| report["state"] == "reconnecting");
    let (status, body) = site.get("/readyz?verbose");
    assert_eq!((status, &body["status"]), (200, &json!("ready")), "{body}");
    assert_eq!(verdicts(&body), [("door", "ready"), ("gate", "within grace")]);
    // What waits for its grace to pass is no reason to send nobody here, but it is not well.
    assert_eq!(site.get("/v1/health").1["status"], "degraded");
    gate.set(Behaviour::Gives);
    site.await_stream("gate", |report| report["state"] == "live");
    assert_eq!(site.get("/v1/health").1["status"], "healthy", "the yard is not critical");

    door.set(Behaviour::Fails(SourceFault::Lost));
    let body = await_value(|| site.get("/readyz?verbose").1, |body| body["status"] != "ready");
    assert_eq!(site.get("/readyz").0, 503);
    assert_eq!(body["detail"], "not ready: stream 'door'");
    let found = &body["not_ready"][0];
    assert_eq!((&found["kind"], &found["code"]), (&json!("stream"), &json!("source.lost")));
    assert_eq!(found["reason"], "the test says so");
    assert_eq!(verdicts(&body), [("door", "not ready"), ("gate", "ready")]);
    assert_eq!(site.get("/v1/health").1["status"], "degraded");
    let (status, body) = site.get("/readyz?exclude=door&verbose");
    assert_eq!((status, verdicts(&body)), (200, vec![("gate", "ready")]));
    assert_eq!(site.get("/readyz?exclude=gate").0, 503);
    assert_eq!(site.get("/livez").0, 200, "a camera is no reason to start the process anew");

    door.set(Behaviour::Gives);
    await_value(|| site.get("/readyz").0.into(), |status| *status == 200);
    assert_eq!(site.get("/v1/health").1["status"], "healthy");
}
