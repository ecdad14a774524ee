//! Reinstating: what the record says that we took away is given back, and only that.
//!
//! # Why
//! A fact that was true before us has no acceptance and no snapshot in the ledger, so there is nothing to undo: what others took
//! away stays away. As soon as one is proven undone, what the ledger says about the original is dropped: a person who was given
//! everything back is nobody's leaver any more, is not watched, and a later offboarding begins from nothing.

use jiff::Timestamp;

use super::{
    check::Check,
    fact::{Class, Exempt, FactSpec, FactState, Proof, Stage, Verdict},
    ledger::SystemLedger,
    plan::LONGEST_CALL,
    schedule,
};

/// The suffix of the fact that says that another one is undone.
const UNDONE: &str = "Undone";

/// The name of the fact that says that `fact` is undone.
pub fn undone(fact: &str) -> String {
    format!("{fact}{UNDONE}")
}

/// The fact whose undoing `name` says.
pub fn original(name: &str) -> &str {
    name.strip_suffix(UNDONE).unwrap_or(name)
}

/// Whether the ledger says that we asked for `fact`, or may have.
pub fn ours(ledger: &SystemLedger, fact: &str) -> bool {
    let entry = ledger.fact(fact);
    entry.accepted.or(entry.intent).or(entry.tried).is_some() || ledger.had(fact)
}

/// Whether a fact is given back.
const GIVEN_BACK: Check<fn(&SystemLedger, &str) -> bool> = Check::new("given back", ours);

/// Whether `fact` is given back, as far as `ledger` says.
pub fn is_given_back(ledger: &SystemLedger, fact: &str) -> bool {
    GIVEN_BACK.rule()(ledger, fact)
}

/// The facts that say that `live`, which are ours and can be undone, are undone. What is no access comes after what is: most
/// systems take nothing for an account that is closed.
pub fn facts_of_undoing(live: &[&FactSpec]) -> Vec<FactSpec> {
    let access = live.iter().filter(|fact| fact.class == Class::Access);
    let access: Vec<String> = access.map(|fact| undone(&fact.name)).collect();
    let facts = live.iter().map(|fact| FactSpec {
        name: undone(&fact.name),
        stage: Stage::Cutoff,
        proof: Proof::Direct,
        requires: vec![],
        after: vec![],
        prefers_after: if fact.class == Class::Access {
            vec![]
        } else {
            access.clone()
        },
        irreversible: false,
        dated: false,
        configured: false,
        removes: false,
        by_hand: false,
        reported: None,
        ..(*fact).clone()
    });
    facts.collect()
}

/// From when on reads show all that was asked for to make the original of `undoing` true, of a system that this process has driven
/// since `since`.
pub fn shown_from(ledger: &SystemLedger, undoing: &FactSpec, since: Timestamp) -> Option<Timestamp> {
    let entry = ledger.fact(original(&undoing.name));
    // One without an answer may have taken effect until the end of the longest call, and of the one that it waited for.
    let unanswered = entry
        .intent
        .max(entry.tried)
        .filter(|at| entry.accepted.is_none_or(|known| known < *at));
    let asked = entry
        .accepted
        .max(unanswered.map(|at| schedule::later(at, LONGEST_CALL * 2)));
    // Security waits for no write, so a process that crashed may have asked once more than the ledger knows.
    let before = ledger.fact(&undoing.name).accepted.is_none().then_some(since);
    Some(schedule::later(asked.max(before)?, undoing.settle))
}

/// Until when a read may show the original of `undoing` as it was before somebody else undid it; none when nobody did.
pub fn doubtful_until(ledger: &SystemLedger, undoing: &FactSpec) -> Option<Timestamp> {
    let entry = ledger.fact(original(&undoing.name));
    let doubted = entry.doubted.filter(|_| entry.accepted.is_none())?;
    Some(schedule::later(doubted, undoing.settle))
}

/// Drops what `ledger` says about `fact`.
fn forget(ledger: &mut SystemLedger, fact: &str) {
    ledger.facts.remove(fact);
    ledger.forget_kept(fact, &undone(fact));
    ledger.ways_back.forget(fact);
}

