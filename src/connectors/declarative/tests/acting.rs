//! Acts: what is sent, and what it says before.

use super::*;
use crate::core::{
    digest::request_digest,
    kept::{Room, There},
    way_back::WaysBack,
};

async fn sight_of(connector: &Declarative, subject: &Subject, fact: &str) -> crate::core::fact::Sight {
    let readings = connector.observe(subject, &[fact]).await;
    connector.sight(subject, fact, &readings)
}

#[tokio::test]
async fn each_element_becomes_a_request_of_one_segment_a_hole() {
    let script = Script::new(usual);
    let connector = small(&script);
    let sight = sight_of(&connector, &subject(), "GroupsLeft").await;
    assert_eq!(sight.truth, Truth::DoesNotHold);
    assert_eq!((sight.count, sight.says.as_str()), (2, "leave 2 groups"));
    assert_eq!(sight.snapshot, Some(There::Whole(json!(["g1", "g2"]).into())));
    connector
        .act(&subject(), &sight.act.unwrap(), &no_key())
        .await
        .unwrap();
    let asked = script.asked();
    assert_eq!(
        asked[asked.len() - 2..],
        [
            "DELETE /groups/g1/members/a%2Fb%3Fc",
            "DELETE /groups/g2/members/a%2Fb%3Fc"
        ]
    );
}

#[tokio::test]
async fn an_act_of_many_requests_ends_between_two_of_them_when_it_is_not_wanted_any_more() {
    let script = Script::new(usual);
    let connector = small(&script);
    let mut act = sight_of(&connector, &subject(), "GroupsLeft").await.act.unwrap();
    act.requests = act.requests.iter().cycle().take(100).cloned().collect();
    let before = script.asked().len();
    let wanted = || script.asked().len() == before;
    let fault = connector
        .act(&subject(), &act, &Order::new(Key("k1".into()), &wanted))
        .await
        .unwrap_err();
    // Some of it was sent, so a look comes first.
    assert_eq!(fault.kind, FaultKind::UnknownOutcome);
    assert!((1..100).contains(&(script.asked().len() - before)));
    let none = connector
        .act(&subject(), &act, &Order::new(Key("k1".into()), &|| false))
        .await
        .unwrap_err();
    assert_eq!(none.kind, FaultKind::Transient);
}

#[tokio::test]
async fn the_act_shows_no_password_and_the_key_is_put_in_when_it_is_sent() {
    let script = Script::new(usual);
    let connector = small(&script);
    let act = sight_of(&connector, &subject(), "Suspended").await.act.unwrap();
    let Resolved::Http(http) = serde_json::from_value(act.requests[0].clone()).unwrap() else {
        panic!()
    };
    let Body::Json(body) = &http.body else { panic!() };
    assert_eq!(body["password"], RANDOM, "the stand-in");
    assert_eq!(body.get("note"), None, "a hole that gives null drops its key");
    assert_eq!(body["active"], false);
    connector.act(&subject(), &act, &no_key()).await.unwrap();
    let sent = script.asked.lock().pop().unwrap();
    let Body::Json(body) = sent.body else { panic!() };
    assert_eq!(body["by"], "k-k1");
    assert_eq!(body["password"], RANDOM, "the driver's to replace");
}

#[tokio::test]
async fn a_refusal_that_means_done_is_no_fault_and_any_other_stops() {
    for (status, fine) in [(409, true), (403, false)] {
        let script = Script::new(move |r| {
            if r.method == "GET" {
                usual(r)
            } else {
                (status, Value::Null)
            }
        });
        let connector = small(&script);
        let act = sight_of(&connector, &subject(), "Suspended").await.act.unwrap();
        assert_eq!(connector.act(&subject(), &act, &no_key()).await.is_ok(), fine);
    }
}

