//! A build that has no GPU support says so, where one is required.

use super::support::{check_unavailable, check_undisturbed, start_scene};
use crate::support::site::Setup;

#[test]
fn required_is_unavailable_and_names_the_feature() {
    let site = start_scene("gpu = \"required\"", "", Setup::with_everything());
    let reason = ["this build has no GPU support"];
    check_unavailable(&site, "tracker", "dependency.no_probe", &reason);
    assert!(site.health("tracker")["hint"].as_str().unwrap().contains("feature gpu"));
    check_undisturbed(&site, "scene", "stats", 5);
}

#[cfg(feature = "bundled-model")]
#[test]
fn auto_is_the_processor_and_nothing_is_amiss() {
    let site = start_scene("gpu = \"auto\"", "", Setup::with_everything());
    check_undisturbed(&site, "scene", "tracker", 2);
    assert_eq!(site.health("tracker")["degraded"], serde_json::json!([]));
}
