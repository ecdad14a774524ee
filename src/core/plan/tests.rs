use serde_json::json;

use super::*;
use crate::core::{
    case::{OBSERVED_ONLY, Wanted},
    fact::{Act, Class, Exempt, Proof, Stage, Truth, Why},
    fault::Reason,
    ledger::FactLedger,
    pace::Trouble,
    task::{Attestation, Task},
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn fact(name: &str, class: Class) -> FactSpec {
    FactSpec {
        stage: Stage::Cutoff,
        irreversible: false,
        settle: SignedDuration::from_secs(10),
        ..FactSpec::plain(name, class)
    }
}

/// One system at one instant of one look: by default everything is wanted, nothing was read, nothing was sent.
struct Scene {
    system: System,
    facts: Vec<FactSpec>,
    sights: BTreeMap<String, Sight>,
    ledger: SystemLedger,
    pace: Pace,
    sent: BTreeMap<String, Sent>,
    fresh: bool,
    may_act: bool,
    legal_hold: bool,
    gates: crate::core::approvals::Gates,
}

impl Scene {
    fn of(facts: Vec<FactSpec>) -> Self {
        let wanted = facts.iter().map(|f| (f.name.clone(), Wanted::At(at(0))));
        Self {
            system: System {
                row: "crm".into(),
                wanted: wanted.collect(),
                ..System::default()
            },
            facts,
            sights: BTreeMap::new(),
            ledger: SystemLedger::default(),
            pace: Pace::default(),
            sent: BTreeMap::new(),
            fresh: true,
            may_act: true,
            legal_hold: false,
            gates: crate::core::approvals::Gates::default(),
        }
    }

    fn disabling_first() -> Self {
        let mut groups = fact("GroupsRemoved", Class::Entitlements);
        groups.after = vec!["AccountDisabled".into()];
        Self::of(vec![fact("AccountDisabled", Class::Access), groups])
    }

    fn seen(mut self, fact: &str, truth: Truth) -> Self {
        let act = (truth == Truth::DoesNotHold).then(|| Act {
            fact: fact.into(),
            requests: vec![json!({})],
            rung: 0,
            more: false,
        });
        let sight = Sight {
            act,
            ..Sight::of(truth)
        };
        self.sights.insert(fact.into(), sight);
        self
    }

    fn ledger_of(&mut self, fact: &str) -> &mut FactLedger {
        self.ledger.facts.entry(fact.into()).or_default()
    }

    fn accepted(mut self, fact: &str, seconds: i64) -> Self {
        self.ledger_of(fact).accepted = Some(at(seconds));
        self
    }

    fn view(&self, now: i64) -> PlanInput<'_> {
        PlanInput {
            system: &self.system,
            facts: &self.facts,
            sights: &self.sights,
            ledger: &self.ledger,
            pace: &self.pace,
            sent: &self.sent,
            fresh: self.fresh,
            reading: false,
            blocked: None,
            may_act: self.may_act,
            legal_hold: self.legal_hold,
            handed_over: None,
            gates: &self.gates,
            proof_lasts: SignedDuration::from_secs(600),
            looked_at: at(now),
            now: at(now),
        }
    }

    fn verdict(&self, fact: &str, now: i64) -> Verdict {
        self.view(now).verdict_of(fact).expect("a fact of the scene")
    }

    fn sendable(&self, now: i64) -> Vec<String> {
        let view = self.view(now);
        view.sendable().into_iter().map(|f| f.name.clone()).collect()
    }
}

fn throttled() -> Fault {
    Fault::throttled(at(500))
}

#[test]
fn nothing_happens_before_its_time() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    scene
        .system
        .wanted
        .insert("AccountDisabled".into(), Wanted::At(at(100)));
    assert_eq!(scene.verdict("AccountDisabled", 99), Verdict::NotDue(at(100)));
    assert_eq!(scene.sendable(99), Vec::<String>::new());
    assert_eq!(scene.sendable(100), ["AccountDisabled"]);
}

#[test]
fn what_was_accepted_is_pending_and_then_without_effect_but_never_proven() {
    let scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::DoesNotHold)
        .accepted("AccountDisabled", 100);
    assert!(matches!(
        scene.verdict("AccountDisabled", 105),
        Verdict::Pending(_)
    ));
    assert_eq!(scene.sendable(105), Vec::<String>::new());
    assert_eq!(
        scene.verdict("AccountDisabled", 110),
        Verdict::Unmet(Why::NotEffective)
    );
    assert_eq!(scene.sendable(110), ["AccountDisabled"]);
}

