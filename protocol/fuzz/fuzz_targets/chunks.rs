#![no_main]

#[path = "../properties/chunks.rs"]
mod chunks;
#[path = "../properties/independent_chunked.rs"]
mod independent_chunked;

libfuzzer_sys::fuzz_target!(|data: &[u8]| chunks::check(data));
