//! The company's mail service: mailboxes, webmail sessions, app passwords, delegates, forwarding, automatic replies.
//!
//! `/v1` is for administrators; `/login`, `/mailbox` and `/imap` are what people and their phones use. Suspending a
//! user refuses new logins; sessions live on until they are ended, and app passwords open the mailbox past any other
//! check until they are deleted. Moving a mailbox takes a while. Its connector is the definition
//! [`DEFINITION`]: data only.

mod admin;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    http::{Administered, Attempt, Refused, Reply, Service, UNKNOWN, attempt},
    people::{ALL, JANE, Worker, secret},
};
use offboard_simulators::server::{World, bearer};

/// The mail service as a connected system.
pub const DEFINITION: &str = include_str!("mail/definition.yaml");
/// Name of the system.
pub const NAME: &str = "mail";
/// How many further requests of administrators are served before a mailbox has moved: work, not time, so that a slow
/// machine sees the same.
const MOVING: u32 = 6;

/// Everything the service knows.
#[derive(Debug, Clone, Default)]
struct Office {
    admin: String,
    boxes: BTreeMap<String, Mailbox>,
    moves: Vec<Move>,
}

#[derive(Debug, Clone, Default)]
struct Mailbox {
    address: String,
    password: String,
    suspended: bool,
    messages: usize,
    /// By id: the value.
    sessions: BTreeMap<String, String>,
    /// By id: the name and the value.
    app_passwords: BTreeMap<String, (String, String)>,
    delegates: BTreeSet<String>,
    forward_to: Option<String>,
    reply: Option<String>,
}

/// A mailbox on its way to somebody else.
#[derive(Debug, Clone)]
struct Move {
    from: String,
    to: String,
    /// Requests until it has arrived.
    left: u32,
}

impl Administered for Office {
    fn admin(&self) -> &str {
        &self.admin
    }

    /// Goes on with the moves.
    fn work(&mut self) {
        for step in self.moves.iter_mut().filter(|step| step.left > 0) {
            step.left -= 1;
            if step.left > 0 {
                continue;
            }
            let moved = self
                .boxes
                .get_mut(&step.from)
                .map(|from| std::mem::take(&mut from.messages));
            if let (Some(moved), Some(to)) = (moved, self.boxes.get_mut(&step.to)) {
                to.messages += moved;
            }
        }
    }
}

impl Office {
    fn by_address(&self, address: &str) -> Option<&Mailbox> {
        self.boxes
            .values()
            .find(|mailbox| mailbox.address.eq_ignore_ascii_case(address))
    }
}

/// A running mail service.
#[derive(Debug)]
pub struct Mail {
    service: Service<Office>,
    /// What everybody could get in with when the company started, by address.
    keyrings: BTreeMap<&'static str, Mailbox>,
}

impl Mail {
    /// Starts a mail service with a mailbox for everybody.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let mut office = Office {
            admin: secret("mta_"),
            ..Office::default()
        };
        let mut keyrings = BTreeMap::new();
        for worker in ALL {
            let mailbox = seeded(worker);
            keyrings.insert(worker.email, mailbox.clone());
            office.boxes.insert(secret("mbx-")[..16].to_owned(), mailbox);
        }
        let doors = Router::new()
            .route("/login", post(login))
            .route("/mailbox", get(webmail))
            .route("/imap", post(imap));
        Ok(Self {
            service: Service::start(office, doors, admin::router()).await?,
            keyrings,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        self.service.url()
    }

    /// The administrator's bearer token.
    pub fn admin_token(&self) -> &str {
        self.service.admin_token()
    }

    /// How many messages are in the mailbox of `worker`.
    pub fn owned_by(&self, worker: &Worker) -> usize {
        self.service.world.truth(|office| {
            office
                .by_address(worker.email)
                .map_or(0, |mailbox| mailbox.messages)
        })
    }

    /// Tries everything that `worker` could get in with when the company started.
    ///
    /// # Errors
    /// When the service gives no answer to a try.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let Some(keyring) = self.keyrings.get(worker.email) else {
            return Ok(Vec::new());
        };
        let client = &self.service.client;
        let try_password = |path: &str, password: &str| {
            let form = json!({"address": worker.email, "password": password});
            client.post(format!("{}{path}", self.url())).json(&form)
        };
        let request = try_password("/login", &keyring.password);
        let mut made = vec![attempt(NAME, format!("password of {}", worker.email), request).await?];
        for (n, value) in keyring.sessions.values().enumerate() {
            let request = client.get(format!("{}/mailbox", self.url())).bearer_auth(value);
            made.push(attempt(NAME, format!("webmail session {}", n + 1), request).await?);
        }
        for (name, value) in keyring.app_passwords.values() {
            made.push(attempt(NAME, name.clone(), try_password("/imap", value)).await?);
        }
        Ok(made)
    }
}

fn seeded(worker: Worker) -> Mailbox {
    let leaves = worker == JANE;
    Mailbox {
        address: worker.email.to_owned(),
        password: secret(""),
        messages: if leaves { 1_204 } else { 300 + worker.name.len() },
        sessions: (0..worker.things * 2)
            .map(|n| (format!("s{n}"), secret("web_")))
            .collect(),
        app_passwords: ["phone", "tablet", "scanner"]
            .iter()
            .take(worker.things)
            .map(|device| {
                (
                    format!("ap-{device}"),
                    (format!("app password of the {device}"), secret("app_")),
                )
            })
            .collect(),
        ..Mailbox::default()
    }
}

#[derive(Deserialize)]
struct Login {
    address: String,
    password: String,
}

async fn login(State(world): State<Arc<World<Office>>>, Json(form): Json<Login>) -> Reply {
    world.truth(|office| {
        let mailbox = office.by_address(&form.address).ok_or(UNKNOWN)?;
        if mailbox.password != form.password {
            return Err(UNKNOWN);
        }
        if mailbox.suspended {
            return Err(Refused(StatusCode::FORBIDDEN, "suspended"));
        }
        Ok(Json(json!({"address": mailbox.address})))
    })
}

async fn webmail(State(world): State<Arc<World<Office>>>, headers: HeaderMap) -> Reply {
    let value = bearer(&headers).ok_or(UNKNOWN)?;
    world.truth(|office| {
        let open = |mailbox: &&Mailbox| mailbox.sessions.values().any(|session| session == value);
        let mailbox = office.boxes.values().find(open).ok_or(UNKNOWN)?;
        Ok(Json(json!({"messages": mailbox.messages})))
    })
}

async fn imap(State(world): State<Arc<World<Office>>>, Json(form): Json<Login>) -> Reply {
    world.truth(|office| {
        let mailbox = office.by_address(&form.address).ok_or(UNKNOWN)?;
        let known = mailbox
            .app_passwords
            .values()
            .any(|(_, value)| *value == form.password);
        if known {
            Ok(Json(json!({"messages": mailbox.messages})))
        } else {
            Err(UNKNOWN)
        }
    })
}
