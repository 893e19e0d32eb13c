use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use keepsight_contract::{Finding, PROBES, Probe, ProbeCheck, Requirement};
use serde_json::Value;

use super::{Clock, ProbeProgram, SystemClock, child_probe::SurveyError, error_chain};
use crate::sandbox::{Phase, RunFault, Sandbox, SandboxScope};

/// Holds requirements against what is there, by the probes of this binary.
pub struct DependencyChecker {
    sandbox: Arc<Sandbox>,
    program: ProbeProgram,
    limit: Mutex<Duration>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Checks that have not returned, by kind and subject.
    hung: BTreeMap<String, Hung>,
    /// What child processes reported, by kind.
    surveys: BTreeMap<&'static str, (Instant, Value)>,
}

#[derive(Clone)]
struct Hung {
    since: Instant,
    returned: Arc<AtomicBool>,
}

impl DependencyChecker {
    /// A checker whose probes have `limit` each; those that need a child process start `program`.
    pub fn new(sandbox: Arc<Sandbox>, program: ProbeProgram, limit: Duration) -> Self {
        Self {
            sandbox,
            program,
            limit: Mutex::new(limit),
            clock: Arc::new(SystemClock),
            known: Mutex::default(),
        }
    }

    /// The same checker by another clock; the instances that it serves go by that one too.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// By which it knows how old a report is.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Gives probes `limit` each from now on.
    pub fn set_limit(&self, limit: Duration) {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }

    fn limit(&self) -> Duration {
        *self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `requirement` is met. Never fails: what could not be found out is unmet.
    pub fn check(&self, requirement: &Requirement) -> Finding {
        let kind = requirement.kind();
        match PROBES.iter().find(|probe| probe.kind == kind) {
            None => no_probe(requirement),
            Some(Probe { check: ProbeCheck::InProcess(check), .. }) => {
                self.check_in_process(requirement, *check)
            }
            Some(Probe { check: ProbeCheck::ChildProcess { judge, .. }, kind, .. }) => {
                self.check_by_child(requirement, kind, *judge)
            }
            // The contract may grow ways of checking that this runtime doesn't know.
            Some(_) => no_probe(requirement),
        }
    }

    /// What is there of `kind`, seen by a child process; `None` for kinds checked otherwise.
    /// A report younger than ten seconds serves again.
    pub fn survey(&self, kind: &str) -> Option<Result<Value, String>> {
        let probe = PROBES.iter().find(|probe| probe.kind == kind)?;
        match probe.check {
            ProbeCheck::ChildProcess { .. } => {
                Some(self.look(probe.kind).map_err(|error| error_chain(&error)))
            }
            _ => None,
        }
    }

    /// Whether this binary can look for `kind` in a child process.
    pub fn surveys(&self, kind: &str) -> bool {
        let by_child = |probe: &&Probe| matches!(probe.check, ProbeCheck::ChildProcess { .. });
        PROBES.iter().filter(by_child).any(|probe| probe.kind == kind)
    }

    fn check_in_process(
        &self,
        requirement: &Requirement,
        check: fn(&Requirement) -> Finding,
    ) -> Finding {
        let subject = requirement.subject();
        let name = format!("probe-{}", requirement.kind());
        let key = format!("{name} {subject}");
        if let Some(hung) = self.still_hung(&key) {
            return Finding::unmet(
                "dependency.probe_hung",
                subject,
                format!("the check has not returned for {:.0?}", self.age_of(hung.since)),
                "a driver or a file system hangs; look at the kernel's log, then restart",
            );
        }
        let returned = Arc::new(AtomicBool::new(false));
        let hung = Hung { since: self.clock.now(), returned: returned.clone() };
        let asked = requirement.clone();
        let outcome = self.sandbox.run_once(
            &name,
            SandboxScope::new(name.as_str(), None, 0),
            Phase::Probe,
            self.limit(),
            move |_| {
                let _returns = SetOnDrop(returned);
                check(&asked)
            },
        );
        outcome.unwrap_or_else(|fault| {
            if matches!(fault, RunFault::TimedOut { .. }) {
                self.known().hung.insert(key, hung);
            }
            Finding::unmet(fault.code(), subject, fault.to_string(), fault.hint())
        })
    }

    fn check_by_child(
        &self,
        requirement: &Requirement,
        kind: &'static str,
        judge: fn(&Requirement, &Value) -> Finding,
    ) -> Finding {
        match self.look(kind) {
            Ok(report) => self.check_judgement(requirement, judge, report),
            Err(error) => Finding::unmet(
                "dependency.probe_failed",
                requirement.subject(),
                format!("the process that looks for it gave no report: {}", error_chain(&error)),
                format!("run `keepsight probe {kind}` to see what it does"),
            ),
        }
    }

    fn check_judgement(
        &self,
        requirement: &Requirement,
        judge: fn(&Requirement, &Value) -> Finding,
        report: Value,
    ) -> Finding {
        let name = format!("probe-{}", requirement.kind());
        let asked = requirement.clone();
        let scope = SandboxScope::new(name.as_str(), None, 0);
        self.sandbox
            .run_once(&name, scope, Phase::Probe, self.limit(), move |_| judge(&asked, &report))
            .unwrap_or_else(|fault| {
                Finding::unmet(fault.code(), requirement.subject(), fault.to_string(), fault.hint())
            })
    }

    fn look(&self, kind: &'static str) -> Result<Value, SurveyError> {
        if let Some((at, report)) = self.known().surveys.get(kind)
            && self.age_of(*at) < SURVEY_AGE_MAX
        {
            return Ok(report.clone());
        }
        let report = self.program.survey(kind, self.limit())?;
        self.known().surveys.insert(kind, (self.clock.now(), report.clone()));
        Ok(report)
    }

    fn age_of(&self, moment: Instant) -> Duration {
        self.clock.now().saturating_duration_since(moment)
    }

    fn still_hung(&self, key: &str) -> Option<Hung> {
        let mut known = self.known();
        let hung = known.hung.get(key)?.clone();
        if hung.returned.load(Relaxed) {
            known.hung.remove(key);
            return None;
        }
        Some(hung)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn no_probe(requirement: &Requirement) -> Finding {
    let kind = requirement.kind();
    let (reason, hint) = if kind == "gpu" {
        ("this build has no GPU support", "build with the feature gpu")
    } else {
        ("this build can't check that", "build with a crate that registers a probe for it")
    };
    Finding::unmet("dependency.no_probe", requirement.subject(), reason, hint)
}

/// How long a child's report serves: one start of the process, not its life, so that an adapter
/// that appears later is found.
const SURVEY_AGE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SandboxLimits;

    #[test]
    fn what_no_probe_can_check_is_unmet() {
        let sandbox = Sandbox::new(SandboxLimits::default());
        let program = ProbeProgram::at("/nonexistent");
        let checker = DependencyChecker::new(sandbox, program, Duration::from_secs(60));
        let found = checker.check(&Requirement::Camera { uri: "camera:0".to_owned() });
        assert_eq!((found.met, &*found.code), (false, "dependency.no_probe"));
        assert!(!found.hint.is_empty());
    }
}
