//! The real core and the real drive loop over simulated systems that misbehave from a seed.
//!
//! The oracle is the list of invariants: no false verdict (S1), no loss before transfer (S2), never another person,
//! and one who is known by the same keys is shown (S3), at most one unrepeatable effect (S4), nothing after a deletion (S5), intent and snapshot first (S6), nothing is deleted
//! under a legal hold (S8) or before its retention is over (R9), nothing is given back that we did not take (S9), nothing that the record knows leaves what is to be proven (S8) and no system is changed
//! but the one in which the account was bound (S9), whatever becomes of the configuration, the end is
//! reached once faults stop and then nothing is written or changed (L1), one failing system delays no other (L2) but for what
//! is deleted, which waits until everything everywhere is handed over, a fault that passes slows nothing longer than it lasts (L3),
//! and one refused step holds up no other end of access (L4).

mod outage;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use self::world::{Dice, RETENTION, Sim, VirtualClock, epoch, facts};
use super::{Clock, Drive, Interim, Link, Memory, Outcome, Record, Row, Scope, Store, drive};
use crate::core::{
    case::{Case, Moment, System, Timeline, Wanted},
    fact::{FactState, Verdict},
    fault::{Fault, Reason},
    gate::Vote,
    identity::{ANOTHER_ACCOUNT, CAME_LATER, NO_OTHER_ACCOUNT, Person},
    mutants::{self, Bug},
    schedule::mix,
    scope,
};

/// Seeds in an optimized run and in one that is not; `OFFBOARD_SEEDS` overrides, `OFFBOARD_SEED` runs a single one.
const SEEDS: u64 = if cfg!(debug_assertions) { 300 } else { 20_000 };
/// Once faults stop, everything must be done within this time: two full backoffs, a transfer and the settle times.
const BOUND: SignedDuration = SignedDuration::from_mins(45);

struct SimStore {
    durable: Arc<Mutex<Record>>,
    clock: Arc<VirtualClock>,
    faults_until: Timestamp,
    dice: Mutex<Dice>,
    deleted: AtomicBool,
    /// When somebody changes the spec.
    changes: Vec<Timestamp>,
    /// How many of these the pass that goes on knows of.
    known: AtomicU64,
    saves: AtomicU64,
    /// How much longer than usual a write takes.
    slow: Duration,
}

#[async_trait]
impl Store for SimStore {
    async fn save(&self, record: &Record) -> Result<(), Fault> {
        let (fails, late) = {
            let mut dice = self.dice.lock();
            let faulty = self.clock.now() < self.faults_until;
            (
                faulty && dice.one_in(15),
                Duration::from_millis(1 + dice.roll(20)),
            )
        };
        tokio::time::sleep(late + self.slow).await;
        if fails {
            return Err(Fault::transient(Reason::StoreUnavailable));
        }
        self.saves.fetch_add(1, Ordering::Relaxed);
        *self.durable.lock() = record.clone();
        Ok(())
    }
    fn current(&self) -> bool {
        !self.deleted.load(Ordering::Relaxed) && self.known.load(Ordering::Relaxed) == self.generation()
    }
    async fn confirm(&self, _: &[&Vote]) -> Result<bool, Fault> {
        Ok(self.current())
    }
    async fn progress(&self, _: &Interim) {}
}

impl SimStore {
    /// How often the spec has been changed.
    fn generation(&self) -> u64 {
        let now = self.clock.now();
        self.changes.iter().filter(|at| **at <= now).count() as u64
    }
}

struct Trial {
    seed: u64,
    clock: Arc<VirtualClock>,
    durable: Arc<Mutex<Record>>,
    crash: Arc<tokio::sync::Notify>,
    sims: Vec<Arc<Sim>>,
    store: SimStore,
    case: Case,
    links: BTreeMap<String, Link>,
    delete_at: Option<Timestamp>,
    /// From when to when a legal hold is set.
    hold: Option<(Timestamp, Timestamp)>,
    reinstate_at: Option<Timestamp>,
    /// What somebody does to the configuration of the first system, from when to when.
    reconfigured: Option<(Reconfigured, Timestamp, Timestamp)>,
    /// Another system than the first, with the same id in it.
    elsewhere: Arc<Sim>,
    /// All systems, whatever the configuration has now.
    systems: Vec<System>,
    /// What the record said said was ours when the leaver was reinstated, by system.
    ours: BTreeMap<String, Vec<String>>,
    /// The rows that ever showed another account of the person.
    another: BTreeSet<String>,
    wrong: Vec<String>,
}

