//! A leaver of a real Keycloak, driven by the built-in definition; what holds is asked of its login, as an application would.

use std::{fs, path::Path};

use offboard::{
    connectors::declarative::{Definition, builtin, parse},
    core::{
        fact::{Verdict, Why},
        fault::Reason,
    },
};
use serde_json::{Value, json};

use crate::{
    driven::{Driven, System},
    support::{self, Keycloak, Realm, unique},
};

const PASSWORD: &str = "leaver-Passw0rd";

fn server() -> &'static Keycloak {
    support::keycloak()
}

fn system_of(
    realm: &Realm<'_>,
    client: &'static str,
    secret: &str,
    include: &'static [&'static str],
) -> System<'static> {
    System {
        definition: "keycloak",
        inputs: json!({"url": server().url, "realm": realm.name, "clientId": client, "accessTokenMinutes": 0}),
        secret: vec![("clientSecret", secret.to_owned())],
        include,
    }
}

fn system(realm: &Realm<'_>, include: &'static [&'static str]) -> System<'static> {
    system_of(realm, "offboarder", &realm.secret, include)
}

fn leaves(name: &str) -> Value {
    json!({"employee": {"email": format!("{name}@corp.test")}})
}

fn text(token: &Value, part: &str) -> String {
    token[part].as_str().unwrap().to_owned()
}

/// Enabled again with a password, as for somebody who is hired again.
fn rehire(realm: &Realm<'_>, id: &str) {
    let path = format!("/users/{id}");
    let (_, mut user) = realm.admin("GET", &path, &Value::Null);
    user["enabled"] = json!(true);
    user["credentials"] = json!([{"type": "password", "value": "new-Passw0rd", "temporary": false}]);
    assert_eq!(realm.admin("PUT", &path, &user).0, 204);
}

/// Gives a role of the realm and one of the client `app`.
fn give_roles(realm: &Realm<'_>, id: &str) {
    realm.admin("POST", "/roles", &json!({"name": "auditor"}));
    let role = realm.admin("GET", "/roles/auditor", &Value::Null).1;
    let mapping = format!("/users/{id}/role-mappings");
    assert_eq!(
        realm.admin("POST", &format!("{mapping}/realm"), &json!([role])).0,
        204
    );
    let client = realm.admin("GET", "/clients?clientId=app", &Value::Null).1;
    let client = client[0]["id"].as_str().unwrap();
    realm.admin(
        "POST",
        &format!("/clients/{client}/roles"),
        &json!({"name": "editor"}),
    );
    let role = realm
        .admin("GET", &format!("/clients/{client}/roles/editor"), &Value::Null)
        .1;
    let path = format!("{mapping}/clients/{client}");
    assert_eq!(realm.admin("POST", &path, &json!([role])).0, 204);
}

/// Makes the realm's profile stricter than what its people have by now: a pattern, and with `required` an attribute more.
fn make_stricter(realm: &Realm<'_>, required: bool) {
    let (_, mut profile) = realm.admin("GET", "/users/profile", &Value::Null);
    let rights = json!({"view": ["admin", "user"], "edit": ["admin", "user"]});
    let attributes = profile["attributes"].as_array_mut().unwrap();
    let pattern = json!({"pattern": {"pattern": "^\\+[0-9]+$", "error-message": ""}});
    attributes.push(json!({"name": "phone", "permissions": rights, "validations": pattern}));
    if required {
        let of = json!({"roles": ["admin", "user"]});
        attributes.push(json!({"name": "costCentre", "permissions": rights, "required": of}));
    }
    assert_eq!(realm.admin("PUT", "/users/profile", &profile).0, 200);
}

#[tokio::test]
async fn what_the_profile_refuses_keeps_no_token_alive() {
    for broken in [None, Some("phone"), Some("costCentre")] {
        let realm = server().realm("strict");
        let (_, mut profile) = realm.admin("GET", "/users/profile", &Value::Null);
        profile["unmanagedAttributePolicy"] = json!("ENABLED");
        assert_eq!(realm.admin("PUT", "/users/profile", &profile).0, 200);
        let id = realm.add_person("val", PASSWORD, &[]);
        let path = format!("/users/{id}");
        let (_, mut user) = realm.admin("GET", &path, &Value::Null);
        user["attributes"]["phone"] = json!(["ext. 12"]);
        assert_eq!(realm.admin("PUT", &path, &user).0, 204);
        let sign_in = |scope: &str| text(&realm.login("val", PASSWORD, scope).unwrap(), "refresh_token");
        let tokens = ["openid", "openid offline_access"].map(sign_in);
        if let Some(attribute) = broken {
            make_stricter(&realm, attribute == "costCentre");
        }
        let mut driven = Driven::leaver(&system(&realm, &[]), leaves("val"));
        driven
            .follow(&["UserDisabled", "SessionsEnded", "OfflineTokensRevoked"])
            .await;
        driven.pass().await;
        for token in &tokens {
            assert!(realm.refresh(token).is_err(), "{broken:?}");
        }
        assert!(realm.login("val", PASSWORD, "openid").is_err());
        let (_, user) = realm.admin("GET", &path, &Value::Null);
        assert_eq!(user["attributes"]["phone"], json!(["ext. 12"]), "nothing is lost");
        assert_eq!(user["enabled"], broken.is_some(), "{broken:?}");
        match (driven.verdict("UserDisabled"), broken) {
            (Verdict::Unmet(Why::Failed(fault)), Some(attribute)) => {
                // Where two do not fit, it names one of them.
                assert!(
                    ["phone", attribute].iter().any(|name| fault.code.contains(name)),
                    "{fault:?}"
                );
            }
            (verdict, _) => assert_eq!(*verdict, Verdict::Verified),
        }
    }
}

#[tokio::test]
async fn tokens_from_before_are_refused_and_stay_so_after_a_rehire() {
    let realm = server().realm("rehire");
    let id = realm.add_person("alice", PASSWORD, &["vpn"]);
    give_roles(&realm, &id);
    let (_, mut user) = realm.admin("GET", &format!("/users/{id}"), &Value::Null);
    user["lastName"] = json!("O'Hara Ülk");
    assert_eq!(realm.admin("PUT", &format!("/users/{id}"), &user).0, 204);
    let provider = json!({"alias": "partner", "providerId": "oidc", "config": {"clientId": "x",
        "tokenUrl": "https://p.test/t", "authorizationUrl": "https://p.test/a"}});
    assert_eq!(
        realm.admin("POST", "/identity-provider/instances", &provider).0,
        201
    );
    let link = json!({"identityProvider": "partner", "userId": "p1", "userName": "alice"});
    let path = format!("/users/{id}/federated-identity/partner");
    assert_eq!(realm.admin("POST", &path, &link).0, 204);
    let online = realm.login("alice", PASSWORD, "openid").unwrap();
    let offline = realm.login("alice", PASSWORD, "openid offline_access").unwrap();
    assert!(realm.accepts(&text(&online, "access_token")));
    assert!(realm.refresh(&text(&offline, "refresh_token")).is_ok());

    let mut driven = Driven::leaver(&system(&realm, &["AccessTokensExpired"]), leaves("alice"));
    driven.follow(&[]).await;
    driven.assert_done();
    let all_refused = || {
        assert!(!realm.accepts(&text(&online, "access_token")));
        assert!(!realm.accepts(&text(&offline, "access_token")));
        assert!(realm.refresh(&text(&online, "refresh_token")).is_err());
        assert!(realm.refresh(&text(&offline, "refresh_token")).is_err());
        assert!(realm.login("alice", PASSWORD, "openid").is_err());
    };
    all_refused();
    rehire(&realm, &id);
    all_refused();
    assert!(
        realm.login("alice", "new-Passw0rd", "openid").is_ok(),
        "and the rehired can work"
    );

    for left in ["groups", "federated-identity", "consents"] {
        let (_, left) = realm.admin("GET", &format!("/users/{id}/{left}"), &Value::Null);
        assert_eq!(left, json!([]));
    }
    let (_, roles) = realm.admin("GET", &format!("/users/{id}/role-mappings"), &Value::Null);
    assert_eq!(
        roles["realmMappings"].as_array().unwrap().len(),
        1,
        "only the default: {roles}"
    );
    assert!(roles.get("clientMappings").is_none(), "{roles}");
    assert_eq!(driven.snapshot("RealmRolesRemoved")[0]["name"], "auditor");
    assert_eq!(driven.snapshot("ClientRolesRemoved")[0]["role"]["name"], "editor");
    assert_eq!(driven.snapshot("GroupsRemoved")[0]["path"], "/vpn");
    assert_eq!(driven.snapshot("FederatedIdentitiesRemoved")[0]["userId"], "p1");
    // The rest of the account is as it was.
    let (_, now) = realm.admin("GET", &format!("/users/{id}"), &Value::Null);
    for same in ["username", "email", "firstName", "lastName", "emailVerified"] {
        assert_eq!(now[same], user[same], "{same}");
    }
}

#[tokio::test]
async fn an_account_that_somebody_enables_again_is_disabled_again_with_all_new_tokens() {
    let realm = server().realm("drift");
    let id = realm.add_person("bob", PASSWORD, &[]);
    let mut driven = Driven::leaver(&system(&realm, &[]), leaves("bob"));
    driven.follow(&[]).await;
    driven.assert_done();
    // What was seen once may have been seen late; what is seen twice was true.
    driven.pass().await;
    rehire(&realm, &id);
    let token = realm
        .login("bob", "new-Passw0rd", "openid offline_access")
        .unwrap();
    driven.pass().await;
    assert!(
        driven.row().drifted.contains(&"UserDisabled".to_owned()),
        "{:?}",
        driven.row().drifted
    );
    driven.follow(&[]).await;
    driven.assert_done();
    rehire(&realm, &id);
    assert!(!realm.accepts(&text(&token, "access_token")));
    assert!(realm.refresh(&text(&token, "refresh_token")).is_err());
}

#[tokio::test]
async fn who_may_only_look_is_told_so_of_each_change_and_nothing_is_done() {
    let realm = server().realm("small");
    let id = realm.add_person("cleo", PASSWORD, &["vpn"]);
    give_roles(&realm, &id);
    let client = json!({"clientId": "looker", "secret": "looker", "serviceAccountsEnabled": true,
        "standardFlowEnabled": false, "publicClient": false});
    assert_eq!(realm.admin("POST", "/clients", &client).0, 201);
    let named = |name: &str| {
        let (_, found) = realm.admin("GET", &format!("/clients?clientId={name}"), &Value::Null);
        found[0]["id"].as_str().unwrap().to_owned()
    };
    let path = format!("/clients/{}/service-account-user", named("looker"));
    let account = text(&realm.admin("GET", &path, &Value::Null).1, "id");
    let management = named("realm-management");
    let (_, role) = realm.admin(
        "GET",
        &format!("/clients/{management}/roles/view-users"),
        &Value::Null,
    );
    let path = format!("/users/{account}/role-mappings/clients/{management}");
    assert_eq!(realm.admin("POST", &path, &json!([role])).0, 204);
    let mut driven = Driven::leaver(&system_of(&realm, "looker", "looker", &[]), leaves("cleo"));
    driven.pass().await;
    for fact in [
        "UserDisabled",
        "CredentialsRemoved",
        "RealmRolesRemoved",
        "GroupsRemoved",
    ] {
        match driven.verdict(fact) {
            Verdict::Unmet(Why::Failed(fault)) => {
                assert_eq!(fault.reason, Reason::PermissionDenied, "{fact}")
            }
            other => panic!("{fact}: {other:?}"),
        }
    }
    assert_eq!(driven.verdict("FederatedIdentitiesRemoved"), &Verdict::Verified);
    // Roles that it may not view look like roles that are not there.
    match driven.verdict("ClientRolesRemoved") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::PermissionDenied),
        other => panic!("{other:?}"),
    }
    assert!(realm.login("cleo", PASSWORD, "openid").is_ok());
    let (_, user) = realm.admin("GET", &format!("/users/{id}"), &Value::Null);
    assert_eq!(user["enabled"], true);
}

