//! A leaver of a payroll that is asked by files, on a real OpenSSH; the payroll itself is the test.

use std::{
    fs,
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use offboard::core::{
    fact::{Verdict, Why},
    fault::Reason,
};
use serde_json::json;

use crate::{
    driven::{Driven, System},
    support::{self, Sshd},
};

/// The folders that the payroll and we share.
pub struct Payroll {
    export: PathBuf,
    requests: PathBuf,
}

impl Payroll {
    pub fn new() -> Self {
        let server = support::sshd();
        Self {
            export: server.folder("export"),
            requests: server.folder("requests"),
        }
    }

    /// What the payroll writes every night.
    pub fn exports(&self, name: &str, rows: &str) {
        let lines = rows.lines().count();
        Sshd::put(
            &self.export.join(name),
            format!("employee_id;status\n{rows}END {lines}\n"),
        );
    }

    /// The same, written at `at`.
    pub fn exports_at(&self, name: &str, rows: &str, at: jiff::Timestamp) {
        self.exports(name, rows);
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.export.join(name))
            .unwrap();
        file.set_modified(at.into()).unwrap();
    }

    fn system(&self) -> System<'static> {
        let server = support::sshd();
        System {
            definition: "payroll-file",
            inputs: json!({
                "host": "127.0.0.1", "port": server.port, "hostKeys": server.public_key("host_ed25519"),
                "exports": format!("{}/*.csv", self.export.display()), "requests": self.requests,
                "statusColumn": "status", "trailer": r"END (\d+)", "quiet": "0s",
            }),
            secret: vec![
                ("username", server.user()),
                ("privateKey", server.private_key("client_ed25519")),
            ],
            include: &["PayrollEnded"],
        }
    }

    pub fn asked(&self) -> Vec<String> {
        names(&self.requests)
    }
}

/// The spec of a Connector, and its secret.
pub fn system(payroll: &Payroll) -> (serde_json::Value, serde_json::Value) {
    let system = payroll.system();
    let secret: serde_json::Map<String, serde_json::Value> = system
        .secret
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
    (
        json!({
            "definition": system.definition, "inputs": system.inputs, "facts": {"include": system.include},
        }),
        secret.into(),
    )
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn leaves(id: &str) -> serde_json::Value {
    json!({ "employee": { "email": "jane@corp.test", "employeeID": id } })
}

#[tokio::test]
async fn nobody_is_taken_off_the_payroll_unless_that_is_asked_for() {
    let payroll = Payroll::new();
    payroll.exports("1.csv", "E7;active\nE8;active\n");
    let mut system = payroll.system();
    system.include = &[];
    let mut driven = Driven::leaver(&system, leaves("E7"));
    driven.pass().await;
    assert_eq!(payroll.asked(), [""; 0]);
}

#[tokio::test]
async fn a_request_is_believed_done_only_by_a_later_export() {
    let payroll = Payroll::new();
    payroll.exports("1.csv", "E7;active\nE8;active\n");
    let mut driven = Driven::leaver(&payroll.system(), leaves("E7"));
    driven.pass().await;
    assert!(
        matches!(driven.verdict("PayrollEnded"), Verdict::Pending(_)),
        "{:?}",
        driven.row()
    );
    let asked = payroll.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("remove-E7-") && asked[0].ends_with(".csv"));
    let text = fs::read_to_string(payroll.requests.join(&asked[0])).unwrap();
    let day = driven.cutoff().to_string();
    assert_eq!(
        text,
        format!("employee;action;day\r\nE7;REMOVE;{}\r\n", &day[..10])
    );

    driven.pass().await;
    assert!(
        matches!(driven.verdict("PayrollEnded"), Verdict::Pending(_)),
        "{:?}",
        driven.row()
    );
    assert_eq!(payroll.asked(), asked, "asked once");

    // An export that is older than the request says nothing about it, whatever is in it.
    payroll.exports("2.csv", "E7;ended\nE8;active\n");
    let before = driven.cutoff() - jiff::SignedDuration::from_mins(5);
    for name in ["1.csv", "2.csv"] {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(payroll.export.join(name))
            .unwrap();
        file.set_modified(before.into()).unwrap();
    }
    driven.pass().await;
    assert!(
        matches!(driven.verdict("PayrollEnded"), Verdict::Pending(_)),
        "{:?}",
        driven.row()
    );

    payroll.exports("3.csv", "E7;ended\nE8;active\n");
    let later = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(payroll.export.join("3.csv"))
        .unwrap();
    file.set_modified(later.into()).unwrap();
    driven.pass().await;
    driven.assert_done();
    assert!(matches!(driven.verdict("PayrollEnded"), Verdict::Verified));
    assert_eq!(payroll.asked(), asked);
}

#[tokio::test]
async fn who_is_no_longer_paid_is_not_asked_for_and_who_was_never_there_has_no_account() {
    let payroll = Payroll::new();
    payroll.exports("1.csv", "E7;Terminated\nE8;active\n");
    let mut driven = Driven::leaver(&payroll.system(), leaves("E7"));
    driven.follow(&[]).await;
    driven.assert_done();
    let mut nobody = Driven::leaver(&payroll.system(), leaves("E9"));
    nobody.pass().await;
    assert!(
        nobody.row().facts.iter().all(|state| state.verdict.settled()),
        "{:?}",
        nobody.row()
    );
    assert_eq!(payroll.asked(), [""; 0]);
}

#[tokio::test]
async fn half_an_export_says_nothing_about_anybody() {
    let payroll = Payroll::new();
    Sshd::put(&payroll.export.join("1.csv"), "employee_id;status\nE8;active\n");
    let mut driven = Driven::leaver(&payroll.system(), leaves("E7"));
    driven.pass().await;
    assert!(
        driven.row().facts.iter().all(|state| !state.verdict.settled()),
        "{:?}",
        driven.row()
    );
    assert!(
        format!("{:?}", driven.row()).contains("no trailer"),
        "{:?}",
        driven.row()
    );
    assert_eq!(payroll.asked(), [""; 0]);
}

#[tokio::test]
async fn a_folder_that_we_may_not_write_to_is_said() {
    let payroll = Payroll::new();
    payroll.exports("1.csv", "E7;active\n");
    fs::set_permissions(&payroll.requests, Permissions::from_mode(0o555)).unwrap();
    let mut driven = Driven::leaver(&payroll.system(), leaves("E7"));
    driven.pass().await;
    match driven.verdict("PayrollEnded") {
        Verdict::Unmet(Why::Failed(fault)) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
}
