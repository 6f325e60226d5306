//! `cargo +nightly fuzz run function fuzz/regressions/function`, see [`fuzz_entries::function`].
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_entries::function(bytes));
