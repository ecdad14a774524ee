//! One pass over one leaver: all systems at the same time, one durable record.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    Drive, Interim, Link, Memory, Outcome, Record, Row, Scope, evidence,
    manager_lookup::{self, Asked},
    system::{Around, Commit, Finished, Pass},
};
use crate::core::{
    approvals::Gates,
    callback::Statement,
    case::Wanted,
    commitment::Terms,
    fact::{FactSpec, FactState, Verdict},
    fault::{Fault, Reason},
    guard,
    kept::Room,
    pace::Pace,
    planted::{Bug, planted},
    schedule, scope,
};

/// How long the first system that needs a durable record waits for others, so that one write serves them all; longer where
/// writing takes long.
const GATHERING: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_GATHERING: Duration = Duration::from_millis(500);
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
    let around = Around {
        gates: Arc::new(gates(drive, record, began)),
        handed_over: record.ledger.handed_over,
        said: vec![],
        room: Arc::new(Room::beside(record.ledger.systems.values())),
    };
    let mut run = Run {
        began,
        drive,
        around,
        places_before: guard::further_places(drive.case, &record.ledger).len(),
        protected_before: scope::protected(&record.ledger),
        record,
        memory,
        saved,
        rows: BTreeMap::new(),
        waiting: vec![],
        writing: None,
        showing: None,
        gathering: GATHERING,
        commit_at: None,
        show_at: None,
        store_fault: None,
    };
    run.all().await;
    run.finish().await
}

struct Run<'a> {
    began: Timestamp,
    drive: &'a Drive<'a>,
    around: Around,
    /// How many further places what was bound then took.
    places_before: usize,
    /// The rows whose account was closed and was protected when the case was made.
    protected_before: BTreeSet<String>,
    record: &'a mut Record,
    memory: &'a mut Memory,
    saved: Record,
    rows: BTreeMap<String, Row>,
    /// Who waits for the next write of the record.
    waiting: Vec<Waiting>,
    writing: Option<BoxFuture<'a, Written>>,
    showing: Option<BoxFuture<'a, ()>>,
    gathering: Duration,
    commit_at: Option<Instant>,
    show_at: Option<Instant>,
    store_fault: Option<Fault>,
}

/// A system that waits until what it handed in is durable.
struct Waiting {
    row: String,
    done: oneshot::Sender<Result<(), Fault>>,
}

/// What became of a write of the record.
struct Written {
    record: Record,
    result: Result<(), Fault>,
    took: Duration,
    told: Vec<Waiting>,
}

/// A pass over a system that met a bug of ours, and what it began with.
struct Panicked {
    row: String,
    pace: Pace,
    said: Vec<Statement>,
}

