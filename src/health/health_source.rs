use crate::inspector::{Liveness, PluginReport, Readiness};

/// Who knows how the plugins are. No method waits for a plugin, a source or a driver.
pub trait HealthSource: Send + Sync {
    /// A number that is another one after any instance's state, or its reason, has changed.
    fn states_version(&self) -> u64;

    /// Every instance, those that failed to load included, in any order.
    fn plugins(&self) -> Vec<PluginReport>;

    /// The instance of that name.
    fn plugin(&self, name: &str) -> Option<PluginReport> {
        self.plugins().into_iter().find(|report| report.name == name)
    }

    /// Whether the process can be left running.
    fn liveness(&self) -> Liveness;

    /// Whether everything critical is there.
    fn readiness(&self) -> Readiness;
}
