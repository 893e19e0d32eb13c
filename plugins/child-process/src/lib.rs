//! Keepsight source: what an installed program writes to its standard output.
//!
//! - `exec:COMMAND` runs a program that writes Y4M (`YUV4MPEG2`, 8 bits: 4:2:0, 4:2:2, 4:4:4 or
//!   gray) or JPEGs one after the other; which of them is seen from the first bytes.
//! - `ffmpeg:INPUT` lets ffmpeg read a file, a device or an address.
//! - `rtsp://…` and `rtsps://…` are network cameras, by ffmpeg.
//!
//! No shell reads COMMAND: it is split at spaces, `'…'` and `"…"` keep them, a backslash keeps
//! the next character. What is wanted of a shell is `exec:sh -c '…'`.
//!
//! | parameter | for | default | |
//! |---|---|---|---|
//! | `live` | `exec:`, `ffmpeg:` | 1 for `exec:`, addresses and devices; 0 for files | 0: it may be waited for, and its end is an end |
//! | `loop` | `exec:`, `ffmpeg:` | 0 | 1: begins anew at the end, if it isn't live |
//! | `fps` | all | what the program says; for `ffmpeg:` and `rtsp:` what is wished | 0.001–1000. `exec:`: the rate of a program that doesn't say it; else ffmpeg gives so many |
//! | `stall` | all | 10 | seconds without a picture after which the program is ended, 1–600 |
//! | `size` | `ffmpeg:`, `rtsp:` | what is wished, else the input's | ffmpeg scales to it |
//! | `hwaccel` | `ffmpeg:`, `rtsp:` | none | ffmpeg's `-hwaccel`: `auto`, `vaapi`, `cuda`, `drm` … |
//! | `decoder` | `ffmpeg:`, `rtsp:` | ffmpeg's choice | ffmpeg's `-c:v`: `h264_v4l2m2m` … |
//! | `transport` | `rtsp:` | TCP where the camera has it, else UDP | `tcp`, `udp` or `http` |
//!
//! An address's own `?key=value` is the address's, unless every key is one of these; parameters
//! may follow behind a second question mark.
//!
//! The program runs in a process group of its own, which ends with the source: asked to, then
//! killed, all of it, and also when this process is killed. A process that leaves the group is
//! out of reach; it finds its output closed. What the program says on its standard error is the
//! reason when it ends; passwords in addresses are not shown there. They are, however, arguments
//! of the program, which other users of the machine can see.

mod command_line;
mod failure;
mod plan;
mod program;
mod source;
mod stderr_tail;

pub use source::ProgramSource;
