//! `/openapi.json`, held against what the server does.

use std::time::Duration;

use keepsight::inspector::StreamState;
use keepsight_contract::Response;
use serde_json::Value;

use super::{
    client::{get, request},
    fake_backend::{FakeBackend, stream, tracked},
    json_schema,
};
use crate::support::{Script, Site, Switch, site::await_value, test_source::Behaviour};

#[test]
fn what_is_described_is_there_and_takes_no_other_method() {
    let backend = FakeBackend {
        streams: vec![stream("name", StreamState::Opening)],
        reload: Box::new(|_| Ok(())),
        ..FakeBackend::default()
    };
    let server = backend.serve();
    let answer = get(server.address(), "/openapi.json");
    assert_eq!(answer.status, 200);
    let description = answer.json();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.contains_key("/v1/plugins/{name}/health"), "{paths:?}");
    for (path, operations) in paths {
        let operations = operations.as_object().unwrap();
        let concrete = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let body = if method == "POST" { "{}" } else { "" };
            let answer = request(server.address(), &format!("{method} {concrete}"), body);
            let described = &operations.get(&method.to_ascii_lowercase());
            let what = format!("{method} {path}: {answer:?}");
            match described {
                Some(operation) => {
                    let absent = answer.status == 404 && answer.detail() == "Not Found";
                    assert!(!absent && answer.status != 405, "{what}");
                    let responses = operation["responses"].as_object().unwrap();
                    assert!(responses.contains_key(&answer.status.to_string()), "{what}");
                }
                None => {
                    assert_eq!(
                        (answer.status, answer.detail().as_str()),
                        (405, "Method Not Allowed")
                    );
                    let allowed = answer.header("allow").unwrap().to_ascii_lowercase();
                    let allowed: Vec<_> =
                        allowed.split(", ").filter(|name| *name != "options").collect();
                    let mut described: Vec<_> = operations.keys().collect();
                    described.sort_by_key(|name| allowed.iter().position(|found| found == name));
                    assert_eq!(described, allowed, "{what}");
                }
            }
        }
    }
}

/// Asks for `path` and holds the answer against what is described for it.
#[track_caller]
fn check_answer(site: &Site, description: &Value, method: &str, template: &str, path: &str) {
    let body = if template.ends_with("/run") { r#"{"args":{}}"# } else { "" };
    let answer = request(site.address(), &format!("{method} {path}"), body);
    let operation = &description["paths"][template][method.to_ascii_lowercase()];
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{method} {path}: {answer:?}");
    let schema = &response["content"]["application/json"]["schema"];
    assert!(schema.is_object(), "{method} {path}: {} has no schema", answer.status);
    if let Err(error) = json_schema::check(&answer.json(), schema, description) {
        panic!("{method} {path}: {error}\n{:#}", answer.json());
    }
}

#[test]
fn answers_are_of_the_schemas_that_are_described() {
    Switch::named("described", Behaviour::Gives);
    Script::default()
        .run(|request, _| match request.frame() {
            Some(_) => Ok((*tracked(1, Duration::ZERO).response).clone()),
            None => Ok(Response::new().attach("a.txt", "text/plain", vec![1])),
        })
        .named("described");
    Script::default().init(|_| panic!("as told")).named("described-never");
    let site = Site::start(
        "[streams.door]\nsource = \"test:described\"\nplugins = [\"it\"]\ncritical = true\n\
         [plugins.it]\nuse = \"scripted\"\nconfig = { script = \"described\" }\n\
         [plugins.never]\nuse = \"scripted\"\ncritical = true\ngrace = \"1ms\"\n\
         config = { script = \"described-never\" }",
    );
    site.await_state("never", "FAILED");
    await_value(
        || Value::from(get(site.address(), "/v1/streams/door/tracks").status),
        |status| *status == 200,
    );
    let description = site.get("/openapi.json").1;
    let mut schemas = 0;
    for (template, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let (status, _) = operation["responses"].as_object().unwrap().iter().next().unwrap();
            let described = &operation["responses"][status]["content"]["application/json"];
            if !described["schema"].is_object() || template == "/openapi.json" {
                continue;
            }
            schemas += 1;
            let names: &[_] =
                if template.contains("/streams/") { &["door"] } else { &["it", "never"] };
            for name in names {
                let path = template.replace("{name}", name).replace("{tool}", "do");
                let method = method.to_ascii_uppercase();
                check_answer(&site, &description, &method, template, &path);
                let absent = template.replace("{name}", "absent").replace("{tool}", "do");
                check_answer(&site, &description, &method, template, &absent);
            }
        }
    }
    assert!(schemas >= 15, "{schemas}");
    check_answer(&site, &description, "GET", "/readyz", "/readyz?verbose");
    check_answer(&site, &description, "GET", "/readyz", "/readyz?verbose&exclude=never");
}
