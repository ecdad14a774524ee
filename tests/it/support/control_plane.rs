//! A Kubernetes control plane: etcd and kube-apiserver, no nodes. With the CRDs of this project.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{
    certificate::Certificate,
    peer::{Peer, Ran, folder, free_port, run, unique},
};

/// A running control plane with RBAC. Isolation between tests: a namespace each.
#[derive(Debug)]
pub struct ControlPlane {
    /// `https://127.0.0.1:PORT`.
    pub url: String,
    /// Authority and server certificate.
    pub tls: Certificate,
    /// The kubeconfig of an administrator (`system:masters`).
    pub kubeconfig: PathBuf,
    home: PathBuf,
    controllers: OnceLock<Peer>,
    apiserver: Peer,
    etcd: Peer,
}

/// One request, a write in most cases, that the API server answered, from its audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Who asked: a user or `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// `offboardings`, or `offboardings/status`.
    pub resource: String,
    /// The object's name; empty for a create with a generated name.
    pub name: String,
    /// The HTTP status of the answer.
    pub status: u64,
}

const ADMIN_TOKEN: &str = "admin-token";

impl ControlPlane {
    /// Starts one of its own for the caller; most tests share [`super::control_plane`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more options of the API server.
    pub fn start_with(options: &[&str]) -> Self {
        let plane = Self::bare(options);
        plane.install_crds();
        plane
    }

    /// One without the CRDs of this project.
    pub fn bare(options: &[&str]) -> Self {
        let (etcd_url, etcd) = start_etcd();
        let home = folder("apiserver");
        let tls = Certificate::issue(&home, "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1");
        let write = |name: &str, text: &str| fs::write(home.join(name), text).expect("the folder is ours");
        write(
            "tokens.csv",
            &format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n"),
        );
        write("audit.yaml", AUDIT);
        let mut key = Command::new("openssl");
        key.args(["genrsa", "-out", "service-account.key", "2048"])
            .current_dir(&home);
        run(&mut key, "").expect_ok();
        let port = free_port();
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig = home.join("kubeconfig");
        fs::write(&kubeconfig, config_text(&url, &tls, ADMIN_TOKEN)).expect("the folder is ours");
        let kubectl = kubectl_program();
        let apiserver = Peer::start(
            &home,
            "KILL",
            apiserver(&home, &tls, port, &etcd_url).args(options),
            Duration::from_mins(2),
            || {
                run(
                    &mut kubectl_command(&kubectl, &kubeconfig, &["get", "--raw", "/readyz"]),
                    "",
                )
                .ok()
            },
        );
        Self {
            url,
            tls,
            kubeconfig,
            home,
            controllers: OnceLock::new(),
            apiserver,
            etcd,
        }
    }

    fn install_crds(&self) {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("crds")
            .display()
            .to_string();
        self.kubectl(&["apply", "--server-side", "-f", &crds], "")
            .expect_ok();
        self.kubectl(
            &[
                "wait",
                "--for=condition=Established",
                "--timeout=60s",
                "-f",
                &crds,
            ],
            "",
        )
        .expect_ok();
    }

    /// The ids of the processes of kube-apiserver and etcd.
    pub fn processes(&self) -> (u32, u32) {
        (self.apiserver.process(), self.etcd.process())
    }

    /// A client with an administrator's rights. Belongs to the calling test's runtime, so it is not shared.
    pub async fn client(&self) -> Client {
        self.client_as(ADMIN_TOKEN).await
    }

    /// A client with the rights of a service account that exists.
    pub async fn client_of(&self, namespace: &str, service_account: &str) -> Client {
        self.client_as(&self.token(namespace, service_account)).await
    }

