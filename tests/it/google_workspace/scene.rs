//! A domain with an administrator, a leaver who is logged in everywhere, and a successor.

use offboard_simulators::{
    google::{Google, ServiceAccount, Token},
    server::Entry,
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, person};

pub const LEA: &str = "lea@example.com";
pub const SUE: &str = "sue@example.com";
pub const SCOPES: [&str; 8] = [
    "https://www.googleapis.com/auth/admin.directory.user",
    "https://www.googleapis.com/auth/admin.directory.user.security",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member",
    "https://www.googleapis.com/auth/admin.directory.rolemanagement",
    "https://www.googleapis.com/auth/admin.datatransfer",
    "https://www.googleapis.com/auth/admin.reports.audit.readonly",
    "https://www.googleapis.com/auth/drive.metadata.readonly",
];
pub const MAIL_SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/gmail.settings.basic",
    "https://www.googleapis.com/auth/gmail.settings.sharing",
];
pub const GROUPS_ADMIN: &str = "16000000000000002";

/// A domain with an administrator, a leaver who is logged in everywhere, and a successor.
pub struct Scene {
    pub google: Google,
    pub account: ServiceAccount,
    pub lea: String,
    pub sue: String,
    pub files: [String; 2],
    pub session: String,
    pub client: Client,
}

impl Scene {
    pub async fn new() -> Self {
        let google = Google::start("example.com").await.unwrap();
        let account = google.service_account("offboard", &[SCOPES.as_slice(), &MAIL_SCOPES].concat());
        let (lea, sue, files) = google.seed(|domain| {
            domain.add_admin("root", "root password");
            let lea = domain.add_user("lea", "old password");
            let sue = domain.add_user("sue", "sue's password");
            domain.assign(GROUPS_ADMIN, &lea);
            for name in ["staff", "sales", "board"] {
                domain.add_group(name, &[(&lea, "MANAGER"), (&sue, "OWNER")]);
            }
            let files = [
                domain.add_file(&lea, "diary", &[]),
                domain.add_file(&lea, "offer", &[&sue]),
            ];
            let user = domain.users.get_mut(&lea).unwrap();
            user.second_step = Some("123456".into());
            user.backup_codes = vec!["backup-1".into(), "backup-2".into(), "backup-3".into()];
            user.app_passwords
                .push((0, "phone".into(), "app password".into()));
            user.recovery_email = Some("lea@home.example".into());
            let grant = Token {
                client_id: "crm".into(),
                name: "CRM".into(),
                secret: "grant".into(),
                ..Token::default()
            };
            user.tokens.push(grant);
            (lea, sue, files)
        });
        let mut scene = Self {
            google,
            account,
            lea,
            sue,
            files,
            session: String::new(),
            client: Client::new(),
        };
        let (status, session) = scene.log_in(LEA, "old password", "backup-1").await;
        assert_eq!(status, 200);
        scene.session = session["session"].as_str().unwrap().to_owned();
        assert_eq!(
            scene.ways_in().await,
            [false, true, true, true],
            "all but the spent backup code work"
        );
        scene.google.control().clear_journal();
        scene
    }

    pub fn setup(&self) -> Setup<'static> {
        let inputs = json!({
            "serviceAccount": self.account.email, "admin": "root@example.com", "admins": self.google.url(),
            "drive": self.google.url(), "gmail": self.google.url(), "tokenUrl": self.google.token_url(),
        });
        let mut setup = Setup::new(
            "google-workspace",
            inputs,
            ("privateKey", &self.account.private_key),
            LEA,
        );
        setup.successor = Some(person(SUE));
        setup
    }

    pub async fn door(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let url = format!("{}/end-user{path}", self.google.url());
        let mut request = if body.is_null() {
            self.client.get(url)
        } else {
            self.client.post(url).json(&body)
        };
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    pub async fn log_in(&self, email: &str, password: &str, code: &str) -> (u16, Value) {
        self.door(
            "/login",
            None,
            json!({"email": email, "password": password, "code": code}),
        )
        .await
    }

    /// Old password with a backup code, old session, old grant, old app password.
    pub async fn ways_in(&self) -> [bool; 4] {
        let app = json!({"email": LEA, "password": "app password"});
        [
            self.log_in(LEA, "old password", "backup-1").await.0 == 200,
            self.door("/me", Some(&self.session), Value::Null).await.0 == 200,
            self.door("/me", Some("grant"), Value::Null).await.0 == 200,
            self.door("/imap", None, app).await.0 == 200,
        ]
    }

    /// Nobody gets in with anything old, not even if somebody lifts the suspension by mistake.
    pub async fn is_over(&self) {
        assert_eq!(self.ways_in().await, [false; 4]);
        self.google
            .seed(|domain| domain.users.get_mut(&self.lea).unwrap().suspended = None);
        assert_eq!(
            self.ways_in().await,
            [false; 4],
            "although the account was let in again"
        );
        for code in ["backup-2", "123456"] {
            assert_eq!(self.log_in(LEA, "old password", code).await.0, 401);
        }
    }

    /// The successor reads the leaver's files as their owner.
    pub async fn is_handed_over(&self) {
        let (_, session) = self.log_in(SUE, "sue's password", "").await;
        let session = session["session"].as_str().unwrap();
        for file in &self.files {
            let (status, shown) = self
                .door(&format!("/files/{file}"), Some(session), Value::Null)
                .await;
            assert_eq!((status, &shown["mine"]), (200, &json!(true)));
        }
    }

    pub fn changes(&self, path: &str) -> Vec<Entry> {
        let all = self.google.control().journal();
        all.into_iter()
            .filter(|entry| entry.changes() && entry.path.contains(path))
            .collect()
    }
}
