//! Who comes back is given back what was taken as the definition said then, whatever it says by now.

use super::*;

/// The ways into the forge that work.
async fn forge(company: &Company) -> Vec<String> {
    let tried = company.attempts(&JANE).await.unwrap();
    let open = tried
        .into_iter()
        .filter(|attempt| attempt.worked && attempt.system == "forge");
    open.map(|attempt| attempt.what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changed_since_gives_back_what_it_took_then() {
    let company = Company::start().await.unwrap();
    let before = forge(&company).await;
    let desk = Desk::of(&company);
    assert_eq!(code(&desk.ran("run", &[])), 0);
    assert!(forge(&company).await.is_empty());

    // Another name, another shape of the snapshot, no way to unblock any more, another read under an old name.
    let path = desk.0.join("definitions/forge.yaml");
    let definition = fs::read_to_string(&path).unwrap();
    let changed = definition
        .replace("KeysDeleted", "KeysGone")
        .replace(
            "reads.keys.map(k, {'title': k.title, 'key': k.key})",
            "reads.keys.map(k, k.key)",
        )
        .replace(
            "json: { title: \"${item.title}\", key: \"${item.key}\" }",
            "json: { key: \"${item}\" }",
        )
        .replace(
            "      undo: [{ patch: \"/users/${account.id}\", json: { blocked: false } }]\n",
            "",
        )
        .replace(
            "teams: { get: \"/users/${account.id}/teams\"",
            "teams: { get: \"/users/${account.id}/keys\"",
        );
    let lines = |text: &str| text.lines().count();
    assert!(lines(&changed) < lines(&definition) && changed.contains("reads.keys.map(k, k.key)"));
    fs::write(&path, &changed).unwrap();

    let leaver = desk.0.join("jane-doe.yaml");
    let jane = fs::read_to_string(&leaver).unwrap();
    fs::write(
        &leaver,
        jane.replace("desired: Offboarded", "desired: Reinstated"),
    )
    .unwrap();
    let back = desk.ran("run", &["--wait", "1m"]);
    let shown = format!("{}{}", text(&back.stdout), text(&back.stderr));
    assert_eq!(code(&back), 0, "{shown}");
    let given_back: Vec<String> = forge(&company).await;
    let keys = |ways: &[String]| ways.iter().filter(|way| way.contains("key")).count();
    assert!(
        keys(&before) > 0 && keys(&given_back) == keys(&before),
        "{given_back:?}"
    );
    assert!(
        given_back.iter().any(|way| way.contains("password")),
        "{given_back:?}"
    );

    // What is done stays in sight, also of a fact that no definition knows by now, and nothing is given back twice.
    for _ in 0..2 {
        let status = fs::read_to_string(desk.leaver().join("status.json")).unwrap();
        let status: Value = serde_json::from_str(&status).unwrap();
        let rows = status["systems"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == "forge").unwrap();
        let reason = |fact: &str| {
            let conditions = row["conditions"].as_array().unwrap();
            let condition = conditions.iter().find(|c| c["type"] == fact);
            condition.unwrap_or_else(|| panic!("no {fact} in {row}"))["reason"].clone()
        };
        for fact in ["KeysDeletedUndone", "AccountBlockedUndone", "TeamsLeftUndone"] {
            assert_eq!(reason(fact), "Verified", "{fact}");
        }
        let again = desk.ran("run", &["--wait", "1m"]);
        assert_eq!(code(&again), 0, "{}", text(&again.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_protected_by_now_is_not_given_back() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    assert_eq!(code(&desk.ran("run", &[])), 0);
    let rewrite = |file: &str, from: &str, to: &str| {
        let path = desk.0.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let protect = format!("spec:\n  protected: [{:?}]", JANE.handle);
    rewrite("connectors/forge.yaml", "spec:", &protect);
    rewrite("jane-doe.yaml", "desired: Offboarded", "desired: Reinstated");
    let back = desk.ran("run", &["--wait", "20s"]);
    let shown = format!("{}{}", text(&back.stdout), text(&back.stderr));
    assert_eq!(code(&back), 3, "{shown}");
    assert!(shown.contains("Protected"), "{shown}");
    assert_eq!(forge(&company).await, [""; 0], "{shown}");
}
