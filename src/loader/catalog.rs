use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use keepsight_contract::{
    DeviceListing, Manifest, OutputRegistration, PluginRegistration, SourceError,
    SourceRegistration,
};

use crate::sandbox::{self, Phase, SandboxScope};

/// What this binary holds: plugins, sources and outputs, each found by its name.
#[derive(Clone, Default)]
pub struct Catalog {
    plugins: BTreeMap<String, CatalogEntry>,
    sources: BTreeMap<&'static str, SourceRegistration>,
    outputs: BTreeMap<&'static str, OutputRegistration>,
}

/// A plugin in this binary.
#[derive(Clone)]
pub struct CatalogEntry {
    /// Where it comes from and what makes it.
    pub registration: PluginRegistration,
    /// What it is and does.
    pub manifest: Arc<Manifest>,
}

/// A crate that the build was asked to link.
#[derive(Clone, Copy, Debug)]
pub struct Bundled {
    /// Its name.
    pub crate_name: &'static str,
    /// The Cargo feature that asked for it.
    pub feature: &'static str,
}

/// What is wrong with this binary: nothing that a configuration could mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Two crates give a plugin of the same id.
    #[error("the plugin {id:?} is registered by {first} and by {second}; build with one of them")]
    DuplicatePlugin {
        /// The id.
        id: String,
        /// The crate that came first by name.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Two crates open the same scheme.
    #[error("{scheme}: is registered by {first} and by {second}; build with one of them")]
    DuplicateScheme {
        /// The scheme.
        scheme: &'static str,
        /// The crate that came first by name.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A crate was asked for and registered nothing.
    #[error(
        "the feature {feature:?} is on, but {crate_name} registered nothing in this binary; \
         it was dropped by the linker or depends on another version of keepsight-contract"
    )]
    Missing {
        /// The crate.
        crate_name: &'static str,
        /// The feature that asked for it.
        feature: &'static str,
    },
    /// A plugin panicked when asked for its manifest.
    #[error("{crate_name} panicked when asked for its manifest: {message}")]
    Manifest {
        /// The crate.
        crate_name: &'static str,
        /// The panic's message.
        message: String,
    },
}

impl Catalog {
    /// What inventory gathered in this binary, held against what was asked for.
    ///
    /// # Errors
    /// [`CatalogError`] when something is there twice, or asked for and not there.
    pub fn of_this_binary(bundled: &[Bundled]) -> Result<Self, CatalogError> {
        use keepsight_contract::registered;

        let catalog =
            Self::new(registered::plugins(), registered::sources(), registered::outputs())?;
        catalog.audit(bundled)?;
        Ok(catalog)
    }

