//! What a person can do about what keeps a fact from being proven: names the field or the right that is to be mended.
//!
//! Short, since several systems share one line of a condition. What mostly passes by itself gets none.

use crate::core::{
    fact::{Verdict, Why},
    fault::{Fault, Reason},
    identity::{ANOTHER_ACCOUNT, CAME_LATER, DISAGREES, DOUBTFUL, FOUND_BEFORE, LAST, NO_WAY},
    plan::TASK_OVERDUE,
};

/// The advice about `verdict`; none when nobody has to do anything.
pub fn advice(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault)) => about(fault),
        Verdict::Unmet(Why::ControllerConflict) => Some("somebody keeps giving it back: find out who"),
        Verdict::Unmet(Why::Gated(TASK_OVERDUE)) => Some("ask who has the task"),
        Verdict::Unmet(Why::NoAct) => Some("the definition has no way to do this: do it by hand"),
        _ => None,
    }
}

fn about(fault: &Fault) -> Option<&'static str> {
    Some(match fault.reason {
        Reason::Unreachable => "check the address in the Connector's spec.inputs, and the network",
        Reason::Timeout => "no complete answer in time, tried again: if it stays, check spec.inputs",
        Reason::Untrusted => "put the authority that signed it into key ca.crt of the Connector's secretRef",
        Reason::CredentialRejected => "renew the Secret that the Connector's spec.secretRef names",
        Reason::PermissionDenied => "give the Connector's account the right that this needs",
        Reason::NotFoundUncorroborated if fault.code == FOUND_BEFORE => {
            "there was an account and no key finds it now: find it there, and name it in a new Offboarding"
        }
        Reason::NotFoundUncorroborated => "the account is gone and nothing says why: look for it there",
        Reason::Ambiguous if fault.code == NO_WAY => {
            "spec.employee has nothing that this system looks for: add it in a new Offboarding"
        }
        Reason::Ambiguous if fault.code == CAME_LATER => {
            "the account is newer than the last day: keep it with spec.exceptions, or name it in a new Offboarding"
        }
        Reason::Ambiguous if fault.code.ends_with(DISAGREES) => {
            "the account has another one: correct it there, or name the account in a new Offboarding"
        }
        Reason::Ambiguous if fault.code == ANOTHER_ACCOUNT => {
            "the row names it: keep it with a waiver of NoOtherAccount, or name it in a new Offboarding"
        }
        Reason::Ambiguous if fault.code == DOUBTFUL => {
            "the row names it: name it in a new Offboarding if it is theirs, else waive the facts there"
        }
        Reason::NotShown => {
            "the answer lacks what proves it: let this login see that, or prove it in another way"
        }
        Reason::FilterIgnored => {
            "it answers with others than were asked for: its filter or this way is not usable"
        }
        Reason::Ambiguous => "the row names the accounts: name those that are theirs in a new Offboarding",
        Reason::Protected if fault.code.starts_with(LAST) => {
            "nobody else could run the system: give somebody else this right there"
        }
        Reason::Protected => "the Connector's spec.protected or its definition forbids it: end it by hand",
        Reason::Refused => "the system has a rule against it: its code says which",
        Reason::Malformed => "the answer is not what the definition expects: check spec.inputs",
        Reason::Incomplete => {
            "the answer was cut, endless or too large: check spec.inputs and the definition"
        }
        Reason::ConnectorGone => "apply the Connector again, or waive each fact by an Approval",
        Reason::FactGone => {
            "its definition or spec.facts.skip took it away: bring it back, or waive it by an Approval"
        }
        Reason::SystemChanged => {
            "spec.inputs leads to another system than the account is in: set it back, or make another Connector"
        }
        Reason::NoSuccessor => "name somebody with an active account there in spec.transfers",
        _ => return None,
    })
}
