//! One pass over one leaver: all systems at the same time, one durable record.

mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::{sync::mpsc, time::Instant};

use self::writer::{Waiting, Writer};
use super::{
    Drive, Interim, Link, Memory, Outcome, Record, Row, Scope, evidence,
    manager_lookup::{self, Asked},
    system::{Commit, Finished, SharedInput, SystemRun},
};
use crate::core::{
    approvals::Gates,
    callback::Statement,
    commitment::Terms,
    fact::FactSpec,
    fault::Reason,
    guard,
    hand_over::{self, HandOver, Seen},
    kept::Room,
    pace::Pace,
    schedule, scope,
};

/// How soon a system that is done may be shown while others still work.
const SHOWING: Duration = Duration::from_millis(500);

/// Drives `drive.case` as far as it can go without waiting, and says when to come back.
///
/// A system that becomes due again while another one still hangs is driven again at once, so that no system waits
/// for another (R11).
pub async fn drive(drive: &Drive<'_>, record: &mut Record, memory: &mut Memory) -> Outcome {
    // What could not be written by the pass before must not be taken for durable by this one.
    let saved = if memory.unsaved {
        Record::default()
    } else {
        record.clone()
    };
    let began = drive.clock.now();
    if drive.case.reinstate {
        record.ledger.handed_over = None;
    }
    let at_once = drive.case.at_once && !drive.case.reinstate;
    record.ledger.at_once = at_once.then_some(drive.case.cutoff);
    keep_terms(drive, record);
    let input = SharedInput {
        gates: Arc::new(gates(drive, record, began)),
        handed_over: record.ledger.handed_over,
        callbacks: vec![],
        room: Arc::new(Room::beside(record.ledger.systems.values())),
    };
    let before = Before {
        began,
        further_places: guard::further_places(drive.case, &record.ledger).len(),
        protected: scope::protected(&record.ledger),
    };
    let mut run = LeaverRun {
        drive,
        input,
        before,
        record,
        memory,
        rows: BTreeMap::new(),
        writer: Writer::new(drive.store, saved),
        display: Display::default(),
    };
    run.all().await;
    run.finish().await
}

/// What was known when the pass over a leaver began.
struct Before {
    began: Timestamp,
    /// How many further places what was bound then took.
    further_places: usize,
    /// The rows whose account was closed and was protected when the case was made.
    protected: BTreeSet<String>,
}

/// Shows how far the pass has come.
#[derive(Default)]
struct Display<'a> {
    showing: Option<BoxFuture<'a, ()>>,
    begins_at: Option<Instant>,
}

/// One pass over one leaver.
struct LeaverRun<'a> {
    drive: &'a Drive<'a>,
    input: SharedInput,
    before: Before,
    record: &'a mut Record,
    memory: &'a mut Memory,
    rows: BTreeMap<String, Row>,
    writer: Writer<'a>,
    display: Display<'a>,
}

/// A pass over a system that met a bug of ours, and what it began with.
struct Panicked {
    row: String,
    pace: Pace,
    callbacks: Vec<Statement>,
}

