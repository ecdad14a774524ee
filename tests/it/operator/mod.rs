//! The operator as it is installed: the real binary with the chart's rights on a real API server.
//!
//! Applications are simulators in this process; the directory is a real slapd. Whether somebody still gets in is asked by
//! logging in, not by asking the operator or its connector.

mod bad_input;
mod broken;
mod callbacks;
mod duplicates;
mod failover;
mod gitops;
mod interrupted;
mod keys_and_tokens;
mod late;
mod main_job;
mod notices;
mod plenty;
mod secrets;
pub mod site;
mod steady;
