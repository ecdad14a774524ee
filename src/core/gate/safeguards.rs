//! What is asked of people whatever policies say.
//!
//! # Why
//! Whoever configures leavers could configure every yes away. So whoever installs the operator sets a floor that no policy
//! undercuts, some gates need no rule to be there, and what a policy demanded when a leaver was first seen is demanded until
//! the end: rules are added up, and each of them has to be met.

use std::collections::BTreeSet;

use super::{Gate, Rule};

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

    /// The rules among `rules` for what needs a yes as a whole, such as [`Gate::Reinstate`]; none where it needs none.
    pub fn for_all(&self, gate: Gate, rules: &[Rule]) -> Vec<Rule> {
        let own: Vec<Rule> = rules.iter().filter(|rule| rule.gate == gate).cloned().collect();
        if own.is_empty() && !self.ungated.contains(&gate) {
            return vec![Rule::of(gate)];
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
