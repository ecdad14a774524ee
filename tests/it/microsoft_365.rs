//! The definition of Microsoft 365 against a tenant that keeps the vendor's rules. What proves the end is outside of the
//! connector: the old password and refresh token are refused, even once the account is let in again.

mod vendor;

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use offboard::{
    core::{
        fact::{Exempt, Verdict, Why},
        fault::Reason,
    },
    simulators::{
        microsoft365::{
            App, GLOBAL_ADMINISTRATOR, Microsoft365, TENANT,
            state::{GroupKind, Managed, POWER_BI},
        },
        server::{Mishap, Refusal, Staleness},
    },
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, Trial, person};

const LEA: &str = "lea@example.com";
const SUE: &str = "sue@example.com";
const HELPDESK: &str = "729827e3-9c14-49f7-bb1b-9608f156bbb8";
/// What the notes of the definition ask for.
const PERMISSIONS: [&str; 16] = [
    "Directory.Read.All",
    "User.Read.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "User.EnableDisableAccount.All",
    "User-PasswordProfile.ReadWrite.All",
    "User.RevokeSessions.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Device.ReadWrite.All",
    "MailboxSettings.ReadWrite",
    "LicenseAssignment.ReadWrite.All",
    "DeviceManagementManagedDevices.Read.All",
    "DeviceManagementManagedDevices.PrivilegedOperations.All",
];

/// A tenant with a leaver who is logged in, owns and belongs to groups, administers something, and a successor.
struct Scene {
    tenant: Microsoft365,
    app: App,
    lea: String,
    sue: String,
    team: String,
    refresh: String,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Microsoft365::start("example.com").await.unwrap();
        let app = tenant.register(&PERMISSIONS, true);
        let long_ago = Timestamp::from_second(1_750_000_000).unwrap();
        let (lea, sue, team, refresh) = tenant.seed(|tenant| {
            let lea = tenant.add_user("lea", "old password");
            let sue = tenant.add_user("sue", "sue's password");
            let root = tenant.add_user("root", "root password");
            tenant.assign(&root, GLOBAL_ADMINISTRATOR);
            tenant.assign(&lea, HELPDESK);
            let team = tenant.add_group("team", GroupKind::Unified, &[&lea, &sue], &[&lea]);
            tenant.add_group("both", GroupKind::Unified, &[&sue], &[&lea, &sue]);
            let staff = tenant.add_group("staff", GroupKind::Security, &[&lea, &sue], &[]);
            tenant.groups.get_mut(&staff).unwrap().licences = BTreeSet::from([POWER_BI.to_owned()]);
            let admins = tenant.add_group("admins", GroupKind::Security, &[&lea], &[]);
            tenant.groups.get_mut(&admins).unwrap().role_assignable = true;
            for kind in ["phone", "fido2", "microsoftAuthenticator", "external", "email"] {
                tenant.add_method(&lea, kind);
            }
            let user = tenant.users.get_mut(&lea).unwrap();
            user.default_method = Some(user.methods[0].id.clone());
            let (app_role, grant) = (tenant.id(), tenant.id());
            tenant
                .app_roles
                .insert(app_role, (lea.clone(), "crm".into(), "user".into()));
            tenant
                .grants
                .insert(grant, ["app", &lea, "graph", "Mail.Read"].map(ToOwned::to_owned));
            tenant.add_device(&lea, "laptop");
            let refresh = tenant.add_refresh_token(&lea, long_ago);
            (lea, sue, team, refresh)
        });
        let scene = Self {
            tenant,
            app,
            lea,
            sue,
            team,
            refresh,
            client: Client::new(),
        };
        assert_eq!(scene.ways_in().await, [true, true]);
        scene.tenant.control().clear_journal();
        scene
    }

    fn setup(&self) -> Setup<'static> {
        let inputs = json!({
            "tenant": TENANT, "clientId": self.app.client_id, "graph": self.tenant.graph(),
            "login": self.tenant.login(), "autoReply": "Lea has left.",
        });
        let mut setup = Setup::new("microsoft-365", inputs, ("clientSecret", &self.app.secret), LEA);
        setup.successor = Some(person(SUE));
        setup
    }

    async fn door(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let url = format!("{}/end-user{path}", self.tenant.url());
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

    async fn log_in(&self, name: &str, password: &str) -> (u16, Value) {
        let method = self
            .tenant
            .truth(|tenant| tenant.user(name)?.methods.first().map(|method| method.id.clone()));
        self.door(
            "/login",
            None,
            json!({"username": name, "password": password, "method": method}),
        )
        .await
    }

    /// Old password with a second step, old refresh token.
    async fn ways_in(&self) -> [bool; 2] {
        let refresh = json!({"refresh_token": self.refresh});
        [
            self.log_in(LEA, "old password").await.0 == 200,
            self.door("/refresh", None, refresh).await.0 == 200,
        ]
    }

    /// Nobody gets in with anything old, not even if somebody enables the account by mistake.
    async fn is_over(&self) {
        assert_eq!(self.ways_in().await, [false; 2]);
        self.tenant
            .seed(|tenant| tenant.users.get_mut(&self.lea).unwrap().enabled = true);
        assert_eq!(
            self.ways_in().await,
            [false; 2],
            "although the account was let in again"
        );
    }

    /// The successor enters the leaver's team as its owner.
    async fn is_handed_over(&self) {
        let (_, tokens) = self.log_in(SUE, "sue's password").await;
        let token = tokens["access_token"].as_str().unwrap();
        let (status, team) = self
            .door(&format!("/teams/{}", self.team), Some(token), Value::Null)
            .await;
        assert_eq!((status, &team["owner"]), (200, &json!(true)));
    }

    fn memberships(&self) -> Vec<String> {
        self.tenant.truth(|tenant| {
            let groups = tenant
                .groups
                .values()
                .filter(|group| group.members.contains(&self.lea));
            groups.map(|group| group.name.clone()).collect()
        })
    }
}

