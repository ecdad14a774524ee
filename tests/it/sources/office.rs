//! A company whose HR system is read over HTTP by the real operator, on an API server that has the policy of Approvals.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    operator::site::{Operator, PATIENCE, Site},
    support::{ControlPlane, control_plane_with_admission, poll},
};

/// How the HR system reads, as data.
pub const DEFINITION: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: NAME }
spec:
  title: HR of a test
  inputs: { url: {} }
  secret: { token: { description: a token } }
  http: { base: '${inputs.url}', auth: { bearer: {} } }
  people:
    everyone: [{ get: /people, items: response.body.people }]
    worker:
      person: item.person
      record: item.id
      employeeID: item.?number.orValue(null)
      email: item.?mail.orValue(null)
      displayName: item.?name.orValue(null)
      kind: item.?kind.orValue('Employee')
      status: item.?status.orValue('Active')
      reason: item.?reason.orValue(null)
      starts: item.?starts.orValue('2015-01-01')
      lastDay: item.?ends.orValue(null)
      immediate: item.?now.orValue(false)
      department: item.?department.orValue(null)
      employmentEnds: item.?contract.orValue(null)
      manager: item.?boss.orValue(null)
      timeZone: item.?zone.orValue('Europe/Berlin')
    asOf: response.body.?asOf.orValue(null)
"#;

/// What the HR system does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Works,
    Broken,
    Refuses,
    Silent,
}

struct Files {
    people: Mutex<Vec<Value>>,
    as_of: Mutex<Option<String>>,
    mode: Mutex<Mode>,
    asked: AtomicUsize,
}

/// The HR system.
pub struct Hr {
    files: Arc<Files>,
    pub url: String,
    serving: JoinHandle<()>,
}

impl Drop for Hr {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hr {
    pub async fn start() -> Self {
        let files = Arc::new(Files {
            people: Mutex::default(),
            as_of: Mutex::default(),
            mode: Mutex::new(Mode::Works),
            asked: AtomicUsize::new(0),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/people", get(people))
            .with_state(files.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { files, url, serving }
    }

    /// From now on these are all the people there are.
    pub fn has(&self, people: &[Value]) {
        *self.files.people.lock().unwrap() = people.to_vec();
    }

    /// The file says that it is of this instant.
    pub fn is_of(&self, at: jiff::Timestamp) {
        *self.files.as_of.lock().unwrap() = Some(at.to_string());
    }

    pub fn is(&self, mode: Mode) {
        *self.files.mode.lock().unwrap() = mode;
    }

    /// How often everybody was asked for.
    pub fn asked(&self) -> usize {
        self.files.asked.load(Ordering::SeqCst)
    }
}

async fn people(State(files): State<Arc<Files>>, headers: HeaderMap) -> Response {
    let mode = *files.mode.lock().unwrap();
    let known = headers
        .get("authorization")
        .is_some_and(|value| value == "Bearer hr-token");
    let answer = match mode {
        Mode::Silent => {
            files.asked.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
        Mode::Broken => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(json!({"error": "jane@example.com"})),
        )
            .into_response(),
        Mode::Refuses => StatusCode::UNAUTHORIZED.into_response(),
        Mode::Works if !known => StatusCode::UNAUTHORIZED.into_response(),
        Mode::Works => {
            let people = files.people.lock().unwrap().clone();
            let as_of = files.as_of.lock().unwrap().clone();
            Json(json!({"people": people, "asOf": as_of})).into_response()
        }
    };
    files.asked.fetch_add(1, Ordering::SeqCst);
    answer
}

/// Somebody who works here.
pub fn person(number: u32) -> Value {
    json!({
        "id": format!("r{number}"), "person": format!("p{number}"), "number": format!("{number:04}"),
        "mail": format!("person{number}@example.com"), "name": format!("Person {number}"),
    })
}

/// The same with one field more.
pub fn with(mut person: Value, field: &str, value: impl Into<Value>) -> Value {
    person[field] = value.into();
    person
}

/// Somebody whose last day is this.
pub fn ending(number: u32, day: &str) -> Value {
    with(person(number), "ends", day)
}

/// The day so many days from now.
pub fn in_days(days: i64) -> String {
    let hours = jiff::SignedDuration::from_hours(24 * days);
    let day = jiff::Timestamp::now() + hours;
    day.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// `count` people without an end, from number 1000 on.
pub fn staff(count: u32) -> Vec<Value> {
    (1000..1000 + count).map(person).collect()
}

/// The group `guards` may let held sets through.
const RIGHTS: &str = r#"
{apiVersion: v1, kind: List, items: [
  {apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: guards}, rules: [
    {apiGroups: [offboard.dev], resources: [approvals], verbs: [create, get]},
    {apiGroups: [offboard.dev], resources: [leaversources], verbs: [approve]}]},
  {apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: guards},
    roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: guards},
    subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: guards}]}]}
