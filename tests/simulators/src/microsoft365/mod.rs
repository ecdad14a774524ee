//! A Microsoft 365 tenant: the part of Microsoft Graph v1.0 that an offboarding needs, Entra's token endpoint, and
//! the doors an employee uses, so that a test can prove from outside who still gets in.
//!
//! Rules come from Microsoft's reference pages, the Graph metadata and the permissions file. What those leave open
//! is decided the strict way. Exchange `PowerShell`, `SharePoint` and Conditional Access are not there, and access
//! tokens live until they expire, as they do without continuous access evaluation.

mod calls;
mod devices;
mod doors;
mod grants;
mod groups;
mod licences;
mod mailbox;
mod methods;
mod odata;
pub mod state;
mod token;
mod users;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use jiff::Timestamp;

pub use self::state::{Device, Group, GroupKind, Method, Tenant, User};
use self::token::Tokens;
use super::server::{Budget, Control, Server, Staleness, World, lock};

/// The tenant's id.
pub const TENANT: &str = "11111111-2222-4333-8444-555555555555";
/// Template id of the Global Administrator role.
pub const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";

/// An application registration with a client secret, to be given to a connector.
#[derive(Clone)]
pub struct App {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub secret: String,
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// Adjustable behaviour.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Knobs {
    /// The most elements of any page; none: as asked for.
    pub page: Option<usize>,
    /// Only reads of memberships and owners lag.
    pub only_groups_lag: bool,
}

pub(crate) struct Shared {
    pub world: Arc<World<Tenant>>,
    pub tokens: Tokens,
    pub budget: Budget,
    pub knobs: Mutex<Knobs>,
    pub url: Mutex<String>,
}

/// A running Microsoft 365 tenant.
pub struct Microsoft365 {
    server: Server,
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Microsoft365 {
    /// Starts an empty tenant whose people are under `domain`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(domain: &str) -> io::Result<Self> {
        let world = World::new(Tenant::new(domain));
        let control = Control::over(&world);
        let shared = Arc::new(Shared {
            world,
            tokens: Tokens::default(),
            budget: Budget::default(),
            knobs: Mutex::default(),
            url: Mutex::default(),
        });
        let router = Router::new()
            .nest("/end-user", doors::routes(Arc::clone(&shared)))
            .merge(token::routes(Arc::clone(&shared)))
            .fallback_service(calls::routes(Arc::clone(&shared)));
        let server = Server::start(router, Arc::clone(&control)).await?;
        server.url().clone_into(&mut lock(&shared.url));
        Ok(Self {
            server,
            control,
            shared,
        })
    }

    /// Where everything is served, without a slash at the end.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The base of Graph.
    pub fn graph(&self) -> String {
        format!("{}/v1.0", self.url())
    }

    /// The token endpoint's base, which stands for `https://login.microsoftonline.com`.
    pub fn login(&self) -> &str {
        self.url()
    }

    /// Journal and mishaps.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Changes the tenant from outside of the API; every read sees it at once.
    pub fn seed<R>(&self, f: impl Fn(&mut Tenant) -> R) -> R {
        self.shared.world.seed(f)
    }

    /// The tenant as it really is.
    pub fn truth<R>(&self, f: impl FnOnce(&Tenant) -> R) -> R {
        self.shared.world.truth(f)
    }

    /// Registers an application with application permissions `permissions`. One that is not `privileged` cannot
    /// change people who hold directory roles.
    pub fn register(&self, permissions: &[&str], privileged: bool) -> App {
        let app = App {
            client_id: format!("aaaaaaaa-0000-4000-8000-{:012x}", rand::random::<u32>()),
            secret: format!("secret~{:032x}", rand::random::<u128>()),
        };
        self.shared.tokens.register(&app, permissions, privileged);
        app
    }

    /// Takes a permission away from an application; tokens that it holds already keep it no longer.
    pub fn revoke_permission(&self, app: &App, permission: &str) {
        self.shared.tokens.revoke(&app.client_id, permission);
    }

    /// How far reads lag behind writes.
    pub fn set_staleness(&self, staleness: Staleness) {
        self.shared.world.set_staleness(staleness);
    }

    /// Whether only reads of memberships and owners lag.
    pub fn set_only_groups_lag(&self, only: bool) {
        lock(&self.shared.knobs).only_groups_lag = only;
    }

    /// At most `requests` per `window` for each application; more are answered 429 with `Retry-After`.
    pub fn set_budget(&self, requests: u32, window: Duration) {
        self.shared.budget.set(requests, window);
    }

    /// The most elements of any page.
    pub fn set_page(&self, size: usize) {
        lock(&self.shared.knobs).page = Some(size.max(1));
    }

    /// Directory synchronisation runs once: what is mastered on premises overwrites what was changed here.
    pub fn sync(&self) {
        self.seed(|tenant| {
            for user in tenant.users.values_mut() {
                if let Some(enabled) = user.on_premises {
                    user.enabled = enabled;
                }
            }
        });
    }

    /// Makes every deletion look this much older; past 30 days a user cannot be restored.
    pub fn age_deletions(&self, by: Duration) {
        let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
        self.seed(|tenant| {
            for user in tenant.users.values_mut() {
                user.deleted = user
                    .deleted
                    .map(|at| at.checked_sub(by).unwrap_or(Timestamp::MIN));
            }
        });
    }
}

impl std::fmt::Debug for Microsoft365 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Microsoft365")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
