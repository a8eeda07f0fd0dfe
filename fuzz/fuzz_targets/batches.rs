//! `sluice_fuzz::batches`, driven by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sluice_fuzz::batches::run(bytes));
