//! Another configuration for a running process: checked as a whole, then put in force.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use super::{
    Runtime, StartError, assembly,
    reread_plan::{Adjusted, NextOutput, RereadPlan, StreamSwitch},
    result_outputs::{RunningOutput, end_outputs},
};
use crate::{
    api::EventKind,
    config::{Config, ConfigError, Settings},
    health::wall_time,
    inspector::{ConfigurationChange, RereadReport},
    loader::{Catalog, error_chain},
};

/// What a configuration changed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reread {
    /// What is otherwise now, in no particular order. Plugins that are new or built anew may still
    /// be loading.
    pub changes: Vec<ConfigurationChange>,
    /// Keys whose new values wait for the next start, such as `server.listen`.
    pub needs_restart: Vec<&'static str>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RereadError {
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A plugin can't be configured like that.
    #[error("the configuration of the plugin {plugin:?} is not valid: {reason}")]
    Plugin {
        /// The instance's name.
        plugin: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A stream or an output doesn't fit what is here.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Another one is being put in force.
    #[error("another re-reading is under way")]
    UnderWay,
    /// The process hasn't begun yet, or ends.
    #[error("the process is not running")]
    NotRunning,
}

/// One at a time, and none once the process ends; and what came of the last.
#[derive(Default)]
pub(super) struct Rereading {
    stage: Mutex<Stage>,
    changed: Condvar,
    last: Mutex<Option<RereadReport>>,
}

#[derive(Default)]
struct Stage {
    under_way: bool,
    ending: bool,
}

/// Holds the place of the one that is under way.
struct Turn<'a>(&'a Rereading);

impl Runtime {
    /// Puts `config`, read again, in force: what is new is loaded and opened, what is gone is
    /// drained and ended, what is otherwise is adjusted where it can be and built anew where not.
    /// What is the same goes on untouched. In an error nothing is changed. What came of it is in
    /// the log, in [the host's report](crate::inspector::HostReport) and among the events.
    ///
    /// Waits for what is gone to end, for as long as the configured limits allow, and not for
    /// plugins to load.
    ///
    /// # Errors
    /// [`RereadError`].
    pub fn reread(
        &self,
        config: Result<Config, ConfigError>,
        catalog: &Catalog,
    ) -> Result<Reread, RereadError> {
        if !self.begun.load(std::sync::atomic::Ordering::Acquire) {
            return Err(RereadError::NotRunning);
        }
        let _turn = self.rereading.take_turn()?;
        let outcome = self.adopt(config, catalog);
        self.tell_outcome(&outcome);
        outcome
    }

    fn adopt(
        &self,
        config: Result<Config, ConfigError>,
        catalog: &Catalog,
    ) -> Result<Reread, RereadError> {
        let running = self.config();
        let (next, needs_restart) = config?.adopted_over(&running);
        let plan = RereadPlan::new(self, &running, &next, catalog)?;
        let changes = plan.changes.clone();
        self.put_in_force(plan, next)?;
        Ok(Reread { changes, needs_restart })
    }

    fn put_in_force(&self, plan: RereadPlan, next: Config) -> Result<(), RereadError> {
        if self.rereading.is_ending() {
            return Err(RereadError::NotRunning);
        }
        // What ends does so within the limits under which it ran.
        let limit = self.config().runtime.limits.shutdown;
        self.assembly.checker.set_limit(next.runtime.limits.probe);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);

