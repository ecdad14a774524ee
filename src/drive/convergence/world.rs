//! A simulated system that misbehaves from a seed, and remembers the truth.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::outage::Outage;
use crate::{
    connectors::{Capabilities, Connector, Order, Reading, Readings, Subject},
    core::{
        fact::{Act, Class, FactSpec, Proof, Receipt, Sight, Truth},
        fault::{Fault, FaultKind, Reason},
        identity::{Account, Person},
        kept::There,
        ledger::SystemLedger,
        mutants::{Bug, planted},
        schedule::mix,
    },
    drive::{Clock, Record},
};

/// How long a read may show the past in this world.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(20);

/// How long an account is kept after everything is handed over.
pub const RETENTION: SignedDuration = SignedDuration::from_mins(5);

/// Virtual time: tokio's paused clock, counted from a fixed instant.
pub struct VirtualClock(pub tokio::time::Instant);

/// 2026-11-23T12:00:00Z.
pub fn epoch() -> Timestamp {
    const { Timestamp::constant(1_795_435_200, 0) }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.0.elapsed()).unwrap();
        epoch().checked_add(elapsed).unwrap()
    }
}

/// A seeded random source.
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % sides
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// What is true in one system.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub enabled: bool,
    pub sessions: u32,
    pub token: bool,
    pub password_set: Timestamp,
    pub groups: BTreeSet<String>,
    pub files: u32,
    /// Started transfers: id, and when each is finished.
    pub transfers: Vec<(String, Timestamp)>,
    pub licence: bool,
    pub deleted: bool,
}

/// A changing call that had, or may have had, an effect.
#[derive(Debug, Clone)]
pub struct Change {
    pub seq: u64,
    pub fact: String,
}

pub struct Inner {
    pub dice: Dice,
    pub state: State,
    history: Vec<(Timestamp, State)>,
    pub changes: Vec<Change>,
    pub seq: u64,
    /// By fact: sequence number of the last read that showed it true.
    pub seen_true: BTreeMap<String, u64>,
    pub violations: Vec<String>,
    pub faults_until: Timestamp,
    pub fails_for_ever: bool,
    /// The account cannot be disabled, whoever asks.
    pub refuses: bool,
    /// The system asked to be left alone, and the driver was told at the first instant, until the second.
    pub throttled: Option<(Timestamp, Timestamp)>,
    /// Crash the driver at the call with this number.
    pub crash_at: Option<u64>,
    pub calls: u64,
    pub reopened: u32,
    pub deletion_seen: bool,
    pub renamed: bool,
    pub groups_at_start: usize,
    /// How long every call takes, instead of a random time.
    pub latency: Option<Duration>,
    /// From when to when a legal hold is set.
    pub hold: Option<(Timestamp, Timestamp)>,
    /// The person has no account before.
    pub appears_at: Option<Timestamp>,
    /// It does not answer as it should for a while.
    pub outage: Option<Outage>,
    /// It was known for certain, when the account appeared, that there was none.
    pub came_late: Option<bool>,
}

/// One simulated system.
pub struct Sim {
    pub row: String,
    pub id: String,
    pub capabilities: Capabilities,
    pub inner: Mutex<Inner>,
    pub clock: Arc<VirtualClock>,
    pub durable: Arc<Mutex<Record>>,
    pub crash: Arc<tokio::sync::Notify>,
}

