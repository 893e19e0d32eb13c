//! The process under test: its configuration, its beginning and its end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use keepsight::{
    api::{Backend, HttpServer},
    config::{Config, Environment},
    loader::{Catalog, ProbeProgram},
    runtime::{Runtime, RuntimeOptions},
};
use keepsight_contract::{Pace, PluginRegistration, SourceRegistration, registered};
use keepsight_fault_injector::{FaultInjector, release_all};

use crate::{
    ledger::{Counted, Ledger},
    random::Random,
    steady::{Follower, NOTICED, Steady},
    wild_source::WildSource,
};
use {keepsight_frame_stats as _, keepsight_scene as _};

/// A runtime and its server.
pub(crate) struct Site {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) address: SocketAddr,
    /// While it is there, the instance `moody` can be built.
    pub(crate) mood: PathBuf,
    server: HttpServer,
    _folder: tempfile::TempDir,
}

impl Site {
    pub(crate) fn start(random: &mut Random, ledger: &Ledger) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let mood = folder.path().join("mood");
        std::fs::write(&mood, "good").expect("the folder is ours");
        let catalog = catalog();
        let plugins = catalog.plugin_ids();
        let environment = Environment { plugins: &plugins, variable: &|_| None };
        let text = configuration(random, &mood);
        let mut config = Config::parse(&text, Path::new("soak.toml"), &environment)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        config.server.listen.set_port(0);
        let program = std::env::current_exe().expect("the program knows where it is");
        let options = RuntimeOptions {
            // No plugin here has a probe that runs in a child.
            probe_program: ProbeProgram::at(program),
            pace: Pace::Native,
            listeners: Vec::new(),
        };
        let runtime = Runtime::new(&config, &catalog, options).expect("the configuration fits");
        let runtime = Arc::new(runtime);
        let server = HttpServer::start(&config.server, runtime.clone()).expect("a port is free");
        let address = server.address();
        runtime.begin();
        if !runtime.wait_loaded(Duration::from_secs(30)) {
            ledger.wrong("not every plugin was loaded".to_owned());
        }
        Self { runtime, address, mood, server, _folder: folder }
    }

    /// Ends everything, and checks what can be checked only then.
    pub(crate) fn end(self, ledger: &Ledger) {
        release_all();
        self.runtime.shut_down();
        let end = Instant::now() + Duration::from_secs(30);
        let mut abandoned = self.runtime.metrics().process.abandoned;
        while abandoned.now > 0 && Instant::now() < end {
            release_all();
            thread::sleep(Duration::from_millis(50));
            abandoned = self.runtime.metrics().process.abandoned;
        }
        println!("abandoned threads: {} ever, {} left at the end", abandoned.ever, abandoned.now);
        if abandoned.now > 0 {
            ledger.wrong(format!("{} abandoned threads did not come back", abandoned.now));
        }
        let metrics = self.runtime.metrics();
        for plugin in &metrics.plugins {
            let feeds = metrics.streams.iter().flat_map(|stream| &stream.plugins);
            let feeds = feeds.filter(|feed| feed.plugin == plugin.name);
            let (processed, failed) =
                feeds.fold((0, 0), |(good, bad), feed| (good + feed.processed, bad + feed.errors));
            let counted = Counted {
                success: plugin.success_count,
                errors: plugin.errors.clone(),
                processed,
                failed,
                restarts: plugin.restarts,
                generation: plugin.generation,
                quarantined: plugin.quarantined,
            };
            ledger.compare(&plugin.name, &counted);
        }
        for stream in &metrics.streams {
            println!(
                "stream {:8} {:9?} {:>8} frames, {:>4} times opened again",
                stream.name, stream.state, stream.frames_in, stream.reconnects
            );
        }
        for noticed in NOTICED.lock().expect("nobody panicked in there").drain(..) {
            ledger.wrong(noticed);
        }
        self.server.stop(Duration::from_secs(5));
    }
}

/// The plugins that callers fault.
pub(crate) const FAULTY: [&str; 5] = ["fault-a", "fault-b", "fault-c", "fragile", "moody"];
/// Every instance.
pub(crate) const ALL: [&str; 10] = [
    "fault-a", "fault-b", "fault-c", "fragile", "moody", "steady", "follower", "stats", "on-wild",
    "on-scene",
];

