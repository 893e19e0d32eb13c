//! Binaries and plugins of somebody else, as the guide and the examples show them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::support::ended;

#[test]
fn a_binary_of_ones_own_lists_its_plugin() {
    for (example, plugin) in [("custom_host", "frame-counter"), ("dusk", "dusk")] {
        let mut command = Command::new(built(example));
        command.args(["plugins", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let list = ended(&mut command).check(0, &[]).json();
        let plugins = list["plugins"].as_array().unwrap();
        assert!(plugins.iter().any(|found| found["id"] == plugin), "{plugin}: {list:#}");
    }
}

/// What the guide shows is what is built and tested, but for how far it is indented.
#[test]
fn the_guide_shows_what_the_examples_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    let examples = [read("examples/dusk.rs"), read("examples/custom_host.rs")];
    let guide = read("docs/plugins.md");
    let blocks: Vec<&str> = guide
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split_once("```").expect("each block has an end").0)
        .collect();
    assert!(blocks.len() >= 4, "the guide shows {} blocks", blocks.len());
    for block in blocks {
        let found = examples.iter().any(|example| example.contains(block.trim_end()));
        assert!(found, "no example has this piece of docs/plugins.md:\n{block}");
    }
}

/// The built example. `cargo test` builds it beside this test; where only this test was asked
/// for, it is built now.
fn built(example: &str) -> PathBuf {
    let here = env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).expect("tests lie in PROFILE/deps");
    let path = profile.join("examples").join(example);
    if !path.exists() {
        let target = profile.parent().expect("profiles lie in the target folder");
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--locked", "--example", example])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(status.unwrap().success(), "could not build the example {example}");
    }
    path
}
