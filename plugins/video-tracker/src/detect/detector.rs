use std::fmt;
use std::time::{Duration, Instant};

use keepsight_contract::{Detection, Frame, Scope};

use super::description::{Family, ModelDescription};
use super::model_error::ModelError;
use super::model_file::ModelFile;
use super::network::Network;
use super::path::DetectPath;
use super::ssd::best;
use super::suppress::{Candidate, suppress};
use super::{ssd, yolox};
use crate::preprocess::{ModelInput, Placement, PreprocessError};

/// A detector, ready to run; shared by all sessions.
pub struct Detector {
    network: Network,
    description: ModelDescription,
}

/// What one session keeps from one detection to the next, so that memory is
/// allocated once.
#[derive(Debug, Default)]
pub struct DetectScratch {
    tensor: Vec<f32>,
    candidates: Vec<Candidate>,
    /// Of the last detection's outputs, how many were no numbers, if it found nothing.
    nonsense: usize,
    times: DetectTimes,
}

/// How long the steps of one detection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DetectTimes {
    /// From the frame's bytes to the network's input.
    pub preprocess: Duration,
    /// The network.
    pub network: Duration,
    /// From its outputs to detections.
    pub decode: Duration,
}

/// Which of the boxes that a model gives are detections.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectOptions {
    /// The least confidence, 0–1.
    pub confidence_min: f32,
    /// By how much two boxes of a class may overlap (intersection over union,
    /// 0–1) before the less confident one is dropped.
    pub overlap_max: f32,
    /// The most detections of a frame.
    pub detections_max: usize,
    /// The `class_id`s to report; empty for all.
    pub classes: Vec<u32>,
}

/// Why a frame gave no detections.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The frame was not fitted into the model's input.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The network gave no result.
    #[error("{reason}")]
    Network {
        /// What the engine said.
        reason: String,
    },
    /// What the network gave is not what a network gives.
    #[error(
        "the model gave {count} numbers that are none (NaN) for this frame, and no detection; \
         where that goes on, the model does not fit its description or is damaged"
    )]
    NotANumber {
        /// How many.
        count: usize,
    },
}

impl DetectScratch {
    /// Whether the last detection may be believed: one that found nothing in outputs that are no
    /// numbers says nothing about the frame.
    ///
    /// # Errors
    /// [`DetectError::NotANumber`].
    pub fn check_outputs(&self) -> Result<(), DetectError> {
        match self.nonsense {
            0 => Ok(()),
            count => Err(DetectError::NotANumber { count }),
        }
    }

    /// How long the steps of the last detection took.
    pub fn times(&self) -> DetectTimes {
        self.times
    }
}

impl Detector {
    /// Loads a model, checks it against its description and runs it once, on
    /// `threads` threads of its own (at least 1, at most 64), which count as
    /// the plugin's by `scope`.
    ///
    /// # Errors
    /// [`ModelError`] when the model can't be run or is not as described.
    pub fn load(file: ModelFile, threads: usize, scope: &Scope) -> Result<Self, ModelError> {
        let (network, description) = Network::load(file, threads.clamp(1, THREADS_MAX), scope)?;
        Ok(Self { network, description })
    }

    /// How the model is used.
    pub fn description(&self) -> &ModelDescription {
        &self.description
    }

    /// The picture that the model wants.
    pub fn input(&self) -> &ModelInput {
        self.description.input()
    }

