//! The newest picture of a stream, encoded once for all who look.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::{StatusCode, body::Bytes};
use keepsight_contract::Response;
use keepsight_jpeg::Picture;
use serde_json::json;

use super::{Backend, LatestResult, status_table::SOON, streams_api};
use crate::{
    health::{Reply, seconds},
    inspector::{StreamReport, StreamState},
};

/// The pictures encoded last, one for each way of looking at a stream. Ways are streams that
/// exist × plugins they feed × two, so there is no need to forget any.
#[derive(Default)]
pub(super) struct Snapshots {
    encoded: Mutex<HashMap<View, Arc<Mutex<Option<Encoded>>>>>,
    encoded_count: AtomicU64,
}

/// A way of looking at a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct View {
    pub(super) stream: String,
    pub(super) plugin: String,
    /// With what the plugin found drawn on it.
    pub(super) overlay: bool,
}

/// A picture and the frame it was made of.
struct Encoded {
    sequence: u64,
    captured: Instant,
    jpeg: Bytes,
}

impl Snapshots {
    /// The newest picture of `stream`. Decodes, draws and encodes: for a thread that may wait.
    pub(super) fn reply(
        &self,
        backend: &dyn Backend,
        stream: &str,
        plugin: Option<&str>,
        overlay: bool,
    ) -> Reply {
        let (view, latest) = match self.view(backend, stream, plugin, overlay) {
            Ok(found) => found,
            Err(reply) => return reply,
        };
        match self.jpeg(view, &latest) {
            Ok(jpeg) => Reply::new(StatusCode::OK, "image/jpeg", jpeg),
            Err(reason) => {
                let detail = format!("the newest frame gives no picture: {reason}");
                Reply::detail(StatusCode::INTERNAL_SERVER_ERROR, detail)
            }
        }
    }

    /// The way of looking that is asked for, and the newest result there; or why there is no live
    /// picture.
    pub(super) fn view(
        &self,
        backend: &dyn Backend,
        stream: &str,
        plugin: Option<&str>,
        overlay: bool,
    ) -> Result<(View, LatestResult), Reply> {
        let (report, latest) = streams_api::latest(backend, stream, plugin)?;
        match not_live(&report, &latest) {
            Some(reply) => Err(reply),
            None => {
                let (stream, plugin) = (report.name, latest.plugin.clone());
                Ok((View { stream, plugin, overlay }, latest))
            }
        }
    }

    /// How many pictures were encoded so far.
    pub(super) fn encoded_count(&self) -> u64 {
        self.encoded_count.load(Ordering::Relaxed)
    }

    /// The picture of that result. Decodes, draws and encodes: for a thread that may wait.
    pub(super) fn jpeg(&self, view: View, latest: &LatestResult) -> Result<Bytes, String> {
        let slot = {
            let mut all = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(view.clone()).or_default().clone()
        };
        // Whoever looks in the same way waits here and finds the picture done.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let (sequence, captured) = (latest.frame.sequence(), latest.frame.captured());
        if let Some(encoded) = &*slot
            && (encoded.sequence, encoded.captured) == (sequence, captured)
        {
            return Ok(encoded.jpeg.clone());
        }
        let drawn = view.overlay.then_some(&*latest.response);
        let jpeg = Bytes::from(encode(latest, drawn)?);
        self.encoded_count.fetch_add(1, Ordering::Relaxed);
        *slot = Some(Encoded { sequence, captured, jpeg: jpeg.clone() });
        Ok(jpeg)
    }
}

fn encode(latest: &LatestResult, drawn: Option<&Response>) -> Result<Vec<u8>, String> {
    let jpeg = match drawn {
        None => keepsight_jpeg::encode_frame(&latest.frame, QUALITY),
        Some(response) => {
            let mut picture =
                Picture::from_frame(&latest.frame).map_err(|error| error.to_string())?;
            keepsight_jpeg::overlay::draw_response(&mut picture, response);
            keepsight_jpeg::encode(&picture, QUALITY)
        }
    };
    jpeg.map_err(|error| error.to_string())
}

/// What is said instead of showing a picture that no longer is how things are.
fn not_live(stream: &StreamReport, latest: &LatestResult) -> Option<Reply> {
    let age = latest.frame.captured().elapsed();
    let name = &stream.name;
    let detail = if stream.state != StreamState::Live {
        let reason = stream.reason.as_ref().map(|reason| format!(": {reason}"));
        let state = stream.state.as_str();
        format!("Stream '{name}' is {state}{}", reason.unwrap_or_default())
    } else if age > AGE_MAX {
        format!("Plugin '{}' has not answered to a frame of late", latest.plugin)
    } else {
        return None;
    };
    let body =
        json!({ "detail": detail, "state": stream.state.as_str(), "age_seconds": seconds(age) });
    Some(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body).retry_after(Some(SOON)))
}

/// Small enough to be sent often; boxes and labels stay sharp.
const QUALITY: u8 = 80;

/// A picture older than this is not shown as the newest; as long as a frame's default deadline.
const AGE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use keepsight_contract::{Frame, FrameSize, PixelBuffer, PixelFormat};

    use super::*;

    fn latest(sequence: u64, captured: Instant) -> LatestResult {
        let size = FrameSize::new(16, 16);
        let frame = Frame::builder(PixelFormat::Gray, size, PixelBuffer::from(vec![90; 256]))
            .sequence(sequence)
            .captured(captured);
        LatestResult {
            plugin: "tracker".to_owned(),
            frame: frame.build().unwrap(),
            response: Arc::new(Response::new()),
            latency: Duration::ZERO,
        }
    }

    fn view(overlay: bool) -> View {
        View { stream: "door".to_owned(), plugin: "tracker".to_owned(), overlay }
    }

    #[test]
    fn a_frame_is_encoded_once_for_each_way_of_looking() {
        let snapshots = Snapshots::default();
        let now = Instant::now();
        let jpeg = |overlay, latest: &LatestResult| snapshots.jpeg(view(overlay), latest).unwrap();
        let first = jpeg(true, &latest(1, now));
        // The same bytes in the same place, not merely equal ones.
        assert_eq!(jpeg(true, &latest(1, now)).as_ptr(), first.as_ptr());
        assert_ne!(jpeg(false, &latest(1, now)).as_ptr(), first.as_ptr());
        let second = jpeg(true, &latest(2, now));
        assert_ne!(second.as_ptr(), first.as_ptr());
        // After a reconnect numbers begin again; the time tells frames apart.
        let later = jpeg(true, &latest(2, now + Duration::from_millis(1)));
        assert_ne!(later.as_ptr(), second.as_ptr());
    }

    #[test]
    fn a_frame_that_cannot_be_decoded_says_why() {
        let frame = Frame::builder(
            PixelFormat::Mjpeg,
            FrameSize::new(16, 16),
            PixelBuffer::from(vec![1, 2, 3]),
        );
        let damaged = LatestResult { frame: frame.build().unwrap(), ..latest(1, Instant::now()) };
        for overlay in [true, false] {
            let error = Snapshots::default().jpeg(view(overlay), &damaged).unwrap_err();
            assert!(!error.is_empty());
        }
    }
}
