//! Who may know whom: reads the sources and the manifests and holds them against the arrows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use toml::Table;

/// Modules of `src` and the modules that each may name; what those may name, it may name too.
const MODULES: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("lifecycle", &[]),
    ("sandbox", &[]),
    ("loader", &["lifecycle", "sandbox"]),
    ("supervisor", &["loader"]),
    ("streams", &["loader"]),
    // Results into files: told of them by the streams.
    ("outputs", &["streams"]),
    ("inspector", &["loader", "supervisor", "streams"]),
    ("health", &["inspector", "supervisor", "streams"]),
    ("api", &["health", "inspector", "supervisor", "streams"]),
    ("runtime", &["config", "api", "health", "inspector", "supervisor", "streams", "outputs"]),
    // The table of what is bundled is made of the loader's type; the command line hands it on.
    ("bundled", &["loader", "api"]),
    ("cli", &["runtime", "config", "bundled"]),
];

/// Modules that name what the table doesn't let them, each until it is put right.
const DEVIATIONS: &[(&str, &str)] = &[
    // The server reads its address, key and limits from the configuration's own type.
    ("api", "config"),
];

/// Modules that draw, encode or decode; the other ones don't name `keepsight_jpeg`.
const JPEG_USERS: &[&str] = &["streams", "api", "cli"];

/// Crates of `plugins` and the crates of this workspace that each may name.
const CRATES: &[(&str, &[&str])] = &[
    ("contract", &[]),
    ("jpeg", &["contract"]),
    ("gpu", &["contract"]),
    ("camera", &["contract", "jpeg"]),
    ("scene", &["contract", "jpeg"]),
    ("video-file", &["contract", "jpeg"]),
    ("child-process", &["contract", "jpeg"]),
    ("frame-stats", &["contract"]),
    ("fault-injector", &["contract"]),
    ("video-tracker", &["contract", "gpu", "jpeg"]),
];

/// Crates from elsewhere that stay where they are.
const CONFINED: &[(&str, &[&str])] =
    &[("nokhwa", &["camera"]), ("v4l", &["camera"]), ("wgpu", &["gpu", "video-tracker"])];

/// Files of `src` that may ask for a feature, beside `bundled.rs`: the guard against a build
/// that contains nothing has to know the feature that allows one.
const FEATURE_USERS: &[(&str, &str)] = &[("sandbox/mod.rs", "uncontained")];

/// Modules and files of `src` that label what they put out by the wall clock. It may jump, so
/// nothing else asks for it, and these decide nothing by it.
const LABEL_MAKERS: &[&str] = &["api", "health", "outputs", "loader/clock.rs"];

