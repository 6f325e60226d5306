//! `cargo +nightly fuzz run image fuzz/regressions/image`, see [`fuzz_entries::image`].
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_entries::image(bytes));
