//! What a Microsoft 365 tenant holds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

/// Everything in one tenant.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// The domain of its people.
    pub domain: String,
    /// People by id, deleted ones too.
    pub users: BTreeMap<String, User>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Applications by id: name and owners.
    pub applications: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Active directory roles by assignment id: principal and role definition.
    pub roles: BTreeMap<String, (String, String)>,
    /// Eligible directory roles by schedule id: principal and role definition.
    pub eligible: BTreeMap<String, (String, String)>,
    /// App roles by assignment id: principal, resource and app role.
    pub app_roles: BTreeMap<String, (String, String, String)>,
    /// Delegated grants by id: client, principal, resource and scope.
    pub grants: BTreeMap<String, [String; 4]>,
    /// Devices by id.
    pub devices: BTreeMap<String, Device>,
    /// Managed devices by id.
    pub managed: BTreeMap<String, Managed>,
    /// Employees' access tokens: user and expiry.
    pub access_tokens: BTreeMap<String, (String, Timestamp)>,
    /// The next number for an id.
    pub next: u64,
}

/// One person.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// Durable id.
    pub id: String,
    /// User principal name.
    pub upn: String,
    /// Primary address.
    pub mail: Option<String>,
    /// Further addresses.
    pub aliases: Vec<String>,
    /// Name.
    pub name: String,
    /// Employee number.
    pub employee_id: Option<String>,
    /// The password in force.
    pub password: String,
    /// Sign-in allowed.
    pub enabled: bool,
    /// Mastered on premises, where sign-in is allowed or not.
    pub on_premises: Option<bool>,
    /// From another tenant.
    pub guest: bool,
    /// Refresh tokens from before are refused. Whole seconds.
    pub valid_from: Timestamp,
    /// Last change of the password. Whole seconds.
    pub password_changed: Timestamp,
    /// Authentication methods beside the password.
    pub methods: Vec<Method>,
    /// The id of the default method.
    pub default_method: Option<String>,
    /// Licences given directly.
    pub licences: BTreeSet<String>,
    /// Plans of these that are turned off, by licence.
    pub disabled_plans: BTreeMap<String, Value>,
    /// Refresh tokens: token and when it was issued.
    pub refresh_tokens: Vec<(String, Timestamp)>,
    /// Automatic replies as stored.
    pub automatic_replies: Option<Value>,
    /// Inbox rules by id.
    pub rules: BTreeMap<String, Value>,
    /// Deleted, and since when.
    pub deleted: Option<Timestamp>,
}

/// An authentication method.
#[derive(Debug, Clone, Default)]
pub struct Method {
    /// Durable id.
    pub id: String,
    /// Short type name, such as `fido2` or `softwareOath`.
    pub kind: String,
}

/// What kind of group it is, which decides where its members can be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupKind {
    /// Cloud security group.
    #[default]
    Security,
    /// Microsoft 365 group.
    Unified,
    /// Cloud security group whose members follow a rule.
    Dynamic,
    /// Mastered on premises.
    Synced,
    /// Mail-enabled security group, changed in Exchange.
    MailSecurity,
    /// Distribution list, changed in Exchange.
    Distribution,
}

/// A group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Durable id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: GroupKind,
    /// Can hold directory roles.
    pub role_assignable: bool,
    /// Members.
    pub members: BTreeSet<String>,
    /// Owners.
    pub owners: BTreeSet<String>,
    /// Licences that members get.
    pub licences: BTreeSet<String>,
}

/// A device in the directory.
#[derive(Debug, Clone, Default)]
pub struct Device {
    /// Object id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Allowed to get tokens.
    pub enabled: bool,
    /// The user who registered and owns it.
    pub owner: String,
}

/// A device under management.
#[derive(Debug, Clone, Default)]
pub struct Managed {
    /// Durable id.
    pub id: String,
    /// Its user.
    pub user: String,
    /// Name.
    pub name: String,
    /// `managed`, `retirePending`, `retireIssued`, …
    pub state: String,
    /// How often it was looked at since the last action.
    pub polls: u32,
}

/// SKU id of Office 365 E3, which has a mailbox.
pub const OFFICE_E3: &str = "6fd2c87f-b296-42f0-b197-1e91e994b900";
/// SKU id of Power BI (free), which has none.
pub const POWER_BI: &str = "a403ebcc-fae0-4ca2-8c8c-7a907fd6c235";

