//! What must be proven of a leaver: today's configuration and what the record knows (R21).
//!
//! # Why
//! Whoever deletes a Connector, takes a label away or loses a fact from a definition takes away the look, not the access. So
//! what was once wanted of a bound account stays to be proven, and ends by a proof or by a waiver that a person signed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    case::{Case, Gone, System, Wanted},
    check::Check,
    commitment::{Commitment, Known},
    fact::{Class, Exempt, FactSpec, Stage, Verdict},
    fault::{Fault, Reason},
    gate::{Decision, Gate, Vote},
    ledger::{Ledger, SystemLedger},
    schedule,
};

/// The rows of which something is recorded that stays to be proven.
const RECORDED_ROWS: Check<fn(&Ledger) -> Vec<&String>> = Check::new("recorded rows", |ledger| {
    let systems = ledger.systems.iter();
    let concern = systems.filter(|(_, recorded)| recorded.concerns_somebody());
    concern.map(|(row, _)| row).collect()
});

type FactsOf = fn(&SystemLedger) -> Vec<(&String, Class)>;

/// The facts of one system of which something is recorded that stays to be proven.
const RECORDED_FACTS: Check<FactsOf> = Check::new("recorded facts", |ledger| {
    ledger.scope.iter().map(|(name, class)| (name, *class)).collect()
});

/// Adds the systems to `case` that only the record knows; `exists` says whether there is a Connector of that name.
pub fn include_recorded(case: &mut Case, ledger: &Ledger, exists: impl Fn(&str) -> bool) {
    for row in RECORDED_ROWS.rule()(ledger) {
        let Some(recorded) = ledger.systems.get(row) else {
            continue;
        };
        if case.systems.iter().any(|system| system.row == *row) {
            continue;
        }
        let mut system = System {
            row: row.clone(),
            who: case.who.clone(),
            ..System::default()
        };
        system.gone = Some(if exists(system.connector()) {
            Gone::Deselected
        } else {
            Gone::Deleted
        });
        let facts = gone(recorded).into_iter();
        system.wanted = facts.map(|fact| (fact.name, Wanted::At(case.cutoff))).collect();
        waive(&mut system, &case.votes, &case.ineligible);
        case.systems.push(system);
    }
}

/// Keeps wanted what has ended access, once the end has come: a policy that wants it later, or is another one, takes back
/// nothing.
pub fn keep_wanted(case: &mut Case, ledger: &Ledger, now: Timestamp) {
    if case.cutoff > now || case.reinstate {
        return;
    }
    for system in &mut case.systems {
        let Some(recorded) = ledger.systems.get(&system.row) else {
            continue;
        };
        for (fact, wanted) in &mut system.wanted {
            let ended = recorded.scope.get(fact).is_some_and(|class| class.security());
            if ended && recorded.fact(fact).begun() && wanted.from(None).is_some_and(|at| at > now) {
                *wanted = Wanted::At(case.cutoff);
            }
        }
    }
}

/// What the end is compared by: the rows of which something is recorded, and of `rows`, with the facts of each, what ends access
/// and has not begun everywhere.
pub fn known<'f>(ledger: &Ledger, rows: impl Iterator<Item = (&'f str, &'f [FactSpec])>) -> Known {
    let recorded = ledger.systems.iter();
    let recorded = recorded.filter(|(_, system)| system.concerns_somebody());
    let mut facts = BTreeMap::new();
    for (row, specs) in rows {
        let begun = |fact: &FactSpec| {
            let system = ledger.systems.get(row);
            system.is_some_and(|system| system.fact(&fact.name).begun())
        };
        let open = specs.iter().filter(|fact| ends_access(fact) && !begun(fact));
        facts.extend(open.map(|fact| (fact.name.clone(), fact.class)));
    }
    Known {
        facts,
        rows: recorded.map(|(row, _)| row.clone()).collect(),
    }
}

fn ends_access(fact: &FactSpec) -> bool {
    fact.class.security() && fact.stage == Stage::Cutoff
}

