//! The conditions of Connectors, connector definitions and policies: sound, or the path of the field that is not.

use std::{fmt::Debug, sync::Arc};

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::controller::Action,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::registry::{Login, ResolvedConnector};
use crate::{
    api::{
        Condition, ConditionStatus, Connector, ConnectorDefinition, OffboardingPolicy, OffboardingPolicySpec,
    },
    connectors::{assemble::INSECURE, declarative::builtin},
    controller::{
        Context,
        offboarding::{
            gather,
            requeue::{RETRY_SOON, jittered},
        },
        runtime::{
            api_client::{ApiError, with_deadline},
            watch,
        },
    },
    core::{fault::Reason, gate::Gate},
    drive::{
        advice::with_advice,
        report::keep_times,
        validate::{Member, check},
    },
};

/// The longest message that the schema takes, with room to spare.
const LONGEST_MESSAGE: usize = 1000;
/// The time between two looks at the Secret of a connector that works.
const CONNECTOR_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
/// The same for one that does not.
const BROKEN_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(6);

/// What is to be said about an object.
pub struct Verdict {
    pub good: bool,
    pub reason: &'static str,
    pub message: String,
}

/// Looks at a Connector: its definition, inputs and Secret.
pub async fn connector(connector: Arc<Connector>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = connector.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let name = connector.name_any();
    let made = gather::make(&context, &context.connectors, &connector).await;
    // LeaverStates look again only when the link is another one than they know.
    if context.link_changed(&namespace, &name, made.revision) {
        context.caches.enqueue_offboardings(&namespace);
        context.caches.enqueue_policies(&namespace);
        context.caches.enqueue_sources_of(&namespace, &name);
    }
    let good = made.works();
    let mut verdict = verdict(&made);
    if connector.spec.insecure && verdict.good {
        INSECURE.clone_into(&mut verdict.message);
    }
    let status = connector.status.clone().unwrap_or_default();
    let api = watch::api::<Connector>(&context.client, &namespace);
    publish(
        &context,
        &api,
        connector.as_ref(),
        status.observed_generation,
        &status.conditions,
        verdict,
    )
    .await?;
    let every = if good { CONNECTOR_EVERY } else { BROKEN_EVERY };
    Ok(Action::requeue(jittered(every)))
}

fn verdict(made: &ResolvedConnector) -> Verdict {
    let (good, reason, message) = match (made.reason, &made.login) {
        ("Valid", Login::Untried) => (true, "Valid", made.text.clone()),
        ("Valid", Login::Good) => (true, "LoginOK", made.text.clone()),
        ("Valid", Login::Bad(fault)) => {
            let reason = match fault.reason {
                Reason::Untrusted => "Untrusted",
                _ => "LoginFailed",
            };
            (false, reason, format!("spec.secretRef: {}", with_advice(fault)))
        }
        (reason, _) => (false, reason, made.text.clone()),
    };
    Verdict {
        good,
        reason,
        message,
    }
}

/// Looks at a user's definition.
pub async fn definition(
    definition: Arc<ConnectorDefinition>,
    context: Arc<Context>,
) -> Result<Action, ApiError> {
    context.caches.definitions_ready().await;
    let name = definition.name_any();
    let (_, compiled) = context.connectors.definition(&name, Some(&definition));
    let verdict = match compiled {
        _ if builtin(&name).is_some() => Verdict {
            good: false,
            reason: "NameReserved",
            message: format!("metadata.name: {name} is built in, and that one is used: choose another name"),
        },
        Ok(_) => valid(),
        Err(error) => Verdict {
            good: false,
            reason: "Invalid",
            message: error.to_string(),
        },
    };
    let status = definition.status.clone().unwrap_or_default();
    let api = Api::<ConnectorDefinition>::all(context.client.clone());
    publish(
        &context,
        &api,
        definition.as_ref(),
        status.observed_generation,
        &status.conditions,
        verdict,
    )
    .await?;
    Ok(Action::await_change())
}

/// Looks at a policy with the Connectors of its namespace.
pub async fn policy(policy: Arc<OffboardingPolicy>, context: Arc<Context>) -> Result<Action, ApiError> {
    let namespace = policy.namespace().unwrap_or_default();
    context.caches.ready_in(&namespace).await;
    let verdict = match problem(&context, &namespace, &policy.name_any(), &policy.spec).await {
        None => Verdict {
            message: remark(&policy.spec),
            ..valid()
        },
        Some(message) => Verdict {
            good: false,
            reason: "Invalid",
            message,
        },
    };
    let status = policy.status.clone().unwrap_or_default();
    let api = watch::api::<OffboardingPolicy>(&context.client, &namespace);
    publish(
        &context,
        &api,
        policy.as_ref(),
        status.observed_generation,
        &status.conditions,
        verdict,
    )
    .await?;
    Ok(Action::await_change())
}

fn valid() -> Verdict {
    Verdict {
        good: true,
        reason: "Valid",
        message: String::new(),
    }
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
        let made = gather::make(context, &context.connectors, &connector).await;
        if made.only_people {
            continue;
        }
        connectors.push((connector.name_any(), connector, made));
    }
    let members: Vec<Member<'_>> = connectors
        .iter()
        .map(|(name, connector, made)| Member::new(name, connector, &made.link))
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
fn remark(spec: &OffboardingPolicySpec) -> String {
    if spec.gates.iter().any(|rule| rule.gate == Gate::Revoke) {
        "spec.gates: Revoke waits for people: leavers keep all access until somebody says yes".to_owned()
    } else {
        String::new()
    }
}

fn conditions(verdict: &Verdict, generation: i64, earlier: &[Condition], now: Timestamp) -> Vec<Condition> {
    let message: String = verdict.message.chars().take(LONGEST_MESSAGE).collect();
    let condition = |type_: &str, status| Condition {
        type_: type_.to_owned(),
        status,
        reason: verdict.reason.to_owned(),
        message: message.clone(),
        observed_generation: Some(generation),
        last_transition_time: now,
    };
    let mut conditions = if verdict.good {
        vec![condition("Ready", ConditionStatus::True)]
    } else {
        vec![
            condition("Ready", ConditionStatus::False),
            condition("Stalled", ConditionStatus::True),
        ]
    };
    keep_times(&mut conditions, earlier, now);
    conditions
}

/// Writes the conditions of `object` if they differ from what it has.
pub async fn publish<K>(
    context: &Context,
    api: &Api<K>,
    object: &K,
    observed: i64,
    earlier: &[Condition],
    verdict: Verdict,
) -> Result<(), ApiError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    if !context.acts() {
        return Ok(());
    }
    let generation = object.meta().generation.unwrap_or_default();
    let conditions = conditions(&verdict, generation, earlier, Timestamp::now());
    if observed == generation && conditions == earlier {
        return Ok(());
    }
    let patch = json!({
        "metadata": {"resourceVersion": object.resource_version()},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    let name = object.name_any();
    match with_deadline(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))).await {
        // Gone, or changed: the watch says so, and it is looked at again then.
        Ok(_) | Err(ApiError::NotFound | ApiError::Conflict) => Ok(()),
        Err(failed) => Err(failed),
    }
}

/// When to look again after the API server did not take a condition.
pub fn later<K>(_: Arc<K>, failed: &ApiError, _: Arc<Context>) -> Action {
    tracing::warn!(%failed, "condition not written; trying again");
    Action::requeue(RETRY_SOON)
}
