mod belongings;

use std::collections::BTreeSet;

use reqwest::{Client, Method as Verb};
use serde_json::{Value, json};

use super::{
    state::{Managed, OFFICE_E3, POWER_BI},
    *,
};

const ALL: [&str; 16] = [
    "Directory.Read.All",
    "User.Read.All",
    "User.EnableDisableAccount.All",
    "User-PasswordProfile.ReadWrite.All",
    "User.RevokeSessions.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "LicenseAssignment.ReadWrite.All",
    "Device.ReadWrite.All",
    "MailboxSettings.ReadWrite",
    "DeviceManagementManagedDevices.PrivilegedOperations.All",
    "DeviceManagementManagedDevices.ReadWrite.All",
];

struct Trial {
    tenant: Microsoft365,
    token: String,
    leaver: String,
    successor: String,
    client: Client,
}

impl Trial {
    async fn new() -> Self {
        Self::with(&ALL, true).await
    }

    async fn with(permissions: &[&str], privileged: bool) -> Self {
        let tenant = Microsoft365::start("example.com").await.unwrap();
        let app = tenant.register(permissions, privileged);
        let leaver = tenant.seed(|tenant| tenant.add_user("lea", "lea password"));
        let successor = tenant.seed(|tenant| tenant.add_user("sue", "sue password"));
        let client = Client::new();
        let (status, answer) = token(
            &client,
            &tenant,
            &app.client_id,
            &app.secret,
            "https://graph.microsoft.com/.default",
        )
        .await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        Self {
            tenant,
            token,
            leaver,
            successor,
            client,
        }
    }

    async fn graph(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.tenant.graph());
        send(
            self.client
                .request(Verb::from_bytes(method.as_bytes()).unwrap(), url)
                .bearer_auth(&self.token),
            body,
        )
        .await
    }

    async fn door(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let url = format!("{}/end-user{path}", self.tenant.url());
        let verb = if body.is_null() && token.is_some() {
            Verb::GET
        } else {
            Verb::POST
        };
        let mut request = self.client.request(verb, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        send(request, body).await
    }

    fn user(&self, rest: &str) -> String {
        format!("/users/{}{rest}", self.leaver)
    }
}

async fn token(client: &Client, tenant: &Microsoft365, id: &str, secret: &str, scope: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
        ("scope", scope),
    ];
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", tenant.login());
    send(client.post(url).form(&form), Value::Null).await
}

