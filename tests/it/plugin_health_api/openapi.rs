//! `/openapi.json`, held against what the server does.

use keepsight::inspector::StreamState;

use super::{
    client::{get, request},
    fake_backend::{FakeBackend, stream},
};

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
