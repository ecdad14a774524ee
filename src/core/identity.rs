//! Who the leaver is, and which account in a system is theirs.
//!
//! Accounts are bound once, by the system's durable id (R5). Names and addresses find an account; they never
//! address a change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::{Fault, Reason};

/// The code of the fault of a person about whom nothing is known by which a system could look for them.
pub const NO_WAY: &str = "no way to find";

/// What is known about a person outside any system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Work address, as HR or the requester wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Employee number.
    #[serde(default, rename = "employeeID", skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// Name for people to read; never used to find anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The login name in the one system that is being looked at, when the requester named it
    /// (`employee.accounts`). Such an account is found by this name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_name: Option<String>,
}

impl Person {
    /// Whether both have the same address or the same number.
    pub fn is(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| {
            a.as_ref()
                .zip(b.as_ref())
                .is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
        };
        same(&self.email, &other.email) || same(&self.employee_id, &other.employee_id)
    }
}

/// An account that a system showed for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The system's durable id (objectGUID, Entra id, oid). Every change carries it.
    pub id: String,
    /// The login name, for people to read and for systems whose statements take a name; read anew in every look.
    pub name: String,
    /// What the finding read showed. Not kept in the ledger: it is a sight, not a binding.
    #[serde(skip)]
    pub item: Value,
}

/// The binding of one system's account to the leaver, kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The durable id.
    pub id: String,
    /// The name when it was bound.
    pub name: String,
    /// When it was bound.
    pub bound_at: Timestamp,
}

/// What a complete answer of `find` means.
#[derive(Debug, Clone, PartialEq)]
pub enum Correlation {
    /// Nobody there: nothing to do in that system.
    NoAccount,
    /// Exactly one.
    One(Box<Account>),
}

/// Judges a complete answer of `find`. Several distinct ids are a decision for a person, never a choice of ours.
///
/// # Errors
/// `NeedsDecision/Ambiguous` when more than one durable id is in `found`.
pub fn correlate(mut found: Vec<Account>) -> Result<Correlation, Fault> {
    found.dedup_by(|a, b| a.id == b.id);
    let Some(first) = found.pop() else {
        return Ok(Correlation::NoAccount);
    };
    if found.iter().any(|other| other.id != first.id) {
        return Err(
            Fault::needs_decision(Reason::Ambiguous).with_code(format!("{} accounts", found.len() + 1))
        );
    }
    Ok(Correlation::One(Box::new(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> Account {
        Account {
            id: id.into(),
            name: format!("name of {id}"),
            item: Value::Null,
        }
    }

    #[test]
    fn nobody_found_needs_nothing() {
        assert_eq!(correlate(vec![]), Ok(Correlation::NoAccount));
    }

    #[test]
    fn the_same_account_found_twice_is_one_account() {
        let found = correlate(vec![account("1"), account("1")]);
        assert_eq!(found, Ok(Correlation::One(Box::new(account("1")))));
    }

    #[test]
    fn two_accounts_are_a_decision_for_a_person() {
        let fault = correlate(vec![account("1"), account("2"), account("1")]).expect_err("two ids");
        assert_eq!(fault.reason, Reason::Ambiguous);
    }
}
