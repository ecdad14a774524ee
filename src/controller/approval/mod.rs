//! Approvals: which are about what, whether the cluster vouches for who made them, and what became of each.

pub mod index;
pub mod reconcile;
pub mod trust;
