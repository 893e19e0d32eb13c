use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use keepsight_contract::{
    CallContext, CaptureWish, Frame, Host, PixelBuffer, SourceError, SourceFault, SourceInfo,
    StopToken,
};
use nokhwa::Camera;

use crate::{
    faults::{contained, of_nokhwa},
    frame_maker::FrameMaker,
    negotiate::Offer,
    nokhwa_camera::configure,
    source::CameraStream,
};

/// A camera whose frames come through nokhwa.
///
/// nokhwa waits for a frame for as long as none comes, so it does that on a thread of its own;
/// a thread that never comes back from there is left behind, and counted as
/// `captures_leaked`. Frames carry no number of the driver's: gaps are only those that this
/// process made.
pub(crate) struct NokhwaStream {
    info: SourceInfo,
    messages: Receiver<Message>,
    stopped: Arc<AtomicBool>,
    last_frame: Instant,
    host: Host,
}

enum Message {
    Opened(Offer),
    Frame(Frame),
    Failed(SourceError),
    /// The camera was given back.
    Closed,
}

/// How long a device may take to be opened, and how long no frame may come.
const OPEN_WAIT_MAX: Duration = Duration::from_secs(10);
const FRAME_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long closing waits for the thread.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);
/// How long one call waits for a frame.
const POLL: Duration = Duration::from_millis(200);

impl NokhwaStream {
    /// Opens camera `number`, which people know as `name`.
    ///
    /// # Errors
    /// As [`configure`]; `Stalled` where the device does not answer.
    pub(crate) fn open(
        number: u32,
        wish: &CaptureWish,
        name: String,
        stable_id: Option<String>,
        host: &Host,
    ) -> Result<Self, SourceError> {
        // Two: a frame waits while the one before it is taken.
        let (sender, messages) = sync_channel(2);
        let stopped = Arc::new(AtomicBool::new(false));
        let task = {
            let (wish, name, stopped) = (wish.clone(), name.clone(), stopped.clone());
            move |token: StopToken| {
                let is_over = || stopped.load(Relaxed) || token.is_stopped();
                let result = contained(&name, "take frames from", || {
                    run(number, &wish, &name, &sender, &is_over)
                });
                // Where nobody listens any more, nobody asks how it ended.
                let _ = match result.and_then(|result| result) {
                    Ok(()) => sender.send(Message::Closed),
                    Err(error) => sender.send(Message::Failed(error)),
                };
            }
        };
        host.spawn("camera-nokhwa", task)
            .map_err(|error| SourceError::new(SourceFault::Failed, error.to_string()))?;
        match messages.recv_timeout(OPEN_WAIT_MAX) {
            Ok(Message::Opened(offer)) => {
                let Offer { format, size, rate } = offer;
                let (device, rate) = (name, Some(rate));
                let info = SourceInfo { device, stable_id, format, size, rate, live: true };
                let (last_frame, host) = (Instant::now(), host.clone());
                Ok(Self { info, messages, stopped, last_frame, host })
            }
            Ok(Message::Failed(error)) => Err(error),
            Ok(Message::Frame(_) | Message::Closed) | Err(RecvTimeoutError::Disconnected) => Err(
                SourceError::new(SourceFault::Failed, format!("the camera {name} did not open")),
            ),
            Err(RecvTimeoutError::Timeout) => {
                stopped.store(true, Relaxed);
                host.counter("captures_leaked").increment();
                let reason = format!("the camera {name} did not open within {OPEN_WAIT_MAX:?}");
                Err(SourceError::new(SourceFault::Stalled, reason).hint("plug it in anew"))
            }
        }
    }
}

impl CameraStream for NokhwaStream {
    fn info(&self) -> SourceInfo {
        self.info.clone()
    }

    fn next(&mut self, call: &CallContext) -> Result<Option<Frame>, SourceError> {
        match self.messages.recv_timeout(POLL.min(call.remaining())) {
            Ok(Message::Frame(frame)) => {
                self.last_frame = Instant::now();
                Ok(Some(frame))
            }
            Ok(Message::Failed(error)) => Err(error),
            Ok(Message::Opened(_)) => Ok(None),
            Err(RecvTimeoutError::Timeout) if self.last_frame.elapsed() < FRAME_WAIT_MAX => {
                Ok(None)
            }
            Err(RecvTimeoutError::Timeout) => Err(stalled(&self.info.device, FRAME_WAIT_MAX)),
            Ok(Message::Closed) | Err(RecvTimeoutError::Disconnected) => {
                let reason = format!("the capture of the camera {} has ended", self.info.device);
                Err(SourceError::new(SourceFault::Failed, reason))
            }
        }
    }

    fn close(self: Box<Self>) -> Result<(), SourceError> {
        self.stopped.store(true, Relaxed);
        let until = Instant::now() + CLOSE_WAIT_MAX;
        loop {
            match self.messages.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Message::Frame(_) | Message::Opened(_)) => {}
                Ok(Message::Closed) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Message::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {
                    self.host.counter("captures_leaked").increment();
                    let reason = format!("nokhwa still waits for a frame of {}", self.info.device);
                    return Err(SourceError::new(SourceFault::Failed, reason));
                }
            }
        }
    }
}

impl Drop for NokhwaStream {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
    }
}

/// No frame came for `waited`.
pub(crate) fn stalled(name: &str, waited: Duration) -> SourceError {
    let reason = format!("the camera {name} gave no frame for {waited:?}");
    SourceError::new(SourceFault::Stalled, reason)
        .hint("its driver or its cable may hang: plug it in anew")
}

/// The thread: opens, takes frames until it is over, and gives the camera back.
fn run(
    number: u32,
    wish: &CaptureWish,
    name: &str,
    messages: &SyncSender<Message>,
    is_over: &dyn Fn() -> bool,
) -> Result<(), SourceError> {
    let (mut camera, offer) = configure(number, wish, name)?;
    camera.open_stream().map_err(|error| of_nokhwa(&error, name, "start"))?;
    if messages.send(Message::Opened(offer)).is_ok() {
        take_frames(&mut camera, &offer, name, messages, is_over)?;
    }
    camera.stop_stream().map_err(|error| of_nokhwa(&error, name, "stop"))
}

fn take_frames(
    camera: &mut Camera,
    offer: &Offer,
    name: &str,
    messages: &SyncSender<Message>,
    is_over: &dyn Fn() -> bool,
) -> Result<(), SourceError> {
    let frames = FrameMaker::new(offer.format, offer.size, 0);
    let mut sequence = 0;
    while !is_over() {
        // A single failure may be a buffer that the driver did not take; a second one is meant.
        let buffer = camera
            .frame()
            .or_else(|_| camera.frame())
            .map_err(|error| of_nokhwa(&error, name, "take a frame from"))?;
        // nokhwa copied the pixels into this buffer; the frame shares it.
        let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(buffer.buffer_bytes());
        let frame = frames.make(PixelBuffer::from(bytes), sequence, Instant::now());
        sequence += 1;
        match frame {
            // A consumer that is late sees a gap, not an old frame.
            Ok(Some(frame)) => match messages.try_send(Message::Frame(frame)) {
                Ok(()) | Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Disconnected(_)) => break,
            },
            Ok(None) => tracing::trace!(camera = name, "a damaged frame"),
            Err(error) => return Err(SourceError::new(SourceFault::Failed, error.to_string())),
        }
    }
    Ok(())
}
