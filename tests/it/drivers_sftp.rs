//! The SFTP driver against OpenSSH.

mod feeds;
mod hostile;
mod logins;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::definition,
    connectors::{
        driver::{Answer, Believed, Content, Driver, Encoding, Resolved, SftpRequest, Table},
        sftp::SftpDriver,
    },
    core::fault::{Fault, Reason},
    transport::{Clock, SetupError, dial::Dialer, secret::Credentials, system_clock, unreachable::REFUSED},
};
use serde_json::{Value, json};

use crate::{
    relay::Relay,
    support::{self, Sshd, poll, poll_each},
};

/// How a driver gets to a server.
struct Way<'a> {
    port: u16,
    secret: Vec<(&'a str, String)>,
    host_keys: String,
    deadline: &'a str,
    clock: Clock,
}

impl<'a> Way<'a> {
    /// With the key that the server knows, and its own key pinned.
    fn to(server: &Sshd) -> Self {
        Self {
            port: server.port,
            secret: vec![
                ("username", server.user()),
                ("privateKey", server.private_key("client_ed25519")),
            ],
            host_keys: server.public_key("host_ed25519"),
            deadline: "60s",
            clock: system_clock(),
        }
    }

    fn through(self, relay: &Relay) -> Self {
        Self {
            port: relay.port,
            ..self
        }
    }

    fn driver(self) -> SftpDriver {
        self.try_driver().unwrap()
    }

    fn try_driver(self) -> Result<SftpDriver, SetupError> {
        let config = definition::SftpDriver {
            host: "127.0.0.1".into(),
            port: self.port.to_string(),
            host_keys: Some(self.host_keys),
            deadline: Some(self.deadline.into()),
            ..definition::SftpDriver::default()
        };
        let secret = self.secret.into_iter();
        let secret = secret.map(|(key, value)| (key.to_owned(), value.into_bytes()));
        let limit = SftpDriver::limit(&config, system_clock());
        SftpDriver::new(
            &config,
            &Credentials::from_data(secret, "1"),
            limit,
            self.clock,
            &Dialer::trusted(),
        )
    }
}

async fn perform(driver: &SftpDriver, request: SftpRequest) -> Result<Answer, Fault> {
    let mut answer = driver.perform(&Resolved::Sftp(Box::new(request))).await?;
    if let Some(rows) = answer.rows.take() {
        answer.value = Value::Array(rows.all()?);
    }
    Ok(answer)
}

/// The value of an answer that is no refusal.
async fn value(driver: &SftpDriver, request: SftpRequest) -> Value {
    let answer = perform(driver, request).await.unwrap();
    assert_eq!(answer.fault, None, "{}", answer.response);
    assert_eq!(answer.response["code"], 0);
    answer.value
}

/// The fault of a refusal by the server, or of a file that is not believed.
async fn fault(driver: &SftpDriver, request: SftpRequest) -> Fault {
    match perform(driver, request).await {
        Err(fault) => fault,
        Ok(answer) => {
            let fault = answer.fault.expect("it must be refused");
            let only_a_code = answer.response.as_object().unwrap().keys().eq(["code"]);
            assert!(
                only_a_code,
                "a refusal is never an empty answer: {}",
                answer.response
            );
            fault
        }
    }
}

fn path(folder: &Path, name: &str) -> String {
    format!("{}/{name}", folder.display())
}

fn list(folder: &Path) -> SftpRequest {
    SftpRequest::List {
        pattern: path(folder, "*"),
    }
}

fn read(folder: &Path, name: &str) -> SftpRequest {
    believed(folder, name, Believed::default())
}

fn believed(folder: &Path, name: &str, trust: Believed) -> SftpRequest {
    SftpRequest::Read {
        pattern: path(folder, name),
        encoding: Encoding::Utf8,
        table: Some(Table {
            delimiter: ";".into(),
            header: true,
            columns: vec![],
            skip: 0,
            quotes: true,
            line_breaks: false,
        }),
        trust,
    }
}

