use std::{io, path::Path};

use keepsight_contract::{CaptureWish, Host, SourceError, SourceFault, SourceInfo};

use crate::{
    address::{Address, Backend, CameraName},
    faults::{contained, of_errno, of_io},
    linux::{
        capture::NativeCapture,
        device::{CaptureDevice, Setting},
        holders::holders_text,
        listing::nodes,
        sysfs::{VideoNode, node_number},
    },
    negotiate::nearest,
    nokhwa_camera::configure,
    nokhwa_stream::NokhwaStream,
    source::CameraStream,
};

/// Opens, configures and starts a camera.
///
/// # Errors
/// `NotFound`, `Busy` (naming the holder where that can be seen), `Denied`, `Lost`; `Invalid` for
/// a name that two cameras share; `Unsupported` for what captures nothing that frames can be;
/// `Failed`.
pub(crate) fn open(
    address: &Address,
    wish: &CaptureWish,
    host: &Host,
) -> Result<Box<dyn CameraStream>, SourceError> {
    let node = find(&nodes()?, &address.camera)?;
    let opened = match address.backend {
        Backend::Native => open_native(&node, wish, host),
        Backend::Nokhwa => open_nokhwa(&node, wish, host),
    };
    // Only now, when nothing of the failed attempt is open any more, is it seen who else is there.
    opened.map_err(|error| match (error.fault(), holders_text(&node.path)) {
        (SourceFault::Busy, holder @ Some(_)) => {
            of_errno(libc::EBUSY, &camera_name(&node), "use", holder)
        }
        _ => error,
    })
}

/// nokhwa configures, the kernel's interface is asked what came of it, and our loop captures.
fn open_native(
    node: &VideoNode,
    wish: &CaptureWish,
    host: &Host,
) -> Result<Box<dyn CameraStream>, SourceError> {
    let name = camera_name(node);
    match configure(node.number, wish, &name) {
        // Some drivers answer EBUSY to a second handle, so the first goes before that is opened.
        Ok((camera, _)) => contained(&name, "close", || drop(camera))?,
        Err(error) if is_obscure(&error) => {
            tracing::debug!(camera = name, %error, "nokhwa can't configure the camera");
        }
        Err(error) => return Err(error),
    }
    let capture = contained(&name, "open", || {
        let device = CaptureDevice::open(&node.path)?;
        let Some(setting) = settle(&device, wish)? else { return Ok(None) };
        NativeCapture::start(device, setting, info(node, &setting), host).map(Some)
    })?;
    match capture {
        Ok(Some(capture)) => Ok(Box::new(capture)),
        Ok(None) => {
            let reason = format!("the camera {name} offers no format that can be read");
            Err(SourceError::new(SourceFault::Unsupported, reason).hint(HINT_FORMATS))
        }
        Err(error) => Err(of_io(&error, &name, "open")),
    }
}

const HINT_FORMATS: &str = "`keepsight cameras` lists what it offers; YUYV, NV12, MJPEG, RGB3 and \
                            GREY can be read";

/// nokhwa configures and captures.
fn open_nokhwa(
    node: &VideoNode,
    wish: &CaptureWish,
    host: &Host,
) -> Result<Box<dyn CameraStream>, SourceError> {
    let open = || {
        let (name, stable_id) = (camera_name(node), Some(node.stable_id.clone()));
        NokhwaStream::open(node.number, wish, name, stable_id, host)
    };
    let stream = open().or_else(|error| {
        if !is_obscure(&error) {
            return Err(error);
        }
        // Somebody may have left the device in a format or rate that nokhwa does not know.
        let name = camera_name(node);
        let whole = CaptureWish { rate: wish.rate.map(f64::round), ..wish.clone() };
        contained(&name, "configure", || settle(&CaptureDevice::open(&node.path)?, &whole))?
            .map_err(|error| of_io(&error, &name, "configure"))?;
        open()
    })?;
    Ok(Box::new(stream))
}

/// Whether trying differently could help: whether it is none of the plain troubles of a device.
fn is_obscure(error: &SourceError) -> bool {
    matches!(error.fault(), SourceFault::Failed | SourceFault::Unsupported)
}

/// Checks that the device is set to the nearest of its offers, and sets it where it is not:
/// nokhwa knows neither every format nor every rate. `None` where no offer can be used.
fn settle(device: &CaptureDevice, wish: &CaptureWish) -> io::Result<Option<Setting>> {
    let offers = device.offers(wish.size, wish.rate)?;
    let Some(offer) = nearest(&offers, wish.size, wish.rate) else { return Ok(None) };
    match device.setting()? {
        Some(setting) if setting.is(&offer) => Ok(Some(setting)),
        _ => {
            device.set(&offer)?;
            device.setting()
        }
    }
}

