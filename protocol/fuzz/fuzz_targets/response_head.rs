#![no_main]

#[path = "../properties/independent.rs"]
mod independent;
#[path = "../properties/response_head.rs"]
mod response_head;

libfuzzer_sys::fuzz_target!(|data: &[u8]| response_head::check(data));
