//! Who can say yes, tried with everything that somebody could forge, on a real API server with the chart's policies.

use std::sync::LazyLock;

use offboard_simulators::scim::Scim;
use serde_json::{Value, json};

use crate::{
    operator::site::{Operator, PATIENCE, Site, application},
    support::{ControlPlane, POLICIES, admission, control_plane_with_admission, poll, with_policies},
};

const JANE: &str = "offboarding/leaver-1";
/// An API server whose policies are tampered with.
fn tampered() -> &'static ControlPlane {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
        let plane = ControlPlane::start();
        with_policies(&plane);
        plane
    });
    &PLANE
}

/// People: who may make Approvals at all, and who may approve.
const RIGHTS: &str = r#"
{apiVersion: v1, kind: List, items: [
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: people}, rules: [
    {apiGroups: [offboard.dev], resources: [approvals, offboardings], verbs: [create, get, list, patch, update]},
    {apiGroups: [offboard.dev], resources: [approvals/status, offboardings/status], verbs: [patch, update]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: approvers}, rules: [
    {apiGroups: [offboard.dev], resources: [offboardings], verbs: [approve]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: of-another}, rules: [
    {apiGroups: [offboard.dev], resources: [offboardings], resourceNames: [leaver-2], verbs: [approve]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: people},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: people},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: people}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: approvers},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: approvers},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: approvers}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: of-another},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: of-another},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: eve}]}]}
"#;

/// A leaver whose access is gone and whose account waits for a yes before it is deleted.
struct Scene {
    site: Site,
    crm: Scim,
    account: String,
    operator: Operator,
}

impl Scene {
    async fn new(plane: &'static ControlPlane, stem: &str, gate: &str) -> Self {
        let (crm, account) = application("jane@example.com").await;
        let site = Site::on(plane, stem);
        site.apply(RIGHTS);
        site.secret("crm", "token", crm.token());
        let inputs = format!("{{url: '{}'}}", crm.base());
        site.connector_with("crm", "scim", &inputs, ", facts: {include: [AccountDeleted]}");
        site.policy(&format!(
            "{{timeline: [{{want: [AccountDeleted], at: cutoff}}], retention: {{accounts: 0s}}, gates: [{gate}]}}"
        ));
        let release = site.release();
        let operator = site.start_with(&release.each_ref().map(String::as_str));
        let rita = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "leaver-1"},
            "spec": {"employee": {"email": "jane@example.com", "employeeID": "10442"}, "urgency": "Immediate",
                "requestedBy": "rita"},
        });
        let scene = Self {
            site,
            crm,
            account,
            operator,
        };
        // The policies of an API server are in force a moment after they are made.
        let asks = || {
            scene
                .of(
                    "mallory",
                    &["people"],
                    &with(rita.clone(), "/spec/requestedBy", "rita"),
                )
                .is_err()
        };
        assert!(poll(PATIENCE, asks), "requestedBy could be forged");
        scene.of("rita", &["people"], &rita).unwrap();
        scene.waits();
        scene
    }

    /// Another operator goes on: it has read nothing of the policies yet.
    fn restart(&mut self) {
        self.operator.kill();
        let release = self.site.release_flags();
        self.operator = self.site.start_with(&release.each_ref().map(String::as_str));
    }

    /// Access is gone; only the deletion waits.
    fn waits(&self) {
        self.site.until(JANE, "Ready", "False/AwaitingApproval");
        self.site.until(JANE, "AccessRevoked", "True/Verified");
    }

    fn still_there(&self) {
        assert_eq!(
            self.crm.is_active(&self.account),
            Some(false),
            "{}",
            self.operator.log()
        );
    }

    /// The uid and the plan that are shown.
    fn shown(&self) -> (String, String) {
        let jane = self.site.get(JANE);
        let text = |at: &str| jane.pointer(at).unwrap().as_str().unwrap().to_owned();
        (text("/metadata/uid"), text("/status/gates/0/plan"))
    }

    /// Creates `object` as `user` of these groups: its name, or why not.
    fn of(&self, user: &str, groups: &[&str], object: &Value) -> Result<String, String> {
        let mut arguments = vec!["--as", user];
        for group in groups {
            arguments.extend(["--as-group", group]);
        }
        arguments.extend(["create", "-f", "-", "-o", "name"]);
        let ran = self.site.kubectl(&arguments, &object.to_string());
        if ran.ok() {
            Ok(ran.stdout.trim().to_owned())
        } else {
            Err(ran.stderr)
        }
    }

    /// What becomes of the Approval `user` made.
    fn refused(&self, name: &str, reason: &str) {
        self.site.until(name, "Ready", &format!("False/{reason}"));
    }
}

