//! A pass that panics, over an API server that only takes what it is handed.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use axum::http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::{
    connectors::{Capabilities, Connector as Connected, Order, Readings, Subject},
    core::{
        fact::{Act, Class, FactSpec, Receipt, Sight, Truth},
        fault::Fault,
        identity::{Account, Person},
    },
    drive::Link,
};

/// Bugs of ours: one that a person's name brings to light, and one of the Connector itself.
struct Buggy {
    capabilities: Capabilities,
    /// Whose name.
    person: &'static str,
    /// The Connector itself is at fault by now.
    worse: Arc<AtomicBool>,
}

#[async_trait]
impl Connected for Buggy {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn knows_managers(&self) -> bool {
        assert!(!self.worse.load(Ordering::SeqCst), "another planted bug");
        false
    }
    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        assert_ne!(who.email.as_deref(), Some(self.person), "a planted bug");
        Ok(vec![])
    }
    async fn observe(&self, _: &Subject, _: &[&str]) -> Readings {
        Readings::new()
    }
    fn sight(&self, _: &Subject, _: &str, _: &Readings) -> Sight {
        Sight::of(Truth::NotRead)
    }
    async fn act(&self, _: &Subject, _: &Act, _: &Order<'_>) -> Result<Receipt, Fault> {
        panic!("nobody is found, so nothing is changed")
    }
}

fn facts() -> Vec<FactSpec> {
    vec![FactSpec::plain("AccountDisabled", Class::Access)]
}

/// What was patched, by name: the last status.
type Patched = Arc<Mutex<BTreeMap<String, Value>>>;

/// There is no record yet, and every patch is taken.
async fn api_server(request: Request<Body>, patched: Patched) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let answer = |code: StatusCode, body: Value| {
        let mut response = Response::new(Body::from(body.to_string().into_bytes()));
        *response.status_mut() = code;
        Ok(response)
    };
    let sent: Value = serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap_or_default();
    let name = parts
        .uri
        .path()
        .split('/')
        .nth_back(1)
        .unwrap_or_default()
        .to_owned();
    match parts.method {
        Method::PATCH => {
            let mut object = serde_json::to_value(leaver(&name, &format!("{name}@example.com"))).unwrap();
            object["metadata"]["resourceVersion"] = "2".into();
            object["status"] = sent["status"].clone();
            object["status"]["observedGeneration"] = 1.into();
            patched.lock().insert(name, object["status"].clone());
            answer(StatusCode::OK, object)
        }
        Method::GET => {
            let none = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
            answer(StatusCode::NOT_FOUND, none)
        }
        _ => answer(StatusCode::CREATED, sent),
    }
}

fn leaver(name: &str, email: &str) -> Offboarding {
    serde_json::from_value(json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding",
        "metadata": {"name": name, "namespace": "people", "uid": format!("uid-{name}"), "resourceVersion": "1", "generation": 1},
        "spec": {"employee": {"email": email}, "urgency": "Immediate"},
    }))
    .unwrap()
}

/// Fills a cache.
fn fill<K: Resource<DynamicType = ()> + Clone + 'static>(ends: &mut Ends<K>, objects: Vec<K>) {
    ends.writer.apply_watcher_event(&watcher::Event::Init);
    for object in objects {
        ends.writer
            .apply_watcher_event(&watcher::Event::InitApply(object));
    }
    ends.writer.apply_watcher_event(&watcher::Event::InitDone);
    ends.listed.send_replace(true);
}

fn condition(status: &Value, type_: &str) -> (String, String) {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions
        .into_iter()
        .find(|c| c["type"] == type_)
        .unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (format!("{}/{}", text("status"), text("reason")), text("message"))
}

#[tokio::test]
async fn a_bug_is_shown_at_its_own_system_or_leaver_and_nobody_else_notices() {
    let patched = Patched::default();
    let service = {
        let patched = patched.clone();
        tower::service_fn(move |request| api_server(request, patched.clone()))
    };
    let client = Client::new(service, "people");
    let mut operator = Operator::new(
        client,
        &["people".to_owned()],
        crate::notify::Outbox::default(),
        Perimeter {
            egress: crate::transport::egress::Egress::new(vec![]),
            jobs: crate::controller::runtime::perimeter::JobRules::default(),
            safeguards: crate::controller::safeguards::ReleaseSafeguards::default(),
            policies: crate::controller::approval::trust::Policies::default(),
        },
    );
    let connectors = ["crm", "erp"].map(|name| -> Connector {
        let connector = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Connector",
            "metadata": {"name": name, "namespace": "people", "uid": format!("uid-{name}"), "generation": 1},
            "spec": {"definition": "scim"},
        });
        serde_json::from_value(connector).unwrap()
    });
    let [null, jane, mona] =
        ["null", "jane", "mona"].map(|name| leaver(name, &format!("{name}@example.com")));
    fill(&mut operator.definitions, vec![]);
    let (_, ends) = &mut operator.namespaces[0];
    fill(&mut ends.urgent, vec![null.clone(), jane.clone(), mona.clone()]);
    fill(&mut ends.others, vec![]);
    fill(&mut ends.connectors, connectors.to_vec());
    fill(&mut ends.policies, vec![]);
    let context = operator.context();
    let worse = Arc::new(AtomicBool::new(false));
    for (connector, person) in connectors.iter().zip(["null@example.com", "nobody@example.com"]) {
        let capabilities = Capabilities {
            definition: "scim".into(),
            facts: facts(),
            not_covered: vec![],
            fingerprint: "scim".into(),
        };
        let link = Link::Ready(Arc::new(Buggy {
            capabilities,
            person,
            worse: worse.clone(),
        }));
        context.connectors.hand_in(connector, link).await;
    }

    let pause = |leaver: Offboarding| {
        let passed = offboarding::worker::reconcile(Arc::new(leaver), context.clone());
        async move { format!("{:?}", passed.await.unwrap()) }
    };
    pause(null).await;
    pause(jane).await;
    let seen = patched.lock().clone();
    // A bug that is met in one system is that system's.
    let (_, message) = condition(&seen["null"], "Ready");
    assert!(message.contains("internal error while handling"), "{message}");
    let rows = seen["null"]["systems"].as_array().unwrap();
    let reasons: Vec<_> = rows.iter().map(|row| &row["conditions"][0]["reason"]).collect();
    assert_eq!(reasons, ["Malformed", "NoAccount"]);
    assert_eq!(condition(&seen["jane"], "Ready").0, "False/EmployeeNotFound");
    worse.store(true, Ordering::SeqCst);
    let first = pause(mona.clone()).await;
    let seen = patched.lock().clone();
    let (stalled, message) = condition(&seen["mona"], "Stalled");
    assert_eq!(stalled, "True/InternalError");
    assert!(
        message.starts_with("internal error while working on this leaver"),
        "{message}"
    );
    assert_eq!(condition(&seen["mona"], "Ready").0, "False/InternalError");
    assert!(
        context.metrics().contains("result=\"panicked\""),
        "{}",
        context.metrics()
    );
    // It is tried again, later each time.
    let second = pause(mona).await;
    assert_ne!(first, second);
    assert!(second.contains("requeue_after: Some("), "{second}");
}
