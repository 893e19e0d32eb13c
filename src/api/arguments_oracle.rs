//! Whether whatever comes as a call's body is either arguments or refused; for fuzzing and for
//! tests.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::plugins_api::{arguments, session_and_frame};

/// Reads `bytes` as the body of a tool's call, and the session's name and the picture in it.
///
/// # Panics
/// Where the refusal is not the client's, or the picture is another than it says.
pub fn check_arguments(bytes: &[u8]) {
    let mut args = match arguments(bytes) {
        Ok(args) => args,
        Err(reply) => return assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY),
    };
    // What goes on to the plugin is what came, but for those two.
    let body: Value = serde_json::from_slice(bytes).expect("it was read just now");
    let mut expected = body["args"].clone();
    let others = expected.as_object_mut().expect("arguments are an object");
    let given = (others.remove("session"), others.remove("frame_base64"));
    match session_and_frame(&mut args) {
        Ok((session, frame)) => {
            assert_eq!(
                (session.is_some(), frame.is_some()),
                (given.0.is_some(), given.1.is_some())
            );
            if let Some(frame) = frame {
                let (size, format) = (frame.size(), frame.format());
                assert!(size.pixel_count() > 0, "{size} of {format:?}");
                frame.luma().expect("it is a picture");
            }
        }
        Err(error) => return assert_eq!(error.reply().status, StatusCode::BAD_REQUEST, "{error}"),
    }
    assert_eq!(json!(args), expected);
}

#[cfg(test)]
mod tests {
    use keepsight_contract::testing::try_variations;

    use super::*;

    #[test]
    fn any_body_is_arguments_or_refused() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/arguments");
        try_variations(seeds, 3_000, check_arguments);
    }
}
