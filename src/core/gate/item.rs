//! What a yes is about, and its digest: another plan needs another yes.

use std::collections::BTreeSet;

use super::Gate;
use crate::core::digest::digest_of;

/// What one gate keeps from being done: the accounts and facts that a yes is about, and what would be sent for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The row of the system.
    pub row: String,
    /// The fingerprint of the system.
    pub system: String,
    /// The durable id of the account.
    pub account: String,
    /// The fact; empty where it is about the account as a whole.
    pub fact: String,
    /// The digest of what its definition and Connector say would be sent.
    pub requests: String,
    /// Who takes over and the durable id of their account, of a hand-over.
    pub successor: Option<String>,
}

/// The digest of what is behind a gate of the Offboarding `uid`.
pub fn plan_of(uid: &str, gate: Gate, items: &BTreeSet<Item>) -> String {
    let gate = format!("{gate:?}");
    let parts = items.iter().flat_map(|item| {
        let successor = item.successor.as_deref().unwrap_or_default();
        [
            item.row.as_str(),
            &item.system,
            &item.account,
            &item.fact,
            &item.requests,
            successor,
        ]
    });
    format!("sha256:{}", digest_of([uid, &gate].into_iter().chain(parts)))
}

/// The digest of what a person is asked to do by hand for the Offboarding `uid` in one connector.
pub fn task_plan<'t>(uid: &str, connector: &str, facts: impl IntoIterator<Item = &'t str>) -> String {
    let items = facts.into_iter().map(|fact| Item {
        row: connector.to_owned(),
        fact: fact.to_owned(),
        ..Item::default()
    });
    plan_of(uid, Gate::Task, &items.collect())
}
