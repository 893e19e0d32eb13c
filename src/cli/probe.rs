use keepsight_contract::{PROBES, ProbeCheck};

use super::{ExitStatus, Failure, arguments::ProbeOptions, print};

/// Looks around in this process, whatever that does to it: the runtime starts it as a child.
pub(super) fn probe(options: &ProbeOptions, _json: bool) -> Result<ExitStatus, Failure> {
    let mut known: Vec<&str> = Vec::new();
    for probe in PROBES {
        if let ProbeCheck::ChildProcess { survey, .. } = probe.check {
            if probe.kind == options.kind {
                // The report is JSON in either case; there is no other form of it.
                print::json(&survey())?;
                return Ok(ExitStatus::Success);
            }
            known.push(probe.kind);
        }
    }
    known.sort_unstable();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let message = format!("this build has no probe {:?}; it has {known}", options.kind);
    Err(Failure::new(ExitStatus::Configuration, message))
}
