//! The API server hangs, the operator that acts dies or is held up, a namespace is closed: the work goes on elsewhere or
//! later, and nothing is done twice.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use offboard_simulators::server::Mishap;

use super::site::{Operator, PASSWORD, PATIENCE, Site, application, asked, begun, logs_in, slow};
use crate::{
    relay::Relay,
    support::{Write, control_plane, poll},
};

const LEASE: &[&str] = &["--lease=offboard"];

fn acts(operator: &Operator) -> bool {
    operator.log().contains("the lease is ours")
}

/// One operator that acts and one that waits.
#[track_caller]
fn pair(site: &Site) -> (Operator, Operator) {
    let first = site.start_with(LEASE);
    assert!(poll(PATIENCE, || acts(&first)), "{}", first.log());
    let second = site.start_with(LEASE);
    let waits = || second.http("/readyz").contains("200 OK");
    assert!(poll(PATIENCE, waits), "{}", second.log());
    (first, second)
}

/// How long it takes until `operator` acts.
#[track_caller]
fn takes_over(operator: &Operator) -> Duration {
    let began = Instant::now();
    assert!(poll(PATIENCE, || acts(operator)), "{}", operator.log());
    began.elapsed()
}

/// What was written of a leaver, apart from who holds the lease.
fn written(site: &Site) -> Vec<Write> {
    let mut writes = site.writes();
    writes.retain(|write| write.resource != "leases");
    writes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs_is_waited_for_within_bounds_and_nothing_is_done_twice() {
    let (crm, id) = slow().await;
    let sam = crm.add_user("sam@example.com", None, PASSWORD);
    let site = Site::new("hung");
    site.connect("crm", &crm);
    let url = control_plane().url.clone();
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let relay = Relay::to(SocketAddr::from(([127, 0, 0, 1], port))).await;
    site.reach_api_server_by(relay.port);
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    relay.freeze();
    // Seen by nobody yet: the watch hangs too.
    site.leaver("leaver-2", "sam@example.com");
    let given_up = || operator.log().contains("API server: ");
    assert!(
        poll(PATIENCE, given_up),
        "a call hangs for ever: {}",
        operator.log()
    );
    assert!(operator.http("/livez").contains("200 OK"));
    assert_eq!(crm.is_active(&sam), Some(true));
    relay.thaw();
    let began = Instant::now();
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    site.until("offboarding/leaver-2", "Ready", "True/Offboarded");
    eprintln!("all done {:?} after the API server was back", began.elapsed());
    assert_eq!(crm.is_active(&id), Some(false));
    assert_eq!(crm.is_active(&sam), Some(false));
    assert_eq!(asked(&crm, &format!("/Users/{id}")), 1, "disabled more than once");
    assert_eq!(site.records().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_one_that_acts_is_killed_the_other_goes_on_with_what_was_begun() {
    let (crm, id) = application("jane@example.com").await;
    // What is asked for takes effect, and nobody is left to hear of it.
    crm.control().arrange("PATCH", "/Users/", 1, Mishap::Hang);
    let site = Site::new("crash");
    site.connect("crm", &crm);
    let (mut first, second) = pair(&site);
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &first);
    assert!(poll(PATIENCE, || crm.is_active(&id) == Some(false)));
    first.signal("KILL");
    eprintln!("takeover after a crash: {:?}", takes_over(&second));
    first.wait();
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&crm, "jane@example.com"));
    assert_eq!(asked(&crm, &format!("/Users/{id}")), 1, "done twice");
    let fence = || {
        site.get("offboarding/leaver-1")["status"]["fence"]
            .as_i64()
            .unwrap()
    };
    let before = fence();
    // Ended in order, the lease is free at once; a new one takes it and counts on.
    let mut second = second;
    let third = site.start_with(LEASE);
    assert!(poll(PATIENCE, || third.http("/readyz").contains("200 OK")));
    second.signal("TERM");
    eprintln!("takeover after an orderly end: {:?}", takes_over(&third));
    assert_eq!(second.wait().0, Some(0));
    site.kubectl(
        &["annotate", "offboarding", "leaver-1", "offboard.dev/look=now"],
        "",
    )
    .expect_ok();
    let patch = r#"{"spec": {"reference": "7"}}"#;
    let arguments = ["patch", "offboarding", "leaver-1", "--type=merge", "-p", patch];
    site.kubectl(&arguments, "").expect_ok();
    assert!(poll(PATIENCE, || fence() > before), "{}", third.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_held_up_and_lost_the_lease_does_nothing_more() {
    let (crm, id) = application("jane@example.com").await;
    // Its answer waits for the first one to go on.
    crm.control()
        .arrange("PATCH", "/Users/", 1, Mishap::Late(Duration::from_secs(2)));
    let site = Site::new("held-up");
    site.connect("crm", &crm);
    let (mut first, second) = pair(&site);
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &first);
    first.signal("STOP");
    takes_over(&second);
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    let told = || site.kubectl(&["get", "events"], "").stdout.contains("Offboarded");
    assert!(poll(PATIENCE, told), "the last event is not there yet");
    let (requests, writes) = (crm.control().journal().len(), written(&site).len());
    let version = site.get("offboarding/leaver-1")["metadata"]["resourceVersion"].clone();
    first.signal("CONT");
    let (code, _) = first.wait();
    assert_eq!(code, Some(1), "{}", first.log());
    assert!(first.log().contains("the lease"), "{}", first.log());
    let sent = crm.control().journal()[requests..].to_vec();
    assert!(!sent.iter().any(|entry| entry.changes()), "{sent:#?}");
    assert_eq!(written(&site)[writes..], [], "a stale one wrote");
    assert_eq!(
        site.get("offboarding/leaver-1")["metadata"]["resourceVersion"],
        version
    );
    assert_eq!(asked(&crm, &format!("/Users/{id}")), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_an_earlier_term_is_refused_by_the_api_server_itself() {
    let site = Site::new("fence");
    site.leaver("leaver-1", "jane@example.com");
    let write = |status: &str| {
        let patch = format!("{{\"status\": {status}}}");
        let arguments = [
            "patch",
            "offboarding",
            "leaver-1",
            "--subresource=status",
            "--type=merge",
            "-p",
            &patch,
        ];
        site.kubectl(&arguments, "")
    };
    write(r#"{"fence": 7, "progress": "0/1"}"#).expect_ok();
    for stale in [
        r#"{"fence": 6, "progress": "1/1"}"#,
        r#"{"fence": null, "progress": "1/1"}"#,
    ] {
        let refused = write(stale);
        let message = "fence: an operator that lost the Lease may write no more";
        assert!(
            !refused.ok() && refused.stderr.contains(message),
            "{}",
            refused.stderr
        );
    }
    write(r#"{"fence": 7, "progress": "1/1"}"#).expect_ok();
    write(r#"{"fence": 8}"#).expect_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_closed_delays_no_other_and_is_worked_on_once_it_is_open() {
    let (crm, id) = application("jane@example.com").await;
    let sam = crm.add_user("sam@example.com", None, PASSWORD);
    let (open, closed) = (Site::new("open"), Site::new("closed"));
    open.connect("crm", &crm);
    closed.connect("crm", &crm);
    let operator = open.start_with(&["--namespace", &closed.namespace]);
    open.leaver("leaver-1", "jane@example.com");
    closed.leaver("leaver-2", "sam@example.com");
    open.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&id), Some(false));
    assert_eq!(crm.is_active(&sam), Some(true));
    assert!(operator.log().contains("403 Forbidden"), "{}", operator.log());
    closed.lets_in(&open);
    closed.until("offboarding/leaver-2", "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&sam), Some(false));
}
