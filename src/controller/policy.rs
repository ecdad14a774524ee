//! The conditions of a policy: sound with the Connectors and the other policies of its namespace, or the path of the field that is not.

use std::sync::Arc;

use kube::{ResourceExt, runtime::controller::Action};

use super::{
    Context,
    connector::resolve,
    runtime::{
        api_client::ApiError,
        status_writer::{Readiness, StatusWriter},
    },
};
use crate::{
    api::{OffboardingPolicy, OffboardingPolicySpec, condition::INVALID},
    core::gate::Gate,
    drive::validate::{Member, check},
};

/// Shows whether a policy can be used with the Connectors of its namespace.
pub async fn reconcile(policy: Arc<OffboardingPolicy>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = policy.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let readiness = match problem(&context, &namespace, &policy.name_any(), &policy.spec).await {
        None => Readiness::valid(warning(&policy.spec)),
        Some(message) => Readiness::stalled(INVALID, message),
    };
    let writer = StatusWriter::namespaced(&context, &namespace);
    writer.report(policy.as_ref(), &readiness).await?;
    Ok(Action::await_change())
}

async fn problem(
    context: &Context,
    namespace: &str,
    name: &str,
    spec: &OffboardingPolicySpec,
) -> Option<String> {
    let caches = context.caches.namespaces.get(namespace)?;
    let mut connectors = vec![];
    for connector in caches.connectors.cache.state() {
        let resolved = resolve(context, &connector).await;
        if resolved.only_people {
            continue;
        }
        connectors.push((connector.name_any(), connector, resolved));
    }
    let members: Vec<Member<'_>> = connectors
        .iter()
        .map(|(name, connector, resolved)| Member::new(name, connector, &resolved.link))
        .collect();
    let policies = caches.policies.cache.state();
    let others: Vec<(String, &OffboardingPolicySpec)> =
        policies.iter().map(|p| (p.name_any(), &p.spec)).collect();
    let others = others.iter().map(|(name, spec)| (name.as_str(), *spec));
    check(name, spec, &members, others)
        .err()
        .map(|invalid| invalid.to_string())
}

/// What is unusual about a sound policy, said loudly.
fn warning(spec: &OffboardingPolicySpec) -> String {
    if spec.gates.iter().any(|rule| rule.gate == Gate::Revoke) {
        "spec.gates: Revoke waits for people: leavers keep all access until a person approves".to_owned()
    } else {
        String::new()
    }
}
