//! What this build contains and what it doesn't, in words for reports.

/// Faults that end the process whatever the sandbox does, as health and inspector list them.
pub const NOT_CONTAINED: &[&str] = &[
    #[cfg(not(panic = "unwind"))]
    "panic",
    "stack overflow",
    "abort",
    "segmentation fault",
    "panic while unwinding",
    "process exit",
    "allocation failure",
];

/// What plugins take that no [`MemoryAccount`](super::MemoryAccount) has.
pub const NOT_MEASURED: [&str; 3] = ["GPU memory", "memory maps", "what C code allocates"];

/// What stands between a plugin's faults and the process.
pub const ISOLATION: &str = if cfg!(panic = "unwind") { "thread" } else { "none" };

/// What a panic does in this build.
pub const PANIC_STRATEGY: &str =
    if cfg!(panic = "unwind") { "unwind" } else { "abort: not contained" };
