use std::{path::Path, time::Duration};

use expect_test::{Expect, expect};
use keepsight_contract::{ConfigError as PluginConfigError, FrameSize, OutputKind};
use serde_json::json;

use super::*;

const EVERYTHING: &str = r#"
version = 1
[server]
listen = "0.0.0.0:8787"
key = "${KEEPSIGHT_KEY}"
allowed_origins = ["https://wall.example"]
allowed_hosts = ["Door.example"]
limits = { body_bytes = "1MiB", connections = 7, header_time = "2s", subscribers = 3, heartbeat = "9s" }
[runtime]
state_dir = "/var/lib/keepsight"
on_lost_containment = "exit"
strict = true
limits = { init = "10min", frame = "250ms", abandoned_threads = 9 }
[streams.door]
source   = "camera:usb-046d_C920_1A2B3C4D"
size     = "1280x720"
fps      = 15
critical = true
grace    = "10s"
plugins  = ["tracker", "stats"]
[streams.door.settings.tracker]
masks    = [[[0.0, 0.0], [0.3, 0.0], [0.3, 0.2]]]
[streams.drive]
source   = "rtsp://cam:${DRIVE_PASSWORD}@192.0.2.40/stream2"
plugins  = ["tracker"]
[streams.yard]
source   = "file:yard.y4m"
memory   = "64MiB"
[plugins.tracker]
use      = "video-tracker"
critical = true
deadline = "500ms"
memory   = "300MiB"
restart  = { budget = 3, window = "1h", backoff = ["500ms", "1min"] }
[plugins.tracker.config]
gpu      = "auto"
classes  = ["person", "car"]
token    = "Bearer ${DRIVE_PASSWORD}"
big      = 0x10
[plugins.stats]
use      = "frame-stats"
[[outputs]]
to       = "file:tracks.jsonl"
what     = ["tracks", "json"]
keep     = { size = "200MiB", age = "14d" }
"#;

fn variable(name: &str) -> Option<String> {
    match name {
        "KEEPSIGHT_KEY" => Some("correct-horse".to_owned()),
        "DRIVE_PASSWORD" => Some("hunter2".to_owned()),
        "HOME" => Some("/home/op".to_owned()),
        _ => None,
    }
}

fn environment() -> Environment<'static> {
    Environment { plugins: &["frame-stats", "video-tracker"], variable: &variable }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("keepsight.toml"), &environment())
}

/// `body` follows `version = 1` in line 2, so that its first line is line 2.
#[track_caller]
fn check_refused(body: &str, expected: Expect) {
    let error = parse(&format!("version = 1\n{body}")).expect_err("a mistake is in it");
    expected.assert_eq(&error.to_string());
}

