use serde_json::{Value, json};

use super::{directory::tree::LOCKED, *};

async fn opened(company: &Company, worker: &Worker) -> Vec<String> {
    let made = company.attempts(worker).await.unwrap();
    let worked = made.into_iter().filter(|attempt| attempt.worked);
    worked
        .map(|attempt| format!("{}: {}", attempt.system, attempt.what))
        .collect()
}

/// How many ways into `system` the leaver has.
async fn left(company: &Company, system: &str) -> usize {
    let ways = opened(company, &JANE).await;
    ways.iter().filter(|way| way.starts_with(system)).count()
}

/// What an administrator does over HTTP, with their own token.
async fn admin(token: &str, method: reqwest::Method, url: String, body: Value) -> (u16, Value) {
    let request = http::client().request(method, url).bearer_auth(token);
    let request = if body.is_null() {
        request
    } else {
        request.json(&body)
    };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn at_first_everybody_gets_in_everywhere() {
    let company = Company::start().await.unwrap();
    for worker in people::ALL {
        let made = company.attempts(&worker).await.unwrap();
        let refused: Vec<_> = made.iter().filter(|attempt| !attempt.worked).collect();
        assert_eq!(refused, Vec::<&Attempt>::new());
        let systems: std::collections::BTreeSet<_> = made.iter().map(|attempt| attempt.system).collect();
        assert_eq!(systems.len(), company.systems().len());
    }
}

#[tokio::test]
async fn in_the_forge_each_change_closes_one_way_in_and_no_other() {
    use reqwest::Method;
    let company = Company::start().await.unwrap();
    let forge = &company.forge;
    let at = |path: &str| format!("{}/admin{path}", forge.url());
    let found = admin(
        forge.admin_token(),
        Method::GET,
        at("/users?email=Jane.Doe@acme.test"),
        Value::Null,
    )
    .await;
    let id = found.1[0]["id"].as_u64().unwrap();
    let left = async || {
        opened(&company, &JANE)
            .await
            .iter()
            .filter(|way| way.starts_with("forge"))
            .count()
    };
    let ways = left().await;
    assert_eq!(ways, 1 + 3 * JANE.things);
    let blocked = admin(
        forge.admin_token(),
        Method::PATCH,
        at(&format!("/users/{id}")),
        json!({"blocked": true}),
    )
    .await;
    assert_eq!(blocked.1["blocked"], true);
    assert_eq!(left().await, ways - 1);
    let mut expected = ways - 1;
    for kind in ["sessions", "tokens", "keys"] {
        let mut path = format!("{}/{kind}", at(&format!("/users/{id}")));
        // The first page holds two of three.
        for size in [2, 1] {
            let (_, page) = admin(forge.admin_token(), Method::GET, path.clone(), Value::Null).await;
            assert_eq!(page.as_array().unwrap().len(), size);
            for opener in page.as_array().unwrap() {
                let one = format!("{}/{}", path, opener["id"]);
                assert_eq!(
                    admin(forge.admin_token(), Method::DELETE, one.clone(), Value::Null)
                        .await
                        .0,
                    204
                );
                assert_eq!(
                    admin(forge.admin_token(), Method::DELETE, one, Value::Null)
                        .await
                        .0,
                    404
                );
                expected -= 1;
                assert_eq!(left().await, expected);
            }
            path = path.split('?').next().unwrap().to_owned();
        }
    }
    assert_eq!(expected, 0);
    assert_eq!(
        admin("wrong", Method::GET, at("/users"), Value::Null).await.0,
        401
    );
}

#[tokio::test]
async fn repositories_go_only_to_an_active_user() {
    use reqwest::Method;
    let company = Company::start().await.unwrap();
    let forge = &company.forge;
    let at = |path: &str| format!("{}/admin{path}", forge.url());
    let user = async |email: &str| {
        let url = at(&format!("/users?email={email}"));
        admin(forge.admin_token(), Method::GET, url, Value::Null).await.1[0]["id"]
            .as_u64()
            .unwrap()
    };
    let (jane, sam, bob) = (
        user(JANE.email).await,
        user(SAM.email).await,
        user("bob.roe@acme.test").await,
    );
    admin(
        forge.admin_token(),
        Method::PATCH,
        at(&format!("/users/{bob}")),
        json!({"blocked": true}),
    )
    .await;
    let url = at(&format!("/users/{jane}/repositories"));
    let (_, page) = admin(forge.admin_token(), Method::GET, url, Value::Null).await;
    let url = at(&format!("/repositories/{}/transfer", page[0]["id"]));
    let refused = admin(forge.admin_token(), Method::POST, url.clone(), json!({"to": bob})).await;
    let taken = admin(forge.admin_token(), Method::POST, url, json!({"to": sam})).await;
    assert_eq!((refused.0, taken.0), (422, 200));
    assert_eq!(
        (forge.owned_by(&JANE), forge.owned_by(&SAM)),
        (JANE.things - 1, SAM.things + 1)
    );
}

#[tokio::test]
async fn in_the_mail_service_each_change_closes_one_way_in_and_messages_move_in_the_end() {
    use reqwest::Method;
    let company = Company::start().await.unwrap();
    let mail = &company.mail;
    let at = |path: &str| format!("{}/v1{path}", mail.url());
    let id = async |email: &str| {
        let url = at(&format!("/mailboxes?address={email}"));
        let (_, found) = admin(mail.admin_token(), Method::GET, url, Value::Null).await;
        found["items"][0]["id"].as_str().unwrap().to_owned()
    };
    let (jane, sam) = (id(JANE.email).await, id(SAM.email).await);
    let left = async || {
        opened(&company, &JANE)
            .await
            .iter()
            .filter(|way| way.starts_with("mail"))
            .count()
    };
    assert_eq!(left().await, 1 + 6 + 3);
    let own = at(&format!("/mailboxes/{jane}"));
    admin(
        mail.admin_token(),
        Method::PATCH,
        own.clone(),
        json!({"suspended": true}),
    )
    .await;
    assert_eq!(left().await, 9);
    assert_eq!(
        admin(
            mail.admin_token(),
            Method::DELETE,
            format!("{own}/sessions"),
            Value::Null
        )
        .await
        .0,
        204
    );
    assert_eq!(left().await, 3);
    let (_, passwords) = admin(
        mail.admin_token(),
        Method::GET,
        format!("{own}/app-passwords"),
        Value::Null,
    )
    .await;
    for (n, password) in passwords["items"].as_array().unwrap().iter().enumerate() {
        let url = format!("{own}/app-passwords/{}", password["id"].as_str().unwrap());
        assert_eq!(
            admin(mail.admin_token(), Method::DELETE, url, Value::Null)
                .await
                .0,
            204
        );
        assert_eq!(left().await, 2 - n);
    }
    let before = mail.owned_by(&JANE) + mail.owned_by(&SAM);
    let (status, _) = admin(
        mail.admin_token(),
        Method::POST,
        format!("{own}/move"),
        json!({"to": sam}),
    )
    .await;
    assert_eq!(status, 202);
    let again = admin(
        mail.admin_token(),
        Method::POST,
        format!("{own}/move"),
        json!({"to": sam}),
    )
    .await;
    assert_eq!(again.0, 409);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while admin(mail.admin_token(), Method::GET, own.clone(), Value::Null)
        .await
        .1["messages"]
        != 0
    {
        assert!(std::time::Instant::now() < deadline, "the messages never arrived");
    }
    assert_eq!((mail.owned_by(&JANE), mail.owned_by(&SAM)), (0, before));
}

#[tokio::test]
async fn a_deactivated_wiki_account_opens_nothing() {
    let company = Company::start().await.unwrap();
    let scim = company.wiki.scim();
    let id = scim.world().truth(|state| {
        let jane = state.users.iter().find(|(_, user)| user.name() == JANE.email);
        jane.map(|(id, _)| id.to_owned()).unwrap()
    });
    assert_eq!(left(&company, "wiki").await, 1 + 2 * JANE.things);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}],
    });
    let url = format!("{}/Users/{id}", scim.base());
    assert!(admin(scim.token(), reqwest::Method::PATCH, url, body).await.0 < 300);
    assert_eq!(left(&company, "wiki").await, 0);
}

