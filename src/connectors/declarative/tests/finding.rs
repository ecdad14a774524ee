//! Finding accounts, and never the wrong one.

use super::*;

#[tokio::test]
async fn an_address_with_a_quote_stays_one_value_of_the_filter() {
    let script = Script::new(|_| (200, json!({ "users": [] })));
    let who = Person {
        email: Some("a\"b@x".into()),
        ..Person::default()
    };
    assert_eq!(small(&script).find(&who).await, Ok(vec![]));
    assert_eq!(
        script.asked(),
        ["GET /users?filter=mail%20eq%20%22a%5C%22b%40x%22"]
    );
}

#[tokio::test]
async fn somebody_else_is_not_theirs_and_one_account_is_found_once() {
    let script = Script::new(|_| {
        let theirs = json!({ "id": "1", "login": "ada", "mail": "ada@x.org" });
        let other = json!({ "id": "2", "login": "ida", "mail": "ida@x.org" });
        (200, json!({ "users": [theirs, other, theirs] }))
    });
    let found = small(&script).find(&ada()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id.as_str(), found[0].name.as_str()), ("1", "ada"));
}

#[tokio::test]
async fn a_login_name_that_was_given_is_the_only_way() {
    let script = Script::new(|_| (404, Value::Null));
    let who = Person {
        account_name: Some("../x".into()),
        ..ada()
    };
    assert_eq!(small(&script).find(&who).await, Ok(vec![]));
    assert_eq!(script.asked(), ["GET /users/by-login/..%2Fx"]);
}

#[tokio::test]
async fn a_dot_segment_is_never_sent() {
    let script = Script::new(|_| (200, Value::Null));
    let who = Person {
        account_name: Some("..".into()),
        ..ada()
    };
    assert_eq!(
        small(&script).find(&who).await.unwrap_err().reason,
        Reason::Malformed
    );
    assert!(script.asked().is_empty());
}

#[tokio::test]
async fn nobody_is_found_only_if_somebody_was_asked() {
    let script = Script::new(|_| (200, json!({ "users": [] })));
    let fault = small(&script).find(&Person::default()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NeedsDecision);
    let refused = Script::new(|_| (401, Value::Null));
    let fault = small(&refused).find(&ada()).await.unwrap_err();
    assert_eq!(fault.reason, Reason::CredentialRejected);
}

#[tokio::test]
async fn an_answer_without_the_list_says_of_nobody_that_they_are_not_there() {
    for body in [
        Value::Null,
        json!(""),
        json!({}),
        json!({ "users": "" }),
        json!({ "users": {} }),
    ] {
        let shown = body.clone();
        let script = Script::new(move |_| (200, shown.clone()));
        let fault = small(&script).find(&ada()).await.unwrap_err();
        assert_eq!(fault.reason, Reason::Malformed, "{body}");
    }
}

#[tokio::test]
async fn protected_accounts_need_a_decision() {
    let user = |login: &str| json!({ "users": [{ "id": "7", "login": login, "mail": "ada@x.org" }] });
    let root = user("root");
    let script = Script::new(move |_| (200, root.clone()));
    assert_eq!(
        small(&script).find(&ada()).await.unwrap_err().reason,
        Reason::Protected
    );
    let listed = user("Break-Glass");
    let script = Script::new(move |_| (200, listed.clone()));
    let options = Options {
        protected: vec!["break-glass".into()],
        ..Options::default()
    };
    let connector = sound(DEFINITION).build(&inputs(), options, script).ok().unwrap();
    assert_eq!(
        connector.find(&ada()).await.unwrap_err().reason,
        Reason::Protected
    );
}

#[tokio::test]
async fn every_key_that_is_given_and_shown_must_agree() {
    let found = async |who: Person, shown: Value| {
        let mut user = json!({ "id": "1", "login": "ada", "mail": "ada@x.org" });
        user.as_object_mut()
            .unwrap()
            .extend(shown.as_object().unwrap().clone());
        let script = Script::new(move |r| match r.url.contains("by-login") {
            true => (200, user.clone()),
            false => (200, json!({ "users": [user] })),
        });
        let found = small(&script).find(&who).await.unwrap();
        found.into_iter().next().expect("found").doubt
    };
    let numbered = |number: &str| Person {
        employee_id: Some(number.into()),
        ..ada()
    };
    // Known by one key alone, or to a system that does not show the other one.
    assert_eq!(found(ada(), json!({ "number": "7" })).await, None);
    assert_eq!(found(numbered("7"), json!({})).await, None);
    assert_eq!(found(numbered("7"), json!({ "number": "" })).await, None);
    assert_eq!(found(numbered("E7"), json!({ "number": " e7 " })).await, None);
    // The address belongs to somebody else by now, or the number is wrong.
    let other = found(numbered("7"), json!({ "number": "8" })).await;
    assert_eq!(other.as_deref(), Some("employeeID disagrees"));
    let other = found(
        numbered("7"),
        json!({ "number": "7", "mails": ["ada.new@x.org"] }),
    )
    .await;
    assert_eq!(other.as_deref(), Some("email disagrees"));
    let aliases = json!({ "mails": ["ada.new@x.org", "ADA@x.org"] });
    assert_eq!(found(ada(), aliases).await, None);
    // A person has decided which account it is.
    let named = Person {
        account_name: Some("ada".into()),
        ..numbered("7")
    };
    assert_eq!(found(named, json!({ "number": "8" })).await, None);
}

