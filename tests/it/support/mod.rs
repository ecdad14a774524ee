//! Starts and stops the real servers that tests run against.
//!
//! Each is started at most once per test process, on a loopback address, in a folder below `target/peers/`, and ends
//! with the process. Tests share them: what a test adds carries a [`unique`] name. Programs come from `tests/install`.

// Every test module uses its own part of this.
#![allow(dead_code, unused_imports)]

mod alone;
mod certificate;
mod control_plane;
mod keycloak;
mod mailpit;
mod mariadb;
mod peer;
mod postgres;
mod samba;
mod session;
mod slapd;
mod sshd;
mod workday;

use std::{
    path::PathBuf,
    sync::{LazyLock, OnceLock},
    time::{Duration, Instant},
};

pub use alone::{is_alone, resident, weighed};
pub use certificate::Certificate;
pub use control_plane::{ControlPlane, Write, asset};
pub use keycloak::{Keycloak, Realm};
pub use mailpit::Mailpit;
pub use mariadb::Mariadb;
pub use peer::{Peer, Ran, Scratch, free_port, poll, poll_each, run, unique};
pub use postgres::Postgres;
pub use samba::{Samba, Ticket, unicode_password};
pub use session::Session;
pub use slapd::Slapd;
pub use sshd::Sshd;
pub use workday::Workday;

/// OpenLDAP.
pub fn slapd() -> &'static Slapd {
    static SLAPD: LazyLock<Slapd> = LazyLock::new(Slapd::start);
    &SLAPD
}

/// An OpenLDAP that nobody else uses.
pub fn slapd_alone() -> Slapd {
    Slapd::start()
}

/// As [`slapd_alone`], and takes passwords in clear text too.
pub fn slapd_in_the_open() -> Slapd {
    Slapd::start_open()
}

/// A SOAP service with Workday's Get_Workers. Not shared: each test has people of its own.
pub fn workday() -> Workday {
    Workday::start()
}

/// An Active Directory domain controller.
pub fn samba() -> &'static Samba {
    SAMBA.get_or_init(Samba::start)
}

static SAMBA: OnceLock<Samba> = OnceLock::new();

/// Another domain of the same name, for the one test that decides who administers it.
pub fn another_samba() -> &'static Samba {
    // Afterwards the addresses are different.
    samba();
    ANOTHER_SAMBA.get_or_init(Samba::start)
}

static ANOTHER_SAMBA: OnceLock<Samba> = OnceLock::new();

/// OpenSSH, for files.
pub fn sshd() -> &'static Sshd {
    static SSHD: LazyLock<Sshd> = LazyLock::new(Sshd::start);
    &SSHD
}

/// PostgreSQL.
pub fn postgres() -> &'static Postgres {
    static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
    &POSTGRES
}

/// Another one, for the one test that decides who administers it.
pub fn another_postgres() -> &'static Postgres {
    static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
    &POSTGRES
}

/// PostgreSQL 16, 17 and 18, whose rules for roles are others.
pub fn newer_postgres() -> &'static [Postgres; 3] {
    static POSTGRES: LazyLock<[Postgres; 3]> = LazyLock::new(|| [16, 17, 18].map(Postgres::of_version));
    &POSTGRES
}

/// MariaDB.
pub fn mariadb() -> &'static Mariadb {
    static MARIADB: LazyLock<Mariadb> = LazyLock::new(Mariadb::start);
    &MARIADB
}

/// Another one, for the one test that decides who administers it.
pub fn another_mariadb() -> &'static Mariadb {
    static MARIADB: LazyLock<Mariadb> = LazyLock::new(Mariadb::start);
    &MARIADB
}

/// Keycloak. Its very first start in a checkout takes some two minutes.
pub fn keycloak() -> &'static Keycloak {
    static KEYCLOAK: LazyLock<Keycloak> = LazyLock::new(Keycloak::start);
    &KEYCLOAK
}

