#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| offboard::fuzzing::manifests(text));
