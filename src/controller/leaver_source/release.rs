//! What the guard says about the changes of a look, and what people say about a set that it holds.

use jiff::Timestamp;

use super::SourceSync;
use crate::{
    controller::approval::{index, reconcile, trust::trusted_since},
    core::{
        gate,
        guard::{self, Passage, State},
        leavers::compare::Compared,
    },
    drive::approval::ApprovalTarget,
    sources::{look::Seen, settings::Settings},
};

/// What the guard says, with what people say about it.
pub(super) struct Judged {
    pub passage: Passage,
    pub denied: bool,
    pub untrusted: bool,
}

/// What people say about a held set.
enum Voted {
    Nobody,
    Yes,
    No,
    Untrusted,
}

impl SourceSync<'_> {
    /// The names of everybody whom a change is about, as people know them.
    pub(super) fn members(&mut self, compared: &Compared) -> Vec<String> {
        if compared.changes.is_empty() {
            return vec![];
        }
        let there = self.there();
        let mut names = vec![];
        for change in &compared.changes {
            let employee = there.get(&change.name).map(|one| &one.spec.employee);
            names.extend(employee.and_then(|e| e.email.clone()));
            names.extend(employee.and_then(|e| e.employee_id.clone()));
            names.extend(employee.iter().flat_map(|e| e.other_emails.clone()));
            names.extend(
                employee
                    .iter()
                    .flat_map(|e| &e.accounts)
                    .map(|account| account.name.clone()),
            );
            let worker = change.leaving.as_ref().map(|leaving| &leaving.worker);
            names.extend(worker.and_then(|worker| worker.email.clone()));
            names.extend(worker.and_then(|worker| worker.employee_id.clone()));
        }
        names
    }

    pub(super) async fn judge(
        &self,
        state: &State,
        settings: &Settings,
        seen: &Seen,
        lines: &[String],
        members: &[String],
        now: Timestamp,
    ) -> Judged {
        let judge = |approved: Option<&str>| {
            guard::judge(
                state,
                &settings.limits,
                &seen.feed,
                lines,
                |d| Some(d) == approved,
                now,
            )
        };
        let passage = judge(None);
        let mut judged = Judged {
            passage,
            denied: false,
            untrusted: false,
        };
        let Some(held) = judged.passage.state.held.clone() else {
            return judged;
        };
        match self.vote(&held, members).await {
            Voted::Nobody => {}
            Voted::No => judged.denied = true,
            Voted::Untrusted => judged.untrusted = true,
            Voted::Yes => judged.passage = judge(Some(&held)),
        }
        judged
    }

    /// What people say about the set of this digest, in which are these `members`.
    async fn vote(&self, held: &str, members: &[String]) -> Voted {
        let Some(caches) = self.context.caches.namespaces.get(&self.namespace) else {
            return Voted::Nobody;
        };
        let about = ApprovalTarget::source(&self.source);
        let mut votes = index::votes(&self.context.safeguards, caches, &self.namespace, &about);
        if votes.is_empty() {
            return Voted::Nobody;
        }
        let Some(since) = trusted_since(self.context).await else {
            return Voted::Untrusted;
        };
        votes.retain(|vote| vote.at >= since);
        // Who has an Offboarding at all has an interest, whenever it ends their access.
        let leaving = caches.departures.departed_voters(&votes, "", Timestamp::MAX);
        let partial = [members, &leaving].concat();
        let standing = guard::count(held, &votes, &partial, Timestamp::now());
        let mut stands = false;
        for vote in votes.iter().filter(|vote| standing.counted.contains(&vote.id)) {
            // The cache may not know yet that it was taken back.
            stands = stands
                || standing.state == gate::State::Open
                    && index::stands(self.context, &self.namespace, &about, vote).await == Ok(true);
        }
        reconcile::show(self.context, &self.namespace, &standing).await;
        match standing.state {
            gate::State::Denied => Voted::No,
            gate::State::Open if stands => Voted::Yes,
            gate::State::Open | gate::State::Waiting | gate::State::Expired => Voted::Nobody,
        }
    }
}
