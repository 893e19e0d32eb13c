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

    /// Every instance, sorted by name.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = &Arc<PluginInstance>> {
        self.0.values()
    }
}
