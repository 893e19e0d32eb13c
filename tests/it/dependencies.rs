//! What a build needs, read from the resolved dependencies.

use std::{env, process::Command};

/// Crates with this beginning or end bind or build C and C++ code, or are the GPU's or cameras'.
const FOREIGN: &[&str] = &[
    "*-sys",
    "v4l2-sys-mit",
    "ash",
    "bindgen",
    "cc",
    "clang-sys",
    "cmake",
    "glow",
    "gpu-*",
    "khronos-egl",
    "metal",
    "naga*",
    "nokhwa*",
    "pkg-config",
    "rten*",
    "v4l*",
    "vcpkg",
    "wgpu*",
    "libloading",
];

#[test]
fn a_build_without_features_needs_no_c_library_and_no_gpu() {
    let crates = crates(&["--no-default-features"]);
    assert!(crates.iter().any(|name| name == "keepsight-contract"), "{crates:?}");
    let foreign: Vec<_> = crates.iter().filter(|name| is_foreign(name)).collect();
    assert!(foreign.is_empty(), "it needs {foreign:?}");
}

/// Else the test above may see nothing.
#[test]
fn the_default_build_is_seen_to_need_them() {
    let crates = crates(&[]);
    for expected in ["wgpu", "v4l2-sys-mit", "bindgen"] {
        let found = crates.iter().find(|name| *name == expected);
        assert!(found.is_some_and(|name| is_foreign(name)), "{expected} in {crates:?}");
    }
}

fn is_foreign(name: &str) -> bool {
    // The kernel's numbers as Rust constants, and nothing to link.
    name != "linux-raw-sys"
        && FOREIGN.iter().any(|pattern| {
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                (Some(end), _) => name.ends_with(end),
                (_, Some(start)) => name.starts_with(start),
                _ => name == *pattern,
            }
        })
}

/// Names of all crates that the binary is built of or with on this machine.
fn crates(features: &[&str]) -> Vec<String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--locked", "--offline", "--package", "keepsight"])
        .args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}
