use std::sync::Arc;

use serde_json::Value;

use crate::{Frame, Response, TypedOutput};

/// What is asked of a plugin.
#[derive(Clone, Debug)]
pub struct Request {
    tool: Arc<str>,
    args: Arc<Value>,
    frame: Option<Frame>,
    upstream: Vec<Arc<Response>>,
}

impl Request {
    /// A call of `tool` without arguments.
    pub fn new(tool: impl Into<Arc<str>>) -> Self {
        Self { tool: tool.into(), args: Arc::new(Value::Null), frame: None, upstream: Vec::new() }
    }

    /// Sets the arguments.
    pub fn with_args(mut self, args: Value) -> Self {
        self.args = Arc::new(args);
        self
    }

    /// Sets the frame.
    pub fn with_frame(mut self, frame: Frame) -> Self {
        self.frame = Some(frame);
        self
    }

    /// Adds what an earlier plugin on the stream gave for the same frame.
    pub fn with_upstream(mut self, response: Arc<Response>) -> Self {
        self.upstream.push(response);
        self
    }

    /// Id of the tool.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The arguments: an object, or null where a stream's frame is the only one.
    pub fn args(&self) -> &Value {
        &self.args
    }

    /// The frame to work on.
    pub fn frame(&self) -> Option<&Frame> {
        self.frame.as_ref()
    }

    /// The newest output of a type that an earlier plugin on the stream gave for the same frame.
    pub fn upstream<T: TypedOutput>(&self) -> Option<&T> {
        self.upstream.iter().rev().find_map(|response| response.output::<T>())
    }

    /// Everything that earlier plugins on the stream gave for the same frame, in their order.
    pub fn upstream_responses(&self) -> &[Arc<Response>] {
        &self.upstream
    }
}
