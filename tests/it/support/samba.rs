//! An Active Directory domain controller (Samba) on a loopback address of its own: its ports cannot be moved.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    certificate::Certificate,
    peer::{Peer, Ran, folder, is_free, peers, run},
    session::Session,
    slapd::client,
};

/// A running domain controller. Isolation between tests: unique account and group names below `OU=Staff`.
#[derive(Debug)]
pub struct Samba {
    /// Its address in 127.77.0.0/16.
    pub address: IpAddr,
    /// `ldaps://ADDRESS`.
    pub ldaps: String,
    /// `ldap://ADDRESS`; simple bind only after StartTLS.
    pub ldap: String,
    /// Authority and server certificate.
    pub tls: Certificate,
    domain: PathBuf,
    _peer: Peer,
}

impl Samba {
    /// The domain. Below it: `OU=Staff`, `OU=Leavers`, and what every domain has.
    pub const BASE: &str = "DC=corp,DC=example,DC=test";
    /// The DNS domain, for user principal names.
    pub const DOMAIN: &str = "corp.example.test";
    /// May do everything; for arranging only.
    pub const ADMIN: &str = "CN=Administrator,CN=Users,DC=corp,DC=example,DC=test";
    /// The administrator's password.
    pub const ADMIN_PASSWORD: &str = "Adm1n-Passw0rd!";
    /// Below `OU=Staff` it may write userAccountControl, accountExpires, primaryGroupID and manager and reset passwords of
    /// users, write members of groups, and write managedBy. It may read. Nothing else.
    pub const SERVICE: &str = "svc-offboard@corp.example.test";
    /// The service account's password.
    pub const SERVICE_PASSWORD: &str = "Svc-Passw0rd!1";

    pub(super) fn start() -> Self {
        let home = folder("samba");
        let domain = home.join("domain");
        copy(&provisioned(), &domain);
        let address = free_address();
        fs::write(domain.join(KERBEROS_CLIENTS), kerberos_clients(address)).expect("the folder is ours");
        let names = format!("DNS:dc1.{},DNS:localhost,IP:{address}", Self::DOMAIN);
        let tls = Certificate::issue(&home, &names);
        let (ldaps, ldap) = (format!("ldaps://{address}"), format!("ldap://{address}"));
        let command = server(&domain, address, &tls);
        let peer = Peer::start(&home, "TERM", &command, Duration::from_mins(1), || {
            run(
                &mut root_entry(&ldaps, &tls, Self::SERVICE, Self::SERVICE_PASSWORD),
                "",
            )
            .ok()
        });
        Self {
            address,
            ldaps,
            ldap,
            tls,
            domain,
            _peer: peer,
        }
    }

    /// Asks for a session over LDAPS with OpenLDAP's own client. The error is what the directory said; for a bind that
    /// was refused, only its `data` code (`52e` wrong password, `533` disabled, `701` expired, `775` locked).
    ///
    /// # Errors
    /// When the bind is refused or the server cannot be reached.
    pub fn login(&self, name: &str, password: &str) -> Result<(), String> {
        let ran = run(&mut root_entry(&self.ldaps, &self.tls, name, password), "");
        if ran.ok() {
            return Ok(());
        }
        let code = ran
            .stderr
            .split_once("data ")
            .and_then(|(_, rest)| rest.split([',', ' ']).next());
        Err(code.map_or(ran.stderr.clone(), str::to_owned))
    }

