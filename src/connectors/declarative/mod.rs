//! Connectors made of data: a `ConnectorDefinition`, a connector's inputs and a driver become a connector.
//!
//! The way of a definition: [`parse`] reads the manifest, [`Definition::compile`] checks and compiles it once,
//! [`Definition::resolve_driver`] says how to make the driver, [`Definition::build`] puts everything together. What is
//! wrong is said all at once, each with the path of the field ([`Problems`]). Protocols are the drivers' business, and
//! what to do about a fact is the business of [`crate::core`].

mod build;
mod builtin;
mod census;
mod compile;
mod connector;
mod documents;
mod driver_section;
mod escape;
mod exchange;
mod expression;
mod fact;
mod fields;
mod files;
mod finding;
mod functions;
mod graph;
mod history;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod hostile;
mod inputs;
mod json_value;
mod kinds;
mod learned;
mod lists;
mod load;
mod metered;
mod moving;
mod paths;
mod people;
mod presets;
mod problems;
mod recognise;
mod references;
mod request;
mod request_rules;
mod searches;
mod setting;
mod sight;
mod spares;
mod tasks;
mod template;
mod trial;
mod trust;
mod turns;
mod unquoted;
mod values;
mod way_back;
mod worker;
pub(crate) mod xml;

pub use build::Options;
pub use builtin::{builtin, builtins};
pub use connector::Declarative;
pub use documents::{Checked, check_file};
pub use driver_section::ResolvedDriver;
pub use expression::{Expression, Scope, Unevaluable};
pub(super) use fact::lasts;
pub use functions::counted;
pub use graph::nearest;
pub use load::{Definition, not_yaml, parse};
pub use problems::{Problem, Problems};
pub use trial::{Candidate, Evaluated, Trial, TriedAccount, TriedFact, Trier, Way};

#[cfg(test)]
mod tests;
