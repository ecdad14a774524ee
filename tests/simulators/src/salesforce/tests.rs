use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, Method, Response};

use super::*;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

async fn ask_token(org: &Salesforce, form: &[(&str, &str)]) -> (u16, Value) {
    let answer = Client::new()
        .post(format!("{}/services/oauth2/token", org.url()))
        .form(form)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn connector(org: &Salesforce) -> String {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", org.client_id()),
        ("client_secret", org.client_secret()),
    ];
    let (status, body) = ask_token(org, &form).await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

async fn call(org: &Salesforce, token: &str, method: Method, path: &str, body: Option<Value>) -> Response {
    let url = format!("{}/services/data/v64.0/{path}", org.url());
    let mut request = Client::new().request(method, url).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.unwrap()
}

async fn query(org: &Salesforce, token: &str, soql: &str) -> Value {
    let url = format!("{}/services/data/v64.0/query", org.url());
    let request = Client::new().get(url).query(&[("q", soql)]).bearer_auth(token);
    request.send().await.unwrap().json().await.unwrap()
}

async fn log_in(org: &Salesforce, name: &str) -> Option<String> {
    let request = Client::new().post(format!("{}/login", org.url()));
    let answer = request
        .json(&json!({"username": name, "password": "pw"}))
        .send()
        .await
        .unwrap();
    let body: Option<Value> = answer.json().await.ok();
    Some(body?["session"].as_str()?.to_owned())
}

async fn open(org: &Salesforce, session: &str) -> bool {
    let request = Client::new().get(format!("{}/services/oauth2/userinfo", org.url()));
    request.bearer_auth(session).send().await.unwrap().status() == 200
}

async fn code(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap();
    (status, body[0]["errorCode"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn freezing_stops_logins_but_not_open_sessions() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    let session = log_in(&org, "jane@x.org").await.unwrap();
    let token = connector(&org).await;
    let soql = format!(
        "SELECT Id, IsFrozen FROM UserLogin WHERE UserId = '{}'",
        &jane[..15]
    );
    let login = query(&org, &token, &soql).await;
    let path = format!(
        "sobjects/UserLogin/{}",
        login["records"][0]["Id"].as_str().unwrap()
    );
    let frozen = call(
        &org,
        &token,
        Method::PATCH,
        &path,
        Some(json!({"IsFrozen": true})),
    )
    .await;
    assert_eq!(frozen.status(), 204);
    assert_eq!(log_in(&org, "jane@x.org").await, None);
    assert!(open(&org, &session).await);
    let sessions = query(
        &org,
        &token,
        &format!("SELECT Id FROM AuthSession WHERE UsersId = '{jane}'"),
    )
    .await;
    assert_eq!(sessions["totalSize"], 1);
    let path = format!(
        "sobjects/AuthSession/{}",
        sessions["records"][0]["Id"].as_str().unwrap()
    );
    assert_eq!(
        call(&org, &token, Method::DELETE, &path, None).await.status(),
        204
    );
    assert!(!open(&org, &session).await);
}

#[tokio::test]
async fn a_delete_token_ends_the_app_and_the_sessions_it_opened() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    let refresh = org.authorize_app(&jane, "Data Loader");
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", org.client_id()),
        ("refresh_token", refresh.as_str()),
    ];
    let (_, opened) = ask_token(&org, &form).await;
    let access = opened["access_token"].as_str().unwrap();
    assert!(open(&org, access).await);
    let token = connector(&org).await;
    let soql = format!("SELECT Id, DeleteToken FROM OauthToken WHERE UserId = '{jane}'");
    let tokens = query(&org, &token, &soql).await;
    assert_eq!(tokens["records"][0]["Id"], Value::Null);
    for status in [200, 400] {
        let answer = Client::new()
            .post(format!("{}/services/oauth2/revoke", org.url()))
            .form(&[("token", tokens["records"][0]["DeleteToken"].as_str().unwrap())])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
    assert!(!open(&org, access).await);
    assert_eq!(ask_token(&org, &form).await.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_user_in_the_way_cannot_be_deactivated_and_none_can_be_deleted() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    let token = connector(&org).await;
    let path = format!("sobjects/User/{jane}");
    let off = Some(json!({"IsActive": false}));
    org.block_deactivation(&jane, Blocker::DefaultLeadOwner);
    let refused = call(&org, &token, Method::PATCH, &path, off.clone()).await;
    assert_eq!(code(refused).await, (400, "FIELD_INTEGRITY_EXCEPTION".into()));
    let refused = call(&org, &token, Method::DELETE, &path, None).await;
    assert_eq!(code(refused).await, (405, "METHOD_NOT_ALLOWED".into()));
    org.unblock(&jane);
    let session = log_in(&org, "jane@x.org").await.unwrap();
    assert_eq!(call(&org, &token, Method::PATCH, &path, off).await.status(), 204);
    assert!(!open(&org, &session).await);
}

#[tokio::test]
async fn collections_answer_record_by_record() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    let sam = org.add_user("sam@x.org", "sam@x.org", "pw");
    let gone = org.add_user("gone@x.org", "gone@x.org", "pw");
    org.set("User", &gone, &json!({"IsActive": false}));
    let ids: Vec<_> = (0..3)
        .map(|n| org.add("Account", json!({"Name": format!("A{n}"), "OwnerId": jane})))
        .collect();
    let token = connector(&org).await;
    let patch = async |owner: &str, all: bool| {
        let records: Vec<_> = ids
            .iter()
            .map(|id| json!({"attributes": {"type": "Account"}, "id": id, "OwnerId": owner}))
            .collect();
        let body = json!({"allOrNone": all, "records": records});
        let answer = call(&org, &token, Method::PATCH, "composite/sobjects", Some(body)).await;
        answer.json::<Value>().await.unwrap()
    };
    assert_eq!(
        patch(&gone, false).await[0]["errors"][0]["statusCode"],
        "INACTIVE_OWNER_OR_USER"
    );
    org.lock_row(&ids[1], 1);
    let some = patch(&sam, false).await;
    assert_eq!(some[1]["errors"][0]["statusCode"], "UNABLE_TO_LOCK_ROW");
    assert_eq!(org.count("Account", "OwnerId", &sam), 2);
    org.lock_row(&ids[2], 1);
    let none = patch(&jane, true).await;
    assert_eq!(
        none[0]["errors"][0]["statusCode"],
        "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    );
    assert_eq!(org.count("Account", "OwnerId", &sam), 2);
    let login = org.add("UserLogin", json!({"UserId": gone}));
    let mixed = json!({"records": [
        {"attributes": {"type": "Account"}, "id": ids[0], "OwnerId": jane},
        {"attributes": {"type": "UserLogin"}, "id": login, "IsFrozen": true},
    ]});
    let answer = call(&org, &token, Method::PATCH, "composite/sobjects", Some(mixed)).await;
    let results: Value = answer.json().await.unwrap();
    assert_eq!(results[1]["errors"][0]["statusCode"], "MIXED_DML_OPERATION");
    let many = vec![json!({"attributes": {"type": "Account"}, "id": ids[0]}); 201];
    let answer = call(
        &org,
        &token,
        Method::PATCH,
        "composite/sobjects",
        Some(json!({"records": many})),
    )
    .await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn assignment_rules_apply_unless_told_not_to() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    let sam = org.add_user("sam@x.org", "sam@x.org", "pw");
    let rule = org.add_user("rule@x.org", "rule@x.org", "pw");
    org.assign_leads_to(&rule);
    let lead = org.add("Lead", json!({"Name": "L", "OwnerId": jane}));
    let token = connector(&org).await;
    let path = format!("sobjects/Lead/{lead}");
    let to_sam = json!({"OwnerId": sam});
    call(&org, &token, Method::PATCH, &path, Some(to_sam.clone())).await;
    assert_eq!(org.field("Lead", &lead, "OwnerId"), rule);
    let request = Client::new().patch(format!("{}/services/data/v64.0/{path}", org.url()));
    let request = request.bearer_auth(&token).header("sforce-auto-assign", "FALSE");
    request.json(&to_sam).send().await.unwrap();
    assert_eq!(org.field("Lead", &lead, "OwnerId"), sam);
}

#[tokio::test]
async fn queries_are_paged_counted_and_follow_relationships() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("o'neill@x.org", "o'neill@x.org", "pw");
    org.assign_permission_set(&jane, "Profile", true);
    org.assign_permission_set(&jane, "Sales", false);
    for n in 0..5 {
        org.add("Case", json!({"Name": n.to_string(), "OwnerId": jane}));
    }
    org.set_knobs(|knobs| knobs.page_size = Some(2));
    let token = connector(&org).await;
    let found = query(
        &org,
        &token,
        r"SELECT Id FROM User WHERE Email = 'o\'neill@x.org'",
    )
    .await;
    assert_eq!(found["records"][0]["Id"], jane);
    let sets = format!(
        "SELECT Id, PermissionSet.Label FROM PermissionSetAssignment \
         WHERE AssigneeId = '{jane}' AND PermissionSet.IsOwnedByProfile = false"
    );
    let sets = query(&org, &token, &sets).await;
    assert_eq!(
        (&sets["totalSize"], &sets["records"][0]["PermissionSet"]["Label"]),
        (&json!(1), &json!("Sales"))
    );
    let count = format!("SELECT COUNT() FROM Case WHERE OwnerId = '{jane}'");
    assert_eq!(query(&org, &token, &count).await["totalSize"], 5);
    let mut page = query(
        &org,
        &token,
        &format!("SELECT Id FROM Case WHERE OwnerId = '{jane}'"),
    )
    .await;
    let mut seen = 0;
    loop {
        seen += page["records"].as_array().unwrap().len();
        assert_eq!(page["totalSize"], 5);
        let Some(next) = page["nextRecordsUrl"].as_str() else {
            break;
        };
        let request = Client::new()
            .get(format!("{}{next}", org.url()))
            .bearer_auth(&token);
        page = request.send().await.unwrap().json().await.unwrap();
    }
    assert_eq!((seen, &page["done"]), (5, &json!(true)));
    for (soql, refused) in [
        ("SELECT Nope FROM User", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM User WHERE IsActive = 'true'", "INVALID_FIELD"),
        (
            "SELECT Id FROM User WHERE Id = 'x'",
            "INVALID_QUERY_FILTER_OPERATOR",
        ),
        ("SELECT Id FROM User WHERE", "MALFORMED_QUERY"),
    ] {
        assert_eq!(query(&org, &token, soql).await[0]["errorCode"], refused, "{soql}");
    }
}

#[tokio::test]
async fn without_a_right_answers_are_shorter_without_a_word() {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user("jane@x.org", "jane@x.org", "pw");
    org.authorize_app(&jane, "Data Loader");
    log_in(&org, "jane@x.org").await.unwrap();
    let account = org.add("Account", json!({"Name": "A", "OwnerId": jane}));
    let token = connector(&org).await;
    org.set_knobs(|knobs| knobs.lacks = Right::ALL.to_vec());
    for object in [
        "OauthToken WHERE UserId",
        "AuthSession WHERE UsersId",
        "Account WHERE OwnerId",
    ] {
        let soql = format!("SELECT COUNT() FROM {object} = '{jane}'");
        assert_eq!(query(&org, &token, &soql).await["totalSize"], 0, "{object}");
    }
    let login = query(&org, &token, "SELECT Id FROM UserLogin").await;
    assert_eq!(login[0]["errorCode"], "INVALID_TYPE");
    let access = query(
        &org,
        &token,
        "SELECT PermissionsManageUsers FROM UserPermissionAccess",
    )
    .await;
    assert_eq!(access["records"][0]["PermissionsManageUsers"], false);
    let path = format!("sobjects/User/{jane}");
    let refused = call(
        &org,
        &token,
        Method::PATCH,
        &path,
        Some(json!({"IsActive": false})),
    )
    .await;
    assert_eq!(code(refused).await.1, "INSUFFICIENT_ACCESS_OR_READONLY");
    let session = log_in(&org, "jane@x.org").await.unwrap();
    let own = call(
        &org,
        &session,
        Method::GET,
        &format!("sobjects/Account/{account}"),
        None,
    )
    .await;
    assert_eq!(own.status(), 200);
}

#[tokio::test]
async fn jwt_bearer_needs_the_right_key_audience_user_and_a_short_life() {
    let org = Salesforce::start().await.unwrap();
    org.add_user("jane@x.org", "jane@x.org", "pw");
    let key = org.private_key();
    let other = Salesforce::start().await.unwrap().private_key();
    let now = jiff::Timestamp::now().as_second();
    let good = (&key, "https://login.salesforce.com", INTEGRATION, 120);
    for ((key, audience, user, life), wanted) in [
        (good, ""),
        ((&other, good.1, good.2, good.3), "invalid assertion"),
        (
            (&key, "https://evil.example", good.2, good.3),
            "audience is invalid",
        ),
        (
            (&key, good.1, "jane@x.org", good.3),
            "user hasn't approved this consumer",
        ),
        ((&key, good.1, good.2, 3600), "invalid assertion"),
        ((&key, good.1, good.2, -600), "expired authorization code"),
    ] {
        let claims = json!({"iss": org.client_id(), "sub": user, "aud": audience, "exp": now + life});
        let key = EncodingKey::from_rsa_pem(key.as_bytes()).unwrap();
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
        let (status, body) = ask_token(&org, &[("grant_type", JWT_BEARER), ("assertion", &assertion)]).await;
        let refused = body["error_description"].as_str().unwrap_or_default();
        assert_eq!((status == 200, refused), (wanted.is_empty(), wanted));
    }
}

#[tokio::test]
async fn the_daily_limit_is_told_and_enforced_and_expired_tokens_are_401() {
    let org = Salesforce::start().await.unwrap();
    let token = connector(&org).await;
    org.leave_requests(1);
    let last = call(&org, &token, Method::GET, "limits", None).await;
    assert_eq!(last.headers()["sforce-limit-info"], "api-usage=1/1");
    let refused = call(&org, &token, Method::GET, "limits", None).await;
    assert_eq!(code(refused).await, (403, "REQUEST_LIMIT_EXCEEDED".into()));
    org.expire_connector();
    let refused = call(&org, &token, Method::GET, "limits", None).await;
    assert_eq!(code(refused).await, (401, "INVALID_SESSION_ID".into()));
}
