//! Who the leaver is, and which account in a system is theirs.
//!
//! Accounts are bound once, by the system's durable id (R5). Names and addresses find an account; they never
//! address a change.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::{
    check::Check,
    digest::digest_of,
    fault::{Fault, Reason},
};

/// The code of the fault of a person about whom nothing is known by which a system could look for them.
pub const NO_WAY: &str = "no way to find";

/// The code of the fault of a person whose login name nobody gave, in a system that finds people by nothing else.
pub const BY_NAME_ONLY: &str = "found by login name only";

/// What the code of the fault ends with of an account that one key fits and another one contradicts.
pub const DISAGREES: &str = "disagrees";

/// The code of the fault of an account that shows another value of `key`.
pub fn disagrees(key: &str) -> String {
    format!("{key} {DISAGREES}")
}

/// The code of the fault of an account that only something leads to which others may have: an alias, a part of an address.
pub const DOUBTFUL: &str = "maybe somebody else's";

/// The code of the fault of an account that is there now, and was not when access had ended.
pub const CAME_LATER: &str = "came later";

/// The code of the fault of a person who had an account when we looked before, and whom no key finds any more.
pub const FOUND_BEFORE: &str = "found before";

/// An address as systems may hold it that compare letter by letter: as it was given, and in small letters; composed (NFC) where
/// it is not.
fn spellings(address: &str) -> impl Iterator<Item = String> {
    let composed: String = address.nfc().collect();
    let small = composed.to_lowercase();
    [address.to_owned(), composed, small].into_iter()
}

/// `text` as names and addresses are compared: composed, in small letters, without space around it.
pub fn folded(text: &str) -> String {
    text.trim().nfc().collect::<String>().to_lowercase()
}

/// Whether nobody sees the character: control characters, joiners, marks of direction. A name or address that has one is
/// another one than people read.
pub fn is_invisible(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    c.is_control() || unseen
}

/// The longest id, name, address or number of anybody, in bytes. They are written down with all that happens to an account.
pub const LONGEST: usize = 1024;

/// The code of a fault: a person named an account, and none of this name was ever there.
pub const NEVER_FOUND: &str = "never found";

/// Whether a fault of `find` says that there is an account of theirs, or may be: several, one that contradicts, a protected one.
pub fn shows_somebody(fault: &Fault) -> bool {
    match fault.reason {
        Reason::Ambiguous => ![NO_WAY, BY_NAME_ONLY].contains(&&*fault.code),
        Reason::Protected => true,
        _ => false,
    }
}

/// What the code of the fault begins with of an account that is the last to hold what its system cannot be without.
pub const LAST: &str = "last ";

/// What is known about a person outside any system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Work address, as HR or the requester wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Other addresses that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_emails: Vec<String>,
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

/// That each of `texts`, which have names, is short enough to be written down.
fn short<'t>(texts: impl IntoIterator<Item = (&'static str, &'t String)>) -> Result<(), Fault> {
    match texts.into_iter().find(|(_, text)| text.len() > LONGEST) {
        Some((name, _)) => {
            Err(Fault::permanent(Reason::Malformed).with_code(format!("{name}: longer than {LONGEST} bytes")))
        }
        None => Ok(()),
    }
}

