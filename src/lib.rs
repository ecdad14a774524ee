//! offboard makes a leaver's last day certain.

pub mod api;
pub mod cli;
pub mod company;
pub mod connectors;
pub mod core;
pub mod simulators;
pub mod transport;
