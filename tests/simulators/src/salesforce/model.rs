//! What an organisation keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::schema::{Object, object};

/// Fields by name. Its `Id` is the key of its table.
pub type Record = Map<String, Value>;

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Object → id → record. Tables are shared between copies of the state until they change.
    tables: BTreeMap<&'static str, Arc<BTreeMap<String, Record>>>,
    /// User's id → password.
    pub passwords: BTreeMap<String, String>,
    /// Why users cannot be made inactive.
    pub blockers: Vec<(String, Blocker)>,
    /// The owner that an active assignment rule gives to leads and cases.
    pub assignment: Option<String>,
    /// `AuthSession` → the `OauthToken` that it was opened with.
    pub opened_with: BTreeMap<String, String>,
}

/// Settings that keep a user active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker {
    /// Lead Settings.
    DefaultLeadOwner,
    /// Support Settings.
    DefaultCaseOwner,
    /// Process Automation Settings.
    DefaultWorkflowUser,
    /// Web-to-Lead Settings.
    LeadCreator,
    /// A custom field of another user.
    HierarchyField,
}

impl Blocker {
    /// What the vendor says.
    pub fn message(self) -> &'static str {
        match self {
            Self::DefaultLeadOwner => {
                "You cannot deactivate this user. You cannot deactivate a user who is the default owner of leads."
            }
            Self::DefaultCaseOwner => {
                "You cannot deactivate this user. You cannot deactivate a user who is the default owner of cases."
            }
            Self::DefaultWorkflowUser => "You cannot deactivate the Default Workflow User.",
            Self::LeadCreator => "You cannot disable the Web to Lead Default Creator.",
            Self::HierarchyField => "Cannot inactivate user that is the value of a hierarchy field: Mentor",
        }
    }
}

impl State {
    /// All records of an object, by id.
    pub fn table(&self, object: &Object) -> &BTreeMap<String, Record> {
        static EMPTY: BTreeMap<String, Record> = BTreeMap::new();
        self.tables.get(object.name).map_or(&EMPTY, |table| table)
    }

    /// A record by the name of its object.
    pub fn get(&self, name: &str, id: &str) -> Option<&Record> {
        self.table(object(name)?).get(id)
    }

    /// A record for changing.
    pub fn get_mut(&mut self, object: &Object, id: &str) -> Option<&mut Record> {
        Arc::make_mut(self.tables.get_mut(object.name)?).get_mut(id)
    }

    /// Adds or replaces a record.
    pub fn put(&mut self, object: &Object, id: &str, mut record: Record) {
        record.insert("Id".into(), id.into());
        let table = self.tables.entry(object.name).or_default();
        Arc::make_mut(table).insert(id.to_owned(), record);
    }

    /// Removes a record.
    pub fn remove(&mut self, object: &Object, id: &str) -> Option<Record> {
        Arc::make_mut(self.tables.get_mut(object.name)?).remove(id)
    }

    /// A text field of a record.
    pub fn text(&self, name: &str, id: &str, field: &str) -> Option<&str> {
        self.get(name, id)?.get(field)?.as_str()
    }

    /// Whether the user is active.
    pub fn active(&self, user: &str) -> bool {
        self.get("User", user)
            .is_some_and(|user| user.get("IsActive") == Some(&Value::Bool(true)))
    }

    /// Whether the user's login is frozen.
    pub fn frozen(&self, user: &str) -> bool {
        self.rows("UserLogin").any(|(_, login)| {
            login.get("UserId").and_then(Value::as_str) == Some(user)
                && login.get("IsFrozen") == Some(&Value::Bool(true))
        })
    }

    /// The user of that name.
    pub fn user_named(&self, name: &str) -> Option<&str> {
        self.rows("User")
            .find(|(_, user)| {
                user.get("Username")
                    .and_then(Value::as_str)
                    .is_some_and(|there| there.eq_ignore_ascii_case(name))
            })
            .map(|(id, _)| id)
    }

    /// All records of an object by its name.
    pub fn rows(&self, name: &str) -> impl Iterator<Item = (&str, &Record)> {
        object(name)
            .map(|object| self.table(object))
            .into_iter()
            .flatten()
            .map(|(id, record)| (id.as_str(), record))
    }

    /// Ends sessions: those that `which` names.
    pub fn end_sessions(&mut self, which: impl Fn(&State, &str, &Record) -> bool) {
        let Some(sessions) = object("AuthSession") else {
            return;
        };
        let gone: BTreeSet<String> = self
            .table(sessions)
            .iter()
            .filter(|(id, record)| which(self, id, record))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.remove(sessions, &id);
            self.opened_with.remove(&id);
        }
    }
}

/// Now, as the REST API writes it.
pub fn now() -> Value {
    Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        .to_string()
        .into()
}
