//! Connectors: what each resolves to, and whether it works.

pub mod jobs;
pub mod kinds;
pub mod registry;
