//! The directory's entries and the rules of a server that holds them: who may change what, which values an entry may
//! have, and what a lock or a new password does. Speaks no protocol.
//!
//! The rules are those of `OpenLDAP` with the overlays ppolicy, memberof and refint (slapo-ppolicy(5), slapo-memberof(5),
//! slapo-refint(5)), as far as the entries here need them. Names with an escaped comma are not understood.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use ldap3_proto::proto::{LdapModify, LdapModifyType, LdapResultCode as Code};

/// The value of `pwdAccountLockedTime` that locks for good.
pub const LOCKED: &str = "000001010000Z";

/// How old the entries are at the start.
const AGE: SignedDuration = SignedDuration::from_hours(200 * 24);

/// Attributes that only the server writes.
const SERVERS_OWN: [&str; 5] = [
    "entryuuid",
    "memberof",
    "createtimestamp",
    "modifytimestamp",
    "pwdchangedtime",
];
/// Attributes shown only to those who ask for them by name or by `+`.
const OPERATIONAL: [&str; 6] = [
    "entryuuid",
    "memberof",
    "createtimestamp",
    "modifytimestamp",
    "pwdchangedtime",
    "pwdaccountlockedtime",
];
/// Attributes whose values are names of entries.
const NAMES: [&str; 6] = [
    "member",
    "uniquemember",
    "owner",
    "manager",
    "seealso",
    "secretary",
];
/// All others that the schema has.
const TEXTS: [&str; 20] = [
    "memberuid",
    "objectclass",
    "uid",
    "cn",
    "sn",
    "givenname",
    "displayname",
    "mail",
    "employeenumber",
    "employeetype",
    "description",
    "title",
    "ou",
    "o",
    "dc",
    "telephonenumber",
    "mobile",
    "userpassword",
    "sshpublickey",
    "labeleduri",
];
/// What the service account may write, and nothing else.
const SERVICE_MAY_WRITE: [&str; 6] = [
    "pwdaccountlockedtime",
    "userpassword",
    "member",
    "owner",
    "manager",
    "sshpublickey",
];

/// Why the server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub Code, pub &'static str);

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name as written.
    pub dn: String,
    attributes: BTreeMap<String, (String, Vec<String>)>,
}

impl Entry {
    /// An entry with these values.
    pub fn new(dn: &str, values: &[(&str, &str)]) -> Self {
        let mut attributes: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for (name, value) in values {
            let (_, kept) = attributes
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| ((*name).to_owned(), Vec::new()));
            kept.push((*value).to_owned());
        }
        Self {
            dn: dn.to_owned(),
            attributes,
        }
    }

    /// The values of `attribute`.
    pub fn values(&self, attribute: &str) -> &[String] {
        self.attributes
            .get(&attribute.to_ascii_lowercase())
            .map_or(&[], |(_, values)| values)
    }

    /// Whether `value` is among those of `attribute`, compared as its syntax wants.
    pub fn has(&self, attribute: &str, value: &str) -> bool {
        self.values(attribute)
            .iter()
            .any(|kept| equal(attribute, kept, value))
    }

    /// Names of attributes with their values; operational ones only if `operational`.
    pub fn shown(&self, operational: bool) -> impl Iterator<Item = (&str, &[String])> {
        self.attributes
            .iter()
            .filter(move |(key, _)| operational == OPERATIONAL.contains(&key.as_str()))
            .filter(|(key, _)| *key != "userpassword")
            .map(|(_, (name, values))| (name.as_str(), values.as_slice()))
    }

    /// Replaces the values of `attribute`; none removes it.
    pub fn set(&mut self, attribute: &str, values: Vec<String>) {
        let key = attribute.to_ascii_lowercase();
        if values.is_empty() {
            self.attributes.remove(&key);
        } else {
            self.attributes.insert(key, (attribute.to_owned(), values));
        }
    }

    fn apply(&mut self, change: &LdapModify) -> Result<(), Refusal> {
        let attribute = &change.modification.atype;
        let mut given = Vec::new();
        for value in &change.modification.vals {
            let Ok(value) = String::from_utf8(value.clone()) else {
                return Err(Refusal(Code::InvalidAttributeSyntax, "value is no text"));
            };
            given.push(value);
        }
        let mut values = self.values(attribute).to_vec();
        match change.operation {
            LdapModifyType::Replace => values = given,
            LdapModifyType::Add => {
                for value in given {
                    if values.iter().any(|kept| equal(attribute, kept, &value)) {
                        return Err(Refusal(Code::AttributeOrValueExists, "value is there already"));
                    }
                    values.push(value);
                }
            }
            LdapModifyType::Delete if values.is_empty() => {
                return Err(Refusal(Code::NoSuchAttribute, "no such attribute"));
            }
            LdapModifyType::Delete if given.is_empty() => values.clear(),
            LdapModifyType::Delete => {
                for value in given {
                    let at = values.iter().position(|kept| equal(attribute, kept, &value));
                    values.remove(at.ok_or(Refusal(Code::NoSuchAttribute, "no such value"))?);
                }
            }
            LdapModifyType::Increment => {
                return Err(Refusal(Code::UnwillingToPerform, "increment is not served"));
            }
        }
        self.set(attribute, values);
        Ok(())
    }

    fn sound(&self) -> Result<(), Refusal> {
        if self.has("objectClass", "groupOfNames") && self.values("member").is_empty() {
            return Err(Refusal(
                Code::ObjectClassViolation,
                "object class 'groupOfNames' requires attribute 'member'",
            ));
        }
        match self.values("pwdAccountLockedTime") {
            [] => Ok(()),
            [one] if generalized_time(one) => Ok(()),
            [_] => Err(Refusal(Code::InvalidAttributeSyntax, "no generalized time")),
            _ => Err(Refusal(Code::ConstraintViolation, "attribute has one value only")),
        }
    }
}

