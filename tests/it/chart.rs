//! The chart with the real helm, on a real API server. There is no kubelet, so no pod ever runs.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use offboard::transport::egress::CLOSED;
use serde_json::{Value, json};

use crate::{
    operator::site::ALLOCATOR,
    support::{self, ControlPlane, Ran, Scratch},
};

const RELEASE: &str = "offboard";
const SYSTEM: &str = "offboard-system";

fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/offboard")
}

/// A control plane of its own, because the CRDs of the shared one do not belong to a release. The release `offboard` is
/// installed with its CRDs, and with Secrets named.
fn plane() -> &'static ControlPlane {
    static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
        let plane = ControlPlane::bare(&[]);
        install(
            &plane,
            RELEASE,
            SYSTEM,
            &["--set", "connectorSecrets={crm-token}"],
        )
        .expect_ok();
        let established = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ];
        plane.kubectl(&established, "").expect_ok();
        plane
    });
    &PLANE
}

fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> Ran {
    let mut command = Command::new(support::helm());
    // Without a kubeconfig it must not find somebody's own.
    command.env("KUBECONFIG", kubeconfig.unwrap_or(Path::new("/dev/null")));
    support::run(command.args(arguments), "")
}

fn install(plane: &ControlPlane, release: &str, namespace: &str, more: &[&str]) -> Ran {
    let chart = chart().display().to_string();
    let fixed = [
        "install",
        release,
        &chart,
        "-n",
        namespace,
        "--create-namespace",
        "--wait=false",
    ];
    helm(Some(&plane.kubeconfig), &[&fixed, more].concat())
}

