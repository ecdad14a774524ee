//! offboard makes a leaver's last day certain.

pub mod api;
pub mod connectors;
pub mod core;
pub mod simulators;
