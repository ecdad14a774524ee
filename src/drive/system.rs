//! One pass over one system: bind, look, act on what the rules allow, look again.
//!
//! Four round trips for a readable system: find · disable while the rest is read · everything else · read all.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::{
    Drive, Link, Row, Scope,
    evidence::{Event, Happening},
    undo::{self, Undoing},
};
use crate::{
    connectors::{Connector, Keys, Order, Readings, Shared, Subject},
    core::{
        callback::Statement,
        case::{System, Wanted},
        digest::digest_of,
        fact::{Act, FactSpec, Proof, Receipt, Sight, Stage, Truth, Verdict, Why},
        fault::{Fault, FaultKind, Reason},
        gate::Gates,
        identity::{self, Account, Binding, CAME_LATER, Correlation, Person},
        ledger::{FactLedger, SystemLedger},
        plan::{self, LONGEST_CALL, Pace, Sent, Trouble, View, without_effect},
        planted::{Bug, planted},
        schedule,
    },
};

/// A pass gives up for now after this many looks: something keeps changing under it.
const MOST_LOOKS: usize = 6;
/// The code of a trouble that only says when to look again.
const NOTHING_TO_DO: &str = "no act";

/// Within this time after late reads are over, a proof is looked at once more.
const CONFIRMED_WITHIN: SignedDuration = SignedDuration::from_mins(10);

/// A request to make a system's ledger durable before something is sent.
pub(super) struct Commit {
    pub row: String,
    pub ledger: SystemLedger,
    pub happenings: Vec<Happening>,
    pub done: oneshot::Sender<Result<(), Fault>>,
}

/// What a pass over one system leaves behind.
pub(super) struct Finished {
    pub row: Row,
    pub began: Timestamp,
    pub ledger: SystemLedger,
    pub pace: Pace,
    pub happenings: Vec<Happening>,
}

/// What a call of a look answered.
enum Answered {
    Read(Readings),
    Acted {
        fact: String,
        result: Result<Receipt, Fault>,
    },
}

/// What a pass over one system must know of the others.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    /// What waits for people.
    pub gates: Arc<Gates>,
    /// Since when everything is handed over.
    pub handed_over: Option<Timestamp>,
    /// What the system itself said about what it was asked for.
    pub said: Vec<Statement>,
}

