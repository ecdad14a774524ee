//! One pass over one system: bind, look, act on what the rules allow, look again. What that means is for [`crate::core`] to say;
//! here are the calls, in their order, and what must be durable between them.
//!
//! Four round trips for a readable system: find · disable while the rest is read · everything else · read all.
//!
//! | file | what |
//! |---|---|
//! | `bind.rs` | whose account it is |
//! | `look.rs` | one look, and the acts that go out while it goes on |
//! | `send.rs` | what is sent, and what is durable before |
//! | `record.rs` | what answers and looks leave in the ledger |
//! | `finish.rs` | the row that is shown |

mod bind;
mod commit;
mod finish;
mod finished;
mod journal;
mod look;
mod outbox;
mod record;
mod send;
mod shared_input;
mod silence;

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

pub(super) use self::{commit::Commit, finished::Finished, shared_input::SharedInput};
use self::{journal::Journal, outbox::Outbox};
use super::{Drive, Link, Scope, undo::Undoing};
use crate::{
    connectors::{Keys, Shared},
    core::{
        binding::{Others, Search},
        case::{System, Wanted},
        digest::digest_of,
        fact::{FactSpec, FactState},
        fault::{Fault, PANICKED, Reason},
        ledger::SystemLedger,
        pace::Pace,
        plan::{LONGEST_CALL, PlanInput},
        reinstate, schedule, scope,
        state::{Look, SystemState},
    },
};

/// How often somebody is looked up before the last day who has no account yet: daily, and not everybody at once.
fn looked_up_every(seed: u64) -> SignedDuration {
    SignedDuration::from_mins(20 * 60 + i64::try_from(seed % 240).unwrap_or_default())
}

/// One pass over one system.
pub(super) struct SystemRun<'a> {
    drive: &'a Drive<'a>,
    system: Cow<'a, System>,
    input: SharedInput,
    state: SystemState,
    look: Look,
    journal: Journal,
    outbox: Outbox,
    /// The account was bound when the pass began.
    bound_before: bool,
}

impl<'a> SystemRun<'a> {
    pub(super) fn new(
        drive: &'a Drive<'a>,
        system: &'a System,
        input: SharedInput,
        mut ledger: SystemLedger,
        pace: Pace,
        commits: mpsc::UnboundedSender<Commit>,
    ) -> Self {
        let seed = seed(&drive.case.uid, &system.row);
        let outbox = Outbox::new(commits);
        outbox.silence.keep(pace.parked_until);
        if !drive.case.reinstate {
            reinstate::leaves_again(&mut ledger);
        }
        Self {
            drive,
            system: Cow::Borrowed(system),
            input,
            bound_before: ledger.account.is_some(),
            state: SystemState { ledger, pace, seed },
            look: Look::default(),
            journal: Journal::new(drive.clock.now()),
            outbox,
        }
    }

    pub(super) async fn run(mut self) -> Finished {
        self.state.pace.since.get_or_insert(self.journal.began);
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
                self.journal.trouble = Some(text);
                let facts = scope::gone(&self.state.ledger);
                self.record_sought();
                return self.finish(&facts, Some(&fault));
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
        self.state.pace.since = Some(self.journal.began);
        let link = self.drive.links.get(&self.system.row);
        let facts = match link {
            Some(Link::Ready(connector)) if !self.drive.case.reinstate => {
                connector.capabilities().facts.clone()
            }
            _ => scope::gone(&self.state.ledger),
        };
        self.apply_callbacks(&facts);
        let fault = Fault::permanent(Reason::Malformed).with_code(PANICKED);
        self.record_system_fault(&fault);
        self.record_sought();
        self.finish(&facts, Some(&fault))
    }

    /// Drives the system towards the undoing of what we did there.
    async fn give_back(mut self, connector: Shared) -> Finished {
        self.state.ledger.no_account_since = None;
        let since = self.state.pace.since.unwrap_or(self.journal.began);
        let undoing = Arc::new(Undoing::new(connector, &self.state.ledger, since));
        self.system = Cow::Owned(undoing.wanted(&self.system, &self.state.ledger));
        // Nothing that was found only now can be ours.
        let mut finished = if self.state.ledger.account.is_some() {
            self.pursue(undoing.clone()).await
        } else {
            self.finish(&[], None)
        };
        let (ledger, own) = (&mut finished.ledger, undoing.originals());
        reinstate::record_lost(ledger, &finished.row.facts);
        reinstate::settle(ledger, own, |fact| undoing.takes_back(fact));
        let settled: Vec<FactState> = reinstate::settled(ledger, own);
        let row = &mut finished.row.facts;
        for state in settled.into_iter().chain(reinstate::out_of_reach(ledger, own)) {
            row.retain(|known| known.spec.name != state.spec.name);
            row.push(state);
        }
        finished.row.not_kept = finished.ledger.not_kept();
        finished
    }

    async fn pursue(mut self, connector: Shared) -> Finished {
        let facts = connector.capabilities().facts.clone();
        self.apply_callbacks(&facts);
        if let Some(fault) = self.state.pace.must_wait(self.now()) {
            return self.finish(&facts, Some(&fault));
        }
        if !self.anything_to_look_at(&facts) {
            return self.look_up_early(&connector, &facts).await;
        }
        match self.bind(&connector).await {
            Ok(Some(subject)) => {
                self.state.pace.system = None;
                if !self.drive.case.reinstate {
                    scope::widen(&mut self.state.ledger, &self.system, &facts);
                }
                let looked = self
                    .others(&connector)
                    .due(&self.state.pace)
                    .then(|| subject.clone());
                self.work(&connector, &facts, subject).await;
                // Afterwards: what ends access waits for nothing that does not.
                if let Some(looked) = looked {
                    self.look_for_others(&connector, &looked).await;
                }
                let forbidden = self.look.forbidden.take();
                self.finish(&facts, forbidden.as_ref())
            }
            Ok(None) => {
                self.state.pace.system = None;
                self.finish_unbound(&facts, None)
            }
            Err(fault) => {
                self.record_system_fault(&fault);
                self.record_sought();
                self.finish(&facts, Some(&fault))
            }
        }
    }

