//! Drives one leaver in one system through the whole loop, from manifests and with its state in a folder.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::{Connector, Offboarding, OffboardingPolicy},
    cli::{
        local::{Links, Local},
        manifests::Manifests,
    },
    connectors::assemble::Assembly,
    core::fact::Verdict,
    drive::{Clock, Row, Scope, SystemClock},
    transport::secret::Credentials,
};
use serde_json::{Value, json};

use crate::support::{self, Scratch};

/// The one connector of these manifests.
const NAME: &str = "system";

/// A connector, as its manifest would say it.
pub struct System<'a> {
    pub definition: &'a str,
    pub inputs: Value,
    pub secret: Vec<(&'a str, String)>,
    /// Optional facts that are wanted, at the cutoff.
    pub include: &'a [&'a str],
}

/// One leaver on the way.
pub struct Driven {
    manifests: Manifests,
    links: Links,
    local: Local,
    state: Scratch,
    row: Option<Row>,
}

impl Driven {
    /// Somebody who leaves now. `spec` is what the Offboarding says beyond that.
    pub fn leaver(system: &System<'_>, spec: Value) -> Self {
        let name = support::unique("leaver");
        let connector: Connector = made(json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Connector", "metadata": {"name": NAME},
            "spec": {
                "definition": system.definition, "inputs": system.inputs, "secretRef": {"name": NAME},
                "facts": {"include": system.include},
            },
        }));
        let mut policy = json!({"retention": {"accounts": "0s"}});
        if !system.include.is_empty() {
            policy["timeline"] = json!([{"want": system.include, "at": "cutoff"}]);
        }
        let policy: OffboardingPolicy = made(json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "OffboardingPolicy", "metadata": {"name": "default"},
            "spec": policy,
        }));
        let mut leaver = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
            "metadata": {"name": name, "uid": name, "generation": 1},
            "spec": {"urgency": "Immediate"},
        });
        for (field, value) in spec.as_object().unwrap() {
            leaver["spec"][field] = value.clone();
        }
        let secret = system
            .secret
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes()));
        let manifests = Manifests {
            offboardings: vec![made::<Offboarding>(leaver)],
            connectors: BTreeMap::from([(NAME.to_owned(), connector)]),
            policies: BTreeMap::from([("default".to_owned(), policy)]),
            secrets: BTreeMap::from([(NAME.to_owned(), Credentials::from_data(secret, "1"))]),
            ..Manifests::default()
        };
        let links = Links::new(&manifests, &Assembly::default());
        let state = Scratch::new("state");
        let local = Local::open(
            &manifests.offboardings[0],
            &manifests,
            &links,
            &state,
            SystemClock.now(),
        );
        Self {
            local: local.unwrap(),
            manifests,
            links,
            state,
            row: None,
        }
    }

    /// The same leaver in a new process: what was not durable is forgotten.
    pub fn restart(&mut self) {
        let leaver = &self.manifests.offboardings[0];
        self.links = Links::new(&self.manifests, &Assembly::default());
        // The state is locked while it is open.
        let elsewhere = Scratch::new("state");
        let other = Local::open(
            leaver,
            &self.manifests,
            &self.links,
            &elsewhere,
            SystemClock.now(),
        );
        drop(std::mem::replace(&mut self.local, other.unwrap()));
        let local = Local::open(
            leaver,
            &self.manifests,
            &self.links,
            &self.state,
            SystemClock.now(),
        );
        drop(std::mem::replace(&mut self.local, local.unwrap()));
    }

    /// One pass.
    pub async fn pass(&mut self) {
        let outcome = self.local.pass(Scope::Due, &SystemClock).await.unwrap();
        // A named account has a row of its own, behind the one that is found by who the leaver is.
        self.row = outcome.rows.into_iter().next_back();
    }

    /// Passes until every fact but `others` is settled, or nothing will change by itself soon.
    pub async fn follow(&mut self, others: &[&str]) {
        let give_up = SystemClock.now() + SignedDuration::from_secs(30);
        loop {
            self.pass().await;
            let row = self.row.as_ref().unwrap();
            let left = |name: &str| !others.contains(&name);
            if row
                .facts
                .iter()
                .all(|(fact, verdict, _)| verdict.settled() || !left(&fact.name))
            {
                return;
            }
            let now = SystemClock.now();
            match row.wake {
                Some(wake) if wake < give_up => {
                    let wait = Duration::try_from(wake.duration_since(now)).unwrap_or_default();
                    tokio::time::sleep(wait.max(Duration::from_millis(20))).await;
                }
                _ => return,
            }
        }
    }

    /// Follows to the end and says that every fact is settled.
    #[track_caller]
    pub fn assert_done(&self) {
        let open: Vec<String> = self
            .facts()
            .filter(|(_, verdict)| !verdict.settled())
            .map(|(name, verdict)| format!("{name}: {verdict:?}"))
            .collect();
        assert!(open.is_empty(), "{open:#?}");
    }

    /// What is known about `fact`.
    #[track_caller]
    pub fn verdict(&self, fact: &str) -> &Verdict {
        let found = self.facts().find(|(name, _)| *name == fact);
        found.unwrap_or_else(|| panic!("no fact {fact}")).1
    }

    fn facts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let row = self.row.as_ref().expect("a pass was made");
        row.facts
            .iter()
            .map(|(fact, verdict, _)| (fact.name.as_str(), verdict))
    }

    /// The last pass's row.
    pub fn row(&self) -> &Row {
        self.row.as_ref().expect("a pass was made")
    }

    /// The snapshot of `fact`.
    pub fn snapshot(&self, fact: &str) -> Value {
        let system = &self.local.record().ledger.systems[&self.row().name];
        system.snapshot.get(fact).cloned().unwrap_or_default()
    }

    /// When access ends.
    pub fn cutoff(&self) -> Timestamp {
        self.local.case.cutoff
    }
}

fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_path_to_error::deserialize(&value).unwrap_or_else(|error| panic!("{error}"))
}
