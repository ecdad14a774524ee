//! A request to make a system's ledger durable before something is sent.

use tokio::sync::oneshot;

use crate::{
    core::{fault::Fault, ledger::SystemLedger},
    drive::evidence::Happening,
};

/// A request to make a system's ledger durable before something is sent.
pub(in crate::drive) struct Commit {
    /// The row of the system.
    pub row: String,
    /// Its ledger.
    pub ledger: SystemLedger,
    /// What happened since the request before.
    pub happenings: Vec<Happening>,
    /// Whether it is durable.
    pub done: oneshot::Sender<Result<(), Fault>>,
}
