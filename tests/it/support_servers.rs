//! The servers that other tests rely on are up and behave as those tests assume.

use serde_json::json;

use crate::support::{self, Mariadb, Postgres, Samba, Slapd, unicode_password, unique};

#[test]
fn openldap_locks_an_account_for_the_service_account_only() {
    let slapd = support::slapd();
    let (alice, bob) = (
        slapd.add_person(&unique("alice"), "pw-1"),
        slapd.add_person(&unique("bob"), "pw-2"),
    );
    assert!(slapd.login(&alice, "pw-1") && !slapd.login(&alice, "pw-2"));
    let lock = |dn: &str| {
        format!(
            "dn: {dn}\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
        )
    };
    assert_eq!(slapd.ldif_as(&bob, "pw-2", &lock(&alice)).code, 50);
    slapd
        .ldif_as(Slapd::SERVICE, Slapd::SERVICE_PASSWORD, &lock(&alice))
        .expect_ok();
    assert!(!slapd.login(&alice, "pw-1"));
    assert_eq!(
        slapd
            .ldif_as(Slapd::SERVICE, Slapd::SERVICE_PASSWORD, &lock(Slapd::SERVICE))
            .code,
        50
    );
}

#[test]
fn openldap_shows_memberships_and_lets_the_service_account_end_them() {
    let slapd = support::slapd();
    let alice = slapd.add_person(&unique("alice"), "pw");
    let group = slapd.add_group(&unique("vpn"), &[&alice]);
    let filter = format!("(&(uid=*)(memberOf={group})(!(uid=svc-offboard)))");
    assert!(slapd.search(&filter, &["dn"]).contains(&alice));
    let change = format!("dn: {group}\nchangetype: modify\ndelete: member\nmember: {alice}\n");
    slapd
        .ldif_as(Slapd::SERVICE, Slapd::SERVICE_PASSWORD, &change)
        .expect_ok();
    assert!(!slapd.search(&filter, &["dn"]).contains(&alice));
}

#[test]
fn active_directory_says_533_to_the_right_password_of_a_disabled_account() {
    let samba = support::samba();
    let name = unique("al");
    let dn = samba.add_person(&name, "First-Passw0rd!");
    let upn = format!("{name}@{}", Samba::DOMAIN);
    assert_eq!(samba.login(&upn, "First-Passw0rd!"), Ok(()));
    assert_eq!(samba.kinit(&name, "First-Passw0rd!"), Ok(()));
    let disable =
        format!("dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n");
    samba
        .ldif_as(Samba::SERVICE, Samba::SERVICE_PASSWORD, &disable)
        .expect_ok();
    assert_eq!(samba.login(&upn, "First-Passw0rd!"), Err("533".to_owned()));
    assert_eq!(samba.login(&upn, "Wrong-Passw0rd!"), Err("52e".to_owned()));
    assert!(
        samba
            .kinit(&name, "First-Passw0rd!")
            .unwrap_err()
            .contains("revoked")
    );
}

#[test]
fn active_directory_gives_the_service_account_what_was_delegated_and_nothing_else() {
    let samba = support::samba();
    let name = unique("bo");
    let dn = samba.add_person(&name, "First-Passw0rd!");
    let group = samba.add_group(&unique("vpn"), &[&dn]);
    let change = |text: &str| samba.ldif_as(Samba::SERVICE, Samba::SERVICE_PASSWORD, text).code;
    let replace = |dn: &str, attribute: &str, value: &str| {
        format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}{value}\n")
    };
    let password = format!(":: {}", unicode_password("Other-Passw0rd!"));
    assert_eq!(change(&replace(&dn, "unicodePwd", &password)), 0);
    assert_eq!(change(&replace(&dn, "accountExpires", ": 0")), 0);
    assert_eq!(change(&replace(&group, "managedBy", &format!(": {dn}"))), 0);
    let removal = format!("dn: {group}\nchangetype: modify\ndelete: member\nmember: {dn}\n");
    assert_eq!(change(&removal), 0);
    assert_eq!(change(&replace(&dn, "mail", ": x@corp.example.test")), 50);
    assert_eq!(change(&replace(&dn, "employeeID", ": 1")), 50);
    let admins = format!("CN=Domain Admins,CN=Users,{}", Samba::BASE);
    assert_eq!(
        change(&format!(
            "dn: {admins}\nchangetype: modify\nadd: member\nmember: {dn}\n"
        )),
        50
    );
    assert_eq!(change(&replace(Samba::ADMIN, "userAccountControl", ": 514")), 50);
    assert_eq!(change(&replace(Samba::ADMIN, "unicodePwd", &password)), 50);
    assert_eq!(change(&format!("dn: {dn}\nchangetype: delete\n")), 50);
}

#[test]
fn directories_refuse_a_password_in_clear_text() {
    for (url, name, password) in [
        (&support::samba().ldap, Samba::SERVICE, Samba::SERVICE_PASSWORD),
        (&support::slapd().url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD),
    ] {
        let mut command = std::process::Command::new("ldapsearch");
        command.args([
            "-x", "-H", url, "-D", name, "-w", password, "-s", "base", "-b", "",
        ]);
        // 8 strongerAuthRequired, 13 confidentialityRequired
        assert!([8, 13].contains(&support::run(&mut command, "").code), "{url}");
    }
}

