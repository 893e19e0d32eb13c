//! What the program says of itself and of its machine.

use std::process::Stdio;

use super::support::{Place, ended};

#[test]
fn plugins_are_listed_with_their_tools() {
    let place = Place::new();
    let ended = place.run(&["plugins", "--json"]);
    let list = ended.check(0, &[]).json();
    let ids: Vec<_> =
        list["plugins"].as_array().unwrap().iter().map(|plugin| plugin["id"].as_str()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for (feature, id) in [
        (cfg!(feature = "frame-stats"), "frame-stats"),
        (cfg!(feature = "video-tracker"), "video-tracker"),
        (cfg!(feature = "fault-injector"), "fault-injector"),
    ] {
        assert_eq!(ids.contains(&Some(id)), feature, "{id}: {ids:?}");
    }
    let text = place.run(&["plugins"]);
    for plugin in list["plugins"].as_array().unwrap() {
        for key in ["id", "version", "description"] {
            text.check(0, &[plugin[key].as_str().unwrap()]);
        }
        assert!(!plugin["tools"].as_array().unwrap().is_empty(), "{plugin:#}");
    }
    for scheme in list["sources"].as_array().unwrap() {
        text.check(0, &[&format!("{}:", scheme.as_str().unwrap())]);
    }
}

#[test]
fn build_info_says_what_was_built_of_what() {
    let place = Place::new();
    let info = place.run(&["build-info", "--json"]).check(0, &[]).json();
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["panic"], "unwind");
    let features = info["features"].as_array().unwrap();
    for (chosen, feature) in [
        (cfg!(feature = "gpu"), "gpu"),
        (cfg!(feature = "scene"), "scene"),
        (cfg!(feature = "bundled-model"), "bundled-model"),
        (cfg!(feature = "fault-injector"), "fault-injector"),
    ] {
        assert_eq!(features.contains(&feature.into()), chosen, "{feature}: {features:?}");
    }
    let backends = info["gpu_backends"].as_array().unwrap();
    assert_eq!(backends.contains(&"vulkan".into()), cfg!(feature = "gpu"), "{backends:?}");
    let text = place.run(&["build-info"]);
    text.check(0, &["version", "features", "plugins", "sources", "panic", "unwind"]);
}

#[cfg(feature = "gpu")]
#[test]
fn the_probe_for_a_gpu_prints_what_the_drivers_offer() {
    // There are none, in a place like this.
    for arguments in [&["probe", "gpu", "--json"][..], &["probe", "gpu"]] {
        let report = Place::new().run(arguments).check(0, &[]).json();
        assert_eq!(report["adapters"].as_array().map(Vec::len), Some(0), "{report:#}");
        assert!(!report["backends"].as_array().unwrap().is_empty(), "{report:#}");
    }
}

#[test]
fn a_probe_that_is_not_in_this_build_is_refused() {
    let known = if cfg!(feature = "gpu") { "it has gpu" } else { "it has none" };
    Place::new().run(&["probe", "nonsense"]).check(2, &["\"nonsense\"", known]);
}

#[cfg(feature = "camera")]
#[test]
fn cameras_are_listed_or_said_to_be_none() {
    let place = Place::new();
    let list = place.run(&["cameras", "--json"]).check(0, &[]).json();
    let text = place.run(&["cameras"]);
    match &list.as_array().unwrap()[..] {
        [] => _ = text.check(0, &["no camera found", "connect one"]),
        cameras => {
            let addresses: Vec<_> =
                cameras.iter().map(|camera| camera["uri"].as_str().unwrap()).collect();
            text.check(0, &addresses);
        }
    }
}

#[cfg(not(feature = "camera"))]
#[test]
fn a_build_without_cameras_says_so() {
    Place::new().run(&["cameras"]).check(3, &["build with the feature camera"]);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let place = Place::new();
    for arguments in [&["plugins"][..], &["build-info", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let gone = ended(place.command(arguments).stdout(writer));
        gone.check(0, &[]);
        assert!(!gone.err.contains("panicked"), "{gone}");
    }
    let gone = ended(place.command(&["probe", "nonsense"]).stderr(Stdio::null()));
    gone.check(2, &[]);
}
