//! What an outcome is worth to the metrics, and what it says of the logins of its Connectors.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use super::{gather::Gathered, state::LeaverState};
use crate::{
    api::{Offboarding, OffboardingStatus},
    controller::{Context, connector::registry::Login, runtime::events},
    core::{
        case::Case,
        fact::{Verdict, Why},
    },
    drive::{Outcome, Row, validate::connector_of},
};

/// Counts what `outcome` changed after `before`, and records the logins that it shows.
pub(super) async fn outcome(
    context: &Context,
    leaver: &LeaverState,
    (case, outcome): (&Case, &Outcome),
    (before, offboarding): (&OffboardingStatus, &Offboarding),
    gathered: &Gathered,
) {
    let namespace = offboarding.namespace().unwrap_or_default();
    let now = Timestamp::now();
    let created = offboarding.metadata.creation_timestamp.as_ref().map(|t| t.0);
    let since = case.cutoff.max(created.unwrap_or(case.cutoff));
    let mut left = BTreeMap::new();
    for row in &outcome.rows {
        let connector = connector_of(&row.name);
        let access = row
            .facts
            .iter()
            .filter(|state| state.spec.class.security() && state.verdict.due() && !state.verdict.settled());
        *left.entry(connector.to_owned()).or_default() += access.count();
        if !row.drifted.is_empty() {
            context.metrics.drifted(connector, row.drifted.len());
        }
        if events::revoked(row) && !events::was_revoked(before, row) {
            context
                .metrics
                .revoked(connector, now.duration_since(since).as_secs_f64().max(0.0));
        }
        let Some((_, resolved)) = gathered.connectors.get(connector) else {
            continue;
        };
        let Some(login) = login(row) else { continue };
        let registry = &context.connectors;
        if resolved.login != login
            && registry
                .record_login(&namespace, connector, resolved.revision, login)
                .await
        {
            context.look_at_connector(&namespace, connector);
        }
    }
    *leaver.access_left.lock() = left;
}

/// What a row says about the login.
fn login(row: &Row) -> Option<Login> {
    let bad = row.facts.iter().find_map(|state| match &state.verdict {
        Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault)) => Login::of(fault),
        _ => None,
    });
    let seen = row.facts.iter().any(|state| state.verdict == Verdict::Verified) || row.account.is_some();
    bad.or(seen.then_some(Login::Good))
}
