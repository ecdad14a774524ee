//! Programs as Kubernetes Jobs, on a real API server with the real Job controller and the chart's rights.
//!
//! There is no kubelet here: the tests play it. A pod "runs" when its input is there, and ends with the exit code and the
//! termination message that the test's program gives; that images are pulled and processes isolated is not shown.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::Job as KubernetesJob,
    core::v1::{Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use offboard::{
    api::definition::JobDriver,
    connectors::{
        driver::JobRequest,
        job::{Job, Ran, Runner},
    },
    controller::{connector::jobs::ClusterRunner, runtime::perimeter::JobRules},
    core::{
        fact::Verdict,
        fault::{Fault, FaultKind, Reason},
    },
    transport::secret::Credentials,
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};

use super::System;
use crate::{
    operator::site::Site,
    support::{self, ControlPlane},
};

/// What a program does: its arguments and input, to exit code and answer; none as long as it goes on.
type Program = dyn Fn(&[String], &Value) -> Option<(i32, String)> + Send + Sync;

fn plane() -> &'static ControlPlane {
    support::control_plane().with_controllers()
}

/// A namespace where only restricted pods are let in, the operator's rights, and a kubelet.
struct Cluster {
    site: Site,
    admin: Client,
    kubelet: JoinHandle<()>,
    /// What programs wait for has come.
    goes_on: Arc<Notify>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet.abort();
    }
}

impl Cluster {
    async fn start(
        program: impl Fn(&[String], &Value) -> Option<(i32, String)> + Send + Sync + 'static,
    ) -> Self {
        Self::with(&["jobs.enabled=true"], program).await
    }

    async fn with(
        values: &[&str],
        program: impl Fn(&[String], &Value) -> Option<(i32, String)> + Send + Sync + 'static,
    ) -> Self {
        let site = Site::with(plane(), "jobs", values);
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        plane()
            .kubectl(&["label", "namespace", &site.namespace, restricted], "")
            .expect_ok();
        site.secret("login", "password", "s3cret");
        let admin = plane().client().await;
        let goes_on = Arc::new(Notify::new());
        let kubelet = kubelet(
            admin.clone(),
            site.namespace.clone(),
            Arc::new(program),
            goes_on.clone(),
        );
        Self {
            kubelet: tokio::spawn(kubelet),
            goes_on,
            admin,
            site,
        }
    }

    fn name(&self) -> String {
        format!("{}/legacy", self.site.namespace)
    }

    /// A runner of its own, as every operator has one.
    async fn runner(&self) -> Arc<ClusterRunner> {
        Arc::new(ClusterRunner::new(
            plane().client_of(&self.site.namespace, "offboard").await,
            JobRules::default(),
        ))
    }

    async fn jobs(&self) -> Vec<KubernetesJob> {
        let jobs = Api::<KubernetesJob>::namespaced(self.admin.clone(), &self.site.namespace);
        jobs.list(&ListParams::default()).await.unwrap().items
    }

    /// Asks, until it is so.
    async fn until<T>(&self, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
        for _ in 0..1200 {
            if let Some(seen) = seen().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing came of it");
    }
}

/// Ends every pod whose input is there as `program` says. Looks whenever a pod or a Secret changes, or `goes_on` says so.
async fn kubelet(client: Client, namespace: String, program: Arc<Program>, goes_on: Arc<Notify>) {
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let config = watcher::Config::default;
    let pods_changed = watcher(pods.clone(), config()).default_backoff().map(drop);
    let secrets_changed = watcher(secrets.clone(), config()).default_backoff().map(drop);
    let mut changed = pin!(futures::stream::select(pods_changed, secrets_changed));
    loop {
        tokio::select! {
            _ = changed.next() => {}
            () = goes_on.notified() => {}
        }
        let all = pods.list(&ListParams::default()).await;
        for pod in all.map(|list| list.items).unwrap_or_default() {
            end(&pods, &secrets, &pod, &program).await;
        }
    }
}

/// Ends one pod, if it has not ended, its input is there, and the program has an answer.
async fn end(pods: &Api<Pod>, secrets: &Api<Secret>, pod: &Pod, program: &Arc<Program>) {
    let status = pod.status.clone().unwrap_or_default();
    if status.container_statuses.is_some() || pod.metadata.deletion_timestamp.is_some() {
        return;
    }
    let spec = pod.spec.clone().unwrap();
    let mounted = spec
        .volumes
        .iter()
        .flatten()
        .find_map(|volume| volume.secret.clone())
        .unwrap();
    // Like a kubelet: a container waits until what is mounted into it is there.
    let Ok(secret) = secrets.get(mounted.secret_name.as_deref().unwrap()).await else {
        return;
    };
    let input: Value = serde_json::from_slice(&secret.data.unwrap()["input.json"].0).unwrap();
    let command = spec.containers[0].command.clone().unwrap();
    let Some((exit, message)) = program(&command, &input) else {
        return;
    };
    let now = jiff::Timestamp::now().to_string();
    let status = json!({"status": {
        "phase": if exit == 0 { "Succeeded" } else { "Failed" },
        "containerStatuses": [{
            "name": spec.containers[0].name, "image": "legacy", "imageID": "legacy", "ready": false,
            "restartCount": 0,
            "state": {"terminated": {
                "exitCode": exit, "message": message, "startedAt": now, "finishedAt": now,
            }},
        }],
    }});
    // It may be gone by now.
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status))
        .await
        .ok();
}

