//! The company's wiki: a bought service that is provisioned by SCIM, and its own logins, sessions and tokens.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::{
    http::{Attempt, attempt, client},
    people::{ALL, Worker, secret},
};
use offboard_simulators::scim::Scim;

/// Name of the system.
pub const NAME: &str = "wiki";

/// A running wiki.
#[derive(Debug)]
pub struct Wiki {
    scim: Scim,
    /// By address.
    keyrings: BTreeMap<&'static str, Keyring>,
    client: reqwest::Client,
}

/// One person's ways in, when the company started.
#[derive(Debug, Default)]
struct Keyring {
    id: String,
    password: String,
    sessions: Vec<String>,
    tokens: Vec<String>,
}

impl Wiki {
    /// Starts a wiki in which everybody has an account, sessions and tokens.
    ///
    /// # Errors
    /// When no port can be bound, or the wiki refuses a login.
    pub async fn start() -> io::Result<Self> {
        let scim = Scim::start().await?;
        let mut keyrings = BTreeMap::new();
        for worker in ALL {
            let password = secret("");
            let id = scim.add_user(worker.email, Some(worker.number), &password);
            let keyring = Keyring {
                id,
                password,
                ..Keyring::default()
            };
            keyrings.insert(worker.email, keyring);
        }
        let members: Vec<_> = keyrings.values().map(|keyring| keyring.id.as_str()).collect();
        for space in ["handbook", "roadmap", "incidents"] {
            scim.add_group(space, &members);
        }
        let mut wiki = Self {
            scim,
            keyrings,
            client: client(),
        };
        for worker in ALL {
            for _ in 0..worker.things {
                let session = wiki.session(&worker).await?;
                let token = wiki.made("tokens", Some(&session), &Value::Null, "token").await?;
                if let Some(keyring) = wiki.keyrings.get_mut(worker.email) {
                    keyring.sessions.push(session);
                    keyring.tokens.push(token);
                }
            }
        }
        Ok(wiki)
    }

    async fn session(&self, worker: &Worker) -> io::Result<String> {
        let form = self.form(worker);
        self.made("login", None, &form, "session").await
    }

    fn form(&self, worker: &Worker) -> Value {
        let password = self
            .keyrings
            .get(worker.email)
            .map(|keyring| keyring.password.as_str());
        json!({"userName": worker.email, "password": password})
    }

    /// Posts to the application and takes `key` out of the answer.
    async fn made(&self, path: &str, session: Option<&str>, form: &Value, key: &str) -> io::Result<String> {
        let mut request = self
            .client
            .post(format!("{}/app/{path}", self.scim.url()))
            .json(form);
        if let Some(session) = session {
            request = request.bearer_auth(session);
        }
        let answer = request.send().await.map_err(io::Error::other)?;
        let answer: Value = answer.json().await.map_err(io::Error::other)?;
        let made = answer[key].as_str().map(str::to_owned);
        made.ok_or_else(|| io::Error::other("the wiki refused a login at the start"))
    }

    /// The SCIM service behind the wiki.
    pub fn scim(&self) -> &Scim {
        &self.scim
    }

    /// Tries everything that `worker` could get in with when the company started.
    ///
    /// # Errors
    /// When the wiki gives no answer to a try.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let Some(keyring) = self.keyrings.get(worker.email) else {
            return Ok(Vec::new());
        };
        let client = &self.client;
        let request = client
            .post(format!("{}/app/login", self.scim.url()))
            .json(&self.form(worker));
        let mut made = vec![attempt(NAME, format!("password of {}", worker.email), request).await?];
        let kinds = [("session", &keyring.sessions), ("api token", &keyring.tokens)];
        for (kind, values) in kinds {
            for (n, value) in values.iter().enumerate() {
                let request = client
                    .get(format!("{}/app/me", self.scim.url()))
                    .bearer_auth(value);
                made.push(attempt(NAME, format!("{kind} {}", n + 1), request).await?);
            }
        }
        Ok(made)
    }
}