#[tokio::test]
async fn what_is_to_be_deleted_and_is_not_there_is_done() {
    for (status, fine) in [(404, true), (410, true), (403, false), (409, false)] {
        let script = Script::new(move |r| match r.method.as_str() {
            "GET" => usual(r),
            _ => (status, Value::Null),
        });
        let connector = small(&script);
        let act = sight_of(&connector, &subject(), "GroupsLeft").await.act.unwrap();
        let sent = connector.act(&subject(), &act, &no_key()).await;
        assert_eq!(sent.is_ok(), fine, "{status}");
    }
}

#[test]
fn which_refusals_mean_done_follows_from_what_is_asked() {
    let definition = sound(
        "
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: directory }
spec:
  title: Directory
  ldap: { url: 'ldaps://x', base: 'dc=x' }
  account: { find: [{ filter: '(mail=${who.email})' }], id: item.id, name: item.cn, keys: { email: item.mail } }
  facts:
    A:
      class: Data
      holds: 'false'
      act:
        - { delete: '${account.id}' }
        - { modify: '${account.id}', remove: { member: [x] } }
        - { modify: '${account.id}', add: { member: [x] } }
        - { modify: '${account.id}', swap: { owner: { from: x, to: z } } }
        - { modify: '${account.id}', replace: { member: [] } }
        - { modify: '${account.id}', remove: { member: [x] }, done: 'response.code == 53' }
      undo:
        - { modify: '${account.id}', remove: { member: [x] }, lost: response.code == 16 }
",
    );
    let fact = &definition.0.facts["A"];
    let done = fact.act.iter().chain(&fact.undo);
    let done: Vec<Option<&str>> = done.map(|r| r.done.as_ref().map(|done| done.text())).collect();
    assert_eq!(
        done,
        [
            Some("response.code == 32"),
            Some("response.code == 16"),
            Some("response.code in [20, 68]"),
            None,
            None,
            Some("response.code == 53"),
            None,
        ]
    );
}

#[tokio::test]
async fn a_request_is_made_for_each_that_is_left_only_where_it_speaks_of_it() {
    let text = DEFINITION
        .replace(
            "/groups/${item.id}/members/${account.id}' }",
            "/groups/of/${account.id}' }",
        )
        .replace(
            "none: reads.groups",
            "none: reads.groups\n      holds: size(reads.groups) < 2",
        );
    let script = Script::new(usual);
    let sight = sight_of(&over(&text, &script), &subject(), "GroupsLeft").await;
    assert_eq!(sight.truth, Truth::DoesNotHold, "holds is what it says itself");
    assert_eq!((sight.count, sight.says.as_str()), (1, "leave 2 groups"));
}

#[tokio::test]
async fn the_ladder_goes_on_with_the_next_rung_and_starts_again_at_its_end() {
    let script = Script::new(usual);
    let connector = small(&script);
    for (rung, path) in [(0, "lock"), (1, "ban"), (2, "lock")] {
        let mut subject = subject();
        let ledger = FactLedger {
            rung,
            ..FactLedger::default()
        };
        subject.ledger.facts.insert("Locked".into(), ledger);
        let act = sight_of(&connector, &subject, "Locked").await.act.unwrap();
        assert_eq!(act.rung, rung % 2);
        assert!(act.requests[0]["http"]["url"].as_str().unwrap().ends_with(path));
    }
}

#[tokio::test]
async fn without_a_successor_a_hand_over_waits_for_a_decision() {
    let script = Script::new(usual);
    let connector = small(&script);
    let sight = sight_of(&connector, &subject(), "FilesMoved").await;
    assert_eq!(fault_of(&sight.truth).reason, Reason::NoSuccessor);
}

fn with_heir() -> Subject {
    let heir = Account {
        id: "h".into(),
        name: "heir".into(),
        item: Value::Null.into(),
        doubt: None,
        keys: vec![],
    };
    Subject {
        successor: Some((Person::default(), heir)),
        ..subject()
    }
}

