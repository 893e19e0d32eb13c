use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use keepsight_contract::{
    CallContext, CallError, Counter, Detection, Detections, Frame, FrameSize, Histogram, Host,
    Ratio, Response, StreamInfo, Track, Tracks,
};
use serde_json::json;

use super::{
    following::Following,
    pace::Pace,
    settings::Settings,
    slowed::{Slowed, SlowedStream},
    trails::Trails,
    video_tracker::{CPU_FALLBACK, GPU_FAULT_HINT},
};
use crate::{
    associate::{Associator, EndReason, Observation, Step, StepOutcome, TargetEvent},
    detect::{DetectError, DetectScratch, Detector, SessionPath},
    follow::Follower,
};

/// What one stream keeps: its targets, and buffers.
#[derive(Debug)]
pub struct Session {
    stream: String,
    host: Host,
    settings: Settings,
    finder: Option<Finder>,
    associator: Associator,
    /// None where nothing is to be followed.
    following: Option<Following>,
    /// Of this stream, also of its next session.
    id_next: Arc<AtomicU64>,
    previous: Option<Previous>,
    pace: Pace,
    slowed: SlowedStream,
    trails: Trails,
    associate_ms: Histogram,
    inputs_refused: Counter,
}

/// The way from a frame to detections; there is none where they are given.
#[derive(Debug)]
pub(super) struct Finder {
    pub(super) path: SessionPath,
    pub(super) scratch: DetectScratch,
    detect_ms: Histogram,
    preprocess_ms: Histogram,
    network_ms: Histogram,
    decode_ms: Histogram,
    gpu_preprocess_ms: Histogram,
    gpu_network_ms: Histogram,
}

/// The frame before.
#[derive(Clone, Copy, Debug)]
struct Previous {
    captured: Instant,
    size: FrameSize,
}

impl Session {
    pub(super) fn new(
        stream: &StreamInfo,
        host: &Host,
        settings: Settings,
        finder: Option<Finder>,
        follower: Option<Follower>,
        id_next: Arc<AtomicU64>,
        slowed: &Arc<Slowed>,
    ) -> Self {
        Self {
            stream: stream.name.clone(),
            pace: Pace::new(settings.detect_every, stream.leaves_out),
            slowed: SlowedStream::new(slowed, &stream.name, host),
            host: host.clone(),
            associator: Associator::with_first_id(settings.associate, id_next.load(Relaxed)),
            following: follower.map(|follower| Following::new(follower, host)),
            settings,
            finder,
            id_next,
            previous: None,
            trails: Trails::default(),
            associate_ms: host.histogram("associate_ms"),
            inputs_refused: host.counter("inputs_refused"),
        }
    }

    /// What is in `frame`, from `confidence` on, or from the threshold on.
    pub(super) fn detect(
        &mut self,
        detector: Option<&Detector>,
        frame: &Frame,
        confidence: Option<Ratio>,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        let least = confidence.map_or(self.settings.associate.high_score, Ratio::value);
        let mut found = self.find(detector, frame, call)?;
        found.retain(|detection| detection.confidence >= least);
        let mut response = Response::new().with(Detections(found));
        response.overlay.extend(self.settings.mask_shapes(frame.size()));
        Ok(response)
    }

    /// Where the targets are on `frame`, which follows the one of the call before.
    pub(super) fn track(
        &mut self,
        detector: Option<&Detector>,
        frame: &Frame,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        let size = frame.size();
        // First, for it may fail: a frame that was not looked at has not happened.
        let began = Instant::now();
        let found = if self.pace.is_due(frame.sequence(), frame.captured()) {
            let found = self.find(detector, frame, call)?;
            let change = self.pace.looked(began.elapsed());
            change.into_iter().for_each(|pace| self.slowed.report(pace));
            Some(found)
        } else {
            None
        };
        self.begin_frame(frame, size);
        self.associate(frame, found.as_deref(), call.deadline());
        self.previous = Some(Previous { captured: frame.captured(), size });

        let tracks = self.tracks(detector);
        self.trails.extend(&tracks);
        let mut response = Response::new();
        response.overlay.extend(self.settings.mask_shapes(size));
        response.overlay.extend(self.trails.shapes(&tracks));
        if let Some(mut found) = found {
            found.retain(|detection| detection.confidence >= self.settings.associate.high_score);
            response = response.with(Detections(found));
        } else {
            self.pace.passed(began.elapsed());
        }
        Ok(response.with(Tracks(tracks)))
    }

    /// Everything that may be of use, faint detections too; what is masked is not.
    fn find(
        &mut self,
        detector: Option<&Detector>,
        frame: &Frame,
        call: &CallContext,
    ) -> Result<Vec<Detection>, CallError> {
        let size = frame.size();
        let mut found = match self.settings.given_detections(frame.sequence()) {
            Some(given) => given,
            None => {
                let (detector, finder) = detector.zip(self.finder.as_mut()).ok_or_else(|| {
                    CallError::bad_arguments("this instance has no model, only given detections")
                })?;
                finder.find(detector, frame, &self.settings, &self.host, call)?
            }
        };
        found.retain(|detection| !self.settings.is_masked(&detection.bbox, size));
        Ok(found)
    }

    /// A picture of another size is another scene.
    fn begin_frame(&mut self, frame: &Frame, size: FrameSize) {
        if self.previous.is_some_and(|previous| previous.size != size) {
            let events = self.associator.restart();
            self.report(frame.sequence(), &events);
            self.trails.clear();
            if let Some(following) = &mut self.following {
                following.clear();
            }
        }
    }