#[test]
fn modules_name_only_what_their_arrows_reach() {
    let reach = closure(MODULES);
    let mut wrong = Vec::new();
    let mut deviations = BTreeSet::new();
    for (path, code) in sources(&root().join("src")) {
        let Some(module) = module_of(&path) else { continue };
        let allowed = reach.get(module).unwrap_or_else(|| panic!("{module} is not in the table"));
        for named in names_after(&code, "crate").into_iter().chain(names_of_parent(&path, &code)) {
            let known = reach.contains_key(named.as_str());
            if !known || named == module || allowed.contains(named.as_str()) {
                continue;
            }
            match DEVIATIONS.iter().find(|deviation| **deviation == (module, named.as_str())) {
                Some(deviation) => _ = deviations.insert(*deviation),
                None => wrong.push(format!("{}: {module} names {named}", path.display())),
            }
        }
        let bundled = names_crate(&code, |name| {
            let open_to_all = name == "contract";
            !(open_to_all || name == "jpeg" && JPEG_USERS.contains(&module) || module == "bundled")
        });
        wrong.extend(bundled.map(|name| format!("{}: {module} names {name}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let listed: BTreeSet<_> = DEVIATIONS.iter().copied().collect();
    assert_eq!(deviations, listed, "a deviation that was put right has to leave the list");
}

#[test]
fn no_arrow_leads_back() {
    for (module, reached) in closure(MODULES) {
        assert!(!reached.contains(module), "{module} reaches itself");
    }
    for apart in [("lifecycle", "sandbox"), ("sandbox", "lifecycle")] {
        assert!(!closure(MODULES)[apart.0].contains(apart.1), "{apart:?}");
    }
}

#[test]
fn every_module_and_crate_is_in_the_tables() {
    for (path, _) in sources(&root().join("src")) {
        let Some(module) = module_of(&path) else { continue };
        let known = MODULES.iter().any(|(name, _)| *name == module);
        assert!(known, "{module} is not in the table");
    }
    for folder in crate_folders() {
        let known = CRATES.iter().any(|(name, _)| *name == folder);
        assert!(known, "plugins/{folder} is not in the table");
    }
}

#[test]
fn crates_name_only_what_their_arrows_reach() {
    let mut wrong = Vec::new();
    for folder in crate_folders() {
        let allowed = CRATES.iter().find(|(name, _)| *name == folder).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_default();
        let own = folder.replace('-', "_");
        for (path, code) in sources(&root().join("plugins").join(&folder).join("src")) {
            let foreign = names_crate(&code, |name| {
                *name != own && !allowed.iter().any(|allowed| *name == allowed.replace('-', "_"))
            });
            wrong.extend(foreign.map(|name| format!("{}: names {name}", path.display())));
        }
        for dependency in dependencies(&folder) {
            if let Some(name) = dependency.strip_prefix("keepsight-")
                && !allowed.contains(&name)
            {
                wrong.push(format!("plugins/{folder} depends on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn drivers_and_graphics_stay_in_their_crates() {
    let mut wrong = Vec::new();
    for (confined, homes) in CONFINED {
        for folder in crate_folders().into_iter().filter(|folder| !homes.contains(&&**folder)) {
            if dependencies(&folder).contains(*confined) {
                wrong.push(format!("plugins/{folder} depends on {confined}"));
            }
        }
        if table_keys(&manifest(&root()), "dependencies").contains(*confined) {
            wrong.push(format!("the root package depends on {confined}"));
        }
        for (path, code) in sources(&root().join("src")) {
            if code.contains(&format!("{confined}::")) {
                wrong.push(format!("{} names {confined}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_contract_has_at_most_five_dependencies() {
    let dependencies = dependencies("contract");
    assert!(dependencies.len() <= 5, "{dependencies:?}");
}

#[test]
fn features_are_asked_for_in_one_place() {
    let mut wrong = Vec::new();
    let folder = root().join("src");
    for (path, code) in sources(&folder) {
        let file = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        if file == "bundled.rs" {
            continue;
        }
        // Strings are cut out of `code`, so the names are read from the text itself.
        let text = fs::read_to_string(&path).unwrap();
        let asked = text.split("feature = \"").skip(1).filter_map(|rest| rest.split('"').next());
        let asked = asked.filter(|feature| !FEATURE_USERS.contains(&(file, feature)));
        if code.contains("feature =") {
            wrong.extend(asked.map(|feature| format!("{file} asks for the feature {feature}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_time_it_is_on_the_wall_is_asked_for_where_labels_are_made() {
    let folder = root().join("src");
    let mut wrong = Vec::new();
    for (path, code) in sources(&folder) {
        let file = path.strip_prefix(&folder).unwrap().to_str().unwrap();
        let module = module_of(&path).unwrap_or_default();
        let makes_labels = LABEL_MAKERS.iter().any(|maker| [file, module].contains(maker));
        if code.contains("SystemTime::now") && !makes_labels {
            wrong.push(format!("{file} asks what time it is on the wall"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_this_test_reads_is_read_as_it_is_meant() {
    let code = code_of(
        r#"
        //! [`crate::comment`]
        use crate::{
            first::{self, inner::Thing},
            second as other, third::*,
        };
        /* crate::block */ let text = "crate::string \" crate::more";
        let quote = '"'; crate::fourth::call(keepsight_jpeg::encode);
        "#,
    );
    let named: Vec<_> = names_after(&code, "crate").into_iter().collect();
    assert_eq!(named, ["first", "fourth", "second", "third"]);
    assert_eq!(names_crate(&code, |_| true).collect::<Vec<_>>(), ["jpeg"]);
}

/// Whatever each can reach along the arrows, in any number of steps.
fn closure<'a>(arrows: &[(&'a str, &[&'a str])]) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let direct: BTreeMap<_, _> = arrows.iter().copied().collect();
    let reached_from = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&str> = direct[start].to_vec();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(direct[next]);
            }
        }
        reached
    };
    direct.keys().map(|start| (*start, reached_from(start))).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The module of `src` that the file belongs to; none for the crate's own two files.
fn module_of(path: &Path) -> Option<&str> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let module = Path::new(inside.iter().next().unwrap()).file_stem().unwrap().to_str().unwrap();
    (!["lib", "main"].contains(&module)).then_some(module)
}

/// Every Rust file below `folder`, without its comments and strings.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                let code = code_of(&fs::read_to_string(&entry).unwrap());
                found.push((entry, code));
            }
        }
    }
    assert!(!found.is_empty(), "{} has no sources", folder.display());
    found.sort();
    found
}

/// `text` without comments and without what stands in strings.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if first == '"' {
            string(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2)
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    code
}

/// Length of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw string that `text` begins with, if it begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?.chars().take_while(|c| *c == '#').count();
    let body = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// What is named directly after `PREFIX::`, in paths and in groups of a `use`.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let opening = format!("{prefix}::");
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(&opening) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let rest = &code[at + opening.len()..];
        match rest.strip_prefix('{') {
            None => names.extend(identifier(rest)),
            Some(group) => {
                let mut depth = 1;
                let mut begins = true;
                for (index, character) in group.char_indices() {
                    if begins && !character.is_whitespace() {
                        names.extend(identifier(&group[index..]).filter(|_| depth == 1));
                        begins = false;
                    }
                    match character {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' => begins = depth == 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    names
}

/// In a module's root, its parent is the crate.
fn names_of_parent(path: &Path, code: &str) -> BTreeSet<String> {
    let is_module_root = path.parent() == Some(&root().join("src"))
        || path.file_name().is_some_and(|name| name == "mod.rs")
            && path.parent().and_then(Path::parent) == Some(&root().join("src"));
    if is_module_root { names_after(code, "super") } else { BTreeSet::new() }
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Crates of this workspace that `code` names, without `keepsight_`, of those that `wanted` wants.
fn names_crate(code: &str, wanted: impl Fn(&String) -> bool) -> impl Iterator<Item = String> {
    let named = code.match_indices("keepsight_").filter(|(at, _)| {
        !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.')
    });
    let named: BTreeSet<_> =
        named.filter_map(|(at, prefix)| identifier(&code[at + prefix.len()..])).collect();
    named.into_iter().filter(wanted).collect::<Vec<_>>().into_iter()
}

fn crate_folders() -> Vec<String> {
    let entries = fs::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().join("Cargo.toml").exists());
    folders.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn manifest(folder: &Path) -> Table {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap()
}

/// What a crate of `plugins` is built of, on any system; not what its tests need.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = manifest(&root().join("plugins").join(folder));
    let mut keys = table_keys(&manifest, "dependencies");
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flat_map(Table::values) {
        keys.extend(table_keys(target.as_table().unwrap(), "dependencies"));
    }
    keys
}

fn table_keys(manifest: &Table, name: &str) -> BTreeSet<String> {
    let table = manifest.get(name).and_then(toml::Value::as_table);
    table.into_iter().flat_map(Table::keys).cloned().collect()
}
