//! What GitOps tools and auditors rely on: a spec is never written, and every right that the chart grants is needed.

use std::collections::BTreeSet;

use super::site::{Site, application};
use crate::{
    sources::office::{Office, SOURCE, ending, in_days, staff},
    support::{self, control_plane, poll},
};

const ALL: &str = "offboarding/leaver-1";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_writes_nothing_but_statuses_records_and_events() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("gitops");
    let applied = format!(
        "{{apiVersion: v1, kind: List, items: [\
         {{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {{name: crm}}, spec: {{definition: scim, \
         inputs: {{url: '{}'}}, secretRef: {{name: crm}}}}}}, \
         {{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {{name: default}}, spec: {{}}}}, \
         {{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {{name: leaver-1}}, spec: {{employee: \
         {{email: jane@example.com}}, urgency: Immediate}}}}]}}",
        crm.base()
    );
    site.secret("crm", "token", crm.token());
    site.apply(&applied);
    let before = site.get(ALL)["metadata"].clone();
    let _operator = site.start();
    site.until(ALL, "Ready", "True/Offboarded");
    site.until("connector/crm", "Ready", "True/LoginOK");
    site.until("offboardingpolicy/default", "Ready", "True/Valid");
    let diff = site.kubectl(&["diff", "-f", "-"], &applied);
    assert!(diff.ok(), "{}{}", diff.stdout, diff.stderr);
    let after = site.get(ALL)["metadata"].clone();
    for field in [
        "generation",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    ] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let status = |resource: &str| resource.ends_with("/status");
    for write in site.writes() {
        let ours =
            status(&write.resource) || matches!(write.resource.as_str(), "offboardingrecords" | "events");
        assert!(ours && write.verb != "delete", "{write:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_are_not_streamed_are_asked_for() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::on(support::control_plane_without_streaming(), "lists");
    site.connect("crm", &crm);
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until(ALL, "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&id), Some(false));
    let requests = site.requests();
    for kind in [
        "offboardings",
        "connectors",
        "offboardingpolicies",
        "leaversources",
        "approvals",
        "connectordefinitions",
    ] {
        let listed = requests.iter().any(|r| r.verb == "list" && r.resource == kind);
        assert!(listed, "{kind}: {requests:#?}");
    }
}

/// `resource verb` for every rule that holds for the operator.
fn granted(site: &Site) -> BTreeSet<String> {
    let mut rules = vec![];
    for role in site.get("roles")["items"].as_array().unwrap() {
        rules.extend(role["rules"].as_array().unwrap().clone());
    }
    let cluster = format!("clusterrole/{}-offboard-definitions", site.namespace);
    rules.extend(site.get(&cluster)["rules"].as_array().unwrap().clone());
    let texts = |value: &serde_json::Value| -> Vec<String> {
        let list = value.as_array().unwrap().iter();
        list.map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in rules {
        for resource in texts(&rule["resources"]) {
            all.extend(
                texts(&rule["verbs"])
                    .iter()
                    .map(|verb| format!("{resource} {verb}")),
            );
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_the_chart_grants_is_used_and_none_is_missing() {
    let (crm, id) = application("jane@example.com").await;
    let office = Office::on(control_plane(), "rights").await;
    let site = &office.site;
    site.secret("crm", "token", crm.token());
    let inputs = format!("{{url: '{}'}}", crm.base());
    site.connector_with("crm", "scim", &inputs, ", facts: {include: [AccountDeleted]}");
    let policy = |zone: &str| {
        site.policy(&format!(
            "{{timeline: [{{want: [AccountDeleted], at: cutoff}}], retention: {{accounts: 0s}}, cutoff: {{{zone}}}}}"
        ));
    };
    policy("timeZone: UTC");
    let name = support::unique("own");
    site.apply(
        &include_str!("../../../src/connectors/definitions/scim.yaml")
            .replace("name: scim", &format!("name: {name}")),
    );
    let operator = site.start_with(&["--lease=offboard"]);
    site.until(&format!("connectordefinition/{name}"), "Ready", "True/Valid");
    // Deletion is confirmed by a read of its own.
    site.gone("leaver-1", "jane@example.com");
    site.until(ALL, "Complete", "True/Verified");
    assert_eq!(crm.is_active(&id), None);
    // The same event twice is counted up.
    let spec = "{employee: {email: jane@example.com}, lastDay: '2099-01-31'}";
    site.offboarding("leaver-2", spec);
    let later = "offboarding/leaver-2";
    site.until(later, "Ready", "True/Scheduled");
    for _ in 0..2 {
        policy("");
        site.until(later, "Stalled", "True/InvalidSpec");
        policy("timeZone: UTC");
        site.until(later, "Ready", "True/Scheduled");
    }
    // A source makes a leaver, moves one, and holds many until somebody says yes.
    let company = |leaving: u32, day: i64| {
        let leaving: Vec<_> = (0..leaving).map(|number| ending(number, &in_days(day))).collect();
        office.hr.has(&[staff(100), leaving].concat());
    };
    company(1, 5);
    office.source("");
    office.until_leaver("leaver-0000", "lastDay", in_days(5));
    company(1, 3);
    office.until_leaver("leaver-0000", "lastDay", in_days(3));
    company(20, 3);
    office.until("False/GuardTripped");
    let source = site.get(SOURCE);
    let text = |at: &str| source.pointer(at).unwrap().as_str().unwrap().to_owned();
    office.approve(&text("/status/guard/held"), &text("/metadata/uid"));
    let judged = || site.condition(SOURCE, "Ready").1.contains("not trusted");
    assert!(poll(super::site::PATIENCE, judged), "{}", office.status());
    let used = || {
        // Definitions and networks belong to no namespace: the operator of another test may be faster.
        let mut shared = control_plane().requests_of_operators();
        shared.retain(|r| r.resource.starts_with("connectordefinitions") || r.resource == "servicecidrs");
        site.requests()
            .iter()
            .chain(&shared)
            .map(|r| format!("{} {}", r.resource, r.verb))
            .collect::<BTreeSet<_>>()
    };
    let counted = || used().contains("events patch");
    assert!(poll(super::site::PATIENCE, counted), "{:#?}", used());
    // What is held no more is listed no more.
    company(1, 3);
    let unlisted = || used().contains("heldsets delete");
    assert!(poll(super::site::PATIENCE, unlisted), "{:#?}", used());
    // The work may be done before the Lease is renewed for the first time.
    let renewed = || used().contains("leases update");
    assert!(poll(super::site::PATIENCE, renewed), "{:#?}", used());
    // A watch is in the log once it has ended.
    drop(operator);
    let watched = || used().contains("connectordefinitions watch");
    assert!(poll(super::site::PATIENCE, watched), "{:#?}", used());
    let refused: Vec<_> = site.requests().into_iter().filter(|r| r.status == 403).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    let granted = granted(site);
    // This API server streams lists; one that cannot is asked for them: see `lists_that_are_not_streamed`.
    let streamed = |right: &str| right.ends_with(" list");
    // An Approval is read anew only where Approvals can be trusted: see `approvals`.
    let trusted = |right: &str| right == "approvals get";
    let unused: Vec<&String> = granted
        .iter()
        .filter(|right| !used().contains(*right) && !streamed(right) && !trusted(right))
        .collect();
    assert!(
        unused.is_empty(),
        "granted and not used: {unused:#?}\nused: {:#?}",
        used()
    );
    control_plane()
        .kubectl(&["delete", "connectordefinition", &name], "")
        .expect_ok();
}
