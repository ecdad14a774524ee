//! What an object is by its `apiVersion` and `kind`.

/// The group of our kinds.
const GROUP: &str = "offboard.dev";
/// The only version of them.
const VERSION: &str = "v1alpha1";

/// Our kinds that mean something without a cluster.
pub(super) const OURS: &[&str] = &[
    "Offboarding",
    "Connector",
    "ConnectorDefinition",
    "OffboardingPolicy",
    "Approval",
];
/// Our kinds that only the operator reads or writes.
const OPERATORS: &[&str] = &["LeaverSource", "HeldSet", "OffboardingRecord"];

/// Groups whose objects stand beside ours in folders that are applied to a cluster, and mean nothing to us. What ends with one
/// of these, after a dot, is one too.
const KUBERNETES: &[&str] = &[
    "apps",
    "batch",
    "policy",
    "autoscaling",
    "k8s.io",
    "fluxcd.io",
    "argoproj.io",
    "cert-manager.io",
    "external-secrets.io",
    "bitnami.com",
    "monitoring.coreos.com",
];

/// What an object is to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning<'k> {
    /// One of our kinds.
    Ours,
    /// A Secret.
    Secret,
    /// A list of objects; of which kind, if it is of one.
    List(Option<&'k str>),
    /// Something of a cluster that means nothing here.
    Others,
    /// Nothing that anybody knows.
    Wrong(String),
}

/// What an object with this `apiVersion` and `kind` is to us.
pub(super) fn meaning<'k>(api_version: &str, kind: &'k str) -> Meaning<'k> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let of = kind.strip_suffix("List").filter(|of| !of.is_empty());
    let ours = |kind: &str| OURS.contains(&kind) || OPERATORS.contains(&kind);
    match () {
        () if kind.is_empty() => Meaning::Wrong("kind: it has none".to_owned()),
        () if api_version.is_empty() => Meaning::Wrong("apiVersion: it has none".to_owned()),
        () if group == GROUP && version != VERSION => Meaning::Wrong(format!(
            "apiVersion: there is no version {version}: write {GROUP}/{VERSION}"
        )),
        () if group == GROUP && OURS.contains(&kind) => Meaning::Ours,
        () if group == GROUP && OPERATORS.contains(&kind) => Meaning::Others,
        () if group == GROUP && of.is_some_and(ours) => Meaning::List(of),
        () if group == GROUP => Meaning::Wrong(format!(
            "kind: there is no such kind in {GROUP}: it is one of {}",
            OURS.join(", ")
        )),
        () if ours(kind) => Meaning::Wrong(format!(
            "apiVersion: {api_version} has no {kind}: write {GROUP}/{VERSION}"
        )),
        () if api_version == "v1" && kind == "List" => Meaning::List(None),
        () if api_version == "v1" && kind == "Secret" => Meaning::Secret,
        () if api_version == "v1" && kind == "SecretList" => Meaning::List(of),
        () if api_version == "v1" || is_kubernetes(group) => Meaning::Others,
        () => Meaning::Wrong(format!(
            "apiVersion: {api_version} is not known: objects for offboard have {GROUP}/{VERSION}, Secrets v1"
        )),
    }
}

fn is_kubernetes(group: &str) -> bool {
    KUBERNETES.iter().any(|known| {
        let below = group.strip_suffix(known);
        below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
    })
}

/// Whether an object may have this name: a DNS subdomain (RFC 1123), as the API server wants it.
pub(super) fn name_fits(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        label.starts_with(letter) && label.ends_with(letter) && label.chars().all(|c| letter(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