impl Person {
    /// Whether what a system says of them is short enough to be written down.
    ///
    /// # Errors
    /// `Permanent/Malformed` when it is not.
    pub fn check(&self) -> Result<(), Fault> {
        let named = [
            ("email", &self.email),
            ("employeeID", &self.employee_id),
            ("displayName", &self.display_name),
            ("accountName", &self.account_name),
        ];
        let known = named
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.as_ref()?)));
        short(known.chain(self.other_emails.iter().map(|email| ("email", email))))
    }

    /// Whether both have an address or the number in common.
    pub fn is(&self, other: &Self) -> bool {
        let address = |email: &String| other.emails().any(|known| folded(known) == folded(email));
        let number = self.employee_id.as_ref().zip(other.employee_id.as_ref());
        self.emails().any(address) || number.is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
    }

    /// All addresses that are known, the current one first.
    pub fn emails(&self) -> impl Iterator<Item = &String> {
        self.email.iter().chain(&self.other_emails)
    }

    /// The person as a system may know them: once for each address, in every spelling. An account that was named is found by its
    /// name alone.
    pub fn by_address(&self) -> Vec<Self> {
        let known_by = |email: Option<String>| Self {
            email,
            other_emails: vec![],
            ..self.clone()
        };
        if self.account_name.is_some() || self.emails().next().is_none() {
            return vec![known_by(self.email.clone())];
        }
        let mut all: Vec<String> = vec![];
        for spelling in self.emails().flat_map(|email| spellings(email)) {
            if !all.contains(&spelling) {
                all.push(spelling);
            }
        }
        all.into_iter().map(|email| known_by(Some(email))).collect()
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
    pub item: Arc<Value>,
    /// Why it may be somebody else's, as the code of a fault: `employeeID disagrees`, [`DOUBTFUL`].
    #[serde(skip)]
    pub doubt: Option<String>,
    /// Digests of what it shows of each key, see [`key_digest`].
    #[serde(skip)]
    pub keys: Vec<String>,
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
    /// Of which system: an id is durable only within one (R22). None in records from before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Digests of the keys that it showed when it was bound: who is renamed later still has one of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

/// The digest of the value that an account shows of a key, which counts alike in large and small letters. No personal data.
pub fn key_digest(key: &str, value: &str) -> String {
    digest_of([key, &folded(value)]).chars().take(16).collect()
}

/// Whether two fingerprints are of one system.
const SAME_SYSTEM: Check<fn(&str, &str) -> bool> = Check::new("same system", |bound, now| bound == now);

impl Binding {
    /// Binds `account` of the system with this `fingerprint`.
    pub fn new(account: &Account, fingerprint: &str, now: Timestamp) -> Self {
        Self {
            id: account.id.clone(),
            name: account.name.clone(),
            bound_at: now,
            fingerprint: Some(fingerprint.to_owned()),
            keys: account.keys.clone(),
        }
    }

    /// Whether it showed an address or the number of `who` when it was bound.
    pub fn shows(&self, who: &Person) -> bool {
        let emails = who.emails().map(|email| key_digest("email", email));
        let number = who
            .employee_id
            .iter()
            .map(|number| key_digest("employeeID", number));
        emails.chain(number).any(|key| self.keys.contains(&key))
    }

    /// Whether it may be an account of the system with this `fingerprint`.
    ///
    /// # Errors
    /// `NeedsDecision/SystemChanged` when it is another system's.
    pub fn check(&self, fingerprint: &str) -> Result<(), Fault> {
        match &self.fingerprint {
            Some(bound) if !SAME_SYSTEM.rule()(bound, fingerprint) => {
                Err(Fault::needs_decision(Reason::SystemChanged))
            }
            _ => Ok(()),
        }
    }

    /// The account, of which nothing was read yet.
    pub fn account(&self) -> Account {
        Account {
            id: self.id.clone(),
            name: self.name.clone(),
            item: Value::Null.into(),
            doubt: None,
            keys: self.keys.clone(),
        }
    }
}

/// What a complete answer of `find` means.
#[derive(Debug, Clone, PartialEq)]
pub enum Correlation {
    /// Nobody there: nothing to do in that system.
    NoAccount,
    /// Whatever is there was named, and has a row of its own.
    InOwnRows,
    /// Exactly one.
    One(Box<Account>),
}

/// Judges a complete answer of `find`. Several distinct ids, or an account that only some of the keys fit, are a decision for
/// a person, never a choice of ours: an address is given to somebody new, a number is typed wrong. That person has decided
/// about the accounts in `named`, the login names in the same system that the requester gave.
///
/// # Errors
/// `NeedsDecision/Ambiguous` when more than one durable id is in `found`, or a key contradicts.
pub fn correlate(mut found: Vec<Account>, named: &[String]) -> Result<Correlation, Fault> {
    if found.is_empty() {
        return Ok(Correlation::NoAccount);
    }
    let several = found.iter().any(|other| other.id != found[0].id);
    if several && found.iter().all(|account| account.is_one_of(named)) {
        return Ok(Correlation::InOwnRows);
    }
    found.retain(|account| account.doubt.is_none() || !account.is_one_of(named));
    found.dedup_by(|a, b| a.id == b.id);
    let Some(first) = found.pop() else {
        return Ok(Correlation::InOwnRows);
    };
    let undecided = Fault::needs_decision(Reason::Ambiguous);
    if found.iter().any(|other| other.id != first.id) {
        return Err(undecided.with_code(format!("{} accounts", found.len() + 1)));
    }
    match &first.doubt {
        Some(doubt) => Err(undecided.with_code(doubt)),
        None => Ok(Correlation::One(Box::new(first))),
    }
}

/// The fact that nobody finds another active account of the person beside the bound one: only there to be shown and asked about
/// while there is one, and waived like any other.
pub const NO_OTHER_ACCOUNT: &str = "NoOtherAccount";

/// The code of the fault of an account beside the bound one.
pub const ANOTHER_ACCOUNT: &str = "another account";

/// The accounts in `found` that are neither the one with the id `bound` nor among `named`.
pub fn others<'f>(found: &'f [Account], bound: &str, named: &[String]) -> Vec<&'f Account> {
    let others = found
        .iter()
        .filter(|account| account.id != bound && !account.is_one_of(named));
    others.collect()
}