impl<'a> Run<'a> {
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
            self.commit_at = timer(self.commit_at, !self.waiting.is_empty(), self.gathering);
            self.show_at = timer(self.show_at, self.rows.len() > shown, SHOWING);
            let (commit_at, show_at) = (self.commit_at, self.show_at);
            let (write_now, show_now) = (self.writing.is_none(), self.showing.is_none());
            let wake = sleep_until(self.drive.clock.now(), self.next_wake());
            // Writing is one of the things that go on: no system waits for what another one made durable.
            tokio::select! {
                biased;
                Some(commit) = requests.recv() => {
                    self.hand_in(commit);
                    self.write_if_all_wait(running.len());
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
                    self.write_if_all_wait(running.len());
                }
                written = done(&mut self.writing) => {
                    self.note_written(written);
                    self.write_if_all_wait(running.len());
                }
                () = done(&mut self.showing) => {}
                () = at(commit_at), if write_now => self.write(),
                () = wake => {
                    for row in self.due_again() {
                        running.push(self.pass(&row, &commits));
                    }
                }
                () = at(show_at), if show_now => {
                    shown = self.rows.len();
                    let interim = self.interim();
                    let store = self.drive.store;
                    self.showing = Some(async move { store.progress(&interim).await }.boxed());
                }
            }
        }
        if self.writing.is_some() {
            let written = done(&mut self.writing).await;
            self.note_written(written);
        }
        if self.showing.is_some() {
            done(&mut self.showing).await;
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
            said: self.memory.said.remove(row).unwrap_or_default(),
        });
        let pass = self.begin(row, before.pace.clone(), before.said.clone(), commits);
        let pass = AssertUnwindSafe(pass.run()).catch_unwind();
        pass.map(|ended| ended.map_err(|_| before)).boxed()
    }

    fn begin(
        &self,
        row: &str,
        pace: Pace,
        said: Vec<Statement>,
        commits: &mpsc::UnboundedSender<Commit>,
    ) -> Pass<'a> {
        let drive = self.drive;
        let system = drive
            .case
            .systems
            .iter()
            .find(|s| s.row == row)
            .expect("rows come from the case");
        let ledger = self.record.ledger.systems.get(row).cloned().unwrap_or_default();
        let around = Around {
            said,
            ..self.around.clone()
        };
        Pass::new(drive, system, around, ledger, pace, commits.clone())
    }

    /// The end of a pass that panicked, by what is durable of it.
    fn abandoned(&self, panicked: Box<Panicked>, commits: &mpsc::UnboundedSender<Commit>) -> Finished {
        let Panicked { row, pace, said } = *panicked;
        tracing::error!(
            offboarding = self.drive.case.uid,
            system = row,
            "a pass over a system panicked"
        );
        self.begin(&row, pace, said, commits).abandon()
    }

    /// What is known of a system that need not be looked at yet.
    fn resting(&self, row: &str) -> Option<Row> {
        if self.drive.scope != Scope::Woken || self.memory.said.contains_key(row) {
            return None;
        }
        let (rested, since) = self.memory.rested.get(row)?;
        let again = schedule::later(*since, self.drive.case.recheck_every);
        let due = rested.wake.into_iter().chain([again]).min()?;
        (self.began < due).then(|| Row {
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
        self.waiting.push(Waiting {
            row: commit.row,
            done: commit.done,
        });
    }

    fn write_if_all_wait(&mut self, running: usize) {
        let mut rows: Vec<&str> = self.waiting.iter().map(|w| w.row.as_str()).collect();
        rows.sort_unstable();
        rows.dedup();
        if self.writing.is_none() && !rows.is_empty() && rows.len() >= running {
            self.write();
        }
    }

    /// Begins to make the record durable as it is now.
    fn write(&mut self) {
        let told = std::mem::take(&mut self.waiting);
        if *self.record == self.saved {
            return tell(told, &Ok(()));
        }
        let (record, store) = (self.record.clone(), self.drive.store);
        let writing = async move {
            let began = Instant::now();
            let result = store.save(&record).await;
            Written {
                record,
                result,
                took: began.elapsed(),
                told,
            }
        };
        self.writing = Some(writing.boxed());
    }

    fn note_written(&mut self, written: Written) {
        self.gathering = (written.took * 3).clamp(GATHERING, LONGEST_GATHERING);
        match &written.result {
            Ok(()) => {
                self.saved = written.record;
                self.store_fault = None;
            }
            Err(fault) => self.store_fault = Some(fault.clone()),
        }
        tell(written.told, &written.result);
    }

    async fn finish(mut self) -> Outcome {
        let now = self.drive.clock.now();
        let asked = self.ask_manager(now).await;
        if self.drive.scope != Scope::Everything {
            self.note_hand_over(now);
        }
        if self.drive.scope != Scope::Everything && self.worth_saving() {
            // A failure is in `store_fault`, and the next pass writes what this one could not.
            self.write();
            if self.writing.is_some() {
                let written = done(&mut self.writing).await;
                self.note_written(written);
            }
        }
        self.memory.unsaved = self.store_fault.is_some();
        self.memory.said.clear();
        let held = self.drive.case.hold.and_then(|hold| hold.changes_at(now));
        let mut wake = self.next_wake().into_iter().chain(held).min();
        if self.store_fault.is_some() {
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
            store_fault: self.store_fault,
            wake,
            gates: Some(gates),
            manager,
        }
    }

    /// Whether a system that was closed is protected, or is not any more, and the case does not know.
    fn newly_protected(&self) -> bool {
        self.drive.scope != Scope::Everything
            && scope::protected(&self.record.ledger) != self.protected_before
    }

    /// Whether accounts were bound for which the guard was not asked.
    fn takes_further_places(&self) -> bool {
        let places = guard::further_places(self.drive.case, &self.record.ledger);
        self.drive.scope != Scope::Everything && places.len() > self.places_before
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

    /// Notes since when everything is handed over, and that it is not any more; what is kept for a while after that is looked
    /// at again then. Not having been able to look changes nothing.
    fn note_hand_over(&mut self, now: Timestamp) {
        let case = self.drive.case;
        if case.reinstate || now < case.cutoff || !case.enforce {
            return;
        }
        let before = self.record.ledger.handed_over;
        let hand_over = if planted(Bug::KeepsFromCutoff) {
            HandOver::Since(case.cutoff)
        } else {
            self.hand_over()
        };
        let since = match hand_over {
            HandOver::Unknown => before,
            HandOver::Open => None,
            HandOver::Since(at) => before.or(Some(at)),
        };
        self.record.ledger.handed_over = since;
        let Some(since) = since.filter(|_| before.is_none()) else {
            return;
        };
        for system in &case.systems {
            let kept = system
                .wanted
                .values()
                .filter(|wanted| matches!(wanted, Wanted::Kept(..)));
            let Some(at) = kept.filter_map(|wanted| wanted.from(Some(since))).min() else {
                continue;
            };
            let rested = self.memory.rested.get_mut(&system.row).map(|(row, _)| row);
            for row in self.rows.get_mut(&system.row).into_iter().chain(rested) {
                row.wake = Some(row.wake.map_or(at, |wake| wake.min(at)));
            }
        }
    }

    fn hand_over(&self) -> HandOver {
        let mut since = self.drive.case.cutoff;
        let mut unknown = self.rows.len() < self.drive.case.systems.len();
        for row in self.rows.values() {
            unknown |= row.trouble.is_some();
            for FactState {
                spec: fact, verdict, ..
            } in row.facts.iter().filter(|state| state.spec.class.hands_over())
            {
                match verdict {
                    Verdict::Unmet(_) | Verdict::Pending(_) | Verdict::Exposed(_) => return HandOver::Open,
                    Verdict::NotDue(_) | Verdict::Unknown(_) => unknown = true,
                    Verdict::Verified | Verdict::Asserted | Verdict::NotNeeded(_) => {
                        let ledger = self.record.ledger.systems.get(&row.name);
                        let entry = ledger.map(|ledger| ledger.fact(&fact.name));
                        since = since.max(entry.and_then(|e| e.verified.max(e.accepted)).unwrap_or(since));
                    }
                }
            }
        }
        if unknown {
            HandOver::Unknown
        } else {
            HandOver::Since(since)
        }
    }

    /// Nothing is written when only the time changed.
    fn worth_saving(&self) -> bool {
        self.record.evidence != self.saved.evidence
            || self.record.ledger.without_times() != self.saved.ledger.without_times()
    }
}

/// What the last looks say about the hand-over as a whole.
enum HandOver {
    /// Something could not be looked at.
    Unknown,
    /// Something is not handed over.
    Open,
    /// Everything is, since then.
    Since(Timestamp),
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

fn tell(waiting: Vec<Waiting>, result: &Result<(), Fault>) {
    for one in waiting {
        // A pass that was abandoned does not wait any more.
        one.done.send(result.clone()).ok();
    }
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
