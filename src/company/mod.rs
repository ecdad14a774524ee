//! A small company inside the process: its directory, forge and mail on loopback, with a leaver, a successor and
//! colleagues. For the demo and for tests; it knows nothing of connectors.

pub mod directory;
pub mod forge;
mod http;
pub mod mail;
pub mod people;
pub mod tls;

pub use http::Attempt;