/// One pass over one system.
pub(super) struct Pass<'a> {
    drive: &'a Drive<'a>,
    system: Cow<'a, System>,
    around: Around,
    commits: mpsc::UnboundedSender<Commit>,
    ledger: SystemLedger,
    pace: Pace,
    happenings: Vec<Happening>,
    sights: BTreeMap<String, Sight>,
    sent: BTreeMap<String, Sent>,
    reading: bool,
    looked_at: Option<Timestamp>,
    drifted: Vec<String>,
    trouble: Option<String>,
    silence: Silence,
    /// Snapshots that are being made durable before the act that needs them may go out, by fact.
    ahead: BTreeMap<String, oneshot::Receiver<Result<(), Fault>>>,
    began: Timestamp,
    seed: u64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        drive: &'a Drive<'a>,
        system: &'a System,
        around: Around,
        mut ledger: SystemLedger,
        pace: Pace,
        commits: mpsc::UnboundedSender<Commit>,
    ) -> Self {
        let seed = seed(&drive.case.uid, &system.row);
        let silence = Silence::default();
        silence.keep(pace.parked_until);
        if !drive.case.reinstate {
            undo::leaves_again(&mut ledger);
        }
        Self {
            drive,
            system: Cow::Borrowed(system),
            around,
            commits,
            ledger,
            pace,
            happenings: vec![],
            sights: BTreeMap::new(),
            sent: BTreeMap::new(),
            reading: false,
            looked_at: None,
            drifted: vec![],
            trouble: None,
            silence,
            ahead: BTreeMap::new(),
            began: drive.clock.now(),
            seed,
        }
    }

    pub(super) async fn run(mut self) -> Finished {
        let link = self
            .drive
            .links
            .get(&self.system.row)
            .cloned()
            .unwrap_or_else(|| {
                let text = "no such connector".to_owned();
                Link::Broken(Fault::needs_decision(Reason::ConnectorNotReady), text)
            });
        let connector = match link {
            Link::Ready(connector) => connector,
            Link::Broken(fault, text) => {
                self.trouble = Some(text);
                return self.finish_blocked(&[], &fault);
            }
        };
        if self.drive.case.reinstate {
            return self.give_back(connector).await;
        }
        self.pursue(connector).await
    }

    /// Drives the system towards the undoing of what we did there.
    async fn give_back(mut self, connector: Shared) -> Finished {
        let own = connector.capabilities().facts.clone();
        self.ledger.no_account_since = None;
        let undoing = Undoing::new(connector.clone(), &self.ledger);
        self.system = Cow::Owned(undoing.wanted(&self.system, &self.ledger));
        // Nothing that was found only now can be ours.
        let mut finished = if self.ledger.account.is_some() {
            self.pursue(Arc::new(undoing)).await
        } else {
            self.finish(&[], None)
        };
        let verdicts = finished
            .row
            .facts
            .iter()
            .map(|(fact, verdict, _)| (fact, verdict));
        undo::note_lost(&mut finished.ledger, verdicts);
        undo::settle(&mut finished.ledger, &own, |fact| connector.can_undo(fact));
        let row = &mut finished.row.facts;
        for (fact, verdict) in undo::settled(&finished.ledger, &own) {
            row.retain(|(known, _, _)| known.name != fact.name);
            row.push((fact, verdict, None));
        }
        finished
    }

    async fn pursue(mut self, connector: Shared) -> Finished {
        let facts = connector.capabilities().facts.clone();
        self.hear(&facts);
        if let Some(fault) = self.must_wait(&facts) {
            return self.finish_blocked(&facts, &fault);
        }
        if !self.anything_to_look_at(&facts) {
            return self.finish(&facts, None);
        }
        match self.bind(&connector).await {
            Ok(Some(subject)) => {
                self.pace.system = None;
                self.work(&connector, &facts, subject).await;
                self.finish(&facts, None)
            }
            Ok(None) => {
                self.pace.system = None;
                self.finish(&facts, None)
            }
            Err(fault) => {
                self.note_system_fault(&fault);
                self.finish_blocked(&facts, &fault)
            }
        }
    }

    /// What the system said about what it was asked for.
    fn hear(&mut self, facts: &[FactSpec]) {
        let Some(account) = self.ledger.account.as_ref().map(|bound| bound.id.clone()) else {
            return;
        };
        let now = self.drive.clock.now();
        for statement in std::mem::take(&mut self.around.said) {
            let Some(fact) = facts.iter().find(|fact| fact.name == statement.fact) else {
                continue;
            };
            let key = self.keys().of(&account, &fact.name);
            let known = (&mut self.ledger, &mut self.pace);
            if let Some(fault) = statement.hear(fact, &key.0, known, now) {
                self.pace.facts.remove(&fact.name);
                self.note_fact_fault(&fact.name, &fault);
            }
        }
    }

    fn keys(&self) -> Keys {
        Keys {
            case: self.drive.case.uid.clone(),
            row: self.system.row.clone(),
        }
    }

    /// A system that asked to be left alone, or that failed as a whole, is not called before its time.
    fn must_wait(&self, _facts: &[FactSpec]) -> Option<Fault> {
        let now = self.drive.clock.now();
        let parked = self
            .pace
            .parked_until
            .filter(|until| now < *until && !planted(Bug::IgnoresThrottling));
        if let Some(until) = parked {
            return Some(Fault::throttled(until));
        }
        self.pace
            .system
            .as_ref()
            .filter(|t| now < t.not_before)
            .map(|t| t.fault.clone())
    }

    fn anything_to_look_at(&self, facts: &[FactSpec]) -> bool {
        let now = self.drive.clock.now();
        let kept = self.system.kept_until.is_some_and(|until| now < until);
        !kept && facts.iter().any(|fact| self.wants(fact, now))
    }

    fn wants(&self, fact: &FactSpec, now: Timestamp) -> bool {
        let Some(wanted) = self.system.wanted.get(&fact.name).filter(|w| **w != Wanted::Not) else {
            return false;
        };
        let kept = self
            .system
            .kept_facts
            .get(&fact.name)
            .is_some_and(|until| now < *until);
        let due = || wanted.from(self.around.handed_over).is_some_and(|at| at <= now);
        !kept && !wanted.is_over(now) && (self.drive.scope == Scope::Everything || due())
    }

    /// The bound account, found now if it was not bound before; none when a complete `find` shows nobody.
    async fn bind(&mut self, connector: &Shared) -> Result<Option<Subject>, Fault> {
        let (account, successor) = futures::join!(self.account(connector), self.successor(connector));
        // Whichever of the two was told to wait: both keep the silence, until the later instant.
        let told = [account.as_ref().err(), successor.as_ref().err()];
        if let Some(until) = latest_silence(told.into_iter().flatten()) {
            self.park(until);
            return Err(Fault::throttled(until));
        }
        let now = self.drive.clock.now();
        let account = account.and_then(|found| self.not_of_later(found));
        if let Err(Fault {
            kind: FaultKind::NeedsDecision,
            ..
        }) = account
        {
            // Somebody is there now, whoever it is.
            self.ledger.no_account = false;
        }
        let account = account?;
        self.ledger.no_account = account.is_none();
        let Some(account) = account else {
            if self.drive.case.cutoff <= now && !self.ended_without_account() {
                self.ledger.no_account_since = Some(now);
            }
            return Ok(None);
        };
        if self.ledger.account.is_none() {
            let binding = Binding {
                id: account.id.clone(),
                name: account.name.clone(),
                bound_at: now,
            };
            self.ledger.account = Some(binding);
        }
        // A successor that cannot be found holds up hand-overs only; a later pass looks again.
        let successor = successor
            .ok()
            .flatten()
            .filter(|(_, taker)| taker.id != account.id);
        if let Some((who, taker)) = &successor
            && (self.ledger.successor.is_none() || self.ledger.successor_known_as != who.email)
        {
            self.ledger.successor_known_as.clone_from(&who.email);
            let binding = Binding {
                id: taker.id.clone(),
                name: taker.name.clone(),
                bound_at: now,
            };
            self.ledger.successor = Some(binding);
        }
        Ok(Some(self.subject(account, successor, now)))
    }

    /// `found`, unless it was not there when access had ended already: who is hired again is given a new account, and that is
    /// not the leaver's. A person decides, by naming it.
    fn not_of_later(&self, found: Option<Account>) -> Result<Option<Account>, Fault> {
        let late = self.ended_without_account() && self.system.who.account_name.is_none();
        match found {
            Some(account) if late && !planted(Bug::TakesLateAccounts) => {
                if account.is_one_of(&self.system.named) {
                    return Ok(None);
                }
                Err(Fault::needs_decision(Reason::Ambiguous).with_code(CAME_LATER))
            }
            found => Ok(found),
        }
    }

    /// Whether there was no account when access had ended. A day that is moved makes it an open question again.
    fn ended_without_account(&self) -> bool {
        let since = self.ledger.no_account_since;
        since.is_some_and(|since| self.drive.case.cutoff <= since)
    }

    fn subject(&self, account: Account, successor: Option<(Person, Account)>, now: Timestamp) -> Subject {
        Subject {
            who: self.system.who.clone(),
            account,
            successor,
            ledger: self.ledger.clone(),
            cutoff: self.drive.case.cutoff,
            now,
            keys: self.keys(),
        }
    }

    async fn account(&self, connector: &Shared) -> Result<Option<Account>, Fault> {
        if let Some(bound) = &self.ledger.account {
            return Ok(Some(bound.account()));
        }
        let found = bounded_find(connector.as_ref(), &self.system.who).await?;
        Ok(match identity::correlate(found, &self.system.named)? {
            Correlation::NoAccount => None,
            Correlation::One(account) => Some(*account),
        })
    }

    async fn successor(&self, connector: &Shared) -> Result<Option<(Person, Account)>, Fault> {
        let Some(who) = &self.system.successor else {
            return Ok(None);
        };
        // A binding to somebody who does not take over any more says nothing about who does.
        if let Some(bound) = &self.ledger.successor
            && self.ledger.successor_known_as == who.email
        {
            return Ok(Some((who.clone(), bound.account())));
        }
        let found = bounded_find(connector.as_ref(), who).await?;
        Ok(match identity::correlate(found, &[])? {
            Correlation::NoAccount => None,
            Correlation::One(account) => Some((who.clone(), *account)),
        })
    }

    /// Looks until a look ends without anything having been sent.
    async fn work(&mut self, connector: &Shared, facts: &[FactSpec], mut subject: Subject) {
        for _ in 0..MOST_LOOKS {
            self.look(connector, facts, &subject).await;
            self.note_sights(facts);
            if self.sent.is_empty() || !self.drive.store.current() {
                return;
            }
            // From here on only reads after our acts count; what `find` showed is history.
            subject.account.item = Value::Null;
            subject.ledger = self.ledger.clone();
            subject.now = self.drive.clock.now();
            if self.pace.parked_until.is_some_and(|until| subject.now < until)
                || self.ledger.identity_mismatch
            {
                return;
            }
        }
    }

    /// One look, and every act that the rules allow while it goes on.
    async fn look(&mut self, connector: &Shared, facts: &[FactSpec], subject: &Subject) {
        self.sent.clear();
        self.sights.clear();
        let now = self.drive.clock.now();
        self.looked_at = Some(now);
        let wanted: Vec<&str> = facts
            .iter()
            .filter(|f| self.wants(f, now))
            .map(|f| f.name.as_str())
            .collect();
        let mut readings = Readings::new();
        if !subject.account.item.is_null() {
            self.show(connector, &wanted, subject, &readings);
            self.sights.retain(|_, sight| sight.truth != Truth::NotRead);
        }
        let mut calls: FuturesUnordered<BoxFuture<'_, Answered>> = FuturesUnordered::new();
        calls.push(bounded_observe(connector.clone(), subject.clone(), own(&wanted)).boxed());
        self.reading = true;
        loop {
            self.commit_ahead(facts);
            for fact in self.sendable(facts) {
                if let Some(call) = self.send(connector, subject, &fact, facts, &readings) {
                    calls.push(call);
                }
            }
            match calls.next().await {
                None => return,
                Some(Answered::Read(read)) => {
                    self.reading = false;
                    readings = read;
                    self.show(connector, &wanted, subject, &readings);
                    self.note_throttling(&readings);
                    self.note_drift(facts);
                    // What is proven now is noted before anything is sent for which it must be proven.
                    self.note_sights(facts);
                }
                Some(Answered::Acted { fact, result }) => self.note_answer(&fact, result),
            }
        }
    }

    /// Judges every wanted fact by what was read. What an act is under way for keeps the sight it was sent for.
    fn show(&mut self, connector: &Shared, wanted: &[&str], subject: &Subject, readings: &Readings) {
        let subject = Subject {
            ledger: self.ledger.clone(),
            ..subject.clone()
        };
        for fact in wanted {
            if !self.sent.contains_key(*fact) {
                self.sights
                    .insert((*fact).to_owned(), connector.sight(&subject, fact, readings));
            }
        }
    }

    fn view<'v>(&'v self, facts: &'v [FactSpec], blocked: Option<&'v Fault>) -> View<'v> {
        let case = self.drive.case;
        View {
            system: &self.system,
            facts,
            sights: &self.sights,
            ledger: &self.ledger,
            pace: &self.pace,
            sent: &self.sent,
            fresh: self.sent.is_empty(),
            reading: self.reading,
            blocked,
            may_act: self.may_act(),
            legal_hold: case.legal_hold && !case.reinstate,
            handed_over: self.around.handed_over,
            gates: &self.around.gates,
            proof_lasts: case.recheck_every * 2,
            looked_at: self.looked_at.unwrap_or_else(|| self.drive.clock.now()),
            now: self.drive.clock.now(),
        }
    }

    fn may_act(&self) -> bool {
        self.drive.scope != Scope::Everything
            && self.drive.case.enforce
            && !self.drive.case.suspended
            && !self.system.observe_only
    }

    fn sendable(&self, facts: &[FactSpec]) -> Vec<FactSpec> {
        if !self.drive.store.current() && !planted(Bug::IgnoresDeletion) {
            return vec![];
        }
        self.view(facts, None).sendable().into_iter().cloned().collect()
    }

    /// The call that sends the act of `fact`, with what must be durable before it.
    fn send(
        &mut self,
        connector: &Shared,
        subject: &Subject,
        fact: &FactSpec,
        facts: &[FactSpec],
        readings: &Readings,
    ) -> Option<BoxFuture<'a, Answered>> {
        if self.ledger.fact(&fact.name).accepted.is_some() {
            // The last act was without effect: the next alternative, if there is one.
            self.next_rung(&fact.name);
            self.show(connector, &[&fact.name], subject, readings);
        }
        let sight = self.sights.get(&fact.name)?;
        let act = sight.act.clone()?;
        let mut must_commit = false;
        let mut ahead = None;
        if let Some(there) = sight.snapshot.clone().filter(|_| fact.removes) {
            let news = self.ledger.keep(&fact.name, &there);
            ahead = self.ahead.remove(&fact.name).filter(|_| !news);
            // Also when it was kept before: that commit may have failed. What is durable already is not written again.
            must_commit |= ahead.is_none() && !planted(Bug::NoSnapshot);
        }
        if !fact.repeatable || fact.irreversible {
            self.entry(&fact.name).intent = Some(self.drive.clock.now());
            must_commit |= !planted(Bug::NoIntent);
        }
        if connector.can_undo(&fact.name) {
            self.entry(&fact.name).tried = Some(self.drive.clock.now());
            // Security waits for no write; of the rest it must be known for certain that it was ours.
            must_commit |= !fact.class.security();
        }
        if fact.reported.is_some() && self.ledger.fact(&fact.name).heard.is_none() {
            // An answer to anything from before belongs to another time.
            self.entry(&fact.name).heard = Some(subject.now);
            must_commit = true;
        }
        // What could only be asserted rests on this fact; that it was undone must not be forgotten in a crash right after
        // it is mended.
        must_commit |= facts.iter().any(|other| {
            let rests = other.proof == Proof::None && other.requires.contains(&fact.name);
            rests && self.ledger.facts.contains_key(&other.name)
        });
        self.sent.insert(fact.name.clone(), Sent::InFlight);
        self.pace.last_sent = Some(self.drive.clock.now());
        let committed = must_commit.then(|| self.commit());
        let drive = self.drive;
        let gates = self.around.gates.clone();
        let fact = fact.clone();
        let name = fact.name.clone();
        let key = subject.keys.of(&subject.account.id, &fact.name);
        let (connector, subject) = (connector.clone(), subject.clone());
        let row = self.system.row.clone();
        let silence = self.silence.clone();
        Some(
            async move {
                let result = async {
                    for durable in ahead.into_iter().chain(committed) {
                        durable
                            .await
                            .map_err(|_| Fault::transient(Reason::StoreUnavailable))??;
                    }
                    let votes = gates.opened_by(&fact, &drive.case.votes);
                    if plan::held_back(&fact) && !drive.store.confirm(&votes).await?
                        || !(drive.store.current() || planted(Bug::IgnoresDeletion))
                    {
                        return Err(Fault::transient(Reason::Conflict));
                    }
                    silence.check(drive.clock.now())?;
                    audit(&drive.case.uid, &row, &subject.account.id, &act);
                    let wanted = || drive.store.current() || planted(Bug::IgnoresDeletion);
                    bounded_act(connector.as_ref(), &subject, &act, &Order::new(key, &wanted)).await
                }
                .await;
                Answered::Acted { fact: name, result }
            }
            .boxed(),
        )
    }

    /// What an act will take away is known while the act still waits for another one: its snapshot becomes durable
    /// meanwhile, and the write is not on the way of the access that ends.
    fn commit_ahead(&mut self, facts: &[FactSpec]) {
        let waiting: Vec<(String, Value)> = {
            let view = self.view(facts, None);
            let removing = facts.iter().filter(|fact| {
                fact.removes && !self.sent.contains_key(&fact.name) && !self.ahead.contains_key(&fact.name)
            });
            removing
                .filter(|fact| self.may_act() && view.will_send(fact))
                .filter_map(|fact| Some((fact.name.clone(), self.sights.get(&fact.name)?.snapshot.clone()?)))
                .collect()
        };
        if waiting.is_empty() || planted(Bug::NoSnapshot) {
            return;
        }
        for (fact, there) in waiting {
            if self.ledger.keep(&fact, &there) {
                // After a crash nobody else knows when it may have been sent.
                self.entry(&fact).tried = Some(self.drive.clock.now());
                let durable = self.commit();
                self.ahead.insert(fact, durable);
            }
        }
    }

    fn commit(&mut self) -> oneshot::Receiver<Result<(), Fault>> {
        let (done, committed) = oneshot::channel();
        let commit = Commit {
            row: self.system.row.clone(),
            ledger: self.ledger.clone(),
            happenings: std::mem::take(&mut self.happenings),
            done,
        };
        if self.commits.send(commit).is_err() {
            tracing::debug!("nobody commits any more: the pass is being abandoned");
        }
        committed
    }

    fn entry(&mut self, fact: &str) -> &mut FactLedger {
        self.ledger.facts.entry(fact.to_owned()).or_default()
    }

    fn happened(&mut self, fact: &str, event: Event) {
        self.happenings.push(Happening {
            at: self.drive.clock.now(),
            system: self.system.row.clone(),
            fact: fact.to_owned(),
            event,
            account: self
                .ledger
                .account
                .as_ref()
                .map(|a| a.id.clone())
                .unwrap_or_default(),
        });
    }

    fn note_answer(&mut self, fact: &str, result: Result<Receipt, Fault>) {
        let now = self.drive.clock.now();
        match result {
            Ok(receipt) => {
                // Asking again for the same thing is not news; it means that the last time was without effect.
                if self.ledger.fact(fact).accepted.is_none() {
                    self.pace.facts.remove(fact);
                    self.happened(fact, Event::Asked);
                } else {
                    let earlier = self.pace.facts.get(fact).filter(|t| t.fault == without_effect());
                    let trouble = Trouble::again(earlier, without_effect(), now, self.seed);
                    self.pace.facts.insert(fact.to_owned(), trouble);
                }
                if !receipt.gone.is_empty() {
                    self.happened(fact, Event::Gone);
                }
                let entry = self.entry(fact);
                entry.gone.extend(receipt.gone);
                entry.accepted = Some(now);
                entry.accepted_there = receipt.at;
                entry.intent = None;
                if receipt.operation.is_some() {
                    entry.operation = receipt.operation;
                }
                self.sent.insert(fact.to_owned(), Sent::Accepted);
            }
            Err(fault) => {
                match fault.kind {
                    // It may have taken effect: its settle time runs from now, and a look comes first.
                    FaultKind::UnknownOutcome => {
                        self.pace.asked.insert(fact.to_owned(), now);
                    }
                    FaultKind::Throttled { until } => self.park(until),
                    _ => {}
                }
                if fault.kind != FaultKind::UnknownOutcome
                    && let Some(entry) = self.ledger.facts.get_mut(fact)
                {
                    entry.intent = None;
                }
                if fault.reason == Reason::IdentityMismatch {
                    self.stop_writes(fact);
                }
                if fault.kind == FaultKind::Permanent
                    && fault.reason == Reason::Refused
                    && self.next_rung(fact)
                {
                    // The next look tries the next alternative at once.
                    self.pace.facts.remove(fact);
                } else {
                    self.note_fact_fault(fact, &fault);
                }
                self.sent.insert(fact.to_owned(), Sent::Failed(fault));
            }
        }
    }

    fn stop_writes(&mut self, fact: &str) {
        if !self.ledger.identity_mismatch {
            self.ledger.identity_mismatch = true;
            self.happened(fact, Event::IdentityMismatch);
        }
    }

    /// The next alternative of the ladder, counted from the one that was just tried; says whether there is one that was
    /// not tried since the first.
    fn next_rung(&mut self, fact: &str) -> bool {
        let Some(tried) = self.sights.get(fact).and_then(|s| s.act.as_ref()) else {
            return false;
        };
        let (next, more) = (tried.rung + 1, tried.more);
        self.entry(fact).rung = next;
        more
    }

    fn park(&mut self, until: Timestamp) {
        self.pace.parked_until = self.pace.parked_until.max(Some(until));
        self.silence.keep(self.pace.parked_until);
    }

    fn note_fact_fault(&mut self, fact: &str, fault: &Fault) {
        let now = self.drive.clock.now();
        let earlier = self.pace.facts.get(fact);
        // Passes come for many reasons; only a try at its own time makes the next wait longer.
        if matches!(fault.kind, FaultKind::Throttled { .. }) || earlier.is_some_and(|t| now < t.not_before) {
            return;
        }
        let mut trouble = Trouble::again(
            earlier,
            fault.clone(),
            now,
            schedule::mix(self.seed) ^ fact.len() as u64,
        );
        if planted(Bug::GivesUp) {
            trouble.not_before = Timestamp::MAX;
        }
        self.pace.facts.insert(fact.to_owned(), trouble);
    }

    /// What is not true and nothing of ours makes true is looked at again: soon if it follows from what we did, which may
    /// just show late, else as often as what a person must mend.
    fn note_nothing_to_do(&mut self, fact: &FactSpec) {
        let fault = if fact.after.is_empty() {
            Fault::needs_decision(Reason::Conflict)
        } else {
            Fault::transient(Reason::Conflict)
        };
        self.note_fact_fault(&fact.name, &fault.with_code(NOTHING_TO_DO));
    }

    /// What there is something to do about by now does not wait any longer.
    fn forget_nothing_to_do(&mut self) {
        let sights = &self.sights;
        self.pace.facts.retain(|fact, trouble| {
            let possible = sights.get(fact).is_some_and(|sight| sight.act.is_some());
            trouble.fault.code != NOTHING_TO_DO || !possible
        });
    }

    fn note_system_fault(&mut self, fault: &Fault) {
        if let FaultKind::Throttled { until } = fault.kind {
            self.park(until);
            return;
        }
        let trouble = Trouble::again(
            self.pace.system.as_ref(),
            fault.clone(),
            self.drive.clock.now(),
            self.seed,
        );
        self.pace.system = Some(trouble);
    }

    fn note_throttling(&mut self, readings: &Readings) {
        if let Some(until) = latest_silence(readings.values().filter_map(|r| r.as_ref().err())) {
            self.park(until);
        }
    }

    /// A fact that had been proven and is seen false, outside the settle time of our last act, was undone by
    /// somebody else (R14). A proof that was never seen again after the settle time may itself have rested on a late read: it is
    /// dropped, and nobody is blamed.
    fn note_drift(&mut self, facts: &[FactSpec]) {
        let now = self.looked_at.unwrap_or_else(|| self.drive.clock.now());
        let was_at_rest = self.was_at_rest(facts, now);
        let mut undone = vec![];
        for fact in facts {
            let gone = self
                .sights
                .get(&fact.name)
                .is_some_and(|s| s.truth == Truth::DoesNotHold);
            let entry = self.ledger.fact(&fact.name);
            let settling = entry
                .accepted
                .is_some_and(|at| now < schedule::later(at, fact.settle));
            let entry_cutoff = entry.cutoff;
            if fact.by_hand {
                if self.note_reopened(fact) {
                    undone.push(fact.name.as_str());
                }
                continue;
            }
            let Some(verified) = entry.verified.filter(|_| fact.proof != Proof::None) else {
                continue;
            };
            if !gone || settling || self.sent.contains_key(&fact.name) {
                continue;
            }
            let entry_accepted = entry.accepted;
            let known = verified.max(entry_accepted.unwrap_or(verified));
            let certain = schedule::later(known, fact.settle);
            let entry = self.entry(&fact.name);
            entry.verified = None;
            if now < certain && (!fact.repeatable || fact.irreversible) {
                // What must not happen twice is not asked for again on the word of one read, which may be a late one.
                entry.accepted = Some(known);
                self.pace.seen.remove(&fact.name);
                continue;
            }
            entry.accepted = None;
            entry.accepted_there = None;
            entry.operation = None;
            // Our own acts for other facts may undo this one: a new password ends the lock in some directories.
            let by_somebody_else = match self.pace.seen.remove(&fact.name) {
                Some(seen) => seen >= certain && self.pace.last_sent.is_none_or(|sent| sent <= seen),
                // After a restart: only long after the second look should have been made.
                None => now >= schedule::later(certain, CONFIRMED_WITHIN) && was_at_rest,
            };
            let wished_otherwise = entry_cutoff.is_some_and(|cutoff| cutoff != self.drive.case.cutoff);
            if by_somebody_else && !wished_otherwise {
                self.entry(&fact.name).reversals += 1;
                self.drifted.push(fact.name.clone());
                self.happened(&fact.name, Event::Drifted);
            }
            undone.push(fact.name.as_str());
        }
        // What comes after it may have been used meanwhile, and a late read may still show it as it was: it is proven anew,
        // and looked at once more when late reads are over.
        let resting = facts.iter().filter(|fact| {
            fact.proof != Proof::None
                && fact.class.security()
                && fact.repeatable
                && !undone.contains(&fact.name.as_str())
                && fact
                    .after
                    .iter()
                    .chain(&fact.requires)
                    .any(|name| undone.contains(&name.as_str()))
        });
        for fact in resting {
            if let Some(entry) = self.ledger.facts.get_mut(&fact.name) {
                entry.verified = None;
            }
            self.pace.seen.remove(&fact.name);
        }
        // What cannot be read was asked for when its requirements held; they did not hold all the time.
        let asserted = facts.iter().filter(|fact| fact.proof == Proof::None);
        for fact in asserted.filter(|fact| fact.requires.iter().any(|name| undone.contains(&name.as_str()))) {
            if let Some(entry) = self.ledger.facts.get_mut(&fact.name) {
                (entry.verified, entry.accepted, entry.intent) = (None, None, None);
                entry.word = None;
                entry.heard = entry.heard.map(|_| now);
            }
        }
    }

    /// A task that a read shows undone, though it was proven, or somebody said that it is done: such a word is spent for
    /// good. Says whether it counted as done.
    fn note_reopened(&mut self, fact: &FactSpec) -> bool {
        let seen = self.sights.get(&fact.name);
        let Some(sight) = seen.filter(|sight| sight.truth == Truth::DoesNotHold) else {
            return false;
        };
        let (counts, disproof) = {
            let view = self.view(std::slice::from_ref(fact), None);
            (view.word(fact).is_some(), view.disproof(fact, sight))
        };
        let entry = self.ledger.fact(&fact.name);
        let (done, proven) = (entry.verified.is_some(), entry.word.is_none());
        if disproof.is_none() && (counts || !done) {
            return false;
        }
        let entry = self.entry(&fact.name);
        entry.disproved = entry.disproved.max(disproof);
        (entry.verified, entry.word) = (None, None);
        self.pace.seen.remove(&fact.name);
        if done && proven {
            self.drifted.push(fact.name.clone());
            self.happened(&fact.name, Event::Drifted);
        } else if done {
            self.happened(&fact.name, Event::Reopened);
        }
        done
    }

    /// On whose word a task counts as done, until it is read.
    fn note_word(&mut self, fact: &FactSpec, verdict: &Verdict, word: Option<Timestamp>) {
        let said = match verdict {
            Verdict::Asserted => word,
            Verdict::Verified => None,
            _ => return,
        };
        if self.ledger.fact(&fact.name).word == said {
            return;
        }
        let looked_at = self.looked_at;
        let entry = self.entry(&fact.name);
        entry.word = said;
        entry.verified = looked_at.filter(|_| said.is_some());
        if said.is_some() {
            self.happened(&fact.name, Event::Asserted);
        }
    }

    /// Whether nothing of ours can have been under way when the process ended before this one: then all there was to do was
    /// proven. What was sent last is not durable.
    fn was_at_rest(&self, facts: &[FactSpec], now: Timestamp) -> bool {
        facts.iter().all(|fact| {
            let sight = self.sights.get(&fact.name);
            !self.wants(fact, now)
                || self.ledger.fact(&fact.name).verified.is_some()
                || sight.is_some_and(|s| s.truth == Truth::NotApplicable)
                || sight.is_some_and(|s| s.truth == Truth::DoesNotHold && s.act.is_none())
        })
    }

    fn is_refused(&self, fact: &str) -> bool {
        self.sights.get(fact).is_some_and(|sight| sight.refused.is_some())
    }

    /// What a finished look proves, and what it failed to read.
    fn note_sights(&mut self, facts: &[FactSpec]) {
        self.forget_nothing_to_do();
        let now = self.drive.clock.now();
        let verdicts: Vec<_> = {
            let view = self.view(facts, None);
            facts
                .iter()
                .map(|fact| (fact, view.verdict(fact), view.word(fact)))
                .collect()
        };
        for (fact, verdict, word) in verdicts {
            if fact.by_hand {
                self.note_word(fact, &verdict, word);
            }
            let event = match &verdict {
                Verdict::Verified => Event::Verified,
                Verdict::Asserted => Event::Asserted,
                Verdict::Unknown(fault) => {
                    if fault.reason == Reason::IdentityMismatch {
                        self.stop_writes(&fact.name);
                    }
                    self.note_fact_fault(&fact.name, &fault.clone());
                    continue;
                }
                Verdict::Unmet(Why::Failed(fault)) if self.is_refused(&fact.name) => {
                    self.note_fact_fault(&fact.name, &fault.clone());
                    continue;
                }
                Verdict::Unmet(Why::NoAct) => {
                    self.note_nothing_to_do(fact);
                    continue;
                }
                _ => continue,
            };
            match self.sights.get(&fact.name).map(|sight| &sight.truth) {
                // The proof outlives this, and is looked at again like anything else that could not be read.
                Some(Truth::Unreadable(fault)) => {
                    let fault = fault.clone();
                    self.note_fact_fault(&fact.name, &fault);
                    continue;
                }
                None => continue,
                Some(_) => {}
            }
            self.pace.facts.remove(&fact.name);
            // An act whose answer was lost is known to have been accepted once its effect is seen (R12).
            let unsure = self.pace.asked.remove(&fact.name);
            let looked_at = self.looked_at.unwrap_or(now);
            self.pace.seen.insert(fact.name.clone(), looked_at);
            let cutoff = self.drive.case.cutoff;
            let entry = self.entry(&fact.name);
            if fact.stage == Stage::Ahead {
                entry.cutoff = Some(cutoff);
            }
            entry.accepted = entry.accepted.max(entry.intent.take()).max(unsure);
            if entry.verified.is_none() {
                entry.verified = Some(looked_at);
                self.happened(&fact.name, event);
            }
        }
    }

    fn finish_blocked(self, facts: &[FactSpec], fault: &Fault) -> Finished {
        let fault = fault.clone();
        self.finish(facts, Some(&fault))
    }

    fn finish(self, facts: &[FactSpec], blocked: Option<&Fault>) -> Finished {
        let view = self.view(facts, blocked);
        let verdicts: Vec<_> = facts
            .iter()
            .map(|fact| {
                (
                    fact.clone(),
                    view.verdict(fact),
                    self.sights.get(&fact.name).cloned(),
                )
            })
            .collect();
        let wake = match blocked {
            Some(_) if facts.is_empty() => None,
            Some(fault) if !fault.passes_by_itself() => self.pace.system.as_ref().map(|t| t.not_before),
            _ => view.wake(),
        };
        let row = Row {
            name: self.system.row.clone(),
            account: self
                .ledger
                .account
                .as_ref()
                .map(|a| (a.id.clone(), a.name.clone())),
            facts: verdicts,
            trouble: self.trouble.clone(),
            blocked: blocked.cloned(),
            identity_mismatch: self.ledger.identity_mismatch,
            drifted: self.drifted.clone(),
            wake,
        };
        Finished {
            row,
            began: self.began,
            ledger: self.ledger,
            pace: self.pace,
            happenings: self.happenings,
        }
    }
}

