//! Everything that can be wrong with a model, found when the plugin is loaded.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::support::{check_unavailable, check_undisturbed};
use crate::support::{Site, site::Setup};

/// The model that the default build holds, as files.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/video-tracker/models");
const NAME: &str = "ssdlite_mobilenet_v2_coco_300.fp16";

/// What is wrong with a model, and what its instance then says.
struct Case {
    name: &'static str,
    /// Writes `model.onnx` and `model.toml`, or not, into the folder.
    write: fn(&Path),
    code: &'static str,
    reasons: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "nothing",
        write: |_| {},
        code: "dependency.model_missing",
        reasons: &["model.onnx", "No such file"],
    },
    Case {
        name: "undescribed",
        write: |folder| {
            write_good(folder);
            fs::remove_file(folder.join("model.toml")).unwrap();
        },
        code: "dependency.model_missing",
        reasons: &["model.toml"],
    },
    Case {
        name: "empty",
        write: |folder| write_changed(folder, Vec::clear),
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "SHA-256"],
    },
    Case {
        name: "truncated",
        write: |folder| write_changed(folder, |bytes| bytes.truncate(bytes.len() / 2)),
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "SHA-256", "its description says"],
    },
    Case {
        name: "damaged",
        write: |folder| write_changed(folder, |bytes| bytes[1000] ^= 1),
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "SHA-256", "its description says"],
    },
    Case {
        name: "other",
        write: |folder| write_described(folder, b"these are not the weights", |text| text),
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "is no ONNX model"],
    },
    Case {
        name: "half-described",
        write: |folder| write_described(folder, &good_bytes()[..1000], |text| text),
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "is no ONNX model"],
    },
    Case {
        name: "shape",
        write: |folder| {
            let higher = |text: String| text.replace("height = 300", "height = 320");
            write_described(folder, &good_bytes(), higher);
        },
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "takes 1×3×300×300", "says 1×3×320×300"],
    },
    Case {
        name: "classes",
        write: |folder| {
            let fewer = |text: String| text.replace("\"toothbrush\",", "");
            write_described(folder, &good_bytes(), fewer);
        },
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "1×1917×90", "1×n×89"],
    },
    Case {
        name: "operator",
        write: |folder| {
            // NodeProto.op_type is field 4, a string (onnx.proto3).
            let mut bytes = good_bytes();
            let at = bytes.windows(6).position(|window| window == b"\x22\x04Conv").unwrap();
            bytes[at + 2..at + 6].copy_from_slice(b"Cast".map(|letter| letter ^ 0x20).as_slice());
            write_described(folder, &bytes, |text| text);
        },
        code: "dependency.model_invalid",
        reasons: &["model.onnx", "can't be run", "cAST"],
    },
    Case {
        name: "folder",
        write: |folder| fs::create_dir(folder.join("model.onnx")).unwrap(),
        code: "dependency.model_missing",
        reasons: &["model.onnx", "directory"],
    },
    Case {
        name: "scribble",
        write: |folder| write_described(folder, &good_bytes(), |_| "colour = 1".to_owned()),
        code: "dependency.model_invalid",
        reasons: &["model.toml", "colour"],
    },
];

#[test]
fn each_mistake_is_found_at_load_and_a_reload_with_the_right_file_mends_it() {
    let root = tempfile::tempdir().unwrap();
    let mut toml = String::new();
    for case in CASES {
        let folder = root.path().join(case.name);
        fs::create_dir(&folder).unwrap();
        (case.write)(&folder);
        let model = folder.join("model.onnx");
        let _ = write!(
            toml,
            "[plugins.{}]\nuse = \"video-tracker\"\n\
             config = {{ gpu = \"off\", threads = 1, model = {:?} }}\n",
            case.name, model
        );
    }
    toml.push_str(
        "[plugins.stats]\nuse = \"frame-stats\"\n\
         [streams.scene]\nsource = \"scene:?size=160x120\"\nplugins = [\"nothing\", \"stats\"]\n",
    );
    let site = Site::start_with(&toml, Setup::with_everything()).unwrap();
    for case in CASES {
        check_unavailable(&site, case.name, case.code, case.reasons);
        let health = site.health(case.name);
        let folder = root.path().join(case.name);
        let named = health["reason"].as_str().unwrap().contains(folder.to_str().unwrap());
        assert!(named, "the path is not in {health:#}");
    }
    check_undisturbed(&site, "scene", "stats", 5);

    for name in ["nothing", "truncated"] {
        write_good(&root.path().join(name));
        let (status, answer) = site.post(&format!("/v1/plugins/{name}/reload"), "");
        assert_eq!((status, &answer["status"]), (200, &json!("reloaded")), "{answer}");
    }
    check_mended(&site);
}

/// The one on the stream goes to work there, and neither has anything to say any more.
#[track_caller]
fn check_mended(site: &Site) {
    let health = site.await_state("nothing", "RUNNING");
    assert_eq!((&health["reason"], &health["code"]), (&json!(null), &json!(null)), "{health:#}");
    assert_eq!(site.health("truncated")["state"], "INITIALIZED");
    site.await_health("nothing", |health| health["success_count"].as_u64() > Some(1));
}

#[test]
fn a_model_that_turns_bad_is_found_at_the_reload() {
    let folder = tempfile::tempdir().unwrap();
    write_good(folder.path());
    let model = folder.path().join("model.onnx");
    let toml = format!(
        "[plugins.tracker]\nuse = \"video-tracker\"\n\
         config = {{ gpu = \"off\", threads = 1, model = {model:?} }}"
    );
    let site = Site::start_with(&toml, Setup::with_everything()).unwrap();
    site.await_state("tracker", "INITIALIZED");
    fs::remove_file(&model).unwrap();
    let (status, answer) = site.post("/v1/plugins/tracker/reload", "");
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("model.onnx"), "{answer}");
    check_unavailable(&site, "tracker", "dependency.model_missing", &["model.onnx"]);
}

#[cfg(not(feature = "bundled-model"))]
#[test]
fn a_build_without_a_model_says_how_to_give_it_one() {
    let toml = "[plugins.tracker]\nuse = \"video-tracker\"\nconfig = { gpu = \"off\" }";
    let site = Site::start_with(toml, Setup::with_everything()).unwrap();
    let reason = ["this build has no model inside"];
    check_unavailable(&site, "tracker", "dependency.model_missing", &reason);
}

fn good_bytes() -> Vec<u8> {
    fs::read(format!("{FOLDER}/{NAME}.onnx")).unwrap()
}

fn good_description() -> String {
    fs::read_to_string(format!("{FOLDER}/{NAME}.toml")).unwrap()
}

fn write_good(folder: &Path) {
    write_described(folder, &good_bytes(), |text| text);
}

/// Another file than the one described.
fn write_changed(folder: &Path, change: fn(&mut Vec<u8>)) {
    write_good(folder);
    let mut bytes = good_bytes();
    change(&mut bytes);
    fs::write(folder.join("model.onnx"), bytes).unwrap();
}

/// `bytes` with a description of them that `describe` changes.
fn write_described(folder: &Path, bytes: &[u8], describe: fn(String) -> String) {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = good_description();
    let lines = lines.lines().map(|line| match line.strip_prefix("sha256 = ") {
        Some(_) => format!("sha256 = {digest:?}\n"),
        None => format!("{line}\n"),
    });
    fs::write(folder.join("model.toml"), describe(lines.collect())).unwrap();
    fs::write(folder.join("model.onnx"), bytes).unwrap();
}
