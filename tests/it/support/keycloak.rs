//! Keycloak, whose distribution comes from Maven Central. A realm per test.
//!
//! # Why a prepared copy
//! The first start writes the schema and takes most of a minute. It is done once per checkout; each run starts from a
//! copy of that database.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::peer::{Peer, folder, free_port, peers, run, unique};

const VERSION: &str = "26.7.3";
const ADMIN: &str = "admin";
const ADMIN_PASSWORD: &str = "admin-Passw0rd";
/// Less than the minute that Keycloak gives it.
const TOKEN_LASTS: Duration = Duration::from_secs(30);

/// A running Keycloak.
#[derive(Debug)]
pub struct Keycloak {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    token: Mutex<Option<(Instant, String)>>,
    _peer: Peer,
}

/// One realm, with a confidential client `offboarder` whose service account has `manage-users`, `view-users`,
/// `query-users` and `view-clients`, and a public client `app` through which people sign in.
#[derive(Debug)]
pub struct Realm<'a> {
    keycloak: &'a Keycloak,
    /// The realm's name.
    pub name: String,
    /// The secret of the client `offboarder`.
    pub secret: String,
}

impl Keycloak {
    pub(super) fn start() -> Self {
        let prepared = prepared();
        let home = folder("keycloak");
        run(
            Command::new("cp")
                .arg("-a")
                .arg(prepared.join("database"))
                .arg(home.join("database")),
            "",
        )
        .expect_ok();
        let (url, peer) = start(&prepared, &home, &home.join("database"));
        Self {
            url,
            token: Mutex::default(),
            _peer: peer,
        }
    }

    /// One admin request as the server's administrator: the HTTP status and the body (`null` when it is not JSON).
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request(method, path, &self.administrators_token(), body)
    }

    /// A token that is valid for some time yet: checking the password costs more than most requests.
    fn administrators_token(&self) -> String {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, token)) = kept.as_ref().filter(|(since, _)| since.elapsed() < TOKEN_LASTS) {
            return token.clone();
        }
        let form =
            format!("grant_type=password&client_id=admin-cli&username={ADMIN}&password={ADMIN_PASSWORD}");
        let now = Instant::now();
        let (_, answer) = self.post_form("/realms/master/protocol/openid-connect/token", &form);
        let token = answer["access_token"]
            .as_str()
            .expect("the administrator gets a token")
            .to_owned();
        *kept = Some((now, token.clone()));
        token
    }

    /// One request with a bearer token.
    pub fn request(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let mut curl = self.curl(path);
        curl.args(["-X", method, "-H", &format!("Authorization: Bearer {token}")]);
        if body.is_null() {
            return answer(&mut curl, "");
        }
        curl.args(["-H", "Content-Type: application/json", "--data-binary", "@-"]);
        answer(&mut curl, &body.to_string())
    }

    /// Posts a form, as token endpoints want it.
    pub fn post_form(&self, path: &str, form: &str) -> (u16, Value) {
        answer(self.curl(path).args(["--data-binary", "@-"]), form)
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-w", "\n%{http_code}", &format!("{}{path}", self.url)]);
        curl
    }

    /// Makes a realm with a unique name.
    pub fn realm(&self, stem: &str) -> Realm<'_> {
        let name = unique(stem);
        self.create("/admin/realms", json!({"realm": name, "enabled": true}));
        self.connected(name, "realm-management", &[])
    }

    /// The realm of the server's own administrators, ready to be driven. Once for each server.
    pub fn master(&self) -> Realm<'_> {
        self.connected("master".to_owned(), "master-realm", &["view-realm"])
    }

    fn create(&self, path: &str, body: Value) {
        let (status, answer) = self.admin("POST", path, &body);
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    }

    /// A realm with the operator's client, whose rights are roles of the client `management`, these `more` too, and an
    /// application.
    fn connected(&self, name: String, management: &str, more: &[&str]) -> Realm<'_> {
        let secret = unique("secret");
        let create = |path: &str, body| self.create(path, body);
        let clients = format!("/admin/realms/{name}/clients");
        create(
            &clients,
            json!({"clientId": "offboarder", "secret": secret, "serviceAccountsEnabled": true,
                   "standardFlowEnabled": false, "publicClient": false}),
        );
        create(
            &clients,
            json!({"clientId": "app", "publicClient": true, "directAccessGrantsEnabled": true}),
        );
        let realm = Realm {
            keycloak: self,
            name,
            secret,
        };
        let roles = ["manage-users", "view-users", "query-users", "view-clients"];
        realm.delegate(management, &[&roles, more].concat());
        realm
    }
}

