#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    relctl_fuzz::release_file(data);
});
