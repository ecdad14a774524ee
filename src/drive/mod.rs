//! Drives one case over its connectors: observe, plan, act, observe again.
//!
//! Knows neither Kubernetes nor a folder: what must be durable goes through [`Store`], the time comes from [`Clock`].
//! It makes the calls and waits for what must be durable; every decision is [`crate::core`]'s.
//!
//! # Why
//! A module of its own, not a part of the controller, because `run`, `plan` and `demo` drive the same way without a
//! cluster, and because the tests drive it over a simulated system with virtual time.

pub mod advice;
pub mod approval;
pub mod departures;
pub mod evidence;
pub mod folder;
mod manager_lookup;
pub mod ownership;
pub mod report;
mod row;
mod run;
mod system;
mod undo;
pub mod validate;

#[cfg(test)]
mod convergence;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    api::record::Entry,
    connectors::Shared,
    core::{
        approvals::Gates,
        callback::Statement,
        case::Case,
        fault::Fault,
        gate::Vote,
        ledger::{Ledger, Manager},
        pace::Pace,
    },
};

pub use row::Row;
pub use run::drive;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// What is durable about one leaver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Bindings, intents, receipts, snapshots.
    pub ledger: Ledger,
    /// What happened, oldest first, each entry bound to the one before.
    pub evidence: Vec<Entry>,
}

/// What the drive needs from whoever keeps the state.
#[async_trait]
pub trait Store: Send + Sync {
    /// Writes the whole record. Returns only when it would survive a crash.
    async fn save(&self, record: &Record) -> Result<(), Fault>;

    /// Whether the case that is being driven is still what is wanted: not deleted, suspended or changed. Asked
    /// before every act, so it must cost nothing.
    fn current(&self) -> bool;

    /// The same, by a fresh uncached read, and that `votes`, which opened its gate, are all still there. Asked before every act
    /// that cannot be taken back (R9).
    async fn confirm(&self, votes: &[&Vote]) -> Result<bool, Fault>;

    /// Something worth showing happened and other systems are still being worked on.
    async fn progress(&self, interim: &Interim);
}

/// One connected system, or why it cannot be used.
#[derive(Clone)]
pub enum Link {
    /// Ready to use.
    Ready(Shared),
    /// The connector, its secret or its definition is broken; the text names the field and the fix.
    Broken(Fault, String),
}

/// How much to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What is wanted now.
    Due,
    /// Of that, only the systems whose time has come: nothing but the time has changed since the pass before.
    Woken,
    /// Everything that will ever be wanted, for a plan. Nothing is changed.
    Everything,
}

/// What earlier passes over one leaver remember without its being durable.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// By row.
    pub systems: BTreeMap<String, Pace>,
    /// What the last look at each system found out, and when that look began.
    pub rested: BTreeMap<String, (Row, Timestamp)>,
    /// What systems said since then about what they were asked for, by row. A pass takes it into the record, or drops it.
    pub said: BTreeMap<String, Vec<Statement>>,
    /// The record that is handed on is not durable: the last write of it failed.
    pub unsaved: bool,
}

/// How far a pass has come.
#[derive(Debug, Default)]
pub struct Interim {
    /// The systems that are finished.
    pub finished: Vec<Row>,
    /// What the pass before found out about the others; none where more than the time has changed since.
    pub known: Vec<Row>,
}

/// What one pass found out.
#[derive(Debug, Default)]
pub struct Outcome {
    /// One per system, in the case's order.
    pub rows: Vec<Row>,
    /// The record could not be written.
    pub store_fault: Option<Fault>,
    /// When to drive again.
    pub wake: Option<Timestamp>,
    /// What waits for people; none while the pass goes on and nothing was counted anew.
    pub gates: Option<Gates>,
    /// Who a directory says the leaver's manager is, if it was asked.
    pub manager: Option<Manager>,
}

/// Everything a pass works with.
pub struct Drive<'a> {
    /// The leaver.
    pub case: &'a Case,
    /// A link for every system of the case, by row.
    pub links: &'a BTreeMap<String, Link>,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The state.
    pub store: &'a dyn Store,
    /// How much to look at.
    pub scope: Scope,
}
