//! People with accounts in the directory and the warehouse of this machine, and whether they still get in.

use crate::support::{self, Postgres, Session, Slapd, unique};

const OPERATOR: &str = Postgres::OPERATOR;

/// Everybody's password.
const PASSWORD: &str = "First-Passw0rd!";
/// The ways in that [`Staff::gets_in`] tries.
pub const EVERYWHERE: [&str; 2] = ["directory", "warehouse"];
/// Nowhere.
pub const NOWHERE: [&str; 0] = [];

/// The people of one story, in a group and a role of their own.
pub struct Staff {
    /// What their login names end with, and no other story's.
    pub tag: String,
}

impl Staff {
    /// Takes these people in: `jane.doe` has `jane.doe.TAG@example.com`, owns a group and a table, and is in a group and a role.
    pub fn hire(people: &[&str]) -> Self {
        let staff = Self { tag: unique("s") };
        let logins: Vec<String> = people.iter().map(|name| staff.login(name)).collect();
        staff.directory(&logins);
        let group = staff.group();
        let role = |login: &String| {
            format!(
                "CREATE ROLE \"{login}\" LOGIN PASSWORD '{PASSWORD}';
                 SET ROLE {OPERATOR}; GRANT \"{group}\" TO \"{login}\"; RESET ROLE;
                 CREATE TABLE \"{login}\" AS SELECT 7 AS n; ALTER TABLE \"{login}\" OWNER TO \"{login}\";"
            )
        };
        let roles: String = logins.iter().map(role).collect();
        support::postgres().sql_as_admin("postgres", &format!("CREATE ROLE \"{group}\";{roles}"));
        for name in people {
            assert_eq!(staff.gets_in(name), EVERYWHERE);
        }
        staff
    }

    fn directory(&self, logins: &[String]) {
        let mut ldif: String = logins
            .iter()
            .map(|login| {
                // The directory does not know HR's numbers; one that disagreed would stop everything there.
                let number = format!("employeeNumber: {login}\n");
                Slapd::person(login, PASSWORD, "example.com").replace(&number, "") + "\n"
            })
            .collect();
        for login in logins {
            ldif += &self.group_record(&format!("{login}-own"), &[], Some(login));
        }
        ldif += &self.group_record(&self.group(), logins, None);
        support::slapd().ldif_as_admin(&ldif);
    }

    fn group_record(&self, name: &str, members: &[String], owner: Option<&str>) -> String {
        let (base, service) = (Slapd::BASE, Slapd::SERVICE);
        let mut record = format!(
            "dn: cn={name},ou=groups,{base}\nobjectClass: groupOfNames\ncn: {name}\nmember: {service}\n"
        );
        for member in members {
            record += &format!("member: {}\n", Slapd::dn(member));
        }
        if let Some(owner) = owner {
            record += &format!("owner: {}\n", Slapd::dn(owner));
        }
        record + "\n"
    }

    /// The login name of somebody.
    pub fn login(&self, name: &str) -> String {
        format!("{name}.{}", self.tag)
    }

    /// The group and the role that all are in.
    pub fn group(&self) -> String {
        format!("all-{}", self.tag)
    }

    /// Where somebody gets in with the password that they always had.
    pub fn gets_in(&self, name: &str) -> Vec<&'static str> {
        let login = self.login(name);
        let open = [
            support::slapd().login(&Slapd::dn(&login), PASSWORD),
            support::postgres().login(&login, PASSWORD, "postgres"),
        ];
        let tried = EVERYWHERE.into_iter().zip(open);
        tried.filter(|(_, open)| *open).map(|(way, _)| way).collect()
    }

    /// A session in the warehouse that stays open.
    pub fn session(&self, name: &str) -> Session {
        support::postgres().session(&self.login(name), PASSWORD, "postgres")
    }

    /// The groups of the directory that somebody is in, and the roles of the warehouse.
    pub fn memberships(&self, name: &str) -> (String, String) {
        let login = self.login(name);
        let groups = support::slapd().search(&format!("(member={})", Slapd::dn(&login)), &["cn"]);
        let roles = format!(
            "SELECT g.rolname FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
             WHERE r.rolname = '{login}' ORDER BY 1"
        );
        (groups, support::postgres().sql_as_admin("postgres", &roles))
    }

    /// Whether `taker` has what was `giver`'s: by using the table, and by what the directory says of the group.
    pub fn has_what_was_of(&self, taker: &str, giver: &str) -> bool {
        let (taker, giver) = (self.login(taker), self.login(giver));
        let used = format!("INSERT INTO \"{giver}\" VALUES (8); DELETE FROM \"{giver}\" WHERE n = 8");
        let table = support::postgres()
            .sql_as(&taker, PASSWORD, "postgres", &used)
            .ok();
        let owned = support::slapd().search(&format!("(owner={})", Slapd::dn(&taker)), &["cn"]);
        let group = owned.contains(&format!("cn: {giver}-own"));
        assert_eq!(table, group, "{taker} has half of what was {giver}'s:\n{owned}");
        table
    }

    /// When the warehouse lets nobody in any more by this password: `infinity` if never.
    pub fn expiry(&self, name: &str) -> String {
        let read = format!(
            "SELECT coalesce(rolvaliduntil::text, 'infinity') FROM pg_roles WHERE rolname = '{}'",
            self.login(name)
        );
        support::postgres()
            .sql_as_admin("postgres", &read)
            .trim()
            .to_owned()
    }

    /// Whether there is a role of this person.
    pub fn has_role(&self, name: &str) -> bool {
        let read = format!(
            "SELECT count(*) FROM pg_roles WHERE rolname = '{}'",
            self.login(name)
        );
        support::postgres().sql_as_admin("postgres", &read).trim() == "1"
    }

    /// Gives somebody their password again, as IT does for who comes back: offboarding leaves one that nobody knows.
    pub fn new_password(&self, name: &str) {
        let login = self.login(name);
        support::slapd().ldif_as_admin(&format!(
            "dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: {PASSWORD}\n",
            Slapd::dn(&login)
        ));
        support::postgres().sql_as_admin(
            "postgres",
            &format!("ALTER ROLE \"{login}\" PASSWORD '{PASSWORD}'"),
        );
    }
}