/// What happens to a leaver in a trial.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Story {
    /// Whatever the seed says.
    Any,
    /// A legal hold from some moment on, and sometimes until another one.
    Hold,
    /// Reinstated at some moment.
    Reinstated,
    /// Without an account in the only system, until somebody makes one.
    Late,
    /// The configuration of the first system changes at some moment, and is as before at another one.
    Reconfigured,
    /// One system does not answer for a while, and nothing else goes wrong.
    Outage,
}

/// What somebody does to the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reconfigured {
    /// The Connector is deleted.
    Deleted,
    /// The Connector leads to another system, in which the same id is somebody else's.
    Redirected,
}

fn case(sims: &[Arc<Sim>], deletes: bool) -> Case {
    let moment = Moment {
        at: epoch(),
        until: None,
    };
    let timeline = Timeline {
        at: BTreeMap::from_iter(deletes.then(|| ("AccountDeleted".to_owned(), moment))),
        skip: vec![],
        retention: RETENTION,
    };
    let systems = sims.iter().map(|sim| System {
        row: sim.row.clone(),
        who: Person {
            email: Some("jane@corp.test".into()),
            ..Person::default()
        },
        successor: Some(Person {
            email: Some("sam@corp.test".into()),
            ..Person::default()
        }),
        wanted: facts()
            .iter()
            .map(|f| (f.name.clone(), timeline.wanted(f, epoch())))
            .collect(),
        ..System::default()
    });
    Case {
        uid: "uid-1".into(),
        name: "jane".into(),
        generation: 1,
        who: Person {
            email: Some("jane@corp.test".into()),
            ..Person::default()
        },
        cutoff: epoch(),
        access_deadline: epoch() + SignedDuration::from_hours(1),
        enforce: true,
        suspended: false,
        legal_hold: false,
        recheck_until: epoch() + SignedDuration::from_hours(24 * 90),
        recheck_every: SignedDuration::from_mins(15),
        systems: systems.collect(),
        ..Case::default()
    }
}

impl Trial {
    fn new(seed: u64, story: Story) -> Self {
        let clock = Arc::new(VirtualClock(tokio::time::Instant::now()));
        let durable = Arc::new(Mutex::new(Record::default()));
        let crash = Arc::new(tokio::sync::Notify::new());
        let mut dice = Dice(mix(seed ^ 0xA5A5));
        let count = if story == Story::Late { 1 } else { 1 + dice.roll(3) };
        let sims: Vec<_> = (0..count)
            .map(|n| {
                let sim = Sim::new(
                    &format!("s{n}"),
                    seed * 8 + n,
                    clock.clone(),
                    durable.clone(),
                    crash.clone(),
                );
                Arc::new(sim)
            })
            .collect();
        if count > 1 && dice.one_in(8) {
            sims[0].inner.lock().fails_for_ever = true;
        } else if story == Story::Any && count > 1 && dice.one_in(6) {
            let mut inner = sims[0].inner.lock();
            inner.refuses = inner.state.enabled;
        }
        let faults_until = sims.iter().map(|s| s.inner.lock().faults_until).max().unwrap();
        let store = SimStore {
            durable: durable.clone(),
            clock: clock.clone(),
            faults_until,
            dice: Mutex::new(Dice(mix(seed ^ 0x77))),
            deleted: AtomicBool::new(false),
            changes: vec![],
            known: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            slow: Duration::ZERO,
        };
        let delete_at = (story == Story::Any && dice.one_in(10))
            .then(|| epoch() + SignedDuration::from_secs(i64::try_from(dice.roll(20)).unwrap()));
        let mut within =
            |minutes: u64| SignedDuration::from_millis(i64::try_from(dice.roll(minutes * 60_000)).unwrap());
        let hold = (story == Story::Hold || story == Story::Any && seed % 4 == 1).then(|| {
            // Often around the moment at which something would be deleted.
            let from = epoch() + within(if seed.is_multiple_of(3) { 3 } else { 15 });
            (from, from + SignedDuration::from_secs(40) + within(40))
        });
        let reinstate_at = (story == Story::Reinstated || story == Story::Any && seed % 4 == 2)
            .then(|| epoch() + within(if seed.is_multiple_of(3) { 1 } else { 20 }));
        let appears_at = (story == Story::Late).then(|| epoch() + within(15));
        let reconfigured = (story == Story::Reconfigured).then(|| {
            let how = [Reconfigured::Deleted, Reconfigured::Redirected][usize::from(seed % 2 == 1)];
            let from = epoch() + within(if seed.is_multiple_of(3) { 1 } else { 15 });
            (how, from, from + SignedDuration::from_secs(40) + within(20))
        });
        for sim in &sims {
            let mut inner = sim.inner.lock();
            (inner.hold, inner.appears_at) = (hold, appears_at);
        }
        let mut store = store;
        store
            .changes
            .extend(hold.into_iter().flat_map(|(from, until)| [from, until]));
        store.changes.extend(reinstate_at);
        store.changes.extend(
            reconfigured
                .into_iter()
                .flat_map(|(_, from, until)| [from, until]),
        );
        let links = sims
            .iter()
            .map(|sim| (sim.row.clone(), Link::Ready(sim.clone() as _)))
            .collect();
        let case = case(&sims, reinstate_at.is_none());
        let mut elsewhere = Sim::new("s0", seed * 8 + 7, clock.clone(), durable.clone(), crash.clone());
        elsewhere.capabilities.fingerprint = "elsewhere".into();
        elsewhere.inner.get_mut().crash_at = None;
        Self {
            seed,
            reconfigured,
            elsewhere: Arc::new(elsewhere),
            systems: case.systems.clone(),
            case,
            clock,
            durable,
            crash,
            sims,
            store,
            links,
            delete_at,
            hold,
            reinstate_at,
            ours: BTreeMap::new(),
            another: BTreeSet::new(),
            wrong: vec![],
        }
    }

