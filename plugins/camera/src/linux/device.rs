use std::{io, path::Path, sync::Arc};

use keepsight_contract::{DeviceFormat, FrameSize, PixelFormat};
use v4l::{
    Device, Format, FourCC, Fraction,
    capability::Flags,
    device::Handle,
    frameinterval::FrameIntervalEnum,
    framesize::{FrameSizeEnum, Stepwise},
    video::{Capture, capture::Parameters},
};

use crate::negotiate::Offer;

/// An open capture device.
///
/// `v4l` panics on what a driver should not say, so calls belong inside
/// [`contained`](crate::faults::contained).
pub(crate) struct CaptureDevice {
    device: Device,
}

/// What a device is set to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) offer: Offer,
    /// Bytes from one row of the first plane to the next.
    pub(crate) stride: u32,
}

impl Setting {
    /// Whether it is what `offer` promises, but for what drivers round of a rate.
    pub(crate) fn is(&self, offer: &Offer) -> bool {
        self.offer.format == offer.format
            && self.offer.size == offer.size
            && (self.offer.rate / offer.rate - 1.0).abs() < RATE_ROUNDING
    }
}

impl CaptureDevice {
    /// Opens a node, not to block.
    ///
    /// # Errors
    /// The system's; ENOTTY for a node that is no video device, and the kind `Unsupported` for one
    /// that does not capture pictures, or not into mapped buffers.
    pub(crate) fn open(node: &Path) -> io::Result<Self> {
        let device = Device::with_path(node)?;
        let capabilities = device.query_caps()?.capabilities;
        let captures = capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING)
            && !capabilities.intersects(Flags::VIDEO_M2M | Flags::VIDEO_OUTPUT);
        if captures { Ok(Self { device }) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    /// For the calls that `v4l` has no function for.
    pub(crate) fn handle(&self) -> Arc<Handle> {
        self.device.handle()
    }

    /// Every format, size and rate that frames can have here. Of a range that the device offers
    /// steplessly these are the wished size and rate (where within) and the usual ones.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn offers(
        &self,
        size: Option<FrameSize>,
        rate: Option<f64>,
    ) -> io::Result<Vec<Offer>> {
        let mut offers = Vec::new();
        for description in self.device.enum_formats()? {
            let Some(format) = pixel_format(description.fourcc) else { continue };
            for size in self.sizes(description.fourcc, size)? {
                let rates = self.rates(description.fourcc, size, rate);
                offers.extend(rates.into_iter().map(|rate| Offer { format, size, rate }));
            }
        }
        Ok(offers)
    }

    /// All that the device offers, in its own order, for a person to read.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn formats(&self) -> io::Result<Vec<DeviceFormat>> {
        let mut formats = Vec::new();
        for description in self.device.enum_formats()? {
            let fourcc = description.fourcc;
            let format = String::from_utf8_lossy(&fourcc.repr).trim_end().to_owned();
            let supported = pixel_format(fourcc).is_some();
            for size in self.sizes(fourcc, None)? {
                let mut rates = self.rates(fourcc, size, None);
                rates.sort_by(|a, b| b.total_cmp(a));
                formats.push(DeviceFormat { format: format.clone(), supported, size, rates });
            }
        }
        Ok(formats)
    }

    /// What the device is set to now; `None` where that is a format that frames cannot have.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn setting(&self) -> io::Result<Option<Setting>> {
        let format = self.device.format()?;
        let rate = self.rate().unwrap_or(RATE_UNKNOWN);
        Ok(pixel_format(format.fourcc).map(|pixels| Setting {
            offer: Offer {
                format: pixels,
                size: FrameSize::new(format.width, format.height),
                rate,
            },
            stride: if pixels == PixelFormat::Mjpeg { 0 } else { format.stride },
        }))
    }

    /// Sets format, size and rate; what the device made of it is its [`setting`](Self::setting).
    ///
    /// # Errors
    /// The system's; EBUSY while anybody streams.
    pub(crate) fn set(&self, offer: &Offer) -> io::Result<()> {
        let fourcc = fourcc(offer.format).ok_or(io::ErrorKind::Unsupported)?;
        self.device.set_format(&Format::new(offer.size.width, offer.size.height, fourcc))?;
        match self.device.set_params(&Parameters::new(interval(offer.rate))) {
            // Not every device lets its rate be set.
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
            result => result.map(drop),
        }
    }

    fn sizes(&self, fourcc: FourCC, wish: Option<FrameSize>) -> io::Result<Vec<FrameSize>> {
        let offered = match self.device.enum_framesizes(fourcc) {
            Ok(offered) => offered,
            // A device of one size need not list it.
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                let format = self.device.format()?;
                return Ok(vec![FrameSize::new(format.width, format.height)]);
            }
            Err(error) => return Err(error),
        };
        Ok(offered
            .into_iter()
            .flat_map(|offered| match offered.size {
                FrameSizeEnum::Discrete(size) => vec![FrameSize::new(size.width, size.height)],
                FrameSizeEnum::Stepwise(range) => sizes_within(&range, wish),
            })
            .collect())
    }

    fn rates(&self, fourcc: FourCC, size: FrameSize, wish: Option<f64>) -> Vec<f64> {
        let offered = self.device.enum_frameintervals(fourcc, size.width, size.height);
        let rates: Vec<f64> = offered
            .unwrap_or_default()
            .into_iter()
            .flat_map(|offered| match offered.interval {
                FrameIntervalEnum::Discrete(interval) => rate_of(interval).into_iter().collect(),
                // The shortest interval is the highest rate.
                FrameIntervalEnum::Stepwise(range) => {
                    match (rate_of(range.max), rate_of(range.min)) {
                        (Some(lowest), Some(highest)) => rates_within(lowest, highest, wish),
                        _ => Vec::new(),
                    }
                }
            })
            .collect();
        // Rates that are not listed are whatever the device does.
        if rates.is_empty() { vec![self.rate().unwrap_or(RATE_UNKNOWN)] } else { rates }
    }

    fn rate(&self) -> Option<f64> {
        self.device.params().ok().and_then(|params| rate_of(params.interval))
    }
}

