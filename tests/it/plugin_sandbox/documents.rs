//! What the reports say that is not contained and not measured, and what the documentation says.

use std::fs;

use keepsight::sandbox::{NOT_CONTAINED, NOT_MEASURED};
use serde_json::json;

use crate::support::Site;

/// Names of the points under a heading of a page, each in bold.
fn points(page: &str, heading: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("## {heading}\n")).expect("the heading");
    let section = rest.split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("- **"))
        .map(|line| line.split_once("**: ").expect("a name and what it is").0.to_owned())
        .collect()
}

#[test]
fn the_page_on_containment_lists_what_the_reports_list() {
    let root = env!("CARGO_MANIFEST_DIR");
    let page = fs::read_to_string(format!("{root}/docs/containment.md")).unwrap();
    assert_eq!(points(&page, "What threads don't contain"), NOT_CONTAINED);
    assert_eq!(points(&page, "What isn't measured"), NOT_MEASURED);
    let readme = fs::read_to_string(format!("{root}/README.md")).unwrap();
    assert!(readme.contains("](docs/containment.md)"));

    let site = Site::start("[plugins.p]\nuse = \"scripted\"\nconfig.script = \"\"");
    site.await_state("p", "INITIALIZED");
    let (_, plugin) = site.get("/v1/inspector/plugins/p");
    let (_, host) = site.get("/v1/inspector/host");
    for report in [&plugin, &host, &site.health("p")] {
        assert_eq!(
            (&report["isolation"], &report["not_contained"]),
            (&json!("thread"), &json!(NOT_CONTAINED))
        );
    }
    assert_eq!(plugin["memory"]["not_measured"], json!(NOT_MEASURED));
    assert_eq!(host["panic"], "unwind");
}
