//! Runs the program of a `job` definition as a Kubernetes Job, in the Connector's namespace.
//!
//! It never reads a log and never deletes anything: Jobs end by their deadline and go by their time to live, and take pod and
//! input along.
//!
//! # Why
//! **Input is a Secret.** There is no standard input without a right to attach to pods; environment and arguments can be read
//! by everybody who may view pods, and a `ConfigMap` by everybody who may view anything, but a list of leavers is a secret. The
//! operator may create Secrets and, as before, read only those that Connectors name; nothing else needs a right on this one,
//! since it belongs to the Job and goes with it.
//!
//! **The answer is the termination message**, at most 4 KiB, which is what a look at one account needs. Logs may be larger, but
//! they need a right of their own, mix both outputs, and are kept by whoever collects them.
//!
//! **An act is never run twice at the same time.** The name of its Job is made of the act's key, what is run, and a number that
//! counts finished tries, so of two operators only one can create it. A Job that is there is looked at: while it runs it is
//! waited for, and when it has ended with nobody having taken the answer, that answer is taken instead of another run.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::TryStreamExt;
use k8s_openapi::{
    api::{
        batch::v1::{Job as KubernetesJob, JobCondition},
        core::v1::{Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{
    api::definition::JobDriver,
    connectors::job::{Job, Ran, Runner},
    controller::runtime::perimeter::JobRules,
    core::{
        digest::digest_of,
        fault::{Fault, Reason},
    },
    transport::SetupError,
};

/// Which act a Job is for: all its tries have the same value.
const ACT: &str = "offboard.dev/act";
/// How long a finished try of an act is kept: long enough to be found by whoever looks again after a crash.
const ACTS_STAY: Duration = Duration::from_hours(1);
/// The same for a look.
const LOOKS_STAY: Duration = Duration::from_mins(2);
/// No single call to the API server takes longer.
const CALL: Duration = Duration::from_secs(10);
/// The kubelet cuts a termination message there.
const LARGEST_ANSWER: usize = 4096;
/// The container.
const PROGRAM: &str = "program";

/// Runs programs in a cluster.
pub struct ClusterRunner {
    client: Client,
    rules: JobRules,
    /// Finished tries whose answer was taken, by uid, and since when.
    taken: Mutex<BTreeMap<String, Instant>>,
}

/// A Job that is there.
struct Try {
    name: String,
    uid: String,
}

impl ClusterRunner {
    /// A runner that works with this client's rights, within `rules`.
    pub fn new(client: Client, rules: JobRules) -> Self {
        Self {
            client,
            rules,
            taken: Mutex::default(),
        }
    }

    fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The Job of an act: the try that is under way or unanswered, else a new one. If another operator makes the same one
    /// at this moment, that one is looked at.
    async fn of_act(&self, namespace: &str, job: &Job<'_>, key: &str) -> Result<Try, Fault> {
        match self.try_of_act(namespace, job, key).await {
            Err(fault) if fault.reason == Reason::Conflict => self.try_of_act(namespace, job, key).await,
            found => found,
        }
    }

    async fn try_of_act(&self, namespace: &str, job: &Job<'_>, key: &str) -> Result<Try, Fault> {
        let act = act(job, key);
        let selector = format!("{ACT}={act}");
        let params = ListParams::default().labels(&selector);
        let there = call(self.api::<KubernetesJob>(namespace).list(&params)).await?;
        let mut next = 0;
        for one in there {
            let (name, uid) = (one.name_any(), one.uid().unwrap_or_default());
            if end(&one).is_none() || !self.was_taken(&uid) {
                // Its input may be missing: whoever made the Job may have ended right after it.
                self.give_input(namespace, &name, &uid, job).await?;
                return Ok(Try { name, uid });
            }
            let number = name
                .rsplit('-')
                .next()
                .and_then(|number| number.parse::<u32>().ok());
            next = next.max(number.unwrap_or_default() + 1);
        }
        let name = format!("offboard-{act}-{next}");
        self.create(namespace, &name, Some(&act), job).await
    }

    async fn create(
        &self,
        namespace: &str,
        name: &str,
        act: Option<&str>,
        job: &Job<'_>,
    ) -> Result<Try, Fault> {
        let wanted = manifest(name, act, job)?;
        let made = call(self.api(namespace).create(&PostParams::default(), &wanted)).await?;
        let uid = made.uid().unwrap_or_default();
        self.give_input(namespace, name, &uid, job).await?;
        Ok(Try {
            name: name.to_owned(),
            uid,
        })
    }

    async fn give_input(&self, namespace: &str, name: &str, uid: &str, job: &Job<'_>) -> Result<(), Fault> {
        let input = Secret {
            metadata: kube::api::ObjectMeta {
                name: Some(name.to_owned()),
                labels: Some(BTreeMap::from([(
                    "app.kubernetes.io/managed-by".to_owned(),
                    "offboard".to_owned(),
                )])),
                owner_references: Some(vec![OwnerReference {
                    api_version: "batch/v1".to_owned(),
                    kind: "Job".to_owned(),
                    name: name.to_owned(),
                    uid: uid.to_owned(),
                    ..OwnerReference::default()
                }]),
                ..kube::api::ObjectMeta::default()
            },
            immutable: Some(true),
            string_data: Some(BTreeMap::from([(
                "input.json".to_owned(),
                job.request.input.to_string(),
            )])),
            ..Secret::default()
        };
        match timeout(CALL, self.api(namespace).create(&PostParams::default(), &input)).await {
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
            Ok(made) => made.map(drop).map_err(|error| fault(&error)),
            Err(_) => Err(Fault::transient(Reason::Timeout)),
        }
    }

    /// Waits until the Job has ended, and says how.
    async fn ended(&self, namespace: &str, made: &Try, deadline: Instant) -> Result<JobCondition, Fault> {
        let selector = format!("metadata.name={}", made.name);
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs() + 1;
            let seconds = u32::try_from(left).unwrap_or(u32::MAX);
            let params = WatchParams::default().fields(&selector).timeout(seconds);
            let jobs = self.api::<KubernetesJob>(namespace);
            let mut events = std::pin::pin!(jobs.watch(&params, "0").await.map_err(|error| fault(&error))?);
            while let Some(event) = events.try_next().await.map_err(|error| fault(&error))? {
                match event {
                    WatchEvent::Added(job) | WatchEvent::Modified(job)
                        if job.metadata.uid.as_deref() == Some(made.uid.as_str()) =>
                    {
                        if let Some(end) = end(&job) {
                            return Ok(end);
                        }
                    }
                    WatchEvent::Deleted(_) => {
                        return Err(Fault::unknown_outcome(Reason::OperationFailed).with_code("job deleted"));
                    }
                    _ => {}
                }
            }
        }
    }

    /// What the program of an ended Job left behind.
    async fn answer(&self, namespace: &str, made: &Try, end: &JobCondition) -> Result<Ran, Fault> {
        let selector = format!("batch.kubernetes.io/controller-uid={}", made.uid);
        let params = ListParams::default().labels(&selector);
        let pods = call(self.api::<Pod>(namespace).list(&params)).await?;
        let terminated = pods
            .into_iter()
            .filter_map(|pod| pod.status.and_then(|status| status.container_statuses))
            .flatten()
            .filter(|container| container.name == PROGRAM)
            .find_map(|container| container.state?.terminated);
        let lost = match end.reason.as_deref() {
            Some("DeadlineExceeded") => Fault::unknown_outcome(Reason::Timeout),
            // Evicted, or its node is gone.
            _ => Fault::unknown_outcome(Reason::OperationFailed).with_code("pod lost"),
        };
        let ended = terminated.ok_or(lost)?;
        if ended.exit_code >= 128 {
            let code = format!("exit {}", ended.exit_code);
            return Err(Fault::unknown_outcome(Reason::OperationFailed).with_code(code));
        }
        let output = ended.message.unwrap_or_default().into_bytes();
        if output.len() >= LARGEST_ANSWER {
            return Err(Fault::unknown_outcome(Reason::Incomplete).with_code("too large"));
        }
        Ok(Ran {
            exit: ended.exit_code,
            output,
        })
    }

    fn was_taken(&self, uid: &str) -> bool {
        let taken = self.taken.lock();
        taken.contains_key(uid)
    }

    fn take(&self, uid: String) {
        let mut taken = self.taken.lock();
        taken.retain(|_, since| since.elapsed() < ACTS_STAY * 2);
        taken.insert(uid, Instant::now());
    }
}

#[async_trait]
impl Runner for ClusterRunner {
    fn check(&self, section: &JobDriver) -> Result<(), SetupError> {
        match section.image.as_deref() {
            Some(image) if !image.is_empty() => {
                let account = section.service_account.as_deref().unwrap_or_default();
                self.rules.check(image, account)
            }
            _ => Err(SetupError::Field("job.image")),
        }
    }

    async fn run(&self, job: &Job<'_>) -> Result<Ran, Fault> {
        let deadline = Instant::now() + job.deadline;
        let unnamed = || Fault::permanent(Reason::ConnectorNotReady).with_code("namespace");
        let (namespace, _) = job.connector.split_once('/').ok_or_else(unnamed)?;
        let made = if let Some(key) = &job.request.key {
            self.of_act(namespace, job, key).await?
        } else {
            let name = format!("offboard-look-{:032x}", rand::random::<u128>());
            self.create(namespace, &name, None, job).await?
        };
        let Ok(end) = timeout_at(deadline, self.ended(namespace, &made, deadline)).await else {
            return Err(Fault::unknown_outcome(Reason::Timeout).with_code("job runs on"));
        };
        let end = match end {
            Ok(end) => end,
            // It was begun, whatever became of our watching it.
            Err(fault) => return Err(Fault::unknown_outcome(fault.reason).with_code(fault.code)),
        };
        let answer = self.answer(namespace, &made, &end).await;
        if answer.is_ok() || matches!(&answer, Err(fault) if fault.reason != Reason::StoreUnavailable) {
            self.take(made.uid);
        }
        answer
    }
}

/// The same for every try of one act.
fn act(job: &Job<'_>, key: &str) -> String {
    let input = job.request.input.to_string();
    let parts = [job.connector, key, input.as_str()];
    let mut digest = digest_of(
        parts
            .into_iter()
            .chain(job.request.run.iter().map(String::as_str)),
    );
    digest.truncate(32);
    digest
}

/// How the Job ended; none while it runs.
fn end(job: &KubernetesJob) -> Option<JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let ends = |c: &&JobCondition| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True";
    conditions.iter().find(ends).cloned()
}

/// The Job: one pod, tried once, without any right and with nothing of its node.
fn manifest(name: &str, act: Option<&str>, job: &Job<'_>) -> Result<KubernetesJob, Fault> {
    let section = job.section;
    let mut labels =
        json!({"app.kubernetes.io/managed-by": "offboard", "app.kubernetes.io/component": "job"});
    if let Some(act) = act {
        labels[ACT] = json!(act);
    }
    let mut environment = vec![
        json!({"name": "OFFBOARD_INPUT", "value": "/offboard/input.json"}),
        json!({"name": "OFFBOARD_OUTPUT", "value": "/dev/termination-log"}),
    ];
    let fixed = section.environment.iter();
    environment.extend(fixed.map(|(name, value)| json!({"name": name, "value": value})));
    for (variable, key) in &section.secrets {
        let from = json!({"secretKeyRef": {"name": job.secret, "key": key}});
        environment.push(json!({"name": variable, "valueFrom": from}));
    }
    let mut resources = json!({"cpu": "500m", "memory": "256Mi"});
    for (name, quantity) in &section.resources {
        resources[name] = json!(quantity);
    }
    let stay = if act.is_some() { ACTS_STAY } else { LOOKS_STAY };
    let pod = json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": PROGRAM,
            "image": section.image,
            "command": job.request.run,
            "env": environment,
            "workingDir": "/tmp",
            "resources": {"requests": resources, "limits": resources},
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "volumeMounts": [
                {"name": "input", "mountPath": "/offboard", "readOnly": true},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }],
        "volumes": [
            {"name": "input", "secret": {"secretName": name}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    });
    let mut manifest = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": job.deadline.as_secs().max(1),
            "ttlSecondsAfterFinished": stay.as_secs(),
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    });
    if let Some(account) = section
        .service_account
        .as_ref()
        .filter(|account| !account.is_empty())
    {
        manifest["spec"]["template"]["spec"]["serviceAccountName"] = Value::String(account.clone());
    }
    serde_json::from_value(manifest).map_err(|_| Fault::permanent(Reason::Malformed).with_code("job"))
}

async fn call<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Fault> {
    match timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| fault(&error)),
        Err(_) => Err(Fault::transient(Reason::StoreUnavailable).with_code("timeout")),
    }
}

/// What a refusal of the API server means. None of these calls runs anything by itself.
fn fault(error: &kube::Error) -> Fault {
    let kube::Error::Api(status) = error else {
        return Fault::transient(Reason::StoreUnavailable).with_code("no answer");
    };
    let fault = match status.code {
        // Somebody else created it this moment: it is looked at the next time.
        409 => Fault::transient(Reason::Conflict),
        403 => Fault::needs_decision(Reason::PermissionDenied),
        400 | 422 => Fault::permanent(Reason::ConnectorNotReady),
        _ => Fault::transient(Reason::StoreUnavailable),
    };
    fault.with_code(format!("kubernetes {}", status.code))
}
