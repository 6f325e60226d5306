//! `cargo +nightly fuzz run assembly fuzz/regressions/assembly`, see [`fuzz_entries::assembly`].
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_entries::assembly(bytes));