/// Drops what is left of an earlier reinstatement from the ledger of a leaver who is one again.
pub fn leaves_again(ledger: &mut SystemLedger) {
    ledger.facts.retain(|name, _| !name.ends_with(UNDONE));
    ledger.too_large.retain(|name, _| !name.ends_with(UNDONE));
}

/// Settles in `ledger` what was proven undone, and what cannot be undone at all by `facts`, the connector's own.
pub fn settle(ledger: &mut SystemLedger, facts: &[FactSpec], can_undo: impl Fn(&str) -> bool) {
    for fact in facts {
        let name = undone(&fact.name);
        if ours(ledger, &fact.name) && !can_undo(&fact.name) {
            ledger.facts.entry(name).or_default().lost = true;
        } else if ledger.fact(&name).verified.is_some() || ledger.fact(&name).lost {
            forget(ledger, &fact.name);
        }
    }
    // What cannot be taken back says how the rest is to be read, such as that the account is deleted.
    let mut left = facts.iter().filter(|fact| can_undo(&fact.name));
    if left.any(|fact| ours(ledger, &fact.name)) {
        return;
    }
    for fact in facts {
        if ledger.fact(&undone(&fact.name)).lost {
            forget(ledger, &fact.name);
        }
    }
}

/// Records in `ledger` what there is nothing left of to give it back to, by the `facts` of a look.
pub fn record_lost(ledger: &mut SystemLedger, facts: &[FactState]) {
    for state in facts {
        if state.verdict == Verdict::NotNeeded(Exempt::NotApplicable) {
            ledger.facts.entry(state.spec.name.clone()).or_default().lost = true;
        }
    }
}

/// What `ledger` says is undone, or cannot be, of `facts`, the connector's own, and of those that were its own: without a look.
pub fn settled(ledger: &SystemLedger, facts: &[FactSpec]) -> Vec<FactState> {
    let of_old = ledger
        .facts
        .keys()
        .filter_map(|name| name.strip_suffix(UNDONE))
        .filter(|name| !facts.iter().any(|fact| fact.name == *name));
    let of_old: Vec<FactSpec> = of_old.map(|name| former(ledger, name)).collect();
    facts
        .iter()
        .chain(&of_old)
        .filter_map(|fact| {
            let name = undone(&fact.name);
            let entry = ledger.facts.get(&name)?;
            // All of it that was kept may be given back by now, and that was not all.
            let lost = entry.lost || ledger.too_large.contains_key(&name);
            let verdict = match (lost, entry.gone.len()) {
                (true, _) => Verdict::NotNeeded(Exempt::NotRestorable),
                (false, _) if entry.verified.is_none() || ours(ledger, &fact.name) => return None,
                (false, 0) => Verdict::Verified,
                (false, gone) => Verdict::NotNeeded(Exempt::GoneMeanwhile(gone)),
            };
            Some(FactState::unseen(FactSpec { name, ..fact.clone() }, verdict))
        })
        .collect()
}

/// A fact that no definition knows any more.
fn former(ledger: &SystemLedger, name: &str) -> FactSpec {
    FactSpec::plain(name, ledger.scope.get(name).copied().unwrap_or(Class::Access))
}

/// What `ledger` says we took and `facts`, the connector's own, cannot give back because it is not among them any more. Not
/// durable: what comes back into a definition is given back then.
pub fn out_of_reach(ledger: &SystemLedger, facts: &[FactSpec]) -> Vec<FactState> {
    let known = ledger.facts.keys().chain(ledger.facts_that_had());
    let mut names: Vec<&String> = known
        .filter(|name| !name.ends_with(UNDONE) && ours(ledger, name))
        .filter(|name| !facts.iter().any(|fact| fact.name == **name))
        .collect();
    names.sort();
    names.dedup();
    let lost = |name: &String| {
        let fact = FactSpec {
            name: undone(name),
            ..former(ledger, name)
        };
        FactState::unseen(fact, Verdict::NotNeeded(Exempt::NotRestorable))
    };
    names.into_iter().map(lost).collect()
}

#[cfg(test)]
mod tests;
