//! `keepsight check`.

use super::support::Place;

fn check(toml: &str) -> super::support::Ended {
    let place = Place::new();
    place.write("keepsight.toml", &format!("version = 1\n{toml}"));
    place.run(&["check"])
}

#[cfg(all(feature = "scene", feature = "bundled-model"))]
#[test]
fn without_a_configuration_the_scene_is_fine() {
    let ended = Place::new().run(&["check"]);
    ended.check(0, &["ok       configuration", "ok       stream scene", "plugin video-tracker"]);
    assert!(!ended.out.contains("missing"), "{ended}");
}

#[test]
fn a_missing_model_is_degraded_or_if_critical_missing() {
    let toml = "[plugins.eye]\nuse = \"video-tracker\"\n\
                config = { gpu = \"off\", model = \"nowhere/model.onnx\" }\n";
    let said = ["missing  plugin eye", "nowhere/model.onnx", "dependency.model_missing"];
    check(toml).check(1, &said);
    check(&format!("{toml}critical = true")).check(3, &said);
}

#[test]
fn findings_are_data_too() {
    let place = Place::new();
    place.write(
        "keepsight.toml",
        "version = 1\n[plugins.eye]\nuse = \"video-tracker\"\ncritical = true\n\
         config = { gpu = \"off\", model = \"nowhere/model.onnx\" }\n",
    );
    let findings = place.run(&["check", "--json"]).check(3, &[]).json();
    let about = |finding: &&serde_json::Value| finding["kind"] != "machine";
    let findings: Vec<_> = findings.as_array().unwrap().iter().filter(about).collect();
    let [finding] = findings[..] else { panic!("one: {findings:#?}") };
    for (key, value) in [
        ("kind", "plugin".into()),
        ("name", "eye".into()),
        ("critical", true.into()),
        ("met", serde_json::Value::Bool(false)),
        ("code", "dependency.model_missing".into()),
    ] {
        assert_eq!(finding[key], value, "{finding:#}");
    }
    for key in ["reason", "hint"] {
        assert!(finding[key].as_str().is_some_and(|text| !text.is_empty()), "{finding:#}");
    }
}

#[cfg(feature = "gpu")]
#[test]
fn what_a_child_process_saw_of_graphics_adapters_is_told() {
    // There are none, in a place like this, and nobody needs one.
    let said = ["ok       machine graphics: GPU: no graphics driver offers an adapter (vulkan)"];
    check("[plugins.stats]\nuse = \"frame-stats\"\n").check(0, &said);
}

#[cfg(feature = "gpu")]
#[test]
fn a_gpu_that_is_required_and_not_there_is_found() {
    let toml = "[plugins.eye]\nuse = \"video-tracker\"\nconfig = { gpu = \"required\" }\n";
    check(toml).check(1, &["dependency.gpu_missing", "no graphics driver offers an adapter"]);
}

#[test]
fn an_instances_own_configuration_is_its_own_matter() {
    let toml = "[plugins.stats]\nuse = \"frame-stats\"\nconfig = { colour = 1 }\n";
    let wrong =
        "keepsight.toml:4:12: unknown key 'colour' in [plugins.stats.config]; it takes step";
    check(toml).check(1, &["missing  plugin stats", "config.invalid", wrong]);
    check(&format!("{toml}[plugins.stats2]\nuse = \"frame-stats\"\n"))
        .check(1, &["missing  plugin stats:", "ok       plugin stats2:"]);
}

#[test]
fn a_streams_settings_are_checked_by_the_plugin() {
    let toml = "[plugins.stats]\nuse = \"frame-stats\"\nconfig = { step = 2 }\n\
                [streams.film]\nsource = \"file:nowhere.avi\"\nplugins = [\"stats\"]\n\
                [streams.film.settings.stats]\n";
    check(&format!("{toml}stpe = 3\n")).check(
        2,
        &["keepsight.toml:9:1: unknown key 'stpe' in [streams.film.settings.stats]; did you mean 'step'?"],
    );
    check(&format!("{toml}step = 0\n"))
        .check(2, &["keepsight.toml:9:8: 'step' cannot be used: invalid value: integer `0`"]);
}

#[test]
fn a_source_that_is_not_there_is_found() {
    let toml = "[plugins.stats]\nuse = \"frame-stats\"\n\
                [streams.film]\nsource = \"file:nowhere.avi\"\nplugins = [\"stats\"]\n";
    let said = ["missing  stream film", "nowhere.avi", "source.not_found"];
    check(toml).check(1, &said);
    check(&format!("{toml}critical = true")).check(3, &said);
}
