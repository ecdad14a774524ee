use jiff::SignedDuration;

use super::*;
use crate::core::{
    fact::{Class, Exempt, FactSpec, Why},
    fault::{Fault, Reason},
};

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 3600 * hour).unwrap()
}

fn data(verdict: Verdict) -> FactState {
    FactState::unseen(FactSpec::plain("FilesMoved", Class::Data), verdict)
}

/// What is said of one system with these facts, the files of which were moved at hour 5.
fn of(facts: &[FactState], broken: bool, systems: usize) -> HandOver {
    let mut ledger = SystemLedger::default();
    ledger.facts.entry("FilesMoved".into()).or_default().verified = Some(at(5));
    let seen = Seen {
        broken,
        facts,
        ledger: Some(&ledger),
    };
    HandOver::of(&[seen], systems, at(0))
}

#[test]
fn everything_is_handed_over_only_once_every_system_was_seen_to_be() {
    let unknown = || Verdict::Unknown(Fault::transient(Reason::Timeout));
    let cases = [
        (Verdict::Verified, HandOver::Since(at(5))),
        (Verdict::Asserted, HandOver::Since(at(5))),
        (Verdict::NotNeeded(Exempt::NoAccount), HandOver::Since(at(5))),
        (Verdict::Unmet(Why::NotTried), HandOver::Open),
        (Verdict::Pending(at(9)), HandOver::Open),
        (Verdict::Exposed(at(9)), HandOver::Open),
        (Verdict::NotDue(at(9)), HandOver::Unknown),
        (unknown(), HandOver::Unknown),
    ];
    for (verdict, expected) in cases {
        let state = data(verdict.clone());
        assert_eq!(of(&[state], false, 1), expected, "{verdict:?}");
    }
    let open = [data(unknown()), data(Verdict::Unmet(Why::NoAct))];
    assert_eq!(of(&open, true, 2), HandOver::Open, "one that is open decides");
    let done = [data(Verdict::Verified)];
    assert_eq!(of(&done, true, 1), HandOver::Unknown, "a broken Connector");
    assert_eq!(
        of(&done, false, 2),
        HandOver::Unknown,
        "a system that was not seen"
    );
    let other = FactState::unseen(
        FactSpec::plain("AccountDisabled", Class::Access),
        Verdict::Unmet(Why::NotTried),
    );
    assert_eq!(
        of(&[other], false, 1),
        HandOver::Since(at(0)),
        "nothing to hand over"
    );
}

#[test]
fn not_having_been_able_to_look_changes_nothing() {
    let cases = [
        (HandOver::Unknown, None, None),
        (HandOver::Unknown, Some(1), Some(1)),
        (HandOver::Open, Some(1), None),
        (HandOver::Since(at(3)), None, Some(3)),
        (HandOver::Since(at(3)), Some(1), Some(1)),
    ];
    for (hand_over, before, expected) in cases {
        assert_eq!(
            hand_over.since(before.map(at)),
            expected.map(at),
            "{hand_over:?} {before:?}"
        );
    }
}

#[test]
fn what_is_kept_for_a_while_is_looked_at_again_when_the_first_of_it_is_wanted() {
    let day = SignedDuration::from_hours(24);
    let mut system = System::default();
    assert_eq!(kept_until(&system, at(2)), None);
    system.wanted.insert("AccountDisabled".into(), Wanted::At(at(0)));
    assert_eq!(kept_until(&system, at(2)), None, "nothing is kept");
    system
        .wanted
        .insert("AccountDeleted".into(), Wanted::Kept(at(0), day * 2));
    system
        .wanted
        .insert("MailDeleted".into(), Wanted::Kept(at(0), day));
    assert_eq!(kept_until(&system, at(2)), Some(at(26)));
}
