//! The rules. Pure: no clock, no network, no Kubernetes.
pub mod approvals;
pub mod callback;
pub mod case;
pub mod check;
pub mod codes;
pub mod commitment;
pub mod departures;
pub mod digest;
pub mod duplicate;
pub mod fact;
pub mod fault;
#[cfg(test)]
pub(crate) mod garbled;
pub mod gate;
pub mod guard;
pub mod identity;
pub mod kept;
pub mod leavers;
pub mod ledger;
#[cfg(test)]
pub(crate) mod mutants;
pub mod pace;
pub mod parts;
pub mod people;
pub mod plan;
pub mod planted;
pub mod schedule;
pub mod scope;
pub mod task;
pub mod way_back;
