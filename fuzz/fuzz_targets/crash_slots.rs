#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight::sandbox::check_crash_slots(bytes));
