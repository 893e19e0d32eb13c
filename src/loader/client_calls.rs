use std::{sync::Arc, time::Instant};

use super::{PluginInstance, SessionName, ToolCall, ToolError, ToolOutcome, tool_calls::ToolPool};

/// A client that calls again and again, such as one that sends its camera's pictures.
///
/// It has a worker and a session of its own, as a stream has: it waits behind nobody's calls, and
/// nobody waits behind its own. The session ends with a fault, with its plugin's generation, and
/// when no call came for a while; the next call opens another.
pub struct ClientCalls {
    instance: Arc<PluginInstance>,
    pool: Arc<ToolPool>,
    session: SessionName,
}

impl ClientCalls {
    pub(super) fn new(instance: Arc<PluginInstance>, pool: Arc<ToolPool>) -> Self {
        let session = "client".parse().expect("a name of letters is a session's name");
        Self { instance, pool, session }
    }

    /// Runs a call in the client's session and waits for its answer.
    ///
    /// # Errors
    /// [`ToolError`] says why there is none.
    pub fn run(&self, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        let call = ToolCall { session: Some(self.session.clone()), ..call };
        self.instance.call_in(&self.pool, call)
    }
}

impl Drop for ClientCalls {
    /// Ends the session and its worker; takes as long as the plugin's code does, at most its
    /// limit for that.
    fn drop(&mut self) {
        self.pool.stop();
        self.pool.join(Instant::now() + self.instance.spec().limits.close);
    }
}
