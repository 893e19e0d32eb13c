#![expect(unsafe_code, reason = "a memory map is words only by promise; all of it is here")]

use std::{fs::File, io, slice, sync::atomic::AtomicU64};

use memmap2::{MmapOptions, MmapRaw};

/// A file's content as words that several threads read and write.
#[derive(Debug)]
pub(super) struct MappedWords {
    map: MmapRaw,
    count: usize,
}

impl MappedWords {
    /// The first `count` words of `file`, which must be at least as long and open for writing.
    ///
    /// Who shortens the file while it is mapped ends this process at the next touch of what is
    /// gone (mmap(2), SIGBUS). It is locked, so only somebody who ignores that could.
    pub(super) fn of(file: &File, count: usize) -> io::Result<Self> {
        let bytes = count * size_of::<AtomicU64>();
        if file.metadata()?.len() < bytes as u64 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is too short"));
        }
        Ok(Self { map: MmapOptions::new().len(bytes).map_raw(file)?, count })
    }

    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the map is `count` words long, readable and writable, aligned to a page, and
        // stays for as long as `self` is borrowed. Every pattern of bits is an `AtomicU64`, and
        // within this process nothing else refers to these bytes.
        unsafe { slice::from_raw_parts(self.map.as_mut_ptr().cast::<AtomicU64>(), self.count) }
    }
}
