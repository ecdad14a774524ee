//! What a pass over one system tells of itself.

use jiff::Timestamp;

use crate::drive::evidence::Happening;

/// What a pass over one system tells of itself: in the evidence, and in the row that is shown.
pub(super) struct Journal {
    /// When the pass began.
    pub began: Timestamp,
    /// What happened since the last request to make the ledger durable.
    pub happenings: Vec<Happening>,
    /// The facts that were undone by somebody else.
    pub drifted: Vec<String>,
    /// What a person must mend before anything can be looked at.
    pub trouble: Option<String>,
    /// The login names of the accounts between which a person must decide.
    pub candidates: Option<Vec<String>>,
}

impl Journal {
    pub(super) fn new(began: Timestamp) -> Self {
        Self {
            began,
            happenings: vec![],
            drifted: vec![],
            trouble: None,
            candidates: None,
        }
    }
}
