//! Who comes back to a real PostgreSQL.

use std::collections::BTreeSet;

use serde_json::json;

use super::{GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, out, settle, stories, wanted_back};
use crate::{
    leaver::Leaver,
    support::{self, Postgres, unique},
};

/// A role that may make databases, with an end of its own, and is in other roles.
struct Database {
    role: String,
    groups: String,
}

fn sql(text: &str) -> String {
    support::postgres().sql_as_admin("postgres", text)
}

impl Database {
    fn new() -> Self {
        let place = Self {
            role: unique("alice"),
            groups: unique("g"),
        };
        let role = &place.role;
        sql(&format!(
            "CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'old secret' VALID UNTIL '2098-07-01 00:00Z'"
        ));
        for group in [KEPT[0], KEPT[1], TAKEN_BEFORE, GIVEN_AFTER] {
            sql(&format!("CREATE ROLE {}", place.group(group)));
        }
        sql(&format!(
            "GRANT {}, {} TO {role}; GRANT {} TO {role} WITH ADMIN OPTION",
            place.group(KEPT[0]),
            place.group(TAKEN_BEFORE),
            place.group(KEPT[1])
        ));
        place
    }

    fn group(&self, group: &str) -> String {
        format!("{}_{group}", self.groups)
    }
}

impl Place for Database {
    const GROUPS: &str = "MembershipsRevoked";
    const LOST: &[&str] = &["PasswordCleared"];

    fn leaver(&self) -> Leaver {
        let server = support::postgres();
        let connector = json!({"definition": "postgresql", "inputs": {"host": "localhost", "port": server.port, "match": "EmailLocalPart"}});
        let secret = json!({
            "username": Postgres::OPERATOR, "password": Postgres::OPERATOR_PASSWORD, "ca.crt": server.tls.ca_pem()
        });
        let offboarding =
            json!({"employee": {"email": format!("{}@corp.test", self.role)}, "urgency": "Immediate"});
        Leaver::new(connector, &secret, &offboarding, &json!({}))
    }

    fn has(&self) -> BTreeSet<String> {
        let read = format!(
            "SELECT unnest(ARRAY['until ' || coalesce(rolvaliduntil::text, 'infinity'), 'createdb ' || rolcreatedb,
             'createrole ' || rolcreaterole, CASE WHEN rolcanlogin THEN 'open' ELSE 'closed' END])
             FROM pg_roles WHERE rolname = '{0}' UNION
             SELECT 'in ' || replace(g.rolname, '{1}_', '') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '{0}' UNION
             SELECT 'gives ' || replace(g.rolname, '{1}_', '') FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
             JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '{0}' AND m.admin_option",
            self.role, self.groups
        );
        sql(&read).lines().map(str::to_owned).collect()
    }

    async fn admits(&self) -> bool {
        sql(&format!("ALTER ROLE {} PASSWORD 'known'", self.role));
        support::postgres().login(&self.role, "known", "postgres")
    }

    fn give(&self, group: &str) {
        let more = if group == KEPT[1] {
            " WITH ADMIN OPTION"
        } else {
            ""
        };
        sql(&format!("GRANT {} TO {}{more}", self.group(group), self.role));
    }

    fn take(&self, group: &str) {
        sql(&format!("REVOKE {} FROM {}", self.group(group), self.role));
    }

    fn delete(&self, group: &str) {
        sql(&format!("DROP ROLE {}", self.group(group)));
    }
}

stories!(Database::new());

#[tokio::test]
async fn a_role_is_found_again_under_a_new_name_and_another_of_its_old_name_is_left_alone() {
    let place = Database::new();
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let (old, new) = (place.group(KEPT[0]), unique("renamed"));
    sql(&format!("ALTER ROLE {old} RENAME TO {new}; CREATE ROLE {old}"));
    super::back(&place, leaver).await;
    let read = format!(
        "SELECT pg_has_role('{0}', '{old}', 'MEMBER'), pg_has_role('{0}', '{new}', 'MEMBER')",
        place.role
    );
    assert_eq!(sql(&read), "f|t");
    sql(&format!("DROP ROLE {old}; ALTER ROLE {new} RENAME TO {old}"));
    assert_eq!(place.has(), before);
}

#[tokio::test]
async fn an_end_that_somebody_else_set_since_stays() {
    let place = Database::new();
    let mut expected = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    // Earlier than ours; later would be no end of ours either.
    sql(&format!(
        "ALTER ROLE {} VALID UNTIL '2020-01-01 00:00Z'",
        place.role
    ));
    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    expected.retain(|what| !what.starts_with("until"));
    expected.insert("until 2020-01-01 00:00:00+00".to_owned());
    assert_eq!(place.has(), expected);
}
