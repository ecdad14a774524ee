//! A [`Leaver`] in one system with one question: is everything settled.

use jiff::{SignedDuration, Timestamp};
use offboard::{
    core::fact::Verdict,
    drive::{Clock, Row, SystemClock},
};
use serde_json::{Map, Value, json};

use crate::leaver::{Leaver, wait};

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
    /// None only while it starts anew.
    leaver: Option<Leaver>,
}

impl Driven {
    /// Somebody who leaves now. `spec` is what the Offboarding says beyond that.
    pub fn leaver(system: &System<'_>, spec: Value) -> Self {
        let connector = json!({
            "definition": system.definition, "inputs": system.inputs, "facts": {"include": system.include},
        });
        let mut policy = json!({"retention": {"accounts": "0s"}});
        if !system.include.is_empty() {
            policy["timeline"] = json!([{"want": system.include, "at": "cutoff"}]);
        }
        let mut leaver = json!({"urgency": "Immediate"});
        for (field, value) in spec.as_object().unwrap() {
            leaver[field] = value.clone();
        }
        let secret = system.secret.iter();
        let secret: Map<_, _> = secret
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        Self {
            leaver: Some(Leaver::new(connector, &Value::Object(secret), &leaver, &policy)),
        }
    }

    /// The same leaver in a new process: what was not durable is forgotten.
    pub fn restart(&mut self) {
        self.leaver = self.leaver.take().map(Leaver::restart);
    }

    /// The same with a changed Offboarding.
    pub fn changed(&mut self, spec: Value) {
        self.leaver = self.leaver.take().map(|leaver| leaver.changed(spec));
    }

    fn inner(&self) -> &Leaver {
        self.leaver.as_ref().expect("it has started")
    }

    /// One pass.
    pub async fn pass(&mut self) {
        self.leaver.as_mut().expect("it has started").pass().await;
    }

    /// Passes until every fact but `others` is settled, or nothing will change by itself soon.
    pub async fn follow(&mut self, others: &[&str]) {
        let give_up = SystemClock.now() + SignedDuration::from_secs(30);
        loop {
            self.pass().await;
            let done = |(name, verdict): (&str, &Verdict)| verdict.settled() || others.contains(&name);
            if self.facts().all(done) {
                return;
            }
            match self.row().wake {
                Some(wake) if wake < give_up => tokio::time::sleep(wait(wake)).await,
                _ => return,
            }
        }
    }

    /// Says that every fact is settled.
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
        let facts = self.row().facts.iter();
        facts.map(|state| (state.spec.name.as_str(), &state.verdict))
    }

    /// The last pass's row: a named account has one of its own, behind the one that is found by who the leaver is.
    pub fn row(&self) -> &Row {
        let outcome = self.inner().outcome.as_ref();
        outcome
            .and_then(|outcome| outcome.rows.last())
            .expect("a pass was made")
    }

    /// The snapshot of `fact`.
    pub fn snapshot(&self, fact: &str) -> Value {
        self.inner().snapshot_in(&self.row().name, fact)
    }

    /// When access ends.
    pub fn cutoff(&self) -> Timestamp {
        self.inner().cutoff()
    }
}
