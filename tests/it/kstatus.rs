//! What GitOps tools make of an Offboarding in every state: kstatus (Flux, kpt, Helm 4), Argo CD with
//! `examples/argocd/health.lua`, and the condition that `kubectl wait` waits for.
//!
//! The statuses are made by the product's own report; the verdicts by the tools' own code (`tests/kstatus`, in Go).

use std::{collections::BTreeMap, path::Path, process::Command};

use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::{OffboardingStatus, crds},
    core::{
        case::{Case, System, Wanted},
        fact::{Class, FactSpec, FactState, Verdict, Why},
        fault::{Fault, Reason},
        identity::Person,
    },
    drive::{Outcome, Row, report},
};
use serde_json::{Value, json};

use crate::support::{self, Scratch};

const FACTS: [(&str, Class); 3] = [
    ("AccountDisabled", Class::Access),
    ("FilesTransferred", Class::Data),
    ("AccountDeleted", Class::Deletion),
];

fn now() -> Timestamp {
    "2026-09-30T15:00:00Z".parse().unwrap()
}

fn case() -> Case {
    let wanted = FACTS.map(|(name, _)| (name.to_owned(), Wanted::At(now())));
    let system = System {
        row: "crm".into(),
        who: Person::default(),
        successor: None,
        wanted: BTreeMap::from(wanted),
        ..System::default()
    };
    Case {
        uid: "uid".into(),
        name: "leaver-1".into(),
        generation: 1,
        who: Person::default(),
        cutoff: now(),
        access_deadline: now() + SignedDuration::from_hours(1),
        enforce: true,
        suspended: false,
        legal_hold: false,
        recheck_until: now() + SignedDuration::from_hours(24),
        recheck_every: SignedDuration::from_mins(15),
        systems: vec![system],
        ..Case::default()
    }
}

/// What a pass found out about access, data and deletion.
fn outcome(verdicts: [Verdict; 3]) -> Outcome {
    let facts = FACTS.iter().zip(verdicts);
    let facts = facts.map(|((name, class), verdict)| {
        let spec = FactSpec::plain(*name, *class);
        FactState::unseen(spec, verdict)
    });
    let row = Row::new("crm", facts.collect());
    Outcome {
        rows: vec![row],
        ..Outcome::default()
    }
}

fn later() -> Verdict {
    Verdict::NotDue(now() + SignedDuration::from_hours(720))
}

fn status(case: &Case, outcome: &Outcome) -> OffboardingStatus {
    report::status(case, outcome, &OffboardingStatus::default(), now())
}

/// The status that the schema gives to an object that nobody has looked at.
fn default_status() -> Value {
    let crd = crds::all()
        .into_iter()
        .find(|crd| crd.spec.names.plural == "offboardings");
    let crd = serde_json::to_value(crd).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"].clone()
}

/// One state with what each tool must make of it.
struct State {
    name: &'static str,
    status: Value,
    generation: i64,
    suspend: bool,
    tools: [&'static str; 2],
    /// Of `Ready`, `AccessRevoked` and `Complete`: those on which `kubectl wait` returns.
    waits: &'static [&'static str],
}

fn state(
    name: &'static str,
    status: OffboardingStatus,
    tools: [&'static str; 2],
    waits: &'static [&'static str],
) -> State {
    State {
        name,
        status: serde_json::to_value(status).unwrap(),
        generation: 1,
        suspend: false,
        tools,
        waits,
    }
}

fn states() -> Vec<State> {
    use Verdict::{Pending, Unknown, Unmet, Verified};
    const WORKING: [&str; 2] = ["InProgress", "Progressing"];
    const GOOD: [&str; 2] = ["Current", "Healthy"];
    const STUCK: [&str; 2] = ["Failed", "Degraded"];
    let is = |verdicts| status(&case(), &outcome(verdicts));
    let down = Fault::transient(Reason::SystemUnavailable).with_code("503");
    let refused = Fault::permanent(Reason::CredentialRejected).with_code("401");
    let done = || is([Verified, Verified, Verified]);
    let mut drifting = outcome([Unmet(Why::NotTried), Verified, Verified]);
    drifting.rows[0].drifted.push("AccountDisabled".into());
    let suspended = Case {
        suspended: true,
        ..case()
    };
    let plan = Case {
        enforce: false,
        ..case()
    };
    vec![
        State {
            status: default_status(),
            ..state("created", OffboardingStatus::default(), WORKING, &[])
        },
        state("scheduled", is([later(), later(), later()]), GOOD, &["Ready"]),
        state(
            "revoking",
            is([Unmet(Why::NotTried), Pending(now()), later()]),
            WORKING,
            &[],
        ),
        state(
            "transferring",
            is([Verified, Pending(now()), later()]),
            WORKING,
            &["AccessRevoked"],
        ),
        state("retrying", is([Unknown(down), Verified, Verified]), WORKING, &[]),
        state(
            "needs-a-person",
            is([Unknown(refused), Verified, Verified]),
            STUCK,
            &[],
        ),
        state(
            "invalid",
            report::refused(
                1,
                (report::INVALID_SPEC, "spec.lastDay: wrong"),
                &OffboardingStatus::default(),
                now(),
            ),
            STUCK,
            &[],
        ),
        state(
            "offboarded",
            done(),
            GOOD,
            &["Ready", "AccessRevoked", "Complete"],
        ),
        state(
            "retention",
            is([Verified, Verified, later()]),
            GOOD,
            &["Ready", "AccessRevoked"],
        ),
        state("drifting", status(&case(), &drifting), WORKING, &[]),
        State {
            generation: 2,
            ..state("edited", done(), WORKING, &[])
        },
        State {
            suspend: true,
            ..state(
                "suspended",
                status(&suspended, &outcome([Unmet(Why::NotTried), later(), later()])),
                ["InProgress", "Suspended"],
                &[],
            )
        },
        state(
            "plan-only",
            status(&plan, &outcome([Unmet(Why::NotTried), later(), later()])),
            GOOD,
            &["Ready"],
        ),
    ]
}

