//! What the program refuses to begin with.

use super::support::Place;

#[test]
fn arguments_that_are_unknown_or_missing_are_explained() {
    let place = Place::new();
    place.run(&["--colour"]).check(2, &["--colour", "Usage"]);
    place.run(&["rum"]).check(2, &["rum", "'run'"]);
    place.run(&[]).check(2, &["Commands:", "Exit codes:"]);
    place.run(&["track"]).check(2, &["<INPUT>"]);
    place.run(&["track", "x", "--detect-every", "0"]).check(2, &["--detect-every", "0"]);
    place.run(&["run", "--config", "a", "--source", "scene:"]).check(2, &["--config", "--source"]);
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn help_and_version_are_results() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    help.check(0, &[]);
    // As `ExitStatus` has them.
    for (code, meaning) in [
        (0, "success"),
        (1, "failure (check: degraded)"),
        (2, "arguments"),
        (3, "something needed is missing"),
        (4, "the address"),
        (75, "containment lost"),
    ] {
        let said = format!("{code} {meaning}");
        let text = help.out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&said), "{said:?} is not in {help}");
    }
    let version = place.run(&["--version"]);
    version.check(0, &[]);
    assert_eq!(version.out, format!("keepsight {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_mistake_in_the_configuration_is_shown_with_its_place_by_every_command() {
    let place = Place::new();
    place.write("bad.toml", "version = 1\n\n[server]\n  lisen = \"127.0.0.1:0\"\n");
    let said = ["bad.toml:4:3", "unknown key 'lisen' in [server]", "did you mean 'listen'?"];
    for command in [
        &["run", "--config", "bad.toml"][..],
        &["check", "--config", "bad.toml"],
        #[cfg(feature = "video-tracker")]
        &["track", "scene:?frames=1", "--config", "bad.toml"],
    ] {
        let ended = place.run(command);
        ended.check(2, &said);
        assert!(ended.out.is_empty(), "{ended}");
    }
    place.run(&["check", "--config", "none.toml"]).check(2, &["none.toml", "No such file"]);
}

#[test]
fn a_file_of_that_name_here_is_the_configuration() {
    let place = Place::new();
    place.write("keepsight.toml", "version = 1\n[streems.x]\n");
    place.run(&["check"]).check(2, &["keepsight.toml:2:", "did you mean 'streams'?"]);
}

#[test]
fn mistakes_of_every_sort_end_with_the_same_code() {
    for (text, said) in [
        ("version = 2", &["f.toml:1:", "version 2 is not known"][..]),
        ("version = 1\nx = [", &["f.toml:2:"]),
        ("version = 1\n[plugins.a]\nuse = \"no-such\"", &["f.toml:3:", "no plugin 'no-such'"]),
        ("version = 1\n[server]\nlisten = 5", &["f.toml:3:", "'listen' takes"]),
        ("version = 1\n[server]\nkey = \"${NO_SUCH_KEY}\"", &["f.toml:3:", "NO_SUCH_KEY"]),
        ("version = 1\n[server]\nlisten = \"0.0.0.0:0\"", &["needs a key", "KEEPSIGHT_KEY"]),
        ("version = 1\n[streams.a]\nsource = \"no-such:x\"", &["no-such:", "it knows"]),
        ("version = 1\n[streams.a]\nsource = \"x\"\nplugins = [\"p\"]", &["f.toml:3:", "scheme"]),
    ] {
        let place = Place::new();
        place.write("f.toml", text);
        place.run(&["run", "--config", "f.toml"]).check(2, said);
    }
    let place = Place::new();
    place.run(&["run", "--listen", "here"]).check(2, &["'here' is not an address and port"]);
    place.run(&["run", "--listen", "0.0.0.0:0"]).check(2, &["needs a key"]);
}