/// The objects that the chart renders with these values.
fn rendered(more: &[&str]) -> Vec<Value> {
    let chart = chart().display().to_string();
    let fixed = ["template", "x", &chart, "-n", "people", "--kube-version=1.33.0"];
    let text = helm(None, &[&fixed, more].concat()).expect_ok();
    serde_saphyr::from_multiple::<Value>(&text)
        .unwrap()
        .into_iter()
        .filter(|object| !object.is_null())
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Sets of values that an installation could have; each must render and be accepted by the API server.
const VALUES: [&[&str]; 6] = [
    &[],
    &[
        "--set-json",
        r#"notifications={"secrets":["it-ops"],"channels":{"it-ops":{"slack":{"urlFile":"/etc/offboard/secrets/it-ops/url"}}}}"#,
    ],
    &[
        "--set",
        "replicas=2,podDisruptionBudget.enabled=true,networkPolicy.enabled=true,wake.enabled=true",
    ],
    &[
        "--set",
        "watchNamespaces={people,subsidiary},connectorSecrets={a,b},crds.keep=false",
    ],
    &[
        "--set",
        "crds.enabled=false,approvals.admissionPolicy=false,serviceAccount.create=false,serviceAccount.name=own,rbac.create=false",
    ],
    &[
        "--set",
        "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "--set-json",
        r#"extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy:3128"}]"#,
        "--set-json",
        r#"extraVolumes=[{"name":"ca","configMap":{"name":"ca"}}]"#,
        "--set-json",
        r#"extraVolumeMounts=[{"name":"ca","mountPath":"/etc/ssl/certs","readOnly":true}]"#,
        "--set-json",
        r#"extraObjects=[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-extra"}}]"#,
        "--set",
        "commonLabels.team=people,podAnnotations.a=b,podLabels.c=d,nodeSelector.e=f,priorityClassName=high",
    ],
];

#[test]
fn helm_finds_nothing_to_complain_about() {
    for values in VALUES {
        let chart = chart().display().to_string();
        let ran = helm(None, &[&["lint", "--strict", &chart], values].concat());
        assert!(
            ran.ok() && !ran.stdout.contains("[WARNING]"),
            "{values:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn the_network_closes_what_the_program_closes() {
    let values = [
        "--set",
        "networkPolicy.enabled=true,egress.deny={203.0.113.0/24,2001:db8::/32},egress.allow={10.96.14.7,fd00::5}",
    ];
    let objects = rendered(&values);
    let policy = of_kind(&objects, "NetworkPolicy")[0];
    let to = &policy["spec"]["egress"][1]["to"];
    let open = |n: usize| to[n]["ipBlock"]["cidr"].as_str().unwrap();
    assert_eq!([open(0), open(1)], ["0.0.0.0/0", "::/0"]);
    assert_eq!([open(2), open(3)], ["10.96.14.7/32", "fd00::5/128"]);
    for (n, six, denied) in [(0, false, "203.0.113.0/24"), (1, true, "2001:db8::/32")] {
        let except = to[n]["ipBlock"]["except"].as_array().unwrap();
        let except: BTreeSet<&str> = except.iter().map(|cidr| cidr.as_str().unwrap()).collect();
        let closed = CLOSED.iter().map(|(cidr, _)| *cidr);
        let closed: BTreeSet<&str> = closed
            .filter(|cidr| cidr.contains(':') == six)
            .chain([denied])
            .collect();
        assert_eq!(except, closed);
    }
}

#[test]
fn a_value_that_nobody_reads_is_an_error() {
    let chart = chart().display().to_string();
    for wrong in [
        "replica=2",
        "crds.install=true",
        "metrics.enabled=true",
        "replicas=two",
        "replicas=11",
        "notifications.channels.hr.slack.url=https://secret",
        "notifications.channels.hr.mail.password=x",
        "watchNamespaces={Not A Name}",
    ] {
        let ran = helm(None, &["template", "x", &chart, "--set", wrong]);
        assert!(!ran.ok(), "{wrong} was accepted");
        assert!(
            ran.stderr.contains("values don't meet the specifications"),
            "{wrong}: {}",
            ran.stderr
        );
    }
}

#[test]
fn every_value_of_the_file_is_in_the_schema() {
    let read = |file: &str| fs::read_to_string(chart().join(file)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let in_schema: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    for key in values.as_object().unwrap().keys() {
        assert!(in_schema.contains(&key), "{key}");
    }
    // `global` is Helm's own.
    assert_eq!(in_schema.len(), values.as_object().unwrap().len() + 1);
}

#[test]
fn the_api_server_accepts_what_every_set_of_values_renders() {
    for (n, values) in VALUES.iter().enumerate() {
        let namespace = plane().namespace("rendered");
        // The CRDs belong to the release that is installed; watched namespaces must be there.
        for name in ["people", "subsidiary"] {
            plane().kubectl(&["create", "namespace", name], "");
        }
        let release = format!("values-{n}");
        let ran = install(
            plane(),
            &release,
            &namespace,
            &[
                *values,
                &["--set", "crds.enabled=false,approvals.admissionPolicy=false"],
            ]
            .concat(),
        );
        assert!(ran.ok(), "{values:?}: {}", ran.stderr);
        helm(
            Some(&plane().kubeconfig),
            &["uninstall", &release, "-n", &namespace],
        )
        .expect_ok();
    }
}

#[test]
fn the_pod_passes_the_restricted_pod_security_standard_and_more() {
    for values in VALUES {
        let objects = rendered(values);
        let deployments = of_kind(&objects, "Deployment");
        assert_eq!(deployments.len(), 1);
        let pod = &deployments[0]["spec"]["template"]["spec"];
        let env = pod["containers"][0]["env"].as_array().unwrap();
        for (name, value) in ALLOCATOR {
            assert!(env.contains(&json!({"name": name, "value": value})), "{name}");
        }
        let container = &pod["containers"][0];
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["runAsUser"], 65532);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"], serde_json::json!({"drop": ["ALL"]}));
        for field in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert!(pod[field].is_null(), "{field}");
        }
        assert_eq!(container["args"][0], "operator");
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        assert_eq!(container["ports"][0]["containerPort"], 8080);
        assert!(container["resources"]["limits"]["memory"].is_string());
    }
}

#[test]
fn the_program_understands_the_arguments_that_the_pod_gives_it() {
    for values in VALUES {
        let objects = rendered(values);
        let container = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0];
        let given = container["args"].as_array().unwrap();
        let given = given.iter().map(|argument| argument.as_str().unwrap());
        // An unknown argument is refused before help is given.
        let mut program = Command::new(env!("CARGO_BIN_EXE_offboard"));
        let ran = support::run(program.args(given).arg("--help"), "");
        assert!(ran.ok(), "{values:?}: {}", ran.stderr);

        let ran = support::run(
            Command::new(env!("CARGO_BIN_EXE_offboard")).args(["operator", "--unknown", "--help"]),
            "",
        );
        assert!(!ran.ok(), "anything is understood");
    }
}

/// What the API server itself says of the rendered pod where the restricted standard is enforced.
#[test]
fn the_pod_is_admitted_where_restricted_is_enforced() {
    let namespace = plane().namespace("restricted");
    let label = "pod-security.kubernetes.io/enforce=restricted";
    plane()
        .kubectl(&["label", "namespace", &namespace, label], "")
        .expect_ok();
    let objects = rendered(&[]);
    let template = &of_kind(&objects, "Deployment")[0]["spec"]["template"];
    let mut pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}});
    pod["spec"] = template["spec"].clone();
    let create = ["create", "-n", &namespace, "--dry-run=server", "-f", "-"];
    plane().kubectl(&create, &pod.to_string()).expect_ok();

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let ran = plane().kubectl(&create, &pod.to_string());
    assert!(
        ran.stderr.contains("violates PodSecurity \"restricted"),
        "nothing is enforced: {}",
        ran.stderr
    );
}

