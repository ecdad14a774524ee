//! Everything that one Offboarding refers to, from the caches. What is broken becomes a broken link and delays nobody else.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use futures::future::join_all;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{
    Context,
    links::{Links, Made},
    watch::Namespace,
};
use crate::{
    api::{Connector, Offboarding, OffboardingPolicySpec},
    core::case::Case,
    drive::{
        Link,
        validate::{Invalid, Member, validate},
    },
};

/// The policy that is used when an Offboarding names none.
pub const DEFAULT_POLICY: &str = "default";

/// What a pass is made of.
pub struct Gathered {
    /// The policy, or why there is none.
    pub policy: Result<OffboardingPolicySpec, Invalid>,
    /// The Connectors of the namespace, by name.
    pub connectors: BTreeMap<String, (Arc<Connector>, Arc<Made>)>,
    /// Changes whenever any of it changes.
    pub inputs: String,
}

/// Looks up what `offboarding` refers to.
pub async fn gather(context: &Context, caches: &Namespace, offboarding: &Offboarding) -> Gathered {
    let mut inputs = format!(
        "{:?} {:?}",
        offboarding.metadata.generation,
        offboarding.annotations()
    );
    let policy = policy(caches, offboarding, &mut inputs);
    let connectors = connectors(context, caches).await;
    for (name, (connector, made)) in &connectors {
        write!(
            inputs,
            " {name}={:?}/{:?}/{}",
            connector.metadata.generation, connector.metadata.labels, made.revision
        )
        .expect("a String takes every text");
    }
    Gathered {
        policy,
        connectors,
        inputs,
    }
}

/// The Connectors of a namespace, ready to use. All Secrets that have to be read are read at the same time.
async fn connectors(context: &Context, caches: &Namespace) -> BTreeMap<String, (Arc<Connector>, Arc<Made>)> {
    let all = caches.connectors.cache.state();
    let making = all.iter().filter(|c| c.metadata.deletion_timestamp.is_none());
    let making = making.map(|connector| async move {
        let made = make(context, &context.links, connector).await;
        (connector.name_any(), (connector.clone(), made))
    });
    join_all(making).await.into_iter().collect()
}

/// `connector` ready to use, or the words for what is wrong.
pub async fn make(context: &Context, links: &Links, connector: &Connector) -> Arc<Made> {
    let definition = ObjectRef::new(&connector.spec.definition);
    let own = context.caches.definitions.cache.get(&definition);
    links.make(&context.client, connector, own.as_deref()).await
}

fn policy(
    caches: &Namespace,
    offboarding: &Offboarding,
    inputs: &mut String,
) -> Result<OffboardingPolicySpec, Invalid> {
    let named = offboarding.spec.policy_ref.as_ref().map(|r| r.name.as_str());
    let name = named.unwrap_or(DEFAULT_POLICY);
    let namespace = offboarding.namespace().unwrap_or_default();
    match caches
        .policies
        .cache
        .get(&ObjectRef::new(name).within(&namespace))
    {
        Some(policy) => {
            write!(
                inputs,
                " {:?}/{:?}",
                policy.metadata.uid, policy.metadata.generation
            )
            .expect("a String takes every text");
            Ok(policy.spec.clone())
        }
        None if named.is_none() => Ok(OffboardingPolicySpec::default()),
        None => Err(Invalid {
            field: "spec.policyRef.name".to_owned(),
            problem: format!(
                "there is no OffboardingPolicy {name:?} in this namespace: create it, or leave policyRef out"
            ),
        }),
    }
}

impl Gathered {
    /// The case with a link for every row.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn case(
        &self,
        offboarding: &Offboarding,
        now: Timestamp,
    ) -> Result<(Case, BTreeMap<String, Link>), Invalid> {
        let policy = self.policy.as_ref().map_err(Clone::clone)?;
        let none = BTreeMap::new();
        let members: Vec<Member<'_>> = self
            .connectors
            .iter()
            .filter(|(_, (_, made))| !made.only_people)
            .map(|(name, (connector, made))| Member {
                name,
                labels: connector.metadata.labels.as_ref().unwrap_or(&none),
                spec: &connector.spec,
                facts: &made.facts,
            })
            .collect();
        let case = validate(offboarding, policy, &members, now)?;
        let links = case
            .systems
            .iter()
            .filter_map(|system| {
                let (_, made) = self.connectors.get(connector_of(&system.row))?;
                Some((system.row.clone(), made.link.clone()))
            })
            .collect();
        Ok((case, links))
    }
}

/// The Connector of a row; the text after the slash is a login name.
pub fn connector_of(row: &str) -> &str {
    row.split('/').next().unwrap_or_default()
}