#[tokio::test]
async fn a_deleted_account_is_done_only_if_it_was_deleted_here() {
    let realm = server().realm("gone");
    let ours = realm.add_person("dora", PASSWORD, &[]);
    let theirs = realm.add_person("eve", PASSWORD, &[]);
    let mut driven = Driven::leaver(&system(&realm, &["UserDeleted"]), leaves("dora"));
    driven.follow(&[]).await;
    driven.assert_done();
    assert_eq!(realm.admin("GET", &format!("/users/{ours}"), &Value::Null).0, 404);
    driven.restart();
    driven.pass().await;
    driven.assert_done();
    let mut driven = Driven::leaver(&system(&realm, &[]), leaves("eve"));
    driven.follow(&[]).await;
    driven.assert_done();
    assert_eq!(
        realm.admin("DELETE", &format!("/users/{theirs}"), &Value::Null).0,
        204
    );
    driven.pass().await;
    match driven.verdict("UserDisabled") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::NotFoundUncorroborated),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_is_found_by_address_number_or_name_and_a_program_never() {
    let realm = server().realm("find");
    for name in ["frank", "frankie"] {
        realm.add_person(name, PASSWORD, &[]);
    }
    let (_, mut profile) = realm.admin("GET", "/users/profile", &Value::Null);
    profile["unmanagedAttributePolicy"] = json!("ENABLED");
    assert_eq!(realm.admin("PUT", "/users/profile", &profile).0, 200);
    let gil = realm.add_person("gil", PASSWORD, &[]);
    let (_, mut user) = realm.admin("GET", &format!("/users/{gil}"), &Value::Null);
    user["attributes"] = json!({"employeeID": ["E 1:7"], "color": ["blue"]});
    assert_eq!(realm.admin("PUT", &format!("/users/{gil}"), &user).0, 204);
    let named = |name: &str| {
        let nobody = unique("nobody");
        json!({"employee": {"email": format!("{nobody}@corp.test"), "accounts": [{"connector": "system", "name": name}]}})
    };
    for (spec, name) in [
        (leaves("FRANK"), "frank"),
        (json!({"employee": {"employeeID": "E 1:7"}}), "gil"),
        (named("frankie"), "frankie"),
    ] {
        let mut driven = Driven::leaver(&system(&realm, &[]), spec);
        driven.follow(&[]).await;
        driven.assert_done();
        assert_eq!(driven.row().account.as_ref().unwrap().1, name);
        assert!(realm.login(name, PASSWORD, "openid").is_err());
    }
    let (_, user) = realm.admin("GET", &format!("/users/{gil}"), &Value::Null);
    assert_eq!(user["attributes"]["color"], json!(["blue"]), "{user}");
    let mut driven = Driven::leaver(&system(&realm, &[]), named("service-account-offboarder"));
    driven.pass().await;
    match driven.verdict("UserDisabled") {
        Verdict::Unknown(fault) => assert_eq!(fault.reason, Reason::Protected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_attribute_for_which_a_change_is_refused_is_named() {
    let realm = server().realm("stricter");
    let (_, mut profile) = realm.admin("GET", "/users/profile", &Value::Null);
    profile["unmanagedAttributePolicy"] = json!("ENABLED");
    assert_eq!(realm.admin("PUT", "/users/profile", &profile).0, 200);
    let val = realm.add_person("val", PASSWORD, &[]);
    let (_, mut user) = realm.admin("GET", &format!("/users/{val}"), &Value::Null);
    user["attributes"] = json!({"phone": ["ext. 12"]});
    assert_eq!(realm.admin("PUT", &format!("/users/{val}"), &user).0, 204);
    let rights = json!({"view": ["admin", "user"], "edit": ["admin", "user"]});
    let rule = json!({"pattern": {"pattern": "^[+][0-9]+$", "error-message": ""}});
    let phone = json!({"name": "phone", "permissions": rights, "validations": rule});
    profile["attributes"].as_array_mut().unwrap().push(phone);
    assert_eq!(realm.admin("PUT", "/users/profile", &profile).0, 200);
    let mut driven = Driven::leaver(&system(&realm, &[]), leaves("val"));
    driven.pass().await;
    let Verdict::Unmet(Why::Failed(fault)) = driven.verdict("UserDisabled") else {
        panic!("{:?}", driven.verdict("UserDisabled"))
    };
    assert_eq!(fault.reason, Reason::Refused);
    assert!(
        fault.code.starts_with("400 ") && fault.code.ends_with(" phone"),
        "{fault}"
    );
}

/// The id of a client.
fn client(realm: &Realm<'_>, name: &str) -> String {
    let (_, found) = realm.admin("GET", &format!("/clients?clientId={name}"), &Value::Null);
    text(&found[0], "id")
}

/// Says that `facts` wait for another administrator.
#[track_caller]
fn assert_held(driven: &Driven, facts: &[&str]) {
    for fact in facts {
        let verdict = driven.verdict(fact);
        assert!(
            matches!(verdict, Verdict::Unmet(Why::Failed(fault))
                if fault.reason == Reason::Protected && fault.code == "last administrator"),
            "{fact}: {verdict:?}"
        );
    }
}

#[tokio::test]
async fn the_last_administrator_of_a_realm_stays_until_another_one_is_enabled() {
    let realm = server().realm("last");
    let management = client(&realm, "realm-management");
    let path = format!("/clients/{management}/roles/realm-admin");
    let role = json!([realm.admin("GET", &path, &Value::Null).1]);
    let give = |whom: &str| {
        let path = format!("{whom}/role-mappings/clients/{management}");
        assert_eq!(realm.admin("POST", &path, &role).0, 204);
    };
    // A program that administers the realm is nobody who signs in.
    let path = format!("/clients/{}/service-account-user", client(&realm, "offboarder"));
    give(&format!(
        "/users/{}",
        text(&realm.admin("GET", &path, &Value::Null).1, "id")
    ));
    let ann = realm.add_person("ann", PASSWORD, &["vpn"]);
    let bob = realm.add_person("bob", PASSWORD, &["admins"]);
    let cleo = realm.add_person("cleo", PASSWORD, &[]);
    give(&format!("/users/{ann}"));
    let group = text(
        &realm.admin("GET", "/groups?search=admins", &Value::Null).1[0],
        "id",
    );
    give(&format!("/groups/{group}"));
    let enable = |id: &str, enabled: bool| {
        let path = format!("/users/{id}");
        let (_, mut user) = realm.admin("GET", &path, &Value::Null);
        user["enabled"] = json!(enabled);
        assert_eq!(realm.admin("PUT", &path, &user).0, 204);
    };
    enable(&bob, false);
    let held = [
        "UserDisabled",
        "CredentialsRemoved",
        "ClientRolesRemoved",
        "GroupsRemoved",
    ];
    let mut driven = Driven::leaver(&system(&realm, &[]), leaves("ann"));
    driven.pass().await;
    assert_held(&driven, &held);
    assert!(realm.login("ann", PASSWORD, "openid").is_ok());
    enable(&bob, true);
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(realm.login("ann", PASSWORD, "openid").is_err());

    // Bob is the last one now, by a group; and in one below it.
    let below = json!({"name": "night"});
    let (_, below) = realm.admin("POST", &format!("/groups/{group}/children"), &below);
    let below = text(&below, "id");
    for deeper in [false, true] {
        if deeper {
            let left = format!("/users/{bob}/groups/{group}");
            assert_eq!(realm.admin("DELETE", &left, &Value::Null).0, 204);
            let joined = format!("/users/{bob}/groups/{below}");
            assert_eq!(realm.admin("PUT", &joined, &Value::Null).0, 204);
        }
        let mut driven = Driven::leaver(&system(&realm, &[]), leaves("bob"));
        driven.pass().await;
        assert_held(&driven, &["UserDisabled", "CredentialsRemoved", "GroupsRemoved"]);
    }
    let mut off = system(&realm, &[]);
    off.inputs["administratorRole"] = json!("");
    give(&format!("/users/{cleo}"));
    for (system, name) in [(system(&realm, &[]), "bob"), (off, "cleo")] {
        let mut driven = Driven::leaver(&system, leaves(name));
        driven.follow(&[]).await;
        driven.assert_done();
    }
}

#[tokio::test]
async fn the_last_holder_of_a_role_of_the_realm_master_stays_until_there_is_another() {
    let master = server().master();
    let role = unique("night-watch");
    assert_eq!(master.admin("POST", "/roles", &json!({"name": role})).0, 201);
    let role_of = json!([master.admin("GET", &format!("/roles/{role}"), &Value::Null).1]);
    let (ann, bob) = (unique("ann"), unique("bob"));
    let give = |whom: &str| {
        let path = format!("{whom}/role-mappings/realm");
        assert_eq!(master.admin("POST", &path, &role_of).0, 204);
    };
    give(&format!("/users/{}", master.add_person(&ann, PASSWORD, &[])));
    let group = unique("watch");
    let mut system = system(&master, &[]);
    system.inputs["administratorRole"] = json!(role);
    let mut driven = Driven::leaver(&system, leaves(&ann));
    driven.pass().await;
    assert_held(
        &driven,
        &["UserDisabled", "CredentialsRemoved", "RealmRolesRemoved"],
    );
    assert!(master.login(&ann, PASSWORD, "openid").is_ok());
    // By a group is as good as by itself.
    master.add_person(&bob, PASSWORD, &[&group]);
    let (_, found) = master.admin("GET", &format!("/groups?search={group}"), &Value::Null);
    give(&format!("/groups/{}", text(&found[0], "id")));
    driven.restart();
    driven.follow(&[]).await;
    driven.assert_done();
    assert!(master.login(&ann, PASSWORD, "openid").is_err());
    let mut driven = Driven::leaver(&system, leaves(&bob));
    driven.pass().await;
    assert_held(&driven, &["UserDisabled", "CredentialsRemoved", "GroupsRemoved"]);
    // The role that administers the realm is the bootstrap administrator's, who stays.
    system.inputs["administratorRole"] = json!("realm-admin");
    let mut driven = Driven::leaver(&system, leaves(&bob));
    driven.follow(&[]).await;
    driven.assert_done();
}

#[test]
fn every_request_is_one_that_the_vendor_describes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs/keycloak.json");
    let Ok(spec) = fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/specs/keycloak.json is not here");
        return;
    };
    let mut spec: Value = serde_json::from_str(&spec).unwrap();
    // What the extract leaves out, as the vendor's documentation of 26.7 has it.
    let parameters = ["briefRepresentation", "first", "max"].map(|name| json!({"name": name}));
    for of in ["", "/clients/{client-uuid}"] {
        let path = format!("/admin/realms/{{realm}}{of}/roles/{{role-name}}/groups");
        spec["paths"][path] = json!({"get": {"parameters": parameters}});
    }
    let (_, definition) = parse(builtin("keycloak").unwrap()).unwrap();
    let definition = Definition::compile("keycloak", definition).unwrap();
    let definition = definition.spec();
    let facts = definition
        .facts
        .values()
        .flat_map(|f| f.act.iter().chain(&f.undo));
    let all = definition
        .account
        .as_ref()
        .unwrap()
        .find
        .iter()
        .chain(definition.reads.values())
        .chain(facts);
    let mut seen = 0;
    for request in all {
        let verbs = [
            ("get", &request.get),
            ("post", &request.post),
            ("put", &request.put),
            ("delete", &request.delete),
        ];
        let (verb, path) = verbs
            .iter()
            .find_map(|(verb, path)| Some((*verb, path.as_deref()?)))
            .unwrap();
        let path = format!("/admin/realms/${{inputs.realm}}{path}");
        let described = spec["paths"]
            .as_object()
            .unwrap()
            .iter()
            .find(|(known, methods)| {
                let (known, asked): (Vec<&str>, Vec<&str>) =
                    (known.split('/').collect(), path.split('/').collect());
                methods.get(verb).is_some()
                    && known.len() == asked.len()
                    && known
                        .iter()
                        .zip(&asked)
                        .all(|(k, a)| k == a || (k.starts_with('{') && a.starts_with("${")))
            });
        let (_, methods) = described.unwrap_or_else(|| panic!("{verb} {path} is not described"));
        let parameters = methods[verb]["parameters"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for name in request.query.keys() {
            assert!(
                parameters.iter().any(|p| p["name"] == **name),
                "{verb} {path}: parameter {name}"
            );
        }
        let body = request.json.is_some();
        assert!(
            !body || methods[verb].get("requestBody").is_some(),
            "{verb} {path}: no body is described"
        );
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}
