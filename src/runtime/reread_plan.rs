//! What another configuration changes: found out and checked, and nothing done yet.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Runtime, StartError,
    assembly::{self, Planned},
    reread::RereadError,
    result_outputs::{self, PlannedOutput, RunningOutput},
};
use crate::{
    config::{Config, StreamConfig},
    inspector::{Change, ConfigurationChange},
    loader::{Catalog, InstanceSpec, LoadError, PluginInstance, PluginRegistry},
    streams::Stream,
    supervisor::RestartPolicy,
};

/// All that is to be done, checked.
#[derive(Default)]
pub(super) struct RereadPlan {
    pub(super) changes: Vec<ConfigurationChange>,
    /// No longer configured, or an instance of another plugin now.
    pub(super) leaving: Vec<Arc<PluginInstance>>,
    pub(super) coming: Vec<(Arc<PluginInstance>, RestartPolicy)>,
    pub(super) adjusted: Vec<Adjusted>,
    pub(super) streams: Vec<StreamSwitch>,
    pub(super) streams_adjusted: Vec<(Arc<Stream>, StreamConfig)>,
    /// In the configuration's order.
    pub(super) outputs: Vec<NextOutput>,
}

/// An instance that goes on.
pub(super) struct Adjusted {
    pub(super) instance: Arc<PluginInstance>,
    pub(super) spec: InstanceSpec,
    pub(super) policy: RestartPolicy,
    /// Whether its own configuration is another, so that it is built anew.
    pub(super) rebuild: bool,
}

/// A stream that ends, one that begins in its place, or both.
#[derive(Default)]
pub(super) struct StreamSwitch {
    pub(super) ends: Option<Arc<Stream>>,
    pub(super) begins: Option<Planned>,
}

pub(super) enum NextOutput {
    Kept(Arc<RunningOutput>),
    New(Box<PlannedOutput>),
}

impl RereadPlan {
    /// Holds `next` against what runs by `running`.
    ///
    /// # Errors
    /// [`RereadError`] when `next` can't be run.
    pub(super) fn new(
        runtime: &Runtime,
        running: &Config,
        next: &Config,
        catalog: &Catalog,
    ) -> Result<Self, RereadError> {
        let mut plan = Self::default();
        let registry = plan.plugins(runtime, next, catalog)?;
        plan.streams(runtime, running, next, catalog, &registry)?;
        plan.outputs(runtime, next, catalog)?;
        Ok(plan)
    }

    /// The instances, and the registry that they will be.
    fn plugins(
        &mut self,
        runtime: &Runtime,
        next: &Config,
        catalog: &Catalog,
    ) -> Result<PluginRegistry, RereadError> {
        let mut instances = Vec::new();
        for (name, plugin) in &next.plugins {
            let spec = assembly::instance_spec(name, plugin, next);
            let policy = assembly::restart_policy(plugin);
            let present = runtime.registry.find(name);
            let kept = present.clone().filter(|known| known.spec().plugin == spec.plugin);
            let Some(instance) = kept else {
                let coming = runtime.assembly.instance(name, next, catalog);
                check_config(&coming, &spec)?;
                self.note(
                    "plugin",
                    name,
                    match &present {
                        Some(_) => Change::Rebuilt,
                        None => Change::Added,
                    },
                );
                self.leaving.extend(present);
                self.coming.push((coming.clone(), policy));
                instances.push(coming);
                continue;
            };
            let now = instance.spec();
            let rebuild = now.config != spec.config;
            if rebuild {
                check_config(&instance, &spec)?;
                self.note("plugin", name, Change::Rebuilt);
            }
            let same = *now == spec && runtime.supervisor.policy(name) == policy;
            if !same && !rebuild {
                self.note("plugin", name, Change::Adjusted);
            }
            if !same {
                let instance = instance.clone();
                self.adjusted.push(Adjusted { instance, spec, policy, rebuild });
            }
            instances.push(instance);
        }
        for instance in runtime.registry.instances() {
            if !next.plugins.contains_key(instance.name()) {
                self.note("plugin", instance.name(), Change::Removed);
                self.leaving.push(instance);
            }
        }
        Ok(PluginRegistry::new(instances))
    }

