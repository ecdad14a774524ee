//! Access that comes back between two runs.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn access_that_comes_back_between_two_runs_is_ended_counted_and_told_and_not_for_ever() {
    let company = Company::start().await.unwrap();
    let desk = Desk::of(&company);
    let run = || desk.ran("run", &["--wait", "30s"]);
    let first = run();
    assert_eq!(code(&first), 0, "{}", text(&first.stdout));
    let rows = || {
        let text = fs::read_to_string(desk.leaver().join("status.json")).unwrap();
        let status: Value = serde_json::from_str(&text).unwrap();
        status["systems"].clone()
    };
    let condition = |system: &str| {
        let rows = rows();
        let mut rows = rows.as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == system).unwrap();
        let conditions = row["conditions"].as_array().unwrap().iter();
        let mut told = conditions.filter(|c| c["message"].to_string().contains("restored by somebody else"));
        told.next().cloned()
    };
    let mut stamp = String::new();
    for times in ["once", "2 times"] {
        let system = company.tamper();
        let ended = run();
        let shown = text(&ended.stdout);
        assert_eq!(code(&ended), 4, "{shown}");
        let told = format!("restored by somebody else {times}");
        assert!(shown.contains(&told), "{shown}");
        let row = condition(system).expect("the row says it");
        assert_eq!((&row["status"], &row["message"]), (&json!("True"), &json!(told)));
        assert_ne!(
            row["lastTransitionTime"], stamp,
            "it is gone since another moment"
        );
        row["lastTransitionTime"].as_str().unwrap().clone_into(&mut stamp);
        // A run that finds nothing new has nothing to say.
        assert_eq!(code(&run()), 0);
    }
    let system = company.tamper();
    let ended = run();
    assert_eq!(code(&ended), 4, "{}", text(&ended.stdout));
    let row = condition(system).expect("the row says it");
    assert_eq!(row["reason"], "ControllerConflict", "{row}");
}