"#;

/// The company.
pub struct Office {
    pub site: Site,
    pub hr: Hr,
}

pub const SOURCE: &str = "leaversource/hr";

impl Office {
    pub async fn new(stem: &str) -> Self {
        Self::on(control_plane_with_admission(), stem).await
    }

    pub async fn on(plane: &'static ControlPlane, stem: &str) -> Self {
        let site = Site::on(plane, stem);
        let hr = Hr::start().await;
        let definition = site.namespace.clone();
        plane
            .kubectl(&["apply", "-f", "-"], &DEFINITION.replace("NAME", &definition))
            .expect_ok();
        site.secret("hr", "token", "hr-token");
        site.connector("hr", &definition, &format!("{{url: '{}'}}", hr.url));
        Self { site, hr }
    }

    /// The source `hr` with more in its spec.
    #[track_caller]
    pub fn source(&self, more: &str) {
        self.site.apply(&format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: LeaverSource, metadata: {{name: hr}}, \
             spec: {{connectorRef: {{name: hr}}, every: 10s{more}}}}}"
        ));
    }

    /// Waits until the source is `expected`, such as `True/Synced`; returns its message.
    #[track_caller]
    pub fn until(&self, expected: &str) -> String {
        self.site.until(SOURCE, "Ready", expected)
    }

    /// Waits until everybody was asked for again, and what followed from that is written.
    #[track_caller]
    pub fn another_look(&self, operator: &Operator) {
        let before = self.hr.asked();
        // The look that is going on may have read before.
        let again = || self.hr.asked() >= before + 2;
        assert!(poll(PATIENCE, again), "nobody asks: {}", operator.log());
    }

    /// A field of an Offboarding's spec; null when there is none.
    pub fn leaver(&self, name: &str, field: &str) -> Value {
        let ran = self.site.kubectl(&["get", "offboarding", name, "-o", "json"], "");
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or_default()["spec"][field].clone()
    }

    #[track_caller]
    pub fn until_leaver(&self, name: &str, field: &str, value: impl Into<Value>) {
        let value = value.into();
        let reached = poll(PATIENCE, || self.leaver(name, field) == value);
        assert!(
            reached,
            "{name} {field} is {}, not {value}; {}",
            self.leaver(name, field),
            self.status()
        );
    }

    /// The names of all Offboardings.
    pub fn leavers(&self) -> Vec<String> {
        let items = self.site.get("offboardings")["items"].clone();
        let names = items
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect()
    }

    pub fn status(&self) -> Value {
        self.site.get(SOURCE)["status"].clone()
    }

    /// Approves the set of this digest for the source of this uid, as the administrator who runs the test.
    #[track_caller]
    pub fn approve(&self, digest: &str, uid: &str) {
        let approval = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "guard-"},
            "spec": {"sourceRef": {"name": "hr", "uid": uid}, "gate": "Guard", "decision": "Approved", "plan": digest,
                "approver": "admin"},
        });
        self.site
            .kubectl(&["create", "-f", "-"], &approval.to_string())
            .expect_ok();
    }

    /// The same as `user`, who has the right to, in the name of somebody else if one is named; returns the Approval.
    #[track_caller]
    pub fn approve_as(
        &self,
        user: &str,
        principal: Option<&str>,
        (digest, uid): &(String, String),
    ) -> String {
        self.site.apply(RIGHTS);
        let mut approval = json!({
            "apiVersion": "offboard.dev/v1alpha1", "kind": "Approval", "metadata": {"generateName": "guard-"},
            "spec": {"sourceRef": {"name": "hr", "uid": uid}, "gate": "Guard", "decision": "Approved", "plan": digest,
                "approver": user},
        });
        if let Some(principal) = principal {
            approval["spec"]["onBehalfOf"] = principal.into();
        }
        let create = [
            "--as",
            user,
            "--as-group",
            "guards",
            "create",
            "-f",
            "-",
            "-o",
            "name",
        ];
        let made = self.site.kubectl(&create, &approval.to_string()).expect_ok();
        made.trim().to_owned()
    }

    /// How many writes of Offboardings and of this source's status the operator made.
    pub fn writes(&self) -> (usize, usize) {
        let writes = self.site.writes();
        let count = |what: &str| {
            writes
                .iter()
                .filter(|w| w.resource == what && w.status < 300)
                .count()
        };
        (count("offboardings"), count("leaversources/status"))
    }
}
