//! What must be proven of a leaver: today's configuration and what the record knows (R21).
//!
//! # Why
//! Whoever deletes a Connector, takes a label away or loses a fact from a definition takes away the look, not the access. So
//! what was once wanted of a bound account stays to be proven, and ends by a proof or by a waiver that a person signed.

use jiff::Timestamp;

use super::{
    case::{Case, Gone, System, Wanted},
    fact::{Exempt, FactSpec, Verdict},
    fault::{Fault, Reason},
    gate::{Decision, Gate, Vote, same_person},
    ledger::{Ledger, SystemLedger},
    planted::{Bug, planted},
};

/// Adds the systems to `case` that only the record knows; `exists` says whether there is a Connector of that name.
pub fn include_recorded(case: &mut Case, ledger: &Ledger, exists: impl Fn(&str) -> bool) {
    if planted(Bug::ForgetsTheRecord) {
        return;
    }
    for (row, recorded) in &ledger.systems {
        if recorded.account.is_none() || case.systems.iter().any(|system| system.row == *row) {
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
        let wanted = |fact: &String| (fact.clone(), Wanted::At(case.cutoff));
        system.wanted = recorded.scope.keys().map(wanted).collect();
        waive(&mut system, &case.votes, &case.ineligible);
        case.systems.push(system);
    }
}

/// Notes in `system` until when waivers leave facts as they are. Those who are `ineligible` cannot give one.
pub fn waive(system: &mut System, votes: &[Vote], ineligible: &[String]) {
    for vote in votes {
        let signed = vote.gate == Gate::Waiver
            && vote.decision == Decision::Approved
            && !ineligible.iter().any(|name| same_person(&vote.approver, name));
        if let (true, Some(fact), Some(until)) = (signed, &vote.fact, vote.until)
            && vote.connector.as_deref() == Some(system.connector())
        {
            system.kept_facts.insert(fact.clone(), until);
        }
    }
}

/// Adds to the scope what is wanted of a bound account now.
pub fn widen(ledger: &mut SystemLedger, system: &System, facts: &[FactSpec]) {
    for fact in facts {
        if system
            .wanted
            .get(&fact.name)
            .is_some_and(|wanted| *wanted != Wanted::Not)
        {
            ledger.scope.insert(fact.name.clone(), fact.class);
        }
    }
}

/// The facts in the scope that are not among `known`, as far as the rules need them.
pub fn facts_beyond(ledger: &SystemLedger, known: &[FactSpec]) -> Vec<FactSpec> {
    if planted(Bug::ForgetsTheRecord) {
        return vec![];
    }
    let beyond = ledger
        .scope
        .iter()
        .filter(|(name, _)| !known.iter().any(|fact| fact.name == **name));
    beyond
        .map(|(name, class)| FactSpec::plain(name.clone(), *class))
        .collect()
}

/// What is known about `fact`, which nothing can look at any more for `reason`. Once nobody promises to look again
/// (`recheck_until`), a proof from before stays one.
pub fn unobservable(
    system: &System,
    ledger: &SystemLedger,
    fact: &FactSpec,
    reason: Reason,
    (recheck_until, now): (Timestamp, Timestamp),
) -> Verdict {
    let proven = ledger.fact(&fact.name).verified.is_some();
    if system.keeps(&fact.name, now) {
        Verdict::NotNeeded(Exempt::Waived)
    } else if proven && recheck_until < now {
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
        fact::Class,
        identity::{Account, Binding},
        ledger::FactLedger,
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn recorded() -> Ledger {
        let account = Account {
            id: "7".into(),
            name: "jdoe".into(),
            item: serde_json::Value::Null,
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
    fn only_a_signed_waiver_ends_what_cannot_be_looked_at() {
        let ledger = recorded();
        let facts = facts_beyond(&ledger.systems["forge/adm"], &[]);
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
        let fact = &facts_beyond(&ledger, &[])[0];
        let later = NOW + SignedDuration::from_secs(1);
        let verdict = |times| unobservable(&System::default(), &ledger, fact, Reason::FactGone, times);
        assert_eq!(verdict((NOW, later)), Verdict::Verified);
        assert!(matches!(verdict((later, NOW)), Verdict::Unknown(_)));
    }

    #[test]
    fn a_fact_that_a_definition_keeps_is_not_beyond_it() {
        let ledger = &recorded().systems["forge/adm"];
        let known = [FactSpec::plain("AccountBlocked", Class::Access)];
        assert_eq!(facts_beyond(ledger, &known), []);
    }
}
