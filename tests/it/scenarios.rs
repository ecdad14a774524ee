//! Leavers' lives as people tell them, each on the real API server with the real operator.
//!
//! Lives that begin in an HR system (late entry, moved date, conversion, leave, layoff, empty feed, source and Git both) are in
//! `sources`; those that wait for people in `approvals`; a standard resignation over five real servers in `whole_story`.

use serde_json::Value;

use crate::{
    operator::site::{PATIENCE, Site, application},
    support::{self, Postgres, poll, unique},
};

const JANE: &str = "offboarding/leaver-1";

/// The groups of `user` in `crm`, by name.
fn groups(crm: &offboard::simulators::scim::Scim, user: &str, all: &[&str]) -> Vec<String> {
    let member = |group: &&&str| crm.members(group).iter().any(|id| id == user);
    all.iter()
        .filter(member)
        .map(|group| (*group).to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_rehired_gets_back_exactly_what_was_taken_and_is_nobodys_leaver_any_more() {
    let (crm, id) = application("jane@example.com").await;
    let ours = [crm.add_group("sales", &[&id]), crm.add_group("admins", &[&id])];
    let never = crm.add_group("board", &[]);
    let all = [ours[0].as_str(), ours[1].as_str(), never.as_str()];
    let before = groups(&crm, &id, &all);
    let site = Site::new("rehired");
    site.connect("crm", &crm);
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until(JANE, "Complete", "True/Verified");
    assert_eq!(
        (crm.is_active(&id), groups(&crm, &id, &all).len()),
        (Some(false), 0)
    );

    let back = "{\"spec\": {\"desired\": \"Reinstated\"}}";
    site.kubectl(&["patch", JANE, "--type=merge", "-p", back], "")
        .expect_ok();
    site.until(JANE, "Ready", "True/Reinstated");
    site.until(JANE, "AccessRevoked", "False/Reinstated");
    assert_eq!(crm.is_active(&id), Some(true));
    assert_eq!(groups(&crm, &id, &all), before);

    // Nobody is watched who came back: what IT does to the account later is IT's.
    let looked = crm.control().journal().len();
    let annotate = ["annotate", JANE, "offboard.dev/look=again"];
    site.kubectl(&annotate, "").expect_ok();
    site.until(JANE, "Ready", "True/Reinstated");
    assert_eq!(crm.control().journal().len(), looked, "it was looked at again");

    // And a leaver for a second time loses access for a second time.
    let again = "{\"spec\": {\"desired\": \"Offboarded\"}}";
    site.kubectl(&["patch", JANE, "--type=merge", "-p", again], "")
        .expect_ok();
    site.until(JANE, "Complete", "True/Verified");
    assert_eq!(
        (crm.is_active(&id), groups(&crm, &id, &all).len()),
        (Some(false), 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_the_resignation_back_in_time_is_disarmed_in_the_database_too() {
    let database = support::postgres();
    let role = unique("jane");
    database.sql_as_admin(
        "postgres",
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'old secret'"),
    );
    let until = || {
        let read = format!(
            "SELECT coalesce(rolvaliduntil::text, 'infinity') FROM pg_roles WHERE rolname = '{role}'"
        );
        database.sql_as_admin("postgres", &read).trim().to_owned()
    };
    let site = Site::new("withdrawn");
    let authority = database.tls.ca_pem();
    site.secrets(
        "db",
        &[
            ("username", Postgres::OPERATOR),
            ("password", Postgres::OPERATOR_PASSWORD),
            ("ca.crt", &authority),
        ],
    );
    site.connector(
        "db",
        "postgresql",
        &format!("{{host: localhost, port: {}}}", database.port),
    );
    let _operator = site.start();
    let spec = format!(
        "{{employee: {{email: '{role}@example.com'}}, lastDay: '2099-01-31', cutoff: {{timeZone: Europe/Berlin}}}}"
    );
    site.offboarding("leaver-1", &spec);
    site.until(JANE, "Ready", "True/Scheduled");
    assert!(
        poll(PATIENCE, || until().starts_with("2099-01-31")),
        "{}",
        until()
    );
    assert!(database.login(&role, "old secret", "postgres"));

    let back = "{\"spec\": {\"desired\": \"Reinstated\"}}";
    site.kubectl(&["patch", JANE, "--type=merge", "-p", back], "")
        .expect_ok();
    site.until(JANE, "Ready", "True/Reinstated");
    assert_eq!(until(), "infinity");
    assert!(database.login(&role, "old secret", "postgres"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legal_hold_set_in_the_middle_keeps_the_account_and_what_it_kept_goes_when_it_is_lifted() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("hold");
    site.secret("crm", "token", crm.token());
    let inputs = format!("{{url: '{}'}}", crm.base());
    site.connector_with("crm", "scim", &inputs, ", facts: {include: [AccountDeleted]}");
    // What is kept is kept for a moment after the hand-over, so that there is a middle.
    site.policy("{timeline: [{want: [AccountDeleted], at: cutoff}], retention: {accounts: 5s}}");
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until(JANE, "AccessRevoked", "True/Verified");
    let hold = |what: &str| {
        let patch = format!("{{\"spec\": {{\"legalHold\": \"{what}\"}}}}");
        site.kubectl(&["patch", JANE, "--type=merge", "-p", &patch], "")
            .expect_ok();
    };
    hold("Hold");
    let kept = || fact(&site.get(JANE), "AccountDeleted") == "False/LegalHold";
    assert!(poll(PATIENCE, kept), "{}", site.get(JANE)["status"]);
    assert_eq!(crm.is_active(&id), Some(false));
    site.until(JANE, "Ready", "True/Retention");
    hold("None");
    site.until(JANE, "Complete", "True/Verified");
    assert_eq!(crm.is_active(&id), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_death_has_a_policy_of_its_own_and_a_garden_leave_three_clocks() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("policies");
    site.connect("crm", &crm);
    let policies = "{apiVersion: v1, kind: List, items: [\
        {apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: default}, spec: {}}, \
        {apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: death}, spec: {priority: 20, \
         when: \"offboarding.reason == 'Death'\", enforcement: Plan}}, \
        {apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: garden}, spec: {priority: 10, \
         when: \"offboarding.reason == 'GardenLeave' && employee.country == 'DE'\", timeline: [\
         {want: [Entitlements], at: employmentEnds}]}}]}";
    site.apply(policies);
    let _operator = site.start();
    let spec =
        |more: &str| format!("{{employee: {{email: 'jane@example.com'}}, urgency: Immediate, {more}}}");
    site.offboarding("leaver-1", &spec("reason: Death"));
    site.until(JANE, "Ready", "True/PlanOnly");
    assert_eq!(site.get(JANE)["status"]["policy"], "death");
    assert_eq!(crm.is_active(&id), Some(true));
    site.kubectl(&["delete", JANE], "").expect_ok();

    // Access ends now, groups with the contract.
    let garden = "reason: GardenLeave, profile: {country: DE}, dates: {employmentEnds: '2099-06-30'}, \
                  cutoff: {timeZone: Europe/Berlin}";
    site.offboarding("leaver-2", &spec(garden));
    let garden = "offboarding/leaver-2";
    site.until(garden, "AccessRevoked", "True/Verified");
    let leaver = site.get(garden);
    assert_eq!(leaver["status"]["policy"], "garden");
    assert_eq!(fact(&leaver, "AccountDisabled"), "True/Verified");
    assert_eq!(fact(&leaver, "GroupsRemoved"), "Unknown/NotDue");
    assert_eq!(crm.is_active(&id), Some(false));

    // Two that would both fit are refused where they are written.
    site.apply(
        "{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: rival}, spec: {priority: 20, \
         when: 'true'}}",
    );
    let why = site.until("offboardingpolicy/rival", "Ready", "False/Invalid");
    assert!(why.contains("spec.priority"), "{why}");
}

/// `status/reason` of a fact of the only system.
fn fact(leaver: &Value, name: &str) -> String {
    let rows = leaver["status"]["systems"][0]["conditions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let row = rows.iter().find(|condition| condition["type"] == name);
    row.map_or_else(String::new, |row| {
        format!(
            "{}/{}",
            row["status"].as_str().unwrap(),
            row["reason"].as_str().unwrap()
        )
    })
}