#[test]
fn a_read_that_began_before_an_act_proves_nothing() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::Holds);
    assert_eq!(scene.verdict("AccountDisabled", 5), Verdict::Verified);
    scene.fresh = false;
    assert!(matches!(scene.verdict("AccountDisabled", 5), Verdict::Pending(_)));
}

#[test]
fn what_could_not_be_read_is_unknown() {
    let denied = Fault::permanent(Reason::PermissionDenied);
    let scene = Scene::disabling_first().seen("AccountDisabled", Truth::Unreadable(denied.clone()));
    assert_eq!(scene.verdict("AccountDisabled", 5), Verdict::Unknown(denied));
    assert!(!scene.verdict("AccountDisabled", 5).settled());
}

#[test]
fn a_recent_proof_outlives_a_read_that_fails_for_a_passing_reason_only() {
    let proven = |fault: Fault| {
        let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::Unreadable(fault));
        scene.ledger_of("AccountDisabled").verified = Some(at(0));
        scene.pace.seen.insert("AccountDisabled".into(), at(0));
        scene
    };
    assert_eq!(
        proven(throttled()).verdict("AccountDisabled", 599),
        Verdict::Verified
    );
    assert_eq!(
        proven(throttled()).verdict("AccountDisabled", 600),
        Verdict::Unknown(throttled())
    );
    let denied = Fault::permanent(Reason::PermissionDenied);
    assert_eq!(
        proven(denied.clone()).verdict("AccountDisabled", 5),
        Verdict::Unknown(denied)
    );
    let mut sent_since = proven(throttled());
    sent_since.pace.last_sent = Some(at(1));
    assert_eq!(
        sent_since.verdict("AccountDisabled", 5),
        Verdict::Unknown(throttled())
    );
}

#[test]
fn what_comes_after_another_fact_goes_out_once_that_was_accepted() {
    let mut scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("GroupsRemoved", Truth::DoesNotHold);
    assert_eq!(scene.sendable(5), ["AccountDisabled"]);
    scene.sent.insert("AccountDisabled".into(), Sent::InFlight);
    assert_eq!(scene.sendable(5), Vec::<String>::new());
    scene.sent.insert("AccountDisabled".into(), Sent::Accepted);
    assert_eq!(scene.sendable(5), ["GroupsRemoved"]);
}

#[test]
fn what_was_seen_true_before_the_fact_that_it_comes_after_waits_for_that() {
    let scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("GroupsRemoved", Truth::Holds);
    let waits = Verdict::Unmet(Why::WaitsFor(vec!["AccountDisabled".into()]));
    assert_eq!(scene.verdict("GroupsRemoved", 5), waits);
}

#[test]
fn what_requires_another_fact_waits_for_its_proof_not_for_its_acceptance() {
    let mut deletion = fact("AccountDeleted", Class::Deletion);
    deletion.requires = vec!["AccountDisabled".into()];
    deletion.irreversible = true;
    let scene = Scene::of(vec![fact("AccountDisabled", Class::Access), deletion])
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("AccountDeleted", Truth::DoesNotHold)
        .accepted("AccountDisabled", 4);
    assert_eq!(scene.sendable(5), Vec::<String>::new());
    let scene = scene.seen("AccountDisabled", Truth::Holds);
    assert_eq!(scene.sendable(5), ["AccountDeleted"]);
}

#[test]
fn a_legal_hold_stops_what_cannot_be_taken_back_and_nothing_else() {
    let mut deletion = fact("AccountDeleted", Class::Deletion);
    deletion.irreversible = true;
    let mut scene = Scene::of(vec![fact("AccountDisabled", Class::Access), deletion])
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("AccountDeleted", Truth::DoesNotHold);
    scene.legal_hold = true;
    assert_eq!(scene.sendable(5), ["AccountDisabled"]);
    assert_eq!(
        scene.verdict("AccountDeleted", 5),
        Verdict::Unmet(Why::Gated("LegalHold"))
    );
}