#[tokio::test]
async fn an_operation_runs_and_a_failed_one_is_asked_for_again() {
    let mut subject = with_heir();
    let script = Script::new(|r| match r.url.split_once("/jobs/") {
        Some((_, "busy")) => (200, json!({ "state": "busy" })),
        Some((_, "bad")) => (200, json!({ "state": "failed" })),
        _ => usual(r),
    });
    let connector = small(&script);
    let act: Act = sight_of(&connector, &subject, "FilesMoved").await.act.unwrap();
    let receipt = connector.act(&subject, &act, &no_key()).await.unwrap();
    assert_eq!(receipt.operation.as_deref(), Some("j1"));
    for (operation, running) in [("busy", true), ("bad", false)] {
        let ledger = FactLedger {
            operation: Some(operation.into()),
            ..FactLedger::default()
        };
        subject.ledger.facts.insert("FilesMoved".into(), ledger);
        let sight = sight_of(&connector, &subject, "FilesMoved").await;
        assert_eq!(sight.truth == Truth::Running, running);
        assert_eq!(sight.act.is_none(), running);
    }
}

#[tokio::test]
async fn undo_brings_back_what_the_snapshot_has() {
    // What it is made for need not be said.
    for text in [
        DEFINITION.to_owned(),
        DEFINITION.replace("each: snapshot.GroupsLeft, ", ""),
    ] {
        let script = Script::new(usual);
        let connector = over(&text, &script);
        let mut subject = subject();
        subject.ledger.snapshot.insert("GroupsLeft".into(), json!(["g7"]));
        let readings = connector.observe(&subject, &["GroupsLeft"]).await;
        let act = connector
            .undo(&subject, "GroupsLeft", &readings)
            .unwrap()
            .unwrap();
        assert_eq!(act.requests.len(), 1);
        assert_eq!(
            act.requests[0]["http"]["url"],
            "http://small/v1/groups/g7/members/a%2Fb%3Fc"
        );
        assert_eq!(act.requests[0]["http"]["method"], "PUT");
    }
}

#[test]
fn what_a_former_definition_took_is_given_back_as_it_was_written() {
    let connector = small(&Script::new(usual));
    let mut way = connector.way_back("GroupsLeft").unwrap();
    let fact = way.fact.as_object_mut().unwrap();
    fact.remove("none").unwrap();
    fact.insert("holds".into(), json!("size(reads.groups) == 0"));
    fact["undo"][0]["put"] = json!("/teams/${item}/${account.id}");
    let mut kept = WaysBack::default();
    kept.keep("GroupsLeft", way);
    let mut subject = subject();
    subject.ledger.snapshot.insert("GroupsLeft".into(), json!(["g7"]));
    let readings = BTreeMap::from([("groups".to_owned(), Ok(json!([]).into()))]);
    let of_their_time = connector.of_their_time(&kept);
    let act = of_their_time["GroupsLeft"].undo(&subject, "GroupsLeft", &readings);
    let url = &act.unwrap().unwrap().requests[0]["http"]["url"];
    assert_eq!(url, "http://small/v1/teams/g7/a%2Fb%3Fc");
}

#[test]
fn the_values_that_a_fact_rests_on_are_kept_with_it() {
    let with = |place: &str| {
        DEFINITION
            .replacen(
                "  facts:\n",
                &format!("  values: {{ place: \"'{place}'\", other: reads.user }}\n  facts:\n"),
                1,
            )
            .replacen(
                "put: '/groups/${item}/members",
                "put: '/groups/${item}/${values.place}",
                1,
            )
    };
    let (then, now) = (with("former"), with("present"));
    let (then, now) = (over(&then, &Script::new(usual)), over(&now, &Script::new(usual)));
    let way = then.way_back("GroupsLeft").unwrap();
    assert_eq!(way.fact["values"], json!({ "place": "'former'" }));
    let mut kept = WaysBack::default();
    kept.keep("GroupsLeft", way);
    assert!(then.of_their_time(&kept).is_empty(), "it is as it was");
    let mut subject = subject();
    subject.ledger.snapshot.insert("GroupsLeft".into(), json!(["g7"]));
    let readings = BTreeMap::from([("groups".to_owned(), Ok(json!([]).into()))]);
    let act = now.of_their_time(&kept)["GroupsLeft"].undo(&subject, "GroupsLeft", &readings);
    let url = &act.unwrap().unwrap().requests[0]["http"]["url"];
    assert_eq!(url, "http://small/v1/groups/g7/former/a%2Fb%3Fc");
}

