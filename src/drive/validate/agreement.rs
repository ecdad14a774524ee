//! What is done of what an Offboarding and its policy wish for, and what waits for people.

use std::{borrow::Cow, collections::BTreeSet};

use jiff::Timestamp;

use super::{Given, Invalid, policy};
use crate::core::{
    case::Case,
    commitment::{self, Commitment, Known, Settled, Terms},
    gate::{Ballot, Counted, Gate, Item, Replacement, Rule, State, Vote, plan_of},
    schedule,
};

/// What is done, and on which terms.
pub(super) struct Agreement {
    /// The end of access that is done.
    pub end: Commitment,
    /// What facts wait for.
    pub gates: Vec<Rule>,
    /// What waits for people where there is no leave to begin.
    pub guard: Vec<Rule>,
    /// What would loosen the end, with what people said about it.
    pub loosenings: Vec<Counted>,
    /// What is to be remembered.
    pub terms: Terms,
    /// There is a rule for every leaver.
    pub asks_people: bool,
}

impl Agreement {
    /// Compares `wished` with what the record knows; those who are `ineligible` can let nothing through.
    ///
    /// # Errors
    /// When a gate of the policy cannot be used.
    pub(super) fn new(
        given: &Given<'_>,
        (wished, known_of): (Commitment, &Known),
        ineligible: &[String],
        zone: &str,
        now: Timestamp,
    ) -> Result<Self, Invalid> {
        let demands = policy::gates(&given.policy.spec, zone)?;
        let known = given.recorded.and_then(|ledger| ledger.terms.as_ref());
        let first = known.map_or(&[][..], |terms| &terms.gates);
        let replaced = Replaced::count(given, &demands, first, ineligible, now);
        let first = &replaced.first[..];
        let mut gates = given.safeguards.rules(&demands, first);
        policy::remember(&mut gates, given.offboarding);
        let counting = Counting {
            ineligible,
            gates: gates.clone(),
            given,
            votes: replaced.other_votes(&given.votes),
            now,
        };
        let yes = |gate, items: &BTreeSet<Item>| counting.is_open(gate, items);
        let Settled {
            now: end,
            remembered,
            asked,
        } = commitment::settle(
            known.and_then(|terms| terms.end.as_ref()),
            wished,
            known_of,
            yes,
            now,
        );
        let asked = asked.into_iter();
        let loosenings = asked.flat_map(|(gate, items)| counting.count(gate, &items));
        let loosenings = loosenings.chain(replaced.open).collect();
        let guard = counting.rules(Gate::Guard);
        gates.retain(about_facts);
        let asks_people = !(given.safeguards.floor.is_empty() && demands.is_empty());
        let terms = Terms {
            gates: if known.is_some() { replaced.first } else { demands },
            end: remembered,
        };
        Ok(Self {
            end,
            gates,
            guard,
            loosenings,
            terms,
            asks_people,
        })
    }

    /// What goes on of the end that was agreed, where nothing new can be agreed: on the terms that are known, those of the policy
    /// as far as they can be read, and those that no policy undercuts. None where no end was agreed, or it was given back.
    pub(super) fn upheld(given: &Given<'_>, zone: &str) -> Option<Self> {
        let terms = given.recorded?.terms.as_ref()?;
        let end = terms.end.as_ref().filter(|agreed| !agreed.end.reinstated)?;
        let demands = policy::gates(&given.policy.spec, zone).unwrap_or_default();
        let mut gates = given.safeguards.rules(&demands, &terms.gates);
        policy::remember(&mut gates, given.offboarding);
        let mut guard = given.safeguards.for_all(Gate::Guard, &gates);
        policy::remember(&mut guard, given.offboarding);
        gates.retain(about_facts);
        Some(Self {
            end: end.end.clone(),
            gates,
            guard,
            loosenings: vec![],
            terms: terms.clone(),
            asks_people: !(given.safeguards.floor.is_empty() && demands.is_empty()),
        })
    }

