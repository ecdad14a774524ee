//! Connected systems: find a person's account, look at it, change it.
//!
//! A connector cannot claim success: there is no `verify` and no `done`. It shows facts, and sends requests that
//! it was handed. Everything that decides is in [`crate::core`].
//!
//! # Why
//! `observe` returns raw readings and [`Connector::sight`] judges them without any call, so that the rules can
//! ask again about the same readings (with another instant, after a receipt) without touching the system.

pub mod assemble;
pub mod declarative;
pub(crate) mod delimited;
pub mod driver;
mod glob;
pub mod http;
pub mod job;
pub(crate) mod json;
pub mod ldap;
mod login;
mod password;
pub mod sftp;
pub mod sql;
pub mod transcript;

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use crate::{
    core::{
        codes::Codes,
        digest::digest_of,
        fact::{Act, FactSpec, Receipt, Sight, Truth},
        fault::Fault,
        identity::{Account, Person},
        ledger::SystemLedger,
        people::{Census, Reach},
        way_back::{WayBack, WaysBack},
    },
    transport::{callback::Callbacks, memory::Retained},
};

/// What a connector can do, fixed when it is built.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// The definition it was built from.
    pub definition: String,
    /// Its facts, in the definition's order.
    pub facts: Vec<FactSpec>,
    /// What the system has of a person that is not looked after.
    pub not_covered: Vec<String>,
    /// Which system it leads to: a digest of the origin, the inputs that identify the system and how the definition tells
    /// accounts apart. Another one means another system (R22).
    pub fingerprint: String,
}

/// The results of the reads of one look, by name of the read.
pub type Readings = BTreeMap<String, Result<Reading, Fault>>;

/// The value of a read, shared by all who keep it. The memory that it takes is counted for as long.
#[derive(Debug, Clone)]
pub struct Reading {
    value: Arc<Value>,
    _memory: Arc<Vec<Retained>>,
}

impl Reading {
    /// The value alone.
    pub fn shared(&self) -> Arc<Value> {
        Arc::clone(&self.value)
    }

    /// A value for which this memory is counted.
    pub fn counted(value: Value, memory: Vec<Retained>) -> Self {
        Self {
            value: Arc::new(value),
            _memory: Arc::new(memory),
        }
    }
}

/// A value that is counted elsewhere, or small.
impl From<Arc<Value>> for Reading {
    fn from(value: Arc<Value>) -> Self {
        Self {
            value,
            _memory: Arc::default(),
        }
    }
}

impl From<Value> for Reading {
    fn from(value: Value) -> Self {
        Self::counted(value, vec![])
    }
}

impl PartialEq for Reading {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Deref for Reading {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

/// Everything that a look at, or a change of, one account may refer to.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The leaver.
    pub who: Person,
    /// The bound account; `item` is what `find` showed in this pass, or `Null`.
    pub account: Account,
    /// The successor and their account in the same system, if both are known.
    pub successor: Option<(Person, Account)>,
    /// What was asked before, and the snapshot.
    pub ledger: SystemLedger,
    /// When access ends.
    pub cutoff: Timestamp,
    /// Now, by the caller's clock.
    pub now: Timestamp,
    /// Makes the keys of its acts.
    pub keys: Keys,
}

/// Makes the keys of one leaver's acts in one system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// `metadata.uid` of the Offboarding.
    pub case: String,
    /// The system's row.
    pub row: String,
}

impl Keys {
    /// The key of the act for `fact` of `account`.
    pub fn of(&self, account: &str, fact: &str) -> Key {
        let mut digest = digest_of([&self.case, &self.row, account, fact]);
        digest.truncate(32);
        Key(digest)
    }
}

/// The key that goes with an act, the same whenever the same act is sent again (R12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(pub String);

/// What goes with an act.
pub struct Order<'o> {
    /// The same whenever the same act is sent again.
    pub key: Key,
    wanted: &'o (dyn Fn() -> bool + Send + Sync),
}

impl<'o> Order<'o> {
    /// To be carried out for as long as `wanted` says so.
    pub fn new(key: Key, wanted: &'o (dyn Fn() -> bool + Send + Sync)) -> Self {
        Self { key, wanted }
    }

