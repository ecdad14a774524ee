//! A Salesforce organisation: REST API with SOQL, OAuth 2.0, sessions and records with owners, by the vendor's REST,
//! SOQL and Object Reference pages. Users cannot be created or deleted through it; Bulk API and triggers are left out.
//!
//! What the vendor does not say and is assumed here: deactivation is refused with `FIELD_INTEGRITY_EXCEPTION`; a
//! refresh token of a frozen user still works until it is revoked; a missing right to change is answered with 400.
//!
//! | path | what |
//! |---|---|
//! | `/services/data/vNN.0/…` | `query`, `sobjects/{Object}/{id}`, `composite/sobjects`, `limits` |
//! | `POST /services/oauth2/token` | client credentials, JWT bearer (RS256), refresh token |
//! | `POST /services/oauth2/revoke` | by access, refresh or delete token |
//! | `GET /services/oauth2/userinfo` | who a session belongs to |
//! | `POST /login` | a person logs in: `{"username","password"}` → `{"session"}` |

mod change;
mod id;
mod model;
mod oauth;
mod query;
mod refusal;
mod rest;
mod schema;
mod soql;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use axum::{
    Router,
    routing::{any, get, post},
};
use base64::Engine;
use serde_json::{Value, json};

pub use self::model::{Blocker, Record, State};
use super::server::{Control, Server, World, lock};

/// The organisation's id.
pub const ORGANISATION: &str = "00D5g000000TESTEAM";
/// The user that the connector works as.
pub const INTEGRATION: &str = "offboard@integration.example.org";

/// Rights of the connector's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Manage Users.
    ManageUsers,
    /// Customize Application: also to see other users' OAuth tokens.
    CustomizeApplication,
    /// Assign Permission Sets.
    AssignPermissionSets,
    /// View All Data.
    ViewAllData,
    /// Modify All Data.
    ModifyAllData,
}

impl Right {
    const ALL: [Self; 5] = [
        Self::ManageUsers,
        Self::CustomizeApplication,
        Self::AssignPermissionSets,
        Self::ViewAllData,
        Self::ModifyAllData,
    ];

    /// The field of `UserPermissionAccess`.
    fn field(self) -> &'static str {
        match self {
            Self::ManageUsers => "PermissionsManageUsers",
            Self::CustomizeApplication => "PermissionsCustomizeApplication",
            Self::AssignPermissionSets => "PermissionsAssignPermissionSets",
            Self::ViewAllData => "PermissionsViewAllData",
            Self::ModifyAllData => "PermissionsModifyAllData",
        }
    }
}

/// What can be turned.
#[derive(Debug, Default)]
pub struct Knobs {
    /// Rights that the connector's user lacks.
    pub lacks: Vec<Right>,
    /// The most rows of a page.
    pub page_size: Option<usize>,
    /// Users are answered with this id.
    pub impostor: Option<String>,
}

/// What all handlers share.
#[derive(Debug)]
struct Shared {
    world: Arc<World<State>>,
    knobs: Mutex<Knobs>,
    /// Access token → what it opens.
    doors: Mutex<BTreeMap<String, oauth::Door>>,
    /// Refresh token → `OauthToken`.
    refresh: Mutex<BTreeMap<String, String>>,
    /// Public keys that the app trusts, in PEM.
    keys: Mutex<Vec<String>>,
    /// Record → how many updates still meet a lock.
    locks: Mutex<BTreeMap<String, u32>>,
    locators: Mutex<BTreeMap<String, rest::Locator>>,
    client_id: String,
    client_secret: String,
    integration: String,
    url: OnceLock<String>,
    next: AtomicU32,
    used: AtomicU32,
    daily: AtomicU32,
}

