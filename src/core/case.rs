//! A validated Offboarding with everything it refers to. Nothing after it can be malformed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    fact::{FactSpec, Stage},
    gate::Attestation,
    identity::Person,
};

/// One leaver, ready to be driven.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// `metadata.uid`: what idempotency keys are made from.
    pub uid: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// The policy that was chosen; none for the built-in one.
    pub policy: Option<String>,
    /// Who leaves.
    pub who: Person,
    /// When access ends.
    pub cutoff: Timestamp,
    /// Until when all access must be proven gone.
    pub access_deadline: Timestamp,
    /// False: only a plan is made (`enforcement: Plan`).
    pub enforce: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Nothing may be deleted.
    pub legal_hold: bool,
    /// Until when the reached state is looked at again.
    pub recheck_until: Timestamp,
    /// Time between two such looks.
    pub recheck_every: SignedDuration,
    /// The systems, by row name.
    pub systems: Vec<System>,
}

/// One system of one leaver.
#[derive(Debug, Clone)]
pub struct System {
    /// The row: the connector's name, or `connector/account` for a named extra account.
    pub row: String,
    /// Who is looked for here; with `account_name` for a named extra account.
    pub who: Person,
    /// Who takes over here.
    pub successor: Option<Person>,
    /// Only looks, changes nothing (`mode: Observe`).
    pub observe_only: bool,
    /// An exception keeps the whole system until this instant.
    pub kept_until: Option<Timestamp>,
    /// What is wanted, by fact.
    pub wanted: BTreeMap<String, Wanted>,
    /// The newest word that counts for a task, by fact.
    pub attested: BTreeMap<String, Attestation>,
}

/// When a fact is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// From this instant on.
    At(Timestamp),
    /// Not at all: the policy skips it.
    Not,
}

/// When the facts of a system are wanted.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// By class or fact name, from the policy: explicit instants.
    pub at: BTreeMap<String, Timestamp>,
    /// Class or fact names that the policy skips.
    pub skip: Vec<String>,
}

impl Timeline {
    /// When `fact` is wanted. A name of the fact itself wins over its class, the policy over the default.
    ///
    /// Facts of the stage `Retention` are wanted only if the policy names them or their class: nothing is deleted
    /// by default (R9). They are never wanted before `retention_over`, whatever the policy says.
    pub fn wanted(&self, fact: &FactSpec, cutoff: Timestamp, retention_over: Timestamp) -> Wanted {
        let class = format!("{:?}", fact.class);
        if self.skip.contains(&fact.name) {
            return Wanted::Not;
        }
        let named = self.at.get(&fact.name).or_else(|| self.at.get(&class)).copied();
        // A class is too coarse to switch off security; the fact must be named.
        if named.is_none() && self.skip.contains(&class) && !fact.class.security() {
            return Wanted::Not;
        }
        match (fact.stage, named) {
            (Stage::Ahead, _) => Wanted::At(Timestamp::MIN),
            (Stage::Cutoff, at) => Wanted::At(at.unwrap_or(cutoff)),
            (Stage::Retention, Some(at)) => Wanted::At(at.max(retention_over)),
            (Stage::Retention, None) => Wanted::Not,
        }
    }
}
