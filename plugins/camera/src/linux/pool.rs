use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that frames lived in, kept for the next ones.
///
/// A frame owns its pixels, so that a slow consumer never holds a buffer of the driver's; taking
/// the memory from here spares the page faults of a fresh allocation a frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct FramePool {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer of a pool, which it goes back to when the last clone of its frame is dropped.
#[derive(Debug)]
pub(crate) struct PooledBuffer {
    bytes: Vec<u8>,
    pool: FramePool,
}

/// More frames than this are seldom alive at once; beyond it memory goes back to the allocator.
const IDLE_MAX: usize = 4;

impl FramePool {
    /// An empty buffer with whatever room an earlier frame left it.
    pub(crate) fn take(&self) -> PooledBuffer {
        let bytes = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        PooledBuffer { bytes: bytes.unwrap_or_default(), pool: self.clone() }
    }
}

impl PooledBuffer {
    /// The bytes, to be filled.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = FramePool::default();
        let mut first = pool.take();
        first.bytes_mut().extend_from_slice(&[1; 1000]);
        let address = first.as_ref().as_ptr();
        drop(first);
        let mut second = pool.take();
        assert!(second.as_ref().is_empty());
        second.bytes_mut().push(2);
        assert_eq!(second.as_ref().as_ptr(), address);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let pool = FramePool::default();
        let many: Vec<_> = (0..3 * IDLE_MAX).map(|_| pool.take()).collect();
        drop(many);
        assert_eq!(pool.idle.lock().unwrap().len(), IDLE_MAX);
    }
}
