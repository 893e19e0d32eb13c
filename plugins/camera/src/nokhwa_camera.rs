use keepsight_contract::{CaptureWish, FrameSize, PixelFormat, SourceError, SourceFault};
use nokhwa::{
    Camera,
    utils::{
        ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
        Resolution,
    },
};

use crate::{
    faults::{contained, of_nokhwa},
    negotiate::{Offer, nearest},
};

/// Lets nokhwa enumerate what camera `number` offers and configure it as near to `wish` as
/// possible. The camera belongs to this thread.
///
/// nokhwa's list is not always true (it takes 25/2 frames a second for 25), and it refuses what it
/// can't express only after it has set it; so when the nearest offer is refused, the next is tried.
///
/// # Errors
/// `NotFound`, `Denied`, `Busy`, `Lost`; `Failed` for nokhwa's own reasons, one of which is a
/// device that somebody left in a format or rate that nokhwa does not know.
pub(crate) fn configure(
    number: u32,
    wish: &CaptureWish,
    name: &str,
) -> Result<(Camera, Offer), SourceError> {
    contained(name, "configure", || {
        let any = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
        let mut camera = Camera::with_backend(CameraIndex::Index(number), any, ApiBackend::Auto)
            .map_err(|error| of_nokhwa(&error, name, "open"))?;
        let listed = camera
            .compatible_camera_formats()
            .map_err(|error| of_nokhwa(&error, name, "read the formats of"))?;
        let mut offers: Vec<_> = listed.iter().filter_map(offer_of).collect();
        let mut refusal = None;
        for _ in 0..ATTEMPTS_MAX {
            let Some(offer) = nearest(&offers, wish.size, wish.rate) else { break };
            let Some(format) = camera_format(&offer) else { break };
            // It must be one of the list: nokhwa does not check that, and sets what it is given.
            let exact = RequestedFormatType::Exact(format);
            match camera.set_camera_requset(RequestedFormat::with_formats(exact, &FORMATS)) {
                Ok(_) => return Ok((camera, offer)),
                Err(error) => refusal = Some(of_nokhwa(&error, name, "configure")),
            }
            offers.retain(|other| *other != offer);
        }
        Err(refusal.unwrap_or_else(|| {
            let reason = format!("the camera {name} offers no format that nokhwa reads");
            SourceError::new(SourceFault::Unsupported, reason)
        }))
    })?
}

/// How many offers are tried; each that is refused costs the device a change of format.
const ATTEMPTS_MAX: usize = 4;

const FORMATS: [FrameFormat; 4] =
    [FrameFormat::NV12, FrameFormat::YUYV, FrameFormat::RAWRGB, FrameFormat::MJPEG];

fn offer_of(listed: &CameraFormat) -> Option<Offer> {
    let format = match listed.format() {
        FrameFormat::NV12 => PixelFormat::Nv12,
        FrameFormat::YUYV => PixelFormat::Yuyv,
        FrameFormat::RAWRGB => PixelFormat::Rgb,
        FrameFormat::MJPEG => PixelFormat::Mjpeg,
        // nokhwa names gray by a code that Linux does not have; BGR is no format of frames.
        FrameFormat::GRAY | FrameFormat::RAWBGR => return None,
    };
    let size = FrameSize::new(listed.resolution().width(), listed.resolution().height());
    Some(Offer { format, size, rate: f64::from(listed.frame_rate()) })
}

fn camera_format(offer: &Offer) -> Option<CameraFormat> {
    let format = match offer.format {
        PixelFormat::Nv12 => FrameFormat::NV12,
        PixelFormat::Yuyv => FrameFormat::YUYV,
        PixelFormat::Rgb => FrameFormat::RAWRGB,
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
        _ => return None,
    };
    let size = Resolution::new(offer.size.width, offer.size.height);
    // Offers are made of nokhwa's whole rates.
    Some(CameraFormat::new(size, format, offer.rate as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_go_there_and_back() {
        for format in FORMATS {
            let listed = CameraFormat::new(Resolution::new(640, 480), format, 25);
            let offer = offer_of(&listed).unwrap();
            assert_eq!((offer.size, offer.rate), (FrameSize::new(640, 480), 25.0));
            assert_eq!(camera_format(&offer), Some(listed));
        }
    }

    #[test]
    fn a_missing_camera_is_not_found() {
        let error = configure(4711, &CaptureWish::default(), "4711").err().unwrap();
        assert_eq!(error.fault(), SourceFault::NotFound, "{error}");
    }
}