impl<'a> LeaverRun<'a> {
    async fn all(&mut self) {
        let (commits, mut requests) = mpsc::unbounded_channel();
        let mut running: FuturesUnordered<BoxFuture<'a, Result<Finished, Box<Panicked>>>> =
            FuturesUnordered::new();
        for system in &self.drive.case.systems {
            match self.resting(&system.row) {
                Some(row) => drop(self.rows.insert(row.name.clone(), row)),
                None => running.push(self.pass(&system.row, &commits)),
            }
        }
        let mut shown = 0;
        while !running.is_empty() {
            // The timers run from the event that started them, however often this loop turns.
            let commit_at = self.writer.begins_at();
            let show_at = timer(self.display.begins_at, self.rows.len() > shown, SHOWING);
            self.display.begins_at = show_at;
            let (write_now, show_now) = (self.writer.is_idle(), self.display.showing.is_none());
            let wake = sleep_until(self.drive.clock.now(), self.next_wake());
            // Writing is one of the things that go on: no system waits for what another one made durable.
            tokio::select! {
                biased;
                Some(commit) = requests.recv() => {
                    self.hand_in(commit);
                    self.writer.write_if_all_wait(self.record, running.len());
                }
                Some(ended) = running.next() => {
                    let finished = match ended {
                        Ok(finished) => finished,
                        Err(panicked) => {
                            // What it handed in before is part of what is known.
                            while let Ok(commit) = requests.try_recv() {
                                self.hand_in(commit);
                            }
                            self.abandoned(panicked, &commits)
                        }
                    };
                    self.take(finished);
                    self.writer.write_if_all_wait(self.record, running.len());
                }
                written = self.writer.written() => {
                    self.writer.conclude(written);
                    self.writer.write_if_all_wait(self.record, running.len());
                }
                () = done(&mut self.display.showing) => {}
                () = at(commit_at), if write_now => self.writer.write(self.record),
                () = wake => {
                    for row in self.due_again() {
                        running.push(self.pass(&row, &commits));
                    }
                }
                () = at(show_at), if show_now => {
                    shown = self.rows.len();
                    let interim = self.interim();
                    let store = self.drive.store;
                    self.display.showing = Some(async move { store.progress(&interim).await }.boxed());
                }
            }
        }
        self.writer.settle().await;
        if self.display.showing.is_some() {
            done(&mut self.display.showing).await;
        }
    }

    fn interim(&self) -> Interim {
        let known = self.memory.rested.values().map(|(row, _)| row);
        let unfinished =
            known.filter(|row| self.drive.scope == Scope::Woken && !self.rows.contains_key(&row.name));
        Interim {
            finished: self.rows.values().cloned().collect(),
            known: unfinished.cloned().collect(),
        }
    }