/// All entries, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    entries: Vec<Entry>,
    service: String,
    leavers: String,
}

impl Tree {
    /// An empty tree. `service` is the one account that may change others, and may move entries into `leavers`.
    pub fn new(service: &str, leavers: &str) -> Self {
        Self {
            entries: Vec::new(),
            service: normal(service),
            leavers: normal(leavers),
        }
    }

    /// Adds an entry as the owner of the server. Nobody has touched it for some time.
    pub fn add(&mut self, mut entry: Entry) {
        let long_ago = Timestamp::now().saturating_sub(AGE).unwrap_or(Timestamp::MIN);
        let then = stamp(long_ago);
        entry.set("entryUUID", vec![uuid()]);
        entry.set("createTimestamp", vec![then.clone()]);
        if !entry.values("userPassword").is_empty() {
            entry.set("pwdChangedTime", vec![then.clone()]);
        }
        entry.set("modifyTimestamp", vec![then]);
        self.entries.push(entry);
    }

    /// The entry named `dn`, with `memberOf`.
    pub fn entry(&self, dn: &str) -> Option<Entry> {
        let wanted = normal(dn);
        self.entries
            .iter()
            .find(|entry| normal(&entry.dn) == wanted)
            .map(|entry| self.whole(entry))
    }

    /// The entry named `base` and, if `deep`, all below it, each with `memberOf`.
    pub fn below(&self, base: &str, deep: bool) -> Vec<Entry> {
        let base = normal(base);
        let suffix = format!(",{base}");
        self.entries
            .iter()
            .filter(|entry| {
                let dn = normal(&entry.dn);
                dn == base || deep && (base.is_empty() || dn.ends_with(&suffix))
            })
            .map(|entry| self.whole(entry))
            .collect()
    }

    fn whole(&self, entry: &Entry) -> Entry {
        let mut whole = entry.clone();
        let groups = self.entries.iter().filter(|group| group.has("member", &entry.dn));
        whole.set("memberOf", groups.map(|group| group.dn.clone()).collect());
        whole
    }

    /// Whether `dn` may log in with `password`. A locked account may not, and is told no more than anybody else.
    pub fn admits(&self, dn: &str, password: &str) -> bool {
        self.entry(dn).is_some_and(|entry| {
            let locked = entry.has("pwdAccountLockedTime", LOCKED);
            // A value with a scheme is a hash, and none of those here was made from a known password.
            let known = entry
                .values("userPassword")
                .iter()
                .any(|kept| kept == password && !kept.starts_with('{'));
            known && !locked
        })
    }

