//! What a folder says, and what is said about what it cannot say.

use std::os::unix::fs::symlink;

use super::*;
use crate::core::garbled::{garbled, taken_of};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let nth = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("offboard-manifests-{}-{nth}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            let file = path.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self(path)
    }

    fn read(&self) -> Manifests {
        Manifests::read(&self.0).unwrap()
    }

    /// What is not used, with paths below the folder.
    fn problems(&self) -> Vec<String> {
        let own = format!("{}/", self.0.display());
        let problems = self.read().problems;
        problems.iter().map(|p| p.to_string().replace(&own, "")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A leaver in one line.
fn leaver(name: &str, email: &str) -> String {
    format!(
        "{{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {{name: {name}}}, spec: {{employee: {{email: {email}}}, urgency: Immediate}}}}"
    )
}

fn names(manifests: &Manifests) -> Vec<&str> {
    let leavers = manifests.offboardings.iter();
    leavers
        .filter_map(|leaver| leaver.metadata.name.as_deref())
        .collect()
}

const JANE: &str = "apiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: { name: jane }\nspec:\n  employee: { email: jane@example.com }\n  urgency: Immediate\n";

#[test]
fn lists_are_read_whatever_they_are_lists_of() {
    let item = "- apiVersion: offboard.dev/v1alpha1\n  kind: Offboarding\n  metadata: { name: jane }\n  spec: { employee: { employeeID: \"0117\" }, urgency: Immediate }\n";
    for list in [
        format!("apiVersion: v1\nkind: List\nitems:\n{item}"),
        format!("apiVersion: offboard.dev/v1alpha1\nkind: OffboardingList\nmetadata: {{}}\nitems:\n{item}"),
        "apiVersion: offboard.dev/v1alpha1\nkind: OffboardingList\nitems:\n- metadata: { name: jane }\n  spec: { employee: { email: j@example.com }, urgency: Immediate }\n".into(),
        format!("{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: List, items: [{}]}}]}}", leaver("jane", "j@example.com")),
    ] {
        let folder = Folder::of(&[("list.yaml", &list), ("sam.yml", &leaver("sam", "s@example.com"))]);
        assert_eq!(names(&folder.read()), ["jane", "sam"], "{list}");
        assert_eq!(folder.problems(), Vec::<String>::new(), "{list}");
    }
}

#[test]
fn what_cannot_be_used_is_said_with_its_file_and_object_and_the_others_are_read() {
    let ours = "apiVersion: offboard.dev/v1alpha1\n";
    for (file, text, said) in [
        (
            "a.yaml",
            "apiVersion: offboard.io/v1alpha1\nkind: Offboarding\nmetadata: {name: ann}",
            "a.yaml:1: Offboarding ann: apiVersion: offboard.io/v1alpha1 has no Offboarding: write offboard.dev/v1alpha1",
        ),
        (
            "a.yaml",
            "apiVersion: leavers.example.com/v1\nkind: Leaver\nmetadata: {name: ann}",
            "a.yaml:1: Leaver ann: apiVersion: leavers.example.com/v1 is not known: objects for offboard have offboard.dev/v1alpha1, Secrets v1",
        ),
        (
            "a.yaml",
            "apiVersion: offboard.dev/v1\nkind: Offboarding\nmetadata: {name: ann}",
            "a.yaml:1: Offboarding ann: apiVersion: there is no version v1: write offboard.dev/v1alpha1",
        ),
        (
            "a.yaml",
            "kind: Offboarding\nmetadata: {name: ann}",
            "a.yaml:1: Offboarding ann: apiVersion: it has none",
        ),
        (
            "a.yaml",
            "apiVersion: offboard.dev/v1alpha1\nmetadata: {name: ann}",
            "a.yaml:1: an object ann: kind: it has none",
        ),
        (
            "a.yaml",
            &format!("{ours}kind: Offboardings\nmetadata: {{name: ann}}"),
            "a.yaml:1: Offboardings ann: kind: there is no such kind in offboard.dev: it is one of Offboarding, Connector, ConnectorDefinition, OffboardingPolicy, Approval",
        ),
        ("a.yaml", "just words", "a.yaml:1: an object: kind: it has none"),
        ("a.yaml", "", "a.yaml: is empty"),
        (
            "a.json",
            "{\"kind\": ",
            "a.json:1: not YAML: unclosed bracket '{'",
        ),
        (
            "a.yaml",
            &format!(
                "{ours}kind: Offboarding\nspec: {{employee: {{email: a@example.com}}, urgency: Immediate}}"
            ),
            "a.yaml:1: Offboarding: metadata.name: it has none",
        ),
        (
            "a.yaml",
            &leaver("../ann", "a@example.com"),
            "a.yaml:1: Offboarding ../ann: metadata.name: \"../ann\": lower case letters, digits, - and . only",
        ),
        (
            "a.yaml",
            &format!("{}\nurgency: Immediate", JANE.replace("jane", "ann")),
            "a.yaml:1: Offboarding ann: urgency: there is no such field: it belongs below spec, or nowhere",
        ),
        (
            "a.yaml.txt",
            JANE,
            "a.yaml.txt: holds a manifest and is not read: let its name end with .yaml",
        ),
        (
            ".a.yaml",
            JANE,
            ".a.yaml: holds a manifest and is not read: its name begins with a dot",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: List\nitem: []",
            "a.yaml:1: List: items: there is no list of objects",
        ),
        (
            "a.yaml",
            "a: 1\na: 2\n",
            "a.yaml:2: a: is there twice: leave one of them out",
        ),
        (
            "a.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: crm}\nstringData:\n  pin: 1234",
            "a.yaml:5: Secret crm: stringData.pin: must be a text: quote it",
        ),
        (
            "secrets/crm",
            "token",
            "secrets/crm: a Secret is a folder of files here: secrets/NAME/KEY",
        ),
    ] {
        let folder = Folder::of(&[(file, text), ("zoe.yaml", &leaver("zoe", "z@example.com"))]);
        assert_eq!(folder.problems(), [said], "{text}");
        assert_eq!(names(&folder.read()), ["zoe"], "{text}");
    }
}

#[test]
fn a_number_that_should_be_a_text_is_found_in_its_line() {
    for (employee, line, said) in [
        (
            "employee: { employeeID: 0200 }",
            9,
            "spec.employee.employeeID: a number where a text is needed: quote it: \"0200\"",
        ),
        (
            "employee:\n    employeeID: 0117 # of HR",
            10,
            "spec.employee.employeeID: a number where a text is needed: quote it: \"0117\"",
        ),
        (
            "employee: {email: n@example.com}\n  profile: {country: NO}",
            10,
            "spec.profile.country: a truth value where a text is needed: quote it: \"NO\"",
        ),
    ] {
        let nora = format!(
            "# People.\n{}\n---\n# Nora.\napiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: {{ name: nora }}\nspec:\n  {employee}\n  urgency: Immediate\n",
            leaver("sam", "s@example.com")
        );
        let folder = Folder::of(&[("people.yaml", &nora), ("jane.yaml", JANE)]);
        assert_eq!(
            folder.problems(),
            [format!("people.yaml:{line}: Offboarding nora: {said}")]
        );
        assert_eq!(names(&folder.read()), ["jane", "sam"]);
        let list = format!(
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: offboard.dev/v1alpha1\n  kind: Offboarding\n  metadata: {{ name: nora }}\n  spec:\n    {}\n    urgency: Immediate\n",
            employee.replace("\n", "\n  ")
        );
        let folder = Folder::of(&[("list.yaml", &list)]);
        assert_eq!(
            folder.problems(),
            [format!("list.yaml:{}: Offboarding nora: {said}", line - 1)]
        );
    }
}

#[test]
fn a_broken_document_hurts_no_other_of_its_file() {
    let text = format!(
        "{JANE}---\nkind: Offboarding\nmetadata: {{ name: nora\n---\n{}",
        leaver("sam", "s@example.com")
    );
    let folder = Folder::of(&[("all.yaml", &text)]);
    assert_eq!(names(&folder.read()), ["jane", "sam"]);
    assert_eq!(
        folder.problems(),
        ["all.yaml:9: Offboarding nora: not YAML: unclosed bracket '{'"]
    );
}

#[test]
fn a_broken_connector_policy_or_secret_is_known_by_its_name() {
    let object = |kind: &str, rest: &str| format!("apiVersion: offboard.dev/v1alpha1\nkind: {kind}\n{rest}");
    let crm = object(
        "Connector",
        "metadata: {name: crm, labels: {site: berlin}}\nspec: {definition: 7}",
    );
    let wiki = object("Connector", "metadata: {name: wiki}\nspec: {definition: scim\n");
    let kept = object(
        "OffboardingPolicy",
        "metadata: {name: kept}\nspec: {legalHold: true}",
    );
    let when = object(
        "OffboardingPolicy",
        "metadata: {name: when}\nspec: {when: 'true', legalHold: true}",
    );
    let folder = Folder::of(&[("crm.yaml", &crm), ("wiki.yaml", &wiki), ("kept.yaml", &kept)]);
    let read = folder.read();
    assert!(read.broken("Connector", "crm").unwrap().contains("crm.yaml:4"));
    assert!(read.broken("Connector", "wiki").is_some() && read.broken("Connector", "mail").is_none());
    assert_eq!(
        read.connectors["crm"].metadata.labels.as_ref().unwrap()["site"],
        "berlin"
    );
    assert!(!read.may_have_any_label("crm") && read.may_have_any_label("wiki"));
    assert!(read.broken("OffboardingPolicy", "kept").is_some());
    assert_eq!(read.broken_policy(), None, "it is nobody's who does not name it");
    let folder = Folder::of(&[("when.yaml", &when)]);
    assert_eq!(folder.read().broken_policy().unwrap().0, "when");
    let default = kept.replace("kept", "default");
    assert_eq!(
        Folder::of(&[("p.yaml", &default)])
            .read()
            .broken_policy()
            .unwrap()
            .0,
        "default"
    );
}

#[test]
fn two_of_one_name_are_neither() {
    let crm = |url: &str| {
        format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {{name: crm}}, spec: {{definition: scim, inputs: {{url: '{url}'}}}}}}"
        )
    };
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: crm}, stringData: {token: x}}";
    let folder = Folder::of(&[
        ("a.yaml", &crm("https://a.example.com")),
        ("b.yaml", &crm("https://b.example.com")),
        ("c.yaml", secret),
        ("secrets/crm/token", "y"),
    ]);
    let read = folder.read();
    for kind in ["Connector", "Secret"] {
        assert!(
            read.broken(kind, "crm")
                .unwrap()
                .contains("another of this name in"),
            "{kind}"
        );
    }
    assert!(read.secrets.is_empty());
    // Of leavers: one wish twice is one, another one is nobody's.
    let again = JANE.replace("Immediate", "Scheduled\n  lastDay: '2026-11-20'");
    for (second, left) in [
        (JANE.to_owned(), 1),
        (again, 0),
        (JANE.replace("jane@", "j.doe@"), 2),
    ] {
        let folder = Folder::of(&[("a.yaml", JANE), ("b.yaml", &second)]);
        assert_eq!(names(&folder.read()).len(), left, "{second}");
        assert_eq!(folder.problems().len(), 1, "{second}");
        let used = folder.read().problems[0].used;
        assert_eq!(used, left == 2, "{second}");
    }
}

