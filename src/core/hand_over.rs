//! Since when everything is handed over, and what is looked at again once it is.

use jiff::Timestamp;

use super::{
    case::{System, Wanted},
    check::Check,
    fact::{FactState, Verdict},
    ledger::SystemLedger,
};

/// What the last looks say about the hand-over as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// Something could not be looked at.
    Unknown,
    /// Something is not handed over.
    Open,
    /// Everything is, since then.
    Since(Timestamp),
}

/// What the last look at one system showed.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'s> {
    /// The Connector is broken.
    pub broken: bool,
    /// Every fact of it.
    pub facts: &'s [FactState],
    /// What is durable about it; none before anything is.
    pub ledger: Option<&'s SystemLedger>,
}

type Rule = fn(&[Seen<'_>], usize, Timestamp) -> HandOver;

const HANDED_OVER: Check<Rule> = Check::new("handed over", of_all);

impl HandOver {
    /// What `seen` says of a leaver with so many `systems`, whose access ends at `cutoff`.
    pub fn of(seen: &[Seen<'_>], systems: usize, cutoff: Timestamp) -> Self {
        HANDED_OVER.rule()(seen, systems, cutoff)
    }

    /// Since when everything is handed over, if it was since `before`. Not having been able to look changes nothing.
    pub fn since(self, before: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Unknown => before,
            Self::Open => None,
            Self::Since(at) => before.or(Some(at)),
        }
    }
}

fn of_all(seen: &[Seen<'_>], systems: usize, cutoff: Timestamp) -> HandOver {
    let mut since = cutoff;
    let mut unknown = seen.len() < systems;
    for system in seen {
        unknown |= system.broken;
        for state in system.facts.iter().filter(|state| state.spec.class.hands_over()) {
            match state.verdict {
                Verdict::Unmet(_) | Verdict::Pending(_) | Verdict::Exposed(_) => return HandOver::Open,
                Verdict::NotDue(_) | Verdict::Unknown(_) => unknown = true,
                Verdict::Verified | Verdict::Asserted | Verdict::NotNeeded(_) => {
                    let entry = system.ledger.map(|ledger| ledger.fact(&state.spec.name));
                    let done = entry.and_then(|entry| entry.verified.max(entry.accepted));
                    since = since.max(done.unwrap_or(since));
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

/// When something in `system` is wanted that is kept for a while after everything was handed over, at `since`; none when nothing
/// is.
pub fn kept_until(system: &System, since: Timestamp) -> Option<Timestamp> {
    let wanted = system.wanted.values();
    let kept = wanted.filter(|wanted| matches!(wanted, Wanted::Kept(..)));
    kept.filter_map(|wanted| wanted.from(Some(since))).min()
}

#[cfg(test)]
mod tests;