    /// Changes `dn` in the name of `by`: all of `changes`, or none.
    ///
    /// # Errors
    /// As `OpenLDAP` would.
    pub fn modify(&mut self, by: &str, dn: &str, changes: &[LdapModify]) -> Result<(), Refusal> {
        let at = self.position(dn)?;
        let mut entry = self.entries[at].clone();
        let named = |attribute: &str| {
            changes
                .iter()
                .any(|change| change.modification.atype.eq_ignore_ascii_case(attribute))
        };
        for change in changes {
            let key = change.modification.atype.to_ascii_lowercase();
            known(&key)?;
            self.allow(by, dn, &key)?;
            entry.apply(change)?;
        }
        let now = stamp(Timestamp::now());
        if named("userPassword") {
            entry.set("pwdChangedTime", vec![now.clone()]);
            // slapo-ppolicy: a new password ends a lock, unless the same change says something about the lock.
            if !named("pwdAccountLockedTime") {
                entry.set("pwdAccountLockedTime", Vec::new());
            }
        }
        entry.sound()?;
        entry.set("modifyTimestamp", vec![now]);
        self.entries[at] = entry;
        Ok(())
    }

    /// Renames or moves `dn` in the name of `by`; every reference to it follows (slapo-refint).
    ///
    /// # Errors
    /// As `OpenLDAP` would.
    pub fn rename(&mut self, by: &str, dn: &str, rdn: &str, parent: Option<&str>) -> Result<(), Refusal> {
        let at = self.position(dn)?;
        let (old_rdn, old_parent) = dn.split_once(',').unwrap_or((dn, ""));
        let parent = parent.unwrap_or(old_parent);
        if normal(by) != self.service || normal(parent) != self.leavers || normal(rdn) != normal(old_rdn) {
            return Err(Refusal(Code::InsufficentAccessRights, ""));
        }
        let new = format!("{rdn},{parent}");
        if self.entry(&new).is_some() {
            return Err(Refusal(Code::EntryAlreadyExists, ""));
        }
        if !self
            .entries
            .iter()
            .any(|entry| normal(&entry.dn) == normal(parent))
        {
            return Err(Refusal(Code::NoSuchObject, "new superior not found"));
        }
        let old = normal(dn);
        self.entries[at].dn.clone_from(&new);
        for entry in &mut self.entries {
            for name in NAMES {
                if let Some((_, values)) = entry.attributes.get_mut(name) {
                    for value in values.iter_mut().filter(|value| normal(value) == old) {
                        value.clone_from(&new);
                    }
                }
            }
        }
        Ok(())
    }

    fn position(&self, dn: &str) -> Result<usize, Refusal> {
        let wanted = normal(dn);
        self.entries
            .iter()
            .position(|entry| normal(&entry.dn) == wanted)
            .ok_or(Refusal(Code::NoSuchObject, ""))
    }

    fn allow(&self, by: &str, dn: &str, attribute: &str) -> Result<(), Refusal> {
        let by = normal(by);
        let service = by == self.service && SERVICE_MAY_WRITE.contains(&attribute);
        let own = !by.is_empty() && by == normal(dn) && attribute == "userpassword";
        if SERVERS_OWN.contains(&attribute) {
            return Err(Refusal(Code::ConstraintViolation, "no user modification allowed"));
        }
        if service || own {
            return Ok(());
        }
        Err(Refusal(Code::InsufficentAccessRights, ""))
    }
}

fn known(attribute: &str) -> Result<(), Refusal> {
    let known = NAMES.contains(&attribute) || TEXTS.contains(&attribute) || OPERATIONAL.contains(&attribute);
    if known {
        return Ok(());
    }
    Err(Refusal(Code::UndefinedAttributeType, "attribute type undefined"))
}

fn equal(attribute: &str, one: &str, other: &str) -> bool {
    match attribute.to_ascii_lowercase().as_str() {
        "userpassword" | "sshpublickey" => one == other,
        name if name == "memberof" || NAMES.contains(&name) => normal(one) == normal(other),
        _ => one.eq_ignore_ascii_case(other),
    }
}

/// A name in the one form in which names are compared.
pub fn normal(dn: &str) -> String {
    dn.split(',')
        .map(|part| {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            format!("{}={}", attribute.trim(), value.trim()).to_ascii_lowercase()
        })
        .filter(|part| part != "=")
        .collect::<Vec<_>>()
        .join(",")
}

fn generalized_time(text: &str) -> bool {
    text.strip_suffix('Z')
        .is_some_and(|digits| digits.len() >= 10 && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

fn uuid() -> String {
    let bits: u128 = rand::random();
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-4{}-a{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}
