//! The rules. Pure: no clock, no network, no Kubernetes.
//!
//! | question about one system of one leaver | module |
//! |---|---|
//! | whose account is it, and who takes over | [`binding`] |
//! | what is known about a fact, what may be sent, when to look again | [`plan`] |
//! | what must be durable before an act | [`intent`] |
//! | what does an answer, a fault or a look change | [`outcome`], [`callback`] |
//! | who undid what was proven | [`drift`] |
//! | since when is everything handed over | [`hand_over`] |
//! | what is given back | [`reinstate`] |
//! | which facts stay to be proven | [`scope`] |
//!
//! A rule that a test replaces by a faulty one is a [`check::Check`].
pub mod approvals;
pub mod binding;
pub mod callback;
pub mod case;
pub mod check;
pub mod codes;
pub mod commitment;
pub mod departures;
pub mod digest;
pub mod drift;
pub mod duplicate;
pub mod event;
pub mod fact;
pub mod fault;
#[cfg(test)]
pub(crate) mod garbled;
pub mod gate;
pub mod guard;
pub mod hand_over;
pub mod identity;
pub mod intent;
pub mod kept;
pub mod leavers;
pub mod ledger;
#[cfg(test)]
pub(crate) mod mutants;
pub mod outcome;
pub mod pace;
pub mod parts;
pub mod people;
pub mod plan;
pub mod reinstate;
pub mod schedule;
pub mod scope;
pub mod state;
pub mod task;
pub mod way_back;
