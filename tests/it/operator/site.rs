//! A namespace with the chart's rights in it, a SCIM application, and the real binary as the operator.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use offboard::connectors::declarative::builtin;
use offboard_simulators::{scim::Scim, server::Mishap};
use serde_json::Value;

use crate::support::{self, ControlPlane, Ran, Scratch, Write, control_plane, poll};

/// Nothing waits for people but what policies say, and user names are people's own: what most tests are not about.
const LENIENT: &[&str] = &[
    "--person=user",
    "--ungated=Account",
    "--ungated=Transfer",
    "--ungated=Reinstate",
    "--ungated=Loosen",
    "--ungated=Guard",
];

/// How the chart sets the allocator.
pub const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ALLOW_THP", "0"), ("MIMALLOC_PURGE_DELAY", "0")];

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A namespace of its own, and the operator's service account with the chart's rights.
pub struct Site {
    pub namespace: String,
    plane: &'static ControlPlane,
    kubeconfig: PathBuf,
    account: String,
}

impl Site {
    pub fn new(stem: &str) -> Self {
        Self::on(control_plane(), stem)
    }

    /// A site in another control plane than most.
    pub fn on(plane: &'static ControlPlane, stem: &str) -> Self {
        Self::with(plane, stem, &[])
    }

    /// A site whose chart is installed with more values.
    pub fn with(plane: &'static ControlPlane, stem: &str, values: &[&str]) -> Self {
        let namespace = plane.namespace(stem);
        let rights = rendered(&namespace, values, &["rbac", "serviceaccount"]);
        plane.kubectl(&["apply", "-f", "-"], &rights).expect_ok();
        let kubeconfig = plane.kubeconfig_of(&namespace, "offboard");
        Self {
            plane,
            account: format!("system:serviceaccount:{namespace}:offboard"),
            namespace,
            kubeconfig,
        }
    }

    /// The chart's roles for people.
    #[track_caller]
    pub fn user_roles(&self) {
        self.apply(&rendered(&self.namespace, &[], &["user-roles"]));
    }

