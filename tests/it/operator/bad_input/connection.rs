//! A connection that cannot work: a key that is missing, an authority that is not the system's, a login that is over, a
//! definition with an error.

use super::{Scene, application, changes, logs_in};
use crate::{
    relay::{behind_tls, certificate},
    support::{Mariadb, Postgres, Slapd, free_port, mariadb, postgres, slapd, unique},
};

/// What an Offboarding says about a system behind a certificate that is not trusted.
const UNTRUSTED: &str = "Untrusted (certificate UnknownIssuer): put the authority that signed it into key ca.crt of \
                         the Connector's secretRef";
/// What it says about a refused login with `code`.
fn rejected(fact: &str, code: &str) -> String {
    let advice = match code {
        "401" => "it refuses the login: renew the Secret that spec.secretRef names",
        "28P01" => "the server refuses the login: renew the Secret, or allow it in pg_hba.conf",
        "1045" => "the server refuses the login: renew the Secret, or the account's host there",
        _ => "the server refuses the login: renew the Secret that spec.secretRef names",
    };
    format!("broken: {fact} CredentialRejected ({code}): {advice}")
}

/// A system of one kind, with an account in it.
struct System {
    definition: &'static str,
    inputs: String,
    username: &'static str,
    password: &'static str,
    ca: String,
    fact: &'static str,
    /// The code of a refused login.
    code: &'static str,
    /// Everything about an account.
    picture: fn(&str) -> String,
}

fn directory() -> System {
    System {
        definition: "openldap",
        inputs: format!("{{url: '{}', base: '{}'}}", slapd().ldaps, Slapd::BASE),
        username: Slapd::SERVICE,
        password: Slapd::SERVICE_PASSWORD,
        ca: slapd().tls.ca_pem(),
        fact: "AccountLocked",
        code: "ldap 49",
        picture: |name| slapd().search(&format!("(|(uid={name})(member=uid={name},*))"), &["*", "+"]),
    }
}

fn postgresql() -> System {
    System {
        definition: "postgresql",
        inputs: format!(
            "{{host: localhost, port: {}, match: EmailLocalPart}}",
            postgres().port
        ),
        username: Postgres::OPERATOR,
        password: Postgres::OPERATOR_PASSWORD,
        ca: postgres().tls.ca_pem(),
        fact: "LoginRevoked",
        code: "28P01",
        picture: |name| {
            let sql = format!("SELECT * FROM pg_authid WHERE rolname = '{name}'");
            postgres().sql_as_admin("postgres", &sql)
        },
    }
}

fn mysql() -> System {
    System {
        definition: "mysql",
        inputs: format!(
            "{{host: localhost, port: {}, match: EmailLocalPart}}",
            mariadb().port
        ),
        username: Mariadb::OPERATOR,
        password: Mariadb::OPERATOR_PASSWORD,
        ca: mariadb().tls.ca_pem(),
        fact: "LoginsLocked",
        code: "1045",
        picture: |name| {
            mariadb().sql_as_admin(&format!("SELECT * FROM mysql.global_priv WHERE User = '{name}'"))
        },
    }
}

/// A person with an account in all three, who is unique.
fn everywhere() -> String {
    let name = unique("jane");
    let dn = slapd().add_person(&name, "Passw0rd");
    slapd().ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: mail\nmail: {name}@example.com\n"
    ));
    slapd().add_group(&unique("staff"), &[&dn]);
    postgres().sql_as_admin(
        "postgres",
        &format!("CREATE ROLE {name} LOGIN PASSWORD 'Passw0rd'"),
    );
    mariadb().sql_as_admin(&format!("CREATE USER {name}@'%' IDENTIFIED BY 'Passw0rd'"));
    name
}

