//! Which file is read, and when it is believed.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::definition::DatePlace,
    connectors::driver::{Believed, DateMark},
    core::fault::{Fault, Reason},
};
use serde_json::json;

use super::{ROWS, Way, believed, fault, perform, read, value};
use crate::{
    relay::Relay,
    support::{self, Sshd},
};

fn incomplete(code: &str) -> Fault {
    Fault::permanent(Reason::Incomplete).with_code(code)
}

fn unfinished(code: &str) -> Fault {
    Fault::transient(Reason::Incomplete).with_code(code)
}

fn set_modified(path: &Path, at: Timestamp) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(at.into()).unwrap();
}

#[tokio::test]
async fn an_old_file_is_stale_by_its_change_or_by_the_date_in_its_name() {
    let server = support::sshd();
    let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
    let driver = Way {
        clock: Arc::new(move || now),
        ..Way::to(server)
    }
    .driver();
    let folder = server.folder("stale");
    let day = Believed {
        max_age: Some(SignedDuration::from_hours(26)),
        ..Believed::default()
    };
    Sshd::put(&folder.join("hr-20261124.csv"), ROWS);
    set_modified(
        &folder.join("hr-20261124.csv"),
        now - SignedDuration::from_hours(25),
    );
    Sshd::put(&folder.join("hr-20261120.csv"), "id\n");
    set_modified(
        &folder.join("hr-20261120.csv"),
        now - SignedDuration::from_hours(27),
    );
    let rows = value(&driver, believed(&folder, "hr-*.csv", day.clone())).await;
    assert_eq!(rows.as_array().unwrap().len(), 2, "the newest");
    assert_eq!(
        fault(&driver, believed(&folder, "hr-20261120.csv", day.clone())).await,
        incomplete("stale")
    );
    // The date in the name counts more than when it was copied here.
    set_modified(&folder.join("hr-20261120.csv"), now);
    let dated = Believed {
        date: Some(DateMark {
            place: DatePlace::Name,
            pattern: r"-(\d{8})\.".into(),
            format: "%Y%m%d".into(),
            zone: Some("Pacific/Auckland".into()),
        }),
        ..day
    };
    let old = fault(&driver, believed(&folder, "hr-*.csv", dated.clone())).await;
    assert_eq!(
        old,
        incomplete("stale"),
        "that day began 49 hours ago in Auckland"
    );
    Sshd::put(&folder.join("hr-20261126.csv"), "id\n7\n");
    let answer = perform(&driver, believed(&folder, "hr-*.csv", dated))
        .await
        .unwrap();
    assert_eq!(answer.value, json!([{ "id": "7" }]));
    assert_eq!(answer.response["file"]["asOf"], "2026-11-25T11:00:00Z");
}

#[tokio::test]
async fn a_trailer_that_is_missing_or_counts_other_rows_makes_it_no_list() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("trailer");
    let counted = Believed {
        trailer: Some((r"TRAILER;(\d+)".into(), 0)),
        ..Believed::default()
    };
    for (content, expected) in [
        (format!("{ROWS}TRAILER;2\n"), None),
        (ROWS.to_owned(), Some("no trailer")),
        (format!("{ROWS}TRAILER;3\n"), Some("trailer counts other rows")),
        (format!("{ROWS}TRAILER;1\n"), Some("trailer counts other rows")),
        (format!("{ROWS}TRAI"), Some("no trailer")),
        (String::new(), Some("no trailer")),
        ("id\nTRAILER;0".to_owned(), None),
    ] {
        Sshd::put(&folder.join("hr.csv"), &content);
        let request = believed(&folder, "hr.csv", counted.clone());
        match expected {
            Some(code) => assert_eq!(fault(&driver, request).await, incomplete(code), "{content:?}"),
            None => drop(value(&driver, request).await),
        }
    }
}

#[tokio::test]
async fn a_file_that_is_still_written_is_not_read() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("growing");
    Sshd::put(&folder.join("hr.csv.part"), ROWS);
    Sshd::put(&folder.join("hr.csv"), ROWS);
    let quiet = Believed {
        quiet: Some(SignedDuration::from_hours(1)),
        ..Believed::default()
    };
    let request = || believed(&folder, "hr*", quiet.clone());
    assert_eq!(fault(&driver, request()).await, unfinished("still written"));
    set_modified(
        &folder.join("hr.csv"),
        Timestamp::now() - SignedDuration::from_hours(2),
    );
    value(&driver, request()).await;

    let marked = Believed {
        marker: Some(".done".into()),
        ..Believed::default()
    };
    let request = || believed(&folder, "hr.csv", marked.clone());
    assert_eq!(fault(&driver, request()).await, unfinished("no marker"));
    Sshd::put(&folder.join("hr.csv.done"), "");
    value(&driver, request()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_while_it_is_read_is_not_believed() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("growing");
    let file = folder.join("hr.csv");
    let done = Arc::new(AtomicBool::new(false));
    Sshd::put(&file, ROWS.to_owned() + &"3;Jim\n".repeat(100_000));
    let writer = thread::spawn({
        let (file, done) = (file.clone(), done.clone());
        move || {
            let mut open = OpenOptions::new().append(true).open(file).unwrap();
            while !done.load(Ordering::SeqCst) {
                open.write_all(b"4;Jill\n").unwrap();
                thread::yield_now();
            }
        }
    });
    // One that was read between two lines of a slow writer cannot be told from a whole one.
    let mut seen = None;
    for _ in 0..50 {
        if let Err(growing) = perform(&driver, read(&folder, "hr.csv")).await {
            seen = Some(growing);
            break;
        }
    }
    done.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    assert_eq!(seen, Some(unfinished("still written")));
}

/// Memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_huge_file_is_refused_before_it_fills_the_memory() {
    let server = support::sshd();
    let relay = Relay::to(server.address()).await;
    let driver = Way::to(server).through(&relay).driver();
    let folder = server.folder("huge");
    let huge = File::create(folder.join("huge.csv")).unwrap();
    huge.set_len(1 << 30).unwrap();
    fs::set_permissions(folder.join("huge.csv"), Permissions::from_mode(0o644)).unwrap();
    let before = resident();
    assert_eq!(
        fault(&driver, read(&folder, "huge.csv")).await,
        incomplete("too large")
    );
    let grown = resident().saturating_sub(before);
    assert!(grown < 512 << 20, "{grown} bytes more");
    assert!(relay.sent().len() < 64 << 10, "nothing of it was asked for");
}
