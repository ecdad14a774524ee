//! What a person can do about what keeps a fact from being proven: names the field or the right that is to be mended.
//!
//! Short, since several systems share one line of a condition.

mod table;
#[cfg(test)]
mod tests;

use self::table::{REASONS, TABLES};
use crate::core::{
    case::OBSERVED_ONLY,
    fact::{Verdict, Why},
    fault::{Fault, Reason},
    plan::TASK_OVERDUE,
};

/// A line of a table: what a code means, and what to do about it.
struct Remedy {
    /// The codes; `*` at the beginning or at the end stands for anything.
    codes: &'static [&'static str],
    /// Only of faults for this reason.
    reason: Option<Reason>,
    /// Why it is so.
    cause: &'static str,
    /// What a person can do; empty where it passes by itself.
    fix: &'static str,
}

impl Remedy {
    fn is_about(&self, fault: &Fault) -> bool {
        self.reason.is_none_or(|reason| reason == fault.reason)
            && self.codes.iter().any(|pattern| fits(pattern, &fault.code))
    }

    fn words(&self) -> String {
        let colon = if self.cause.is_empty() || self.fix.is_empty() {
            ""
        } else {
            ": "
        };
        format!("{}{colon}{}", self.cause, self.fix)
    }
}

/// Whether `code` is one of those that `pattern` stands for.
fn fits(pattern: &str, code: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => code.ends_with(end),
        (_, Some(begin)) => code.starts_with(begin),
        _ => pattern == code,
    }
}

/// The advice about `verdict`; none when nobody has to do anything.
pub fn advice(verdict: &Verdict) -> Option<String> {
    let said = |text: &str| Some(text.to_owned());
    match verdict {
        Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault)) => about(fault),
        Verdict::Unmet(Why::ControllerConflict) => said("somebody keeps giving it back: find out who"),
        Verdict::Unmet(Why::Gated(TASK_OVERDUE)) => said("ask who has the task"),
        Verdict::Unmet(Why::Gated(OBSERVED_ONLY)) => {
            said("end it there by hand, or set the Connector's spec.mode to Enforce")
        }
        Verdict::Unmet(Why::NotEffective) => {
            said("it was accepted and nothing changed: see there who may change it, or what gives it back")
        }
        Verdict::Unmet(Why::NoAct) => said("the definition has no way to do this: do it by hand"),
        _ => None,
    }
}

/// A fault, with what to do about it.
pub fn with_advice(fault: &Fault) -> String {
    match about(fault) {
        Some(advice) => format!("{fault}: {advice}"),
        None => fault.to_string(),
    }
}

/// What the code says, or else what the reason says.
fn about(fault: &Fault) -> Option<String> {
    let mut tables = TABLES.iter().flat_map(|(_, table)| table.iter());
    let by_code = tables.find(|remedy| remedy.is_about(fault)).map(Remedy::words);
    let by_reason = || {
        let known = REASONS.iter().find(|(reason, _)| *reason == fault.reason);
        known.map(|(_, text)| (*text).to_owned())
    };
    by_code.or_else(by_reason).filter(|text| !text.is_empty())
}
