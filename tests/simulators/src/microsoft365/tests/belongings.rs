//! What people own and belong to.

use super::*;

#[tokio::test]
async fn only_cloud_groups_without_a_rule_and_without_mail_can_be_left_here() {
    let trial = Trial::new().await;
    for (kind, expected) in [
        (GroupKind::Security, 204),
        (GroupKind::Unified, 204),
        (GroupKind::Dynamic, 400),
        (GroupKind::Synced, 400),
        (GroupKind::MailSecurity, 400),
        (GroupKind::Distribution, 400),
    ] {
        let group = trial
            .tenant
            .seed(|tenant| tenant.add_group("g", kind, &[&trial.leaver], &[]));
        let path = format!("/groups/{group}/members/{}/$ref", trial.leaver);
        assert_eq!(
            trial.graph("DELETE", &path, Value::Null).await.0,
            expected,
            "{kind:?}"
        );
        if expected == 204 {
            assert_eq!(trial.graph("DELETE", &path, Value::Null).await.0, 404);
        }
    }
    let weak = Trial::with(&["Directory.Read.All", "GroupMember.ReadWrite.All"], false).await;
    let group = weak.tenant.seed(|tenant| {
        let group = tenant.add_group("admins", GroupKind::Security, &[&weak.leaver], &[]);
        tenant.groups.get_mut(&group).unwrap().role_assignable = true;
        group
    });
    let path = format!("/groups/{group}/members/{}/$ref", weak.leaver);
    assert_eq!(weak.graph("DELETE", &path, Value::Null).await.0, 403);
    assert_eq!(
        weak.graph("PATCH", &weak.user(""), json!({"accountEnabled": false}))
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn the_last_owner_of_a_group_stays_until_there_is_another() {
    let trial = Trial::new().await;
    let group = trial
        .tenant
        .seed(|tenant| tenant.add_group("team", GroupKind::Unified, &[], &[&trial.leaver]));
    let path = format!("/groups/{group}/owners/{}/$ref", trial.leaver);
    assert_eq!(trial.graph("DELETE", &path, Value::Null).await.0, 400);
    let owner = json!({"@odata.id": format!("{}/users/{}", trial.tenant.graph(), trial.successor)});
    let add = format!("/groups/{group}/owners/$ref");
    assert_eq!(trial.graph("POST", &add, owner.clone()).await.0, 204);
    assert_eq!(trial.graph("POST", &add, owner).await.0, 400);
    assert_eq!(trial.graph("DELETE", &path, Value::Null).await.0, 204);
    let (_, left) = trial
        .graph("GET", &trial.user("/ownedObjects"), Value::Null)
        .await;
    assert_eq!(left["value"], json!([]));
}

#[tokio::test]
async fn an_inherited_licence_goes_with_the_group_and_a_mailbox_goes_with_its_licence() {
    let trial = Trial::new().await;
    let group = trial.tenant.seed(|tenant| {
        let group = tenant.add_group("power bi", GroupKind::Security, &[&trial.leaver], &[]);
        tenant.groups.get_mut(&group).unwrap().licences = BTreeSet::from([POWER_BI.to_owned()]);
        group
    });
    let remove = |sku: &str| json!({"addLicenses": [], "removeLicenses": [sku]});
    assert_eq!(
        trial
            .graph("POST", &trial.user("/assignLicense"), remove(POWER_BI))
            .await
            .0,
        400
    );
    trial
        .graph(
            "DELETE",
            &format!("/groups/{group}/members/{}/$ref", trial.leaver),
            Value::Null,
        )
        .await;
    let reply =
        json!({"automaticRepliesSetting": {"status": "alwaysEnabled", "externalReplyMessage": "Gone."}});
    assert_eq!(
        trial
            .graph("PATCH", &trial.user("/mailboxSettings"), reply.clone())
            .await
            .0,
        200
    );
    let (_, mail) = trial.door("/mail/lea@example.com", None, Value::Null).await;
    assert!(mail["autoReply"].as_str().unwrap().contains("Gone."));
    assert_ne!(mail["autoReply"], "Gone.", "Exchange keeps it as HTML");
    assert_eq!(
        trial
            .graph("POST", &trial.user("/assignLicense"), remove(OFFICE_E3))
            .await
            .0,
        200
    );
    let (_, user) = trial
        .graph(
            "GET",
            &trial.user("?$select=licenseAssignmentStates"),
            Value::Null,
        )
        .await;
    assert_eq!(user["licenseAssignmentStates"], json!([]));
    let (status, answer) = trial.graph("PATCH", &trial.user("/mailboxSettings"), reply).await;
    assert_eq!((status, code(&answer)), (404, "MailboxNotEnabledForRESTAPI"));
}

#[tokio::test]
async fn the_last_global_administrator_stays() {
    let trial = Trial::new().await;
    let role = trial
        .tenant
        .seed(|tenant| tenant.assign(&trial.leaver, GLOBAL_ADMINISTRATOR));
    let path = format!("/roleManagement/directory/roleAssignments/{role}");
    assert_eq!(trial.graph("DELETE", &path, Value::Null).await.0, 400);
    trial
        .tenant
        .seed(|tenant| tenant.assign(&trial.successor, GLOBAL_ADMINISTRATOR));
    let list = format!(
        "/roleManagement/directory/roleAssignments?$filter=principalId eq '{}'",
        trial.leaver
    );
    assert_eq!(
        trial.graph("GET", &list, Value::Null).await.1["value"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(trial.graph("DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(trial.graph("GET", &list, Value::Null).await.1["value"], json!([]));
}

#[tokio::test]
async fn memberships_alone_can_lag() {
    let trial = Trial::new().await;
    let group = trial
        .tenant
        .seed(|tenant| tenant.add_group("g", GroupKind::Security, &[&trial.leaver], &[]));
    trial.tenant.set_only_groups_lag(true);
    trial.tenant.set_staleness(Staleness::Reads(1));
    trial
        .graph("PATCH", &trial.user(""), json!({"accountEnabled": false}))
        .await;
    let (_, user) = trial
        .graph("GET", &trial.user("?$select=accountEnabled"), Value::Null)
        .await;
    assert_eq!(user["accountEnabled"], false);
    trial
        .graph(
            "DELETE",
            &format!("/groups/{group}/members/{}/$ref", trial.leaver),
            Value::Null,
        )
        .await;
    for expected in [1, 0] {
        let (_, list) = trial.graph("GET", &trial.user("/memberOf"), Value::Null).await;
        assert_eq!(list["value"].as_array().unwrap().len(), expected);
    }
}

#[tokio::test]
async fn a_retired_device_is_pending_then_issued_then_gone() {
    let trial = Trial::new().await;
    trial.tenant.seed(|tenant| {
        let device = Managed {
            id: "m".into(),
            user: trial.leaver.clone(),
            state: "managed".into(),
            ..Managed::default()
        };
        tenant.managed.insert("m".into(), device);
    });
    assert_eq!(
        trial
            .graph("POST", "/deviceManagement/managedDevices/m/retire", Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        trial.tenant.truth(|tenant| tenant.managed["m"].state.clone()),
        "retirePending"
    );
    let list = format!(
        "/deviceManagement/managedDevices?$filter=userId eq '{}'",
        trial.leaver
    );
    for expected in [json!("retireIssued"), json!("retireIssued"), Value::Null] {
        assert_eq!(
            trial.graph("GET", &list, Value::Null).await.1["value"][0]["managementState"],
            expected
        );
    }
}
