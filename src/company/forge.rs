//! The company's git forge: users, sessions, tokens, keys, teams, repositories.
//!
//! `/admin` is for administrators with a bearer token, in pages with a `Link` header (RFC 8288). `/login`, `/user` and
//! `/ssh` are what people use. Blocking a user refuses new logins and nothing else: sessions, tokens and keys work
//! until they are deleted, as in more than one real forge. Its connector is the definition [`DEFINITION`]: data only.

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
    people::{ALL, Worker, secret},
};
use offboard_simulators::server::{World, bearer};

/// The forge as a connected system.
pub const DEFINITION: &str = include_str!("forge/definition.yaml");
/// Name of the system.
pub const NAME: &str = "forge";

/// Everything the forge knows.
#[derive(Debug, Clone, Default)]
struct Books {
    admin: String,
    users: BTreeMap<u64, User>,
    openers: BTreeMap<u64, Opener>,
    teams: BTreeMap<u64, Team>,
    repositories: BTreeMap<u64, Repository>,
    last: u64,
}

#[derive(Debug, Clone)]
struct User {
    login: String,
    email: String,
    name: String,
    password: String,
    blocked: bool,
}

/// What opens the forge for a user without a password.
#[derive(Debug, Clone)]
struct Opener {
    kind: Kind,
    user: u64,
    title: String,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Sessions,
    Tokens,
    Keys,
}

#[derive(Debug, Clone)]
struct Team {
    name: String,
    members: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
struct Repository {
    name: String,
    owner: u64,
}

impl Administered for Books {
    fn admin(&self) -> &str {
        &self.admin
    }
}

impl Books {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn open(&mut self, kind: Kind, user: u64, title: String, value: String) -> u64 {
        let id = self.next();
        self.openers.insert(
            id,
            Opener {
                kind,
                user,
                title,
                value,
            },
        );
        id
    }

    /// The login that `value` opens, of these kinds.
    fn opened(&self, kinds: &[Kind], value: &str) -> Option<&str> {
        let opener = self
            .openers
            .values()
            .find(|opener| opener.value == value && kinds.contains(&opener.kind))?;
        self.users.get(&opener.user).map(|user| user.login.as_str())
    }

    fn owned_by(&self, login: &str) -> usize {
        let owner = |repository: &&Repository| {
            self.users
                .get(&repository.owner)
                .is_some_and(|user| user.login == login)
        };
        self.repositories.values().filter(owner).count()
    }
}

/// A running forge.
#[derive(Debug)]
pub struct Forge {
    service: Service<Books>,
    /// What everybody could get in with when the company started, by login.
    keyrings: BTreeMap<&'static str, Keyring>,
}

/// One person's ways in.
#[derive(Debug, Clone, Default)]
struct Keyring {
    password: String,
    openers: Vec<(Kind, String, String)>,
}

impl Forge {
    /// Starts a forge in which everybody works.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> io::Result<Self> {
        let mut books = Books {
            admin: secret("adm_"),
            last: 1000,
            ..Books::default()
        };
        let mut keyrings = BTreeMap::new();
        for worker in ALL {
            keyrings.insert(worker.handle, hire(&mut books, worker));
        }
        for name in ["platform", "payments", "mobile", "on-call"] {
            let members = books.users.keys().copied().collect();
            let id = books.next();
            let name = name.to_owned();
            books.teams.insert(id, Team { name, members });
        }
        let doors = Router::new()
            .route("/login", post(login))
            .route("/user", get(whoami))
            .route("/ssh", post(ssh));
        Ok(Self {
            service: Service::start(books, doors, admin::router()).await?,
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

    /// How many repositories belong to `worker`.
    pub fn owned_by(&self, worker: &Worker) -> usize {
        self.service.world.truth(|books| books.owned_by(worker.handle))
    }

    /// Tries everything that `worker` could get in with when the company started.
    ///
    /// # Errors
    /// When the forge gives no answer to a try.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let Some(keyring) = self.keyrings.get(worker.handle) else {
            return Ok(Vec::new());
        };
        let client = &self.service.client;
        let login = json!({"login": worker.handle, "password": keyring.password});
        let request = client.post(format!("{}/login", self.url())).json(&login);
        let mut made = vec![attempt(NAME, format!("password of {}", worker.handle), request).await?];
        for (kind, title, value) in &keyring.openers {
            let request = match kind {
                Kind::Keys => client
                    .post(format!("{}/ssh", self.url()))
                    .json(&json!({"key": value})),
                Kind::Sessions | Kind::Tokens => {
                    client.get(format!("{}/user", self.url())).bearer_auth(value)
                }
            };
            made.push(attempt(NAME, title.clone(), request).await?);
        }
        Ok(made)
    }
}

fn hire(books: &mut Books, worker: Worker) -> Keyring {
    let id = books.next();
    let password = secret("");
    books.users.insert(
        id,
        User {
            login: worker.handle.to_owned(),
            email: worker.email.to_owned(),
            name: worker.name.to_owned(),
            password: password.clone(),
            blocked: false,
        },
    );
    let mut openers = Vec::new();
    for n in 1..=worker.things {
        for (kind, title, prefix) in [
            (Kind::Sessions, "session", "ses_"),
            (Kind::Tokens, "access token", "tok_"),
            (Kind::Keys, "ssh key", "ssh-ed25519 "),
        ] {
            let (title, value) = (format!("{title} {n}"), secret(prefix));
            books.open(kind, id, title.clone(), value.clone());
            openers.push((kind, title, value));
        }
        let repository = books.next();
        let name = format!("{}/project-{n}", worker.handle);
        books
            .repositories
            .insert(repository, Repository { name, owner: id });
    }
    Keyring { password, openers }
}

#[derive(Deserialize)]
struct Login {
    login: String,
    password: String,
}

async fn login(State(world): State<Arc<World<Books>>>, Json(form): Json<Login>) -> Reply {
    world.change(|books| {
        let user = books.users.iter().find(|(_, user)| user.login == form.login);
        let (&id, user) = user.ok_or(UNKNOWN)?;
        if user.password != form.password {
            return Err(UNKNOWN);
        }
        if user.blocked {
            return Err(Refused(StatusCode::FORBIDDEN, "blocked"));
        }
        // A login that only proves a point leaves no session behind: the books would never become empty again.
        Ok(Json(json!({"user": id})))
    })
}

async fn whoami(State(world): State<Arc<World<Books>>>, headers: HeaderMap) -> Reply {
    let value = bearer(&headers).ok_or(UNKNOWN)?;
    world.truth(|books| {
        let login = books.opened(&[Kind::Sessions, Kind::Tokens], value);
        login.map(|login| Json(json!({"login": login}))).ok_or(UNKNOWN)
    })
}

#[derive(Deserialize)]
struct Ssh {
    key: String,
}

/// What the forge's ssh server asks about a key that a client offers.
async fn ssh(State(world): State<Arc<World<Books>>>, Json(offer): Json<Ssh>) -> Reply {
    world.truth(|books| {
        let login = books.opened(&[Kind::Keys], &offer.key);
        login.map(|login| Json(json!({"login": login}))).ok_or(UNKNOWN)
    })
}