#[test]
fn a_preference_holds_a_fact_up_only_while_the_other_is_on_its_way() {
    let mut disabled = fact("AccountDisabled", Class::Access);
    disabled.prefers_after = vec!["TokensRevoked".into()];
    let mut scene = Scene::of(vec![disabled, fact("TokensRevoked", Class::Credentials)])
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("TokensRevoked", Truth::DoesNotHold);
    assert_eq!(scene.sendable(5), ["TokensRevoked"]);
    let failed = Sent::Failed(Fault::permanent(Reason::Refused));
    scene.sent.insert("TokensRevoked".into(), failed);
    assert_eq!(scene.sendable(5), ["AccountDisabled"]);
}

#[test]
fn access_does_not_wait_for_what_is_wanted_later_only() {
    let mut scene = Scene::disabling_first().seen("GroupsRemoved", Truth::DoesNotHold);
    scene
        .system
        .wanted
        .insert("AccountDisabled".into(), Wanted::At(at(1000)));
    assert_eq!(scene.sendable(5), ["GroupsRemoved"]);
    let scene = scene.seen("GroupsRemoved", Truth::Holds);
    assert_eq!(scene.verdict("GroupsRemoved", 5), Verdict::Verified);
}

#[test]
fn what_ended_access_and_is_switched_off_is_not_done() {
    let mut blocked = fact("AccountDisabled", Class::Access);
    blocked.configured = true;
    let mut scene = Scene::of(vec![blocked]).seen("AccountDisabled", Truth::NotApplicable);
    assert!(scene.verdict("AccountDisabled", 5).settled(), "it never applied");
    scene.ledger_of("AccountDisabled").verified = Some(at(1));
    let gone = Fault::needs_decision(Reason::FactGone);
    assert_eq!(scene.verdict("AccountDisabled", 5), Verdict::Unknown(gone));
}

#[test]
fn what_was_asked_for_and_does_not_apply_any_more_is_not_done() {
    let facts = || {
        vec![
            fact("GroupsRemoved", Class::Entitlements),
            fact("AccountDeleted", Class::Deletion),
        ]
    };
    let gone = || Verdict::Unknown(Fault::needs_decision(Reason::FactGone));
    let mut scene = Scene::of(facts()).seen("GroupsRemoved", Truth::NotApplicable);
    assert!(scene.verdict("GroupsRemoved", 5).settled(), "it never applied");
    scene.ledger_of("GroupsRemoved").tried = Some(at(1));
    assert_eq!(scene.verdict("GroupsRemoved", 5), gone());
    scene.ledger_of("AccountDeleted").accepted = Some(at(2));
    assert!(
        scene.verdict("GroupsRemoved", 5).settled(),
        "gone with the account"
    );
    let mut scene = Scene::of(facts()).seen("GroupsRemoved", Truth::NotApplicable);
    scene.ledger_of("GroupsRemoved").verified = Some(at(1));
    assert!(scene.verdict("GroupsRemoved", 5).settled(), "it was proven");
}

#[test]
fn an_intent_without_an_answer_is_looked_at_before_it_is_repeated() {
    let mut transfer = fact("FilesTransferred", Class::Data);
    transfer.repeatable = false;
    let mut scene = Scene::of(vec![transfer]).seen("FilesTransferred", Truth::DoesNotHold);
    scene.ledger_of("FilesTransferred").intent = Some(at(0));
    assert_eq!(scene.sendable(30), Vec::<String>::new());
    let late = 10 + LONGEST_CALL.as_secs();
    assert_eq!(scene.sendable(late), ["FilesTransferred"]);
}

#[test]
fn after_three_reversals_that_fact_is_left_alone_and_the_others_are_not() {
    let mut scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::Holds)
        .seen("GroupsRemoved", Truth::DoesNotHold);
    scene.ledger_of("GroupsRemoved").reversals = REVERSALS_BEFORE_CONFLICT;
    assert_eq!(
        scene.verdict("GroupsRemoved", 5),
        Verdict::Unmet(Why::ControllerConflict)
    );
    assert_eq!(scene.sendable(5), Vec::<String>::new());
    let scene = scene.seen("AccountDisabled", Truth::DoesNotHold);
    assert_eq!(scene.sendable(5), ["AccountDisabled"]);
}

