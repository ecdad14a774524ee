//! What one pass found out about one system.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::core::{fact::FactState, fault::Fault};

/// What one pass found out about one system.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// The row's name.
    pub name: String,
    /// The account: durable id and login name.
    pub account: Option<(String, String)>,
    /// Every fact with what is known about it and what was seen.
    pub facts: Vec<FactState>,
    /// Text for a broken link.
    pub trouble: Option<String>,
    /// Why the system as a whole could not be looked at.
    pub blocked: Option<Fault>,
    /// An answer carried another id than the bound one (R4).
    pub identity_mismatch: bool,
    /// The login names of the accounts between which a person must decide.
    pub candidates: Vec<String>,
    /// By what the person was looked for, who has no account there.
    pub looked_up_by: Option<String>,
    /// What the system has of the person that nobody looks after.
    pub not_covered: Vec<String>,
    /// Access that had been proven gone was back in this pass.
    pub drifted: Vec<String>,
    /// How often somebody else gave back what had been proven gone, by fact.
    pub reversals: BTreeMap<String, usize>,
    /// What others lost by what was done, by fact.
    pub others: BTreeMap<String, String>,
    /// What is not kept of what was taken away, and so cannot be given back, by fact.
    pub not_kept: BTreeMap<String, String>,
    /// When something may change by itself.
    pub wake: Option<Timestamp>,
}

impl Row {
    /// The row `name` of which only these facts are known.
    pub fn new(name: impl Into<String>, facts: Vec<FactState>) -> Self {
        Self {
            name: name.into(),
            facts,
            ..Self::default()
        }
    }
}
