//! What docs/configuration.md says of the plugins' own configurations.

use keepsight_contract::registered;
use serde_json::json;

const DOCUMENTED: &str = include_str!("../../../docs/configuration.md");

#[test]
fn every_key_of_every_plugin_is_documented() {
    for registration in registered::plugins() {
        let functions = registration.functions;
        let id = (functions.manifest)().id;
        // Not for anybody's configuration: it does harm.
        if id == "fault-injector" {
            continue;
        }
        let (_, section) = DOCUMENTED
            .split_once(&format!("\n### {id}\n"))
            .unwrap_or_else(|| panic!("no heading for {id}"));
        let section = section.split("\n#").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let documented: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
        // An error about a key that isn't known names those that are.
        let error = (functions.requirements)(&json!({"?": 1})).unwrap_err().to_string();
        let known: Vec<_> = error.split('`').skip(1).step_by(2).skip(1).collect();
        assert_eq!(documented, known, "{id}: {error}");
    }
}