        for Adjusted { instance, spec, policy, rebuild } in plan.adjusted {
            let name = spec.name.clone();
            instance.respecify(spec);
            if self.supervisor.policy(&name) != policy {
                self.supervisor.set_policy(&name, policy);
            }
            if rebuild {
                self.supervisor.rebuild(&name);
            }
        }
        plan.leaving.iter().for_each(|instance| self.supervisor.let_go(instance.name()));
        self.registry.exchange(
            plan.leaving.iter().map(|instance| instance.name()),
            plan.coming.iter().map(|(instance, _)| instance.clone()),
        );
        for (instance, policy) in plan.coming {
            self.supervisor.take_on(&instance, policy);
        }
        // Outputs first, so that what a new stream gives is written from its first frame on.
        self.switch_outputs(plan.outputs, limit);
        for (stream, config) in plan.streams_adjusted {
            stream.set_critical(config.critical, config.grace);
            let none = assembly::no_overrides();
            for plugin in &config.plugins {
                let overrides = config.settings.get(plugin).map_or(&none, Settings::expose);
                stream.set_overrides(plugin, overrides);
            }
        }
        side_by_side("switch-stream", plan.streams, |switch| self.switch_stream(switch, limit));
        // Last, when no stream feeds them any more.
        side_by_side("retire-plugin", plan.leaving, |instance| instance.retire(limit));
        Ok(())
    }

    /// A source can seldom be opened twice, so that one ends before the next begins.
    fn switch_stream(&self, switch: StreamSwitch, limit: Duration) {
        let StreamSwitch { ends, begins } = switch;
        if let Some(stream) = &ends {
            if begins.is_none() {
                self.streams.exchange([stream.name()], []);
            }
            stream.retire(match &begins {
                Some(_) => "it is opened anew, since it is configured otherwise",
                None => "it is no longer in the configuration",
            });
            stream.join(limit);
        }
        if let Some(planned) = begins
            && !self.rereading.is_ending()
        {
            self.streams.exchange([], [self.start(planned)]);
        }
    }

    /// As with streams: two must not write to one place.
    fn switch_outputs(&self, next: Vec<NextOutput>, limit: Duration) {
        let is_kept = |running: &Arc<RunningOutput>| {
            let mut all = next.iter();
            all.any(|next| matches!(next, NextOutput::Kept(kept) if Arc::ptr_eq(kept, running)))
        };
        let running = self.outputs.all();
        let (kept, leaving): (Vec<_>, Vec<_>) = running.iter().cloned().partition(is_kept);
        self.outputs.set(kept);
        end_outputs(&leaving, limit);
        let start = |next| match next {
            NextOutput::Kept(running) => running,
            NextOutput::New(planned) => planned.start(self.sandbox.clone()),
        };
        self.outputs.set(next.into_iter().map(start).collect());
    }

    fn tell_outcome(&self, outcome: &Result<Reread, RereadError>) {
        let report = RereadReport {
            at: wall_time(Instant::now()),
            refused: outcome.as_ref().err().map(|error| error_chain(error)),
            changes: outcome.as_ref().map(|reread| reread.changes.clone()).unwrap_or_default(),
            needs_restart: outcome
                .as_ref()
                .map(|reread| reread.needs_restart.clone())
                .unwrap_or_default(),
        };
        log(&report);
        let kind = match report.refused {
            Some(_) => EventKind::ConfigRefused,
            None => EventKind::ConfigApplied,
        };
        self.events.publish(kind, None, None, event_data(&report));
        *self.rereading.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }
}

impl Rereading {
    /// What came of the last one.
    pub(super) fn last(&self) -> Option<RereadReport> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// None begins any more; waits for the one under way, which gives up what it can, at most
    /// for twice `limit`.
    pub(super) fn end(&self, limit: Duration) {
        let mut stage = self.stage();
        stage.ending = true;
        let under_way = |stage: &mut Stage| stage.under_way;
        let _ended = self.changed.wait_timeout_while(stage, 2 * limit, under_way);
    }

    fn is_ending(&self) -> bool {
        self.stage().ending
    }

    fn take_turn(&self) -> Result<Turn<'_>, RereadError> {
        let mut stage = self.stage();
        if stage.ending {
            return Err(RereadError::NotRunning);
        }
        if std::mem::replace(&mut stage.under_way, true) {
            return Err(RereadError::UnderWay);
        }
        Ok(Turn(self))
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.stage().under_way = false;
        self.0.changed.notify_all();
    }
}

fn log(report: &RereadReport) {
    if let Some(reason) = &report.refused {
        tracing::error!(%reason, "the configuration is refused; nothing is changed");
        return;
    }
    for ConfigurationChange { kind, name, change } in &report.changes {
        tracing::info!(kind, name, change = change.as_str(), "configured otherwise");
    }
    if !report.needs_restart.is_empty() {
        let keys = report.needs_restart.join(", ");
        tracing::warn!(keys, "a change that needs a restart is not in force");
    }
    tracing::info!(changes = report.changes.len(), "the configuration was read again");
}

fn event_data(report: &RereadReport) -> Map<String, Value> {
    let data = match &report.refused {
        Some(reason) => json!({ "code": "config.refused", "reason": reason }),
        None => json!({
            "code": "config.applied",
            "changes": report.changes.iter().map(|change| json!({
                "kind": change.kind, "name": change.name, "change": change.change.as_str(),
            })).collect::<Vec<_>>(),
            "needs_restart": report.needs_restart,
        }),
    };
    data.as_object().cloned().unwrap_or_default()
}

/// Does `each` of `items` on threads of their own, and waits for all. Where there is no thread to
/// be had, one does more.
fn side_by_side<T: Send>(name: &str, items: Vec<T>, each: impl Fn(T) + Sync) {
    let count = items.len();
    let left = Mutex::new(VecDeque::from(items));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        while let Some(item) = next() {
            each(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..count {
            let _ = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
}
