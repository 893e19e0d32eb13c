use std::{fmt, path::PathBuf};

use keepsight_contract::{SourceError, SourceFault, SourceUri};

/// What a `camera:` URI asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) camera: CameraName,
    pub(crate) backend: Backend,
}

/// Which camera.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CameraName {
    /// By the system's number, which may be another camera's tomorrow.
    Number(u32),
    /// By a node's path.
    Node(PathBuf),
    /// By a name that lasts.
    Id(String),
}

/// Who takes the frames from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// This crate's loop where there is one, else nokhwa.
    Native,
    /// nokhwa's stream.
    Nokhwa,
}

impl Address {
    /// Reads a URI's path and parameters.
    ///
    /// # Errors
    /// `Invalid` for an empty path, an unknown parameter or an unknown backend.
    pub(crate) fn parse(uri: &SourceUri) -> Result<Self, SourceError> {
        uri.expect_params(&["backend"])?;
        let backends = [("native", Backend::Native), ("nokhwa", Backend::Nokhwa)];
        let backend = uri.choice("backend", &backends)?.unwrap_or(Backend::Native);
        let camera = match uri.path() {
            "" => {
                return Err(SourceError::new(SourceFault::Invalid, "camera: names no camera")
                    .hint("write camera:0, or a name that `keepsight cameras` prints"));
            }
            path if path.starts_with('/') => CameraName::Node(PathBuf::from(path)),
            path => match path.parse() {
                Ok(number) => CameraName::Number(number),
                Err(_) => CameraName::Id(path.to_owned()),
            },
        };
        Ok(Self { camera, backend })
    }
}

impl fmt::Display for CameraName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Node(path) => path.display().fmt(f),
            Self::Id(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, camera: CameraName, backend: Backend) {
        let address = Address::parse(&uri.parse().unwrap()).unwrap();
        assert_eq!(address, Address { camera, backend });
    }

    #[track_caller]
    fn check_refused(uri: &str, reason: &str) {
        let error = Address::parse(&uri.parse().unwrap()).unwrap_err();
        assert_eq!(error.fault(), SourceFault::Invalid);
        assert!(error.reason().contains(reason), "{error}");
    }

    #[test]
    fn a_camera_is_named_by_number_node_or_id() {
        check("camera:0", CameraName::Number(0), Backend::Native);
        check("camera:/dev/video2", CameraName::Node("/dev/video2".into()), Backend::Native);
        let id = "usb-046d_C920_1A2B3C4D";
        check(&format!("camera:{id}"), CameraName::Id(id.into()), Backend::Native);
        let id = "pci-0000:00:14.0-usb-0:3:1.0";
        check(&format!("camera:{id}"), CameraName::Id(id.into()), Backend::Native);
    }

    #[test]
    fn a_backend_may_be_chosen() {
        check("camera:0?backend=nokhwa", CameraName::Number(0), Backend::Nokhwa);
        check("camera:0?backend=native", CameraName::Number(0), Backend::Native);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        check_refused("camera:", "names no camera");
        check_refused("camera:0?backend=opencv", "opencv");
        check_refused("camera:0?backnd=nokhwa", "backnd");
    }
}