/// The login names of the accounts in `found` about which `named` does not decide yet, in order; none where there is at most one.
pub fn candidates(found: &[Account], named: &[String]) -> Vec<String> {
    let mut names: Vec<String> = found
        .iter()
        .filter(|account| !account.is_one_of(named))
        .map(|account| account.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

impl Account {
    /// Whether what it is called by is short enough to be written down.
    ///
    /// # Errors
    /// `Permanent/Malformed` when it is not.
    pub fn check(&self) -> Result<(), Fault> {
        short([("id", &self.id), ("name", &self.name)])
    }

    /// Whether it is one of `named`, login names.
    pub fn is_one_of(&self, named: &[String]) -> bool {
        let own = folded(&self.name);
        named.iter().any(|name| folded(name) == own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_to_be_written_down_is_no_id_and_no_address() {
        let (longest, longer) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        let account = |id: &str, name: &str| Account {
            id: id.into(),
            name: name.into(),
            item: Value::Null.into(),
            doubt: None,
            keys: vec![],
        };
        assert_eq!(account(&longest, &longest).check(), Ok(()));
        let code = |result: Result<(), Fault>| result.unwrap_err().code;
        assert_eq!(
            code(account(&longer, "jane").check()),
            "id: longer than 1024 bytes"
        );
        assert_eq!(
            code(account("7", &longer).check()),
            "name: longer than 1024 bytes"
        );
        let person = |email: &str, others: &[String]| Person {
            email: Some(email.into()),
            other_emails: others.to_vec(),
            ..Person::default()
        };
        assert_eq!(person(&longest, &[]).check(), Ok(()));
        assert_eq!(
            code(person(&longer, &[]).check()),
            "email: longer than 1024 bytes"
        );
        assert_eq!(
            code(person("jane@x", &[longer]).check()),
            "email: longer than 1024 bytes"
        );
    }

    #[test]
    fn a_person_is_whoever_has_one_of_their_addresses_and_is_asked_for_by_each_once() {
        let person = |email: &str, others: &[&str]| Person {
            email: Some(email.into()),
            other_emails: others.iter().map(|e| (*e).to_owned()).collect(),
            employee_id: Some("7".into()),
            ..Person::default()
        };
        let jane = person("jane@x", &["Jane@x", "j.roe@x"]);
        let by: Vec<_> = jane
            .by_address()
            .into_iter()
            .map(|p| (p.email, p.employee_id))
            .collect();
        let known = |email: &str| (Some(email.to_owned()), Some("7".to_owned()));
        assert_eq!(by, [known("jane@x"), known("Jane@x"), known("j.roe@x")]);
        let spelt = person("Zoe\u{301}@x", &[]).by_address();
        let spelt: Vec<_> = spelt.into_iter().filter_map(|p| p.email).collect();
        assert_eq!(spelt, ["Zoe\u{301}@x", "Zo\u{e9}@x", "zo\u{e9}@x"]);
        let named = Person {
            account_name: Some("adm".into()),
            ..jane.clone()
        };
        assert_eq!(named.by_address().len(), 1);
        assert_eq!(Person::default().by_address().len(), 1);
        let other = |email: &str| Person {
            employee_id: None,
            ..person(email, &[])
        };
        assert!(jane.is(&other("J.Roe@x")) && !jane.is(&other("roe@x")));
    }

    fn account(id: &str) -> Account {
        Account {
            id: id.into(),
            name: format!("name of {id}"),
            item: Value::Null.into(),
            doubt: None,
            keys: vec![],
        }
    }

    #[test]
    fn nobody_found_needs_nothing() {
        assert_eq!(correlate(vec![], &[]), Ok(Correlation::NoAccount));
    }

    #[test]
    fn the_same_account_found_twice_is_one_account() {
        let found = correlate(vec![account("1"), account("1")], &[]);
        assert_eq!(found, Ok(Correlation::One(Box::new(account("1")))));
    }

    #[test]
    fn two_accounts_are_a_decision_for_a_person() {
        let fault = correlate(vec![account("1"), account("2"), account("1")], &[]).expect_err("two ids");
        assert_eq!(fault.reason, Reason::Ambiguous);
    }

    #[test]
    fn several_accounts_are_decided_about_once_each_is_named() {
        let found = || vec![account("1"), account("2"), account("1")];
        let named = |ids: &[&str]| ids.iter().map(|id| format!("Name of {id}")).collect::<Vec<_>>();
        assert_eq!(
            correlate(found(), &named(&["1", "2"])),
            Ok(Correlation::InOwnRows)
        );
        // About the other one nobody has decided.
        let fault = correlate(found(), &named(&["1"])).expect_err("2 is nobody's yet");
        assert_eq!(fault.reason, Reason::Ambiguous);
        assert_eq!(candidates(&found(), &named(&["1"])), ["name of 2"]);
    }

    #[test]
    fn an_account_that_only_one_key_fits_is_nobodys_until_a_person_names_it() {
        let found = || {
            vec![Account {
                doubt: Some("employeeID disagrees".into()),
                ..account("1")
            }]
        };
        let fault = correlate(found(), &["somebody".into()]).expect_err("a contradiction");
        assert_eq!(
            (fault.reason, &*fault.code),
            (Reason::Ambiguous, "employeeID disagrees")
        );
        // Named, it has a row of its own.
        assert_eq!(
            correlate(found(), &["Name of 1".into()]),
            Ok(Correlation::InOwnRows)
        );
        let both = [found(), vec![account("2")]].concat();
        assert!(correlate(both.clone(), &[]).is_err());
        assert_eq!(
            correlate(both, &["name of 1".into()]),
            Ok(Correlation::One(Box::new(account("2"))))
        );
    }
}
