//! Drives one leaver through one built-in definition over real sockets, with a clock that a test can move.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use offboard::{
    api::{OffboardingStatus, definition::ConnectorDefinitionSpec},
    connectors::{
        Key, Keys, Order, Shared, Subject,
        declarative::{Declarative, Definition, Options, ResolvedDriver, builtin, parse},
        http::HttpDriver,
    },
    core::{
        case::{Case, System, Timeline},
        fact::{FactSpec, Verdict},
        fault::Fault,
        gate::Vote,
        identity::{Account, Person},
        people::{Census, Worker},
        task::Attestation,
    },
    drive::{Clock, Drive, Interim, Link, Memory, Outcome, Record, Scope, Store, drive, report},
    transport::{dial::Dialer, secret::Credentials},
};
use serde_json::Value;

/// The machine's clock, and how far a test has moved it.
#[derive(Debug, Default)]
pub struct Moved(AtomicI64);

impl Moved {
    /// Moves it forward to `to`.
    pub fn reach(&self, to: Timestamp) {
        let ahead = to.as_millisecond() - self.now().as_millisecond();
        self.0.fetch_add(ahead.max(0) + 1, Ordering::Relaxed);
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Keeps the record in memory.
#[derive(Default)]
struct Kept(Mutex<Record>);

#[async_trait]
impl Store for Kept {
    async fn save(&self, record: &Record) -> Result<(), Fault> {
        *self.0.lock().unwrap() = record.clone();
        Ok(())
    }
    fn current(&self) -> bool {
        true
    }
    async fn confirm(&self, _: &[&Vote]) -> Result<bool, Fault> {
        Ok(true)
    }
    async fn progress(&self, _: &Interim) {}
}

/// One leaver in one system.
pub struct Trial {
    clock: Arc<Moved>,
    store: Kept,
    case: Case,
    links: BTreeMap<String, Link>,
    record: Record,
    memory: Memory,
    last: Option<Outcome>,
}

/// What a trial needs to know.
pub struct Setup<'a> {
    /// A built-in definition.
    pub definition: &'a str,
    /// Changes it first.
    pub edit: fn(&mut ConnectorDefinitionSpec),
    /// Its inputs.
    pub inputs: Value,
    /// Its secret.
    pub secret: Vec<(&'a str, String)>,
    /// Optional facts that are wanted.
    pub include: &'a [&'a str],
    /// Protected ids or names.
    pub protected: &'a [&'a str],
    /// Who leaves.
    pub who: Person,
    /// Who takes over.
    pub successor: Option<Person>,
}

impl<'a> Setup<'a> {
    /// A leaver known by address.
    pub fn new(definition: &'a str, inputs: Value, secret: (&'a str, &str), email: &str) -> Self {
        Self {
            definition,
            edit: |_| {},
            inputs,
            secret: vec![(secret.0, secret.1.to_owned())],
            include: &[],
            protected: &[],
            who: person(email),
            successor: None,
        }
    }
}

/// A person known by address.
pub fn person(email: &str) -> Person {
    Person {
        email: Some(email.to_owned()),
        ..Person::default()
    }
}

impl Trial {
    pub fn new(setup: &Setup<'_>) -> Self {
        let clock = Arc::new(Moved::default());
        let connector = Arc::new(connector(setup, &clock));
        let mut trial = Self::over(connector, setup.who.clone(), clock);
        trial.case.systems[0].successor.clone_from(&setup.successor);
        trial
    }

    /// A leaver in a system that is connected already.
    pub fn over(connector: Shared, who: Person, clock: Arc<Moved>) -> Self {
        let now = clock.now();
        let facts = connector.capabilities().facts.clone();
        Self {
            case: case(who, &facts, now),
            links: [("system".to_owned(), Link::Ready(connector))].into(),
            clock,
            store: Kept::default(),
            record: Record::default(),
            memory: Memory::default(),
            last: None,
        }
    }

