use std::{
    any::Any,
    borrow::Cow,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
};

use keepsight_contract::{SourceError, SourceFault};
use nokhwa::NokhwaError;

/// Trouble of the kind that an error number of the system's stands for.
///
/// `camera` names the device and `doing` what was tried ("open", "start"); `holder` says who uses
/// the device, where that is known.
pub(crate) fn of_errno(
    errno: i32,
    camera: &str,
    doing: &str,
    holder: Option<String>,
) -> SourceError {
    let system = io::Error::from_raw_os_error(errno);
    let (fault, hint): (_, Cow<'static, str>) = match errno {
        errno::ENOENT | errno::ENXIO => (SourceFault::NotFound, HINT_NOT_FOUND.into()),
        errno::ENODEV => (SourceFault::Lost, HINT_LOST.into()),
        errno::EACCES | errno::EPERM => (SourceFault::Denied, HINT_DENIED.into()),
        errno::EBUSY => {
            let hint = match holder {
                Some(holder) => format!("{holder} uses it: close that, or use another camera"),
                None => HINT_BUSY.to_owned(),
            };
            (SourceFault::Busy, hint.into())
        }
        errno::ENOTTY => (SourceFault::Unsupported, HINT_NO_CAMERA.into()),
        errno::ENOSPC => (SourceFault::Failed, HINT_BANDWIDTH.into()),
        errno::EIO | errno::EPIPE | errno::EPROTO | errno::ETIMEDOUT => {
            (SourceFault::Failed, HINT_UNPLUG.into())
        }
        _ => (SourceFault::Failed, "".into()),
    };
    SourceError::new(fault, format!("cannot {doing} the camera {camera}: {system}")).hint(hint)
}

/// Trouble of the kind that an error of the system's stands for; one of the kind `Unsupported` is
/// a node that does not capture.
#[cfg(target_os = "linux")]
pub(crate) fn of_io(error: &io::Error, camera: &str, doing: &str) -> SourceError {
    match (error.raw_os_error(), error.kind()) {
        (Some(errno), _) => of_errno(errno, camera, doing, None),
        (None, io::ErrorKind::Unsupported) => of_errno(errno::ENOTTY, camera, doing, None),
        (None, _) => {
            let reason = format!("cannot {doing} the camera {camera}: {error}");
            SourceError::new(SourceFault::Failed, reason)
        }
    }
}

/// Trouble of the kind that a nokhwa error stands for. Its errors are text; the system's error
/// number, where there was one, is at the end of it.
pub(crate) fn of_nokhwa(error: &NokhwaError, camera: &str, doing: &str) -> SourceError {
    let text = error.to_string();
    match errno_in(&text) {
        Some(errno) => of_errno(errno, camera, doing, None),
        None => {
            let reason = format!("nokhwa cannot {doing} the camera {camera}: {text}");
            SourceError::new(SourceFault::Failed, reason)
        }
    }
}

/// Runs code that may panic (nokhwa's and `v4l`'s), and makes an error of it.
///
/// A panic while another unwinds still ends the process.
///
/// # Errors
/// `Failed`, with what the panic said.
pub(crate) fn contained<T>(
    camera: &str,
    doing: &str,
    work: impl FnOnce() -> T,
) -> Result<T, SourceError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let reason = format!("a panic to {doing} the camera {camera}: {}", message(payload));
        SourceError::new(SourceFault::Failed, reason)
    })
}

fn message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(payload) => {
                // Nothing is known of it, not even that it can be dropped without a panic.
                std::mem::forget(payload);
                "no message".to_owned()
            }
        },
    }
}

/// The number N of the last `(os error N)` in a text.
fn errno_in(text: &str) -> Option<i32> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    rest.split_once(')')?.0.parse().ok()
}

const HINT_NOT_FOUND: &str = "`keepsight cameras` lists what is plugged in";
const HINT_LOST: &str =
    "check its cable and power; the stream goes on when the camera is plugged in again";
const HINT_DENIED: &str = "add the user to the group video (sudo usermod -aG video USER, then log in \
                           again); in a container, pass the device to it";
const HINT_BUSY: &str = "close the program that uses it (sudo fuser -v /dev/video* names it), or use \
                         another camera";
const HINT_NO_CAMERA: &str =
    "this node captures no pictures; `keepsight cameras` lists those that do";
const HINT_BANDWIDTH: &str = "the USB bus has no bandwidth left: wish a smaller size or rate, or use \
                              another port, not behind the same hub";
const HINT_UNPLUG: &str = "the camera does not answer as it should: try another cable or port, and a \
                           hub with its own power";

