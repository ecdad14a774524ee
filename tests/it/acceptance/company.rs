//! The company of `examples/company`, on five real servers of this machine, and its staff.

use std::{fs, path::Path, sync::LazyLock};

use serde_json::{Value, json};

use crate::support::{self, Postgres, Realm, Samba, Slapd, unique};

/// Everybody's password.
pub const PASSWORD: &str = "First-Passw0rd!";
/// Who takes over, by the policy of the example.
pub const SUCCESSOR: &str = "sam.lee";
/// Somebody in all the same groups, whom none of this concerns.
pub const BYSTANDER: &str = "ann.ray";
/// Another one, who logs in now and then, which leaves a mark.
pub const ONLOOKER: &str = "eve.fox";
/// Where everybody's address is.
const MAIL: &str = "example.com";

/// The company, with the successor and the bystander already in it.
pub fn company() -> &'static Company {
    static COMPANY: LazyLock<Company> = LazyLock::new(Company::found);
    &COMPANY
}

/// What is this company's own on servers that it shares.
pub struct Company {
    /// Its realm in Keycloak.
    pub realm: Realm<'static>,
    /// The name of its database, and of its group or role everywhere.
    pub name: String,
    /// The connector's account in MariaDB, which also sees programs.
    mariadb_login: String,
}

/// Somebody who will leave: with a group that they own, a colleague who reports to them, and data of their own.
#[derive(Debug, Clone)]
pub struct Employee {
    /// The login name everywhere.
    pub login: String,
    /// Who reports to them.
    pub colleague: String,
}

impl Employee {
    /// What they own in the directories.
    pub fn owned(&self) -> String {
        format!("{}-own", self.login)
    }
}

/// A name as PostgreSQL quotes it.
pub fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

impl Company {
    fn found() -> Self {
        let name = unique("corp");
        let mariadb_login = unique("op");
        support::postgres().sql_as_admin("postgres", &format!("CREATE ROLE {name}; CREATE DATABASE {name}"));
        // A schema goes to somebody else only by one who may create schemas.
        let operator = Postgres::OPERATOR;
        support::postgres().sql_as_admin(
            "postgres",
            &format!("GRANT CREATE ON DATABASE {name} TO {operator}"),
        );
        support::mariadb().sql_as_admin(&format!(
            "CREATE DATABASE {name}; CREATE TABLE {name}.orders (n INT); CREATE ROLE {name};
             GRANT SELECT ON {name}.* TO {name};
             CREATE USER {mariadb_login}@'%' IDENTIFIED BY '{PASSWORD}';
             GRANT CREATE USER, CONNECTION ADMIN, PROCESS, SHOW VIEW, TRIGGER ON *.* TO {mariadb_login}@'%';
             GRANT SELECT ON mysql.* TO {mariadb_login}@'%'"
        ));
        support::samba().add_group(&name, &[]);
        support::slapd().add_group(&name, &[]);
        let realm = support::keycloak().realm("corp");
        // Checking a password is made cheap: nobody attacks this one, and many sign in.
        let cheap = json!({"passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)"});
        assert_eq!(realm.admin("PUT", "", &cheap).0, 204);
        assert_eq!(realm.admin("POST", "/groups", &json!({"name": name})).0, 201);
        assert_eq!(realm.admin("POST", "/roles", &json!({"name": name})).0, 201);
        let company = Self {
            realm,
            name,
            mariadb_login,
        };
        company.take_in(&[SUCCESSOR, BYSTANDER, ONLOOKER]);
        company
    }

    /// Takes in employees with their colleagues and all that is theirs, each system in one go.
    pub fn employ(&self, employees: &[Employee]) {
        let people: Vec<&str> = employees
            .iter()
            .flat_map(|e| [e.login.as_str(), &e.colleague])
            .collect();
        self.take_in(&people);
        let record = |employee: &Employee| {
            let (own, dn) = (employee.owned(), Samba::dn(&employee.login));
            let colleague = Samba::dn(&employee.colleague);
            format!(
                "dn: {}\nobjectClass: group\nsAMAccountName: {own}\nmanagedBy: {dn}\n\n\
                 dn: {colleague}\nchangetype: modify\nadd: manager\nmanager: {dn}\n\n",
                Samba::dn(&own)
            )
        };
        support::samba().ldif_as_admin(&employees.iter().map(record).collect::<String>());
        let record = |employee: &Employee| {
            let (own, dn) = (employee.owned(), Slapd::dn(&employee.login));
            let (base, service) = (Slapd::BASE, Slapd::SERVICE);
            let colleague = Slapd::dn(&employee.colleague);
            format!(
                "dn: cn={own},ou=groups,{base}\nobjectClass: groupOfNames\ncn: {own}\nmember: {service}\nowner: {dn}\n\n\
                 dn: {colleague}\nchangetype: modify\nadd: manager\nmanager: {dn}\n\n"
            )
        };
        support::slapd().ldif_as_admin(&employees.iter().map(record).collect::<String>());
        let data = |employee: &Employee| {
            let role = quoted(&employee.login);
            format!(
                "ALTER ROLE {role} CREATEDB; CREATE SCHEMA {role} AUTHORIZATION {role};
                 CREATE TABLE {role}.orders AS SELECT 7 AS n; ALTER TABLE {role}.orders OWNER TO {role};"
            )
        };
        support::postgres().sql_as_admin(&self.name, &employees.iter().map(data).collect::<String>());
    }

