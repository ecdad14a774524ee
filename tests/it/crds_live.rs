//! The CRDs on a real API server, as users meet them through kubectl.

use std::{
    fs,
    path::{Path, PathBuf},
};

use offboard::connectors::declarative::{builtin, builtins};
use serde_json::Value;

use crate::support::{Ran, control_plane};

/// kubectl in one namespace of its own.
struct Namespace(String);

impl Namespace {
    fn new(stem: &str) -> Self {
        Self(control_plane().namespace(stem))
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        control_plane().kubectl(&[&["-n", &self.0], arguments].concat(), input)
    }

    fn apply(&self, yaml: &str) -> Ran {
        self.kubectl(&["apply", "--validate=strict", "-f", "-"], yaml)
    }

    fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "-o", "json"], "").expect_ok()).unwrap()
    }
}

/// An Offboarding with this `spec`, in flow style.
fn offboarding(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {{name: {name}}}, spec: {spec}}}"
    )
}

const JANE: &str = "{employee: {email: jane.doe@example.com}, lastDay: '2026-09-30'}";

/// The manifests in `examples/` that are objects of this project.
fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> = ["minimal", "full", "company", "sources/built-in"]
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    found.sort();
    assert!(found.len() > 3, "examples are missing");
    found
}

/// The text of an example for this namespace instead of the one that it names.
fn here(path: &Path, namespace: &Namespace) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.replace("namespace: offboarding", &format!("namespace: {}", namespace.0))
}

#[test]
fn every_example_is_accepted_as_it_stands_and_has_no_misspelt_field() {
    let namespace = Namespace::new("examples");
    for path in examples() {
        let strict = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        let ran = namespace.kubectl(&strict, &here(&path, &namespace));
        assert!(ran.ok(), "{}: {}", path.display(), ran.stderr);
        assert!(
            !ran.stderr.contains("Warning"),
            "{}: {}",
            path.display(),
            ran.stderr
        );
    }
}

