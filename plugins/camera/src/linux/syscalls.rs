#![expect(unsafe_code, reason = "v4l's own stream can neither be released nor fail to be dropped")]
//! The one file that calls the kernel by hand: buffers of a capture device, mapped into memory.
//!
//! Everything else about a device goes through `v4l`'s safe functions.

use std::{
    ffi::{c_int, c_void},
    io, mem, ptr,
    ptr::NonNull,
    sync::Arc,
    time::Duration,
};

use v4l::{
    buffer,
    device::Handle,
    memory::Memory,
    v4l_sys::{v4l2_buffer, v4l2_requestbuffers},
    v4l2::{self, vidioc},
};

/// A device's buffers, all queued but for the moment in which one is copied from.
///
/// Nothing is released when this is dropped: [`BufferRing::release`] says whether that worked.
pub(crate) struct BufferRing {
    handle: Arc<Handle>,
    mappings: Vec<Mapping>,
}

/// What the driver says of a frame that was copied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FrameMeta {
    /// The driver's number of the frame.
    pub(crate) sequence: u32,
    /// The driver's time of the frame, where it is of CLOCK_MONOTONIC.
    pub(crate) stamp: Option<Duration>,
    /// The driver says that the picture is damaged.
    pub(crate) damaged: bool,
    /// The buffer could not be queued again; the device has one less.
    pub(crate) buffer_lost: bool,
}

/// A buffer of the device's in this process's memory, `bytes_len` bytes from `start`.
#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    bytes_len: usize,
}

impl BufferRing {
    /// Asks the device for `count` buffers (it may give another number), maps and queues them.
    ///
    /// # Errors
    /// The system's; EBUSY where another handle of the device has buffers. What was mapped until
    /// then is released.
    pub(crate) fn allocate(handle: Arc<Handle>, count: u32) -> io::Result<Self> {
        let given = request_buffers(&handle, count)?;
        let mut ring = Self { handle, mappings: Vec::new() };
        let filled = (0..given).try_for_each(|index| {
            let described = ring.buffer_call(vidioc::VIDIOC_QUERYBUF, index)?;
            ring.mappings.push(Mapping::new(&ring.handle, &described)?);
            ring.queue(index)
        });
        match filled {
            Ok(()) if given > 0 => Ok(ring),
            Ok(()) => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
            Err(error) => {
                // The first error tells more than one of the clean-up after it.
                let _ = ring.release();
                Err(error)
            }
        }
    }

    /// How many buffers there are.
    pub(crate) fn buffer_count(&self) -> usize {
        self.mappings.len()
    }

    /// Starts the stream.
    ///
    /// # Errors
    /// The system's: ENOSPC where the USB bus has no bandwidth left, EPROTO and EIO from devices
    /// that refuse.
    pub(crate) fn start(&self) -> io::Result<()> {
        self.stream_call(vidioc::VIDIOC_STREAMON)
    }

    /// Stops the stream; the buffers go out of the queue.
    ///
    /// # Errors
    /// The system's; ENODEV where the device is gone.
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.stream_call(vidioc::VIDIOC_STREAMOFF)
    }

    /// Copies the oldest filled buffer's bytes to the end of `bytes`, and queues the buffer again.
    ///
    /// The handle is opened not to block: without a filled buffer this is EAGAIN.
    ///
    /// # Errors
    /// The system's. EIO and EINVAL mean that the stream has to be started anew, ENODEV that the
    /// device is gone.
    pub(crate) fn take(&mut self, bytes: &mut Vec<u8>) -> io::Result<FrameMeta> {
        let filled = self.buffer_call(vidioc::VIDIOC_DQBUF, 0)?;
        let mapping = self
            .mappings
            .get(filled.index as usize)
            .ok_or_else(|| io::Error::other("the driver returned a buffer that it never gave"))?;
        mapping.copy_to(filled.bytesused as usize, bytes);
        // A driver may refuse once (and vivid can be told to); a second refusal is meant.
        let queued = self.queue(filled.index).or_else(|_| self.queue(filled.index));
        let flags = buffer::Flags::from(filled.flags);
        let is_monotonic = filled.flags & buffer::Flags::TIMESTAMP_MASK.bits()
            == buffer::Flags::TIMESTAMP_MONOTONIC.bits();
        let stamp = Duration::new(
            filled.timestamp.tv_sec.try_into().unwrap_or(0),
            u32::try_from(filled.timestamp.tv_usec).unwrap_or(0).saturating_mul(1000),
        );
        Ok(FrameMeta {
            sequence: filled.sequence,
            stamp: (is_monotonic && !stamp.is_zero()).then_some(stamp),
            damaged: flags.contains(buffer::Flags::ERROR),
            buffer_lost: queued.is_err(),
        })
    }

    /// Unmaps the buffers and gives them back to the device.
    ///
    /// # Errors
    /// The first of the system's errors; all steps are tried.
    pub(crate) fn release(mut self) -> io::Result<()> {
        let unmapped = self.mappings.drain(..).map(Mapping::unmap).fold(Ok(()), io::Result::and);
        unmapped.and(request_buffers(&self.handle, 0).map(drop))
    }

    fn queue(&self, index: u32) -> io::Result<()> {
        self.buffer_call(vidioc::VIDIOC_QBUF, index).map(drop)
    }

    /// One of the calls that take a `v4l2_buffer` and fill it: QUERYBUF, QBUF, DQBUF.
    fn buffer_call(&self, request: vidioc::_IOC_TYPE, index: u32) -> io::Result<v4l2_buffer> {
        // SAFETY: a `v4l2_buffer` is integers and a union of integers and pointers, for all of
        // which zero is a value.
        let mut buffer: v4l2_buffer = unsafe { mem::zeroed() };
        buffer.index = index;
        buffer.type_ = buffer::Type::VideoCapture as u32;
        buffer.memory = Memory::Mmap as u32;
        // SAFETY: all three requests take a `v4l2_buffer`, which `buffer` is and which outlives
        // the call.
        unsafe { control(&self.handle, request, &mut buffer)? };
        Ok(buffer)
    }

    /// STREAMON or STREAMOFF.
    fn stream_call(&self, request: vidioc::_IOC_TYPE) -> io::Result<()> {
        let mut kind: c_int = buffer::Type::VideoCapture as c_int;
        // SAFETY: both requests take an `int`, which `kind` is and which outlives the call.
        unsafe { control(&self.handle, request, &mut kind) }
    }
}

