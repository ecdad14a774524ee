//! What is left of a leaver everywhere, without names, ids and instants, so that two leavers' pictures can be compared.

use std::collections::BTreeMap;

use offboard::{api::record::Entry, drive::evidence};
use serde_json::{Value, json};

use super::company::{Company, Employee, SUCCESSOR, quoted};
use crate::support::{self, Postgres};

/// Snapshots of these facts hold instants, and one more of them for each time that the fact was asked for.
const WITH_INSTANTS: [&str; 2] = ["PasswordRandomised", "ExpiryArmed"];

/// The state of a leaver, of the colleague who reported to them, and of what they owned, on each server.
pub fn of_servers(company: &Company, employee: &Employee) -> BTreeMap<String, Value> {
    let both = [&employee.login, &employee.colleague];
    let sso = both.map(|login| sso(company, login));
    let shop = both.map(|login| shop(login));
    let pictures = [
        (
            "directories",
            json!([active_directory(employee), openldap(employee)]),
        ),
        ("warehouse", json!(warehouse(company, employee))),
        ("shop", json!(shop)),
        ("sso", json!(sso)),
    ];
    let nameless =
        |(system, picture): (&str, Value)| (system.to_owned(), without_names(&picture, company, employee));
    pictures.into_iter().map(nameless).collect()
}

/// What the operator says and keeps about a leaver: conditions, and the record's accounts, snapshots and facts.
pub fn of_objects(company: &Company, employee: &Employee, offboarding: &Value, record: &Value) -> Value {
    let (status, spec) = (&offboarding["status"], &record["spec"]);
    let chain: Vec<Entry> = serde_json::from_value(spec["evidence"].clone()).unwrap();
    let mut happened: Vec<(&str, &str, &str)> = chain
        .iter()
        .filter(|entry| entry.event != "Asked")
        .map(|entry| (entry.system.as_str(), entry.fact.as_str(), entry.event.as_str()))
        .collect();
    happened.sort_unstable();
    // Proven again after something of ours had undone it.
    happened.dedup();
    let mut systems = spec["systems"].clone();
    for system in systems.as_object_mut().unwrap().values_mut() {
        system["found"] = json!(system.get("found").is_some());
        for who in ["account", "successor"] {
            if let Some(bound) = system.get_mut(who) {
                bound["boundAt"] = Value::Null;
                // Digests of addresses and numbers, which are everybody's own.
                bound["keys"] = json!(bound["keys"].as_array().map_or(0, Vec::len));
            }
        }
        for entry in system["facts"].as_object_mut().unwrap().values_mut() {
            let has = |field: &str| entry.get(field).is_some();
            *entry = json!({
                "verified": has("verified"), "still open": has("intent"), "undone by others": has("reversals"),
            });
        }
        if let Some(snapshot) = system.get_mut("snapshot").and_then(Value::as_object_mut) {
            snapshot.retain(|fact, _| !WITH_INSTANTS.contains(&fact.as_str()));
        }
    }
    let rows = status["systems"].as_array().unwrap().iter();
    let rows: Vec<Value> = rows
        .map(|row| json!([row["name"], conditions(&row["conditions"])]))
        .collect();
    let picture = json!({
        "summary": conditions(&status["conditions"]),
        "rows": rows,
        "access left": status["accessLeft"],
        "progress": status["progress"],
        "record": systems,
        "happened": happened,
        "chain is sound": evidence::first_broken(&chain).is_none(),
        "record is the leaver's": spec["offboarding"]["uid"] == offboarding["metadata"]["uid"],
        "status names the head": status["evidence"]["head"] == spec["head"]
            && chain.last().is_some_and(|last| spec["head"] == last.digest),
    });
    without_names(&picture, company, employee)
}

/// Says that what [`of_objects`] shows is a good end.
#[track_caller]
pub fn assert_good(objects: &Value) {
    for sound in [
        "chain is sound",
        "record is the leaver's",
        "status names the head",
    ] {
        assert_eq!(objects[sound], true, "{sound}: {objects:#}");
    }
    assert_eq!(objects["access left"], 0, "{objects:#}");
    for system in objects["record"].as_object().unwrap().values() {
        for (fact, entry) in system["facts"].as_object().unwrap() {
            let good = json!({"verified": true, "still open": false, "undone by others": false});
            assert_eq!(*entry, good, "{fact}");
        }
    }
    let blamed = |event: &&Value| !["Verified", "Asserted"].contains(&event[2].as_str().unwrap());
    let blamed: Vec<&Value> = objects["happened"]
        .as_array()
        .unwrap()
        .iter()
        .filter(blamed)
        .collect();
    assert!(blamed.is_empty(), "nobody else did anything, and yet: {blamed:?}");
}

fn conditions(conditions: &Value) -> Vec<String> {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let all = conditions.as_array().unwrap().iter();
    all.map(|c| ["type", "status", "reason"].map(|field| text(c, field)).join(" "))
        .collect()
}

fn active_directory(employee: &Employee) -> Value {
    let (login, colleague, own) = (&employee.login, &employee.colleague, employee.owned());
    let filter = format!("(|(sAMAccountName={login})(sAMAccountName={colleague})(sAMAccountName={own}))");
    let attributes = [
        "userAccountControl",
        "accountExpires",
        "primaryGroupID",
        "memberOf",
        "member",
        "manager",
        "managedBy",
    ];
    entries(&support::samba().search(&filter, &attributes))
}