#[test]
fn postgresql_lets_the_operator_end_a_login_but_not_read_data() {
    let postgres = support::postgres();
    let (role, table) = (unique("alice"), unique("pay"));
    postgres.sql_as_admin(
        "postgres",
        &format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'; CREATE TABLE {table} ();"),
    );
    assert!(postgres.login(&role, "pw", "postgres") && !postgres.login(&role, "no", "postgres"));
    let operator =
        |sql: &str| postgres.sql_as(Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD, "postgres", sql);
    assert!(
        operator(&format!("SELECT * FROM {table}"))
            .stderr
            .contains("permission denied")
    );
    operator(&format!("ALTER ROLE {role} NOLOGIN")).expect_ok();
    assert!(!postgres.login(&role, "pw", "postgres"));
}

#[test]
fn mariadb_lets_the_operator_lock_an_account_but_not_read_data() {
    let mariadb = support::mariadb();
    let (user, schema) = (unique("alice"), unique("pay"));
    mariadb.sql_as_admin(&format!(
        "CREATE USER {user}@'%' IDENTIFIED BY 'pw'; CREATE DATABASE {schema}; CREATE TABLE {schema}.t (x int)"
    ));
    assert!(mariadb.login(&user, "localhost", "pw") && !mariadb.login(&user, "localhost", "no"));
    assert!(mariadb.login(&user, "127.0.0.1", "pw"));
    let operator = |sql: &str| mariadb.sql_as(Mariadb::OPERATOR, Mariadb::OPERATOR_PASSWORD, sql);
    assert!(
        operator(&format!("SELECT * FROM {schema}.t"))
            .stderr
            .contains("denied")
    );
    operator(&format!("ALTER USER {user}@'%' ACCOUNT LOCK")).expect_ok();
    assert!(!mariadb.login(&user, "localhost", "pw"));
}

#[tokio::test]
async fn the_control_plane_enforces_rbac_and_remembers_who_wrote() {
    let plane = support::control_plane();
    let namespace = plane.namespace("rbac");
    let create = |what: &[&str]| {
        plane
            .kubectl(&[&["create", "-n", &namespace], what].concat(), "")
            .expect_ok()
    };
    create(&["serviceaccount", "reader"]);
    create(&[
        "role",
        "reader",
        "--verb=get,list",
        "--resource=offboardings.offboard.dev,events",
    ]);
    create(&[
        "rolebinding",
        "reader",
        "--role=reader",
        &format!("--serviceaccount={namespace}:reader"),
    ]);
    let url = |resource: &str| format!("/apis/offboard.dev/v1alpha1/namespaces/{namespace}/{resource}");
    let client = plane.client_of(&namespace, "reader").await;
    let get = |resource: &str| axum::http::Request::get(url(resource)).body(Vec::new()).unwrap();
    assert!(
        client
            .request_text(get("offboardings"))
            .await
            .unwrap()
            .contains("OffboardingList")
    );
    let refused = client.request_text(get("connectors")).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 403));
    create(&["configmap", "one"]);
    let writes = plane.writes(&namespace);
    assert_eq!(writes.len(), 1, "{writes:?}");
    assert_eq!(
        (writes[0].user.as_str(), writes[0].resource.as_str()),
        ("admin", "configmaps")
    );
}

#[test]
fn with_controllers_what_a_deleted_object_owned_goes_too() {
    let plane = support::control_plane().with_controllers();
    let namespace = plane.namespace("owner");
    let kubectl = |what: &[&str], input: &str| plane.kubectl(&[&["-n", &namespace], what].concat(), input);
    kubectl(&["create", "configmap", "owner"], "").expect_ok();
    let uid = kubectl(
        &["get", "configmap", "owner", "-o", "jsonpath={.metadata.uid}"],
        "",
    )
    .expect_ok();
    let owned = format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: owned, ownerReferences: \
         [{{apiVersion: v1, kind: ConfigMap, name: owner, uid: {uid}}}]}}}}"
    );
    kubectl(&["create", "-f", "-"], &owned).expect_ok();
    kubectl(&["delete", "configmap", "owner"], "").expect_ok();
    let gone = || !kubectl(&["get", "configmap", "owned"], "").ok();
    assert!(support::poll(std::time::Duration::from_mins(1), gone));
}

#[test]
fn keycloak_ends_sign_in_and_refresh_of_a_disabled_person() {
    let realm = support::keycloak().realm("corp");
    let id = realm.add_person("alice", "pw", &["vpn"]);
    let token = realm.login("alice", "pw", "openid").unwrap();
    let refresh = token["refresh_token"].as_str().unwrap();
    realm.refresh(refresh).unwrap();
    assert_eq!(
        realm
            .admin("PUT", &format!("/users/{id}"), &json!({"enabled": false}))
            .0,
        204
    );
    assert!(
        realm
            .login("alice", "pw", "openid")
            .unwrap_err()
            .contains("disabled")
    );
    assert!(realm.refresh(refresh).unwrap_err().contains("disabled"));
}
