//! Who comes back to a real MariaDB.

use std::collections::BTreeSet;

use offboard::core::fact::Verdict;
use serde_json::json;

use super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, out, settle, stories, wanted_back};
use crate::{
    leaver::Leaver,
    support::{self, unique},
};

const PASSWORD: &str = "leaver-Passw0rd";

/// An account with a role, rights on two tables, and a right to hand on.
struct Database {
    user: String,
    stem: String,
    operator: String,
}

fn sql(text: &str) -> String {
    support::mariadb().sql_as_admin(text)
}

impl Database {
    fn new() -> Self {
        let place = Self {
            user: unique("alice"),
            stem: unique("d"),
            operator: unique("op"),
        };
        let Self { user, stem, operator } = &place;
        sql(&format!(
            "CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'; CREATE USER {user}@'10.0.0.1' IDENTIFIED BY '{PASSWORD}';
             ALTER USER {user}@'10.0.0.1' ACCOUNT LOCK; GRANT PROCESS ON *.* TO {user}@'10.0.0.1';
             CREATE USER {operator}@'%' IDENTIFIED BY 'operator'; GRANT ALL ON *.* TO {operator}@'%' WITH GRANT OPTION;
             CREATE ROLE {stem}_a; GRANT {stem}_a TO {operator}@'%' WITH ADMIN OPTION; CREATE DATABASE {stem}"
        ));
        for group in [KEPT[1], TAKEN_BEFORE, GIVEN_AFTER] {
            sql(&format!(
                "CREATE TABLE {stem}.{group} (one INT, two INT, three INT)"
            ));
        }
        for group in [KEPT[0], KEPT[1], TAKEN_BEFORE] {
            place.give(group);
        }
        place
    }

    /// What the labels are here: a role, and rights on tables.
    fn right(&self, group: &str) -> String {
        let stem = &self.stem;
        match group {
            "a" => format!("{stem}_a"),
            "b" => format!("SELECT, INSERT (one, two), UPDATE (three) ON {stem}.b"),
            other => format!("DELETE ON {stem}.{other}"),
        }
    }
}

impl Place for Database {
    const GROUPS: &str = "GrantsRevoked";
    const LOST: &[&str] = &["PasswordsRandomised"];

    fn leaver(&self) -> Leaver {
        let server = support::mariadb();
        let connector = json!({"definition": "mysql", "inputs": {"host": "localhost", "port": server.port, "match": "EmailLocalPart"}});
        let secret =
            json!({"username": self.operator, "password": "operator", "ca.crt": server.tls.ca_pem()});
        let offboarding =
            json!({"employee": {"email": format!("{}@corp.test", self.user)}, "urgency": "Immediate"});
        Leaver::new(connector, &secret, &offboarding, &json!({}))
    }

    fn has(&self) -> BTreeSet<String> {
        let (user, stem) = (&self.user, &self.stem);
        let mut has = BTreeSet::new();
        for host in ["%", "10.0.0.1"] {
            let read = format!(
                "SELECT COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') FROM mysql.global_priv
                 WHERE User = '{user}' AND Host = '{host}'"
            );
            let locked = ["1", "true"].contains(&sql(&read).as_str());
            match (host, locked) {
                ("%", false) => has.insert("open".to_owned()),
                (_, locked) => has.insert(format!("{host} locked {locked}")),
            };
        }
        let read = format!(
            "SELECT CONCAT('in ', table_name) FROM information_schema.table_privileges
             WHERE grantee = \"'{user}'@'%'\" AND table_schema = '{stem}' UNION
             SELECT CONCAT(privilege_type, ' ', is_grantable, ' on ', table_name) FROM information_schema.table_privileges
             WHERE grantee = \"'{user}'@'%'\" AND table_schema = '{stem}' AND table_name = 'b' UNION
             SELECT CONCAT(privilege_type, ' ', column_name, ' on ', table_name) FROM information_schema.column_privileges
             WHERE grantee = \"'{user}'@'%'\" AND table_schema = '{stem}' UNION
             SELECT CONCAT(privilege_type, ' ', is_grantable) FROM information_schema.user_privileges
             WHERE grantee = \"'{user}'@'10.0.0.1'\" UNION
             SELECT IF(n, CONCAT('hands on ', 'a'), 'in a') FROM mysql.roles_mapping, (SELECT 0 AS n UNION SELECT 1) both_of
             WHERE user = '{user}' AND host = '%' AND role = '{stem}_a' AND (n = 0 OR admin_option = 'Y')"
        );
        has.extend(sql(&read).lines().map(str::to_owned));
        has
    }

    async fn admits(&self) -> bool {
        sql(&format!("ALTER USER {}@'%' IDENTIFIED BY 'known'", self.user));
        support::mariadb().login(&self.user, "localhost", "known")
    }

    fn give(&self, group: &str) {
        let option = match group {
            "a" => " WITH ADMIN OPTION",
            "b" => " WITH GRANT OPTION",
            _ => "",
        };
        sql(&format!(
            "GRANT {} TO {}@'%'{option}",
            self.right(group),
            self.user
        ));
    }

    fn take(&self, group: &str) {
        sql(&format!("REVOKE {} FROM {}@'%'", self.right(group), self.user));
    }

    fn delete(&self, group: &str) {
        assert_eq!(group, "a");
        sql(&format!("DROP ROLE {}_a", self.stem));
    }
}

stories!(Database::new());

#[tokio::test]
async fn without_the_right_to_give_a_right_it_says_so_and_the_rest_is_given_back() {
    let place = Database::new();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let (operator, stem) = (&place.operator, &place.stem);
    sql(&format!("REVOKE ADMIN OPTION FOR {stem}_a FROM {operator}@'%'"));
    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    let has = place.has();
    assert!(
        has.contains("open") && has.contains("in b") && !has.contains("in a"),
        "{has:?}"
    );
    assert!(!matches!(
        leaver.verdict("GrantsRevokedUndone"),
        Verdict::Verified
    ));
    assert!(
        leaver
            .fault("GrantsRevokedUndone")
            .starts_with("PermissionDenied"),
        "{:?}",
        leaver.all()
    );
    assert_eq!(leaver.condition("Ready"), "False/PermissionDenied");
}
