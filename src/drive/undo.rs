//! Reinstating: what the record says that we took away is given back, and only that.
//!
//! # Why
//! Giving back is driven like taking away: for each fact that we made true there is one that says it is undone, judged by
//! reads and made true by the definition's `undo`. So the same rules hold for it (R1: proven by a read after the act; R2: not
//! seeing proves nothing; throttling, deadlines, crashes), and there is no second engine.
//!
//! A fact that was true before us has no acceptance and no snapshot in the ledger, so there is nothing to undo: what others
//! took away stays away. As soon as one is proven undone, what the ledger says about the original is dropped: a person who was
//! given everything back is nobody's leaver any more, is not watched, and a later offboarding begins from nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        case::{System, Wanted},
        digest::request_digest,
        fact::{Act, Class, Exempt, FactSpec, Proof, Receipt, Sight, Stage, Truth, Verdict},
        fault::Fault,
        identity::{Account, Person},
        ledger::SystemLedger,
        plan::LONGEST_CALL,
        planted::{Bug, planted},
        schedule,
    },
};

/// What the name of a fact ends with that says that another one is undone.
const UNDONE: &str = "Undone";

/// Between a fact and a read of its own time: two definitions may call two reads alike.
const APART: char = '/';

/// The name of the fact that says that `fact` is undone.
fn undone(fact: &str) -> String {
    format!("{fact}{UNDONE}")
}

/// The fact whose undoing `name` says.
fn original(name: &str) -> &str {
    name.strip_suffix(UNDONE).unwrap_or(name)
}

/// Whether the ledger says that we asked for `fact`, or may have.
pub(super) fn ours(ledger: &SystemLedger, fact: &str) -> bool {
    let entry = ledger.fact(fact);
    entry.accepted.or(entry.intent).or(entry.tried).is_some() || ledger.had(fact)
}

/// A connector whose facts say that another one's are undone.
pub(super) struct Undoing {
    of: Shared,
    /// What gives a fact back whose definition has changed since it was taken, by fact.
    then: BTreeMap<String, Shared>,
    /// The facts that are undone.
    originals: Vec<FactSpec>,
    capabilities: Capabilities,
    /// Since when this process has driven the system.
    since: Timestamp,
}