/// 29.97 is 30000/1001, but not 30.
const RATE_ROUNDING: f64 = 0.000_5;

/// What is said of a device that tells no rate, in frames a second.
const RATE_UNKNOWN: f64 = 30.0;

/// Sizes and rates (frames a second) that are looked for in a stepless range.
const SIZES_USUAL: [(u32, u32); 6] =
    [(320, 240), (640, 480), (800, 600), (1280, 720), (1920, 1080), (3840, 2160)];
const RATES_USUAL: [f64; 7] = [5.0, 10.0, 15.0, 25.0, 30.0, 50.0, 60.0];

fn pixel_format(fourcc: FourCC) -> Option<PixelFormat> {
    match &fourcc.repr {
        b"YUYV" => Some(PixelFormat::Yuyv),
        b"NV12" => Some(PixelFormat::Nv12),
        b"MJPG" => Some(PixelFormat::Mjpeg),
        b"RGB3" => Some(PixelFormat::Rgb),
        b"GREY" => Some(PixelFormat::Gray),
        _ => None,
    }
}

fn fourcc(format: PixelFormat) -> Option<FourCC> {
    let repr = match format {
        PixelFormat::Yuyv => b"YUYV",
        PixelFormat::Nv12 => b"NV12",
        PixelFormat::Mjpeg => b"MJPG",
        PixelFormat::Rgb => b"RGB3",
        PixelFormat::Gray => b"GREY",
        _ => return None,
    };
    Some(FourCC::new(repr))
}

/// Frames a second of a frame interval; `None` for the zeros of a driver that does not know.
fn rate_of(interval: Fraction) -> Option<f64> {
    (interval.numerator > 0 && interval.denominator > 0)
        .then(|| f64::from(interval.denominator) / f64::from(interval.numerator))
}

/// The interval of a rate in frames a second, exact to a thousandth of a frame a second.
fn interval(rate: f64) -> Fraction {
    let thousandths = (rate * 1000.0).round().clamp(1.0, f64::from(u32::MAX)) as u32;
    if thousandths.is_multiple_of(1000) {
        Fraction::new(1, thousandths / 1000)
    } else {
        Fraction::new(1000, thousandths)
    }
}

/// The sizes of a stepless range that are worth offering: `wish` moved inside and onto a step,
/// the usual ones that it contains, and its largest.
fn sizes_within(range: &Stepwise, wish: Option<FrameSize>) -> Vec<FrameSize> {
    let fit = |wanted: u32, min: u32, max: u32, step: u32| {
        let inside = wanted.clamp(min, max.max(min));
        inside - (inside - min) % step.max(1)
    };
    let fitted = |size: FrameSize| {
        FrameSize::new(
            fit(size.width, range.min_width, range.max_width, range.step_width),
            fit(size.height, range.min_height, range.max_height, range.step_height),
        )
    };
    let usual = SIZES_USUAL.map(|(width, height)| FrameSize::new(width, height));
    let mut sizes: Vec<_> = usual.into_iter().filter(|size| fitted(*size) == *size).collect();
    sizes.extend(wish.map(fitted));
    sizes.push(fitted(FrameSize::new(range.max_width, range.max_height)));
    sizes.sort_by_key(|size| (size.width, size.height));
    sizes.dedup();
    sizes
}

