//! One gate with what is behind it and what people said about that.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    Gate,
    item::{Item, plan_of},
    rule::{Rule, Standing, State},
    vote::Vote,
};

/// What people said about one leaver.
#[derive(Debug, Clone, Copy)]
pub struct Ballot<'b> {
    /// The durable id of the Offboarding.
    pub uid: &'b str,
    /// What people said.
    pub votes: &'b [Vote],
    /// Names of people whose vote is ignored.
    pub ineligible: &'b [String],
}

/// One gate of one leaver with what is behind it and what people said about that.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The rule by which it was counted.
    pub rule: Rule,
    /// Digest of what is behind it: another plan needs another yes.
    pub plan: String,
    /// Since when it waits, or would.
    pub since: Timestamp,
    /// How it stands.
    pub standing: Standing,
    /// It is about the leaver as a whole.
    pub whole: bool,
    /// It asks whether this rule of then may give way to what the policy says now.
    pub replaces: Option<Box<Rule>>,
    /// What is behind it.
    pub items: BTreeSet<Item>,
}

impl Counted {
    /// The same as the question whether `rule` may give way to what the policy says now.
    #[must_use]
    pub fn about(self, rule: Rule) -> Self {
        Self {
            replaces: Some(Box::new(rule)),
            ..self
        }
    }

    /// What would be loosened, in words.
    pub fn loosens(&self) -> Vec<String> {
        let loosens = matches!(self.rule.gate, Gate::Loosen | Gate::Reinstate);
        let items = self.items.iter().filter(|_| loosens);
        items
            .map(|item| {
                let parts = [&item.row, &item.fact, &item.requests];
                let parts = parts.into_iter().filter(|part| !part.is_empty());
                parts.cloned().collect::<Vec<_>>().join(": ")
            })
            .collect()
    }

    /// Counts what `ballot` says about `items` as a whole, wherever they are.
    pub fn new(rule: Rule, ballot: Ballot<'_>, items: BTreeSet<Item>, now: Timestamp) -> Self {
        rule.counted(ballot, items, false, now)
    }

    /// Whether it is about `fact` of `account` in this row.
    pub fn is_about(&self, row: &str, account: &str, fact: &str) -> bool {
        let concerns = |item: &Item| {
            item.row == row && item.account == account && (item.fact == fact || item.fact.is_empty())
        };
        self.whole || self.items.iter().any(concerns)
    }
}

impl Rule {
    /// Counts what `ballot` says about `items`, which may not be all that there is.
    pub(in crate::core) fn counted(
        self,
        ballot: Ballot<'_>,
        items: BTreeSet<Item>,
        unclear: bool,
        now: Timestamp,
    ) -> Counted {
        let mut plan = plan_of(ballot.uid, self.gate, &items);
        let mut since = now;
        if let Some((earlier, began)) = &self.since {
            if unclear {
                plan.clone_from(earlier);
            }
            if plan == *earlier {
                since = *began;
            }
        }
        let mut standing = self.count(&plan, ballot.votes, ballot.ineligible, since, now);
        if unclear && standing.state == State::Open {
            standing.state = State::Waiting;
        }
        Counted {
            rule: self,
            plan,
            since,
            standing,
            whole: false,
            replaces: None,
            items,
        }
    }
}
