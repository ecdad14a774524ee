//! What a person is asked to do where no request can do it, and their word that it is done.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What a person is asked to do where no request can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is to be done, in one line.
    pub title: String,
    /// Who should do it: a name, an address or a team.
    pub assignee: String,
    /// How; may be empty.
    pub instructions: String,
    /// How long it may take from the moment it is wanted.
    pub due_in: SignedDuration,
    /// When what was read of it was true, if that is older than the look: the date of an export.
    pub as_of: Option<Timestamp>,
}

/// A person's word that a task of one fact is done. Whoever hands it in has checked who said it and that it was about this
/// task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Who said it: the requester's name as the API server knew it.
    pub by: String,
    /// When. What was read of a later moment weighs more.
    pub at: Timestamp,
    /// The digest of what they saw.
    pub plan: String,
}