#[test]
fn links_are_followed_once_and_those_to_nothing_are_said() {
    let folder = Folder::of(&[
        ("real/jane.yaml", JANE),
        (".data/sam.yaml", &leaver("sam", "s@example.com")),
    ]);
    symlink("real/jane.yaml", folder.0.join("jane.yaml")).unwrap();
    symlink("../real", folder.0.join("real/around")).unwrap();
    symlink(".data/sam.yaml", folder.0.join("sam.yaml")).unwrap();
    symlink("/nosuch/ann.yaml", folder.0.join("ann.yaml")).unwrap();
    symlink("loop.yaml", folder.0.join("loop.yaml")).unwrap();
    let problems = folder.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert_eq!(
        problems[0],
        "ann.yaml: a link to nothing: there is no /nosuch/ann.yaml"
    );
    assert!(problems[1].starts_with("loop.yaml: "), "{problems:?}");
    assert_eq!(names(&folder.read()), ["jane", "sam"]);
}

#[test]
fn a_secret_stays_below_the_folder() {
    let outside = Folder::of(&[("token", "x")]);
    let folder = Folder::of(&[("jane.yaml", JANE), ("secrets/crm/..data/token", "x")]);
    symlink("..data/token", folder.0.join("secrets/crm/token")).unwrap();
    symlink("..", folder.0.join("secrets/crm/round")).unwrap();
    assert_eq!(folder.problems(), [""; 0]);
    assert!(folder.read().secrets["crm"].get("token").is_ok());
    symlink(outside.0.join("token"), folder.0.join("secrets/crm/other")).unwrap();
    symlink(&outside.0, folder.0.join("secrets/wiki")).unwrap();
    let problems = folder.problems();
    assert_eq!(
        problems,
        [
            "secrets/crm: Secret crm: \"other\" leads out of the folder: put the file itself there",
            "secrets/wiki: Secret wiki: \"token\" leads out of the folder: put the file itself there"
        ]
    );
    assert!(folder.read().secrets.is_empty());
}

