//! The directory of Acme: people, an administrator account of the leaver's, groups, and the account that offboards.

use std::{collections::BTreeMap, io};

use super::{
    Directory, login,
    tree::{Entry, Tree},
};
use crate::company::{
    http::Attempt,
    people::{ALL, JANE, SAM, Worker, secret},
    tls::Tls,
};

/// Name of the system.
pub const NAME: &str = "directory";
/// Where searches start.
pub const BASE: &str = "dc=acme,dc=test";
/// Where entries of leavers go.
pub const LEAVERS: &str = "ou=leavers,dc=acme,dc=test";
/// Who offboards.
pub const SERVICE: &str = "uid=svc-offboard,ou=services,dc=acme,dc=test";
/// The leaver's second account.
pub const ADMIN: &str = "adm-jdoe";

/// Groups of the leaver's own account.
const GROUPS: [&str; 14] = [
    "all-staff",
    "berlin",
    "engineering",
    "payments-team",
    "vpn",
    "wifi",
    "mail-users",
    "jira-users",
    "crm-users",
    "git-users",
    "on-call",
    "release-managers",
    "guild-rust",
    "car-pool",
];
/// Groups of the administrator account.
const PRIVILEGED: [&str; 3] = ["domain-admins", "backup-operators", "server-logon"];

/// A running directory with the passwords that its people knew when it started.
#[derive(Debug)]
pub struct Acme {
    directory: Directory,
    authority: String,
    /// By `uid`.
    passwords: BTreeMap<String, String>,
    service: String,
}

impl Acme {
    /// Starts the directory.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(tls: &Tls) -> io::Result<Self> {
        let mut tree = Tree::new(SERVICE, LEAVERS);
        tree.add(Entry::new(
            BASE,
            &[("objectClass", "organization"), ("o", "Acme")],
        ));
        for unit in ["people", "admins", "services", "groups", "leavers", "policies"] {
            let dn = format!("ou={unit},{BASE}");
            tree.add(Entry::new(
                &dn,
                &[("objectClass", "organizationalUnit"), ("ou", unit)],
            ));
        }
        // The default of the overlay: it heeds locks.
        tree.add(Entry::new(
            &format!("cn=default,ou=policies,{BASE}"),
            &[
                ("objectClass", "device"),
                ("objectClass", "pwdPolicy"),
                ("cn", "default"),
                ("pwdAttribute", "userPassword"),
                ("pwdLockout", "TRUE"),
            ],
        ));
        let mut passwords = BTreeMap::new();
        for worker in ALL {
            add_person(&mut tree, &mut passwords, worker);
        }
        let service = secret("");
        let values = [
            ("objectClass", "inetOrgPerson"),
            ("uid", "svc-offboard"),
            ("cn", "Offboarding"),
            ("sn", "Offboarding"),
            ("userPassword", &service),
        ];
        tree.add(Entry::new(SERVICE, &values));
        add_admin(&mut tree, &mut passwords);
        add_groups(&mut tree);
        Ok(Self {
            directory: Directory::start(tree, tls).await?,
            authority: tls.authority.clone(),
            passwords,
            service,
        })
    }

    /// `ldaps://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        self.directory.url()
    }

    /// Password of [`SERVICE`].
    pub fn service_password(&self) -> &str {
        &self.service
    }

    /// The server, for looking at it.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How many groups name an account of `worker` as their owner, and people their manager.
    pub fn owned_by(&self, worker: &Worker) -> usize {
        self.directory.look(|tree| {
            let Some(dn) = named(tree, worker.uid) else {
                return 0;
            };
            let all = tree.below(BASE, true);
            let owns = |entry: &&Entry| entry.has("owner", &dn) || entry.has("manager", &dn);
            all.iter().filter(owns).count()
        })
    }

    /// Tries every old password of `worker`, at the place where the entry is now.
    ///
    /// # Errors
    /// When the directory gives no answer to a try.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let mut made = Vec::new();
        let accounts = [worker.uid.to_owned(), format!("adm-{}", worker.uid)];
        for uid in accounts {
            let dn = self.directory.look(|tree| named(tree, &uid));
            let (Some(dn), Some(password)) = (dn, self.passwords.get(&uid)) else {
                continue;
            };
            made.push(Attempt {
                system: NAME,
                what: format!("password of {uid}"),
                worked: login::admitted(self.url(), &self.authority, &dn, password).await?,
            });
        }
        Ok(made)
    }
}

fn dn(uid: &str) -> String {
    format!("uid={uid},ou=people,{BASE}")
}

fn named(tree: &Tree, uid: &str) -> Option<String> {
    tree.below(BASE, true)
        .into_iter()
        .find(|entry| entry.has("uid", uid))
        .map(|entry| entry.dn)
}

fn add_person(tree: &mut Tree, passwords: &mut BTreeMap<String, String>, worker: Worker) {
    let password = secret("");
    let (given, family) = worker.name.split_once(' ').unwrap_or((worker.name, worker.name));
    let manager = dn(if worker.things == 1 { JANE.uid } else { SAM.uid });
    let mut values = vec![
        ("objectClass", "inetOrgPerson"),
        ("uid", worker.uid),
        ("cn", worker.name),
        ("givenName", given),
        ("sn", family),
        ("mail", worker.email),
        ("employeeNumber", worker.number),
        ("userPassword", &password),
    ];
    if worker != SAM {
        values.push(("manager", &manager));
    }
    tree.add(Entry::new(&dn(worker.uid), &values));
    passwords.insert(worker.uid.to_owned(), password);
}

fn add_admin(tree: &mut Tree, passwords: &mut BTreeMap<String, String>) {
    let password = secret("");
    let values = [
        ("objectClass", "inetOrgPerson"),
        ("uid", ADMIN),
        ("cn", "Jane Doe (administrator)"),
        ("sn", "Doe"),
        ("userPassword", &password),
    ];
    tree.add(Entry::new(&format!("uid={ADMIN},ou=admins,{BASE}"), &values));
    passwords.insert(ADMIN.to_owned(), password);
}

fn add_groups(tree: &mut Tree) {
    let admin = format!("uid={ADMIN},ou=admins,{BASE}");
    let people: Vec<_> = ALL.iter().map(|worker| dn(worker.uid)).collect();
    for (n, name) in GROUPS.iter().enumerate() {
        let owner = if n % 7 == 3 { dn(JANE.uid) } else { dn(SAM.uid) };
        let mut values = vec![("objectClass", "groupOfNames"), ("cn", name), ("owner", &owner)];
        values.extend(people.iter().map(|person| ("member", person.as_str())));
        tree.add(Entry::new(&format!("cn={name},ou=groups,{BASE}"), &values));
    }
    for name in PRIVILEGED {
        let values = [
            ("objectClass", "groupOfNames"),
            ("cn", name),
            ("member", &admin),
            ("member", SERVICE),
        ];
        tree.add(Entry::new(&format!("cn={name},ou=groups,{BASE}"), &values));
    }
}
