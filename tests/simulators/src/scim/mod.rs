//! A SCIM 2.0 service provider with the application behind it: RFC 7643 and 7644 as far as users and groups go, and
//! on demand the deviations that real servers are known for.
//!
//! Creating resources, `/Bulk`, `/Me` and `/.search` are answered with 501.
//!
//! | path | what |
//! |---|---|
//! | `/scim/v2/…` | the SCIM interface; bearer token [`Scim::token`] |
//! | `POST /app/login` | a person logs in: `{"userName","password"}` → `{"session"}` |
//! | `POST /app/tokens` | a person makes an API token: `Authorization: Bearer SESSION` → `{"token"}` |
//! | `GET /app/me` | who a session or an API token belongs to |

mod application;
mod change;
mod discovery;
mod filter;
mod model;
mod parser;
mod patch;
mod protocol;
mod refusal;
mod table;

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use serde_json::{Map, Value, json};

pub use self::{
    model::{Group, State, User},
    refusal::Refused,
};
use super::server::{Control, Mishap, Server, World, lock};

/// How a service provider takes PATCH.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PatchSupport {
    /// As RFC 7644 says.
    #[default]
    Full,
    /// An operation with a path is refused with 400 `invalidPath`.
    WithoutPathOnly,
    /// An operation with a path is answered with 200 and ignored.
    PathIgnored,
    /// Every PATCH is answered with 200 and ignored.
    Ignored,
    /// 501, and advertised as unsupported.
    NotImplemented,
    /// 405, although advertised as supported.
    NotAllowed,
}

impl PatchSupport {
    fn advertised(self) -> bool {
        self != Self::NotImplemented
    }
}

/// A right that the connector's token may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Reading users.
    ReadUsers,
    /// Changing users.
    WriteUsers,
    /// Reading groups.
    ReadGroups,
    /// Changing groups.
    WriteGroups,
}

/// Deviations from the RFC and settings that the RFC leaves open.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a deviation of its own")]
pub struct Quirks {
    /// How PATCH is taken.
    pub patch: PatchSupport,
    /// Whether filters are understood; if not, a filter is refused with 400 `invalidFilter`.
    pub filter: bool,
    /// A filter is taken, and all resources are answered.
    pub ignores_filters: bool,
    /// A filter that begins with one of these finds nobody, and no error says so.
    pub blind_filters: &'static [&'static str],
    /// There is no `/Groups`: 404.
    pub no_groups: bool,
    /// Who is deactivated is deleted.
    pub deletes_inactive: bool,
    /// Whoever removes one member removes all.
    pub empties_groups: bool,
    /// Lists of groups leave their members out.
    pub hides_members: bool,
    /// The most resources in one page.
    pub page_size: usize,
    /// So many lists to come are cut out of another order than the one before, as when others write meanwhile.
    pub shuffled: u32,
    /// `active` is answered as the text `"True"` or `"False"`.
    pub active_as_text: bool,
    /// Whether resources have versions that `If-Match` is compared with.
    pub etag: bool,
    /// A PUT without `If-Match` is refused with 428.
    pub if_match_needed: bool,
    /// `active` is owned by another system: a change is refused with 400 `mutability`.
    pub active_read_only: bool,
    /// Only `application/scim+json` is taken as a request's type; else 415.
    pub strict_media_type: bool,
    /// Sessions and API tokens outlive `active: false`.
    pub sessions_survive: bool,
    /// `groups` of a user is left out, as the RFC allows.
    pub hides_groups: bool,
    /// Rights that the connector's token lacks: 403.
    pub lacks: Vec<Right>,
    /// `GET /Users/{id}` answers with this user instead.
    pub impostor: Option<String>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            patch: PatchSupport::Full,
            filter: true,
            ignores_filters: false,
            blind_filters: &[],
            no_groups: false,
            deletes_inactive: false,
            empties_groups: false,
            hides_members: false,
            page_size: 100,
            shuffled: 0,
            active_as_text: false,
            etag: true,
            if_match_needed: false,
            active_read_only: false,
            strict_media_type: false,
            sessions_survive: false,
            hides_groups: false,
            lacks: Vec::new(),
            impostor: None,
        }
    }
}

/// What all handlers share.
#[derive(Debug)]
struct Shared {
    world: Arc<World<State>>,
    quirks: Mutex<Quirks>,
    token: String,
    next: AtomicU32,
}

impl Shared {
    /// A new id; opaque to clients (RFC 7643 section 3.1).
    fn fresh(&self, prefix: &str) -> String {
        let n = self.next.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        format!("{prefix}-{:08x}", n.wrapping_mul(0x9e37_79b1))
    }

