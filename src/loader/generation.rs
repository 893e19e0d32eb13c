use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use keepsight_contract::ErasedPlugin;
use serde_json::Value;

use super::{Fault, PluginInstance};
use crate::sandbox::{RunFault, Sandbox, SandboxScope};

/// One built plugin. Sessions hold it; when the instance is built anew they let go of it.
pub struct Generation {
    /// Counted from 1, as the lifecycle does.
    pub number: u64,
    config: Value,
    plugin: Option<Box<dyn ErasedPlugin>>,
    ended: AtomicBool,
    pub(super) users: AtomicUsize,
    /// Calls without a result since the last one with one.
    pub(super) failed_in_a_row: AtomicU32,
    /// Which notes that its drop went wrong.
    owner: Weak<PluginInstance>,
    sandbox: Arc<Sandbox>,
    scope: SandboxScope,
    close_limit: Duration,
}

impl Generation {
    pub(super) fn new(
        number: u64,
        config: Value,
        plugin: Box<dyn ErasedPlugin>,
        owner: &Arc<PluginInstance>,
        scope: SandboxScope,
        close_limit: Duration,
    ) -> Self {
        Self {
            number,
            config,
            plugin: Some(plugin),
            ended: AtomicBool::new(false),
            users: AtomicUsize::new(0),
            failed_in_a_row: AtomicU32::new(0),
            owner: Arc::downgrade(owner),
            sandbox: owner.sandbox().clone(),
            scope,
            close_limit,
        }
    }

    /// The plugin. Call it inside the sandbox only.
    pub fn plugin(&self) -> &dyn ErasedPlugin {
        self.plugin.as_deref().expect("only drop takes the plugin out")
    }

    /// The configuration that it was built with; a session's settings are over this one.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// In which its code runs; each session has one [below it](SandboxScope::session).
    pub fn scope(&self) -> &SandboxScope {
        &self.scope
    }

    /// Whether another generation is to come, so that sessions should end.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
    }
}

/// The plugin's own drop is plugin code: it runs on a worker of the sandbox, and whoever held the
/// generation last does not wait for it.
impl Drop for Generation {
    fn drop(&mut self) {
        let Some(plugin) = self.plugin.take() else { return };
        let (owner, number) = (self.owner.clone(), self.number);
        let ended_badly = move |fault: &RunFault| {
            tracing::warn!(%fault, "a plugin instance did not end well");
            if let Some(instance) = owner.upgrade() {
                instance.note_fault(Fault::caught(fault, None), number);
            }
        };
        self.sandbox.drop_foreign(self.scope.clone(), self.close_limit, plugin, ended_badly);
    }
}