fn openldap(employee: &Employee) -> Value {
    let (login, colleague, own) = (&employee.login, &employee.colleague, employee.owned());
    let filter = format!("(|(uid={login})(uid={colleague})(cn={own}))");
    let attributes = ["pwdAccountLockedTime", "memberOf", "member", "manager", "owner"];
    entries(&support::slapd().search(&filter, &attributes))
}

/// LDIF, in an order of its own.
fn entries(ldif: &str) -> Value {
    let referral = |entry: &&str| !entry.is_empty() && !entry.starts_with('#');
    let entry = |entry: &str| {
        let mut lines: Vec<&str> = entry.lines().filter(|line| !line.starts_with("# ")).collect();
        for line in &mut lines {
            let never = ["accountExpires: 0", "accountExpires: 9223372036854775807"].contains(line);
            if line.starts_with("accountExpires") && !never {
                *line = "accountExpires: some day";
            }
        }
        lines.sort_unstable();
        json!(lines)
    };
    let mut entries: Vec<Value> = ldif
        .split("\n\n")
        .map(str::trim)
        .filter(referral)
        .map(entry)
        .collect();
    entries.sort_by_key(Value::to_string);
    json!(entries)
}

fn warehouse(company: &Company, employee: &Employee) -> Vec<String> {
    let (login, colleague) = (&employee.login, &employee.colleague);
    let sql = format!(
        "SELECT rolname, rolcanlogin, rolcreatedb, rolpassword IS NULL, coalesce(rolvaliduntil <= now(), false),
         ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = a.oid ORDER BY 1),
         (SELECT count(*) FROM pg_stat_activity WHERE usesysid = a.oid)
         FROM pg_authid a WHERE rolname IN ('{login}', '{colleague}') ORDER BY 1;
         SELECT 'schema', nspowner::regrole FROM pg_namespace WHERE nspname = '{login}';
         SELECT 'table', tableowner FROM pg_tables WHERE schemaname = '{login}';
         SELECT 'rows', n FROM {}.orders;
         SELECT 'still a member of', roleid::regrole FROM pg_auth_members
         WHERE member = '{}'::regrole AND roleid IN (SELECT oid FROM pg_roles WHERE rolname IN ('{login}', '{SUCCESSOR}'))",
        quoted(login),
        Postgres::OPERATOR
    );
    let rows = support::postgres().sql_as_admin(&company.name, &sql);
    rows.lines().map(str::to_owned).collect()
}

fn shop(login: &str) -> Vec<String> {
    let server = support::mariadb();
    // Everybody had the same password, and this kind of hash has no salt.
    let accounts = server.sql_as_admin(&format!(
        "SELECT g.Host, COALESCE(JSON_VALUE(g.Priv, '$.account_locked'), 0),
         JSON_VALUE(g.Priv, '$.authentication_string') = (SELECT JSON_VALUE(Priv, '$.authentication_string')
         FROM mysql.global_priv WHERE User = '{SUCCESSOR}' AND Host = '%')
         FROM mysql.global_priv g WHERE g.User = '{login}' ORDER BY 1;
         SELECT 'roles', COUNT(*) FROM mysql.roles_mapping WHERE User = '{login}';
         SELECT 'sessions', COUNT(*) FROM information_schema.processlist WHERE user = '{login}'"
    ));
    let grants =
        ["%", "127.0.0.1"].map(|host| server.sql_as_admin(&format!("SHOW GRANTS FOR `{login}`@'{host}'")));
    let rows = accounts
        .lines()
        .chain(grants.iter().flat_map(|grants| grants.lines()));
    rows.map(|row| row.split(" IDENTIFIED ").next().unwrap_or_default().to_owned())
        .collect()
}

fn sso(company: &Company, login: &str) -> Value {
    let user = company.user(login);
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    let of = |part: &str| {
        company
            .realm
            .admin("GET", &format!("{path}/{part}"), &Value::Null)
            .1
    };
    let names = |list: &Value, field: &str| -> Vec<Value> {
        list.as_array()
            .into_iter()
            .flatten()
            .map(|each| each[field].clone())
            .collect()
    };
    json!({
        "enabled": user["enabled"], "email": user["email"], "name": user["lastName"],
        "outdated tokens": user["notBefore"].as_i64().unwrap_or_default() > 0,
        "groups": names(&of("groups"), "name"), "credentials": names(&of("credentials"), "type"),
        "roles": names(&of("role-mappings/realm"), "name"),
        "consents": names(&of("consents"), "clientId"), "sessions": names(&of("sessions"), "clients"),
    })
}

/// The same with a word in place of each name of a person, and of each durable id.
fn without_names(picture: &Value, company: &Company, employee: &Employee) -> Value {
    let mut text = picture.to_string();
    // A colleague's name begins with their manager's.
    let names = [
        (employee.colleague.as_str(), "COLLEAGUE"),
        (&employee.login, "LEAVER"),
        (SUCCESSOR, "SUCCESSOR"),
        (&company.name, "COMPANY"),
    ];
    let oids = format!("SELECT oid FROM pg_roles WHERE rolname = '{}'", employee.login);
    let oid = format!("\"{}\"", support::postgres().sql_as_admin("postgres", &oids));
    text = text.replace(&oid, "\"OID\"");
    for (name, word) in names {
        text = text.replace(name, word);
    }
    serde_json::from_str(&without_ids(&text)).unwrap()
}

/// Replaces what looks like a UUID.
fn without_ids(text: &str) -> String {
    let id = |part: &str| {
        let groups: Vec<usize> = part.split('-').map(str::len).collect();
        groups == [8, 4, 4, 4, 12] && part.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    };
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c == '-' || c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        out += if id(&word) { "ID" } else { &word };
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}