fn write(folder: &Path, name: &str, text: &str) -> SftpRequest {
    SftpRequest::Write {
        path: path(folder, name),
        encoding: Encoding::Utf8,
        content: Content::Text(text.to_owned()),
    }
}

fn delete(folder: &Path, name: &str) -> SftpRequest {
    SftpRequest::Delete {
        path: path(folder, name),
    }
}

/// Everything in a folder, hidden files too, as the machine itself sees it.
fn there(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

const ROWS: &str = "id;name\n1;Jane\n2;Joe\n";

#[tokio::test]
async fn files_are_listed_read_moved_and_deleted() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("files");
    fs::create_dir(folder.join("done")).unwrap();
    fs::set_permissions(folder.join("done"), Permissions::from_mode(0o777)).unwrap();
    for name in ["b.csv", "a.csv", "a.txt", ".hidden.csv", "c.csv.part", "ü*.csv"] {
        Sshd::put(&folder.join(name), ROWS);
    }
    let names = |listed: &Value| -> Vec<String> {
        let listed = listed.as_array().unwrap();
        listed
            .iter()
            .map(|file| file["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = value(
        &driver,
        SftpRequest::List {
            pattern: path(&folder, "*.csv"),
        },
    )
    .await;
    assert_eq!(names(&all), ["a.csv", "b.csv", "ü*.csv"]);
    assert_eq!(all[0]["size"], ROWS.len());
    let modified: Timestamp = all[0]["modified"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(modified).abs() < SignedDuration::from_hours(1));
    let one = value(
        &driver,
        SftpRequest::List {
            pattern: path(&folder, "ü\\*.csv"),
        },
    )
    .await;
    assert_eq!(names(&one), ["ü*.csv"]);

    let answer = perform(&driver, read(&folder, "a.csv")).await.unwrap();
    assert_eq!(
        answer.value,
        json!([{ "id": "1", "name": "Jane" }, { "id": "2", "name": "Joe" }])
    );
    assert_eq!(answer.response["file"]["name"], "a.csv");
    assert_eq!(answer.response["file"]["asOf"], all[0]["modified"]);

    let into = path(&folder, "done");
    value(
        &driver,
        SftpRequest::Move {
            path: path(&folder, "a.csv"),
            into: into.clone(),
        },
    )
    .await;
    value(&driver, delete(&folder, "b.csv")).await;
    assert!(folder.join("done/a.csv").exists() && !folder.join("a.csv").exists());
    assert!(!folder.join("b.csv").exists());

    // What is in the archive already stays as it is.
    Sshd::put(&folder.join("a.csv"), "id\n3\n");
    let taken = fault(
        &driver,
        SftpRequest::Move {
            path: path(&folder, "a.csv"),
            into,
        },
    )
    .await;
    assert_eq!(taken, Fault::permanent(Reason::Refused).with_code("sftp 4"));
    assert_eq!(fs::read_to_string(folder.join("done/a.csv")).unwrap(), ROWS);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_refusal_and_never_an_empty_list() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("nothing");
    let absent = Fault::permanent(Reason::NotFoundUncorroborated).with_code("sftp 2");
    for request in [
        read(&folder, "none.csv"),
        read(&folder, "*.csv"),
        SftpRequest::List {
            pattern: path(&folder, "none/*"),
        },
        delete(&folder, "none.csv"),
        write(&folder.join("none"), "a.csv", "x"),
    ] {
        assert_eq!(fault(&driver, request).await, absent);
    }
    assert_eq!(
        value(&driver, list(&folder)).await,
        json!([]),
        "an empty folder is one"
    );
}

#[tokio::test]
async fn what_the_login_may_not_do_is_refused_and_leaves_nothing_behind() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("denied");
    Sshd::put(&folder.join("mine.csv"), ROWS);
    fs::set_permissions(folder.join("mine.csv"), Permissions::from_mode(0o0)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o555)).unwrap();
    let denied = Fault::permanent(Reason::PermissionDenied).with_code("sftp 3");
    for request in [
        read(&folder, "mine.csv"),
        write(&folder, "new.csv", "x"),
        delete(&folder, "mine.csv"),
    ] {
        assert_eq!(fault(&driver, request).await, denied);
    }
    assert_eq!(there(&folder), ["mine.csv"]);
    let read_only = Sshd::start_with("-R");
    let folder = read_only.folder("read-only");
    let driver = Way::to(&read_only).driver();
    assert_eq!(fault(&driver, write(&folder, "new.csv", "x")).await, denied);
    assert_eq!(there(&folder), [""; 0]);
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_never_sent() {
    let server = support::sshd();
    let relay = Relay::to(server.address()).await;
    let driver = Way::to(server).through(&relay).driver();
    let folder = server.folder("inside");
    value(&driver, list(&folder)).await;
    let before = relay.sent().len();
    for name in ["../outside.csv", "..", "a/../../b", "a\0b", "a\nb", ""] {
        for request in [
            read(&folder, name),
            write(&folder, name, "x"),
            delete(&folder, name),
            SftpRequest::Move {
                path: path(&folder, "a"),
                into: path(&folder, name),
            },
            SftpRequest::List {
                pattern: path(&folder, name),
            },
        ] {
            let refused = Fault::permanent(Reason::Malformed).with_code("path");
            assert_eq!(fault(&driver, request).await, refused, "{name:?}");
        }
    }
    assert_eq!(relay.sent().len(), before);
}

/// Every look at the file shows one of the two texts, whole, or no file.
fn watched(file: &Path, texts: [&str; 2], until: &AtomicBool) -> usize {
    let mut looks = 0;
    while !until.load(Ordering::SeqCst) {
        if let Ok(found) = fs::read(file) {
            looks += 1;
            assert!(
                texts.iter().any(|text| found == text.as_bytes()),
                "{} bytes were seen",
                found.len()
            );
        }
    }
    looks
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_while_a_file_is_written_sees_a_whole_one_or_none() {
    let server = support::sshd();
    let driver = Way::to(server).driver();
    let folder = server.folder("whole");
    let texts = ["old row\n".repeat(200_000), "new row!\n".repeat(150_000)];
    let done = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (file, texts, done) = (folder.join("out.csv"), texts.clone(), done.clone());
        move || watched(&file, [&texts[0], &texts[1]], &done)
    });
    for turn in 0..6 {
        value(&driver, write(&folder, "out.csv", &texts[turn % 2])).await;
    }
    done.store(true, Ordering::SeqCst);
    assert!(reader.join().unwrap() > 0, "nothing was looked at");
    assert_eq!(there(&folder), ["out.csv"]);
    let copy = folder.join("copy");
    server
        .sftp(&format!("get {} {}\n", path(&folder, "out.csv"), copy.display()))
        .expect_ok();
    assert_eq!(
        fs::read_to_string(copy).unwrap(),
        texts[1],
        "by OpenSSH's own client"
    );
}