#[test]
fn a_name_is_one_that_a_cluster_takes() {
    for name in ["a", "jane-doe.2026", "x".repeat(253).as_str()] {
        assert!(name_fits(name), "{name}");
    }
    for name in [
        "",
        "../../x",
        "a..b",
        "a.-b",
        "-a",
        "a.",
        "Jane",
        "a_b",
        "x".repeat(254).as_str(),
    ] {
        assert!(!name_fits(name), "{name}");
    }
}

#[test]
fn what_belongs_to_others_is_no_error_and_no_silence() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}";
    let source = "apiVersion: offboard.dev/v1alpha1\nkind: LeaverSource\nmetadata: {name: hr}\nspec: {}";
    let flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: all}";
    let folder = Folder::of(&[
        ("JANE.YAML", JANE),
        ("web.yaml", deployment),
        ("hr.yaml", source),
        ("flux.yaml", flux),
        ("Makefile", "all:\n\ttrue\n"),
        ("README.md", "# Leavers\n"),
        ("note.yaml", "# Nobody this month.\n"),
        ("state/jane-0/lock", ""),
        ("state/jane-0/record.json", "{}"),
        ("old/jane-0/lock", ""),
        ("old/jane-0/status.json", "{}"),
    ]);
    let read = folder.read();
    assert_eq!(read.problems, []);
    assert_eq!(names(&read), ["jane"]);
    let ignored = read.ignored.join("\n");
    for part in [
        "Deployment web",
        "LeaverSource hr",
        "Kustomization all",
        "Makefile",
    ] {
        assert!(ignored.contains(part), "{part} in {ignored}");
    }
    assert_eq!(read.ignored.len(), 4, "{ignored}");
}

