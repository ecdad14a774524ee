//! The admission policies of the chart, with what the API server adds to them.

use serde_json::{Value, json};

use super::Release;

/// What of an Offboarding says who asked for it in vain: whoever changes one of these loosens its end, moves it, or decides who
/// takes over and by which policy.
const DECISIVE: [(&str, &str); 15] = [
    ("spec", "desired"),
    ("spec", "suspend"),
    ("spec", "exceptions"),
    ("spec", "transfers"),
    ("spec", "lastDay"),
    ("spec", "cutoff"),
    ("spec", "dates"),
    ("spec", "urgency"),
    ("spec", "legalHold"),
    ("spec", "policyRef"),
    ("spec", "profile"),
    ("spec", "reason"),
    ("spec", "visibility"),
    ("spec", "reference"),
    ("metadata", "labels"),
];

/// The kinds whose statuses are the operator's.
const STATUSES: [&str; 5] = [
    "offboardings/status",
    "approvals/status",
    "leaversources/status",
    "connectors/status",
    "offboardingpolicies/status",
];

/// A policy and its binding, which has the same name.
#[derive(Debug, Clone, PartialEq)]
pub struct Shipped {
    /// `metadata.name`.
    pub name: String,
    /// The spec of the policy.
    pub policy: Value,
    /// The spec of the binding.
    pub binding: Value,
}

impl Shipped {
    /// The approver is who sends the request, and may approve the leaver, or the source.
    pub fn approvals() -> Self {
        let may = "has(object.spec.offboardingRef) ? \
            authorizer.group('offboard.dev').resource('offboardings').namespace(object.metadata.namespace)\
            .name(object.spec.offboardingRef.name).check('approve').allowed() : \
            authorizer.group('offboard.dev').resource('leaversources').namespace(object.metadata.namespace)\
            .name(object.spec.sourceRef.name).check('approve').allowed()";
        Self::new(
            "offboard-approvals".to_owned(),
            &[rule(&["CREATE", "UPDATE"], &["approvals"])],
            &[],
            &["object.spec.approver == request.userInfo.username", may],
            None,
        )
    }

    /// Who asks for an Offboarding, and who changes what is decisive in it, is who sends the request, but for `automation` and
    /// operators.
    pub fn requests(automation: &[String]) -> Self {
        let changed =
            DECISIVE.map(|(part, field)| format!("object.{part}.?{field} != oldObject.{part}.?{field}"));
        let changes = format!("oldObject != null && ({})", changed.join(" || "));
        let list = |object: &str| format!("has({object}.spec.changedBy) ? {object}.spec.changedBy : []");
        Self::new(
            "offboard-requests".to_owned(),
            &[rule(&["CREATE", "UPDATE"], &["offboardings"])],
            &[
                ("automated", &automated(automation)),
                ("named", &list("object")),
                ("earlier", &format!("oldObject != null && {}", list("oldObject"))),
                ("changes", &changes),
            ],
            &[
                "oldObject != null || variables.automated || \
                 has(object.spec.requestedBy) && object.spec.requestedBy == request.userInfo.username",
                "!variables.changes || variables.automated || request.userInfo.username in variables.named",
                "variables.earlier.all(user, user in variables.named)",
                "variables.automated || \
                 variables.named.all(user, user in variables.earlier || user == request.userInfo.username)",
            ],
            None,
        )
    }

    /// What is looked after is deleted by `automation` alone, or with its namespace.
    pub fn deletions(automation: &[String]) -> Self {
        let may = format!(
            "!(has(oldObject.status) && has(oldObject.status.watched)) || \
             has(namespaceObject.metadata.deletionTimestamp) || request.userInfo.username in {}",
            as_helm_writes_it(automation)
        );
        Self::new(
            "offboard-deletions".to_owned(),
            &[rule(&["DELETE"], &["offboardings"])],
            &[],
            &[&may],
            None,
        )
    }

    /// Nobody but the operator of `release` writes statuses, records and held sets.
    pub fn status(release: &Release) -> Self {
        Self::new(
            format!("{}-status", release.name),
            &[
                rule(&["UPDATE"], &STATUSES),
                rule(&["CREATE", "UPDATE"], &["offboardingrecords", "heldsets"]),
            ],
            &[],
            &[&format!("request.userInfo.username == '{}'", release.user)],
            Some(&release.namespaces),
        )
    }

    /// Nobody but the operator of `release` says which source an Offboarding is from.
    pub fn sources(release: &Release) -> Self {
        let own = format!(
            "request.userInfo.username == '{}' || \
             ['offboard.dev/source', 'offboard.dev/person'].all(key, !(key in variables.annotations) || \
             key in variables.earlier && variables.earlier[key] == variables.annotations[key])",
            release.user
        );
        let map = |object: &str| {
            format!("has({object}.metadata.annotations) ? {object}.metadata.annotations : {{}}")
        };
        Self::new(
            format!("{}-sources", release.name),
            &[rule(&["CREATE", "UPDATE"], &["offboardings"])],
            &[
                ("annotations", &map("object")),
                ("earlier", &format!("oldObject != null && {}", map("oldObject"))),
            ],
            &[&own],
            Some(&release.namespaces),
        )
    }

    fn new(
        name: String,
        rules: &[Value],
        variables: &[(&str, &str)],
        validations: &[&str],
        namespaces: Option<&[String]>,
    ) -> Self {
        let expression = |expression: &&str| json!({"expression": expression});
        let mut policy = json!({
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": rules,
            },
            "validations": validations.iter().map(expression).collect::<Vec<_>>(),
        });
        if !variables.is_empty() {
            let named = variables
                .iter()
                .map(|(name, expression)| json!({"name": name, "expression": expression}));
            policy["variables"] = named.collect();
        }
        let mut binding = json!({"policyName": name, "validationActions": ["Deny", "Audit"]});
        if let Some(namespaces) = namespaces {
            binding["matchResources"] = json!({
                "matchPolicy": "Equivalent", "objectSelector": {},
                "namespaceSelector": {"matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
                ]},
            });
        }
        Self {
            name,
            policy,
            binding,
        }
    }
}

fn rule(operations: &[&str], resources: &[&str]) -> Value {
    json!({
        "apiGroups": ["offboard.dev"], "apiVersions": ["*"], "operations": operations, "resources": resources, "scope": "*",
    })
}

/// Whether the request is by `automation` or an operator.
fn automated(automation: &[String]) -> String {
    format!(
        "request.userInfo.username in {} || \
         request.userInfo.username.startsWith('system:serviceaccount:') && \
         authorizer.group('offboard.dev').resource('offboardings').subresource('status')\
         .namespace(request.namespace).check('patch').allowed()",
        as_helm_writes_it(automation)
    )
}

/// A list as `toJson` writes it, which escapes for HTML.
fn as_helm_writes_it(list: &[String]) -> String {
    let text = json!(list).to_string();
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}
