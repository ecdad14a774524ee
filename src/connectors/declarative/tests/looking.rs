//! Reads: complete or a fault.

use super::*;
use crate::connectors::Readings;

#[tokio::test]
async fn only_the_reads_that_the_facts_rest_on_are_sent_each_once() {
    let script = Script::new(usual);
    let connector = small(&script);
    let readings = connector.observe(&subject(), &["Suspended", "Locked"]).await;
    assert_eq!(readings.len(), 1);
    assert_eq!(script.asked(), ["GET /users/a%2Fb%3Fc"]);
}

#[tokio::test]
async fn what_find_showed_is_not_read_again() {
    let script = Script::new(usual);
    let mut subject = subject();
    subject.account.item = json!({ "active": false }).into();
    let connector = small(&script);
    let readings = connector.observe(&subject, &["Suspended"]).await;
    assert!(script.asked().is_empty());
    assert_eq!(
        connector.sight(&subject, "Suspended", &readings).truth,
        Truth::Holds
    );
}

#[tokio::test]
async fn what_find_showed_is_judged_before_anything_is_read() {
    let script = Script::new(usual);
    let mut subject = subject();
    subject.account.item = json!({ "active": true }).into();
    let connector = small(&script);
    let nothing = Readings::new();
    let sight = connector.sight(&subject, "Suspended", &nothing);
    assert_eq!((sight.truth, sight.act.is_some()), (Truth::DoesNotHold, true));
    assert_eq!(
        connector.sight(&subject, "GroupsLeft", &nothing).truth,
        Truth::NotRead
    );
    assert!(script.asked().is_empty());
    subject.account.item = Value::Null.into();
    assert_eq!(
        connector.sight(&subject, "Suspended", &nothing).truth,
        Truth::NotRead
    );
}

#[tokio::test]
async fn pages_are_put_together_and_reads_may_rest_on_reads() {
    let script = Script::new(usual);
    let readings = small(&script).observe(&subject(), &["RightsKnown"]).await;
    assert_eq!(
        readings["groups"],
        Ok(json!([{ "id": "g1" }, { "id": "g2" }]).into())
    );
    assert_eq!(readings["rights"], Ok(json!(["r", "r"]).into()));
}

#[tokio::test]
async fn a_text_or_an_object_without_content_is_no_empty_list() {
    for (items, holds) in [(json!([]), true), (json!(""), false), (json!({}), false)] {
        let read = Readings::from([("groups".to_owned(), Ok(items.clone().into()))]);
        let script = Script::new(usual);
        let truth = small(&script).sight(&subject(), "GroupsLeft", &read).truth;
        assert_eq!(truth == Truth::Holds, holds, "{items}: {truth:?}");
        assert_ne!(truth, Truth::DoesNotHold, "{items}");
    }
}

#[tokio::test]
async fn a_list_that_is_shorter_than_its_total_is_incomplete() {
    let script = Script::new(|r| {
        let items = if r.url.ends_with("start=1") {
            json!([{ "id": "g1" }])
        } else {
            json!([])
        };
        (200, json!({ "items": items, "total": 3 }))
    });
    let readings = small(&script).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(
        readings["groups"].as_ref().unwrap_err().reason,
        Reason::Incomplete
    );
}

fn paged(page: &str) -> String {
    DEFINITION.replace(
        "page: { offset: { parameter: start, first: 1, total: response.body.total } }",
        &format!("page: {{ {page} }}"),
    )
}

#[tokio::test]
async fn cursors_are_followed_to_their_end_and_never_in_a_circle() {
    let text = paged("cursor: { parameter: cursor, value: response.body.next }");
    let script = Script::new(|r| match r.url.split_once("cursor=") {
        None => (200, json!({ "items": [1], "next": "a b" })),
        Some((_, "a%20b")) => (200, json!({ "items": [2], "next": "" })),
        _ => (500, Value::Null),
    });
    let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(readings["groups"], Ok(json!([1, 2]).into()));
    let circle = Script::new(|_| (200, json!({ "items": [1], "next": "same" })));
    let readings = over(&text, &circle).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(
        readings["groups"].as_ref().unwrap_err().reason,
        Reason::Incomplete
    );
    assert_eq!(circle.asked().len(), 2);
}