    /// Nothing goes wrong, and the account is open everywhere.
    fn without_faults(&mut self) {
        self.store.faults_until = epoch();
        (self.delete_at, self.hold, self.reinstate_at) = (None, None, None);
        self.store.changes.clear();
        for sim in &self.sims {
            let mut inner = sim.inner.lock();
            (inner.faults_until, inner.crash_at, inner.fails_for_ever) = (epoch(), None, false);
            inner.refuses = false;
            inner.state.enabled = true;
            inner.remember(epoch());
        }
    }

    /// What the configuration has now, and what only `record` knows.
    fn read_configuration(&mut self, record: &Record) {
        let Some((how, from, until)) = self.reconfigured else {
            return;
        };
        let (now, sim) = (self.clock.now(), &self.sims[0]);
        let bound = record
            .ledger
            .systems
            .get(&sim.row)
            .is_some_and(|s| s.account.is_some());
        // Who was not bound yet may be looked for anywhere.
        let changed = bound && from <= now && now < until;
        let link = match how {
            Reconfigured::Redirected if changed => self.elsewhere.clone(),
            _ => sim.clone(),
        };
        self.links.insert(sim.row.clone(), Link::Ready(link as _));
        self.case.systems.clone_from(&self.systems);
        if changed && how == Reconfigured::Deleted {
            self.case.systems.remove(0);
            self.links.remove(&self.sims[0].row);
        }
        scope::include_recorded(&mut self.case, &record.ledger, |_| false);
        for (row, known) in &record.ledger.systems {
            let there = self.case.systems.iter().any(|system| system.row == *row);
            if known.account.is_some() && !there {
                self.wrong.push(format!("S8: {row} left the scope"));
            }
        }
    }

    /// Reads what the spec says now, and says whether that is another thing than before.
    fn read_spec(&mut self) -> bool {
        let now = self.clock.now();
        let generation = self.store.generation();
        let before = self.store.known.swap(generation, Ordering::Relaxed);
        self.case.legal_hold = self.hold.is_some_and(|(from, until)| from <= now && now < until);
        let reinstated = self.reinstate_at.is_some_and(|at| at <= now);
        if reinstated && !self.case.reinstate {
            let record = self.durable.lock();
            for (row, ledger) in &record.ledger.systems {
                let ours = facts().into_iter().map(|fact| fact.name);
                let ours = ours
                    .filter(|fact| crate::core::reinstate::ours(ledger, fact))
                    .collect();
                self.ours.insert(row.clone(), ours);
            }
        }
        self.case.reinstate = reinstated;
        generation != before
    }