const LISTED: &str = "
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: listed }
spec:
  title: Listed
  inputs: { url: { pattern: 'https?://.+' } }
  http: { base: '${inputs.url}/v1' }
  account:
    find: [{ get: /users, items: response.body.users }]
    profile: { get: '/users/${item.id}', when: item.kind == 'person', absent: response.status == 404 }
    id: item.id
    name: item.login
    keys: { email: \"has(item.mail) ? item.mail : null\", accountName: \"has(item.login) ? item.login : null\" }
    shows: user
  reads: { user: { get: '/users/${account.id}' } }
  facts:
    Blocked: { class: Access, holds: reads.user.blocked, act: [{ delete: '/users/${account.id}' }] }
";

#[tokio::test]
async fn a_list_that_tells_nobody_apart_is_read_profile_by_profile() {
    let script = || {
        Script::new(|request| {
            let user =
                |id: &str, mail: &str| json!({ "id": id, "login": format!("login-{id}"), "mail": mail });
            match request.url.rsplit('/').next().unwrap() {
                "1" => (200, user("1", "ida@x.org")),
                "2" => (200, user("2", "ada@x.org")),
                "3" => (404, Value::Null),
                "users" => {
                    let listed = |id: &str, kind: &str| json!({ "id": id, "kind": kind });
                    let users = [("1", "person"), ("2", "person"), ("3", "person"), ("4", "robot")];
                    (200, json!({ "users": users.map(|(id, kind)| listed(id, kind)) }))
                }
                other => panic!("{other}"),
            }
        })
    };
    let asked = script();
    let connector = over(LISTED, &asked);
    let found = connector.find(&ada()).await.unwrap();
    assert_eq!((found.len(), &*found[0].id, &*found[0].name), (1, "2", "login-2"));
    assert_eq!(
        asked.asked(),
        ["GET /users", "GET /users/1", "GET /users/2", "GET /users/3"]
    );
    assert_eq!(connector.looked_up_by(&ada()), ["email"]);
    let named = Person {
        account_name: Some("LOGIN-1".into()),
        ..ada()
    };
    let found = over(LISTED, &script()).find(&named).await.unwrap();
    assert_eq!((found.len(), &*found[0].id), (1, "1"));
    // A profile that cannot be read shows nobody to be nobody.
    let refused = Script::new(|request| match request.url.ends_with("/users") {
        true => (200, json!({ "users": [{ "id": "1", "kind": "person" }] })),
        false => (403, Value::Null),
    });
    let fault = over(LISTED, &refused).find(&ada()).await.unwrap_err();
    assert_eq!(fault.reason, Reason::Refused);
}

/// A `when` that says nothing of the person adds to what the request needs to know of them; one that does decides alone.
#[tokio::test]
async fn a_way_is_gone_where_its_condition_holds_and_its_keys_are_known() {
    let way =
        "{ get: /users, query: { filter: 'mail eq ${quoted(who.email)}' }, items: response.body.users }";
    assert!(DEFINITION.contains(way));
    let unknown = Person {
        employee_id: Some("7".into()),
        ..Person::default()
    };
    for (when, who, asked) in [
        ("'true'", ada(), true),
        ("'false'", ada(), false),
        ("'true'", unknown.clone(), false),
        ("has(who.employeeID)", unknown, true),
    ] {
        let conditional = way.replacen("{ get", &format!("{{ when: {when}, get"), 1);
        let conditional = match when {
            "has(who.employeeID)" => conditional.replacen("who.email", "who.employeeID", 1),
            _ => conditional,
        };
        let script = Script::new(|_| (200, json!({ "users": [] })));
        let found = over(&DEFINITION.replacen(way, &conditional, 1), &script)
            .find(&who)
            .await;
        assert_eq!(found.is_ok(), asked, "{when}");
        assert_eq!(script.asked().len(), usize::from(asked), "{when}");
    }
}
