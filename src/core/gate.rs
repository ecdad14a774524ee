//! What waits for a person's yes, and what such a yes is worth.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// A set of new leavers of a source that is larger than its guard lets through.
    Guard,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Yes.
    #[default]
    Approved,
    /// No.
    Denied,
    /// The task is done; the approver says so.
    Done,
}