    /// One pass, unless a crash ends it.
    async fn pass(&self, record: &mut Record, memory: &mut Memory, scope: Scope) -> Option<Outcome> {
        let drive_it = Drive {
            case: &self.case,
            links: &self.links,
            clock: &*self.clock,
            store: &self.store,
            scope,
        };
        let deletion = async {
            match self.delete_at {
                Some(at) if !self.store.deleted.load(Ordering::Relaxed) => {
                    let wait = at.duration_since(self.clock.now());
                    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
                    self.store.deleted.store(true, Ordering::Relaxed);
                    // A call that is in flight now may still be answered (S5).
                    tokio::time::sleep(Duration::from_secs(31)).await;
                    for sim in &self.sims {
                        sim.inner.lock().deletion_seen = true;
                    }
                    std::future::pending().await
                }
                _ => std::future::pending::<()>().await,
            }
        };
        tokio::select! {
            biased;
            outcome = drive(&drive_it, record, memory) => Some(outcome),
            () = self.crash.notified() => None,
            () = deletion => None,
        }
    }

    async fn run(mut self) -> Vec<String> {
        let mut record = Record::default();
        let mut memory = Memory::default();
        let quiet = self
            .store
            .changes
            .iter()
            .copied()
            .chain(self.sims.iter().filter_map(|sim| sim.inner.lock().appears_at))
            .fold(self.store.faults_until, Ord::max);
        let end = quiet + BOUND;
        let mut held_since: Option<(Timestamp, u64, u64)> = None;
        loop {
            if self.clock.now() > end + SignedDuration::from_hours(48) {
                break;
            }
            let scope = if self.read_spec() {
                Scope::Due
            } else {
                Scope::Woken
            };
            self.read_configuration(&record);
            let Some(outcome) = self.pass(&mut record, &mut memory, scope).await else {
                // Crashed: what was not durable is gone.
                record = self.durable.lock().clone();
                memory = Memory::default();
                for sim in &self.sims {
                    // What a system asked for is not durable; a restarted driver asks once and is told again.
                    sim.inner.lock().throttled = None;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            if self.store.deleted.load(Ordering::Relaxed) {
                break;
            }
            if !self.store.current() {
                continue;
            }
            self.judge(&outcome);
            let settled = self.healthy(&outcome).all(|row| {
                row.facts
                    .iter()
                    .all(|state| state.verdict.settled() || self.waits_for_ever(&state.spec, &state.verdict))
            });
            let now = self.clock.now();
            // What somebody did just before the faults stopped is seen at the next look only.
            let looked = self
                .healthy(&outcome)
                .all(|row| memory.rested[&row.name].1 > quiet);
            match held_since {
                None if settled && looked && now > quiet + SignedDuration::from_secs(30) => {
                    held_since = Some((now, self.store.saves.load(Ordering::Relaxed), self.changes()));
                }
                None if now > end => {
                    self.wrong.push(format!(
                        "L1: not done {BOUND:?} after faults stopped: {}",
                        tell(&outcome)
                    ));
                    break;
                }
                Some((since, saves, changes)) if now > since + SignedDuration::from_hours(1) => {
                    // What is refused for good is tried again for ever, and each time is kept.
                    let tries = self.sims.iter().any(|sim| sim.inner.lock().refuses);
                    let saved = self.store.saves.load(Ordering::Relaxed) - saves;
                    // Somebody new with the address, whom a recheck shows first, is written down once.
                    let renamed = |sim: &&Arc<Sim>| sim.inner.lock().renamed;
                    let news = self.sims.iter().filter(renamed).count() as u64;
                    if saved > news && !tries || changes != self.changes() {
                        let changed = self.changes() - changes;
                        self.wrong.push(format!(
                            "L1: {saved} writes and {changed} changes after the end was reached"
                        ));
                    }
                    break;
                }
                _ => {}
            }
            let recheck = now + self.case.recheck_every;
            let next = outcome
                .wake
                .unwrap_or(recheck)
                .min(recheck)
                .min(
                    self.store
                        .changes
                        .iter()
                        .copied()
                        .filter(|at| *at > now)
                        .min()
                        .unwrap_or(Timestamp::MAX),
                )
                .min(end + SignedDuration::from_hours(49));
            let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
        }
        self.last_judgement();
        self.judge_recovery();
        if !self.elsewhere.inner.lock().changes.is_empty() {
            self.wrong
                .push("S9: another system was changed by an id that was bound in the first".to_owned());
        }
        for sim in &self.sims {
            self.wrong.append(&mut sim.inner.lock().violations);
        }
        self.wrong
    }

    /// What is nobody's to decide but a person's. And while one system fails for ever nobody knows whether everything is handed over, and nothing is deleted.
    fn waits_for_ever(&self, fact: &crate::core::fact::FactSpec, verdict: &Verdict) -> bool {
        if matches!(verdict, Verdict::Unknown(fault) if [CAME_LATER, ANOTHER_ACCOUNT].contains(&fault.code.as_str()))
        {
            return true;
        }
        let fails = self.healthy_sims().count() < self.sims.len();
        fails && fact.name == "AccountDeleted" && matches!(verdict, Verdict::NotDue(_))
    }

    fn changes(&self) -> u64 {
        self.healthy_sims()
            .map(|s| s.inner.lock().changes.len() as u64)
            .sum()
    }

    fn healthy_sims(&self) -> impl Iterator<Item = &Arc<Sim>> {
        self.sims.iter().filter(|s| {
            let inner = s.inner.lock();
            !inner.fails_for_ever && !inner.refuses
        })
    }

    fn healthy<'o>(&'o self, outcome: &'o Outcome) -> impl Iterator<Item = &'o Row> {
        outcome
            .rows
            .iter()
            .filter(|row| self.healthy_sims().any(|s| s.row == row.name))
    }

    /// S1: what is called Verified was read as true after the last change of that system.
    fn judge(&mut self, outcome: &Outcome) {
        for row in &outcome.rows {
            let sim = self
                .sims
                .iter()
                .find(|s| s.row == row.name)
                .expect("a row per system");
            let another = row.facts.iter().any(|state| state.spec.name == NO_OTHER_ACCOUNT);
            if another {
                self.another.insert(row.name.clone());
            }
            let unreachable = row.trouble.is_some() || row.blocked.as_ref().is_some_and(changed);
            if unreachable && row.facts.iter().any(|state| state.verdict == Verdict::Verified) {
                self.wrong
                    .push(format!("S8: {} called Verified, and not looked at", row.name));
            }
            let inner = sim.inner.lock();
            let last_change = inner.changes.last().map_or(0, |c| c.seq);
            for FactState {
                spec: fact, verdict, ..
            } in &row.facts
            {
                let seen = inner.seen_true.get(&fact.name).copied().unwrap_or(0);
                // What is proven undone is not looked at again.
                let undone = inner.changes.iter().rev().find(|c| c.fact == fact.name);
                let last_change = if self.case.reinstate {
                    undone.map_or(0, |c| c.seq)
                } else {
                    last_change
                };
                if *verdict == Verdict::Verified && (seen == 0 || seen < last_change) {
                    self.wrong.push(format!(
                        "S1: {} of {} called Verified unseen",
                        fact.name, row.name
                    ));
                }
                let asked = inner.changes.iter().any(|c| c.fact == fact.name);
                if *verdict == Verdict::Asserted && !asked {
                    self.wrong.push(format!(
                        "S1: {} of {} called Asserted, never asked",
                        fact.name, row.name
                    ));
                }
            }
        }
    }

    /// At the end the world itself is looked at, not what was said about it.
    fn last_judgement(&mut self) {
        if self.store.deleted.load(Ordering::Relaxed) || !self.wrong.is_empty() {
            return;
        }
        if self.case.reinstate {
            return self.last_judgement_of_who_came_back();
        }
        let failing = self.healthy_sims().count() < self.sims.len();
        let record = self.durable.lock().clone();
        let mut wrong = vec![];
        for sim in &self.sims {
            let inner = sim.inner.lock();
            let state = &inner.state;
            let ended = state.sessions == 0 && !state.token && state.groups.is_empty();
            if inner.refuses && (!ended || state.password_set == Timestamp::UNIX_EPOCH) {
                wrong.push(format!("L4: {} was held up by one refusal: {state:?}", sim.row));
            }
        }
        for sim in self.healthy_sims() {
            let inner = sim.inner.lock();
            if inner.appears_at.is_some() && inner.changes.is_empty() {
                if record.ledger.systems.get(&sim.row).is_some_and(|s| s.no_account) {
                    wrong.push(format!("S1: nobody is said to be in {}", sim.row));
                }
                continue;
            }
            if inner.renamed && !self.another.contains(&sim.row) {
                wrong.push(format!("S3: nobody was told of the other account in {}", sim.row));
            }
            let state = &inner.state;
            if state.enabled
                || state.sessions > 0
                || state.token
                || !state.groups.is_empty()
                || state.deleted == failing
            {
                wrong.push(format!("L1: {} ended as {state:?}", sim.row));
            }
            let reopened = inner.changes.iter().rposition(|c| c.fact == "AccountDisabled");
            let cookie = inner.changes.iter().rposition(|c| c.fact == "CookieDropped");
            if reopened.is_some() && cookie < reopened {
                wrong.push(format!(
                    "S1: {} called the cookie dropped, from before the last disabling",
                    sim.row
                ));
            }
            let kept = record
                .ledger
                .systems
                .get(&sim.row)
                .and_then(|s| s.snapshot.get("GroupsRemoved"));
            let removed = inner.changes.iter().filter(|c| c.fact == "GroupsRemoved").count();
            let kept = kept.and_then(|k| k.as_array()).map_or(0, Vec::len);
            if removed > 0 && kept < inner.groups_at_start {
                wrong.push(format!(
                    "S6: {} kept {kept} of {} groups",
                    sim.row, inner.groups_at_start
                ));
            }
        }
        if let Some(at) = super::evidence::first_broken(&record.evidence) {
            wrong.push(format!("evidence is broken at {at}"));
        }
        self.wrong.extend(wrong);
    }
}

impl Trial {
    /// What the record said was ours is there again, and nothing that was not.
    fn last_judgement_of_who_came_back(&mut self) {
        let mut wrong = vec![];
        for sim in self.healthy_sims() {
            let inner = sim.inner.lock();
            let state = &inner.state;
            let ours = |fact: &str| {
                self.ours
                    .get(&sim.row)
                    .is_some_and(|of| of.iter().any(|f| f == fact))
            };
            let changed = |fact: &str| inner.changes.iter().any(|c| c.fact == fact);
            if ours("AccountDisabled") && !state.enabled {
                wrong.push(format!("S9: {} was not enabled again", sim.row));
            }
            if ours("GroupsRemoved") && state.groups.len() != inner.groups_at_start {
                wrong.push(format!(
                    "S9: {} has {:?} of {} groups",
                    sim.row, state.groups, inner.groups_at_start
                ));
            }
            if changed("LicenceFreed") && !state.licence {
                wrong.push(format!("S9: {} has no licence again", sim.row));
            }
        }
        self.wrong.extend(wrong);
    }
}

fn changed(fault: &Fault) -> bool {
    fault.reason == Reason::SystemChanged
}

fn tell(outcome: &Outcome) -> String {
    let rows = outcome.rows.iter().flat_map(|row| {
        let left = row.facts.iter().filter(|state| !state.verdict.settled());
        left.map(|state| format!("{}/{}: {:?}", row.name, state.spec.name, state.verdict))
    });
    rows.collect::<Vec<_>>().join("; ")
}

fn trial(seed: u64, story: Story) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let wrong = runtime.block_on(async move {
        let mut trial = Trial::new(seed, story);
        let seed = trial.seed;
        if story == Story::Outage {
            trial.strike();
        }
        (seed, trial.run().await)
    });
    wrong
        .1
        .into_iter()
        .map(|w| format!("seed {}: {w}", wrong.0))
        .collect()
}

/// The first violation among the seeds, spread over the machine's cores.
fn first_violation(seeds: std::ops::Range<u64>, story: Story, bug: Option<Bug>) -> Option<String> {
    let next = AtomicU64::new(seeds.start);
    let found: Mutex<Option<String>> = Mutex::new(None);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                mutants::with(bug, || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= seeds.end || found.lock().is_some() {
                            return;
                        }
                        if let Some(first) = trial(seed, story).into_iter().next() {
                            found.lock().get_or_insert(first);
                        }
                    }
                });
            });
        }
    });
    found.into_inner()
}