impl System {
    /// Connects it as `broken` with this login and authority.
    #[track_caller]
    fn connect(&self, scene: &Scene, password: &str, ca: &str) {
        let keys = [
            ("username", self.username),
            ("password", password),
            ("ca.crt", ca),
        ];
        scene.site.secrets("broken", &keys);
        scene.site.connector("broken", self.definition, &self.inputs);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_missing_in_a_secret_is_named() {
    let scene = Scene::new("key", "jane").await;
    let (app, _) = application("jane@example.com").await;
    scene.site.secret("broken", "tokne", app.token());
    scene
        .site
        .connector("broken", "scim", &format!("{{url: '{}'}}", app.base()));
    scene.leaves();
    let message = "spec.secretRef.name: Secret \"broken\": secret key \"token\" is missing: put it there";
    let shown = scene
        .site
        .until("connector/broken", "Ready", "False/InvalidSecret");
    assert_eq!(shown, message);
    assert_eq!(scene.stalled("ConnectorNotReady"), format!("broken: {message}"));
    scene.the_healthy_system_is_done();
    assert!(app.control().journal().is_empty(), "nothing was even asked");
    scene.site.secret("broken", "token", app.token());
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_none_in_a_secret_is_named_with_its_field() {
    let scene = Scene::new("host", "jane").await;
    let (app, _) = application("jane@example.com").await;
    scene.site.secret("broken", "token", app.token());
    let annotate = |hosts: &str| {
        let hosts = format!("offboard.dev/hosts={hosts}");
        let ran = scene
            .site
            .kubectl(&["annotate", "--overwrite", "secret", "broken", &hosts], "");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    annotate("https://crm.example.com");
    let inputs = format!("{{url: '{}'}}", app.base());
    scene.site.connector("broken", "scim", &inputs);
    scene.leaves();
    let shown = scene
        .site
        .until("connector/broken", "Ready", "False/InvalidSecret");
    assert!(
        shown.starts_with(
            "spec.secretRef.name: Secret \"broken\": metadata.annotations.offboard.dev/hosts: \"https://crm.example.com\" is no host"
        ),
        "{shown}"
    );
    scene.the_healthy_system_is_done();
    assert!(app.control().journal().is_empty(), "nothing was even asked");
    annotate("127.0.0.1:*");
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_authority_is_another_one_is_told_nothing() {
    let scene = Scene::new("https", "jane").await;
    let (app, _) = application("jane@example.com").await;
    let (own, other) = (certificate(), certificate());
    let port = behind_tls(app.url(), &own).await;
    scene
        .site
        .secrets("broken", &[("token", app.token()), ("ca.crt", &other.cert.pem())]);
    let inputs = format!("{{url: 'https://127.0.0.1:{port}/scim/v2'}}");
    scene.site.connector("broken", "scim", &inputs);
    scene.leaves();
    assert_eq!(
        scene.stalled("ConnectorNotReady"),
        format!("broken: AccountDisabled {UNTRUSTED}")
    );
    let message = scene.site.until("connector/broken", "Ready", "False/Untrusted");
    assert_eq!(message, format!("spec.secretRef: {UNTRUSTED}"));
    scene.the_healthy_system_is_done();
    assert!(app.control().journal().is_empty());
    assert!(logs_in(&app, "jane@example.com"));
    scene
        .site
        .secrets("broken", &[("token", app.token()), ("ca.crt", &own.cert.pem())]);
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&app, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_or_database_whose_authority_is_another_one_is_told_nothing() {
    let (name, other) = (everywhere(), certificate());
    for system in [directory(), postgresql(), mysql()] {
        let before = (system.picture)(&name);
        let scene = Scene::new("authority", &name).await;
        system.connect(&scene, system.password, &other.cert.pem());
        scene.leaves();
        let expected = format!("broken: {} {UNTRUSTED}", system.fact);
        assert_eq!(scene.stalled("ConnectorNotReady"), expected);
        let message = scene.site.until("connector/broken", "Ready", "False/Untrusted");
        assert!(message.starts_with("spec.secretRef: "), "{message}");
        scene.the_healthy_system_is_done();
        assert_eq!((system.picture)(&name), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_is_named() {
    let scene = Scene::new("token", "jane").await;
    let (app, _) = application("jane@example.com").await;
    scene.site.secret("broken", "token", "of last year");
    scene
        .site
        .connector("broken", "scim", &format!("{{url: '{}'}}", app.base()));
    scene.leaves();
    assert_eq!(
        scene.stalled("ConnectorNotReady"),
        rejected("AccountDisabled", "401")
    );
    let message = scene.site.until("connector/broken", "Ready", "False/LoginFailed");
    assert_eq!(
        message,
        rejected("AccountDisabled", "401").replace("broken: AccountDisabled", "spec.secretRef:")
    );
    scene.the_healthy_system_is_done();
    assert_eq!(changes(&app, ""), 0);
    assert!(logs_in(&app, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_a_directory_or_database_that_is_over_is_named() {
    let name = everywhere();
    for system in [directory(), postgresql(), mysql()] {
        let before = (system.picture)(&name);
        let scene = Scene::new("password", &name).await;
        system.connect(&scene, "of last year", &system.ca);
        scene.leaves();
        assert_eq!(
            scene.stalled("ConnectorNotReady"),
            rejected(system.fact, system.code)
        );
        scene.site.until("connector/broken", "Ready", "False/LoginFailed");
        scene.the_healthy_system_is_done();
        assert_eq!((system.picture)(&name), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_at_which_nobody_answers_is_named_and_tried_again() {
    let scene = Scene::new("nobody", "jane").await;
    scene.site.secret("broken", "token", "t");
    let port = free_port();
    let inputs = format!("{{url: 'http://127.0.0.1:{port}/scim/v2'}}");
    scene.site.connector("broken", "scim", &inputs);
    scene.leaves();
    scene.is_said(
        "broken: AccountDisabled Unreachable (connection refused): nothing listens there: check address and port in \
         spec.inputs, and whether the system runs",
    );
    scene.the_healthy_system_is_done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_with_an_error_names_its_field_and_is_not_used_at_all() {
    let scene = Scene::new("definition", "jane").await;
    let (app, _) = application("jane@example.com").await;
    let name = unique("wrong");
    let sound = include_str!("../../../../src/connectors/definitions/scim.yaml")
        .replace("name: scim", &format!("name: {name}"));
    let misspelt = sound.replace("shows: user", "shwos: user");
    let refused = scene
        .site
        .kubectl(&["apply", "--validate=strict", "-f", "-"], &misspelt);
    // A field that does not exist is seen at admission; what a name in it means only by the operator.
    let message = "unknown field \"spec.account.shwos\"";
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
    scene
        .site
        .apply(&sound.replace("after: [AccountDisabled]", "after: [AccountDsabled]"));
    let shown = scene
        .site
        .until(&format!("connectordefinition/{name}"), "Ready", "False/Invalid");
    assert!(shown.contains("facts.GroupsRemoved.after"), "{shown}");
    scene.site.secret("broken", "token", app.token());
    scene
        .site
        .connector("broken", &name, &format!("{{url: '{}'}}", app.base()));
    scene
        .site
        .until("connector/broken", "Ready", "False/InvalidDefinition");
    scene.leaves();
    let message = scene.stalled("ConnectorNotReady");
    assert!(
        message.starts_with(&format!("broken: definition {name}: ")),
        "{message}"
    );
    scene.the_healthy_system_is_done();
    assert!(app.control().journal().is_empty());
    scene
        .site
        .kubectl(&["delete", "connectordefinition", &name], "")
        .expect_ok();
}
