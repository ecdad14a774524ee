mod belongings;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::*;

const USER: &str = "https://www.googleapis.com/auth/admin.directory.user";
const SECURITY: &str = "https://www.googleapis.com/auth/admin.directory.user.security";
const GROUP: &str = "https://www.googleapis.com/auth/admin.directory.group";
const ROLES: &str = "https://www.googleapis.com/auth/admin.directory.rolemanagement";
const TRANSFER: &str = "https://www.googleapis.com/auth/admin.datatransfer";
const METADATA: &str = "https://www.googleapis.com/auth/drive.metadata.readonly";
const MAIL: &str = "https://www.googleapis.com/auth/gmail.settings.basic";
const SHARING: &str = "https://www.googleapis.com/auth/gmail.settings.sharing";
const ALL: [&str; 8] = [USER, SECURITY, GROUP, ROLES, TRANSFER, METADATA, MAIL, SHARING];

struct Trial {
    google: Google,
    account: ServiceAccount,
    leaver: String,
    successor: String,
    client: Client,
}

impl Trial {
    async fn new() -> Self {
        let google = Google::start("example.com").await.unwrap();
        let account = google.service_account("offboard", &ALL);
        google.seed(|domain| domain.add_admin("root", "root password"));
        let leaver = google.seed(|domain| {
            let id = domain.add_user("lea", "lea password");
            let user = domain.users.get_mut(&id).unwrap();
            user.second_step = Some("123456".into());
            user.backup_codes = vec!["backup-1".into(), "backup-2".into()];
            user.app_passwords
                .push((0, "phone".into(), "app password".into()));
            user.tokens.push(Token {
                client_id: "app".into(),
                secret: "token".into(),
                ..Token::default()
            });
            id
        });
        let successor = google.seed(|domain| domain.add_user("sue", "sue password"));
        Self {
            google,
            account,
            leaver,
            successor,
            client: Client::new(),
        }
    }

