//! A validated Offboarding with everything it refers to. Nothing after it can be malformed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    commitment::Terms,
    duplicate::{Duplicate, Hold},
    fact::{FactSpec, Stage},
    gate::{Counted, Rule, Vote},
    guard::Admission,
    identity::Person,
    schedule,
    task::Attestation,
};

/// The reason when all that is left is in systems that are only looked at (`mode: Observe`).
pub const OBSERVED_ONLY: &str = "ObservedOnly";

/// The reason when there is no system to prove anything in.
pub const NO_SYSTEMS: &str = "NoSystems";

/// The reason when no system is asked to end any access that it could end.
pub const NOTHING_TO_REVOKE: &str = "NothingToRevoke";

/// The reason while nothing is done because somebody said so (`spec.suspend`).
pub const SUSPENDED: &str = "Suspended";

/// One leaver, ready to be driven.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a separate wish that the rules ask for by name"
)]
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
    /// Access ends at once (`urgency: Immediate`): the cutoff is the moment when we first knew of it.
    pub at_once: bool,
    /// Until when all access must be proven gone.
    pub access_deadline: Timestamp,
    /// Until when all data must be proven handed over.
    pub data_deadline: Timestamp,
    /// False: only a plan is made (`enforcement: Plan`).
    pub enforce: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// Nothing may be deleted.
    pub legal_hold: bool,
    /// What was taken away is given back, and only that.
    pub reinstate: bool,
    /// What waits for people.
    pub gates: Vec<Rule>,
    /// What waits for people before anything is done, where there is no leave to begin; empty where none is needed.
    pub guard: Vec<Rule>,
    /// The policy, or whoever installed the operator, has a gate for every leaver.
    pub asks_people: bool,
    /// What would loosen an end that has come, with what people said about it.
    pub loosenings: Vec<Counted>,
    /// What the end is held to from now on.
    pub terms: Terms,
    /// The Offboarding, or its policy, cannot be used any more: the field and the fix. What was agreed goes on.
    pub invalid: Option<String>,
    /// That there is leave to begin with this leaver; none before that was asked for.
    pub admitted: Option<Admission>,
    /// What people said.
    pub votes: Vec<Vote>,
    /// The cluster lacks what makes Approvals trustworthy, so none of them counts.
    pub untrusted: bool,
    /// Approvers whose vote is ignored: the leaver, the requester, and other current leavers.
    pub ineligible: Vec<String>,
    /// Until when the reached state is looked at again.
    pub recheck_until: Timestamp,
    /// Time between two such looks.
    pub recheck_every: SignedDuration,
    /// The leaver's manager takes over, and nobody said who that is: the directories are asked.
    pub unknown_manager: Option<UnknownManager>,
    /// Other Offboardings about the same person.
    pub duplicates: Vec<Duplicate>,
    /// When nothing is done because of them.
    pub hold: Option<Hold>,
    /// How many Connectors there were to choose from: tells a policy that selects none of them from a namespace without any.
    pub connectors: usize,
    /// The systems, by row name: those of today's configuration, and those that only the record knows.
    pub systems: Vec<System>,
}

/// Where the leaver's manager takes over, while it is not known who that is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnknownManager {
    /// The rows of the systems.
    pub rows: Vec<String>,
    /// Those where the request names somebody who may be the manager.
    pub asked_for: Vec<String>,
    /// Who takes over where no directory knows a manager, or it is the leaver.
    pub fallback: Option<Person>,
}

impl Case {
    /// Whether something is to be done now.
    pub fn begins(&self, now: Timestamp) -> bool {
        let due = |system: &System| {
            let kept = system.kept_until.is_some_and(|until| now < until);
            let mut wanted = system.wanted.values();
            system.gone.is_none()
                && !system.observe_only
                && !kept
                && wanted.any(|wanted| wanted.from(None).is_some_and(|at| at <= now))
        };
        self.enforce
            && !self.suspended
            && !self.reinstate
            && !self.is_held(now)
            && self.systems.iter().any(due)
    }

    /// Whether a person has to say first which of several Offboardings is meant.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.hold.is_some_and(|hold| hold.holds(now))
    }

    /// The other Offboardings about the same person, as far as that concerns anybody at `now`: to somebody who comes back, one
    /// that ends access later is no contradiction.
    pub fn rivals(&self, now: Timestamp) -> &[Duplicate] {
        if self.reinstate && !self.is_held(now) {
            return &[];
        }
        &self.duplicates
    }

    /// From now on it is known who the manager is, or that nobody knows.
    pub fn know_manager(&mut self, manager: Option<&Person>) {
        let Some(unknown) = self.unknown_manager.take() else {
            return;
        };
        let taker = manager
            .filter(|manager| !self.who.is(manager))
            .or(unknown.fallback.as_ref());
        for system in self
            .systems
            .iter_mut()
            .filter(|system| unknown.rows.contains(&system.row))
        {
            system.successor = taker.cloned();
        }
        for system in &mut self.systems {
            let is_manager =
                manager.is_some_and(|manager| system.successor.as_ref().is_some_and(|who| who.is(manager)));
            system.successor_is_asked_for &= !is_manager;
        }
    }
}

