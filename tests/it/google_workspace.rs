//! The definition of Google Workspace against a domain that keeps the vendor's rules. What proves the end is outside of
//! the connector: the old password, session, grant and app password are refused, even once the account is let in again.

mod vendor;

use offboard::{
    core::{
        fact::{Exempt, Verdict, Why},
        fault::Reason,
    },
    simulators::{
        google::{Google, ServiceAccount, Token},
        server::{Entry, Mishap, Refusal, Staleness},
    },
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, Trial, person};

const LEA: &str = "lea@example.com";
const SUE: &str = "sue@example.com";
const SCOPES: [&str; 8] = [
    "https://www.googleapis.com/auth/admin.directory.user",
    "https://www.googleapis.com/auth/admin.directory.user.security",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member",
    "https://www.googleapis.com/auth/admin.directory.rolemanagement",
    "https://www.googleapis.com/auth/admin.datatransfer",
    "https://www.googleapis.com/auth/admin.reports.audit.readonly",
    "https://www.googleapis.com/auth/drive.metadata.readonly",
];
const MAIL_SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/gmail.settings.basic",
    "https://www.googleapis.com/auth/gmail.settings.sharing",
];
const GROUPS_ADMIN: &str = "16000000000000002";

/// A domain with an administrator, a leaver who is logged in everywhere, and a successor.
struct Scene {
    google: Google,
    account: ServiceAccount,
    lea: String,
    sue: String,
    files: [String; 2],
    session: String,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
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

    fn setup(&self) -> Setup<'static> {
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

