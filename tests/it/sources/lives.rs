//! What happens to people in an HR system, and what becomes of it.

use offboard::simulators::scim::Scim;
use serde_json::{Value, json};

use super::office::{Mode, Office, SOURCE, ending, in_days, person, staff, with};
use crate::{
    operator::site::{PASSWORD, PATIENCE, logs_in},
    support::poll,
};

/// The company with some staff, and more people.
fn company(more: &[Value]) -> Vec<Value> {
    [staff(100), more.to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_entry_loses_access_at_once_and_whoever_stays_keeps_it() {
    let crm = Scim::start().await.unwrap();
    for name in ["person1@example.com", "person2@example.com"] {
        crm.add_user(name, None, PASSWORD);
    }
    let office = Office::new("late").await;
    office.site.connect("crm", &crm);
    let gone = with(ending(1, &in_days(-30)), "reason", "resignation");
    office.hr.has(&company(&[gone, ending(2, &in_days(10))]));
    office.source("");
    let _operator = office.site.start();
    office
        .site
        .until("offboarding/leaver-0001", "AccessRevoked", "True/Verified");
    office
        .site
        .until("offboarding/leaver-0002", "Ready", "True/Scheduled");
    assert!(!logs_in(&crm, "person1@example.com") && logs_in(&crm, "person2@example.com"));
    office.until("True/Synced");
    let counts = office.status()["counts"].clone();
    assert_eq!(counts["people"], 102);
    assert_eq!((&counts["active"], &counts["upcoming"]), (&json!(101), &json!(1)));
    let made = office.site.get("offboarding/leaver-0001");
    assert_eq!(made["spec"]["reason"], "Resignation");
    assert_eq!(made["spec"]["cutoff"]["timeZone"], "Europe/Berlin");
    assert_eq!(made["metadata"]["annotations"]["offboard.dev/source"], "hr");
    let whole = [
        "get",
        "offboarding",
        "leaver-0001",
        "-o",
        "json",
        "--show-managed-fields",
    ];
    let whole = office.site.kubectl(&whole, "").expect_ok();
    assert!(whole.contains("\"manager\": \"offboard-source\""), "{whole}");
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
    let far = [ending(8, &in_days(60)), ending(9, "2019-01-31")];
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
    assert!(text.contains("another person has the same address (2)"), "{text}");
    assert!(!text.contains("person5"), "{text}");
    office.another_look(&operator);
    assert_eq!(office.leavers(), ["leaver-0003"]);
    let counts = office.status()["counts"].clone();
    assert_eq!((&counts["unusable"], &counts["staying"]), (&json!(2), &json!(5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offboarding_follows_the_date_and_keeps_still_when_nothing_changes() {
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
    assert_eq!(
        office.writes(),
        (2, 2),
        "a look that finds nothing writes nothing"
    );
    office
        .hr
        .has(&company(&[ending(1, &in_days(3)), ending(2, &in_days(20))]));
    office.until_leaver("leaver-0001", "lastDay", in_days(3));
    // Access has ended: only a person can say what a later day means now.
    let asks = "/metadata/annotations/offboard.dev~1asks";
    let asked = || office.site.get("offboarding/leaver-0002").pointer(asks).is_some();
    assert!(poll(PATIENCE, asked), "{}", office.status());
    assert_eq!(office.leaver("leaver-0002", "lastDay"), json!(in_days(-5)));
    let counted = || office.status()["counts"]["asked"] == 1;
    assert!(poll(PATIENCE, counted), "{}", office.status());
    office
        .hr
        .has(&company(&[ending(1, &in_days(3)), ending(2, &in_days(-5))]));
    assert!(poll(PATIENCE, || !asked()), "the question stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_taken_back_suspends_before_the_cutoff_and_asks_after_it() {
    let office = Office::new("back").await;
    office
        .hr
        .has(&company(&[ending(1, &in_days(5)), ending(2, &in_days(-5))]));
    office.source("");
    let operator = office.site.start();
    let looked_at = |name: &str| office.site.condition(name, "Ready").0 != "Unknown/NotObserved";
    for name in ["offboarding/leaver-0001", "offboarding/leaver-0002"] {
        assert!(poll(PATIENCE, || office.leavers().len() == 2 && looked_at(name)));
    }
    office.hr.has(&company(&[person(1), person(2)]));
    office.until_leaver("leaver-0001", "suspend", true);
    office.another_look(&operator);
    assert_eq!(office.leaver("leaver-0002", "suspend"), json!(false));
    let asked = || office.status()["counts"]["asked"] == 2;
    assert!(poll(PATIENCE, asked), "{}", office.status());
    // Somebody who goes all the same goes by a new day.
    office.hr.has(&company(&[ending(1, &in_days(7)), person(2)]));
    office.until_leaver("leaver-0001", "suspend", false);
    assert_eq!(office.leaver("leaver-0001", "lastDay"), json!(in_days(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_taken_back_where_the_source_says_so_and_after_a_leave() {
    let office = Office::new("reinstate").await;
    office.hr.has(&company(&[
        ending(1, &in_days(-5)),
        with(person(2), "status", "Leave"),
    ]));
    office.source(", onWithdrawn: Reinstate, onLeave: Offboard");
    let _operator = office.site.start();
    office.until_leaver("leaver-0001", "desired", "Offboarded");
    office.until_leaver("leaver-0002", "urgency", "Immediate");
    assert_eq!(office.leaver("leaver-0002", "reason"), json!("Leave"));
    office.hr.has(&company(&[person(1), person(2)]));
    office.until_leaver("leaver-0001", "desired", "Reinstated");
    office.until_leaver("leaver-0002", "desired", "Reinstated");
    office
        .hr
        .has(&company(&[person(1), with(person(2), "status", "Leave")]));
    office.until_leaver("leaver-0002", "desired", "Offboarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_in_git_and_in_the_source_is_one_object_and_git_wins() {
    let office = Office::new("git").await;
    let spec = |day: &str| {
        format!("{{employee: {{email: person1@example.com}}, lastDay: '{day}', cutoff: {{timeZone: UTC}}}}")
    };
    office.site.offboarding("jane-doe", &spec(&in_days(9)));
    office
        .hr
        .has(&company(&[ending(1, &in_days(5)), ending(2, &in_days(5))]));
    office.source("");
    let operator = office.site.start();
    office.until_leaver("leaver-0002", "lastDay", in_days(5));
    let text = office.until("True/Synced");
    assert!(
        text.contains(&format!("jane-doe: the source says last day {}", in_days(5))),
        "{text}"
    );
    // Git takes over what the source made: from now on the source only says that days differ.
    let taken = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "leaver-0002"},
        "spec": {"employee": office.leaver("leaver-0002", "employee"), "lastDay": in_days(8)},
    });
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=kustomize-controller",
        "-f",
        "-",
    ];
    office.site.kubectl(&apply, &taken.to_string()).expect_ok();
    office.another_look(&operator);
    office.another_look(&operator);
    assert_eq!(office.leaver("leaver-0002", "lastDay"), json!(in_days(8)));
    assert_eq!(office.leaver("jane-doe", "lastDay"), json!(in_days(9)));
    assert_eq!(office.leavers(), ["jane-doe", "leaver-0002"]);
    assert_eq!(office.status()["counts"]["asked"], 2);
    let (written, _) = office.writes();
    assert_eq!(written, 1, "only the one that it made");
    let events = office.site.get("events.events.k8s.io").to_string();
    assert!(events.contains("SourceDiffers"), "{events}");
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
