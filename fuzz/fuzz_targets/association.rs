#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight_video_tracker::oracles::check_association(bytes));
