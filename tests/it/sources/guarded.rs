//! Errors in an HR system never become a mass lockout, and a real layoff needs one yes for exactly that set.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::office::{Office, SOURCE, ending, in_days, person, staff, with};
use crate::{
    operator::site::PATIENCE,
    support::{control_plane, poll},
};

/// A thousand people, of whom these many leave.
pub fn layoff(leaving: u32) -> Vec<Value> {
    let day = in_days(5);
    let staying = (leaving..1000).map(person);
    (0..leaving)
        .map(|number| ending(number, &day))
        .chain(staying)
        .collect()
}

/// The digest of what is held, and the uid of the source.
pub fn held(office: &Office) -> (String, String) {
    let digest = office.status()["guard"]["held"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let uid = office.site.get(SOURCE)["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    (digest, uid)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_a_held_set_and_nobody_who_leaves_anyway_lets_it_through() {
    let office = Office::new("self-release").await;
    office.hr.has(&layoff(20));
    office.source("");
    office.site.offboarding(
        "gina",
        "{employee: {email: gina@example.com}, lastDay: '2099-01-31', cutoff: {timeZone: UTC}}",
    );
    let operator = office.site.start();
    office.until("False/GuardTripped");
    let held = held(&office);
    for (user, principal) in [
        ("person3@example.com", None),
        ("Person3@Example.com", None),
        ("hr:0003", None),
        ("alice", Some("person3@example.com")),
        ("gina@example.com", None),
    ] {
        let made = office.approve_as(user, principal, &held);
        office.site.until(&made, "Ready", "False/SelfApproval");
    }
    let alice = office.approve_as("alice", Some("bob"), &held);
    office.site.until(&alice, "Ready", "False/NotAnApprover");
    office.another_look(&operator);
    assert_eq!(office.leavers(), ["gina"]);
    // Somebody who stays.
    let person = office.approve_as("person500@example.com", None, &held);
    office.until("True/Synced");
    office.site.until(&person, "Ready", "True/Counted");
    assert_eq!(office.leavers().len(), 21);
    // What was counted stays so when another set is held.
    let mut people = layoff(20);
    people.splice(100..120, (100..120).map(|number| ending(number, &in_days(6))));
    office.hr.has(&people);
    office.until("False/GuardTripped");
    office.another_look(&operator);
    assert_eq!(office.site.condition(&person, "Ready").0, "True/Counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_must_go_now_is_held_too_and_the_condition_says_so() {
    let office = Office::new("urgent").await;
    let mut people = layoff(20);
    people[0] = with(person(0), "now", true);
    office.hr.has(&people);
    office.source("");
    let _operator = office.site.start();
    let text = office.until("False/GuardTripped");
    assert!(text.contains("1 END ACCESS NOW"), "{text}");
    let events = || {
        office
            .site
            .get("events.events.k8s.io")
            .to_string()
            .contains("GuardTripped")
    };
    assert!(poll(PATIENCE, events));
}

#[tokio::test(flavor = "multi_thread")]
async fn feeds_that_are_shrunken_or_old_change_nothing() {
    let office = Office::new("feeds").await;
    let leaver = ending(1, &in_days(5));
    let people = [staff(100), vec![leaver.clone()]].concat();
    office.hr.has(&people);
    office.source(", onWithdrawn: Reinstate");
    let operator = office.site.start();
    office.until("True/Synced");
    let before = office.site.get("offboarding/leaver-0001")["metadata"]["resourceVersion"].clone();
    let tripped = |why: &str| {
        let tripped = || office.status()["guard"]["tripped"] == why;
        assert!(poll(PATIENCE, tripped), "{}", office.status());
        office.until("False/GuardTripped");
    };
    let moved = [ending(1, &in_days(1)), ending(2, &in_days(1))];
    office.hr.has(&[staff(50), moved.to_vec()].concat());
    tripped("Shrunken");
    // Everybody is there, but the file is of the day before yesterday.
    let feed = [staff(100), moved.to_vec()].concat();
    office.hr.has(&feed);
    office.hr.is_of(Timestamp::now() - SignedDuration::from_hours(48));
    tripped("Stale");
    office.another_look(&operator);
    assert_eq!(office.leavers(), ["leaver-0001"]);
    let after = office.site.get("offboarding/leaver-0001");
    assert_eq!(after["spec"]["lastDay"], in_days(5));
    assert_eq!(after["spec"]["desired"], "Offboarded");
    drop(before);
    office.hr.is_of(Timestamp::now());
    office.until("True/Synced");
    office.until_leaver("leaver-0001", "lastDay", in_days(1));
    // The file of an hour ago once more.
    office.hr.has(&[feed, vec![ending(3, &in_days(1))]].concat());
    office.hr.is_of(Timestamp::now() - SignedDuration::from_hours(1));
    tripped("Stale");
    assert_eq!(office.leavers(), ["leaver-0001", "leaver-0002"]);
    // What really shrank needs one yes.
    office.hr.is_of(Timestamp::now());
    office.hr.has(&[staff(50), moved.to_vec()].concat());
    tripped("Shrunken");
    let (digest, uid) = held(&office);
    office.approve(&digest, &uid);
    office.until("True/Synced");
    assert_eq!(office.status()["guard"]["population"], 52);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_no_approval_counts() {
    let office = Office::on(control_plane(), "untrusted").await;
    office.hr.has(&layoff(20));
    office.source("");
    let operator = office.site.start();
    office.until("False/GuardTripped");
    let (digest, uid) = held(&office);
    office.approve(&digest, &uid);
    let said = || {
        office
            .site
            .condition(SOURCE, "Ready")
            .1
            .contains("not trusted: install the chart's admission policies")
    };
    assert!(poll(PATIENCE, said), "{}", office.status());
    office.another_look(&operator);
    assert_eq!(office.leavers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_between_writing_down_and_creating_loses_nobody_and_counts_nobody_twice() {
    let office = Office::new("killed").await;
    office.hr.has(&layoff(10));
    office.source("");
    // The guard's memory is written; then the API server takes no Offboarding.
    let probe = "{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {name: probe}, \
                 spec: {employee: {employeeID: '0'}, urgency: Immediate}}";
    let refusal = office.site.refuse("offboardings", "CREATE", "false", |site| {
        site.kubectl(&["create", "--dry-run=server", "-f", "-"], probe)
    });
    let mut operator = office.site.start();
    let granted = || office.status()["guard"]["granted"].as_array().map(Vec::len) == Some(10);
    assert!(poll(PATIENCE, granted), "{}\n{}", office.status(), operator.log());
    operator.kill();
    assert_eq!(office.leavers(), [""; 0]);
    refusal.lift();
    let operator = office.site.start();
    let all = || office.leavers().len() == 10;
    assert!(poll(PATIENCE, all), "{}\n{}", office.status(), operator.log());
    let counted = || {
        let guard = office.status()["guard"].clone();
        let counts: u64 = guard["admitted"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|a| a["count"].as_u64().unwrap())
            .sum();
        guard["granted"].is_null() && counts == 10
    };
    assert!(poll(PATIENCE, counted), "{}", office.status());
    // The window is full: one more is held, after another restart too.
    office.hr.has(&layoff(11));
    office.until("False/GuardTripped");
    drop(operator);
    let operator = office.site.start();
    office.another_look(&operator);
    assert_eq!(office.leavers().len(), 10);
    office.until("False/GuardTripped");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_looser_guard_nor_a_source_that_is_made_anew_lets_through_what_was_held() {
    let office = Office::new("loosened").await;
    office.hr.has(&layoff(20));
    office.source("");
    let _operator = office.site.start();
    office.until("False/GuardTripped");
    let (first, _) = held(&office);
    let looser = ", guard: {maxNew: 500, maxPercent: 100}";
    let waits = |was: &str| {
        let line = "maxNew 10 -> 500, maxPercent 5 -> 100";
        let said = || {
            let (ready, text) = office.site.condition(SOURCE, "Ready");
            ready == "False/GuardTripped"
                && text.contains(line)
                && ![was, ""].contains(&held(&office).0.as_str())
        };
        assert!(poll(PATIENCE, said), "{:#}", office.status());
    };
    office.source(looser);
    waits(&first);
    assert_eq!(office.leavers(), [""; 0]);
    let again = |more: &str| {
        office.site.kubectl(&["delete", SOURCE], "").expect_ok();
        office.source(more);
    };
    again(looser);
    waits("");
    assert_eq!(office.leavers(), [""; 0]);
    // One yes lets both through, and is shown both.
    let sets = office.site.get("heldsets")["items"].clone();
    let set = sets
        .as_array()
        .unwrap()
        .iter()
        .find(|set| set["spec"]["plan"] == held(&office).0);
    assert_eq!(
        set.unwrap()["spec"]["loosened"][0],
        "maxNew 10 -> 500",
        "{sets:#}"
    );
    office.approve_as("alice", None, &held(&office));
    office.until("True/Synced");
    assert_eq!(office.leavers().len(), 20);
    // Where its leavers are, a source of that name was there before: even one more waits.
    office.hr.has(&layoff(21));
    again("");
    office.until("False/GuardTripped");
    assert_eq!(office.status()["guard"]["tripped"], "Recreated");
    assert_eq!(office.leavers().len(), 20);
}
