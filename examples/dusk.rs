//! The plugin of docs/plugins.md, "Write a plugin": it tells when a stream gets dark.
//!
//! The guide shows what stands here, piece by piece; a test holds the two together.

use keepsight_contract::{
    CallContext, CallError, Host, InitError, JsonOutput, Manifest, OutputKind, Plugin, Request,
    Response, StreamInfo, Tool, register_plugin,
};
use serde::Deserialize;
use serde_json::json;

/// What all streams share: nothing.
struct Dusk;

/// `[plugins.dusk.config]`, and `[streams.NAME.settings.dusk]` over it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Mean brightness below which it is dark, 0–255.
    below: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { below: 40 }
    }
}

/// What one stream keeps.
struct Watch {
    below: f64,
    dark: bool,
    host: Host,
}

impl Plugin for Dusk {
    type Config = Config;
    type Session = Watch;

    fn manifest() -> Manifest {
        let tool = Tool::new("dusk", "Dusk", "tells whether it is dark")
            .takes_picture()
            .output("dark", json!({"type": "boolean"}));
        Manifest::new("dusk", "Dusk", env!("CARGO_PKG_VERSION"), "tells when it gets dark")
            .tool(tool)
            .stream_tool("dusk")
            .produces(OutputKind::Json)
    }

    fn init(_: Config, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<Watch, CallError> {
        let Config { below } = stream.settings()?;
        Ok(Watch { below: below.into(), dark: false, host: host.clone() })
    }

    fn run(
        &self,
        watch: &mut Watch,
        request: &Request,
        _: &CallContext,
    ) -> Result<Response, CallError> {
        let frame = request.frame().ok_or_else(|| CallError::bad_arguments("no picture given"))?;
        let pixels = frame.luma()?.pixels;
        let sum: u64 = pixels.iter().map(|pixel| u64::from(*pixel)).sum();
        let brightness = sum as f64 / pixels.len() as f64;
        let dark = brightness < watch.below;
        if dark != watch.dark {
            watch.host.event("dusk", json!({"dark": dark, "brightness": brightness}));
        }
        watch.dark = dark;
        Ok(Response::new().with(JsonOutput::new("dusk", json!({"dark": dark}))))
    }
}

register_plugin!(Dusk);

fn main() -> std::process::ExitCode {
    keepsight::main()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keepsight_contract::testing::{RecordingHost, call_context, frames};

    use super::*;

    #[test]
    fn it_is_told_once_that_it_got_dark() {
        let host = RecordingHost::new();
        let stream = StreamInfo::new("yard").with_settings(json!({"below": 100}));
        let mut watch = Dusk.open(&stream, &host.host()).unwrap();
        let call = call_context(Duration::from_secs(5));
        for (brightness, dark) in [(200, false), (99, true), (20, true), (100, false)] {
            let request = Request::new("dusk").with_frame(frames::gray(8, 8, |_, _| brightness));
            let response = Dusk.run(&mut watch, &request, &call).unwrap();
            assert_eq!(response.output::<JsonOutput>().unwrap().value, json!({"dark": dark}));
        }
        let told: Vec<_> =
            host.events().into_iter().map(|(_, data)| data["dark"].clone()).collect();
        assert_eq!(told, [true, false]);
    }

    #[test]
    fn no_picture_is_the_callers_mistake() {
        let mut watch = Dusk.open(&StreamInfo::new("call"), &RecordingHost::new().host()).unwrap();
        let call = call_context(Duration::from_secs(5));
        let error = Dusk.run(&mut watch, &Request::new("dusk"), &call).err().unwrap();
        assert!(matches!(error, CallError::BadArguments(_)), "{error}");
    }
}
