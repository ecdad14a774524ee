use serde_json::{Value, json};

use super::*;
use crate::api::{offboarding::OffboardingSpec, policy::OffboardingPolicySpec};

/// One leaver whose status can be changed.
struct Scene {
    spec: Value,
    policy: Value,
    status: Value,
    evidence: Vec<Entry>,
    notified: Vec<Notice>,
    now: Timestamp,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn condition(type_: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "crm: F Failed", "lastTransitionTime": since})
}

impl Scene {
    /// Everybody wants to know everything; the cutoff is at 15:00.
    fn new() -> Self {
        let all = json!([
            "Scheduled",
            "ApprovalNeeded",
            "Overdue",
            "Drift",
            "Stalled",
            "Offboarded",
            "Reinstated",
            "GuardTripped"
        ]);
        Self {
            spec: json!({"employee": {"email": "jane@example.com"}, "lastDay": "2026-09-30"}),
            policy: json!({"notify": [{"channel": "it", "events": all}]}),
            status: json!({
                "cutoff": "2026-09-30T15:00:00Z", "deadline": "2026-09-30T16:00:00Z",
                "dataDeadline": "2026-10-07T15:00:00Z",
            }),
            evidence: vec![],
            notified: vec![],
            now: at("2026-09-30T15:00:30Z"),
        }
    }

    fn shows(mut self, conditions: &[Value]) -> Self {
        self.status["conditions"] = json!(conditions);
        self
    }

    fn gate(mut self, gate: &str, plan: &str, state: &str) -> Self {
        self.status["gates"] = json!([{
            "gate": gate, "plan": plan, "state": state, "approvals": "0/1", "since": "2026-09-30T15:00:00Z"
        }]);
        self
    }

