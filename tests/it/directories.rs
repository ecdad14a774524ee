//! The shared cases about systems that hold accounts, as they are: people of OpenLDAP, Active Directory, Keycloak, PostgreSQL and
//! MariaDB, and a SCIM server that a script plays. Without `../shared/cases` each is skipped; the same kinds are tested with
//! inputs of our own in each system's own tests.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use offboard::core::fact::{Verdict, Why};
use serde_json::{Value, json};

use crate::{
    leaver::{Leaver, SYSTEM, merge},
    support::{self, Mariadb, Postgres, Samba, Scratch, Slapd, poll, unique},
};

/// More than any script takes.
const PATIENCE: Duration = Duration::from_mins(1);
const OLD_PASSWORD: &str = "Old-Passw0rd";

/// The shared case of this name, if it is here.
fn case(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/cases/directories")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: ../shared/cases is not here");
    None
}

fn leaving(email: &str) -> Value {
    json!({"employee": {"email": email}, "urgency": "Immediate"})
}

/// The reason of `Ready`.
fn ready(leaver: &Leaver) -> String {
    leaver.condition("Ready")
}

/// What the row of the system says about whose account it is.
fn identified(leaver: &Leaver) -> String {
    let row = leaver
        .status()
        .systems
        .iter()
        .find(|row| row.name == SYSTEM)
        .unwrap();
    let found = row.conditions.iter().find(|c| c.type_ == "Identified");
    found.map_or_else(String::new, |condition| condition.message.clone())
}

/// A SCIM server that makes the mistakes that it is asked for.
struct Scim {
    base: String,
    server: Child,
}

impl Drop for Scim {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

impl Scim {
    fn start(faults: &str) -> Option<Self> {
        let script = case("scim-server.py")?;
        let port = support::free_port();
        let server = Command::new("python3")
            .arg(script)
            .args([faults, &port.to_string()])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let server = Self { base, server };
        assert!(poll(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok()));
        Some(server)
    }

    fn leaver(&self, spec: &Value) -> Leaver {
        let connector = json!({"definition": "scim", "inputs": {"url": format!("{}/scim/v2", self.base)}});
        Leaver::new(connector, &json!({"token": "abc"}), spec, &json!({}))
    }

    async fn state(&self) -> Value {
        reqwest::get(format!("{}/state", self.base))
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }

