//! What a Google Workspace domain holds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Everything in one domain.
#[derive(Debug, Clone, Default)]
pub struct Domain {
    /// The domain's name.
    pub name: String,
    /// People by id, deleted ones too.
    pub users: BTreeMap<String, User>,
    /// Groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Names of admin roles by id.
    pub roles: BTreeMap<String, String>,
    /// Admin roles given to users or groups, by assignment id.
    pub assignments: BTreeMap<String, Assignment>,
    /// Files by id.
    pub files: BTreeMap<String, File>,
    /// Calendar events by id.
    pub events: BTreeMap<String, Event>,
    /// Data transfers by id.
    pub transfers: BTreeMap<String, Transfer>,
    /// The admin audit log, oldest first.
    pub audit: Vec<AuditEvent>,
    /// The next number for an id.
    pub next: u64,
}

/// The role that makes somebody a super administrator.
pub const SUPER_ADMIN: &str = "16000000000000001";

/// One person.
#[derive(Debug, Clone, Default)]
pub struct User {
    /// Durable id.
    pub id: String,
    /// Primary address.
    pub email: String,
    /// Further addresses.
    pub aliases: Vec<String>,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// Employee number, shown among `externalIds`.
    pub employee_id: Option<String>,
    /// The password in force.
    pub password: String,
    /// Current one-time code of the enrolled second step; none: not enrolled.
    pub second_step: Option<String>,
    /// The second step cannot be turned off.
    pub second_step_enforced: bool,
    /// Suspended, and since when.
    pub suspended: Option<Timestamp>,
    /// Archived.
    pub archived: bool,
    /// Deleted, and since when.
    pub deleted: Option<Timestamp>,
    /// Recovery address.
    pub recovery_email: Option<String>,
    /// Recovery phone.
    pub recovery_phone: Option<String>,
    /// Organisational unit.
    pub org_unit: String,
    /// Shown in the global address list.
    pub in_address_list: bool,
    /// Other profile fields (`phones`, `addresses`, …) as given.
    pub profile: Map<String, Value>,
    /// Third-party grants.
    pub tokens: Vec<Token>,
    /// App passwords: number, name, password.
    pub app_passwords: Vec<(u64, String, String)>,
    /// Backup codes that are still good.
    pub backup_codes: Vec<String>,
    /// Open web sessions.
    pub sessions: Vec<String>,
    /// Auto-reply as stored.
    pub vacation: Map<String, Value>,
    /// Forwarding as stored.
    pub forwarding: Map<String, Value>,
    /// Forwarding addresses and whether they are accepted.
    pub forwarding_addresses: BTreeMap<String, bool>,
    /// Filters by id, as given.
    pub filters: BTreeMap<String, Value>,
    /// Delegates and since when.
    pub delegates: BTreeMap<String, Timestamp>,
    /// Licences: product and SKU.
    pub licences: Vec<(String, String)>,
}

/// A third-party grant.
#[derive(Debug, Clone, Default)]
pub struct Token {
    /// The application.
    pub client_id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// The token the application holds.
    pub secret: String,
}

/// A group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Durable id.
    pub id: String,
    /// Address.
    pub email: String,
    /// Name.
    pub name: String,
    /// Members follow a query; they cannot be removed one by one.
    pub dynamic: bool,
    /// Members by id.
    pub members: BTreeMap<String, Member>,
}

/// A membership.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// `OWNER`, `MANAGER` or `MEMBER`.
    pub role: String,
    /// `USER` or `GROUP`.
    pub kind: String,
}

/// An admin role given to somebody.
#[derive(Debug, Clone, Default)]
pub struct Assignment {
    /// The role.
    pub role: String,
    /// User or group.
    pub to: String,
    /// Whether `to` is a group.
    pub group: bool,
}

/// A file in somebody's Drive.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Durable id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Owner's user id.
    pub owner: String,
    /// User ids that it is shared with.
    pub shared_with: Vec<String>,
    /// In the bin.
    pub trashed: bool,
    /// Its text.
    pub content: String,
}

/// A calendar event.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Title.
    pub title: String,
    /// Organiser's user id.
    pub organiser: String,
    /// Number of guests.
    pub guests: u32,
    /// Room that is booked.
    pub resource: Option<String>,
    /// Private.
    pub private: bool,
    /// Over already.
    pub past: bool,
}

/// A data transfer.
#[derive(Debug, Clone, Default)]
pub struct Transfer {
    /// From whom.
    pub from: String,
    /// To whom.
    pub to: String,
    /// The request's `applicationDataTransfers`.
    pub applications: Vec<Value>,
    /// `new`, `inProgress`, `completed` or `failed`.
    pub status: String,
    /// How often it was looked at.
    pub polls: u32,
    /// When it was asked for.
    pub requested: Timestamp,
}

