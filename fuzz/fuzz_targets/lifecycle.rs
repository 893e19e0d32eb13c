#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight::lifecycle::model::check_sequence(bytes));
