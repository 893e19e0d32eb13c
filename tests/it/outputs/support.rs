use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use keepsight::{inspector::OutputReport, loader::Catalog};
use keepsight_contract::{
    BoxError, Host, JsonOutput, OutputRecord, OutputRegistration, OutputSettings, OutputTarget,
    PluginRegistration, Response, SourceRegistration, Tracks, registered,
};
use serde_json::{Value, json};

use crate::support::{
    Gate, Script, Site,
    scripted::Scripted,
    site::{Setup, await_value},
    test_source::TestSource,
};

/// A target `sink:NAME` that does what the test's [`Sink`] of that name says.
pub(super) struct TestTarget(Sink);

/// What a [`TestTarget`] does, and what it was given.
#[derive(Clone, Default)]
pub(super) struct Sink(Arc<Mutex<SinkParts>>);

#[derive(Default)]
struct SinkParts {
    behaviour: SinkBehaviour,
    sequences: Vec<u64>,
}

#[derive(Clone, Default)]
pub(super) enum SinkBehaviour {
    #[default]
    Takes,
    /// Can't be opened.
    Refuses,
    /// Hangs when opened until the gate is open.
    OpeningHangs(Gate),
    /// Takes records and fails when asked to make sure of them.
    KeepsNothing,
    /// Panics at each record.
    Panics,
    /// Hangs at each record until the gate is open.
    Hangs(Gate),
    /// Fails at the record of this sequence.
    StumblesAt(u64),
}

static SINKS: Mutex<BTreeMap<String, Sink>> = Mutex::new(BTreeMap::new());

impl Sink {
    pub(super) fn named(name: &str, behaviour: SinkBehaviour) -> Self {
        let sink = Self::default();
        sink.set(behaviour);
        SINKS.lock().unwrap().insert(name.to_owned(), sink.clone());
        sink
    }

    pub(super) fn set(&self, behaviour: SinkBehaviour) {
        self.0.lock().unwrap().behaviour = behaviour;
    }

    /// Sequences of what was taken so far.
    pub(super) fn sequences(&self) -> Vec<u64> {
        self.0.lock().unwrap().sequences.clone()
    }

    fn behaviour(&self) -> SinkBehaviour {
        self.0.lock().unwrap().behaviour.clone()
    }
}

impl OutputTarget for TestTarget {
    fn open(settings: &OutputSettings, _: &Host) -> Result<Self, BoxError> {
        let sink = SINKS.lock().unwrap()[settings.path.to_str().unwrap()].clone();
        match sink.behaviour() {
            SinkBehaviour::Refuses => Err("the test refuses".into()),
            SinkBehaviour::OpeningHangs(gate) => {
                gate.wait();
                Ok(Self(sink))
            }
            _ => Ok(Self(sink)),
        }
    }

    fn write(&mut self, record: &OutputRecord) -> Result<(), BoxError> {
        match self.0.behaviour() {
            SinkBehaviour::Panics => panic!("the test's target panics"),
            SinkBehaviour::Hangs(gate) => gate.wait(),
            SinkBehaviour::StumblesAt(sequence) if sequence == record.sequence => {
                return Err("the test stumbles".into());
            }
            _ => {}
        }
        self.0.0.lock().unwrap().sequences.push(record.sequence);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), BoxError> {
        match self.0.behaviour() {
            SinkBehaviour::KeepsNothing => Err("the test keeps nothing".into()),
            _ => Ok(()),
        }
    }
}

/// A site with the outputs of this build and [`TestTarget`].
#[track_caller]
pub(super) fn start(toml: &str) -> Site {
    Site::start_with(toml, setup()).unwrap()
}

pub(super) fn setup() -> Setup {
    let plugins = [PluginRegistration::of::<Scripted>("test-scripted")];
    let sources = [SourceRegistration::of::<TestSource>("test-source", &["test"])];
    let sink = OutputRegistration::of::<TestTarget>("test-sink", "sink");
    let catalog = Catalog::new(plugins, sources, registered::outputs().chain([sink])).unwrap();
    Setup { catalog, ..Setup::default() }
}

/// A stream from `source` through a plugin that gives tracks and a JSON value for each frame.
pub(super) fn stream(source: &str, mode: &str) -> String {
    let script = Script::default().run(|request, _| {
        let sequence = request.frame().map_or(0, |frame| frame.sequence());
        Ok(Response::new().with(Tracks::default()).with(JsonOutput::new("sequence", sequence)))
    });
    script.named("gives-both");
    format!(
        "[plugins.p]\nuse = \"scripted\"\nconfig = {{ script = \"gives-both\" }}\n\
         [streams.s]\nsource = \"test:{source}\"\nmode = \"{mode}\"\nplugins = [\"p\"]\n"
    )
}

pub(super) fn output(to: &str, what: &str) -> String {
    format!("[[outputs]]\nto = \"{to}\"\nwhat = [{what}]\n")
}

/// The report of the only output.
pub(super) fn report(site: &Site) -> OutputReport {
    let [report] = &site.runtime.outputs()[..] else { panic!("one output") };
    report.clone()
}

/// Asks for the report of the only output until it is as `wanted`.
#[track_caller]
pub(super) fn await_report(site: &Site, wanted: impl Fn(&OutputReport) -> bool) -> OutputReport {
    // What is asked for again and again is shown when it doesn't come.
    let ask =
        || json!({ "wanted": wanted(&report(site)), "report": format!("{:?}", report(site)) });
    await_value(ask, |value| value["wanted"] == true);
    report(site)
}

/// Waits until every frame of a file has gone through the plugin.
#[track_caller]
pub(super) fn await_end(site: &Site) -> Value {
    site.await_stream("s", |report| report["plugins"][0]["state"] == "closed")
}

#[track_caller]
pub(super) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The sequences in the lines of a file.
#[track_caller]
pub(super) fn sequences(path: &Path) -> Vec<u64> {
    lines(path).iter().map(|line| line["sequence"].as_u64().unwrap()).collect()
}