/// A Kubernetes control plane with the CRDs of this project.
pub fn control_plane() -> &'static ControlPlane {
    static CONTROL_PLANE: LazyLock<ControlPlane> = LazyLock::new(ControlPlane::start);
    &CONTROL_PLANE
}

/// One with the chart's policies of Approvals, which concern all namespaces.
pub fn control_plane_with_admission() -> &'static ControlPlane {
    static CONTROL_PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
        let plane = ControlPlane::start();
        with_policies(&plane);
        plane
    });
    &CONTROL_PLANE
}

/// Installs the chart's policies of Approvals, and waits until what is made from now on is trusted.
pub fn with_policies(plane: &ControlPlane) {
    let policies = admission("people", POLICIES);
    plane.kubectl(&["apply", "-f", "-"], &policies).expect_ok();
    let applied = Instant::now();
    poll(Duration::from_mins(1), || {
        applied.elapsed() > Duration::from_secs(12)
    });
}

/// The user as whom tests call an API server unless they say otherwise.
pub const ADMINISTRATOR: &str = "admin";

/// The admission policies that an Approval needs to be believed.
pub const POLICIES: &[&str] = &["offboard-approvals", "offboard-requests", "offboard-deletions"];

/// One that cannot stream lists, as Kubernetes 1.33 is installed.
pub fn control_plane_without_streaming() -> &'static ControlPlane {
    static CONTROL_PLANE: LazyLock<ControlPlane> =
        LazyLock::new(|| ControlPlane::start_with(&["--feature-gates=WatchList=false"]));
    &CONTROL_PLANE
}

/// The chart's admission policies with these names and their bindings, of an operator in `namespace`.
pub fn admission(namespace: &str, names: &[&str]) -> String {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/offboard");
    let mut helm = std::process::Command::new(helm());
    helm.env("KUBECONFIG", "/dev/null");
    helm.args([
        "template",
        "offboard",
        chart,
        "-n",
        namespace,
        "--kube-version=1.33.0",
        // Whoever sets the stage of a test.
        &format!("--set=approvals.automation={{{ADMINISTRATOR}}}"),
    ]);
    let text = run(helm.args(["-s", "templates/admission.yaml"]), "").expect_ok();
    let objects = serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap();
    let wanted = objects.iter().filter(|object| {
        let name = object["metadata"]["name"].as_str();
        name.is_some_and(|name| names.contains(&name))
    });
    wanted.map(|object| format!("---\n{object}\n")).collect()
}

/// The servers of this machine, as a Secret names where its credentials may go.
pub fn here() -> String {
    let samba = [&SAMBA, &ANOTHER_SAMBA].map(OnceLock::get).into_iter().flatten();
    let names = samba.map(|samba| samba.address.to_string());
    let local = ["127.0.0.1:*", "localhost:*", "[::1]:*"].map(str::to_owned);
    local.into_iter().chain(names).collect::<Vec<_>>().join(" ")
}

/// What a Secret says of where its credentials may go, and which definition may use them that is not built in.
pub fn scope(definitions: &str) -> serde_json::Value {
    serde_json::json!({"offboard.dev/hosts": here(), "offboard.dev/definitions": definitions})
}

/// Puts each field of `ours` in place of the one that an example has at `place`.
#[track_caller]
pub fn replace(object: &mut serde_json::Value, place: &str, ours: &serde_json::Value) {
    for (field, value) in ours.as_object().unwrap() {
        let there = object.pointer_mut(&format!("{place}/{field}"));
        *there.unwrap_or_else(|| panic!("the example says nothing of {field}")) = value.clone();
    }
}

/// The path of `helm`.
pub fn helm() -> PathBuf {
    asset("helm")
}

/// A day from today in UTC, as HR writes it.
pub fn day(ahead: i64) -> String {
    let today = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    let there = today.saturating_add(jiff::SignedDuration::from_hours(24 * ahead));
    there.to_string()
}
