//! What people say without a cluster: it counts when they have signed it, with a key that was named for them, and for exactly
//! what they saw.

use std::path::Path;

use offboard::{
    cli::{
        approvals::Voices,
        local::{Links, Local, Permissions},
        manifests::Manifests,
    },
    drive::folder::Folder,
};
use offboard_simulators::scim::Scim;

use super::*;
use crate::{
    operator::site::application,
    support::{self, poll},
};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const JANE_HERSELF: &str = "jane@example.com";

/// Jane, whose account waits for a yes before it is deleted and whose badge somebody collects; and people with keys.
struct Office {
    desk: Desk,
    /// Keys, and who has which: not in the folder that is reviewed.
    keys: Scratch,
    crm: Scim,
    account: String,
}

impl Office {
    async fn new(gate: &str) -> Self {
        let (crm, account) = application(JANE_HERSELF).await;
        let desk = Desk(Scratch::new("desk"));
        let object = |kind: &str, name: &str, spec: &str| {
            format!(
                "{{apiVersion: offboard.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {spec}}}"
            )
        };
        let crm_spec = format!(
            "{{definition: scim, inputs: {{url: '{}'}}, secretRef: {{name: crm}}, facts: {{include: [AccountDeleted]}}}}",
            crm.base()
        );
        let badge = "{definition: manual, inputs: {title: Collect the badge}}";
        let policy = format!(
            "{{timeline: [{{want: [AccountDeleted], at: cutoff}}], retention: {{accounts: 0s}}, gates: [{gate}]}}"
        );
        let jane = format!("{{employee: {{email: {JANE_HERSELF}}}, urgency: Immediate}}");
        let files = [
            ("crm.yaml", object("Connector", "crm", &crm_spec)),
            ("badge.yaml", object("Connector", "badge", badge)),
            ("policy.yaml", object("OffboardingPolicy", "default", &policy)),
            ("jane.yaml", object("Offboarding", "jane", &jane)),
        ];
        for (file, text) in files {
            fs::write(desk.0.join(file), text).unwrap();
        }
        fs::create_dir_all(desk.0.join("secrets/crm")).unwrap();
        fs::write(desk.0.join("secrets/crm/token"), crm.token()).unwrap();
        fs::write(desk.0.join("secrets/crm/hosts"), support::here()).unwrap();
        let office = Self {
            desk,
            keys: Scratch::new("keys"),
            crm,
            account,
        };
        let mut signers = String::new();
        for person in [ALICE, BOB, JANE_HERSELF, "mallory"] {
            let key = office.keys.join(person);
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
            support::run(&mut keygen, "").expect_ok();
            if person != "mallory" {
                let public = fs::read_to_string(key.with_file_name(format!("{person}.pub"))).unwrap();
                signers += &format!("{person} namespaces=\"offboard\" {public}");
            }
        }
        fs::write(office.keys.join("signers"), signers).unwrap();
        office
    }

    fn signers(&self) -> String {
        self.keys.join("signers").to_str().unwrap().to_owned()
    }

    fn run(&self) -> Output {
        self.desk
            .ran("run", &["--wait", "2m", "--approvers", &self.signers()])
    }

    /// The row of what waits in the status.
    fn row(&self, gate: &str) -> Value {
        let status = fs::read_to_string(self.desk.leaver().join("status.json")).unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        let rows = status["gates"].as_array().cloned().unwrap_or_default();
        rows.into_iter()
            .find(|row| row["gate"] == gate)
            .unwrap_or_default()
    }

    /// Approvals as they would be written by somebody who saw what is shown.
    fn yes(&self, approver: &str) -> Value {
        self.approval(
            approver,
            &json!({"gate": "Delete", "decision": "Approved", "plan": self.row("Delete")["plan"]}),
        )
    }

    fn done(&self, approver: &str) -> Value {
        let plan = self.row("Task")["plan"].clone();
        self.approval(
            approver,
            &json!({"gate": "Task", "connector": "badge", "decision": "Done", "plan": plan}),
        )
    }

    fn approval(&self, approver: &str, spec: &Value) -> Value {
        let uid = self
            .desk
            .leaver()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let mut spec = spec.clone();
        spec["approver"] = json!(approver);
        spec["offboardingRef"] = json!({"name": "jane", "uid": uid});
        json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "a"}, "spec": spec})
    }

    /// Puts an Approval beside the manifests, and says where.
    fn put(&self, name: &str, approval: &Value) -> PathBuf {
        let file = self.desk.0.join(name);
        fs::write(&file, approval.to_string()).unwrap();
        file
    }

    fn sign(&self, file: &Path, key: &str, namespace: &str) {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
        support::run(keygen.arg(self.keys.join(key)).arg(file), "").expect_ok();
    }

    fn signed(&self, name: &str, approval: &Value, key: &str) -> PathBuf {
        let file = self.put(name, approval);
        self.sign(&file, key, "offboard");
        file
    }

    fn take_away(&self, file: &Path) {
        fs::remove_file(file).unwrap();
        drop(fs::remove_file(signature(file)));
    }

    fn is_there(&self) -> bool {
        self.crm.is_active(&self.account) == Some(false)
    }
}

