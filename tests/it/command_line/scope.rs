//! What has to be proven does not shrink with the manifests.

use super::*;

/// The conditions of one row of the only leaver's status, as `Type=Status/Reason`.
fn row(desk: &Desk, name: &str) -> Vec<String> {
    let text = fs::read_to_string(desk.leaver().join("status.json")).unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    let rows = status["systems"].as_array().unwrap();
    let row = rows
        .iter()
        .find(|row| row["name"] == name)
        .expect("the row stays");
    let conditions = row["conditions"].as_array().unwrap().iter();
    conditions
        .map(|c| format!("{}={}/{}", c["type"], c["status"], c["reason"]).replace('"', ""))
        .collect()
}

/// A run that waits no longer than this for what only a person can mend.
fn run(desk: &Desk) -> Output {
    desk.ran("run", &["--wait", "5s"])
}

#[test]
fn without_any_system_nobody_is_offboarded() {
    let desk = Desk(Scratch::new("desk"));
    let write = |kind: &str, name: &str, spec: Value| {
        let about = json!({"name": name});
        let object =
            json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": about, "spec": spec});
        fs::write(desk.0.join(format!("{kind}.json")), object.to_string()).unwrap();
    };
    let employee = json!({"email": "jane@example.com"});
    write(
        "Offboarding",
        "jane",
        json!({"employee": employee, "urgency": "Immediate"}),
    );
    let stopped = |why: &str| {
        let ended = run(&desk);
        let shown = text(&ended.stdout);
        assert_eq!(code(&ended), 3, "{shown}{}", text(&ended.stderr));
        assert!(
            shown.contains("jane: NoSystems") && shown.contains(why),
            "{shown}"
        );
    };
    stopped("no Connector is known");

    let badge = json!({"definition": "manual", "inputs": {"title": "Collect the badge"}});
    write("Connector", "badge", badge);
    let nobodys = json!({"matchLabels": {"team": "nobodys"}});
    write("OffboardingPolicy", "default", json!({"connectors": nobodys}));
    stopped("policy.spec.connectors.matchLabels: selects none of 1 Connectors");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_whose_connector_was_deleted_stays_to_be_proven() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&run(&desk)), 0);
    let forge = desk.0.join("connectors/forge.yaml");
    let manifest = fs::read(&forge).unwrap();
    fs::remove_file(&forge).unwrap();

    let ended = run(&desk);
    let shown = text(&ended.stdout);
    assert_eq!(code(&ended), 3, "{shown}");
    assert!(shown.contains("ConnectorGone"), "{shown}");
    let conditions = row(&desk, "forge");
    assert!(
        conditions
            .iter()
            .any(|c| c == "AccountBlocked=Unknown/ConnectorGone"),
        "{conditions:?}"
    );

    fs::write(&forge, manifest).unwrap();
    let ended = run(&desk);
    assert_eq!(code(&ended), 0, "{}", text(&ended.stdout));
    assert!(row(&desk, "forge").contains(&"AccountBlocked=True/Verified".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_a_connector_skips_from_now_on_stays_to_be_proven() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&run(&desk)), 0);
    let forge = desk.0.join("connectors/forge.yaml");
    let manifest = fs::read_to_string(&forge).unwrap();
    fs::write(
        &forge,
        manifest.replace("spec:", "spec:\n  facts: { skip: [TokensDeleted] }"),
    )
    .unwrap();
    let ended = run(&desk);
    assert_eq!(code(&ended), 3, "{}{}", text(&ended.stdout), text(&ended.stderr));
    let conditions = row(&desk, "forge");
    let plan = desk.ran("plan", &["--detailed-exitcode"]);
    let shown = text(&plan.stdout);
    assert_eq!(code(&plan), 1, "{shown}");
    assert!(shown.contains("FactGone"), "{shown}");
    assert!(
        conditions.contains(&"TokensDeleted=Unknown/FactGone".to_owned()),
        "{conditions:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_bound_in_one_system_changes_nothing_in_another() {
    let (company, elsewhere) = (Company::start().await.unwrap(), Company::start().await.unwrap());
    let desk = Desk::of(&company);
    assert_eq!(code(&run(&desk)), 0);
    let before = ways_in(&elsewhere).await;
    assert!(before > 0);
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    elsewhere.manifests(&now).unwrap().write(&desk.0).unwrap();
    let ended = run(&desk);
    let shown = text(&ended.stdout);
    assert_eq!(code(&ended), 3, "{shown}");
    assert!(shown.contains("SystemChanged"), "{shown}");
    assert_eq!(ways_in(&elsewhere).await, before, "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_only_plans_says_that_access_is_open() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let policy = desk.0.join("policy.yaml");
    let manifest = fs::read_to_string(&policy).unwrap();
    assert!(manifest.contains("enforcement: Enforce"), "{manifest}");
    fs::write(
        &policy,
        manifest.replace("enforcement: Enforce", "enforcement: Plan"),
    )
    .unwrap();
    let before = ways_in(&company).await;
    let ran = run(&desk);
    assert_eq!(code(&ran), 3, "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(code(&desk.status(&["--exit-status"])), 3);
    assert_eq!(ways_in(&company).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_offboarded_who_keeps_everything_or_is_suspended() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let leaver = desk.0.join("jane-doe.yaml");
    let manifest = fs::read_to_string(&leaver).unwrap();
    fs::write(&leaver, manifest.replace("suspend: false", "suspend: true")).unwrap();
    let ran = run(&desk);
    assert_eq!(code(&ran), 3, "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert_eq!(code(&desk.status(&["--exit-status"])), 3);
    let names = fs::read_dir(desk.0.join("connectors")).unwrap();
    let names = names.map(|entry| {
        entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    });
    let kept = names.map(|name| format!("{{connector: {name}, until: '2099-01-31', reason: works on}}"));
    let kept = format!("spec:\n  exceptions: [{}]", kept.collect::<Vec<_>>().join(", "));
    fs::write(&leaver, manifest.replace("spec:", &kept)).unwrap();
    for command in ["plan", "run"] {
        let ran = desk.ran(command, &["--wait", "5s"][..if command == "run" { 2 } else { 0 }]);
        let shown = text(&ran.stdout);
        assert!(shown.contains("no system is asked to end any access"), "{shown}");
    }
    assert_eq!(code(&run(&desk)), 3);
    assert!(ways_in(&company).await > 0);
}
