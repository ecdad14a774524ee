use std::collections::BTreeMap;

use super::*;
use crate::core::{
    approvals::Gates,
    case::System,
    fact::{Act, Class, Sight},
    fault::{Fault, Reason},
    ledger::FactLedger,
    plan::Sent,
    task::{Attestation, Task},
};

const SETTLE: i64 = 10;
const CUTOFF: i64 = 0;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn spec(name: &str, class: Class) -> FactSpec {
    FactSpec {
        settle: SignedDuration::from_secs(SETTLE),
        ..FactSpec::plain(name, class)
    }
}

/// The fact `F`, asked for at 1 and proven at 20, and seen undone at 100 by a look of the process that proved it.
struct Scene {
    facts: Vec<FactSpec>,
    sights: BTreeMap<String, Sight>,
    state: SystemState,
    sent: BTreeMap<String, Sent>,
    system: System,
    looked_at: i64,
}

impl Scene {
    fn about(fact: FactSpec) -> Self {
        let mut scene = Self {
            facts: vec![],
            sights: BTreeMap::new(),
            state: SystemState::default(),
            sent: BTreeMap::new(),
            system: System::default(),
            looked_at: 100,
        };
        let name = fact.name.clone();
        scene.facts.push(fact);
        let entry = scene.state.entry(&name);
        (entry.accepted, entry.verified) = (Some(at(1)), Some(at(20)));
        scene.state.pace.seen.insert(name.clone(), at(20));
        scene.shows(&name, Truth::DoesNotHold);
        scene
    }

    fn undone() -> Self {
        Self::about(spec("F", Class::Access))
    }

    fn shows(&mut self, fact: &str, truth: Truth) {
        let act = (truth == Truth::DoesNotHold).then(|| Act {
            fact: fact.into(),
            requests: vec![],
            rung: 0,
            more: false,
        });
        let sight = Sight {
            act,
            ..Sight::of(truth)
        };
        self.sights.insert(fact.into(), sight);
    }

    fn entry(&mut self) -> &mut FactLedger {
        self.state.entry("F")
    }

    fn find(&self) -> Vec<Finding> {
        let gates = Gates::default();
        let view = PlanInput {
            system: &self.system,
            facts: &self.facts,
            sights: &self.sights,
            ledger: &self.state.ledger,
            pace: &self.state.pace,
            sent: &self.sent,
            fresh: true,
            reading: false,
            blocked: None,
            may_act: true,
            legal_hold: false,
            handed_over: None,
            gates: &gates,
            proof_lasts: SignedDuration::from_secs(600),
            looked_at: at(self.looked_at),
            now: at(self.looked_at),
        };
        let wanted: Vec<&str> = self.facts.iter().map(|fact| fact.name.as_str()).collect();
        find(&view, &wanted, at(CUTOFF))
    }

    fn drift(&self) -> Option<Drift> {
        let findings = self.find();
        findings.into_iter().find(|f| f.fact == "F").map(|f| f.drift)
    }
}

type Change = fn(&mut Scene);

