//! Locks of a real MariaDB that let somebody in.

use offboard::core::fact::Verdict;
use serde_json::json;

use crate::{
    leaver::Leaver,
    support::{self, Mariadb, unique},
};

const PASSWORD: &str = "leaver-Passw0rd";

fn leaver(server: &Mariadb, name: &str) -> Leaver {
    let connector = json!({"definition": "mysql", "inputs": {"host": "localhost", "port": server.port, "match": "EmployeeID"}});
    let secret = json!({
        "username": Mariadb::OPERATOR, "password": Mariadb::OPERATOR_PASSWORD, "ca.crt": server.tls.ca_pem()
    });
    let leaving = json!({"urgency": "Immediate", "employee": {"employeeID": name}});
    Leaver::new(connector, &secret, &leaving, &json!({}))
}

#[tokio::test]
async fn a_lock_that_only_the_table_knows_is_no_lock() {
    let server = support::mariadb();
    // A name is not taken for the word.
    for name in [unique("finn"), format!("x ACCOUNT LOCK {}", unique("odd"))] {
        server.sql_as_admin(&format!(
            "CREATE USER `{name}`@'%' IDENTIFIED BY '{PASSWORD}';
             UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.account_locked', true) WHERE User = '{name}'"
        ));
        let logs_in = || server.login(&name, "localhost", PASSWORD);
        assert!(logs_in(), "nobody has told the server");
        let mut leaver = leaver(server, &name);
        leaver.settle(5).await;
        assert!(!logs_in());
        assert_eq!(leaver.verdict("LoginsLocked"), Verdict::Verified);
        server.sql_as_admin(&format!("ALTER USER `{name}`@'%' IDENTIFIED BY '{PASSWORD}'"));
        assert!(!logs_in(), "whatever its password is");
    }
}
