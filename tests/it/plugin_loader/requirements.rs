//! Requirements are held against what is there, by probes that may crash.

use std::{fs, path::PathBuf};

use keepsight_contract::{GpuRequirement, ModelFileRequirement, Requirement};
use serde_json::{Value, json};

use crate::support::{Script, Site, site::not_begun};

fn model(path: PathBuf, sha256: &str) -> Requirement {
    let sha256 = Some(sha256.to_owned());
    Requirement::ModelFile(ModelFileRequirement { path, sha256, format: "ONNX".to_owned() })
}

fn start(script: &str) -> Site {
    Site::start(&format!(
        "[plugins.needy]\nuse = \"scripted\"\nconfig = {{ script = \"{script}\" }}"
    ))
}

#[test]
fn a_model_that_is_missing_makes_unavailable_and_a_reload_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    // FIPS 180-2, appendix B.1: the digest of "abc".
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    Script::default().requires(model(path.clone(), abc)).named("needs-model");
    let site = start("needs-model");

    let health = site.await_state("needy", "UNAVAILABLE");
    assert_eq!(health["code"], "dependency.model_missing");
    assert!(health["reason"].as_str().unwrap().contains(path.to_str().unwrap()), "{health:#}");
    site.await_health("needy", |health| health["next_attempt_in_seconds"].is_number());

    fs::write(&path, "abd").unwrap();
    let (status, answer) = site.post("/v1/plugins/needy/reload", "");
    assert_eq!(status, 503, "{answer}");
    assert_eq!(site.health("needy")["code"], "dependency.model_wrong");

    fs::write(&path, "abc").unwrap();
    let (status, answer) = site.post("/v1/plugins/needy/reload", "");
    assert_eq!((status, answer), (200, json!({"status": "reloaded", "plugin": "needy"})));
    let health = site.health("needy");
    assert_eq!((&health["state"], &health["code"]), (&json!("INITIALIZED"), &Value::Null));
    assert_eq!(health["generation"], 3);
}

#[test]
fn a_gpu_that_is_not_there_makes_unavailable_with_a_remedy() {
    let requirement = GpuRequirement {
        adapter: Some("an adapter that nobody makes".to_owned()),
        ..GpuRequirement::default()
    };
    Script::default().requires(Requirement::Gpu(requirement)).named("needs-gpu");
    let site = start("needs-gpu");
    let health = site.await_state("needy", "UNAVAILABLE");
    let code = health["code"].as_str().unwrap();
    let expected =
        if cfg!(feature = "gpu") { "dependency.gpu_missing" } else { "dependency.no_probe" };
    assert_eq!(code, expected, "{health:#}");
    assert!(!health["hint"].as_str().unwrap().is_empty(), "{health:#}");
}

#[test]
fn met_requirements_are_no_hindrance() {
    let file = Requirement::File { path: "/proc/self/status".into() };
    let program = Requirement::Program { name: "sh".to_owned(), remedy: "x".to_owned() };
    Script::default().requires(file).requires(program).named("needs-little");
    start("needs-little").await_state("needy", "INITIALIZED");
}

#[test]
fn checking_has_the_configuration_read_and_builds_nothing() {
    let missing = model(PathBuf::from("/nonexistent/model.onnx"), &"0".repeat(64));
    let script = Script::default().requires(missing).init(|_| panic!("nobody asked for this"));
    script.named("only-checked");
    let runtime = not_begun(
        "[plugins.right]\nuse = \"scripted\"\nconfig = { script = \"only-checked\" }\n\
         [plugins.wrong]\nuse = \"scripted\"\nconfig = { script = \"only-checked\", lable = \"x\" }\n\
         [streams.s]\nsource = \"test:only-checked\"\nplugins = [\"right\"]\n\
         settings.right = { label = \"y\" }\n",
    );
    let check = |name| runtime.registry().find(name).unwrap().check_requirements();
    let [finding] = &check("right").unwrap()[..] else { panic!("one requirement") };
    assert_eq!((finding.met, &*finding.code), (false, "dependency.model_missing"));
    let error = check("wrong").unwrap_err().cause();
    assert_eq!(error.code, "config.invalid");
    let place =
        "test.toml:7:37: unknown key 'lable' in [plugins.wrong.config]; did you mean 'label'?";
    assert!(error.reason.contains(place), "{}", error.reason);
    for instance in runtime.registry().instances() {
        let report = instance.report();
        assert_eq!((report.state.as_str(), report.faults.len()), ("LOADED", 0), "{}", report.name);
    }
    runtime.shut_down();
}