    /// A catalog of any registrations, in any order.
    ///
    /// # Errors
    /// [`CatalogError`] when two of them claim the same name.
    pub fn new(
        plugins: impl IntoIterator<Item = PluginRegistration>,
        sources: impl IntoIterator<Item = SourceRegistration>,
        outputs: impl IntoIterator<Item = OutputRegistration>,
    ) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        // Registration order changes between build profiles; names don't.
        let mut plugins: Vec<_> = plugins.into_iter().collect();
        plugins.sort_by_key(|registration| registration.crate_name);
        for registration in plugins {
            catalog.add_plugin(registration)?;
        }
        let mut sources: Vec<_> = sources.into_iter().collect();
        sources.sort_by_key(|registration| registration.crate_name);
        for source in sources {
            for scheme in source.schemes {
                insert(&mut catalog.sources, scheme, source, |source| source.crate_name)?;
            }
        }
        let mut outputs: Vec<_> = outputs.into_iter().collect();
        outputs.sort_by_key(|registration| registration.crate_name);
        for output in outputs {
            insert(&mut catalog.outputs, output.scheme, output, |output| output.crate_name)?;
        }
        Ok(catalog)
    }

    fn add_plugin(&mut self, registration: PluginRegistration) -> Result<(), CatalogError> {
        let crate_name = registration.crate_name;
        let scope = SandboxScope::new(crate_name, None, 0);
        let manifest = sandbox::contained(&scope, Phase::Probe, registration.functions.manifest)
            .map_err(|report| CatalogError::Manifest { crate_name, message: report.message })?;
        match self.plugins.entry(manifest.id.clone()) {
            Entry::Occupied(first) => Err(CatalogError::DuplicatePlugin {
                id: manifest.id,
                first: first.get().registration.crate_name,
                second: crate_name,
            }),
            Entry::Vacant(place) => {
                place.insert(CatalogEntry { registration, manifest: Arc::new(manifest) });
                Ok(())
            }
        }
    }

    /// The same, and a source that only one command knows.
    ///
    /// # Errors
    /// [`CatalogError`] when something else opens one of its schemes.
    pub fn with_source(&self, source: SourceRegistration) -> Result<Self, CatalogError> {
        let mut catalog = self.clone();
        for scheme in source.schemes {
            insert(&mut catalog.sources, scheme, source, |source| source.crate_name)?;
        }
        Ok(catalog)
    }

    fn audit(&self, bundled: &[Bundled]) -> Result<(), CatalogError> {
        let crates: Vec<&str> = self.crate_names().collect();
        match bundled.iter().find(|bundled| !crates.contains(&bundled.crate_name)) {
            None => Ok(()),
            Some(&Bundled { crate_name, feature }) => {
                Err(CatalogError::Missing { crate_name, feature })
            }
        }
    }

    /// Crates that registered a plugin, a source or an output.
    pub fn crate_names(&self) -> impl Iterator<Item = &'static str> {
        let plugins = self.plugins.values().map(|entry| entry.registration.crate_name);
        let sources = self.sources.values().map(|source| source.crate_name);
        plugins.chain(sources).chain(self.outputs.values().map(|output| output.crate_name))
    }

    /// The plugin of that id.
    pub fn plugin(&self, id: &str) -> Option<&CatalogEntry> {
        self.plugins.get(id)
    }

    /// Every plugin, sorted by id.
    pub fn plugins(&self) -> impl Iterator<Item = &CatalogEntry> {
        self.plugins.values()
    }

    /// Ids of every plugin, sorted.
    pub fn plugin_ids(&self) -> Vec<&str> {
        self.plugins.keys().map(String::as_str).collect()
    }

    /// What opens URIs of that scheme.
    pub fn source(&self, scheme: &str) -> Option<&SourceRegistration> {
        self.sources.get(scheme)
    }

    /// Schemes that can be opened, sorted.
    pub fn schemes(&self) -> Vec<&'static str> {
        self.sources.keys().copied().collect()
    }

    /// What writes to addresses of that scheme.
    pub fn output(&self, scheme: &str) -> Option<&OutputRegistration> {
        self.outputs.get(scheme)
    }

    /// Schemes that can be written to, sorted.
    pub fn output_schemes(&self) -> Vec<&'static str> {
        self.outputs.keys().copied().collect()
    }

    /// Devices that the sources of a scheme see. Runs driver code on this thread.
    ///
    /// # Errors
    /// [`SourceError`] when the source can't say.
    pub fn devices(&self, scheme: &str) -> Option<Result<Vec<DeviceListing>, SourceError>> {
        self.source(scheme).map(|source| (source.devices)())
    }
}

/// Puts `value` under `scheme`, unless that is taken.
fn insert<T: Copy>(
    map: &mut BTreeMap<&'static str, T>,
    scheme: &'static str,
    value: T,
    crate_name: fn(&T) -> &'static str,
) -> Result<(), CatalogError> {
    match map.entry(scheme) {
        Entry::Vacant(place) => {
            place.insert(value);
            Ok(())
        }
        Entry::Occupied(first) => Err(CatalogError::DuplicateScheme {
            scheme,
            first: crate_name(first.get()),
            second: crate_name(&value),
        }),
    }
}
