use keepsight_contract::BoundingBox;

use super::Affine;

/// How much targets and detections wander, all in shares of the target's width (for x and
/// width) or height (for y and height), so that near and far targets are alike.
///
/// Process noise is a density over time: the variance a state gains in `t` seconds is the
/// square of the number times `t`, whatever the frame rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionNoise {
    /// Standard deviation of a detection's centre and size.
    pub measurement: f32,
    /// The same of a box that was found by what the target looks like, without a detector.
    pub following: f32,
    /// Growth of the position's standard deviation, per √second.
    pub position: f32,
    /// Growth of the velocity's standard deviation, per second and √second.
    pub velocity: f32,
    /// How much of the process noise widths and heights have: sizes change more slowly than
    /// places.
    pub size: f32,
    /// Standard deviation of a new target's position.
    pub first_position: f32,
    /// Standard deviation of a new target's velocity, per second.
    pub first_velocity: f32,
}

/// `ByteTrack`'s weights (Zhang et al. 2022, from `DeepSORT`: 1/20 of the size for positions,
/// 1/160 a frame for velocities) taken at 30 frames per second and turned into densities; the
/// position's is half as large again, the middle of a range in which all our sets do best.
impl Default for MotionNoise {
    fn default() -> Self {
        Self {
            measurement: 1.0 / 20.0,
            following: 1.0 / 20.0,
            position: 0.4,
            velocity: 1.027,
            size: 0.7,
            first_position: 0.1,
            first_velocity: 1.875,
        }
    }
}

/// Kalman state of a box: centre x and y, width and height, each with its velocity.
///
/// Noise is diagonal, so the eight-dimensional filter falls apart exactly into four of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BoxFilter {
    x: AxisFilter,
    y: AxisFilter,
    width: AxisFilter,
    height: AxisFilter,
}

/// Kalman filter of one coordinate at constant velocity.
#[derive(Clone, Copy, Debug, PartialEq)]
struct AxisFilter {
    /// Pixels.
    value: f32,
    /// Pixels per second.
    rate: f32,
    value_variance: f32,
    covariance: f32,
    rate_variance: f32,
}

impl BoxFilter {
    pub(super) fn new(bbox: &BoundingBox, noise: &MotionNoise) -> Self {
        let [x, y] = bbox.center();
        let axis = |value, scale| AxisFilter::new(value, scale, noise);
        Self {
            x: axis(x, bbox.width),
            y: axis(y, bbox.height),
            width: axis(bbox.width, bbox.width),
            height: axis(bbox.height, bbox.height),
        }
    }

    /// Moves the state `elapsed` seconds on.
    pub(super) fn predict(&mut self, elapsed: f32, noise: &MotionNoise) {
        let (width, height) = (self.width.value, self.height.value);
        self.x.predict(elapsed, width, noise);
        self.y.predict(elapsed, height, noise);
        self.width.predict(elapsed, noise.size * width, noise);
        self.height.predict(elapsed, noise.size * height, noise);
        self.width.keep_within(SIZE_MIN, SIZE_MAX);
        self.height.keep_within(SIZE_MIN, SIZE_MAX);
        self.x.keep_within(-CENTER_MAX, CENTER_MAX);
        self.y.keep_within(-CENTER_MAX, CENTER_MAX);
    }

    /// Takes the camera's motion out: carries the state into the later frame's pixels.
    pub(super) fn follow_camera(&mut self, motion: &Affine) {
        let [x, y] = motion.point(self.x.value, self.y.value);
        let [[a, b], [c, d]] = motion.linear();
        let (before_x, before_y) = (self.x, self.y);
        self.x = AxisFilter::mixed(x, &before_x, a, &before_y, b);
        self.y = AxisFilter::mixed(y, &before_x, c, &before_y, d);
        let [across, down] = motion.scales();
        self.width.scale(across);
        self.height.scale(down);
    }

    /// Corrects the state by a detection; `trust` above 1 makes it count for more.
    pub(super) fn correct(&mut self, bbox: &BoundingBox, trust: f32, noise: &MotionNoise) {
        let [x, y] = bbox.center();
        let deviation = noise.measurement / trust;
        let across = square(deviation * self.width.value);
        let down = square(deviation * self.height.value);
        self.x.correct(x, across);
        self.y.correct(y, down);
        self.width.correct(bbox.width, across);
        self.height.correct(bbox.height, down);
        self.width.keep_within(SIZE_MIN, SIZE_MAX);
        self.height.keep_within(SIZE_MIN, SIZE_MAX);
    }

    /// A target nobody sees keeps its size: what its last boxes did was more likely occlusion.
    pub(super) fn hold_size(&mut self) {
        self.width.rate = 0.0;
        self.height.rate = 0.0;
    }

    pub(super) fn bounding_box(&self) -> BoundingBox {
        let (width, height) = (self.width.value, self.height.value);
        BoundingBox::new(self.x.value - width / 2.0, self.y.value - height / 2.0, width, height)
    }

    /// Of the centre, in pixels per second.
    pub(super) fn velocity(&self) -> [f32; 2] {
        [self.x.rate, self.y.rate]
    }
}

impl AxisFilter {
    fn new(value: f32, scale: f32, noise: &MotionNoise) -> Self {
        Self {
            value,
            rate: 0.0,
            value_variance: square(noise.first_position * scale),
            covariance: 0.0,
            rate_variance: square(noise.first_velocity * scale),
        }
    }

