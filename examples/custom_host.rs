//! A binary of one's own: everything that `keepsight` does, and a plugin that it doesn't know.
//!
//! ```sh
//! cargo run --example custom_host -- plugins
//! cargo run --example custom_host -- run --source scene:
//! ```

use keepsight_contract::{
    CallContext, CallError, Host, InitError, JsonOutput, Manifest, Plugin, Request, Response,
    StreamInfo, Tool, register_plugin,
};

struct FrameCounter;

impl Plugin for FrameCounter {
    type Config = serde_json::Value;
    type Session = u64;

    fn manifest() -> Manifest {
        let tool = Tool::new("count", "Count frames", "counts the frames of a stream");
        Manifest::new("frame-counter", "Frame counter", "1.0.0", "counts frames")
            .tool(tool)
            .stream_tool("count")
    }
    fn init(_: Self::Config, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }
    fn open(&self, _: &StreamInfo, _: &Host) -> Result<u64, CallError> {
        Ok(0)
    }
    fn run(&self, seen: &mut u64, _: &Request, _: &CallContext) -> Result<Response, CallError> {
        *seen += 1;
        Ok(Response::new().with(JsonOutput::new("count", *seen)))
    }
}

register_plugin!(FrameCounter);

/// So that memory is counted and limited, as in `keepsight` itself.
#[global_allocator]
static ALLOCATOR: keepsight::sandbox::CountingAllocator = keepsight::sandbox::CountingAllocator;

fn main() -> std::process::ExitCode {
    keepsight::main()
}