    fn known<T>(&self, ask: impl FnOnce(&Known<'_>) -> T) -> T {
        let spec: OffboardingSpec = serde_json::from_value(self.spec.clone()).unwrap();
        let policy: OffboardingPolicySpec = serde_json::from_value(self.policy.clone()).unwrap();
        let mut status: OffboardingStatus = serde_json::from_value(self.status.clone()).unwrap();
        status.notified.clone_from(&self.notified);
        ask(&Known {
            uid: "uid-1",
            spec: &spec,
            policy: &policy,
            status: &status,
            evidence: &self.evidence,
            now: self.now,
        })
    }

    /// What is told now that was not told before: event and what about.
    fn tells(&mut self) -> Vec<String> {
        let all = self.known(|known| notices(known, |_| true));
        let before: Vec<_> = self.notified.iter().map(|n| n.key.clone()).collect();
        let new = all.iter().filter(|n| !before.contains(&n.key));
        let told = new
            .map(|n| format!("{:?} {}", n.event, n.about).trim().to_owned())
            .collect();
        self.notified = all;
        // All of it gets out.
        for notice in &mut self.notified {
            notice.state = NoticeState::Sent;
        }
        told
    }

    fn later(&mut self, text: &str) {
        self.now = at(text);
    }
}

#[test]
fn a_leaver_is_announced_once_for_each_cutoff() {
    let mut scene = Scene::new().shows(&[condition("Ready", "True", "Scheduled", "2026-09-01T00:00:00Z")]);
    scene.later("2026-09-01T00:00:00Z");
    assert_eq!(scene.tells(), ["Scheduled"]);
    scene.later("2026-09-02T00:00:00Z");
    assert!(scene.tells().is_empty());
    scene.status["cutoff"] = json!("2026-10-15T15:00:00Z");
    assert_eq!(scene.tells(), ["Scheduled"]);
    scene.later("2026-10-15T15:00:00Z");
    assert!(scene.tells().is_empty());
}

#[test]
fn the_key_of_a_piece_of_news_does_not_depend_on_when_it_was_noticed() {
    let stalled = [condition("Stalled", "True", "Ambiguous", "2026-09-30T15:00:01Z")];
    let keys = |now: &str| {
        let mut scene = Scene::new().shows(&stalled).gate("Delete", "sha256:1", "Waiting");
        scene.later(now);
        let mut keys: Vec<_> = scene.known(|known| notices(known, |_| true));
        keys.sort_by(|a, b| a.key.cmp(&b.key));
        keys.into_iter().map(|n| n.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("2026-09-30T15:00:05Z"), keys("2026-09-30T15:58:00Z"));
    assert_eq!(keys("2026-09-30T15:00:05Z").len(), 2);
}

#[test]
fn who_does_not_say_yes_is_reminded_and_then_others_are_asked_too() {
    let mut scene = Scene::new().gate("Delete", "sha256:77ab03c1", "Waiting");
    scene.policy["gates"] = json!([{
        "gate": "Delete", "remindEvery": "1d", "escalation": {"after": "36h", "approvers": [{"user": "carol"}]}
    }]);
    let first = "ApprovalNeeded Delete: plan sha256:77ab03c1, 0/1 so far";
    assert_eq!(scene.tells(), [first]);
    assert_eq!(scene.known(wake), Some(at("2026-10-01T15:00:00Z")));
    scene.later("2026-10-01T14:59:59Z");
    assert!(scene.tells().is_empty());
    scene.later("2026-10-01T15:00:00Z");
    assert_eq!(scene.tells(), [first]);
    assert_eq!(scene.known(wake), Some(at("2026-10-02T03:00:00Z")));
    scene.later("2026-10-02T03:00:00Z");
    assert_eq!(scene.tells(), [format!("{first}, asked too: carol")]);
    // Nobody was there for three days: one reminder, not three.
    scene.later("2026-10-05T16:00:00Z");
    assert_eq!(scene.tells().len(), 1);
    // Another plan is another question.
    scene = scene.gate("Delete", "sha256:00000000", "Waiting");
    assert_eq!(scene.tells().len(), 1);
    scene = scene.gate("Delete", "sha256:00000000", "Open");
    assert!(scene.tells().is_empty());
    assert_eq!(scene.known(wake), None);
}

#[test]
fn what_is_late_is_told_every_day_until_it_is_done() {
    let left = |reason| condition("AccessRevoked", "False", reason, "2026-09-30T15:00:00Z");
    let mut scene = Scene::new().shows(&[
        condition("Ready", "False", "Revoking", "2026-09-30T15:00:00Z"),
        left("Revoking"),
    ]);
    assert!(scene.tells().is_empty());
    assert_eq!(scene.known(wake), Some(at("2026-09-30T16:00:01Z")));
    scene.later("2026-09-30T16:00:01Z");
    assert_eq!(scene.tells(), ["Overdue Access: crm: F Failed"]);
    assert_eq!(scene.known(wake), Some(at("2026-10-01T16:00:00Z")));
    scene.later("2026-10-01T15:59:00Z");
    assert!(scene.tells().is_empty());
    scene.later("2026-10-01T16:00:00Z");
    assert_eq!(scene.tells().len(), 1);
    scene = scene.shows(&[
        condition("AccessRevoked", "True", "Verified", "2026-10-01T16:30:00Z"),
        condition("DataTransferred", "False", "InProgress", "2026-09-30T15:00:00Z"),
    ]);
    scene.later("2026-10-07T14:00:00Z");
    assert!(scene.tells().is_empty());
    scene.later("2026-10-07T15:00:01Z");
    assert_eq!(scene.tells(), ["Overdue Data:"]);
}

#[test]
fn an_end_that_was_reached_long_ago_is_no_news() {
    let ended = |since| {
        Scene::new().shows(&[
            condition("Ready", "True", "Offboarded", since),
            condition("AccessRevoked", "True", "Verified", since),
        ])
    };
    let mut scene = ended("2026-09-30T15:00:10Z");
    assert_eq!(scene.tells(), ["Offboarded"]);
    // Given back and taken again: the end was told already.
    scene = Scene {
        notified: scene.notified,
        ..ended("2026-09-30T15:30:00Z")
    };
    scene.later("2026-09-30T15:31:00Z");
    assert!(scene.tells().is_empty());
    let mut scene = ended("2026-01-30T15:00:10Z");
    assert!(scene.tells().is_empty());
}

#[test]
fn access_that_came_back_is_told_once_each_time_even_if_it_is_gone_again() {
    let entry = |at_, digest: &str, system: &str, event: &str| Entry {
        at: at(at_),
        system: system.into(),
        fact: "AccountDisabled".into(),
        event: event.into(),
        account: "7".into(),
        digest: digest.into(),
    };
    let mut scene = Scene::new();
    scene.evidence = vec![
        entry("2026-09-30T15:00:00Z", "a", "crm", "Verified"),
        entry("2026-09-30T16:00:00Z", "b", "crm/adm-jane", "Drifted"),
        entry("2026-09-30T16:00:01Z", "c", "wiki", "Drifted"),
        entry("2026-09-30T16:00:02Z", "d", "wiki", "Verified"),
    ];
    scene.later("2026-09-30T16:01:00Z");
    assert_eq!(
        scene.tells(),
        ["Drift crm: AccountDisabled, wiki: AccountDisabled"]
    );
    assert!(scene.tells().is_empty());
    scene
        .evidence
        .push(entry("2026-09-30T16:10:00Z", "e", "crm", "Drifted"));
    scene.later("2026-09-30T16:11:00Z");
    assert_eq!(scene.tells(), ["Drift crm: AccountDisabled"]);
}

#[test]
fn somebody_who_comes_and_goes_waiting_for_a_person_is_not_told_of_each_time() {
    let stalled = |reason, since| condition("Stalled", "True", reason, since);
    let mut scene = Scene::new().shows(&[stalled("Ambiguous", "2026-09-30T15:00:01Z")]);
    assert_eq!(scene.tells(), ["Stalled Ambiguous: crm: F Failed"]);
    scene = scene.shows(&[stalled("Ambiguous", "2026-09-30T15:10:00Z")]);
    scene.later("2026-09-30T15:10:00Z");
    assert!(scene.tells().is_empty());
    scene = scene.shows(&[stalled("PermissionDenied", "2026-09-30T15:20:00Z")]);
    scene.later("2026-09-30T15:20:00Z");
    assert_eq!(scene.tells(), ["Stalled PermissionDenied: crm: F Failed"]);
    scene = scene.shows(&[stalled("Ambiguous", "2026-09-30T16:10:00Z")]);
    scene.later("2026-09-30T16:10:00Z");
    assert_eq!(scene.tells().len(), 1);
}

#[test]
fn a_plan_and_a_suspended_leaver_tell_nothing() {
    let stalled = [condition("Stalled", "True", "Ambiguous", "2026-09-30T15:00:01Z")];
    let mut scene = Scene::new().shows(&stalled);
    scene.policy["enforcement"] = json!("Plan");
    assert!(scene.tells().is_empty());
    let mut scene = Scene::new().shows(&stalled);
    scene.spec["suspend"] = json!(true);
    assert!(scene.tells().is_empty());
}

#[test]
fn each_channel_is_told_once_and_one_that_is_not_there_is_shown() {
    let mut scene = Scene::new().shows(&[condition("Stalled", "True", "Ambiguous", "2026-09-30T15:00:01Z")]);
    scene.policy["notify"] = json!([
        {"channel": "hr", "events": ["Stalled"], "audience": "Hr"},
        {"channel": "hr", "events": ["Stalled", "Drift"]},
        {"channel": "nowhere", "events": ["Stalled"]},
    ]);
    let all = scene.known(|known| notices(known, |channel| channel == "hr"));
    let shown: Vec<_> = all
        .iter()
        .map(|n| (n.channel.as_str(), n.audience, n.state, n.reason.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [
            ("hr", Audience::Hr, NoticeState::Due, None),
            ("nowhere", Audience::It, NoticeState::Failed, Some("NoChannel")),
        ]
    );
    assert_ne!(all[0].key, all[1].key);
}

#[test]
fn what_is_over_is_forgotten_in_the_end_and_nothing_of_it_is_told_again() {
    let mut scene = Scene::new()
        .gate("Transfer", "sha256:1", "Waiting")
        .shows(&[condition(
            "AccessRevoked",
            "False",
            "Revoking",
            "2026-09-30T15:00:00Z",
        )]);
    let mut told = BTreeSet::new();
    for hours in 0..24 * 60 {
        scene.now = schedule::later(at("2026-09-30T17:00:00Z"), SignedDuration::from_hours(hours));
        scene.tells();
        for notice in &scene.notified {
            if notice.at == scene.now {
                assert!(told.insert(notice.key.clone()), "told twice");
            }
        }
        assert!(scene.notified.len() <= HISTORY + 2, "{}", scene.notified.len());
    }
    assert_eq!(told.len(), 2 * 61);
}

#[test]
fn a_task_that_is_late_is_told_of_each_day_until_it_is_done() {
    let mut scene = Scene::new();
    let task = |overdue: Value| {
        json!([{
            "gate": "Task", "task": "front-desk", "plan": "sha256:1", "state": "Waiting", "approvals": "0/1",
            "since": "2026-09-30T15:00:00Z", "overdue": overdue,
        }])
    };
    scene.policy["notify"][0]["events"] = json!(["Overdue"]);
    scene.status["gates"] = task(Value::Null);
    assert!(scene.tells().is_empty());
    scene.status["gates"] = task("2026-10-01T15:00:00Z".into());
    scene.later("2026-10-01T15:00:00Z");
    assert_eq!(scene.tells(), ["Overdue Task: front-desk: 0/1 done"]);
    scene.later("2026-10-02T14:59:59Z");
    assert!(scene.tells().is_empty());
    assert_eq!(scene.known(wake), Some(at("2026-10-02T15:00:00Z")));
    scene.later("2026-10-02T15:00:00Z");
    assert_eq!(scene.tells().len(), 1);
    scene.status["gates"] = task(Value::Null);
    scene.later("2026-10-09T15:00:00Z");
    assert!(scene.tells().is_empty());
}

#[test]
fn nobody_wants_to_know_anything_and_nothing_is_kept() {
    let mut scene = Scene::new()
        .gate("Delete", "sha256:1", "Waiting")
        .shows(&[condition("Stalled", "True", "Ambiguous", "2026-09-30T15:00:01Z")]);
    scene.policy["notify"] = json!([]);
    assert!(scene.tells().is_empty() && scene.notified.is_empty());
    assert_eq!(scene.known(wake), None);
}

#[test]
fn a_guard_is_told_of_once_for_each_set_that_it_holds() {
    let rules: Vec<NotifyRule> =
        serde_json::from_value(json!([{"channel": "hr", "events": ["GuardTripped"], "audience": "Hr"}]))
            .unwrap();
    let trip = |about: &str, held, now: &str, before: &[Notice]| {
        let tripped = Tripped {
            uid: "uid-2",
            held,
            about,
            since: at("2026-09-30T15:00:00Z"),
        };
        guard_tripped(&tripped, before, &rules, |_| true, at(now))
    };
    let many = |digest, now: &str, before: &[Notice]| trip("TooMany: 40 are held", Some(digest), now, before);
    let first = many("sha256:1", "2026-09-30T15:00:00Z", &[]);
    assert_eq!(first.len(), 1);
    assert_eq!(many("sha256:1", "2026-10-09T15:00:00Z", &first), first);
    // A layoff is entered one by one: the last set is told of, those between are not.
    assert_eq!(many("sha256:2", "2026-09-30T15:59:59Z", &first), first);
    let second = many("sha256:3", "2026-09-30T16:00:00Z", &first);
    assert_eq!(second.len(), 2);
    // Something else is told of at once.
    let empty = trip("Empty: nobody is in it", None, "2026-09-30T15:00:01Z", &first);
    assert_eq!(empty.len(), 2);
    assert_eq!(
        trip("Empty: nobody is in it", None, "2026-10-09T15:00:00Z", &empty),
        empty
    );
}

#[test]
fn a_guard_that_let_one_set_through_and_holds_another_soon_after_is_told_of_at_once() {
    let rules: Vec<NotifyRule> =
        serde_json::from_value(json!([{"channel": "hr", "events": ["GuardTripped"]}])).unwrap();
    let trip = |held, since: &str, before: &[Notice]| {
        let tripped = Tripped {
            uid: "uid-2",
            held,
            about: "TooMany: 40 are held",
            since: at(since),
        };
        guard_tripped(&tripped, before, &rules, |_| true, at(since))
    };
    let first = trip(Some("sha256:1"), "2026-09-30T15:00:00Z", &[]);
    assert_eq!(trip(Some("sha256:2"), "2026-09-30T15:10:00Z", &first).len(), 2);
}

#[test]
fn pauses_grow_to_a_quarter_of_an_hour_and_a_day_is_enough() {
    let rules: Vec<NotifyRule> =
        serde_json::from_value(json!([{"channel": "hr", "events": ["GuardTripped"]}])).unwrap();
    let tripped = Tripped {
        uid: "u",
        held: Some("o"),
        about: "",
        since: at("2026-09-30T15:00:00Z"),
    };
    let mut notice = guard_tripped(&tripped, &[], &rules, |_| true, at("2026-09-30T15:00:00Z")).remove(0);
    assert_eq!(pause(&notice), SignedDuration::from_secs(1));
    notice.tries = 40;
    assert_eq!(pause(&notice), SignedDuration::from_mins(15));
    assert!(!stale(&notice, at("2026-10-01T14:59:59Z")) && stale(&notice, at("2026-10-01T15:00:00Z")));
}