/// The rows that are recorded of somebody, whose Connector `exists`, and that are not among those of `today`.
pub fn left_out(ledger: &Ledger, today: &[String], exists: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let recorded = ledger.systems.iter();
    let recorded = recorded
        .filter(|(_, system)| system.concerns_somebody())
        .map(|(row, _)| row);
    let missing = recorded.filter(|row| !today.contains(row) && exists(connector_of(row)));
    missing.cloned().collect()
}

/// The rows whose account was closed and is seen to be protected now.
pub fn protected(ledger: &Ledger) -> BTreeSet<String> {
    let systems = ledger.systems.iter();
    let protected = systems.filter(|(_, system)| system.protected.is_some());
    protected.map(|(row, _)| row.clone()).collect()
}

/// Wants what ends access in `system` when it was agreed to be wanted.
pub fn want_as_agreed(system: &mut System, facts: &[FactSpec], end: &Commitment) {
    let Some(reach) = &end.reach else { return };
    for fact in facts.iter().filter(|fact| ends_access(fact)) {
        let at = reach.from(&fact.name, fact.class, end.cutoff);
        system
            .wanted
            .insert(fact.name.clone(), at.map_or(Wanted::Not, Wanted::At));
    }
}

/// What goes on in the system `row`, of which `recorded` is known, when nothing that people write can be used any more: what ends
/// access of an account that is bound, or was looked for when the end was agreed. Nothing else begins. `facts` are those of its
/// definition.
pub fn uphold(row: &str, recorded: &SystemLedger, facts: &[FactSpec], end: &Commitment) -> System {
    let reach = end.reach.clone().unwrap_or_default();
    let sought = recorded.account.is_none() && recorded.concerns_somebody();
    let known = |fact: &&FactSpec| sought || recorded.scope.contains_key(&fact.name);
    let facts: Vec<FactSpec> = facts.iter().filter(known).cloned().collect();
    let kept = end.kept.get(connector_of(row)).cloned().unwrap_or_default();
    let mut system = System {
        row: row.to_owned(),
        kept_until: kept.all,
        kept_facts: kept.facts,
        observe_only: reach.observed.contains(row),
        shielded: reach.protected.contains(row),
        ..System::default()
    };
    let end = Commitment {
        reach: Some(reach),
        ..end.clone()
    };
    want_as_agreed(&mut system, &facts, &end);
    let ahead = facts
        .iter()
        .filter(|fact| fact.class.security() && fact.stage == Stage::Ahead);
    system
        .wanted
        .extend(ahead.map(|fact| (fact.name.clone(), Wanted::At(Timestamp::MIN))));
    system
}

/// Notes whether the bound account is seen to be protected though it was closed by us. Gives whether nothing may be changed there:
/// what was closed stays so until people agree, what was never touched stays untouched.
pub fn shields(ledger: &mut SystemLedger, system: &System, protected: bool, now: Timestamp) -> bool {
    let closed = protected && ledger.was_closed();
    ledger.protected = closed.then(|| ledger.protected.unwrap_or(now));
    protected && (!closed || system.shielded)
}

/// The Connector of a row; what follows the slash is a login name.
fn connector_of(row: &str) -> &str {
    row.split('/').next().unwrap_or_default()
}

/// Notes in `system` until when waivers leave facts as they are. Those who are `ineligible` cannot give one.
pub fn waive(system: &mut System, votes: &[Vote], ineligible: &[String]) {
    for vote in votes {
        let signed = vote.gate == Gate::Waiver
            && vote.decision == Decision::Approved
            && vote.person.is_some()
            && !ineligible.iter().any(|name| vote.is_of(name));
        if let (true, Some(fact), Some(until)) = (signed, &vote.fact, vote.until)
            && vote.connector.as_deref() == Some(system.connector())
        {
            system.kept_facts.insert(fact.clone(), until);
        }
    }
}

/// The name of the fact that it is known whether the person has an account, and which: of a system that went before.
pub const IDENTIFIED: &str = "Identified";