#[test]
fn whatever_stands_in_a_file_is_an_object_or_a_problem() {
    // As much stack as the main thread has, which reads them: without optimisation the deepest document that is read takes more
    // than a test has.
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(read_whatever_comes).unwrap().join().unwrap();
}

fn read_whatever_comes() {
    let joe = leaver("joe", "joe@example.com");
    let good = [
        JANE.to_owned(),
        format!("---\n{JANE}---\n{joe}\n...\n"),
        "apiVersion: v1\nkind: List\nitems:\n- &a {apiVersion: v1, kind: Secret, metadata: {name: s}, data: {k: eA==}}\n- *a\n".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {offboard.dev/hosts: x}}\nstringData:\n  k: |\n    a\n    ---\n    b\n"
            .to_owned(),
    ];
    let words = [
        "---\n",
        "...\n",
        "- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "<<: *a\n",
        "!!binary ",
        "!x ",
        "|\n",
        ">-\n",
        "\"",
        "'",
        "{",
        "}",
        "[",
        "]",
        "#",
        "%YAML 9\n",
        "\t",
        "\0",
        "~",
        "1e999",
        "kind: ",
        "metadata: ",
    ];
    let texts = garbled(&good, &words);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let taken = taken_of(1_500, &texts, |bytes| document::takes(&text(bytes)));
    assert!(taken > 100, "{taken}");
    // Each of these as a file of its own: nothing is passed over in silence.
    let folders = proptest::collection::vec(texts, 10);
    taken_of(15, &folders, |bytes| {
        let texts: Vec<String> = bytes.into_iter().map(text).collect();
        let names: Vec<String> = (0..10).map(|n| format!("{n}.yaml")).collect();
        let files = names
            .iter()
            .map(String::as_str)
            .zip(texts.iter().map(String::as_str));
        let folder = Folder::of(&files.collect::<Vec<_>>());
        let problems = folder.problems();
        assert!(
            problems.iter().all(|problem| problem.len() < 2_000),
            "{problems:#?}"
        );
        problems.is_empty()
    });
}