fn signature(file: &Path) -> PathBuf {
    file.with_file_name(format!("{}.sig", file.file_name().unwrap().to_str().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_counts_when_its_approver_has_signed_it_and_not_otherwise() {
    let office = Office::new("{gate: Delete}").await;
    let first = office.desk.ran("run", &["--wait", "2m"]);
    assert_eq!(
        code(&first),
        3,
        "{}\n{}",
        text(&first.stdout),
        text(&first.stderr)
    );
    assert!(office.is_there(), "access is gone, and nothing is deleted");
    let said = text(&first.stderr);
    let plan = office.row("Delete")["plan"].as_str().unwrap().to_owned();
    for part in [plan.as_str(), "ssh-keygen -Y sign -n offboard", "--approvers"] {
        assert!(said.contains(part), "{part} in\n{said}");
    }
    assert_eq!(office.row("Delete")["state"], "Untrusted");
    let alice = office.yes(ALICE);
    let with = |pointer: &str, value: Value| {
        let mut changed = alice.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed
    };
    let other_plan = json!(format!("sha256:{}", "0".repeat(64)));
    let forged: [(&str, Value, &str, &str); 7] = [
        (
            "signed by somebody else",
            alice.clone(),
            "mallory",
            "not by a key",
        ),
        ("signed by another approver", alice.clone(), BOB, "not by a key"),
        (
            "of somebody without a key",
            with("/spec/approver", json!("mallory")),
            "mallory",
            "not by a key",
        ),
        ("her own", office.yes(JANE_HERSELF), JANE_HERSELF, ""),
        ("for another plan", with("/spec/plan", other_plan), ALICE, ""),
        (
            "for another leaver",
            with("/spec/offboardingRef/uid", json!("jane-0")),
            ALICE,
            "",
        ),
        ("a no", with("/spec/decision", json!("Denied")), ALICE, ""),
    ];
    for (what, approval, key, why) in forged {
        let file = office.signed("forged.json", &approval, key);
        let ran = office.run();
        assert_eq!(code(&ran), 3, "{what}: {}", text(&ran.stdout));
        assert!(office.is_there(), "{what}");
        assert!(text(&ran.stderr).contains(why), "{what}: {}", text(&ran.stderr));
        office.take_away(&file);
    }
    // Not signed; signed for something else; changed after it was signed; nobody vouches.
    let file = office.put("yes.json", &alice);
    let unsigned = office.run();
    assert!(
        text(&unsigned.stderr).contains("not signed"),
        "{}",
        text(&unsigned.stderr)
    );
    office.sign(&file, ALICE, "git");
    assert_eq!((code(&office.run()), office.is_there()), (3, true));
    office.take_away(&file);
    let file = office.signed("yes.json", &with("/spec/decision", json!("Denied")), ALICE);
    fs::write(&file, alice.to_string()).unwrap();
    assert_eq!((code(&office.run()), office.is_there()), (3, true));
    office.take_away(&file);
    office.signed("yes.json", &alice, ALICE);
    let alone = office.desk.ran("run", &["--wait", "2m"]);
    assert!(
        text(&alone.stderr).contains("Approval not counted"),
        "{}",
        text(&alone.stderr)
    );
    assert_eq!((code(&alone), office.is_there()), (3, true));
    // As it should be.
    office.run();
    assert!(poll(PATIENCE, || {
        office.run();
        office.crm.is_active(&office.account).is_none()
    }));
    assert_eq!(office.row("Delete")["state"], "Open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_done_by_a_signed_word_that_stays_when_its_file_goes() {
    let office = Office::new("{gate: Delete}").await;
    assert_eq!(code(&office.run()), 3);
    let delete = office.signed("yes.json", &office.yes(ALICE), ALICE);
    let stranger = office.signed("done.json", &office.done(BOB), "mallory");
    assert_eq!(code(&office.run()), 3);
    assert_eq!(office.row("Task")["state"], "Waiting");
    office.take_away(&stranger);
    let word = office.signed("done.json", &office.done(BOB), BOB);
    let ran = office.run();
    assert_eq!(code(&ran), 0, "{}\n{}", text(&ran.stdout), text(&ran.stderr));
    assert!(text(&ran.stdout).contains("Asserted"), "{}", text(&ran.stdout));
    assert_eq!(office.row("Task")["state"], "Open");
    office.take_away(&word);
    office.take_away(&delete);
    assert_eq!(code(&office.run()), 0, "said is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_expires_from_when_it_was_first_seen_whatever_its_file_says() {
    let office = Office::new("{gate: Delete, approvals: 2, expiresAfter: 1s}").await;
    assert_eq!(code(&office.run()), 3);
    let mut old = office.yes(ALICE);
    old["metadata"]["creationTimestamp"] = json!("2999-01-01T00:00:00Z");
    office.signed("alice.json", &old, ALICE);
    assert_eq!(code(&office.run()), 3);
    let seen = fs::read_to_string(office.desk.leaver().join("seen.json")).unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    let first = seen["seen"].as_object().unwrap().values().next().unwrap();
    let first: Timestamp = serde_json::from_value(first.clone()).unwrap();
    assert!(poll(PATIENCE, || Timestamp::now()
        .duration_since(first)
        .as_secs()
        >= 2));
    office.signed("bob.json", &office.yes(BOB), BOB);
    assert_eq!((code(&office.run()), office.is_there()), (3, true));
    assert_eq!(office.row("Delete")["state"], "Expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_what_cannot_be_taken_back_everything_is_read_again() {
    let office = Office::new("{gate: Delete}").await;
    assert_eq!(code(&office.run()), 3);
    let file = office.signed("yes.json", &office.yes(ALICE), ALICE);
    let manifests = Manifests::read(&office.desk.0).unwrap();
    let links = Links::new(&manifests, &Permissions::default().assembly());
    let (state, signers) = (office.desk.state(), office.keys.join("signers"));
    let now = Timestamp::now();
    let demands = Permissions::default().safeguards;
    let voices = Voices::hear(&manifests, &links, &state, Some(&signers), &demands, now).unwrap();
    let leaver = &manifests.offboardings[0];
    let folder = Folder::look(&state, leaver.metadata.uid.as_ref().unwrap());
    let votes = voices.votes(leaver, &folder, now).unwrap();
    let votes: Vec<_> = votes.iter().collect();
    assert_eq!(votes.len(), 1);
    let stands = voices.stands();
    assert!(stands(&votes));
    let changed = |path: &Path, stands_then: bool| {
        let before = fs::read(path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!(stands(&votes), stands_then, "{}", path.display());
        fs::write(path, before).unwrap();
        assert!(stands(&votes));
    };
    changed(&file, false);
    changed(&signature(&file), false);
    changed(&signers, false);
    fs::write(&file, fs::read_to_string(&file).unwrap() + "\n").unwrap();
    assert!(!stands(&votes), "another text");
    let local = Local::look(leaver, &manifests, &links, &state, &voices, now).unwrap();
    assert_eq!(local.case.votes.len(), 1);
}

/// The company's leaver, whose data goes to Sam because the manifests say so, and people with keys beside the folder.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_manifests_say_waits_for_whoever_is_named_to_be_asked_and_not_for_who_would_get_it() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let keys = Scratch::new("keys");
    let mut signers = String::new();
    for person in [ALICE, SAM.email] {
        let key = keys.join(person);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key);
        support::run(&mut keygen, "").expect_ok();
        let public = fs::read_to_string(keys.join(format!("{person}.pub"))).unwrap();
        signers += &format!("{person} namespaces=\"offboard\" {public}");
    }
    fs::write(keys.join("signers"), signers).unwrap();
    let known = keys.join("signers").to_str().unwrap().to_owned();
    let run = || desk.ran("run", &["--wait", "1m", "--approvers", &known]);
    let first = run();
    assert_eq!(code(&first), 3, "{}", super::folder::all(&first));
    let status = || -> Value {
        let text = fs::read_to_string(desk.leaver().join("status.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let gates = |status: &Value| -> Vec<String> {
        let rows = status["gates"].as_array().cloned().unwrap_or_default();
        let rows = rows.iter().filter(|row| row["state"] == "Waiting");
        rows.map(|row| row["gate"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(gates(&status()), ["Account", "Transfer"]);
    let uid = desk.leaver().file_name().unwrap().to_str().unwrap().to_owned();
    let name = uid
        .rsplit_once('-')
        .map_or(uid.as_str(), |(name, _)| name)
        .to_owned();
    let answer = |approver: &str, file: &str| {
        let status = status();
        for row in status["gates"].as_array().unwrap() {
            let gate = row["gate"].as_str().unwrap();
            let approval = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"name": format!("{file}-{}", gate.to_lowercase())},
                "spec": {"gate": gate, "decision": "Approved", "plan": row["plan"], "approver": approver,
                    "offboardingRef": {"name": name, "uid": uid}}});
            let path = desk.0.join(format!("{file}-{gate}.json"));
            fs::write(&path, approval.to_string()).unwrap();
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-Y", "sign", "-n", "offboard", "-f"]);
            support::run(keygen.arg(keys.join(approver)).arg(path), "").expect_ok();
        }
    };
    answer(SAM.email, "sam");
    let by_sam = run();
    assert_eq!(code(&by_sam), 3, "{}", super::folder::all(&by_sam));
    assert_eq!(
        gates(&status()),
        ["Transfer"],
        "who would get it has no say in that: {}",
        super::folder::all(&by_sam)
    );
    answer(ALICE, "alice");
    let done = run();
    assert_eq!(code(&done), 0, "{}", super::folder::all(&done));
}
