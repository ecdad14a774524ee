//! What waits for a person's yes, and what such a yes is worth.
//!
//! | file | what |
//! |---|---|
//! | `vote.rs` | what one person said, and which person that is |
//! | `rule.rs` | which people must say yes, and how votes are counted |
//! | `item.rs` | what a yes is about, and its digest |
//! | `counted.rs` | one gate with its votes counted |
//! | `safeguards.rs` | what is asked of people whatever policies say |
//!
//! All gates of one leaver are in [`super::approvals`].

mod counted;
mod item;
mod rule;
mod safeguards;
mod vote;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fact::{Class, FactSpec};

pub use counted::{Ballot, Counted};
pub use item::{Item, plan_of, task_plan};
pub use rule::{Approver, Refusal, Rule, Standing, State};
pub use safeguards::{Replacement, Safeguards};
pub use vote::{Decision, Vote, bare, same_person};

/// What a person decides about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Gate {
    /// Ending access. Gated only by a policy that says so; a leaver keeps access until then.
    Revoke,
    /// Handing mail, files and records over.
    Transfer,
    /// What cannot be brought back.
    #[default]
    Delete,
    /// A task that a person did in a system without an interface.
    Task,
    /// A fact that is left alone until a day.
    Waiver,
    /// More leavers than a guard lets through: the held set of a source, or somebody with whom more would be begun in a while
    /// than whoever installed the operator allows.
    Guard,
    /// An account that the Offboarding names, and that shows no address and no number of the leaver.
    Account,
    /// Giving back what was taken, after access has ended.
    Reinstate,
    /// An exception, a pause or a later date, after access has ended.
    Loosen,
}

impl Gate {
    /// The gate that `fact` is behind, if a policy has a rule for it.
    pub fn of(fact: &FactSpec) -> Option<Self> {
        match () {
            () if fact.class.hands_over() => Some(Self::Transfer),
            () if fact.irreversible || fact.class == Class::Deletion => Some(Self::Delete),
            () if fact.class.security() => Some(Self::Revoke),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests;
