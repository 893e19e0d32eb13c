use std::sync::Arc;

use keepsight_contract::{Finding, InitError};

use super::{Fault, Generation, LoadError, PluginInstance};
use crate::{lifecycle::LifecycleEvent, sandbox::Phase};

impl PluginInstance {
    /// Loads the instance: its requirements, their checks, init. It must be LOADED; afterwards it
    /// is INITIALIZED, UNAVAILABLE or FAILED, with the reason.
    ///
    /// Blocks for as long as that takes; every step runs in the sandbox, under its time limit.
    ///
    /// # Errors
    /// [`LoadError`], the same that the instance's health shows.
    pub fn load(self: &Arc<Self>) -> Result<(), LoadError> {
        let number = self
            .generation_to_load()
            .map_err(|state| LoadError::OutOfTurn { state: state.as_str() })?;
        let mut findings = Vec::new();
        match self.build(number, &mut findings) {
            Ok(generation) => {
                self.loaded(number, findings, Ok(Arc::new(generation)));
                Ok(())
            }
            Err(error) => {
                let event = match &error {
                    LoadError::Unmet { .. } => LifecycleEvent::RequirementUnmet,
                    LoadError::Fault(fault) => {
                        self.note_fault(Fault::caught(fault, None), number);
                        LifecycleEvent::InitFailed
                    }
                    _ => LifecycleEvent::InitFailed,
                };
                self.loaded(number, findings, Err((event, error.cause())));
                Err(error)
            }
        }
    }

    /// What every check of the instance's requirements finds, without building it.
    ///
    /// # Errors
    /// [`LoadError`] when the requirements themselves can't be told.
    pub fn check_requirements(&self) -> Result<Vec<Finding>, LoadError> {
        let entry = self.entry.as_ref().ok_or_else(|| LoadError::NotBundled {
            plugin: self.spec().plugin.clone(),
            known: self.known_plugins.clone(),
        })?;
        let requirements = {
            let tell = entry.registration.functions.requirements;
            let config = self.spec().config.clone();
            let name = format!("{}-requirements", self.name());
            let limit = self.spec().limits.frame;
            self.sandbox()
                .run_once(&name, self.scope(), Phase::Init, limit, move |_| tell(&config))?
                .map_err(|error| LoadError::Config { reason: error.to_string() })?
        };
        Ok(requirements.iter().map(|requirement| self.checker.check(requirement)).collect())
    }

    fn build(
        self: &Arc<Self>,
        number: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<Generation, LoadError> {
        *findings = self.check_requirements()?;
        if let Some(unmet) = findings.iter().find(|finding| !finding.met) {
            return Err(LoadError::Unmet { finding: unmet.clone() });
        }
        let entry = self.entry.as_ref().expect("requirements were checked, so it is there");
        let init = entry.registration.functions.init;
        let (config, host) = (self.spec().config.clone(), self.host());
        let name = format!("{}-init", self.name());
        let limits = self.spec().limits;
        let scope = self.scope();
        let plugin = self
            .sandbox()
            .run_once(&name, scope.clone(), Phase::Init, limits.init, move |_| {
                init(&config, &host)
            })?
            .map_err(|error| match error {
                InitError::Unmet(finding) => LoadError::Unmet { finding },
                other => LoadError::Init { reason: other.to_string() },
            })?;
        if let Some(panic) = scope.take_stray_panic() {
            // A pool's thread panicked during init; what init built may lack a thread.
            tracing::warn!(plugin = %self.name(), message = %panic.message,
                "a thread of the plugin's panicked during init");
        }
        Ok(Generation::new(number, plugin, self.sandbox().clone(), scope, limits.close))
    }
}