fn section(deadline: &str) -> JobDriver {
    JobDriver {
        image: Some("registry.example.com/legacy@sha256:0".into()),
        deadline: Some(deadline.into()),
        ..JobDriver::default()
    }
}

fn request(id: &str, key: Option<&str>) -> JobRequest {
    JobRequest {
        run: vec!["/legacy".into(), "lock".into()],
        input: json!({"id": id}),
        key: key.map(str::to_owned),
    }
}

async fn run(
    cluster: &Cluster,
    runner: &ClusterRunner,
    request: &JobRequest,
    seconds: u64,
) -> Result<Ran, Fault> {
    let job = Job {
        connector: &cluster.name(),
        section: &section("50s"),
        secret: Some("login"),
        credentials: &Credentials::default(),
        request,
        deadline: Duration::from_secs(seconds),
    };
    runner.run(&job).await
}

/// The state of an account, and how often it was locked.
type Locked = Arc<Mutex<(&'static str, usize)>>;

/// A legacy system with one account.
fn legacy() -> (Locked, Box<Program>) {
    let state = Arc::new(Mutex::new(("open", 0)));
    let inside = state.clone();
    let program = move |run: &[String], input: &Value| {
        let mut state = inside.lock().unwrap();
        let shown = |state: &str| json!({"id": "7", "email": "jane@example.com", "state": state});
        let answer = match run[1].as_str() {
            "find" if input["email"] == "jane@example.com" => json!({"accounts": [shown(state.0)]}),
            "find" => json!({"accounts": []}),
            "lock" => {
                assert_eq!(input["id"], "7");
                *state = ("locked", state.1 + 1);
                json!({"locked": true})
            }
            _ => shown(state.0),
        };
        Some((0, answer.to_string()))
    };
    (state, Box::new(program))
}

#[tokio::test]
async fn a_leaver_is_locked_by_jobs_with_no_more_rights_than_the_chart_gives_and_no_fewer() {
    let (state, program) = legacy();
    let cluster = Cluster::start(program).await;
    let text = include_str!("legacy.yaml").replace("deadline: 5s", "deadline: 50s");
    let inputs = json!({"program": "/legacy", "image": "registry.example.com/legacy@sha256:0"});
    let system = System {
        secret: vec![("password", "s3cret".to_owned())],
        runner: Some(cluster.runner().await),
        name: cluster.name(),
        ..System::new(&text, inputs)
    };
    let mut leaver = system.leaver();
    assert!(leaver.settles(5).await, "{:?}", leaver.all());
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(*state.lock().unwrap(), ("locked", 1));

    let jobs = cluster.jobs().await;
    let shown = serde_json::to_string(&jobs).unwrap();
    for secret in ["jane", "s3cret"] {
        assert!(!shown.contains(secret), "whoever may see Jobs sees {secret}");
    }
    for job in &jobs {
        let spec = job.spec.as_ref().unwrap();
        assert_eq!(
            (spec.backoff_limit, spec.active_deadline_seconds),
            (Some(0), Some(50))
        );
        assert!(spec.ttl_seconds_after_finished.is_some());
        let pod = spec.template.spec.as_ref().unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        let password = pod.containers[0]
            .env
            .iter()
            .flatten()
            .find(|env| env.name == "LEGACY_PASSWORD");
        let from = password
            .unwrap()
            .value_from
            .as_ref()
            .unwrap()
            .secret_key_ref
            .as_ref()
            .unwrap();
        assert_eq!((from.name.as_str(), from.key.as_str()), ("login", "password"));
    }
    // The namespace lets in restricted pods only, and the controller made one for each Job.
    let user = format!("system:serviceaccount:{}:offboard", cluster.site.namespace);
    let asked = plane().requests_of(&user);
    assert!(asked.iter().all(|request| request.status != 403), "{asked:?}");
    let used: BTreeSet<(String, String)> = asked.into_iter().map(|r| (r.verb, r.resource)).collect();
    let given = [
        ("create", "jobs"),
        ("list", "jobs"),
        ("watch", "jobs"),
        ("list", "pods"),
        ("create", "secrets"),
    ];
    let given = given.map(|(verb, resource)| (verb.to_owned(), resource.to_owned()));
    assert_eq!(used, BTreeSet::from(given));
}

#[tokio::test]
async fn two_operators_with_the_same_act_run_it_once_and_both_get_its_answer() {
    let open = Arc::new(Mutex::new(false));
    let gate = open.clone();
    let cluster =
        Cluster::start(move |_, _| gate.lock().unwrap().then(|| (0, "{\"locked\":true}".to_owned()))).await;
    let (one, other) = (cluster.runner().await, cluster.runner().await);
    let act = request("7", Some("key-1"));
    let opened = async {
        cluster
            .until(async || (!cluster.jobs().await.is_empty()).then_some(()))
            .await;
        *open.lock().unwrap() = true;
        cluster.goes_on.notify_one();
    };
    let (first, second, ()) = tokio::join!(
        run(&cluster, &one, &act, 50),
        run(&cluster, &other, &act, 50),
        opened
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    assert_eq!(
        (first.exit, first.output.as_slice()),
        (0, &b"{\"locked\":true}"[..])
    );
    assert_eq!(cluster.jobs().await.len(), 1);
    // Another act is another Job.
    run(&cluster, &one, &request("8", Some("key-2")), 50)
        .await
        .unwrap();
    assert_eq!(cluster.jobs().await.len(), 2);
}

#[tokio::test]
async fn after_a_crash_the_answer_of_the_job_that_was_made_is_taken_and_after_that_it_may_run_anew() {
    let runs = Arc::new(Mutex::new(0));
    let counted = runs.clone();
    let cluster = Cluster::start(move |_, _| {
        let mut runs = counted.lock().unwrap();
        *runs += 1;
        Some((0, runs.to_string()))
    })
    .await;
    let act = request("7", Some("key-1"));
    {
        let crashed = cluster.runner().await;
        let made = cluster.until(async || (!cluster.jobs().await.is_empty()).then_some(()));
        tokio::select! {
            // Gone as soon as the Job is there, whether or not its input is.
            () = made => {}
            _ = run(&cluster, &crashed, &act, 50) => {}
        }
    }
    let next = cluster.runner().await;
    assert_eq!(run(&cluster, &next, &act, 50).await.unwrap().output, b"1");
    assert_eq!(*runs.lock().unwrap(), 1);
    // Somebody undid it: the same act is asked for again, and is no longer answered from the past.
    assert_eq!(run(&cluster, &next, &act, 50).await.unwrap().output, b"2");
    assert_eq!(cluster.jobs().await.len(), 2);
}

#[tokio::test]
async fn what_a_program_says_by_its_exit_code_comes_through() {
    let cluster =
        Cluster::start(|_, input| Some((input["exit"].as_i64().unwrap().try_into().unwrap(), "{}".into())))
            .await;
    let runner = cluster.runner().await;
    for exit in [1, 75] {
        let mut look = request("7", None);
        look.input = json!({"exit": exit});
        assert_eq!(run(&cluster, &runner, &look, 50).await.unwrap().exit, exit);
    }
    let mut killed = request("7", None);
    killed.input = json!({"exit": 137});
    let fault = run(&cluster, &runner, &killed, 50).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::OperationFailed)
    );
}

