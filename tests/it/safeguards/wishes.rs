//! What people change after they asked, and what was approved before the change: who answers for it, and whether it still counts.

use serde_json::{Value, json};

use super::{DELETED, JANE, MAPPED, Scene};
use crate::{
    operator::site::{PATIENCE, Site},
    support::{control_plane_with_admission, poll, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_loosens_an_end_is_signed_and_held_until_a_yes_and_no_policy_is_chosen_that_does_not_say_so()
{
    let scene = Scene::new("signed", "{recheck: {every: 2s}}", &[MAPPED]).await;
    scene.site.apply(
        "{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: interns}, spec: {enforcement: Plan}}",
    );
    let chosen = json!({"employee": {"email": "max@example.com"}, "urgency": "Immediate", "policyRef": {"name": "interns"}});
    scene.leaver("max", &chosen);
    let refused = scene.site.until("offboarding/max", "Ready", "False/InvalidSpec");
    assert!(
        refused.contains("spec.policyRef.name") && refused.contains("selectable: true"),
        "{refused}"
    );
    scene.jane();
    scene.site.until(JANE, "Ready", "True/Offboarded");
    for unsigned in [
        json!({"legalHold": "Hold"}),
        json!({"policyRef": {"name": "interns"}}),
        json!({"profile": {"department": "interns"}}),
        json!({"transfers": [{"what": "Everything", "to": "mallory@example.com"}]}),
        json!({"reason": "Resignation"}),
        json!({"visibility": "Confidential"}),
        json!({"reference": "CHG-1"}),
        json!({"dates": {"employmentEnds": "2031-01-31"}}),
    ] {
        let refused = scene
            .change("mallory", &unsigned)
            .expect_err(&unsigned.to_string());
        assert!(refused.contains("spec.changedBy"), "{unsigned}: {refused}");
    }
    let label = scene
        .of("mallory", &["label", JANE, "kind=intern"], "")
        .unwrap_err();
    assert!(label.contains("spec.changedBy"), "{label}");
    scene.of("mallory", &["annotate", JANE, "seen=yes"], "").unwrap();

    // A later date and an exception, signed: nothing of it is done before somebody else says yes.
    let later = json!({"urgency": "Scheduled", "lastDay": "2031-01-31", "cutoff": {"timeZone": "UTC"}, "changedBy": ["bob"],
        "exceptions": [{"connector": "crm", "until": "2031-01-31", "reason": "x"}]});
    scene.change("bob", &later).unwrap();
    scene.waits(JANE, "Loosen", "0/1");
    let loosens = scene.row(JANE, "Loosen")["loosens"].to_string();
    assert!(loosens.contains("cutoff") && loosens.contains("crm"), "{loosens}");
    let own = scene.yes("bob", JANE, "Loosen");
    scene.site.until(&own, "Ready", "False/SelfApproval");
    scene.reopen();
    assert!(poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false)));
    scene.yes("alice", JANE, "Loosen");
    let counted = || scene.row(JANE, "Loosen").is_null() || scene.row(JANE, "Loosen")["state"] == "Open";
    assert!(poll(PATIENCE, counted), "{:#}", scene.site.get(JANE)["status"]);
    scene.reopen();
    let passes = scene.operator.passes("left") + scene.operator.passes("done");
    scene.of("mallory", &["annotate", JANE, "again=yes"], "").unwrap();
    let looked = || scene.operator.passes("left") + scene.operator.passes("done") > passes;
    assert!(poll(PATIENCE, looked), "{}", scene.operator.log());
    assert_eq!(scene.crm.is_active(&scene.account), Some(true));
}

