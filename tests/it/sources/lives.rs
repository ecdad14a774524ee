//! How an HR system is read, and what becomes of it. Whole lives that begin in one are in `scenarios`.

use offboard_simulators::scim::Scim;
use serde_json::{Value, json};

use super::office::{Mode, Office, SOURCE, ending, in_days, person, staff, with};
use crate::{
    operator::site::{PASSWORD, PATIENCE},
    support::poll,
};

/// The company with some staff, and more people.
fn company(more: &[Value]) -> Vec<Value> {
    [staff(100), more.to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_people_whose_work_ends_become_leavers() {
    let office = Office::new("who").await;
    let day = in_days(5);
    let taken_on = [
        with(
            with(
                with(ending(1, &in_days(-1)), "kind", "Contractor"),
                "number",
                "C-1",
            ),
            "id",
            "r1a",
        ),
        with(person(1), "starts", in_days(0)),
    ];
    let transferred = [
        with(ending(2, &day), "id", "r2a"),
        with(person(2), "starts", in_days(6)),
    ];
    let namesakes = [
        with(ending(3, &day), "name", "Jane Doe"),
        with(person(4), "name", "Jane Doe"),
    ];
    let contested = [
        ending(5, &day),
        with(ending(6, &day), "mail", "PERSON5@example.com"),
    ];
    let on_leave = [with(person(7), "status", "Leave")];
    let far = [
        ending(8, &in_days(60)),
        with(ending(9, "2019-01-31"), "status", "Terminated"),
    ];
    let left_out = [with(ending(10, &day), "department", "Interns")];
    let protected = [ending(11, &day)];
    let all = [taken_on, transferred, namesakes, contested].concat();
    let all = [
        all,
        on_leave.to_vec(),
        far.to_vec(),
        left_out.to_vec(),
        protected.to_vec(),
    ]
    .concat();
    office.hr.has(&company(&all));
    office.source(", when: \"person.department != 'Interns'\", protected: ['0011']");
    let operator = office.site.start();
    let text = office.until("True/Synced");
    assert!(
        text.contains("another person has the same address (record 1"),
        "{text}"
    );
    assert!(!text.contains("person5"), "{text}");
    office.another_look(&operator);
    assert_eq!(office.leavers(), ["leaver-0003"]);
    let counts = office.status()["counts"].clone();
    assert_eq!((&counts["unusable"], &counts["staying"]), (&json!(2), &json!(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_nothing_writes_nothing() {
    let office = Office::new("moved").await;
    office
        .hr
        .has(&company(&[ending(1, &in_days(5)), ending(2, &in_days(-5))]));
    office.source("");
    let operator = office.site.start();
    office.until_leaver("leaver-0001", "lastDay", in_days(5));
    office.until("True/Synced");
    // One for the guard's memory, one for the result.
    assert_eq!(office.writes(), (2, 2));
    office.another_look(&operator);
    office.another_look(&operator);
    assert_eq!(office.writes(), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expression_that_is_wrong_is_named_and_one_that_fails_spoils_its_person_only() {
    let office = Office::new("mapping").await;
    office.hr.has(&company(&[
        ending(1, &in_days(5)),
        with(ending(2, &in_days(5)), "department", "7"),
    ]));
    office.source(", map: {lastDay: 'person.'}");
    let _operator = office.site.start();
    let text = office.until("False/Invalid");
    assert!(text.starts_with("spec.map.lastDay: not an expression"), "{text}");
    assert_eq!(office.hr.asked(), 0);
    office.source(", map: {site: \"person.department == null ? 'Berlin' : person.department + 7\"}");
    let text = office.until("True/Synced");
    assert!(text.contains("spec.map.site: "), "{text}");
    assert_eq!(office.leavers(), ["leaver-0001"]);
    assert_eq!(
        office.site.get("offboarding/leaver-0001")["spec"]["profile"]["site"],
        "Berlin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hr_system_that_fails_or_hangs_delays_nobody() {
    let crm = Scim::start().await.unwrap();
    crm.add_user("jane@example.com", None, PASSWORD);
    let office = Office::new("broken").await;
    office.site.connect("crm", &crm);
    office.hr.is(Mode::Silent);
    office.source("");
    // A second source on an HR system that works.
    let other = Office::new("works").await;
    other.hr.has(&company(&[ending(1, &in_days(5))]));
    other.source("");
    let operator = office.site.start();
    let _other = other.site.start();
    other.until_leaver("leaver-0001", "lastDay", in_days(5));
    assert!(poll(PATIENCE, || office.hr.asked() > 0), "{}", operator.log());
    office.site.leaver("jane", "jane@example.com");
    office
        .site
        .until("offboarding/jane", "AccessRevoked", "True/Verified");
    // The driver's own deadline ends the silence.
    office.hr.is(Mode::Broken);
    let text = office.until("False/FetchFailed");
    assert!(
        text.starts_with("hr: the people could not be read: ") && !text.contains("example.com"),
        "{text}"
    );
    assert_eq!(
        office.site.condition(SOURCE, "Reconciling").0,
        "True/ProgressingWithRetry"
    );
    office.hr.is(Mode::Refuses);
    office.site.until("connector/hr", "Ready", "False/LoginFailed");
    office.hr.has(&company(&[ending(1, &in_days(5))]));
    office.hr.is(Mode::Works);
    office.until("True/Synced");
    office.until_leaver("leaver-0001", "lastDay", in_days(5));
    let missing = "{apiVersion: offboard.dev/v1alpha1, kind: LeaverSource, metadata: {name: none}, spec: {connectorRef: {name: none}}}";
    office.site.apply(missing);
    let text = office
        .site
        .until("leaversource/none", "Ready", "False/ConnectorNotReady");
    assert!(text.starts_with("spec.connectorRef.name: "), "{text}");
    office
        .site
        .apply(&missing.replace("name: none}}}", "name: crm}}}"));
    let lists_none = || {
        office
            .site
            .condition("leaversource/none", "Ready")
            .1
            .contains("lists no people")
    };
    assert!(poll(PATIENCE, lists_none));
    office
        .site
        .apply(&missing.replace("name: none}}}", "name: hr}, suspend: true}}"));
    office.site.until("leaversource/none", "Ready", "False/Suspended");
    assert!(
        operator
            .http("/metrics")
            .contains("offboarding_source_last_success_timestamp_seconds{")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_used_are_named_in_the_condition_an_event_and_the_log() {
    let office = Office::new("unusable").await;
    let day = in_days(5);
    let broken = [
        with(person(1), "ends", "04.12.26"),
        with(ending(2, &day), "status", "Left the company"),
        with(ending(3, &day), "mail", "person3@"),
    ];
    office
        .hr
        .has(&company(&[&[ending(4, &day)], &broken[..]].concat()));
    office.source("");
    let operator = office.site.start();
    let text = office.until("True/Synced");
    let expected = "3 of 104 records are unusable: lastDay: not a date (record 102); \
                    status: not Active, Leave or Terminated (record 103); email: not an address (record 104)";
    assert_eq!(text, expected);
    let events = || {
        let events = office.site.get("events.events.k8s.io").to_string();
        events.contains("RecordsUnusable") && events.contains("record 102")
    };
    assert!(poll(PATIENCE, events));
    let log = operator.log();
    for place in ["record 102", "record 103", "record 104"] {
        let lines = log
            .lines()
            .filter(|line| line.contains(place) && line.contains("cannot be used"));
        assert_eq!(lines.count(), 1, "{place} in {log}");
    }
    for secret in ["04.12.26", "Left the", "person3@"] {
        assert!(!log.contains(secret) && !text.contains(secret), "{secret}");
    }
    office.source(", maxUnusablePercent: 1");
    assert_eq!(office.until("False/Degraded"), expected);
    office.until_leaver("leaver-0004", "lastDay", day);
    office.hr.has(&company(&[ending(4, &in_days(5))]));
    assert_eq!(office.until("True/Synced"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_without_a_day_leaves_when_that_is_first_seen_and_the_day_never_moves() {
    let office = Office::new("undated").await;
    let gone = with(person(1), "status", "Terminated");
    let no_show = with(
        with(ending(2, &in_days(-3)), "starts", in_days(-2)),
        "status",
        "Terminated",
    );
    office.hr.has(&company(&[person(1), person(2)]));
    office.source("");
    let mut operator = office.site.start();
    office.until("True/Synced");
    office.hr.has(&company(&[gone.clone(), no_show.clone()]));
    office.until_leaver("leaver-0001", "urgency", "Immediate");
    office.until_leaver("leaver-0002", "lastDay", in_days(-3));
    let undated = office.status()["undated"].clone();
    let since = undated[0]["since"].clone();
    assert_eq!(office.leaver("leaver-0001", "lastDay"), since);
    assert!(
        [in_days(0), in_days(-1)].iter().any(|day| since == day.as_str()),
        "{undated}"
    );
    assert!(!undated.to_string().contains("p1"), "{undated}");
    // Two weeks later: what is in the status counts, not the day of the look.
    operator.kill();
    let earlier = json!([{"since": in_days(-14), "records": undated[0]["records"]}]);
    let patch = json!({"status": {"undated": earlier}}).to_string();
    office
        .site
        .kubectl(
            &[
                "patch",
                "leaversource",
                "hr",
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch,
            ],
            "",
        )
        .expect_ok();
    office
        .site
        .kubectl(&["delete", "offboarding", "leaver-0001", "--wait=false"], "")
        .expect_ok();
    operator = office.site.start();
    office.until_leaver("leaver-0001", "lastDay", in_days(-14));
    office.hr.has(&company(&[person(1), no_show]));
    let forgotten = || office.status()["undated"].is_null();
    assert!(
        poll(PATIENCE, forgotten),
        "{}\n{}",
        office.status(),
        operator.log()
    );
}
