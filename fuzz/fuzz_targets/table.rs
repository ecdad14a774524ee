#![no_main]

libfuzzer_sys::fuzz_target!(|table: (u8, &str)| offboard::fuzzing::table(table.0, table.1));
