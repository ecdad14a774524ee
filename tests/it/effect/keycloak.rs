//! A leaver of a real Keycloak that has its people from an LDAP directory.

use offboard::core::fact::{Exempt, Verdict};
use serde_json::{Value, json};

use crate::{
    leaver::Leaver,
    support::{self, Realm, Slapd, unique},
};

const PASSWORD: &str = "leaver-Passw0rd";

/// Lets the people of `slapd` into the realm, and gives the path of the synchronisation.
fn connect(realm: &Realm<'_>, slapd: &Slapd) -> String {
    let config = json!({
        "vendor": ["other"], "connectionUrl": [slapd.url], "usersDn": [format!("ou=people,{}", Slapd::BASE)],
        "authType": ["simple"], "bindDn": [Slapd::ADMIN], "bindCredential": [Slapd::ADMIN_PASSWORD],
        "usernameLDAPAttribute": ["uid"], "rdnLDAPAttribute": ["uid"], "uuidLDAPAttribute": ["entryUUID"],
        "userObjectClasses": ["inetOrgPerson"], "editMode": ["READ_ONLY"], "importEnabled": ["true"],
        "enabled": ["true"], "searchScope": ["1"]
    });
    let kind = "org.keycloak.storage.UserStorageProvider";
    let (_, parent) = realm.admin("GET", "", &Value::Null);
    let component = json!({"name": "ldap", "providerId": "ldap", "providerType": kind, "parentId": parent["id"], "config": config});
    assert_eq!(realm.admin("POST", "/components", &component).0, 201);
    let (_, found) = realm.admin("GET", &format!("/components?type={kind}"), &Value::Null);
    format!(
        "/user-storage/{}/sync?action=triggerFullSync",
        found[0]["id"].as_str().unwrap()
    )
}

#[tokio::test]
async fn who_comes_from_a_directory_is_out_after_its_synchronisation_too_and_is_not_deleted_to_come_back() {
    let slapd = support::slapd_in_the_open();
    let realm = support::keycloak().realm("ldap");
    let name = unique("jane");
    slapd.add_person(&name, PASSWORD);
    let synchronise = connect(&realm, &slapd);
    let lets_in = || realm.login(&name, PASSWORD, "openid offline_access").is_ok();
    assert!(lets_in());
    let connector = json!({
        "definition": "keycloak",
        "inputs": {"url": support::keycloak().url, "realm": realm.name, "accessTokenMinutes": 0},
        "facts": {"include": ["UserDeleted"]}
    });
    let secret = json!({"clientSecret": realm.secret});
    let leaving = json!({
        "urgency": "Immediate", "employee": {"email": format!("{name}@corp.test")}
    });
    let policy =
        json!({"retention": {"accounts": "0s"}, "timeline": [{"want": ["UserDeleted"], "at": "cutoff"}]});
    let mut leaver = Leaver::new(connector, &secret, &leaving, &policy);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!lets_in());
    let (status, answer) = realm.admin("POST", &synchronise, &Value::Null);
    assert_eq!(status, 200, "{answer}");
    assert!(
        slapd.login(&Slapd::dn(&name), PASSWORD),
        "the directory knows nothing of it"
    );
    assert!(!lets_in());
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
    assert_eq!(
        leaver.verdict("UserDeleted"),
        Verdict::NotNeeded(Exempt::NotApplicable)
    );
}