/// One entry of the admin audit log.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// What tells it from others of the same moment.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// Name, such as `SUSPEND_USER`.
    pub name: &'static str,
    /// Who did it.
    pub actor: String,
    /// Whom it concerns.
    pub user: String,
}

impl Domain {
    /// An empty domain.
    pub fn new(name: &str) -> Self {
        let mut domain = Self {
            name: name.into(),
            ..Self::default()
        };
        domain.roles.insert(SUPER_ADMIN.into(), "_SEED_ADMIN_ROLE".into());
        domain
            .roles
            .insert("16000000000000002".into(), "_GROUPS_ADMIN_ROLE".into());
        domain
    }

    /// A number that was not given out before.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Creates a person `name@domain` with a password; answers the id.
    pub fn add_user(&mut self, name: &str, password: &str) -> String {
        let id = format!("1{:020}", 8_000_000 + self.number());
        let user = User {
            id: id.clone(),
            email: format!("{name}@{}", self.name),
            given: name.to_owned(),
            family: "Example".into(),
            password: password.into(),
            org_unit: "/".into(),
            in_address_list: true,
            ..User::default()
        };
        self.users.insert(id.clone(), user);
        id
    }

    /// Creates a super administrator; answers the id.
    pub fn add_admin(&mut self, name: &str, password: &str) -> String {
        let id = self.add_user(name, password);
        self.assign(SUPER_ADMIN, &id);
        id
    }

    /// Gives an admin role to a user; answers the assignment's id.
    pub fn assign(&mut self, role: &str, user: &str) -> String {
        let id = self.number().to_string();
        self.assignments.insert(
            id.clone(),
            Assignment {
                role: role.into(),
                to: user.into(),
                group: false,
            },
        );
        id
    }

    /// Creates a group with members `(user id, role)`; answers its id.
    pub fn add_group(&mut self, name: &str, members: &[(&str, &str)]) -> String {
        let id = format!("0{}", 3_000_000 + self.number());
        let members = members.iter().map(|(user, role)| {
            (
                (*user).to_owned(),
                Member {
                    role: (*role).into(),
                    kind: "USER".into(),
                },
            )
        });
        let group = Group {
            id: id.clone(),
            email: format!("{name}@{}", self.name),
            name: name.into(),
            dynamic: false,
            members: members.collect(),
        };
        self.groups.insert(id.clone(), group);
        id
    }

    /// Creates a file; answers its id.
    pub fn add_file(&mut self, owner: &str, name: &str, shared_with: &[&str]) -> String {
        let id = format!("file{}", self.number());
        let file = File {
            id: id.clone(),
            name: name.into(),
            owner: owner.into(),
            shared_with: shared_with.iter().map(|&user| user.to_owned()).collect(),
            trashed: false,
            content: format!("the text of {name}"),
        };
        self.files.insert(id.clone(), file);
        id
    }

    /// A person by id, primary address or alias, unless deleted.
    pub fn user(&self, key: &str) -> Option<&User> {
        let alive = |user: &&User| user.deleted.is_none();
        let addressed = |user: &&User| {
            let mut addresses = user.aliases.iter().chain([&user.email]);
            addresses.any(|address| address.eq_ignore_ascii_case(key))
        };
        let by_address = || self.users.values().filter(alive).find(addressed);
        self.users.get(key).filter(alive).or_else(by_address)
    }

    /// A person by id or address, unless deleted.
    pub fn user_mut(&mut self, key: &str) -> Option<&mut User> {
        let id = self.user(key)?.id.clone();
        self.users.get_mut(&id)
    }

    /// A group by id or address.
    pub fn group(&self, key: &str) -> Option<&Group> {
        self.groups.get(key).or_else(|| {
            self.groups
                .values()
                .find(|group| group.email.eq_ignore_ascii_case(key))
        })
    }

    /// Whether somebody is a super administrator.
    pub fn is_super_admin(&self, user: &str) -> bool {
        self.assignments
            .values()
            .any(|given| given.role == SUPER_ADMIN && given.to == user)
    }

    /// Whether somebody holds any other admin role, directly.
    pub fn is_delegated_admin(&self, user: &str) -> bool {
        self.assignments
            .values()
            .any(|given| given.role != SUPER_ADMIN && given.to == user)
    }

    /// Whether taking super administration from `user` would leave nobody active with it.
    pub fn is_last_super_admin(&self, user: &str) -> bool {
        let active = |id: &str| self.user(id).is_some_and(|user| user.suspended.is_none());
        self.is_super_admin(user)
            && !self
                .assignments
                .values()
                .any(|given| given.role == SUPER_ADMIN && given.to != user && active(&given.to))
    }

    /// Writes the audit log.
    pub fn note(&mut self, name: &'static str, actor: &str, user: &str) {
        let event = AuditEvent {
            number: self.number(),
            at: Timestamp::now(),
            name,
            actor: actor.into(),
            user: user.into(),
        };
        self.audit.push(event);
    }
}
