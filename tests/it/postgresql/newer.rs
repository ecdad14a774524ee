//! PostgreSQL 16 and later, where CREATEROLE alone reaches nobody and a membership belongs to who granted it.

use offboard::core::fault::Fault;

use super::*;

/// What keeps a fact from being true.
fn refused(driven: &Driven, fact: &str) -> Fault {
    match driven.verdict(fact) {
        Verdict::Unmet(Why::Failed(fault)) => fault.clone(),
        other => panic!("{fact}: {other:?}"),
    }
}

#[tokio::test]
async fn the_rights_of_the_notes_are_enough_and_each_that_is_missing_is_named() {
    for server in support::newer_postgres() {
        let admin = |sql: &str| server.sql_as_admin("postgres", sql);
        let [analysts, ops] = ["analysts", "ops"].map(unique);
        let [sam, bob, jane, lead, devon] = ["sam", "bob", "jane", "lead", "devon"].map(unique);
        for group in [&analysts, &ops] {
            admin(&format!("CREATE ROLE {group}"));
        }
        for person in [&sam, &bob, &jane, &lead, &devon] {
            admin(&format!("CREATE ROLE {person} LOGIN PASSWORD '{PASSWORD}'"));
        }
        // Jane as a superuser let her in, who let somebody in herself, and who has a power of their own.
        admin(&format!(
            "GRANT {jane}, {lead}, {devon}, {sam}, {bob}, {analysts}, {ops} TO {}
               WITH ADMIN OPTION, INHERIT FALSE, SET FALSE;
             GRANT {analysts} TO {jane}; ALTER ROLE {devon} CREATEDB; GRANT CREATE ON SCHEMA public TO {jane}, {sam};
             SET ROLE {jane}; CREATE TABLE t_{jane} (n int); RESET ROLE;
             GRANT {ops} TO {lead} WITH ADMIN OPTION; SET ROLE {lead}; GRANT {ops} TO {bob}",
            Postgres::OPERATOR
        ));
        let system = System {
            definition: "postgresql",
            inputs: json!({"host": "localhost", "port": server.port, "match": "EmailLocalPart"}),
            secret: vec![
                ("username", Postgres::OPERATOR.to_owned()),
                ("password", Postgres::OPERATOR_PASSWORD.to_owned()),
                ("ca.crt", server.tls.ca_pem()),
            ],
            include: &[],
        };
        let mut leavers = [&jane, &lead, &devon].map(|name| Driven::leaver(&system, leaves_all(name, &sam)));
        for driven in &mut leavers {
            driven.follow(&["MembershipsRevoked", "AttributesRevoked"]).await;
        }
        for name in [&jane, &lead, &devon] {
            assert!(!server.login(name, PASSWORD, "postgres"));
        }
        assert_eq!(
            refused(&leavers[0], "MembershipsRevoked").code,
            format!("42501 connector lacks the rights of {}", Postgres::ADMIN)
        );
        assert_eq!(
            refused(&leavers[2], "AttributesRevoked").code,
            "42501 connector lacks CREATEDB or ADMIN OPTION on the role"
        );

        admin(&format!(
            "GRANT {} TO {} WITH INHERIT TRUE, SET FALSE; ALTER ROLE {1} CREATEDB REPLICATION BYPASSRLS",
            Postgres::ADMIN,
            Postgres::OPERATOR
        ));
        for driven in &mut leavers {
            driven.restart();
            driven.follow(&[]).await;
            driven.assert_done();
        }
        let is = |question: &str| admin(&format!("SELECT {question}")) == "t";
        assert!(
            is(&format!("pg_has_role('{bob}', '{ops}', 'MEMBER')")),
            "whom the leaver let in stays in"
        );
        assert!(!is(&format!("pg_has_role('{lead}', '{ops}', 'MEMBER')")));
        assert!(is(&format!(
            "tableowner = '{sam}' FROM pg_tables WHERE tablename = 't_{jane}'"
        )));
        let lent = format!(
            "count(*) = 0 FROM pg_auth_members WHERE member = '{0}'::regrole AND grantor = '{0}'::regrole",
            Postgres::OPERATOR
        );
        assert!(is(&lent), "the connector is in nobody's role by its own doing");
    }
}

#[tokio::test]
async fn who_has_a_role_from_the_leaver_keeps_it_and_what_goes_round_is_named() {
    for server in support::newer_postgres() {
        let admin = |sql: &str| server.sql_as_admin("postgres", sql);
        let (ops, own, round) = (unique("ops"), unique("own"), unique("round"));
        let [lead, bob, carl] = ["lead", "bob", "carl"].map(unique);
        let operator = unique("operator");
        admin(&format!(
            "CREATE ROLE {ops}; CREATE ROLE {own}; CREATE ROLE {round};
             CREATE ROLE {operator} LOGIN CREATEROLE PASSWORD 'operator'; GRANT pg_signal_backend TO {operator};
             GRANT {} TO {operator} WITH INHERIT TRUE, SET FALSE; GRANT {ops} TO {operator} WITH ADMIN OPTION",
            Postgres::ADMIN
        ));
        for person in [&lead, &bob, &carl] {
            admin(&format!(
                "CREATE ROLE {person} LOGIN PASSWORD '{PASSWORD}';
                 GRANT {person} TO {operator} WITH ADMIN OPTION, INHERIT FALSE, SET FALSE"
            ));
        }
        // A chain of two, one that leads to the connector, and one that leads to it by somebody else.
        admin(&format!(
            "GRANT {ops}, {own}, {round} TO {lead} WITH ADMIN OPTION;
             SET ROLE {lead}; GRANT {ops}, {round} TO {bob} WITH ADMIN OPTION; GRANT {own} TO {operator} WITH ADMIN OPTION;
             RESET ROLE; SET ROLE {bob}; GRANT {ops} TO {carl}; GRANT {round} TO {operator} WITH ADMIN OPTION"
        ));
        let system = System {
            definition: "postgresql",
            inputs: json!({"host": "localhost", "port": server.port, "match": "EmailLocalPart"}),
            secret: vec![
                ("username", operator.clone()),
                ("password", "operator".to_owned()),
                ("ca.crt", server.tls.ca_pem()),
            ],
            include: &[],
        };
        let mut driven = Driven::leaver(&system, leaves(&lead));
        driven.follow(&["MembershipsRevoked"]).await;
        assert!(!server.login(&lead, PASSWORD, "postgres"));
        assert_eq!(
            refused(&driven, "MembershipsRevoked").code,
            format!("0LP01 {bob} has {round} from {lead}")
        );
        admin(&format!("GRANT {own}, {round} TO {operator} WITH ADMIN OPTION"));
        driven.restart();
        driven.follow(&[]).await;
        driven.assert_done();
        let is = |question: &str| admin(&format!("SELECT {question}")) == "t";
        for (person, role) in [(&bob, &ops), (&carl, &ops), (&bob, &round)] {
            assert!(
                is(&format!("pg_has_role('{person}', '{role}', 'MEMBER')")),
                "{person} {role}"
            );
        }
        for role in [&ops, &own, &round] {
            assert!(
                !is(&format!("pg_has_role('{lead}', '{role}', 'MEMBER')")),
                "{role}"
            );
        }
    }
}
