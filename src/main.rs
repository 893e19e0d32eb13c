//! The binary: everything is in the library, so that a binary of one's own is as short.

use std::process::ExitCode;

fn main() -> ExitCode {
    keepsight::main()
}
