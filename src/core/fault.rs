//! Why a call to a system failed, sorted by what to do next.
//!
//! A fault says nothing about the state of the system: after one, the state is unknown until it is read.
//! It never carries a remote body, an address or a secret (R19): a status number and a vendor's error *code* only.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest code that is kept, in bytes. Longer ones are cut: codes are identifiers, not texts. One with the names of a schema
/// and a database, of up to 63 bytes each, is kept whole.
const LONGEST_CODE: usize = 192;

/// What to do next about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// Try again later, with capped and jittered backoff, for ever.
    Transient,
    /// The system says when to come back; nothing is sent before.
    Throttled {
        /// The first instant at which the system wants to hear from us again.
        until: Timestamp,
    },
    /// The same request will not succeed until something else changes.
    Permanent,
    /// A person must decide or repair something first.
    NeedsDecision,
    /// The request may have taken effect: look before anything else.
    UnknownOutcome,
}

/// What went wrong, as the `reason` of a condition (`PascalCase`, no spaces).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum Reason {
    /// No connection: name or network.
    Unreachable,
    /// The system's certificate is not one that we trust: nothing was said to it.
    Untrusted,
    /// No complete answer within the deadline.
    Timeout,
    /// The system answered that it cannot serve now (5xx, LDAP busy or unavailable).
    SystemUnavailable,
    /// The system asked us to slow down.
    RateLimited,
    /// Our own login was refused (401, LDAP 49): nothing is known about the person.
    CredentialRejected,
    /// We may not read or change this (403, LDAP 50, SQL insufficient privilege).
    PermissionDenied,
    /// The bound account is not there any more and nothing explains why.
    NotFoundUncorroborated,
    /// The system answered with another object than the bound one (R4). All writes to it stop.
    IdentityMismatch,
    /// Several accounts match the person (R5).
    Ambiguous,
    /// The account must not be offboarded: break-glass, the connector's own, the successor (R6).
    Protected,
    /// The system did more than it was asked for: others lost what only the leaver was to lose.
    OthersAffected,
    /// The system refused the request for a reason of its own (a business rule).
    Refused,
    /// Something changed between our read and our write.
    Conflict,
    /// The answer could not be understood, or broke the definition's own rules.
    Malformed,
    /// An expression would have cost more than one may, with what the system answered.
    ExpressionTooCostly,
    /// The answer was cut, or larger than the limit.
    Incomplete,
    /// The connector, its secret or its definition is not usable.
    ConnectorNotReady,
    /// The Secret does not name the host, or nothing may connect to the address: nothing was sent (R25).
    DestinationRefused,
    /// A hand-over is wanted and no active successor is known in that system.
    NoSuccessor,
    /// The change was accepted and later reported as failed by the system.
    OperationFailed,
    /// The evidence store could not be written, so nothing that needs it was done.
    StoreUnavailable,
    /// What was asked for and what came have nothing to do with each other: a filter was not obeyed (R23).
    FilterIgnored,
    /// What came does not show what is to be judged by it, such as groups without their members (R23).
    NotShown,
    /// The record knows an account in a system whose Connector is gone, or is not selected any more (R21).
    ConnectorGone,
    /// The record knows a fact that the definition does not have any more, or that the Connector skips now (R21).
    FactGone,
    /// The Connector leads to another system than the one in which the account was bound (R22).
    SystemChanged,
}

/// The code of a bug that was met, in this program or a library: its log says where.
pub const PANICKED: &str = "internal error";

impl Reason {
    /// The name as written in a condition's `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "Unreachable",
            Self::Untrusted => "Untrusted",
            Self::Timeout => "Timeout",
            Self::SystemUnavailable => "SystemUnavailable",
            Self::RateLimited => "RateLimited",
            Self::CredentialRejected => "CredentialRejected",
            Self::PermissionDenied => "PermissionDenied",
            Self::NotFoundUncorroborated => "NotFoundUncorroborated",
            Self::IdentityMismatch => "IdentityMismatch",
            Self::Ambiguous => "Ambiguous",
            Self::Protected => "Protected",
            Self::OthersAffected => "OthersAffected",
            Self::Refused => "Refused",
            Self::Conflict => "Conflict",
            Self::Malformed => "Malformed",
            Self::ExpressionTooCostly => "ExpressionTooCostly",
            Self::Incomplete => "Incomplete",
            Self::ConnectorNotReady => "ConnectorNotReady",
            Self::DestinationRefused => "DestinationRefused",
            Self::NoSuccessor => "NoSuccessor",
            Self::OperationFailed => "OperationFailed",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::FilterIgnored => "FilterIgnored",
            Self::NotShown => "NotShown",
            Self::ConnectorGone => "ConnectorGone",
            Self::FactGone => "FactGone",
            Self::SystemChanged => "SystemChanged",
        }
    }
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What to do next.
    pub kind: FaultKind,
    /// What went wrong.
    pub reason: Reason,
    /// The system's own short code (`401`, `INVALID_SESSION_ID`, `ldap 50`, `42501`), never a text or a body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
}

impl Fault {
    /// A fault of `kind` for `reason`, without a code.
    pub fn new(kind: FaultKind, reason: Reason) -> Self {
        Self {
            kind,
            reason,
            code: String::new(),
        }
    }

    /// Worth trying again with backoff.
    pub fn transient(reason: Reason) -> Self {
        Self::new(FaultKind::Transient, reason)
    }

    /// Not worth trying again until something else changes.
    pub fn permanent(reason: Reason) -> Self {
        Self::new(FaultKind::Permanent, reason)
    }

    /// Waits for a person.
    pub fn needs_decision(reason: Reason) -> Self {
        Self::new(FaultKind::NeedsDecision, reason)
    }

    /// The request may have taken effect.
    pub fn unknown_outcome(reason: Reason) -> Self {
        Self::new(FaultKind::UnknownOutcome, reason)
    }

    /// The system wants to be left alone until `until`.
    pub fn throttled(until: Timestamp) -> Self {
        Self::new(FaultKind::Throttled { until }, Reason::RateLimited)
    }

    /// The same fault with the system's own code: only `[A-Za-z0-9 _.:-]` is kept, cut at [`LONGEST_CODE`].
    #[must_use]
    pub fn with_code(mut self, code: impl fmt::Display) -> Self {
        self.code = code
            .to_string()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '.' | ':' | '-'))
            .take(LONGEST_CODE)
            .collect();
        self
    }

    /// Until when the system wants to be left alone, if that is why it failed.
    pub fn silent_until(&self) -> Option<Timestamp> {
        match self.kind {
            FaultKind::Throttled { until } => Some(until),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without a person doing anything.
    pub fn passes_by_itself(&self) -> bool {
        matches!(
            self.kind,
            FaultKind::Transient | FaultKind::Throttled { .. } | FaultKind::UnknownOutcome
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.as_str())?;
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        if let FaultKind::Throttled { until } = self.kind {
            write!(f, " until {until}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_keeps_no_text_that_could_be_a_body() {
        let fault = Fault::permanent(Reason::Refused).with_code("<html>secret=\"x\"</html>\n".repeat(99));
        assert!(fault.code.len() <= LONGEST_CODE);
        assert!(!fault.code.contains(['<', '"', '\n', '=']));
    }
}
