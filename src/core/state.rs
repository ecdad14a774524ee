//! What is known of one system of one leaver, and what one look at it showed: the plain data that the rules read and change.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    fact::Sight,
    fault::Fault,
    ledger::{FactLedger, SystemLedger},
    pace::Pace,
    plan::Sent,
};

/// What is known of one system of one leaver between two looks.
#[derive(Debug, Clone, Default)]
pub struct SystemState {
    /// What survives a crash.
    pub ledger: SystemLedger,
    /// What this process remembers.
    pub pace: Pace,
    /// Spreads the waits of many leavers.
    pub seed: u64,
}

impl SystemState {
    /// What is durable about `fact`, to be changed.
    pub fn entry(&mut self, fact: &str) -> &mut FactLedger {
        self.ledger.facts.entry(fact.to_owned()).or_default()
    }
}

/// One look at a system, with what was sent since it began.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// When it began; none before the first one.
    pub began: Option<Timestamp>,
    /// Reads of it are still under way.
    pub reading: bool,
    /// What it showed, by fact. A fact without a sight was not read yet.
    pub sights: BTreeMap<String, Sight>,
    /// What became of what was sent, by fact.
    pub sent: BTreeMap<String, Sent>,
    /// Why nothing may be changed though the system answers: it is not certain any more whose account it is.
    pub forbidden: Option<Fault>,
}

impl Look {
    /// A look that begins at `now`. What forbids changes is known until it shows otherwise.
    pub fn begin(&mut self, now: Timestamp) {
        self.sights.clear();
        self.sent.clear();
        self.began = Some(now);
        self.reading = true;
    }
}
