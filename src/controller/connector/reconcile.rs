//! The conditions of a Connector: its definition, inputs, Secret and logins.

use std::sync::Arc;

use jiff::SignedDuration;
use kube::{ResourceExt, runtime::controller::Action};

use super::{
    registry::{Login, ResolvedConnector},
    resolve,
};
use crate::{
    api::{Connector, condition::VALID},
    connectors::assemble::INSECURE,
    controller::{
        Context,
        runtime::{
            api_client::ApiError,
            requeue::jittered,
            status_writer::{Readiness, StatusWriter},
        },
    },
    core::fault::Reason,
    drive::advice::with_advice,
};

/// The time between two looks at the Secret of a connector that works.
const CONNECTOR_EVERY: SignedDuration = SignedDuration::from_mins(1);
/// The same for one that does not.
const BROKEN_EVERY: SignedDuration = SignedDuration::from_secs(6);

/// Resolves a Connector, and shows whether it works.
pub async fn reconcile(connector: Arc<Connector>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = connector.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let name = connector.name_any();
    let resolved = resolve(&context, &connector).await;
    // Leavers look again only when the link is another one than they know.
    if context.link_changed(&namespace, &name, resolved.revision) {
        context.caches.enqueue_offboardings(&namespace);
        context.caches.enqueue_policies(&namespace);
        context.caches.enqueue_sources_of(&namespace, &name);
    }
    let good = resolved.works();
    let writer = StatusWriter::namespaced(&context, &namespace);
    writer
        .report(connector.as_ref(), &readiness(&connector, &resolved))
        .await?;
    let every = if good { CONNECTOR_EVERY } else { BROKEN_EVERY };
    Ok(Action::requeue(jittered(every)))
}

fn readiness(connector: &Connector, resolved: &ResolvedConnector) -> Readiness {
    let text = || {
        if connector.spec.insecure {
            INSECURE.to_owned()
        } else {
            resolved.text.clone()
        }
    };
    match (resolved.reason, &resolved.login) {
        (VALID, Login::Untried) => Readiness::valid(text()),
        (VALID, Login::Good) => Readiness {
            reason: "LoginOK",
            ..Readiness::valid(text())
        },
        (VALID, Login::Bad(fault)) => {
            let reason = match fault.reason {
                Reason::Untrusted => "Untrusted",
                _ => "LoginFailed",
            };
            Readiness::stalled(reason, format!("spec.secretRef: {}", with_advice(fault)))
        }
        (reason, _) => Readiness::stalled(reason, &resolved.text),
    }
}
