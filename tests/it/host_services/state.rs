//! State that can't be written for a while: said, gone on without, and written again.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use keepsight_contract::{Host, Response, StateError};
use serde_json::{Value, json};

use crate::support::{Script, Site};

/// An instance `p` that writes its state at each call, in a process whose state is in `state_dir`.
fn start(script: &str, state_dir: &Path) -> Site {
    let given: Arc<Mutex<Option<Host>>> = Arc::default();
    let host = given.clone();
    Script::default()
        .init(move |host| {
            *given.lock().unwrap() = Some(host.clone());
            Ok(())
        })
        .run(move |request, _| {
            let host = host.lock().unwrap().clone().expect("init came first");
            let text = request.args()["text"].as_str().unwrap_or_default();
            host.write_state("counts.json", text.as_bytes())?;
            Ok(Response::new())
        })
        .named(script);
    let site = Site::start(&format!(
        "[runtime]\nstate_dir = {state_dir:?}\n\
         [plugins.p]\nuse = \"scripted\"\nconfig.script = \"{script}\""
    ));
    site.await_state("p", "INITIALIZED");
    site
}

fn write(site: &Site, text: &str) -> (u16, Value) {
    site.run_tool("p", "do", &json!({ "text": text }))
}

#[track_caller]
fn check_refused(site: &Site, path: &Path) {
    let (status, body) = write(site, "lost");
    let detail = body["detail"].as_str().unwrap_or_default();
    assert_eq!(status, 500, "{body}");
    let path = path.display().to_string();
    assert!(detail.contains(&path) && detail.contains(StateError::REMEDY), "{detail}");
    let health = site.health("p");
    assert_eq!(health["degraded"][0]["code"], Host::STATE_UNWRITABLE, "{health}");
    assert!(health["degraded"][0]["reason"].as_str().unwrap().contains(&path), "{health}");
    assert_eq!(health["degraded"].as_array().unwrap().len(), 1);
    // It goes on, once the call's session is closed, which the answer doesn't wait for.
    site.await_state("p", "INITIALIZED");
}

#[track_caller]
fn check_written(site: &Site, state_dir: &Path, text: &str) {
    let (status, body) = write(site, text);
    assert_eq!(status, 200, "{body}");
    assert_eq!(site.health("p")["degraded"], json!([]));
    let folder = state_dir.join("plugins").join("p");
    assert_eq!(fs::read_to_string(folder.join("counts.json")).unwrap(), text);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing half written stays");
}

#[test]
fn a_folder_that_is_in_the_way_and_one_that_vanishes_are_overcome() {
    let place = tempfile::tempdir().unwrap();
    let state_dir = place.path().join("state");
    // A file where a folder should be stops the system's owner too, which permissions don't.
    fs::write(&state_dir, "in the way").unwrap();
    let site = start("state-in-the-way", &state_dir);
    let folder = state_dir.join("plugins").join("p");
    check_refused(&site, &folder);
    check_refused(&site, &folder);
    fs::remove_file(&state_dir).unwrap();
    check_written(&site, &state_dir, "one");

    fs::remove_dir_all(&state_dir).unwrap();
    check_written(&site, &state_dir, "two");

    // It is there after a reload and in the next process.
    assert_eq!(site.post("/v1/plugins/p/reload", "").0, 200);
    assert_eq!(fs::read_to_string(folder.join("counts.json")).unwrap(), "two");
}

#[test]
fn a_folder_that_nobody_can_write_is_said() {
    let state_dir = Path::new("/proc/keepsight");
    let site = start("state-read-only", state_dir);
    check_refused(&site, &state_dir.join("plugins").join("p"));
}

#[test]
fn without_a_folder_the_plugin_is_told_and_not_degraded() {
    let (tell, told) = std::sync::mpsc::channel();
    Script::default()
        .init(move |host| {
            let refused = host.write_state("counts.json", b"").unwrap_err();
            tell.send((refused, host.state_dir()))?;
            Ok(())
        })
        .named("state-nowhere");
    let site = Site::start("[plugins.p]\nuse = \"scripted\"\nconfig.script = \"state-nowhere\"");
    site.await_state("p", "INITIALIZED");
    let (refused, folder) = told.recv().unwrap();
    assert!(matches!(refused, StateError::NoFolder), "{refused}");
    assert_eq!(folder, None);
    assert_eq!(site.health("p")["degraded"], json!([]));
}

/// In a child, which may write no file longer than nothing: to the plugin a full disk.
const FULL: &str = "KEEPSIGHT_TEST_FULL";

#[test]
fn a_disk_that_is_full_is_overcome_once_there_is_room() {
    if std::env::var_os(FULL).is_none() {
        if Command::new("prlimit").arg("--version").output().is_err() {
            eprintln!("skipped: there is no prlimit (util-linux) here");
            return;
        }
        let test = thread::current().name().expect("a test's thread has its name").to_owned();
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -S -f 0; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture", "--test-threads=1"])
            .env(FULL, "1")
            .output()
            .unwrap();
        let [out, err] = [&child.stdout, &child.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(child.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let state_dir = place.path().join("state");
    let site = start("state-full", &state_dir);
    let folder = state_dir.join("plugins").join("p");
    check_refused(&site, &folder.join("counts.json"));
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing half written takes room");
    let id = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited:"]).status();
    assert!(raised.unwrap().success());
    check_written(&site, &state_dir, "three");
}
