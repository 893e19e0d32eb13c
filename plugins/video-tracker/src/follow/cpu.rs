use keepsight_contract::{BoundingBox, Frame};

use super::features::{Extractor, Features};
use super::filter::{Filter, HALF, Spectra, wanted};
use super::patch::{Patch, Region};
use super::peak::{Peak, vertex};
use super::picture::Picture;
use super::spectrum::Plane;
use super::{CELLS, CHANNELS, FollowConfig, FollowError, Found, GRID, Lesson, SCALES, Sought};

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
            found.push(moved(&self.config, &sought.bbox, &peak, 1.0));
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

impl FollowConfig {
    /// What a filter looks at to see the target in `bbox`, `scale` times as large as it was.
    pub(super) fn region(&self, bbox: &BoundingBox, scale: f32) -> Region {
        let side = (bbox.width * bbox.height).sqrt();
        let extent = |own: f32| {
            let own = side + (own - side) * self.anisotropy;
            ((own + self.padding * side) * scale).max(1.0)
        };
        Region { center: bbox.center(), size: [extent(bbox.width), extent(bbox.height)] }
    }
}

/// The answer from the peaks at all scales.
pub(super) fn choose(config: &FollowConfig, bbox: &BoundingBox, peaks: &[Peak; 3]) -> Found {
    let [smaller, same, larger] = peaks.map(|peak| peak.value);
    let reluctant = [smaller * config.scale_reluctance, same, larger * config.scale_reluctance];
    let mut best = 1;
    for other in [0, 2] {
        if reluctant[other] > reluctant[best] {
            best = other;
        }
    }
    let peak = &peaks[best];
    let exponent = SCALES[best] as f32
        + if best == 1 { vertex(reluctant[0], reluctant[1], reluctant[2]) } else { 0.0 };
    let scale = config.scale_step.powf(exponent * config.scale_trust);
    let looked = config.scale_step.powi(SCALES[best]);
    moved_and_scaled(config, bbox, peak, looked, scale)
}

fn moved(config: &FollowConfig, bbox: &BoundingBox, peak: &Peak, looked: f32) -> Found {
    moved_and_scaled(config, bbox, peak, looked, 1.0)
}

/// `looked` is the scale at which the peak was found, `scale` the one believed.
fn moved_and_scaled(
    config: &FollowConfig,
    bbox: &BoundingBox,
    peak: &Peak,
    looked: f32,
    scale: f32,
) -> Found {
    let region = config.region(bbox, looked);
    let [x, y] = region.center;
    let [x, y] = [
        x + peak.shift[0] * region.size[0] / GRID as f32,
        y + peak.shift[1] * region.size[1] / GRID as f32,
    ];
    let (width, height) = (bbox.width * scale, bbox.height * scale);
    Found {
        bbox: BoundingBox::new(x - width / 2.0, y - height / 2.0, width, height),
        likeness: peak.value,
        sidelobe_ratio: peak.sidelobe_ratio,
    }
}