    /// Looks the person up while there is time: whoever changes their own address before the last day is known by then.
    /// Changes nothing; asked again every day until somebody is bound.
    async fn look_up_early(mut self, connector: &Shared, facts: &[FactSpec]) -> Finished {
        let now = self.now();
        let case = self.drive.case;
        let kept = self.system.kept_until.is_some_and(|until| now < until);
        let wanted = self.system.wanted.values().any(|wanted| *wanted != Wanted::Not);
        let bound = self.state.ledger.account.is_some();
        if case.reinstate || case.cutoff <= now || kept || !wanted || bound {
            return self.finish(facts, None);
        }
        let fault = match self.bind(connector).await {
            Ok(found) => {
                self.state.pace.system = None;
                if found.is_some() {
                    scope::widen(&mut self.state.ledger, &self.system, facts);
                }
                None
            }
            Err(fault) => {
                self.record_system_fault(&fault);
                Some(fault)
            }
        };
        // That nobody is there is no answer before the last day.
        self.state.ledger.no_account = false;
        if self.state.ledger.account.is_some() {
            return self.finish(facts, None);
        }
        self.finish_unbound(facts, fault.as_ref())
    }

    /// The end of a pass that bound nobody: until the last day the person is looked up again.
    fn finish_unbound(self, facts: &[FactSpec], fault: Option<&Fault>) -> Finished {
        let (now, cutoff) = (self.now(), self.drive.case.cutoff);
        let pace = &self.state.pace;
        let failed = pace.system.as_ref().map(|trouble| trouble.not_before);
        let troubles = [pace.parked_until, failed].into_iter().flatten();
        let again = troubles.filter(|at| now < *at).max();
        let again = again.unwrap_or_else(|| schedule::later(now, looked_up_every(self.state.seed)));
        let mut finished = self.finish(facts, fault);
        if now < cutoff {
            let wakes = finished.row.wake.into_iter().chain([again, cutoff]);
            finished.row.wake = wakes.min();
        }
        finished
    }

    fn now(&self) -> Timestamp {
        self.drive.clock.now()
    }

    fn keys(&self) -> Keys {
        Keys {
            case: self.drive.case.uid.clone(),
            row: self.system.row.clone(),
        }
    }

    /// By what the person's accounts are told apart, in the system with this fingerprint.
    fn search<'s>(&'s self, fingerprint: &'s str) -> Search<'s> {
        Search {
            system: &self.system,
            fingerprint,
            cutoff: self.drive.case.cutoff,
            reinstate: self.drive.case.reinstate,
            now: self.now(),
        }
    }

    fn others_of<'s>(&'s self, fingerprint: &'s str) -> Others<'s> {
        Others {
            search: self.search(fingerprint),
            bound_before: self.bound_before,
            recheck_every: self.drive.case.recheck_every,
        }
    }

    fn others<'s>(&'s self, connector: &'s Shared) -> Others<'s> {
        self.others_of(&connector.capabilities().fingerprint)
    }

    fn anything_to_look_at(&self, facts: &[FactSpec]) -> bool {
        let now = self.now();
        let kept = self.system.kept_until.is_some_and(|until| now < until);
        !kept && facts.iter().any(|fact| self.wants(fact, now))
    }

    fn wants(&self, fact: &FactSpec, now: Timestamp) -> bool {
        let early = self.drive.scope == Scope::Everything;
        let due = || self.system.is_due(&fact.name, self.input.handed_over, now);
        scope::is_kept_up(&self.system, &self.state.ledger, fact, now) && (early || due())
    }

    fn view<'v>(&'v self, facts: &'v [FactSpec], blocked: Option<&'v Fault>) -> PlanInput<'v> {
        let case = self.drive.case;
        PlanInput {
            system: &self.system,
            facts,
            sights: &self.look.sights,
            ledger: &self.state.ledger,
            pace: &self.state.pace,
            sent: &self.look.sent,
            fresh: self.look.sent.is_empty(),
            reading: self.look.reading,
            blocked,
            may_act: self.may_act(),
            legal_hold: case.legal_hold && !case.reinstate,
            handed_over: self.input.handed_over,
            gates: &self.input.gates,
            proof_lasts: case.recheck_every * 2,
            looked_at: self.look.began.unwrap_or_else(|| self.now()),
            now: self.now(),
        }
    }

    fn may_act(&self) -> bool {
        self.drive.scope != Scope::Everything
            && self.drive.case.enforce
            && !self.drive.case.suspended
            && !self.drive.case.is_held(self.now())
            && !self.system.observe_only
    }
}

fn seed(uid: &str, row: &str) -> u64 {
    let digest = digest_of([uid, row]);
    u64::from_str_radix(digest.get(..16).unwrap_or_default(), 16).unwrap_or_default()
}

/// No call may take longer, whatever a driver does. Drivers have deadlines of their own below this.
fn longest_call() -> Duration {
    LONGEST_CALL.unsigned_abs()
}
