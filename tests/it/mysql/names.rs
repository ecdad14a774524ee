//! Rights on databases, tables, columns, programs and roles of whatever name.

use super::*;
use crate::leaver::Leaver;

/// The rights of `name` from every host, as the server shows them.
fn grants(name: &str) -> Vec<String> {
    let shown = sql(&format!("SHOW GRANTS FOR {name}@'%'"));
    let lines = shown
        .lines()
        .filter(|line| !line.starts_with("GRANT USAGE ON *.*"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn rights_on_whatever_names_are_taken_and_given_back_and_nobody_elses() {
    let (name, other) = (person("una"), person("vic"));
    let (stem, longest) = (unique("w"), "n".repeat(64));
    // What separates and ends names in a grant, and wildcards.
    let database = quoted(&format!("{stem} (a), `b' \"c\" ON %_ü\\"));
    let table = quoted("t TO `x`@`%` IDENTIFIED BY, (1) WITH GRANT OPTION");
    let role = quoted(&format!("{stem} r, (x) ON"));
    sql(&format!(
        "CREATE DATABASE {database}; CREATE ROLE {role};
         CREATE TABLE {database}.{table} (`sum, total` INT, `a ON b` INT, `c``d)` INT, `{longest}` INT);
         CREATE PROCEDURE {database}.`p, q ON r`() SELECT 1"
    ));
    for name in [&name, &other] {
        sql(&format!(
            "GRANT INSERT (`sum, total`), REFERENCES (`a ON b`), SELECT (`c``d)`), UPDATE (`{longest}`) ON {database}.{table} TO {name}@'%';
             GRANT REFERENCES ON {database}.* TO {name}@'%' WITH GRANT OPTION;
             GRANT SELECT, DELETE ON `{stem}\\_%`.* TO {name}@'%';
             GRANT EXECUTE ON PROCEDURE {database}.`p, q ON r` TO {name}@'%'; GRANT {role} TO {name}@'%'"
        ));
    }
    let (before, others) = (grants(&name), grants(&other));
    assert_eq!(before.len(), 5, "{before:#?}");
    // Who may grant all of it, as a reinstatement needs.
    let root = operator("PROCESS");
    sql(&format!(
        "GRANT ALL PRIVILEGES ON *.* TO {root}@'%' WITH GRANT OPTION; GRANT {role} TO {root}@'%' WITH ADMIN OPTION"
    ));
    let connector = json!({
        "definition": "mysql", "inputs": {"host": "localhost", "port": server().port, "match": "EmailLocalPart"}
    });
    let secret = json!({"username": root, "password": "operator", "ca.crt": server().tls.ca_pem()});
    let offboarding = json!({"employee": {"email": format!("{name}@example.com")}, "urgency": "Immediate"});
    let mut leaver = Leaver::new(connector, &secret, &offboarding, &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!((grants(&name), grants(&other)), (vec![], others.clone()));
    let mut leaver = leaver.changed(json!({"desired": "Reinstated"}));
    leaver.settle(5).await;
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    assert_eq!((grants(&name), grants(&other)), (before, others));
}
