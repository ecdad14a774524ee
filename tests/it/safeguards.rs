//! What waits for a person whatever the policies of a namespace say, on a real API server with the chart's policies.

mod wishes;

use offboard_simulators::scim::Scim;
use serde_json::{Value, json};

use crate::{
    operator::site::{Operator, PATIENCE, Site, application},
    support::{self, control_plane_with_admission, poll},
};

const JANE: &str = "offboarding/jane";
/// Who may write Offboardings and Approvals, and who may also approve. Nobody may write a status.
const RIGHTS: &str = r#"
{apiVersion: v1, kind: List, items: [
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: people}, rules: [
    {apiGroups: [offboard.dev], resources: [approvals, offboardings], verbs: [create, delete, get, list, patch, update]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: approvers}, rules: [
    {apiGroups: [offboard.dev], resources: [offboardings], verbs: [approve]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: people},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: people},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: people}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: approvers},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: approvers},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: people}]}]}
"#;

/// An application, and an operator as the chart starts it, but for `more`.
struct Scene {
    site: Site,
    crm: Scim,
    account: String,
    operator: Operator,
}

impl Scene {
    async fn new(stem: &str, policy: &str, more: &[&str]) -> Self {
        let (crm, account) = application("jane@example.com").await;
        let site = Site::on(control_plane_with_admission(), stem);
        site.apply(RIGHTS);
        site.secret("crm", "token", crm.token());
        let inputs = format!("{{url: '{}'}}", crm.base());
        site.connector_with("crm", "scim", &inputs, ", facts: {include: [AccountDeleted]}");
        if !policy.is_empty() {
            site.policy(policy);
        }
        let here = ["--allow-egress=127.0.0.0/8", "--allow-egress=::1/128"];
        let operator = site.start_strict(&[&here[..1], more].concat());
        Self {
            site,
            crm,
            account,
            operator,
        }
    }

    /// kubectl as `user`, who may write everything and approve.
    fn of(&self, user: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        let who = ["--as", user, "--as-group", "people"];
        let ran = self.site.kubectl(&[&who[..], arguments].concat(), input);
        if ran.ok() { Ok(ran.stdout) } else { Err(ran.stderr) }
    }

    fn leaver(&self, name: &str, spec: &Value) {
        let mut spec = spec.clone();
        spec["requestedBy"] = json!("rita");
        let object = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": name}, "spec": spec});
        self.of("rita", &["create", "-f", "-"], &object.to_string())
            .unwrap();
    }

    /// Jane leaves at once.
    fn jane(&self) {
        let spec = json!({"employee": {"email": "jane@example.com"}, "urgency": "Immediate"});
        self.leaver("jane", &spec);
    }

    fn change(&self, user: &str, spec: &Value) -> Result<String, String> {
        let patch = json!({"spec": spec}).to_string();
        self.of(user, &["patch", JANE, "--type=merge", "-p", &patch], "")
    }

    fn row(&self, leaver: &str, gate: &str) -> Value {
        let object = self.site.get(leaver);
        let rows = object["status"]["gates"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["gate"] == gate)
            .unwrap_or_default()
    }

    #[track_caller]
    fn waits(&self, leaver: &str, gate: &str, approvals: &str) {
        let waits = || {
            let row = self.row(leaver, gate);
            row["state"] == "Waiting" && row["approvals"] == approvals
        };
        assert!(
            poll(PATIENCE, waits),
            "{gate}: {:#}\n{}",
            self.site.get(leaver)["status"],
            self.operator.log()
        );
    }

    /// `user` says yes to what waits behind `gate`; the name of the Approval.
    fn yes(&self, user: &str, leaver: &str, gate: &str) -> String {
        let object = self.site.get(leaver);
        let plan = self.row(leaver, gate)["plan"].clone();
        let about = json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]});
        let approval = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "yes-"},
            "spec": {"offboardingRef": about, "gate": gate, "decision": "Approved", "plan": plan, "approver": user},
        });
        let made = self.of(user, &["create", "-f", "-", "-o", "name"], &approval.to_string());
        made.unwrap().trim().to_owned()
    }

    fn reopen(&self) {
        self.crm.set_attribute(&self.account, "active", &json!(true));
    }
}

