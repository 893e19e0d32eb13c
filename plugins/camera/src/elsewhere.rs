//! Cameras on other systems than Linux: through nokhwa alone.

use keepsight_contract::{CaptureWish, DeviceListing, Host, SourceError, SourceFault};
use nokhwa::utils::{ApiBackend, CameraIndex};

use crate::{
    address::{Address, CameraName},
    faults::{contained, of_nokhwa},
    nokhwa_stream::NokhwaStream,
    source::CameraStream,
};

/// Opens, configures and starts a camera, by its number.
///
/// # Errors
/// As [`NokhwaStream::open`]; `Unsupported` for other names than numbers.
pub(crate) fn open(
    address: &Address,
    wish: &CaptureWish,
    host: &Host,
) -> Result<Box<dyn CameraStream>, SourceError> {
    let CameraName::Number(number) = address.camera else {
        let reason = format!("this system names cameras by number, not {}", address.camera);
        return Err(SourceError::new(SourceFault::Unsupported, reason));
    };
    let stream = NokhwaStream::open(number, wish, format!("camera {number}"), None, host)?;
    Ok(Box::new(stream))
}

/// What nokhwa finds, by number.
///
/// # Errors
/// `Failed` where nokhwa can't say.
pub(crate) fn devices() -> Result<Vec<DeviceListing>, SourceError> {
    let mut cameras = contained("any", "list", || nokhwa::query(ApiBackend::Auto))?
        .map_err(|error| of_nokhwa(&error, "any", "list"))?;
    cameras.sort_by_key(|camera| camera.index().as_index().unwrap_or(u32::MAX));
    Ok(cameras
        .into_iter()
        .filter_map(|camera| match camera.index() {
            CameraIndex::Index(number) => Some(DeviceListing {
                uri: format!("camera:{number}"),
                alias: None,
                name: camera.human_name(),
                location: None,
                formats: Vec::new(),
                holder: None,
                trouble: None,
            }),
            CameraIndex::String(_) => None,
        })
        .collect())
}