    async fn members(&self, group: &str) -> Value {
        self.state().await["groups"][group]["members"].clone()
    }
}

#[tokio::test]
async fn who_is_known_to_scim_by_another_name_is_found_by_address() {
    let Some(scim) = Scim::start("plain") else { return };
    let mut spec = leaving("jane.doe@example.com");
    spec["employee"]["employeeID"] = json!("0117");
    let mut leaver = scim.leaver(&spec);
    leaver.settle_ahead(20).await;
    assert_eq!(
        (ready(&leaver), leaver.left()),
        ("True/Offboarded".into(), vec![])
    );
    assert_eq!(scim.state().await["users"]["u1"]["active"], false);
}

#[tokio::test]
async fn a_scim_filter_that_is_ignored_takes_and_gives_back_the_leavers_groups_only() {
    let Some(scim) = Scim::start("nofilter") else {
        return;
    };
    let before = scim.state().await["groups"].clone();
    let mut leaver = scim.leaver(&leaving("bob@example.com"));
    leaver.settle_ahead(20).await;
    assert_eq!(
        (ready(&leaver), leaver.left()),
        ("True/Offboarded".into(), vec![])
    );
    assert_eq!(scim.members("g1").await, json!(["u2"]));
    assert_eq!(scim.members("g2").await, before["g2"]["members"]);
    let mut back = leaver.changed(json!({"desired": "Reinstated"}));
    back.settle_ahead(20).await;
    assert_eq!(ready(&back), "True/Reinstated");
    let mut members: Vec<String> = serde_json::from_value(scim.members("g1").await).unwrap();
    members.sort();
    assert_eq!(members, ["u2", "u3"]);
    for group in ["g2", "g3"] {
        assert_eq!(scim.members(group).await, before[group]["members"], "{group}");
    }
}

#[tokio::test]
async fn a_scim_server_without_groups_or_that_forgets_whom_it_deactivates_ends() {
    for faults in ["nogroups-404", "vanish"] {
        let Some(scim) = Scim::start(faults) else { return };
        let mut leaver = scim.leaver(&leaving("bob@example.com"));
        leaver.settle_ahead(40).await;
        let done = ("True/Offboarded".to_owned(), vec![]);
        assert_eq!((ready(&leaver), leaver.left()), done, "{faults}");
        let bob = scim.state().await["users"]["u3"]["active"].clone();
        assert!(bob.is_null() || bob == false, "{faults}: {bob}");
    }
}

#[tokio::test]
async fn what_a_scim_server_does_to_others_or_does_not_show_is_never_done() {
    for faults in ["noop", "hidemembers,nofiltering,nofilter", "badpath"] {
        let Some(scim) = Scim::start(faults) else { return };
        let mut leaver = scim.leaver(&leaving("bob@example.com"));
        leaver.settle_ahead(12).await;
        assert_ne!(ready(&leaver), "True/Offboarded", "{faults}");
        assert!(!leaver.left().is_empty(), "{faults}");
    }
    // Three a page, and the first one again and again where a filter is not used: these are worked with.
    for faults in ["cap", "firstpage,cap"] {
        let Some(scim) = Scim::start(faults) else { return };
        let mut leaver = scim.leaver(&leaving("bob@example.com"));
        leaver.settle_ahead(20).await;
        assert_eq!(
            (ready(&leaver), leaver.left()),
            ("True/Offboarded".into(), vec![]),
            "{faults}"
        );
        assert_eq!(scim.members("g1").await, json!(["u2"]), "{faults}");
    }
}

#[tokio::test]
async fn a_scim_server_that_empties_a_group_for_everybody_is_noticed_and_mended() {
    let Some(scim) = Scim::start("wipe") else { return };
    let mut leaver = scim.leaver(&leaving("bob@example.com"));
    leaver.settle_ahead(20).await;
    assert_eq!(
        scim.members("g1").await,
        json!(["u2"]),
        "the others are members again"
    );
    assert!(leaver.written().contains("OthersAffected"), "and it is said");
    let rows = serde_json::to_string(&leaver.status().systems).unwrap();
    assert!(rows.contains("1 other taken out too: put back"), "{rows}");
}

fn openldap(slapd: &Slapd) -> (Value, Value) {
    (
        json!({"definition": "openldap", "inputs": {"url": slapd.ldaps, "base": Slapd::BASE}}),
        json!({"username": Slapd::SERVICE, "password": Slapd::SERVICE_PASSWORD, "ca.crt": slapd.tls.ca_pem()}),
    )
}

#[tokio::test]
async fn no_group_of_openldap_lists_any_name_of_a_leaver() {
    let Some(people) = case("ldap-people.ldif") else {
        return;
    };
    let slapd = support::slapd_alone();
    slapd.ldif_as_admin(&fs::read_to_string(people).unwrap());
    let (connector, secret) = openldap(&slapd);
    let policy = json!({"transfer": {"to": "sam@corp.test"}});
    for (email, names, password_of) in [
        ("jane.doe@corp.test", &["jdoe", "jane.doe"][..], Some("jdoe")),
        ("max.muster@corp.test", &["mmuster", "MMuster"], Some("MMuster")),
        ("ann.o'doe+x@corp.test", &["ann"], None),
    ] {
        let mut leaver = Leaver::new(connector.clone(), &secret, &leaving(email), &policy);
        leaver.settle_ahead(30).await;
        assert_eq!(
            (ready(&leaver), leaver.left()),
            ("True/Offboarded".into(), vec![]),
            "{email}"
        );
        for name in names {
            assert_eq!(
                slapd.search(&format!("(memberUid={name})"), &["cn"]),
                "",
                "{name}"
            );
        }
        if let Some(uid) = password_of {
            assert!(!slapd.login(&Slapd::dn(uid), OLD_PASSWORD), "{email}");
        }
    }
    for group in ["ug", "R&D #x"] {
        let members = slapd.search(&format!("(cn={group})"), &["member", "uniqueMember", "owner"]);
        assert!(
            members.contains("uid=sam") && !members.contains("Ann"),
            "{members}"
        );
    }
}

#[tokio::test]
async fn the_second_name_of_an_entry_of_openldap_names_its_account() {
    let Some(people) = case("ldap-people.ldif") else {
        return;
    };
    let slapd = support::slapd_alone();
    slapd.ldif_as_admin(&fs::read_to_string(people).unwrap());
    let (connector, secret) = openldap(&slapd);
    let mut spec = leaving("nobody.there@corp.test");
    spec["employee"]["accounts"] = json!([{"connector": SYSTEM, "name": "jane.doe"}]);
    let mut leaver = Leaver::new(
        connector,
        &secret,
        &spec,
        &json!({"transfer": {"to": "sam@corp.test"}}),
    );
    leaver.settle_ahead(30).await;
    let row = format!("{SYSTEM}/jane.doe");
    assert_eq!(leaver.verdict_in(&row, "AccountLocked"), Verdict::Verified);
    assert!(!slapd.login(&Slapd::dn("jdoe"), OLD_PASSWORD));
}

#[tokio::test]
async fn people_of_active_directory_are_found_by_alias_named_when_two_and_moved_beside_a_namesake() {
    let Some(script) = case("ad-people.sh") else {
        return;
    };
    let samba = support::samba();
    let made = Command::new("bash")
        .arg(script)
        .arg(Samba::BASE)
        .output()
        .unwrap();
    samba.ldif_as_admin(std::str::from_utf8(&made.stdout).unwrap());
    let secret =
        json!({"username": Samba::ADMIN, "password": Samba::ADMIN_PASSWORD, "ca.crt": samba.tls.ca_pem()});
    let leaver = |spec: &Value, more: Value| {
        let mut connector =
            json!({"definition": "active-directory", "inputs": {"url": samba.ldaps, "base": Samba::BASE}});
        merge(&mut connector, more);
        Leaver::new(connector, &secret, spec, &json!({}))
    };
    let person = |name: &str| format!("{name}@{}", Samba::DOMAIN);
    let opens = |name: &str| samba.login(&person(name), "Old-Passw0rd!1").is_ok();
    assert!(["nnew", "pia", "adm-pia", "jsmith2"].into_iter().all(opens));

    let mut nina = leaver(&leaving(&person("nina.oldname")), json!({}));
    nina.settle_ahead(20).await;
    assert_eq!(nina.verdict("AccountDisabled"), Verdict::Verified);
    assert!(!opens("nnew"));

    let mut spec = leaving(&person("pia"));
    spec["employee"]["employeeID"] = json!("5001");
    let mut pia = leaver(&spec, json!({}));
    pia.settle_ahead(3).await;
    assert_ne!(ready(&pia), "True/Offboarded");
    let question = identified(&pia);
    for name in ["pia", "adm-pia"] {
        let line = format!("{{connector: {SYSTEM}, name: {name:?}}}");
        assert!(question.contains(&line), "{question}");
    }
    let both = json!([{"connector": SYSTEM, "name": "pia"}, {"connector": SYSTEM, "name": "adm-pia"}]);
    spec["employee"]["accounts"] = both;
    let mut pia = leaver(&spec, json!({}));
    pia.settle_ahead(20).await;
    assert!(!opens("pia") && !opens("adm-pia"));

    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    let move_too = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    let mut john = leaver(&leaving(&person("john.smith2")), move_too);
    john.settle_ahead(20).await;
    assert_eq!(john.verdict("MovedToLeaversOU"), Verdict::Verified);
    let moved = samba.search("(sAMAccountName=jsmith2)", &["cn"]);
    assert!(moved.contains(&leavers) && !opens("jsmith2"), "{moved}");
}

/// Runs the script about Keycloak in `folder`.
fn keycloak(folder: &Path, command: &str) -> Option<String> {
    let script = fs::read_to_string(case("keycloak-profile.py")?).unwrap();
    let (server, realm) = (support::keycloak(), unique("corp"));
    let path = folder.join("profile.py");
    if !path.exists() {
        let script = script
            .replace("password=\"admin\"", "password=\"admin-Passw0rd\"")
            .replace("\"corp\"", &format!("{realm:?}"))
            .replace("/realms/corp", &format!("/realms/{realm}"));
        fs::write(&path, script).unwrap();
        fs::write(folder.join("realm"), realm).unwrap();
    }
    let ran = Command::new("python3")
        .arg(&path)
        .args([&server.url, command])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[tokio::test]
async fn who_no_longer_fits_the_profile_of_keycloak_has_no_token_left() {
    let folder = Scratch::new("profile");
    if keycloak(&folder, "setup").is_none() {
        return;
    }
    let realm = fs::read_to_string(folder.join("realm")).unwrap();
    let inputs = json!({"url": support::keycloak().url, "realm": realm});
    let mut words = String::new();
    for email in ["val@example.com", "req@example.com"] {
        let connector = json!({"definition": "keycloak", "inputs": inputs});
        let mut leaver = Leaver::new(
            connector,
            &json!({"clientSecret": "s3cret"}),
            &leaving(email),
            &json!({}),
        );
        leaver.settle_ahead(12).await;
        words += &format!("{:?}", leaver.left());
    }
    let state = keycloak(&folder, "state").unwrap();
    for line in state.lines() {
        assert!(line.ends_with("[400, 400]"), "a token still works: {line}");
        assert!(
            line.contains("enabled False") || words.contains("phone") || words.contains("costCentre"),
            "{line} {words}"
        );
    }
}

/// The statements of a case, without those that make the connector's own account.
fn statements(name: &str) -> Option<String> {
    let text = fs::read_to_string(case(name)?).unwrap();
    let own = |line: &&str| {
        !line.contains("ROLE offboarder") && !line.contains("TO offboarder;") && !line.contains("offboarder@")
    };
    Some(text.lines().filter(own).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn what_an_application_lives_on_in_mariadb_is_not_taken_before_it_is_handed_over() {
    let Some(text) = statements("mariadb-definer.sql") else {
        return;
    };
    let server = support::mariadb();
    server.sql_as_admin(&text);
    let works = || {
        server
            .sql_as("app", "App-Passw0rd", "SELECT n FROM bi.report")
            .ok()
    };
    assert!(works());
    let connector = json!({"definition": "mysql", "inputs": {"host": "localhost", "port": server.port, "match": "EmailLocalPart"}});
    let secret = json!({"username": Mariadb::OPERATOR, "password": Mariadb::OPERATOR_PASSWORD, "ca.crt": server.tls.ca_pem()});
    let mut leaver = Leaver::new(connector, &secret, &leaving("erin@example.com"), &json!({}));
    leaver.settle_ahead(12).await;
    assert!(!server.login("erin", "localhost", OLD_PASSWORD));
    assert!(works(), "the application reads on");
    assert_ne!(ready(&leaver), "True/Offboarded");
    server.sql_as_admin(
        "ALTER DEFINER=root@localhost SQL SECURITY DEFINER VIEW bi.report AS SELECT n FROM shop.orders; \
         ALTER DEFINER=root@localhost EVENT bi.e DISABLE;",
    );
    leaver.settle_ahead(12).await;
    assert!(works());
    assert_eq!(
        (ready(&leaver), leaver.left()),
        ("True/Offboarded".into(), vec![])
    );
}

fn postgresql(server: &Postgres, as_admin: bool, more: Value) -> (Value, Value) {
    let mut connector = json!({
        "definition": "postgresql",
        "inputs": {"host": "localhost", "port": server.port, "match": "EmailLocalPart"},
    });
    merge(&mut connector, more);
    let (username, password) = if as_admin {
        (Postgres::ADMIN, Postgres::ADMIN_PASSWORD)
    } else {
        (Postgres::OPERATOR, Postgres::OPERATOR_PASSWORD)
    };
    let secret = json!({"username": username, "password": password, "ca.crt": server.tls.ca_pem()});
    (connector, secret)
}

#[tokio::test]
async fn a_colleagues_right_in_postgresql_outlives_who_granted_it() {
    let Some(text) = statements("postgresql-grants.sql") else {
        return;
    };
    let server = support::postgres();
    let database = unique("grants");
    server.sql_as_admin("postgres", &format!("CREATE DATABASE {database}"));
    server.sql_as_admin(&database, &text);
    let reads = || {
        server
            .sql_as("bob", "secret", &database, "SELECT * FROM orders")
            .ok()
    };
    assert!(reads());
    let include = json!({"facts": {"include": ["GrantsRemoved", "RoleDropped"]}});
    let policy =
        json!({"retention": {"accounts": "0s"}, "timeline": [{"want": ["Deletion"], "at": "cutoff"}]});
    for (email, as_admin) in [("jane@example.com", true), ("kay@example.com", false)] {
        let (connector, secret) = postgresql(server, as_admin, include.clone());
        let mut leaver = Leaver::new(connector, &secret, &leaving(email), &policy);
        for _ in 0..2 {
            leaver.settle_ahead(12).await;
        }
        let name = email.split('@').next().unwrap();
        assert!(!server.login(name, "secret", &database));
        assert!(reads(), "bob lost what {name} had granted");
        if as_admin {
            continue;
        }
        let verdict = leaver.verdict("GrantsRemoved");
        let fits = match &verdict {
            Verdict::Verified | Verdict::Unmet(Why::Gated(_)) => true,
            Verdict::Unmet(Why::Failed(fault)) => {
                fault.code.contains("orders") || fault.code.contains("42501")
            }
            _ => false,
        };
        assert!(fits, "{verdict:?}");
    }
}

#[tokio::test]
async fn the_rights_of_the_notes_are_enough_on_postgresql_17_or_the_message_names_what_is_missing() {
    let Some(text) = statements("postgresql-17.sql") else {
        return;
    };
    let server = &support::newer_postgres()[1];
    // The grants of the notes that are about people come after these are there.
    let text = format!(
        "{text}\nGRANT jane, lead, devon, sam, bob, analysts, ops TO offboarder WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;"
    );
    server.sql_as_admin("postgres", &text);
    for name in ["jane", "lead", "devon"] {
        let (connector, secret) = postgresql(server, false, json!({}));
        let mut leaver = Leaver::new(
            connector,
            &secret,
            &leaving(&format!("{name}@example.com")),
            &json!({}),
        );
        leaver.settle_ahead(12).await;
        assert!(!server.login(name, "secret", "postgres"), "{name}");
        for (fact, verdict) in leaver.left() {
            let named = match &verdict {
                Verdict::Unmet(Why::Failed(fault)) => {
                    fault.code.contains("only ") || fault.code.contains("connector lacks ")
                }
                _ => false,
            };
            assert!(named, "{name}: {fact}: {verdict:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn six_leavers_of_seven_hundred_groups_share_one_connection() {
    let Some(script) = case("ldap-crowd.py") else {
        return;
    };
    let slapd = support::slapd_alone();
    slapd.ldif_as_admin(&Slapd::person("sam", "pw", "corp.test"));
    let people = Command::new("python3").arg(script).arg("6").output().unwrap();
    slapd.ldif_as_admin(std::str::from_utf8(&people.stdout).unwrap());
    let folder = Scratch::new("crowd");
    let (connector, secret) = openldap(&slapd);
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let mut spec = connector;
    spec["secretRef"] = json!({"name": "bind"});
    let mut objects = vec![
        object("Connector", "directory", spec),
        object(
            "OffboardingPolicy",
            "default",
            json!({"transfer": {"to": "sam@corp.test"}}),
        ),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bind", "annotations": support::scope("")}, "stringData": secret}),
    ];
    objects.extend((0..6).map(|n| {
        object(
            "Offboarding",
            &format!("crowd{n}"),
            leaving(&format!("crowd{n}@corp.test")),
        )
    }));
    for (number, object) in objects.iter().enumerate() {
        fs::write(folder.join(format!("{number}.json")), object.to_string()).unwrap();
    }
    let offboard = |arguments: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_offboard"))
            .args(arguments)
            .arg("-f")
            .arg(&*folder)
            .env("XDG_STATE_HOME", folder.join(".state"))
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (code, plan) = offboard(&["plan", "--detailed-exitcode"]);
    assert_eq!(code, Some(2), "{plan}");
    assert_eq!(plan.matches("700 groups").count(), 6, "{plan}");
    let (code, run) = offboard(&["run", "--wait", "4m"]);
    assert_eq!(code, Some(0), "{run}");
    assert!(!run.contains("ldap "), "{run}");
    assert_eq!(slapd.search("(member=uid=crowd*)", &["cn"]), "");
    let left = slapd.search("(&(objectClass=groupOfNames)(cn=proj*))", &["member"]);
    assert!(left.contains("uid=sam") && !left.contains("uid=crowd"));
}
