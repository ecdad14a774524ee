//! One leaver from apply to proof, and what the operator writes meanwhile.

use super::site::{PASSWORD, Site, application, logs_in};

const WITH_THREADS: &str = "the operator and kubectl run while the application answers";

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_is_offboarded_and_cannot_log_in_any_more() {
    let (crm, id) = application("jane@example.com").await;
    let _stays = crm.add_user("sam@example.com", None, PASSWORD);
    assert!(logs_in(&crm, "jane@example.com"), "{WITH_THREADS}");
    let site = Site::new("job");
    site.connect("crm", &crm);
    let operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.kubectl(
        &[
            "wait",
            "offboarding/leaver-1",
            "--for=condition=Ready",
            "--timeout=60s",
        ],
        "",
    )
    .expect_ok();
    assert_eq!(crm.is_active(&id), Some(false));
    assert!(!logs_in(&crm, "jane@example.com"));
    assert!(logs_in(&crm, "sam@example.com"));
    site.until("offboarding/leaver-1", "AccessRevoked", "True/Verified");
    site.until("connector/crm", "Ready", "True/LoginOK");

    let records = site.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["metadata"]["ownerReferences"], serde_json::Value::Null);
    let status = &site.get("offboarding/leaver-1")["status"];
    assert_eq!(status["evidence"]["record"], records[0]["metadata"]["name"]);
    assert_eq!(status["evidence"]["head"], records[0]["spec"]["head"]);
    assert_eq!(records[0]["spec"]["systems"]["crm"]["account"]["id"], id);

    let writes = site.writes();
    let about: Vec<_> = writes
        .iter()
        .filter(|w| !w.resource.starts_with("connectors"))
        .collect();
    assert!(about.len() <= 4, "{about:#?}");
    assert!(about.iter().all(|w| w.status < 300), "{about:#?}");
    let log = operator.log();
    assert!(log.contains("offboard::audit"), "{log}");
    assert!(!log.contains("jane@") && !log.contains("leaver-1"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_only_plans_changes_nothing() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("plans");
    site.connect("crm", &crm);
    site.policy("{enforcement: Plan}");
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/PlanOnly");
    let changed = crm.control().journal().iter().any(|entry| entry.changes());
    assert!(!changed);
    assert_eq!(crm.is_active(&id), Some(true));
    assert!(logs_in(&crm, "jane@example.com"), "{WITH_THREADS}");
}
