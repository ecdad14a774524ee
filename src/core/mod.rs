//! The rules. Pure: no clock, no network, no Kubernetes.
pub mod fact;
pub mod fault;
pub mod identity;
pub mod ledger;