#[test]
fn an_answer_about_somebody_else_stops_all_writes() {
    let mut scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("GroupsRemoved", Truth::DoesNotHold);
    scene.ledger.identity_mismatch = true;
    assert_eq!(scene.sendable(5), Vec::<String>::new());
    assert_eq!(scene.view(5).wake(), None);
}

#[test]
fn a_system_that_wants_silence_gets_it_until_the_instant_that_it_named() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    scene.pace.parked_until = Some(at(60));
    assert_eq!(scene.sendable(59), Vec::<String>::new());
    assert_eq!(scene.view(59).wake(), Some(at(60)));
    assert_eq!(scene.sendable(60), ["AccountDisabled"]);
}

#[test]
fn what_only_looks_sends_nothing() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    scene.may_act = false;
    assert_eq!(scene.sendable(5), Vec::<String>::new());
}

#[test]
fn who_has_no_account_needs_nothing_and_who_is_kept_is_not_touched() {
    let mut nobody = Scene::disabling_first();
    nobody.ledger.no_account = true;
    assert_eq!(
        nobody.verdict("AccountDisabled", 5),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
    let mut kept = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    kept.system.kept_until = Some(at(100));
    assert_eq!(kept.sendable(99), Vec::<String>::new());
    assert_eq!(kept.view(99).wake(), Some(at(100)));
    assert_eq!(kept.sendable(100), ["AccountDisabled"]);
}

#[test]
fn what_cannot_be_read_is_asserted_only_if_asked_after_what_it_requires_was_proven() {
    let mut cookie = fact("CookieDropped", Class::Sessions);
    cookie.proof = Proof::None;
    cookie.requires = vec!["AccountDisabled".into()];
    let mut scene = Scene::of(vec![fact("AccountDisabled", Class::Access), cookie])
        .seen("AccountDisabled", Truth::Holds)
        .seen("CookieDropped", Truth::DoesNotHold)
        .accepted("CookieDropped", 50);
    scene.ledger_of("AccountDisabled").verified = Some(at(60));
    assert_eq!(scene.sendable(70), ["CookieDropped"]);
    scene.ledger_of("AccountDisabled").verified = Some(at(40));
    assert_eq!(scene.verdict("CookieDropped", 70), Verdict::Asserted);
    // Seen true in a look that has not noted it yet: asked now it would be asked twice.
    scene.ledger_of("AccountDisabled").verified = None;
    scene.ledger_of("CookieDropped").accepted = None;
    assert_eq!(scene.sendable(70), Vec::<String>::new());
    scene.ledger_of("AccountDisabled").verified = Some(at(70));
    assert_eq!(scene.sendable(70), ["CookieDropped"]);
}

#[test]
fn what_nobody_can_shorten_is_exposure_once_access_is_proven_gone() {
    let mut tickets = fact("TicketsExpired", Class::Sessions);
    (tickets.proof, tickets.after) = (Proof::Elapsed, vec!["AccountDisabled".into()]);
    let scene = Scene::of(vec![fact("AccountDisabled", Class::Access), tickets])
        .seen("AccountDisabled", Truth::Holds)
        .seen("TicketsExpired", Truth::HoldsFrom(at(600)));
    assert_eq!(scene.verdict("TicketsExpired", 5), Verdict::Exposed(at(600)));
    assert_eq!(scene.view(5).wake(), Some(at(600)));
    assert_eq!(scene.verdict("TicketsExpired", 600), Verdict::Verified);
    let open = scene.seen("AccountDisabled", Truth::DoesNotHold);
    let waits = Why::WaitsFor(vec!["AccountDisabled".into()]);
    assert_eq!(open.verdict("TicketsExpired", 5), Verdict::Unmet(waits));
}

#[test]
fn a_log_that_lags_is_exposure_and_is_read_more_and_more_seldom() {
    let mut sessions = fact("SessionsSignedOut", Class::Sessions);
    (sessions.proof, sessions.settle) = (Proof::Log, SignedDuration::from_hours(6));
    let scene = Scene::of(vec![sessions])
        .seen("SessionsSignedOut", Truth::DoesNotHold)
        .accepted("SessionsSignedOut", 0);
    assert_eq!(
        scene.verdict("SessionsSignedOut", 60),
        Verdict::Exposed(at(6 * 3600))
    );
    assert_eq!(scene.view(60).wake(), Some(at(120)));
    let later = scene.verdict("SessionsSignedOut", 6 * 3600);
    assert_eq!(later, Verdict::Unmet(Why::NotEffective));
}

#[test]
fn what_waits_for_another_fact_is_woken_with_that_one() {
    let mut scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::DoesNotHold)
        .seen("GroupsRemoved", Truth::DoesNotHold);
    let trouble = Trouble {
        fault: Fault::transient(Reason::SystemUnavailable),
        attempts: 3,
        not_before: at(40),
    };
    scene.pace.facts.insert("AccountDisabled".into(), trouble);
    assert_eq!(scene.view(5).wake(), Some(at(40)));
}