    /// Detects what is in `frame`, the most confident first; boxes are in
    /// pixels of the frame and inside of it, `class_id` is the model's column.
    ///
    /// What `path` waits for ends at `deadline`. On the CPU the network itself
    /// can't be interrupted.
    ///
    /// # Errors
    /// [`DetectError`]; after a
    /// [GPU fault](PreprocessError::is_gpu_fault) the CPU path would do.
    pub fn detect(
        &self,
        scratch: &mut DetectScratch,
        path: &mut DetectPath,
        frame: &Frame,
        options: &DetectOptions,
        deadline: Instant,
    ) -> Result<Vec<Detection>, DetectError> {
        let began = Instant::now();
        let DetectScratch { tensor, candidates, nonsense, .. } = scratch;
        candidates.clear();
        let (prepared, ran) = match path {
            DetectPath::Engine(preprocessor) => {
                tensor.resize(self.input().elements(), 0.0);
                let placement = preprocessor.run(frame, deadline, tensor)?;
                let prepared = Instant::now();
                let outputs = self
                    .network
                    .run(tensor)
                    .map_err(|failure| DetectError::Network { reason: failure.to_string() })?;
                let ran = Instant::now();
                self.decode(&outputs, &placement, options, candidates);
                *nonsense = count_nonsense(candidates, outputs.iter().flatten());
                (prepared, ran)
            }
            #[cfg(feature = "gpu")]
            DetectPath::Gpu(gpu) => {
                let placement = gpu.run(frame, deadline)?;
                let ran = Instant::now();
                self.decode_best(gpu.outputs(), &placement, options, candidates);
                *nonsense = count_nonsense(candidates, gpu.outputs().into_iter().flatten());
                if candidates.is_empty() {
                    let (best, _) = gpu.outputs()[1].as_chunks::<2>();
                    // No score of that box was a number.
                    *nonsense += best.iter().filter(|[place, _]| *place < 0.0).count();
                }
                // In one submission: what took how long there, only the device knows.
                (began, ran)
            }
        };
        suppress(candidates, options.overlap_max, options.detections_max);
        let found = candidates.iter().filter_map(|candidate| self.detection(candidate)).collect();
        scratch.times = DetectTimes {
            preprocess: prepared - began,
            network: ran - prepared,
            decode: ran.elapsed(),
        };
        Ok(found)
    }

    fn decode(
        &self,
        outputs: &[Vec<f32>],
        placement: &Placement,
        options: &DetectOptions,
        candidates: &mut Vec<Candidate>,
    ) {
        let (input, columns) = (self.input(), self.description.class_columns());
        let wanted = |class| self.is_wanted(class, options);
        let confidence_min = options.confidence_min;
        match (self.description.family(), outputs) {
            (Family::Ssd, [boxes, scores]) => {
                let best = |row| best(&scores[row * columns..][..columns], 0.0);
                ssd::decode(boxes, best, input, placement, confidence_min, wanted, candidates);
            }
            (Family::Yolox, [rows]) => {
                let row = |row| &rows[row * (5 + columns)..][..5 + columns];
                let best = |i| best(&row(i)[5..], 0.0);
                let numbers = |i| *row(i).first_chunk().expect("a row begins with five numbers");
                yolox::decode(numbers, best, input, placement, confidence_min, wanted, candidates);
            }
            _ => unreachable!("the outputs were checked at load"),
        }
    }

    /// From the numbers of each box, and the place and the value of its best score.
    #[cfg(feature = "gpu")]
    fn decode_best(
        &self,
        [boxes, best]: [&[f32]; 2],
        placement: &Placement,
        options: &DetectOptions,
        candidates: &mut Vec<Candidate>,
    ) {
        let input = self.input();
        let wanted = |class| self.is_wanted(class, options);
        let confidence_min = options.confidence_min;
        let (best, _) = best.as_chunks::<2>();
        let best = |row: usize| {
            let [class, score] = best[row];
            // The place is −1 where no score is a number.
            (class >= 0.0 && score >= 0.0).then_some((class as usize, score.min(1.0)))
        };
        match self.description.family() {
            Family::Ssd => {
                ssd::decode(boxes, best, input, placement, confidence_min, wanted, candidates);
            }
            Family::Yolox => {
                let (boxes, _) = boxes.as_chunks::<5>();
                let numbers = |row: usize| boxes[row];
                yolox::decode(numbers, best, input, placement, confidence_min, wanted, candidates);
            }
        }
    }

    fn is_wanted(&self, class: usize, options: &DetectOptions) -> bool {
        self.description.class(class).is_some()
            && (options.classes.is_empty()
                || options.classes.iter().any(|wanted| *wanted as usize == class))
    }

    fn detection(&self, candidate: &Candidate) -> Option<Detection> {
        Some(Detection {
            bbox: candidate.bbox,
            confidence: candidate.confidence,
            class: self.description.class(candidate.class)?.clone(),
            class_id: u32::try_from(candidate.class).ok()?,
        })
    }
}

/// How many of the outputs are none, looked for where nothing was found.
fn count_nonsense<'a>(candidates: &[Candidate], outputs: impl Iterator<Item = &'a f32>) -> usize {
    if candidates.is_empty() { outputs.filter(|number| number.is_nan()).count() } else { 0 }
}

impl Default for DetectOptions {
    /// Half sure, which suits showing detections; a tracker wants fainter ones
    /// too.
    fn default() -> Self {
        Self { confidence_min: 0.5, overlap_max: 0.6, detections_max: 100, classes: Vec::new() }
    }
}

impl fmt::Debug for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detector").field("model", &self.description.name()).finish_non_exhaustive()
    }
}

const THREADS_MAX: usize = 64;