#[test]
fn a_folder_that_is_more_than_one_is_refused_with_the_file_and_the_limit() {
    let refused = |files: &[(&str, &str)]| {
        let folder = Folder::of(files);
        let refused = Manifests::read(&folder.0)
            .err()
            .map(|problem| problem.to_string());
        refused.unwrap_or_default()
    };
    // What is no text is counted all the same.
    let with = |files: &[(&str, usize)]| {
        let folder = Folder::of(&[("a.yaml", JANE)]);
        for (name, size) in files {
            fs::write(folder.0.join(name), vec![0xff; *size]).unwrap();
        }
        folder
    };
    let large = with(&[("b.yaml", (16 << 20) + 1)]);
    assert_eq!(large.problems(), ["b.yaml: larger than 16 MiB: no manifest is"]);
    assert_eq!(names(&large.read()), ["jane"]);
    let alone = Manifests::read(&large.0.join("b.yaml")).unwrap();
    assert_eq!(alone.problems.len(), 1, "named by itself too");
    let size = 11 << 20;
    let together = with(&[("b.yaml", size), ("c.yaml", size), ("d.yaml", size)]);
    let together = Manifests::read(&together.0).err().unwrap().to_string();
    assert!(
        together.ends_with("d.yaml: with it the manifests are larger than 32 MiB together: keep fewer here"),
        "{together}"
    );

    let many = refused(&[("a.yaml", JANE), ("b.yaml", &"--- {a: b}\n".repeat(1_001))]);
    assert!(
        many.contains("b.yaml: ") && many.contains("1000 files or objects"),
        "{many}"
    );
    let nothing = format!(
        "{{apiVersion: v1, kind: List, items: [{}~]}}",
        "~, ".repeat(100_000)
    );
    let many = refused(&[("a.yaml", &nothing)]);
    assert!(
        many.contains("a.yaml: with it there are more than 100000 objects"),
        "{many}"
    );
    let broken = "--- {\n".repeat(3_000);
    let item = "{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {name: a}, spec: 7}";
    let list = format!(
        "{{apiVersion: v1, kind: List, items: [{}{item}]}}",
        format!("{item}, ").repeat(3_000)
    );
    for text in [broken, list] {
        let many = refused(&[("a.yaml", &text)]);
        assert!(
            many.contains(
                "a.yaml: more than 1000 files or objects have to be mended, and nothing is done; the first is"
            ),
            "{many}"
        );
    }
}
