//! One pass over one system: bind, look, act on what the rules allow, look again.
//!
//! Four round trips for a readable system: find · disable while the rest is read · everything else · read all.

mod bind;
mod notes;
mod send;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use self::send::Silence;
use super::{
    Drive, Link, Row, Scope,
    evidence::Happening,
    undo::{self, Undoing},
};
use crate::{
    connectors::{Keys, Readings, Shared, Subject},
    core::{
        approvals::Gates,
        callback::Statement,
        case::{Gone, System, Wanted},
        digest::digest_of,
        fact::{Class, Exempt, FactSpec, FactState, Receipt, Sight, Truth, Verdict},
        fault::{Fault, PANICKED, Reason},
        identity,
        kept::Room,
        ledger::SystemLedger,
        pace::Pace,
        plan::{LONGEST_CALL, Sent, View},
        planted::{Bug, planted},
        schedule, scope,
    },
};

/// A pass gives up for now after this many looks: something keeps changing under it.
const MOST_LOOKS: usize = 6;
/// The code of a trouble that only says when to look again.
const NOTHING_TO_DO: &str = "no act";

/// How often somebody is looked up before the last day who has no account yet: daily, and not everybody at once.
fn looked_up_every(seed: u64) -> SignedDuration {
    SignedDuration::from_mins(20 * 60 + i64::try_from(seed % 240).unwrap_or_default())
}

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
    /// How much of what is taken away may be kept still.
    pub room: Arc<Room>,
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
    /// The account was bound when the pass began.
    bound_before: bool,
    /// Why nothing may be changed in this look though the system answers: it is not certain any more whose account it is.
    forbidden: Option<Fault>,
    /// The login names of the accounts between which a person must decide.
    candidates: OnceLock<Vec<String>>,
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
        let bound_before = ledger.account.is_some();
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
            bound_before,
            forbidden: None,
            candidates: OnceLock::new(),
        }
    }

    pub(super) async fn run(mut self) -> Finished {
        self.pace.since.get_or_insert(self.began);
        if let Some(gone) = self.system.gone {
            return self.finish_gone(gone);
        }
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
                let facts = scope::gone(&self.ledger);
                self.note_sought();
                return self.finish_blocked(&facts, &fault);
            }
        };
        if self.drive.case.reinstate {
            return self.give_back(connector).await;
        }
        self.pursue(connector).await
    }

    /// Ends in place of a pass that met a bug of ours: nothing is known but what is durable, and it is tried again ever more rarely.
    pub(super) fn abandon(mut self) -> Finished {
        // As after a crash: what was sent right before is known to nobody.
        self.pace.since = Some(self.began);
        let link = self.drive.links.get(&self.system.row);
        let facts = match link {
            Some(Link::Ready(connector)) if !self.drive.case.reinstate => {
                connector.capabilities().facts.clone()
            }
            _ => scope::gone(&self.ledger),
        };
        self.hear(&facts);
        let fault = Fault::permanent(Reason::Malformed).with_code(PANICKED);
        self.note_system_fault(&fault);
        self.note_sought();
        self.finish_blocked(&facts, &fault)
    }

    /// Drives the system towards the undoing of what we did there.
    async fn give_back(mut self, connector: Shared) -> Finished {
        self.ledger.no_account_since = None;
        let since = self.pace.since.unwrap_or(self.began);
        let undoing = Arc::new(Undoing::new(connector, &self.ledger, since));
        self.system = Cow::Owned(undoing.wanted(&self.system, &self.ledger));
        // Nothing that was found only now can be ours.
        let mut finished = if self.ledger.account.is_some() {
            self.pursue(undoing.clone()).await
        } else {
            self.finish(&[], None)
        };
        let verdicts = finished
            .row
            .facts
            .iter()
            .map(|state| (&state.spec, &state.verdict));
        undo::note_lost(&mut finished.ledger, verdicts);
        let own = undoing.originals();
        undo::settle(&mut finished.ledger, own, |fact| undoing.takes_back(fact));
        let row = &mut finished.row.facts;
        let settled = undo::settled(&finished.ledger, own);
        for (fact, verdict) in settled
            .into_iter()
            .chain(undo::out_of_reach(&finished.ledger, own))
        {
            row.retain(|known| known.spec.name != fact.name);
            row.push(FactState::unseen(fact, verdict));
        }
        finished.row.not_kept = finished.ledger.not_kept();
        finished
    }

    async fn pursue(mut self, connector: Shared) -> Finished {
        let facts = connector.capabilities().facts.clone();
        self.hear(&facts);
        if let Some(fault) = self.must_wait() {
            return self.finish_blocked(&facts, &fault);
        }
        if !self.anything_to_look_at(&facts) {
            return self.look_up_early(&connector, &facts).await;
        }
        match self.bind(&connector).await {
            Ok(Some(subject)) => {
                self.pace.system = None;
                if !self.drive.case.reinstate {
                    scope::widen(&mut self.ledger, &self.system, &facts);
                }
                let looked = self.others_due().then(|| subject.clone());
                self.work(&connector, &facts, subject).await;
                // Afterwards: what ends access waits for nothing that does not.
                if let Some(looked) = looked {
                    self.look_for_others(&connector, &looked).await;
                }
                let forbidden = self.forbidden.take();
                self.finish(&facts, forbidden.as_ref())
            }
            Ok(None) => {
                self.pace.system = None;
                self.finish_unbound(&facts, None)
            }
            Err(fault) => {
                self.note_system_fault(&fault);
                self.note_sought();
                self.finish_blocked(&facts, &fault)
            }
        }
    }

    /// Notes that there was no answer to whether the person has an account, where access has ended.
    fn note_sought(&mut self) {
        let (now, case) = (self.drive.clock.now(), self.drive.case);
        let unknown = self.ledger.account.is_none() && !self.ledger.no_account;
        if unknown && case.cutoff <= now && !case.reinstate {
            self.ledger.sought.get_or_insert(now);
        }
    }

    /// Looks the person up while there is time: whoever changes their own address before the last day is known by then.
    /// Changes nothing; asked again every day until somebody is bound.
    async fn look_up_early(mut self, connector: &Shared, facts: &[FactSpec]) -> Finished {
        let now = self.drive.clock.now();
        let case = self.drive.case;
        let kept = self.system.kept_until.is_some_and(|until| now < until);
        let wanted = self.system.wanted.values().any(|wanted| *wanted != Wanted::Not);
        if case.reinstate || case.cutoff <= now || kept || !wanted || self.ledger.account.is_some() {
            return self.finish(facts, None);
        }
        let fault = match self.bind(connector).await {
            Ok(found) => {
                self.pace.system = None;
                if found.is_some() {
                    scope::widen(&mut self.ledger, &self.system, facts);
                }
                None
            }
            Err(fault) => {
                self.note_system_fault(&fault);
                Some(fault)
            }
        };
        // That nobody is there is no answer before the last day.
        self.ledger.no_account = false;
        if self.ledger.account.is_some() {
            return self.finish(facts, None);
        }
        self.finish_unbound(facts, fault.as_ref())
    }

    /// The end of a pass that bound nobody: until the last day the person is looked up again.
    fn finish_unbound(self, facts: &[FactSpec], fault: Option<&Fault>) -> Finished {
        let (now, cutoff) = (self.drive.clock.now(), self.drive.case.cutoff);
        let troubles = [
            self.pace.parked_until,
            self.pace.system.as_ref().map(|t| t.not_before),
        ];
        let again = troubles.into_iter().flatten().filter(|at| now < *at).max();
        let again = again.unwrap_or_else(|| schedule::later(now, looked_up_every(self.seed)));
        let mut finished = self.finish(facts, fault);
        if now < cutoff {
            let wakes = finished.row.wake.into_iter().chain([again, cutoff]);
            finished.row.wake = wakes.min();
        }
        finished
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
    fn must_wait(&self) -> Option<Fault> {
        self.pace.must_wait(self.drive.clock.now())
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
        let over = scope::is_over(*wanted, fact, &self.ledger, now);
        !kept && !over && (self.drive.scope == Scope::Everything || due())
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
            subject.account.item = Arc::default();
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
                    self.forbidden = self.forbidden_by(connector, subject, &readings).await;
                    self.note_drift(facts);
                    // What is proven now is noted before anything is sent for which it must be proven.
                    self.note_sights(facts);
                }
                Some(Answered::Acted { fact, result }) => self.note_answer(&fact, result),
            }
        }
    }

    /// Why nothing may be changed by what was read of the account: it is protected, or not certain to be the person's.
    async fn forbidden_by(
        &mut self,
        connector: &Shared,
        subject: &Subject,
        readings: &Readings,
    ) -> Option<Fault> {
        let reinstate = self.drive.case.reinstate;
        let protected = match connector.protects(subject, readings) {
            Ok(Some(protected)) if reinstate => protected,
            Ok(Some(protected)) => {
                let now = self.drive.clock.now();
                scope::shields(&mut self.ledger, &self.system, protected, now)
            }
            Ok(None) => false,
            Err(fault) => return Some(fault),
        };
        if protected {
            return Some(Fault::needs_decision(Reason::Protected));
        }
        if reinstate {
            return None;
        }
        self.recognise(connector, subject, readings).await.err()
    }

    /// Judges every wanted fact by what was read. What an act is under way for keeps the sight it was sent for.
    fn show(&mut self, connector: &Shared, wanted: &[&str], subject: &Subject, readings: &Readings) {
        let subject = Subject {
            ledger: self.ledger.clone(),
            ..subject.clone()
        };
        for fact in wanted {
            if !self.sent.contains_key(*fact) {
                // Not both at the same time: either may show thousands of things to take away.
                self.sights.remove(*fact);
                let sight = connector.sight(&subject, fact, readings);
                self.sights.insert((*fact).to_owned(), sight);
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
            && !self.drive.case.is_held(self.drive.clock.now())
            && !self.system.observe_only
    }

    fn sendable(&self, facts: &[FactSpec]) -> Vec<FactSpec> {
        if !self.drive.store.current() && !planted(Bug::IgnoresDeletion) {
            return vec![];
        }
        self.view(facts, self.forbidden.as_ref())
            .sendable()
            .into_iter()
            .cloned()
            .collect()
    }

    /// By what the person was looked for, who has no account, and by what not.
    fn looked_up_by(&self) -> Option<String> {
        let Some(Link::Ready(connector)) = self.drive.links.get(&self.system.row) else {
            return None;
        };
        if !self.ledger.no_account {
            return None;
        }
        let who = &self.system.who;
        let asked = connector.looked_up_by(who);
        if asked.is_empty() {
            // It finds people by their login name alone.
            let named = self.system.named.join(", ");
            return (!named.is_empty())
                .then(|| format!("spec.employee.accounts names all accounts: {named}"));
        }
        let known = [
            ("email", who.email.is_some()),
            ("employeeID", who.employee_id.is_some()),
        ];
        let missed = known
            .into_iter()
            .filter(|(key, known)| *known && !asked.contains(key));
        let missed: Vec<_> = missed.map(|(key, _)| key).collect();
        let asked = format!("looked up by {}", asked.join(", "));
        Some(if missed.is_empty() || who.account_name.is_some() {
            asked
        } else {
            format!("{asked}; not by {}", missed.join(", "))
        })
    }

    /// What is there of a person who has an account, and is not looked after.
    fn not_covered(&self) -> Vec<String> {
        match self.drive.links.get(&self.system.row) {
            Some(Link::Ready(connector)) if self.ledger.account.is_some() => {
                connector.capabilities().not_covered.clone()
            }
            _ => vec![],
        }
    }

    fn finish_blocked(self, facts: &[FactSpec], fault: &Fault) -> Finished {
        let fault = fault.clone();
        self.finish(facts, Some(&fault))
    }

    /// The end of a pass over a system that only the record knows: nothing can be looked at, and nothing is forgotten.
    fn finish_gone(mut self, gone: Gone) -> Finished {
        let verdicts: Vec<_> = if self.drive.case.reinstate {
            undo::out_of_reach(&self.ledger, &[])
        } else {
            let facts = scope::gone(&self.ledger);
            let verdict = |fact| (self.unobservable(&fact, Reason::ConnectorGone), fact);
            facts.into_iter().map(verdict).map(|(v, f)| (f, v)).collect()
        };
        if verdicts.iter().any(|(_, verdict)| !verdict.settled()) {
            let text = match gone {
                Gone::Deleted => "the Connector is gone: apply it again, or waive each fact",
                Gone::Deselected if self.system.row.contains('/') => {
                    "spec.employee.accounts does not name it any more: name it again, or waive each fact"
                }
                Gone::Deselected => {
                    "policy.spec.connectors does not select it any more: select it, or waive each fact"
                }
            };
            self.trouble = Some(text.to_owned());
        }
        let blocked = self
            .trouble
            .is_some()
            .then(|| Fault::needs_decision(Reason::ConnectorGone));
        let mut finished = self.finish(&[], blocked.as_ref());
        let shown = verdicts.into_iter();
        let shown = shown.map(|(fact, verdict)| FactState::unseen(fact, verdict));
        finished.row.facts = shown.collect();
        finished
    }

    /// The login names of the active accounts that were found beside the bound one.
    fn other_names(&self) -> &[String] {
        match &self.pace.others {
            Some((_, names)) if self.bound_before && !self.drive.case.reinstate => names,
            _ => &[],
        }
    }

    /// That another active account was found, which somebody must decide about, or that nobody could look for one.
    fn other_account(&self, blocked: Option<&Fault>) -> Option<FactState> {
        if blocked.is_some() {
            return None;
        }
        let fault = self.another()?;
        let fact = FactSpec::plain(identity::NO_OTHER_ACCOUNT, Class::Access);
        let verdict = if self.system.keeps(&fact.name, self.drive.clock.now()) {
            Verdict::NotNeeded(Exempt::Waived)
        } else {
            Verdict::Unknown(fault)
        };
        Some(FactState::unseen(fact, verdict))
    }

    fn unobservable(&self, fact: &FactSpec, reason: Reason) -> Verdict {
        let times = (self.drive.case.recheck_until, self.drive.clock.now());
        scope::unobservable(&self.system, &self.ledger, fact, reason, times)
    }

    fn finish(self, facts: &[FactSpec], blocked: Option<&Fault>) -> Finished {
        let view = self.view(facts, blocked);
        let beyond = if self.drive.case.reinstate || self.system.gone.is_some() {
            vec![]
        } else {
            scope::facts_beyond(&self.ledger, &self.system, facts)
        };
        let other = self.other_account(blocked);
        let lost: Vec<String> = beyond.iter().map(|fact| fact.name.clone()).collect();
        let beyond = beyond.into_iter().map(|fact| {
            let verdict = self.unobservable(&fact, Reason::FactGone);
            FactState::unseen(fact, verdict)
        });
        let beyond = beyond.chain(other.clone());
        let verdicts: Vec<_> = facts
            .iter()
            .filter(|fact| !lost.contains(&fact.name))
            .map(|fact| FactState {
                spec: fact.clone(),
                verdict: view.verdict(fact),
                sight: self.sights.get(&fact.name).map(Sight::without_snapshot),
            })
            .chain(beyond)
            .collect();
        let wake = match blocked {
            Some(_) if facts.is_empty() => None,
            Some(fault) if !fault.passes_by_itself() => self.pace.system.as_ref().map(|t| t.not_before),
            _ => {
                let others = self.others_again().filter(|_| other.is_some());
                view.wake().into_iter().chain(others).min()
            }
        };
        let row = Row {
            account: self
                .ledger
                .account
                .as_ref()
                .map(|a| (a.id.clone(), a.name.clone())),
            trouble: self.trouble.clone(),
            blocked: blocked.cloned(),
            identity_mismatch: self.ledger.identity_mismatch,
            candidates: match self.candidates.get() {
                Some(candidates) => candidates.clone(),
                None => self.other_names().to_vec(),
            },
            looked_up_by: self.looked_up_by(),
            not_covered: self.not_covered(),
            drifted: self.drifted.clone(),
            reversals: self.ledger.reversals(),
            others: self.ledger.others(),
            not_kept: self.ledger.not_kept(),
            wake,
            ..Row::new(&self.system.row, verdicts)
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

fn own(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn seed(uid: &str, row: &str) -> u64 {
    let digest = digest_of([uid, row]);
    u64::from_str_radix(digest.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// No call may take longer, whatever a driver does. Drivers have deadlines of their own below this.
fn longest_call() -> Duration {
    LONGEST_CALL.unsigned_abs()
}

async fn bounded_observe(connector: Shared, subject: Subject, facts: Vec<String>) -> Answered {
    let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
    // A look that hangs as a whole leaves every fact unread, which is Unknown.
    let readings = tokio::time::timeout(longest_call(), connector.observe(&subject, &facts)).await;
    Answered::Read(readings.unwrap_or_default())
}
