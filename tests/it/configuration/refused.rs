//! Configurations in error, and what waits for a restart.

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::support::{Seen, await_more_frames, plugin, stream};
use crate::support::{Site, client::Client};

/// Somebody who follows the events from now on.
struct Events {
    client: Client,
    text: String,
}

impl Events {
    #[track_caller]
    fn follow(site: &Site) -> Self {
        let mut client = Client::connect(site.address());
        assert_eq!(client.request("GET /v1/events", "").status, 200);
        // Its beginning has come, so whatever happens from here on comes too.
        let text = client.chunk().unwrap();
        Self { client, text }
    }

    /// The data of the next event of that kind.
    #[track_caller]
    fn next(&mut self, kind: &str) -> Value {
        let line = format!("event: {kind}\ndata: ");
        loop {
            if let Some((_, rest)) = self.text.split_once(&line)
                && let Some((data, rest)) = rest.split_once("\n\n")
            {
                let data = serde_json::from_str(data).unwrap();
                self.text = rest.to_owned();
                return data;
            }
            self.text.push_str(&self.client.chunk().expect("the events go on"));
        }
    }
}

fn base(script: &str) -> String {
    format!("{}{}", plugin("p", script, ""), stream("s", script, "\"p\""))
}

#[track_caller]
fn check_refused(site: &Site, events: &mut Events, toml: &str, expected: Expect) {
    let before = site.get("/v1/plugins").1[0]["state"].clone();
    site.reread(toml).expect_err("a mistake is in it");
    let last = site.get("/v1/inspector/host").1["last_reread"].clone();
    assert_eq!((&last["outcome"], &last["changes"]), (&json!("refused"), &json!([])), "{last}");
    expected.assert_eq(last["reason"].as_str().unwrap());
    let event = events.next("config.refused");
    assert_eq!((&event["code"], &event["reason"]), (&json!("config.refused"), &last["reason"]));
    assert_eq!(site.get("/v1/plugins").1[0]["state"], before);
}

#[test]
fn a_file_in_error_changes_nothing_and_is_told_of() {
    let seen = Seen::script("refusing");
    let base = base("refusing");
    let site = Site::start(&base);
    let mut events = Events::follow(&site);
    await_more_frames(&site, "s");
    assert_eq!(site.get("/v1/inspector/host").1["last_reread"], Value::Null);
    let mut check = |more: &str, expected| {
        // Right in itself, and not to be done either.
        let right = plugin("new", "refusing", "");
        check_refused(&site, &mut events, &format!("{right}{base}{more}"), expected);
        assert_eq!(site.get("/v1/plugins/new/health").0, 404);
    };
    check("[server", expect!["test.toml:14:8: unclosed table, expected `]`"]);
    check(
        "[runtime]\nstrickt = true",
        expect!["test.toml:15:1: unknown key 'strickt' in [runtime]; did you mean 'strict'?"],
    );
    check(
        "[plugins.q]\nuse = \"scripted\"\nconfig = { scrip = \"\" }",
        expect![[
            r#"the configuration of the plugin "q" is not valid: test.toml:16:12: unknown key 'scrip' in [plugins.q.config]; did you mean 'script'?"#
        ]],
    );
    check(
        "settings.p = { script = \"another\" }",
        expect![[
            r#"stream "s": the settings for "p" are not valid: test.toml:14:14: [streams.s.settings.p] cannot be used: `script` can't differ by stream"#
        ]],
    );
    check(
        "[streams.t]\nsource = \"carrier-pigeon:\"",
        expect![[r#"stream "t": this build opens no carrier-pigeon: sources; it knows test"#]],
    );
    check(
        "[[outputs]]\nto = \"nowhere:\"\nwhat = [\"tracks\"]",
        expect![[
            r#"output "nowhere:": this build writes to no nowhere: addresses; it knows none"#
        ]],
    );
    // Of an instance that runs.
    let wrong = base.replace("script = \"refusing\"", "script = 7");
    check_refused(
        &site,
        &mut events,
        &wrong,
        expect![[
            r#"the configuration of the plugin "p" is not valid: test.toml:4:21: 'script' cannot be used: invalid type: integer `7`, expected a string"#
        ]],
    );
    await_more_frames(&site, "s");
    seen.check_no_gap();
    assert_eq!((seen.opened(), &site.health("p")["generation"]), (1, &json!(1)));

    // And once it is right again, that is told too.
    site.check_reread(&format!("{base}critical = true\n"), &["stream s adjusted"]);
    let event = events.next("config.applied");
    let changes = json!([{"kind": "stream", "name": "s", "change": "adjusted"}]);
    assert_eq!((&event["code"], &event["changes"]), (&json!("config.applied"), &changes));
    let last = site.get("/v1/inspector/host").1["last_reread"].clone();
    assert_eq!((&last["outcome"], &last["reason"]), (&json!("applied"), &Value::Null));
    assert_eq!(last["changes"], changes);
    site.check_reread(&format!("{base}critical = true\n"), &[]);
    assert_eq!(site.get("/v1/inspector/host").1["last_reread"]["outcome"], "unchanged");
}

#[test]
fn what_needs_a_restart_is_said_and_the_rest_is_done() {
    Seen::script("restartless");
    let base = base("restartless");
    let site = Site::start(&base);
    site.await_state("p", "RUNNING");
    let next = format!(
        "[server]\nlisten = \"127.0.0.1:9\"\nkey = \"a-new-key\"\nallowed_hosts = [\"a.example\"]\n\
         allowed_origins = [\"https://a.example\"]\nlimits = {{ calls = 1 }}\n\
         [runtime]\nstate_dir = \"/nonexistent/elsewhere\"\nstrict = true\n\
         on_lost_containment = \"exit\"\n{base}{}",
        plugin("q", "restartless", ""),
    );
    for changes in [&["plugin q added"][..], &[]] {
        site.check_reread(&next, changes);
        let last = site.get("/v1/inspector/host").1["last_reread"].clone();
        assert_eq!(
            last["needs_restart"],
            json!([
                "server.listen",
                "server.key",
                "server.allowed_origins",
                "server.allowed_hosts",
                "server.limits",
                "runtime.state_dir",
                "runtime.strict",
            ])
        );
    }
    site.await_state("q", "INITIALIZED");
    let config = site.runtime.config();
    assert_eq!(config.runtime.on_lost_containment, keepsight::config::LostContainment::Exit);
    assert!(!config.runtime.strict && config.server.key.is_none());
    // Back to where it was, nothing waits any more.
    site.check_reread(&base, &["plugin q removed"]);
    assert_eq!(site.get("/v1/inspector/host").1["last_reread"]["needs_restart"], json!([]));
}