#[test]
fn who_is_to_blame_for_what_is_seen_undone() {
    let cases: &[(&str, Change, Option<Drift>)] = &[
        ("seen, then undone", |_| {}, Some(Drift::Undone)),
        ("still true", |s| s.shows("F", Truth::Holds), None),
        ("not read", |s| s.sights.clear(), None),
        (
            "could not be read",
            |s| s.shows("F", Truth::Unreadable(Fault::transient(Reason::Timeout))),
            None,
        ),
        ("never proven", |s| s.entry().verified = None, None),
        ("cannot be proven", |s| s.facts[0].proof = Proof::None, None),
        ("settling", |s| s.entry().accepted = Some(at(95)), None),
        (
            "asked for in this look",
            |s| drop(s.sent.insert("F".into(), Sent::InFlight)),
            None,
        ),
        (
            "found true, and seen within the settle time: a late read",
            |s| {
                s.entry().accepted = None;
                s.state.pace.seen.insert("F".into(), at(25));
            },
            Some(Drift::Unproven),
        ),
        (
            "found true, and seen after the settle time",
            |s| {
                s.entry().accepted = None;
                s.state.pace.seen.insert("F".into(), at(31));
            },
            Some(Drift::Undone),
        ),
        (
            "an acceptance that was only concluded proves no more than a read",
            |s| {
                s.entry().concluded = true;
                s.state.pace.seen.insert("F".into(), at(25));
            },
            Some(Drift::Unproven),
        ),
        (
            "something was sent since",
            |s| s.state.pace.last_sent = Some(at(50)),
            Some(Drift::Unproven),
        ),
        (
            "another end of access is wanted by now",
            |s| s.entry().cutoff = Some(at(7)),
            Some(Drift::Unproven),
        ),
        (
            "the same end of access is wanted",
            |s| s.entry().cutoff = Some(at(CUTOFF)),
            Some(Drift::Undone),
        ),
        (
            "after a restart, with all proven before",
            |s| s.state.pace.seen.clear(),
            Some(Drift::Undone),
        ),
        (
            "after a restart, with something under way",
            |s| {
                s.state.pace.seen.clear();
                s.facts.push(spec("G", Class::Sessions));
                s.shows("G", Truth::DoesNotHold);
            },
            Some(Drift::Unproven),
        ),
        (
            "after a restart, soon after it was found true",
            |s| {
                s.state.pace.seen.clear();
                s.entry().accepted = None;
            },
            Some(Drift::Unproven),
        ),
        (
            "after a restart, long after it was found true",
            |s| {
                s.state.pace.seen.clear();
                s.entry().accepted = None;
                s.looked_at = 20 + SETTLE + 600;
            },
            Some(Drift::Undone),
        ),
        (
            "what must not happen twice, by a read that may be a late one",
            |s| {
                s.facts[0].repeatable = false;
                (s.entry().accepted, s.looked_at) = (Some(at(1)), 25);
            },
            Some(Drift::Doubted { accepted: at(20) }),
        ),
        (
            "what must not happen twice, by a read that is none",
            |s| s.facts[0].irreversible = true,
            Some(Drift::Undone),
        ),
    ];
    for (what, change, expected) in cases {
        let mut scene = Scene::undone();
        change(&mut scene);
        assert_eq!(scene.drift(), *expected, "{what}");
    }
}

#[test]
fn what_rests_on_something_undone_is_proven_or_asked_for_anew() {
    let mut scene = Scene::undone();
    let mut add = |name: &str, class, change: fn(&mut FactSpec)| {
        let mut fact = spec(name, class);
        change(&mut fact);
        scene.facts.push(fact);
        scene.shows(name, Truth::Holds);
        scene.state.entry(name).verified = Some(at(20));
        scene.state.entry(name).accepted = Some(at(2));
    };
    add("After", Class::Sessions, |f| f.after = vec!["F".into()]);
    add("Requires", Class::Credentials, |f| f.requires = vec!["F".into()]);
    add("Once", Class::Sessions, |f| {
        (f.after, f.repeatable) = (vec!["F".into()], false)
    });
    add("Data", Class::Data, |f| f.after = vec!["F".into()]);
    add("Apart", Class::Sessions, |_| {});
    add("Unread", Class::Sessions, |f| {
        (f.requires, f.proof) = (vec!["F".into()], Proof::None)
    });
    add("UnreadAfter", Class::Sessions, |f| {
        (f.after, f.proof) = (vec!["F".into()], Proof::None)
    });
    let findings = scene.find();
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.fact.as_str(), f.drift.clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("F", Drift::Undone),
            ("After", Drift::Unsettled),
            ("Requires", Drift::Unsettled),
            ("Unread", Drift::Unasked)
        ]
    );
    scene.state.entry("Unread").callback_watermark = Some(at(3));
    let happened = record(&findings, &scene.facts, &mut scene.state, at(100));
    assert_eq!(happened, [Happened::new("F", Event::Drifted)]);
    let entry = |name: &str| scene.state.ledger.fact(name).clone();
    assert_eq!((entry("F").verified, entry("F").accepted), (None, None));
    assert_eq!((entry("F").reversals, entry("F").doubted), (1, Some(at(100))));
    assert_eq!(
        (entry("After").verified, entry("After").accepted),
        (None, Some(at(2)))
    );
    assert_eq!((entry("Unread").verified, entry("Unread").accepted), (None, None));
    assert_eq!(entry("Unread").callback_watermark, Some(at(100)));
    assert_eq!(entry("Once").verified, Some(at(20)));
    assert!(scene.state.pace.seen.is_empty());
}

