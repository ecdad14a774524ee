//! What is asked of people whatever policies say.
//!
//! # Why
//! Whoever configures leavers could configure every yes away. So whoever installs the operator sets a floor that no policy
//! undercuts, some gates need no rule to be there, and what a policy demanded when a leaver was first seen is demanded until
//! the end: rules are added up, and each of them has to be met.
//!
//! A rule of then that names people who have gone can be met by nobody for ever. What the policy says now may take its place, but
//! who writes policies must not be able to do that alone. So it is a loosening like any other (gate `Loosen`), always answered by
//! people, also where loosening needs no yes: by as many as the old rule wanted at least, and by the rules that the floor and the
//! policy of now have for that, not by those of then, which may be the very ones that nobody can meet. The yes is about exactly
//! that rule and exactly what takes its place; another change of the policy is another question. It is asked only while something
//! waits behind the old rule: who edits a policy asks nobody about leavers who wait for nothing.

use std::collections::BTreeSet;

use super::{Gate, Item, Rule};
use crate::core::digest::digest_of;

/// What whoever installed the operator, or runs a folder, demands and lets pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Safeguards {
    /// Rules for every leaver, beside those of the policy.
    pub floor: Vec<Rule>,
    /// Gates that need no yes unless a rule says so.
    pub ungated: BTreeSet<Gate>,
}

impl Safeguards {
    /// The gates that need a yes without any rule, as people write them.
    pub const DEFAULT: [Gate; 5] = [
        Gate::Account,
        Gate::Transfer,
        Gate::Reinstate,
        Gate::Loosen,
        Gate::Guard,
    ];

    /// Nothing is demanded but what policies demand.
    pub fn none() -> Self {
        Self {
            floor: vec![],
            ungated: Self::DEFAULT.into(),
        }
    }

    /// All rules for what a leaver's facts wait for: the floor, the `policy` as it is, and as it was when the leaver was `first`
    /// seen.
    pub fn rules(&self, policy: &[Rule], first: &[Rule]) -> Vec<Rule> {
        let mut rules: Vec<Rule> = vec![];
        for rule in self.floor.iter().chain(policy).chain(first) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        for gate in [Gate::Account, Gate::Transfer] {
            if !self.ungated.contains(&gate) && !rules.iter().any(|rule| rule.gate == gate) {
                rules.push(Rule {
                    to_strangers: gate == Gate::Transfer,
                    ..Rule::of(gate)
                });
            }
        }
        rules
    }

    /// The questions whether what a policy demands now may take the place of what it demanded when a leaver was `first` seen, for
    /// each rule of then that it has no more.
    pub fn replacements(&self, policy: &[Rule], first: &[Rule]) -> Vec<Replacement> {
        let stands = |rule: &&Rule| !policy.contains(rule) && !self.floor.contains(rule);
        let of_then = first.iter().filter(stands);
        let asked = of_then.map(|rule| {
            let by: Vec<Rule> = policy
                .iter()
                .filter(|now| now.gate == rule.gate)
                .cloned()
                .collect();
            let now = self.floor.iter().chain(policy).cloned().collect::<Vec<_>>();
            let mut rules = self.for_all(Gate::Loosen, &now);
            if rules.is_empty() {
                rules.push(Rule::of(Gate::Loosen));
            }
            for people in &mut rules {
                people.approvals = people.approvals.max(rule.approvals);
                people.since = None;
            }
            Replacement {
                items: BTreeSet::from([replacement(rule, &by)]),
                rule: rule.clone(),
                by,
                rules,
            }
        });
        asked.collect()
    }

    /// The rules among `rules` for what needs a yes as a whole, such as [`Gate::Reinstate`]; none where it needs none.
    pub fn for_all(&self, gate: Gate, rules: &[Rule]) -> Vec<Rule> {
        let own: Vec<Rule> = rules.iter().filter(|rule| rule.gate == gate).cloned().collect();
        if own.is_empty() && !self.ungated.contains(&gate) {
            return vec![Rule::of(gate)];
        }
        own
    }
}

/// The question whether what a policy demands now may take the place of a rule of then.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// The rule of then.
    pub rule: Rule,
    /// What takes its place.
    pub by: Vec<Rule>,
    /// Who is asked.
    pub rules: Vec<Rule>,
    /// What a yes is about.
    pub items: BTreeSet<Item>,
}

/// What a yes says: exactly this rule, and exactly what takes its place.
fn replacement(rule: &Rule, by: &[Rule]) -> Item {
    let now: Vec<String> = by.iter().map(demand).collect();
    let now = if now.is_empty() {
        "nothing".to_owned()
    } else {
        now.join(" and ")
    };
    let exact: Vec<String> = std::iter::once(rule)
        .chain(by)
        .map(|rule| serde_json::to_string(rule).unwrap_or_default())
        .collect();
    Item {
        fact: format!("gates.{:?}: {} becomes {now}", rule.gate, demand(rule)),
        system: digest_of(exact.iter().map(String::as_str)),
        ..Item::default()
    }
}

