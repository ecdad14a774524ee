//! A namespace with twelve connectors in it, the operator in a process of its own with the chart's rights, and a watch that
//! says when each leaver's access was shown as gone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use kube::{Api, Client, api::PostParams};
use offboard::api::{
    Offboarding, OffboardingSpec,
    offboarding::{Cutoff, Employee},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    site::{Operator, Site},
    systems::Systems,
};
use crate::support::{Write, control_plane};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(4);

/// One leaver on the way.
#[derive(Clone, Copy, Debug)]
pub struct Leaver {
    pub number: usize,
    /// Just before the request that creates the Offboarding is sent.
    pub applied: Instant,
    /// When `AccessRevoked=True` arrived at our watch.
    pub revoked: Option<Instant>,
    /// When `Ready=True` arrived.
    pub ready: Option<Instant>,
}

type Seen = Arc<Mutex<BTreeMap<usize, (Option<Instant>, Option<Instant>)>>>;

/// A running company.
pub struct Company {
    pub site: Site,
    pub operator: Operator,
    api: Api<Offboarding>,
    seen: Seen,
    watching: tokio::task::JoinHandle<()>,
}

impl Company {
    /// Connects all systems, starts the operator, and drives one leaver so that every login has been tried. With `limit`
    /// the Connectors are told how many requests a second their systems take; with `deadline` a request takes no longer.
    pub async fn found(stem: &str, systems: &Systems, limit: Option<u32>, deadline: &str) -> Self {
        let site = Site::new(stem);
        let login = "auth: { bearer: {} }";
        let definition = include_str!("definition.yaml");
        site.apply(&definition.replace(login, &format!("{login}\n    deadline: {deadline}")));
        site.secret("systems", "token", "a token that nobody checks");
        let named = [
            "annotate",
            "--overwrite",
            "secret",
            "systems",
            "offboard.dev/definitions=simulated",
        ];
        site.kubectl(&named, "").expect_ok();
        let limits = limit.map_or_else(|| json!({}), |limit| json!({"requestsPerSecond": limit}));
        for (number, url) in systems.urls.iter().enumerate() {
            let connector = json!({
                "apiVersion": "offboard.dev/v1alpha1", "kind": "Connector",
                "metadata": {"name": format!("system-{number}")},
                "spec": {
                    "definition": "simulated", "inputs": {"url": url},
                    "secretRef": {"name": "systems"}, "limits": limits,
                },
            });
            site.apply(&connector.to_string());
        }
        let operator = site.start_logging("info");
        let client = control_plane().client().await;
        let seen = Seen::default();
        let watching = tokio::spawn(watch(client.clone(), site.namespace.clone(), seen.clone()));
        let api = Api::namespaced(client, &site.namespace);
        let company = Self {
            site,
            operator,
            api,
            seen,
            watching,
        };
        let warm = company.apply(0).await;
        company.until_ready(&mut [warm]).await;
        for number in 0..systems.urls.len() {
            company
                .site
                .until(&format!("connector/system-{number}"), "Ready", "True/LoginOK");
        }
        company
    }

    /// Creates the Offboarding of a leaver whose last day is over.
    pub async fn apply(&self, number: usize) -> Leaver {
        let spec: OffboardingSpec = serde_json::from_value(json!({
            "employee": Employee { email: Some(format!("leaver-{number}@bench.test")), ..Employee::default() },
            "lastDay": "2026-01-31",
            "cutoff": Cutoff { time: None, time_zone: Some("UTC".to_owned()) },
        }))
        .expect("a sound spec");
        let offboarding = Offboarding::new(&format!("leaver-{number}"), spec);
        let applied = Instant::now();
        self.api
            .create(&PostParams::default(), &offboarding)
            .await
            .expect("the API server takes it");
        Leaver {
            number,
            applied,
            revoked: None,
            ready: None,
        }
    }

    /// Creates many, a few at the same time as `kubectl apply` of a folder would.
    pub async fn apply_all(&self, numbers: impl Iterator<Item = usize>) -> Vec<Leaver> {
        let creating = futures::stream::iter(numbers).map(|number| self.apply(number));
        creating.buffer_unordered(32).collect().await
    }

    /// Waits until all of them are shown as ready.
    pub async fn until_ready(&self, leavers: &mut [Leaver]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = {
                let seen = self.seen.lock().expect("the watch does not panic");
                for leaver in leavers.iter_mut() {
                    (leaver.revoked, leaver.ready) = seen.get(&leaver.number).copied().unwrap_or_default();
                }
                leavers
                    .iter()
                    .filter(|l| l.ready.is_none() || l.revoked.is_none())
                    .count()
            };
            if left == 0 {
                return;
            }
            assert!(
                Instant::now() < end,
                "{left} leavers are not ready, one of them: {:#}",
                self.site.get(&format!(
                    "offboarding/leaver-{}",
                    leavers.iter().find(|l| l.ready.is_none()).map_or(0, |l| l.number)
                ))["status"]["conditions"]
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// What the operator wrote about leavers.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.site.writes();
        writes
            .retain(|w| !w.resource.starts_with("connector") && !w.resource.starts_with("offboardingpolic"));
        writes
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

#[derive(Deserialize)]
struct Line {
    object: Shown,
}

#[derive(Deserialize)]
struct Shown {
    metadata: Named,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

/// Notes when conditions were first seen to be true. Reads no more of a line than that needs.
async fn watch(client: Client, namespace: String, seen: Seen) {
    loop {
        let path = format!(
            "/apis/offboard.dev/v1alpha1/namespaces/{namespace}/offboardings?watch=1&timeoutSeconds=280&resourceVersion=0"
        );
        let request = axum::http::Request::get(path).body(vec![]).expect("a sound path");
        let lines = client
            .request_stream(request)
            .await
            .expect("the API server lets us watch")
            .lines();
        futures::pin_mut!(lines);
        while let Ok(Some(line)) = lines.try_next().await {
            let at = Instant::now();
            let Ok(Line { object }) = serde_json::from_str(&line) else {
                continue;
            };
            let Some(number) = object
                .metadata
                .name
                .strip_prefix("leaver-")
                .and_then(|n| n.parse().ok())
            else {
                continue;
            };
            let is = |name: &str| {
                object
                    .status
                    .conditions
                    .iter()
                    .any(|c| c.type_ == name && c.status == "True")
            };
            let mut seen = seen.lock().expect("nobody panics with it");
            let (revoked, ready) = seen.entry(number).or_default();
            if is("AccessRevoked") {
                revoked.get_or_insert(at);
            }
            if is("Ready") {
                ready.get_or_insert(at);
            }
        }
    }
}