#[test]
fn every_key_arrives() {
    let config = parse(EVERYTHING).unwrap();
    let Config { server, runtime, streams, plugins, outputs } = &config;

    assert_eq!(server.listen, "0.0.0.0:8787".parse().unwrap());
    assert_eq!(server.key.as_ref().unwrap().expose(), "correct-horse");
    assert_eq!(server.allowed_origins, ["https://wall.example"]);
    assert_eq!(server.allowed_hosts, ["door.example"]);
    let limits = ServerLimits {
        body_bytes: 1 << 20,
        connections: 7,
        header_time: Duration::from_secs(2),
        subscribers: 3,
        heartbeat: Duration::from_secs(9),
        ..ServerLimits::default()
    };
    assert_eq!(server.limits, limits);

    assert_eq!(runtime.state_dir.as_deref(), Some(Path::new("/var/lib/keepsight")));
    assert_eq!(runtime.on_lost_containment, LostContainment::Exit);
    assert!(runtime.strict);
    let limits = RuntimeLimits {
        init: Duration::from_secs(600),
        frame: Duration::from_millis(250),
        abandoned_threads: 9,
        ..RuntimeLimits::default()
    };
    assert_eq!(runtime.limits, limits);

    let door = &streams["door"];
    assert_eq!(door.source.expose(), "camera:usb-046d_C920_1A2B3C4D");
    assert_eq!(door.size, Some(FrameSize::new(1280, 720)));
    assert_eq!((door.fps, door.mode), (Some(15.0), Mode::Newest));
    assert_eq!((door.critical, door.grace), (true, Duration::from_secs(10)));
    assert_eq!(door.plugins, ["tracker", "stats"]);
    let masks = json!({"masks": [[[0.0, 0.0], [0.3, 0.0], [0.3, 0.2]]]});
    assert_eq!(door.settings["tracker"].expose(), &masks);
    assert_eq!(streams["drive"].source.expose(), "rtsp://cam:hunter2@192.0.2.40/stream2");
    assert_eq!((streams["yard"].mode, streams["yard"].memory), (Mode::Every, Some(64 << 20)));
    assert_eq!(door.memory, None);

    let tracker = &plugins["tracker"];
    assert_eq!(tracker.plugin, "video-tracker");
    assert_eq!(tracker.deadline, Some(Duration::from_millis(500)));
    assert_eq!(tracker.memory, Some(300 << 20));
    let restart = RestartPolicy {
        budget: 3,
        window: Duration::from_secs(3600),
        backoff: (Duration::from_millis(500), Duration::from_secs(60)),
    };
    assert_eq!(tracker.restart, restart);
    let expected = json!({
        "gpu": "auto", "classes": ["person", "car"], "token": "Bearer hunter2", "big": 16,
    });
    assert_eq!(tracker.config.expose(), &expected);
    assert_eq!(plugins["stats"].plugin, "frame-stats");
    assert_eq!(plugins["stats"].restart, RestartPolicy::default());

    let [output] = &outputs[..] else { panic!("one output, not {}", outputs.len()) };
    assert_eq!(output.to.expose(), "file:tracks.jsonl");
    assert_eq!(output.what, [OutputKind::Tracks, OutputKind::Json]);
    let keep = Keep { size: Some(200 << 20), age: Some(Duration::from_secs(14 * 86_400)) };
    assert_eq!(output.keep, keep);
}