/// A badge that somebody collects, and an export that tells which badges work.
fn badge(proof: Proof) -> Scene {
    let mut returned = fact("BadgeReturned", Class::Devices);
    (returned.by_hand, returned.proof, returned.settle) = (true, proof, SignedDuration::ZERO);
    Scene::of(vec![returned])
}

impl Scene {
    /// The task is not done by an export of that moment; none: by a look now.
    fn undone(self, as_of: Option<i64>) -> Self {
        self.left_to_somebody("BadgeReturned", as_of)
    }

    /// Nothing can be sent for `fact`.
    fn left_to_somebody(mut self, fact: &str, as_of: Option<i64>) -> Self {
        let task = Task {
            title: "collect the badge".into(),
            assignee: "front desk".into(),
            instructions: String::new(),
            due_in: SignedDuration::from_secs(100),
            as_of: as_of.map(at),
        };
        let sight = Sight {
            task: Some(task),
            ..Sight::of(Truth::DoesNotHold)
        };
        self.sights.insert(fact.into(), sight);
        self
    }

    fn said(mut self, seconds: i64) -> Self {
        let word = Attestation {
            by: "dora".into(),
            at: at(seconds),
            plan: "sha256:0".into(),
        };
        self.system.attested.insert("BadgeReturned".into(), word);
        self
    }

    fn badge_at(&self, now: i64) -> Verdict {
        self.verdict("BadgeReturned", now)
    }
}

const AWAITED: Verdict = Verdict::Unmet(Why::Gated(TASK_AWAITED));

#[test]
fn a_task_waits_for_a_person_is_overdue_in_time_and_is_never_sent() {
    let scene = badge(Proof::None).undone(None);
    assert_eq!(scene.badge_at(50), AWAITED);
    assert_eq!(scene.view(50).wake(), Some(at(100)), "when it becomes overdue");
    assert_eq!(scene.badge_at(100), Verdict::Unmet(Why::Gated(TASK_OVERDUE)));
    assert_eq!(scene.view(101).wake(), None);
    assert_eq!(scene.sendable(50), Vec::<String>::new());
}

#[test]
fn the_time_for_a_task_runs_from_when_it_was_known_whose_it_is() {
    let mut scene = badge(Proof::None).undone(None);
    scene.ledger.account = Some(crate::core::identity::Binding {
        id: "10442".into(),
        name: "10442".into(),
        bound_at: at(500),
        fingerprint: None,
        keys: vec![],
    });
    assert_eq!(scene.badge_at(599), AWAITED);
    assert_eq!(scene.badge_at(600), Verdict::Unmet(Why::Gated(TASK_OVERDUE)));
}

#[test]
fn a_word_makes_a_task_asserted_and_never_verified() {
    let scene = badge(Proof::None).undone(None).said(40);
    assert_eq!(scene.badge_at(50), Verdict::Asserted);
    assert_eq!(scene.badge_at(5000), Verdict::Asserted);
}

#[test]
fn a_word_that_was_taken_stays_when_the_object_it_was_written_in_is_gone() {
    let mut scene = badge(Proof::None).undone(None);
    scene.ledger_of("BadgeReturned").attested_at = Some(at(40));
    assert_eq!(scene.badge_at(50), Verdict::Asserted);
}

#[test]
fn an_export_that_is_older_than_the_word_says_nothing_against_it() {
    let scene = badge(Proof::Direct).undone(Some(39)).said(40);
    assert_eq!(scene.badge_at(50), Verdict::Asserted);
    // It is looked for a newer one.
    assert!(scene.view(50).wake().is_some());
}

