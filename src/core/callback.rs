//! What a system says later about something that it was asked for: a statement, which proves nothing (R1).
//!
//! Where the state can be read, a statement is only a reason to look. Where nothing can be read, the fact waits for it: it is
//! asserted once the system has said that it is done, on its word alone.
//!
//! # Why
//! A statement counts once. What was asked for before
//! [`FactLedger::callback_watermark`](super::ledger::FactLedger::callback_watermark) has been answered, or was asked in other
//! circumstances; so neither a repetition nor one that was kept for later changes anything, and that holds after a crash too.

use jiff::{SignedDuration, Timestamp};

use super::{
    fact::FactSpec,
    fault::{Fault, Reason},
    ledger::SystemLedger,
    pace::Pace,
    schedule,
};

/// The shortest instant: what was asked for at the very moment of an answer was not asked for before it.
const MOMENT: SignedDuration = SignedDuration::from_nanos(1);

/// What a system says about one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The system's row.
    pub row: String,
    /// The fact that the act was for.
    pub fact: String,
    /// The key of the act.
    pub key: String,
    /// When it was asked for, by our clock.
    pub asked: Timestamp,
    /// What became of it.
    pub end: End,
}

/// How a system says that something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It is done.
    Done,
    /// It failed, with the system's own code.
    Failed(String),
}

impl Statement {
    /// Takes the statement about `fact`, whose act has `key`, into what is known. Says the fault that it tells, if any.
    pub fn apply(
        &self,
        fact: &FactSpec,
        key: &str,
        ledger: &mut SystemLedger,
        pace: &mut Pace,
        now: Timestamp,
    ) -> Option<Fault> {
        let counts = fact.reported.is_some() && fact.name == self.fact && key == self.key;
        let entry = ledger.facts.get_mut(&fact.name).filter(|_| counts)?;
        entry.callback_watermark.filter(|heard| *heard <= self.asked)?;
        entry.callback_watermark = Some(schedule::later(now, MOMENT));
        entry.intent = None;
        pace.asked.remove(&fact.name);
        match &self.end {
            End::Done => {
                entry.attested_at = Some(now);
                // Whoever answers was asked, whether we had its receipt or not.
                entry.accepted = entry.accepted.max(Some(self.asked));
                pace.facts.remove(&fact.name);
                None
            }
            End::Failed(code) => {
                (entry.attested_at, entry.accepted, entry.verified) = (None, None, None);
                Some(Fault::permanent(Reason::OperationFailed).with_code(code))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        fact::{Class, Proof},
        ledger::FactLedger,
    };

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + minute * 60).unwrap()
    }

    fn fact() -> FactSpec {
        FactSpec {
            proof: Proof::None,
            reported: Some(SignedDuration::from_hours(24)),
            ..FactSpec::plain("FlowReported", Class::Access)
        }
    }

    /// Asked for at minute 1 and accepted at minute 2.
    fn asked() -> SystemLedger {
        let mut ledger = SystemLedger::default();
        let entry = FactLedger {
            callback_watermark: Some(at(1)),
            accepted: Some(at(2)),
            ..FactLedger::default()
        };
        ledger.facts.insert("FlowReported".into(), entry);
        ledger
    }

    fn said(asked: i64, end: End) -> Statement {
        Statement {
            row: "flow".into(),
            fact: "FlowReported".into(),
            key: "k".into(),
            asked: at(asked),
            end,
        }
    }

    fn hear(ledger: &mut SystemLedger, statement: &Statement, minute: i64) -> Option<Fault> {
        statement.apply(&fact(), "k", ledger, &mut Pace::default(), at(minute))
    }

    #[test]
    fn the_word_of_a_system_counts_once() {
        let mut ledger = asked();
        assert_eq!(hear(&mut ledger, &said(1, End::Done), 5), None);
        assert_eq!(ledger.facts["FlowReported"].attested_at, Some(at(5)));
        let known = ledger.clone();
        assert_eq!(hear(&mut ledger, &said(1, End::Failed("E1".into())), 6), None);
        assert_eq!(hear(&mut ledger, &said(4, End::Failed("E1".into())), 6), None);
        assert_eq!(ledger, known, "said before the answer");
    }

    #[test]
    fn a_failure_is_told_by_its_code_and_lets_it_be_asked_for_again() {
        let mut ledger = asked();
        let fault = hear(&mut ledger, &said(1, End::Failed("no <right>".into())), 5).unwrap();
        assert_eq!(fault.to_string(), "OperationFailed (no right)");
        assert_eq!(ledger.facts["FlowReported"].accepted, None);
        assert_eq!(hear(&mut ledger, &said(1, End::Done), 6), None);
        assert_eq!(ledger.facts["FlowReported"].attested_at, None, "it had failed");
        assert_eq!(hear(&mut ledger, &said(7, End::Done), 8), None);
        assert_eq!(
            ledger.facts["FlowReported"].accepted,
            Some(at(7)),
            "the receipt may be lost"
        );
        assert_eq!(ledger.facts["FlowReported"].attested_at, Some(at(8)));
    }

    #[test]
    fn what_was_not_asked_for_or_is_read_changes_nothing() {
        for change in 0..5 {
            let (mut ledger, mut statement, mut fact, mut key) = (asked(), said(1, End::Done), fact(), "k");
            match change {
                0 => statement.asked = at(0),
                1 => ledger.facts.clear(),
                2 => fact.reported = None,
                3 => key = "another account's",
                _ => statement.fact = "AnotherFact".into(),
            }
            let known = ledger.clone();
            let heard = statement.apply(&fact, key, &mut ledger, &mut Pace::default(), at(5));
            assert_eq!((heard, ledger), (None, known), "{change}");
        }
    }
}