    /// One pass.
    pub async fn pass(&mut self) {
        let drive_now = Drive {
            case: &self.case,
            links: &self.links,
            clock: self.clock.as_ref(),
            store: &self.store,
            scope: Scope::Due,
        };
        self.last = Some(drive(&drive_now, &mut self.record, &mut self.memory).await);
    }

    /// Passes, each at the moment when the last one wanted to come back, until everything is settled or `most` passes were
    /// made. Whether all is settled.
    pub async fn settles(&mut self, most: usize) -> bool {
        for _ in 0..most {
            self.pass().await;
            let last = self.last.as_ref().unwrap();
            let settled = last.rows[0].facts.iter().all(|state| state.verdict.settled());
            if settled && !last.rows[0].facts.is_empty() {
                return true;
            }
            match last.wake {
                Some(wake) => self.clock.reach(wake),
                None => return false,
            }
        }
        false
    }

    /// Takes back whatever was asked for and can be taken back, the last first, as a reinstatement does.
    pub async fn take_back(&mut self) {
        let Link::Ready(connector) = self.links["system"].clone() else {
            panic!("broken")
        };
        let ledger = self.ledger().clone();
        let bound = ledger.account.clone().unwrap();
        let subject = Subject {
            who: self.case.who.clone(),
            account: Account {
                id: bound.id,
                name: bound.name,
                item: Value::Null.into(),
                doubt: None,
                keys: vec![],
            },
            successor: None,
            cutoff: self.case.cutoff,
            now: self.clock.now(),
            ledger,
            keys: Keys::default(),
        };
        for fact in connector.capabilities().facts.iter().rev() {
            if subject.ledger.fact(&fact.name).accepted.is_none() {
                continue;
            }
            let readings = connector.observe(&subject, &[&fact.name]).await;
            let undo = connector.undo(&subject, &fact.name, &readings);
            if let Some(act) = undo.unwrap_or_else(|truth| panic!("{}: {truth:?}", fact.name)) {
                let order = Order::new(Key("undo".into()), &|| true);
                connector.act(&subject, &act, &order).await.unwrap();
            }
        }
    }

    /// What is known about a fact.
    pub fn verdict(&self, fact: &str) -> Verdict {
        let row = &self.last.as_ref().unwrap().rows[0];
        let found = row.facts.iter().find(|state| state.spec.name == fact);
        found
            .unwrap_or_else(|| panic!("no fact {fact}; {:?}", row.trouble))
            .verdict
            .clone()
    }

    /// Every fact with what is known about it, for messages.
    pub fn all(&self) -> Vec<(String, Verdict)> {
        let row = &self.last.as_ref().unwrap().rows[0];
        row.facts
            .iter()
            .map(|state| (state.spec.name.clone(), state.verdict.clone()))
            .collect()
    }

    /// Somebody says now that a task is done.
    pub fn attest(&mut self, fact: &str, by: &str) {
        let word = Attestation {
            by: by.to_owned(),
            at: self.clock.now(),
            plan: "sha256:0".to_owned(),
        };
        self.case.systems[0].attested.insert(fact.to_owned(), word);
    }

    /// The status after the last pass.
    pub fn status(&self) -> OffboardingStatus {
        let last = self.last.as_ref().unwrap();
        report::status(&self.case, last, &OffboardingStatus::default(), self.clock.now())
    }

    /// Reason of the condition `Ready`, and whether the leaver counts as stalled.
    pub fn ready(&self) -> (String, bool) {
        let conditions = self.status().conditions;
        let ready = conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        let stalled = conditions.iter().any(|c| c.type_ == "Stalled");
        (ready.reason.clone(), stalled)
    }

    /// What is in the evidence about a fact.
    pub fn evidence(&self, fact: &str) -> Vec<String> {
        let about = self.record.evidence.iter().filter(|entry| entry.fact == fact);
        about.map(|entry| entry.event.clone()).collect()
    }

    /// A new process: what is not durable is forgotten.
    pub fn restart(&mut self) {
        self.record = self.store.0.lock().unwrap().clone();
        self.memory = Memory::default();
    }

