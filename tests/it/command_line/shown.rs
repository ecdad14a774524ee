//! What `plan` and `status` show is what a look showed; what was not looked at is no "nothing to do".

use super::*;

/// What both streams of a command said.
fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
        .to_string()
}

fn plans(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", all(output)))
}

/// How many lines of the first plan have this mark.
fn marked(plans: &Value, mark: &str) -> usize {
    let lines = plans["plans"][0]["lines"].as_array().unwrap();
    lines.iter().filter(|line| line["mark"] == mark).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_no_system_knows_is_a_question() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let spec = json!({"employee": {"email": "nobody@acme.test"}, "urgency": "Immediate"});
    fs::write(
        desk.0.join("jane-doe.yaml"),
        object("Offboarding", "nobody", &spec),
    )
    .unwrap();
    for more in [&[][..], &["--detailed-exitcode"]] {
        let plan = desk.ran("plan", more);
        assert_eq!(code(&plan), 3, "{}", all(&plan));
        assert!(text(&plan.stdout).contains("no account found"), "{}", all(&plan));
        assert!(
            text(&plan.stdout).contains("correct email or employeeID"),
            "{}",
            all(&plan)
        );
    }
    let empty = Desk(Scratch::new("desk"));
    fs::write(empty.0.join("jane.json"), object("Offboarding", "jane", &spec)).unwrap();
    let plan = empty.ran("plan", &[]);
    assert_eq!(code(&plan), 3, "{}", all(&plan));
    assert!(
        text(&plan.stdout).contains("no Connector is known"),
        "{}",
        all(&plan)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_hangs_delays_nothing_that_is_known_of_the_others() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    // Takes every connection and never answers.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let forge = desk.0.join("connectors/forge.yaml");
    let url = format!("url: http://{}", deaf.local_addr().unwrap());
    let manifest = fs::read_to_string(&forge).unwrap();
    let of_old = manifest
        .lines()
        .find(|line| line.trim_start().starts_with("url:"))
        .unwrap();
    fs::write(&forge, manifest.replace(of_old.trim_start(), &url)).unwrap();

    let mut running = desk.command("run", &[]).stdout(Stdio::piped()).spawn().unwrap();
    let known = || {
        let status = desk.status(&["jane-doe", "-o", "json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        let rows = status["leavers"][0]["status"]["systems"].as_array().cloned();
        let proven = |row: &Value| {
            let conditions = row["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["reason"] == "Verified")
        };
        rows.unwrap_or_default().iter().filter(|row| proven(row)).count()
    };
    let shown = crate::support::poll(PATIENCE, || known() >= 2);
    assert!(
        running.try_wait().unwrap().is_none(),
        "the run still waits for the forge"
    );
    running.kill().unwrap();
    let output = running.wait_with_output().unwrap();
    assert!(shown, "{}", text(&output.stdout));
    let lines = text(&output.stdout)
        .lines()
        .filter(|line| line.contains("Verified"));
    assert!(lines.count() >= 2, "{}", text(&output.stdout));
    // Whoever asks after the interruption is told what was done.
    assert!(known() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_cannot_be_looked_at_is_no_nothing_to_do() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let first = desk.ran("plan", &[]);
    assert!(
        text(&first.stdout).contains("access open, to end by"),
        "{}",
        all(&first)
    );
    assert_eq!(code(&desk.ran("run", &[])), 0);
    let after = desk.ran("plan", &["--detailed-exitcode", "-o", "json"]);
    assert_eq!(
        (code(&after), &plans(&after)["unknown"]),
        (0, &json!(0)),
        "{}",
        all(&after)
    );
    assert_eq!(plans(&after)["plans"][0]["access"], "gone");
    fs::remove_dir_all(desk.0.join("secrets/forge")).unwrap();
    for more in [&["-o", "json"][..], &["-o", "json", "--detailed-exitcode"]] {
        let plan = desk.ran("plan", more);
        assert_eq!(code(&plan), 1, "{}", all(&plan));
        let shown = plans(&plan);
        assert_eq!(
            (&shown["unknown"], &shown["plans"][0]["unknown"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(shown["plans"][0]["access"], "unknown", "{shown}");
    }
}

#[tokio::test]
async fn what_nobody_could_look_at_is_no_number() {
    let desk = Desk(Scratch::new("desk"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let crm = json!({"definition": "scim", "inputs": {"url": format!("http://{closed}")}, "secretRef": {"name": "crm"}});
    fs::write(desk.0.join("crm.json"), object("Connector", "crm", &crm)).unwrap();
    let jane = json!({"employee": {"email": "jane@example.com"}, "urgency": "Immediate"});
    fs::write(desk.0.join("jane.json"), object("Offboarding", "jane", &jane)).unwrap();
    fs::create_dir_all(desk.0.join("secrets/crm")).unwrap();
    fs::write(desk.0.join("secrets/crm/token"), "x").unwrap();
    fs::write(desk.0.join("secrets/crm/hosts"), crate::support::here()).unwrap();
    let ran = desk.ran("run", &["--wait", "1s"]);
    assert_eq!(code(&ran), 1, "{}", all(&ran));
    assert!(text(&ran.stdout).contains(" ? left"), "{}", all(&ran));
    let status = desk.status(&[]);
    let row = text(&status.stdout).lines().nth(1).unwrap().to_owned();
    assert!(row.split_whitespace().any(|word| word == "?"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_somebody_who_comes_back_shows_what_a_run_sends() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&desk.ran("run", &[])), 0);
    let file = desk.0.join("jane-doe.yaml");
    let jane = fs::read_to_string(&file).unwrap();
    fs::write(&file, jane.replace("desired: Offboarded", "desired: Reinstated")).unwrap();
    let plan = desk.ran("plan", &["--detailed-exitcode"]);
    assert_eq!(code(&plan), 2, "{}", all(&plan));
    assert!(
        text(&plan.stdout).contains("access is given back"),
        "{}",
        all(&plan)
    );
    assert!(
        text(&plan.stdout).contains("+ give back what GroupsLeft took"),
        "{}",
        all(&plan)
    );
    let shown = plans(&desk.ran("plan", &["-o", "json"]));
    let lines = shown["plans"][0]["lines"].as_array().unwrap();
    let requests: u64 = lines
        .iter()
        .filter(|line| line["mark"] == "giveBack")
        .map(|line| line["requests"].as_u64().unwrap())
        .sum();
    assert!(requests >= 14, "{shown}");
    assert_eq!(marked(&shown, "revoke"), 0, "{shown}");
    let ran = desk.ran("run", &[]);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    let after = desk.ran("plan", &["--detailed-exitcode", "-o", "json"]);
    assert_eq!(code(&after), 0, "{}", all(&after));
    assert_eq!(marked(&plans(&after), "giveBack"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_only_observed_is_shown_so_and_is_left_as_it_is() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let forge = desk.0.join("connectors/forge.yaml");
    let manifest = fs::read_to_string(&forge).unwrap();
    assert!(manifest.contains("mode: Enforce"), "{manifest}");
    fs::write(&forge, manifest.replace("mode: Enforce", "mode: Observe")).unwrap();
    let plan = desk.ran("plan", &["-o", "json"]);
    let shown = plans(&plan);
    let lines = shown["plans"][0]["lines"].as_array().unwrap();
    let forge = || lines.iter().filter(|line| line["system"] == "forge");
    assert!(
        forge().any(|line| line["text"].as_str().unwrap().contains("mode: Observe")),
        "{shown}"
    );
    assert!(forge().any(|line| line["mark"] == "person"), "{shown}");
    assert!(forge().all(|line| line["requests"] == 0), "{shown}");

    let ran = desk.ran("run", &["--wait", "10s"]);
    assert_eq!(code(&ran), 3, "{}", all(&ran));
    assert!(
        text(&ran.stdout).contains("jane-doe: ObservedOnly"),
        "{}",
        all(&ran)
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
    let status = desk.status(&["jane-doe", "--exit-status"]);
    assert_eq!(code(&status), 3, "{}", all(&status));
    assert!(
        text(&status.stdout).contains("mode: Observe: read, never changed"),
        "{}",
        all(&status)
    );

    // Once others have ended it there, there is nothing left, and it is still shown as what it is.
    let text_of = fs::read_to_string(desk.0.join("connectors/forge.yaml")).unwrap();
    fs::write(
        desk.0.join("connectors/forge.yaml"),
        text_of.replace("mode: Observe", "mode: Enforce"),
    )
    .unwrap();
    assert_eq!(code(&desk.ran("run", &[])), 0);
    fs::write(desk.0.join("connectors/forge.yaml"), text_of).unwrap();
    let ran = desk.ran("run", &["--wait", "10s"]);
    assert_eq!(code(&ran), 0, "{}", all(&ran));
    assert!(all(&desk.status(&["jane-doe"])).contains("mode: Observe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_a_command_names_next_works() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let elsewhere = Scratch::new("state");
    let state = elsewhere.join("kept");
    let state = state.to_str().unwrap();
    let follow = |said: &Output| {
        let said = text(&said.stderr);
        let next = said
            .split("Next: offboard ")
            .nth(1)
            .unwrap_or_else(|| panic!("{said}"));
        let words: Vec<&str> = next.lines().next().unwrap().split(' ').collect();
        offboard(&words).output().unwrap()
    };
    let run = follow(&desk.ran("plan", &["--state", state]));
    assert_eq!(code(&run), 0, "{}", all(&run));
    let table = follow(&run);
    assert_eq!(code(&table), 0, "{}", all(&table));
    assert!(text(&table.stdout).contains("jane-doe"), "{}", all(&table));
    let tree = follow(&table);
    assert_eq!(code(&tree), 0, "{}", all(&tree));
    assert!(text(&tree.stdout).contains("├─"), "{}", all(&tree));
    let nowhere = offboard(&["status"]).current_dir(&*elsewhere).output().unwrap();
    assert_eq!(code(&nowhere), 1);
    assert!(
        text(&nowhere.stderr).contains("offboard status --state DIR/state"),
        "{}",
        all(&nowhere)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_leaver_is_called_repaints_no_line_and_makes_none() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let named = |name: &str| {
        let jane = fs::read_to_string(desk.0.join("jane-doe.yaml")).unwrap();
        let mut jane: Value = serde_saphyr::from_str(&jane).unwrap();
        jane["spec"]["employee"]["displayName"] = json!("NAME");
        // Spelled out, or the file would not be read at all.
        let spelled: String = name.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let jane = jane.to_string().replace("NAME", &spelled);
        fs::write(desk.0.join("jane-doe.yaml"), jane).unwrap();
    };
    named("Jane Doe");
    let plain = desk.ran("plan", &[]);
    assert!(text(&plain.stdout).contains("Jane Doe"), "{}", all(&plain));
    named(
        "Jane\u{1b}[2J\u{1b}[1A\u{1b}]0;done\u{7}\r\n0 left, access gone\n\u{202e}eoD\u{9b}1A\u{2028}\u{e0041}\u{200b}",
    );
    let lines = |output: &Output| text(&output.stdout).lines().count();
    for more in [&[][..], &["-o", "json"], &["--detailed-exitcode"]] {
        let plan = desk.ran("plan", more);
        let shown = all(&plan);
        let moves = |c: char| {
            c.is_control() && c != '\n'
                || matches!(c, '\u{2028}' | '\u{202a}'..='\u{202e}' | '\u{200b}' | '\u{e0000}'..='\u{e007f}')
        };
        assert!(!shown.contains(moves), "{shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("0 left")), "{shown}");
        if more.is_empty() {
            assert!(shown.contains("Jane\u{fffd}"), "{shown}");
            assert_eq!(lines(&plan), lines(&plain), "{shown}");
        }
    }
    // The same in what is kept and shown later.
    let ran = desk.ran("run", &["--wait", "1s"]);
    let status = all(&ran) + &all(&desk.status(&[]));
    assert!(
        !status.contains('\u{1b}') && !status.contains('\u{202e}'),
        "{status:?}"
    );
}
