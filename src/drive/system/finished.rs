//! What a pass over one system leaves behind.

use jiff::Timestamp;

use crate::{
    core::{ledger::SystemLedger, pace::Pace},
    drive::{Row, evidence::Happening},
};

/// What a pass over one system leaves behind.
pub(in crate::drive) struct Finished {
    /// What is shown of it.
    pub row: Row,
    /// When the pass began.
    pub began: Timestamp,
    /// What is to be made durable.
    pub ledger: SystemLedger,
    /// What the next pass remembers.
    pub pace: Pace,
    /// What happened since the last request to make the ledger durable.
    pub happenings: Vec<Happening>,
}