const MAPPED: &str = "--person=user.endsWith('@example.com') ? user : (user in ['alice', 'rita', 'mallory', 'bob'] ? user : '')";

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_loosened_only_by_somebody_else_than_who_asks_for_it() {
    let scene = Scene::new("loosen", "{recheck: {every: 2s}}", &[MAPPED]).await;
    scene.jane();
    scene.site.until(JANE, "Ready", "True/Offboarded");
    for loosening in [
        json!({"suspend": true}),
        json!({"desired": "Reinstated"}),
        json!({"urgency": "Scheduled", "lastDay": "2031-01-31", "cutoff": {"timeZone": "UTC"}}),
        json!({"exceptions": [{"connector": "crm", "until": "2031-01-31", "reason": "x"}]}),
    ] {
        let refused = scene.change("mallory", &loosening).unwrap_err();
        assert!(refused.contains("spec.changedBy"), "{refused}");
        let mut by_bob = loosening.clone();
        by_bob["changedBy"] = json!(["bob"]);
        assert!(scene.change("mallory", &by_bob).is_err(), "in another's name");
    }
    let mallory = json!(["mallory"]);
    scene
        .change("mallory", &json!({"suspend": true, "changedBy": mallory}))
        .unwrap();
    scene.waits(JANE, "Loosen", "0/1");
    // It is kept up all the same.
    scene.reopen();
    assert!(poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false)));
    let own = scene.yes("mallory", JANE, "Loosen");
    scene.site.until(&own, "Ready", "False/SelfApproval");
    let asked = scene.yes("rita", JANE, "Loosen");
    scene.site.until(&asked, "Ready", "False/SelfApproval");
    assert!(
        scene
            .change("bob", &json!({"changedBy": ["bob"], "suspend": true}))
            .is_err(),
        "nobody is removed"
    );
    scene.yes("alice", JANE, "Loosen");
    scene.site.until(JANE, "Ready", "False/Suspended");
    scene
        .change("bob", &json!({"changedBy": ["mallory", "bob"], "suspend": false}))
        .unwrap();
    scene.site.until(JANE, "Ready", "True/Offboarded");

    scene.change("bob", &json!({"desired": "Reinstated"})).unwrap();
    scene.waits(JANE, "Reinstate", "0/1");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
    let before = scene.row(JANE, "Reinstate")["since"].clone();
    scene.change("bob", &json!({"reference": "CHG-1"})).unwrap();
    scene.yes("bob", JANE, "Reinstate");
    assert_eq!(
        scene.row(JANE, "Reinstate")["since"],
        before,
        "it waits since then"
    );
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
    scene.yes("alice", JANE, "Reinstate");
    scene.site.until(JANE, "Ready", "True/Reinstated");
    assert_eq!(scene.crm.is_active(&scene.account), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_shows_nothing_of_the_leaver_is_closed_only_after_a_yes() {
    let scene = Scene::new("stranger", "", &[MAPPED]).await;
    let sam = scene.crm.add_user("sam@example.com", None, "x");
    let own = scene.crm.add_user("jane.admin@example.com", None, "x");
    let named = ["jane@example.com", "jane.admin@example.com", "sam@example.com"];
    let accounts: Vec<Value> = named.map(|name| json!({"connector": "crm", "name": name})).into();
    let spec = json!({"employee": {"email": "jane@example.com", "otherEmails": ["jane.admin@example.com"], "accounts": accounts},
        "urgency": "Immediate"});
    scene.leaver("jane", &spec);
    scene.waits(JANE, "Account", "0/1");
    assert!(
        poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false)),
        "what is known to be hers waits for nobody"
    );
    // An address that the request adds says nothing about whose account it is.
    let open = || [&own, &sam].map(|id| scene.crm.is_active(id));
    assert_eq!(open(), [Some(true); 2]);
    let asked = scene.yes("rita", JANE, "Account");
    scene.site.until(&asked, "Ready", "False/SelfApproval");
    assert_eq!(open(), [Some(true); 2]);
    scene.yes("alice", JANE, "Account");
    scene.site.until(JANE, "Ready", "True/Offboarded");
    assert_eq!(open(), [Some(false); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_begins_with_no_more_leavers_than_the_release_allows_whoever_asks_for_them() {
    let scene = Scene::new("guard", "", &[MAPPED, "--guard-max=3"]).await;
    let names: Vec<String> = (0..5).map(|n| format!("leaver{n}")).collect();
    let accounts: Vec<String> = names
        .iter()
        .map(|name| scene.crm.add_user(&format!("{name}@example.com"), None, "x"))
        .collect();
    for name in &names {
        let spec = json!({"employee": {"email": format!("{name}@example.com")}, "urgency": "Immediate"});
        scene.leaver(name, &spec);
    }
    let object = |name: &String| format!("offboarding/{name}");
    let ready = |name: &String| scene.site.condition(&object(name), "Ready").0;
    let settled = || {
        let done = names
            .iter()
            .filter(|name| ready(name) == "True/Offboarded")
            .count();
        let held = names
            .iter()
            .filter(|name| ready(name) == "False/AwaitingApproval")
            .count();
        (done, held) == (3, 2)
    };
    assert!(poll(PATIENCE, settled), "{}", scene.operator.log());
    let active = || {
        accounts
            .iter()
            .filter(|id| scene.crm.is_active(id) == Some(true))
            .count()
    };
    assert_eq!(active(), 2);
    // Another process counts on.
    let Scene {
        site,
        crm,
        operator,
        account,
    } = scene;
    drop(operator);
    let operator = site.start_strict(&["--allow-egress=127.0.0.0/8", MAPPED, "--guard-max=3"]);
    let scene = Scene {
        site,
        crm,
        operator,
        account,
    };
    let held = names
        .iter()
        .find(|name| scene.site.condition(&object(name), "Ready").0 == "False/AwaitingApproval");
    let held = object(held.unwrap());
    scene.waits(&held, "Guard", "0/1");
    scene.yes("alice", &held, "Guard");
    scene.site.until(&held, "Ready", "True/Offboarded");
    assert_eq!(
        accounts
            .iter()
            .filter(|id| scene.crm.is_active(id) == Some(true))
            .count(),
        1
    );
}

const DELETED: &str = "timeline: [{want: [AccountDeleted], at: cutoff}], retention: {accounts: 0s}";

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_undercuts_the_floor_or_what_was_demanded_when_the_leaver_was_first_seen() {
    let two = "{gate: Delete, approvals: 2}";
    let policy = format!("{{{DELETED}, gates: [{two}]}}");
    let scene = Scene::new("undercut", &policy, &[MAPPED]).await;
    scene.jane();
    scene.waits(JANE, "Delete", "0/2");
    scene.site.policy(&format!("{{{DELETED}}}"));
    scene.yes("alice", JANE, "Delete");
    scene.waits(JANE, "Delete", "1/2");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
    scene.yes("bob", JANE, "Delete");
    scene.site.until(JANE, "Complete", "True/Verified");

    let floor = r#"--gate-floor=[{"gate": "Delete", "approvals": 2}]"#;
    let scene = Scene::new("floor", &format!("{{{DELETED}}}"), &[MAPPED, floor]).await;
    scene.jane();
    scene.waits(JANE, "Delete", "0/2");
    scene.yes("alice", JANE, "Delete");
    scene.waits(JANE, "Delete", "1/2");
    scene.yes("bob", JANE, "Delete");
    scene.site.until(JANE, "Complete", "True/Verified");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rule_from_user_names_to_people_only_named_approvers_count() {
    let policy = format!("{{{DELETED}, gates: [{{gate: Delete}}]}}");
    let scene = Scene::new("unmapped", &policy, &[]).await;
    scene.jane();
    scene.waits(JANE, "Delete", "0/1");
    let yes = scene.yes("alice", JANE, "Delete");
    scene.site.until(&yes, "Ready", "False/UnknownPerson");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
    let named = format!("{{{DELETED}, gates: [{{gate: Delete, approvers: [{{user: alice}}]}}]}}");
    scene.site.policy(&named);
    // Both have to be met: what was demanded at first, and what is demanded now.
    scene.site.until(&yes, "Ready", "False/UnknownPerson");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_says_who_they_are_and_nobody_speaks_for_an_hr_system() {
    let scene = Scene::new("asking", "", &[MAPPED]).await;
    let spec = json!({"employee": {"email": "jane@example.com"}, "lastDay": "2031-01-31", "cutoff": {"timeZone": "UTC"}});
    let object = |spec: &Value, annotations: Value| {
        json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
            "metadata": {"name": "jane", "annotations": annotations}, "spec": spec})
        .to_string()
    };
    let create = |user: &str, text: &str| scene.of(user, &["create", "--dry-run=server", "-f", "-"], text);
    let why = create("rita", &object(&spec, json!({}))).unwrap_err();
    assert!(
        why.contains("spec.requestedBy must be your own user name"),
        "{why}"
    );
    let mut by_rita = spec.clone();
    by_rita["requestedBy"] = json!("rita");
    create("rita", &object(&by_rita, json!({}))).unwrap();
    assert!(create("mallory", &object(&by_rita, json!({}))).is_err());
    // Named automation speaks for others.
    let ran = scene.site.kubectl(
        &["create", "--dry-run=server", "-f", "-"],
        &object(&by_rita, json!({})),
    );
    assert!(ran.ok(), "{}", ran.stderr);

    // A source is named by nobody but the operator of the namespace.
    let release = format!("{}-offboard-sources", scene.site.namespace);
    let policy = support::admission(&scene.site.namespace, &[&release]);
    scene.site.kubectl(&["apply", "-f", "-"], &policy).expect_ok();
    let named = object(
        &by_rita,
        json!({"offboard.dev/source": "hr", "offboard.dev/person": "7"}),
    );
    let refused = || create("rita", &named).is_err_and(|why| why.contains("which source"));
    assert!(poll(PATIENCE, refused), "{:?}", create("rita", &named));
    create("rita", &object(&by_rita, json!({"team": "hr"}))).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hr_says_is_taken_for_it_only_while_nobody_but_the_operator_can_say_so() {
    let (crm, _) = application("jane@example.com").await;
    let account = crm.add_user("jane.old@example.com", None, "x");
    let site = Site::on(control_plane_with_admission(), "from-hr");
    site.connect("crm", &crm);
    let source = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "LeaverSource", "metadata": {"name": "hr"},
        "spec": {"connectorRef": {"name": "hr"}}});
    site.apply(&source.to_string());
    // An address that only HR knows, in the words of the operator: the policy that keeps others from them comes later.
    let jane = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
        "metadata": {"name": "jane", "annotations": {"offboard.dev/source": "hr", "offboard.dev/person": "7"}},
        "spec": {"employee": {"email": "jane@example.com", "otherEmails": ["jane.old@example.com"],
            "accounts": [{"connector": "crm", "name": "jane@example.com"}, {"connector": "crm", "name": "jane.old@example.com"}]},
            "urgency": "Immediate"},
    });
    site.kubectl(&["create", "-f", "-"], &jane.to_string())
        .expect_ok();
    let release = site.release();
    let binding = format!("{}-offboard-sources", site.namespace);
    let patch = |to: &str| {
        let patch = format!("{{\"spec\": {{\"validationActions\": {to}}}}}");
        let arguments = [
            "patch",
            "validatingadmissionpolicybinding",
            &binding,
            "--type=merge",
            "-p",
            &patch,
        ];
        site.kubectl(&arguments, "").expect_ok();
    };
    patch(r#"["Audit"]"#);
    // Also after a start, when nobody else changed anything.
    let looked = |operator: &Operator| {
        let looked = || {
            let now = format!("looked={}", support::unique("at"));
            site.kubectl(&["annotate", "--overwrite", JANE, &now], "")
                .expect_ok();
            operator.passes("left") + operator.passes("done") > 0
        };
        assert!(poll(PATIENCE, looked), "{}", operator.log());
    };
    let [name, user] = &release;
    let operator = site.start_strict(&[MAPPED, name, user]);
    site.until(JANE, "Ready", "False/AwaitingApproval");
    assert_eq!(crm.is_active(&account), Some(true));
    drop(operator);
    patch(r#"["Deny", "Audit"]"#);
    let operator = site.start_strict(&[MAPPED]);
    site.until(JANE, "Ready", "False/AwaitingApproval");
    looked(&operator);
    site.until(JANE, "Ready", "False/AwaitingApproval");
    assert_eq!(
        crm.is_active(&account),
        Some(true),
        "without its own policies nothing is from HR"
    );
    drop(operator);
    let operator = site.start_strict(&[MAPPED, name, user]);
    looked(&operator);
    site.until(JANE, "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&account), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_is_taken_out_of_sight_only_after_a_yes() {
    let scene = Scene::new("deleted-after", "", &[MAPPED]).await;
    // What is only looked at does not change that the end is looked after.
    let (seen, _) = application("jane@example.com").await;
    scene.site.secret("seen", "token", seen.token());
    let inputs = format!("{{url: '{}'}}", seen.base());
    scene
        .site
        .connector_with("seen", "scim", &inputs, ", mode: Observe");
    let later = json!({"employee": {"email": "sam@example.com"}, "lastDay": "2031-01-31", "cutoff": {"timeZone": "UTC"}});
    scene.leaver("sam", &later);
    scene.jane();
    scene.site.until(JANE, "AccessRevoked", "False/ObservedOnly");
    let delete = |user: &str, what: &str| scene.of(user, &["delete", "--wait=false", what], "");
    // Before the end it is a plan.
    delete("rita", "offboarding/sam").unwrap();
    for user in ["rita", "alice"] {
        let refused = delete(user, JANE).unwrap_err();
        assert!(refused.contains("is looked after"), "{refused}");
    }
    let all = ["delete", "--wait=false", "offboardings", "--all"];
    assert!(scene.of("rita", &all, "").is_err(), "not as one of many either");
    // Kubernetes' own collector deletes what has an owner that is not there.
    let collector = [
        "--as",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "--as-group",
        "system:masters",
    ];
    let collected = scene
        .site
        .kubectl(&[&collector[..], &["delete", JANE]].concat(), "");
    assert!(
        collected.stderr.contains("is looked after"),
        "{}",
        collected.stderr
    );
    // A pause that nobody agreed to is none.
    scene
        .change("rita", &json!({"suspend": true, "changedBy": ["rita"]}))
        .unwrap();
    scene.waits(JANE, "Loosen", "0/1");
    assert!(delete("rita", JANE).is_err());
    scene.yes("alice", JANE, "Loosen");
    scene.site.until(JANE, "Ready", "False/Suspended");
    delete("rita", JANE).unwrap();
    // A namespace goes as a whole.
    scene.jane();
    scene.site.until(JANE, "AccessRevoked", "False/ObservedOnly");
    let namespace = ["delete", "namespace", &scene.site.namespace, "--wait=false"];
    scene.site.kubectl(&namespace, "").expect_ok();
    let goes = || delete("rita", JANE).map_or_else(|why| why.contains("not found"), |_| true);
    assert!(poll(PATIENCE, goes), "{:?}", delete("rita", JANE));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_invalid_after_the_end_is_shown_and_access_that_comes_back_is_taken_away_all_the_same() {
    let scene = Scene::new("invalid", "{recheck: {every: 2s}}", &[MAPPED]).await;
    scene.jane();
    scene.site.until(JANE, "Ready", "True/Offboarded");
    let shown_and_held = |field: &str| {
        let text = scene.site.until(JANE, "Ready", "False/InvalidSpec");
        assert!(text.contains(field), "{text}");
        scene.site.until(JANE, "Stalled", "True/InvalidSpec");
        scene.reopen();
        assert!(poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false)));
        assert_eq!(scene.site.condition(JANE, "Ready").0, "False/InvalidSpec");
    };
    let typo = json!({"exceptions": [{"connector": "cmr", "until": "2031-01-31", "reason": "x"}], "changedBy": ["mallory"]});
    scene.change("mallory", &typo).unwrap();
    let told = || {
        let events = ["get", "events", "-o", "jsonpath={.items[*].message}"];
        scene
            .site
            .kubectl(&events, "")
            .stdout
            .contains("spec.exceptions[0].connector")
    };
    assert!(poll(PATIENCE, told));
    shown_and_held("spec.exceptions[0].connector");
    scene.change("mallory", &json!({"exceptions": null})).unwrap();
    scene.site.until(JANE, "Ready", "True/Offboarded");
    // Nothing new begins: what the policy would delete now stays.
    scene.site.policy(
        "{recheck: {every: 1h}, timeline: [{want: [AccountDeleted], at: cutoff}, {want: [NoSuchFact], at: cutoff}], retention: {accounts: 0s}}",
    );
    shown_and_held("policy.spec.timeline[1]");
    assert!(scene.crm.is_active(&scene.account).is_some(), "deleted");
    scene.site.policy("{recheck: {every: 2s}}");
    scene.site.until(JANE, "Ready", "True/Offboarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_configurer_loosens_alone_waits_for_a_yes_and_is_held_until_then() {
    let scene = Scene::new("configurer", "{recheck: {every: 2s}}", &[MAPPED]).await;
    let inputs = format!("{{url: '{}'}}", scene.crm.base());
    let connector = |more: &str| scene.site.connector_with("crm", "scim", &inputs, more);
    let closes_again = || {
        scene.reopen();
        poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false))
    };
    scene.jane();
    scene.site.until(JANE, "Ready", "True/Offboarded");
    connector(", mode: Observe");
    scene
        .site
        .policy("{recheck: {every: 1h}, connectors: {matchLabels: {site: nowhere}}}");
    scene.waits(JANE, "Loosen", "0/1");
    let all = ["recheck.every: 1h", "crm: mode: Observe", "crm: not selected"];
    let loosens = || scene.row(JANE, "Loosen")["loosens"].clone();
    assert!(poll(PATIENCE, || loosens() == json!(all)), "{:#}", loosens());
    assert!(closes_again());
    scene.site.until(JANE, "Ready", "True/Offboarded");
    connector("");
    scene.site.policy("{recheck: {every: 2s}}");
    assert!(poll(PATIENCE, || loosens().is_null()), "{:#}", loosens());

    // An account that was closed is not shielded by who configures the system.
    connector(", protected: [jane@example.com]");
    scene.waits(JANE, "Loosen", "0/1");
    assert_eq!(loosens(), json!(["crm: protected"]));
    assert!(closes_again());
    scene.yes("alice", JANE, "Loosen");
    scene.site.until(JANE, "Stalled", "True/Protected");
    scene.reopen();
    let passes = scene.operator.passes("left");
    assert!(poll(PATIENCE, || scene.operator.passes("left") > passes + 1));
    assert_eq!(scene.crm.is_active(&scene.account), Some(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_first_sight_that_nobody_can_meet_any_more_gives_way_only_by_other_peoples_yes() {
    let named = |who: &str, approvals: u8| {
        format!("{{{DELETED}, gates: [{{gate: Delete, approvals: {approvals}, approvers: {who}}}]}}")
    };
    let scene = Scene::new("gone", &named("[{user: paula}, {user: peter}]", 2), &[MAPPED]).await;
    scene.jane();
    scene.waits(JANE, "Delete", "0/2");
    scene.site.policy(&named("[{user: alice}]", 1));
    scene.waits(JANE, "Loosen", "0/2");
    assert_eq!(
        scene.row(JANE, "Loosen")["loosens"],
        json!(["gates.Delete: 2 of paula, peter becomes 1 of alice"])
    );
    scene.yes("alice", JANE, "Delete");
    let asked = scene.yes("rita", JANE, "Loosen");
    scene.site.until(&asked, "Ready", "False/SelfApproval");
    scene.yes("alice", JANE, "Loosen");
    scene.waits(JANE, "Loosen", "1/2");
    assert_eq!(scene.crm.is_active(&scene.account), Some(false), "one is too few");
    scene.yes("bob", JANE, "Loosen");
    scene.site.until(JANE, "Complete", "True/Verified");
    assert_eq!(scene.crm.is_active(&scene.account), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_offboarding_with_many_addresses_takes_as_many_places_as_people_it_leads_to() {
    let scene = Scene::new("places", "", &[MAPPED, "--guard-max=3"]).await;
    let mut systems = vec![];
    for n in 0..3 {
        let (other, account) = application(&format!("person{n}@example.com")).await;
        let name = format!("other{n}");
        scene.site.secret(&name, "token", other.token());
        let inputs = format!("{{url: '{}'}}", other.base());
        scene.site.connector_with(&name, "scim", &inputs, "");
        systems.push((other, account));
    }
    let others: Vec<String> = (0..3).map(|n| format!("person{n}@example.com")).collect();
    let spec =
        json!({"employee": {"email": "jane@example.com", "otherEmails": others}, "urgency": "Immediate"});
    scene.leaver("jane", &spec);
    scene.waits(JANE, "Guard", "0/1");
    assert!(
        poll(PATIENCE, || scene.crm.is_active(&scene.account) == Some(false)),
        "her own account takes the first place"
    );
    let open = || {
        systems
            .iter()
            .filter(|(crm, id)| crm.is_active(id) == Some(true))
            .count()
    };
    assert_eq!(open(), 3, "{:#}", scene.site.get(JANE)["status"]);
    // What waits for more room holds up nobody else.
    let bob = scene.crm.add_user("bob@example.com", None, "x");
    scene.leaver(
        "bob",
        &json!({"employee": {"email": "bob@example.com"}, "urgency": "Immediate"}),
    );
    assert!(poll(PATIENCE, || scene.crm.is_active(&bob) == Some(false)));
    scene.yes("alice", JANE, "Guard");
    scene.site.until(JANE, "Ready", "True/Offboarded");
    assert_eq!(open(), 0);
}