impl Realm<'_> {
    /// `http://127.0.0.1:PORT/realms/NAME`, the issuer.
    pub fn issuer(&self) -> String {
        format!("{}/realms/{}", self.keycloak.url, self.name)
    }

    /// One admin request below `/admin/realms/NAME`, as the server's administrator.
    pub fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.keycloak
            .admin(method, &format!("/admin/realms/{}{path}", self.name), body)
    }

    fn delegate(&self, management: &str, roles: &[&str]) {
        let client = |name: &str| {
            let (_, found) = self.admin("GET", &format!("/clients?clientId={name}"), &Value::Null);
            found[0]["id"].as_str().expect("the client exists").to_owned()
        };
        let management = client(management);
        let (_, account) = self.admin(
            "GET",
            &format!("/clients/{}/service-account-user", client("offboarder")),
            &Value::Null,
        );
        let account = account["id"].as_str().expect("the client has a service account");
        let roles: Vec<Value> = roles
            .iter()
            .map(|role| {
                self.admin(
                    "GET",
                    &format!("/clients/{management}/roles/{role}"),
                    &Value::Null,
                )
                .1
            })
            .collect();
        let path = format!("/users/{account}/role-mappings/clients/{management}");
        assert_eq!(self.admin("POST", &path, &json!(roles)).0, 204);
    }

    /// Adds a person, a member of these groups (made when they are not there), and returns the id.
    pub fn add_person(&self, username: &str, password: &str, groups: &[&str]) -> String {
        for group in groups {
            let (status, _) = self.admin("POST", "/groups", &json!({"name": group}));
            assert!([201, 409].contains(&status), "group {group}: {status}");
        }
        let person = json!({
            "username": username, "enabled": true, "email": format!("{username}@corp.test"), "emailVerified": true,
            "firstName": username, "lastName": "Person", "groups": groups,
            "credentials": [{"type": "password", "value": password, "temporary": false}],
        });
        let (status, answer) = self.admin("POST", "/users", &person);
        assert_eq!(status, 201, "{answer}");
        let (_, found) = self.admin(
            "GET",
            &format!("/users?username={username}&exact=true"),
            &Value::Null,
        );
        found[0]["id"].as_str().expect("the person was added").to_owned()
    }

    /// Signs in through `app`: the token answer, or the error Keycloak gives. Scope `openid offline_access` also asks
    /// for a token that outlives the session.
    ///
    /// # Errors
    /// When the sign-in is refused.
    pub fn login(&self, username: &str, password: &str, scope: &str) -> Result<Value, String> {
        let scope = scope.replace(' ', "+");
        self.token(&format!(
            "grant_type=password&client_id=app&username={username}&password={password}&scope={scope}"
        ))
    }

    /// Uses a refresh token of `app`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn refresh(&self, refresh_token: &str) -> Result<Value, String> {
        self.token(&format!(
            "grant_type=refresh_token&client_id=app&refresh_token={refresh_token}"
        ))
    }

    /// Whether Keycloak still takes this access token for somebody's.
    pub fn accepts(&self, access_token: &str) -> bool {
        let path = format!("/realms/{}/protocol/openid-connect/userinfo", self.name);
        let (status, _) = self.keycloak.request("GET", &path, access_token, &Value::Null);
        status == 200
    }

    fn token(&self, form: &str) -> Result<Value, String> {
        let path = format!("/realms/{}/protocol/openid-connect/token", self.name);
        match self.keycloak.post_form(&path, form) {
            (200, token) => Ok(token),
            (status, answer) => Err(format!("{status} {}", answer["error_description"])),
        }
    }
}

fn answer(curl: &mut Command, input: &str) -> (u16, Value) {
    let output = run(curl, input).expect_ok();
    let (body, status) = output.rsplit_once('\n').expect("curl writes the status last");
    (
        status.parse().expect("a status is a number"),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

fn start(distribution: &Path, home: &Path, database: &Path) -> (String, Peer) {
    let port = free_port();
    let mut command = kc(distribution);
    command.args([
        "start",
        "--optimized",
        "--cache=local",
        "--http-enabled=true",
        "--http-host=127.0.0.1",
    ]);
    command.args([
        format!("--http-port={port}"),
        "--hostname-strict=false".to_owned(),
    ]);
    let at = database.join("keycloak").display().to_string();
    command.arg(format!(
        "--db-url=jdbc:h2:file:{at};NON_KEYWORDS=VALUE;DB_CLOSE_ON_EXIT=FALSE"
    ));
    command
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", ADMIN)
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN_PASSWORD);
    let url = format!("http://127.0.0.1:{port}");
    let known = format!("{url}/realms/master");
    let peer = Peer::start(home, "TERM", &command, Duration::from_mins(5), || {
        run(Command::new("curl").args(["-sf", &known]), "").ok()
    });
    (url, peer)
}

/// Keycloak's own script, with a Java machine that starts fast and stays small.
fn kc(distribution: &Path) -> Command {
    let mut command = Command::new(distribution.join(format!("keycloak-{VERSION}/bin/kc.sh")));
    command
        .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m")
        .env("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1");
    command
}

/// Fetches, unpacks and configures the distribution and writes its database, once per checkout.
pub(super) fn prepared() -> PathBuf {
    let place = peers().join(format!("keycloak-{VERSION}-1"));
    let ready = place.join("ready");
    fs::create_dir_all(&place).expect("target/peers is ours");
    let lock = File::create(place.join("lock")).expect("the folder is ours");
    lock.lock().expect("the file system has locks");
    if ready.exists() {
        return place;
    }
    let archive = maven_archive();
    run(
        Command::new("unzip")
            .args(["-q", "-o", "-d"])
            .arg(&place)
            .arg(archive),
        "",
    )
    .expect_ok();
    run(kc(&place).args(["build", "--db=dev-file", "--cache=local"]), "").expect_ok();
    let database = place.join("database");
    drop(fs::remove_dir_all(&database));
    let (_, peer) = start(&place, &folder("keycloak-preparing"), &database);
    drop(peer);
    File::create(ready).expect("the folder is ours");
    place
}

fn maven_archive() -> PathBuf {
    let home = std::env::home_dir().expect("a home folder, where Maven keeps what it fetched");
    let name = format!("keycloak-quarkus-dist-{VERSION}.zip");
    let path = home
        .join(".m2/repository/org/keycloak/keycloak-quarkus-dist")
        .join(VERSION)
        .join(name);
    if !path.exists() {
        let mut maven = Command::new("mvn");
        maven.args([
            "-q",
            "-B",
            "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get",
        ]);
        maven.arg(format!(
            "-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        ));
        run(maven.arg("-Dtransitive=false"), "").expect_ok();
    }
    path
}