#[test]
fn what_is_kept_packed_is_given_back_and_what_was_too_large_is_not() {
    let connector = small(&Script::new(usual));
    let groups = |count: usize| Value::Array((0..count).map(|n| json!(format!("g{n:09}"))).collect());
    let readings = BTreeMap::from([("groups".to_owned(), Ok(json!([{ "id": "g000000001" }]).into()))]);
    let back = |looks: &[usize], room: Room| {
        let mut subject = subject();
        for count in looks {
            subject.ledger.keep("GroupsLeft", &groups(*count), &room);
        }
        let act = connector.undo(&subject, "GroupsLeft", &readings);
        act.map(|act| act.map_or(0, |act| act.requests.len()))
    };
    assert_eq!(back(&[5_000], Room::default()), Ok(4_999));
    assert_eq!(back(&[5_000], Room::of(100)), Err(Truth::NotApplicable));
    // What was kept before there was too much is given back.
    assert_eq!(back(&[3, 5_000], Room::of(100)), Ok(2));
}

#[tokio::test]
async fn what_is_too_much_to_say_what_would_be_kept_is_removed_all_the_same() {
    let connector = small(&Script::new(usual));
    let groups: Vec<Value> = (0..30_000).map(|n| json!({"id": format!("{n:0>400}")})).collect();
    let readings = BTreeMap::from([("groups".to_owned(), Ok(Value::Array(groups).into()))]);
    let sight = connector.sight(&subject(), "GroupsLeft", &readings);
    assert_eq!(sight.act.unwrap().requests.len(), 30_000);
    let Some(There::TooLarge(too_large)) = sight.snapshot else {
        panic!("it was kept");
    };
    assert_eq!((too_large.count, too_large.size > 12_000_000), (30_000, true));
}

#[tokio::test]
async fn what_is_gone_is_told_and_keeps_nothing_else_from_being_given_back() {
    let script = Script::new(|r| match r.url.split('/').nth_back(2) {
        Some("g1") => (404, Value::Null),
        _ => usual(r),
    });
    let text = DEFINITION.replace(
        "put: '/groups/${item}/members/${account.id}'",
        "put: '/groups/${item}/members/${account.id}', lost: response.status == 404",
    );
    let connector = over(&text, &script);
    let mut subject = subject();
    let kept = json!(["g1", "g3", "g4"]);
    subject.ledger.snapshot.insert("GroupsLeft".into(), kept);
    let readings = BTreeMap::from([("groups".to_owned(), Ok(json!([]).into()))]);
    let act = connector
        .undo(&subject, "GroupsLeft", &readings)
        .unwrap()
        .unwrap();
    let receipt = connector.act(&subject, &act, &no_key()).await.unwrap();
    assert_eq!(receipt.gone, [request_digest(&act.requests[0])].into());
    let given: Vec<String> = script.asked();
    assert!(given.iter().any(|asked| asked.contains("g3")) && given.iter().any(|asked| asked.contains("g4")));
}

