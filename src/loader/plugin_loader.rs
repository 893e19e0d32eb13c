use std::sync::Arc;

use keepsight_contract::{Finding, InitError, Requirement};

use super::{Fault, Generation, InstanceSpec, LoadError, PluginInstance};
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
        self.join_threads(number.saturating_sub(1), self.spec().limits.close);
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

    /// Looks again for what an UNAVAILABLE instance lacks. While that is still not there, the
    /// instance stays as it is and says what it lacks now.
    ///
    /// Says whether to load it: nothing is lacking, or only loading can tell.
    pub fn look_again(&self) -> bool {
        let Ok(findings) = self.check_requirements() else { return true };
        let Some(unmet) = findings.iter().find(|finding| !finding.met).cloned() else {
            return true;
        };
        self.still_lacks(findings, LoadError::Unmet { finding: unmet }.cause());
        false
    }

    /// What every check of the instance's requirements finds, without building it.
    ///
    /// # Errors
    /// [`LoadError`] when the requirements themselves can't be told.
    pub fn check_requirements(&self) -> Result<Vec<Finding>, LoadError> {
        self.check_requirements_of(&self.spec())
    }

    /// What the plugin would need if it were configured to be `spec`; the plugin reads its
    /// configuration, and does nothing else.
    ///
    /// # Errors
    /// [`LoadError::Config`] when it is not the plugin's; [`LoadError`] else when the requirements
    /// can't be told.
    pub fn requirements_of(&self, spec: &InstanceSpec) -> Result<Vec<Requirement>, LoadError> {
        let entry = self.entry.as_ref().ok_or_else(|| LoadError::NotBundled {
            plugin: spec.plugin.clone(),
            known: self.known_plugins.clone(),
        })?;
        let tell = entry.registration.functions.requirements;
        let config = spec.config.clone();
        let name = format!("{}-requirements", self.name());
        self.sandbox()
            .run_once(&name, self.scope(), Phase::Init, spec.limits.frame, move |_| tell(&config))?
            .map_err(|error| LoadError::Config { reason: spec.explain.explain(&error) })
    }

    fn check_requirements_of(&self, spec: &InstanceSpec) -> Result<Vec<Finding>, LoadError> {
        let requirements = self.requirements_of(spec)?;
        Ok(requirements.iter().map(|requirement| self.checker.check(requirement)).collect())
    }

    fn build(
        self: &Arc<Self>,
        number: u64,
        findings: &mut Vec<Finding>,
    ) -> Result<Generation, LoadError> {
        let spec = self.spec();
        *findings = self.check_requirements_of(&spec)?;
        if let Some(unmet) = findings.iter().find(|finding| !finding.met) {
            return Err(LoadError::Unmet { finding: unmet.clone() });
        }
        let entry = self.entry.as_ref().expect("requirements were checked, so it is there");
        let init = entry.registration.functions.init;
        let (config, host) = (spec.config.clone(), self.host());
        let name = format!("{}-init", self.name());
        let limits = spec.limits;
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
        Ok(Generation::new(number, spec.config.clone(), plugin, self, scope, limits.close))
    }
}