/// SCIM with something to hand over, whose deletion says what else goes.
fn handing_over(name: &str, query: &str) -> String {
    let scim = include_str!("../../../src/connectors/definitions/scim.yaml");
    let delete = r#"delete: "/Users/${account.id}" }"#;
    assert_eq!(scim.matches(delete).count(), 1);
    let own = scim
        .replace("  name: scim\n", &format!("  name: {name}\n"))
        .replace(
            "  inputs:\n",
            "  inputs:\n    backups: { description: What becomes of backups., default: stay }\n",
        )
        .replace(
            delete,
            &format!(r#"delete: "/Users/${{account.id}}", query: {query} }}"#),
        );
    own + r#"
    NicknameHandedOver:
      description: The nickname is who took over.
      class: Data
      requires: [AccountDisabled]
      holds: reads.user == null || has(reads.user.nickName) && reads.user.nickName == successor.name
      act:
        - patch: /Users/${account.id}
          json:
            schemas: [urn:ietf:params:scim:api:messages:2.0:PatchOp]
            Operations: [{ op: add, path: nickName, value: "${successor.name}" }]
      says: hand over to ${successor.name}
"#
}

/// Waits until so many of those who are asked have said yes to what waits behind `gate` now.
#[track_caller]
fn counts(scene: &Scene, gate: &str, approvals: &str) {
    let counted = || scene.row(JANE, gate)["approvals"] == approvals;
    assert!(
        poll(PATIENCE, counted),
        "{gate}: {:#}",
        scene.site.get(JANE)["status"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_about_who_takes_over_and_what_is_sent_and_not_of_those_who_chose_it() {
    let two = |gate: &str| format!("{{gate: {gate}, approvals: 2}}");
    let policy = format!("{{{DELETED}, gates: [{}, {}]}}", two("Transfer"), two("Delete"));
    let scene = Scene::new("handed", &policy, &[MAPPED]).await;
    for other in ["tom", "sue"] {
        scene.crm.add_user(&format!("{other}@example.com"), None, "x");
    }
    let own = unique("handing-over");
    let connect = |query: &str, backups: &str| {
        scene.site.apply(&handing_over(&own, query));
        let inputs = format!("{{url: '{}', backups: {backups}}}", scene.crm.base());
        let more = ", facts: {include: [AccountDeleted]}";
        scene.site.connector_with("crm", &own, &inputs, more);
    };
    let query = |more: &str| format!("{{ backups: \"${{inputs.backups}}\"{more} }}");
    connect(&query(""), "stay");
    let to = |who: &str| json!([{"what": "Everything", "to": format!("{who}@example.com")}]);
    let spec =
        json!({"employee": {"email": "jane@example.com"}, "urgency": "Immediate", "transfers": to("tom")});
    scene.leaver("jane", &spec);
    counts(&scene, "Transfer", "0/2");
    let nickname = || {
        scene
            .crm
            .user(&scene.account)
            .map(|user| user["nickName"].clone())
    };
    let old = scene.yes("alice", JANE, "Transfer");
    counts(&scene, "Transfer", "1/2");
    scene
        .change(
            "mallory",
            &json!({"transfers": to("sue"), "changedBy": ["mallory"]}),
        )
        .unwrap();
    scene.site.until(&old, "Ready", "False/PlanChanged");
    counts(&scene, "Transfer", "0/2");
    for interested in ["rita", "mallory", "sue@example.com"] {
        let yes = scene.yes(interested, JANE, "Transfer");
        scene.site.until(&yes, "Ready", "False/SelfApproval");
    }
    counts(&scene, "Transfer", "0/2");
    assert_eq!(nickname(), Some(Value::Null));
    scene.yes("alice", JANE, "Transfer");
    scene.yes("bob", JANE, "Transfer");
    assert!(
        poll(PATIENCE, || nickname() == Some(json!("sue@example.com"))),
        "{:#}",
        scene.site.get(JANE)["status"]
    );

    // Another word in what is sent, by the definition or by the Connector, is another plan.
    counts(&scene, "Delete", "0/2");
    for (more, backups) in [(", scope: all", "stay"), (", scope: all", "go")] {
        let old = scene.yes("alice", JANE, "Delete");
        counts(&scene, "Delete", "1/2");
        connect(&query(more), backups);
        scene.site.until(&old, "Ready", "False/PlanChanged");
        counts(&scene, "Delete", "0/2");
    }
    // What was said of other plans adds nothing.
    scene.yes("bob", JANE, "Delete");
    counts(&scene, "Delete", "1/2");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
    scene.yes("alice", JANE, "Delete");
    scene.site.until(JANE, "Complete", "True/Verified");
    let journal = scene.crm.control().journal();
    let deleted = journal.iter().find(|entry| entry.method == "DELETE").unwrap();
    assert!(deleted.path.contains(&scene.account), "{deleted:?}");
    scene
        .site
        .kubectl(&["delete", "connectordefinition", &own], "")
        .expect_ok();
}

/// The operator of the namespace OTHER reads what it writes here.
const READS: &str = r#"
{apiVersion: v1, kind: List, items: [
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reads}, rules: [
    {apiGroups: [offboard.dev], resources: ["*", "*/status"], verbs: [get]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reads},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads},
    subjects: [{kind: ServiceAccount, name: offboard, namespace: OTHER}]}]}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_of_another_release_writes_nothing_of_what_is_true_here() {
    let (here, other) = (
        Site::on(control_plane_with_admission(), "release-b"),
        Site::on(control_plane_with_admission(), "release-a"),
    );
    // By its rights alone it could.
    here.lets_in(&other);
    for site in [&here, &other] {
        site.release();
        site.gone("jane", "jane@example.com");
        site.policy("{recheck: {every: 1h}}");
        site.connector("crm", "scim", "{url: 'https://crm.example.com'}");
        // kubectl reads what it patches.
        site.apply(&READS.replace("OTHER", &other.namespace));
    }
    let account = format!("system:serviceaccount:{}:offboard", other.namespace);
    let groups = format!("system:serviceaccounts:{}", other.namespace);
    let of_other = |site: &Site, arguments: &[&str], input: &str| {
        let who = [
            "--as",
            &account,
            "--as-group",
            &groups,
            "--as-group",
            "system:authenticated",
        ];
        site.kubectl(&[&who[..], arguments].concat(), input)
    };
    let condition = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Counted",
        "message": "forged", "lastTransitionTime": "2026-11-23T12:00:00Z"}]}})
    .to_string();
    let forge = |site: &Site, what: &str| {
        let patch = [
            "patch",
            what,
            "--subresource=status",
            "--type=merge",
            "-p",
            &condition,
        ];
        of_other(site, &patch, "")
    };
    for what in [JANE, "connector/crm", "offboardingpolicy/default"] {
        let refused = || {
            forge(&here, what)
                .stderr
                .contains("only the operator writes a status")
        };
        assert!(poll(PATIENCE, refused), "{what}: {}", forge(&here, what).stderr);
        forge(&other, what).expect_ok();
    }
    let record = |site: &Site| {
        let uid = site.get(JANE)["metadata"]["uid"].clone();
        let record = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "HeldSet", "metadata": {"name": "forged"},
            "spec": {"sourceRef": {"name": "hr", "uid": uid}, "plan": "sha256:0", "total": 0, "part": 1, "parts": 1, "changes": []}});
        of_other(site, &["create", "-f", "-"], &record.to_string())
    };
    let refused = record(&here).stderr;
    assert!(refused.contains("only the operator writes a status"), "{refused}");
    record(&other).expect_ok();
    let jane = here.get(JANE);
    let yes = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "yes-"},
        "spec": {"offboardingRef": {"name": "jane", "uid": jane["metadata"]["uid"]}, "gate": "Delete", "decision": "Approved",
            "plan": format!("sha256:{}", "0".repeat(64)), "approver": account},
    });
    let made = of_other(&here, &["create", "-f", "-"], &yes.to_string());
    assert!(made.stderr.contains("forbidden"), "{made:?}");
    // Nor does it say here what an HR system says.
    let named = ["annotate", JANE, "offboard.dev/source=hr"];
    let refused = of_other(&here, &named, "");
    assert!(refused.stderr.contains("only the operator says"), "{refused:?}");
    of_other(&other, &named, "").expect_ok();
}