// SAFETY: a mapping is memory of the process, not of a thread, and nothing else points into it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the buffer that QUERYBUF described.
    fn new(handle: &Handle, described: &v4l2_buffer) -> io::Result<Self> {
        let bytes_len = described.length as usize;
        // SAFETY: QUERYBUF of a mmap buffer sets the union's `offset`.
        let offset = unsafe { described.m.offset };
        // SAFETY: no address is asked for, so the kernel picks one that nothing else uses; it
        // checks descriptor, length and offset.
        let start = unsafe {
            v4l2::mmap(
                ptr::null_mut(),
                bytes_len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                handle.fd(),
                offset.into(),
            )?
        };
        let start =
            NonNull::new(start).ok_or_else(|| io::Error::from_raw_os_error(libc::EFAULT))?;
        Ok(Self { start, bytes_len })
    }

    /// Appends the first `bytes_used` bytes, or all where there are less, to `bytes`. The buffer
    /// must not be queued, or what is copied may be of two frames.
    fn copy_to(&self, bytes_used: usize, bytes: &mut Vec<u8>) {
        let bytes_len = bytes_used.min(self.bytes_len);
        bytes.reserve(bytes_len);
        // SAFETY: `start` has `self.bytes_len` mapped bytes, of which at most that many are read;
        // `reserve` made room for as many in `bytes`, and all of them are written before they are
        // counted in. The two do not overlap, since one is the device's and one the allocator's.
        unsafe {
            let end = bytes.as_mut_ptr().add(bytes.len());
            ptr::copy_nonoverlapping(self.start.as_ptr().cast::<u8>(), end, bytes_len);
            bytes.set_len(bytes.len() + bytes_len);
        }
    }

    fn unmap(self) -> io::Result<()> {
        // SAFETY: `mmap` gave these bytes, `self` is the only one that knows them and ends here.
        unsafe { v4l2::munmap(self.start.as_ptr(), self.bytes_len) }
    }
}

/// REQBUFS: asks for `count` buffers, or with 0 gives all back; returns how many there are.
fn request_buffers(handle: &Handle, count: u32) -> io::Result<u32> {
    // SAFETY: a `v4l2_requestbuffers` is integers, for which zero is a value.
    let mut wanted: v4l2_requestbuffers = unsafe { mem::zeroed() };
    wanted.count = count;
    wanted.type_ = buffer::Type::VideoCapture as u32;
    wanted.memory = Memory::Mmap as u32;
    // SAFETY: REQBUFS takes a `v4l2_requestbuffers`, which `wanted` is and which outlives the call.
    unsafe { control(handle, vidioc::VIDIOC_REQBUFS, &mut wanted)? };
    Ok(wanted.count)
}

/// What CLOCK_MONOTONIC shows, the clock of drivers' stamps.
pub(crate) fn monotonic_clock() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills the `timespec` that `now` is; with this clock it cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0))
}

/// An ioctl, again while a signal interrupts it.
///
/// # Safety
/// `argument` must be of the type that `request` reads and writes.
unsafe fn control<T>(
    handle: &Handle,
    request: vidioc::_IOC_TYPE,
    argument: &mut T,
) -> io::Result<()> {
    loop {
        // SAFETY: the caller's promise; a `Handle` owns an open descriptor.
        match unsafe { v4l2::ioctl(handle.fd(), request, ptr::from_mut(argument).cast()) } {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