    async fn door(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
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

    async fn log_in(&self, email: &str, password: &str, code: &str) -> (u16, Value) {
        self.door(
            "/login",
            None,
            json!({"email": email, "password": password, "code": code}),
        )
        .await
    }

    /// Old password with a backup code, old session, old grant, old app password.
    async fn ways_in(&self) -> [bool; 4] {
        let app = json!({"email": LEA, "password": "app password"});
        [
            self.log_in(LEA, "old password", "backup-1").await.0 == 200,
            self.door("/me", Some(&self.session), Value::Null).await.0 == 200,
            self.door("/me", Some("grant"), Value::Null).await.0 == 200,
            self.door("/imap", None, app).await.0 == 200,
        ]
    }

    /// Nobody gets in with anything old, not even if somebody lifts the suspension by mistake.
    async fn is_over(&self) {
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
    async fn is_handed_over(&self) {
        let (_, session) = self.log_in(SUE, "sue's password", "").await;
        let session = session["session"].as_str().unwrap();
        for file in &self.files {
            let (status, shown) = self
                .door(&format!("/files/{file}"), Some(session), Value::Null)
                .await;
            assert_eq!((status, &shown["mine"]), (200, &json!(true)));
        }
    }

    fn changes(&self, path: &str) -> Vec<Entry> {
        let all = self.google.control().journal();
        all.into_iter()
            .filter(|entry| entry.changes() && entry.path.contains(path))
            .collect()
    }
}

/// Google's way to say that a quota is full.
fn quota() -> Mishap {
    let error =
        json!({"message": "Quota exceeded", "domain": "usageLimits", "reason": "userRateLimitExceeded"});
    let body = json!({"error": {"code": 403, "message": "Quota exceeded", "errors": [error]}});
    Mishap::Refuse(Refusal {
        status: 403,
        headers: vec![],
        body,
    })
}

#[tokio::test]
async fn a_leaver_is_out_and_handed_over_despite_late_reads_full_quotas_and_lost_answers() {
    let scene = Scene::new().await;
    scene.google.set_page(1);
    scene.google.set_staleness(Staleness::Reads(6));
    let control = scene.google.control();
    control.arrange("PUT", "/admin/directory/v1/users/", 1, quota());
    control.arrange("GET", "/groups", 1, quota());
    control.arrange("PUT", "/admin/directory/v1/users/", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/datatransfer/v1/transfers", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/signOut", 1, Mishap::LoseRequest);
    control.arrange("DELETE", "/members/", 1, Mishap::LoseAnswer);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(80).await, "{:#?}", trial.all());
    assert_eq!(control.arranged(), 0, "every mishap happened");
    for (fact, verdict) in trial.all() {
        assert_eq!(verdict, Verdict::Verified, "{fact}");
    }
    let transfers = scene.google.truth(|domain| domain.transfers.len());
    assert_eq!(
        transfers, 2,
        "one for Drive and one for the calendar, although an answer was lost"
    );
    assert!(scene.google.truth(|domain| {
        domain
            .groups
            .values()
            .all(|group| !group.members.contains_key(&scene.lea))
    }));
    assert!(scene.google.truth(|domain| {
        domain
            .groups
            .values()
            .all(|group| group.members.contains_key(&scene.sue))
    }));
    vendor::every_request_is_in_the_vendors_words(&control.journal());
    scene.is_handed_over().await;
    scene.is_over().await;
}

#[tokio::test]
async fn backup_codes_go_before_the_suspension_that_would_keep_them() {
    let scene = Scene::new().await;
    let mut trial = Trial::new(&scene.setup());
    trial.settles(20).await;
    let changes = scene.changes("/admin/directory/v1/users/");
    let at = |what: &dyn Fn(&Entry) -> bool| changes.iter().position(what).unwrap();
    let codes = at(&|entry| entry.path.ends_with("/invalidate"));
    let suspended = at(&|entry| entry.body["suspended"] == true);
    assert!(codes < suspended);
    assert!(at(&|entry| entry.path.ends_with("/signOut")) > suspended);
    assert_eq!(trial.verdict("BackupCodesInvalidated"), Verdict::Verified);
    assert!(
        !changes
            .iter()
            .any(|entry| entry.body.to_string().contains("old password"))
    );
}

#[tokio::test]
async fn a_suspension_that_was_only_accepted_is_asked_for_again() {
    let scene = Scene::new().await;
    scene
        .google
        .control()
        .arrange("PUT", "/admin/directory/v1/users/", 3, Mishap::AcceptOnly);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert!(!matches!(trial.verdict("AccountSuspended"), Verdict::Verified));
    assert!(trial.settles(60).await, "{:#?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn without_a_successor_access_ends_and_only_the_hand_over_waits() {
    let scene = Scene::new().await;
    let mut setup = scene.setup();
    setup.successor = None;
    let mut trial = Trial::new(&setup);
    trial.settles(20).await;
    for fact in ["DriveHandedOver", "CalendarHandedOver"] {
        let verdict = trial.verdict(fact);
        assert!(
            matches!(&verdict, Verdict::Unknown(fault) if fault.reason == Reason::NoSuccessor),
            "{verdict:?}"
        );
    }
    for fact in [
        "AccountSuspended",
        "TokensDeleted",
        "AppPasswordsDeleted",
        "GroupsLeft",
        "SessionsSignedOut",
    ] {
        assert_eq!(trial.verdict(fact), Verdict::Verified, "{fact}");
    }
    assert!(scene.changes("/transfers").is_empty());
    scene.is_over().await;
}

#[tokio::test]
async fn a_kept_mailbox_answers_and_is_read_by_the_successor_while_nobody_gets_in() {
    let scene = Scene::new().await;
    let mut setup = scene.setup();
    setup.inputs["keepMailbox"] = json!(true);
    setup.inputs["autoReply"] = json!("Lea has left. Please write to Sue.");
    setup.include = &["MailAutoReplySet", "MailDelegated"];
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(40).await, "{:#?}", trial.all());
    assert_eq!(
        trial.verdict("AccountSuspended"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    assert_eq!(scene.ways_in().await, [false; 4]);
    let mail = scene.door(&format!("/mail/{LEA}"), None, json!({})).await.1;
    let expected =
        json!({"bounced": false, "autoReply": "Lea has left. Please write to Sue.", "readBy": [SUE]});
    assert_eq!(mail, expected);
    let own: Vec<Entry> = scene.changes("/gmail/");
    assert!(
        !own.is_empty() && own.iter().all(|entry| entry.by.as_deref() == Some(&scene.lea)),
        "{own:?}"
    );
    vendor::every_request_is_in_the_vendors_words(&scene.google.control().journal());
}

#[tokio::test]
async fn a_dynamic_group_stays_unmet_and_keeps_no_other_group() {
    let scene = Scene::new().await;
    let dynamic = scene.google.seed(|domain| {
        let id = domain.add_group("a-rule", &[(&scene.lea, "MEMBER")]);
        domain.groups.get_mut(&id).unwrap().dynamic = true;
        id
    });
    let mut trial = Trial::new(&scene.setup());
    assert!(!trial.settles(12).await);
    assert!(matches!(
        trial.verdict("GroupsLeft"),
        Verdict::Pending(_) | Verdict::Unmet(Why::NotEffective)
    ));
    let left = scene.google.truth(|domain| {
        let groups = domain
            .groups
            .values()
            .filter(|group| group.members.contains_key(&scene.lea));
        groups.map(|group| group.id.clone()).collect::<Vec<_>>()
    });
    assert_eq!(left, [dynamic]);
}

#[tokio::test]
async fn a_missing_scope_leaves_everything_unknown_and_nothing_done() {
    let scene = Scene::new().await;
    scene.google.revoke_scope(&scene.account, SCOPES[5]);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert!(
        trial
            .all()
            .iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Unknown(_))),
        "{:?}",
        trial.all()
    );
    assert!(scene.changes("/admin/").is_empty());
    assert_eq!(scene.ways_in().await, [false, true, true, true]);
}

#[tokio::test]
async fn the_connectors_own_administrator_and_a_recycled_alias_are_for_a_person_to_decide() {
    let scene = Scene::new().await;
    let mut setup = scene.setup();
    setup.who = person("root@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let refused = |trial: &Trial| {
        trial
            .all()
            .iter()
            .all(|(_, v)| matches!(v, Verdict::Unknown(fault) if fault.reason == Reason::Protected))
    };
    assert!(refused(&trial), "{:?}", trial.all());
    scene.google.seed(|domain| {
        domain
            .users
            .get_mut(&scene.sue)
            .unwrap()
            .aliases
            .push("gone@example.com".into())
    });
    setup.who = person("gone@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert!(refused(&trial), "{:?}", trial.all());
    setup.who = person("nobody@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert_eq!(
        trial.verdict("AccountSuspended"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
}
