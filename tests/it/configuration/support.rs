use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use keepsight_contract::{JsonOutput, Response};

use crate::support::{Script, Site};

/// What instances of a script did: how often a session was opened, with which label, and which
/// frames were seen.
#[derive(Clone, Default)]
pub(super) struct Seen {
    opened: Arc<AtomicUsize>,
    sequences: Arc<Mutex<Vec<u64>>>,
}

impl Seen {
    /// Watches what a script of that name does.
    pub(super) fn script(name: &str) -> Self {
        let seen = Self::default();
        let (opened, sequences) = (seen.opened.clone(), seen.sequences.clone());
        Script::default()
            .open(move |_| {
                opened.fetch_add(1, SeqCst);
                Ok(())
            })
            .run(move |request, _| {
                let Some(frame) = request.frame() else { return Ok(Response::new()) };
                sequences.lock().unwrap().push(frame.sequence());
                Ok(Response::new().with(JsonOutput::new("sequence", frame.sequence())))
            })
            .named(name);
        seen
    }

    pub(super) fn opened(&self) -> usize {
        self.opened.load(SeqCst)
    }

    pub(super) fn sequences(&self) -> Vec<u64> {
        self.sequences.lock().unwrap().clone()
    }

    /// That every frame from the first on was seen, in order.
    #[track_caller]
    pub(super) fn check_no_gap(&self) {
        let sequences = self.sequences();
        let whole: Vec<u64> = (0..sequences.len() as u64).collect();
        assert_eq!(sequences, whole);
    }
}

/// An instance of the scripted plugin, with `more` in its table.
pub(super) fn plugin(name: &str, script: &str, more: &str) -> String {
    format!("[plugins.{name}]\nuse = \"scripted\"\nconfig = {{ script = \"{script}\" }}\n{more}\n")
}

/// A stream from a test's source, which waits for its plugins.
pub(super) fn stream(name: &str, source: &str, plugins: &str) -> String {
    format!(
        "[streams.{name}]\nsource = \"test:{source}\"\nmode = \"every\"\nplugins = [{plugins}]\n"
    )
}

/// Waits for more frames of the stream than there were.
#[track_caller]
pub(super) fn await_more_frames(site: &Site, stream: &str) {
    let processed = |report: &serde_json::Value| report["plugins"][0]["processed"].as_u64();
    let before = processed(&site.stream(stream));
    site.await_stream(stream, |report| processed(report) > before.map(|count| count + 5));
}