#[test]
fn an_export_that_is_newer_than_the_word_opens_the_task_again() {
    assert_eq!(
        badge(Proof::Direct).undone(Some(41)).said(40).badge_at(50),
        AWAITED
    );
    assert_eq!(badge(Proof::Direct).undone(None).said(40).badge_at(50), AWAITED);
    // One that is dated into the future is no newer than the look.
    assert_eq!(
        badge(Proof::Direct).undone(Some(900)).said(50).badge_at(50),
        Verdict::Asserted
    );
}

#[test]
fn a_change_may_show_late_after_a_word_too() {
    let mut scene = badge(Proof::Direct).undone(None).said(40);
    scene.facts[0].settle = SignedDuration::from_secs(30);
    assert_eq!(scene.badge_at(70), Verdict::Asserted);
    assert_eq!(scene.badge_at(71), AWAITED);
}

#[test]
fn a_word_is_spent_for_good_and_a_new_one_counts() {
    let mut scene = badge(Proof::Direct)
        .seen("BadgeReturned", Truth::Unreadable(throttled()))
        .said(40);
    assert_eq!(scene.badge_at(50), Verdict::Asserted, "nothing says otherwise");
    scene.ledger_of("BadgeReturned").refuted_at = Some(at(45));
    assert_eq!(scene.badge_at(50), Verdict::Unknown(throttled()));
    assert_eq!(scene.said(46).badge_at(50), Verdict::Asserted);
}

#[test]
fn what_nobody_can_read_any_more_is_not_rounded_up_to_a_word() {
    let refused = Fault::permanent(Reason::PermissionDenied);
    let scene = badge(Proof::Direct)
        .seen("BadgeReturned", Truth::Unreadable(refused.clone()))
        .said(40);
    assert_eq!(scene.badge_at(50), Verdict::Unknown(refused));
}

#[test]
fn an_export_proves_a_task_with_or_without_a_word() {
    assert_eq!(
        badge(Proof::Direct)
            .seen("BadgeReturned", Truth::Holds)
            .badge_at(50),
        Verdict::Verified
    );
    let said = badge(Proof::Direct).seen("BadgeReturned", Truth::Holds).said(40);
    assert_eq!(said.badge_at(50), Verdict::Verified);
}

#[test]
fn a_word_is_no_proof_that_outlives_a_fault() {
    let mut scene = badge(Proof::Direct)
        .seen("BadgeReturned", Truth::Unreadable(throttled()))
        .said(40);
    let entry = scene.ledger_of("BadgeReturned");
    (entry.verified, entry.attested_at) = (Some(at(41)), Some(at(40)));
    scene.pace.seen.insert("BadgeReturned".into(), at(41));
    assert_eq!(scene.badge_at(50), Verdict::Asserted);
}

#[test]
fn what_comes_after_a_task_waits_for_it() {
    let mut closed = fact("AccountClosed", Class::Record);
    closed.requires = vec!["BadgeReturned".into()];
    let mut scene = badge(Proof::None).undone(None);
    scene.facts.push(closed);
    scene
        .system
        .wanted
        .insert("AccountClosed".into(), Wanted::At(at(0)));
    let scene = scene.seen("AccountClosed", Truth::DoesNotHold);
    assert_eq!(scene.sendable(50), Vec::<String>::new());
    assert_eq!(scene.said(40).sendable(50), ["AccountClosed"]);
}

#[test]
fn what_a_person_must_decide_first_is_told_and_never_sent() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    let fault = Fault::needs_decision(Reason::Protected).with_code("last administrator");
    let sight = scene.sights.get_mut("AccountDisabled").unwrap();
    (sight.act, sight.refused) = (None, Some(fault.clone()));
    let view = scene.view(10);
    assert_eq!(view.verdict(&scene.facts[0]), Verdict::Unmet(Why::Failed(fault)));
    assert!(view.sendable().is_empty());
    assert!(view.wake().is_some(), "somebody may make another one");
}

