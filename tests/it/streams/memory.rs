//! What a source allocates is its own, decoded frames included, and may be limited.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use keepsight_contract::{
    CallError, DecodeError, DecodedPixels, Decoder, Frame, FrameSize, PixelBuffer, PixelFormat,
    Response, testing::frames,
};
use serde_json::json;

use crate::support::{Behaviour, Script, Site, Switch, client};

/// Gives pixels of a size that the frames don't have, or panics.
struct Inflates {
    side: u32,
    panics: bool,
}

impl Decoder for Inflates {
    fn decode(&self, _: &[u8], _: FrameSize) -> Result<DecodedPixels, DecodeError> {
        assert!(!self.panics, "no picture today");
        let size = FrameSize::new(self.side, self.side);
        let pixels = vec![1; size.pixel_count() as usize];
        Ok(DecodedPixels { format: PixelFormat::Gray, size, pixels })
    }
}

fn compressed(decoder: Inflates) -> Behaviour {
    let decoder: Arc<dyn Decoder> = Arc::new(decoder);
    Behaviour::GivesMade(Arc::new(move |_| {
        let pixels = PixelBuffer::from(vec![0; 64]);
        let frame = Frame::builder(PixelFormat::Mjpeg, FrameSize::new(8, 8), pixels);
        frame.decoder(decoder.clone()).build().unwrap()
    }))
}

/// A plugin that wants the pixels of each frame, on a stream of the source `name`.
fn start(name: &str, stream: &str) -> Site {
    Script::default()
        .run(|request, _| {
            let frame = request.frame().expect("a stream's call");
            let size = frame.decoded()?.size();
            if size.width < 100 {
                return Err(CallError::failed("not decoded"));
            }
            Ok(Response::new())
        })
        .named(name);
    Site::start(&format!(
        "[plugins.p]
         use = \"scripted\"
         config = {{ script = \"{name}\" }}
         [streams.s]
         source = \"test:{name}\"
         plugins = [\"p\"]
         {stream}"
    ))
}

#[test]
fn a_source_that_leaks_is_closed_and_opened_again() {
    let hoard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let kept = hoard.clone();
    let switch = Switch::named(
        "leaking-source",
        Behaviour::GivesMade(Arc::new(move |_| {
            kept.lock().unwrap().push(vec![1; 300_000]);
            frames::gray(16, 8, |_, _| 0)
        })),
    );
    let site = start("leaking-source", "memory = \"4MiB\"");
    let report = site.await_stream("s", |report| report["code"] == "source.memory_exceeded");
    assert_eq!(report["state"], "reconnecting");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("limit of 4.0 MiB"), "{reason}");
    assert!(report["hint"].as_str().unwrap().contains("`memory`"), "{report:#}");
    assert_eq!(report["memory"]["limit_bytes"], 4 << 20, "{report:#}");

    switch.set(Behaviour::Gives);
    let report = site.await_stream("s", |report| report["state"] == "live");
    assert!(hoard.lock().unwrap().len() * 300_000 > 4 << 20, "what leaked is still there");
    assert!(report["memory"]["bytes"].as_u64() < Some(1 << 20), "{report:#}");
    assert_eq!(report["code"], json!(null));
    assert_eq!(site.runtime.inspector().host().abandoned_ever, 0);
    hoard.lock().unwrap().clear();
}

#[test]
fn a_source_that_takes_too_much_and_hangs_is_given_up() {
    let gate = crate::support::Gate::default();
    let held = gate.clone();
    let switch = Switch::named(
        "greedy-source",
        Behaviour::GivesMade(Arc::new(move |_| {
            let hoard = std::hint::black_box(vec![1_u8; 8 << 20]);
            held.wait();
            drop(hoard);
            frames::gray(16, 8, |_, _| 0)
        })),
    );
    let site = start("greedy-source", "memory = \"4MiB\"");
    let report = site.await_stream("s", |report| report["code"] == "source.memory_exceeded");
    assert_ne!(report["state"], "live");
    let abandoned = || site.runtime.inspector().host().abandoned_ever;
    while abandoned() == 0 {
        thread::yield_now();
    }
    switch.set(Behaviour::Gives);
    site.await_stream("s", |report| report["state"] == "live");
    gate.open();
}

#[test]
fn decoding_is_the_sources_wherever_it_happens() {
    Switch::named("decoded", compressed(Inflates { side: 2000, panics: false }));
    let site = start("decoded", "");
    let report = site.await_stream("s", |report| {
        report["plugins"][0]["processed"].as_u64() > Some(0)
            && report["memory"]["peak_bytes"].as_u64() > Some(4_000_000)
    });
    assert_eq!(report["plugins"][0]["errors"], 0, "{report:#}");
    assert_eq!(report["memory"]["limit_bytes"], json!(null));
    let plugin = site.runtime.registry().find("p").unwrap().report();
    let memory = plugin.memory.expect("the tests' allocator counts");
    assert!(memory.peak < 1 << 20, "{memory:?}");
    let text = String::from_utf8(client::get(site.address(), "/metrics").body).unwrap();
    for name in ["keepsight_stream_memory_bytes", "keepsight_stream_memory_peak_bytes"] {
        assert!(text.contains(&format!("{name}{{stream=\"s\"}} ")), "{name}");
    }
    assert!(!text.contains("keepsight_stream_memory_limit_bytes"));
}

#[test]
fn a_decoder_that_takes_too_much_is_its_sources_fault_and_not_the_plugins() {
    let switch = Switch::named("inflated", compressed(Inflates { side: 3000, panics: false }));
    let site = start("inflated", "memory = \"4MiB\"");
    site.await_stream("s", |report| report["code"] == "source.memory_exceeded");
    switch.set(compressed(Inflates { side: 100, panics: false }));
    site.await_stream("s", |report| report["state"] == "live");
    let report = site.runtime.registry().find("p").unwrap().report();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
}

/// Pixels that panic when they are given up.
struct Clings(Vec<u8>);

impl AsRef<[u8]> for Clings {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Clings {
    fn drop(&mut self) {
        panic!("they are mine");
    }
}

#[test]
fn pixels_that_panic_when_they_are_dropped_end_no_stream_and_are_no_plugins_fault() {
    let made = |sequence: u64| {
        let pixels: Arc<dyn AsRef<[u8]> + Send + Sync> =
            Arc::new(Clings(vec![sequence as u8; 1024]));
        Frame::builder(PixelFormat::Gray, FrameSize::new(128, 8), PixelBuffer::from(pixels))
            .sequence(sequence)
            .build()
            .unwrap()
    };
    Switch::named("clinging", Behaviour::GivesMade(Arc::new(made)));
    let site = start("clinging", "");
    let report =
        site.await_stream("s", |report| report["plugins"][0]["processed"].as_u64() > Some(50));
    assert_eq!((&report["state"], &report["reconnects"]), (&json!("live"), &json!(0)));
    assert_eq!(report["plugins"][0]["errors"], 0);
    let report = site.runtime.registry().find("p").unwrap().report();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert_eq!(report.generation, 1);
}

#[test]
fn a_decoder_that_panics_gives_the_plugin_an_error() {
    Switch::named("undecodable", compressed(Inflates { side: 8, panics: true }));
    let site = start("undecodable", "");
    site.await_stream("s", |report| report["plugins"][0]["errors"].as_u64() > Some(2));
    let report = site.runtime.registry().find("p").unwrap().report();
    let codes: Vec<_> = report.statistics.errors.keys().copied().collect();
    assert_eq!(codes, ["run.failed"]);
    assert!(report.faults.iter().all(|(_, fault)| fault.code != "run.panicked"));
}
