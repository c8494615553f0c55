#![no_main]

#[path = "../properties/independent.rs"]
#[expect(dead_code, reason = "responses are not read here")]
mod independent;
#[path = "../properties/request_head.rs"]
mod request_head;

libfuzzer_sys::fuzz_target!(|data: &[u8]| request_head::check(data));