    async fn client_as(&self, token: &str) -> Client {
        let file =
            Kubeconfig::from_yaml(&config_text(&self.url, &self.tls, token)).expect("our own kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .expect("our own kubeconfig");
        Client::try_from(config).expect("a client for our own server")
    }

    /// A kubeconfig file with the rights of a service account that exists, for a program under test.
    pub fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> PathBuf {
        let path = self.home.join(unique("kubeconfig"));
        let text = config_text(&self.url, &self.tls, &self.token(namespace, service_account));
        fs::write(&path, text).expect("the folder is ours");
        path
    }

    /// A token of a service account, valid for an hour.
    pub fn token(&self, namespace: &str, service_account: &str) -> String {
        let ran = self.kubectl(&["create", "token", "-n", namespace, service_account], "");
        ran.expect_ok().trim().to_owned()
    }

    /// Runs kubectl as administrator, with `input` for `-f -`.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        run(
            &mut kubectl_command(&kubectl_program(), &self.kubeconfig, arguments),
            input,
        )
    }

    /// Runs a line of shell in `folder`, in which `kubectl` is an administrator's.
    pub fn shell(&self, line: &str, folder: &Path) -> Ran {
        let programs = kubectl_program();
        let programs = programs.parent().expect("it is in a folder");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .env("KUBECONFIG", &self.kubeconfig)
            .env("PATH", format!("{}:{path}", programs.display()))
            .current_dir(folder);
        run(shell.args(["-c", line]), "")
    }

    /// Makes a namespace with a unique name.
    pub fn namespace(&self, stem: &str) -> String {
        let name = unique(stem);
        self.kubectl(&["create", "namespace", &name], "").expect_ok();
        name
    }

    /// Starts kube-controller-manager too: Jobs get pods, deleted owners take their dependents along, namespaces end.
    pub fn with_controllers(&self) -> &Self {
        self.controllers.get_or_init(|| {
            let home = folder("controller-manager");
            let mut command = Command::new(asset("kube-controller-manager"));
            command.arg(format!("--kubeconfig={}", self.kubeconfig.display()));
            let key = self.home.join("service-account.key");
            command.arg(format!("--service-account-private-key-file={}", key.display()));
            command.args([
                "--use-service-account-credentials=true",
                "--leader-elect=false",
                "--secure-port=0",
            ]);
            Peer::start(&home, "KILL", &command, Duration::from_mins(1), || {
                self.kubectl(&["get", "serviceaccount", "-n", "default", "default"], "")
                    .ok()
            })
        });
        self
    }

    /// Every answered write to this project's kinds, events and leases in a namespace so far, oldest first.
    pub fn writes(&self, namespace: &str) -> Vec<Write> {
        let mut writes = self.requests(|entry| entry["objectRef"]["namespace"] == namespace);
        writes.retain(|write| !matches!(write.verb.as_str(), "get" | "list" | "watch"));
        writes
    }

    /// Everything that a service account was answered so far, reads too, oldest first.
    pub fn requests_of(&self, user: &str) -> Vec<Write> {
        self.requests(|entry| entry["user"]["username"] == user && entry["objectRef"].is_object())
    }

    /// What the operators of all namespaces asked for.
    pub fn requests_of_operators(&self) -> Vec<Write> {
        self.requests(|entry| {
            let user = entry["user"]["username"].as_str().unwrap_or_default();
            user.ends_with(":offboard") && entry["objectRef"].is_object()
        })
    }

    fn requests(&self, which: impl Fn(&serde_json::Value) -> bool) -> Vec<Write> {
        let log = fs::read_to_string(self.home.join("audit.log")).expect("the API server keeps an audit log");
        // The last line may be half written.
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        entries
            .filter(which)
            .map(|entry| {
                let object = &entry["objectRef"];
                let (resource, part) = (text(&object["resource"]), text(&object["subresource"]));
                Write {
                    user: text(&entry["user"]["username"]),
                    verb: text(&entry["verb"]),
                    resource: if part.is_empty() {
                        resource
                    } else {
                        format!("{resource}/{part}")
                    },
                    name: text(&object["name"]),
                    status: entry["responseStatus"]["code"].as_u64().unwrap_or_default(),
                }
            })
            .collect()
    }
}

/// A program of the control plane, or `helm`: from `KUBEBUILDER_ASSETS` when it is there, else built once.
pub fn asset(program: &str) -> PathBuf {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(|folder| PathBuf::from(folder).join(program));
    if let Some(path) = given.filter(|path| path.exists()) {
        return path;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("target/assets");
    run(
        Command::new(root.join("tests/controlplane/build.sh"))
            .arg(&folder)
            .arg(program),
        "",
    )
    .expect_ok();
    folder.join(program)
}

fn kubectl_program() -> PathBuf {
    static KUBECTL: OnceLock<PathBuf> = OnceLock::new();
    KUBECTL.get_or_init(|| asset("kubectl")).clone()
}

fn kubectl_command(program: &Path, kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.env("KUBECONFIG", kubeconfig).args(arguments);
    command
}

fn start_etcd() -> (String, Peer) {
    let home = folder("etcd");
    let (client, peer) = (
        format!("http://127.0.0.1:{}", free_port()),
        format!("http://127.0.0.1:{}", free_port()),
    );
    let mut command = Command::new(asset("etcd"));
    command
        .arg("--data-dir")
        .arg(home.join("data"))
        .args(["--unsafe-no-fsync", "--log-level=error"]);
    command.args([
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
    ]);
    command.args([
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
    ]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    let health = format!("{client}/health");
    let etcd = Peer::start(&home, "KILL", &command, Duration::from_mins(1), || {
        run(Command::new("curl").args(["-sf", &health]), "").ok()
    });
    (client, etcd)
}

fn apiserver(home: &Path, tls: &Certificate, port: u16, etcd: &str) -> Command {
    let mut command = Command::new(asset("kube-apiserver"));
    let at = |option: &str, path: &Path| format!("--{option}={}", path.display());
    let key = home.join("service-account.key");
    command.args([
        at("tls-cert-file", &tls.chain),
        at("tls-private-key-file", &tls.key),
        at("cert-dir", &home.join("certificates")),
        at("service-account-key-file", &key),
        at("service-account-signing-key-file", &key),
        at("token-auth-file", &home.join("tokens.csv")),
        at("audit-policy-file", &home.join("audit.yaml")),
        at("audit-log-path", &home.join("audit.log")),
        format!("--etcd-servers={etcd}"),
        format!("--secure-port={port}"),
    ]);
    command.args([
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--audit-log-mode=blocking",
        // Pods are never run, and the default service account that this plugin asks for has no controller here.
        "--disable-admission-plugins=ServiceAccount",
    ]);
    command
}

const AUDIT: &str = r#"apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  # Everything that an operator asks for, and is refused.
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: Metadata
    verbs: [create, update, patch, delete, deletecollection]
    resources:
      - group: offboard.dev
      - group: events.k8s.io
      - group: coordination.k8s.io
      - group: ""
        resources: [events, secrets, configmaps]
  - level: None
"#;

fn config_text(url: &str, tls: &Certificate, token: &str) -> String {
    format!(
        r"apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: '{url}', certificate-authority: '{}'}}}}]
users: [{{name: test, user: {{token: '{token}'}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
",
        tls.ca.display()
    )
}
