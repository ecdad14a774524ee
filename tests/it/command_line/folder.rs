//! What is wrong with one file stops what rests on it and nothing else, and nothing is passed over without a word.

use offboard::cli::manifests::Manifests;

use super::*;

impl Desk {
    /// Replaces text in a file of the folder.
    fn rewrite(&self, file: &str, from: &str, to: &str) {
        let path = self.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The status of a leaver by name.
    fn status_of(&self, leaver: &str) -> Value {
        let folders = fs::read_dir(self.state())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let of = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.rsplit_once('-').is_some_and(|(name, _)| name == leaver)
        };
        let folder = folders.into_iter().find(of).expect("a folder of the leaver");
        serde_json::from_str(&fs::read_to_string(folder.join("status.json")).unwrap()).unwrap()
    }

    /// A condition of a leaver, as `Status/Reason`.
    fn condition(&self, leaver: &str, type_: &str) -> Option<String> {
        let status = self.status_of(leaver);
        let conditions = status["conditions"].as_array().unwrap().clone();
        let found = conditions.iter().find(|c| c["type"] == type_)?;
        Some(format!(
            "{}/{}",
            found["status"].as_str()?,
            found["reason"].as_str()?
        ))
    }
}

/// A run that waits no longer than this for what only a person can mend.
fn run(desk: &Desk) -> Output {
    desk.ran("run", &["--wait", "5s"])
}