    /// A service account with this Role, as a person has one; returns its kubeconfig.
    #[track_caller]
    pub fn person(&self, name: &str, role: &str) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", name], "").expect_ok();
        let subject = format!("--serviceaccount={}:{name}", self.namespace);
        let bind = ["create", "rolebinding", name, &format!("--role={role}"), &subject];
        self.kubectl(&bind, "").expect_ok();
        self.plane.kubeconfig_of(&self.namespace, name)
    }

    /// From now on operators reach the API server through this port of the loopback interface.
    pub fn reach_api_server_by(&self, port: u16) {
        let text = fs::read_to_string(&self.kubeconfig).unwrap();
        let through = text.replace(&self.plane.url, &format!("https://127.0.0.1:{port}"));
        assert_ne!(through, text);
        fs::write(&self.kubeconfig, through).unwrap();
    }

    /// Gives another site's operator the chart's rights here too.
    #[track_caller]
    pub fn lets_in(&self, other: &Self) {
        let binding = serde_json::json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "other-operator"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "offboard"},
            "subjects": [{"kind": "ServiceAccount", "name": "offboard", "namespace": other.namespace}],
        });
        self.apply(&binding.to_string());
    }

    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        self.plane
            .kubectl(&[&["-n", &self.namespace], arguments].concat(), input)
    }

    /// Runs a line of shell in `folder`, in which `kubectl` is an administrator's.
    pub fn shell(&self, line: &str, folder: &Path) -> Ran {
        self.plane.shell(line, folder)
    }

    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        self.kubectl(&["apply", "--validate=strict", "-f", "-"], yaml)
            .expect_ok();
    }

    #[track_caller]
    pub fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "-o", "json"], "").expect_ok()).unwrap()
    }

    /// A Secret with one key.
    #[track_caller]
    pub fn secret(&self, name: &str, key: &str, value: &str) {
        self.secrets(name, &[(key, value)]);
    }

    /// A Secret with these keys and no others.
    #[track_caller]
    pub fn secrets(&self, name: &str, keys: &[(&str, &str)]) {
        let data: serde_json::Map<_, _> = keys
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect();
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": data,
            "metadata": {"name": name, "annotations": support::scope(&format!("{} legacy", self.namespace))},
        });
        self.apply(&secret.to_string());
    }

    /// A Connector of the `scim` definition with its Secret.
    #[track_caller]
    pub fn connect(&self, name: &str, scim: &Scim) {
        self.secret(name, "token", scim.token());
        self.connector(name, "scim", &format!("{{url: '{}'}}", scim.base()));
    }

    /// A Connector whose Secret has its name.
    #[track_caller]
    pub fn connector(&self, name: &str, definition: &str, inputs: &str) {
        self.connector_with(name, definition, inputs, "");
    }

    /// The same with `more` in its spec, such as `, protected: [root]`.
    #[track_caller]
    pub fn connector_with(&self, name: &str, definition: &str, inputs: &str, more: &str) {
        if builtin(definition).is_none() {
            let named = format!("offboard.dev/definitions={definition}");
            // A Secret that is missing on purpose stays so.
            self.kubectl(&["annotate", "--overwrite", "secret", name, &named], "");
        }
        self.apply(&format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {{name: {name}}}, \
             spec: {{definition: {definition}, inputs: {inputs}, secretRef: {{name: {name}}}{more}}}}}"
        ));
    }

    #[track_caller]
    pub fn policy(&self, spec: &str) {
        self.apply(&format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {{name: default}}, spec: {spec}}}"
        ));
    }

    /// Somebody who leaves now.
    #[track_caller]
    pub fn leaver(&self, name: &str, email: &str) {
        self.offboarding(
            name,
            &format!("{{employee: {{email: '{email}'}}, urgency: Immediate}}"),
        );
    }

    /// Somebody whose last day is long over.
    #[track_caller]
    pub fn gone(&self, name: &str, email: &str) {
        let spec =
            format!("{{employee: {{email: '{email}'}}, lastDay: '2026-01-31', cutoff: {{timeZone: UTC}}}}");
        self.offboarding(name, &spec);
    }

    #[track_caller]
    pub fn offboarding(&self, name: &str, spec: &str) {
        self.apply(&format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {{name: {name}}}, spec: {spec}}}"
        ));
    }

    /// Status and reason of a condition, such as `True/Offboarded`; and its message.
    pub fn condition(&self, what: &str, type_: &str) -> (String, String) {
        let ran = self.kubectl(&["get", what, "-o", "json"], "");
        let object: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let none = vec![];
        let conditions = object["status"]["conditions"].as_array().unwrap_or(&none);
        let found = conditions.iter().find(|c| c["type"] == type_);
        found.map_or_else(Default::default, |c| {
            let text = |field: &str| c[field].as_str().unwrap_or_default().to_owned();
            (format!("{}/{}", text("status"), text("reason")), text("message"))
        })
    }

    /// Waits until a condition of an object is `expected`, such as `True/Offboarded`; returns its message.
    #[track_caller]
    pub fn until(&self, what: &str, type_: &str, expected: &str) -> String {
        let reached = poll(PATIENCE, || self.condition(what, type_).0 == expected);
        let (now, message) = self.condition(what, type_);
        assert!(
            reached,
            "{what} {type_} is {now} ({message}), not {expected}\n{:#}",
            self.get(what)["status"]
        );
        message
    }

    /// From now on the API server takes this operation on this resource here only if `holds` (CEL over `object`). `probe` tries
    /// what it must not take, and changes nothing.
    #[track_caller]
    pub fn refuse<'s>(
        &'s self,
        resource: &str,
        operation: &str,
        holds: &str,
        probe: impl Fn(&Self) -> Ran + 's,
    ) -> Refusal<'s> {
        let name = support::unique(&self.namespace);
        let namespace = &self.namespace;
        let policy = serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{"apiGroups": ["offboard.dev"], "apiVersions": ["*"],
                    "operations": [operation], "resources": [resource]}]},
                "validations": [{"expression": holds, "message": "refused by a test"}],
            },
        });
        let binding = serde_json::json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector":
                {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}},
        });
        let objects = format!("{policy}\n---\n{binding}");
        self.kubectl(&["apply", "-f", "-"], &objects).expect_ok();
        let refusal = Refusal {
            site: self,
            objects,
            probe: Box::new(probe),
        };
        assert!(
            poll(PATIENCE, || refusal.in_force()),
            "{:?}",
            (refusal.probe)(self)
        );
        refusal
    }

    /// Whether a [`Refusal`] has kept the operator from writing this resource of the object `name`.
    pub fn refused(&self, resource: &str, name: &str) -> bool {
        let writes = self.writes();
        writes
            .iter()
            .any(|w| w.resource == resource && w.name == name && w.status == 422)
    }

    /// Everything that the operator wrote here so far.
    pub fn writes(&self) -> Vec<Write> {
        let mut writes = self.plane.writes(&self.namespace);
        writes.retain(|write| write.user == self.account);
        writes
    }

    /// Everything that the operator asked the API server for, reads too.
    pub fn requests(&self) -> Vec<Write> {
        self.plane.requests_of(&self.account)
    }

    /// The records of this namespace.
    pub fn records(&self) -> Vec<Value> {
        self.get("offboardingrecords")["items"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Starts the operator and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Operator {
        self.start_logging("info,offboard=debug")
    }

    /// As [`Site::start`], with what is logged.
    #[track_caller]
    pub fn start_logging(&self, log: &str) -> Operator {
        self.ready(self.spawn(&support::unique("offboard-"), LENIENT, log))
    }

    /// As [`Site::start`], with more arguments, and everything is logged.
    #[track_caller]
    pub fn start_tracing(&self, more: &[&str]) -> Operator {
        self.ready(self.spawn(&support::unique("offboard-"), &[LENIENT, more].concat(), "trace"))
    }

    /// As [`Site::start`], with nothing but what is in `arguments` beside what an operator needs.
    #[track_caller]
    pub fn start_strict(&self, arguments: &[&str]) -> Operator {
        let pod = support::unique("offboard-");
        self.ready(self.spawn(&pod, arguments, "info,offboard=debug"))
    }

    /// Installs the admission policies of this release alone; returns what an operator has to know of them.
    #[track_caller]
    pub fn release(&self) -> [String; 2] {
        let name = format!("{}-offboard", self.namespace);
        let policies = ["status", "sources"].map(|policy| format!("{name}-{policy}"));
        let policies = support::admission(&self.namespace, &policies.each_ref().map(String::as_str));
        self.kubectl(&["apply", "-f", "-"], &policies).expect_ok();
        self.release_flags()
    }

    /// What an operator has to know of the policies of its release.
    pub fn release_flags(&self) -> [String; 2] {
        [
            format!("--release={}-offboard", self.namespace),
            format!("--user={}", self.account),
        ]
    }

    #[track_caller]
    fn ready(&self, operator: Operator) -> Operator {
        assert!(
            poll(PATIENCE, || operator.http("/readyz").contains("200 OK")),
            "not ready: {}",
            operator.log()
        );
        operator
    }

    /// Starts the operator with more arguments, in a pod of its own, and waits for nothing.
    pub fn start_with(&self, more: &[&str]) -> Operator {
        self.start_in(&support::unique("offboard-"), more)
    }

    /// As [`Site::start_with`], in the pod of this name: again in the same one, as a container is restarted.
    pub fn start_in(&self, pod: &str, more: &[&str]) -> Operator {
        self.spawn(pod, &[LENIENT, more].concat(), "info,offboard=debug")
    }

    fn spawn(&self, pod: &str, more: &[&str], logged: &str) -> Operator {
        let folder = Scratch::new("operator");
        let address = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
        let (log, printed) = (folder.join("log"), folder.join("printed"));
        let child = Command::new(env!("CARGO_BIN_EXE_offboard"))
            .args([
                "operator",
                "--namespace",
                &self.namespace,
                "--listen",
                &address.to_string(),
                // Where the systems of a test are.
                "--allow-egress=127.0.0.0/8",
                "--allow-egress=::1/128",
                "--automation",
                support::ADMINISTRATOR,
            ])
            .args(more)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("POD_NAMESPACE", &self.namespace)
            .env("POD_NAME", pod)
            .env("RUST_LOG", logged)
            .envs(ALLOCATOR)
            .stdin(Stdio::null())
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Operator {
            child,
            address,
            log,
            printed,
            _folder: folder,
        }
    }
}

/// What the API server does not take; taken back when dropped.
pub struct Refusal<'s> {
    site: &'s Site,
    objects: String,
    probe: Box<dyn Fn(&Site) -> Ran + 's>,
}