    /// A connection over LDAPS that stays bound, and reads the domain's entry whenever it is asked.
    #[track_caller]
    pub fn connection(&self, name: &str, password: &str) -> Session {
        let search = client("ldapsearch", &self.ldaps, &self.tls, name, password);
        // Line by line, also into a pipe.
        let mut command = Command::new("stdbuf");
        command.arg("-oL").arg(search.get_program());
        command.args(search.get_args());
        for (name, value) in search.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.args([
            "-LLL",
            "-s",
            "base",
            "-b",
            Self::BASE,
            "-f",
            "-",
            "(objectClass=%s)",
            "1.1",
        ]);
        Session::asking(command, "domain\n", "dn:")
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
    pub fn ldif_as(&self, name: &str, password: &str, ldif: &str) -> Ran {
        run(
            &mut client("ldapadd", &self.ldaps, &self.tls, name, password),
            ldif,
        )
    }

    /// The entries of the domain that match, as LDIF, read as administrator.
    #[track_caller]
    pub fn search(&self, filter: &str, attributes: &[&str]) -> String {
        let mut command = client(
            "ldapsearch",
            &self.ldaps,
            &self.tls,
            Self::ADMIN,
            Self::ADMIN_PASSWORD,
        );
        command
            .args(["-LLL", "-o", "ldif-wrap=no", "-b", Self::BASE, filter])
            .args(attributes);
        run(&mut command, "").expect_ok()
    }

    /// Adds an enabled employee below `OU=Staff` and returns the DN; signs in as `NAME@corp.example.test`.
    /// `name` becomes sAMAccountName (at most 20 characters), mail local part and employeeID.
    #[track_caller]
    pub fn add_person(&self, name: &str, password: &str) -> String {
        self.ldif_as_admin(&Self::person(name, password, Self::DOMAIN));
        Self::dn(name)
    }

    /// Where [`Self::add_person`] and [`Self::add_group`] put somebody.
    pub fn dn(name: &str) -> String {
        format!("CN={name},OU=Staff,{}", Self::BASE)
    }

    /// The LDIF record of somebody as [`Self::add_person`] adds them, with an address in `mail_domain`.
    pub fn person(name: &str, password: &str, mail_domain: &str) -> String {
        let (dn, domain, password) = (Self::dn(name), Self::DOMAIN, unicode_password(password));
        format!(
            "dn: {dn}\nobjectClass: user\nsAMAccountName: {name}\nuserPrincipalName: {name}@{domain}\n\
             mail: {name}@{mail_domain}\nemployeeID: {name}\nunicodePwd:: {password}\nuserAccountControl: 512\n"
        )
    }

    /// Adds a global security group of these members below `OU=Staff` and returns the DN.
    #[track_caller]
    pub fn add_group(&self, name: &str, members: &[&str]) -> String {
        let dn = Self::dn(name);
        let members = super::slapd::members(members);
        self.ldif_as_admin(&format!(
            "dn: {dn}\nobjectClass: group\nsAMAccountName: {name}\n{members}"
        ));
        dn
    }

    /// Whether Kerberos gives this account a ticket; the error is what `kinit` said.
    ///
    /// # Errors
    /// When no ticket is given.
    pub fn kinit(&self, name: &str, password: &str) -> Result<(), String> {
        self.ticket(name, password).map(drop)
    }

    /// As [`Self::kinit`], and keeps the ticket.
    ///
    /// # Errors
    /// When none is given.
    pub fn ticket(&self, name: &str, password: &str) -> Result<Ticket, String> {
        let (config, cache) = (
            self.domain.join(KERBEROS_CLIENTS),
            self.domain.join(super::unique("ticket")),
        );
        let realm = Self::DOMAIN.to_uppercase();
        let mut command = Command::new("kinit");
        command
            .env("KRB5_CONFIG", &config)
            .env("KRB5CCNAME", &cache)
            .arg(format!("{name}@{realm}"));
        let ran = run(&mut command, &format!("{password}\n"));
        if ran.ok() {
            Ok(Ticket { config, cache })
        } else {
            Err(ran.stderr)
        }
    }
}

/// A Kerberos ticket that somebody holds.
#[derive(Debug)]
pub struct Ticket {
    config: PathBuf,
    cache: PathBuf,
}

impl Ticket {
    /// Whether the domain still gives the holder access to a service for it.
    pub fn opens(&self) -> bool {
        let (realm, new) = (Samba::DOMAIN.to_uppercase(), self.cache.with_extension("service"));
        let mut command = Command::new("kvno");
        command
            .env("KRB5_CONFIG", &self.config)
            .arg("-c")
            .arg(&self.cache);
        // What was given before would be found there, and nobody asked again.
        command.arg("--out-cache").arg(&new);
        command.arg(format!("DC1$@{realm}"));
        let ran = run(&mut command, "");
        drop(fs::remove_file(new));
        ran.ok()
    }
}

/// A password as Active Directory wants it in `unicodePwd::` lines: quoted, UTF-16LE, base64.
pub fn unicode_password(password: &str) -> String {
    let bytes: Vec<u8> = format!("\"{password}\"")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    BASE64_STANDARD.encode(bytes)
}

const KERBEROS: &str = "10088";
/// The configuration of Kerberos' client programs.
const KERBEROS_CLIENTS: &str = "krb5.conf";

fn kerberos_clients(address: IpAddr) -> String {
    let realm = Samba::DOMAIN.to_uppercase();
    format!(
        "[libdefaults]\ndefault_realm = {realm}\ndns_lookup_kdc = false\n\
         [realms]\n{realm} = {{\n kdc = {address}:{KERBEROS}\n}}\n"
    )
}

fn root_entry(url: &str, tls: &Certificate, name: &str, password: &str) -> Command {
    let mut command = client("ldapsearch", url, tls, name, password);
    command.args(["-LLL", "-s", "base", "-b", "", "defaultNamingContext"]);
    command
}

/// A free address, starting at one that depends on this process so that test processes seldom meet.
fn free_address() -> IpAddr {
    let start = std::process::id();
    let candidates = (0..200).map(|step| {
        let [.., high, low] = (start + step).to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, 77, high, low.clamp(1, 254)))
    });
    let ports = [389, 636, 3268, 3269, 10088];
    let mut free = candidates.filter(|address| ports.iter().all(|port| is_free(*address, *port)));
    free.next()
        .expect("a loopback address with port 389 to listen on; run the tests as root")
}

