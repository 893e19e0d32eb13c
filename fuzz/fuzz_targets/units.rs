#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keepsight_contract::oracles::check_units(bytes));