impl Tenant {
    /// An empty tenant.
    pub fn new(domain: &str) -> Self {
        Self {
            domain: domain.into(),
            ..Self::default()
        }
    }

    /// An id that was not given out before.
    pub fn id(&mut self) -> String {
        self.next += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.next)
    }

    /// Creates an enabled person `name@domain` with a mailbox licence; answers the id.
    pub fn add_user(&mut self, name: &str, password: &str) -> String {
        let id = self.id();
        let upn = format!("{name}@{}", self.domain);
        let long_ago = Timestamp::UNIX_EPOCH;
        let user = User {
            id: id.clone(),
            mail: Some(upn.clone()),
            upn,
            name: name.into(),
            password: password.into(),
            enabled: true,
            valid_from: long_ago,
            password_changed: long_ago,
            licences: BTreeSet::from([OFFICE_E3.to_owned()]),
            ..User::default()
        };
        self.users.insert(id.clone(), user);
        id
    }

    /// Creates a group; answers its id.
    pub fn add_group(&mut self, name: &str, kind: GroupKind, members: &[&str], owners: &[&str]) -> String {
        let id = self.id();
        let group = Group {
            id: id.clone(),
            name: name.into(),
            kind,
            members: members.iter().map(|&id| id.to_owned()).collect(),
            owners: owners.iter().map(|&id| id.to_owned()).collect(),
            ..Group::default()
        };
        self.groups.insert(id.clone(), group);
        id
    }

    /// Registers an authentication method of a short kind; answers its id.
    pub fn add_method(&mut self, user: &str, kind: &str) -> String {
        let id = self.id();
        if let Some(user) = self.users.get_mut(user) {
            user.methods.push(Method {
                id: id.clone(),
                kind: kind.into(),
            });
        }
        id
    }

    /// Gives a directory role; answers the assignment's id.
    pub fn assign(&mut self, user: &str, role: &str) -> String {
        let id = self.id();
        self.roles.insert(id.clone(), (user.into(), role.into()));
        id
    }

    /// Registers a device of a user; answers its object id.
    pub fn add_device(&mut self, user: &str, name: &str) -> String {
        let id = self.id();
        let device = Device {
            id: id.clone(),
            name: name.into(),
            enabled: true,
            owner: user.into(),
        };
        self.devices.insert(id.clone(), device);
        id
    }

    /// A refresh token of a user that was issued at `issued`.
    pub fn add_refresh_token(&mut self, user: &str, issued: Timestamp) -> String {
        let token = format!("refresh-{}", self.id());
        if let Some(user) = self.users.get_mut(user) {
            user.refresh_tokens.push((token.clone(), issued));
        }
        token
    }

    /// A person by id or user principal name, unless deleted.
    pub fn user(&self, key: &str) -> Option<&User> {
        let alive = |user: &&User| user.deleted.is_none();
        self.users.get(key).filter(alive).or_else(|| {
            self.users
                .values()
                .filter(alive)
                .find(|user| user.upn.eq_ignore_ascii_case(key))
        })
    }

    /// Licences in force with the group each comes from.
    pub fn licences(&self, user: &User) -> Vec<(String, Option<String>)> {
        let direct = user.licences.iter().map(|sku| (sku.clone(), None));
        let inherited = self
            .groups
            .values()
            .filter(|group| group.members.contains(&user.id))
            .flat_map(|group| {
                group
                    .licences
                    .iter()
                    .map(|sku| (sku.clone(), Some(group.id.clone())))
            });
        direct.chain(inherited).collect()
    }

    /// Whether a user has a mailbox that serves.
    pub fn has_mailbox(&self, user: &User) -> bool {
        self.licences(user).iter().any(|(sku, _)| sku == OFFICE_E3)
    }

    /// Whether a user holds an active directory role, directly or by a role-assignable group.
    pub fn holds_role(&self, user: &str) -> bool {
        self.roles.values().any(|(principal, _)| {
            principal == user
                || self
                    .groups
                    .get(principal)
                    .is_some_and(|group| group.role_assignable && group.members.contains(user))
        })
    }
}
