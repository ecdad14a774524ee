//! The definition of Google Workspace against a domain that keeps the vendor's rules. What proves the end is outside of
//! the connector: the old password, session, grant and app password are refused, even once the account is let in again.

pub mod scene;
pub mod vendor;

use std::time::Duration;

use jiff::Timestamp;
use offboard::core::{
    fact::{Exempt, Verdict, Why},
    fault::Reason,
    identity::Person,
};
use offboard_simulators::{
    google::state::SUPER_ADMIN,
    server::{Entry, Mishap, Refusal, Staleness},
};
use serde_json::json;

use self::scene::{LEA, SCOPES, SUE, Scene};
use crate::trial::{Trial, person};

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
        let expected = match fact.as_str() {
            // A suspended mailbox sends nothing on.
            "MailForwardingEnded" => Verdict::NotNeeded(Exempt::NotApplicable),
            _ => Verdict::Verified,
        };
        assert_eq!(verdict, expected, "{fact}");
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
async fn a_day_that_is_moved_after_the_end_is_nobodys_doing_and_holds_up_nothing() {
    let scene = Scene::new().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(40).await, "{:#?}", trial.all());
    // The log is asked about the time since the new end, in which nothing happened.
    trial.restart_without_receipts();
    trial.wait(24 * 3600);
    trial.end_now();
    let signed_out = scene.changes("/signOut").len();
    trial.pass().await;
    assert_eq!(trial.drifted(), [""; 0]);
    trial.pass().await;
    assert_eq!(scene.changes("/signOut").len(), signed_out + 1);
    assert_eq!(trial.drifted(), [""; 0]);
    // Nothing waits until a log cannot lag any more.
    for fact in ["PasswordRandomised", "SessionsSignedOut"] {
        assert_eq!(trial.verdict(fact), Verdict::Verified, "{fact}");
    }
}

/// How often a sign-out and a new password were asked for.
fn asked(scene: &Scene) -> [usize; 2] {
    let users = scene.changes("/admin/directory/v1/users/");
    let new_password = |entry: &&Entry| entry.body.get("password").is_some();
    [
        scene.changes("/signOut").len(),
        users.iter().filter(new_password).count(),
    ]
}

/// Passes until there is nothing to do but to wait for the log, long before it cannot lag any more.
async fn comes_to_rest(trial: &mut Trial) {
    for _ in 0..20 {
        trial.pass().await;
        if trial.all().iter().all(|(_, verdict)| verdict.at_rest()) {
            return;
        }
        trial.wait(30);
    }
    panic!("{:#?}", trial.all());
}

#[tokio::test]
async fn a_log_that_lags_is_waited_for_and_nothing_is_asked_for_twice_meanwhile() {
    let scene = Scene::new().await;
    scene.google.set_audit_lag(Duration::from_hours(1));
    let mut trial = Trial::new(&scene.setup());
    for hours in [0, 4] {
        trial.wait(hours * 3600);
        comes_to_rest(&mut trial).await;
        for (fact, verdict) in trial.all() {
            match fact.as_str() {
                "PasswordRandomised" | "SessionsSignedOut" => {
                    assert!(matches!(verdict, Verdict::Exposed(_)), "{fact}: {verdict:?}");
                }
                _ => assert!(verdict.settled(), "{fact}: {verdict:?}"),
            }
        }
        assert_eq!(asked(&scene), [1, 1]);
    }
    assert_eq!(scene.ways_in().await, [false; 4]);
    scene.google.set_audit_lag(Duration::ZERO);
    assert!(trial.settles(10).await, "{:#?}", trial.all());
    assert_eq!(asked(&scene), [1, 1]);
    assert_eq!(trial.drifted(), [""; 0]);
    scene.is_over().await;
}

#[tokio::test]
async fn what_the_log_never_shows_is_asked_for_again_once_it_cannot_lag_any_more() {
    let scene = Scene::new().await;
    scene.google.set_audit_lag(Duration::from_hours(1000));
    let mut trial = Trial::new(&scene.setup());
    comes_to_rest(&mut trial).await;
    assert_eq!(asked(&scene), [1, 1]);
    trial.wait(6 * 3600 + 1);
    comes_to_rest(&mut trial).await;
    assert_eq!(asked(&scene), [2, 2]);
    for fact in ["PasswordRandomised", "SessionsSignedOut"] {
        let verdict = trial.verdict(fact);
        assert!(matches!(verdict, Verdict::Exposed(_)), "{fact}: {verdict:?}");
    }
}

#[tokio::test]
async fn a_transfer_that_takes_long_is_waited_for_and_holds_up_nothing_else() {
    let scene = Scene::new().await;
    scene.google.set_transfer_polls(60);
    let mut trial = Trial::new(&scene.setup());
    assert!(!trial.settles(40).await);
    for (fact, verdict) in trial.all() {
        match fact.as_str() {
            "DriveHandedOver" | "CalendarHandedOver" => {
                assert!(matches!(verdict, Verdict::Pending(_)), "{fact}: {verdict:?}");
            }
            _ => assert!(verdict.settled(), "{fact}: {verdict:?}"),
        }
    }
    assert!(trial.settles(100).await, "{:#?}", trial.all());
    assert_eq!(scene.changes("/transfers").len(), 2);
    scene.is_handed_over().await;
}