fn server(domain: &Path, address: IpAddr, tls: &Certificate) -> Command {
    let mut command = Command::new("/usr/sbin/samba");
    command
        .args(["-i", "-M", "single", "--debug-stdout", "-d", "1", "-s"])
        .arg(domain.join("etc/smb.conf"));
    let run = domain.join("run");
    fs::create_dir_all(&run).expect("the folder is ours");
    let at = |option: &str, path: &Path| format!("{option}={}", path.display());
    for option in [
        "server services=ldap,kdc".to_owned(),
        format!("interfaces={address}/8"),
        "bind interfaces only=yes".to_owned(),
        format!("krb5 port={KERBEROS}"),
        "kpasswd port=10464".to_owned(),
        at("tls certfile", &tls.chain),
        at("tls keyfile", &tls.key),
        at("tls cafile", &tls.ca),
        "tls priority=NORMAL:-VERS-ALL:+VERS-TLS1.2:+VERS-TLS1.3".to_owned(),
        at("pid directory", &run),
        at("ncalrpc dir", &run.join("ncalrpc")),
        at("log file", &domain.join("log.%m")),
    ] {
        command.arg(format!("--option={option}"));
    }
    command
}

/// The provisioned domain, made once per checkout (some ten seconds) and copied for each run.
fn provisioned() -> PathBuf {
    let ready = peers().join("samba-provisioned-2");
    if ready.exists() {
        return ready;
    }
    let making = folder("samba-provisioning");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/samba_provision.py");
    let mut python = Command::new("/usr/bin/python3");
    python
        .arg(script)
        .arg(&making)
        .args([Samba::ADMIN_PASSWORD, Samba::SERVICE_PASSWORD]);
    run(&mut python, "").expect_ok();
    fs::write(making.join("made-in"), making.display().to_string()).expect("the folder is ours");
    // Another process may have been faster: then its result is as good as ours.
    if fs::rename(&making, &ready).is_err() {
        drop(fs::remove_dir_all(&making));
    }
    ready
}

/// Copies the domain and lets its configuration, which holds absolute paths, point into the copy.
fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to), "").expect_ok();
    let config = to.join("etc/smb.conf");
    let text = fs::read_to_string(&config).expect("provisioning writes it");
    let before = fs::read_to_string(to.join("made-in")).expect("written after provisioning");
    fs::write(&config, text.replace(&before, &to.display().to_string())).expect("the folder is ours");
}