impl Refusal<'_> {
    fn in_force(&self) -> bool {
        (self.probe)(self.site).stderr.contains("refused by a test")
    }

    /// Takes it back, and waits until that is so.
    #[track_caller]
    pub fn lift(self) {
        self.delete();
        assert!(poll(PATIENCE, || !self.in_force()));
    }

    fn delete(&self) {
        let delete = ["delete", "--ignore-not-found", "-f", "-"];
        self.site.kubectl(&delete, &self.objects);
    }
}

impl Drop for Refusal<'_> {
    fn drop(&mut self) {
        self.delete();
    }
}

/// A running operator; killed when dropped.
pub struct Operator {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    printed: PathBuf,
    _folder: Scratch,
}

impl Operator {
    /// The id of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves health and metrics.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What it wrote to its standard output.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap_or_default()
    }

    /// The answer to a GET, with its head; empty when nobody answers.
    pub fn http(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address());
        support::run(Command::new("curl").args(["-s", "-i", "-m", "5", &url]), "").stdout
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// How much of its memory are pages of the program and other files, in bytes.
    pub fn program_memory(&self) -> u64 {
        self.memory("RssFile:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kilobytes * 1024
    }

    /// How many passes ended like this.
    pub fn passes(&self, result: &str) -> u64 {
        let name = format!("offboarding_reconcile_seconds_count{{result=\"{result}\"}} ");
        let text = self.http("/metrics");
        let count = text.lines().find_map(|line| line.strip_prefix(&name));
        count.map_or(0, |count| count.parse().unwrap())
    }

    /// How many acts it announced in its audit stream; of one Offboarding, by uid.
    pub fn acts(&self, uid: &str) -> usize {
        let log = self.log();
        let acts = log
            .lines()
            .filter(|line| line.contains("\"target\":\"offboard::audit\""));
        acts.filter(|line| line.contains(uid)).count()
    }

    /// Ends it at once, without a chance to do anything.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub fn signal(&self, signal: &str) {
        let id = self.process().to_string();
        support::run(Command::new("kill").args([&format!("-{signal}"), &id]), "").expect_ok();
    }

    /// Waits for its end; returns the exit code and how long that took.
    #[track_caller]
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), began.elapsed());
            }
            assert!(began.elapsed() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

/// Whether a person gets into the application with their password.
pub fn logs_in(scim: &Scim, name: &str) -> bool {
    let body = format!("{{\"userName\": \"{name}\", \"password\": \"{PASSWORD}\"}}");
    let url = format!("{}/app/login", scim.url());
    support::run(
        Command::new("curl").args(["-sf", "-m", "5", "-d", &body, &url]),
        "",
    )
    .ok()
}

/// These templates of the chart, installed in `namespace`.
fn rendered(namespace: &str, values: &[&str], parts: &[&str]) -> String {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/offboard");
    let mut helm = Command::new(support::helm());
    helm.env("KUBECONFIG", "/dev/null")
        .arg("template")
        .arg("offboard")
        .arg(chart);
    helm.args([
        "-n",
        namespace,
        "--kube-version=1.33.0",
        "--set",
        "crds.enabled=false",
    ]);
    for value in values {
        helm.args(["--set", value]);
    }
    for part in parts {
        helm.args(["-s", &format!("templates/{part}.yaml")]);
    }
    support::run(&mut helm, "").expect_ok()
}

/// Everybody's password.
pub const PASSWORD: &str = "Passw0rd";

/// A SCIM application in which `name` has an account and is in two groups; and the account's id.
pub async fn application(name: &str) -> (Scim, String) {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user(name, None, PASSWORD);
    for group in ["engineering", "everybody"] {
        scim.add_group(group, &[&id]);
    }
    (scim, id)
}

/// An application that takes seconds to disable somebody; and what waits until it has begun to.
pub async fn slow() -> (Scim, String) {
    let (crm, id) = application("jane@example.com").await;
    crm.control()
        .arrange("PATCH", "/Users/", 1, Mishap::Late(Duration::from_secs(3)));
    (crm, id)
}

/// How many changing requests went to a path with `path` in it.
pub fn asked(crm: &Scim, path: &str) -> usize {
    let journal = crm.control().journal();
    journal
        .iter()
        .filter(|e| e.changes() && e.path.contains(path))
        .count()
}

/// Waits until somebody's account is being changed.
#[track_caller]
pub fn begun(crm: &Scim, operator: &Operator) {
    assert!(
        poll(PATIENCE, || asked(crm, "/Users/") == 1),
        "{}",
        operator.log()
    );
}
