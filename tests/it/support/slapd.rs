//! OpenLDAP with password policy, memberOf and referential integrity.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{
    certificate::Certificate,
    peer::{Peer, Ran, folder, free_port, run},
};

/// A running slapd. Isolation between tests: unique uids below `ou=people`, unique groups below `ou=groups`.
#[derive(Debug)]
pub struct Slapd {
    /// `ldap://127.0.0.1:PORT`; simple bind only after StartTLS.
    pub url: String,
    /// `ldaps://127.0.0.1:PORT`.
    pub ldaps: String,
    /// Authority and server certificate.
    pub tls: Certificate,
    _peer: Peer,
}

impl Slapd {
    /// The suffix. Below it: `ou=people`, `ou=leavers`, `ou=groups`, `ou=services`, `ou=policies`.
    pub const BASE: &str = "dc=corp,dc=test";
    /// May do everything; for arranging only.
    pub const ADMIN: &str = "cn=admin,dc=corp,dc=test";
    /// The administrator's password.
    pub const ADMIN_PASSWORD: &str = "admin-Passw0rd";
    /// May read, lock, set passwords and managers below `ou=people`, and change members and owners of groups. Nothing
    /// else.
    pub const SERVICE: &str = "uid=svc-offboard,ou=services,dc=corp,dc=test";
    /// The service account's password.
    pub const SERVICE_PASSWORD: &str = "svc-Passw0rd";

    pub(super) fn start() -> Self {
        Self::with("security simple_bind=128")
    }

    /// One that takes passwords in clear text too, for who cannot be given its authority.
    pub(super) fn start_open() -> Self {
        Self::with("")
    }

    fn with(security: &str) -> Self {
        let home = folder("slapd");
        let tls = Certificate::issue(&home, "DNS:localhost,IP:127.0.0.1");
        fs::create_dir(home.join("db")).expect("the folder is ours");
        let config = home.join("slapd.conf");
        fs::write(&config, configuration(&home, &tls, security)).expect("the folder is ours");
        run(
            Command::new("/usr/sbin/slapadd").arg("-q").arg("-f").arg(&config),
            &tree(),
        )
        .expect_ok();
        let url = format!("ldap://127.0.0.1:{}", free_port());
        let ldaps = format!("ldaps://127.0.0.1:{}", free_port());
        let mut server = Command::new("/usr/sbin/slapd");
        server
            .args(["-d", "0", "-h", &format!("{url} {ldaps}"), "-f"])
            .arg(&config);
        let peer = Peer::start(&home, "TERM", &server, Duration::from_secs(30), || {
            whoami(&ldaps, &tls, Self::ADMIN, Self::ADMIN_PASSWORD).ok()
        });
        Self {
            url,
            ldaps,
            tls,
            _peer: peer,
        }
    }

    /// Whether this name and password open a session, asked over LDAPS with OpenLDAP's own client.
    pub fn login(&self, dn: &str, password: &str) -> bool {
        whoami(&self.ldaps, &self.tls, dn, password).ok()
    }

    /// Applies LDIF (`changetype:` optional, adding without it) as administrator.
    ///
    /// # Panics
    /// When a record is refused.
    #[track_caller]
    pub fn ldif_as_admin(&self, ldif: &str) {
        self.ldif_as(Self::ADMIN, Self::ADMIN_PASSWORD, ldif).expect_ok();
    }

    /// Applies LDIF as anybody; the exit code is the LDAP result code.
    pub fn ldif_as(&self, dn: &str, password: &str, ldif: &str) -> Ran {
        let mut client = self.client("ldapadd", dn, password);
        run(&mut client, ldif)
    }

    /// The entries below [`Self::BASE`] that match, as LDIF, read as administrator. `+` asks for operational attributes.
    #[track_caller]
    pub fn search(&self, filter: &str, attributes: &[&str]) -> String {
        let mut client = self.client("ldapsearch", Self::ADMIN, Self::ADMIN_PASSWORD);
        client
            .args(["-LLL", "-o", "ldif-wrap=no", "-b", Self::BASE, filter])
            .args(attributes);
        run(&mut client, "").expect_ok()
    }

    /// Adds an employee below `ou=people` and returns the DN.
    #[track_caller]
    pub fn add_person(&self, uid: &str, password: &str) -> String {
        self.ldif_as_admin(&Self::person(uid, password, "corp.test"));
        Self::dn(uid)
    }

