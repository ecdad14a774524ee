//! Which codes out of a system's answers are shown as they are.
//!
//! # Why
//! A code goes into statuses, events and logs, which people read who have no access to that system; and whoever may write a
//! Connector says which system is asked. What any server puts where a code belongs would be read out to them. So a code is
//! shown only if it says nothing that was not known before: it is one of a protocol, or one that the definition names. Of any other
//! there is a digest, by which people can compare it, and find it in the system's own log:
//! `printf %s CODE | sha256sum | cut -c1-8`.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Value;

use super::digest::sha256_of;

/// What a code begins with that is on no list.
const UNLISTED: &str = "unlisted code";
/// So much of the digest is shown.
const DIGITS: usize = 8;

/// A text of a definition that is longer than this, in bytes, is no code.
const LONGEST: usize = 192;

/// The errors of OAuth 2.0: RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750, RFC 7009, RFC 8628, RFC 8707, and of `OpenID` Connect.
pub const OAUTH: &[&str] = &[
    "access_denied",
    "account_selection_required",
    "authorization_pending",
    "consent_required",
    "expired_token",
    "insufficient_scope",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "invalid_target",
    "invalid_token",
    "login_required",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
    "unsupported_token_type",
];

/// The values of `scimType`: RFC 7644 section 3.12.
const SCIM: &[&str] = &[
    "invalidFilter",
    "invalidPath",
    "invalidSyntax",
    "invalidValue",
    "invalidVers",
    "mutability",
    "noTarget",
    "sensitive",
    "tooMany",
    "uniqueness",
];

/// The codes of faults of SOAP 1.1, SOAP 1.2 and WS-Security, without their prefix.
const SOAP: &[&str] = &[
    "Client",
    "DataEncodingUnknown",
    "FailedAuthentication",
    "FailedCheck",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "MustUnderstand",
    "Receiver",
    "SecurityTokenUnavailable",
    "Sender",
    "Server",
    "UnsupportedAlgorithm",
    "UnsupportedSecurityToken",
    "VersionMismatch",
];

/// The prefixes that names of SOAP and WS-Security usually have.
const PREFIXES: &[&str] = &[
    "SOAP-ENV",
    "S",
    "S11",
    "S12",
    "env",
    "s",
    "soap",
    "soap11",
    "soap11env",
    "soap12",
    "soap12env",
    "soapenv",
    "wsse",
];

/// What Active Directory adds to a refusal: why a login is refused, and errors of Windows.
pub const DIRECTORY: &[&str] = &[
    "data 525", "data 52e", "data 52f", "data 530", "data 531", "data 532", "data 533", "data 568",
    "data 701", "data 773", "data 775", "00000005", "00000056", "00000523", "00000524", "00000525",
    "0000052D", "00000561", "00000562", "00002035", "0000203D", "00002071", "00002072", "00002077",
    "00002085", "00002089", "0000208D", "00002098", "0000209A", "0000209F", "000020B5", "000020D6",
    "000020E7", "000021C7", "000021C8", "80090308", "8009030C",
];

/// The codes of one definition, beside those of the protocols.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes(BTreeSet<String>);

impl Codes {
    /// With these as well.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = String>) -> Self {
        self.0.extend(more);
        self
    }

    /// What a definition names: the texts in its expressions, and the fields of all that is sent.
    pub fn of(definition: &Value) -> Self {
        let mut codes = Self::default();
        codes.name(definition);
        codes
    }

    fn name(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.0.extend(quoted(text).map(str::to_owned)),
            Value::Array(values) => values.iter().for_each(|value| self.name(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.0.insert(name.clone());
                    self.name(value);
                }
            }
            _ => {}
        }
    }

    /// All but those of the protocols.
    pub fn own(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }

    /// Whether it is one of them, word for word.
    pub fn contains(&self, code: &str) -> bool {
        self.0.contains(code)
    }

    /// The code as it is shown.
    pub fn shown<'c>(&self, code: &'c str) -> Cow<'c, str> {
        let lists = |list: &[&str]| list.contains(&code);
        let soap = of_soap(code).is_some_and(|name| SOAP.contains(&name) || self.0.contains(name));
        if self.0.contains(code) || lists(OAUTH) || lists(SCIM) || soap || is_status(code) {
            Cow::Borrowed(code)
        } else {
            Cow::Owned(unlisted(code))
        }
    }
}