/// As [`sizes_within`], for rates in frames a second.
fn rates_within(lowest: f64, highest: f64, wish: Option<f64>) -> Vec<f64> {
    let highest = highest.max(lowest);
    let mut rates: Vec<_> = RATES_USUAL
        .into_iter()
        .filter(|rate| (lowest..=highest).contains(rate))
        .chain(wish.map(|wish| wish.clamp(lowest, highest)))
        .chain([highest])
        .collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_go_there_and_back() {
        use PixelFormat::{Gray, Mjpeg, Nv12, Rgb, Yuyv};
        for format in [Yuyv, Nv12, Mjpeg, Rgb, Gray] {
            assert_eq!(fourcc(format).and_then(pixel_format), Some(format));
        }
        assert_eq!(pixel_format(FourCC::new(b"UYVY")), None);
        assert_eq!(pixel_format(FourCC::new(b"H264")), None);
    }

    #[test]
    fn rates_are_the_inverse_of_intervals() {
        assert_eq!(rate_of(Fraction::new(2, 25)), Some(12.5));
        assert_eq!(rate_of(Fraction::new(1001, 30_000)), Some(30_000.0 / 1001.0));
        assert_eq!(rate_of(Fraction::new(0, 25)), None);
        assert_eq!(rate_of(Fraction::new(1, 0)), None);
        let back = |rate| {
            let fraction = interval(rate);
            (fraction.numerator, fraction.denominator)
        };
        assert_eq!(back(25.0), (1, 25));
        assert_eq!(back(12.5), (1000, 12_500));
        assert_eq!(back(29.97), (1000, 29_970));
        assert_eq!(back(0.0), (1000, 1));
    }

    #[test]
    fn a_stepless_range_offers_the_wish_and_the_usual() {
        let range = Stepwise {
            min_width: 32,
            max_width: 1296,
            step_width: 16,
            min_height: 32,
            max_height: 972,
            step_height: 2,
        };
        let texts = |wish: Option<FrameSize>| {
            sizes_within(&range, wish).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(texts(None), "320x240 640x480 800x600 1280x720 1296x972");
        let wish = Some(FrameSize::new(1001, 501));
        assert_eq!(texts(wish), "320x240 640x480 800x600 992x500 1280x720 1296x972");
        let wish = Some(FrameSize::new(10_000, 1));
        assert_eq!(texts(wish), "320x240 640x480 800x600 1280x720 1296x32 1296x972");
    }

    #[test]
    fn a_range_without_steps_or_turned_round_does_no_harm() {
        let range = Stepwise {
            min_width: 640,
            max_width: 320,
            step_width: 0,
            min_height: 480,
            max_height: 480,
            step_height: 0,
        };
        assert_eq!(sizes_within(&range, None), [FrameSize::new(640, 480)]);
        assert_eq!(rates_within(30.0, 10.0, Some(5.0)), [30.0]);
        assert_eq!(rates_within(1.0, 40.0, Some(12.5)), [5.0, 10.0, 12.5, 15.0, 25.0, 30.0, 40.0]);
    }

    #[test]
    fn rounding_makes_no_other_setting() {
        let offer =
            |format, height, rate| Offer { format, size: FrameSize::new(640, height), rate };
        let ntsc = offer(PixelFormat::Yuyv, 480, 30_000.0 / 1001.0);
        let setting = Setting { offer: ntsc, stride: 1280 };
        assert!(setting.is(&offer(PixelFormat::Yuyv, 480, 29.97)));
        assert!(!setting.is(&offer(PixelFormat::Yuyv, 480, 30.0)));
        assert!(!setting.is(&offer(PixelFormat::Yuyv, 360, 29.97)));
        assert!(!setting.is(&offer(PixelFormat::Nv12, 480, 29.97)));
    }

    #[test]
    fn a_node_that_is_no_video_device_is_refused() {
        let errno = |path: &str| {
            CaptureDevice::open(Path::new(path)).err().and_then(|error| error.raw_os_error())
        };
        assert_eq!(errno("/dev/null"), Some(libc::ENOTTY));
        assert_eq!(errno("/dev/video-that-is-not-there"), Some(libc::ENOENT));
    }
}
