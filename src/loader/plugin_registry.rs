use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::PluginInstance;

/// The instances of this process, sorted by name. Clones share them; whoever asks has those of
/// one moment, and no lock is held while they are looked at.
#[derive(Clone, Default)]
pub struct PluginRegistry(Arc<RwLock<Arc<Snapshot>>>);

#[derive(Default)]
struct Snapshot {
    instances: BTreeMap<String, Arc<PluginInstance>>,
    /// How often instances came or went.
    exchanges: u64,
}

impl PluginRegistry {
    /// A registry of these instances; of two with the same name the later stays.
    pub fn new(instances: impl IntoIterator<Item = Arc<PluginInstance>>) -> Self {
        let instances = instances.into_iter().map(by_name).collect();
        Self(Arc::new(RwLock::new(Arc::new(Snapshot { instances, exchanges: 0 }))))
    }

    /// The instance of that name.
    pub fn find(&self, name: &str) -> Option<Arc<PluginInstance>> {
        self.snapshot().instances.get(name).cloned()
    }

    /// A number that is another one after any instance's state, or its reason, has changed, and
    /// after instances came or went.
    pub fn states_version(&self) -> u64 {
        let snapshot = self.snapshot();
        // Each only grows, so no two changes leave the sum as it was. With other instances the
        // sum may be any, which is why their exchange counts apart.
        let changes: u64 = snapshot.instances.values().map(|instance| instance.changes()).sum();
        (snapshot.exchanges << EXCHANGES_SHIFT) + changes
    }

    /// Every instance, sorted by name.
    pub fn instances(&self) -> impl ExactSizeIterator<Item = Arc<PluginInstance>> + use<> {
        let instances: Vec<_> = self.snapshot().instances.values().cloned().collect();
        instances.into_iter()
    }

    /// Takes instances out, by name, and new ones in, at once: nobody sees the one without the
    /// other.
    pub fn exchange<'a>(
        &self,
        leaving: impl IntoIterator<Item = &'a str>,
        coming: impl IntoIterator<Item = Arc<PluginInstance>>,
    ) {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut instances = place.instances.clone();
        leaving.into_iter().for_each(|name| drop(instances.remove(name)));
        instances.extend(coming.into_iter().map(by_name));
        let next = Arc::new(Snapshot { instances, exchanges: place.exchanges + 1 });
        let before = std::mem::replace(&mut *place, next);
        drop(place);
        // An instance's end may be a plugin's, which is not for a lock.
        drop(before);
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn by_name(instance: Arc<PluginInstance>) -> (String, Arc<PluginInstance>) {
    (instance.name().to_owned(), instance)
}

/// The instances' own changes have the bits below: a trillion of them.
const EXCHANGES_SHIFT: u32 = 40;