    fn assertion(&self, subject: &str, scopes: &[&str], audience: &str, minutes: i64) -> String {
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({
            "iss": self.account.email, "sub": subject, "scope": scopes.join(" "), "aud": audience,
            "iat": now, "exp": now + minutes * 60,
        });
        let key = EncodingKey::from_rsa_pem(self.account.private_key.as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
    }

    async fn exchange(&self, assertion: &str) -> Value {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion),
        ];
        self.client
            .post(self.google.token_url())
            .form(&form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn token(&self, subject: &str, scopes: &[&str]) -> String {
        let answer = self
            .exchange(&self.assertion(subject, scopes, &self.google.token_url(), 60))
            .await;
        answer["access_token"]
            .as_str()
            .unwrap_or_else(|| panic!("no token: {answer}"))
            .to_owned()
    }

    /// A call in the administrator's name.
    async fn admin(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call("root@example.com", &ALL, method, path, body).await
    }

    async fn call(
        &self,
        subject: &str,
        scopes: &[&str],
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let token = self.token(subject, scopes).await;
        self.door(method, path, Some(&token), body).await
    }

    async fn door(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.google.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    fn user(&self, rest: &str) -> String {
        format!("/admin/directory/v1/users/{}{rest}", self.leaver)
    }

    async fn suspend(&self, suspended: bool) {
        let (status, _) = self
            .admin("PUT", &self.user(""), json!({"suspended": suspended}))
            .await;
        assert_eq!(status, 200);
    }
}

fn reason(answer: &Value) -> &str {
    answer["error"]["errors"][0]["reason"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test]
async fn an_assertion_must_be_signed_short_lived_for_this_audience_and_within_the_delegation() {
    let trial = Trial::new().await;
    let url = trial.google.token_url();
    let root = "root@example.com";
    let good = trial.assertion(root, &[USER], &url, 60);
    assert!(trial.exchange(&good).await["access_token"].is_string());
    let forged = {
        let (head, tail) = good.split_at(good.len() - 20);
        format!("{head}{}", tail.chars().rev().collect::<String>())
    };
    for (assertion, error) in [
        (forged, "invalid_grant"),
        (
            trial.assertion(root, &[USER], "https://elsewhere.example/token", 60),
            "invalid_grant",
        ),
        (trial.assertion(root, &[USER], &url, -5), "invalid_grant"),
        (trial.assertion(root, &[USER], &url, 61), "invalid_grant"),
        (
            trial.assertion("nobody@example.com", &[USER], &url, 60),
            "invalid_grant",
        ),
        (trial.assertion(&trial.leaver, &[USER], &url, 60), "invalid_grant"),
        (trial.assertion(root, &[], &url, 60), "invalid_scope"),
        (
            trial.assertion(
                root,
                &[USER, "https://www.googleapis.com/auth/apps.licensing"],
                &url,
                60,
            ),
            "unauthorized_client",
        ),
    ] {
        assert_eq!(trial.exchange(&assertion).await["error"], error);
    }
}

#[tokio::test]
async fn a_call_needs_a_token_its_scope_and_an_administrator() {
    let trial = Trial::new().await;
    let path = trial.user("/tokens");
    assert_eq!(
        trial.door("GET", &path, Some("nonsense"), Value::Null).await.0,
        401
    );
    let (status, answer) = trial
        .call("root@example.com", &[USER], "GET", &path, Value::Null)
        .await;
    assert_eq!((status, reason(&answer)), (403, "insufficientPermissions"));
    let (status, answer) = trial
        .call("sue@example.com", &[SECURITY], "GET", &path, Value::Null)
        .await;
    assert_eq!((status, reason(&answer)), (403, "forbidden"));
    assert_eq!(trial.admin("GET", &path, Value::Null).await.0, 200);
}

#[tokio::test]
async fn backup_codes_and_the_second_step_stay_on_a_suspended_user() {
    let trial = Trial::new().await;
    trial.suspend(true).await;
    for path in ["/verificationCodes/invalidate", "/twoStepVerification/turnOff"] {
        assert_eq!(
            trial.admin("POST", &trial.user(path), Value::Null).await.0,
            400,
            "{path}"
        );
    }
    assert_eq!(
        trial.admin("DELETE", &trial.user("/asps/0"), Value::Null).await.0,
        204
    );
    trial.suspend(false).await;
    assert_eq!(
        trial
            .admin("POST", &trial.user("/verificationCodes/invalidate"), Value::Null)
            .await
            .0,
        204
    );
    let (_, codes) = trial
        .admin("GET", &trial.user("/verificationCodes"), Value::Null)
        .await;
    assert!(codes.get("items").is_none());
}

#[tokio::test]
async fn a_suspended_user_gets_in_nowhere_and_their_tokens_come_alive_again_unless_deleted() {
    let trial = Trial::new().await;
    let login = json!({"email": "lea@example.com", "password": "lea password", "code": "backup-1"});
    let (_, session) = trial.door("POST", "/end-user/login", None, login.clone()).await;
    let session = session["session"].as_str().unwrap().to_owned();
    let (again, _) = trial.door("POST", "/end-user/login", None, login).await;
    assert_eq!(again, 401, "a backup code works once");
    let imap = json!({"email": "lea@example.com", "password": "app password"});
    for expected in [200, 401, 200] {
        if expected == 401 {
            trial.suspend(true).await;
        } else if trial
            .google
            .truth(|domain| domain.users[&trial.leaver].suspended.is_some())
        {
            trial.suspend(false).await;
        }
        for secret in [session.as_str(), "token"] {
            assert_eq!(
                trial
                    .door("GET", "/end-user/me", Some(secret), Value::Null)
                    .await
                    .0,
                expected
            );
        }
        assert_eq!(
            trial.door("POST", "/end-user/imap", None, imap.clone()).await.0,
            expected
        );
    }
    assert_eq!(
        trial
            .admin("DELETE", &trial.user("/tokens/app"), Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        trial
            .admin("DELETE", &trial.user("/tokens/app"), Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        trial.admin("POST", &trial.user("/signOut"), Value::Null).await.0,
        204
    );
    for secret in [session.as_str(), "token"] {
        assert_eq!(
            trial
                .door("GET", "/end-user/me", Some(secret), Value::Null)
                .await
                .0,
            401
        );
    }
}

#[tokio::test]
async fn put_empties_a_list_and_patch_does_not() {
    let trial = Trial::new().await;
    trial.google.seed(|domain| {
        let user = domain.users.get_mut(&trial.leaver).unwrap();
        user.profile.insert("phones".into(), json!([{"value": "1"}]));
        user.recovery_email = Some("lea@home.example".into());
    });
    let empty = json!({"phones": [], "recoveryEmail": ""});
    let (_, patched) = trial.admin("PATCH", &trial.user(""), empty.clone()).await;
    assert!(patched.get("phones").is_some() && patched.get("recoveryEmail").is_none());
    let (_, put) = trial.admin("PUT", &trial.user(""), empty).await;
    assert!(put.get("phones").is_none());
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_can_come_back_for_twenty_days() {
    let trial = Trial::new().await;
    assert_eq!(trial.admin("DELETE", &trial.user(""), Value::Null).await.0, 204);
    assert_eq!(trial.admin("GET", &trial.user(""), Value::Null).await.0, 404);
    let deleted = "/admin/directory/v1/users?customer=my_customer&showDeleted=true";
    assert_eq!(
        trial.admin("GET", deleted, Value::Null).await.1["users"][0]["id"],
        trial.leaver.as_str()
    );
    assert_eq!(
        trial
            .admin("POST", &trial.user("/undelete"), json!({"orgUnitPath": "/"}))
            .await
            .0,
        204
    );
    assert_eq!(trial.admin("GET", &trial.user(""), Value::Null).await.0, 200);
    trial.admin("DELETE", &trial.user(""), Value::Null).await;
    trial.google.age_deletions(Duration::from_hours(21 * 24));
    assert_eq!(
        trial
            .admin("POST", &trial.user("/undelete"), json!({"orgUnitPath": "/"}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn too_many_calls_are_told_so_by_a_403_and_sign_outs_are_in_the_audit_log() {
    let trial = Trial::new().await;
    trial.admin("POST", &trial.user("/signOut"), Value::Null).await;
    let audit = trial.google.service_account(
        "auditor",
        &["https://www.googleapis.com/auth/admin.reports.audit.readonly"],
    );
    let auditor = Trial {
        account: audit,
        ..trial
    };
    let token = auditor
        .token(
            "root@example.com",
            &["https://www.googleapis.com/auth/admin.reports.audit.readonly"],
        )
        .await;
    let path = "/admin/reports/v1/activity/users/all/applications/admin?eventName=RESET_SIGNIN_COOKIES&filters=USER_EMAIL==lea@example.com";
    let (_, log) = auditor.door("GET", path, Some(&token), Value::Null).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 1);
    auditor.google.set_budget(1, Duration::from_mins(1));
    assert_eq!(auditor.door("GET", path, Some(&token), Value::Null).await.0, 200);
    let (status, answer) = auditor.door("GET", path, Some(&token), Value::Null).await;
    assert_eq!((status, reason(&answer)), (403, "userRateLimitExceeded"));
}