    /// A pass over one system. A bug of ours that it meets there is its own: all others go on.
    fn pass(
        &mut self,
        row: &str,
        commits: &mpsc::UnboundedSender<Commit>,
    ) -> BoxFuture<'a, Result<Finished, Box<Panicked>>> {
        let before = Box::new(Panicked {
            row: row.to_owned(),
            pace: self.memory.systems.remove(row).unwrap_or_default(),
            callbacks: self.memory.said.remove(row).unwrap_or_default(),
        });
        let pass = self.begin(row, before.pace.clone(), before.callbacks.clone(), commits);
        let pass = AssertUnwindSafe(pass.run()).catch_unwind();
        pass.map(|ended| ended.map_err(|_| before)).boxed()
    }

    fn begin(
        &self,
        row: &str,
        pace: Pace,
        callbacks: Vec<Statement>,
        commits: &mpsc::UnboundedSender<Commit>,
    ) -> SystemRun<'a> {
        let drive = self.drive;
        let system = drive
            .case
            .systems
            .iter()
            .find(|s| s.row == row)
            .expect("rows come from the case");
        let ledger = self.record.ledger.systems.get(row).cloned().unwrap_or_default();
        let input = SharedInput {
            callbacks,
            ..self.input.clone()
        };
        SystemRun::new(drive, system, input, ledger, pace, commits.clone())
    }

    /// The end of a pass that panicked, by what is durable of it.
    fn abandoned(&self, panicked: Box<Panicked>, commits: &mpsc::UnboundedSender<Commit>) -> Finished {
        let Panicked { row, pace, callbacks } = *panicked;
        tracing::error!(
            offboarding = self.drive.case.uid,
            system = row,
            "a pass over a system panicked"
        );
        self.begin(&row, pace, callbacks, commits).abandon()
    }

    /// What is known of a system that need not be looked at yet.
    fn resting(&self, row: &str) -> Option<Row> {
        if self.drive.scope != Scope::Woken || self.memory.said.contains_key(row) {
            return None;
        }
        let (rested, since) = self.memory.rested.get(row)?;
        let again = schedule::later(*since, self.drive.case.recheck_every);
        let due = rested.wake.into_iter().chain([again]).min()?;
        (self.before.began < due).then(|| Row {
            drifted: vec![],
            ..rested.clone()
        })
    }

    fn next_wake(&self) -> Option<Timestamp> {
        self.rows.values().filter_map(|row| row.wake).min()
    }

    /// Rows that are finished and due again; they are running from now on.
    fn due_again(&mut self) -> Vec<String> {
        if !self.drive.store.current() {
            return vec![];
        }
        let now = self.drive.clock.now();
        let due = self
            .rows
            .values_mut()
            .filter(|row| row.wake.is_some_and(|at| at <= now));
        due.map(|row| {
            row.wake = None;
            row.name.clone()
        })
        .collect()
    }

    fn take(&mut self, finished: Finished) {
        let name = finished.row.name.clone();
        let mut row = finished.row;
        if let Some(earlier) = self.rows.get(&name) {
            let mut drifted = earlier.drifted.clone();
            drifted.append(&mut row.drifted);
            row.drifted = drifted;
        }
        self.record.ledger.systems.insert(name.clone(), finished.ledger);
        for happening in finished.happenings {
            evidence::append(&mut self.record.evidence, happening);
        }
        self.memory.systems.insert(name.clone(), finished.pace);
        self.memory
            .rested
            .insert(name.clone(), (row.clone(), finished.began));
        self.rows.insert(name, row);
    }

    /// What a system wants to be durable, in the order in which it was handed in.
    fn hand_in(&mut self, commit: Commit) {
        self.record
            .ledger
            .systems
            .insert(commit.row.clone(), commit.ledger);
        for happening in commit.happenings {
            evidence::append(&mut self.record.evidence, happening);
        }
        self.writer.wait(Waiting {
            row: commit.row,
            done: commit.done,
        });
    }

    async fn finish(mut self) -> Outcome {
        let now = self.drive.clock.now();
        let asked = self.ask_manager(now).await;
        if self.drive.scope != Scope::Everything {
            self.record_hand_over(now);
        }
        if self.drive.scope != Scope::Everything && self.writer.has_news(self.record) {
            // What fails is written by the next pass.
            self.writer.write(self.record);
            self.writer.settle().await;
        }
        let store_fault = self.writer.fault().cloned();
        self.memory.unsaved = store_fault.is_some();
        self.memory.said.clear();
        let held = self.drive.case.hold.and_then(|hold| hold.changes_at(now));
        let mut wake = self.next_wake().into_iter().chain(held).min();
        if store_fault.is_some() {
            wake = wake
                .into_iter()
                .chain([schedule::later(now, SignedDuration::from_secs(2))])
                .min();
        }
        let manager = match asked {
            Asked::Nothing => None,
            Asked::Found(manager) => {
                wake = Some(now);
                Some(manager)
            }
            Asked::Later(_, again) => {
                wake = wake.into_iter().chain([again]).min();
                None
            }
        };
        // What is asked about an account that is protected by now, or takes a further place, only the next pass can say.
        if self.newly_protected() || self.takes_further_places() {
            wake = Some(now);
        }
        let gates = gates(self.drive, self.record, now);
        wake = wake.into_iter().chain(gates.wake).min();
        let mut rows = self.rows;
        let systems = self.drive.case.systems.iter();
        let rows = systems.filter_map(|system| rows.remove(&system.row)).collect();
        Outcome {
            rows,
            store_fault,
            wake,
            gates: Some(gates),
            manager,
        }
    }

    /// Whether a system that was closed is protected, or is not any more, and the case does not know.
    fn newly_protected(&self) -> bool {
        self.drive.scope != Scope::Everything
            && scope::protected(&self.record.ledger) != self.before.protected
    }

    /// Whether accounts were bound for which the guard was not asked.
    fn takes_further_places(&self) -> bool {
        let places = guard::further_places(self.drive.case, &self.record.ledger);
        self.drive.scope != Scope::Everything && places.len() > self.before.further_places
    }

    /// Asks the directories for the leaver's manager, where that is who takes over, and keeps the answer.
    async fn ask_manager(&mut self, now: Timestamp) -> Asked {
        if self.drive.scope == Scope::Everything || !self.drive.store.current() {
            return Asked::Nothing;
        }
        let rows: Vec<&Row> = self.rows.values().collect();
        let asked = manager_lookup::ask(self.drive, self.record, &rows, now).await;
        for row in self.rows.values_mut() {
            manager_lookup::shown(row, &asked, now);
        }
        if let Asked::Found(manager) = &asked {
            self.record.ledger.manager = Some(manager.clone());
            // What failed for want of somebody to take over is tried again at once.
            for pace in self.memory.systems.values_mut() {
                pace.facts
                    .retain(|_, trouble| trouble.fault.reason != Reason::NoSuccessor);
            }
        }
        asked
    }

    /// Since when everything is handed over, and that it is not any more; what is kept for a while after that is looked at again
    /// then.
    fn record_hand_over(&mut self, now: Timestamp) {
        let case = self.drive.case;
        if case.reinstate || now < case.cutoff || !case.enforce {
            return;
        }
        let systems = &self.record.ledger.systems;
        let seen = self.rows.values().map(|row| Seen {
            broken: row.trouble.is_some(),
            facts: &row.facts,
            ledger: systems.get(&row.name),
        });
        let seen: Vec<Seen<'_>> = seen.collect();
        let before = self.record.ledger.handed_over;
        let since = HandOver::of(&seen, case.systems.len(), case.cutoff).since(before);
        self.record.ledger.handed_over = since;
        let Some(since) = since.filter(|_| before.is_none()) else {
            return;
        };
        for system in &case.systems {
            let Some(at) = hand_over::kept_until(system, since) else {
                continue;
            };
            let rested = self.memory.rested.get_mut(&system.row).map(|(row, _)| row);
            for row in self.rows.get_mut(&system.row).into_iter().chain(rested) {
                row.wake = Some(row.wake.map_or(at, |wake| wake.min(at)));
            }
        }
    }
}

