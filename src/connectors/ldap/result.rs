//! What a result code means, and how an operation can fail.

use std::sync::LazyLock;

use ldap3::{LdapError, LdapResult};
use regex::Regex;

use crate::core::{
    codes::{DIRECTORY, listed, unlisted},
    fault::{Fault, Reason},
};

/// Why an operation did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server answered with another code than success.
    Refused(Refusal),
    /// There is no complete answer, or the request cannot be sent.
    Fault(Fault),
    /// The connection failed.
    Lost(LdapError),
}

impl From<LdapError> for Trouble {
    fn from(error: LdapError) -> Self {
        Self::Lost(error)
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An answer other than success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The result code (RFC 4511, appendix A).
    pub code: u32,
    /// Active Directory's own code: `0000052D` (a Windows error in hexadecimal), or `data 533` for a refused bind.
    pub detail: Option<String>,
    /// The name in the tree that the operation was about, where the code does not say enough without it.
    pub name: Option<String>,
}

impl Refusal {
    /// Fails unless the result is a success.
    pub(super) fn check(result: &LdapResult) -> Result<(), Self> {
        if result.rc == 0 {
            return Ok(());
        }
        Err(Self {
            code: result.rc,
            detail: detail(&result.text),
            name: None,
        })
    }

    /// The same about an entry that would be called `rdn`.
    pub(super) fn about(mut self, rdn: &str) -> Self {
        self.name = rdn.split_once('=').map(|(_, value)| value.to_owned());
        self
    }

    /// Whether the connection is no longer what it was: the bind is gone, or the server is going down.
    pub(super) fn spoils_connection(&self) -> bool {
        matches!(self.code, 1 | 52)
    }

    /// The fault of an operation that was refused so.
    pub(super) fn fault(&self) -> Fault {
        let fault = match self.code {
            32 => Fault::permanent(Reason::NotFoundUncorroborated),
            49 => Fault::permanent(Reason::CredentialRejected),
            50 => Fault::permanent(Reason::PermissionDenied),
            // Somebody changed the value between our read and our write.
            16 | 20 => Fault::transient(Reason::Conflict),
            68 => Fault::permanent(Reason::Conflict),
            // operationsError and other: Active Directory uses them for passing trouble of its own.
            1 | 51 | 52 | 80 => Fault::transient(Reason::SystemUnavailable),
            3 | 4 | 11 => Fault::transient(Reason::Incomplete),
            21 | 34 => Fault::permanent(Reason::Malformed),
            // 8, 13, 19, 53 and all others.
            _ => Fault::permanent(Reason::Refused),
        };
        match &self.name {
            // A name that is taken says nothing without the name.
            Some(name) if self.code == 68 => fault.with_code(format_args!("ldap 68 {name}")),
            _ => fault.with_code(self.number()),
        }
    }

    /// `ldap 50`. A number that no document gives a meaning is no code of LDAP.
    fn number(&self) -> String {
        let number = self.code.to_string();
        // RFC 4511 and its registry, RFC 4533, and the draft about operations that change nothing.
        let known = matches!(self.code, 0..=123 | 4096 | 16_654);
        format!("ldap {}", if known { number } else { unlisted(&number) })
    }

    /// The fault of a login that was refused so. The detail tells a wrong password (`data 52e`) from an account that
    /// is disabled (`data 533`), expired (`data 701`) or locked (`data 775`).
    pub(super) fn login_fault(&self) -> Fault {
        let fault = match self.code {
            // Some servers answer noSuchObject for a DN that nobody has.
            32 | 48 | 49 => Fault::permanent(Reason::CredentialRejected),
            _ => self.fault(),
        };
        match &self.detail {
            Some(detail) => fault.with_code(format_args!("{} {}", self.number(), listed(detail, DIRECTORY))),
            None => fault.with_code(self.number()),
        }
    }
}

/// Finds Active Directory's code in the server's text; nothing else of the text is kept (R19).
fn detail(text: &str) -> Option<String> {
    static DATA: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bdata ([0-9a-f]{1,8})\b").expect("a constant pattern that compiles"));
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^([0-9A-F]{8})\b").expect("a constant pattern that compiles"));
    let data = DATA.captures(text).map(|found| found[0].to_owned());
    // Every refusal of a bind has `data`; in other texts it is a number without a meaning (`data 0`).
    let data = data.filter(|_| text.contains("AcceptSecurityContext"));
    data.or_else(|| NUMBER.captures(text).map(|found| found[1].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fault::FaultKind;

    fn refusal(code: u32, text: &str) -> Refusal {
        Refusal {
            code,
            detail: detail(text),
            name: None,
        }
    }

    #[test]
    fn only_the_systems_own_number_is_kept_of_its_text() {
        let disabled = refusal(
            49,
            "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 533, v4563",
        );
        assert_eq!(disabled.detail.as_deref(), Some("data 533"));
        assert_eq!(disabled.login_fault().code, "ldap 49 data 533");
        let weak = refusal(
            19,
            "0000052D: Constraint violation - check_password_restrictions: the password is too short",
        );
        assert_eq!(weak.detail.as_deref(), Some("0000052D"));
        assert_eq!(weak.fault().code, "ldap 19");
        let missing = refusal(
            32,
            "0000208D: NameErr: DSID-03100238, problem 2001 (NO_OBJECT), data 0, best match of: 'DC=x'",
        );
        assert_eq!(missing.detail.as_deref(), Some("0000208D"));
        assert_eq!(
            refusal(50, "no write access to userPassword of uid=alice").detail,
            None
        );
    }

    #[test]
    fn a_number_that_nobody_knows_is_none_of_the_systems() {
        let planted = refusal(49, "DEADBEEF: AcceptSecurityContext error, data cafe1234, v1");
        assert_eq!(
            planted.login_fault().code,
            format!("ldap 49 {}", unlisted("data cafe1234"))
        );
        let planted = refusal(53, "DEADBEEF");
        assert_eq!(
            planted.login_fault().code,
            format!("ldap 53 {}", unlisted("DEADBEEF"))
        );
        let planted = refusal(3_735_928_559, "");
        assert_eq!(planted.fault().code, format!("ldap {}", unlisted("3735928559")));
    }

    #[test]
    fn a_lost_race_passes_by_itself_and_a_missing_right_does_not() {
        assert_eq!(
            refusal(16, "").fault(),
            Fault::transient(Reason::Conflict).with_code("ldap 16")
        );
        assert_eq!(refusal(50, "").fault().kind, FaultKind::Permanent);
        assert_eq!(refusal(52, "").fault().reason, Reason::SystemUnavailable);
        assert_eq!(refusal(4, "").fault().reason, Reason::Incomplete);
    }
}
