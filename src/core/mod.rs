//! The rules. Pure: no clock, no network, no Kubernetes.
pub mod case;
pub mod digest;
pub mod fact;
pub mod fault;
pub mod gate;
pub mod identity;
pub mod ledger;
pub mod people;
pub mod plan;
pub mod planted;
pub mod schedule;
