//! Keepsight plugin: brightness, contrast and motion of each frame.
//!
//! It is also the template for your own: copy the folder, rename, change [`FrameStats::run`].
//! A plugin is a type for what all streams share (nothing here), a configuration, and a session
//! for what one stream keeps (here, the previous frame's brightness).

use std::num::NonZeroUsize;

use keepsight_contract::{
    CallContext, CallError, FrameSize, Host, InitError, JsonOutput, LumaPlane, Manifest,
    OutputKind, Plugin, Request, Response, StreamInfo, Tool, register_plugin,
};
use serde::Deserialize;
use serde_json::json;

/// What all streams share: nothing.
#[derive(Debug)]
pub struct FrameStats;

/// The plugin's part of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Look at each n-th pixel of each n-th row.
    pub step: NonZeroUsize,
}

/// What one stream keeps.
#[derive(Debug)]
pub struct Session {
    step: NonZeroUsize,
    previous: Option<Samples>,
}

/// Brightness of some pixels of a picture of `size`, 0–255.
#[derive(Debug)]
struct Samples {
    size: FrameSize,
    luma: Vec<u8>,
}

impl Plugin for FrameStats {
    type Config = Config;
    type Session = Session;

    fn manifest() -> Manifest {
        let number = |description| json!({"type": "number", "description": description});
        let stats = Tool::new("stats", "Frame statistics", "measures one picture")
            .takes_picture()
            .output("brightness", number("mean brightness, 0 (black) to 255 (white)"))
            .output("contrast", number("standard deviation of the brightness, 0 to 127.5"))
            .output(
                "motion",
                json!({
                    "type": ["number", "null"],
                    "description": "mean change of a pixel's brightness since the stream's \
                                    previous frame, 0 to 255; null where there is none to compare",
                }),
            );
        Manifest::new(
            "frame-stats",
            "Frame statistics",
            env!("CARGO_PKG_VERSION"),
            "tells how bright each frame is, how strong its contrast, and how much it changed",
        )
        .capability("statistics")
        .tool(stats)
        .stream_tool("stats")
        .produces(OutputKind::Json)
    }

    fn init(_: Config, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn open(&self, stream: &StreamInfo, _: &Host) -> Result<Session, CallError> {
        let Config { step } = stream.settings()?;
        Ok(Session { step, previous: None })
    }

    fn run(
        &self,
        session: &mut Session,
        request: &Request,
        _: &CallContext,
    ) -> Result<Response, CallError> {
        let frame = request.frame().ok_or_else(|| CallError::bad_arguments("no picture given"))?;
        let samples = Samples::of(&frame.luma()?, session.step);
        let (brightness, contrast) = samples.mean_and_deviation();
        let motion = session.previous.as_ref().and_then(|before| samples.difference(before));
        session.previous = Some(samples);
        let stats = json!({"brightness": brightness, "contrast": contrast, "motion": motion});
        Ok(Response::new().with(JsonOutput::new("stats", stats)))
    }
}

register_plugin!(FrameStats);

impl Default for Config {
    fn default() -> Self {
        Self { step: NonZeroUsize::new(4).expect("4 is not 0") }
    }
}

impl Samples {
    fn of(plane: &LumaPlane, step: NonZeroUsize) -> Self {
        let rows = plane.pixels.chunks_exact(plane.size.width as usize).step_by(step.get());
        let luma = rows.flat_map(|row| row.iter().copied().step_by(step.get())).collect();
        Self { size: plane.size, luma }
    }

    fn mean_and_deviation(&self) -> (f64, f64) {
        let count = self.luma.len() as f64;
        let (sum, squares) = self.luma.iter().fold((0u64, 0u64), |(sum, squares), &luma| {
            let luma = u64::from(luma);
            (sum + luma, squares + luma * luma)
        });
        let mean = sum as f64 / count;
        (mean, (squares as f64 / count - mean * mean).max(0.0).sqrt())
    }

    /// Mean absolute difference; `None` where the pictures differ in size.
    fn difference(&self, before: &Self) -> Option<f64> {
        let pairs = self.luma.iter().zip(&before.luma);
        let sum: u64 = pairs.map(|(now, before)| u64::from(now.abs_diff(*before))).sum();
        (self.size == before.size).then(|| sum as f64 / self.luma.len() as f64)
    }
}