    fn streams(
        &mut self,
        runtime: &Runtime,
        running: &Config,
        next: &Config,
        catalog: &Catalog,
        registry: &PluginRegistry,
    ) -> Result<(), StartError> {
        let leaving = self.leaving.iter().map(|instance| instance.name().to_owned());
        let leaving: BTreeSet<String> = leaving.collect();
        let configured =
            self.adjusted.iter().filter(|adjusted| adjusted.rebuild).map(|a| a.spec.name.clone());
        let configured: BTreeSet<String> = configured.collect();
        for (name, stream) in &next.streams {
            let present = runtime.streams.find(name).zip(running.streams.get(name));
            let Some((present, before)) = present else {
                self.note("stream", name, Change::Added);
                let begins = Some(runtime.assembly.stream(name, next, catalog, registry)?);
                self.streams.push(StreamSwitch { ends: None, begins });
                continue;
            };
            let feeds_any = |of: &BTreeSet<String>| stream.plugins.iter().any(|p| of.contains(p));
            let reopens = !same_way(before, stream) || feeds_any(&leaving);
            if !reopens && before == stream && !feeds_any(&configured) {
                continue;
            }
            // Also for one that goes on: its settings are checked.
            let planned = runtime.assembly.stream(name, next, catalog, registry)?;
            if reopens {
                self.note("stream", name, Change::Rebuilt);
                self.streams.push(StreamSwitch { ends: Some(present), begins: Some(planned) });
            } else if before != stream {
                self.note("stream", name, Change::Adjusted);
                self.streams_adjusted.push((present, stream.clone()));
            }
        }
        for stream in runtime.streams.streams() {
            if !next.streams.contains_key(stream.name()) {
                self.note("stream", stream.name(), Change::Removed);
                self.streams.push(StreamSwitch { ends: Some(stream), begins: None });
            }
        }
        Ok(())
    }

    fn outputs(
        &mut self,
        runtime: &Runtime,
        next: &Config,
        catalog: &Catalog,
    ) -> Result<(), StartError> {
        let running = runtime.outputs.all();
        let planned = result_outputs::plan(next, catalog, &runtime.outputs, &runtime.sandbox)?;
        let same_place = |address: &str| {
            let mut all = running.iter();
            all.find(|running| running.config.to.expose() == address).cloned()
        };
        for planned in planned {
            let present = same_place(planned.config.to.expose());
            match present.filter(|present| present.config == planned.config) {
                Some(present) => self.outputs.push(NextOutput::Kept(present)),
                None => {
                    let change = match same_place(planned.config.to.expose()) {
                        Some(_) => Change::Rebuilt,
                        None => Change::Added,
                    };
                    self.note("output", planned.to(), change);
                    self.outputs.push(NextOutput::New(Box::new(planned)));
                }
            }
        }
        for running in running.iter() {
            let goes_on =
                |next: &crate::config::OutputConfig| next.to.expose() == running.config.to.expose();
            if !next.outputs.iter().any(goes_on) {
                self.note("output", running.to(), Change::Removed);
            }
        }
        Ok(())
    }

    fn note(&mut self, kind: &'static str, name: &str, change: Change) {
        self.changes.push(ConfigurationChange { kind, name: name.to_owned(), change });
    }
}

/// Whether frames come and go the same way: what differs can be changed in a running stream.
fn same_way(before: &StreamConfig, next: &StreamConfig) -> bool {
    before.source.expose() == next.source.expose()
        && (before.size, before.fps, before.mode) == (next.size, next.fps, next.mode)
        && (before.frozen_after, before.memory) == (next.frozen_after, next.memory)
        && before.plugins == next.plugins
}

/// Asks the plugin whether the configuration is one of its type. What else may be wrong is for
/// loading to find out and for the instance's health to tell.
fn check_config(instance: &PluginInstance, spec: &InstanceSpec) -> Result<(), RereadError> {
    match instance.requirements_of(spec) {
        Err(LoadError::Config { reason }) => {
            Err(RereadError::Plugin { plugin: spec.name.clone(), reason })
        }
        _ => Ok(()),
    }
}
