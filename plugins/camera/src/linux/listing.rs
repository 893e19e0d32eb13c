use keepsight_contract::{DeviceListing, SourceError, SourceFault};

use crate::{
    faults::{contained, of_io},
    linux::{
        device::CaptureDevice,
        holders::holders_text,
        sysfs::{DeviceRoots, VideoNode, scan},
    },
};

/// The devices that capture, by number, and those of which nobody can say because they can't be
/// opened. Nothing about them is changed.
///
/// # Errors
/// `Failed` where sysfs can't be read.
pub(crate) fn devices() -> Result<Vec<DeviceListing>, SourceError> {
    Ok(nodes()?.iter().filter_map(listing).collect())
}

/// All nodes that may capture.
///
/// # Errors
/// `Failed` where sysfs can't be read.
pub(crate) fn nodes() -> Result<Vec<VideoNode>, SourceError> {
    scan(DeviceRoots::of_system()).map_err(|error| {
        SourceError::new(SourceFault::Failed, format!("cannot list video devices: {error}"))
    })
}

fn listing(node: &VideoNode) -> Option<DeviceListing> {
    let name = node.path.display().to_string();
    let read = || CaptureDevice::open(&node.path).and_then(|device| device.formats());
    let (formats, trouble) = match contained(&name, "list", read) {
        Ok(Ok(formats)) => (formats, None),
        Ok(Err(error)) => match of_io(&error, &name, "open") {
            // No video device, or one that does something other than capture.
            error if error.fault() == SourceFault::Unsupported => return None,
            error => (Vec::new(), Some(error)),
        },
        Err(panic) => (Vec::new(), Some(panic)),
    };
    let trouble = trouble.map(|trouble| match trouble.hint_text() {
        "" => trouble.reason().to_owned(),
        hint => format!("{}; {hint}", trouble.reason()),
    });
    Some(DeviceListing {
        uri: format!("camera:{}", node.stable_id),
        alias: Some(format!("camera:{}", node.number)),
        name: node.name.clone(),
        location: Some(node.place.clone()),
        formats,
        // Asked last, when this process has the node open no longer than it streams from it.
        holder: holders_text(&node.path),
        trouble,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str) -> Option<DeviceListing> {
        let mut node = VideoNode::for_test(&[(3, "usb-A_1")]).remove(0);
        node.path = path.into();
        listing(&node)
    }

    #[test]
    fn a_node_that_captures_nothing_is_left_out() {
        assert_eq!(listed("/dev/null"), None);
    }

    #[test]
    fn a_camera_that_cannot_be_opened_is_listed_with_the_reason() {
        let device = listed("/dev/video-that-is-not-there").unwrap();
        assert_eq!(device.uri, "camera:usb-A_1");
        assert_eq!(device.alias.as_deref(), Some("camera:3"));
        assert_eq!(device.location.as_deref(), Some("port-3"));
        let trouble = device.trouble.unwrap();
        assert!(trouble.contains("No such file") && trouble.contains("plugged in"), "{trouble}");
    }
}
