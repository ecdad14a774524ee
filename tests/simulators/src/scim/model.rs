//! What a SCIM service provider keeps, and what its own application keeps beside it: sessions, API tokens, content.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{filter::field, refusal::Refused, table::Table};

/// The schema of a user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The schema of a group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By id.
    pub users: Table<User>,
    /// By id.
    pub groups: Table<Group>,
    /// What people wrote: user's id → texts.
    pub content: Table<Vec<String>>,
    /// Browser sessions and API tokens of the application → user's id.
    keys: Table<String>,
    /// User's id → sessions and tokens.
    rings: Table<Vec<String>>,
    /// User name in lower case → id.
    names: Table<String>,
    /// External id → ids of users.
    externals: Table<BTreeSet<String>>,
    /// User's id → ids of groups.
    memberships: Table<BTreeSet<String>>,
}

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Writable attributes, `id` and `schemas`; never `password`, `groups`, `meta`.
    pub attributes: Map<String, Value>,
    /// For logging in to the application.
    pub password: String,
    /// Grows with each change.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub modified: Timestamp,
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Writable attributes with `members`, `id` and `schemas`.
    pub attributes: Map<String, Value>,
    /// Grows with each change.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was changed last.
    pub modified: Timestamp,
}

impl User {
    /// May log in, and sessions and tokens work.
    pub fn active(&self) -> bool {
        self.attributes.get("active") != Some(&Value::Bool(false))
    }

    /// The login name.
    pub fn name(&self) -> &str {
        self.attributes
            .get("userName")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The id that the client gave.
    fn external(&self) -> Option<&str> {
        self.attributes.get("externalId").and_then(Value::as_str)
    }

    /// Takes over attributes that were checked, and counts the change. Secrets and read-only ones are not among them.
    ///
    /// # Errors
    /// When a value is not of its attribute's type.
    pub fn set(&mut self, mut attributes: Map<String, Value>) -> Result<(), Refused> {
        attributes.retain(|name, _| {
            !["password", "groups", "meta"]
                .iter()
                .any(|kept| name.eq_ignore_ascii_case(kept))
        });
        let active = attributes.iter().find_map(|(name, value)| {
            name.eq_ignore_ascii_case("active")
                .then(|| (name.clone(), truth(value)))
        });
        if let Some((name, value)) = active {
            let value = value.ok_or_else(|| Refused::bad("invalidValue", "active must be true or false"))?;
            attributes.remove(&name);
            attributes.insert("active".into(), value.into());
        }
        if field(&attributes, "userName")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Refused::bad("invalidValue", "userName is required"));
        }
        if attributes != self.attributes {
            self.attributes = attributes;
            self.version += 1;
            self.modified = Timestamp::now();
        }
        Ok(())
    }
}

impl Group {
    /// Ids of the members.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.attributes
            .get("members")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|member| member["value"].as_str())
    }

    /// Takes over attributes that were checked, and counts the change.
    ///
    /// # Errors
    /// When it has no name.
    pub fn set(&mut self, mut attributes: Map<String, Value>) -> Result<(), Refused> {
        attributes.remove("meta");
        if attributes
            .get("displayName")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            return Err(Refused::bad("invalidValue", "displayName is required"));
        }
        if attributes != self.attributes {
            self.attributes = attributes;
            self.version += 1;
            self.modified = Timestamp::now();
        }
        Ok(())
    }
}

fn enlist(index: &mut Table<BTreeSet<String>>, key: &str, id: &str) {
    let mut ids = index.get(key).cloned().unwrap_or_default();
    ids.insert(id.to_owned());
    index.insert(key, ids);
}

fn delist(index: &mut Table<BTreeSet<String>>, key: &str, id: &str) {
    let mut ids = index.remove(key).unwrap_or_default();
    ids.remove(id);
    if !ids.is_empty() {
        index.insert(key, ids);
    }
}

/// A boolean, also as the text that some clients and servers write.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

impl State {
    /// Adds a user; `attributes` needs a `userName`.
    pub fn add_user(&mut self, id: &str, mut attributes: Map<String, Value>, password: &str) {
        attributes.insert("id".into(), id.into());
        attributes.insert("schemas".into(), json!([USER]));
        attributes.entry("active").or_insert(Value::Bool(true));
        let now = Timestamp::now();
        let user = User {
            attributes,
            password: password.to_owned(),
            version: 1,
            created: now,
            modified: now,
        };
        self.put_user(id, user);
    }

    /// Adds a group.
    pub fn add_group(&mut self, id: &str, name: &str, members: &[&str]) {
        let members: Vec<_> = members
            .iter()
            .map(|member| json!({"value": member, "type": "User"}))
            .collect();
        let mut attributes = Map::new();
        attributes.insert("id".into(), id.into());
        attributes.insert("schemas".into(), json!([GROUP]));
        attributes.insert("displayName".into(), name.into());
        if !members.is_empty() {
            attributes.insert("members".into(), members.into());
        }
        let now = Timestamp::now();
        let group = Group {
            attributes,
            version: 1,
            created: now,
            modified: now,
        };
        self.put_group(id, group);
    }

