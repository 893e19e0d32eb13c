#![expect(unsafe_code, reason = "an allocator can't be written without; all of it is here")]

use std::alloc::{GlobalAlloc, Layout, System};

use super::{account_table::Tag, meter};

/// The system's allocator, which also counts for whom it allocates.
///
/// A binary that wants its plugins' memory measured and limited installs it:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: keepsight::sandbox::CountingAllocator =
///     keepsight::sandbox::CountingAllocator;
/// # fn main() {}
/// ```
///
/// Each allocation is four bytes longer than asked for: its owner's mark stands behind it, where
/// it moves no alignment and, of fresh zeroed pages, touches only the last.
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Whether this binary has installed it, so that memory is measured.
    #[must_use]
    pub fn is_installed() -> bool {
        meter::is_measuring()
    }
}

// SAFETY: every method passes the request on to `System` with a layout of the same alignment and
// `TAG_BYTES` more bytes (`marked`), the same for the same layout each time; so what `System`
// promises for that layout holds for the shorter one asked for. Nothing here unwinds: `meter`
// adds and subtracts, wrapping, and never allocates.
unsafe impl GlobalAlloc for CountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(with_mark) = marked(layout) else { return std::ptr::null_mut() };
        // SAFETY: `with_mark` has at least `TAG_BYTES` bytes.
        let block = unsafe { System.alloc(with_mark) };
        if !block.is_null() {
            // SAFETY: `block` is `layout.size() + TAG_BYTES` bytes long.
            unsafe { set_mark(block, layout.size(), meter::allocated(layout.size())) };
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(with_mark) = marked(layout) else { return std::ptr::null_mut() };
        // SAFETY: as in `alloc`.
        let block = unsafe { System.alloc_zeroed(with_mark) };
        if !block.is_null() {
            // SAFETY: as in `alloc`; only bytes behind those asked for are written.
            unsafe { set_mark(block, layout.size(), meter::allocated(layout.size())) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller had `block` from this allocator for `layout`, so it was made with
        // `marked(layout)`, and its mark was set at this place.
        unsafe {
            meter::freed(mark(block, layout.size()), layout.size());
            let size = layout.size() + TAG_BYTES;
            System.dealloc(block, Layout::from_size_align_unchecked(size, layout.align()));
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let new_layout = Layout::from_size_align(new_size, layout.align());
        let (Some(old), Some(new)) = (marked(layout), new_layout.ok().and_then(marked)) else {
            return std::ptr::null_mut();
        };
        // SAFETY: `block` was made with `old`, which is valid; `new.size()` is above 0 and, rounded
        // up to the alignment, within `isize`, since `new` is a layout. Where the system has no
        // room, `block` and its mark stay as they are; else the new block is `new.size()` bytes.
        unsafe {
            let owner = mark(block, layout.size());
            let moved = System.realloc(block, old, new.size());
            if !moved.is_null() {
                // Whoever resizes it has it from now on.
                meter::freed(owner, layout.size());
                set_mark(moved, new_size, meter::allocated(new_size));
            }
            moved
        }
    }
}

const TAG_BYTES: usize = size_of::<Tag>();

/// The layout with room for a mark behind; `None` where that is longer than anything may be.
#[inline]
fn marked(layout: Layout) -> Option<Layout> {
    // A layout's size is at most `isize::MAX`, so this does not wrap.
    Layout::from_size_align(layout.size() + TAG_BYTES, layout.align()).ok()
}

/// # Safety
/// `block` is at least `size + TAG_BYTES` bytes long, and nobody else writes to those behind
/// `size`.
#[inline]
unsafe fn set_mark(block: *mut u8, size: usize, owner: Tag) {
    // SAFETY: the place is inside the block; it needs no alignment.
    unsafe { block.add(size).cast::<Tag>().write_unaligned(owner) }
}

/// # Safety
/// `set_mark` was called for this `block` and `size`.
#[inline]
unsafe fn mark(block: *mut u8, size: usize) -> Tag {
    // SAFETY: the place is inside the block and was written.
    unsafe { block.add(size).cast::<Tag>().read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocates, resizes and frees, looking at the bytes asked for on the way.
    fn check(size: usize, align: usize, new_size: usize) {
        let allocator = CountingAllocator;
        let layout = Layout::from_size_align(size, align).unwrap();
        // SAFETY: each block is used within its size, and freed once with its own layout.
        unsafe {
            let block = allocator.alloc_zeroed(layout);
            assert!(!block.is_null() && block.addr().is_multiple_of(align), "{layout:?}");
            let bytes = std::slice::from_raw_parts_mut(block, size);
            assert!(bytes.iter().all(|byte| *byte == 0), "{layout:?}");
            for (index, byte) in bytes.iter_mut().enumerate() {
                *byte = index as u8;
            }
            let moved = allocator.realloc(block, layout, new_size);
            assert!(!moved.is_null() && moved.addr().is_multiple_of(align), "{layout:?}");
            let kept = std::slice::from_raw_parts(moved, size.min(new_size));
            let expected = |(index, byte): (usize, &u8)| *byte == index as u8;
            assert!(kept.iter().enumerate().all(expected), "{layout:?} to {new_size}");
            allocator.dealloc(moved, Layout::from_size_align(new_size, align).unwrap());
        }
    }

    #[test]
    fn blocks_keep_their_alignment_and_bytes() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096, 1 << 21] {
            for size in [1, 3, 4, 8, 12, 24, 63, 64, 4093, 4096, 200_000] {
                for new_size in [1, 7, 64, 4096, 300_001] {
                    check(size, align, new_size);
                }
            }
        }
    }

    #[test]
    fn a_binary_without_it_says_so() {
        // The library's tests have the system's allocator.
        assert!(!CountingAllocator::is_installed());
    }

    #[test]
    fn what_is_longer_than_anything_may_be_is_refused() {
        let allocator = CountingAllocator;
        let longest = Layout::from_size_align(isize::MAX as usize, 1).unwrap();
        let layout = Layout::from_size_align(8, 8).unwrap();
        // SAFETY: the sizes are above 0; the one block that is made is freed with its layout.
        unsafe {
            assert!(allocator.alloc(longest).is_null());
            assert!(allocator.alloc_zeroed(longest).is_null());
            let block = allocator.alloc(layout);
            block.write(7);
            assert!(allocator.realloc(block, layout, isize::MAX as usize - 7).is_null());
            assert_eq!(block.read(), 7, "the block stays");
            allocator.dealloc(block, layout);
        }
    }
}