/// What both streams of a command said.
pub(super) fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unquoted_number_stops_its_own_leaver_and_is_said_with_its_line() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let nora = "apiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: { name: nora }\nspec: { employee: { employeeID: 0200 }, urgency: Immediate }\n";
    fs::write(desk.0.join("nora.yaml"), nora).unwrap();
    std::os::unix::fs::symlink("/nosuch.yaml", desk.0.join("zoe.yaml")).unwrap();
    for (command, done) in [("plan", "- leave 14 groups"), ("run", "jane-doe: Offboarded")] {
        let output = desk.ran(command, &[]);
        let said = text(&output.stderr);
        assert_eq!(code(&output), 1, "{command}: {said}");
        for part in [
            "nora.yaml:4: Offboarding nora: spec.employee.employeeID: a number where a text is needed: quote it: \"0200\"",
            "zoe.yaml: a link to nothing",
        ] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(text(&output.stdout).contains(done), "{}", text(&output.stdout));
    }
    assert_eq!(ways_in(&company).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_as_kubectl_writes_it_is_read() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let jane = fs::read_to_string(desk.0.join("jane-doe.yaml")).unwrap();
    let jane: String = jane.lines().map(|line| format!("  {line}\n")).collect();
    let jane = jane.replacen("  ", "- ", 1);
    fs::write(
        desk.0.join("jane-doe.yaml"),
        format!("apiVersion: v1\nkind: List\nitems:\n{jane}"),
    )
    .unwrap();
    let ran = desk.ran("run", &[]);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    assert_eq!(ways_in(&company).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connector_definition_or_secret_keeps_its_own_system_open_and_in_sight() {
    for (file, from, to, said) in [
        ("connectors/forge.yaml", "spec:", "spec: [", "forge.yaml:"),
        (
            "connectors/forge.yaml",
            "spec:",
            "spec:\n  colour: red",
            "spec.colour",
        ),
        (
            "definitions/forge.yaml",
            "\nspec:",
            "\nspec:\n  colour: red",
            "spec.colour",
        ),
        ("definitions/forge.yaml", "\nkind:", "\nkind: {", "forge.yaml:"),
    ] {
        let company = Company::start().await.unwrap();
        let desk = Desk::of(&company);
        desk.rewrite(file, from, to);
        let ran = run(&desk);
        assert_eq!(code(&ran), 1, "{file} {to}: {}", all(&ran));
        assert!(
            text(&ran.stderr).contains(said),
            "{file} {to}: {}",
            text(&ran.stderr)
        );
        let shown = text(&ran.stdout);
        assert!(
            shown.contains("jane-doe: ConnectorNotReady"),
            "{file} {to}: {shown}"
        );
        let open: Vec<_> = company.attempts(&JANE).await.unwrap();
        let open: Vec<_> = open
            .iter()
            .filter(|way| way.worked)
            .map(|way| way.system)
            .collect();
        assert!(
            !open.is_empty() && open.iter().all(|system| *system == "forge"),
            "{open:?}"
        );
        let row = desk.status_of("jane-doe")["systems"].to_string();
        assert!(row.contains("Connected"), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_policy_stops_those_whose_policy_it_may_be() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let before = ways_in(&company).await;
    desk.rewrite("policy.yaml", "spec:", "spec:\n  legalHold: true\n ");
    let ran = run(&desk);
    assert_eq!(code(&ran), 1, "{}", all(&ran));
    assert!(
        text(&ran.stderr)
            .contains("OffboardingPolicy default, which may be the one that fits, cannot be used"),
        "{}",
        text(&ran.stderr)
    );
    assert_eq!(ways_in(&company).await, before);
    // One that nobody gets who does not name it.
    desk.rewrite("policy.yaml", "name: default", "name: contractors");
    let ran = run(&desk);
    assert_eq!(code(&ran), 1, "{}", all(&ran));
    assert!(
        text(&ran.stdout).contains("jane-doe: Offboarded"),
        "{}",
        all(&ran)
    );
    assert_eq!(ways_in(&company).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_about_one_person_the_earlier_date_does_not_act_by_itself() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let before = ways_in(&company).await;
    let again = desk.0.join("jane-again.yaml");
    let later = format!(
        "apiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: {{ name: jane-again }}\nspec:\n  employee: {{ email: {}, employeeID: \"{}\" }}\n  lastDay: \"2099-01-31\"\n  cutoff: {{ timeZone: Europe/Berlin }}\n",
        JANE.email, JANE.number
    );
    fs::write(&again, &later).unwrap();

    let plan = desk.ran("plan", &["--detailed-exitcode"]);
    assert_eq!(code(&plan), 3, "{}", all(&plan));
    let shown = text(&plan.stdout);
    for part in [
        "! same person as Offboarding jane-again (ends 2099-01-31 16:00 UTC): remove all but one of them",
        "! same person as Offboarding jane-doe",
        "2099-01-31",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let ran = run(&desk);
    assert_eq!(code(&ran), 3, "{}", all(&ran));
    assert_eq!(ways_in(&company).await, before, "{}", all(&ran));
    assert!(
        text(&ran.stdout).contains("jane-doe: DuplicateOffboarding"),
        "{}",
        all(&ran)
    );
    assert!(
        text(&ran.stderr).contains("jane-again: same person as Offboarding jane-doe"),
        "{}",
        all(&ran)
    );
    for leaver in ["jane-doe", "jane-again"] {
        assert_eq!(desk.condition(leaver, "Duplicate").unwrap(), "True/SamePerson");
    }
    assert_eq!(
        desk.condition("jane-doe", "Stalled").unwrap(),
        "True/DuplicateOffboarding"
    );
    assert_eq!(code(&desk.status(&["--exit-status"])), 3);

    // A person says which is meant.
    fs::remove_file(&again).unwrap();
    let ran = run(&desk);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    assert_eq!(ways_in(&company).await, 0);
    assert_eq!(desk.condition("jane-doe", "Duplicate"), None);
    // What was ended is kept so.
    fs::write(&again, later).unwrap();
    let ran = run(&desk);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    assert!(
        text(&ran.stdout).contains("jane-doe: Offboarded"),
        "{}",
        all(&ran)
    );
    assert_eq!(
        desk.condition("jane-doe", "Duplicate").unwrap(),
        "True/SamePerson"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_given_back_while_another_one_ends_access() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let ran = run(&desk);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    let leaver = format!(
        "apiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: {{ name: jane-again }}\nspec: {{ employee: {{ email: {} }}, urgency: Immediate }}\n",
        JANE.email
    );
    let again = desk.0.join("jane-again.yaml");
    fs::write(&again, leaver).unwrap();
    desk.rewrite("jane-doe.yaml", "desired: Offboarded", "desired: Reinstated");
    let ran = run(&desk);
    assert_eq!(code(&ran), 3, "{}", all(&ran));
    assert_eq!(ways_in(&company).await, 0, "{}", all(&ran));
    assert_eq!(
        desk.condition("jane-doe", "Stalled").unwrap(),
        "True/DuplicateOffboarding"
    );
    for leaver in ["jane-doe", "jane-again"] {
        assert_eq!(desk.condition(leaver, "Duplicate").unwrap(), "True/SamePerson");
    }
    let plan = desk.ran("plan", &["--detailed-exitcode"]);
    assert_eq!(code(&plan), 3, "{}", all(&plan));
    fs::remove_file(&again).unwrap();
    let ran = desk.ran("run", &["--wait", "1m"]);
    assert!(ways_in(&company).await > 0, "{}", all(&ran));
    assert_eq!(desk.condition("jane-doe", "Ready").unwrap(), "True/Reinstated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_written_is_a_failure() {
    let company = Company::start().await.unwrap();
    // So many KiB fit into a file: as on a disk that is full, from the first write on or later.
    for fits in ["0", "4", "24"] {
        let desk = Desk::of(&company);
        let limited = "trap '' XFSZ; ulimit -f $0; exec \"$@\"";
        let run = desk.command("run", &["--wait", "5s"]);
        let mut command = Command::new("bash");
        command.args(["-c", limited, fits]).arg(run.get_program());
        let ran = command.args(run.get_args()).output().unwrap();
        assert_eq!(code(&ran), 1, "{fits}: {}", all(&ran));
        assert!(
            !text(&ran.stdout).contains("jane-doe: Offboarded"),
            "{fits}: {}",
            all(&ran)
        );
        let said = text(&ran.stderr);
        assert!(
            said.contains("FileTooLarge") || said.contains("File too large"),
            "{fits}: {said}"
        );
    }
    let desk = Desk::of(&company);
    fs::write(desk.state(), "").unwrap();
    let ran = run(&desk);
    assert_eq!(code(&ran), 1, "{}", all(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_under_another_address_is_not_forgotten() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    fs::remove_file(desk.0.join("jane-doe.yaml")).unwrap();
    // Looked up before the last day.
    let leaver = |employee: String| {
        let text = format!(
            "apiVersion: offboard.dev/v1alpha1\nkind: Offboarding\nmetadata: {{ name: jane }}\nspec: {{ employee: {{ {employee} }}, lastDay: \"2099-01-31\", cutoff: {{ timeZone: UTC }} }}\n"
        );
        fs::write(desk.0.join("jane.yaml"), text).unwrap();
    };
    leaver(format!("email: {}", JANE.email));
    let ran = run(&desk);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    // A file beside is nobody's state.
    fs::write(desk.state().join("notes.txt"), "x").unwrap();
    assert_eq!(code(&desk.status(&[])), 0);
    fs::remove_file(desk.state().join("notes.txt")).unwrap();
    leaver("email: jane.smith@acme.example".to_owned());
    for command in ["plan", "run"] {
        let refused = desk.ran(command, &[]);
        assert_eq!(code(&refused), 1, "{}", all(&refused));
        let said = text(&refused.stderr);
        assert!(
            said.contains("spec.employee: has another number or address"),
            "{said}"
        );
    }
    // A person says that it is the same one.
    let said = all(&desk.ran("plan", &[]));
    let part = |from: &str, to: &str| {
        said.split_once(from)
            .unwrap()
            .1
            .split_once(to)
            .unwrap()
            .0
            .to_owned()
    };
    let (known, own) = (
        part("is in ", ". The same"),
        part("call that folder ", ". Somebody"),
    );
    fs::rename(known, desk.state().join(own)).unwrap();
    let ran = run(&desk);
    let rows = desk.status_of("jane")["systems"].clone();
    let bound = |row: &Value| row["account"].is_string();
    assert!(rows.as_array().unwrap().iter().any(bound), "{rows} {}", all(&ran));
    // Who has a number keeps what is known when an address is corrected.
    let uid = |employee: String| {
        leaver(employee);
        Manifests::read(&desk.0).unwrap().offboardings[0]
            .metadata
            .uid
            .clone()
    };
    assert_eq!(
        uid("employeeID: \"7\", email: a@acme.example".to_owned()),
        uid("employeeID: \"7\", email: b@acme.example".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_agreed_goes_on_when_the_leaver_or_the_policy_is_made_invalid_after_the_end() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&run(&desk)), 0);
    for (file, to, field) in [
        (
            "jane-doe.yaml",
            "spec:\n  policyRef: { name: nosuch }",
            "spec.policyRef.name",
        ),
        ("policy.yaml", "spec:\n  colour: red", "spec.colour"),
    ] {
        desk.rewrite(file, "spec:", to);
        company.tamper();
        assert!(ways_in(&company).await > 0, "{file}");
        let plan = desk.ran("plan", &[]);
        assert_eq!(code(&plan), 1, "{}", all(&plan));
        assert!(
            text(&plan.stdout).contains("jane-doe · Jane Doe") && text(&plan.stderr).contains(field),
            "{}",
            all(&plan)
        );
        let ran = run(&desk);
        assert_eq!(code(&ran), 1, "{}", all(&ran));
        let said = text(&ran.stderr);
        assert!(
            said.contains(field) && said.contains("what was agreed when access ended goes on"),
            "{said}"
        );
        assert_eq!(ways_in(&company).await, 0, "{}", all(&ran));
        let shown = ["Ready", "Stalled"].map(|type_| desk.condition("jane-doe", type_).unwrap());
        assert_eq!(shown, ["False/InvalidSpec", "True/InvalidSpec"]);
        desk.rewrite(file, to, "spec:");
    }
    let mended = run(&desk);
    assert_eq!(
        desk.condition("jane-doe", "Ready").unwrap(),
        "True/Offboarded",
        "{}",
        all(&mended)
    );
}
