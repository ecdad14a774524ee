//! The command line: one file per command. Each takes parsed arguments and does one thing; no rule is kept here.

pub mod approvals;
pub mod crds;
pub mod definition;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exit;
pub mod held;
pub mod local;
pub mod manifests;
pub mod messages;
pub mod operator;
pub mod plan;
pub mod run;
pub mod safeguards;
pub mod state;
pub mod status;
pub mod terminal;