/// The gates of the case, by what is bound now.
fn gates(drive: &Drive<'_>, record: &Record, now: Timestamp) -> Gates {
    let case = drive.case;
    if case.reinstate {
        // Nothing but what was ours is given back, and somebody said yes to that as a whole.
        let counted = case.loosenings.clone();
        let wake = counted.iter().filter_map(|c| c.standing.wake).min();
        return Gates { counted, wake };
    }
    let facts = |row: &str| -> &[FactSpec] {
        match drive.links.get(row) {
            Some(Link::Ready(connector)) => &connector.capabilities().facts,
            _ => &[],
        }
    };
    Gates::count(case, &record.ledger, &facts, now)
}

/// Takes what the end is held to into the record. Nothing of it is worth an object of its own before anything is demanded.
fn keep_terms(drive: &Drive<'_>, record: &mut Record) {
    let terms = &drive.case.terms;
    if drive.scope != Scope::Everything && (record.ledger.terms.is_some() || *terms != Terms::default()) {
        record.ledger.terms = Some(terms.clone());
    }
}

/// Starts a timer when there is something to wait for, keeps a running one, drops one that is not needed any more.
fn timer(running: Option<Instant>, needed: bool, length: Duration) -> Option<Instant> {
    needed.then(|| running.unwrap_or_else(|| Instant::now() + length))
}

/// The end of `work`, which is nothing from then on; for ever while there is none.
async fn done<T>(work: &mut Option<BoxFuture<'_, T>>) -> T {
    let Some(going) = work else {
        return std::future::pending().await;
    };
    let result = going.await;
    *work = None;
    result
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(now: Timestamp, at: Option<Timestamp>) {
    let Some(at) = at else {
        return std::future::pending().await;
    };
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    tokio::time::sleep(wait.max(Duration::from_millis(1))).await;
}