async fn send(mut request: reqwest::RequestBuilder, body: Value) -> (u16, Value) {
    if !body.is_null() {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_token_needs_the_secret_and_the_default_scope_and_a_call_needs_its_permission() {
    let trial = Trial::with(&["User.ReadBasic.All"], false).await;
    let app = trial.tenant.register(&[], false);
    let default = "https://graph.microsoft.com/.default";
    for (id, secret, scope, error) in [
        (app.client_id.as_str(), "wrong", default, "invalid_client"),
        ("unknown", app.secret.as_str(), default, "unauthorized_client"),
        (&app.client_id, &app.secret, "User.Read.All", "invalid_scope"),
    ] {
        assert_eq!(
            token(&trial.client, &trial.tenant, id, secret, scope).await.1["error"],
            error
        );
    }
    assert_eq!(trial.graph("GET", &trial.user(""), Value::Null).await.0, 200);
    let (status, answer) = trial
        .graph("GET", &trial.user("?$select=id,accountEnabled"), Value::Null)
        .await;
    assert_eq!((status, code(&answer)), (403, "Authorization_RequestDenied"));
    let (status, _) = trial
        .graph("PATCH", &trial.user(""), json!({"accountEnabled": false}))
        .await;
    assert_eq!(status, 403);
}

#[tokio::test]
async fn a_disabled_user_is_out_at_every_door_but_an_open_access_token_lives_on() {
    let trial = Trial::new().await;
    let long_ago = Timestamp::from_second(1_750_000_000).unwrap();
    let old = trial
        .tenant
        .seed(|tenant| tenant.add_refresh_token(&trial.leaver, long_ago));
    let login = json!({"username": "lea@example.com", "password": "lea password"});
    let (_, tokens) = trial.door("/login", None, login.clone()).await;
    let access = tokens["access_token"].as_str().unwrap();
    let refresh = json!({"refresh_token": old});
    assert_eq!(trial.door("/refresh", None, refresh.clone()).await.0, 200);
    assert_eq!(
        trial
            .graph("PATCH", &trial.user(""), json!({"accountEnabled": false}))
            .await,
        (204, Value::Null)
    );
    assert_eq!(trial.door("/login", None, login).await.0, 401);
    assert_eq!(trial.door("/refresh", None, refresh.clone()).await.0, 400);
    assert_eq!(trial.door("/me", Some(access), Value::Null).await.0, 200);
    trial
        .graph("PATCH", &trial.user(""), json!({"accountEnabled": true}))
        .await;
    assert_eq!(
        trial.door("/refresh", None, refresh.clone()).await.0,
        200,
        "disabling alone revokes nothing"
    );
    let (_, answer) = trial
        .graph("POST", &trial.user("/revokeSignInSessions"), Value::Null)
        .await;
    assert_eq!(answer["value"], true);
    assert_eq!(trial.door("/refresh", None, refresh).await.0, 400);
    let (_, user) = trial
        .graph(
            "GET",
            &trial.user("?$select=id,signInSessionsValidFromDateTime"),
            Value::Null,
        )
        .await;
    let watermark: Timestamp = user["signInSessionsValidFromDateTime"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(watermark.subsec_nanosecond(), 0);
}

#[tokio::test]
async fn what_is_mastered_on_premises_comes_back_with_the_next_synchronisation() {
    let trial = Trial::new().await;
    trial
        .tenant
        .seed(|tenant| tenant.users.get_mut(&trial.leaver).unwrap().on_premises = Some(true));
    assert_eq!(
        trial
            .graph("PATCH", &trial.user(""), json!({"accountEnabled": false}))
            .await
            .0,
        204
    );
    trial.tenant.sync();
    let (_, user) = trial
        .graph(
            "GET",
            &trial.user("?$select=accountEnabled,onPremisesSyncEnabled"),
            Value::Null,
        )
        .await;
    assert_eq!(
        (&user["accountEnabled"], &user["onPremisesSyncEnabled"]),
        (&json!(true), &json!(true))
    );
    let password = json!({"passwordProfile": {"password": "a new password"}});
    assert_eq!(trial.graph("PATCH", &trial.user(""), password).await.0, 400);
}

#[tokio::test]
async fn each_method_has_its_own_path_the_default_goes_last_and_some_cannot_go() {
    let trial = Trial::new().await;
    let add = |kind: &str| trial.tenant.seed(|tenant| tenant.add_method(&trial.leaver, kind));
    let (fido, phone, hard) = (add("fido2"), add("phone"), add("hardwareOath"));
    trial
        .tenant
        .seed(|tenant| tenant.users.get_mut(&trial.leaver).unwrap().default_method = Some(phone.clone()));
    let (_, all) = trial
        .graph("GET", &trial.user("/authentication/methods"), Value::Null)
        .await;
    assert_eq!(all["value"].as_array().unwrap().len(), 4);
    assert_eq!(
        all["value"][1]["@odata.type"],
        "#microsoft.graph.fido2AuthenticationMethod"
    );
    let delete = async |below: &str, id: &str| {
        trial
            .graph(
                "DELETE",
                &trial.user(&format!("/authentication/{below}/{id}")),
                Value::Null,
            )
            .await
            .0
    };
    assert_eq!(delete("phoneMethods", &fido).await, 404);
    assert_eq!(delete("phoneMethods", &phone).await, 400);
    assert_eq!(delete("fido2Methods", &fido).await, 204);
    assert_eq!(delete("hardwareOathMethods", &hard).await, 400);
    trial.tenant.seed(|tenant| {
        tenant
            .users
            .get_mut(&trial.leaver)
            .unwrap()
            .methods
            .retain(|held| held.id == phone);
    });
    assert_eq!(delete("phoneMethods", &phone).await, 204);
}

#[tokio::test]
async fn a_list_comes_in_pages_linked_by_full_addresses_and_selected_as_asked() {
    let trial = Trial::new().await;
    trial.tenant.set_page(1);
    let filter = "$filter=userPrincipalName eq 'lea@example.com' or mail eq 'sue@example.com'";
    let (_, first) = trial
        .graph(
            "GET",
            &format!("/users?{filter}&$select=id,accountEnabled"),
            Value::Null,
        )
        .await;
    assert_eq!(
        first["value"],
        json!([{"id": trial.leaver, "accountEnabled": true}])
    );
    let next = first["@odata.nextLink"].as_str().unwrap();
    let (_, last) = send(trial.client.get(next).bearer_auth(&trial.token), Value::Null).await;
    assert_eq!(
        last["value"],
        json!([{"id": trial.successor, "accountEnabled": true}])
    );
    assert!(last.get("@odata.nextLink").is_none());
    let (_, plain) = trial.graph("GET", &trial.user(""), Value::Null).await;
    assert!(plain.get("accountEnabled").is_none(), "it must be selected");
    for wrong in ["$filter=startsWith(mail,'x')", "$top=1000", "$select=nonsense"] {
        assert_eq!(
            trial
                .graph("GET", &format!("/users?{wrong}"), Value::Null)
                .await
                .0,
            400,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn too_many_calls_are_told_when_to_come_back() {
    let trial = Trial::new().await;
    trial.tenant.set_budget(1, Duration::from_mins(1));
    trial.graph("GET", &trial.user(""), Value::Null).await;
    let url = format!("{}{}", trial.tenant.graph(), trial.user(""));
    let answer = trial
        .client
        .get(url)
        .bearer_auth(&trial.token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((50..=60).contains(&wait));
}

#[tokio::test]
async fn a_deleted_user_can_come_back_for_thirty_days_and_a_forgotten_ref_deletes_the_member() {
    let trial = Trial::with(
        &[
            "Directory.Read.All",
            "GroupMember.ReadWrite.All",
            "User.DeleteRestore.All",
        ],
        false,
    )
    .await;
    let group = trial
        .tenant
        .seed(|tenant| tenant.add_group("g", GroupKind::Security, &[&trial.leaver], &[]));
    let member = format!("/groups/{group}/members/{}", trial.leaver);
    assert_eq!(trial.graph("DELETE", &member, Value::Null).await.0, 204);
    assert_eq!(trial.graph("GET", &trial.user(""), Value::Null).await.0, 404);
    let bin = format!("/directory/deletedItems/{}", trial.leaver);
    assert_eq!(
        trial.graph("GET", &bin, Value::Null).await.1["id"],
        trial.leaver.as_str()
    );
    assert_eq!(
        trial
            .graph("POST", &format!("{bin}/restore"), Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(trial.graph("DELETE", &trial.user(""), Value::Null).await.0, 204);
    trial.tenant.age_deletions(Duration::from_hours(31 * 24));
    assert_eq!(
        trial
            .graph("POST", &format!("{bin}/restore"), Value::Null)
            .await
            .0,
        404
    );
}