/// Until when the system wants to be left alone, for acts that waited for something durable while it said so.
#[derive(Debug, Clone, Default)]
struct Silence(Arc<Mutex<Option<Timestamp>>>);

impl Silence {
    fn keep(&self, until: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn check(&self, now: Timestamp) -> Result<(), Fault> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(until) if now < until && !planted(Bug::IgnoresThrottling) => Err(Fault::throttled(until)),
            _ => Ok(()),
        }
    }
}

/// The last of the instants until which the system wants to be left alone.
fn latest_silence<'f>(faults: impl Iterator<Item = &'f Fault>) -> Option<Timestamp> {
    let until = faults.filter_map(|fault| match fault.kind {
        FaultKind::Throttled { until } => Some(until),
        _ => None,
    });
    until.max()
}

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The line in the audit stream that precedes every changing call (S6). Ids only, no person.
fn audit(uid: &str, row: &str, account: &str, act: &Act) {
    let requests = act.requests.len();
    tracing::info!(target: "offboard::audit", offboarding = uid, system = row, account, fact = act.fact, requests, "act");
}

fn seed(uid: &str, row: &str) -> u64 {
    let digest = digest_of([uid, row]);
    u64::from_str_radix(digest.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// No call may take longer, whatever a driver does. Drivers have deadlines of their own below this.
fn longest_call() -> Duration {
    LONGEST_CALL.unsigned_abs()
}

async fn bounded_find(connector: &dyn Connector, who: &Person) -> Result<Vec<Account>, Fault> {
    match tokio::time::timeout(longest_call(), connector.find(who)).await {
        Ok(found) => found,
        Err(_) => Err(Fault::transient(Reason::Timeout)),
    }
}

async fn bounded_observe(connector: Shared, subject: Subject, facts: Vec<String>) -> Answered {
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    // A look that hangs as a whole leaves every fact unread, which is Unknown.
    let readings = tokio::time::timeout(longest_call(), connector.observe(&subject, &facts)).await;
    Answered::Read(readings.unwrap_or_default())
}

async fn bounded_act(
    connector: &dyn Connector,
    subject: &Subject,
    act: &Act,
    order: &Order<'_>,
) -> Result<Receipt, Fault> {
    match tokio::time::timeout(longest_call(), connector.act(subject, act, order)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::unknown_outcome(Reason::Timeout)),
    }
}