#[test]
fn what_a_system_reports_is_waited_for_and_asked_for_again_when_nothing_is_said() {
    let mut flow = fact("FlowReported", Class::Access);
    flow.proof = Proof::None;
    flow.reported = Some(SignedDuration::from_secs(600));
    let mut scene = Scene::of(vec![flow]).seen("FlowReported", Truth::DoesNotHold);
    assert_eq!(scene.sendable(1), ["FlowReported"]);
    scene.ledger_of("FlowReported").accepted = Some(at(2));
    assert_eq!(scene.verdict("FlowReported", 60), Verdict::Pending(at(602)));
    assert_eq!(scene.view(60).wake(), Some(at(602)));
    assert!(scene.sendable(60).is_empty());
    assert_eq!(
        scene.verdict("FlowReported", 602),
        Verdict::Unmet(Why::NotEffective)
    );
    assert_eq!(scene.sendable(602), ["FlowReported"]);
    // A request whose answer was lost is sent again after its settle time, not after days.
    scene.ledger_of("FlowReported").accepted = None;
    scene.pace.asked.insert("FlowReported".into(), at(2));
    assert_eq!(scene.sendable(20), ["FlowReported"]);
    scene.ledger_of("FlowReported").attested_at = Some(at(30));
    scene.ledger_of("FlowReported").accepted = Some(at(2));
    assert_eq!(scene.verdict("FlowReported", 9000), Verdict::Asserted);
}

#[test]
fn what_reads_show_only_from_a_moment_on_is_proven_by_a_look_that_began_after_it() {
    let scene = Scene::disabling_first().seen("AccountDisabled", Truth::HoldsFrom(at(10)));
    let look = |began, now| {
        let view = PlanInput {
            looked_at: at(began),
            ..scene.view(now)
        };
        view.verdict(&scene.facts[0])
    };
    assert_eq!(look(5, 7), Verdict::Pending(at(10)));
    // The moment passed while the look went on: looked at again at once.
    assert_eq!(look(5, 12), Verdict::Pending(at(12)));
    assert_eq!(look(10, 12), Verdict::Verified);
}

#[test]
fn what_is_only_observed_waits_for_nobody_here_and_is_never_sent() {
    let mut scene = Scene::disabling_first().seen("AccountDisabled", Truth::DoesNotHold);
    scene.system.observe_only = true;
    let gated = Verdict::Unmet(Why::Gated(OBSERVED_ONLY));
    assert_eq!(scene.verdict("AccountDisabled", 10), gated);
    assert!(scene.view(10).sendable().is_empty());
    let done = scene.seen("AccountDisabled", Truth::Holds);
    assert_eq!(done.verdict("AccountDisabled", 10), Verdict::Verified);
}

#[test]
fn what_nothing_can_be_sent_for_is_a_task_that_a_read_shows_done_and_holds_up_no_other_end_of_access() {
    let scene = Scene::disabling_first()
        .left_to_somebody("AccountDisabled", None)
        .seen("GroupsRemoved", Truth::DoesNotHold);
    assert_eq!(scene.verdict("AccountDisabled", 50), AWAITED);
    assert_eq!(
        scene.verdict("AccountDisabled", 100),
        Verdict::Unmet(Why::Gated(TASK_OVERDUE))
    );
    assert_eq!(scene.sendable(50), ["GroupsRemoved"]);
    // Nobody's word for it is taken: it is read.
    let rest = scene.seen("GroupsRemoved", Truth::Holds);
    assert_eq!(rest.view(200).wake(), Some(at(500)));
    assert_eq!(
        rest.seen("AccountDisabled", Truth::Holds)
            .verdict("AccountDisabled", 60),
        Verdict::Verified
    );
}

#[test]
fn what_may_follow_from_another_fact_by_itself_is_a_task_only_when_it_did_not() {
    let mut scene = Scene::disabling_first()
        .seen("AccountDisabled", Truth::Holds)
        .left_to_somebody("GroupsRemoved", None);
    scene.ledger_of("AccountDisabled").verified = Some(at(0));
    let nothing_yet = Verdict::Unmet(Why::NoAct);
    assert_eq!(scene.verdict("GroupsRemoved", 599), nothing_yet);
    let overdue = Verdict::Unmet(Why::Gated(TASK_OVERDUE));
    assert_eq!(scene.verdict("GroupsRemoved", 600), overdue);
    // Before that fact is known to hold, nothing can have followed.
    scene.ledger_of("AccountDisabled").verified = None;
    let before = scene.seen("AccountDisabled", Truth::DoesNotHold);
    assert_eq!(before.verdict("GroupsRemoved", 900), nothing_yet);
}