#[tokio::test]
async fn a_value_that_somebody_has_changed_since_is_not_taken_back_to_an_older_one() {
    let text = DEFINITION.replace(
        "    Spare: {",
        "    Retitled:
      class: Record
      holds: reads.user.title == 'left'
      snapshot: reads.user.title
      act: [{ patch: '/users/${account.id}', json: { title: left } }]
      undo: [{ patch: '/users/${account.id}', json: { title: '${snapshot.Retitled}' } }]
    Spare: {",
    );
    let connector = over(&text, &Script::new(usual));
    let mut subject = subject();
    subject.ledger.snapshot.insert("Retitled".into(), json!("chief"));
    let undo = |title: &str| {
        let user = json!({"id": "a/b?c", "active": false, "title": title});
        let readings = BTreeMap::from([("user".to_owned(), Ok(user.into()))]);
        let act = connector.undo(&subject, "Retitled", &readings).unwrap()?;
        Some(act.requests[0]["http"]["body"].to_string())
    };
    assert!(undo("left").unwrap().contains("chief"));
    assert_eq!(undo("king"), None);
    assert_eq!(undo("chief"), None);
}

#[test]
fn of_an_account_that_we_deleted_nothing_is_left_to_give_it_back_to() {
    let connector = small(&Script::new(usual));
    let mut subject = subject();
    subject.ledger.snapshot.insert("GroupsLeft".into(), json!(["g1"]));
    let readings = BTreeMap::from([
        ("user".to_owned(), Ok(Value::Null.into())),
        ("groups".to_owned(), Ok(json!([]).into())),
    ]);
    for fact in ["Suspended", "GroupsLeft"] {
        assert_eq!(
            connector.undo(&subject, fact, &readings),
            Err(Truth::NotApplicable)
        );
    }
}

#[test]
fn only_what_is_given_back_can_be_lost() {
    let problem = changed(
        "delete: '/groups/${item.id}/members/${account.id}'",
        "delete: '/groups/${item.id}/members/${account.id}', lost: response.status == 404",
    );
    assert_eq!(
        problem,
        "facts.GroupsLeft.act[0].lost: only goes with undo; remove it"
    );
}

#[test]
fn what_was_not_read_is_not_judged() {
    let connector = small(&Script::new(usual));
    let sight = connector.sight(&subject(), "Suspended", &BTreeMap::new());
    assert_eq!(sight.truth, Truth::NotRead);
}

/// Keeps what an LDAP connector sends, and shows one entry.
struct Directory(Mutex<Vec<Resolved>>);

#[async_trait]
impl Driver for Directory {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        self.0.lock().push(request.clone());
        let entry = json!({ "objectGUID": "0a-1b", "flags": "512", "dn": "CN=A\\, B,DC=x" });
        Ok(Answer {
            part: None,
            response: json!({ "code": 0, "entries": [entry] }),
            value: if matches!(request, Resolved::Ldap(LdapRequest::Search { entry: true, .. })) {
                entry
            } else {
                json!([entry])
            },
            fault: None,
            date: None,
            retry_at: None,
            rows: None,
            memory: Default::default(),
        })
    }
}

#[tokio::test]
async fn a_directory_is_changed_by_compare_and_swap_at_the_bound_id() {
    let text = r"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: dir }
spec:
  title: Directory
  inputs: { base: {}, left: {} }
  ldap: { url: 'ldaps://dc', base: '${inputs.base}' }
  account:
    find: [{ filter: '(mail=${who.email})', attributes: [objectGUID] }]
    id: item.objectGUID
    name: item.objectGUID
    same: 'true'
  reads: { user: { entry: '<GUID=${account.id}>', attributes: [flags] } }
  facts:
    Disabled:
      class: Access
      holds: math.bitAnd(int(reads.user.flags), 2) != 0
      act:
        - { modify: '<GUID=${account.id}>', swap: { flags: { from: '${reads.user.flags}', to: '${math.bitOr(int(reads.user.flags), 2)}' } } }
        - { move: '${reads.user.dn}', into: 'OU=Left,${inputs.left}', newRdn: 'CN=A\, B ${''+ '' + reads.user.flags}' }
";
    let given = BTreeMap::from([("base".into(), json!("DC=x")), ("left".into(), json!("DC=x"))]);
    let directory = Arc::new(Directory(Mutex::default()));
    let connector = sound(text)
        .build(&given, Options::default(), directory.clone())
        .ok()
        .unwrap();
    let who = Person {
        email: Some("*)(mail=*".into()),
        ..Person::default()
    };
    let account = connector.find(&who).await.unwrap().remove(0);
    let subject = Subject {
        account: Account {
            item: Value::Null.into(),
            doubt: None,
            keys: vec![],
            ..account
        },
        ..subject()
    };
    let act = sight_of(&connector, &subject, "Disabled").await.act.unwrap();
    connector.act(&subject, &act, &no_key()).await.unwrap();
    let sent = directory.0.lock();
    let search = |base: &str, entry, filter: &str, attribute: &str| {
        Resolved::Ldap(LdapRequest::Search {
            base: base.into(),
            entry,
            filter: filter.into(),
            attributes: vec![attribute.into()],
        })
    };
    let flags = |value: &str| BTreeMap::from([("flags".to_owned(), vec![value.to_owned()])]);
    assert_eq!(
        *sent,
        [
            search("DC=x", false, r"(mail=\2a\29\28mail=\2a)", "objectGUID"),
            search("<GUID=0a-1b>", true, "(objectClass=*)", "flags"),
            Resolved::Ldap(LdapRequest::Modify {
                dn: "<GUID=0a-1b>".into(),
                replace: BTreeMap::new(),
                add: flags("514"),
                remove: flags("512"),
            }),
            Resolved::Ldap(LdapRequest::Move {
                dn: r"CN=A\, B,DC=x".into(),
                into: "OU=Left,DC=x".into(),
                new_rdn: Some(r"CN=A\, B \+ 512".into()),
            }),
        ]
    );
}

