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
    stopped("there is no Connector here");

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
