//! A connector that gives back what another one took: what that is, [`reinstate`](crate::core::reinstate) says.
//!
//! # Why
//! Giving back is driven like taking away: for each fact that we made true there is one that says it is undone, judged by
//! reads and made true by the definition's `undo`. So the same rules hold for it (R1: proven by a read after the act; R2: not
//! seeing proves nothing; throttling, deadlines, crashes), and there is no second engine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        case::{System, Wanted},
        digest::request_digest,
        fact::{Act, FactSpec, Receipt, Sight, Truth},
        fault::Fault,
        identity::{Account, Person},
        ledger::SystemLedger,
        reinstate::{doubtful_until, facts_of_undoing, is_given_back, original, shown_from},
    },
};

/// Between a fact and a read of its own time: two definitions may call two reads alike.
const APART: char = '/';

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
        let ours = |fact: &str| is_given_back(ledger, fact);
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
        let capabilities = Capabilities {
            definition: own.definition.clone(),
            facts: facts_of_undoing(&live),
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

    /// The fact that says that another one is undone.
    fn spec(&self, undoing: &str) -> Option<&FactSpec> {
        let mut facts = self.capabilities.facts.iter();
        facts.find(|spec| spec.name == undoing)
    }

    /// From when on reads show all that was asked for to make the original of `fact` true.
    fn shown_from(&self, subject: &Subject, fact: &str) -> Option<Timestamp> {
        shown_from(&subject.ledger, self.spec(fact)?, self.since)
    }

    /// Until when a read may show the original of `fact` as it was before somebody else undid it; none when nobody did.
    fn doubtful_until(&self, subject: &Subject, fact: &str) -> Option<Timestamp> {
        doubtful_until(&subject.ledger, self.spec(fact)?)
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
