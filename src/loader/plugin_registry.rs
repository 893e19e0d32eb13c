use std::{collections::BTreeMap, sync::Arc};

use super::PluginInstance;

/// The instances of this process, sorted by name.
#[derive(Clone, Default)]
pub struct PluginRegistry(Arc<BTreeMap<String, Arc<PluginInstance>>>);

impl PluginRegistry {
    /// A registry of these instances; of two with the same name the later stays.
    pub fn new(instances: impl IntoIterator<Item = Arc<PluginInstance>>) -> Self {
        let by_name = |instance: Arc<PluginInstance>| (instance.name().to_owned(), instance);
        Self(Arc::new(instances.into_iter().map(by_name).collect()))
    }

    /// The instance of that name.
    pub fn find(&self, name: &str) -> Option<&Arc<PluginInstance>> {
        self.0.get(name)
    }

    /// A number that is another one after any instance's state, or its reason, has changed.
    pub fn states_version(&self) -> u64 {
        // Each only grows, so no two changes leave the sum as it was.
        self.instances().map(|instance| instance.changes()).sum()
    }

    /// Every instance, sorted by name.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = &Arc<PluginInstance>> {
        self.0.values()
    }
}
