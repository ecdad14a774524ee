//! A Google Workspace domain: Directory, Data Transfer, Drive, Gmail, Licensing and admin audit over one port, and
//! the doors an employee uses (password, session, OAuth token, app password), so that a test can prove from outside
//! who still gets in.
//!
//! Rules come from Google's reference pages and discovery documents. What those leave open is decided the strict
//! way. It is not a load model, and it knows no Shared Drives, Chrome devices or Vault.
//!
//! # Why
//! A suspended user's mailbox refuses every Gmail call (`failedPrecondition`, "Mail service not enabled") while
//! Drive still lists their files by delegation: both were reported by users of GAM against the real service.

mod audit;
mod calls;
mod directory;
mod doors;
mod drive;
mod gmail;
mod groups;
mod licences;
mod roles;
mod security;
pub mod state;
mod token;
mod transfer;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use axum::Router;
use base64::Engine;
use jiff::Timestamp;

pub use self::state::{Domain, File, Group, Member, Token, User};
use self::token::Tokens;
use super::server::{Budget, Control, Server, Staleness, World, lock};

/// The customer id that answers to `my_customer`.
pub const CUSTOMER: &str = "C01a2b3c4";
/// Application id of Drive and Docs in Data Transfer.
pub const DRIVE: u64 = 55_656_082_996;
/// Application id of Calendar in Data Transfer.
pub const CALENDAR: u64 = 435_070_579_839;

/// A service account with its key, to be given to a connector.
#[derive(Clone)]
pub struct ServiceAccount {
    /// Its address: the issuer of its assertions.
    pub email: String,
    /// Its private key, PKCS#8 in PEM.
    pub private_key: String,
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// Adjustable behaviour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knobs {
    /// How often a transfer is looked at before it is `completed`.
    pub transfer_polls: u32,
    /// Whether transfers end as `failed`.
    pub transfers_fail: bool,
    /// The most elements of any page; none: the vendor's limits.
    pub page: Option<usize>,
    /// How long an audit event stays out of the log.
    pub audit_lag: Duration,
    /// How long a delegate stays `pending`.
    pub delegate_lag: Duration,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            transfer_polls: 2,
            transfers_fail: false,
            page: None,
            audit_lag: Duration::ZERO,
            delegate_lag: Duration::ZERO,
        }
    }
}

pub(crate) struct Shared {
    pub world: Arc<World<Domain>>,
    pub tokens: Tokens,
    pub budget: Budget,
    pub knobs: Mutex<Knobs>,
}

/// A running Google Workspace domain.
pub struct Google {
    server: Server,
    control: Arc<Control>,
    shared: Arc<Shared>,
}

impl Google {
    /// Starts an empty domain, `example.com`-like `domain`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(domain: &str) -> io::Result<Self> {
        let world = World::new(Domain::new(domain));
        let control = Control::over(&world);
        let shared = Arc::new(Shared {
            world,
            tokens: Tokens::default(),
            budget: Budget::default(),
            knobs: Mutex::default(),
        });
        let router = Router::new()
            .nest("/end-user", doors::routes(Arc::clone(&shared)))
            .merge(token::routes(Arc::clone(&shared)))
            .fallback_service(calls::routes(Arc::clone(&shared)));
        let server = Server::start(router, Arc::clone(&control)).await?;
        shared.tokens.set_audience(format!("{}/token", server.url()));
        Ok(Self {
            server,
            control,
            shared,
        })
    }

    /// Where every API of the domain is served, without a slash at the end.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// The token endpoint, which is also the audience of assertions.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.url())
    }

    /// Journal and mishaps.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Changes the domain from outside of the API; every read sees it at once.
    pub fn seed<R>(&self, f: impl Fn(&mut Domain) -> R) -> R {
        self.shared.world.seed(f)
    }

    /// The domain as it really is.
    pub fn truth<R>(&self, f: impl FnOnce(&Domain) -> R) -> R {
        self.shared.world.truth(f)
    }

    /// Creates a service account with domain-wide delegation for `scopes` (full addresses).
    ///
    /// # Panics
    /// When the machine cannot make a key.
    pub fn service_account(&self, name: &str, scopes: &[&str]) -> ServiceAccount {
        let email = format!("{name}@offboarding.iam.gserviceaccount.com");
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a machine that can make an RSA key");
        let private: Pkcs8V1Der<'_> = pair.as_der().expect("a fresh key has an encoding");
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a fresh key has an encoding");
        self.shared
            .tokens
            .register(&email, &pem("PUBLIC KEY", public.as_ref()), scopes);
        ServiceAccount {
            email,
            private_key: pem("PRIVATE KEY", private.as_ref()),
        }
    }

    /// Takes scopes away from a service account's delegation.
    pub fn revoke_scope(&self, account: &ServiceAccount, scope: &str) {
        self.shared.tokens.revoke(&account.email, scope);
    }

    /// How far reads of the Directory lag behind writes.
    pub fn set_staleness(&self, staleness: Staleness) {
        self.shared.world.set_staleness(staleness);
    }

    /// At most `requests` per `window` for each acting user; more are answered 403 `userRateLimitExceeded`.
    pub fn set_budget(&self, requests: u32, window: Duration) {
        self.shared.budget.set(requests, window);
    }

    /// How often a transfer is looked at before it is done (at least 1).
    pub fn set_transfer_polls(&self, polls: u32) {
        lock(&self.shared.knobs).transfer_polls = polls.max(1);
    }

    /// Whether transfers end as `failed`.
    pub fn set_transfers_fail(&self, fail: bool) {
        lock(&self.shared.knobs).transfers_fail = fail;
    }

    /// The most elements of any page.
    pub fn set_page(&self, size: usize) {
        lock(&self.shared.knobs).page = Some(size.max(1));
    }

    /// How long an event stays out of the admin audit log.
    pub fn set_audit_lag(&self, lag: Duration) {
        lock(&self.shared.knobs).audit_lag = lag;
    }

    /// How long a delegate of a mailbox stays `pending`.
    pub fn set_delegate_lag(&self, lag: Duration) {
        lock(&self.shared.knobs).delegate_lag = lag;
    }

    /// Makes every deletion look this much older; past 20 days a user cannot be undeleted.
    pub fn age_deletions(&self, by: Duration) {
        let by = jiff::SignedDuration::try_from(by).unwrap_or(jiff::SignedDuration::MAX);
        self.seed(|domain| {
            for user in domain.users.values_mut() {
                user.deleted = user
                    .deleted
                    .map(|at| at.checked_sub(by).unwrap_or(Timestamp::MIN));
            }
        });
    }
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests;
