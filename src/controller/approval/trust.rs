//! Whether the chart's admission policies are in force, word for word.
//!
//! # Why
//! Nobody but the API server knows who sends a request, and its admission policies hold what people write to that: who approves,
//! who asks for an Offboarding and changes it, which source one is from, who writes what is seen. All of it is worth something
//! only while these policies are what the chart ships, so that is asked again and again, and without a cache before what cannot
//! be taken back. A policy that is weakened counts as one that is missing.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::{
    controller::{
        Context,
        runtime::api_client::{ApiError, with_deadline},
    },
    core::schedule::later,
};

mod shipped;

use shipped::Shipped;

/// How long an answer about the policies is believed.
pub const BELIEVED: Duration = Duration::from_secs(30);

/// So long after a policy was last written it is relied on first: an API server takes a moment to heed it.
const HEEDED: SignedDuration = SignedDuration::from_secs(10);

/// The admission policies that an operator relies on, as its chart ships them.
#[derive(Debug, Default)]
pub struct Policies {
    /// User names that make and change Offboardings for others (`approvals.automation`).
    pub automation: Vec<String>,
    /// The policies of this release alone; none where the chart installs none (`approvals.statusPolicy`).
    pub release: Option<Release>,
    known: Mutex<Known>,
}

/// An installation of the chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What the names of its policies begin with, such as `people-offboard`.
    pub name: String,
    /// The user name under which the API server knows its operators.
    pub user: String,
    /// The namespaces that it works in.
    pub namespaces: Vec<String>,
}

/// What was last read, and when.
#[derive(Debug, Default)]
struct Known {
    approvals: Option<(Instant, InForce)>,
    sources: Option<(Instant, InForce)>,
}

/// Since when policies are what they should be, and which are not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct InForce {
    /// The last time that anybody wrote the one for Approvals; none unless all are in force.
    since: Option<Timestamp>,
    /// Names of those that are missing or something else.
    lacking: BTreeSet<String>,
}

