use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::adapter::AdapterChoice;
use crate::error::{GpuError, GpuFault};
use crate::survey::AdapterSummary;

/// One open device with its queue, and a record of what went wrong on it.
///
/// A clone is the same device. Whoever builds commands with [`wgpu`] asks
/// [`health`](Self::health) after creating resources; [`submit`](Self::submit),
/// [`wait`](Self::wait) and [`read_back`](Self::read_back) ask by themselves.
/// The first fault stays: a device that has erred once is given up, and another
/// one opened.
#[derive(Debug, Clone)]
pub struct Device {
    device: wgpu::Device,
    queue: wgpu::Queue,
    adapter: Arc<AdapterSummary>,
    faults: FaultRecord,
    buffers_made: Arc<AtomicU64>,
}

impl Device {
    /// Opens a device, with wgpu's downlevel default limits and timestamps
    /// where it has them, on the most suitable adapter that `choice` permits.
    ///
    /// # Errors
    /// [`GpuError`] says which adapters there are and why none was taken.
    pub fn open(choice: &AdapterChoice) -> Result<Self, GpuError> {
        Self::open_on(&choice.find()?, wgpu::Limits::downlevel_defaults())
    }

    /// Opens a device with these limits.
    pub(crate) fn open_on(
        adapter: &wgpu::Adapter,
        required_limits: wgpu::Limits,
    ) -> Result<Self, GpuError> {
        let summary = AdapterSummary::of(adapter);
        let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("keepsight"),
            required_features: adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        }))
        .map_err(|source| GpuError::Refused { name: summary.name.clone(), source })?;

        // Without a handler of ours, wgpu panics on an error that nobody caught.
        let faults = FaultRecord::default();
        device.on_uncaptured_error(Arc::new({
            let faults = faults.clone();
            move |error| faults.note(GpuFault::from(error))
        }));
        device.set_device_lost_callback({
            let faults = faults.clone();
            move |reason, message| {
                faults.note(GpuFault::Lost { message: format!("{reason:?}: {message}") });
            }
        });
        let buffers_made = Arc::default();
        Ok(Self { device, queue, adapter: Arc::new(summary), faults, buffers_made })
    }

    /// The device, for creating resources and commands.
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// The queue, for writing buffers; commands go through
    /// [`submit`](Self::submit).
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// The adapter that the device was opened on.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.adapter
    }

    /// Makes a buffer of `bytes` bytes, rounded up to whole words. It is counted,
    /// see [`buffers_made`](Self::buffers_made).
    pub fn buffer(&self, label: &str, bytes: usize, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        self.made(label, bytes, usage, false)
    }

    /// The same, mapped for writing from the beginning.
    pub fn mapped_buffer(
        &self,
        label: &str,
        bytes: usize,
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        self.made(label, bytes, usage, true)
    }

    fn made(
        &self,
        label: &str,
        bytes: usize,
        usage: wgpu::BufferUsages,
        mapped_at_creation: bool,
    ) -> wgpu::Buffer {
        self.buffers_made.fetch_add(1, Relaxed);
        let size = (bytes as u64).next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT);
        let label = Some(label);
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label,
            size,
            usage,
            mapped_at_creation,
        })
    }

    /// How many buffers were made here: a session that has warmed up makes no
    /// more.
    pub fn buffers_made(&self) -> u64 {
        self.buffers_made.load(Relaxed)
    }

    /// Whether the device can say when its work began and ended.
    pub fn has_timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Lets what is done take effect, such as buffers that are mapped now,
    /// without waiting.
    pub fn tick(&self) {
        // What is wrong is recorded, and the next to ask for health hears it.
        let _ = self.poll(wgpu::PollType::Poll);
    }

    /// Whether the device may be used any more.
    ///
    /// # Errors
    /// The first fault there was, whichever thread's commands caused it; the
    /// loss of the device outranks what it led to.
    pub fn health(&self) -> Result<(), GpuFault> {
        match self.faults.first() {
            None => return Ok(()),
            Some(lost @ GpuFault::Lost { .. }) => return Err(lost),
            Some(_) => {}
        }
        // On a lost device commands are first refused as invalid; the news of
        // the loss itself comes with the next poll.
        self.tick();
        self.faults.first().map_or(Ok(()), Err)
    }

    /// Gives the device up: a worker that was abandoned in the middle of its
    /// commands must not share a device with its successor.
    ///
    /// All that still runs or waits on it ends with [`GpuFault::Lost`].
    pub fn retire(&self) {
        self.faults.note(GpuFault::Lost { message: "retired".to_owned() });
        self.device.destroy();
    }

    /// Hands commands to the queue.
    ///
    /// # Errors
    /// [`GpuFault`] when they, or anything before them, were refused.
    pub fn submit(
        &self,
        commands: impl IntoIterator<Item = wgpu::CommandBuffer>,
    ) -> Result<wgpu::SubmissionIndex, GpuFault> {
        self.health()?;
        let submission = self.queue.submit(commands);
        self.health()?;
        Ok(submission)
    }

    /// Waits until a submission is done, but not beyond `deadline`.
    ///
    /// # Errors
    /// [`GpuFault::TimedOut`] at the deadline, and any fault of the device.
    pub fn wait(
        &self,
        submission: wgpu::SubmissionIndex,
        deadline: Instant,
    ) -> Result<(), GpuFault> {
        let timeout = deadline.saturating_duration_since(Instant::now());
        let wait =
            wgpu::PollType::Wait { submission_index: Some(submission), timeout: Some(timeout) };
        match self.poll(wait) {
            Ok(()) => self.health(),
            Err(GpuFault::TimedOut) => {
                self.health()?;
                Err(GpuFault::TimedOut)
            }
            Err(fault) => {
                self.faults.note(fault);
                self.health()
            }
        }
    }

    /// Waits for `submission` and copies the start of `staging` into `bytes`.
    ///
    /// `staging` has the usages `MAP_READ` and `COPY_DST`, is not mapped, and is
    /// at least as long as `bytes`. After a fault it may still be mapped: drop
    /// it.
    ///
    /// # Errors
    /// [`GpuFault::TimedOut`] at the deadline, and any fault of the device.
    pub fn read_back(
        &self,
        staging: &wgpu::Buffer,
        submission: wgpu::SubmissionIndex,
        deadline: Instant,
        bytes: &mut [u8],
    ) -> Result<(), GpuFault> {
        let (mapped, outcome) = mpsc::sync_channel(1);
        let range = 0..bytes.len() as u64;
        staging.map_async(wgpu::MapMode::Read, range.clone(), move |result| {
            // The receiver is gone where the wait timed out.
            let _ = mapped.try_send(result);
        });
        self.wait(submission, deadline)?;
        match outcome.try_recv() {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(TryRecvError::Disconnected) => {
                self.health()?;
                return Err(GpuFault::Validation {
                    message: "the buffer can't be read".to_owned(),
                });
            }
            Err(TryRecvError::Empty) => return Err(GpuFault::TimedOut),
        }
        match staging.get_mapped_range(range) {
            Ok(view) => bytes.copy_from_slice(&view),
            Err(error) => {
                self.health()?;
                return Err(GpuFault::Validation { message: error.to_string() });
            }
        }
        staging.unmap();
        Ok(())
    }

    fn poll(&self, poll: wgpu::PollType) -> Result<(), GpuFault> {
        // wgpu panics where the driver reports the loss of the device here.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(poll)));
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(wgpu::PollError::Timeout)) => Err(GpuFault::TimedOut),
            Ok(Err(error)) => Err(GpuFault::Validation { message: error.to_string() }),
            Err(_) => {
                self.faults.note(GpuFault::Lost { message: "lost while waiting".to_owned() });
                Ok(())
            }
        }
    }
}

/// The first fault of a device; clones share it.
#[derive(Debug, Clone, Default)]
struct FaultRecord(Arc<Mutex<Option<GpuFault>>>);

impl FaultRecord {
    fn note(&self, fault: GpuFault) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = |fault: &GpuFault| matches!(fault, GpuFault::Lost { .. });
        if first.as_ref().is_none_or(|first| is_lost(&fault) && !is_lost(first)) {
            *first = Some(fault);
        }
    }

    fn first(&self) -> Option<GpuFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl From<wgpu::Error> for GpuFault {
    fn from(error: wgpu::Error) -> Self {
        match error {
            wgpu::Error::OutOfMemory { source } => {
                Self::OutOfMemory { message: source.to_string() }
            }
            wgpu::Error::Validation { description, .. } => {
                Self::Validation { message: description }
            }
            wgpu::Error::Internal { description, .. } => Self::Internal { message: description },
        }
    }
}