#[tokio::test]
async fn a_server_without_extensions_gets_a_new_file_and_keeps_an_old_one() {
    let server = Sshd::start_with("-P fsync,posix-rename,limits");
    let driver = Way::to(&server).driver();
    let folder = server.folder("plain");
    value(&driver, write(&folder, "out.csv", "first")).await;
    let taken = fault(&driver, write(&folder, "out.csv", "second")).await;
    assert_eq!(taken, Fault::permanent(Reason::Refused).with_code("sftp 4"));
    assert_eq!(fs::read_to_string(folder.join("out.csv")).unwrap(), "first");
    assert_eq!(there(&folder), ["out.csv"], "nothing unfinished is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_the_middle_of_a_file_leaves_no_file_and_is_tried_again() {
    let server = support::sshd();
    let mut relay = Relay::to(server.address()).await;
    let driver = Arc::new(Way::to(server).through(&relay).driver());
    let folder = server.folder("cut");
    let text = "x".repeat(40 << 20);
    let writing = tokio::spawn({
        let (driver, request) = (driver.clone(), write(&folder, "out.csv", &text));
        async move { perform(&driver, request).await }
    });
    let begun = || {
        let sizes = there(&folder)
            .into_iter()
            .map(|name| fs::metadata(folder.join(name)).map(|m| m.len()));
        sizes.flatten().any(|size| size > 0)
    };
    let pause = Duration::from_millis(1);
    assert!(tokio::task::block_in_place(|| poll_each(
        pause,
        Duration::from_secs(60),
        begun
    )));
    relay.cut().await;
    let lost = writing.await.unwrap().unwrap_err();
    assert_eq!(
        lost,
        Fault::transient(Reason::Unreachable),
        "nobody can have seen anything of it"
    );
    assert!(!folder.join("out.csv").exists());
    let seen = value(&Way::to(server).driver(), list(&folder)).await;
    assert_eq!(seen, json!([]), "what is left over is no file for anybody");
    relay.mend().await;
    value(&driver, write(&folder, "out.csv", "whole")).await;
    assert_eq!(fs::read_to_string(folder.join("out.csv")).unwrap(), "whole");
}

#[tokio::test]
async fn a_server_that_does_not_answer_an_act_leaves_its_outcome_unknown() {
    let server = support::sshd();
    let mut relay = Relay::to(server.address()).await;
    let way = Way {
        deadline: "3s",
        ..Way::to(server).through(&relay)
    };
    let driver = way.driver();
    let folder = server.folder("silent");
    Sshd::put(&folder.join("a.csv"), ROWS);
    value(&driver, read(&folder, "a.csv")).await;
    relay.freeze();
    let looked = perform(&driver, read(&folder, "a.csv")).await.unwrap_err();
    assert_eq!(
        looked,
        Fault::transient(Reason::Timeout),
        "a look changes nothing"
    );
    relay.thaw();
    value(&driver, list(&folder)).await;
    relay.freeze();
    let acted = perform(&driver, delete(&folder, "a.csv")).await.unwrap_err();
    assert_eq!(acted, Fault::unknown_outcome(Reason::Timeout));
    assert!(
        poll(Duration::from_secs(30), || !folder.join("a.csv").exists()),
        "it was done all the same"
    );
    relay.thaw();
    value(&driver, list(&folder)).await;
    relay.cut().await;
    let lost = perform(&driver, list(&folder)).await.unwrap_err();
    assert!(
        lost.passes_by_itself() && lost.reason == Reason::Unreachable,
        "{lost}"
    );
    assert_eq!(
        perform(&driver, list(&folder)).await.unwrap_err(),
        Fault::transient(Reason::Unreachable).with_code(REFUSED),
        "no server at all"
    );
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let server = support::sshd();
    let relay = Relay::to(server.address()).await;
    let driver = Way::to(server).through(&relay).driver();
    let folder = server.folder("many");
    let writes = (0..24).map(|n| value(&driver, write(&folder, &format!("{n:02}.csv"), "id\n1\n")));
    futures::future::join_all(writes).await;
    let reads = (0..24).map(|n| value(&driver, read(&folder, &format!("{n:02}.csv"))));
    let read = futures::future::join_all(reads).await;
    assert!(read.iter().all(|rows| *rows == json!([{ "id": "1" }])));
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn a_driver_that_is_dropped_ends_its_connection() {
    let server = Sshd::start_with("");
    let driver = Way::to(&server).driver();
    value(&driver, list(&server.folder("dropped"))).await;
    let ended = move || {
        let log = server.log();
        log.contains("Connection closed by 127.0.0.1") || log.contains("Disconnected from user")
    };
    assert!(!ended());
    drop(driver);
    let patience = Duration::from_secs(30);
    let seen = tokio::task::spawn_blocking(move || poll(patience, ended));
    assert!(seen.await.unwrap(), "the server still has it");
}
