//! Who comes back to a real Keycloak.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, out, settle, stories, wanted_back, within};
use crate::{
    leaver::Leaver,
    support::{self, Realm, unique},
};

const PASSWORD: &str = "leaver-Passw0rd";

/// A person in groups, with a role of the realm, one of a client, an attribute, and a login of a partner.
struct Sso {
    realm: Realm<'static>,
    name: String,
    id: String,
    auditor: Value,
}

impl Sso {
    fn new() -> Self {
        let realm = support::keycloak().realm("back");
        let name = unique("alice");
        let id = realm.add_person(&name, PASSWORD, &[KEPT[0], KEPT[1], TAKEN_BEFORE]);
        made(realm.admin("POST", "/groups", &json!({"name": GIVEN_AFTER})));
        made(realm.admin("POST", "/roles", &json!({"name": "auditor"})));
        let auditor = realm.admin("GET", "/roles/auditor", &Value::Null).1;
        made(realm.admin(
            "POST",
            &format!("/users/{id}/role-mappings/realm"),
            &json!([auditor]),
        ));
        let app = realm.admin("GET", "/clients?clientId=app", &Value::Null).1[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        made(realm.admin(
            "POST",
            &format!("/clients/{app}/roles"),
            &json!({"name": "editor"}),
        ));
        let editor = realm
            .admin("GET", &format!("/clients/{app}/roles/editor"), &Value::Null)
            .1;
        let mapping = format!("/users/{id}/role-mappings/clients/{app}");
        made(realm.admin("POST", &mapping, &json!([editor])));
        let provider = json!({"alias": "partner", "providerId": "oidc", "config": {"clientId": "x",
            "tokenUrl": "https://p.test/t", "authorizationUrl": "https://p.test/a"}});
        made(realm.admin("POST", "/identity-provider/instances", &provider));
        let place = Self {
            realm,
            name,
            id,
            auditor,
        };
        place.link("p1");
        place
    }

    fn link(&self, user: &str) {
        let link = json!({"identityProvider": "partner", "userId": user, "userName": user});
        let path = format!("/users/{}/federated-identity/partner", self.id);
        made(self.realm.admin("POST", &path, &link));
    }

    fn of_the_leaver(&self, what: &str) -> Value {
        let (status, found) = self
            .realm
            .admin("GET", &format!("/users/{}{what}", self.id), &Value::Null);
        assert_eq!(status, 200, "{what}: {found}");
        found
    }

    fn group(&self, name: &str) -> String {
        let (_, found) = self
            .realm
            .admin("GET", &format!("/groups?search={name}&exact=true"), &Value::Null);
        found[0]["id"].as_str().unwrap().to_owned()
    }
}

#[track_caller]
fn made((status, answer): (u16, Value)) {
    assert!((200..300).contains(&status), "{status} {answer}");
}

fn names<'v>(list: &'v Value, key: &'v str) -> impl Iterator<Item = String> + 'v {
    list.as_array()
        .into_iter()
        .flatten()
        .map(move |item| item[key].as_str().unwrap().to_owned())
}

impl Place for Sso {
    const GROUPS: &str = "GroupsRemoved";
    const LOST: &[&str] = &["CredentialsRemoved", "SessionsEnded"];

    fn leaver(&self) -> Leaver {
        let connector = json!({
            "definition": "keycloak", "inputs": {"url": support::keycloak().url, "realm": self.realm.name}
        });
        let offboarding =
            json!({"employee": {"email": format!("{}@corp.test", self.name)}, "urgency": "Immediate"});
        let secret = json!({"clientSecret": self.realm.secret});
        Leaver::new(connector, &secret, &offboarding, &json!({}))
    }

    fn has(&self) -> BTreeSet<String> {
        let user = self.of_the_leaver("");
        let mut has = BTreeSet::from([format!(
            "named {} {} {}",
            user["firstName"], user["email"], user["attributes"]
        )]);
        if user["enabled"] == true {
            has.insert("open".to_owned());
        }
        has.extend(names(&self.of_the_leaver("/groups"), "name").map(|group| within(&group)));
        let roles = self.of_the_leaver("/role-mappings");
        has.extend(names(&roles["realmMappings"], "name").map(|role| format!("role {role}")));
        has.extend(
            names(&roles["clientMappings"]["app"]["mappings"], "name").map(|role| format!("app {role}")),
        );
        has.extend(
            names(&self.of_the_leaver("/federated-identity"), "userId").map(|id| format!("partner {id}")),
        );
        has
    }

    async fn admits(&self) -> bool {
        let new = json!({"type": "password", "value": "known-Passw0rd", "temporary": false});
        made(
            self.realm
                .admin("PUT", &format!("/users/{}/reset-password", self.id), &new),
        );
        self.realm.login(&self.name, "known-Passw0rd", "openid").is_ok()
    }

    fn give(&self, group: &str) {
        let path = format!("/users/{}/groups/{}", self.id, self.group(group));
        made(self.realm.admin("PUT", &path, &json!({})));
    }

    fn take(&self, group: &str) {
        let path = format!("/users/{}/groups/{}", self.id, self.group(group));
        made(self.realm.admin("DELETE", &path, &Value::Null));
    }

    fn delete(&self, group: &str) {
        made(
            self.realm
                .admin("DELETE", &format!("/groups/{}", self.group(group)), &Value::Null),
        );
    }
}

stories!(Sso::new());

#[tokio::test]
async fn a_role_that_is_gone_and_a_login_that_somebody_else_linked_since_are_left() {
    let place = Sso::new();
    let mut expected = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let role = place.auditor["id"].as_str().unwrap();
    made(
        place
            .realm
            .admin("DELETE", &format!("/roles-by-id/{role}"), &Value::Null),
    );
    place.link("p2");
    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    super::is_back(&place, &leaver, &["RealmRolesRemoved"]).await;
    expected.remove("role auditor");
    expected.remove("partner p1");
    expected.insert("partner p2".to_owned());
    assert_eq!(place.has(), expected);
}
