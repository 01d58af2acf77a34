//! See `millrace::testing::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| millrace::testing::fuzz::run("requests", input));