#[test]
fn nobody_is_blamed_for_what_is_only_doubted() {
    let cases = [
        (
            Drift::Doubted { accepted: at(20) },
            Some(at(20)),
            Some(at(100)),
            0,
        ),
        (Drift::Unproven, None, Some(at(100)), 0),
        (Drift::Undone, None, Some(at(100)), 1),
    ];
    for (drift, accepted, doubted, reversals) in cases {
        let mut scene = Scene::undone();
        let findings = [Finding {
            fact: "F".into(),
            drift: drift.clone(),
        }];
        let happened = record(&findings, &scene.facts, &mut scene.state, at(100));
        assert_eq!(happened.len(), reversals, "{drift:?}");
        let entry = scene.state.ledger.fact("F");
        assert_eq!(entry.verified, None, "{drift:?}");
        assert_eq!((entry.accepted, entry.doubted), (accepted, doubted), "{drift:?}");
        assert_eq!(entry.reversals, reversals, "{drift:?}");
    }
}

#[test]
fn a_log_that_does_not_show_it_casts_no_doubt() {
    let mut scene = Scene::undone();
    scene.facts[0].proof = Proof::Log;
    let findings = scene.find();
    record(&findings, &scene.facts, &mut scene.state, at(100));
    assert_eq!(scene.state.ledger.fact("F").doubted, None);
}

/// A task that somebody said at 20 is done, as of which a read at 100 shows that it is not.
fn task(change: fn(&mut Scene)) -> Option<Drift> {
    let mut scene = Scene::about(FactSpec {
        by_hand: true,
        ..spec("F", Class::Devices)
    });
    scene.entry().accepted = None;
    scene.entry().attested_at = Some(at(20));
    change(&mut scene);
    scene.drift()
}

fn as_of(scene: &mut Scene, seconds: i64) {
    let sight = scene.sights.get_mut("F").unwrap();
    sight.task = Some(Task {
        title: "Take the badge".into(),
        assignee: "desk".into(),
        instructions: String::new(),
        due_in: SignedDuration::ZERO,
        as_of: Some(at(seconds)),
    });
}

#[test]
fn a_task_is_reopened_by_what_is_newer_than_the_word() {
    let reopened = |refuted: Option<i64>, counted| {
        let refuted = refuted.map(at);
        Some(Drift::Reopened { refuted, counted })
    };
    let cases: &[(&str, Change, Option<Drift>)] = &[
        ("a newer read", |_| {}, reopened(Some(100), Counted::Attested)),
        ("an export from before the word", |s| as_of(s, 15), None),
        (
            "an export within the settle time of the word",
            |s| as_of(s, 30),
            None,
        ),
        (
            "an export of a time after the word",
            |s| as_of(s, 31),
            reopened(Some(31), Counted::Attested),
        ),
        ("seen done", |s| s.shows("F", Truth::Holds), None),
        (
            "proven by a read before",
            |s| s.entry().attested_at = None,
            reopened(None, Counted::Proven),
        ),
        (
            "a word that was never taken",
            |s| {
                (s.entry().verified, s.entry().attested_at) = (None, None);
                let word = Attestation {
                    by: "desk".into(),
                    at: at(20),
                    plan: String::new(),
                };
                s.system.attested.insert("F".into(), word);
            },
            reopened(Some(100), Counted::Open),
        ),
        (
            "nobody said so",
            |s| (s.entry().verified, s.entry().attested_at) = (None, None),
            None,
        ),
    ];
    for (what, change, expected) in cases {
        assert_eq!(task(*change), *expected, "{what}");
    }
}

#[test]
fn a_word_that_is_refuted_is_spent() {
    for (counted, event) in [
        (Counted::Open, None),
        (Counted::Attested, Some(Event::Reopened)),
        (Counted::Proven, Some(Event::Drifted)),
    ] {
        let mut scene = Scene::undone();
        scene.entry().attested_at = Some(at(20));
        let findings = [Finding {
            fact: "F".into(),
            drift: Drift::Reopened {
                refuted: Some(at(90)),
                counted,
            },
        }];
        let happened = record(&findings, &scene.facts, &mut scene.state, at(100));
        assert_eq!(happened.first().map(|happened| happened.event), event);
        let entry = scene.state.ledger.fact("F");
        assert_eq!((entry.verified, entry.attested_at), (None, None));
        assert_eq!(entry.refuted_at, Some(at(90)));
    }
}