#[test]
fn no_role_is_aggregated_and_none_has_a_wildcard_or_lists_secrets() {
    for values in VALUES {
        let objects = rendered(values);
        let roles = [of_kind(&objects, "Role"), of_kind(&objects, "ClusterRole")].concat();
        for role in roles {
            let text = role.to_string();
            assert!(
                !text.contains("aggregate-to") && !text.contains("\"*\""),
                "{text}"
            );
            for rule in role["rules"].as_array().unwrap() {
                if rule["resources"].to_string().contains("secrets") {
                    assert_eq!(rule["verbs"], serde_json::json!(["get"]), "{text}");
                }
            }
        }
        let cluster = of_kind(&objects, "ClusterRole");
        for rule in cluster.iter().flat_map(|role| role["rules"].as_array().unwrap()) {
            let resources = rule["resources"].to_string();
            let policy = resources
                == "[\"validatingadmissionpolicies\",\"validatingadmissionpolicybindings\"]"
                && rule["resourceNames"].is_array()
                && rule["verbs"] == serde_json::json!(["get"]);
            // Which networks Services have, to be closed to Connectors.
            let networks = resources == "[\"servicecidrs\"]" && rule["verbs"] == serde_json::json!(["list"]);
            assert!(
                policy || networks || resources.starts_with("[\"connectordefinitions"),
                "cluster-wide: {resources}"
            );
        }
    }
}

#[test]
fn upgrading_brings_new_fields_and_uninstalling_leaves_every_leaver_and_the_crds() {
    let plane = plane();
    let kubectl =
        |arguments: &[&str], input: &str| plane.kubectl(&[&["-n", SYSTEM], arguments].concat(), input);
    let crds = kubectl(&["get", "crd", "-o", "name"], "").expect_ok();
    assert_eq!(crds.lines().count(), offboard::api::crds::all().len());
    let jane =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal/offboarding.yaml"))
            .unwrap();
    // Whoever asks says who they are.
    let jane = jane.replacen("spec:\n", "spec:\n  requestedBy: admin\n", 1);
    kubectl(&["apply", "-f", "-"], &jane).expect_ok();
    let uid = || {
        kubectl(
            &["get", "leaver", "jane-doe", "-o", "jsonpath={.metadata.uid}"],
            "",
        )
        .expect_ok()
    };
    let before = uid();

    let next = next_version();
    let with_names = ["--set", "connectorSecrets={crm-token}", "--wait=false"];
    let next_text = next.display().to_string();
    let upgrade = [&["upgrade", RELEASE, &next_text, "-n", SYSTEM][..], &with_names].concat();
    helm(Some(&plane.kubeconfig), &upgrade).expect_ok();
    drop(next);
    let field = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.fieldOfTheNextVersion.type}";
    let new = kubectl(&["get", "crd", "offboardings.offboard.dev", "-o", field], "").expect_ok();
    assert_eq!(new, "string");
    assert_eq!(uid(), before, "the upgrade made the leaver anew");

    helm(Some(&plane.kubeconfig), &["uninstall", RELEASE, "-n", SYSTEM]).expect_ok();
    assert_eq!(kubectl(&["get", "crd", "-o", "name"], "").expect_ok(), crds);
    assert_eq!(uid(), before, "uninstalling took the leaver away");
    let left = kubectl(
        &[
            "get",
            "deployments,serviceaccounts,roles,rolebindings,services",
            "-o",
            "name",
        ],
        "",
    )
    .expect_ok();
    assert_eq!(left.trim(), "", "uninstalling left more than CRDs");

    install(plane, RELEASE, SYSTEM, &with_names[..2]).expect_ok();
    assert_eq!(uid(), before, "installing again made the leaver anew");
}

/// A copy of the chart whose Offboarding has one field more.
fn next_version() -> Scratch {
    let copy = Scratch::new("chart");
    let source = format!("{}/.", chart().display());
    support::run(Command::new("cp").args(["-R", &source]).arg(&*copy), "").expect_ok();
    let template = copy.join("templates/crd-offboardings.yaml");
    let text = fs::read_to_string(&template).unwrap();
    let at = "                employee:\n";
    assert_eq!(text.matches(at).count(), 1, "the template looks different now");
    let field = "                fieldOfTheNextVersion:\n                  type: \"string\"\n";
    fs::write(&template, text.replace(at, &format!("{field}{at}"))).unwrap();
    copy
}

