//! How people leave: in the normal way, at once, late, for ever.

use jiff::Timestamp;
use serde_json::json;

use super::{
    fact,
    staff::{EVERYWHERE, NOWHERE},
    story::{Story, soon},
};
use crate::{operator::site::PATIENCE, support::poll};

#[test]
fn standard_resignation_ends_access_at_the_cutoff_and_not_before() {
    let mut story = Story::open("standard-resignation", &["jane.doe", "max.berg"]);
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    assert!(!story.staff.has_what_was_of("max.berg", "jane.doe"));
    // Told before, so that the password ends even if we do not.
    story.until(|| story.staff.expiry("jane.doe") != "infinity");

    // Nobody waits for weeks here: the last day becomes today, and five o'clock the next full minute.
    let (cutoff, day, time) = soon("Europe/Berlin");
    let last_day = story.leaver("jane-doe")["spec"]["lastDay"].clone();
    let sooner = json!({"spec": {"lastDay": day, "cutoff": {"time": time}}}).to_string();
    let patch = ["patch", "leaver", "jane-doe", "--type=merge", "-p", &sooner];
    story.site.kubectl(&patch, "").expect_ok();
    story.reads(last_day.as_str().unwrap(), &day);
    let over = || {
        let open = story.staff.gets_in("jane.doe");
        let over = Timestamp::now() >= cutoff;
        assert!(over || open == EVERYWHERE, "too early: {open:?}");
        over
    };
    assert!(poll(PATIENCE * 2, over));
    story.next("kubectl get leavers");
    assert_eq!(story.leaver("jane-doe")["status"]["cutoff"], json!(cutoff));
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    let nothing = (String::new(), String::new());
    assert_eq!(story.staff.memberships("jane.doe"), nothing);
    assert!(story.staff.has_what_was_of("max.berg", "jane.doe"));
    assert_eq!(story.staff.gets_in("max.berg"), EVERYWHERE);
    story.end();
}

#[test]
fn dismissal_now_ends_open_sessions_too() {
    let mut story = Story::open("dismissal-now", &["jane.doe"]);
    let mut session = story.staff.session("jane.doe");
    let mut other = story.staff.session("sam.lee");
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl wait");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert!(!session.answers(), "the session goes on");
    assert!(other.answers());
    story.next("kubectl get leavers");
    story.next("kubectl get leaver");
    assert!(story.staff.has_what_was_of("sam.lee", "jane.doe"));
    story.end();
}

#[test]
fn contractor_ends_by_the_contracts_end_with_a_timeline_of_its_own_and_no_mailbox_for_anybody() {
    let mut story = Story::open(
        "contractor-ends",
        &["chris.fox", "dora.elm", "erin.ash", "max.berg"],
    );
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    story.next("kubectl get leavers");
    for name in ["chris.fox", "dora.elm", "erin.ash"] {
        assert_eq!(story.staff.gets_in(name), NOWHERE, "{name}");
    }
    assert_eq!(story.staff.gets_in("max.berg"), EVERYWHERE);
    // Within the week after the contract, and after it.
    let [chris, dora, erin] = ["leaver-0301", "leaver-0302", "leaver-0303"].map(|name| story.leaver(name));
    assert_eq!(fact(&chris, "warehouse", "ObjectsReassigned"), "Unknown/NotDue");
    assert!(!story.staff.has_what_was_of("max.berg", "chris.fox"));
    assert!(story.staff.has_what_was_of("max.berg", "dora.elm"));
    assert!(story.staff.has_what_was_of("max.berg", "erin.ash"));
    for contractor in [&chris, &dora] {
        assert_eq!(fact(contractor, "mailbox", "MailboxHandedOver"), "");
        assert_eq!(contractor["spec"]["profile"]["kind"], "Contractor");
    }
    assert_eq!(
        fact(&erin, "mailbox", "MailboxHandedOver"),
        "False/AwaitingManualTask"
    );
    story.end();
}

#[test]
fn late_entry_ends_access_at_once_and_whoever_stays_keeps_it() {
    let mut story = Story::open("late-entry", &["jane.doe", "joe.ray"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(story.staff.gets_in("joe.ray"), EVERYWHERE);
    story.site.until("leaversource/hr", "Ready", "True/Synced");
    let counts = story.source()["counts"].clone();
    assert_eq!(
        (&counts["people"], &counts["active"], &counts["upcoming"]),
        (&json!(103), &json!(101), &json!(1))
    );
    let made = story.leaver("leaver-0117");
    assert_eq!(made["spec"]["reason"], "Resignation");
    assert_eq!(made["spec"]["cutoff"]["timeZone"], "Europe/Berlin");
    assert_eq!(made["metadata"]["annotations"]["offboard.dev/source"], "hr");
    let whole = [
        "get",
        "leaver",
        "leaver-0117",
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let whole = story.site.kubectl(&whole, "").expect_ok();
    assert!(whole.contains("\"manager\": \"offboard-source\""), "{whole}");
    story.end();
}

#[test]
fn moved_date_is_followed_until_access_has_ended_and_asked_about_then() {
    let mut story = Story::open("moved-date", &["jane.doe", "joe.ray"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    let armed = |story: &Story| {
        let day = story.leaver("leaver-0117")["spec"]["lastDay"]
            .as_str()
            .unwrap()
            .to_owned();
        story.until(|| story.staff.expiry("jane.doe").starts_with(&day));
    };
    armed(&story);
    story.export("workers-moved.csv");
    story.next("kubectl get leavers");
    armed(&story);
    story.next("kubectl get leaver");
    story.until(|| story.source()["counts"]["asked"] == 1);
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    assert_eq!(story.staff.gets_in("joe.ray"), NOWHERE);
    // HR takes the later day back, and the question goes.
    story.export("workers.csv");
    let asks = || story.leaver("leaver-0118")["metadata"]["annotations"]["offboard.dev/asks"].clone();
    story.until(|| asks().is_null());
    story.end();
}

#[test]
fn death_ends_access_and_leaves_mail_and_data_alone_for_a_while() {
    let mut story = Story::open("death", &["jane.doe", "max.berg"]);
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    story.next("kubectl get leaver");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    let jane = story.leaver("leaver-0117");
    assert_eq!(fact(&jane, "directory", "OwnershipHandedOver"), "Unknown/NotDue");
    assert!(!story.staff.has_what_was_of("max.berg", "jane.doe"));
    story.end();
}

#[test]
fn garden_leave_ends_access_now_and_groups_with_the_contract() {
    let mut story = Story::open("garden-leave", &["jane.doe", "max.berg"]);
    let before = story.staff.memberships("jane.doe");
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl wait");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(story.staff.memberships("jane.doe"), before);
    assert!(story.staff.has_what_was_of("max.berg", "jane.doe"));
    let jane = story.leaver("jane-doe");
    assert_eq!(jane["status"]["policy"], "garden-leave");
    assert_eq!(fact(&jane, "directory", "GroupsLeft"), "Unknown/NotDue");
    // Two policies that would both fit are refused where they are written.
    story.site.apply(
        "{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: rival}, spec: {priority: 30, \
         when: 'true'}}",
    );
    let why = story
        .site
        .until("offboardingpolicy/rival", "Ready", "False/Invalid");
    assert!(why.contains("spec.priority"), "{why}");
    story.end();
}
