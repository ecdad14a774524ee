//! What a process has in memory, for tests that run alone in one.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::peer;

/// Whether this process runs nothing but the test `name`, with its module; if not, it starts one that does, and waits for its
/// success: what others have in memory is not counted.
pub fn is_alone(name: &str) -> bool {
    const ALONE: &str = "OFFBOARD_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args([name, "--exact", "--nocapture"]);
    // A panic that is caught would be shown with names, for which all of the program's debug information is read.
    alone.env(ALONE, "1").env("RUST_BACKTRACE", "0");
    let ran = peer::run(&mut alone, "").expect_ok();
    assert!(ran.contains("1 passed"), "{ran}");
    false
}

/// What this process has in memory now, in bytes.
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

/// What `work` comes to, and how many bytes more than before were in memory at most.
pub async fn weighed<T>(work: impl Future<Output = T>) -> (T, usize) {
    let before = resident();
    let peak = Arc::new(AtomicUsize::new(0));
    let watched = Arc::clone(&peak);
    let watch = tokio::spawn(async move {
        loop {
            watched.fetch_max(resident(), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let done = work.await;
    peak.fetch_max(resident(), Ordering::SeqCst);
    watch.abort();
    (done, peak.load(Ordering::SeqCst).saturating_sub(before))
}
