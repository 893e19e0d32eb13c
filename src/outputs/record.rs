use std::{sync::Arc, time::SystemTime};

use keepsight_contract::{OutputKind, OutputRecord, Response};

use crate::streams::FrameOutcome;

/// The part of an outcome that an output for `what` writes, if there is one. The frame, files and
/// drawings are left behind, so that what waits in a queue is small.
pub(super) fn record(outcome: &FrameOutcome, what: &[OutputKind]) -> Option<OutputRecord> {
    let response = outcome.result.as_ref().ok()?;
    let wanted = response.outputs.iter().filter(|output| what.contains(&output.kind()));
    let wanted: Vec<_> = wanted.cloned().collect();
    if wanted.is_empty() {
        return None;
    }
    let mut part = Response::new();
    part.outputs = wanted;
    let age = outcome.frame.captured().elapsed();
    Some(OutputRecord {
        stream: outcome.stream.clone(),
        plugin: outcome.plugin.clone(),
        sequence: outcome.frame.sequence(),
        captured: SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH),
        response: Arc::new(part),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use keepsight_contract::{JsonOutput, Tracks, testing::frames};

    use super::*;

    fn outcome(result: Result<Response, String>) -> FrameOutcome {
        FrameOutcome {
            stream: "door".into(),
            plugin: "tracker".into(),
            frame: frames::gray(4, 2, |_, _| 0).renumbered(7),
            result: result.map(Arc::new),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn only_what_is_asked_for_is_taken_along() {
        let response = Response::new()
            .with(Tracks::default())
            .with(JsonOutput::new("mean", 1))
            .attach("crop.jpg", "image/jpeg", vec![0; 100]);
        let outcome = outcome(Ok(response));
        let taken = record(&outcome, &[OutputKind::Tracks]).unwrap();
        assert_eq!((&*taken.stream, &*taken.plugin, taken.sequence), ("door", "tracker", 7));
        assert_eq!(taken.response.outputs, [Tracks::default().into()]);
        assert!(taken.response.attachments.is_empty());
        assert!(record(&outcome, &[OutputKind::Regions]).is_none());
    }

    #[test]
    fn a_frame_that_failed_gives_no_record() {
        assert!(record(&outcome(Err("no".to_owned())), &[OutputKind::Tracks]).is_none());
    }
}