    /// Adds or replaces a user.
    pub fn put_user(&mut self, id: &str, user: User) {
        self.forget_user(id);
        self.names.insert(&user.name().to_lowercase(), id.to_owned());
        if let Some(external) = user.external() {
            enlist(&mut self.externals, external, id);
        }
        self.users.insert(id, user);
    }

    fn forget_user(&mut self, id: &str) -> Option<User> {
        let gone = self.users.remove(id)?;
        self.names.remove(&gone.name().to_lowercase());
        if let Some(external) = gone.external() {
            delist(&mut self.externals, external, id);
        }
        Some(gone)
    }

    /// Adds or replaces a group.
    pub fn put_group(&mut self, id: &str, group: Group) {
        self.remove_group(id);
        for member in group.members() {
            enlist(&mut self.memberships, member, id);
        }
        self.groups.insert(id, group);
    }

    /// Removes a group.
    pub fn remove_group(&mut self, id: &str) {
        if let Some(gone) = self.groups.remove(id) {
            for member in gone.members() {
                delist(&mut self.memberships, member, id);
            }
        }
    }

    /// The id of the user with that name, in any case.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.names.get(&name.to_lowercase()).map(String::as_str)
    }

    /// Ids of the users with that external id.
    pub fn external(&self, external: &str) -> impl Iterator<Item = &str> {
        self.externals
            .get(external)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Ids of the groups that the user is in.
    pub fn groups_of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.memberships
            .get(user)
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// The id of the user who may log in so.
    pub fn knows(&self, name: &str, password: &str) -> Option<String> {
        let id = self.named(name)?;
        let user = self.users.get(id)?;
        (user.password == password && user.active()).then(|| id.to_owned())
    }

    /// Adds a session or an API token of the user.
    pub fn add_key(&mut self, key: &str, user: &str) {
        self.keys.insert(key, user.to_owned());
        let mut ring = self.rings.get(user).cloned().unwrap_or_default();
        ring.push(key.to_owned());
        self.rings.insert(user, ring);
    }

    /// Whose session or API token it is.
    pub fn opened_by(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// Ends the user's sessions and tokens, if the user is not active.
    pub fn end_if_inactive(&mut self, user: &str) {
        if self.users.get(user).is_some_and(User::active) {
            return;
        }
        for key in self.rings.remove(user).unwrap_or_default() {
            self.keys.remove(&key);
        }
    }

    /// Deletes a user with everything they wrote (RFC 7644 section 3.6 lets a server forget at once).
    pub fn delete_user(&mut self, id: &str) -> Option<User> {
        let gone = self.forget_user(id)?;
        self.content.remove(id);
        self.end_if_inactive(id);
        let groups: Vec<String> = self.groups_of(id).map(str::to_owned).collect();
        for group in groups {
            let Some(mut there) = self.groups.get(&group).cloned() else {
                continue;
            };
            if let Some(members) = there.attributes.get_mut("members").and_then(Value::as_array_mut) {
                members.retain(|member| member["value"] != id);
            }
            there.version += 1;
            self.put_group(&group, there);
        }
        Some(gone)
    }

    /// The user as a resource, with the read-only attributes.
    pub fn user(&self, id: &str, base: &str) -> Option<Map<String, Value>> {
        let user = self.users.get(id)?;
        let mut resource = user.attributes.clone();
        let groups: Vec<_> = self
            .groups_of(id)
            .filter_map(|gid| Some((gid, self.groups.get(gid)?)))
            .map(|(gid, group)| {
                json!({
                    "value": gid,
                    "$ref": format!("{base}/Groups/{gid}"),
                    "display": group.attributes["displayName"],
                    "type": "direct",
                })
            })
            .collect();
        if !groups.is_empty() {
            resource.insert("groups".into(), groups.into());
        }
        let meta = meta(
            "User",
            &format!("{base}/Users/{id}"),
            user.version,
            user.created,
            user.modified,
        );
        resource.insert("meta".into(), meta);
        Some(resource)
    }

    /// The group as a resource.
    pub fn group(&self, id: &str, base: &str) -> Option<Map<String, Value>> {
        let group = self.groups.get(id)?;
        let mut resource = group.attributes.clone();
        let location = format!("{base}/Groups/{id}");
        resource.insert(
            "meta".into(),
            meta("Group", &location, group.version, group.created, group.modified),
        );
        Some(resource)
    }
}

fn meta(kind: &str, location: &str, version: u64, created: Timestamp, modified: Timestamp) -> Value {
    json!({
        "resourceType": kind,
        "location": location,
        "version": etag(version),
        "created": created.to_string(),
        "lastModified": modified.to_string(),
    })
}

/// The entity tag of a version.
pub fn etag(version: u64) -> String {
    format!("W/\"{version}\"")
}