    fn quirks(&self) -> Quirks {
        lock(&self.quirks).clone()
    }
}

/// A running SCIM service provider. Ends when dropped.
#[derive(Debug)]
pub struct Scim {
    server: Server,
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Scim {
    /// Starts an empty one.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let world = World::new(State::default());
        let control = Control::over(&world);
        let shared = Arc::new(Shared {
            world,
            quirks: Mutex::new(Quirks::default()),
            token: "scim-admin-token".to_owned(),
            next: AtomicU32::new(0),
        });
        let router = Router::new()
            .route("/scim/v2/{*path}", axum::routing::any(protocol::serve))
            .route("/app/login", axum::routing::post(application::log_in))
            .route("/app/tokens", axum::routing::post(application::issue_token))
            .route("/app/me", get(application::me))
            .with_state(Arc::clone(&shared));
        Ok(Self {
            server: Server::start(router, Arc::clone(&control)).await?,
            control,
            shared,
        })
    }

    /// Where the SCIM interface is, without a slash at the end.
    pub fn base(&self) -> String {
        format!("{}/scim/v2", self.server.url())
    }

    /// Where the application is.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The connector's bearer token.
    pub fn token(&self) -> &str {
        &self.shared.token
    }

    /// Journal and faults.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The state, for seeding, staleness and the truth.
    pub fn world(&self) -> &World<State> {
        &self.shared.world
    }

    /// Changes the deviations.
    pub fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut lock(&self.shared.quirks));
    }

    /// A new user's id. Their password is `password`.
    pub fn add_user(&self, name: &str, external_id: Option<&str>, password: &str) -> String {
        let mut attributes = Map::new();
        attributes.insert("userName".into(), name.into());
        attributes.insert("displayName".into(), name.into());
        attributes.insert("title".into(), "Engineer".into());
        attributes.insert(
            "emails".into(),
            json!([{"value": name, "type": "work", "primary": true}]),
        );
        if let Some(external_id) = external_id {
            attributes.insert("externalId".into(), external_id.into());
        }
        let id = self.shared.fresh("u");
        self.seed(|state| state.add_user(&id, attributes.clone(), password));
        id
    }

    /// Gives the user another attribute, or another value of one.
    pub fn set_attribute(&self, user: &str, name: &str, value: &Value) {
        self.seed(|state| {
            if let Some(mut user_there) = state.users.get(user).cloned() {
                user_there.attributes.insert(name.to_owned(), value.clone());
                state.put_user(user, user_there);
            }
        });
    }

    /// A new group's id.
    pub fn add_group(&self, name: &str, members: &[&str]) -> String {
        let id = self.shared.fresh("g");
        self.seed(|state| state.add_group(&id, name, members));
        id
    }

    /// Somebody sets who is in a group; none deletes it.
    pub fn set_members(&self, group: &str, members: Option<&[&str]>) {
        self.seed(|state| match members {
            None => state.remove_group(group),
            Some(members) => {
                let shown = state
                    .groups
                    .get(group)
                    .and_then(|there| there.attributes.get("displayName"));
                let name = shown.and_then(Value::as_str).unwrap_or_default().to_owned();
                state.add_group(group, &name, members);
            }
        });
    }

    /// What the user wrote.
    pub fn add_content(&self, user: &str, text: &str) {
        self.seed(|state| {
            let mut texts = state.content.get(user).cloned().unwrap_or_default();
            texts.push(text.to_owned());
            state.content.insert(user, texts);
        });
    }

    /// Whether the user may log in, by the newest state; none when there is no such user.
    pub fn is_active(&self, user: &str) -> Option<bool> {
        self.world()
            .truth(|state| state.users.get(user).map(User::active))
    }

    /// Ids of the group's members, by the newest state.
    pub fn members(&self, group: &str) -> Vec<String> {
        self.world().truth(|state| {
            state
                .groups
                .get(group)
                .map(|group| group.members().map(str::to_owned).collect())
                .unwrap_or_default()
        })
    }

    /// The next `times` requests below `path` are refused with 429 and `Retry-After`.
    pub fn throttle(&self, path: &str, times: u32, wait: Duration) {
        let refusal = Refused::throttled(wait.as_secs().max(1)).into();
        self.control.arrange("", path, times, Mishap::Refuse(refusal));
    }

    /// A stored user as a resource, by the newest state.
    pub fn user(&self, id: &str) -> Option<Value> {
        let base = self.base();
        self.world()
            .truth(|state| state.user(id, &base).map(Value::Object))
    }

    fn seed<R>(&self, f: impl Fn(&mut State) -> R) -> R {
        self.shared.world.seed(f)
    }
}

#[cfg(test)]
mod tests;