#[tokio::test]
async fn a_transfer_that_failed_is_asked_for_again_and_is_never_taken_for_done() {
    let scene = Scene::new().await;
    scene.google.set_transfers_fail(true);
    let mut trial = Trial::new(&scene.setup());
    assert!(!trial.settles(40).await);
    for fact in ["DriveHandedOver", "CalendarHandedOver"] {
        assert!(!trial.verdict(fact).settled(), "{:#?}", trial.all());
    }
    assert_eq!(trial.verdict("AccountSuspended"), Verdict::Verified);
    let transfers = || {
        scene.google.truth(|domain| {
            let all = domain.transfers.values();
            let at_work = all.clone().filter(|transfer| transfer.status != "failed");
            (all.len(), at_work.count())
        })
    };
    let (all, at_work) = transfers();
    assert!(all > 2, "each was asked for again: {all}");
    assert!(at_work <= 2, "no two at once for the same: {at_work} of {all}");
    scene.google.set_transfers_fail(false);
    assert!(trial.settles(80).await, "{:#?}", trial.all());
    scene.is_handed_over().await;
    scene.is_over().await;
}

#[tokio::test]
async fn a_delegate_who_is_only_pending_does_not_read_the_mailbox_yet() {
    let scene = Scene::new().await;
    scene.google.set_delegate_lag(Duration::from_hours(1));
    let mut setup = scene.setup();
    setup.inputs["keepMailbox"] = json!(true);
    setup.include = &["MailDelegated"];
    let mut trial = Trial::new(&setup);
    assert!(!trial.settles(20).await);
    for (fact, verdict) in trial.all() {
        assert_eq!(verdict.settled(), fact != "MailDelegated", "{fact}: {verdict:?}");
    }
    scene.google.set_delegate_lag(Duration::ZERO);
    assert!(trial.settles(20).await, "{:#?}", trial.all());
    assert_eq!(trial.verdict("MailDelegated"), Verdict::Verified);
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
    scene.google.seed(|domain| {
        let filter = |to: &str| json!({"criteria": {"from": SUE}, "action": {"forward": to}});
        let lea = domain.user_mut(&scene.lea).unwrap();
        lea.forwarding_addresses.insert("lea@home.test".to_owned(), true);
        lea.forwarding = json!({"enabled": true, "emailAddress": "lea@home.test"})
            .as_object()
            .unwrap()
            .clone();
        for (id, to) in [("f1", "lea@phone.test"), ("f2", SUE)] {
            lea.filters.insert(id.to_owned(), filter(to));
            lea.filters.get_mut(id).unwrap()["id"] = json!(id);
        }
    });
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(40).await, "{:#?}", trial.all());
    assert_eq!(
        trial.verdict("AccountSuspended"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
    assert_eq!(scene.ways_in().await, [false; 4]);
    let mail = scene.door(&format!("/mail/{LEA}"), None, json!({})).await.1;
    // Nothing of it reaches the leaver; what a colleague gets stays so.
    let expected = json!({
        "bounced": false, "autoReply": "Lea has left. Please write to Sue.", "readBy": [SUE], "sentOnTo": [SUE]
    });
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
            .push("gone@example.com".into());
    });
    setup.who = person("gone@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let asked = |v: &Verdict| matches!(v, Verdict::Unknown(fault) if fault.reason == Reason::Ambiguous);
    assert!(trial.all().iter().all(|(_, v)| asked(v)), "{:?}", trial.all());
    setup.who = person("nobody@example.com");
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert_eq!(
        trial.verdict("AccountSuspended"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
}

#[tokio::test]
async fn the_last_super_administrator_is_suspended_once_another_one_is_active() {
    let scene = Scene::new().await;
    let other = scene.google.seed(|domain| {
        domain.assign(SUPER_ADMIN, &scene.lea);
        let other = domain.add_admin("former", "x");
        domain.users.get_mut(&other).unwrap().suspended = Some(Timestamp::now());
        other
    });
    let mut trial = Trial::new(&scene.setup());
    trial.settles(10).await;
    for fact in [
        "AccountSuspended",
        "PasswordRandomised",
        "TokensDeleted",
        "AdminRolesRemoved",
        "GroupsLeft",
    ] {
        let verdict = trial.verdict(fact);
        assert!(
            matches!(&verdict, Verdict::Unmet(Why::Failed(fault))
                if fault.reason == Reason::Protected && fault.code == "last super administrator"),
            "{fact}: {verdict:?}"
        );
    }
    let changes = scene.changes("/admin/directory/");
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(scene.ways_in().await, [false, true, true, true]);
    scene
        .google
        .seed(|domain| domain.users.get_mut(&other).unwrap().suspended = None);
    assert!(trial.settles(80).await, "{:?}", trial.all());
    assert_eq!(trial.verdict("AccountSuspended"), Verdict::Verified);
    scene.is_over().await;
    vendor::every_request_is_in_the_vendors_words(&scene.google.control().journal());

    let former = "former@example.com";
    let mut setup = scene.setup();
    setup.who = person(former);
    setup.inputs["keepLastAdministrator"] = json!(false);
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(80).await, "{:?}", trial.all());
    assert_eq!(trial.verdict("AccountSuspended"), Verdict::Verified);
}

#[tokio::test]
async fn who_is_no_super_administrator_costs_no_look_at_them() {
    let scene = Scene::new().await;
    let mut trial = Trial::new(&scene.setup());
    trial.settles(60).await;
    let journal = scene.google.control().journal();
    assert!(
        !journal
            .iter()
            .any(|entry| entry.parameter("query").is_some() && entry.path.ends_with("/users"))
    );
}

#[tokio::test]
async fn an_employee_number_alone_finds_the_account() {
    let scene = Scene::new().await;
    scene
        .google
        .seed(|domain| domain.users.get_mut(&scene.lea).unwrap().employee_id = Some("E-7".into()));
    let mut setup = scene.setup();
    setup.who = Person {
        employee_id: Some("E-7".into()),
        ..Person::default()
    };
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    assert_eq!(trial.verdict("AccountSuspended"), Verdict::Verified);
    assert_eq!(trial.ledger().account.as_ref().unwrap().id, scene.lea);
}
