//! Everything that one Offboarding refers to, from the caches. What is broken becomes a broken link and delays nobody else.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    api::{Connector, Offboarding, offboarding::KnownManager},
    controller::{
        Context,
        approval::{
            index,
            trust::{sources_are_true, trusted_since},
        },
        connector::{registry::ResolvedConnector, resolve},
        runtime::watch::Namespace,
        safeguards::ReleaseSafeguards,
    },
    core::{case::Case, duplicate::Duplicate, gate::Vote, ledger::Ledger},
    drive::{
        Link,
        approval::ApprovalTarget,
        departures,
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
    /// Another one whenever any of it is another.
    pub fingerprint: Fingerprint,
}

/// What a reconcile is made of, as far as it takes to see that it changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    generation: Option<i64>,
    annotations: BTreeMap<String, String>,
    /// Who a directory says the manager is decides who takes over.
    manager: Option<KnownManager>,
    /// A `when` of any policy may choose differently when it changes: name, uid and generation of each.
    policies: Vec<(String, Option<String>, Option<i64>)>,
    connectors: BTreeMap<String, ConnectorVersion>,
    /// By the uids of their Approvals.
    votes: Vec<String>,
    untrusted: bool,
    leaving: Vec<String>,
    duplicates: Vec<Duplicate>,
    from_hr: bool,
}

/// A Connector, and what it resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ConnectorVersion {
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    revision: u64,
}

/// Looks up what `offboarding` refers to.
pub async fn gather(context: &Context, caches: &Namespace, offboarding: &Offboarding) -> Gathered {
    let policies = caches.policies.cache.state();
    let named: Vec<_> = policies.iter().map(|p| (p.name_any(), &p.spec)).collect();
    let policy = choose(
        offboarding,
        named.iter().map(|(name, spec)| (name.as_str(), *spec)),
    );
    let connectors = connectors(context, caches).await;
    let floor = !context.safeguards.safeguards.floor.is_empty();
    let asks = floor || policy.as_ref().is_ok_and(|policy| !policy.spec.gates.is_empty());
    // Approvals that are not listed yet only mean that nobody said yes: their list wakes the leaver, and nothing waits for it.
    let namespace = offboarding.namespace().unwrap_or_default();
    let mut votes = index::votes(
        &context.safeguards,
        caches,
        &namespace,
        &ApprovalTarget::leaver(offboarding),
    );
    let mut untrusted = false;
    if asks || !votes.is_empty() {
        let since = trusted_since(context).await;
        untrusted = since.is_none();
        votes.retain(|vote| since.is_some_and(|since| vote.at >= since));
    }
    let uid = offboarding.uid().unwrap_or_default();
    let leaving = caches.departures.departed_voters(&votes, &uid, Timestamp::now());
    let duplicates = departures::duplicates(&caches.departures, offboarding);
    let from_hr = names_a_source(caches, offboarding) && sources_are_true(context).await;
    let status = offboarding.status.as_ref();
    let mut policies: Vec<_> = policies
        .iter()
        .map(|p| (p.name_any(), p.metadata.uid.clone(), p.metadata.generation))
        .collect();
    policies.sort();
    let fingerprint = Fingerprint {
        generation: offboarding.metadata.generation,
        annotations: offboarding.annotations().clone(),
        manager: status.and_then(|status| status.manager.clone()),
        policies,
        connectors: connectors.iter().map(ConnectorVersion::of_resolved).collect(),
        votes: votes.iter().map(|vote| vote.id.clone()).collect(),
        untrusted,
        leaving: leaving.clone(),
        duplicates: duplicates.clone(),
        from_hr,
    };
    Gathered {
        policy,
        connectors,
        votes,
        untrusted,
        leaving,
        duplicates,
        from_hr,
        fingerprint,
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
        let made = resolve(context, connector).await;
        (connector.name_any(), (connector.clone(), made))
    });
    join_all(making).await.into_iter().collect()
}

impl ConnectorVersion {
    fn of_resolved(
        (name, (connector, resolved)): (&String, &(Arc<Connector>, Arc<ResolvedConnector>)),
    ) -> (String, Self) {
        let version = Self {
            generation: connector.metadata.generation,
            labels: connector.metadata.labels.clone(),
            revision: resolved.revision,
        };
        (name.clone(), version)
    }
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
            leaves_too: &|name| caches.departures.has_left(name, &uid, until),
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
