use keepsight_contract::Frame;

use super::features::{Extractor, Features};
use super::filter::{Filter, HALF, Spectra, wanted};
use super::patch::{Patch, Region};
use super::peak::Peak;
use super::picture::Picture;
use super::place::{choose, stay};
use super::spectrum::Plane;
use super::{CELLS, CHANNELS, FollowConfig, FollowError, Found, Lesson, SCALES, Sought};

/// Follows targets on the calling thread. It is the twin of the kernels.
#[derive(Debug)]
pub struct CpuFollower {
    config: FollowConfig,
    picture: Picture,
    filters: Vec<Filter>,
    wanted: [f32; HALF],
    workbench: Box<Workbench>,
}

/// What is on the way from a patch to a response.
#[derive(Debug)]
struct Workbench {
    patch: Patch,
    extractor: Extractor,
    features: Features,
    spectra: Spectra,
    plane: Plane,
    response: [f32; CELLS],
}

impl CpuFollower {
    /// A follower without filters.
    pub fn new(config: FollowConfig) -> Self {
        Self {
            config,
            picture: Picture::default(),
            filters: Vec::new(),
            wanted: wanted(config.sigma),
            workbench: Box::new(Workbench {
                patch: Patch::new(),
                extractor: Extractor::new(),
                features: [[0.0; CELLS]; CHANNELS],
                spectra: Spectra::ZERO,
                plane: Plane::ZERO,
                response: [0.0; CELLS],
            }),
        }
    }

    /// What it does.
    pub fn config(&self) -> &FollowConfig {
        &self.config
    }

    /// Takes in the next frame.
    ///
    /// # Errors
    /// [`FollowError`] when the frame can't be decoded or converted.
    pub fn take(&mut self, frame: &Frame) -> Result<(), FollowError> {
        self.picture.take(frame)
    }

    /// Lets go of the frame; the next one has to be taken in before anything else.
    pub fn release(&mut self) {
        self.picture.release();
    }

    /// Looks for each of `sought` in the frame, around its box, and says where it is.
    pub fn locate(&mut self, sought: &[Sought], found: &mut Vec<Found>) {
        found.clear();
        found.extend(sought.iter().map(|sought| self.locate_one(sought)));
    }

    /// Looks at each box of the frame with its filter, in that size only.
    pub fn compare(&mut self, sought: &[Sought], found: &mut Vec<Found>) {
        found.clear();
        for sought in sought {
            let peak = self.look(sought, 1.0);
            found.push(stay(&self.config, &sought.bbox, &peak));
        }
    }

    /// Teaches filters what their targets look like in the frame.
    pub fn learn(&mut self, lessons: &[Lesson]) {
        for Lesson { slot, bbox, rate } in lessons {
            while self.filters.len() <= *slot {
                self.filters.push(Filter::new());
            }
            let region = self.config.region(bbox, 1.0);
            self.workbench.observe(&mut self.picture, &region, &self.config);
            self.filters[*slot].learn(&self.workbench.spectra, &self.wanted, *rate);
        }
    }

    fn locate_one(&mut self, sought: &Sought) -> Found {
        let peaks = SCALES.map(|exponent| {
            let scale = self.config.scale_step.powi(exponent);
            self.look(sought, scale)
        });
        choose(&self.config, &sought.bbox, &peaks)
    }

    fn look(&mut self, sought: &Sought, scale: f32) -> Peak {
        let Self { config, picture, filters, workbench, .. } = self;
        workbench.observe(picture, &config.region(&sought.bbox, scale), config);
        let Workbench { spectra, plane, response, .. } = &mut **workbench;
        filters[sought.slot].respond(spectra, config, plane, response);
        Peak::of(response)
    }
}

impl Workbench {
    /// From a region of the picture to the spectra of its features.
    fn observe(&mut self, picture: &mut Picture, region: &Region, config: &FollowConfig) {
        self.patch.sample(picture, region);
        self.extractor.extract(&self.patch, config, &mut self.features);
        self.spectra.fill(&self.features, &mut self.plane);
    }
}
