//! `sluice_fuzz::repair`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::repair::run(bytes));