const BOTH: &[&str] = &["people", "approvers"];

fn approval((uid, plan): &(String, String), approver: &str) -> Value {
    json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "yes-"},
        "spec": {"offboardingRef": {"name": "leaver-1", "uid": uid}, "gate": "Delete", "decision": "Approved", "plan": plan,
            "approver": approver},
    })
}

fn with(mut object: Value, at: &str, value: impl Into<Value>) -> Value {
    let (parent, field) = at.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[field] = value.into();
    object
}

fn without(mut object: Value, parent: &str, field: &str) -> Value {
    object
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(field);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sixty_forged_approvals_none_is_accepted_and_a_true_one_is() {
    let scene = Scene::new(
        control_plane_with_admission(),
        "forged",
        "{gate: Delete, approvers: [{user: alice}, {user: anton}]}",
    )
    .await;
    // Neither may anybody else say what is so, nor write what was seen.
    let condition = r#"{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "LoginOK", "message": "forged",
        "lastTransitionTime": "2026-11-23T12:00:00Z"}]}}"#;
    for what in ["connector/crm", "offboardingpolicy/default", JANE] {
        let forge = || {
            scene.site.kubectl(
                &[
                    "patch",
                    what,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    condition,
                ],
                "",
            )
        };
        let refused = || forge().stderr.contains("only the operator writes a status");
        assert!(poll(PATIENCE, refused), "{what}: {}", forge().stderr);
    }
    let record = scene
        .site
        .kubectl(&["get", "offboardingrecords", "-o", "name"], "");
    let record = record.stdout.trim().to_owned();
    let forged = scene.site.kubectl(&["annotate", &record, "forged=yes"], "");
    assert!(
        forged.stderr.contains("only the operator writes a status"),
        "{record}: {}",
        forged.stderr
    );
    let shown = scene.shown();
    let yes = |who: &str| approval(&shown, who);
    let mut tried = 0;

    // Refused before they are there: another's name, no right, or not an Approval at all.
    let zeros = format!("sha256:{}", "0".repeat(64));
    let named = [
        "bob",
        "rita",
        "admin",
        "ALICE",
        "alice ",
        "system:admin",
        "jane@example.com",
        "oidc:alice",
        "Alice",
        "alice@example.com",
        "oidc:Alice",
        "system:serviceaccount:people:alice",
        "bob ",
    ];
    let mut refused: Vec<(&str, &[&str], Value)> =
        named.iter().map(|name| ("alice", BOTH, yes(name))).collect();
    let people: &[&str] = &["people"];
    for gate in ["Delete", "Transfer", "Revoke"] {
        refused.push(("mallory", people, with(yes("mallory"), "/spec/gate", gate)));
    }
    refused.push((
        "mallory",
        people,
        with(yes("mallory"), "/spec/onBehalfOf", "alice"),
    ));
    refused.push(("mallory", people, yes("alice")));
    refused.push(("eve", people, yes("eve")));
    refused.push(("alice", &[], yes("alice")));
    refused.push(("alice", BOTH, without(yes("alice"), "/spec", "plan")));
    refused.push(("alice", BOTH, with(yes("alice"), "/spec/plan", "sha256:77ab03c1")));
    refused.push(("alice", BOTH, with(yes("alice"), "/spec/decision", "Done")));
    for gate in ["Waiver", "Everything", "delete"] {
        refused.push(("alice", BOTH, with(yes("alice"), "/spec/gate", gate)));
    }
    refused.push(("alice", BOTH, with(yes("alice"), "/spec/gate", "Task")));
    refused.push((
        "alice",
        BOTH,
        without(yes("alice"), "/spec/offboardingRef", "uid"),
    ));
    let both = json!({"name": "hr", "uid": "1"});
    refused.push(("alice", BOTH, with(yes("alice"), "/spec/sourceRef", both)));
    for (user, groups, object) in &refused {
        let made = scene.of(user, groups, object);
        assert!(made.is_err(), "{user} made {object}");
        tried += 1;
    }

    // Let in by the API server, and counted by nobody.
    let elsewhere = ("00000000-0000-4000-8000-000000000000".to_owned(), shown.1.clone());
    let mut let_in = vec![
        ("alice", approval(&elsewhere, "alice"), "Gone"),
        (
            "alice",
            approval(&(shown.0.clone(), zeros.clone()), "alice"),
            "PlanChanged",
        ),
        ("rita", yes("rita"), "SelfApproval"),
        ("bob", yes("bob"), "NotAnApprover"),
        (
            "bob",
            with(yes("bob"), "/spec/onBehalfOf", "alice"),
            "NotAnApprover",
        ),
        (
            "alice",
            with(yes("alice"), "/spec/onBehalfOf", "anton"),
            "NotAnApprover",
        ),
        (
            "alice",
            with(yes("alice"), "/spec/onBehalfOf", "jane@example.com"),
            "SelfApproval",
        ),
    ];
    for jane in [
        "jane@example.com",
        "JANE@example.com",
        "oidc:jane@example.com",
        "10442",
        "https://idp.example.com#jane@example.com",
        "CORP\\jane@example.com",
        "arn:aws:iam::1:user/jane@example.com",
        "github:Jane@Example.com",
        // Who asked for it.
        "oidc:rita",
        "RITA",
        "https://idp.example.com#rita",
        "CORP\\rita",
    ] {
        let_in.push((jane, yes(jane), "SelfApproval"));
    }
    let mut made = vec![];
    for (user, object, reason) in &let_in {
        let name = scene
            .of(user, BOTH, object)
            .unwrap_or_else(|why| panic!("{user}: {why}"));
        made.push((name, *reason));
        tried += 1;
    }
    for (name, reason) in &made {
        scene.refused(name, reason);
    }
    for gate in ["Transfer", "Revoke", "Guard", "Account", "Reinstate", "Loosen"] {
        scene
            .of("alice", BOTH, &with(yes("alice"), "/spec/gate", gate))
            .unwrap();
        tried += 1;
    }

    // What is there is not changed, and no status is written but by the operator.
    let name = &made[1].0;
    let change = |what: &str, to: &str, more: &[&str]| {
        let patch = format!("{{\"{what}\": {to}}}");
        let mut arguments = vec![
            "--as",
            "alice",
            "--as-group",
            "people",
            "--as-group",
            "approvers",
            "patch",
            name,
        ];
        arguments.extend(["--type=merge", "-p", &patch]);
        arguments.extend(more);
        scene.site.kubectl(&arguments, "")
    };
    for spec in [
        format!("{{\"plan\": \"{}\"}}", shown.1),
        "{\"approver\": \"anton\"}".to_owned(),
        "{\"onBehalfOf\": \"anton\"}".to_owned(),
        "{\"gate\": \"Revoke\"}".to_owned(),
        "{\"decision\": \"Denied\"}".to_owned(),
        "{\"reason\": \"other\"}".to_owned(),
    ] {
        assert!(!change("spec", &spec, &[]).ok(), "{spec}");
        tried += 1;
    }
    let ready = "{\"conditions\": [{\"type\": \"Ready\", \"status\": \"True\", \"reason\": \"Counted\", \
                 \"lastTransitionTime\": \"2026-01-01T00:00:00Z\"}]}";
    assert!(!change("status", ready, &["--subresource=status"]).ok());
    let open = "{\"status\": {\"gates\": []}}";
    let forge = [
        "--as",
        "alice",
        "--as-group",
        "people",
        "patch",
        JANE,
        "--subresource=status",
        "--type=merge",
        "-p",
        open,
    ];
    assert!(!scene.site.kubectl(&forge, "").ok());
    tried += 2;

    scene.waits();
    scene.still_there();
    assert!(tried >= 60, "only {tried} were tried");

    scene.of("alice", BOTH, &yes("alice")).unwrap();
    scene.site.until(JANE, "Complete", "True/Verified");
    assert_eq!(scene.crm.is_active(&scene.account), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_policies_word_for_word_no_approval_counts_and_security_does_not_wait() {
    let mut scene = Scene::new(tampered(), "untrusted", "{gate: Delete}").await;
    let (approvals, requests) = (POLICIES[0], POLICIES[1]);
    let status = format!("{}-offboard-status", scene.site.namespace);
    let (policy, binding) = ("validatingadmissionpolicy", "validatingadmissionpolicybinding");
    let others = r#"{"namespaceSelector": {"matchLabels": {"a": "b"}}}"#;
    let ours = r#"[{"apiGroups": ["offboard.dev"], "apiVersions": ["v1alpha1"], "operations": ["*"], "resources": ["*"]}]"#;
    let weak: [(&str, &str, &str, &str); 17] = [
        (binding, approvals, "/spec/validationActions", r#"["Warn"]"#),
        (binding, approvals, "/spec/validationActions", r#"["Audit"]"#),
        (binding, approvals, "/spec/matchResources", others),
        (policy, approvals, "/spec/failurePolicy", r#""Ignore""#),
        (policy, approvals, "/spec/validations/0/expression", r#""true""#),
        (
            policy,
            approvals,
            "/spec/matchConstraints/resourceRules/0/operations",
            r#"["UPDATE"]"#,
        ),
        (
            policy,
            approvals,
            "/spec/matchConstraints/resourceRules/0/scope",
            r#""Cluster""#,
        ),
        (
            policy,
            approvals,
            "/spec/paramKind",
            r#"{"apiVersion": "v1", "kind": "ConfigMap"}"#,
        ),
        (
            policy,
            approvals,
            "/spec/matchConstraints/excludeResourceRules",
            ours,
        ),
        // Who asked, and who changed it, may not approve: whose names these are is held to the same.
        (policy, requests, "/spec/validations/0/expression", r#""true""#),
        (policy, requests, "/spec/variables/0/expression", r#""true""#),
        (
            policy,
            requests,
            "/spec/variables/0/expression",
            r#""request.userInfo.username in [\"admin\", \"mallory\"]""#,
        ),
        (policy, requests, "/spec/variables/3/expression", r#""false""#),
        (binding, requests, "/spec/matchResources", others),
        (policy, POLICIES[2], "/spec/validations/0/expression", r#""true""#),
        (
            policy,
            &status,
            "/spec/matchConstraints/excludeResourceRules",
            ours,
        ),
        (binding, &status, "/spec/validationActions", r#"["Warn"]"#),
    ];
    for (kind, name, path, value) in weak {
        let patch = format!("[{{\"op\": \"add\", \"path\": \"{path}\", \"value\": {value}}}]");
        let arguments = ["patch", kind, name, "--type=json", "-p", &patch];
        tampered().kubectl(&arguments, "").expect_ok();
        scene.restart();
        let yes = scene
            .of("alice", BOTH, &approval(&scene.shown(), "alice"))
            .unwrap();
        scene.refused(&yes, "PolicyMissing");
        let (_, message) = scene.site.condition(&yes, "Ready");
        assert!(message.ends_with(&format!(": {name}")), "{message}");
        scene.still_there();
        scene.site.kubectl(&["delete", &yes], "").expect_ok();
        let policies = admission(&scene.site.namespace, &[POLICIES, &[&status]].concat());
        tampered().kubectl(&["replace", "-f", "-"], &policies).expect_ok();
    }
    tampered()
        .kubectl(&["delete", "validatingadmissionpolicy", "offboard-approvals"], "")
        .expect_ok();
    let yes = scene
        .of("alice", BOTH, &approval(&scene.shown(), "alice"))
        .unwrap();
    scene.refused(&yes, "PolicyMissing");
    scene.site.until(JANE, "Approved", "False/PolicyMissing");
    scene.still_there();
    // Made by whoever while the policy was away: it does not count when the policy comes back.
    with_policies(tampered());
    scene.refused(&yes, "OlderThanPolicy");
    scene.still_there();
    scene
        .of("alice", BOTH, &approval(&scene.shown(), "alice"))
        .unwrap();
    scene.site.until(JANE, "Complete", "True/Verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_for_one_object_and_never_for_a_later_one_of_that_name() {
    let scene = Scene::new(
        control_plane_with_admission(),
        "replayed",
        "{gate: Delete, approvals: 2}",
    )
    .await;
    let old = scene.shown();
    scene.of("alice", BOTH, &approval(&old, "alice")).unwrap();
    let counted = || scene.site.get(JANE)["status"]["gates"][0]["approvals"] == "1/2";
    assert!(poll(PATIENCE, counted), "{}", scene.operator.log());
    scene.site.kubectl(&["delete", JANE], "").expect_ok();
    scene.site.leaver("leaver-1", "jane@example.com");
    scene.waits();
    let again = scene.of("bob", BOTH, &approval(&old, "bob")).unwrap();
    scene.refused(&again, "Gone");
    assert_eq!(scene.site.get(JANE)["status"]["gates"][0]["approvals"], "0/2");
    scene.still_there();
}
