use std::time::Duration;

use keepsight_contract::{Finding, Pace};
use serde::Serialize;

use super::{ExitStatus, Failure, arguments::CheckOptions, print, run, settings};
use crate::{loader::Catalog, runtime::Runtime};

/// What was looked at, and what was found.
#[derive(Debug, Serialize)]
struct Checked {
    /// `machine`, `plugin`, `stream` or `output`.
    kind: &'static str,
    name: String,
    /// Whether the process is not ready without it.
    critical: bool,
    #[serde(flatten)]
    finding: Finding,
}

/// Holds the configuration against this machine without running it.
pub(super) fn check(
    options: &CheckOptions,
    catalog: &Catalog,
    json: bool,
) -> Result<ExitStatus, Failure> {
    let config = settings::configuration(&options.config, catalog)?;
    let runtime = run::start(&config, catalog, Pace::Native)?;
    let mut checked: Vec<_> = graphics(&runtime).into_iter().collect();
    checked.extend(plugins(&runtime));
    for outcome in runtime.try_sources(SOURCE_LIMIT) {
        let critical = config.streams.get(&outcome.stream).is_some_and(|stream| stream.critical);
        let (kind, name, finding) = ("stream", outcome.stream, outcome.finding);
        checked.push(Checked { kind, name, critical, finding });
    }
    for outcome in runtime.try_outputs(OUTPUT_LIMIT) {
        let (kind, name, finding) = ("output", outcome.to, outcome.finding);
        checked.push(Checked { kind, name, critical: false, finding });
    }
    if json {
        print::json(&checked)?;
    } else {
        print::line("ok       configuration");
        checked.iter().for_each(print_checked);
    }
    runtime.shut_down();
    Ok(verdict(&checked))
}

/// What a child process saw of graphics adapters: told, whatever it is, for whoever needs one says
/// so by itself.
fn graphics(runtime: &Runtime) -> Option<Checked> {
    let Finding { subject, reason, .. } = runtime.inspector().graphics()?;
    let finding = Finding::met(subject, reason);
    Some(Checked { kind: "machine", name: "graphics".to_owned(), critical: false, finding })
}

fn plugins(runtime: &Runtime) -> Vec<Checked> {
    let mut checked = Vec::new();
    for instance in runtime.registry().instances() {
        let findings = match instance.check_requirements() {
            Ok(findings) if findings.is_empty() => {
                vec![Finding::met("requirements", "none to be met")]
            }
            Ok(findings) => findings,
            Err(error) => {
                let cause = error.cause();
                let hint = cause.hint.unwrap_or_default();
                vec![Finding::unmet(cause.code, "configuration", cause.reason, hint)]
            }
        };
        let (name, critical) = (instance.name().to_owned(), instance.spec().critical);
        let about = |finding| Checked { kind: "plugin", name: name.clone(), critical, finding };
        checked.extend(findings.into_iter().map(about));
    }
    checked
}

fn verdict(checked: &[Checked]) -> ExitStatus {
    let unmet = |checked: &&Checked| !checked.finding.met;
    if checked.iter().filter(unmet).any(|checked| checked.critical) {
        ExitStatus::Missing
    } else if checked.iter().any(|checked| unmet(&checked)) {
        ExitStatus::Failure
    } else {
        ExitStatus::Success
    }
}

fn print_checked(checked: &Checked) {
    let Finding { met, code, subject, reason, hint, .. } = &checked.finding;
    let mark = if *met { "ok" } else { "missing" };
    let (kind, name) = (checked.kind, &checked.name);
    print::line(&format!("{mark:8} {kind} {name}: {subject}: {reason}"));
    if !met {
        let hint = if hint.is_empty() { String::new() } else { format!(": {hint}") };
        print::line(&format!("             {code}{hint}"));
    }
}

/// A source that hasn't opened by then is reported as hung.
const SOURCE_LIMIT: Duration = Duration::from_secs(10);
/// An output likewise.
const OUTPUT_LIMIT: Duration = Duration::from_secs(10);
