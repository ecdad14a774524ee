//! Who is in a held set is read by those who may decide, exactly, while it is held; and by nobody else.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use super::{
    guarded::{held, layoff},
    office::{Office, SOURCE, ending, in_days, staff, with},
};
use crate::{operator::site::PATIENCE, support::poll};

/// `offboard held hr` with the rights of `kubeconfig`.
fn shown(office: &Office, kubeconfig: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_offboard"))
        .args(["held", "hr", "-n", &office.site.namespace])
        .args(more)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The people of the listing, by number and kind of change, once it is of the set that is held now.
fn listed(office: &Office, kubeconfig: &Path) -> BTreeSet<(String, String)> {
    let ran = shown(office, kubeconfig, &["-o", "json"]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let set: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(set["plan"], office.status()["guard"]["held"]);
    let of = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let changes = set["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|one| (of(one, "employeeID"), of(one, "change")))
        .collect()
}

fn numbers(from: u32, to: u32, change: &str) -> BTreeSet<(String, String)> {
    (from..to)
        .map(|number| (format!("{number:04}"), change.to_owned()))
        .collect()
}

fn sets(office: &Office) -> Vec<Value> {
    office.site.get("heldsets")["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_decide_reads_exactly_who_is_held_until_it_is_released() {
    let office = Office::new("listed").await;
    let few = layoff(20);
    let day = few[0]["ends"].as_str().unwrap();
    office.hr.has(&few);
    office.source("");
    office.site.user_roles();
    let viewer = office.site.person("viewer", "offboarding-viewer");
    let approver = office.site.person("approver", "offboarding-approver");
    let operator = office.site.start();
    let message = office.until("False/GuardTripped");
    let command = format!("who: offboard held hr -n {}", office.site.namespace);
    assert!(message.contains(&command), "{message}");
    assert_eq!(listed(&office, &approver), numbers(0, 20, "New"));
    let page = text(&shown(&office, &approver, &[]).stdout);
    assert!(page.contains("Person 7"), "{page}");
    assert!(page.contains(day), "{page}");
    let ran = shown(&office, &viewer, &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        text(&ran.stderr).contains("offboarding-approver"),
        "{}",
        text(&ran.stderr)
    );
    // Another set is another listing, and the only one.
    let mut people = layoff(21);
    people[20] = with(people[20].clone(), "now", true);
    office.hr.has(&people);
    let grown = || office.status()["counts"]["held"] == 21;
    assert!(poll(PATIENCE, grown), "{}", office.status());
    assert_eq!(listed(&office, &approver), numbers(0, 21, "New"));
    assert_eq!(sets(&office).len(), 1);
    let page = text(&shown(&office, &approver, &[]).stdout);
    assert!(
        page.contains("1 END ACCESS NOW") && page.contains("NOW"),
        "{page}"
    );
    // Nowhere else is anybody named.
    for what in [SOURCE, "events.events.k8s.io"] {
        let said = office.site.get(what).to_string();
        assert!(!said.contains("person3@") && !said.contains("Person 3"), "{said}");
    }
    assert!(!operator.log().contains("person3@"), "{}", operator.log());
    let (digest, uid) = held(&office);
    assert_eq!(
        sets(&office)[0]["metadata"]["ownerReferences"][0]["uid"].as_str(),
        Some(uid.as_str())
    );
    office.approve(&digest, &uid);
    office.until("True/Synced");
    assert!(poll(PATIENCE, || sets(&office).is_empty()), "{:?}", sets(&office));
    let ran = shown(&office, &approver, &[]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(
        text(&ran.stderr).contains("holds nothing"),
        "{}",
        text(&ran.stderr)
    );
    // The Offboardings that moved are named as what they are, with the day that they had.
    let moved = (0..20).map(|number| ending(number, &in_days(9)));
    let others = people[20..].iter().cloned();
    office.hr.has(&moved.chain(others).collect::<Vec<_>>());
    office.until("False/GuardTripped");
    assert_eq!(listed(&office, &approver), numbers(0, 20, "Moved"));
    assert_eq!(sets(&office)[0]["spec"]["changes"][3]["was"], day);
    // HR put it right: nothing is held any more.
    office.hr.has(&people);
    office.until("True/Synced");
    assert!(poll(PATIENCE, || sets(&office).is_empty()), "{:?}", sets(&office));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_somebody_changed_is_not_shown_and_one_that_is_gone_is_written_anew() {
    let office = Office::new("altered").await;
    office.hr.has(&staff(100));
    office.source("");
    office.site.user_roles();
    let approver = office.site.person("approver", "offboarding-approver");
    let operator = office.site.start();
    office.until("True/Synced");
    // Half of them are missing: nothing changes but that, and a person is asked.
    office.hr.has(&staff(50));
    office.until("False/GuardTripped");
    let page = text(&shown(&office, &approver, &[]).stdout);
    assert!(page.contains("had 100 people and has 50"), "{page}");
    let name = sets(&office)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let patch = r#"{"spec": {"shrunken": {"before": 100, "now": 99}}}"#;
    office
        .site
        .kubectl(&["patch", "heldset", &name, "--type=merge", "-p", patch], "")
        .expect_ok();
    let ran = shown(&office, &approver, &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        text(&ran.stderr).contains("somebody has changed"),
        "{}",
        text(&ran.stderr)
    );
    office.site.kubectl(&["delete", "heldset", &name], "").expect_ok();
    let again = || shown(&office, &approver, &[]).status.success();
    assert!(poll(PATIENCE, again), "{}", operator.log());
}