    /// Accounts in every system, in the company's group there.
    fn take_in(&self, people: &[&str]) {
        let each =
            |record: &dyn Fn(&str) -> String| people.iter().map(|name| record(name)).collect::<String>();
        let members = |dn: &dyn Fn(&str) -> String| each(&|name| format!("member: {}\n", dn(name)));

        let accounts = each(&|name| Samba::person(name, PASSWORD, MAIL) + "\n");
        let group = format!("dn: {}\nchangetype: modify\nadd: member\n", Samba::dn(&self.name));
        support::samba().ldif_as_admin(&(accounts + &group + &members(&Samba::dn)));

        let accounts = each(&|name| Slapd::person(name, PASSWORD, MAIL) + "\n");
        let group = format!("cn={},ou=groups,{}", self.name, Slapd::BASE);
        let group = format!("dn: {group}\nchangetype: modify\nadd: member\n");
        support::slapd().ldif_as_admin(&(accounts + &group + &members(&Slapd::dn)));

        let (company, operator) = (&self.name, Postgres::OPERATOR);
        assert!(!people.contains(&operator));
        let roles = each(&|name| {
            let role = quoted(name);
            format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT {company} TO {role};")
        });
        support::postgres().sql_as_admin("postgres", &roles);

        let accounts = each(&|name| {
            let hosts = ["%", "127.0.0.1"].map(|host| {
                format!(
                    "CREATE USER `{name}`@'{host}' IDENTIFIED BY '{PASSWORD}'; GRANT INSERT ON {company}.* TO `{name}`@'{host}';"
                )
            });
            hosts.concat() + &format!("GRANT {company} TO `{name}`@'%';")
        });
        support::mariadb().sql_as_admin(&accounts);

        // An import gives exactly the roles that it names.
        let roles = [company.clone(), format!("default-roles-{}", self.realm.name)];
        let users: Vec<Value> = people
            .iter()
            .map(|name| {
                json!({
                    "username": name, "enabled": true, "email": format!("{name}@{MAIL}"), "emailVerified": true,
                    "firstName": name, "lastName": "Person", "groups": [format!("/{company}")], "realmRoles": roles,
                    "credentials": [{"type": "password", "value": PASSWORD, "temporary": false}],
                })
            })
            .collect();
        let import = json!({"ifResourceExists": "FAIL", "users": users});
        let (status, answer) = self.realm.admin("POST", "/partialImport", &import);
        assert_eq!(status, 200, "{answer}");
    }

    /// The objects of the example's files, for this namespace, with the servers and logins of this machine in place of the
    /// example's.
    pub fn manifests(&self, namespace: &str, files: &[&str]) -> String {
        let mut text = String::new();
        for mut object in files.iter().flat_map(|file| example(file)) {
            object["metadata"]["namespace"] = json!(namespace);
            let name = object["metadata"]["name"].as_str().unwrap();
            let (place, ours) = match object["kind"].as_str().unwrap() {
                "Connector" => (
                    "/spec/inputs",
                    self.inputs(object["spec"]["definition"].as_str().unwrap()),
                ),
                "Secret" => ("/stringData", self.login(name)),
                _ => ("", json!({})),
            };
            support::replace(&mut object, place, &ours);
            if object["kind"] == "Secret" {
                object["metadata"]["annotations"] = support::scope("");
            }
            text += &format!("---\n{object}\n");
        }
        text
    }

    fn inputs(&self, definition: &str) -> Value {
        match definition {
            "active-directory" => json!({"url": support::samba().ldaps, "base": Samba::BASE}),
            "openldap" => json!({"url": support::slapd().ldaps, "base": Slapd::BASE}),
            "keycloak" => json!({"url": support::keycloak().url, "realm": self.realm.name}),
            "postgresql" => {
                json!({"host": "localhost", "port": support::postgres().port, "match": "EmailLocalPart"})
            }
            "mysql" => {
                json!({"host": "localhost", "port": support::mariadb().port, "match": "EmailLocalPart"})
            }
            other => panic!("no server for {other}"),
        }
    }

    fn login(&self, secret: &str) -> Value {
        let login = |username: &str, password: &str, tls: &support::Certificate| json!({"username": username, "password": password, "ca.crt": tls.ca_pem()});
        match secret {
            "corp-ad-bind" => login(Samba::SERVICE, Samba::SERVICE_PASSWORD, &support::samba().tls),
            "directory-bind" => login(Slapd::SERVICE, Slapd::SERVICE_PASSWORD, &support::slapd().tls),
            "sso-client" => json!({"clientSecret": self.realm.secret}),
            "warehouse-admin" => login(
                Postgres::OPERATOR,
                Postgres::OPERATOR_PASSWORD,
                &support::postgres().tls,
            ),
            "shop-database-admin" => login(&self.mariadb_login, PASSWORD, &support::mariadb().tls),
            other => panic!("no login for {other}"),
        }
    }

    /// What the servers note about an account when it is changed, by whomever.
    pub fn marks(&self, login: &str) -> String {
        let ad = support::samba().search(&format!("(sAMAccountName={login})"), &["uSNChanged"]);
        let ldap = support::slapd().search(&format!("(uid={login})"), &["entryCSN"]);
        let role = format!("SELECT a FROM pg_authid a WHERE rolname = '{login}'");
        let role = support::postgres().sql_as_admin("postgres", &role);
        let account = format!("SELECT Host, Priv FROM mysql.global_priv WHERE User = '{login}' ORDER BY 1");
        let account = support::mariadb().sql_as_admin(&account);
        let user = self.user(login);
        let marks = [ad, ldap, role, account, user.to_string()];
        assert!(marks.iter().all(|mark| !mark.is_empty()), "{marks:?}");
        marks.join("\n")
    }

    /// What Keycloak says about somebody.
    pub fn user(&self, login: &str) -> Value {
        let path = format!("/users?username={login}&exact=true&briefRepresentation=false");
        self.realm.admin("GET", &path, &Value::Null).1[0].clone()
    }
}

/// The objects of a file of the example.
pub fn example(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/company")
        .join(file);
    serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap()
}
