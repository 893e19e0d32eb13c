use keepsight_contract::{FrameSize, PixelFormat};

/// One combination that a device offers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Offer {
    pub(crate) format: PixelFormat,
    pub(crate) size: FrameSize,
    /// Frames a second.
    pub(crate) rate: f64,
}

/// What is asked for where nobody wishes anything: as many pixels as a detector looks at, and a
/// size that USB 2 carries at a full rate without compression.
const SIZE_UNASKED: FrameSize = FrameSize::new(640, 480);
const RATE_UNASKED: f64 = 30.0;

/// The offer nearest to a wished size and rate (frames a second).
///
/// Size counts before rate, and rate before format: the distance of two sizes or rates is that of
/// their logarithms, so that half and double are equally far. Of equals the larger, then the
/// faster, then the one that costs least to use is taken.
///
/// `None` where nothing is offered in a format that frames can have.
pub(crate) fn nearest(
    offers: &[Offer],
    size: Option<FrameSize>,
    rate: Option<f64>,
) -> Option<Offer> {
    let size = size.unwrap_or(SIZE_UNASKED);
    let rate = rate.unwrap_or(RATE_UNASKED);
    let distance = |offer: &Offer| {
        let width = ratio(f64::from(offer.size.width), f64::from(size.width));
        let height = ratio(f64::from(offer.size.height), f64::from(size.height));
        (width.hypot(height), ratio(offer.rate, rate))
    };
    offers
        .iter()
        .filter(|offer| offer.size.pixel_count() > 0 && offer.rate > 0.0)
        .filter_map(|offer| Some((offer, preference(offer.format)?)))
        .min_by(|(a, a_preference), (b, b_preference)| {
            let (a_size, a_rate) = distance(a);
            let (b_size, b_rate) = distance(b);
            a_size
                .total_cmp(&b_size)
                .then_with(|| b.size.pixel_count().cmp(&a.size.pixel_count()))
                .then_with(|| a_rate.total_cmp(&b_rate))
                .then_with(|| b.rate.total_cmp(&a.rate))
                .then_with(|| a_preference.cmp(b_preference))
        })
        .map(|(offer, _)| *offer)
}

/// How far apart two positive numbers are; 0 for equals, the same for half and double.
fn ratio(offered: f64, wished: f64) -> f64 {
    (offered / wished).ln().abs()
}

/// Which format is taken of several that give the same size and rate, the lowest first; `None`
/// for one that is never taken. NV12 is the smallest that needs no decoding, MJPEG costs a
/// decoder, gray lacks the colours that a detector was trained with.
fn preference(format: PixelFormat) -> Option<u8> {
    match format {
        PixelFormat::Nv12 => Some(0),
        PixelFormat::Yuyv => Some(1),
        PixelFormat::Rgb => Some(2),
        PixelFormat::Mjpeg => Some(3),
        PixelFormat::Gray => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(format: PixelFormat, width: u32, height: u32, rate: f64) -> Offer {
        Offer { format, size: FrameSize::new(width, height), rate }
    }

    /// As a common webcam offers them: raw pictures only as fast as USB 2 carries them.
    fn webcam() -> Vec<Offer> {
        use PixelFormat::{Mjpeg, Yuyv};
        vec![
            offer(Yuyv, 640, 480, 30.0),
            offer(Yuyv, 640, 480, 15.0),
            offer(Yuyv, 1280, 720, 10.0),
            offer(Yuyv, 1920, 1080, 5.0),
            offer(Mjpeg, 640, 480, 30.0),
            offer(Mjpeg, 1280, 720, 30.0),
            offer(Mjpeg, 1920, 1080, 30.0),
        ]
    }

    #[track_caller]
    fn check(
        offers: &[Offer],
        size: Option<(u32, u32)>,
        rate: Option<f64>,
        expected: Option<Offer>,
    ) {
        let size = size.map(|(width, height)| FrameSize::new(width, height));
        assert_eq!(nearest(offers, size, rate), expected);
    }

    #[test]
    fn size_and_rate_decide_before_format() {
        use PixelFormat::{Mjpeg, Yuyv};
        let offers = webcam();
        check(&offers, None, None, Some(offer(Yuyv, 640, 480, 30.0)));
        check(&offers, Some((1280, 720)), None, Some(offer(Mjpeg, 1280, 720, 30.0)));
        check(&offers, Some((1280, 720)), Some(10.0), Some(offer(Yuyv, 1280, 720, 10.0)));
        check(&offers, Some((640, 480)), None, Some(offer(Yuyv, 640, 480, 30.0)));
        check(&offers, Some((640, 480)), Some(14.0), Some(offer(Yuyv, 640, 480, 15.0)));
        check(&offers, Some((1920, 1080)), Some(6.0), Some(offer(Yuyv, 1920, 1080, 5.0)));
    }

    #[test]
    fn a_wish_that_is_not_offered_takes_the_nearest() {
        use PixelFormat::{Mjpeg, Yuyv};
        let offers = webcam();
        check(&offers, Some((4000, 3000)), Some(60.0), Some(offer(Mjpeg, 1920, 1080, 30.0)));
        check(&offers, Some((1, 1)), Some(1.0), Some(offer(Yuyv, 640, 480, 15.0)));
        check(&offers, Some((600, 400)), Some(29.97), Some(offer(Yuyv, 640, 480, 30.0)));
    }

    #[test]
    fn equals_are_decided_by_cost() {
        use PixelFormat::{Gray, Mjpeg, Nv12, Rgb, Yuyv};
        let all = |formats: &[PixelFormat]| {
            formats.iter().map(|format| offer(*format, 640, 480, 25.0)).collect::<Vec<_>>()
        };
        for (formats, taken) in [
            (&[Gray, Mjpeg, Rgb, Yuyv, Nv12][..], Nv12),
            (&[Gray, Mjpeg, Rgb, Yuyv], Yuyv),
            (&[Gray, Mjpeg, Rgb], Rgb),
            (&[Gray, Mjpeg], Mjpeg),
            (&[Gray], Gray),
        ] {
            check(&all(formats), None, None, Some(offer(taken, 640, 480, 25.0)));
        }
    }

    #[test]
    fn of_two_as_far_the_larger_and_the_faster_is_taken() {
        use PixelFormat::Yuyv;
        let offers = [
            offer(Yuyv, 320, 240, 10.0),
            offer(Yuyv, 1280, 960, 10.0),
            offer(Yuyv, 1280, 960, 40.0),
        ];
        check(&offers, Some((640, 480)), Some(20.0), Some(offer(Yuyv, 1280, 960, 40.0)));
    }

    #[test]
    fn nothing_usable_is_none() {
        check(&[], None, None, None);
        let broken = [
            offer(PixelFormat::Yuyv, 0, 480, 30.0),
            offer(PixelFormat::Yuyv, 640, 480, 0.0),
            offer(PixelFormat::Yuyv, 640, 480, f64::NAN),
        ];
        check(&broken, None, None, None);
    }
}
