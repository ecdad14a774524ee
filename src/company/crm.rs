//! The company's CRM: a Salesforce organisation with people's logins, sessions, connected apps and records.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::{
    http::{Attempt, attempt, client},
    people::{ALL, JANE, Worker, secret},
};
use offboard_simulators::salesforce::Salesforce;

/// Name of the system.
pub const NAME: &str = "crm";

/// A running CRM.
#[derive(Debug)]
pub struct Crm {
    salesforce: Salesforce,
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
    /// App and refresh token.
    apps: Vec<(&'static str, String)>,
}

impl Crm {
    /// Starts a CRM in which everybody has an account, sessions, a connected app and records.
    ///
    /// # Errors
    /// When no port can be bound, or the CRM refuses a login.
    pub async fn start() -> io::Result<Self> {
        let mut crm = Self {
            salesforce: Salesforce::start().await?,
            keyrings: BTreeMap::new(),
            client: client(),
        };
        for worker in ALL {
            let mut keyring = crm.hire(worker);
            for _ in 0..worker.things {
                keyring
                    .sessions
                    .push(crm.log_in(worker.email, &keyring.password).await?);
            }
            crm.keyrings.insert(worker.email, keyring);
        }
        Ok(crm)
    }

    fn hire(&self, worker: Worker) -> Keyring {
        let password = secret("");
        let id = self.salesforce.add_user(worker.email, worker.email, &password);
        self.salesforce.set(
            "User",
            &id,
            &json!({"EmployeeNumber": worker.number, "Name": worker.name}),
        );
        let leaves = worker == JANE;
        for (object, count) in [("Account", 20), ("Opportunity", 12), ("Case", 6)] {
            for n in 0..(if leaves { count } else { 3 }) {
                let name = format!("{object} {n} of {}", worker.name);
                let record = json!({"Name": name, "OwnerId": id, "IsClosed": false});
                self.salesforce.add(object, record);
            }
        }
        self.salesforce.assign_permission_set(&id, "Sales", false);
        self.salesforce.add_to_group(&id, "Central region", "Queue");
        let apps = ["mobile app", "spreadsheet add-in"];
        let apps = apps.into_iter().take(worker.things);
        Keyring {
            apps: apps
                .map(|app| (app, self.salesforce.authorize_app(&id, app)))
                .collect(),
            id,
            password,
            sessions: Vec::new(),
        }
    }

    async fn log_in(&self, username: &str, password: &str) -> io::Result<String> {
        let answer = self
            .login(username, password)
            .send()
            .await
            .map_err(io::Error::other)?;
        let answer: Value = answer.json().await.map_err(io::Error::other)?;
        let session = answer["session"].as_str().map(str::to_owned);
        session.ok_or_else(|| io::Error::other("the CRM refused a login at the start"))
    }

    fn login(&self, username: &str, password: &str) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/login", self.salesforce.url()))
            .json(&json!({"username": username, "password": password}))
    }

    /// The organisation behind the CRM.
    pub fn salesforce(&self) -> &Salesforce {
        &self.salesforce
    }

    /// How many records belong to `worker`.
    pub fn owned_by(&self, worker: &Worker) -> usize {
        let Some(keyring) = self.keyrings.get(worker.email) else {
            return 0;
        };
        let objects = ["Account", "Opportunity", "Case"];
        objects
            .iter()
            .map(|object| self.salesforce.count(object, "OwnerId", &keyring.id))
            .sum()
    }

    /// Makes the account of `worker` active again, as an administrator of the CRM would by hand.
    pub fn reactivate(&self, worker: &Worker) {
        let Some(keyring) = self.keyrings.get(worker.email) else {
            return;
        };
        self.salesforce
            .set("User", &keyring.id, &json!({"IsActive": true}));
        let logins: Vec<String> = self.salesforce.world().truth(|state| {
            let own = |record: &Value| record.as_str() == Some(&keyring.id);
            let logins = state.rows("UserLogin");
            logins
                .filter(|(_, login)| login.get("UserId").is_some_and(own))
                .map(|(id, _)| id.to_owned())
                .collect()
        });
        for login in logins {
            self.salesforce
                .set("UserLogin", &login, &json!({"IsFrozen": false}));
        }
    }

    /// Tries everything that `worker` could get in with when the company started.
    ///
    /// # Errors
    /// When the CRM gives no answer to a try.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let Some(keyring) = self.keyrings.get(worker.email) else {
            return Ok(Vec::new());
        };
        let login = self.login(worker.email, &keyring.password);
        let mut made = vec![attempt(NAME, format!("password of {}", worker.email), login).await?];
        for (n, session) in keyring.sessions.iter().enumerate() {
            let url = format!("{}/services/oauth2/userinfo", self.salesforce.url());
            let request = self.client.get(url).bearer_auth(session);
            made.push(attempt(NAME, format!("session {}", n + 1), request).await?);
        }
        for (app, token) in &keyring.apps {
            let url = format!("{}/services/oauth2/token", self.salesforce.url());
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", self.salesforce.client_id()),
                ("refresh_token", token),
            ];
            let request = self.client.post(url).form(&form);
            made.push(attempt(NAME, format!("{app}'s token"), request).await?);
        }
        Ok(made)
    }
}