    fn associate(&mut self, frame: &Frame, found: Option<&[Detection]>, deadline: Instant) {
        let began = Instant::now();
        let observations: Option<Vec<_>> = found.map(|found| {
            let observation = |detection: &Detection| Observation {
                bbox: detection.bbox,
                confidence: detection.confidence,
                class_id: detection.class_id,
            };
            found.iter().map(observation).collect()
        });
        let elapsed = self.previous.map_or(0.0, |previous| {
            frame.captured().saturating_duration_since(previous.captured).as_secs_f64()
        });
        let step = Step {
            sequence: frame.sequence(),
            elapsed,
            observations: observations.as_deref(),
            camera_motion: self.settings.given.camera_motion(frame.sequence()),
        };
        let mut spent_following = Duration::ZERO;
        let StepOutcome { events, rejections } = match &mut self.following {
            Some(following) => {
                // On frames far apart even the next one is hard to foresee.
                let everybody = self.pace.every() > 1 || elapsed >= FAR_APART;
                let mut looking = following.looking(frame, everybody, deadline);
                let outcome = self.associator.step_with(&step, &mut looking);
                spent_following = looking.learn(self.associator.targets());
                outcome
            }
            None => self.associator.step(&step),
        };
        self.id_next.store(self.associator.id_next(), Relaxed);
        let associating = began.elapsed().saturating_sub(spent_following);
        self.associate_ms.record(associating.as_secs_f64() * 1e3);
        self.inputs_refused.add(rejections.total().into());
        self.report(frame.sequence(), &events);
    }

    fn report(&self, sequence: u64, events: &[TargetEvent]) {
        for event in events {
            match *event {
                TargetEvent::Started { id } => self.host.event(
                    "track_started",
                    json!({"stream": self.stream, "track_id": id, "sequence": sequence}),
                ),
                TargetEvent::Ended { id, reason } => {
                    let reason = match reason {
                        EndReason::Lost => "lost",
                        EndReason::Duplicate => "duplicate",
                        EndReason::Restarted => "restarted",
                    };
                    self.host.event(
                        "track_ended",
                        json!({
                            "stream": self.stream, "track_id": id, "sequence": sequence,
                            "reason": reason,
                        }),
                    );
                }
            }
        }
    }

    fn tracks(&self, detector: Option<&Detector>) -> Vec<Track> {
        let targets = self.associator.targets().iter();
        let tracks = targets.map(|target| Track {
            track_id: target.id(),
            bbox: target.bounding_box(),
            velocity: target.velocity(),
            confidence: target.confidence(),
            class: self.settings.class(target.class_id(), detector.map(Detector::description)),
            class_id: target.class_id(),
            state: target.state(),
            age_frames: target.age_frames(),
            first_sequence: target.first_sequence(),
            since_seconds: self.associator.seconds() - target.first_seconds(),
        });
        tracks.collect()
    }
}

impl Finder {
    pub(super) fn new(path: SessionPath, host: &Host) -> Self {
        Self {
            path,
            scratch: DetectScratch::default(),
            detect_ms: host.histogram("detect_ms"),
            preprocess_ms: host.histogram("detect_preprocess_ms"),
            network_ms: host.histogram("detect_network_ms"),
            decode_ms: host.histogram("detect_decode_ms"),
            gpu_preprocess_ms: host.histogram("gpu_preprocess_ms"),
            gpu_network_ms: host.histogram("gpu_network_ms"),
        }
    }

    /// Runs the detector; where the GPU fails, again without it.
    fn find(
        &mut self,
        detector: &Detector,
        frame: &Frame,
        settings: &Settings,
        host: &Host,
        call: &CallContext,
    ) -> Result<Vec<Detection>, CallError> {
        if self.path.renew(host) {
            host.recovered(CPU_FALLBACK);
        }
        let began = Instant::now();
        let deadline = call.deadline();
        let run = |finder: &mut Self| {
            call.checkpoint()?;
            let Self { scratch, path, .. } = finder;
            let found = path.with(deadline, |path| {
                let found = detector.detect(scratch, path, frame, &settings.detect, deadline);
                (found, path.device_times())
            });
            Ok::<_, CallError>(found)
        };
        let (found, device_times) = match run(self)? {
            (Err(DetectError::Preprocess(fault)), _) if fault.is_gpu_fault() => {
                host.degraded(CPU_FALLBACK, fault.to_string(), GPU_FAULT_HINT);
                self.path.fall_back(&fault);
                run(self)?
            }
            found => found,
        };
        let found = found?;
        self.scratch.check_outputs()?;
        if let Some((preprocess, network)) = device_times {
            self.gpu_preprocess_ms.record(preprocess.as_secs_f64() * 1e3);
            self.gpu_network_ms.record(network.as_secs_f64() * 1e3);
        }
        let times = self.scratch.times();
        for (histogram, time) in [
            (&self.detect_ms, began.elapsed()),
            (&self.preprocess_ms, times.preprocess),
            (&self.network_ms, times.network),
            (&self.decode_ms, times.decode),
        ] {
            histogram.record(time.as_secs_f64() * 1e3);
        }
        Ok(found)
    }
}

/// Frames that are this many seconds apart, or more, are far apart.
const FAR_APART: f64 = 0.08;