impl Undoing {
    /// Of the facts of `of` those that `ledger` says are ours and that can be undone; this process has driven the system
    /// since `since`.
    pub(super) fn new(of: Shared, ledger: &SystemLedger, since: Timestamp) -> Self {
        let own = of.capabilities();
        let ours = |fact: &str| ours(ledger, fact) || planted(Bug::GivesBackMore);
        let mut then = of.of_their_time(&ledger.ways_back);
        then.retain(|fact, _| ours(fact));
        let of_today = own.facts.iter().filter(|fact| !then.contains_key(&fact.name));
        let of_then = then.values().flat_map(|then| &then.capabilities().facts);
        let originals: Vec<FactSpec> = of_today.chain(of_then).cloned().collect();
        let can_undo = |fact: &FactSpec| then.get(&fact.name).unwrap_or(&of).can_undo(&fact.name);
        let live: Vec<&FactSpec> = originals
            .iter()
            .filter(|fact| ours(&fact.name) && can_undo(fact))
            .collect();
        let access: Vec<String> = live
            .iter()
            .filter(|fact| fact.class == Class::Access)
            .map(|fact| undone(&fact.name))
            .collect();
        let facts = live.iter().map(|fact| FactSpec {
            name: undone(&fact.name),
            stage: Stage::Cutoff,
            proof: Proof::Direct,
            requires: vec![],
            after: vec![],
            // Most systems take nothing for an account that is closed.
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
        let capabilities = Capabilities {
            definition: own.definition.clone(),
            facts: facts.collect(),
            not_covered: vec![],
            fingerprint: own.fingerprint.clone(),
        };
        Self {
            of,
            then,
            originals,
            capabilities,
            since,
        }
    }

    /// The facts that are undone, or that there is no way to undo.
    pub(super) fn originals(&self) -> &[FactSpec] {
        &self.originals
    }

    /// Whether the original `fact` can be taken back at all.
    pub(super) fn takes_back(&self, fact: &str) -> bool {
        self.of_fact(fact).can_undo(fact)
    }

    /// What the original `fact` is taken back by.
    fn of_fact(&self, fact: &str) -> &Shared {
        self.then.get(fact).unwrap_or(&self.of)
    }

    /// From when on reads show all that was asked for to make the original of `fact` true.
    fn shown_from(&self, subject: &Subject, fact: &str) -> Option<Timestamp> {
        let entry = subject.ledger.fact(original(fact));
        // One without an answer may have taken effect until the end of the longest call, and of the one that it waited for.
        let unanswered = entry
            .intent
            .max(entry.tried)
            .filter(|at| entry.accepted.is_none_or(|known| known < *at));
        let asked = entry
            .accepted
            .max(unanswered.map(|at| schedule::later(at, LONGEST_CALL * 2)));
        // Security waits for no write, so a process that crashed may have asked once more than the ledger knows.
        let before = subject.ledger.fact(fact).accepted.is_none().then_some(self.since);
        let spec = self.capabilities.facts.iter().find(|spec| spec.name == fact);
        Some(schedule::later(asked.max(before)?, spec?.settle))
    }

    /// Until when a read may show the original of `fact` as it was before somebody else undid it; none when nobody did.
    fn doubtful_until(&self, subject: &Subject, fact: &str) -> Option<Timestamp> {
        let entry = subject.ledger.fact(original(fact));
        let spec = self.capabilities.facts.iter().find(|spec| spec.name == fact);
        let doubted = entry.doubted.filter(|_| entry.accepted.is_none())?;
        Some(schedule::later(doubted, spec?.settle))
    }

    /// `system` with what is wanted of it now: everything undone.
    pub(super) fn wanted(&self, system: &System, ledger: &SystemLedger) -> System {
        let now = |fact: &FactSpec| (fact.name.clone(), Wanted::At(Timestamp::MIN));
        // Who took over is in the ledger, and nobody is looked for now.
        let took_over = ledger.successor.is_some();
        System {
            successor: took_over.then(|| system.successor.clone().unwrap_or_default()),
            kept_until: None,
            kept_facts: BTreeMap::new(),
            wanted: self.capabilities.facts.iter().map(now).collect(),
            ..system.clone()
        }
    }
}

/// Drops what `ledger` says about `fact`.
fn forget(ledger: &mut SystemLedger, fact: &str) {
    ledger.facts.remove(fact);
    ledger.forget_kept(fact, &undone(fact));
    ledger.ways_back.forget(fact);
}

/// Drops what is left of an earlier reinstatement from the ledger of a leaver who is one again.
pub(super) fn leaves_again(ledger: &mut SystemLedger) {
    ledger.facts.retain(|name, _| !name.ends_with(UNDONE));
    ledger.too_large.retain(|name, _| !name.ends_with(UNDONE));
}

/// Settles in `ledger` what was proven undone, and what cannot be undone at all by `facts`, the connector's own.
pub(super) fn settle(ledger: &mut SystemLedger, facts: &[FactSpec], can_undo: impl Fn(&str) -> bool) {
    for fact in facts {
        let name = undone(&fact.name);
        if ours(ledger, &fact.name) && !can_undo(&fact.name) {
            ledger.facts.entry(name).or_default().lost = true;
        } else if ledger.fact(&name).verified.is_some() || ledger.fact(&name).lost {
            forget(ledger, &fact.name);
        }
    }
    // What cannot be taken back says how the rest is to be read, such as that the account is deleted.
    if facts
        .iter()
        .any(|fact| can_undo(&fact.name) && ours(ledger, &fact.name))
    {
        return;
    }
    for fact in facts {
        if ledger.fact(&undone(&fact.name)).lost {
            forget(ledger, &fact.name);
        }
    }
}

/// Notes in `ledger` what there is nothing left of to give it back to, by the verdicts of a look.
pub(super) fn note_lost<'f>(
    ledger: &mut SystemLedger,
    verdicts: impl Iterator<Item = (&'f FactSpec, &'f Verdict)>,
) {
    for (fact, verdict) in verdicts {
        if *verdict == Verdict::NotNeeded(Exempt::NotApplicable) {
            ledger.facts.entry(fact.name.clone()).or_default().lost = true;
        }
    }
}

/// What `ledger` says is undone, or cannot be, of `facts`, the connector's own, and of those that were its own: without a look.
pub(super) fn settled(ledger: &SystemLedger, facts: &[FactSpec]) -> Vec<(FactSpec, Verdict)> {
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
            Some((FactSpec { name, ..fact.clone() }, verdict))
        })
        .collect()
}

