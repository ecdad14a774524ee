//! What a pass over one system must know of the others.

use std::sync::Arc;

use jiff::Timestamp;

use crate::core::{approvals::Gates, callback::Statement, kept::Room};

/// What a pass over one system must know of the others, and what the system said since the last one.
#[derive(Debug, Clone, Default)]
pub(in crate::drive) struct SharedInput {
    /// What waits for people.
    pub gates: Arc<Gates>,
    /// Since when everything is handed over.
    pub handed_over: Option<Timestamp>,
    /// Callbacks of the system about what it was asked for.
    pub callbacks: Vec<Statement>,
    /// How much of what is taken away may be kept still.
    pub room: Arc<Room>,
}
