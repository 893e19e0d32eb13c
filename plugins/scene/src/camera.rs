//! What the camera does, and the daylight: shaking, turning, clouds.

use crate::random::{Random, sine};
use crate::settings::{Background, Settings};

/// A camera that shakes and turns, and light that changes: each a function of time alone.
pub(crate) struct Camera {
    seed: u64,
    /// The farthest that shaking moves the picture, in pixels.
    shake: f64,
    /// The farthest that turning moves the background, in pixels.
    pan: f64,
    /// The share of light that clouds and switches may take.
    light: f64,
}

impl Camera {
    pub(crate) fn new(settings: &Settings) -> Self {
        let pan = match settings.background {
            Background::Still => 0.0,
            Background::Moving => (f64::from(settings.size.width) * PAN_SHARE).round(),
        };
        let Settings { seed, shake, light, .. } = *settings;
        Self { seed, shake: shake.round(), pan, light }
    }

    /// How much larger than the picture its backdrop is: columns and rows.
    pub(crate) fn margin(&self) -> [usize; 2] {
        [(2.0 * self.shake + self.pan) as usize, (2.0 * self.shake) as usize]
    }

    /// By how many pixels everything is moved, right and down.
    pub(crate) fn shift(&self, seconds: f64) -> [f64; 2] {
        if self.shake == 0.0 {
            return [0.0; 2];
        }
        // A hand trembles a few times a second, never quite the same.
        let tremble = |first: f64, second: f64, turn: f64| {
            let swing = 0.65 * sine(seconds * first + turn) + 0.35 * sine(seconds * second);
            (self.shake * swing).round()
        };
        [tremble(1.7, 5.3, 0.1), tremble(2.3, 6.1, 0.6)]
    }

    /// The backdrop's pixel that is the picture's first.
    pub(crate) fn corner(&self, seconds: f64) -> [usize; 2] {
        let [right, down] = self.shift(seconds);
        let panned = (self.pan / 2.0 * (1.0 + sine(seconds / PAN_SECONDS))).round();
        [(self.shake - right + panned) as usize, (self.shake - down) as usize]
    }

    /// The light there is, in 256ths.
    pub(crate) fn brightness(&self, seconds: f64) -> u32 {
        if self.light == 0.0 {
            return 256;
        }
        let clouds = 0.5 - 0.3 * sine(seconds / 11.0) - 0.2 * sine(seconds / 3.7);
        // Somebody has a hand on the switch.
        let turn = seconds / SWITCH_SECONDS;
        let level =
            |turn: f64| Random::of(&[self.seed, 0x006c_616d, turn as u64]).between(0.0, 1.0);
        let passed = (turn.fract() * SWITCH_SECONDS / FADE_SECONDS).min(1.0);
        let before = if turn < 1.0 { level(0.0) } else { level(turn - 1.0) };
        let lamp = before + (level(turn) - before) * passed;
        (256.0 * (1.0 - self.light * (0.5 * clouds + 0.5 * lamp))) as u32
    }
}

/// How far the camera turns, in shares of the picture's width, and how long it takes there and
/// back.
const PAN_SHARE: f64 = 0.25;
const PAN_SECONDS: f64 = 20.0;
/// Between one hand on the switch and the next, and until the lamp has followed.
const SWITCH_SECONDS: f64 = 7.0;
const FADE_SECONDS: f64 = 0.2;

#[cfg(test)]
mod tests {
    use keepsight_contract::CaptureWish;

    use super::*;

    fn camera(params: &str) -> Camera {
        let uri = format!("scene:?size=640x480{params}").parse().unwrap();
        Camera::new(&Settings::of(&uri, &CaptureWish::default()).unwrap())
    }

    #[test]
    fn without_parameters_nothing_changes() {
        let camera = camera("");
        assert_eq!(camera.margin(), [0, 0]);
        for frame in 0..300 {
            let seconds = f64::from(frame) / 30.0;
            assert_eq!((camera.shift(seconds), camera.corner(seconds)), ([0.0; 2], [0, 0]));
            assert_eq!(camera.brightness(seconds), 256);
        }
    }

    #[test]
    fn the_picture_stays_on_its_backdrop_and_all_of_the_range_is_used() {
        let camera = camera("&shake=9&background=moving&light=0.6");
        let [columns, rows] = camera.margin();
        assert_eq!([columns, rows], [18 + 160, 18]);
        let (mut far, mut dark, mut bright) = ([0.0f64; 2], 256, 0);
        let mut corners = [usize::MAX, 0];
        for frame in 0..3000 {
            let seconds = f64::from(frame) / 30.0;
            let (corner, shift) = (camera.corner(seconds), camera.shift(seconds));
            assert!(corner[0] <= columns && corner[1] <= rows, "{corner:?}");
            assert!(shift.iter().all(|it| it.abs() <= 9.0 && it.fract() == 0.0), "{shift:?}");
            far = [far[0].max(shift[0].abs()), far[1].max(shift[1].abs())];
            corners = [corners[0].min(corner[0]), corners[1].max(corner[0])];
            dark = dark.min(camera.brightness(seconds));
            bright = bright.max(camera.brightness(seconds));
        }
        assert!(far.iter().all(|it| *it >= 7.0), "{far:?}");
        assert!(corners[1] - corners[0] > 150, "{corners:?}");
        assert!((102..150).contains(&dark) && (200..=256).contains(&bright), "{dark} to {bright}");
    }
}
