//! The definition of Microsoft 365 against a tenant that keeps the vendor's rules. What proves the end is outside of the
//! connector: the old password and refresh token are refused, even once the account is let in again.

pub mod scene;
pub mod vendor;

use std::time::Duration;

use jiff::Timestamp;
use offboard::core::{
    fact::{Exempt, Verdict, Why},
    fault::Reason,
    identity::Person,
    plan::TASK_AWAITED,
};
use offboard_simulators::{
    microsoft365::{
        GLOBAL_ADMINISTRATOR,
        state::{GroupKind, Managed, POWER_BI},
    },
    server::{Entry, Mishap, Refusal, Staleness},
};
use serde_json::json;

use self::scene::{LEA, Scene};
use crate::trial::{Trial, person};

fn throttled() -> Mishap {
    let body = json!({"error": {"code": "TooManyRequests", "message": "Too many requests"}});
    Mishap::Refuse(Refusal {
        status: 429,
        headers: vec![("retry-after", "3".into())],
        body,
    })
}

fn unavailable() -> Mishap {
    let body = json!({"error": {"code": "serviceNotAvailable", "message": "try later"}});
    Mishap::Refuse(Refusal {
        status: 503,
        headers: vec![],
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
        let retained = [
            "MailboxAndFilesHandedOver",
            "LicencesRemoved",
            "InheritedLicencesGone",
        ]
        .contains(&fact.as_str());
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
    // What is sent as soon as it may is sent while the first try to disable is refused.
    scene
        .tenant
        .control()
        .arrange("PATCH", "/users/", 1, unavailable());
    let mut trial = Trial::new(&scene.setup());
    trial.settles(40).await;
    let journal = scene.tenant.control().journal();
    let accepted = |what: &str, field: &str| {
        let found = journal.iter().position(|entry| {
            entry.changes()
                && entry.path.contains(what)
                && entry.body.to_string().contains(field)
                && entry.status.is_some_and(|status| status < 300)
        });
        found.unwrap_or_else(|| panic!("no {what} {field}"))
    };
    let disabled = accepted("/users/", "accountEnabled");
    assert!(disabled < accepted("/revokeSignInSessions", ""));
    assert!(disabled < accepted("/authentication/", ""));
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
    let Verdict::Exposed(until) = trial.verdict("AccessTokensExpired") else {
        panic!("{:?}", trial.all())
    };
    let minutes = until.duration_since(Timestamp::now()).as_mins();
    assert!((58..=60).contains(&minutes), "{minutes}");
    trial.wait(3600);
    trial.pass().await;
    assert_eq!(trial.verdict("AccessTokensExpired"), Verdict::Verified);
}

#[tokio::test]
async fn memberships_that_alone_are_shown_late_are_left_once_and_hold_up_nothing_else() {
    let scene = Scene::new().await;
    let mut trial = Trial::new(&scene.setup());
    scene.tenant.set_only_groups_lag(true);
    scene.tenant.set_staleness(Staleness::Reads(12));
    let before = scene.memberships().len();
    trial.pass().await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    assert!(matches!(trial.verdict("GroupsLeft"), Verdict::Pending(_)));
    assert!(trial.settles(80).await, "{:#?}", trial.all());
    assert!(scene.memberships().is_empty());
    let journal = scene.tenant.control().journal();
    let left = |entry: &&Entry| entry.method == "DELETE" && entry.path.contains("/members/");
    assert_eq!(journal.iter().filter(left).count(), before);
    scene.is_over().await;
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
        assert_eq!(
            trial.verdict(fact),
            Verdict::Unmet(Why::Gated(TASK_AWAITED)),
            "{fact}"
        );
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
    // Nobody has said that the mailbox is handed over.
    trial.want("MailboxAndFilesHandedOver");
    trial.want("LicencesRemoved");
    trial.want("InheritedLicencesGone");
    assert!(!trial.settles(60).await);
    let waits = Why::WaitsFor(vec!["MailboxAndFilesHandedOver".to_owned()]);
    assert_eq!(trial.verdict("LicencesRemoved"), Verdict::Unmet(waits));
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
    let mut setup = scene.setup();
    setup.inputs["keepLastAdministrator"] = json!(false);
    let mut trial = Trial::new(&setup);
    assert!(!trial.settles(60).await);
    let verdict = trial.verdict("DirectoryRolesRemoved");
    assert!(
        matches!(&verdict, Verdict::Unmet(Why::Failed(fault)) if fault.reason == Reason::Refused),
        "{verdict:?}"
    );
    assert_eq!(
        trial.verdict("AuthenticationMethodsRemoved"),
        Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
}

#[tokio::test]
async fn the_last_global_administrator_is_disabled_once_there_is_another() {
    let scene = Scene::new().await;
    let other = scene.tenant.seed(|tenant| {
        tenant.roles.retain(|_, (_, role)| role != GLOBAL_ADMINISTRATOR);
        tenant.assign(&scene.lea, GLOBAL_ADMINISTRATOR);
        let other = tenant.add_user("former", "x");
        tenant.users.get_mut(&other).unwrap().enabled = false;
        tenant.assign(&other, GLOBAL_ADMINISTRATOR);
        other
    });
    let mut trial = Trial::new(&scene.setup());
    trial.settles(10).await;
    for fact in ["AccountDisabled", "DirectoryRolesRemoved"] {
        let verdict = trial.verdict(fact);
        assert!(
            matches!(&verdict, Verdict::Unmet(Why::Failed(fault))
                if fault.reason == Reason::Protected && fault.code == "last Global Administrator"),
            "{fact}: {verdict:?}"
        );
    }
    assert!(scene.tenant.truth(|tenant| tenant.users[&scene.lea].enabled));
    scene
        .tenant
        .seed(|tenant| tenant.users.get_mut(&other).unwrap().enabled = true);
    assert!(trial.settles(80).await, "{:?}", trial.all());
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    vendor::every_request_is_in_the_vendors_words(&scene.tenant.control().journal());
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
            .push("gone@example.com".into());
    });
    let mut setup = scene.setup();
    setup.who = person("gone@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let verdict = trial.verdict("AccountDisabled");
    assert!(
        matches!(&verdict, Verdict::Unknown(fault) if fault.reason == Reason::Ambiguous),
        "{verdict:?}"
    );
    assert!(scene.tenant.truth(|tenant| tenant.users[&scene.sue].enabled));
}

#[tokio::test]
async fn nobody_comes_before_the_time_that_a_throttled_tenant_named() {
    let scene = Scene::new().await;
    scene.tenant.set_budget(10, Duration::from_hours(1));
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

#[tokio::test]
async fn an_employee_number_alone_finds_the_account() {
    let scene = Scene::new().await;
    scene
        .tenant
        .seed(|tenant| tenant.users.get_mut(&scene.lea).unwrap().employee_id = Some("O'7".into()));
    let mut setup = scene.setup();
    setup.who = Person {
        employee_id: Some("O'7".into()),
        ..Person::default()
    };
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert_eq!(trial.verdict("AccountDisabled"), Verdict::Verified);
    assert_eq!(trial.ledger().account.as_ref().unwrap().id, scene.lea);
}
