//! The rules. Pure: no clock, no network, no Kubernetes.
pub mod callback;
pub mod case;
pub mod digest;
pub mod duplicate;
pub mod fact;
pub mod fault;
pub mod gate;
pub mod guard;
pub mod identity;
pub mod leavers;
pub mod ledger;
pub mod people;
pub mod plan;
pub mod planted;
pub mod schedule;
pub mod scope;
pub mod way_back;