    /// Whether the next request may still be sent: an Offboarding may be deleted while an act of many requests goes on (S5).
    pub fn wanted(&self) -> bool {
        (self.wanted)()
    }
}

/// One connected system.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Its facts. Never changes during the connector's life.
    fn capabilities(&self) -> &Capabilities;

    /// A code of the system's as it is shown, by what its definition lists. Pure.
    fn shown_code(&self, code: &str) -> String {
        Codes::default().shown(code).into_owned()
    }

    /// Whether it is a directory that knows people's managers.
    fn knows_managers(&self) -> bool {
        false
    }

    /// The manager of the bound account; none when there is none, or nobody by whom others could know them. Changes nothing.
    async fn manager(&self, _subject: &Subject) -> Result<Option<Person>, Fault> {
        Ok(None)
    }

    /// All accounts of `who`. Zero and many are answers, not errors; an incomplete answer is a fault.
    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault>;

    /// Does the reads that `facts` rest on, each once and all at the same time, past every cache. Never changes
    /// anything. A read that fails is a fault under its own name and leaves the others alone.
    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings;

    /// The same for taking `facts` back, which may rest on further reads.
    async fn observe_back(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.observe(subject, facts).await
    }

    /// By what `find` asks for `who`, as the field names of a person: what it does not ask for nobody has looked for. Pure.
    fn looked_up_by(&self, who: &Person) -> Vec<&'static str> {
        let _ = who;
        vec![]
    }

    /// Whether the account that `readings` show is still known as the person's, by any key that they are known by (R22); true where
    /// nothing that was read shows it. Pure.
    ///
    /// # Errors
    /// `NeedsDecision/Ambiguous` when it has another employee number.
    fn recognise(&self, subject: &Subject, readings: &Readings) -> Result<bool, Fault> {
        let (_, _) = (subject, readings);
        Ok(true)
    }

    /// Whether the account that `readings` show must not be offboarded (R6); none where nothing that was read shows it. Pure.
    ///
    /// # Errors
    /// When that cannot be computed.
    fn protects(&self, subject: &Subject, readings: &Readings) -> Result<Option<bool>, Fault> {
        let (_, _) = (subject, readings);
        Ok(None)
    }

    /// Judges `fact` by `readings`. Pure: no call. A read that is not among them makes it `NotRead`.
    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight;

    /// How `fact` is taken back by today's definition, for the record to keep; none where it cannot be, or where that never changes.
    fn way_back(&self, fact: &str) -> Option<WayBack> {
        let _ = fact;
        None
    }

    /// For each fact that `ways_back`, which the record kept, take back in another way than today's the connector that does it so.
    fn of_their_time(&self, ways_back: &WaysBack) -> BTreeMap<String, Shared> {
        let _ = ways_back;
        BTreeMap::new()
    }

    /// Whether `fact` can be taken back at all.
    fn can_undo(&self, fact: &str) -> bool {
        let _ = fact;
        false
    }

    /// The requests that take `fact` back by the snapshot, for a reinstatement; none when the readings show that nothing is
    /// to be brought back, or not any more. Of a list only the elements that are missing are brought back.
    /// Pure, as [`Connector::sight`]; the readings are those of `fact`.
    ///
    /// # Errors
    /// What the readings show instead, when the requests cannot be made of them.
    fn undo(&self, subject: &Subject, fact: &str, readings: &Readings) -> Result<Option<Act>, Truth> {
        let (_, _, _) = (subject, fact, readings);
        Ok(None)
    }

    /// Where the system may say later what became of an act.
    fn callbacks(&self) -> Option<&Callbacks> {
        None
    }

    /// Sends the requests of `act`. Never reads to find out whether they worked, never waits for an operation.
    /// Sending the same act with the same `key` again is safe for every fact that is `repeatable`.
    /// One that is not wanted any more ends between two requests.
    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault>;
}

/// A shared connector.
pub type Shared = Arc<dyn Connector>;

/// An HR system: who works here, and until when.
#[async_trait]
pub trait People: Send + Sync {
    /// The worker records, read past every cache, all pages of them.
    ///
    /// # Errors
    /// When the answer is not complete: half a list is no list (R2).
    async fn census(&self, reach: Reach) -> Result<Census, Fault>;
}