    /// Where [`Self::add_person`] puts somebody.
    pub fn dn(uid: &str) -> String {
        format!("uid={uid},ou=people,{}", Self::BASE)
    }

    /// The LDIF record of somebody as [`Self::add_person`] adds them, with an address in `mail_domain`.
    pub fn person(uid: &str, password: &str, mail_domain: &str) -> String {
        let dn = Self::dn(uid);
        format!(
            "dn: {dn}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid}\nsn: {uid}\nmail: {uid}@{mail_domain}\n\
             employeeNumber: {uid}\nuserPassword: {password}\n"
        )
    }

    /// Adds a group of these members below `ou=groups` and returns the DN. It has one member more, that stays.
    #[track_caller]
    pub fn add_group(&self, cn: &str, members: &[&str]) -> String {
        let dn = format!("cn={cn},ou=groups,{}", Self::BASE);
        let members = self::members(members);
        let stays = Self::SERVICE;
        self.ldif_as_admin(&format!(
            "dn: {dn}\nobjectClass: groupOfNames\ncn: {cn}\nmember: {stays}\n{members}"
        ));
        dn
    }

    fn client(&self, program: &str, dn: &str, password: &str) -> Command {
        client(program, &self.ldaps, &self.tls, dn, password)
    }
}

/// Lines of a group's members.
pub(super) fn members(members: &[&str]) -> String {
    members
        .iter()
        .map(|member| format!("member: {member}\n"))
        .collect()
}

/// An OpenLDAP client program that insists on the server's certificate.
pub(super) fn client(program: &str, url: &str, tls: &Certificate, dn: &str, password: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("LDAPTLS_CACERT", &tls.ca)
        .env("LDAPTLS_REQCERT", "demand");
    command.args(["-x", "-H", url, "-D", dn, "-w", password]);
    command
}

fn whoami(url: &str, tls: &Certificate, dn: &str, password: &str) -> Ran {
    run(&mut client("ldapwhoami", url, tls, dn, password), "")
}

fn configuration(home: &Path, tls: &Certificate, security: &str) -> String {
    let (home, base, service) = (home.display(), Slapd::BASE, Slapd::SERVICE);
    let (ca, certificate, key) = (tls.ca.display(), tls.chain.display(), tls.key.display());
    let (admin, password) = (Slapd::ADMIN, Slapd::ADMIN_PASSWORD);
    format!(
        r#"include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile {home}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
moduleload refint
moduleload syncprov
TLSCACertificateFile {ca}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
{security}
sizelimit 500
database mdb
suffix {base}
rootdn {admin}
rootpw {password}
directory {home}/db
index objectClass,uid,member,entryUUID,entryCSN eq
limits dn.exact="{service}" size.soft=500 size.hard=500 size.pr=500 size.prtotal=unlimited
overlay memberof
overlay refint
refint_attributes member memberOf owner manager
overlay ppolicy
ppolicy_default cn=default,ou=policies,{base}
ppolicy_hash_cleartext
ppolicy_use_lockout
overlay syncprov
access to dn.subtree="ou=people,{base}" attrs=userPassword by dn.exact="{service}" =w by self =w by anonymous auth by * none
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=people,{base}" attrs=pwdAccountLockedTime by dn.exact="{service}" write by * none
access to dn.subtree="ou=people,{base}" attrs=manager by dn.exact="{service}" write by users read
access to dn.subtree="ou=groups,{base}" attrs=member,uniqueMember,memberUid,owner by dn.exact="{service}" write by users read
access to * by users read
"#
    )
}

fn tree() -> String {
    let (base, service, password) = (Slapd::BASE, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let top = format!("dn: {base}\nobjectClass: dcObject\nobjectClass: organization\no: Corp\ndc: corp\n");
    let unit = |ou| format!("\ndn: ou={ou},{base}\nobjectClass: organizationalUnit\nou: {ou}\n");
    let units = ["people", "leavers", "groups", "services", "policies"]
        .map(unit)
        .concat();
    format!(
        "{top}{units}
dn: cn=default,ou=policies,{base}
objectClass: pwdPolicy
objectClass: device
cn: default
pwdAttribute: userPassword
pwdLockout: TRUE

dn: {service}
objectClass: inetOrgPerson
uid: svc-offboard
cn: svc-offboard
sn: svc-offboard
userPassword: {password}
"
    )
}