#[tokio::test]
async fn an_endless_list_is_given_up() {
    let text = paged("cursor: { parameter: cursor, value: response.body.next }");
    let count = Mutex::new(0);
    let script = Script::new(move |_| {
        let mut count = count.lock();
        *count += 1;
        (
            200,
            json!({ "items": ["x".repeat(100_000)], "next": count.to_string() }),
        )
    });
    let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(
        readings["groups"].as_ref().unwrap_err().reason,
        Reason::Incomplete
    );
    assert!(script.asked().len() < 100);
}

#[tokio::test]
async fn links_are_followed_on_the_same_host_only() {
    let text = paged("next: response.body.next");
    let script = Script::new(|r| {
        let here = r.url.contains("page=2");
        let next = if here {
            Value::Null
        } else {
            json!("http://small/v1/x?page=2")
        };
        (200, json!({ "items": [1], "next": next }))
    });
    let readings = over(&text, &script).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(readings["groups"], Ok(json!([1, 1]).into()));
    let away = Script::new(|_| (200, json!({ "items": [1], "next": "http://evil/v1/x?page=2" })));
    let readings = over(&text, &away).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(readings["groups"].as_ref().unwrap_err().reason, Reason::Malformed);
    assert_eq!(away.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_of_another_account_is_a_mismatch() {
    let script = Script::new(|_| (200, json!({ "id": "other", "active": false })));
    let connector = small(&script);
    let readings = connector.observe(&subject(), &["Suspended"]).await;
    let sight = connector.sight(&subject(), "Suspended", &readings);
    assert_eq!(fault_of(&sight.truth).reason, Reason::IdentityMismatch);
    assert_eq!(sight.act, None);
}

/// What is read may have the id at another place than what is found.
#[tokio::test]
async fn an_answer_shows_its_account_where_the_definition_says() {
    for echo in ["item.of.id", "response.body.of.id"] {
        let text = DEFINITION.replacen("shows: user", &format!("shows: user\n    echo: {echo}"), 1);
        for (id, reason) in [("a/b?c", None), ("other", Some(Reason::IdentityMismatch))] {
            let script =
                Script::new(move |_| (200, json!({ "id": "v2", "of": { "id": id }, "active": false })));
            let readings = over(&text, &script).observe(&subject(), &["Suspended"]).await;
            let fault = readings["user"].as_ref().err().map(|fault| fault.reason);
            assert_eq!(fault, reason, "{echo} {id}");
        }
    }
}

#[tokio::test]
async fn a_bound_account_that_is_not_found_is_never_empty() {
    let script = Script::new(|_| (404, Value::Null));
    let readings = small(&script).observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(
        readings["groups"].as_ref().unwrap_err().reason,
        Reason::NotFoundUncorroborated
    );
}

#[tokio::test]
async fn a_throttled_read_says_until_when() {
    let script = Script::new(|_| (429, Value::Null));
    let readings = small(&script).observe(&subject(), &["Suspended"]).await;
    let until = "2027-01-15T08:00:00Z".parse().unwrap();
    assert_eq!(
        readings["user"].as_ref().unwrap_err().kind,
        FaultKind::Throttled { until }
    );
    assert_eq!(*script.parked.lock(), [until], "everybody is silent");
}

/// Whether an answer is throttling is for the definition to say; until when, for the system.
#[tokio::test]
async fn only_what_is_called_throttling_silences_the_system() {
    let until: jiff::Timestamp = "2027-02-01T00:00:00Z".parse().unwrap();
    let rule = r#"when: response.status == 429, is: Throttled, until: "int(response.headers['x-reset'])""#;
    assert!(DEFINITION.contains(rule));
    let named = DEFINITION.replacen(rule, "when: response.status == 503, is: Throttled", 1);
    let throttled = FaultKind::Throttled { until };
    for (definition, kind, parked) in [
        (DEFINITION, FaultKind::Transient, vec![]),
        (named.as_str(), throttled, vec![until]),
    ] {
        let script = Script::new(|_| (503, Value::Null));
        let readings = over(definition, &script)
            .observe(&subject(), &["Suspended"])
            .await;
        let fault = readings["user"].as_ref().unwrap_err();
        assert_eq!((fault.kind, fault.reason), (kind, Reason::SystemUnavailable));
        assert_eq!(*script.parked.lock(), parked);
    }
}

const TOLD: &str = "    deep: { type: Integer, default: 1, discover: { get: /about, absent: response.status == 404, items: response.body.depth } }
    wide: { type: Integer, default: 1, discover: { get: /about, absent: response.status == 404, items: response.body.width } }
    url: {";

fn telling() -> String {
    let text = DEFINITION.replacen("    url: {", TOLD, 1);
    text.replacen(
        "holds: size(reads.rights) >= 0",
        "holds: size(reads.rights) == inputs.deep + inputs.wide",
        1,
    )
}

/// What the small system says about itself.
fn about(status: u16, body: Value) -> Arc<Script> {
    Script::new(move |request| match request.url.ends_with("/about") {
        true => (status, body.clone()),
        false => usual(request),
    })
}

async fn rights(script: &Arc<Script>) -> Truth {
    let connector = over(&telling(), script);
    for _ in 0..2 {
        connector.observe(&subject(), &["RightsKnown"]).await;
    }
    let readings = connector.observe(&subject(), &["RightsKnown"]).await;
    connector.sight(&subject(), "RightsKnown", &readings).truth
}

#[tokio::test]
async fn inputs_that_one_answer_tells_are_asked_for_once() {
    let script = about(200, json!({ "depth": 0, "width": 2 }));
    assert_eq!(rights(&script).await, Truth::Holds);
    let asked = script.asked();
    assert_eq!(
        asked.iter().filter(|r| *r == "GET /about").count(),
        1,
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_input_that_the_system_does_not_tell_has_its_default() {
    assert_eq!(rights(&about(404, Value::Null)).await, Truth::Holds);
}

#[tokio::test]
async fn an_input_that_is_told_wrongly_or_not_yet_leaves_everything_unread() {
    for (status, body, reason) in [
        (200, json!({ "depth": "x", "width": 1 }), Reason::Malformed),
        (503, Value::Null, Reason::SystemUnavailable),
    ] {
        let truth = rights(&about(status, body)).await;
        assert_eq!(fault_of(&truth).reason, reason);
    }
}

#[tokio::test]
async fn an_act_that_finds_nothing_to_send_leaves_a_task_to_somebody() {
    let definition = DEFINITION
        .replace("inputs:\n", "inputs:\n    assignee: { default: service desk }\n")
        .replace(
            "act: [{ delete: '/groups",
            "act: [{ each: 'reads.groups.filter(g, g.id == \"x\")', delete: '/groups",
        );
    let script = Script::new(usual);
    let connector = over(&definition, &script);
    let subject = subject();
    let readings = connector.observe(&subject, &["GroupsLeft"]).await;
    let sight = connector.sight(&subject, "GroupsLeft", &readings);
    assert_eq!((sight.truth, &sight.act), (Truth::DoesNotHold, &None));
    assert_eq!(sight.says, "leave 2 groups (service desk)");
    let task = sight.task.unwrap();
    assert_eq!(
        (&*task.title, &*task.assignee),
        ("leave 2 groups", "service desk")
    );
    let facts = &connector.capabilities().facts;
    let fact = facts.iter().find(|fact| fact.name == "GroupsLeft").unwrap();
    assert!(!fact.by_hand, "the next look may find something to send");
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_waits_with_empty_hands_until_another_look_is_over() {
    let crowd: Vec<Value> = (0..32_000).map(|n| json!({ "n": n })).collect();
    let user = json!({ "id": "a/b?c", "active": true, "crowd": crowd });
    let script = Script::new(move |_| (200, user.clone()));
    // All of them through one Connector.
    let connector = Arc::new(small(&script));
    let look = || {
        let connector = Arc::clone(&connector);
        async move { connector.observe(&subject(), &["Suspended"]).await }
    };
    let first = look().await;
    assert_eq!(script.asked().len(), 1);
    let second = tokio::spawn(look());
    // Its answer has come, and was given up.
    while script.asked().len() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    drop(first);
    let second = second.await.unwrap();
    assert_eq!(
        second["user"].as_ref().unwrap()["crowd"]
            .as_array()
            .unwrap()
            .len(),
        32_000
    );
    assert_eq!(script.asked().len(), 3);
    // Where nobody ends, it is asked for again later, and is not nothing.
    let third = look().await;
    let fault = third["user"].as_ref().unwrap_err();
    assert_eq!(
        (fault.reason, &*fault.code),
        (Reason::Incomplete, "too much at once")
    );
    assert!(fault.passes_by_itself());
    // A copy of what was read is the same memory.
    let copy = second.clone();
    drop(second);
    assert!(look().await["user"].is_err());
    drop(copy);
    assert!(look().await["user"].is_ok());
}

#[tokio::test]
async fn a_fact_rests_on_the_reads_of_its_values() {
    let text = DEFINITION
        .replacen(
            "  facts:\n",
            "  values:\n    first: reads.groups.filter(g, g.id == values.wanted)\n    wanted: values.word + '1'\n    word: '\"g\"'\n  facts:\n",
            1,
        )
        .replacen("none: reads.groups", "none: values.first", 1);
    let script = Script::new(usual);
    let connector = over(&text, &script);
    let readings = connector.observe(&subject(), &["GroupsLeft"]).await;
    assert_eq!(readings.keys().collect::<Vec<_>>(), ["groups"]);
    let sight = connector.sight(&subject(), "GroupsLeft", &readings);
    assert_eq!(sight.says, "leave 1 groups");
    let urls: Vec<&str> = sight
        .act
        .iter()
        .flat_map(|act| &act.requests)
        .filter_map(|r| r["http"]["url"].as_str())
        .collect();
    assert_eq!(urls, ["http://small/v1/groups/g1/members/a%2Fb%3Fc"]);
    // What is counted through a value must be a list as well.
    let none = BTreeMap::from([("groups".to_owned(), Ok(json!("not a list").into()))]);
    let sight = connector.sight(&subject(), "GroupsLeft", &none);
    assert_eq!(fault_of(&sight.truth).code, "reads.groups: not a list");
}

#[test]
fn of_an_account_that_we_deleted_only_that_is_judged() {
    let gone = "has(snapshot.Dropped) && reads.user == null // by us";
    let text = DEFINITION
        .replacen("shows: user", &format!("shows: user\n    gone: \"{gone}\""), 1)
        .replacen(
            "  facts:\n",
            "  facts:\n    Dropped: { class: Deletion, holds: reads.user == null, snapshot: reads.user, act: [{ delete: '/users/${account.id}' }] }\n",
            1,
        )
        .replacen("class: Credentials", "class: Credentials\n      when: reads.user != null || size(reads.groups) == 0", 1);
    let connector = over(&text, &Script::new(usual));
    let readings = BTreeMap::from([
        ("user".to_owned(), Ok(Value::Null.into())),
        ("groups".to_owned(), Ok(json!([]).into())),
    ]);
    let mut subject = subject();
    let truth = |subject: &Subject, fact: &str| connector.sight(subject, fact, &readings).truth;
    assert_eq!(truth(&subject, "GroupsLeft"), Truth::Holds, "it was not we");
    subject.ledger.snapshot.insert("Dropped".into(), json!({}));
    for fact in ["Suspended", "GroupsLeft", "Locked"] {
        assert_eq!(truth(&subject, fact), Truth::NotApplicable, "{fact}");
    }
    assert_eq!(truth(&subject, "Dropped"), Truth::Holds);
}

/// The definition with `lists`, and the request of its list of groups.
fn with_lists(lists: &str, groups: &str) -> String {
    let read = "{ get: '/users/${account.id}/groups', items: response.body.items, page: { offset: { parameter: start, first: 1, \
                total: response.body.total } } }";
    assert!(DEFINITION.contains(read));
    let text = DEFINITION.replacen(read, groups, 1);
    text.replacen("/v1' }", &format!("/v1', lists: {lists} }}"), 1)
}

#[tokio::test]
async fn a_list_is_read_as_lists_are_answered() {
    let lists = "{ query: { size: '1', kind: all }, items: response.body.items, \
                 page: { cursor: { parameter: after, value: response.body.next } } }";
    let all = "{ list: '/users/${account.id}/groups', query: { kind: direct } }";
    let script = Script::new(|r| {
        let last = r.url.contains("after=");
        let (id, next) = if last {
            ("g2", Value::Null)
        } else {
            ("g1", json!("x"))
        };
        (
            200,
            json!({ "items": [{ "id": id }], "next": next, "named": [{ "id": id }, { "id": id }] }),
        )
    });
    let readings = over(&with_lists(lists, all), &script)
        .observe(&subject(), &["GroupsLeft"])
        .await;
    assert_eq!(
        readings["groups"],
        Ok(json!([{ "id": "g1" }, { "id": "g2" }]).into())
    );
    let path = "/users/a%2Fb%3Fc/groups?kind=direct&size=1";
    assert_eq!(
        script.asked(),
        [format!("GET {path}"), format!("GET {path}&after=x")]
    );
    // What the request says itself counts.
    let own = "{ list: '/users/${account.id}/groups', items: response.body.named }";
    let readings = over(&with_lists(lists, own), &script)
        .observe(&subject(), &["GroupsLeft"])
        .await;
    let read = readings["groups"].as_ref().unwrap();
    assert_eq!(read.as_array().unwrap().len(), 4);
}
