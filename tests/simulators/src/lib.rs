//! Stand-ins for systems that cannot run here: stateful servers on loopback that enforce the vendor's documented
//! rules, for the demo and for tests. They are written from the vendors' descriptions, never from a definition of
//! ours, and they are no substitute for a trial against the real system.

#![allow(
    clippy::disallowed_types,
    reason = "a simulator has no need of another library"
)]
#![cfg_attr(test, allow(clippy::pedantic, reason = "tests are written to be read"))]

pub mod bamboohr;
pub mod google;
pub mod microsoft365;
pub mod raas;
pub mod salesforce;
pub mod scim;
pub mod server;