/// For so long after a proof we look again by default: before, nothing is taken for proven that nobody can look at.
const PROOF_LASTS: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What stays to be proven of a system that is gone.
pub fn gone(ledger: &SystemLedger) -> Vec<FactSpec> {
    let facts: Vec<FactSpec> = ledger
        .scope
        .iter()
        .map(|(name, class)| FactSpec::plain(name.clone(), *class))
        .collect();
    if facts.is_empty() && ledger.account.is_none() && ledger.concerns_somebody() {
        return vec![FactSpec::plain(IDENTIFIED, Class::Access)];
    }
    facts
}

/// Whether `wanted` is not kept up any more. What ends access is, until it was proven once.
pub fn is_over(wanted: Wanted, fact: &FactSpec, ledger: &SystemLedger, now: Timestamp) -> bool {
    let proven = ledger.fact(&fact.name).verified.is_some();
    wanted.is_over(now) && (proven || !fact.class.security())
}

/// Whether `fact` of `system` is wanted at some time, and neither left as it is by an exception nor over at `now`.
pub fn is_kept_up(system: &System, ledger: &SystemLedger, fact: &FactSpec, now: Timestamp) -> bool {
    let wanted = system.wanted.get(&fact.name);
    let Some(wanted) = wanted.filter(|wanted| **wanted != Wanted::Not) else {
        return false;
    };
    let kept = system.kept_facts.get(&fact.name);
    kept.is_none_or(|until| *until <= now) && !is_over(*wanted, fact, ledger, now)
}

/// Adds to the scope what is wanted of a bound account now.
pub fn widen(ledger: &mut SystemLedger, system: &System, facts: &[FactSpec]) {
    for fact in facts {
        if system
            .wanted
            .get(&fact.name)
            .is_some_and(|wanted| *wanted != Wanted::Not)
        {
            // What was about access once is not made a lesser thing.
            let class = ledger.scope.entry(fact.name.clone()).or_insert(fact.class);
            if !class.security() {
                *class = fact.class;
            }
        }
    }
}

/// The facts in the scope that are not among `known`, as far as the rules need them; and those of access that are not wanted
/// any more of `system`, or not as access.
pub fn facts_beyond(ledger: &SystemLedger, system: &System, known: &[FactSpec]) -> Vec<FactSpec> {
    let wanted = |name: &str| {
        system
            .wanted
            .get(name)
            .is_some_and(|wanted| *wanted != Wanted::Not)
    };
    let beyond = RECORDED_FACTS.rule()(ledger).into_iter().filter(|(name, class)| {
        let Some(fact) = known.iter().find(|fact| fact.name == **name) else {
            return true;
        };
        let lessened = !fact.class.security() || !wanted(name);
        class.security() && ledger.fact(name).begun() && lessened
    });
    beyond
        .map(|(name, class)| FactSpec::plain(name.clone(), class))
        .collect()
}