/// What `rule` demands, in words.
fn demand(rule: &Rule) -> String {
    let named: Vec<&str> = rule
        .approvers
        .iter()
        .map(|approver| approver.user.as_str())
        .collect();
    let whom = if named.is_empty() {
        "whoever may approve".to_owned()
    } else {
        named.join(", ")
    };
    format!("{} of {whom}", rule.approvals.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::gate::Approver;

    fn quorum(gate: Gate, approvals: usize) -> Rule {
        Rule {
            approvals,
            ..Rule::of(gate)
        }
    }

    fn sizes(rules: &[Rule], gate: Gate) -> Vec<usize> {
        let own = rules.iter().filter(|rule| rule.gate == gate);
        own.map(|rule| rule.approvals).collect()
    }

    #[test]
    fn a_policy_adds_to_the_floor_and_to_what_it_was_and_takes_nothing_away() {
        let floor = Safeguards {
            floor: vec![quorum(Gate::Delete, 2)],
            ungated: BTreeSet::new(),
        };
        let rules = floor.rules(&[], &[]);
        assert_eq!(sizes(&rules, Gate::Delete), [2]);
        let rules = floor.rules(&[quorum(Gate::Delete, 1)], &[quorum(Gate::Delete, 3)]);
        assert_eq!(sizes(&rules, Gate::Delete), [2, 1, 3]);
        let rules = floor.rules(&[quorum(Gate::Delete, 2)], &[quorum(Gate::Delete, 2)]);
        assert_eq!(sizes(&rules, Gate::Delete), [2], "the same is asked once");
    }

    fn naming(approvals: usize, people: &[&str]) -> Rule {
        let approver = |user: &&str| Approver {
            user: (*user).to_owned(),
            delegate: None,
        };
        Rule {
            approvers: people.iter().map(approver).collect(),
            ..quorum(Gate::Delete, approvals)
        }
    }

    #[test]
    fn a_rule_of_then_gives_way_only_to_as_many_people_as_it_wanted_by_the_rules_of_now() {
        let now = [naming(1, &["carol"])];
        let loosen = Rule {
            approvers: naming(1, &["dora", "eve"]).approvers,
            ..quorum(Gate::Loosen, 1)
        };
        let one = |safeguards: &Safeguards, policy: &[Rule], first: &[Rule]| {
            let mut all = safeguards.replacements(policy, first);
            assert_eq!(all.len(), 1);
            all.remove(0)
        };
        let first = [naming(2, &["alice", "bob"]), quorum(Gate::Loosen, 9)];
        let usual = Safeguards::default();
        let all = usual.replacements(&now, &first[..1]);
        assert_eq!((all.len(), sizes(&all[0].rules, Gate::Loosen)), (1, vec![2]));
        let said: Vec<&str> = all[0].items.iter().map(|item| item.fact.as_str()).collect();
        assert_eq!(said, ["gates.Delete: 2 of alice, bob becomes 1 of carol"]);
        // Not by the rule of then, and by people though nothing else would need them.
        let asked = usual.replacements(&now, &first);
        assert!(
            asked
                .iter()
                .all(|question| sizes(&question.rules, Gate::Loosen)[0] < 10)
        );
        let asked = one(&Safeguards::none(), &[], &first[..1]);
        assert_eq!(sizes(&asked.rules, Gate::Loosen), [2]);
        let floor = Safeguards {
            floor: vec![loosen.clone(), quorum(Gate::Loosen, 3)],
            ungated: BTreeSet::new(),
        };
        let asked = one(&floor, &[], &first[..1]);
        assert_eq!(sizes(&asked.rules, Gate::Loosen), [2, 3]);
        assert_eq!(asked.rules[0].approvers, loosen.approvers);
        // What is demanded still is no question, and another change is another one.
        assert_eq!(usual.replacements(&first[..1], &first[..1]), []);
        assert_ne!(
            one(&usual, &[naming(1, &["carol"])], &first[..1]).items,
            one(&usual, &[naming(1, &["dave"])], &first[..1]).items
        );
    }

    #[test]
    fn what_needs_no_rule_is_left_out_only_by_name_and_a_rule_brings_it_back() {
        let rules = Safeguards::default().rules(&[], &[]);
        assert_eq!(sizes(&rules, Gate::Account), [1]);
        assert!(
            rules
                .iter()
                .any(|rule| rule.gate == Gate::Transfer && rule.to_strangers)
        );
        let wider = Safeguards::default().rules(&[quorum(Gate::Transfer, 1)], &[]);
        assert!(
            wider
                .iter()
                .all(|rule| rule.gate != Gate::Transfer || !rule.to_strangers)
        );
        let nothing = Safeguards::none();
        assert!(nothing.rules(&[], &[]).is_empty());
        assert!(nothing.for_all(Gate::Reinstate, &[]).is_empty());
        let two = [quorum(Gate::Reinstate, 2)];
        assert_eq!(
            sizes(&nothing.for_all(Gate::Reinstate, &two), Gate::Reinstate),
            [2]
        );
        assert_eq!(
            sizes(&Safeguards::default().for_all(Gate::Loosen, &[]), Gate::Loosen),
            [1]
        );
    }
}
