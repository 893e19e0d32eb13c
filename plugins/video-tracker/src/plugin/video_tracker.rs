use std::sync::Arc;

use keepsight_contract::{
    CallContext, CallError, ConfigError, Finding, GpuRequirement, Host, InitError, Manifest,
    ModelFileRequirement, OutputKind, Plugin, Ratio, Request, Requirement, Response, StreamInfo,
    Tool, register_plugin,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Config, Session, identities::Identities, session::Finder, settings::Settings, slowed::Slowed,
};
use crate::detect::{
    Detector, GpuOffer, GpuPolicy, ModelDescription, ModelFile, SharedPath, choose,
};
#[cfg(feature = "gpu")]
use crate::follow::GpuFollower;
use crate::follow::{FollowConfig, Follower};

/// Detects and tracks: what all streams share, which is the model and the way to it.
#[derive(Debug)]
pub struct VideoTracker {
    /// None where detections are given.
    pub(super) eye: Option<Eye>,
    identities: Identities,
    slowed: Arc<Slowed>,
}

#[derive(Debug)]
pub(super) struct Eye {
    detector: Detector,
    pub(super) path: SharedPath,
}

/// What a call of `detect` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DetectArguments {
    confidence: Option<Ratio>,
}

impl Plugin for VideoTracker {
    type Config = Config;
    type Session = Session;

    fn manifest() -> Manifest {
        let detections = json!({
            "type": "array",
            "description": "objects: x, y, width, height (pixels), confidence, class, class_id",
        });
        let detect = Tool::new("detect", "Detect", "finds the objects in one picture")
            .takes_picture()
            .input(
                "confidence",
                json!({
                    "type": "number", "minimum": 0, "maximum": 1,
                    "description": "report only what is at least this sure; without it, the \
                                    configuration's threshold",
                }),
            )
            .output("detections", detections.clone());
        let track = Tool::new(
            "track",
            "Track",
            "follows objects from picture to picture and keeps telling which is which",
        )
        .takes_picture()
        .output("detections", detections)
        .output(
            "tracks",
            json!({
                "type": "array",
                "description": "objects with track_id, velocity (pixels a second), state, \
                                age_frames, first_sequence, since_seconds beside what a \
                                detection has",
            }),
        );
        Manifest::new(
            "video-tracker",
            "Video tracker",
            env!("CARGO_PKG_VERSION"),
            "finds people, vehicles, animals and things in pictures, and follows each of them \
             through the video",
        )
        .capability("detection")
        .capability("tracking")
        .tool(detect)
        .tool(track)
        .stream_tool("track")
        .produces(OutputKind::Detections)
        .produces(OutputKind::Tracks)
    }

    fn requirements(config: &Config) -> Vec<Requirement> {
        let mut requirements = Vec::new();
        if let Some(path) = &config.model {
            requirements.push(Requirement::ModelFile(ModelFileRequirement {
                path: path.clone(),
                sha256: None,
                format: "ONNX".to_owned(),
            }));
        }
        if config.gpu == GpuPolicy::Required {
            requirements.push(Requirement::Gpu(GpuRequirement {
                adapter: config.adapter.clone(),
                software_allowed: config.software_gpu,
                storage_buffer_bytes_min: 0,
            }));
        }
        requirements
    }

    fn check_stream(instance: &Config, stream: &Config) -> Result<(), ConfigError> {
        instance.check_overrides(stream)
    }

    fn init(config: Config, host: &Host) -> Result<Self, InitError> {
        let eye = match config.detections {
            Some(_) => None,
            None => Some(Eye::open(&config, host)?),
        };
        let tracker = Self { eye, identities: Identities::default(), slowed: Arc::default() };
        // A stream's settings are this one's with little changed: what is wrong shows here.
        Settings::new(&config, tracker.model())?;
        Ok(tracker)
    }

    fn open(&self, stream: &StreamInfo, host: &Host) -> Result<Session, CallError> {
        let config: Config = stream.settings()?;
        let settings = Settings::new(&config, self.model())?;
        let finder = self.eye.as_ref().map(|eye| eye.finder(host));
        let id_next = self.identities.of(&stream.name);
        let follower = settings.follow.then(|| self.follower());
        Ok(Session::new(stream, host, settings, finder, follower, id_next, &self.slowed))
    }