/// One system of one leaver.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// The row: the connector's name, or `connector/account` for a named extra account.
    pub row: String,
    /// Who is looked for here; with `account_name` for a named extra account.
    pub who: Person,
    /// The same by nothing but what the request is about: addresses that it adds show no account to be the person's, unless HR has
    /// them too.
    pub certain: Person,
    /// Login names in the same system that the requester gave: those accounts have rows of their own.
    pub named: Vec<String>,
    /// The further places that the guard has room for, see [`super::guard::further_place`]; none while nothing may begin, or nobody
    /// is guarded.
    pub places: Option<BTreeSet<String>>,
    /// Who takes over here.
    pub successor: Option<Person>,
    /// Nobody but the request names them, as far as that is known.
    pub successor_is_asked_for: bool,
    /// Only looks, changes nothing (`mode: Observe`).
    pub observe_only: bool,
    /// People agreed that the account, which we closed, is protected now.
    pub shielded: bool,
    /// An exception keeps the whole system until this instant.
    pub kept_until: Option<Timestamp>,
    /// Exceptions and waivers keep these facts as they are until an instant.
    pub kept_facts: BTreeMap<String, Timestamp>,
    /// What is wanted, by fact.
    pub wanted: BTreeMap<String, Wanted>,
    /// The newest word that counts for a task, by fact.
    pub attested: BTreeMap<String, Attestation>,
    /// Today's configuration does not have it; only the record does.
    pub gone: Option<Gone>,
}

/// Why a system that the record knows is not among those of today's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// There is no such Connector any more.
    Deleted,
    /// The Connector is there, and the policy does not select it any more.
    Deselected,
}

impl System {
    /// The name of its Connector; what follows the slash in the row is a login name.
    pub fn connector(&self) -> &str {
        self.row.split('/').next().unwrap_or_default()
    }

    /// Whether `fact` is wanted at `now`, with everything handed over since `handed_over`.
    pub fn is_due(&self, fact: &str, handed_over: Option<Timestamp>, now: Timestamp) -> bool {
        let from = self.wanted.get(fact).and_then(|wanted| wanted.from(handed_over));
        from.is_some_and(|at| at <= now)
    }

    /// Whether an exception or a waiver leaves `fact` as it is at `now`.
    pub fn keeps(&self, fact: &str, now: Timestamp) -> bool {
        let own = self.kept_facts.get(fact).copied();
        own.max(self.kept_until).is_some_and(|until| now < until)
    }
}

/// When a fact is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// From this instant on.
    At(Timestamp),
    /// From the first instant on, and not kept up any more from the second on.
    Between(Timestamp, Timestamp),
    /// Not before the instant, and not before everything has been handed over for this long.
    Kept(Timestamp, SignedDuration),
    /// Not at all: the policy skips it.
    Not,
}

impl Wanted {
    /// From when on, if that is known: what is kept is wanted from no known instant on before everything is handed over.
    pub fn from(self, handed_over: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::At(at) | Self::Between(at, _) => Some(at),
            Self::Kept(at, keep) => handed_over.map(|since| at.max(schedule::later(since, keep))),
            Self::Not => None,
        }
    }

    /// Whether it is not kept up any more.
    pub fn is_over(self, now: Timestamp) -> bool {
        matches!(self, Self::Between(_, until) if until <= now)
    }
}

/// One entry of the timeline: when a class or a fact is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// From when on.
    pub at: Timestamp,
    /// From when on it is not kept up any more.
    pub until: Option<Timestamp>,
}

/// When the facts of a system are wanted.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// By class or fact name, from the policy: explicit instants.
    pub at: BTreeMap<String, Moment>,
    /// Class or fact names that the policy skips.
    pub skip: Vec<String>,
    /// How long things are kept before they are deleted.
    pub retention: SignedDuration,
}

impl Timeline {
    /// The instants at which what ends access may be wanted, by class or fact; none for a fact that is skipped. What is known to be
    /// about something else is not among them.
    pub fn of_access(&self, other: impl Fn(&str) -> bool) -> BTreeMap<String, Option<Timestamp>> {
        let at = self.at.iter().map(|(name, moment)| (name, Some(moment.at)));
        let named = at.chain(self.skip.iter().map(|name| (name, None)));
        named
            .filter(|(name, _)| !other(name))
            .map(|(name, at)| (name.clone(), at))
            .collect()
    }

    /// When `fact` is wanted. A name of the fact itself wins over its class, the policy over the default.
    ///
    /// Facts of the stage `Retention` are wanted only if the policy names them or their class: nothing is deleted
    /// by default (R9). They are never wanted before the retention is over, whatever the policy says.
    pub fn wanted(&self, fact: &FactSpec, cutoff: Timestamp) -> Wanted {
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
            (Stage::Retention, Some(moment)) => Wanted::Kept(moment.at, self.retention),
            (Stage::Retention, None) => Wanted::Not,
            (
                Stage::Cutoff,
                Some(Moment {
                    at,
                    until: Some(until),
                }),
            ) => Wanted::Between(at, until),
            (Stage::Cutoff, moment) => Wanted::At(moment.map_or(cutoff, |m| m.at)),
        }
    }
}
