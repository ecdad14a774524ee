//! From the people in an HR system to Offboardings.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | reads what a `LeaverSource` wants, or names the field that is wrong |
//! | [`mapping`] | the user's own expressions over each record |
//! | `details` | what an Offboarding says beside who leaves and when |
//! | [`offboarding`] | a leaver as an Offboarding, and which Offboardings are whose |
//! | [`look`] | one look: census, decisions, comparison and guard in one piece |
//! | [`status`] | what is remembered from look to look |
//! | [`wake`] | whether a message that something changed is to be believed |
//!
//! The rules are in [`crate::core::leavers`] and [`crate::core::guard`]; who reads and writes objects is the controller.
//!
//! # Why
//! Every look asks for everybody. With only the records that changed, the second record that makes a contractor's end no
//! leaving would be missing whenever it did not change on the same day.

mod details;
pub mod held;
pub mod look;
pub mod mapping;
pub mod offboarding;
pub mod settings;
pub mod status;
pub mod wake;

use std::fmt;

/// A field of a `LeaverSource` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The field, such as `spec.map.lastDay`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}