    /// Prediction with the noise integrated over the interval, so that two steps of half the
    /// time do exactly what one step does (Bar-Shalom, Estimation with Applications to Tracking
    /// and Navigation, 6.2.2, and white noise on the position).
    fn predict(&mut self, elapsed: f32, scale: f32, noise: &MotionNoise) {
        let position = square(noise.position * scale);
        let velocity = square(noise.velocity * scale);
        self.value += self.rate * elapsed;
        self.value_variance += elapsed
            * (2.0 * self.covariance
                + elapsed * self.rate_variance
                + position
                + velocity * elapsed * elapsed / 3.0);
        self.covariance += elapsed * (self.rate_variance + velocity * elapsed / 2.0);
        self.rate_variance += velocity * elapsed;
    }

    fn correct(&mut self, measured: f32, variance: f32) {
        let surprise = measured - self.value;
        let total = self.value_variance + variance;
        let value_gain = self.value_variance / total;
        let rate_gain = self.covariance / total;
        self.value += value_gain * surprise;
        self.rate += rate_gain * surprise;
        self.rate_variance -= rate_gain * self.covariance;
        self.covariance *= 1.0 - value_gain;
        self.value_variance *= 1.0 - value_gain;
    }

    /// The axis `first·a + second·b` at `value`; what the two share beyond is left out, for a
    /// camera turns little in one frame.
    fn mixed(value: f32, first: &Self, a: f32, second: &Self, b: f32) -> Self {
        let (aa, bb) = (a * a, b * b);
        Self {
            value,
            rate: first.rate * a + second.rate * b,
            value_variance: first.value_variance * aa + second.value_variance * bb,
            covariance: first.covariance * aa + second.covariance * bb,
            rate_variance: first.rate_variance * aa + second.rate_variance * bb,
        }
    }

    fn scale(&mut self, factor: f32) {
        self.value *= factor;
        self.rate *= factor;
        let squared = factor * factor;
        self.value_variance *= squared;
        self.covariance *= squared;
        self.rate_variance *= squared;
    }

    /// Stops a value that ran out of what a picture can hold.
    fn keep_within(&mut self, low: f32, high: f32) {
        if self.value < low || self.value > high {
            self.value = self.value.clamp(low, high);
            self.rate = 0.0;
        }
    }
}

fn square(number: f32) -> f32 {
    number * number
}

const SIZE_MIN: f32 = 0.5;
const SIZE_MAX: f32 = 65_536.0;
const CENTER_MAX: f32 = 262_144.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn walking(seconds_per_frame: f32, frames: usize) -> BoxFilter {
        let noise = MotionNoise::default();
        let bbox = |frame: usize| {
            BoundingBox::new(60.0 * frame as f32 * seconds_per_frame, 50.0, 40.0, 100.0)
        };
        let mut filter = BoxFilter::new(&bbox(0), &noise);
        for frame in 1..frames {
            filter.predict(seconds_per_frame, &noise);
            filter.correct(&bbox(frame), 1.0, &noise);
        }
        filter
    }

    #[test]
    fn a_steady_walk_is_learnt_at_any_frame_rate() {
        for (rate, frames) in [(60.0, 121), (30.0, 61), (7.0, 15)] {
            let [vx, vy] = walking(1.0 / rate, frames).velocity();
            assert!((vx - 60.0).abs() < 2.0, "{vx} px/s at {rate} frames a second");
            assert_eq!(vy, 0.0);
        }
    }

    #[test]
    fn a_prediction_in_two_halves_is_the_same() {
        let noise = MotionNoise::default();
        let mut whole = walking(0.1, 10);
        let mut halves = whole;
        whole.hold_size();
        halves.hold_size();
        whole.predict(0.2, &noise);
        halves.predict(0.1, &noise);
        halves.predict(0.1, &noise);
        for (a, b) in [
            (whole.x.value, halves.x.value),
            (whole.x.value_variance, halves.x.value_variance),
            (whole.x.covariance, halves.x.covariance),
            (whole.height.rate_variance, halves.height.rate_variance),
        ] {
            assert!((a - b).abs() <= 1e-4 * a.abs(), "{a} and {b}");
        }
    }

    #[test]
    fn a_trusted_detection_pulls_harder() {
        let noise = MotionNoise::default();
        let seen = BoundingBox::new(40.0, 50.0, 40.0, 100.0);
        let start = BoxFilter::new(&BoundingBox::new(0.0, 50.0, 40.0, 100.0), &noise);
        let (mut plain, mut trusted) = (start, start);
        plain.correct(&seen, 1.0, &noise);
        trusted.correct(&seen, 2.0, &noise);
        assert!(plain.bounding_box().x < trusted.bounding_box().x);
        assert!(trusted.bounding_box().x < 40.0);
    }

    #[test]
    fn sizes_stay_positive_and_finite_however_long_one_coasts() {
        let noise = MotionNoise::default();
        let mut filter = BoxFilter::new(&BoundingBox::new(0.0, 0.0, 4e4, 4e4), &noise);
        filter.predict(0.1, &noise);
        filter.correct(&BoundingBox::new(0.0, 0.0, 1.0, 1.0), 1.0, &noise);
        for _ in 0..1_000 {
            filter.predict(10.0, &noise);
            assert!(filter.bounding_box().is_valid(), "{filter:?}");
        }
    }

    #[test]
    fn the_camera_carries_position_velocity_and_size() {
        let mut filter = walking(0.1, 20);
        let before = filter.bounding_box();
        let zoom = Affine { rows: [[2.0, 0.0, 7.0], [0.0, 2.0, 0.0]] };
        let speed = filter.velocity()[0];
        filter.follow_camera(&zoom);
        let after = filter.bounding_box();
        let expected = zoom.bounding_box(&before);
        for (a, b) in [(after.x, expected.x), (after.y, expected.y), (after.width, expected.width)]
        {
            assert!((a - b).abs() < 1e-2, "{a} and {b}");
        }
        assert!((filter.velocity()[0] - 2.0 * speed).abs() < 1e-3);
    }
}