/// Whether a service account may do something: `verb`, `resource[/subresource]`, name or empty, namespace.
fn may(kubeconfig: &Path, namespace: &str, verb: &str, resource: &str, name: &str) -> bool {
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let what = if name.is_empty() {
        resource.to_owned()
    } else {
        format!("{resource}/{name}")
    };
    let subresource = format!("--subresource={part}");
    let config = format!("--kubeconfig={}", kubeconfig.display());
    let ran = plane().kubectl(
        &[
            "auth",
            "can-i",
            verb,
            &what,
            &subresource,
            "-n",
            namespace,
            &config,
        ],
        "",
    );
    match ran.stdout.trim() {
        "yes" => true,
        "no" => false,
        other => panic!("{verb} {what}: {other} {}", ran.stderr),
    }
}

const OFFBOARDINGS: &str = "offboardings.offboard.dev";
const CONNECTORS: &str = "connectors.offboard.dev";
const POLICIES: &str = "offboardingpolicies.offboard.dev";
const LEASES: &str = "leases.coordination.k8s.io";
const RECORDS: &str = "offboardingrecords.offboard.dev";
const HELD: &str = "heldsets.offboard.dev";
const SOURCES: &str = "leaversources.offboard.dev";
const APPROVALS: &str = "approvals.offboard.dev";
const DEFINITIONS: &str = "connectordefinitions.offboard.dev";

#[test]
fn the_operators_token_may_do_what_it_needs_and_nothing_else() {
    let namespace = plane().namespace("rights");
    let values = [
        "--set",
        "crds.enabled=false,approvals.admissionPolicy=false,connectorSecrets={crm-token}",
    ];
    install(plane(), "rights", &namespace, &values).expect_ok();
    let token = plane().kubeconfig_of(&namespace, "rights-offboard");
    let allowed = |verb: &str, resource: &str, name: &str| may(&token, &namespace, verb, resource, name);

    for kind in [OFFBOARDINGS, CONNECTORS, POLICIES, DEFINITIONS, SOURCES] {
        for verb in ["list", "watch"] {
            assert!(allowed(verb, kind, ""), "{verb} {kind}");
        }
        // Only what may not be taken back is confirmed by a read past the cache.
        assert_eq!(allowed("get", kind, ""), kind == OFFBOARDINGS, "get {kind}");
        assert!(
            allowed("patch", &format!("{kind}/status"), "x"),
            "patch {kind}/status"
        );
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            // Sources make Offboardings. Every other spec is somebody else's.
            let made = kind == OFFBOARDINGS && matches!(verb, "create" | "patch");
            assert_eq!(allowed(verb, kind, ""), made, "{verb} {kind}");
        }
    }
    for verb in ["list", "watch", "get"] {
        assert!(allowed(verb, APPROVALS, ""), "{verb} {APPROVALS}");
    }
    for verb in ["create", "update", "patch", "delete"] {
        assert!(
            !allowed(verb, APPROVALS, ""),
            "{verb} {APPROVALS}: only people approve"
        );
    }
    for verb in ["get", "create", "update"] {
        assert!(allowed(verb, RECORDS, ""), "{verb} {RECORDS}");
    }
    for verb in ["list", "create", "delete"] {
        assert!(allowed(verb, HELD, ""), "{verb} {HELD}");
    }
    for (verb, name, expected) in [
        ("create", "", true),
        ("get", "rights-offboard", true),
        ("update", "rights-offboard", true),
        ("update", "another", false),
    ] {
        assert_eq!(allowed(verb, LEASES, name), expected, "{verb} {LEASES} {name}");
    }
    assert!(allowed("create", "events.events.k8s.io", ""));
    assert!(!allowed("delete", RECORDS, ""), "evidence is never deleted");

    assert!(allowed("get", "secrets", "crm-token"));
    assert!(!allowed("get", "secrets", "another"));
    for verb in ["list", "watch", "create", "update", "delete"] {
        assert!(!allowed(verb, "secrets", ""), "{verb} secrets");
    }
    for (verb, resource) in [
        ("create", "pods"),
        ("get", "configmaps"),
        ("impersonate", "users"),
        ("list", "namespaces"),
    ] {
        assert!(!allowed(verb, resource, ""), "{verb} {resource}");
    }
    for (verb, resource) in [
        ("get", "secrets"),
        ("list", OFFBOARDINGS),
        ("create", RECORDS),
        ("create", LEASES),
    ] {
        assert!(
            !may(&token, "default", verb, resource, ""),
            "{verb} {resource} elsewhere"
        );
    }
}

