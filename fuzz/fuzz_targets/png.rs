#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight_jpeg::oracles::check_png(bytes));
