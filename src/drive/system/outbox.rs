//! What must be durable before an act goes out, and until when none may.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::{commit::Commit, silence::Silence};
use crate::core::fault::Fault;

/// Becomes something once it is durable.
pub(super) type Durable = oneshot::Receiver<Result<(), Fault>>;

/// What must be durable before an act goes out, and until when none may.
pub(super) struct Outbox {
    /// Where requests to make the ledger durable go.
    pub commits: mpsc::UnboundedSender<Commit>,
    /// Snapshots that are being made durable before the act that needs them may go out, by fact.
    pub ahead: BTreeMap<String, Durable>,
    /// Until when the system wants to be left alone.
    pub silence: Silence,
}

impl Outbox {
    pub(super) fn new(commits: mpsc::UnboundedSender<Commit>) -> Self {
        Self {
            commits,
            ahead: BTreeMap::new(),
            silence: Silence::default(),
        }
    }
}
