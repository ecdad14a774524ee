//! One Offboarding: a reconcile gathers what it refers to, validates, drives the systems, and reports.

pub mod callbacks;
pub mod gather;
mod measure;
pub mod reconcile;
pub mod requeue;
pub mod state;
pub mod status;
pub mod store;
pub mod worker;