    /// The part of a case that is agreed.
    pub(super) fn case(self) -> Case {
        Case {
            cutoff: self.end.cutoff,
            enforce: !self.end.plan_only,
            suspended: self.end.suspended,
            legal_hold: !self.end.deletes,
            reinstate: self.end.reinstated,
            recheck_every: self.end.reach.unwrap_or_default().every,
            recheck_until: schedule::later(self.end.cutoff, self.end.watched_for),
            guard: self.guard,
            asks_people: self.asks_people,
            gates: self.gates,
            loosenings: self.loosenings,
            terms: self.terms,
            ..Case::default()
        }
    }
}

/// Whether facts are behind `rule`, and not the leaver as a whole.
fn about_facts(rule: &Rule) -> bool {
    !matches!(rule.gate, Gate::Guard | Gate::Reinstate | Gate::Loosen)
}

/// What is needed to count what people said about a loosening.
struct Counting<'a> {
    ineligible: &'a [String],
    gates: Vec<Rule>,
    given: &'a Given<'a>,
    votes: Cow<'a, [Vote]>,
    now: Timestamp,
}

/// What a policy demanded when the leaver was first seen, without what people let give way to what it demands now.
struct Replaced {
    first: Vec<Rule>,
    /// The questions that are not answered, or were not with yes.
    open: Vec<Counted>,
    /// The digests of all questions.
    plans: BTreeSet<String>,
}

impl Replaced {
    fn count(
        given: &Given<'_>,
        demands: &[Rule],
        first: &[Rule],
        ineligible: &[String],
        now: Timestamp,
    ) -> Self {
        let uid = given.offboarding.metadata.uid.as_deref().unwrap_or_default();
        let mut replaced = Self {
            first: first.to_vec(),
            open: vec![],
            plans: BTreeSet::new(),
        };
        for Replacement {
            rule,
            by,
            mut rules,
            items,
        } in given.safeguards.replacements(demands, first)
        {
            let plan = plan_of(uid, Gate::Loosen, &items);
            policy::remember_plan(&mut rules, given.offboarding, &plan);
            // A word about something else is none about this.
            let about = given.votes.iter().filter(|vote| vote.plan == plan);
            let votes: Vec<Vote> = about.cloned().collect();
            let ballot = Ballot {
                uid,
                votes: &votes,
                ineligible,
            };
            let counted: Vec<Counted> = rules
                .into_iter()
                .map(|people| Counted::new(people, ballot, items.clone(), now))
                .collect();
            replaced.plans.insert(plan);
            if counted
                .iter()
                .all(|counted| counted.standing.state == State::Open)
            {
                replaced.first.retain(|other| *other != rule);
                let new = by.into_iter().filter(|new| !first.contains(new));
                replaced.first.extend(new);
            } else {
                replaced
                    .open
                    .extend(counted.into_iter().map(|counted| counted.about(rule.clone())));
            }
        }
        replaced
    }

    /// The votes about anything else.
    fn other_votes<'v>(&self, votes: &'v [Vote]) -> Cow<'v, [Vote]> {
        if self.plans.is_empty() {
            return Cow::Borrowed(votes);
        }
        let others = votes.iter().filter(|vote| !self.plans.contains(&vote.plan));
        Cow::Owned(others.cloned().collect())
    }
}

impl Counting<'_> {
    /// What people said about `items`, by each rule for `gate`.
    fn count(&self, gate: Gate, items: &BTreeSet<Item>) -> Vec<Counted> {
        let uid = self.given.offboarding.metadata.uid.as_deref().unwrap_or_default();
        let ballot = Ballot {
            uid,
            votes: &self.votes,
            ineligible: self.ineligible,
        };
        let count = |rule| Counted::new(rule, ballot, items.clone(), self.now);
        self.rules(gate).into_iter().map(count).collect()
    }

    fn rules(&self, gate: Gate) -> Vec<Rule> {
        let mut rules = self.given.safeguards.for_all(gate, &self.gates);
        policy::remember(&mut rules, self.given.offboarding);
        rules
    }

    fn is_open(&self, gate: Gate, items: &BTreeSet<Item>) -> bool {
        let counted = self.count(gate, items);
        counted
            .iter()
            .all(|counted| counted.standing.state == State::Open)
    }
}
