//! Drives one leaver over one connector as `offboard run` does, from manifests and with its state in a folder.

use std::{collections::BTreeMap, fs, sync::Arc};

use jiff::Timestamp;
use offboard::{
    api::OffboardingStatus,
    cli::{
        local::{self, Links, Permissions},
        manifests::Manifests,
    },
    connectors::Shared,
    core::{
        case::Case,
        fact::{Sight, Verdict, Why},
    },
    drive::{Clock, Drive, Link, Memory, Outcome, Record, Scope, SystemClock, drive, folder::Folder, report},
};
use serde_json::{Value, json};

use crate::{
    support::{self, Scratch},
    trial::Moved,
};

/// The connector's name.
pub const SYSTEM: &str = "system";

/// One leaver and one connector, written as manifests.
pub struct Leaver {
    folder: Scratch,
    case: Case,
    state: Folder,
    record: Record,
    memory: Memory,
    /// The machine's clock; a test may move it.
    clock: Arc<Moved>,
    /// What the policy's and people's words make of the last pass.
    pub status: OffboardingStatus,
    /// What the systems are reached by, by row.
    pub links: BTreeMap<String, Link>,
    /// What the last pass found out.
    pub outcome: Option<Outcome>,
}

impl Leaver {
    /// `connector`, `offboarding` and `policy` are the specs; `secret` the keys of the connector's Secret.
    pub fn new(mut connector: Value, secret: &Value, offboarding: &Value, policy: &Value) -> Self {
        let folder = Scratch::new("leaver");
        let object = |kind: &str, name: &str, spec: &Value| {
            json!({
                "apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": { "name": name }, "spec": spec
            })
        };
        connector["secretRef"] = json!({ "name": "login" });
        let objects = [
            object("Connector", SYSTEM, &connector),
            object("Offboarding", &support::unique("leaver"), offboarding),
            object("OffboardingPolicy", "default", policy),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login", "annotations": support::scope("") }, "stringData": secret
            }),
        ];
        let manifests = folder.join("manifests");
        fs::create_dir_all(&manifests).unwrap();
        for (number, object) in objects.iter().enumerate() {
            fs::write(manifests.join(format!("{number}.json")), object.to_string()).unwrap();
        }
        Self::open(folder, Arc::default())
    }

    fn open(folder: Scratch, clock: Arc<Moved>) -> Self {
        let manifests = Manifests::read(&folder.join("manifests")).unwrap();
        assert_eq!(manifests.problems, []);
        let told = clock.clone();
        let assembly = Permissions::default().assembly();
        let assembly = assembly.with_clock(Arc::new(move || told.now()));
        let links = Links::new(&manifests, &assembly);
        let leaver = &manifests.offboardings[0];
        let state = Folder::open(&folder.join("state"), leaver.metadata.uid.as_deref().unwrap()).unwrap();
        let status = state.status().unwrap();
        let case = local::case(leaver, &manifests, &links, status.as_ref(), clock.now()).unwrap();
        Self {
            links: links.of(&case),
            record: state.record().unwrap(),
            case,
            folder,
            state,
            clock,
            memory: Memory::default(),
            status: status.unwrap_or_default(),
            outcome: None,
        }
    }

    /// Starts anew from what is on disk, as after a restart.
    pub fn restart(self) -> Self {
        let Self {
            folder, state, clock, ..
        } = self;
        drop(state);
        Self::open(folder, clock)
    }

    /// Changes the Offboarding and starts anew.
    pub fn changed(self, spec: Value) -> Self {
        let path = self.folder.join("manifests/1.json");
        let mut object: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        merge(&mut object["spec"], spec);
        fs::write(path, object.to_string()).unwrap();
        self.restart()
    }

    /// The connector.
    pub fn connector(&self) -> Shared {
        match &self.links[SYSTEM] {
            Link::Ready(connector) => connector.clone(),
            Link::Broken(_, text) => panic!("{text}"),
        }
    }

    /// One pass.
    pub async fn pass(&mut self) {
        let clock = self.clock.clone();
        let job = Drive {
            case: &self.case,
            links: &self.links,
            clock: clock.as_ref(),
            store: &self.state,
            scope: Scope::Due,
        };
        let outcome = drive(&job, &mut self.record, &mut self.memory).await;
        assert_eq!(outcome.store_fault, None);
        if let Some(manager) = &outcome.manager {
            self.case.know_manager(manager.who.as_ref());
        }
        self.status = report::status(&self.case, &outcome, &self.status, clock.now());
        self.state.save_status(&self.status).unwrap();
        self.outcome = Some(outcome);
    }

    /// Passes until nothing changes by itself within `seconds`.
    pub async fn settle(&mut self, seconds: i64) {
        let end = SystemClock
            .now()
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap();
        loop {
            self.pass().await;
            match self.outcome.as_ref().and_then(|outcome| outcome.wake) {
                Some(wake) if wake <= end => tokio::time::sleep(wait(wake)).await,
                _ => return,
            }
        }
    }

    /// As [`Self::settle`], with a clock that is moved forward instead of waiting, for at most `passes`.
    pub async fn settle_ahead(&mut self, passes: usize) {
        for _ in 0..passes {
            self.pass().await;
            match self.outcome.as_ref().and_then(|outcome| outcome.wake) {
                Some(wake) if !self.left().is_empty() => self.clock.reach(wake),
                _ => return,
            }
        }
    }

    /// What is known about `fact` of the row `row`.
    pub fn verdict_in(&self, row: &str, fact: &str) -> Verdict {
        self.facts(row)
            .find(|(name, ..)| name == fact)
            .map_or_else(|| panic!("no fact {fact} in {row}"), |(_, verdict, _)| verdict)
    }

    /// What is known about `fact`.
    pub fn verdict(&self, fact: &str) -> Verdict {
        self.verdict_in(SYSTEM, fact)
    }

    /// The system's own code in the fault that keeps `fact` from being true or known.
    pub fn fault(&self, fact: &str) -> String {
        match self.verdict(fact) {
            Verdict::Unmet(Why::Failed(fault)) | Verdict::Unknown(fault) => fault.to_string(),
            other => panic!("{fact}: {other:?}"),
        }
    }

    /// All facts that are neither proven nor not needed.
    pub fn left(&self) -> Vec<(String, Verdict)> {
        self.facts(SYSTEM)
            .filter(|(_, verdict, _)| !verdict.settled())
            .map(|(name, verdict, _)| (name, verdict))
            .collect()
    }

    /// Every fact with what is known about it.
    pub fn all(&self) -> Vec<(String, Verdict)> {
        let facts = self.facts(SYSTEM);
        facts.map(|(name, verdict, _)| (name, verdict)).collect()
    }

    /// `status/reason` of a condition of the whole.
    pub fn condition(&self, type_: &str) -> String {
        let found = self.status.conditions.iter().find(|row| row.type_ == type_);
        found.map_or_else(String::new, |row| format!("{:?}/{}", row.status, row.reason))
    }

    /// Now, by the leaver's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time passes.
    pub fn wait(&self, time: jiff::SignedDuration) {
        self.clock.reach(self.clock.now() + time);
    }

    /// The sentence for the plan.
    pub fn says(&self, fact: &str) -> String {
        let found = self.facts(SYSTEM).find(|(name, ..)| name == fact);
        found.and_then(|(_, _, sight)| sight).unwrap().says
    }

    fn facts(&self, row: &str) -> impl Iterator<Item = (String, Verdict, Option<Sight>)> {
        let rows = &self.outcome.as_ref().expect("a pass was made").rows;
        let row = rows.iter().find(|found| found.name == row);
        let row = row.unwrap_or_else(|| panic!("no such row; there are {rows:?}"));
        let facts = row.facts.clone().into_iter();
        facts.map(|state| (state.spec.name, state.verdict, state.sight))
    }

    /// The status after the last pass.
    pub fn status(&self) -> &OffboardingStatus {
        &self.status
    }

    /// What was there before we took it away.
    pub fn snapshot(&self, fact: &str) -> Value {
        self.snapshot_in(SYSTEM, fact)
    }

    /// The same in the row `row`; null when nothing was kept.
    pub fn snapshot_in(&self, row: &str, fact: &str) -> Value {
        let kept = &self.record.ledger.systems[row].snapshot;
        kept.get(fact).cloned().unwrap_or_default()
    }

    /// When access ends.
    pub fn cutoff(&self) -> Timestamp {
        self.case.cutoff
    }

    /// The durable id that was bound.
    pub fn bound(&self) -> Option<String> {
        let systems = &self.record.ledger.systems;
        systems[SYSTEM].account.as_ref().map(|bound| bound.id.clone())
    }

    /// The facts that somebody else undid, as the last pass saw it.
    pub fn drifted(&self) -> Vec<String> {
        self.outcome.as_ref().expect("a pass was made").rows[0]
            .drifted
            .clone()
    }

    /// Everything that was written about this leaver.
    pub fn written(&self) -> String {
        let mut text = String::new();
        let mut folders = vec![self.folder.join("state")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    text += &fs::read_to_string(entry.path()).unwrap_or_default();
                }
            }
        }
        text
    }
}

/// How long it is until then, and a moment at least.
pub fn wait(until: Timestamp) -> std::time::Duration {
    let left = until.duration_since(SystemClock.now());
    std::time::Duration::try_from(left)
        .unwrap_or_default()
        .max(std::time::Duration::from_millis(10))
}

/// Puts `more` into `into`: objects grow, anything else is replaced.
pub fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}
