use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use keepsight_contract::FrameSize;

/// Keeps sight of what a camera sees, and keeps running while it does.
#[derive(Debug, Parser)]
#[command(
    name = "keepsight",
    version,
    after_help = "Exit codes: 0 success, 1 failure (check: degraded), 2 arguments, configuration \
                  or build, 3 something needed is missing, 4 the address can't be listened on, \
                  75 containment lost.\nThe log goes to standard error; KEEPSIGHT_LOG=debug says \
                  more."
)]
pub(super) struct Arguments {
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Track streams and serve their health; without a configuration, a generated scene
    Run(RunOptions),
    /// Track a film or a folder of pictures, frame by frame, into files
    Track(TrackOptions),
    /// Check configuration, plugins and sources without running them
    Check(CheckOptions),
    /// List the plugins of this build
    Plugins,
    /// List the cameras of this machine
    Cameras,
    /// Say what this binary was built of
    BuildInfo,
    /// Look for what a kind of requirement needs, such as `gpu`
    Probe(ProbeOptions),
}

#[derive(Debug, Args)]
pub(super) struct ConfigOptions {
    /// Configuration file [default: keepsight.toml, if there is one here]
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct RunOptions {
    #[command(flatten)]
    pub(super) config: ConfigOptions,
    /// Run this one source instead of a configuration: camera:0, file:PATH, scene:
    #[arg(long, value_name = "URI", conflicts_with = "config")]
    pub(super) source: Option<String>,
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct TrackOptions {
    /// Folder of pictures, film (MJPEG in AVI), or source URI; given detections need none
    #[arg(value_name = "INPUT", required_unless_present_all = ["detections", "size"])]
    pub(super) input: Option<String>,
    /// Write tracks here: MOT text to a .txt, JSON Lines to a .jsonl
    #[arg(long, value_name = "FILE")]
    pub(super) tracks: Option<PathBuf>,
    /// Write the film with its tracks drawn here (.avi)
    #[arg(long, value_name = "FILE")]
    pub(super) overlay: Option<PathBuf>,
    /// Detect in every Nth frame only, and follow the tracks by their motion in between
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) detect_every: Option<u32>,
    /// Take detections from this file (MOT text) instead of a model
    #[arg(long, value_name = "FILE")]
    pub(super) detections: Option<PathBuf>,
    /// Size of the pictures that the detections were made of, where there is no INPUT
    #[arg(
        long, value_name = "WxH", requires_all = ["detections", "fps"], conflicts_with = "input"
    )]
    pub(super) size: Option<FrameSize>,
    /// How many of them there were a second
    #[arg(long, value_name = "N", requires = "size", value_parser = frames_per_second)]
    pub(super) fps: Option<f64>,
    /// Take the camera's motion from this file: frame, then the 2x3 matrix from the frame before
    #[arg(long, value_name = "FILE")]
    pub(super) camera_motion: Option<PathBuf>,
    /// Take the tracker's settings from this file's instance of video-tracker
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    #[command(flatten)]
    pub(super) config: ConfigOptions,
}

#[derive(Debug, Args)]
pub(super) struct ProbeOptions {
    /// Kind of requirement, such as gpu
    pub(super) kind: String,
}

fn frames_per_second(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1000.0).contains(rate));
    rate.ok_or_else(|| "a number of 0.001 to 1000 is needed".to_owned())
}

impl Command {
    /// What is logged unless the environment says otherwise.
    pub(super) fn default_log_level(&self) -> &'static str {
        match self {
            Self::Run(_) => "info",
            _ => "error",
        }
    }
}
