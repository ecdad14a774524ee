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
        ("directories", json!([active_directory(employee), openldap(employee)])),
        ("warehouse", json!(warehouse(company, employee))),
        ("shop", json!(shop)),
        ("sso", json!(sso)),
    ];
    let nameless = |(system, picture): (&str, Value)| (system.to_owned(), without_names(&picture, company, employee));
    pictures.into_iter().map(nameless).collect()
}

/// What the operator says and keeps about a leaver: conditions, and the record's account, snapshots and facts.
///
/// # Panics
/// When the record contradicts itself: a broken chain, an act that is still open, somebody blamed for undoing something.
#[track_caller]
pub fn of_objects(company: &Company, employee: &Employee, offboarding: &Value, record: &Value) -> Value {
    let spec = &record["spec"];
    let chain: Vec<Entry> = serde_json::from_value(spec["evidence"].clone()).unwrap();
    assert_eq!(evidence::first_broken(&chain), None);
    assert_eq!(spec["head"], chain.last().unwrap().digest);
    assert_eq!(offboarding["status"]["evidence"]["head"], spec["head"]);
    assert_eq!(spec["offboarding"]["uid"], offboarding["metadata"]["uid"]);
    let mut proven: Vec<(&str, &str, &str)> = vec![];
    for entry in &chain {
        let (system, fact, event) = (entry.system.as_str(), entry.fact.as_str(), entry.event.as_str());
        match event {
            "Asked" => {}
            "Verified" | "Asserted" => proven.push((system, fact, event)),
            other => panic!("nobody but the operator did anything, and yet: {other} {system} {fact}"),
        }
    }
    proven.sort_unstable();
    let mut systems = spec["systems"].clone();
    for (name, system) in systems.as_object_mut().unwrap() {
        system["account"]["boundAt"] = Value::Null;
        if let Some(successor) = system.get_mut("successor") {
            successor["boundAt"] = Value::Null;
        }
        for (fact, entry) in system["facts"].as_object_mut().unwrap() {
            assert!(entry.get("intent").is_none(), "{name} {fact}: {entry}");
            assert!(entry.get("reversals").is_none(), "{name} {fact}: {entry}");
            *entry = json!(entry.get("verified").is_some());
        }
        if let Some(snapshot) = system.get_mut("snapshot") {
            snapshot.as_object_mut().unwrap().retain(|fact, _| !WITH_INSTANTS.contains(&fact.as_str()));
        }
    }
    let picture = json!({
        "summary": conditions(&offboarding["status"]["conditions"]),
        "systems": offboarding["status"]["systems"].as_array().unwrap().iter()
            .map(|row| json!([row["name"], conditions(&row["conditions"])])).collect::<Vec<_>>(),
        "accessLeft": offboarding["status"]["accessLeft"],
        "progress": offboarding["status"]["progress"],
        "record": systems,
        "proven": proven,
    });
    without_names(&picture, company, employee)
}

fn conditions(conditions: &Value) -> Vec<String> {
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let all = conditions.as_array().unwrap().iter();
    all.map(|c| ["type", "status", "reason"].map(|field| text(c, field)).join(" ")).collect()
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
    let mut entries: Vec<Value> = ldif.split("\n\n").map(str::trim).filter(referral).map(entry).collect();
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
    let grants = ["%", "127.0.0.1"].map(|host| server.sql_as_admin(&format!("SHOW GRANTS FOR `{login}`@'{host}'")));
    let rows = accounts.lines().chain(grants.iter().flat_map(|grants| grants.lines()));
    rows.map(|row| row.split(" IDENTIFIED ").next().unwrap_or_default().to_owned())
        .collect()
}

fn sso(company: &Company, login: &str) -> Value {
    let user = company.user(login);
    let path = format!("/users/{}", user["id"].as_str().unwrap());
    let of = |part: &str| company.realm.admin("GET", &format!("{path}/{part}"), &Value::Null).1;
    let names = |list: &Value, field: &str| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|each| each[field].clone()).collect()
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
    for (name, word) in names {
        text = text.replace(name, word);
    }
    let mut picture: Value = serde_json::from_str(&without_ids(&text)).unwrap();
    if let Some(systems) = picture.get_mut("record").and_then(Value::as_object_mut) {
        for (_, system) in systems {
            for who in ["account", "successor"] {
                if let Some(id) = system.get_mut(who).and_then(|bound| bound.get_mut("id")) {
                    // A role's number in PostgreSQL.
                    *id = json!(id.as_str().unwrap().parse::<u64>().map_or(id.clone(), |_| json!("NUMBER")));
                }
            }
        }
    }
    picture
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
