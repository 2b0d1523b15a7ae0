#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| nebula_fuzz::sealed(data));
