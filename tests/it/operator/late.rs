//! What is not done in time is shown, told by an Event and told to people, each once.

use super::site::{PATIENCE, Site};
use crate::{
    notify::channels::{Channels, notified, policy},
    support::poll,
};

const JANE: &str = "offboarding/leaver-1";

#[tokio::test(flavor = "multi_thread")]
async fn a_task_and_a_hand_over_that_are_late_are_shown_and_told_once() {
    let channels = Channels::open().await;
    let site = Site::new("late");
    site.apply(
        "{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {name: desk}, spec: {definition: manual, inputs: \
         {tasks: [{fact: FilesCopied, class: Data, title: Copy the files, dueIn: 2s}]}}}",
    );
    site.policy(&policy("Overdue").replacen('{', "{deadlines: {dataTransferred: 6s}, ", 1));
    let mut operator = channels.start(&site, "offboard-0");
    site.offboarding(
        "leaver-1",
        "{employee: {email: jane@example.com}, reference: HR-2291, urgency: Immediate}",
    );
    let overdue = || site.get(JANE)["status"]["gates"][0]["overdue"].is_string();
    assert!(
        poll(PATIENCE, overdue),
        "{:#}\n{}",
        site.get(JANE)["status"],
        operator.log()
    );
    let message = site.until(JANE, "DataTransferred", "False/DeadlineExceeded");
    assert_eq!(message, "1 left");
    // Somebody is waited for, and nothing else.
    site.until(JANE, "Ready", "False/AwaitingManualTask");
    let status = site.get(JANE)["status"].clone();
    assert!(status["dataDeadline"].as_str() > status["cutoff"].as_str());
    let events = || site.get("events.events.k8s.io").to_string();
    let told = || events().contains("ManualTaskOverdue") && events().contains("DataOverdue");
    assert!(poll(PATIENCE, told), "{}", events());
    let got = |word: &str, times: usize| channels.got(word).values().all(|got| *got == times);
    let both = || got("manual task for", 1) && got("not handed over on time", 1);
    assert!(
        poll(PATIENCE, both),
        "{:#?}\n{}",
        notified(&site, JANE),
        operator.log()
    );
    let sent = || {
        let all = notified(&site, JANE);
        all.len() == 8 && all.iter().all(|notice| notice[2] == "Sent")
    };
    assert!(poll(PATIENCE, sent), "{:#?}", notified(&site, JANE));
    operator.kill();
    operator = channels.start(&site, "offboard-0");
    assert!(poll(PATIENCE, || operator.http("/readyz").contains("200 OK")));
    // Something changes, and it is looked at again.
    let patch = r#"{"spec": {"reason": "Resignation"}}"#;
    site.kubectl(&["patch", JANE, "--type=merge", "-p", patch], "")
        .expect_ok();
    let seen = || {
        let jane = site.get(JANE);
        jane["status"]["observedGeneration"] == jane["metadata"]["generation"]
    };
    assert!(poll(PATIENCE, seen), "{}", operator.log());
    assert!(both() && sent(), "{:#?}", notified(&site, JANE));
    for reason in ["ManualTaskOverdue", "DataOverdue"] {
        assert_eq!(
            events().matches(&format!("\"reason\":\"{reason}\"")).count(),
            1,
            "{reason}"
        );
    }
}