#[test]
fn every_object_of_the_documentation_is_accepted_as_it_stands() {
    let namespace = Namespace::new("documentation");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let chapters = fs::read_dir(root.join("docs/src")).unwrap();
    let pages = chapters.map(|entry| entry.unwrap().path());
    let mut shown = 0;
    for page in pages.chain([root.join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```yaml\n").skip(1);
        let blocks = blocks.map(|rest| rest.split("```").next().unwrap());
        for block in blocks.filter(|block| block.contains("apiVersion:")) {
            let strict = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
            let ran = namespace.kubectl(&strict, block);
            let accepted = ran.ok() && !ran.stderr.contains("Warning");
            assert!(accepted, "{}: {}\n{block}", page.display(), ran.stderr);
            shown += 1;
        }
    }
    assert!(shown > 6, "{shown}");
}

#[test]
fn every_built_in_definition_could_also_be_a_resource() {
    let namespace = Namespace::new("builtins");
    for name in builtins() {
        let strict = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        let ran = namespace.kubectl(&strict, builtin(name).unwrap());
        assert!(
            ran.ok() && !ran.stderr.contains("Warning"),
            "{name}: {}",
            ran.stderr
        );
    }
}

#[test]
fn what_was_applied_shows_no_difference_because_defaults_are_in_the_schema() {
    let namespace = Namespace::new("diff");
    for path in examples() {
        let text = here(&path, &namespace);
        namespace.apply(&text).expect_ok();
        let diff = namespace.kubectl(&["diff", "-f", "-"], &text);
        assert!(diff.ok(), "{}: {}{}", path.display(), diff.stdout, diff.stderr);
        // kubectl calls a Secret with stringData "configured" every time.
        let again = namespace.apply(&text).expect_ok();
        let still = |line: &str| line.ends_with("unchanged") || line.starts_with("secret/");
        assert!(again.lines().all(still), "{}: {again}", path.display());
    }
    // Cluster-scoped, so it would be there for other tests too.
    namespace
        .kubectl(&["delete", "connectordefinitions", "acme-crm"], "")
        .expect_ok();
}

#[test]
fn what_is_wrong_is_refused_in_words_that_say_what_to_do() {
    let namespace = Namespace::new("refused");
    let cases = [
        (
            "{employee: {email: a@b.c}}",
            "set either lastDay, or urgency: Immediate",
        ),
        (
            "{employee: {displayName: Jane}, lastDay: '2026-09-30'}",
            "email or employeeID is needed",
        ),
        (
            "{employee: {email: a@b.c}, lastDy: '2026-09-30'}",
            "unknown field \"spec.lastDy\"",
        ),
        (
            "{employee: {email: a@b.c}, lastDay: 30.9.2026}",
            "spec.lastDay in body should match",
        ),
        (
            "{employee: {email: jane}, lastDay: '2026-09-30'}",
            "spec.employee.email in body should match",
        ),
        (
            "{employee: {email: a@b.c}, lastDay: '2026-09-30', desired: Gone}",
            "supported values: \"Offboarded\", \"Reinstated\"",
        ),
        (
            "{employee: {email: a@b.c}, urgency: Immediate, policyRef: {name: p, namespace: other}}",
            "unknown field \"spec.policyRef.namespace\"",
        ),
    ];
    for (spec, message) in cases {
        let ran = namespace.apply(&offboarding("refused", spec));
        assert!(!ran.ok(), "{spec} was accepted");
        assert!(ran.stderr.contains(message), "{spec}: {}", ran.stderr);
    }
}

#[test]
fn somebody_can_be_offboarded_at_once_without_a_last_day() {
    let namespace = Namespace::new("urgent");
    let spec = "{employee: {employeeID: '10442'}, urgency: Immediate}";
    namespace.apply(&offboarding("urgent", spec)).expect_ok();
}

#[test]
fn an_offboarding_can_never_be_turned_to_somebody_else() {
    let namespace = Namespace::new("turned");
    namespace.apply(&offboarding("jane", JANE)).expect_ok();
    let ran = namespace.apply(&offboarding("jane", &JANE.replace("jane.doe", "sam.lee")));
    assert!(!ran.ok());
    assert!(
        ran.stderr
            .contains("employee is immutable: create a new Offboarding instead"),
        "{}",
        ran.stderr
    );
    let moved = offboarding("jane", &JANE.replace("2026-09-30", "2026-10-31"));
    namespace.apply(&moved).expect_ok();
}

#[test]
fn an_entry_of_the_timeline_either_wants_or_skips() {
    let namespace = Namespace::new("timeline");
    let policy = |entry: &str| {
        let head = "apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: default}";
        namespace.apply(&format!("{{{head}, spec: {{timeline: [{entry}]}}}}"))
    };
    policy("{want: [Licenses], at: cutoff + 7d}").expect_ok();
    for (entry, message) in [
        (
            "{want: [Licenses], at: cutoff, skip: [Mail]}",
            "set either want, or skip",
        ),
        ("{want: [Licenses]}", "at belongs to want"),
        ("{want: [Licenses], at: tomorrow}", "should match"),
    ] {
        let ran = policy(entry);
        assert!(
            !ran.ok() && ran.stderr.contains(message),
            "{entry}: {}",
            ran.stderr
        );
    }
}

#[test]
fn a_record_stays_with_its_offboarding() {
    let namespace = Namespace::new("record");
    let record = |uid: &str| {
        let head = "apiVersion: offboard.dev/v1alpha1, kind: OffboardingRecord, metadata: {name: jane}";
        let of = format!("offboarding: {{name: jane, uid: {uid}}}");
        namespace.apply(&format!(
            "{{{head}, spec: {{{of}, systems: {{crm: {{snapshot: [1, null, x]}}}}}}}}"
        ))
    };
    record("first").expect_ok();
    let ran = record("second");
    assert!(
        !ran.ok()
            && ran
                .stderr
                .contains("a record belongs to one Offboarding for ever"),
        "{}",
        ran.stderr
    );
    let kept = namespace.get("offboardingrecord/jane");
    assert_eq!(
        kept["spec"]["systems"]["crm"]["snapshot"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[test]
fn what_nobody_looked_at_yet_says_so_and_no_tool_takes_it_for_done() {
    let namespace = Namespace::new("unseen");
    namespace.apply(&offboarding("jane", JANE)).expect_ok();
    let connector = "{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {name: crm}, spec: {definition: scim}}";
    namespace.apply(connector).expect_ok();
    let policy =
        "{apiVersion: offboard.dev/v1alpha1, kind: OffboardingPolicy, metadata: {name: default}, spec: {}}";
    namespace.apply(policy).expect_ok();
    for object in ["offboarding/jane", "connector/crm", "offboardingpolicy/default"] {
        let status = &namespace.get(object)["status"];
        assert_eq!(status["observedGeneration"], -1, "{object}");
        assert_eq!(status["conditions"].as_array().unwrap().len(), 1, "{object}");
        let ready = &status["conditions"][0];
        assert_eq!(ready["type"], "Ready", "{object}");
        assert_eq!(ready["status"], "Unknown", "{object}");
        assert_eq!(ready["reason"], "NotObserved", "{object}");
        let waited = namespace.kubectl(&["wait", object, "--for=condition=Ready", "--timeout=1s"], "");
        assert!(!waited.ok(), "{object} counts as ready");
    }
}

#[test]
fn a_written_status_takes_the_place_of_the_default_and_leaves_the_spec_alone() {
    let namespace = Namespace::new("status");
    namespace.apply(&offboarding("jane", JANE)).expect_ok();
    let patch = r#"{"spec": {"suspend": true}, "status": {"observedGeneration": 1, "progress": "7/9", "accessLeft": 3,
        "conditions": [{"type": "Ready", "status": "False", "reason": "Revoking", "message": "github: waits",
        "observedGeneration": 1, "lastTransitionTime": "2026-09-30T15:00:03Z"}]}}"#;
    namespace
        .kubectl(
            &[
                "patch",
                "offboarding",
                "jane",
                "--subresource=status",
                "--type=merge",
                "-p",
                patch,
            ],
            "",
        )
        .expect_ok();
    let jane = namespace.get("offboarding/jane");
    assert_eq!(jane["spec"]["suspend"], false);
    assert_eq!(jane["status"]["conditions"][0]["reason"], "Revoking");
    let row = namespace
        .kubectl(&["get", "leavers", "--no-headers"], "")
        .expect_ok();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        cells[..7],
        [
            "jane",
            "jane.doe@example.com",
            "2026-09-30",
            "False",
            "Revoking",
            "7/9",
            "3"
        ]
    );
}

#[test]
fn get_leavers_shows_what_people_ask_for_in_110_characters() {
    let namespace = Namespace::new("columns");
    namespace.apply(&offboarding("leaver-0117", JANE)).expect_ok();
    let table = namespace.kubectl(&["get", "leavers"], "").expect_ok();
    let head: Vec<&str> = table
        .lines()
        .next()
        .unwrap()
        .split("   ")
        .map(str::trim)
        .collect();
    let head: Vec<&str> = head.into_iter().filter(|column| !column.is_empty()).collect();
    assert_eq!(
        head,
        [
            "NAME", "EMPLOYEE", "LAST DAY", "READY", "STATUS", "SYSTEMS", "LEFT", "AGE"
        ]
    );
    assert!(table.lines().all(|line| line.len() <= 110), "{table}");
    assert!(
        table.contains("Unknown") && table.contains("NotObserved"),
        "{table}"
    );
    for name in ["offboardings", "offboarding", "leaver", "leavers"] {
        let one = namespace.kubectl(&["get", name, "leaver-0117"], "").expect_ok();
        assert!(one.contains("jane.doe@example.com"), "{name}: {one}");
    }
    let everything = namespace
        .kubectl(&["get", "offboard", "-o", "name"], "")
        .expect_ok();
    assert!(
        everything.contains("offboarding.offboard.dev/leaver-0117"),
        "{everything}"
    );
}

#[test]
fn leavers_can_be_selected_on_the_server() {
    let namespace = Namespace::new("selected");
    namespace.apply(&offboarding("jane", JANE)).expect_ok();
    let sam = "{employee: {email: sam.lee@example.com, employeeID: '10443'}, urgency: Immediate}";
    namespace.apply(&offboarding("sam", sam)).expect_ok();
    for (selector, name) in [
        ("spec.employee.email=jane.doe@example.com", "jane"),
        ("spec.employee.employeeID=10443", "sam"),
        ("spec.lastDay=2026-09-30", "jane"),
        ("spec.urgency=Immediate", "sam"),
    ] {
        let found = namespace.kubectl(
            &["get", "leavers", "-o", "name", "--field-selector", selector],
            "",
        );
        assert_eq!(
            found.expect_ok().trim(),
            format!("offboarding.offboard.dev/{name}"),
            "{selector}"
        );
    }
}

#[test]
fn explain_says_what_every_value_means() {
    let namespace = Namespace::new("explain");
    let text = namespace
        .kubectl(&["explain", "offboarding.spec.legalHold"], "")
        .expect_ok();
    assert!(text.contains("`Hold`: Nothing is deleted"), "{text}");
    let kind = namespace.kubectl(&["explain", "offboarding"], "").expect_ok();
    assert!(
        kind.contains("proven by") && !kind.contains("Auto-generated"),
        "{kind}"
    );
    let fields = namespace
        .kubectl(&["explain", "offboarding.spec", "--recursive"], "")
        .expect_ok();
    assert!(fields.lines().count() <= 80, "more than two screens");
}
