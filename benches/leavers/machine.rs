//! What the kernel says about processes and the machine.

use std::{fs, process::Command, time::Duration};

/// User and system time of a process, or of a thread by its `/proc/…/task/…`.
pub fn cpu(about: &str) -> Duration {
    let stat = fs::read_to_string(format!("{about}/stat")).unwrap_or_default();
    // The name in brackets may have blanks in it.
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
    // Linux counts in hundredths of a second whatever its own clock does.
    Duration::from_millis(ticks * 10)
}

/// A line of `status`, in KiB: `VmRSS`, `RssAnon`.
pub fn memory(process: u32, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let found = status
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    found
        .and_then(|l| l.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// How much the machine has to do: over one, five and fifteen minutes.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The first line that a program prints.
pub fn said(command: &mut Command) -> String {
    let output = command.output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