/// `code` if it is in `list`, else what is shown instead.
pub fn listed<'c>(code: &'c str, list: &[&str]) -> Cow<'c, str> {
    if list.contains(&code) {
        Cow::Borrowed(code)
    } else {
        Cow::Owned(unlisted(code))
    }
}

/// What is shown of a code that nobody has listed; nothing of nothing.
pub fn unlisted(code: &str) -> String {
    if code.is_empty() {
        return String::new();
    }
    let mut digest = sha256_of(code);
    digest.truncate(DIGITS);
    format!("{UNLISTED} {digest}")
}

/// The name of a fault without its prefix: `Server` of `soap:Server`, `Client.locked` of `SOAP-ENV:Client.locked`. What stands
/// behind the dot is the sender's own: a definition lists such a name as a whole.
fn of_soap(code: &str) -> Option<&str> {
    match code.split_once(':') {
        Some((prefix, name)) => PREFIXES.contains(&prefix).then_some(name),
        None => Some(code),
    }
}

/// A status of HTTP, as some systems repeat it in the body.
fn is_status(code: &str) -> bool {
    code.len() == 3 && matches!(code.parse(), Ok(100_u16..=599))
}

/// The texts in quotes that an expression, a template or a statement has in it.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    // Which quotes belong together depends on the language; a piece more is only another text of the definition's own.
    ['\'', '"'].into_iter().flat_map(|quote| {
        let pieces = text.split(quote).skip(1);
        let last = text.matches(quote).count().saturating_sub(1);
        pieces
            .take(last)
            .filter(|piece| (1..=LONGEST).contains(&piece.len()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_listed_is_shown_by_a_digest_that_anybody_can_make() {
        let codes = Codes::default();
        // printf %s hunter2 | sha256sum
        assert_eq!(codes.shown("hunter2"), "unlisted code f52fbd32");
        assert_eq!(codes.shown(""), "");
        assert_eq!(listed("data 533", DIRECTORY), "data 533");
        assert_eq!(listed("data 5", DIRECTORY), unlisted("data 5"));
        assert_eq!(
            codes.clone().with(["hunter2".to_owned()]).shown("hunter2"),
            "hunter2"
        );
    }

    #[test]
    fn protocols_have_their_codes() {
        let codes = Codes::default();
        for known in [
            "invalid_grant",
            "mutability",
            "404",
            "soap:Server",
            "SOAP-ENV:Client",
            "Sender",
        ] {
            assert_eq!(codes.shown(known), known);
        }
        for unknown in [
            "12345",
            "999",
            "hunter2:Server",
            "soap:hunter2",
            "soap:Server.hunter2",
            "Invalid_Grant",
            "invalid_grant hunter2",
        ] {
            assert_eq!(codes.shown(unknown), unlisted(unknown));
        }
    }

    #[test]
    fn a_definition_lists_what_it_names() {
        let codes = Codes::of(&json!({
            "faults": [{
                "when": "response.body.code == 'LOCKED' || response.body.code in [\"BUSY\", 'GONE.x-1']",
                "code": "response.body.code",
            }],
            "facts": {"Blocked": {"act": [{"json": {"isActive": "${item == 'a' ? 'b' : 'c'}"}}]}},
        }));
        for known in ["LOCKED", "BUSY", "GONE.x-1", "isActive"] {
            assert_eq!(codes.shown(known), known);
        }
        for unknown in ["OTHER", "response", "LOCKED BUSY", "response.body.code"] {
            assert_eq!(codes.shown(unknown), unlisted(unknown));
        }
    }
}