fn catalog() -> Catalog {
    let plugins =
        [PluginRegistration::of::<Steady>("soak"), PluginRegistration::of::<Follower>("soak")];
    let plugins = registered::plugins()
        .filter(|plugin| plugin.crate_name != "keepsight-video-tracker")
        .filter(|plugin| plugin.crate_name != env!("CARGO_PKG_NAME"))
        .chain(plugins);
    let sources = [SourceRegistration::of::<WildSource>("soak", &["wild"])];
    // Names the crate, so that it is linked.
    let _ = PluginRegistration::of::<FaultInjector>("keepsight-fault-injector");
    Catalog::new(plugins, registered::sources().chain(sources), []).expect("nothing is here twice")
}

fn configuration(random: &mut Random, mood: &Path) -> String {
    let mut seed = || random.next() >> 32;
    let seeds = [seed(), seed(), seed(), seed()];
    format!(
        r#"
version = 1

[runtime.limits]
frame = "500ms"
call = "500ms"
shutdown = "800ms"

# Mostly there: two faults within a short time build it anew, soon.
[plugins.fault-a]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}

# Its sessions can't be opened, dropped or both, now and then.
[plugins.fault-b]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}
[plugins.fault-b.config]
faults = [
    {{ at = "open", kind = "panic", after = 10, every = 31 }},
    {{ at = "open", kind = "failed", after = 12, every = 17 }},
    {{ at = "open", kind = "sleep", seconds = 0.7, after = 100, every = 301 }},
    {{ at = "drop", kind = "panic", after = 20, every = 37 }},
    {{ at = "drop", kind = "sleep", seconds = 1.1, after = 90, every = 257 }},
    {{ at = "shutdown", kind = "panic" }},
]

# Escalates to longer pauses.
[plugins.fault-c]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "20s", backoff = ["20ms", "500ms"] }}

# Is quarantined often, until it is reloaded.
[plugins.fragile]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 2, window = "30s", backoff = ["5ms", "20ms"] }}

# Can't be built while its file is gone.
[plugins.moody]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "2s", backoff = ["20ms", "200ms"] }}
[plugins.moody.config]
faults = [{{ at = "init", kind = "panic", unless = "{mood}" }}]

[plugins.steady]
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}
[plugins.follower]
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}
[plugins.stats]
use = "frame-stats"
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}

[plugins.on-wild]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}
[plugins.on-wild.config]
faults = [
    {{ at = "run", kind = "failed", after = 9, every = 13 }},
    {{ at = "run", kind = "panic", after = 60, every = 97 }},
    {{ at = "run", kind = "panic_payload_drop", after = 80, every = 193 }},
    {{ at = "run", kind = "broken", after = 500, every = 509 }},
    {{ at = "open", kind = "failed", after = 3, every = 5 }},
    {{ at = "open", kind = "panic", after = 7, every = 11 }},
    {{ at = "drop", kind = "panic", after = 2, every = 7 }},
]

[plugins.on-scene]
use = "fault-injector"
memory = "32MiB"
restart = {{ budget = 1000, window = "1s", backoff = ["5ms", "50ms"] }}
[plugins.on-scene.config]
faults = [
    {{ at = "run", kind = "wait", after = 20, every = 60 }},
    {{ at = "run", kind = "sleep", seconds = 0.8, after = 40, every = 101 }},
    {{ at = "run", kind = "memory", bytes = "40MiB", after = 33, every = 79 }},
    {{ at = "run", kind = "memory", bytes = "40MiB", then = "hang", after = 130, every = 139 }},
    {{ at = "run", kind = "panic_thread", after = 25, every = 50 }},
    {{ at = "drop", kind = "sleep", seconds = 1.2, after = 4, every = 9 }},
    {{ at = "shutdown", kind = "panic" }},
]

[streams.wild-1]
source = "wild:1?seed={}"
plugins = ["steady", "follower", "on-wild"]
[streams.wild-2]
source = "wild:2?seed={}"
plugins = ["steady", "follower"]
[streams.wild-3]
source = "wild:3?seed={}"
mode = "every"
plugins = ["steady", "follower", "on-wild"]
[streams.file]
source = "wild:file?seed={}&frames=1500"
mode = "every"
plugins = ["steady", "follower"]
[streams.scene]
source = "scene:?size=320x240&fps=20"
plugins = ["stats", "on-scene"]
"#,
        seeds[0],
        seeds[1],
        seeds[2],
        seeds[3],
        mood = mood.display(),
    )
}
