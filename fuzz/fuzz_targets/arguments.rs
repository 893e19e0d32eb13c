#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight::api::check_arguments(bytes));
