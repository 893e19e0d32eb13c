use std::{
    io, mem,
    sync::Arc,
    time::{Duration, Instant},
};

use keepsight_contract::{
    CallContext, Counter, Frame, Host, PixelBuffer, SourceError, SourceFault, SourceInfo,
};
use v4l::device::Handle;

use crate::{
    faults::{contained, of_io},
    frame_maker::FrameMaker,
    linux::{
        device::{CaptureDevice, Setting},
        pool::FramePool,
        sequence::{SequenceCounter, captured_at},
        syscalls::{BufferRing, monotonic_clock},
    },
    nokhwa_stream::stalled,
    source::CameraStream,
};

/// A camera whose frames this crate takes from the kernel itself.
///
/// Counters: `frames_missed` (the driver gave them up before they were taken), `frames_damaged`
/// (flagged so by the driver, or too short), `captures_leaked` (the system refused to take the
/// camera back).
pub(crate) struct NativeCapture {
    // `None` once it was given back.
    device: Option<(Arc<Handle>, BufferRing)>,
    info: SourceInfo,
    frames: FrameMaker,
    pool: FramePool,
    sequence: SequenceCounter,
    last_frame: Instant,
    frame_wait_max: Duration,
    buffers_lost: usize,
    counters: Counters,
}

struct Counters {
    missed: Counter,
    damaged: Counter,
    leaked: Counter,
}

/// How many buffers the driver is asked for: one being filled, one filled, and two so that a
/// consumer that is late by two frames loses none.
const BUFFER_COUNT: u32 = 4;
/// How long one call waits for a frame.
const POLL: Duration = Duration::from_millis(200);
/// No frame for so long, or for the time of ten frames where that is longer, is a stall.
const FRAME_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often in one call a driver may say that there is a frame, and then have none.
const FALSE_ALARMS_MAX: usize = 20;

impl NativeCapture {
    /// Takes buffers of a configured device and starts it.
    ///
    /// # Errors
    /// The system's; the device is closed then.
    pub(crate) fn start(
        device: CaptureDevice,
        setting: Setting,
        info: SourceInfo,
        host: &Host,
    ) -> io::Result<Self> {
        let handle = device.handle();
        drop(device);
        let ring = BufferRing::allocate(handle.clone(), BUFFER_COUNT)?;
        let capture = Self {
            device: Some((handle, ring)),
            frames: FrameMaker::new(info.format, info.size, setting.stride as usize),
            pool: FramePool::default(),
            sequence: SequenceCounter::default(),
            last_frame: Instant::now(),
            frame_wait_max: frame_wait_max(setting.offer.rate),
            buffers_lost: 0,
            counters: Counters {
                missed: host.counter("frames_missed"),
                damaged: host.counter("frames_damaged"),
                leaked: host.counter("captures_leaked"),
            },
            info,
        };
        // From here on dropping it gives the buffers back.
        let (_, ring) = capture.device.as_ref().expect("the device was just put there");
        ring.start()?;
        Ok(capture)
    }

    /// One frame of those that the driver has ready; `None` for a damaged one.
    ///
    /// # Errors
    /// The system's; EAGAIN where there is none. One without a number where the device's setting
    /// makes no frames at all.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some((_, ring)) = &mut self.device else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut buffer = self.pool.take();
        let meta = ring.take(buffer.bytes_mut())?;
        let now = Instant::now();
        if meta.buffer_lost {
            self.buffers_lost += 1;
        }
        let (sequence, missed) = self.sequence.extend(meta.sequence);
        self.counters.missed.add(missed);
        let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(buffer);
        let captured = captured_at(meta.stamp, monotonic_clock(), now);
        let frame = match self.frames.make(PixelBuffer::from(bytes), sequence, captured) {
            Ok(_) if meta.damaged => None,
            Ok(frame) => frame,
            Err(error) => return Err(io::Error::other(error)),
        };
        match &frame {
            Some(_) => self.last_frame = now,
            None => self.counters.damaged.increment(),
        }
        Ok(frame)
    }

    /// Waits for a frame until `until`.
    ///
    /// # Errors
    /// The system's.
    fn wait(&mut self, until: Instant) -> io::Result<Option<Frame>> {
        let mut false_alarms = 0;
        loop {
            let Some((handle, _)) = &self.device else { return Ok(None) };
            let wait = until.saturating_duration_since(Instant::now());
            match handle.poll(libc::POLLIN, wait.as_millis() as i32) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(None),
                Err(error) => return Err(error),
            }
            match self.take() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) if Instant::now() >= until => return Ok(None),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    false_alarms += 1;
                    if false_alarms > FALSE_ALARMS_MAX {
                        return Err(io::Error::from_raw_os_error(libc::EIO));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops the stream and gives buffers and device back, once; never panics.
    ///
    /// # Errors
    /// `Failed` where the system refuses: then the device stays open and its memory mapped until
    /// the process ends, since dropping them might panic.
    fn release(&mut self) -> Result<(), SourceError> {
        let Some((handle, ring)) = self.device.take() else { return Ok(()) };
        let name = &self.info.device;
        // A device that is gone has nothing to stop.
        let unless_gone = |result: io::Result<()>| match result {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result,
        };
        let released = match unless_gone(ring.stop()) {
            Ok(()) => unless_gone(ring.release()),
            Err(error) => {
                mem::forget(ring);
                Err(error)
            }
        };
        match released {
            Ok(()) => contained(name, "close", || drop(handle)),
            Err(error) => {
                mem::forget(handle);
                self.counters.leaked.increment();
                Err(of_io(&error, name, "stop"))
            }
        }
    }
}

impl CameraStream for NativeCapture {
    fn info(&self) -> SourceInfo {
        self.info.clone()
    }

    fn next(&mut self, call: &CallContext) -> Result<Option<Frame>, SourceError> {
        let until = Instant::now() + POLL.min(call.remaining());
        let frame = self
            .wait(until)
            .map_err(|error| of_io(&error, &self.info.device, "take a frame from"))?;
        if frame.is_none() && self.last_frame.elapsed() > self.frame_wait_max {
            return Err(stalled(&self.info.device, self.frame_wait_max));
        }
        if let Some((_, ring)) = &self.device
            && self.buffers_lost + 1 >= ring.buffer_count()
        {
            let reason = format!("the camera {} takes no buffers back", self.info.device);
            return Err(SourceError::new(SourceFault::Failed, reason));
        }
        Ok(frame)
    }

    fn close(mut self: Box<Self>) -> Result<(), SourceError> {
        self.release()
    }
}

impl Drop for NativeCapture {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(%error, "a camera can't be given back; it is leaked");
        }
    }
}

fn frame_wait_max(rate: f64) -> Duration {
    Duration::try_from_secs_f64(10.0 / rate).map_or(FRAME_WAIT_MAX, |ten| ten.max(FRAME_WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_camera_may_take_its_time() {
        assert_eq!(frame_wait_max(25.0), Duration::from_secs(5));
        assert_eq!(frame_wait_max(0.5), Duration::from_secs(20));
        assert_eq!(frame_wait_max(0.0), Duration::from_secs(5));
    }
}