#[tokio::test]
async fn a_program_without_an_end_is_ended_and_its_outcome_is_not_known() {
    let cluster = Cluster::start(|_, _| None).await;
    let runner = cluster.runner().await;
    let act = request("7", Some("key-1"));
    let fault = run(&cluster, &runner, &act, 3).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Timeout)
    );
    // The Job ends by itself, with its pod.
    let reason = cluster
        .until(async || {
            let job = cluster.jobs().await.into_iter().next()?;
            let conditions = job.status?.conditions?;
            conditions.into_iter().find(|c| c.type_ == "Failed")?.reason
        })
        .await;
    assert_eq!(reason, "DeadlineExceeded");
    let fault = run(&cluster, &runner, &act, 50).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Timeout),
        "looked at, not run again"
    );
    assert_eq!(cluster.jobs().await.len(), 1);
}

#[tokio::test]
async fn a_pod_that_is_lost_leaves_the_outcome_unknown() {
    let cluster = Cluster::start(|_, _| None).await;
    let runner = cluster.runner().await;
    let act = request("7", Some("key-1"));
    let lost = async {
        let pods = Api::<Pod>::namespaced(cluster.admin.clone(), &cluster.site.namespace);
        let pod = cluster
            .until(async || {
                pods.list(&ListParams::default())
                    .await
                    .unwrap()
                    .items
                    .into_iter()
                    .next()
            })
            .await;
        pods.delete(&pod.name_any(), &DeleteParams::default())
            .await
            .unwrap();
    };
    let (ran, ()) = tokio::join!(run(&cluster, &runner, &act, 50), lost);
    let fault = ran.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::OperationFailed)
    );
}

#[tokio::test]
async fn an_answer_that_the_kubelet_would_cut_is_none() {
    let cluster = Cluster::start(|_, _| Some((0, format!("\"{}", "x".repeat(4095))))).await;
    let runner = cluster.runner().await;
    let fault = run(&cluster, &runner, &request("7", None), 50).await.unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Incomplete)
    );
}

#[tokio::test]
async fn without_the_charts_leave_no_job_is_made() {
    let cluster = Cluster::with(&[], |_, _| None).await;
    let runner = cluster.runner().await;
    let fault = run(&cluster, &runner, &request("7", Some("key-1")), 50)
        .await
        .unwrap_err();
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::NeedsDecision, Reason::PermissionDenied)
    );
    assert!(cluster.jobs().await.is_empty());
}
