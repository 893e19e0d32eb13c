//! Questions and the paths by which they are asked, all of them `GET`:
//!
//! ```text
//! /v1/plugins                  every plugin, a flat list
//! /v1/plugins/                 the same with totals
//! /v1/plugins/{name}/health    one plugin and more of it
//! /v1/health                   the whole in a word
//! /livez                       can the process be left running
//! /readyz[?verbose][&exclude=] is everything critical there
//! ```

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{
    HealthSource, Reply,
    health_model::{PluginHealthResponse, PluginItem, PluginsSummary, available},
};
use crate::{
    inspector::{Liveness, PluginReport, ReadinessCheck, Verdict},
    lifecycle::LifecycleState,
};

/// A question about health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthRoute {
    /// Every plugin, a flat list.
    Plugins,
    /// Every plugin, with totals.
    PluginsSummary,
    /// The plugin of that name.
    Plugin(String),
    /// The whole in a word.
    Health,
    /// Whether the process can be left running.
    Livez,
    /// Whether everything critical is there.
    Readyz {
        /// Lists what is ready too.
        verbose: bool,
        /// Names that do not count.
        exclude: Vec<String>,
    },
}

impl HealthRoute {
    /// The answer, from what `source` knows now.
    pub fn answer(&self, source: &dyn HealthSource) -> Reply {
        match self {
            Self::Plugins => Reply::ok(&items(&sorted(source))),
            Self::PluginsSummary => Reply::ok(&summary(&sorted(source))),
            Self::Plugin(name) => match source.plugin(name) {
                Some(report) => Reply::ok(&PluginHealthResponse::from(&report)),
                None => plugin_not_found(name),
            },
            Self::Health => health(source),
            Self::Livez => livez(source),
            Self::Readyz { verbose, exclude } => readyz(source, *verbose, exclude),
        }
    }
}

/// What every path of a plugin answers that there is not.
pub(crate) fn plugin_not_found(name: &str) -> Reply {
    Reply::detail(StatusCode::NOT_FOUND, format!("Plugin '{name}' not found"))
}

fn sorted(source: &dyn HealthSource) -> Vec<PluginReport> {
    let mut reports = source.plugins();
    reports.sort_by(|a, b| a.name.cmp(&b.name));
    reports
}

fn items(reports: &[PluginReport]) -> Vec<PluginItem> {
    reports.iter().map(PluginItem::from).collect()
}

fn summary(reports: &[PluginReport]) -> PluginsSummary {
    let in_state = |state| reports.iter().filter(|report| report.state == state).count();
    PluginsSummary {
        plugins: items(reports),
        total: reports.len(),
        available: available(reports),
        failed: in_state(LifecycleState::Failed),
        unavailable: in_state(LifecycleState::Unavailable),
    }
}

fn health(source: &dyn HealthSource) -> Reply {
    let checks = source.readiness().checks;
    let all_ready = checks.iter().all(|check| check.verdict == Verdict::Ready);
    Reply::ok(&json!({
        "status": if all_ready { "healthy" } else { "degraded" },
        "plugins_loaded": available(&source.plugins()),
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

fn livez(source: &dyn HealthSource) -> Reply {
    match source.liveness() {
        Liveness::Alive => Reply::ok(&json!({ "status": "alive" })),
        Liveness::ContainmentLost { reason } => {
            let detail = format!("containment is lost: {reason}; restart the process");
            Reply::detail(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}

fn readyz(source: &dyn HealthSource, verbose: bool, exclude: &[String]) -> Reply {
    let mut checks = source.readiness().checks;
    checks.retain(|check| !exclude.contains(&check.name));
    checks.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let not_ready: Vec<_> =
        checks.iter().filter(|check| check.verdict == Verdict::NotReady).collect();
    let mut body = json!({ "status": if not_ready.is_empty() { "ready" } else { "not ready" } });
    if verbose {
        body["checks"] = checks.iter().map(check_item).collect();
    }
    if not_ready.is_empty() {
        return Reply::ok(&body);
    }
    let named: Vec<_> =
        not_ready.iter().map(|check| format!("{} '{}'", check.kind, check.name)).collect();
    body["detail"] = format!("not ready: {}", named.join(", ")).into();
    body["not_ready"] = not_ready.into_iter().map(check_item).collect();
    Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body)
}

fn check_item(check: &ReadinessCheck) -> Value {
    json!({
        "kind": check.kind,
        "name": check.name,
        "state": check.state,
        "verdict": match check.verdict {
            Verdict::Ready => "ready",
            Verdict::WithinGrace => "within grace",
            Verdict::NotReady => "not ready",
        },
        "code": check.code,
        "reason": check.reason,
    })
}