#[tokio::test]
async fn a_rung_whose_condition_does_not_hold_is_left_out() {
    let text = DEFINITION.replace(
        "{ post: '/users/${account.id}/lock' }",
        "{ when: reads.user.login != 'ada', post: '/users/${account.id}/lock' }",
    );
    let script = Script::new(usual);
    let sight = sight_of(&over(&text, &script), &subject(), "Locked").await;
    let act = sight.act.unwrap();
    assert_eq!(act.rung, 0);
    assert_eq!(
        act.requests[0]["http"]["url"],
        "http://small/v1/users/a%2Fb%3Fc/ban"
    );
}

#[tokio::test]
async fn who_is_the_last_to_administer_a_system_is_locked_out_once_there_is_another() {
    let last = "    last: { of: administrator, when: reads.user.admin, holds: 'reads.admins == [account.id]' }\n    shows: user";
    let admins = "  reads:\n    admins: { when: reads.user.admin, get: /admins, items: response.body.ids }\n";
    let text = DEFINITION
        .replacen("    shows: user", last, 1)
        .replacen("  reads:\n", admins, 1);
    let others = Arc::new(Mutex::new(json!(["a/b?c"])));
    let shown = others.clone();
    let script = Script::new(move |r| {
        if r.url.ends_with("/admins") {
            return (200, json!({ "ids": *shown.lock() }));
        }
        let (status, mut body) = usual(r);
        if r.url.ends_with("/users/a%2Fb%3Fc") {
            body["admin"] = json!(true);
        }
        (status, body)
    });
    let connector = over(&text, &script);
    for fact in ["Suspended", "GroupsLeft", "Locked"] {
        let sight = sight_of(&connector, &subject(), fact).await;
        assert_eq!((sight.truth, sight.act), (Truth::DoesNotHold, None), "{fact}");
        let refused = sight.refused.expect(fact);
        assert_eq!(
            (refused.reason, &*refused.code),
            (Reason::Protected, "last administrator")
        );
    }
    // Handing over locks nobody out.
    let sight = sight_of(&connector, &with_heir(), "FilesMoved").await;
    assert!(sight.act.is_some() && sight.refused.is_none());
    // Nothing is known of the others before they were read, and nothing is sent by what `find` showed.
    let mut found = subject();
    found.account.item = json!({ "id": "a/b?c", "active": true, "admin": true }).into();
    let early = connector.sight(&found, "Suspended", &std::collections::BTreeMap::new());
    assert_eq!(early.truth, Truth::NotRead);
    found.account.item = json!({ "id": "a/b?c", "active": true, "admin": false }).into();
    assert!(
        connector
            .sight(&found, "Suspended", &std::collections::BTreeMap::new())
            .act
            .is_some()
    );
    *others.lock() = json!(["a/b?c", "root"]);
    let sight = sight_of(&connector, &subject(), "Suspended").await;
    assert!(sight.act.is_some() && sight.refused.is_none());
}