/// What is known about `fact`, which nothing can look at any more for `reason`. Once nobody promises to look again, and the
/// proof is of long ago, it stays one.
pub fn unobservable(
    system: &System,
    ledger: &SystemLedger,
    fact: &FactSpec,
    reason: Reason,
    (recheck_until, now): (Timestamp, Timestamp),
) -> Verdict {
    let proven = ledger.fact(&fact.name).verified;
    let lasts = proven.map(|at| schedule::later(at, PROOF_LASTS));
    if system.keeps(&fact.name, now) {
        Verdict::NotNeeded(Exempt::Waived)
    } else if lasts.is_some_and(|until| until < now) && recheck_until < now {
        Verdict::Verified
    } else {
        Verdict::Unknown(Fault::needs_decision(reason))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::core::{
        commitment::Reach,
        fact::Class,
        identity::{Account, Binding},
        ledger::FactLedger,
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn recorded() -> Ledger {
        let account = Account {
            id: "7".into(),
            name: "jdoe".into(),
            item: serde_json::Value::Null.into(),
            doubt: None,
            keys: vec![],
        };
        let mut ledger = Ledger::default();
        let system = ledger.systems.entry("forge/adm".into()).or_default();
        system.account = Some(Binding::new(&account, "forge", NOW));
        system.scope.insert("AccountBlocked".into(), Class::Access);
        ledger.systems.insert("empty".into(), SystemLedger::default());
        ledger
    }

    fn waiver(fact: &str, approver: &str) -> Vote {
        Vote {
            gate: Gate::Waiver,
            decision: Decision::Approved,
            approver: approver.into(),
            person: Some(approver.into()),
            connector: Some("forge".into()),
            fact: Some(fact.into()),
            until: Some(NOW + SignedDuration::from_hours(1)),
            ..Vote::default()
        }
    }

    #[test]
    fn a_bound_system_stays_whatever_becomes_of_its_connector() {
        for (exists, gone) in [(true, Gone::Deselected), (false, Gone::Deleted)] {
            let mut case = Case::default();
            include_recorded(&mut case, &recorded(), |name| name == "forge" && exists);
            let rows: Vec<_> = case.systems.iter().map(|s| (s.row.as_str(), s.gone)).collect();
            assert_eq!(rows, [("forge/adm", Some(gone))]);
            include_recorded(&mut case, &recorded(), |_| false);
            assert_eq!(case.systems.len(), 1, "once");
        }
    }

    #[test]
    fn what_ended_access_stays_wanted_whatever_a_policy_says_later() {
        let hour = |n: i64| NOW + SignedDuration::from_hours(n);
        let begun = FactLedger {
            verified: Some(NOW),
            ..FactLedger::default()
        };
        let mut ledger = recorded();
        let system = ledger.systems.get_mut("forge/adm").unwrap();
        system.facts.insert("AccountBlocked".into(), begun.clone());
        system.facts.insert("MailForwarded".into(), begun);
        system.scope.insert("MailForwarded".into(), Class::Mail);
        system.scope.insert("KeysDeleted".into(), Class::Credentials);
        let wanted = |cutoff: i64, reinstate: bool| {
            let facts = ["AccountBlocked", "KeysDeleted", "MailForwarded"];
            let mut case = Case {
                cutoff: hour(cutoff),
                reinstate,
                systems: vec![System {
                    row: "forge/adm".into(),
                    wanted: facts.map(|fact| (fact.to_owned(), Wanted::At(hour(9)))).into(),
                    ..System::default()
                }],
                ..Case::default()
            };
            keep_wanted(&mut case, &ledger, hour(2));
            let wanted = case.systems[0].wanted.values();
            wanted
                .map(|wanted| wanted.from(None).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            wanted(1, false),
            [hour(1), hour(9), hour(9)],
            "what was begun, of access"
        );
        assert_eq!(wanted(5, false), [hour(9); 3], "an end that is still to come");
        assert_eq!(wanted(1, true), [hour(9); 3]);
    }

    #[test]
    fn only_a_signed_waiver_ends_what_cannot_be_looked_at() {
        let ledger = recorded();
        let facts = gone(&ledger.systems["forge/adm"]);
        assert_eq!(facts.len(), 1);
        let verdict = |votes: Vec<Vote>| {
            let mut case = Case {
                votes,
                ineligible: vec!["jane@example.com".into()],
                ..Case::default()
            };
            include_recorded(&mut case, &ledger, |_| false);
            let times = (NOW, NOW);
            let system = &ledger.systems["forge/adm"];
            unobservable(&case.systems[0], system, &facts[0], Reason::ConnectorGone, times)
        };
        let unknown = Verdict::Unknown(Fault::needs_decision(Reason::ConnectorGone));
        assert_eq!(verdict(vec![]), unknown);
        assert_eq!(verdict(vec![waiver("AnotherFact", "alice@example.com")]), unknown);
        assert_eq!(
            verdict(vec![waiver("AccountBlocked", "jane@example.com")]),
            unknown
        );
        assert_eq!(
            verdict(vec![waiver("AccountBlocked", "alice@example.com")]),
            Verdict::NotNeeded(Exempt::Waived)
        );
    }

    #[test]
    fn a_proof_outlives_its_connector_only_once_nobody_promises_to_look_again() {
        let mut ledger = recorded().systems["forge/adm"].clone();
        let proven = FactLedger {
            verified: Some(NOW),
            ..FactLedger::default()
        };
        ledger.facts.insert("AccountBlocked".into(), proven);
        let fact = &gone(&ledger)[0];
        let (soon, later) = (NOW + SignedDuration::from_secs(1), NOW + PROOF_LASTS * 2);
        let verdict = |times| unobservable(&System::default(), &ledger, fact, Reason::FactGone, times);
        assert_eq!(verdict((NOW, later)), Verdict::Verified);
        for times in [(NOW, soon), (later, NOW), (later, later)] {
            assert!(matches!(verdict(times), Verdict::Unknown(_)), "{times:?}");
        }
    }

    #[test]
    fn a_fact_that_a_definition_keeps_is_not_beyond_it() {
        let ledger = &recorded().systems["forge/adm"];
        let known = [FactSpec::plain("AccountBlocked", Class::Access)];
        assert_eq!(facts_beyond(ledger, &System::default(), &known), []);
    }

    #[test]
    fn what_ended_access_is_not_lessened_by_a_policy_or_a_class() {
        let mut ledger = recorded().systems["forge/adm"].clone();
        let proven = FactLedger {
            verified: Some(NOW),
            ..FactLedger::default()
        };
        ledger.facts.insert("AccountBlocked".into(), proven);
        let with = |wanted| System {
            wanted: [("AccountBlocked".to_owned(), wanted)].into(),
            ..System::default()
        };
        let as_access = [FactSpec::plain("AccountBlocked", Class::Access)];
        let as_deletion = [FactSpec::plain("AccountBlocked", Class::Deletion)];
        assert_eq!(facts_beyond(&ledger, &with(Wanted::At(NOW)), &as_access), []);
        assert_eq!(facts_beyond(&ledger, &with(Wanted::Not), &as_access).len(), 1);
        let wanted = with(Wanted::At(NOW));
        assert_eq!(facts_beyond(&ledger, &wanted, &as_deletion).len(), 1);
        widen(&mut ledger, &wanted, &as_deletion);
        assert_eq!(ledger.scope["AccountBlocked"], Class::Access);
    }

    #[test]
    fn who_may_have_an_account_in_a_system_that_went_is_still_asked_about() {
        let mut ledger = recorded();
        let row = |ledger: &Ledger| {
            let mut case = Case::default();
            include_recorded(&mut case, ledger, |_| false);
            let system = case.systems.into_iter().find(|system| system.row == "empty");
            system.map(|system| system.wanted.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(row(&ledger), None);
        ledger.systems.get_mut("empty").unwrap().sought = Some(NOW);
        assert_eq!(row(&ledger), Some(vec![IDENTIFIED.to_owned()]));
        ledger.systems.get_mut("empty").unwrap().no_account = true;
        assert_eq!(row(&ledger), None, "that was the answer");
    }

    #[test]
    fn what_ends_access_is_over_only_once_it_was_proven() {
        let mut ledger = SystemLedger::default();
        let wanted = Wanted::Between(NOW, NOW);
        let over = |ledger: &SystemLedger, class| {
            is_over(wanted, &FactSpec::plain("F", class), ledger, NOW + PROOF_LASTS)
        };
        assert!(over(&ledger, Class::Mail) && !over(&ledger, Class::Access));
        ledger.facts.entry("F".into()).or_default().verified = Some(NOW);
        assert!(over(&ledger, Class::Access));
    }

    fn fact(name: &str, class: Class) -> FactSpec {
        FactSpec::plain(name, class)
    }

    fn of_the_forge() -> Vec<FactSpec> {
        vec![
            fact("AccountBlocked", Class::Access),
            fact("KeysDeleted", Class::Credentials),
            fact("FilesHandedOver", Class::Data),
            fact("AccountDeleted", Class::Deletion),
        ]
    }

    fn agreed() -> Commitment {
        Commitment {
            cutoff: NOW,
            reach: Some(Reach::default()),
            ..Commitment::default()
        }
    }

    #[test]
    fn only_what_ends_access_of_a_known_account_goes_on_when_nothing_can_be_read() {
        let mut ledger = recorded().systems["forge/adm"].clone();
        for (name, class) in [
            ("FilesHandedOver", Class::Data),
            ("AccountDeleted", Class::Deletion),
        ] {
            ledger.scope.insert(name.into(), class);
        }
        let wanted = |ledger: &SystemLedger, end: &Commitment| {
            let system = uphold("forge/adm", ledger, &of_the_forge(), end);
            system.wanted.into_iter().collect::<Vec<_>>()
        };
        let blocked = ("AccountBlocked".to_owned(), Wanted::At(NOW));
        assert_eq!(wanted(&ledger, &agreed()), std::slice::from_ref(&blocked));
        let sought = SystemLedger {
            sought: Some(NOW),
            ..SystemLedger::default()
        };
        let keys = ("KeysDeleted".to_owned(), Wanted::At(NOW));
        assert_eq!(wanted(&sought, &agreed()), [blocked, keys]);
        assert_eq!(wanted(&SystemLedger::default(), &agreed()), []);
        let mut skips = agreed();
        let reach = skips.reach.as_mut().unwrap();
        reach.wanted.insert("AccountBlocked".into(), None);
        reach.observed.insert("forge/adm".into());
        let system = uphold("forge/adm", &ledger, &of_the_forge(), &skips);
        assert_eq!(system.wanted["AccountBlocked"], Wanted::Not);
        assert!(system.observe_only);
    }

    #[test]
    fn an_account_that_was_closed_is_shielded_only_once_people_agree_and_an_untouched_one_at_once() {
        let agreed = System {
            shielded: true,
            ..System::default()
        };
        let mut ledger = recorded().systems["forge/adm"].clone();
        assert!(shields(&mut ledger, &System::default(), true, NOW));
        assert_eq!(ledger.protected, None, "nobody is asked about it");
        let closed = FactLedger {
            accepted: Some(NOW),
            ..FactLedger::default()
        };
        ledger.facts.insert("AccountBlocked".into(), closed);
        assert!(!shields(&mut ledger, &System::default(), true, NOW));
        assert_eq!(ledger.protected, Some(NOW));
        assert!(shields(&mut ledger, &agreed, true, NOW));
        assert!(!shields(&mut ledger, &agreed, false, NOW));
        assert_eq!(ledger.protected, None);
    }

    #[test]
    fn a_row_is_left_out_only_while_its_connector_is_there() {
        let of = |today: &[String], there: bool| left_out(&recorded(), today, |_| there);
        assert_eq!(of(&[], true), BTreeSet::from(["forge/adm".to_owned()]));
        assert!(of(&[], false).is_empty());
        assert!(of(&["forge/adm".to_owned()], true).is_empty());
    }

    #[test]
    fn what_has_begun_everywhere_is_not_compared_any_more() {
        let mut ledger = recorded();
        let facts = of_the_forge();
        let open = |ledger: &Ledger, rows: &[&str]| {
            let rows = rows.iter().map(|row| (*row, facts.as_slice()));
            known(ledger, rows).facts.into_keys().collect::<Vec<_>>()
        };
        let both = ["forge/adm", "forge"];
        assert_eq!(open(&ledger, &both), ["AccountBlocked", "KeysDeleted"]);
        let begun = FactLedger {
            verified: Some(NOW),
            ..FactLedger::default()
        };
        let system = ledger.systems.get_mut("forge/adm").unwrap();
        system.facts.insert("AccountBlocked".into(), begun);
        assert_eq!(open(&ledger, &both[..1]), ["KeysDeleted"]);
        assert_eq!(
            open(&ledger, &both),
            ["AccountBlocked", "KeysDeleted"],
            "not in the other row"
        );
    }
}
