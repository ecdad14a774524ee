//! What people own and belong to.

use super::*;

#[tokio::test]
async fn groups_are_listed_by_user_without_a_customer_and_in_pages() {
    let trial = Trial::new().await;
    trial.google.seed(|domain| {
        for name in ["a", "b", "c"] {
            domain.add_group(name, &[(&trial.leaver, "MEMBER")]);
        }
    });
    let list = format!("/admin/directory/v1/groups?userKey={}", trial.leaver);
    assert_eq!(
        trial
            .admin("GET", &format!("{list}&customer=my_customer"), Value::Null)
            .await
            .0,
        400
    );
    assert_eq!(
        trial
            .admin("GET", &format!("{list}&maxResults=201"), Value::Null)
            .await
            .0,
        400
    );
    let (_, first) = trial
        .admin("GET", &format!("{list}&maxResults=2"), Value::Null)
        .await;
    assert_eq!(first["groups"].as_array().unwrap().len(), 2);
    let token = first["nextPageToken"].as_str().unwrap();
    let (_, rest) = trial
        .admin(
            "GET",
            &format!("{list}&maxResults=2&pageToken={token}"),
            Value::Null,
        )
        .await;
    assert_eq!(rest["groups"].as_array().unwrap().len(), 1);
    assert!(rest.get("nextPageToken").is_none());
    let group = rest["groups"][0]["id"].as_str().unwrap();
    let member = format!("/admin/directory/v1/groups/{group}/members/{}", trial.leaver);
    assert_eq!(trial.admin("DELETE", &member, Value::Null).await.0, 204);
    assert_eq!(trial.admin("DELETE", &member, Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_last_super_administrator_stays() {
    let trial = Trial::new().await;
    let (_, given) = trial
        .admin(
            "GET",
            "/admin/directory/v1/customer/my_customer/roleassignments",
            Value::Null,
        )
        .await;
    let id = given["items"][0]["roleAssignmentId"].as_str().unwrap();
    let path = format!("/admin/directory/v1/customer/my_customer/roleassignments/{id}");
    assert_eq!(trial.admin("DELETE", &path, Value::Null).await.0, 403);
    let root = given["items"][0]["assignedTo"].as_str().unwrap();
    let path = format!("/admin/directory/v1/users/{root}/makeAdmin");
    assert_eq!(trial.admin("POST", &path, json!({"status": false})).await.0, 403);
    trial.google.seed(|domain| domain.add_admin("second", "password"));
    assert_eq!(trial.admin("POST", &path, json!({"status": false})).await.0, 204);
}

#[tokio::test]
async fn a_transfer_takes_time_moves_only_shared_files_by_default_and_is_made_twice_when_asked_twice() {
    let trial = Trial::new().await;
    let (private, shared) = trial.google.seed(|domain| {
        (
            domain.add_file(&trial.leaver, "private", &[]),
            domain.add_file(&trial.leaver, "shared", &[&trial.successor]),
        )
    });
    trial.suspend(true).await;
    let ask = |parameters: Value| {
        json!({
            "oldOwnerUserId": trial.leaver, "newOwnerUserId": trial.successor,
            "applicationDataTransfers": [{"applicationId": "55656082996", "applicationTransferParams": parameters}],
        })
    };
    let (_, first) = trial
        .admin("POST", "/admin/datatransfer/v1/transfers", ask(json!([])))
        .await;
    let (_, second) = trial
        .admin("POST", "/admin/datatransfer/v1/transfers", ask(json!([])))
        .await;
    assert_ne!(first["id"], second["id"]);
    assert_eq!(first["overallTransferStatusCode"], "new");
    let path = format!(
        "/admin/datatransfer/v1/transfers/{}",
        first["id"].as_str().unwrap()
    );
    for expected in ["inProgress", "completed"] {
        assert_eq!(
            trial.admin("GET", &path, Value::Null).await.1["overallTransferStatusCode"],
            expected
        );
    }
    let owners = |id: &str| trial.google.truth(|domain| domain.files[id].owner.clone());
    assert_eq!(
        (owners(&private), owners(&shared)),
        (trial.leaver.clone(), trial.successor.clone())
    );
    let files = "/drive/v3/files?q='me'+in+owners";
    let (_, left) = trial
        .call("lea@example.com", &[METADATA], "GET", files, Value::Null)
        .await;
    assert_eq!(
        left["files"][0]["name"], "private",
        "a suspended user's Drive can still be listed"
    );
    let everything = json!([{"key": "PRIVACY_LEVEL", "value": ["PRIVATE", "SHARED"]}]);
    let (_, third) = trial
        .admin("POST", "/admin/datatransfer/v1/transfers", ask(everything))
        .await;
    let path = format!("/admin/datatransfer/v1/transfers?oldOwnerUserId={}", trial.leaver);
    for _ in 0..2 {
        trial.admin("GET", &path, Value::Null).await;
    }
    assert_eq!(owners(&private), trial.successor, "{third}");
    trial
        .google
        .seed(|domain| domain.users.get_mut(&trial.successor).unwrap().suspended = Some(Timestamp::now()));
    assert_eq!(
        trial
            .admin("POST", "/admin/datatransfer/v1/transfers", ask(json!([])))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn a_mailbox_obeys_its_own_active_user_only() {
    let trial = Trial::new().await;
    let vacation = "/gmail/v1/users/lea%40example.com/settings/vacation";
    let reply = json!({"enableAutoReply": true, "responseBodyPlainText": "Lea has left."});
    let (status, _) = trial
        .call("root@example.com", &[MAIL], "PUT", vacation, reply.clone())
        .await;
    assert_eq!(status, 403);
    let (status, _) = trial
        .call("lea@example.com", &[MAIL], "PUT", vacation, reply.clone())
        .await;
    assert_eq!(status, 200);
    let delegates = "/gmail/v1/users/me/settings/delegates";
    let outside = json!({"delegateEmail": "x@elsewhere.example"});
    assert_eq!(
        trial
            .call("lea@example.com", &[SHARING], "POST", delegates, outside)
            .await
            .0,
        400
    );
    let inside = json!({"delegateEmail": "sue@example.com"});
    assert_eq!(
        trial
            .call("lea@example.com", &[SHARING], "POST", delegates, inside)
            .await
            .0,
        200
    );
    let (_, mail) = trial
        .door("POST", "/end-user/mail/lea@example.com", None, Value::Null)
        .await;
    assert_eq!(
        mail,
        json!({"bounced": false, "autoReply": "Lea has left.", "readBy": ["sue@example.com"], "sentOnTo": []})
    );
    trial.suspend(true).await;
    let (status, answer) = trial
        .call("lea@example.com", &[MAIL], "PUT", vacation, reply)
        .await;
    assert_eq!((status, reason(&answer)), (400, "failedPrecondition"));
}
