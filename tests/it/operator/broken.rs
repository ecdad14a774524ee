//! What is broken says which field and what to do, delays nobody else, and is taken up again as soon as it is mended.

use std::time::Duration;

use offboard_simulators::{scim::Scim, server::Mishap};

use super::site::{PASSWORD, PATIENCE, Site, application, logs_in};
use crate::support::{self, poll};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named_and_delays_no_other_system() {
    let (crm, id) = application("jane@example.com").await;
    let (wiki, wiki_id) = application("jane@example.com").await;
    let site = Site::new("secret");
    site.connect("crm", &crm);
    site.connector("wiki", "scim", &format!("{{url: '{}'}}", wiki.base()));
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    let message = site.until("connector/wiki", "Ready", "False/SecretNotFound");
    assert_eq!(
        message,
        "spec.secretRef.name: there is no Secret \"wiki\" in this namespace: create it"
    );
    assert!(poll(PATIENCE, || crm.is_active(&id) == Some(false)));
    let message = site.until("offboarding/leaver-1", "Stalled", "True/ConnectorNotReady");
    assert!(message.starts_with("wiki: spec.secretRef.name"), "{message}");
    assert_eq!(wiki.is_active(&wiki_id), Some(true));
    // Nothing but the Secret changes.
    site.secret("wiki", "token", wiki.token());
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&wiki, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_secret_is_taken_up_without_a_restart() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("renewed");
    site.secret("crm", "token", "expired");
    site.connector("crm", "scim", &format!("{{url: '{}'}}", crm.base()));
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "False/ConnectorNotReady");
    site.until("connector/crm", "Ready", "False/LoginFailed");
    assert!(logs_in(&crm, "jane@example.com"));
    site.secret("crm", "token", crm.token());
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    site.until("connector/crm", "Ready", "True/LoginOK");
    assert!(!logs_in(&crm, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_wrong_names_its_field_and_one_made_at_run_time_works() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("definition");
    let name = support::unique("own");
    site.secret("crm", "token", crm.token());
    site.connector("crm", &name, &format!("{{url: '{}'}}", crm.base()));
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    let message = site.until("connector/crm", "Ready", "False/InvalidDefinition");
    assert!(
        message.starts_with("spec.definition: there is no definition"),
        "{message}"
    );
    let sound = include_str!("../../../src/connectors/definitions/scim.yaml")
        .replace("name: scim", &format!("name: {name}"));
    let wrong = sound.replace("after: [AccountDisabled]", "after: [AccountDisabledd]");
    assert_ne!(wrong, sound);
    site.apply(&wrong);
    let what = format!("connectordefinition/{name}");
    let message = site.until(&what, "Ready", "False/Invalid");
    assert!(message.contains("facts.GroupsRemoved.after"), "{message}");
    site.apply(&sound);
    site.until(&what, "Ready", "True/Valid");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&crm, "jane@example.com"));
    site.kubectl(&["delete", "connectordefinition", &name], "")
        .expect_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_inputs_policies_and_references_say_which_field() {
    let site = Site::new("fields");
    site.secret("crm", "token", "t");
    site.connector("crm", "scim", "{url: 'ftp://crm'}");
    site.policy("{timeline: [{skip: [Nonsense]}]}");
    let _operator = site.start();
    let message = site.until("connector/crm", "Ready", "False/InvalidInputs");
    assert!(message.starts_with("spec.inputs.url"), "{message}");
    site.connector("crm", "scim", "{url: 'http://127.0.0.1:1/scim'}");
    site.until("connector/crm", "Ready", "True/Valid");
    let message = site.until("offboardingpolicy/default", "Ready", "False/Invalid");
    assert!(message.starts_with("spec.timeline[0]: \"Nonsense\""), "{message}");
    let spec = "{employee: {email: jane@example.com}, urgency: Immediate, policyRef: {name: strict}}";
    site.offboarding("leaver-1", spec);
    let message = site.until("offboarding/leaver-1", "Ready", "False/InvalidSpec");
    assert!(
        message.starts_with("spec.policyRef.name: there is no OffboardingPolicy"),
        "{message}"
    );
    site.policy("{}");
    site.until("offboardingpolicy/default", "Ready", "True/Valid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_hangs_delays_neither_another_system_nor_another_leaver() {
    let (crm, id) = application("jane@example.com").await;
    let sam = crm.add_user("sam@example.com", None, PASSWORD);
    let hanging = Scim::start().await.unwrap();
    hanging.control().arrange("", "/scim", 1000, Mishap::Hang);
    let site = Site::new("hanging");
    site.connect("crm", &crm);
    site.connect("hanging", &hanging);
    let _operator = site.start();
    site.gone("leaver-1", "jane@example.com");
    assert!(poll(Duration::from_secs(15), || crm.is_active(&id) == Some(false)));
    let shown = || {
        let status = site.get("offboarding/leaver-1")["status"].clone();
        let rows = status["systems"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .any(|row| row["name"] == "crm" && row["conditions"][0]["status"] == "True")
    };
    assert!(
        poll(Duration::from_secs(15), shown),
        "{:#}",
        site.get("offboarding/leaver-1")
    );
    site.leaver("leaver-2", "sam@example.com");
    assert!(poll(Duration::from_secs(15), || crm.is_active(&sam) == Some(false)));
    assert_ne!(
        site.condition("offboarding/leaver-1", "AccessRevoked").0,
        "True/Verified"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_understood_stops_the_work_and_is_never_written_over() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("record");
    site.connect("crm", &crm);
    site.policy("{recheck: {every: 1s}}");
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    drop(operator);
    let name = site.records()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let patch = r#"{"spec": {"systems": {"crm": {"facts": {"AccountDisabled": {"verified": "canary"}}}}}}"#;
    site.kubectl(
        &["patch", "offboardingrecord", &name, "--type=merge", "-p", patch],
        "",
    )
    .expect_ok();
    let version = site.records()[0]["metadata"]["resourceVersion"].clone();
    let _operator = site.start();
    let message = site.until("offboarding/leaver-1", "Stalled", "True/RecordUnreadable");
    assert!(
        message.contains("spec.systems[\"crm\"].facts.AccountDisabled.verified"),
        "{message}"
    );
    assert!(!message.contains("canary"), "{message}");
    assert_eq!(site.records()[0]["metadata"]["resourceVersion"], version);
    assert_eq!(crm.is_active(&id), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_evidence_somebody_changed_is_worked_with_no_more() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("altered");
    site.connect("crm", &crm);
    site.policy("{recheck: {every: 1s}}");
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    drop(operator);
    let name = site.records()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let patch = r#"[{"op": "replace", "path": "/spec/evidence/0/account", "value": "somebody-else"}]"#;
    site.kubectl(
        &["patch", "offboardingrecord", &name, "--type=json", "-p", patch],
        "",
    )
    .expect_ok();
    let version = site.records()[0]["metadata"]["resourceVersion"].clone();
    let _operator = site.start();
    let message = site.until("offboarding/leaver-1", "Stalled", "True/RecordAltered");
    assert!(message.contains("spec.evidence[0] does not fit"), "{message}");
    assert_eq!(site.records()[0]["metadata"]["resourceVersion"], version);
    assert_eq!(crm.is_active(&id), Some(false));
}