#[test]
fn without_named_secrets_the_operator_may_get_but_never_list_them() {
    let namespace = plane().namespace("secrets");
    install(
        plane(),
        "open",
        &namespace,
        &["--set", "crds.enabled=false,approvals.admissionPolicy=false"],
    )
    .expect_ok();
    let token = plane().kubeconfig_of(&namespace, "open-offboard");
    assert!(may(&token, &namespace, "get", "secrets", "any"));
    assert!(!may(&token, &namespace, "list", "secrets", ""));
    assert!(!may(&token, "default", "get", "secrets", "any"));
}

#[test]
fn the_operator_works_in_the_watched_namespaces_and_only_there() {
    let (home, watched) = (plane().namespace("home"), plane().namespace("watched"));
    let values = format!("crds.enabled=false,approvals.admissionPolicy=false,watchNamespaces={{{watched}}}");
    install(plane(), "apart", &home, &["--set", &values]).expect_ok();
    let token = plane().kubeconfig_of(&home, "apart-offboard");
    assert!(may(&token, &watched, "list", OFFBOARDINGS, ""));
    assert!(!may(&token, &home, "list", OFFBOARDINGS, ""));
    assert!(may(&token, &home, "update", LEASES, "apart-offboard"));
    assert!(!may(&token, &watched, "update", LEASES, "apart-offboard"));
}

#[test]
fn people_get_no_more_than_their_role_says() {
    let namespace = plane().namespace("people");
    install(
        plane(),
        "people",
        &namespace,
        &["--set", "crds.enabled=false,approvals.admissionPolicy=false"],
    )
    .expect_ok();
    let kubectl = |arguments: &[&str]| {
        plane()
            .kubectl(&[&["-n", &namespace], arguments].concat(), "")
            .expect_ok()
    };
    let of = |role: &str| {
        kubectl(&["create", "serviceaccount", role]);
        let subject = format!("--serviceaccount={namespace}:{role}");
        kubectl(&[
            "create",
            "rolebinding",
            role,
            &format!("--role=offboarding-{role}"),
            &subject,
        ]);
        plane().kubeconfig_of(&namespace, role)
    };
    let (viewer, auditor) = (of("viewer"), of("auditor"));
    let (requester, configurer, approver) = (of("requester"), of("configurer"), of("approver"));
    for (who, verb, resource, expected) in [
        (&viewer, "list", OFFBOARDINGS, true),
        (&viewer, "create", OFFBOARDINGS, false),
        (&viewer, "get", RECORDS, false),
        (&requester, "create", OFFBOARDINGS, true),
        (&requester, "patch", OFFBOARDINGS, true),
        (&requester, "patch", CONNECTORS, false),
        (&requester, "patch", POLICIES, false),
        (&requester, "create", APPROVALS, false),
        (&requester, "approve", OFFBOARDINGS, false),
        (&requester, "get", RECORDS, false),
        (&requester, "get", "secrets", false),
        (&configurer, "patch", CONNECTORS, true),
        (&configurer, "create", POLICIES, true),
        (&configurer, "create", OFFBOARDINGS, false),
        (&configurer, "create", APPROVALS, false),
        (&configurer, "approve", OFFBOARDINGS, false),
        (&configurer, "get", "secrets", false),
        (&approver, "create", APPROVALS, true),
        (&approver, "patch", POLICIES, false),
        (&approver, "create", OFFBOARDINGS, false),
        (&viewer, "list", HELD, false),
        (&requester, "list", HELD, false),
        (&configurer, "list", HELD, false),
        (&approver, "list", HELD, true),
        (&approver, "get", RECORDS, false),
        (&approver, "delete", HELD, false),
        (&auditor, "list", HELD, true),
        (&auditor, "get", RECORDS, true),
        (&auditor, "list", OFFBOARDINGS, true),
        (&auditor, "patch", OFFBOARDINGS, false),
        (&auditor, "delete", RECORDS, false),
    ] {
        assert_eq!(
            may(who, &namespace, verb, resource, ""),
            expected,
            "{} {verb} {resource}",
            who.display()
        );
    }
    let status = format!("{OFFBOARDINGS}/status");
    assert!(
        !may(&requester, &namespace, "patch", &status, ""),
        "only the controller says what is true"
    );
}
