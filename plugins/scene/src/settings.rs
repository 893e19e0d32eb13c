//! What a scene's URI says.

use keepsight_contract::{
    CaptureWish, FrameSize, PixelFormat, SourceError, SourceFault, SourceUri,
};

/// What to show, all of it checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) targets: u32,
    pub(crate) seed: u64,
    pub(crate) size: FrameSize,
    /// Frames a second.
    pub(crate) rate: f64,
    /// Frames until the end; `None` is endless.
    pub(crate) frames: Option<u64>,
    /// Standard deviation of the noise, in steps of 255.
    pub(crate) noise: f64,
    pub(crate) format: PixelFormat,
    pub(crate) figures: Figures,
    /// How far figures turn to either side beyond their walk, in turns.
    pub(crate) turn: f64,
    pub(crate) background: Background,
    /// The farthest that the camera's shaking moves the picture, in pixels.
    pub(crate) shake: f64,
    /// The share of light that comes and goes.
    pub(crate) light: f64,
}

/// Who is in the scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figures {
    /// People and cats, from photographs.
    Photographs,
    /// Discs and cards with a pattern.
    Shapes,
    /// Both.
    Mixed,
}

/// What is behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Background {
    /// A square, seen by a camera that stands still.
    Still,
    /// The same, seen by one that turns.
    Moving,
}

/// The parameters that a URI may have.
pub(crate) const PARAMS: &[&str] = &[
    "targets",
    "seed",
    "size",
    "fps",
    "frames",
    "noise",
    "format",
    "figures",
    "turn",
    "background",
    "shake",
    "light",
];

impl Settings {
    /// Reads parameters; for size and rate that are not given, what is wished counts where it can
    /// be had, then the default.
    ///
    /// # Errors
    /// Invalid, naming the parameter, for one that isn't known or lies outside its range.
    pub(crate) fn of(uri: &SourceUri, wish: &CaptureWish) -> Result<Self, SourceError> {
        uri.expect_params(PARAMS)?;
        if !uri.path().is_empty() {
            let reason = format!("scene: shows no {:?}: it takes parameters alone", uri.path());
            return Err(SourceError::new(SourceFault::Invalid, reason)
                .hint("parameters follow a question mark: scene:?targets=5"));
        }
        let format = [("yuyv", PixelFormat::Yuyv), ("rgb", PixelFormat::Rgb)];
        let figures = [
            ("photographs", Figures::Photographs),
            ("shapes", Figures::Shapes),
            ("mixed", Figures::Mixed),
        ];
        let background = [("still", Background::Still), ("moving", Background::Moving)];
        let number = |name: &str, most: f64, expected: &str| {
            uri.checked_param(name, expected, |value: &f64| (0.0..=most).contains(value))
        };
        let size = uri.checked_param("size", SIZE, size_fits)?;
        let rate = uri.checked_param("fps", RATE, rate_fits)?;
        let targets = uri.checked_param("targets", "a number of 0 to 64", |count| *count <= 64)?;
        let turn = number("turn", 180.0, "a number of degrees, 0 to 180")?.unwrap_or_default();
        Ok(Self {
            targets: targets.unwrap_or(5),
            seed: uri.parsed_param("seed", "a whole number")?.unwrap_or(1),
            size: size.or(wish.size.filter(size_fits)).unwrap_or(FrameSize::new(640, 480)),
            rate: rate.or(wish.rate.filter(rate_fits)).unwrap_or(30.0),
            frames: uri.checked_param("frames", "a number of at least 1", |count| *count >= 1)?,
            noise: number("noise", 50.0, "a number of 0 to 50")?.unwrap_or(2.0),
            format: uri.choice("format", &format)?.unwrap_or(PixelFormat::Yuyv),
            figures: uri.choice("figures", &figures)?.unwrap_or(Figures::Photographs),
            turn: turn / 360.0,
            background: uri.choice("background", &background)?.unwrap_or(Background::Still),
            shake: number("shake", 64.0, "a number of pixels, 0 to 64")?.unwrap_or_default(),
            light: number("light", 0.9, "a share of 0 to 0.9")?.unwrap_or_default(),
        })
    }
}

fn size_fits(size: &FrameSize) -> bool {
    (64..=4096).contains(&size.width)
        && (48..=4096).contains(&size.height)
        && size.width.is_multiple_of(2)
}

fn rate_fits(rate: &f64) -> bool {
    (0.1..=240.0).contains(rate)
}

const SIZE: &str = "a size of 64x48 to 4096x4096 with an even width";
const RATE: &str = "a rate of 0.1 to 240";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, wish: &CaptureWish) -> Result<Settings, SourceError> {
        Settings::of(&text.parse().unwrap(), wish)
    }

    #[test]
    fn without_parameters_the_defaults_count() {
        let settings = read("scene:", &CaptureWish::default()).unwrap();
        assert_eq!((settings.targets, settings.seed, settings.rate), (5, 1, 30.0));
        assert_eq!((settings.size, settings.frames), (FrameSize::new(640, 480), None));
        assert_eq!((settings.noise, settings.format), (2.0, PixelFormat::Yuyv));
    }

    #[test]
    fn parameters_count_before_wishes_and_wishes_before_defaults() {
        let wish = CaptureWish {
            size: Some(FrameSize::new(800, 600)),
            rate: Some(15.0),
            ..CaptureWish::default()
        };
        let wished = read("scene:", &wish).unwrap();
        assert_eq!((wished.size, wished.rate), (FrameSize::new(800, 600), 15.0));
        let given = read(
            "scene:?targets=2&seed=9&size=320x240&fps=12.5&frames=4&noise=0&format=rgb\
             &figures=mixed&turn=90&background=moving&shake=3&light=0.5",
            &wish,
        )
        .unwrap();
        let expected = Settings {
            targets: 2,
            seed: 9,
            size: FrameSize::new(320, 240),
            rate: 12.5,
            frames: Some(4),
            noise: 0.0,
            format: PixelFormat::Rgb,
            figures: Figures::Mixed,
            turn: 0.25,
            background: Background::Moving,
            shake: 3.0,
            light: 0.5,
        };
        assert_eq!(given, expected);
        let odd = CaptureWish { size: Some(FrameSize::new(641, 480)), ..CaptureWish::default() };
        assert_eq!(read("scene:", &odd).unwrap().size, FrameSize::new(640, 480));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, named) in [
            ("scene:?target=5", "target"),
            ("scene:square", "square"),
            ("scene:?targets=65", "targets"),
            ("scene:?targets=-1", "targets"),
            ("scene:?size=641x480", "size"),
            ("scene:?size=32x32", "size"),
            ("scene:?size=99999x48", "size"),
            ("scene:?fps=0", "fps"),
            ("scene:?fps=nan", "fps"),
            ("scene:?fps=1000", "fps"),
            ("scene:?frames=0", "frames"),
            ("scene:?noise=51", "noise"),
            ("scene:?noise=nan", "noise"),
            ("scene:?format=nv12", "format"),
            ("scene:?seed=x", "seed"),
            ("scene:?figures=x", "figures"),
            ("scene:?turn=181", "turn"),
            ("scene:?background=x", "background"),
            ("scene:?shake=65", "shake"),
            ("scene:?light=1", "light"),
            ("scene:?light=nan", "light"),
        ] {
            let error = read(text, &CaptureWish::default()).unwrap_err();
            assert_eq!(error.fault(), SourceFault::Invalid, "{text}");
            assert!(error.reason().contains(named), "{text}: {error}");
        }
    }
}
