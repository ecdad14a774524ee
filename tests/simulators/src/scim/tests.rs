use reqwest::{Client, Method, Response, StatusCode};

use super::*;
use crate::server::Staleness;

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

async fn call(scim: &Scim, method: Method, path: &str, body: Option<Value>) -> Response {
    let mut request = Client::new()
        .request(method, format!("{}{path}", scim.base()))
        .bearer_auth(scim.token());
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

async fn read(scim: &Scim, path: &str) -> Value {
    call(scim, Method::GET, path, None).await.json().await.unwrap()
}

fn patch(operation: Value) -> Option<Value> {
    Some(json!({"schemas": [PATCH_OP], "Operations": [operation]}))
}

async fn log_in(scim: &Scim, name: &str) -> Option<String> {
    let answer = Client::new()
        .post(format!("{}/app/login", scim.url()))
        .json(&json!({"userName": name, "password": "pw"}))
        .send()
        .await
        .unwrap();
    let body: Option<Value> = answer.json().await.ok();
    Some(body?["session"].as_str()?.to_owned())
}

async fn works(scim: &Scim, credential: &str) -> bool {
    let answer = Client::new()
        .get(format!("{}/app/me", scim.url()))
        .bearer_auth(credential)
        .send()
        .await
        .unwrap();
    answer.status() == StatusCode::OK
}

#[tokio::test]
async fn login_session_and_token_die_with_active_false() {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user("jane@x.org", None, "pw");
    let session = log_in(&scim, "jane@x.org").await.unwrap();
    let made = Client::new()
        .post(format!("{}/app/tokens", scim.url()))
        .bearer_auth(&session)
        .send()
        .await
        .unwrap();
    let made: Value = made.json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    assert!(works(&scim, &session).await && works(&scim, token).await);
    let off = patch(json!({"op": "replace", "path": "active", "value": false}));
    let answer = call(&scim, Method::PATCH, &format!("/Users/{id}"), off).await;
    assert_eq!(answer.status(), 200);
    assert!(!works(&scim, &session).await && !works(&scim, token).await);
    assert_eq!(log_in(&scim, "jane@x.org").await, None);
}

#[tokio::test]
async fn a_wrong_token_is_401_and_a_missing_right_is_403() {
    let scim = Scim::start().await.unwrap();
    let url = format!("{}/Users", scim.base());
    let answer = Client::new().get(&url).bearer_auth("wrong").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    scim.set_quirks(|quirks| quirks.lacks = vec![Right::ReadUsers]);
    assert_eq!(call(&scim, Method::GET, "/Users", None).await.status(), 403);
}

#[tokio::test]
async fn put_clears_what_is_missing_ignores_groups_and_checks_the_version() {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user("jane", Some("E1"), "pw");
    let group = scim.add_group("all", &[&id]);
    let path = format!("/Users/{id}");
    let mut user = read(&scim, &path).await;
    let version = user["meta"]["version"].as_str().unwrap().to_owned();
    user.as_object_mut().unwrap().remove("title");
    user["groups"] = json!([]);
    user["active"] = json!(false);
    for (tag, status) in [
        ("W/\"99\"", 412),
        (version.as_str(), 200),
        (version.as_str(), 412),
    ] {
        let answer = Client::new()
            .put(format!("{}{path}", scim.base()))
            .bearer_auth(scim.token())
            .header("if-match", tag)
            .json(&user)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{tag}");
    }
    let after = read(&scim, &path).await;
    assert_eq!((&after["title"], &after["active"]), (&Value::Null, &json!(false)));
    assert_eq!(after["externalId"], "E1");
    assert_eq!(scim.members(&group), [id]);
    // A PUT without `active` falls back to the default: the person may log in again.
    user.as_object_mut().unwrap().remove("active");
    assert_eq!(call(&scim, Method::PUT, &path, Some(user)).await.status(), 200);
    assert!(log_in(&scim, "jane").await.is_some());
}

#[tokio::test]
async fn lists_are_paged_from_one_and_may_change_order_between_pages() {
    let scim = Scim::start().await.unwrap();
    let mut ids: Vec<_> = (0..4)
        .map(|n| scim.add_user(&format!("u{n}"), None, "pw"))
        .collect();
    ids.sort();
    scim.set_quirks(|quirks| quirks.page_size = 2);
    let page = async |start: usize| {
        let list = read(&scim, &format!("/Users?startIndex={start}&attributes=userName")).await;
        assert_eq!(
            (&list["totalResults"], &list["itemsPerPage"]),
            (&json!(4), &json!(2))
        );
        assert!(list["Resources"][0].get("emails").is_none());
        [0, 1].map(|n: usize| list["Resources"][n]["id"].as_str().unwrap().to_owned())
    };
    let mut all = [page(1).await, page(3).await].concat();
    all.sort();
    assert_eq!(all, ids);
    scim.set_quirks(|quirks| quirks.shuffled = 2);
    let shuffled = [page(1).await, page(3).await].concat();
    assert_eq!(
        shuffled[0], shuffled[3],
        "the same page twice, another one never: {shuffled:?}"
    );
}

#[tokio::test]
async fn deviations_answer_as_real_servers_do() {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user("jane", None, "pw");
    let path = format!("/Users/{id}");
    let with = json!({"op": "replace", "path": "active", "value": false});
    let without = json!({"op": "replace", "value": {"active": "False"}});
    for (support, status, effect) in [
        (PatchSupport::NotImplemented, 501, false),
        (PatchSupport::NotAllowed, 405, false),
        (PatchSupport::WithoutPathOnly, 400, false),
        (PatchSupport::PathIgnored, 200, false),
        (PatchSupport::Full, 200, true),
    ] {
        scim.set_quirks(|quirks| quirks.patch = support);
        let answer = call(&scim, Method::PATCH, &path, patch(with.clone())).await;
        assert_eq!(answer.status(), status, "{support:?}");
        assert_eq!(scim.is_active(&id), Some(!effect), "{support:?}");
    }
    let on = patch(json!({"op": "replace", "value": {"active": true}}));
    scim.set_quirks(|quirks| {
        quirks.patch = PatchSupport::WithoutPathOnly;
        quirks.active_as_text = true;
        quirks.filter = false;
        quirks.strict_media_type = true;
    });
    assert_eq!(call(&scim, Method::PATCH, &path, on.clone()).await.status(), 415);
    scim.set_quirks(|quirks| quirks.strict_media_type = false);
    call(&scim, Method::PATCH, &path, on).await;
    call(&scim, Method::PATCH, &path, patch(without)).await;
    assert_eq!(read(&scim, &path).await["active"], "False");
    let refused = call(
        &scim,
        Method::GET,
        "/Users?filter=userName%20eq%20%22jane%22",
        None,
    )
    .await;
    assert_eq!(refused.status(), 400);
    let error: Value = refused.json().await.unwrap();
    assert_eq!(
        (&error["scimType"], &error["status"]),
        (&json!("invalidFilter"), &json!("400"))
    );
}

#[tokio::test]
async fn the_value_list_form_wipes_the_group_and_the_value_filter_does_not() {
    let scim = Scim::start().await.unwrap();
    let (jane, bob) = (
        scim.add_user("jane", None, "pw"),
        scim.add_user("bob", None, "pw"),
    );
    let group = scim.add_group("all", &[&jane, &bob]);
    let path = format!("/Groups/{group}");
    let remove = json!({"op": "remove", "path": format!("members[value eq \"{jane}\"]")});
    call(&scim, Method::PATCH, &path, patch(remove)).await;
    assert_eq!(scim.members(&group), std::slice::from_ref(&bob));
    let wipe = json!({"op": "remove", "path": "members", "value": [{"value": jane}]});
    call(&scim, Method::PATCH, &path, patch(wipe)).await;
    assert_eq!(scim.members(&group), [""; 0]);
}

#[tokio::test]
async fn deleting_a_user_erases_what_they_wrote() {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user("jane", None, "pw");
    scim.add_content(&id, "the only copy");
    let session = log_in(&scim, "jane").await.unwrap();
    let answer = call(&scim, Method::DELETE, &format!("/Users/{id}"), None).await;
    assert_eq!(answer.status(), 204);
    assert!(!works(&scim, &session).await);
    assert!(scim.world().truth(|state| state.content.values().count() == 0));
    let gone = call(&scim, Method::GET, &format!("/Users/{id}"), None).await;
    assert_eq!(gone.status(), 404);
}

#[tokio::test]
async fn throttling_says_when_to_come_back_and_reads_may_lag() {
    let scim = Scim::start().await.unwrap();
    let id = scim.add_user("jane", None, "pw");
    let path = format!("/Users/{id}");
    scim.throttle("/Users", 1, Duration::from_secs(7));
    let answer = call(&scim, Method::GET, &path, None).await;
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    scim.world().set_staleness(Staleness::Reads(1));
    let off = patch(json!({"op": "replace", "path": "active", "value": false}));
    call(&scim, Method::PATCH, &path, off).await;
    assert_eq!(read(&scim, &path).await["active"], true);
    assert_eq!(read(&scim, &path).await["active"], false);
}

#[tokio::test]
async fn one_external_id_may_be_two_users() {
    let scim = Scim::start().await.unwrap();
    scim.add_user("jane", Some("E1"), "pw");
    scim.add_user("jane.old", Some("E1"), "pw");
    let list = read(&scim, "/Users?filter=externalId%20eq%20%22E1%22").await;
    assert_eq!(list["totalResults"], 2);
}
