//! What HR's list says that may not be so.

use serde_json::{Value, json};

use super::{
    staff::{EVERYWHERE, NOWHERE},
    story::{NOBODY, NOTHING, Story},
};

const COLUMNS: &str = "person,contract,employee_id,email,name,kind,status,reason,start,last_day,contract_ends,time_zone,manager\n";

/// A thousand people, of whom these many leave: the first three days ago, the others in five days.
fn layoff(story: &Story, leaving: u32) -> String {
    let day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    };
    let (gone, going) = (day(-3), day(5));
    let tag = &story.staff.tag;
    let row = |n: u32| {
        let ends = match n {
            0 => gone.as_str(),
            n if n < leaving => going.as_str(),
            _ => "",
        };
        let login = if n == 0 {
            "jane.doe".to_owned()
        } else {
            format!("person{n}")
        };
        format!(
            "p{n},1,{n:04},{login}.{tag}@example.com,Person {n},Employee,Active,,,{ends},,Europe/Berlin,\n"
        )
    };
    COLUMNS.to_owned() + &(0..1000).map(row).collect::<String>()
}

/// The same by the administrator who runs the test.
fn as_admin(approval: &str) -> String {
    let mut approval: Value = serde_saphyr::from_str(approval).unwrap();
    approval["spec"]["approver"] = json!("admin");
    approval.to_string()
}

#[test]
fn layoff_of_200_trips_the_guard_and_one_approval_of_exactly_that_set_lets_it_through() {
    let mut story = Story::open("layoff-of-200", &["jane.doe"]);
    story.export_whole(&layoff(&story, 200));
    story.begin();
    story.next("kubectl get leaversources");
    story.next("kubectl get leaversource");
    assert_eq!(
        story.site.condition("leaversource/hr", "Stalled").0,
        "True/GuardTripped"
    );
    let shown = story.next("kubectl get leaversource");
    let (uid, plan) = shown.split_once(' ').unwrap();
    // Of another set, and of an earlier source of that name.
    let text = story.read("later/approval.yaml");
    for wrong in [text.replace(NOBODY, uid), text.replace(NOTHING, plan)] {
        story
            .site
            .kubectl(&["create", "-f", "-"], &as_admin(&wrong))
            .expect_ok();
    }
    // One leaver more: the yes is for another set.
    story.export_whole(&layoff(&story, 201));
    story.until(|| story.source()["counts"]["held"] == 201);
    story.fill_approval("later/approval.yaml", uid, plan);
    story.next("kubectl create");
    story.site.until("leaversource/hr", "Ready", "False/GuardTripped");
    assert_eq!(story.leavers(), [""; 0]);
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    story.export_whole(&layoff(&story, 200));
    story.next("kubectl get leaversources");
    assert_eq!(story.leavers().len(), 200);
    story.until(|| story.staff.gets_in("jane.doe") == NOWHERE);
    let guard = story.source()["guard"].clone();
    assert_eq!(
        (&guard["released"], &guard["held"], &guard["admitted"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let writes = story.site.writes();
    let made = writes
        .iter()
        .filter(|w| w.resource == "offboardings" && w.status < 300);
    assert_eq!(made.count(), 200);
    let statuses = writes.iter().filter(|w| w.resource == "leaversources/status");
    assert!(
        statuses.clone().count() <= 12,
        "{:#?}",
        statuses.collect::<Vec<_>>()
    );
    // What was approved took no room: tomorrow's leavers go through by themselves.
    story.export_whole(&layoff(&story, 201));
    story.until(|| story.leavers().len() == 201);
    story.end();
}

#[test]
fn hr_feed_empty_changes_nothing_and_says_so() {
    let mut story = Story::open("hr-feed-empty", &["jane.doe"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leaversources");
    let before = story.leaver("leaver-0117")["spec"].clone();
    story.export_whole(&story.read("workers-empty.csv").replace("TRAILER,0\n", ""));
    story.next("kubectl get leaversource");
    assert_eq!(story.source()["guard"]["tripped"], "Empty");
    assert_eq!(story.leaver("leaver-0117")["spec"], before);
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    story.export("workers.csv");
    story.site.until("leaversource/hr", "Ready", "True/Synced");
    assert_eq!(story.leavers(), ["leaver-0117"]);
    story.end();
}

#[test]
fn source_and_git_both_mean_one_object_and_git_wins() {
    let mut story = Story::open("source-and-git", &["jane.doe", "joe.ray"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    story.next("kubectl get leaversource");
    story.next("kubectl apply");
    story.next("kubectl get leavers");
    // From now on the source only says that the days differ.
    story.until(|| story.source()["counts"]["asked"] == 2);
    assert_eq!(story.leavers(), ["jane-doe", "leaver-0118"]);
    let writes = story.site.writes();
    let made: Vec<_> = writes
        .iter()
        .filter(|w| w.resource == "offboardings" && w.status < 300)
        .collect();
    assert_eq!(made.len(), 1, "only the one that it made: {made:#?}");
    let events = || story.site.get("events.events.k8s.io").to_string();
    story.until(|| events().contains("SourceDiffers"));
    for name in ["jane.doe", "joe.ray"] {
        assert_eq!(story.staff.gets_in(name), EVERYWHERE);
    }
    assert_eq!(
        story.leaver("leaver-0118")["spec"]["employee"]["displayName"],
        json!("Joe Ray")
    );
    story.end();
}