    /// As [`Self::restart`], after a crash before any receipt was durable.
    pub fn restart_without_receipts(&mut self) {
        self.restart();
        for fact in self
            .record
            .ledger
            .systems
            .get_mut("system")
            .unwrap()
            .facts
            .values_mut()
        {
            (fact.accepted, fact.accepted_there) = (None, None);
        }
    }

    /// HR says now that access ends now.
    pub fn end_now(&mut self) {
        self.case.cutoff = self.clock.now();
    }

    /// The facts that somebody else undid, as the last pass saw it.
    pub fn drifted(&self) -> &[String] {
        &self.last.as_ref().unwrap().rows[0].drifted
    }

    /// What is durable about the system.
    pub fn ledger(&self) -> &offboard::core::ledger::SystemLedger {
        &self.record.ledger.systems["system"]
    }

    /// Wants a fact that is not wanted by default.
    pub fn want(&mut self, fact: &str) {
        let now = self.clock.now();
        let at = offboard::core::case::Wanted::At(now);
        self.case.systems[0].wanted.insert(fact.to_owned(), at);
    }

    /// Now, by the leaver's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time passes.
    pub fn wait(&self, seconds: i64) {
        self.clock
            .reach(self.clock.now() + SignedDuration::from_secs(seconds));
    }
}

/// What an HR system says of one person.
pub fn of<'c>(census: &'c Census, person: &str) -> Vec<&'c Worker> {
    let workers = census.workers.iter();
    workers
        .map(Box::as_ref)
        .filter(|worker| worker.person == person)
        .collect()
}

/// An HR system, by a built-in definition that `edit` changes first.
pub fn people(
    definition: &str,
    edit: fn(&mut ConnectorDefinitionSpec),
    inputs: Value,
    secret: &[(&str, &str)],
) -> Declarative {
    let mut setup = Setup::new(definition, inputs, ("", ""), "");
    setup.edit = edit;
    setup.secret = secret
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned()))
        .collect();
    connector(&setup, &Arc::default())
}

fn connector(setup: &Setup<'_>, clock: &Arc<Moved>) -> Declarative {
    let (name, mut spec) = parse(builtin(setup.definition).unwrap()).unwrap();
    (setup.edit)(&mut spec);
    let definition = Definition::compile(&name, spec).unwrap_or_else(|problems| panic!("{problems}"));
    let inputs: BTreeMap<String, Value> = serde_json::from_value(setup.inputs.clone()).unwrap();
    let resolved = definition
        .resolve_driver(&inputs)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let ResolvedDriver::Http(config) = resolved else {
        panic!("not http")
    };
    let secret = setup
        .secret
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone().into_bytes()));
    let told = clock.clone();
    let told: offboard::transport::Clock = Arc::new(move || told.now());
    let limit = HttpDriver::limit(&config, told.clone());
    let driver = HttpDriver::new(
        &config,
        Credentials::from_data(secret, "1"),
        limit,
        told,
        (&Dialer::trusted(), false),
    )
    .unwrap();
    let options = Options {
        include: setup.include.iter().map(|name| (*name).to_owned()).collect(),
        protected: setup.protected.iter().map(|name| (*name).to_owned()).collect(),
        ..Options::default()
    };
    definition
        .build(&inputs, options, Arc::new(driver))
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn case(who: Person, facts: &[FactSpec], now: Timestamp) -> Case {
    let timeline = Timeline::default();
    let system = System {
        row: "system".to_owned(),
        who: who.clone(),
        wanted: facts
            .iter()
            .map(|fact| (fact.name.clone(), timeline.wanted(fact, now)))
            .collect(),
        ..System::default()
    };
    Case {
        uid: "uid".into(),
        name: "jane".into(),
        generation: 1,
        who,
        cutoff: now,
        access_deadline: now + SignedDuration::from_hours(1),
        enforce: true,
        suspended: false,
        legal_hold: false,
        recheck_until: now + SignedDuration::from_hours(24),
        recheck_every: SignedDuration::from_mins(15),
        systems: vec![system],
        ..Case::default()
    }
}