impl State {
    fn object(&self) -> Value {
        json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
            "metadata": {"name": "leaver-1", "namespace": "people", "generation": self.generation},
            "spec": {"employee": {"email": "jane@example.com"}, "urgency": "Immediate", "suspend": self.suspend},
            "status": self.status,
        })
    }

    /// Whether `kubectl wait --for=condition=TYPE` would return: not for an older generation.
    fn met(&self, type_: &str) -> bool {
        let conditions = self.status["conditions"].as_array().unwrap().iter();
        let mut found = conditions.filter(|c| c["type"] == type_ && c["status"] == "True");
        let observed = |c: &Value| {
            c["observedGeneration"]
                .as_i64()
                .or(self.status["observedGeneration"].as_i64())
        };
        found.any(|c| observed(c).unwrap() >= self.generation)
    }
}

/// Name, kstatus and Argo CD of every object.
fn verdicts(states: &[State]) -> Vec<[String; 3]> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Scratch::new("kstatus");
    let program = folder.join("kstatus");
    let mut build = Command::new("go");
    build
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".");
    build.current_dir(root.join("tests/kstatus"));
    support::run(&mut build, "").expect_ok();
    let fixtures: Vec<Value> = states
        .iter()
        .map(|state| json!({"name": state.name, "object": state.object()}))
        .collect();
    let mut judge = Command::new(&program);
    judge.arg(root.join("examples/argocd/health.lua"));
    let lines = support::run(&mut judge, &Value::from(fixtures).to_string()).expect_ok();
    let words = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        [(); 3].map(|()| words.next().unwrap())
    };
    lines.lines().map(words).collect()
}

#[test]
fn every_tool_understands_every_state() {
    let states = states();
    let found = verdicts(&states);
    let expected: Vec<[String; 3]> = states
        .iter()
        .map(|s| [s.name, s.tools[0], s.tools[1]].map(str::to_owned))
        .collect();
    assert_eq!(found, expected);
    for state in &states {
        for type_ in ["Ready", "AccessRevoked", "Complete"] {
            assert_eq!(
                state.met(type_),
                state.waits.contains(&type_),
                "{}: {type_}",
                state.name
            );
        }
    }
}

#[test]
fn the_conditions_of_every_state_keep_the_rules_that_tools_rely_on() {
    for state in states() {
        let is = |type_: &str, status: &str| {
            let conditions = state.status["conditions"].as_array().unwrap();
            conditions
                .iter()
                .any(|c| c["type"] == type_ && c["status"] == status)
        };
        let (name, stalled) = (state.name, is("Stalled", "True"));
        assert!(!(stalled && is("Reconciling", "True")), "{name}: both");
        assert!(!stalled || is("Ready", "False"), "{name}: stalled and ready");
        assert!(
            !is("Ready", "True") || !is("Reconciling", "True"),
            "{name}: ready and at work"
        );
        let whole = is("AccessRevoked", "True") && is("DataTransferred", "True");
        assert!(!is("Complete", "True") || whole, "{name}: complete too early");
        for condition in state.status["conditions"].as_array().unwrap() {
            let reason = condition["reason"].as_str().unwrap();
            assert!(
                reason.chars().all(|c| c.is_ascii_alphabetic()),
                "{name}: {reason}"
            );
            let message = condition["message"].as_str().unwrap_or_default();
            assert!(
                message.chars().count() <= 200 && !message.contains('\n'),
                "{name}: {message}"
            );
        }
    }
}