fn throttled() -> Mishap {
    let body = json!({"error": {"code": "TooManyRequests", "message": "Too many requests"}});
    Mishap::Refuse(Refusal {
        status: 429,
        headers: vec![("retry-after", "3".into())],
        body,
    })
}

#[tokio::test]
async fn a_leaver_is_out_and_handed_over_despite_late_reads_throttling_and_lost_answers() {
    let scene = Scene::new().await;
    scene.tenant.set_page(1);
    scene.tenant.set_staleness(Staleness::Reads(9));
    let control = scene.tenant.control();
    control.arrange("PATCH", "/users/", 1, throttled());
    control.arrange("GET", "/memberOf", 1, throttled());
    control.arrange("PATCH", "/users/", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/revokeSignInSessions", 1, Mishap::LoseRequest);
    control.arrange("DELETE", "/members/", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/owners/", 1, Mishap::LoseAnswer);
    let mut setup = scene.setup();
    setup.include = &["AutoReplySet"];
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(120).await, "{:#?}", trial.all());
    assert_eq!(control.arranged(), 0, "every mishap happened");
    for (fact, verdict) in trial.all() {
        let retained = fact == "LicencesRemoved" || fact == "InheritedLicencesGone";
        assert_eq!(
            verdict,
            if retained {
                Verdict::NotNeeded(Exempt::Waived)
            } else {
                Verdict::Verified
            },
            "{fact}"
        );
    }
    assert!(scene.memberships().is_empty());
    let mail = scene.door(&format!("/mail/{LEA}"), None, json!({})).await.1;
    assert!(mail["autoReply"].as_str().unwrap().contains("Lea has left."));
    scene.is_handed_over().await;
    scene.is_over().await;
    vendor::every_request_is_in_the_vendors_words(&control.journal());
}

#[tokio::test]
async fn sign_in_is_disabled_before_sessions_are_revoked_and_methods_deleted() {
    let scene = Scene::new().await;
    let mut trial = Trial::new(&scene.setup());
    trial.settles(40).await;
    let journal = scene.tenant.control().journal();
    let at = |what: &str, field: &str| {
        let found = journal
            .iter()
            .position(|e| e.changes() && e.path.contains(what) && e.body.to_string().contains(field));
        found.unwrap_or_else(|| panic!("no {what} {field}"))
    };
    let disabled = at("/users/", "accountEnabled");
    assert!(disabled < at("/revokeSignInSessions", ""));
    assert!(disabled < at("/authentication/", ""));
    assert!(
        scene
            .tenant
            .truth(|tenant| tenant.users[&scene.lea].methods.is_empty()),
        "the default method too"
    );
    assert!(!journal.iter().any(|entry| entry.method == "DELETE"
        && entry.path.contains("/members/")
        && !entry.path.ends_with("$ref")));
}

#[tokio::test]
async fn an_open_access_token_counts_until_it_must_have_expired() {
    let scene = Scene::new().await;
    let mut setup = scene.setup();
    setup.inputs["accessTokenMinutes"] = json!(60);
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let Verdict::Pending(until) = trial.verdict("AccessTokensExpired") else {
        panic!("{:?}", trial.all())
    };
    let minutes = until.duration_since(Timestamp::now()).as_mins();
    assert!((58..=60).contains(&minutes), "{minutes}");
    trial.wait(3600);
    trial.pass().await;
    assert_eq!(trial.verdict("AccessTokensExpired"), Verdict::Verified);
}

#[tokio::test]
async fn groups_that_others_master_are_shown_and_never_touched() {
    let scene = Scene::new().await;
    let kinds = [
        GroupKind::Synced,
        GroupKind::Dynamic,
        GroupKind::MailSecurity,
        GroupKind::Distribution,
    ];
    for (name, kind) in ["synced", "dynamic", "mail", "list"].into_iter().zip(kinds) {
        scene
            .tenant
            .seed(|tenant| tenant.add_group(name, kind, &[&scene.lea], &[]));
    }
    let mut trial = Trial::new(&scene.setup());
    assert!(!trial.settles(40).await);
    assert_eq!(trial.verdict("GroupsLeft"), Verdict::Verified);
    for fact in ["SyncedGroupsLeft", "DynamicGroupsLeft", "MailGroupsLeft"] {
        assert_eq!(trial.verdict(fact), Verdict::Unmet(Why::NoAct), "{fact}");
    }
    assert_eq!(scene.memberships(), ["synced", "dynamic", "mail", "list"]);
    let touched = scene
        .tenant
        .control()
        .journal()
        .iter()
        .filter(|e| e.path.contains("/members/") && e.status == Some(400))
        .count();
    assert_eq!(touched, 0);
}

#[tokio::test]
async fn what_active_directory_masters_is_not_proven_when_it_comes_back() {
    let scene = Scene::new().await;
    scene
        .tenant
        .seed(|tenant| tenant.users.get_mut(&scene.lea).unwrap().on_premises = Some(true));
    let mut trial = Trial::new(&scene.setup());
    trial.settles(40).await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    assert_eq!(
        trial.verdict("PasswordRandomised"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    for _ in 0..3 {
        // Seen true once more when late reads are over; then it comes back.
        trial.wait(400);
        trial.pass().await;
        scene.tenant.sync();
        trial.pass().await;
    }
    assert_eq!(
        trial.verdict("AccountDisabled"),
        Verdict::Unmet(Why::ControllerConflict)
    );
}

#[tokio::test]
async fn licences_go_by_origin_after_the_hand_over() {
    let scene = Scene::new().await;
    let mut setup = scene.setup();
    setup.include = &["AutoReplySet", "ManagedDevicesRetired"];
    scene.tenant.seed(|tenant| {
        let device = Managed {
            id: "m".into(),
            user: scene.lea.clone(),
            state: "managed".into(),
            ..Managed::default()
        };
        tenant.managed.insert("m".into(), device);
    });
    let mut trial = Trial::new(&setup);
    trial.want("LicencesRemoved");
    trial.want("InheritedLicencesGone");
    assert!(trial.settles(60).await, "{:#?}", trial.all());
    assert_eq!(trial.verdict("LicencesRemoved"), Verdict::Verified);
    assert_eq!(trial.verdict("InheritedLicencesGone"), Verdict::Verified);
    let journal = scene.tenant.control().journal();
    let at = |what: &str| {
        journal
            .iter()
            .rposition(|entry| entry.changes() && entry.path.contains(what))
            .unwrap()
    };
    assert!(at("/assignLicense") > at("/owners/"));
    assert!(
        !journal
            .iter()
            .any(|entry| entry.body.to_string().contains(POWER_BI)),
        "an inherited one is not asked for"
    );
    vendor::every_request_is_in_the_vendors_words(&journal);
}

#[tokio::test]
async fn the_last_global_administrator_is_not_taken_away_and_a_hardware_token_is_shown() {
    let scene = Scene::new().await;
    scene.tenant.seed(|tenant| {
        tenant.roles.retain(|_, (_, role)| role != GLOBAL_ADMINISTRATOR);
        tenant.assign(&scene.lea, GLOBAL_ADMINISTRATOR);
        tenant.add_method(&scene.lea, "hardwareOath");
        tenant.users.get_mut(&scene.lea).unwrap().default_method = None;
    });
    let mut trial = Trial::new(&scene.setup());
    assert!(!trial.settles(60).await);
    let verdict = trial.verdict("DirectoryRolesRemoved");
    assert!(
        matches!(&verdict, Verdict::Unmet(Why::Failed(fault)) if fault.reason == Reason::Refused),
        "{verdict:?}"
    );
    assert_eq!(
        trial.verdict("AuthenticationMethodsRemoved"),
        Verdict::Unmet(Why::NoAct)
    );
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
}

#[tokio::test]
async fn a_missing_permission_is_a_reason_and_holds_up_nothing_else() {
    let scene = Scene::new().await;
    scene
        .tenant
        .revoke_permission(&scene.app, "UserAuthenticationMethod.ReadWrite.All");
    let mut trial = Trial::new(&scene.setup());
    trial.settles(30).await;
    let verdict = trial.verdict("AuthenticationMethodsRemoved");
    assert!(
        matches!(&verdict, Verdict::Unknown(fault) if fault.reason == Reason::PermissionDenied),
        "{verdict:?}"
    );
    for fact in [
        "AccountDisabled",
        "SessionsRevoked",
        "GroupsLeft",
        "PasswordRandomised",
        "GroupsHandedOver",
    ] {
        assert_eq!(trial.verdict(fact), Verdict::Verified, "{fact}");
    }
    scene.is_over().await;
}

#[tokio::test]
async fn an_act_that_was_only_accepted_proves_nothing() {
    let scene = Scene::new().await;
    scene
        .tenant
        .control()
        .arrange("PATCH", "/users/", 2, Mishap::AcceptOnly);
    scene
        .tenant
        .control()
        .arrange("POST", "/revokeSignInSessions", 1, Mishap::AcceptOnly);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    assert_ne!(trial.verdict("AccountDisabled"), Verdict::Verified);
    assert_ne!(trial.verdict("SessionsRevoked"), Verdict::Verified);
    assert!(trial.settles(60).await, "{:#?}", trial.all());
    scene.is_over().await;
}

#[tokio::test]
async fn a_successor_is_found_and_a_recycled_alias_is_for_a_person_to_decide() {
    let scene = Scene::new().await;
    scene.tenant.seed(|tenant| {
        tenant
            .users
            .get_mut(&scene.sue)
            .unwrap()
            .aliases
            .push("gone@example.com".into())
    });
    let mut setup = scene.setup();
    setup.who = person("gone@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let verdict = trial.verdict("AccountDisabled");
    assert!(
        matches!(&verdict, Verdict::Unknown(fault) if fault.reason == Reason::Protected),
        "{verdict:?}"
    );
    assert!(scene.tenant.truth(|tenant| tenant.users[&scene.sue].enabled));
}

#[tokio::test]
async fn nobody_comes_before_the_time_that_a_throttled_tenant_named() {
    let scene = Scene::new().await;
    scene.tenant.set_budget(10, Duration::from_secs(3600));
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    let refused = scene
        .tenant
        .control()
        .journal()
        .iter()
        .filter(|entry| entry.status == Some(429))
        .count();
    assert!(refused > 0);
    let before = scene.tenant.control().journal().len();
    trial.pass().await;
    assert_eq!(
        scene.tenant.control().journal().len(),
        before,
        "parked until the time that was named"
    );
}
