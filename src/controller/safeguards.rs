//! What whoever installed the operator demands of people, whatever the policies and sources of its namespaces say.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::runtime::watch::Namespace;
use crate::{
    api::Offboarding,
    connectors::declarative::{Expression, Problems, Scope},
    core::{
        case::Case,
        gate::{Safeguards, Vote},
        guard::{self, Admission, Admissions, AdmittedBy, FirstActs},
        ledger::Ledger,
    },
};

/// What is demanded of people.
#[derive(Debug, Default)]
pub struct ReleaseSafeguards {
    /// Gates that no policy undercuts.
    pub safeguards: Safeguards,
    /// With how many leavers work may begin in a while.
    pub first_acts: FirstActs,
    /// From a user name to the person; none: nobody knows who approvers are that no policy names.
    pub person: Option<Arc<PersonExpression>>,
}

/// An expression over `user`, a user name of the API server, that gives the name by which the person is known: an address, a
/// number or a login name. Null or an empty text: nobody.
#[derive(Debug)]
pub struct PersonExpression(Expression);

impl PersonExpression {
    /// Compiles `text`.
    ///
    /// # Errors
    /// Why it is no such expression.
    pub fn compile(text: &str) -> Result<Self, String> {
        let mut problems = Problems::default();
        let expression = Expression::compile(text, "person", &["user"], &mut problems);
        match (expression, problems.0.into_iter().next()) {
            (Some(expression), None) => Ok(Self(expression)),
            (_, problem) => Err(problem.map_or_else(|| "no expression".to_owned(), |p| p.message)),
        }
    }

    /// The person behind `user`; none where the expression knows nobody.
    pub fn of(&self, user: &str) -> Option<String> {
        let user = Value::from(user);
        let scope = Scope::new().with("user", &user);
        let person = self.0.text_value(&scope).ok().flatten()?;
        Some(person.trim().to_owned()).filter(|person| !person.is_empty())
    }
}

impl ReleaseSafeguards {
    /// Adds to `vote` which person said it.
    pub fn identify(&self, vote: Vote) -> Vote {
        let principal = vote.on_behalf_of.as_deref();
        Vote {
            person: self.person_of(&vote.approver),
            principal: principal.and_then(|user| self.person_of(user)),
            ..vote
        }
    }

    /// Which person the user name `user` is; none where nobody knows.
    pub fn person_of(&self, user: &str) -> Option<String> {
        self.person.as_ref()?.of(user)
    }
}

/// Whom the guard of the release has let through in one namespace.
#[derive(Debug, Default)]
pub struct FirstActGuard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    admissions: Admissions,
    /// Names of Offboardings that are about to be made for an approved set.
    approved: BTreeSet<String>,
}

impl FirstActGuard {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Somebody approved the set in which the Offboarding of this name is.
    pub fn approve(&self, name: &str) {
        self.state().approved.insert(name.to_owned());
    }

    /// The Offboarding of this name is not made after all.
    pub fn take_back(&self, name: &str) {
        self.state().approved.remove(name);
    }

    /// Nothing is to be begun with `leaver`.
    pub fn forget(&self, leaver: &Offboarding) {
        let mut state = self.state();
        state.admissions.forget(&leaver.uid().unwrap_or_default());
        state.approved.remove(&leaver.name_any());
    }

    /// Lets work on `case` begin, or has it wait for a yes.
    pub fn admit(
        &self,
        case: &mut Case,
        ledger: &Ledger,
        rules: &ReleaseSafeguards,
        caches: &Namespace,
        now: Timestamp,
    ) {
        if case.guard.is_empty() {
            return;
        }
        let mut state = self.state();
        if case.admitted.is_none() && state.approved.remove(&case.name) {
            case.admitted = Some(Admission {
                at: now,
                by: AdmittedBy::Source,
                places: 1,
            });
        }
        if case.admitted.is_some() || !case.begins(now) {
            state.admissions.forget(&case.uid);
        }
        let uid = case.uid.clone();
        let ask = |places| {
            let mut all = caches.urgent.cache.state();
            all.extend(caches.others.cache.state());
            let there: BTreeSet<String> = all.iter().filter_map(|leaver| leaver.uid()).collect();
            state.admissions.keep(|uid| there.contains(uid));
            let known = all.into_iter().filter_map(|leaver| {
                let admitted = leaver.status.as_ref()?.admitted?;
                (admitted.by == AdmittedBy::Room).then(|| (leaver.uid().unwrap_or_default(), admitted))
            });
            let room = state.admissions.ask((&uid, places), known, rules.first_acts, now);
            room.then_some(AdmittedBy::Room)
        };
        guard::admit(case, ledger, ask, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_is_the_person_that_the_expression_says_and_nobody_where_it_says_nothing() {
        let person = PersonExpression::compile(
            "user.startsWith('https://idp.example.com#') ? user.split('#')[1] + '@example.com' : ''",
        );
        let person = person.unwrap();
        assert_eq!(
            person.of("https://idp.example.com#jane").as_deref(),
            Some("jane@example.com")
        );
        assert_eq!(person.of("system:serviceaccount:people:jane"), None);
        assert!(PersonExpression::compile("group == 'x'").is_err());
        assert!(PersonExpression::compile("user +").is_err());
        // What has no value for a name knows nobody.
        assert_eq!(
            PersonExpression::compile("user.split('#')[1]")
                .unwrap()
                .of("jane"),
            None
        );
    }
}