/// A fact that no definition knows any more.
fn former(ledger: &SystemLedger, name: &str) -> FactSpec {
    FactSpec::plain(name, ledger.scope.get(name).copied().unwrap_or(Class::Access))
}

/// What `ledger` says we took and `facts`, the connector's own, cannot give back because it is not among them any more. Not
/// durable: what comes back into a definition is given back then.
pub(super) fn out_of_reach(ledger: &SystemLedger, facts: &[FactSpec]) -> Vec<(FactSpec, Verdict)> {
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
        (fact, Verdict::NotNeeded(Exempt::NotRestorable))
    };
    names.into_iter().map(lost).collect()
}

#[async_trait]
impl Connector for Undoing {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.of.find(who).await
    }

    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings {
        let originals = facts.iter().map(|fact| original(fact));
        let (then, today): (Vec<&str>, Vec<&str>) = originals.partition(|fact| self.then.contains_key(*fact));
        let mut readings = self.of.observe_back(subject, &today).await;
        for fact in then {
            let own = self.of_fact(fact).observe_back(subject, &[fact]).await;
            let apart = |(read, value)| (format!("{fact}{APART}{read}"), value);
            readings.extend(own.into_iter().map(apart));
        }
        readings
    }

    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        let own = self.then.get(original(fact)).map(|_| {
            let prefix = format!("{}{APART}", original(fact));
            let own = readings
                .iter()
                .filter_map(|(read, value)| Some((read.strip_prefix(&prefix)?.to_owned(), value.clone())));
            own.collect()
        });
        let of = self.of_fact(original(fact));
        let back = of
            .undo(subject, original(fact), own.as_ref().unwrap_or(readings))
            .map(|act| {
                let mut act = act?;
                let gone = &subject.ledger.fact(fact).gone;
                act.requests
                    .retain(|request| !gone.contains(&request_digest(request)));
                (!act.requests.is_empty()).then_some(act)
            });
        match back {
            Err(truth) => Sight::of(truth),
            // A late read may still show what was there before we took it away: as if there were nothing to give back.
            Ok(None) => Sight::of(match self.shown_from(subject, fact) {
                Some(from) if subject.now < from => Truth::HoldsFrom(from),
                _ => Truth::Holds,
            }),
            Ok(Some(act)) => match self.doubtful_until(subject, fact) {
                // It was seen undone already, and nothing that we asked for since was accepted: a late read may show it as it was.
                Some(until) if subject.now < until => Sight::of(Truth::HoldsFrom(until)),
                _ => Sight {
                    says: format!("give back what {} took", original(fact)),
                    count: act.requests.len(),
                    act: Some(Act {
                        fact: fact.to_owned(),
                        ..act
                    }),
                    ..Sight::of(Truth::DoesNotHold)
                },
            },
        }
    }

    fn recognise(&self, subject: &Subject, readings: &Readings) -> Result<bool, Fault> {
        self.of.recognise(subject, readings)
    }

    fn protects(&self, subject: &Subject, readings: &Readings) -> Result<Option<bool>, Fault> {
        self.of.protects(subject, readings)
    }

    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        let own = Act {
            fact: original(&act.fact).to_owned(),
            ..act.clone()
        };
        self.of_fact(&own.fact).act(subject, &own, order).await
    }
}