#[test]
fn every_leaver_is_driven_to_the_end_whatever_goes_wrong() {
    let seeds = std::env::var("OFFBOARD_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(SEEDS);
    assert_eq!(first_violation(range(seeds), Story::Any, None), None);
}

/// The seeds `0..seeds`, or the one that the environment names.
fn range(seeds: u64) -> std::ops::Range<u64> {
    let one: Option<u64> = std::env::var("OFFBOARD_SEED").ok().and_then(|n| n.parse().ok());
    one.map_or(0..seeds, |seed| seed..seed + 1)
}

#[test]
fn a_legal_hold_keeps_everything_under_every_schedule_and_what_it_kept_goes_when_it_is_lifted() {
    assert_eq!(first_violation(range(SEEDS / 2), Story::Hold, None), None);
}

#[test]
fn who_comes_back_gets_exactly_what_we_took_whatever_goes_wrong() {
    assert_eq!(first_violation(range(SEEDS / 4), Story::Reinstated, None), None);
}

#[test]
fn an_account_that_somebody_is_given_later_is_left_alone_whatever_goes_wrong() {
    assert_eq!(first_violation(range(SEEDS / 10), Story::Late, None), None);
}

#[test]
fn what_is_recorded_stays_to_be_proven_whatever_becomes_of_the_configuration() {
    assert_eq!(
        first_violation(range(SEEDS / 10), Story::Reconfigured, None),
        None
    );
}

#[test]
fn forgetting_what_only_the_record_knows_is_caught() {
    let found = first_violation(0..300, Story::Reconfigured, Some(Bug::ForgetsTheRecord));
    assert!(found.is_some_and(|wrong| wrong.contains("S8")));
}

#[test]
fn acting_on_an_id_in_another_system_is_caught() {
    let found =
        first_violation(0..300, Story::Reconfigured, Some(Bug::BindsToAnySystem)).expect("a violation");
    // What is read in the other system proves nothing either.
    assert!(found.contains("S9") || found.contains("S1"), "{found}");
}

#[test]
fn holding_everything_up_for_one_refusal_is_caught() {
    let found = first_violation(0..300, Story::Any, Some(Bug::WaitsForTheRefused));
    assert!(found.is_some_and(|wrong| wrong.contains("L4")));
}

#[test]
fn never_looking_for_another_account_again_is_caught() {
    let found = first_violation(0..300, Story::Any, Some(Bug::NeverLooksAgain));
    assert!(found.is_some_and(|wrong| wrong.contains("S3")));
}

#[test]
fn taking_an_account_that_came_later_is_caught() {
    let found = first_violation(0..300, Story::Late, Some(Bug::TakesLateAccounts));
    assert!(found.is_some_and(|wrong| wrong.contains("S3")));
}

/// A world of several systems without any fault.
fn calm() -> Trial {
    let trial = (0..)
        .map(|seed| Trial::new(seed, Story::Any))
        .find(|trial| trial.sims.len() > 2);
    let mut trial = trial.expect("one in three has three systems");
    trial.without_faults();
    trial
}

#[tokio::test(start_paused = true)]
async fn while_the_record_is_being_written_every_system_goes_on() {
    let mut trial = calm();
    trial.store.slow = Duration::from_secs(10);
    // The first one is much faster than the others, so that its write begins before they have even been found.
    trial.sims[0].inner.lock().latency = Some(Duration::from_millis(1));
    for sim in &trial.sims[1..] {
        sim.inner.lock().latency = Some(Duration::from_millis(500));
    }
    trial
        .pass(&mut Record::default(), &mut Memory::default(), Scope::Due)
        .await;
    for sim in &trial.sims {
        let disabled = sim.inner.lock().disabled_at().expect("disabled");
        assert!(
            disabled < epoch() + SignedDuration::from_secs(5),
            "{} was disabled at {disabled}, after a write that it does not need",
            sim.row
        );
    }
}

/// A calm world in which the last day is a week away.
fn week_ahead() -> Trial {
    let mut trial = calm();
    trial.case.cutoff = epoch() + SignedDuration::from_hours(24 * 7);
    let cutoff = trial.case.cutoff;
    for system in &mut trial.case.systems {
        let wanted = facts().into_iter().map(|fact| (fact.name, Wanted::At(cutoff)));
        system.wanted = wanted.collect();
    }
    trial
}

#[tokio::test(start_paused = true)]
async fn people_are_looked_up_while_there_is_time_and_every_day_until_they_are_found() {
    let trial = week_ahead();
    trial.sims[0].inner.lock().appears_at = Some(epoch() + SignedDuration::from_hours(30));
    let (mut record, mut memory) = (Record::default(), Memory::default());
    let mut looked = vec![];
    let first = trial.pass(&mut record, &mut memory, Scope::Due).await.unwrap();
    let absent = &record.ledger.systems[&trial.sims[0].row];
    assert!(absent.account.is_none() && !absent.no_account, "{absent:?}");
    for sim in &trial.sims[1..] {
        assert!(record.ledger.systems[&sim.row].account.is_some(), "{}", sim.row);
    }
    let mut wake = first.wake;
    while record.ledger.systems[&trial.sims[0].row].account.is_none() {
        let at = wake.expect("looked up again");
        looked.push(at);
        tokio::time::sleep(Duration::try_from(at.duration_since(trial.clock.now())).unwrap()).await;
        let outcome = trial.pass(&mut record, &mut memory, Scope::Woken).await.unwrap();
        assert!(
            outcome
                .rows
                .iter()
                .all(|row| row.facts.iter().all(|state| !state.verdict.due()))
        );
        wake = outcome.wake;
    }
    assert_eq!(looked.len(), 2, "within two days: {looked:?}");
    assert_eq!(wake, Some(trial.case.cutoff));
    assert!(trial.sims.iter().all(|sim| sim.inner.lock().changes.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn who_was_found_once_and_is_not_found_any_more_is_not_nobody() {
    let unfound = async |bug| {
        let trial = calm();
        let row = trial.sims[0].row.clone();
        trial.sims[0].inner.lock().appears_at = Some(Timestamp::MAX);
        let mut record = Record::default();
        record.ledger.systems.entry(row.clone()).or_default().found = Some(epoch());
        mutants::plant(bug);
        let outcome = trial.pass(&mut record, &mut Memory::default(), Scope::Due).await;
        mutants::plant(None);
        let found = outcome.unwrap().rows.into_iter().find(|found| found.name == row);
        found.unwrap().facts[0].verdict.clone()
    };
    assert!(matches!(
        unfound(None).await,
        Verdict::Unknown(fault) if fault.reason == Reason::NotFoundUncorroborated
    ));
    let forgotten = unfound(Some(Bug::ForgetsWhoWasFound)).await;
    assert!(forgotten.settled(), "the bug would be seen: {forgotten:?}");
}

macro_rules! caught {
    ($($name:ident: $bug:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let found = first_violation(0..3_000, Story::Any, Some(Bug::$bug));
            assert!(found.is_some(), "no seed shows {:?}", Bug::$bug);
        }
    )*};
}

caught! {
    a_receipt_taken_for_proof_is_caught: ReceiptIsProof,
    a_stale_read_taken_for_proof_is_caught: StaleReadIsProof,
    an_unreadable_fact_taken_for_done_is_caught: UnreadableIsDone,
    blind_repetition_is_caught: RepeatsBlindly,
    a_missing_intent_is_caught: NoIntent,
    a_missing_snapshot_is_caught: NoSnapshot,
    a_shrinking_snapshot_is_caught: SnapshotShrinks,
    forgotten_requirements_are_caught: ForgetsRequirements,
    work_after_a_deletion_is_caught: IgnoresDeletion,
    ignored_throttling_is_caught: IgnoresThrottling,
    acting_by_name_is_caught: ActsByName,
    giving_up_is_caught: GivesUp,
    an_assertion_that_outlives_a_drift_is_caught: AssertsForEver,
    a_running_operation_taken_for_done_is_caught: OperationIsDone,
    a_deletion_under_a_hold_is_caught: IgnoresHold,
    a_retention_that_counts_too_early_is_caught: KeepsFromCutoff,
    giving_back_more_than_was_taken_is_caught: GivesBackMore,
}
