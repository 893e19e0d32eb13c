#[cfg(feature = "gpu")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepsight_contract::Host;

#[cfg(feature = "gpu")]
use super::seat::{Lease, Seat};
use super::session::DetectPath;
use crate::preprocess::{ModelInput, PreprocessError};

/// The path that all sessions of an instance take.
#[derive(Debug)]
pub struct SharedPath {
    input: ModelInput,
    /// None where it is the CPU's.
    #[cfg(feature = "gpu")]
    seat: Option<Arc<Seat>>,
}

/// A session's path, and its way back to it after a fault.
#[derive(Debug)]
pub struct SessionPath {
    path: DetectPath,
    input: ModelInput,
    /// Before then the GPU isn't tried again.
    retry_at: Instant,
    /// None where it is the CPU's, and stays so.
    #[cfg(feature = "gpu")]
    seat: Option<Arc<Seat>>,
    /// None on the CPU.
    #[cfg(feature = "gpu")]
    lease: Option<Arc<Lease>>,
}

impl SharedPath {
    pub(super) fn cpu(input: &ModelInput) -> Self {
        Self {
            input: *input,
            #[cfg(feature = "gpu")]
            seat: None,
        }
    }

    #[cfg(feature = "gpu")]
    pub(super) fn gpu(input: &ModelInput, seat: Seat) -> Self {
        Self { input: *input, seat: Some(Arc::new(seat)) }
    }

    /// Whether any of it is on a GPU.
    pub fn is_gpu(&self) -> bool {
        #[cfg(feature = "gpu")]
        return self.seat.is_some();
        #[cfg(not(feature = "gpu"))]
        false
    }

    /// The device that there is now.
    #[cfg(feature = "gpu")]
    pub fn device(&self) -> Option<keepsight_gpu::Device> {
        self.seat.as_ref()?.device()
    }

    /// Another device is asked for at once.
    #[cfg(all(test, feature = "gpu"))]
    pub(crate) fn hurry(&self) {
        self.seat.iter().for_each(|seat| seat.hurry());
    }

    /// A path for one session.
    ///
    /// Where there should be a GPU and is none now it is the CPU's, and the second element says
    /// why.
    pub fn session(&self, host: &Host) -> (SessionPath, Option<String>) {
        let mut session = SessionPath {
            path: DetectPath::cpu(&self.input),
            input: self.input,
            retry_at: Instant::now(),
            #[cfg(feature = "gpu")]
            seat: self.seat.clone(),
            #[cfg(feature = "gpu")]
            lease: None,
        };
        let refusal = session.take(host).err();
        (session, refusal)
    }
}

impl SessionPath {
    /// Whether any of it is on a GPU.
    pub fn is_gpu(&self) -> bool {
        self.path.is_gpu()
    }

    /// Works with the path, on which nobody waits beyond `deadline`: a device that keeps a thread
    /// longer is given up for all sessions.
    pub fn with<T>(&mut self, deadline: Instant, work: impl FnOnce(&mut DetectPath) -> T) -> T {
        let _ = deadline;
        #[cfg(feature = "gpu")]
        if let Some(lease) = &self.lease {
            lease.begin(deadline);
            let outcome = work(&mut self.path);
            lease.end();
            return outcome;
        }
        work(&mut self.path)
    }

    /// From here on the CPU's path, until [`renew`](Self::renew) finds another.
    pub fn fall_back(&mut self, fault: &PreprocessError) {
        self.path = DetectPath::cpu(&self.input);
        self.retry_at = Instant::now() + PAUSE;
        #[cfg(feature = "gpu")]
        match (fault, self.seat.as_ref().zip(self.lease.take())) {
            // Such frames go up on no device.
            (PreprocessError::FrameTooLarge { .. }, _) => self.seat = None,
            // It was late, which another session need not notice.
            (PreprocessError::Gpu(keepsight_gpu::GpuFault::TimedOut), _) => {}
            (_, Some((seat, lease))) => {
                seat.lost(&lease);
                self.retry_at = Instant::now();
            }
            (_, None) => {}
        }
        #[cfg(not(feature = "gpu"))]
        let _ = fault;
    }

    /// Goes back to the GPU if there is one again; whether that was so.
    pub fn renew(&mut self, host: &Host) -> bool {
        #[cfg(feature = "gpu")]
        if let (Some(seat), None) = (&self.seat, &self.lease)
            && Instant::now() >= self.retry_at
            && seat.is_due()
        {
            return self.take(host).is_ok();
        }
        let _ = host;
        false
    }

    fn take(&mut self, host: &Host) -> Result<(), String> {
        #[cfg(feature = "gpu")]
        if let Some(seat) = &self.seat {
            match seat.take(host) {
                Ok((path, lease)) => {
                    self.path = path;
                    self.lease = Some(lease);
                }
                Err(reason) => {
                    self.retry_at = Instant::now() + TAKE_PAUSE;
                    return Err(reason);
                }
            }
        }
        let _ = host;
        Ok(())
    }
}

/// How long a session stays on the CPU after the GPU was late.
const PAUSE: Duration = Duration::from_secs(10);
/// How long until a session asks again for a device that was refused.
#[cfg(feature = "gpu")]
const TAKE_PAUSE: Duration = Duration::from_millis(500);
