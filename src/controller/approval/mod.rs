//! Approvals: which are about what, whether the cluster vouches for who made them, and what became of each.

pub mod approvals;
pub mod index;
pub mod trust;