#[tokio::test]
async fn a_crm_account_that_is_given_back_opens_again() {
    let company = Company::start().await.unwrap();
    let salesforce = company.crm.salesforce();
    let jane = salesforce
        .world()
        .truth(|state| state.user_named(JANE.email).unwrap().to_owned());
    assert_eq!(left(&company, "crm").await, 1 + JANE.things + 2);
    salesforce.set("User", &jane, &json!({"IsActive": false}));
    assert_eq!(left(&company, "crm").await, 0);
    assert_eq!(company.tamper(), "crm");
    assert!(left(&company, "crm").await > 0);
}

#[tokio::test]
async fn the_directory_shows_two_accounts_with_seventeen_groups() {
    let company = Company::start().await.unwrap();
    let groups: usize = company.directory.directory().look(|tree| {
        let all = tree.below(directory::acme::BASE, true);
        let own = all
            .iter()
            .filter(|entry| entry.has("uid", "jdoe") || entry.has("uid", "adm-jdoe"));
        own.map(|entry| entry.values("memberOf").len()).sum()
    });
    assert_eq!(groups, 17);
    let locked = company.directory.directory().look(|tree| {
        let all = tree.below(directory::acme::BASE, true);
        all.iter().any(|entry| entry.has("pwdAccountLockedTime", LOCKED))
    });
    assert!(!locked);
}

#[tokio::test]
async fn the_manifests_are_read_back_as_written_and_show_no_secret() {
    let company = Company::start().await.unwrap();
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let manifests = company.manifests(&now).unwrap();
    for name in ["forge", "mail"] {
        let text = &manifests.objects[&format!("definitions/{name}.yaml")];
        let read: crate::api::ConnectorDefinition = serde_saphyr::from_str(text).unwrap();
        assert_eq!(read.metadata.name.as_deref(), Some(name));
    }
    let leaver: crate::api::Offboarding =
        serde_saphyr::from_str(&manifests.objects["jane-doe.yaml"]).unwrap();
    assert_eq!(leaver.spec.last_day, Some(now.date().to_string()));
    for secret in manifests
        .secrets
        .values()
        .flat_map(|keys| keys.iter())
        .filter(|(key, _)| !matches!(key.as_str(), "username" | "hosts" | "definitions"))
    {
        assert!(
            manifests
                .objects
                .values()
                .all(|text| !text.contains(secret.1.as_str())),
            "{}",
            secret.0
        );
    }
}

#[test]
fn the_definitions_are_sound() {
    use crate::connectors::declarative::{Definition, parse};
    for text in [forge::DEFINITION, mail::DEFINITION] {
        let (name, spec) = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        Definition::compile(&name, spec).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    }
}
