//! The binary: everything is in the library, so that a binary of one's own is as short.

use std::process::ExitCode;

/// Without it everything works, and what plugins allocate is neither known nor limited.
#[global_allocator]
static ALLOCATOR: keepsight::sandbox::CountingAllocator = keepsight::sandbox::CountingAllocator;

fn main() -> ExitCode {
    keepsight::main()
}
