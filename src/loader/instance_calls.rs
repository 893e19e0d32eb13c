//! Calls that come one by one, and clients that come to stay.

use std::sync::{Arc, PoisonError, Weak};

use super::{
    ClientCalls, KeptSession, PluginInstance, Readiness, ToolCall, ToolError, ToolOutcome,
    tool_calls::ToolPool,
};

impl PluginInstance {
    /// Runs a call by HTTP and waits for its answer.
    ///
    /// # Errors
    /// [`ToolError`] says why there is none.
    pub fn call_tool(self: &Arc<Self>, call: ToolCall) -> Result<ToolOutcome, ToolError> {
        self.call_in(&self.pool, call)
    }

    /// Takes in a client that will call again and again.
    pub fn client(self: &Arc<Self>) -> ClientCalls {
        let pool = ToolPool::of_client();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| client.strong_count() > 0);
        clients.push(Arc::downgrade(&pool));
        ClientCalls::new(self.clone(), pool)
    }

    pub(super) fn call_in(
        self: &Arc<Self>,
        pool: &Arc<ToolPool>,
        call: ToolCall,
    ) -> Result<ToolOutcome, ToolError> {
        if let Some(manifest) = self.manifest()
            && manifest.find_tool(&call.tool).is_none()
        {
            return Err(ToolError::UnknownTool {
                plugin: self.name().to_owned(),
                tool: call.tool,
                known: manifest.tools.iter().map(|tool| tool.id.clone()).collect(),
            });
        }
        match self.readiness() {
            Readiness::Ready(generation) => pool.call(self, generation, call),
            _ => Err(self.not_ready()),
        }
    }

    /// Calls that wait for a worker now.
    pub fn calls_waiting(&self) -> usize {
        self.pool.waiting_count()
    }

    /// The sessions that calls keep, by name.
    pub fn call_sessions(&self) -> Vec<KeptSession> {
        self.pool.sessions()
    }

    /// The pools of all who call.
    pub(super) fn pools(&self) -> Vec<Arc<ToolPool>> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = clients.iter().filter_map(Weak::upgrade);
        std::iter::once(self.pool.clone()).chain(clients).collect()
    }

    pub(super) fn refuse_waiting(&self) {
        for pool in self.pools() {
            pool.refuse_waiting(|| self.not_ready());
        }
    }

    pub(super) fn not_ready(&self) -> ToolError {
        let life = self.life();
        if self.is_retired() {
            return ToolError::NotServing {
                state: life.manager.state(),
                reason: Some("it is no longer in the configuration".to_owned()),
                hint: None,
                retry_after: None,
            };
        }
        ToolError::NotServing {
            state: life.manager.state(),
            reason: Some(life.manager.cause().reason.clone()),
            hint: life.manager.cause().hint.clone(),
            retry_after: None,
        }
    }
}
