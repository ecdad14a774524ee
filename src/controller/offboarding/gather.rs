//! Everything that one Offboarding refers to, from the caches. What is broken becomes a broken link and delays nobody else.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use futures::future::join_all;
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    api::{Connector, Offboarding},
    controller::{
        Context,
        approval::{
            index::{self, About},
            trust::{sources_are_true, trusted_since},
        },
        connector::registry::{ConnectorRegistry, ResolvedConnector},
        runtime::watch::Namespace,
        safeguards::ReleaseSafeguards,
    },
    core::{case::Case, duplicate::Duplicate, gate::Vote, ledger::Ledger},
    drive::{
        Link,
        validate::{Chosen, Given, Invalid, Member, choose, connector_of, validate},
    },
    sources::offboarding::source_of,
};

/// A case with a link for each of its rows.
pub type Linked = (Case, BTreeMap<String, Link>);

/// What a pass is made of.
pub struct Gathered {
    /// The policy, or why there is none.
    pub policy: Result<Chosen, Invalid>,
    /// The Connectors of the namespace, by name.
    pub connectors: BTreeMap<String, (Arc<Connector>, Arc<ResolvedConnector>)>,
    /// What people said about the leaver.
    pub votes: Vec<Vote>,
    /// The cluster does not vouch for who said it, so none of it counts.
    pub untrusted: bool,
    /// Of those who said something, who leaves too.
    pub leaving: Vec<String>,
    /// Other Offboardings about the same person.
    pub duplicates: Vec<Duplicate>,
    /// What the Offboarding says of the person is what HR says.
    pub from_hr: bool,
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
    // Who a directory says the manager is decides who takes over.
    let manager = offboarding
        .status
        .as_ref()
        .and_then(|status| status.manager.as_ref());
    write!(inputs, " {manager:?}").expect("a String takes every text");
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
    let floor = !context.safeguards.safeguards.floor.is_empty();
    let asks = floor || policy.as_ref().is_ok_and(|policy| !policy.spec.gates.is_empty());
    // Approvals that are not listed yet only mean that nobody said yes: their list wakes the leaver, and nothing waits for it.
    let namespace = offboarding.namespace().unwrap_or_default();
    let mut votes = index::votes(
        &context.safeguards,
        caches,
        &namespace,
        &About::leaver(offboarding),
    );
    let mut untrusted = false;
    if asks || !votes.is_empty() {
        let since = trusted_since(context).await;
        untrusted = since.is_none();
        votes.retain(|vote| since.is_some_and(|since| vote.at >= since));
    }
    let uid = offboarding.uid().unwrap_or_default();
    let leaving = caches.leaving.among(&votes, &uid, Timestamp::now());
    let duplicates = caches.leaving.duplicates(offboarding);
    let ids: Vec<&str> = votes.iter().map(|vote| vote.id.as_str()).collect();
    let from_hr = names_a_source(caches, offboarding) && sources_are_true(context).await;
    write!(
        inputs,
        " {ids:?} {untrusted} {leaving:?} {duplicates:?} {from_hr}"
    )
    .expect("a String takes every text");
    Gathered {
        policy,
        connectors,
        votes,
        untrusted,
        leaving,
        duplicates,
        from_hr,
        inputs,
    }
}

/// The Connectors of a namespace, ready to use. All Secrets that have to be read are read at the same time.
async fn connectors(
    context: &Context,
    caches: &Namespace,
) -> BTreeMap<String, (Arc<Connector>, Arc<ResolvedConnector>)> {
    let all = caches.connectors.cache.state();
    let making = all.iter().filter(|c| c.metadata.deletion_timestamp.is_none());
    let making = making.map(|connector| async move {
        let made = make(context, &context.connectors, connector).await;
        (connector.name_any(), (connector.clone(), made))
    });
    join_all(making).await.into_iter().collect()
}

/// `connector` ready to use, or the words for what is wrong.
pub async fn make(
    context: &Context,
    links: &ConnectorRegistry,
    connector: &Connector,
) -> Arc<ResolvedConnector> {
    let definition = ObjectRef::new(&connector.spec.definition);
    let own = context.caches.definitions.cache.get(&definition);
    links.make(&context.client, connector, own.as_deref()).await
}

/// The policy of `offboarding`, and what it depended on: a `when` of any policy may choose differently when it changes.
fn policy(caches: &Namespace, offboarding: &Offboarding, inputs: &mut String) -> Result<Chosen, Invalid> {
    let policies = caches.policies.cache.state();
    let mut versions: Vec<_> = policies
        .iter()
        .map(|p| (p.name_any(), p.metadata.uid.as_deref(), p.metadata.generation))
        .collect();
    versions.sort();
    write!(inputs, " {versions:?}").expect("a String takes every text");
    let named: Vec<_> = policies.iter().map(|p| (p.name_any(), &p.spec)).collect();
    choose(
        offboarding,
        named.iter().map(|(name, spec)| (name.as_str(), *spec)),
    )
}

/// Whether `offboarding` says that a source made it, and nobody says to have changed it by hand.
fn names_a_source(caches: &Namespace, offboarding: &Offboarding) -> bool {
    let source = source_of(offboarding);
    let known = source.is_some_and(|name| caches.sources.cache.state().iter().any(|s| s.name_any() == name));
    known && offboarding.spec.changed_by.is_empty()
}

impl Gathered {
    /// The case with a link for every row; `recorded` is what the record knows, once it is read.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn case(
        &self,
        rules: &ReleaseSafeguards,
        caches: &Namespace,
        offboarding: &Offboarding,
        recorded: Option<&Ledger>,
        now: Timestamp,
    ) -> Result<Linked, Invalid> {
        let usual = Chosen::default();
        let members: Vec<Member<'_>> = self
            .connectors
            .iter()
            .filter(|(_, (_, made))| !made.only_people)
            .map(|(name, (connector, made))| Member::new(name, connector, &made.link))
            .collect();
        let uid = offboarding.uid().unwrap_or_default();
        let ends = offboarding.status.as_ref().and_then(|status| status.cutoff);
        let until = ends.map_or(now, |ends| ends.max(now));
        let given = Given {
            leaves_too: &|name| caches.leaving.has_left(name, &uid, until),
            votes: self.votes.clone(),
            recorded,
            safeguards: &rules.safeguards,
            person_of: &|user| rules.person_of(user),
            from_hr: self.from_hr,
            untrusted: self.untrusted,
            leaving: self.leaving.clone(),
            duplicates: self.duplicates.clone(),
            no_policy: self.policy.as_ref().err(),
            ..Given::alone(offboarding, self.policy.as_ref().unwrap_or(&usual), &members)
        };
        let case = validate(given, now)?;
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