    fn run(
        &self,
        session: &mut Session,
        request: &Request,
        call: &CallContext,
    ) -> Result<Response, CallError> {
        let detector = self.eye.as_ref().map(|eye| &eye.detector);
        let frame = request.frame().ok_or_else(|| CallError::bad_arguments("no picture given"))?;
        match request.tool() {
            "track" => session.track(detector, frame, call),
            "detect" => {
                let arguments = Option::<DetectArguments>::deserialize(request.args())
                    .map_err(|error| CallError::bad_arguments(error.to_string()))?;
                let confidence = arguments.unwrap_or_default().confidence;
                session.detect(detector, frame, confidence, call)
            }
            tool => Err(CallError::bad_arguments(format!("there is no tool {tool:?}"))),
        }
    }
}

register_plugin!(VideoTracker);

impl VideoTracker {
    /// What follows targets for one session: on the GPU where frames go there anyway.
    fn follower(&self) -> Follower {
        let config = FollowConfig::default();
        #[cfg(feature = "gpu")]
        if let Some(device) = self.eye.as_ref().and_then(|eye| eye.path.device()) {
            match GpuFollower::new(&device, config) {
                Ok(follower) => return Follower::Gpu(Box::new(follower)),
                Err(fault) => tracing::warn!(%fault, "targets are followed on the CPU"),
            }
        }
        Follower::cpu(config)
    }

    fn model(&self) -> Option<&ModelDescription> {
        self.eye.as_ref().map(|eye| eye.detector.description())
    }
}

impl Eye {
    /// Loads the model and chooses GPU or CPU.
    fn open(config: &Config, host: &Host) -> Result<Self, InitError> {
        let file = match &config.model {
            Some(path) => ModelFile::read(path).map_err(|error| error.unmet())?,
            None => bundled_model()?,
        };
        let offer = match no_gpu(config, host) {
            Some(finding) => GpuOffer::none(finding),
            None => GpuOffer::new(config.gpu_wish(), &file),
        };
        let detector = Detector::load(file, config.detector_threads(), &host.scope())
            .map_err(|error| error.unmet())?;
        let choice = choose(offer, &detector).map_err(|error| error.unmet())?;
        choice.tell(host);
        match choice.degraded_hint {
            Some(hint) => host.degraded(CPU_FALLBACK, choice.reason, hint.into_owned()),
            None => {
                let path = if choice.path.is_gpu() { "the GPU" } else { "the CPU" };
                tracing::info!(path, reason = choice.reason, "chose where to detect");
            }
        }
        Ok(Self { detector, path: choice.path })
    }

    /// The way to detections for one session.
    fn finder(&self, host: &Host) -> Finder {
        let (path, refusal) = self.path.session(host);
        if let Some(reason) = refusal {
            host.degraded(CPU_FALLBACK, reason, GPU_FAULT_HINT);
        }
        Finder::new(path, host)
    }
}

/// What the host's probes found instead of a GPU, where one would be used. Only once they have
/// found one does this process touch its driver: drivers crash, and a probe's process may.
fn no_gpu(config: &Config, host: &Host) -> Option<Finding> {
    let wish = config.gpu_wish();
    if wish.policy != GpuPolicy::Auto || cfg!(not(feature = "gpu")) {
        return None;
    }
    let wanted = GpuRequirement {
        adapter: wish.adapter,
        software_allowed: wish.software_allowed,
        ..GpuRequirement::default()
    };
    host.check(&Requirement::Gpu(wanted)).filter(|finding| !finding.met)
}

#[cfg(feature = "bundled-model")]
fn bundled_model() -> Result<ModelFile, InitError> {
    Ok(ModelFile::bundled())
}

#[cfg(not(feature = "bundled-model"))]
fn bundled_model() -> Result<ModelFile, InitError> {
    Err(InitError::Unmet(keepsight_contract::Finding::unmet(
        "dependency.model_missing",
        "model",
        "this build has no model inside and the configuration names none",
        "set model to an ONNX file, or build with the feature bundled-model",
    )))
}

pub(super) const CPU_FALLBACK: &str = "gpu.cpu_fallback";
pub(super) const GPU_FAULT_HINT: &str = "the stream goes on on the CPU and goes back by itself when a GPU device can be opened again; \
     look into the system's log for what the driver says";