impl Shared {
    /// A new id with `prefix`.
    fn fresh(&self, prefix: &str) -> String {
        id::nth(prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn url(&self) -> &str {
        self.url.get().map_or("", String::as_str)
    }
}

/// A running organisation. Ends when dropped.
#[derive(Debug)]
pub struct Salesforce {
    server: Server,
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Salesforce {
    /// Starts one with the connector's user in it.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let world = World::new(State::default());
        let control = Control::over(&world);
        let shared = Arc::new(Shared {
            world,
            knobs: Mutex::default(),
            doors: Mutex::default(),
            refresh: Mutex::default(),
            keys: Mutex::default(),
            locks: Mutex::default(),
            locators: Mutex::default(),
            client_id: "3MVG9simulated".to_owned(),
            client_secret: "5A7E1C0FFEE".to_owned(),
            integration: id::nth("005", 0),
            url: OnceLock::new(),
            next: AtomicU32::new(1),
            used: AtomicU32::new(0),
            daily: AtomicU32::new(100_000),
        });
        let router = Router::new()
            .route("/services/data", get(rest::versions))
            .route("/services/data/{version}/", get(rest::resources))
            .route("/services/data/{version}/{*path}", any(rest::serve))
            .route("/services/oauth2/token", post(oauth::token))
            .route("/services/oauth2/revoke", post(oauth::revoke))
            .route("/services/oauth2/userinfo", get(oauth::user_info))
            .route("/login", post(oauth::log_in))
            .with_state(Arc::clone(&shared));
        let server = Server::start(router, Arc::clone(&control)).await?;
        shared.url.get_or_init(|| server.url().to_owned());
        let salesforce = Self {
            server,
            control,
            shared,
        };
        let integration = salesforce.shared.integration.clone();
        salesforce.put_user(&integration, INTEGRATION, "offboard@example.org", None);
        Ok(salesforce)
    }

    /// `http://127.0.0.1:PORT`, in the place of `https://{MyDomain}.my.salesforce.com`.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The connected app's consumer key.
    pub fn client_id(&self) -> &str {
        &self.shared.client_id
    }

    /// The connected app's consumer secret.
    pub fn client_secret(&self) -> &str {
        &self.shared.client_secret
    }

    /// A new private key in PEM, whose public half the connected app trusts from now on.
    ///
    /// # Panics
    /// When the machine cannot make a key.
    pub fn private_key(&self) -> String {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a machine that can make an RSA key");
        let private: Pkcs8V1Der<'_> = pair.as_der().expect("a fresh key has an encoding");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a fresh key has an encoding");
        lock(&self.shared.keys).push(pem("PUBLIC KEY", public.as_ref()));
        pem("PRIVATE KEY", private.as_ref())
    }

    /// Journal and faults.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The state, for staleness and the truth.
    pub fn world(&self) -> &World<State> {
        &self.shared.world
    }

    /// Turns knobs.
    pub fn set_knobs(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut lock(&self.shared.knobs));
    }

    /// A new user's id. Logs in with `username` and `password`.
    pub fn add_user(&self, username: &str, email: &str, password: &str) -> String {
        let id = self.shared.fresh("005");
        self.put_user(&id, username, email, Some(password));
        id
    }

    fn put_user(&self, id: &str, username: &str, email: &str, password: Option<&str>) {
        self.put("User", id, &json!({
            "Username": username, "Email": email, "Name": username, "IsActive": true, "UserType": "Standard",
            "LastModifiedDate": model::now(),
        }));
        self.add(
            "UserLogin",
            json!({"UserId": id, "IsFrozen": false, "IsPasswordLocked": false}),
        );
        if let Some(password) = password {
            self.shared
                .world
                .seed(|state| state.passwords.insert(id.to_owned(), password.to_owned()));
        }
    }

    /// A new record's id. Fields are not checked.
    ///
    /// # Panics
    /// When there is no such object.
    #[expect(clippy::needless_pass_by_value, reason = "callers write it on the spot")]
    pub fn add(&self, object: &str, fields: Value) -> String {
        let prefix = schema::object(object)
            .expect("an object of this organisation")
            .prefix;
        let id = self.shared.fresh(prefix);
        self.put(object, &id, &fields);
        id
    }

    fn put(&self, object: &str, id: &str, fields: &Value) {
        let Some(object) = schema::object(object) else {
            return;
        };
        let mut record = object.blank();
        record.extend(fields.as_object().cloned().unwrap_or_default());
        self.shared
            .world
            .seed(|state| state.put(object, id, record.clone()));
    }

    /// Changes fields from outside of the API.
    pub fn set(&self, object: &str, id: &str, fields: &Value) {
        self.shared.world.seed(|state| {
            if let (Some(object), Some(fields)) = (schema::object(object), fields.as_object())
                && let Some(record) = state.get_mut(object, id)
            {
                record.extend(fields.clone());
            }
        });
    }

    /// A permission set that the user is assigned to; the assignment's id.
    pub fn assign_permission_set(&self, user: &str, name: &str, by_profile: bool) -> String {
        let set = self.add(
            "PermissionSet",
            json!({"Name": name, "Label": name, "IsOwnedByProfile": by_profile}),
        );
        self.add(
            "PermissionSetAssignment",
            json!({"AssigneeId": user, "PermissionSetId": set}),
        )
    }

    /// A group or queue with the user in it; the membership's id.
    pub fn add_to_group(&self, user: &str, name: &str, kind: &str) -> String {
        let group = self.add(
            "Group",
            json!({"Name": name, "DeveloperName": name, "Type": kind}),
        );
        self.add("GroupMember", json!({"GroupId": group, "UserOrGroupId": user}))
    }

    /// The user has let an app in: its refresh token.
    pub fn authorize_app(&self, user: &str, app: &str) -> String {
        let delete = format!("DEL{:032x}", rand::random::<u128>());
        let refresh = format!("5Aep{:032x}", rand::random::<u128>());
        let id = self.add("OauthToken", json!({
            "AppName": app, "UserId": user, "DeleteToken": delete, "UseCount": 1, "LastUsedDate": model::now(),
        }));
        lock(&self.shared.refresh).insert(refresh.clone(), id);
        refresh
    }

    /// A setting keeps the user active, until [`Self::unblock`].
    pub fn block_deactivation(&self, user: &str, blocker: Blocker) {
        self.shared
            .world
            .seed(|state| state.blockers.push((user.to_owned(), blocker)));
    }

    /// Somebody has changed the settings that kept the user active.
    pub fn unblock(&self, user: &str) {
        self.shared
            .world
            .seed(|state| state.blockers.retain(|(blocked, _)| blocked != user));
    }

    /// An active assignment rule gives changed leads and cases to this user, unless told not to.
    pub fn assign_leads_to(&self, user: &str) {
        self.shared
            .world
            .seed(|state| state.assignment = Some(user.to_owned()));
    }

    /// The next `times` updates of a record meet `UNABLE_TO_LOCK_ROW`.
    pub fn lock_row(&self, id: &str, times: u32) {
        lock(&self.shared.locks).insert(id.to_owned(), times);
    }

    /// Only so many more requests today.
    pub fn leave_requests(&self, left: u32) {
        let used = self.shared.used.load(Ordering::Relaxed);
        self.shared.daily.store(used + left, Ordering::Relaxed);
    }

    /// All access tokens of the connector expire.
    pub fn expire_connector(&self) {
        lock(&self.shared.doors).retain(|_, door| door.user != self.shared.integration);
    }

    /// A field of a record by the newest state, null when there is none.
    pub fn field(&self, object: &str, id: &str, field: &str) -> Value {
        self.world().truth(|state| {
            state
                .get(object, id)
                .and_then(|record| record.get(field).cloned())
                .unwrap_or_default()
        })
    }

    /// Whether the user's login is frozen, by the newest state.
    pub fn is_frozen(&self, user: &str) -> bool {
        self.world().truth(|state| state.frozen(user))
    }

    /// Removes the records of an object with `value` in `field`, from outside of the API.
    pub fn remove(&self, object: &str, field: &str, value: &str) {
        self.shared.world.seed(|state| {
            let Some(object) = schema::object(object) else {
                return;
            };
            let found = state
                .rows(object.name)
                .filter(|(_, record)| record.get(field).and_then(Value::as_str) == Some(value));
            let ids: Vec<String> = found.map(|(id, _)| id.to_owned()).collect();
            for id in ids {
                state.remove(object, &id);
            }
        });
    }

    /// A field of the records of an object that have `value` in the field `by`, by the newest state.
    pub fn values(&self, object: &str, by: &str, value: &str, field: &str) -> Vec<String> {
        self.world().truth(|state| {
            let rows = state.rows(object);
            let found = rows.filter(|(_, record)| record.get(by).and_then(Value::as_str) == Some(value));
            found
                .filter_map(|(_, record)| record.get(field)?.as_str().map(str::to_owned))
                .collect()
        })
    }

    /// How many records of an object have `value` in `field`, by the newest state.
    pub fn count(&self, object: &str, field: &str, value: &str) -> usize {
        self.world().truth(|state| {
            state
                .rows(object)
                .filter(|(_, record)| record.get(field).and_then(Value::as_str) == Some(value))
                .count()
        })
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests;