/// Linux's error numbers, which are also those of the other systems where they have a meaning.
mod errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOENT: i32 = 2;
    pub(super) const EIO: i32 = 5;
    pub(super) const ENXIO: i32 = 6;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EBUSY: i32 = 16;
    pub(super) const ENODEV: i32 = 19;
    pub(super) const ENOTTY: i32 = 25;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const EPIPE: i32 = 32;
    pub(super) const EPROTO: i32 = 71;
    pub(super) const ETIMEDOUT: i32 = 110;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(errno: i32, fault: SourceFault, hint: &str) {
        let error = of_errno(errno, "/dev/video0", "open", None);
        assert_eq!(error.fault(), fault, "{error}");
        assert!(error.hint_text().contains(hint), "{:?}", error.hint_text());
        assert!(error.reason().starts_with("cannot open the camera /dev/video0: "), "{error}");
    }

    #[test]
    fn every_error_number_that_cameras_give_has_a_fault_and_a_hint() {
        check(errno::ENOENT, SourceFault::NotFound, "keepsight cameras");
        check(errno::ENXIO, SourceFault::NotFound, "keepsight cameras");
        check(errno::ENODEV, SourceFault::Lost, "plugged in again");
        check(errno::EACCES, SourceFault::Denied, "group video");
        check(errno::EPERM, SourceFault::Denied, "group video");
        check(errno::EBUSY, SourceFault::Busy, "another camera");
        check(errno::ENOTTY, SourceFault::Unsupported, "no pictures");
        check(errno::ENOSPC, SourceFault::Failed, "bandwidth");
        check(errno::EIO, SourceFault::Failed, "cable");
        check(errno::EPIPE, SourceFault::Failed, "cable");
        check(errno::EPROTO, SourceFault::Failed, "cable");
        check(errno::ETIMEDOUT, SourceFault::Failed, "cable");
        check(22, SourceFault::Failed, "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_numbers_are_the_systems() {
        assert_eq!(
            [errno::EPERM, errno::ENOENT, errno::EIO, errno::ENXIO, errno::EACCES, errno::EBUSY],
            [libc::EPERM, libc::ENOENT, libc::EIO, libc::ENXIO, libc::EACCES, libc::EBUSY]
        );
        assert_eq!(
            [errno::ENODEV, errno::ENOTTY, errno::ENOSPC, errno::EPIPE],
            [libc::ENODEV, libc::ENOTTY, libc::ENOSPC, libc::EPIPE]
        );
        assert_eq!([errno::EPROTO, errno::ETIMEDOUT], [libc::EPROTO, libc::ETIMEDOUT]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn errors_of_the_system_keep_their_kind() {
        let fault = |error: io::Error| of_io(&error, "/dev/video0", "open").fault();
        assert_eq!(fault(io::Error::from_raw_os_error(errno::EACCES)), SourceFault::Denied);
        assert_eq!(fault(io::ErrorKind::Unsupported.into()), SourceFault::Unsupported);
        assert_eq!(fault(io::Error::other("of no number")), SourceFault::Failed);
    }

    #[test]
    fn a_busy_camera_names_who_has_it() {
        let holder = Some("cheese (process 7)".to_owned());
        let error = of_errno(errno::EBUSY, "/dev/video0", "open", holder);
        assert!(error.hint_text().starts_with("cheese (process 7) uses it"));
    }

    #[test]
    fn the_error_number_is_read_from_nokhwas_text() {
        let text = "V4L2 Error: Permission denied (os error 13)";
        let denied = NokhwaError::OpenDeviceError("0".to_owned(), text.to_owned());
        assert_eq!(of_nokhwa(&denied, "0", "open").fault(), SourceFault::Denied);
        let busy = NokhwaError::OpenStreamError("Device or resource busy (os error 16)".to_owned());
        assert_eq!(of_nokhwa(&busy, "0", "open").fault(), SourceFault::Busy);
    }

    #[test]
    fn an_error_of_nokhwas_own_is_told_as_it_is() {
        let own = NokhwaError::GeneralError("Failed to Fufill (os error x)".to_owned());
        let error = of_nokhwa(&own, "0", "configure");
        assert_eq!(error.fault(), SourceFault::Failed);
        assert!(error.reason().contains("Failed to Fufill"), "{error}");
    }

    #[test]
    fn panics_become_errors() {
        assert_eq!(contained("0", "open", || 7).unwrap(), 7);
        let said = |work: fn()| contained("0", "open", work).unwrap_err().reason().to_owned();
        assert!(said(|| panic!("as text")).ends_with("as text"));
        assert!(said(|| panic!("formatted {}", 1)).ends_with("formatted 1"));
        assert!(said(|| std::panic::panic_any(1)).ends_with("no message"));
    }
}