/// The node that an address names.
///
/// # Errors
/// `NotFound`; `Invalid` where several have the name.
fn find(nodes: &[VideoNode], camera: &CameraName) -> Result<VideoNode, SourceError> {
    let called: Vec<_> = nodes
        .iter()
        .filter(|node| match camera {
            CameraName::Number(number) => node.number == *number,
            CameraName::Node(path) => is_node(node, path),
            CameraName::Id(id) => node.is_called(id),
        })
        .collect();
    match called[..] {
        [node] => Ok(node.clone()),
        [] => {
            let there: Vec<_> = nodes.iter().map(|node| node.stable_id.as_str()).collect();
            let hint = if there.is_empty() {
                "no camera is plugged in; plug one in, and it is found by itself".to_owned()
            } else {
                format!("there are {}; `keepsight cameras` tells more", there.join(", "))
            };
            let reason = format!("there is no camera {camera}");
            Err(SourceError::new(SourceFault::NotFound, reason).hint(hint))
        }
        [..] => {
            let ids: Vec<_> = called.iter().map(|node| node.stable_id.as_str()).collect();
            let reason = format!("several cameras are called {camera}");
            Err(SourceError::new(SourceFault::Invalid, reason)
                .hint(format!("use one of {}", ids.join(", "))))
        }
    }
}

/// Whether a path is a node's, or a link to it.
fn is_node(node: &VideoNode, path: &Path) -> bool {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    real == node.path
        || path.file_name().and_then(|name| node_number(name.to_str()?)) == Some(node.number)
            && path.parent() == node.path.parent()
}

fn info(node: &VideoNode, setting: &Setting) -> SourceInfo {
    SourceInfo {
        device: camera_name(node),
        stable_id: Some(node.stable_id.clone()),
        format: setting.offer.format,
        size: setting.offer.size,
        rate: Some(setting.offer.rate),
        live: true,
    }
}

fn camera_name(node: &VideoNode) -> String {
    format!("{} ({})", node.name, node.path.display())
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::RecordingHost;

    use super::*;

    #[track_caller]
    fn check(camera: CameraName, number: u32) {
        let nodes = VideoNode::for_test(&[(0, "usb-A_1"), (7, "usb-B_2")]);
        assert_eq!(find(&nodes, &camera).unwrap().number, number);
    }

    #[test]
    fn a_camera_is_found_by_each_of_its_names() {
        check(CameraName::Number(7), 7);
        check(CameraName::Node("/dev/video7".into()), 7);
        check(CameraName::Id("usb-B_2".into()), 7);
        check(CameraName::Id("port-0".into()), 0);
        check(CameraName::Id("usb-A_1+port-0".into()), 0);
    }

    #[test]
    fn a_missing_camera_is_not_found_and_the_others_are_named() {
        let nodes = VideoNode::for_test(&[(0, "usb-A_1")]);
        for camera in [
            CameraName::Number(7),
            CameraName::Node("/dev/video7".into()),
            CameraName::Node("/tmp/video0".into()),
            CameraName::Id("usb-B_2".into()),
        ] {
            let error = find(&nodes, &camera).unwrap_err();
            assert_eq!(error.fault(), SourceFault::NotFound);
            assert!(error.hint_text().contains("usb-A_1"), "{:?}", error.hint_text());
        }
        let error = find(&[], &CameraName::Number(0)).unwrap_err();
        assert_eq!(error.reason(), "there is no camera 0");
        let hint = "no camera is plugged in; plug one in, and it is found by itself";
        assert_eq!(error.hint_text(), hint);
    }

    #[test]
    fn a_name_that_two_cameras_share_is_refused() {
        let nodes = VideoNode::for_test(&[(0, "usb-A_1"), (1, "usb-A_1")]);
        let error = find(&nodes, &CameraName::Id("usb-A_1".into())).unwrap_err();
        assert_eq!(error.fault(), SourceFault::Invalid);
        assert_eq!(error.hint_text(), "use one of usb-A_1+port-0, usb-A_1+port-1");
        assert_eq!(find(&nodes, &CameraName::Id("usb-A_1+port-1".into())).unwrap().number, 1);
    }

    #[test]
    fn opening_a_camera_that_is_not_there_says_so() {
        let host = RecordingHost::new().host();
        for backend in [Backend::Native, Backend::Nokhwa] {
            let address = Address { camera: CameraName::Number(4711), backend };
            let error = open(&address, &CaptureWish::default(), &host).err().unwrap();
            assert_eq!(error.fault(), SourceFault::NotFound);
        }
    }
}