impl Policies {
    /// Those of a chart that was installed with these values.
    pub fn new(automation: Vec<String>, release: Option<Release>) -> Self {
        Self {
            automation,
            release,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// What Approvals rest on: who approves, who asked and changed, that nobody gets round them by deleting what they are about,
    /// and that nobody else shows people what they say yes to.
    fn of_approvals(&self) -> Vec<Shipped> {
        let status = self.release.as_ref().map(Shipped::status);
        let cluster = [
            Shipped::approvals(),
            Shipped::requests(&self.automation),
            Shipped::deletions(&self.automation),
        ];
        cluster.into_iter().chain(status).collect()
    }

    /// What was last missing of what Approvals rest on, for people.
    pub fn lacking(&self) -> String {
        let known = self.known();
        let lacking = known.approvals.iter().flat_map(|(_, read)| &read.lacking);
        lacking.map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Since when the cluster makes sure of who approves; none: it does not, or nobody knows.
pub async fn trusted_since(context: &Context) -> Option<Timestamp> {
    let known = context.policies.known().approvals.clone();
    match known {
        Some((read, known)) if read.elapsed() < BELIEVED => known.since,
        _ => trusted_since_now(context).await,
    }
}

/// The same past the cache.
pub async fn trusted_since_now(context: &Context) -> Option<Timestamp> {
    let read = read(&context.client, context.policies.of_approvals()).await;
    let mut known = context.policies.known();
    warn(&read, known.approvals.as_ref());
    known.approvals = Some((Instant::now(), read.clone()));
    read.since
}

/// Whether nobody but the operator says which source an Offboarding is from.
pub async fn sources_are_true(context: &Context) -> bool {
    let Some(release) = &context.policies.release else {
        return false;
    };
    let known = context.policies.known().sources.clone();
    if let Some((at, known)) = known
        && at.elapsed() < BELIEVED
    {
        return known.since.is_some();
    }
    let read = read(&context.client, vec![Shipped::sources(release)]).await;
    let mut known = context.policies.known();
    warn(&read, known.sources.as_ref());
    known.sources = Some((Instant::now(), read.clone()));
    read.since.is_some()
}

fn warn(read: &InForce, before: Option<&(Instant, InForce)>) {
    if !read.lacking.is_empty() && before.is_none_or(|(_, before)| before.lacking != read.lacking) {
        tracing::warn!(
            policies = ?read.lacking,
            "admission policies are not what this release's chart ships: what rests on them does not count"
        );
    }
}

/// Reads all of them at the same time. The first one says since when.
async fn read(client: &Client, shipped: Vec<Shipped>) -> InForce {
    let all = shipped.iter().map(|shipped| in_force(client, shipped));
    let found = match try_join_all(all).await {
        Ok(found) => found,
        Err(failed) => {
            tracing::warn!(%failed, "the admission policies were not read: what rests on them does not count");
            return InForce::default();
        }
    };
    let lacking = shipped.iter().zip(&found).filter(|(_, since)| since.is_none());
    let lacking: BTreeSet<String> = lacking.map(|(shipped, _)| shipped.name.clone()).collect();
    InForce {
        since: found.into_iter().next().flatten().filter(|_| lacking.is_empty()),
        lacking,
    }
}

/// Since when one is in force with its binding; none: it is missing, or something else.
async fn in_force(client: &Client, shipped: &Shipped) -> Result<Option<Timestamp>, ApiError> {
    // As they are, with fields that this program does not know.
    let policies = ApiResource::erase::<ValidatingAdmissionPolicy>(&());
    let bindings = ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&());
    let policies = Api::<DynamicObject>::all_with(client.clone(), &policies);
    let bindings = Api::<DynamicObject>::all_with(client.clone(), &bindings);
    let (policy, binding) = tokio::join!(
        with_deadline(policies.get(&shipped.name)),
        with_deadline(bindings.get(&shipped.name))
    );
    match (policy, binding) {
        (Ok(policy), Ok(binding)) => {
            let since = unchanged_since(&policy, &shipped.policy);
            let bound = unchanged_since(&binding, &shipped.binding);
            Ok(since.zip(bound).map(|(since, bound)| counts_from(since, bound)))
        }
        (Err(ApiError::NotFound), _) | (_, Err(ApiError::NotFound)) => Ok(None),
        (Err(failed), _) | (_, Err(failed)) => Err(failed),
    }
}

/// From when on Approvals count whose policy and binding are as they are since then: every API server heeds both by then.
fn counts_from(policy: Timestamp, binding: Timestamp) -> Timestamp {
    later(policy.max(binding), HEEDED)
}

/// Since when `object` has been what the chart ships: the last time that anybody wrote it; none: it is something else.
fn unchanged_since(object: &DynamicObject, expected: &Value) -> Option<Timestamp> {
    let about = &object.metadata;
    let spec = comparable(object.data.get("spec")?.clone());
    if about.deletion_timestamp.is_some() || spec != comparable(expected.clone()) {
        return None;
    }
    let made = about.creation_timestamp.as_ref()?.0;
    let written = about.managed_fields.iter().flatten();
    let written: Option<Vec<Timestamp>> = written.map(|entry| Some(entry.time.as_ref()?.0)).collect();
    // Who has written it, and when, can be wiped: then nobody knows since when it is as it is.
    let written = written.filter(|times| !times.is_empty())?;
    written.into_iter().chain([made]).max()
}

/// A spec without what makes no difference: blanks in expressions, and the words for whoever is refused.
fn comparable(mut spec: Value) -> Value {
    for list in ["validations", "variables"] {
        // Asking a map for a key that is not there by index would add it.
        let entries = spec.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            if let Some(fields) = entry.as_object_mut() {
                fields.remove("message");
            }
            if let Some(expression) = entry.get("expression").and_then(Value::as_str) {
                entry["expression"] = json!(squeezed(expression));
            }
        }
    }
    spec
}

/// Line breaks and blanks make no difference but in a text.
fn squeezed(expression: &str) -> String {
    let mut quote = None;
    let mut escaped = false;
    let mut kept = String::with_capacity(expression.len());
    for c in expression.chars() {
        match quote {
            None if c.is_whitespace() => continue,
            None => quote = Some(c).filter(|c| matches!(c, '\'' | '"')),
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn approvals_that_are_as_young_as_the_policy_do_not_count() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(counts_from(at(100), at(40)), at(110));
        assert_eq!(counts_from(at(40), at(100)), at(110));
    }

    #[test]
    fn since_when_it_is_what_it_is_nobody_can_wipe() {
        let written = |times: &[&str]| -> Value {
            let entry = |time: &&str| json!({"manager": "helm", "operation": "Apply", "time": time});
            times.iter().map(entry).collect()
        };
        let object = |fields: Value, about: Value| -> DynamicObject {
            let mut metadata = json!({"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"});
            metadata["managedFields"] = fields;
            for (name, value) in about.as_object().unwrap() {
                metadata[name] = value.clone();
            }
            let spec = json!({"policyName": "p"});
            let object = json!({"apiVersion": "v1", "kind": "X", "metadata": metadata, "spec": spec});
            serde_json::from_value(object).unwrap()
        };
        let since = |fields: Value, about: Value| {
            unchanged_since(&object(fields, about), &json!({"policyName": "p"})).map(|at| at.to_string())
        };
        let twice = || written(&["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]);
        assert_eq!(since(twice(), json!({})).as_deref(), Some("2026-02-01T00:00:00Z"));
        for wiped in [json!(null), json!([]), json!([{"manager": "kubectl"}])] {
            assert_eq!(since(wiped, json!({})), None);
        }
        let ends = json!({"deletionTimestamp": "2026-03-01T00:00:00Z"});
        assert_eq!(since(twice(), ends), None);
        assert_eq!(since(twice(), json!({"creationTimestamp": null})), None);
        let other = object(twice(), json!({}));
        assert_eq!(unchanged_since(&other, &json!({"policyName": "q"})), None);
    }

    #[test]
    fn blanks_make_no_difference_but_in_texts() {
        assert_eq!(squeezed("a ==\n 'b c' && d"), "a=='b c'&&d");
        assert_eq!(
            squeezed(r#"x in ["it's \" me", 'y']"#),
            r#"xin["it's \" me",'y']"#
        );
        assert_ne!(squeezed("u in ['a b']"), squeezed("u in ['ab']"));
    }

    #[test]
    fn a_list_that_is_not_there_is_not_one_that_is_empty_and_messages_are_only_words() {
        let spec = json!({"validations": [{"expression": "a  == b", "message": "no"}]});
        assert_eq!(comparable(spec), json!({"validations": [{"expression": "a==b"}]}));
        assert_eq!(comparable(json!({"policyName": "p"})), json!({"policyName": "p"}));
    }
}