fn spec(name: &str, class: Class) -> FactSpec {
    FactSpec {
        settle: SETTLE,
        ..FactSpec::plain(name, class)
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

pub fn facts() -> Vec<FactSpec> {
    let disabled = || names(&["AccountDisabled"]);
    vec![
        FactSpec {
            prefers_after: names(&["CodesGone"]),
            ..spec("AccountDisabled", Class::Access)
        },
        spec("CodesGone", Class::Credentials),
        FactSpec {
            after: disabled(),
            ..spec("SessionsRevoked", Class::Sessions)
        },
        FactSpec {
            after: disabled(),
            proof: Proof::Watermark,
            ..spec("PasswordRandomised", Class::Credentials)
        },
        FactSpec {
            requires: disabled(),
            proof: Proof::None,
            ..spec("CookieDropped", Class::Sessions)
        },
        FactSpec {
            after: disabled(),
            removes: true,
            ..spec("GroupsRemoved", Class::Entitlements)
        },
        FactSpec {
            requires: disabled(),
            repeatable: false,
            ..spec("FilesTransferred", Class::Data)
        },
        FactSpec {
            requires: names(&["FilesTransferred", "GroupsRemoved"]),
            ..spec("LicenceFreed", Class::Licenses)
        },
        FactSpec {
            requires: names(&["FilesTransferred", "LicenceFreed"]),
            ..spec("AccountDeleted", Class::Deletion)
        },
    ]
}

impl Sim {
    pub fn new(
        row: &str,
        seed: u64,
        clock: Arc<VirtualClock>,
        durable: Arc<Mutex<Record>>,
        crash: Arc<tokio::sync::Notify>,
    ) -> Self {
        let mut dice = Dice(mix(seed));
        let groups = (0..dice.roll(5)).map(|n| format!("g{n}")).collect();
        let state = State {
            enabled: !dice.one_in(10),
            sessions: u32::try_from(dice.roll(3)).unwrap(),
            token: true,
            password_set: Timestamp::UNIX_EPOCH,
            groups,
            files: u32::try_from(dice.roll(4)).unwrap(),
            transfers: vec![],
            licence: true,
            deleted: false,
        };
        let faults_until = epoch() + SignedDuration::from_secs(60 + i64::try_from(dice.roll(600)).unwrap());
        let crash_at = dice.one_in(2).then(|| dice.roll(25));
        let groups_at_start = state.groups.len();
        let inner = Inner {
            history: vec![(Timestamp::MIN, state.clone())],
            state,
            dice,
            changes: vec![],
            seq: 0,
            seen_true: BTreeMap::new(),
            violations: vec![],
            faults_until,
            fails_for_ever: false,
            refuses: false,
            throttled: None,
            crash_at,
            calls: 0,
            reopened: 0,
            deletion_seen: false,
            renamed: false,
            groups_at_start,
            latency: None,
            hold: None,
            appears_at: None,
            came_late: None,
            outage: None,
        };
        let capabilities = Capabilities {
            definition: "sim".into(),
            facts: facts(),
            not_covered: vec![],
            fingerprint: row.into(),
        };
        let id = format!("id-of-{row}");
        Self {
            row: row.into(),
            id,
            capabilities,
            inner: Mutex::new(inner),
            clock,
            durable,
            crash,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Latency, crash points and faults that happen to every call. `Ok(true)`: the answer will be lost.
    async fn call(&self, changing: bool) -> Result<bool, Fault> {
        let (latency, crash) = {
            let mut inner = self.inner.lock();
            inner.calls += 1;
            let slow = self.now() < inner.faults_until && inner.dice.one_in(40);
            let latency = if slow { 30_000 } else { 5 + inner.dice.roll(150) };
            (
                inner.latency.unwrap_or(Duration::from_millis(latency)),
                inner.crash_at == Some(inner.calls),
            )
        };
        tokio::time::sleep(latency).await;
        self.weather().await?;
        if crash {
            self.crash.notify_one();
            std::future::pending::<()>().await;
        }
        let mut inner = self.inner.lock();
        let now = self.now();
        if inner.fails_for_ever {
            return Err(Fault::transient(Reason::SystemUnavailable).with_code("503"));
        }
        if now >= inner.faults_until {
            return Ok(false);
        }
        inner.wander(now);
        match inner.dice.roll(40) {
            0 => {
                let wait = SignedDuration::from_secs(1 + i64::try_from(inner.dice.roll(60)).unwrap());
                Err(Fault::throttled(now + wait))
            }
            1 => Err(Fault::transient(Reason::RateLimited).with_code("429")),
            2 | 3 => Err(Fault::transient(Reason::SystemUnavailable).with_code("500")),
            4 => Err(Fault::unknown_outcome(Reason::Timeout)),
            5 if !changing => Err(Fault::transient(Reason::Incomplete)),
            6 if !changing => Err(Fault::permanent(Reason::PermissionDenied).with_code("403")),
            7 if !changing => Err(Fault::permanent(Reason::Malformed)),
            8 | 9 if changing => Ok(true),
            _ => Ok(false),
        }
    }

    /// A read: now, or a moment ago.
    async fn read<T>(&self, what: impl Fn(&State) -> T) -> Result<T, Fault> {
        self.call(false).await?;
        let mut inner = self.inner.lock();
        let now = self.now();
        let flaps = now < inner.faults_until + SETTLE;
        let lag = if flaps && inner.dice.one_in(3) {
            SignedDuration::from_millis(i64::try_from(inner.dice.roll(15_000)).unwrap())
        } else {
            SignedDuration::ZERO
        };
        let at = now - lag;
        let state = inner.history.iter().rev().find(|(since, _)| *since <= at);
        let (_, state) = state.expect("the history begins at the beginning of time");
        Ok(what(state))
    }

    fn note_read(&self, fact: &str, holds: bool) {
        let mut inner = self.inner.lock();
        inner.seq += 1;
        let seq = inner.seq;
        if holds {
            inner.seen_true.insert(fact.to_owned(), seq);
        }
    }

    /// A new look or act before the time that the system named is a violation, if the driver could know of it.
    fn enter(&self) {
        let mut inner = self.inner.lock();
        let now = self.now();
        if inner
            .throttled
            .is_some_and(|(told, until)| told < now && now < until)
        {
            inner
                .violations
                .push(format!("{}: called before the time that it named", self.row));
        }
    }

    fn leave(&self, fault: Option<&Fault>) {
        if let Some(Fault {
            kind: FaultKind::Throttled { until },
            ..
        }) = fault
        {
            self.inner.lock().throttled = Some((self.now(), *until));
        }
    }

    /// Whether the person has an account by now.
    fn appeared(&self) -> bool {
        let mut inner = self.inner.lock();
        let there = inner.appears_at.is_none_or(|at| at <= self.now());
        if there && inner.appears_at.is_some() && inner.came_late.is_none() {
            let record = self.durable.lock();
            inner.came_late = record.ledger.systems.get(&self.row).map(|known| known.no_account);
        }
        there
    }

    /// Checks made at the moment of every changing call: S2, S3, S4, S5, S6.
    fn check(&self, fact: &str, account: &str, request: &Value) {
        let durable = self
            .durable
            .lock()
            .ledger
            .systems
            .get(&self.row)
            .cloned()
            .unwrap_or_default();
        let handed_over = self.durable.lock().ledger.handed_over;
        let mut inner = self.inner.lock();
        let now = self.now();
        let mut wrong = vec![];
        // A call that is in flight when the hold is set may still take effect.
        let held = |(from, until)| from + SignedDuration::from_secs(31) <= now && now < until;
        if matches!(fact, "LicenceFreed" | "AccountDeleted") && inner.hold.is_some_and(held) {
            wrong.push(format!("S8: {fact} in spite of a legal hold"));
        }
        if fact == "AccountDeleted" && handed_over.is_none_or(|since| now < since + RETENTION) {
            wrong.push("R9: deleted before the retention was over".to_owned());
        }
        if inner.came_late == Some(true) {
            wrong.push(format!("S3: {fact} sent to an account that came later"));
        }
        if account != self.id {
            wrong.push(format!("S3: {fact} sent to {account}"));
        }
        if inner.deletion_seen {
            wrong.push(format!("S5: {fact} sent after the deletion was seen"));
        }
        let handed_over = inner.state.files == 0 || inner.state.transfers.iter().any(|(_, end)| *end <= now);
        if matches!(fact, "LicenceFreed" | "AccountDeleted") && !handed_over {
            wrong.push(format!("S2: {fact} before the transfer was over"));
        }
        if matches!(fact, "FilesTransferred" | "AccountDeleted") && durable.fact(fact).intent.is_none() {
            wrong.push(format!("S6: {fact} without a durable intent"));
        }
        if fact == "FilesTransferred" && !inner.state.transfers.is_empty() {
            wrong.push("S4: a second transfer".into());
        }
        let kept = durable.snapshot.get("GroupsRemoved").and_then(Value::as_array);
        if fact == "GroupsRemovedUndone" && !kept.is_some_and(|kept| kept.contains(&request["group"])) {
            wrong.push(format!("S9: {} given, and never taken", request["group"]));
        }
        let ours = inner
            .changes
            .iter()
            .any(|change| change.fact == "AccountDisabled");
        if fact == "AccountDisabledUndone" && !ours {
            wrong.push("S9: enabled, and not disabled by us".to_owned());
        }
        if fact == "GroupsRemoved" {
            let group = request["group"].as_str().unwrap_or_default();
            let kept = durable
                .snapshot
                .get(fact)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            if !kept.iter().any(|g| g == group) {
                wrong.push(format!("S6: {group} removed without a durable snapshot"));
            }
        }
        let row = self.row.clone();
        inner
            .violations
            .extend(wrong.into_iter().map(|w| format!("{row}: {w}")));
        inner.seq += 1;
        let change = Change {
            seq: inner.seq,
            fact: fact.into(),
        };
        inner.changes.push(change);
    }

    fn apply(&self, fact: &str, request: &Value) -> Option<String> {
        let now = self.now();
        let mut inner = self.inner.lock();
        // Accepted, and not applied at all.
        if now < inner.faults_until && inner.dice.one_in(25) {
            return None;
        }
        let slow = SignedDuration::from_secs(i64::try_from(inner.dice.roll(90)).unwrap());
        let state = &mut inner.state;
        let mut operation = None;
        match fact {
            "AccountDisabled" => state.enabled = false,
            "CodesGone" => state.token = false,
            "SessionsRevoked" => state.sessions = 0,
            "PasswordRandomised" => state.password_set = now,
            "GroupsRemoved" => {
                state.groups.remove(request["group"].as_str().unwrap());
            }
            "FilesTransferred" => {
                let id = format!("t{}", state.transfers.len());
                state.transfers.push((id.clone(), now + slow));
                operation = Some(id);
            }
            "LicenceFreed" => state.licence = false,
            "AccountDeleted" => state.deleted = true,
            "AccountDisabledUndone" => state.enabled = true,
            "GroupsRemovedUndone" => {
                state.groups.insert(request["group"].as_str().unwrap().to_owned());
            }
            "LicenceFreedUndone" => state.licence = true,
            _ => {}
        }
        inner.remember(now);
        operation
    }
}

impl Inner {
    pub fn remember(&mut self, now: Timestamp) {
        let state = self.state.clone();
        self.history.push((now, state));
    }

    /// When the account was first seen disabled after it was not.
    pub fn disabled_at(&self) -> Option<Timestamp> {
        let enabled = self.history.iter().rposition(|(_, state)| state.enabled)?;
        self.history.get(enabled + 1).map(|(at, _)| *at)
    }

    /// Since when nobody gets in any more; none while somebody may.
    pub fn access_ended_at(&self) -> Option<Timestamp> {
        let open =
            |state: &State| state.enabled || state.sessions > 0 || state.token || !state.groups.is_empty();
        let last = self.history.iter().rposition(|(_, state)| open(state))?;
        self.history.get(last + 1).map(|(at, _)| *at)
    }

    /// Other people, and the person, do things on their own while faults last.
    fn wander(&mut self, now: Timestamp) {
        if self.reopened == 0 && self.state.enabled && self.dice.one_in(6) && self.state.sessions < 4 {
            self.state.sessions += 1;
            self.remember(now);
        }
        if self.reopened < 2 && !self.state.enabled && !self.state.deleted && self.dice.one_in(60) {
            self.reopened += 1;
            self.state.enabled = true;
            self.state.sessions += 1;
            self.remember(now);
        }
        if self.dice.one_in(100) {
            self.renamed = true;
        }
    }
}

#[async_trait]
impl Connector for Sim {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.enter();
        let successor = who.email.as_deref() == Some("sam@corp.test");
        let enabled = self
            .read(|s| s.enabled)
            .await
            .inspect_err(|fault| self.leave(Some(fault)))?;
        let renamed = self.inner.lock().renamed;
        if !successor && !self.appeared() {
            return Ok(vec![]);
        }
        // After a rename the address belongs to somebody new; a bound account keeps its id.
        let id = match (successor, renamed && self.bound()) {
            (true, _) => "id-of-successor".to_owned(),
            (false, true) => "id-of-somebody-new".to_owned(),
            (false, false) => self.id.clone(),
        };
        let enabled = enabled || id == "id-of-somebody-new";
        Ok(vec![Account {
            id,
            name: "jane".into(),
            item: json!({ "enabled": enabled }).into(),
            doubt: None,
            keys: vec![],
        }])
    }

    async fn observe(&self, subject: &Subject, _: &[&str]) -> Readings {
        self.enter();
        let now = self.now();
        let (user, sessions, groups, files) = futures::join!(
            async {
                if let Some(enabled) = subject.account.item.get("enabled") {
                    return Ok(json!({ "enabled": enabled }));
                }
                self.read(|s| {
                    json!({"enabled": s.enabled, "set": s.password_set.as_millisecond(), "deleted": s.deleted,
                    "licence": s.licence, "token": s.token})
                })
                .await
            },
            self.read(|s| json!(s.sessions)),
            self.read(|s| json!(s.groups)),
            self.read(|s| {
                let running = s.transfers.iter().any(|(_, end)| *end > now);
                let done = s.files == 0 || s.transfers.iter().any(|(_, end)| *end <= now);
                json!({"done": done, "running": running})
            }),
        );
        let read = [
            ("user", user),
            ("sessions", sessions),
            ("groups", groups),
            ("files", files),
        ];
        for (_, reading) in &read {
            self.leave(reading.as_ref().err());
        }
        read.into_iter()
            .map(|(name, reading)| (name.to_owned(), reading.map(Reading::from)))
            .collect()
    }

    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        let name = match fact {
            "SessionsRevoked" => "sessions",
            "GroupsRemoved" => "groups",
            "FilesTransferred" => "files",
            _ => "user",
        };
        let reading = match readings.get(name) {
            Some(Ok(value)) => value.clone(),
            Some(Err(fault)) => return Sight::of(Truth::Unreadable(fault.clone())),
            None if name == "user" && !subject.account.item.is_null() => subject.account.item.clone().into(),
            None => return Sight::of(Truth::NotRead),
        };
        let Some(truth) = judge(fact, &reading, subject) else {
            return Sight::of(Truth::NotRead);
        };
        self.note_read(fact, truth == Truth::Holds);
        let acting = truth == Truth::DoesNotHold;
        let requests = match (fact, reading.as_array()) {
            ("GroupsRemoved", Some(groups)) => groups.iter().map(|g| json!({ "group": g })).collect(),
            _ => vec![json!({})],
        };
        Sight {
            act: acting.then(|| Act {
                fact: fact.into(),
                requests,
                rung: 0,
                more: false,
            }),
            snapshot: (fact == "GroupsRemoved").then_some(There::Whole(reading.shared())),
            ..Sight::of(truth)
        }
    }

    fn can_undo(&self, fact: &str) -> bool {
        matches!(fact, "AccountDisabled" | "GroupsRemoved" | "LicenceFreed")
    }

    fn undo(&self, subject: &Subject, fact: &str, readings: &Readings) -> Result<Option<Act>, Truth> {
        let requests: Vec<Value> = if fact == "GroupsRemoved" {
            let there = match readings.get("groups") {
                None => return Err(Truth::NotRead),
                Some(Err(fault)) => return Err(Truth::Unreadable(fault.clone())),
                Some(Ok(there)) => there.as_array().unwrap().clone(),
            };
            let kept = subject.ledger.snapshot.get(fact).and_then(Value::as_array);
            let lacking = kept.into_iter().flatten().filter(|group| !there.contains(group));
            lacking
                .map(|group| json!({ "group": group, "back": true }))
                .collect()
        } else {
            match self.sight(subject, fact, readings).truth {
                Truth::Holds => vec![json!({ "back": true })],
                Truth::DoesNotHold => vec![],
                truth => return Err(truth),
            }
        };
        self.note_read(&format!("{fact}Undone"), requests.is_empty());
        Ok((!requests.is_empty()).then(|| Act {
            fact: fact.into(),
            requests,
            rung: 0,
            more: false,
        }))
    }

    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        let account = if planted(Bug::ActsByName) {
            self.find(&subject.who).await?.remove(0).id
        } else {
            subject.account.id.clone()
        };
        self.enter();
        let mut operation = None;
        for request in &act.requests {
            if !order.wanted() {
                return Err(Fault::unknown_outcome(Reason::Conflict));
            }
            let lost = self
                .call(true)
                .await
                .inspect_err(|fault| self.leave(Some(fault)))?;
            let fact = match request.get("back") {
                Some(_) => format!("{}Undone", act.fact),
                None => act.fact.clone(),
            };
            if fact == "AccountDisabled" && self.inner.lock().refuses {
                return Err(Fault::permanent(Reason::Refused).with_code("400"));
            }
            self.check(&fact, &account, request);
            operation = self.apply(&fact, request);
            if lost {
                return Err(Fault::unknown_outcome(Reason::Timeout));
            }
        }
        Ok(Receipt {
            operation,
            ..Receipt::default()
        })
    }
}

impl Sim {
    fn bound(&self) -> bool {
        let durable = self.durable.lock();
        durable
            .ledger
            .systems
            .get(&self.row)
            .is_some_and(|s: &SystemLedger| s.account.is_some())
    }
}

/// What a reading says about a fact; none when the reading does not show it.
fn judge(fact: &str, reading: &Value, subject: &Subject) -> Option<Truth> {
    let holds = match fact {
        "AccountDisabled" => !reading.get("enabled")?.as_bool()?,
        "CodesGone" => !reading.get("token")?.as_bool()?,
        "SessionsRevoked" => reading.as_u64()? == 0,
        "PasswordRandomised" => {
            let since = subject
                .ledger
                .fact("AccountDisabled")
                .accepted
                .unwrap_or(subject.cutoff);
            let set = reading.get("set")?.as_i64()?;
            set >= since
                .min(subject.ledger.fact(fact).accepted.unwrap_or(Timestamp::MAX))
                .as_millisecond()
        }
        "CookieDropped" => return Some(Truth::DoesNotHold),
        "GroupsRemoved" => reading.as_array()?.is_empty(),
        "FilesTransferred" => {
            if reading.get("running")?.as_bool()? && !planted(Bug::OperationIsDone) {
                return Some(Truth::Running);
            }
            reading.get("done")?.as_bool()? || (planted(Bug::OperationIsDone) && reading["running"] == true)
        }
        "LicenceFreed" => !reading.get("licence")?.as_bool()?,
        "AccountDeleted" => reading.get("deleted")?.as_bool()?,
        _ => return None,
    };
    Some(if holds { Truth::Holds } else { Truth::DoesNotHold })
}
