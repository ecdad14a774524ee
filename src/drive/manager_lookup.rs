//! Who the leaver's manager is, where a directory knows it and nobody else said so.
//!
//! # Why
//! Asked once, when something is due to be handed over and not before, and then kept: whoever clears the attribute in the
//! directory, we ourselves with the account among them, changes nothing any more. Nothing but what is handed over waits for
//! the answer. A directory that cannot be asked has not said that there is no manager (R2).

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::{Drive, Link, Record, Row, validate::connector_of};
use crate::{
    connectors::{Keys, Subject},
    core::{
        approvals::AWAITING_APPROVAL,
        fact::{FactState, Verdict, Why},
        fault::{Fault, FaultKind, Reason},
        identity::Person,
        ledger::Manager,
        plan::LONGEST_CALL,
        schedule,
    },
};

/// The time between two tries to ask.
const ASK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What came of asking.
pub(super) enum Asked {
    /// Nobody had to be asked.
    Nothing,
    /// This is known now.
    Found(Manager),
    /// It is not, and is asked again at this instant.
    Later(Fault, Timestamp),
}

/// Asks the directories among the systems of the case, if it is time to.
pub(super) async fn ask(drive: &Drive<'_>, record: &Record, rows: &[&Row], now: Timestamp) -> Asked {
    let case = drive.case;
    let Some(unknown) = &case.unknown_manager else {
        return Asked::Nothing;
    };
    if let Some(known) = &record.ledger.manager {
        return Asked::Found(known.clone());
    }
    let waits = |row: &&&Row| {
        let (unnamed, named) = (
            unknown.rows.contains(&row.name),
            unknown.asked_for.contains(&row.name),
        );
        let facts = || row.facts.iter();
        unnamed && facts().any(|state| waits(&state.verdict))
            || named && facts().any(|state| state.spec.class.hands_over() && is_gated(&state.verdict))
    };
    if case.suspended || !case.enforce || case.reinstate || !rows.iter().any(|row| waits(&row)) {
        return Asked::Nothing;
    }
    let answers = join_all(
        case.systems
            .iter()
            .map(|system| one(drive, record, rows, &system.row, now)),
    )
    .await;
    let mut fault: Option<Fault> = None;
    for (system, answer) in case.systems.iter().zip(answers) {
        match answer {
            Ok(None) => {}
            Ok(Some(who)) => {
                return Asked::Found(Manager {
                    who: Some(who),
                    row: Some(system.row.clone()),
                });
            }
            Err(why) => fault = fault.or(Some(why)),
        }
    }
    match fault {
        None => Asked::Found(Manager::default()),
        Some(fault) => {
            let again = match fault.kind {
                FaultKind::Throttled { until } => until,
                _ => schedule::later(now, ASK_AGAIN),
            };
            Asked::Later(fault, again)
        }
    }
}

/// What one system says; none when it knows no managers, or nobody's.
async fn one(
    drive: &Drive<'_>,
    record: &Record,
    rows: &[&Row],
    row: &str,
    now: Timestamp,
) -> Result<Option<Person>, Fault> {
    let connector = match drive.links.get(row) {
        Some(Link::Ready(connector)) if connector.knows_managers() => connector,
        // It may be a directory.
        Some(Link::Broken(fault, _)) => return Err(fault.clone()),
        Some(Link::Ready(_)) | None => return Ok(None),
    };
    // Whose manager is asked for is the person's own account, not another one that they have.
    if connector_of(row) != row {
        return Ok(None);
    }
    let ledger = record.ledger.systems.get(row).cloned().unwrap_or_default();
    let Some(bound) = &ledger.account else {
        // Whose account it is may be for a person to say, and so it is then who takes over.
        let mut of = rows.iter().filter(|known| known.name == row);
        let undecided = of.any(|known| known.facts.iter().any(|state| is_undecided(&state.verdict)));
        let kind = if undecided {
            FaultKind::NeedsDecision
        } else {
            FaultKind::Transient
        };
        let unknown = Fault::new(kind, Reason::NoSuccessor);
        return if ledger.no_account { Ok(None) } else { Err(unknown) };
    };
    let system = drive.case.systems.iter().find(|system| system.row == row);
    let subject = Subject {
        who: system.map(|system| system.who.clone()).unwrap_or_default(),
        account: bound.account(),
        successor: None,
        ledger: ledger.clone(),
        cutoff: drive.case.cutoff,
        now,
        keys: Keys {
            case: drive.case.uid.clone(),
            row: row.to_owned(),
        },
    };
    let longest = LONGEST_CALL.unsigned_abs();
    let asked = timeout(longest, connector.manager(&subject)).await;
    let manager = asked.unwrap_or_else(|_| Err(Fault::transient(Reason::Timeout)))?;
    manager.as_ref().map_or(Ok(()), Person::check)?;
    Ok(manager)
}

fn is_undecided(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unknown(fault) if fault.kind == FaultKind::NeedsDecision)
}

fn is_gated(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Unmet(Why::Gated(AWAITING_APPROVAL)))
}

/// Whether something waits for somebody to hand it over to.
fn waits(verdict: &Verdict) -> bool {
    let (Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault))) = verdict else {
        return false;
    };
    fault.reason == Reason::NoSuccessor
}

/// Shows in `row` what is waited for instead of somebody to take over: the next look when that is known by now, else the
/// directory.
pub(super) fn shown(row: &mut Row, asked: &Asked, now: Timestamp) {
    for FactState { verdict, .. } in row.facts.iter_mut().filter(|state| waits(&state.verdict)) {
        match asked {
            Asked::Nothing => {}
            Asked::Found(_) => *verdict = Verdict::Pending(now),
            Asked::Later(fault, _) => *verdict = Verdict::Unknown(fault.clone()),
        }
    }
}
