//! What the exit code of a command means; one table for all commands.

/// There are changes (only with `--detailed-exitcode`).
pub const CHANGES: u8 = 2;
/// Something waits for a person.
pub const WAITS_FOR_A_PERSON: u8 = 3;
/// There is access where none should be: past the deadline, or after a drift.
pub const ACCESS_LEFT: u8 = 4;
/// The command line is wrong.
pub const USAGE: u8 = 64;

/// A command that failed (exit code 1), with one text for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<super::manifests::Problem> for Error {
    fn from(problem: super::manifests::Problem) -> Self {
        Self(problem.to_string())
    }
}

impl From<crate::drive::folder::Error> for Error {
    fn from(error: crate::drive::folder::Error) -> Self {
        Self(error.to_string())
    }
}
