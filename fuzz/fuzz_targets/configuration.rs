#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight::config::check_configuration(bytes));