#[test]
fn no_secret_is_printed() {
    let printed = format!("{:#?}", parse(EVERYTHING).unwrap());
    for secret in ["hunter2", "correct-horse"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(printed.contains("cam:${DRIVE_PASSWORD}@192.0.2.40"), "{printed}");
    assert!(printed.contains("Bearer ${DRIVE_PASSWORD}"), "{printed}");
}

#[test]
fn an_empty_file_of_version_1_is_enough() {
    let config = parse("version = 1").unwrap();
    assert_eq!(config.server.listen, ServerConfig::LISTEN);
    assert_eq!(
        config.runtime.state_dir.as_deref(),
        Some(Path::new("/home/op/.local/state/keepsight"))
    );
    assert!(config.streams.is_empty() && config.plugins.is_empty());
}

#[test]
fn unknown_keys_show_where_they_stand_and_what_was_meant() {
    check_refused(
        "[server]\nlistne = \"127.0.0.1:1\"",
        expect!["keepsight.toml:3:1: unknown key 'listne' in [server]; did you mean 'listen'?"],
    );
    check_refused(
        "[plugins.stats]\nuse = \"frame-stats\"\n  memroy = 1",
        expect![
            "keepsight.toml:4:3: unknown key 'memroy' in [plugins.stats]; did you mean 'memory'?"
        ],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nfsp = 3",
        expect!["keepsight.toml:4:1: unknown key 'fsp' in [streams.a]; did you mean 'fps'?"],
    );
    check_refused(
        "[server]\nlimits = { body_byte = \"1MiB\" }",
        expect![
            "keepsight.toml:3:12: unknown key 'body_byte' in [server.limits]; did you mean 'body_bytes'?"
        ],
    );
    check_refused(
        "quality = 7",
        expect!["keepsight.toml:2:1: unknown key 'quality' in the top level"],
    );
    check_refused(
        "[stream.a]",
        expect![
            "keepsight.toml:2:2: unknown key 'stream' in the top level; did you mean 'streams'?"
        ],
    );
    check_refused(
        "[plugins.frame-stats]\n[streams.a]\nsource = \"scene:\"\nplugins = [\"frame-stats\"]\n\
         [streams.a.settings.frame-stat]\nx = 1",
        expect![
            "keepsight.toml:6:21: unknown key 'frame-stat' in [streams.a.settings], which takes this stream's plugins; did you mean 'frame-stats'?"
        ],
    );
}

#[test]
fn columns_count_characters() {
    check_refused(
        "[streams.a]\nsource = \"scene:ä\" # ü\nplugins = [\"öé\", \"x\"]",
        expect![
            "keepsight.toml:4:12: stream 'a' names the plugin 'öé', which is not defined; add a table [plugins.öé]"
        ],
    );
    check_refused(
        "[server]\nallowed_hosts = [\"ok.example\", \"not ok\"]",
        expect![[
            r#"keepsight.toml:3:32: 'allowed_hosts' cannot be used: a host is a name without scheme and port, such as "door.example""#
        ]],
    );
}

#[test]
fn what_is_not_toml_is_refused_where_reading_stopped() {
    check_refused(
        "[server\nlisten = 1",
        expect!["keepsight.toml:2:8: unclosed table, expected `]`"],
    );
    check_refused("[server]\n[server]", expect!["keepsight.toml:3:2: duplicate key"]);
}

#[test]
fn the_version_is_there_and_known() {
    expect!["keepsight.toml:1:1: the top level has no 'version'; begin the file with version = 1"]
        .assert_eq(&parse("\n").unwrap_err().to_string());
    expect!["keepsight.toml:1:11: version 2 is not known; this program reads version 1"]
        .assert_eq(&parse("version = 2").unwrap_err().to_string());
    expect![[r#"keepsight.toml:1:11: version "1" is not known; this program reads version 1"#]]
        .assert_eq(&parse("version = \"1\"").unwrap_err().to_string());
}

#[test]
fn values_of_another_type_are_refused() {
    check_refused(
        "[server]\nlisten = 8787",
        expect![[
            r#"keepsight.toml:3:10: 'listen' takes an address and port, such as "127.0.0.1:8787", not an integer"#
        ]],
    );
    check_refused(
        "server = 1",
        expect!["keepsight.toml:2:10: 'server' takes a table, not an integer"],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\ncritical = \"yes\"",
        expect!["keepsight.toml:4:12: 'critical' takes true or false, not a text"],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nplugins = \"x\"",
        expect!["keepsight.toml:4:11: 'plugins' takes a list of texts, not a text"],
    );
    check_refused(
        "[plugins.frame-stats]\nrestart = { budget = 1.5 }",
        expect!["keepsight.toml:3:22: 'budget' takes a whole number, not a number"],
    );
    check_refused(
        "[plugins.frame-stats]\nconfig = 1979-05-27",
        expect!["keepsight.toml:3:10: 'config' takes a table, not a date"],
    );
    check_refused(
        "[outputs]\nto = \"file:x\"",
        expect!["keepsight.toml:2:1: 'outputs' takes a list of tables, [[outputs]], not a table"],
    );
}

#[test]
fn values_that_mean_nothing_are_refused() {
    check_refused(
        "[server]\nlisten = \"somewhere\"",
        expect![[
            r#"keepsight.toml:3:10: 'listen' cannot be used: "somewhere" is not an address and port, such as "127.0.0.1:8787""#
        ]],
    );
    check_refused(
        "[server]\nkey = \"short\"",
        expect!["keepsight.toml:3:7: 'key' cannot be used: a key has at least 8 characters"],
    );
    check_refused(
        "[server]\nkey = \"with a space\"",
        expect![
            "keepsight.toml:3:7: 'key' cannot be used: a key has only visible characters of ASCII, without spaces"
        ],
    );
    check_refused(
        "[server]\nallowed_origins = [\"wall.example\"]",
        expect![[
            r#"keepsight.toml:3:20: 'allowed_origins' cannot be used: an origin is a scheme and a host, such as "https://wall.example""#
        ]],
    );
    check_refused(
        "[server.limits]\nconnections = 0",
        expect!["keepsight.toml:3:15: 'connections' cannot be used: it is not within 1 and 10000"],
    );
    check_refused(
        "[server.limits]\nheader_bytes = \"1B\"",
        expect![
            "keepsight.toml:3:16: 'header_bytes' cannot be used: it is not within 512 B and 1.0 MiB"
        ],
    );
    check_refused(
        "[runtime]\non_lost_containment = \"panic\"",
        expect![[
            r#"keepsight.toml:3:23: 'on_lost_containment' cannot be used: "panic" is not "exit" or "report""#
        ]],
    );
    check_refused(
        "[runtime.limits]\nprobe = \"0s\"",
        expect!["keepsight.toml:3:9: 'probe' cannot be used: it is not above 0 and at most a year"],
    );
    check_refused(
        "[runtime.limits]\nprobe = \"soon\"",
        expect![[
            r#"keepsight.toml:3:9: 'probe' cannot be used: "soon" is not a time, such as "500ms" or "10min""#
        ]],
    );
    check_refused(
        "[streams.a]\nsource = \"door\"",
        expect![[
            r#"keepsight.toml:3:10: 'source' cannot be used: a source begins with its scheme, such as "camera:0" or "file:a.y4m""#
        ]],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nsize = \"big\"",
        expect![[
            r#"keepsight.toml:4:8: 'size' cannot be used: "big" is not a picture size, such as "1280x720""#
        ]],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nfps = 0",
        expect!["keepsight.toml:4:7: 'fps' cannot be used: it is not a number above 0"],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nmode = \"all\"",
        expect![[r#"keepsight.toml:4:8: 'mode' cannot be used: "all" is not "newest" or "every""#]],
    );
    check_refused(
        "[streams.\"a b\"]\nsource = \"scene:\"",
        expect![
            "keepsight.toml:2:10: 'a b' cannot be used: a name has 1 to 64 letters of ASCII, digits, hyphens, underscores or dots"
        ],
    );
    check_refused(
        "[plugins.frame-stats]\nmemory = \"7\"",
        expect![
            "keepsight.toml:3:10: 'memory' cannot be used: it is not within 1.0 MiB and 65536.0 GiB"
        ],
    );
    check_refused(
        "[plugins.frame-stats]\nrestart = { backoff = [\"2s\", \"1s\"] }",
        expect!["keepsight.toml:3:23: 'backoff' cannot be used: the second time is the shorter"],
    );
    check_refused(
        "[plugins.frame-stats]\nrestart = { backoff = [\"2s\"] }",
        expect![[
            r#"keepsight.toml:3:23: 'backoff' cannot be used: it is not a list of two times, such as ["1s", "2min"]"#
        ]],
    );
    check_refused(
        "[plugins.frame-stats]\nconfig = { x = inf }",
        expect!["keepsight.toml:3:16: 'x' cannot be used: the number is not finite"],
    );
    check_refused(
        "[[outputs]]\nto = \"file:x\"\nwhat = [\"trakcs\"]",
        expect![[
            r#"keepsight.toml:4:9: 'what' cannot be used: it takes "detections", "tracks", "regions" and "json""#
        ]],
    );
    check_refused(
        "[plugins.frame-stats]\n[streams.a]\nsource = \"scene:\"\n\
         plugins = [\"frame-stats\", \"frame-stats\"]",
        expect!["keepsight.toml:5:27: 'plugins' cannot be used: 'frame-stats' is in it twice"],
    );
}

#[test]
fn keys_that_must_be_there_are_asked_for() {
    check_refused(
        "[streams.a]\nfps = 3",
        expect![[
            r#"keepsight.toml:2:1: [streams.a] has no 'source'; such as source = "camera:0""#
        ]],
    );
    check_refused(
        "[[outputs]]\nwhat = [\"tracks\"]",
        expect![[
            r#"keepsight.toml:2:1: [[outputs]] has no 'to'; such as to = "file:tracks.jsonl""#
        ]],
    );
    check_refused(
        "[[outputs]]\nto = \"file:x\"",
        expect![[r#"keepsight.toml:2:1: [[outputs]] has no 'what'; such as what = ["tracks"]"#]],
    );
}

#[test]
fn streams_name_plugins_that_are_defined_and_built_in() {
    check_refused(
        "[plugins.tracker]\nuse = \"video-tracker\"\n\
         [streams.a]\nsource = \"scene:\"\nplugins = [\"traker\"]",
        expect![
            "keepsight.toml:6:12: stream 'a' names the plugin 'traker', which is not defined; did you mean 'tracker'?"
        ],
    );
    check_refused(
        "[streams.a]\nsource = \"scene:\"\nplugins = [\"frame-stats\"]",
        expect![
            "keepsight.toml:4:12: stream 'a' names the plugin 'frame-stats', which is not defined; add a table [plugins.frame-stats]"
        ],
    );
    check_refused(
        "[plugins.tracker]\nuse = \"video-traker\"",
        expect![
            "keepsight.toml:3:7: this build has no plugin 'video-traker'; did you mean 'video-tracker'?"
        ],
    );
    check_refused(
        "[plugins.reader]",
        expect![
            "keepsight.toml:2:1: this build has no plugin 'reader'; build with the feature of that name"
        ],
    );
}

#[test]
fn variables_must_be_set_and_well_written() {
    check_refused(
        "[server]\nkey = \"${KEEPSIGHT_KEYS}\"",
        expect!["keepsight.toml:3:7: the environment variable KEEPSIGHT_KEYS is not set"],
    );
    check_refused(
        "[plugins.frame-stats.config]\na = [\"${NOPE}\"]",
        expect!["keepsight.toml:3:6: the environment variable NOPE is not set"],
    );
    check_refused(
        "[server]\nkey = \"${KEEPSIGHT_KEY\"",
        expect![
            "keepsight.toml:3:7: 'key' cannot be used: a variable is written ${NAME}, and $${ stands for ${ itself"
        ],
    );
}

#[test]
fn nobody_else_is_served_without_a_key() {
    let expected = expect![[
        r#"keepsight.toml:3:10: listening on 0.0.0.0:8787 needs a key, for others could reach it: set key = "${KEEPSIGHT_KEY}" under [server] in keepsight.toml and that variable in the environment, or listen on 127.0.0.1"#
    ]];
    check_refused("[server]\nlisten = \"0.0.0.0:8787\"", expected);
    check_refused(
        "[server]\nlisten = \"[::]:80\"",
        expect![[
            r#"keepsight.toml:3:10: listening on [::]:80 needs a key, for others could reach it: set key = "${KEEPSIGHT_KEY}" under [server] in keepsight.toml and that variable in the environment, or listen on 127.0.0.1"#
        ]],
    );
    for own in ["127.0.0.1:8787", "127.1.2.3:1", "[::1]:8787", "localhost:80"] {
        parse(&format!("version = 1\n[server]\nlisten = \"{own}\"")).unwrap();
    }
    let config = || Config::default_scene(&environment());
    assert!(config().listening_on("localhost:0").unwrap().server.listen.ip().is_loopback());
    let error = config().listening_on("192.0.2.1:80").unwrap_err();
    assert!(matches!(error, ConfigError::ListenWithoutKey { .. }), "{error}");
    let error = config().listening_on("door").unwrap_err();
    expect!["'door' is not an address and port, such as 127.0.0.1:8787"]
        .assert_eq(&error.to_string());
    let keyed = parse("version = 1\n[server]\nkey = \"12345678\"").unwrap();
    assert_eq!(keyed.listening_on("0.0.0.0:80").unwrap().server.listen.port(), 80);
}

#[test]
fn files_are_read_and_their_absence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keepsight.toml");
    let error = Config::read(&file, &environment()).unwrap_err();
    assert!(matches!(&error, ConfigError::Read { file: named, .. } if *named == file), "{error}");
    std::fs::write(&file, EVERYTHING).unwrap();
    assert_eq!(Config::read(&file, &environment()).unwrap().streams.len(), 3);
}

#[test]
fn without_a_file_the_scene_is_tracked() {
    let config = Config::default_scene(&environment());
    assert_eq!(config.streams["scene"].source.expose(), "scene:");
    assert_eq!(config.streams["scene"].plugins, ["video-tracker", "frame-stats"]);
    assert_eq!(config.plugins.keys().collect::<Vec<_>>(), ["frame-stats", "video-tracker"]);

    let small = Environment { plugins: &["frame-stats"], variable: &variable };
    let config = Config::for_source("camera:0", &small);
    assert_eq!(config.streams["camera"].plugins, ["frame-stats"]);
    assert_eq!(config.streams["camera"].mode, Mode::Newest);
    assert_eq!(Config::for_source("file:a.y4m", &small).streams["file"].mode, Mode::Every);
}

const SAMPLE: &str = include_str!("../../packaging/keepsight.toml");

#[test]
fn the_sample_is_a_configuration() {
    let config = parse(SAMPLE).unwrap();
    assert_eq!(config.streams["scene"].plugins, ["tracker", "stats"]);
    assert_eq!(config.server.listen, ServerConfig::LISTEN);
    assert_eq!(config.plugins["tracker"].restart, RestartPolicy::default());
}

#[test]
fn the_samples_comments_are_settings_with_their_defaults() {
    // "#key = value" is a setting, "# Text" is prose.
    let settings = SAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with(' ') => setting,
        _ => line,
    });
    let config = parse(&settings.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(config.server.limits, ServerLimits::default());
    assert_eq!(config.runtime.limits, RuntimeLimits::default());
    assert_eq!(config.outputs.len(), 1);
    assert_eq!(
        config.streams["door"].settings["tracker"].expose()["masks"][0][2],
        json!([0.3, 0.2])
    );
}

const DOCUMENTED: &str = include_str!("../../docs/configuration.md");

/// Rows under each heading of the documentation: key and default, without their backticks.
fn documented() -> Vec<(&'static str, Vec<(&'static str, &'static str)>)> {
    let mut sections: Vec<(&str, Vec<_>)> = Vec::new();
    for line in DOCUMENTED.lines() {
        if let Some(title) = line.strip_prefix('#') {
            sections.push((title.trim_start_matches('#').trim(), Vec::new()));
        } else if let Some(row) = line.strip_prefix("| `")
            && let Some((_, rows)) = sections.last_mut()
        {
            let (key, rest) = row.split_once("` | ").unwrap();
            rows.push((key, rest.split(" | ").next().unwrap()));
        }
    }
    sections
}

#[test]
fn every_key_is_documented_and_no_other() {
    for (title, keys) in keys::ALL {
        let documented = documented();
        let section = documented.iter().find(|(found, _)| found == title);
        let (_, rows) = section.unwrap_or_else(|| panic!("no heading {title:?}"));
        let found: Vec<_> = rows.iter().map(|(key, _)| *key).collect();
        assert_eq!(found, *keys, "{title}");
    }
}

#[test]
fn documented_defaults_are_the_defaults() {
    let with = |titles: &[&str], rest: &str| {
        let mut text = "version = 1\n".to_owned();
        for (title, rows) in documented().iter().filter(|(title, _)| titles.contains(title)) {
            text += &format!("{}\n", title.replace("NAME", "frame-stats"));
            for (key, default) in rows {
                // What else stands there says in words where the default comes from.
                if let Some(value) = default.strip_prefix('`').and_then(|v| v.strip_suffix('`'))
                    && !value.contains('`')
                {
                    text += &format!("{key} = {value}\n");
                }
            }
        }
        let text = text + rest;
        parse(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    };
    let everything = with(
        &[
            "[server]",
            "[server.limits]",
            "[runtime]",
            "[runtime.limits]",
            "[plugins.NAME]",
            "[plugins.NAME.restart]",
        ],
        "[streams.s]\nsource = \"scene:\"\n",
    );
    assert_eq!(everything.server.limits, ServerLimits::default());
    assert_eq!(everything.runtime.limits, RuntimeLimits::default());
    let stream = with(&["[streams.NAME]"], "source = \"scene:\"\n");
    let plain = "[plugins.frame-stats]\n[streams.frame-stats]\nsource = \"scene:\"\n";
    let plain = parse(&format!("version = 1\n{plain}")).unwrap();
    let text = |of: &dyn std::fmt::Debug| format!("{of:?}");
    assert_eq!(text(&stream.streams["frame-stats"]), text(&plain.streams["frame-stats"]));
    assert_eq!(text(&everything.server), text(&plain.server));
    assert_eq!(text(&everything.runtime), text(&plain.runtime));
    assert_eq!(text(&everything.plugins["frame-stats"]), text(&plain.plugins["frame-stats"]));
}

/// What `error` is explained as, found in `config = { … }` of an instance whose table begins in
/// line 2.
#[track_caller]
fn check_explained(config: &str, error: PluginConfigError, expected: Expect) {
    let text = format!("version = 1\n[plugins.p]\nuse = \"frame-stats\"\n{config}");
    let config = parse(&text).unwrap();
    expected.assert_eq(&config.plugins["p"].config.explain(&error));
}

#[test]
fn what_a_plugin_finds_wrong_has_its_place() {
    let error = |path: &[&str], reason: &str| PluginConfigError::new(reason).at(path.to_vec());
    check_explained(
        "config = { stop = 1 }",
        error(&["stop"], "unknown field `stop`, expected one of `step`, `other`"),
        expect![
            "keepsight.toml:4:12: unknown key 'stop' in [plugins.p.config]; did you mean 'step'?"
        ],
    );
    check_explained(
        "[plugins.p.config]\nnested = { deeper = { colour = 1 } }",
        error(&["nested", "deeper", "colour"], "unknown field `colour`, expected `size` or `age`"),
        expect![
            "keepsight.toml:5:23: unknown key 'colour' in [plugins.p.config.nested.deeper]; it takes size, age"
        ],
    );
    check_explained(
        "config.none = 1",
        error(&["none"], "unknown field `none`, there are no fields"),
        expect!["keepsight.toml:4:8: unknown key 'none' in [plugins.p.config]; it takes none"],
    );
    check_explained(
        "config = { step = \"x\" }",
        error(&["step"], "invalid type: string \"x\", expected a nonzero usize"),
        expect![[
            r#"keepsight.toml:4:19: 'step' cannot be used: invalid type: string "x", expected a nonzero usize"#
        ]],
    );
    check_explained(
        "config.masks = [\n  [[0, 0], [0, 1], [1, 1]],\n  [[0, 0], [0, 7]],\n]",
        error(&["masks", "1"], "too few points"),
        expect!["keepsight.toml:6:3: 'masks' cannot be used: too few points"],
    );
    check_explained(
        "config.a = { b = 1 }",
        error(&["a"], "missing field `c`"),
        expect!["keepsight.toml:4:12: [plugins.p.config.a] has no 'c'"],
    );
    check_explained(
        "critical = true",
        error(&[], "missing field `c`"),
        expect!["keepsight.toml:2:1: [plugins.p.config] has no 'c'"],
    );
    check_explained(
        "\n\nconfig = {}",
        error(&[], "low ≤ high is needed"),
        expect!["keepsight.toml:6:10: [plugins.p.config] cannot be used: low ≤ high is needed"],
    );
}

#[test]
fn what_a_plugin_finds_wrong_shows_no_secret() {
    check_explained(
        "config = { step = \"${DRIVE_PASSWORD}\" }",
        PluginConfigError::new("invalid type: string \"hunter2\", expected a usize").at(["step"]),
        expect![[
            r#"keepsight.toml:4:19: 'step' cannot be used: invalid type: string "${DRIVE_PASSWORD}", expected a usize"#
        ]],
    );
    check_explained(
        "config = { a = [\"x ${DRIVE_PASSWORD}\"] }",
        PluginConfigError::new("no such place: x hunter2").at(["a", "0"]),
        expect!["keepsight.toml:4:17: 'a' cannot be used: no such place: x ${DRIVE_PASSWORD}"],
    );
}

#[test]
fn what_is_wrong_on_a_stream_stands_there_or_with_the_instance() {
    let text = "version = 1\n[plugins.p]\nuse = \"frame-stats\"\nconfig = { step = 1, both = 1 }\n\
                [streams.s]\nsource = \"scene:\"\nplugins = [\"p\"]\n\
                [streams.s.settings.p]\nboth = 2\n";
    let config = parse(text).unwrap();
    let (instance, stream) = (&config.plugins["p"].config, &config.streams["s"].settings["p"]);
    let explain = |path: &str| {
        let path = Some(path).filter(|path| !path.is_empty());
        stream.explain_over(instance, &PluginConfigError::new("why").at(path))
    };
    expect!["keepsight.toml:9:8: 'both' cannot be used: why"].assert_eq(&explain("both"));
    expect!["keepsight.toml:4:19: 'step' cannot be used: why"].assert_eq(&explain("step"));
    expect!["keepsight.toml:8:1: [streams.s.settings.p] cannot be used: why"]
        .assert_eq(&explain(""));
}

/// A file of which the last line stands in the section with the title, which lacks nothing that
/// must be there, unless that is `key`.
fn in_section(title: &str, key: &str, line: &str) -> String {
    let output = "[[outputs]]\nto = \"file:x\"\nwhat = [\"tracks\"]\n";
    let before = match title {
        "The file" => "",
        "[streams.NAME]" => "[streams.s]\nsource = \"scene:\"\n",
        "[[outputs]]" => output,
        "[outputs.keep]" => &format!("{output}[outputs.keep]\n"),
        other => &format!("{}\n", other.replace("NAME", "frame-stats")),
    };
    let is_key = |line: &&str| !line.starts_with(&format!("{key} = "));
    let before = before.lines().filter(is_key).map(|line| format!("{line}\n"));
    let version = if key == "version" { "" } else { "version = 1\n" };
    format!("{version}{}{line}", before.collect::<String>())
}

#[test]
fn every_key_with_a_slip_of_the_hand_is_refused_where_it_stands() {
    for (title, keys) in keys::ALL {
        for key in *keys {
            let text = in_section(title, "", &format!("  {key}x = 1"));
            let place = (text.lines().count() as u32, 3);
            let error = parse(&text).unwrap_err();
            let ConfigError::UnknownKey { place: found, nearest, .. } = &error else {
                panic!("{title} {key}: {error}")
            };
            assert_eq!((found.line, found.column), place, "{title} {key}");
            assert_eq!(nearest.as_deref(), Some(*key), "{title}");
        }
    }
}

#[test]
fn every_key_with_a_value_of_another_type_is_refused_where_it_stands() {
    for (title, keys) in keys::ALL {
        for key in *keys {
            let text = in_section(title, key, &format!("{key} = 1979-05-27"));
            let place = (text.lines().count() as u32, key.len() as u32 + 4);
            let error = parse(&text).unwrap_err();
            let found = match &error {
                ConfigError::WrongType { place, key: found, .. } if found == key => place,
                ConfigError::Version { place, .. } if *key == "version" => place,
                _ => panic!("{title} {key}: {error}"),
            };
            assert_eq!((found.line, found.column), place, "{title} {key}");
        }
    }
}

#[test]
fn every_key_that_is_there_twice_is_refused_where_it_stands() {
    for (title, keys) in keys::ALL {
        for key in *keys {
            let text = in_section(title, key, &format!("{key} = 1\n{key} = 2"));
            let error = parse(&text).unwrap_err();
            let ConfigError::Syntax { place, message } = &error else {
                panic!("{title} {key}: {error}")
            };
            let expected = (text.lines().count() as u32, "duplicate key");
            assert_eq!((place.line, message.as_str()), expected, "{title} {key}");
        }
    }
}
