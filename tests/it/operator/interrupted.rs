//! Deleted, changed, suspended, told to stop or killed in the middle of the work.

use std::time::Duration;

use offboard::{api::record::Entry, drive::evidence};
use offboard_simulators::server::Mishap;

use super::site::{Operator, PATIENCE, Site, application, asked, begun, logs_in, slow};
use crate::support::poll;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_offboarding_stops_before_its_next_act_and_gives_nothing_back() {
    let (crm, id) = slow().await;
    let site = Site::new("deleted");
    site.connect("crm", &crm);
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    site.kubectl(&["delete", "offboarding", "leaver-1"], "")
        .expect_ok();
    let abandoned = || operator.passes("abandoned") == 1;
    assert!(poll(PATIENCE, abandoned), "{}", operator.log());
    assert_eq!(asked(&crm, "/Users/"), 1);
    assert_eq!(asked(&crm, "/Groups/"), 0, "an act after the deletion was seen");
    assert_eq!(
        crm.is_active(&id),
        Some(false),
        "the act under way was taken back"
    );
    let records = site.records();
    assert_eq!(records.len(), 1);
    // Made anew under the same name it is another one, with a record of its own.
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert_eq!(site.records().len(), 2);
    assert!(
        site.records().contains(&records[0]),
        "the first record was touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_offboarding_waits_until_it_is_resumed() {
    let (crm, _) = slow().await;
    let site = Site::new("suspended");
    site.connect("crm", &crm);
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    let suspend = |yes: bool| {
        let patch = format!("{{\"spec\": {{\"suspend\": {yes}}}}}");
        site.kubectl(
            &["patch", "offboarding", "leaver-1", "--type=merge", "-p", &patch],
            "",
        )
        .expect_ok();
    };
    suspend(true);
    site.until("offboarding/leaver-1", "Ready", "False/Suspended");
    assert_eq!(asked(&crm, "/Groups/"), 0);
    suspend(false);
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(asked(&crm, "/Groups/") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_write_in_between_is_never_written_over() {
    let (crm, _) = slow().await;
    let site = Site::new("stale");
    site.connect("crm", &crm);
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    site.kubectl(&["label", "offboarding", "leaver-1", "ticket=7"], "")
        .expect_ok();
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert_eq!(
        site.get("offboarding/leaver-1")["metadata"]["labels"]["ticket"],
        "7"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_ends_within_ten_seconds_whatever_hangs() {
    let (crm, _) = application("jane@example.com").await;
    crm.control().arrange("PATCH", "/Users/", 1000, Mishap::Hang);
    let site = Site::new("sigterm");
    site.connect("crm", &crm);
    let mut operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    operator.signal("TERM");
    let (code, took) = operator.wait();
    assert_eq!(code, Some(0), "{}", operator.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let (crm, id) = slow().await;
    let site = Site::new("killed");
    site.connect("crm", &crm);
    let mut operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    begun(&crm, &operator);
    operator.kill();
    let _operator = site.start();
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&id), Some(false));
    assert!(!logs_in(&crm, "jane@example.com"));
    assert!(
        asked(&crm, "/Users/") <= 2,
        "asked more than once by each process"
    );
    let records = site.records();
    assert_eq!(records.len(), 1);
    let chain: Vec<Entry> = serde_json::from_value(records[0]["spec"]["evidence"].clone()).unwrap();
    assert_eq!(evidence::first_broken(&chain), None);
    let verified = chain
        .iter()
        .filter(|e| e.fact == "AccountDisabled" && e.event == "Verified");
    assert_eq!(verified.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_was_to_leave_later_leaves_now_when_it_becomes_urgent() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("urgent");
    site.connect("crm", &crm);
    let _operator = site.start();
    let spec =
        "{employee: {email: jane@example.com}, lastDay: '2099-01-31', cutoff: {timeZone: Europe/Berlin}}";
    site.offboarding("leaver-1", spec);
    site.until("offboarding/leaver-1", "Ready", "True/Scheduled");
    assert!(logs_in(&crm, "jane@example.com"));
    let patch = r#"{"spec": {"urgency": "Immediate"}}"#;
    site.kubectl(
        &["patch", "offboarding", "leaver-1", "--type=merge", "-p", patch],
        "",
    )
    .expect_ok();
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&crm, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_one_acts_and_the_other_takes_over_at_once_when_it_ends() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("two");
    site.connect("crm", &crm);
    let acts = |operator: &Operator| operator.log().contains("the lease is ours");
    let ready = |operator: &Operator| operator.http("/readyz").contains("200 OK");
    let mut first = site.start_with(&["--lease=offboard"]);
    assert!(
        poll(PATIENCE, || acts(&first) && ready(&first)),
        "{}",
        first.log()
    );
    let second = site.start_with(&["--lease=offboard"]);
    assert!(
        poll(PATIENCE, || ready(&second)),
        "one that waits is ready: {}",
        second.log()
    );
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!acts(&second), "{}", second.log());
    assert_eq!(second.passes("done"), 0);
    first.signal("TERM");
    assert_eq!(first.wait().0, Some(0));
    // Well before the Lease would have run out.
    assert!(poll(Duration::from_secs(8), || acts(&second)), "{}", second.log());
    let sam = crm.add_user("sam@example.com", None, super::site::PASSWORD);
    site.leaver("leaver-2", "sam@example.com");
    site.until("offboarding/leaver-2", "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&sam), Some(false));
}
