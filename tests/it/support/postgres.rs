//! PostgreSQL with TLS and SCRAM. One cluster per test process; roles and databases are shared by all its tests.

use std::{fs, os::unix::fs::chown, path::Path, process::Command, time::Duration};

use super::{
    certificate::Certificate,
    peer::{Peer, Ran, free_port, is_root, public_folder, run},
    session::Session,
};

/// A running cluster. Isolation between tests: unique role and database names.
#[derive(Debug)]
pub struct Postgres {
    /// The port on `localhost`.
    pub port: u16,
    /// Authority and server certificate.
    pub tls: Certificate,
    _peer: Peer,
}

impl Postgres {
    /// The superuser; for arranging only.
    pub const ADMIN: &str = "admin";
    /// The superuser's password.
    pub const ADMIN_PASSWORD: &str = "admin-Passw0rd";
    /// CREATEROLE and `pg_signal_backend`: what PostgreSQL 15 asks for to end logins, sessions and memberships.
    pub const OPERATOR: &str = "offboarder";
    /// The operator's password.
    pub const OPERATOR_PASSWORD: &str = "operator-Passw0rd";

    /// The newest of this machine.
    pub(super) fn start() -> Self {
        Self::with(&binaries())
    }

    /// Of another version, such as 17: `tests/install` fetches them.
    pub(super) fn of_version(major: u32) -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/peers/postgresql-{major}"));
        assert!(
            home.join("complete").exists(),
            "PostgreSQL {major} is not there; run tests/install"
        );
        Self::with(&home.join("bin"))
    }

    fn with(bin: &Path) -> Self {
        let home = public_folder("postgres");
        let tls = Certificate::issue(&home, "DNS:localhost,IP:127.0.0.1");
        let password = home.join("password");
        fs::write(&password, Self::ADMIN_PASSWORD).expect("the folder is ours");
        let data = home.join("data");
        let user = is_root().then(|| give_away(&home, &tls));
        let mut init = under(user, &bin.join("initdb"));
        init.arg("-D")
            .arg(&data)
            .args(["-U", Self::ADMIN, "--auth=scram-sha-256", "--no-sync"]);
        init.arg(format!("--pwfile={}", password.display()));
        run(&mut init, "").expect_ok();
        let port = free_port();
        let mut server = under(user, &bin.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "fsync=off".to_owned(),
            "shared_buffers=32MB".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", tls.chain.display()),
            format!("ssl_key_file={}", tls.key.display()),
        ] {
            server.arg("-c").arg(setting);
        }
        let peer = Peer::start(&home, "INT", &server, Duration::from_secs(30), || {
            psql(
                port,
                &tls,
                Self::ADMIN,
                Self::ADMIN_PASSWORD,
                "postgres",
                "SELECT 1",
            )
            .ok()
        });
        let postgres = Self {
            port,
            tls,
            _peer: peer,
        };
        postgres.sql_as_admin(
            "postgres",
            &format!(
                "CREATE ROLE {0} LOGIN CREATEROLE PASSWORD '{1}'; GRANT pg_signal_backend TO {0};",
                Self::OPERATOR,
                Self::OPERATOR_PASSWORD
            ),
        );
        postgres
    }

    /// `postgres://localhost:PORT/DATABASE`, without a user.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://localhost:{}/{database}", self.port)
    }

    /// Whether this role and password open a session, asked with psql.
    pub fn login(&self, role: &str, password: &str, database: &str) -> bool {
        self.sql_as(role, password, database, "SELECT 1").ok()
    }

    /// Runs statements as superuser; the rows come back unaligned, `|` between columns.
    ///
    /// # Panics
    /// When a statement fails.
    #[track_caller]
    pub fn sql_as_admin(&self, database: &str, sql: &str) -> String {
        self.sql_as(Self::ADMIN, Self::ADMIN_PASSWORD, database, sql)
            .expect_ok()
            .trim_end()
            .to_owned()
    }

    /// Runs statements as anybody and stops at the first error.
    pub fn sql_as(&self, role: &str, password: &str, database: &str, sql: &str) -> Ran {
        psql(self.port, &self.tls, role, password, database, sql)
    }

    /// A session that stays open.
    #[track_caller]
    pub fn session(&self, role: &str, password: &str, database: &str) -> Session {
        Session::open(self.client(role, password, database))
    }

    /// The command line of a psql session.
    pub fn client(&self, role: &str, password: &str, database: &str) -> Command {
        client(self.port, &self.tls, role, password, database)
    }
}

fn client(port: u16, tls: &Certificate, role: &str, password: &str, database: &str) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .env("PGPASSWORD", password);
    command
        .env("PGHOST", "localhost")
        .env("PGPORT", port.to_string())
        .env("PGCONNECT_TIMEOUT", "10");
    command
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", &tls.ca);
    command.env("PGUSER", role).env("PGDATABASE", database);
    command
}

fn psql(port: u16, tls: &Certificate, role: &str, password: &str, database: &str, sql: &str) -> Ran {
    run(&mut client(port, tls, role, password, database), sql)
}

/// The newest server on this machine (Debian keeps one folder per major version, and none of them on the path).
fn binaries() -> std::path::PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed; run tests/install");
    let newest = versions
        .filter_map(Result::ok)
        .map(|each| each.path())
        .max_by_key(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse::<u32>().ok())
        });
    newest
        .expect("PostgreSQL is installed; run tests/install")
        .join("bin")
}

/// Hands the folder to the user `postgres`, as the server refuses to run as root. Returns the uid and gid.
fn give_away(home: &Path, tls: &Certificate) -> (u32, u32) {
    let id = |flag| {
        run(Command::new("id").args([flag, "postgres"]), "")
            .expect_ok()
            .trim()
            .parse()
            .expect("id prints a number")
    };
    let (uid, gid) = (id("-u"), id("-g"));
    for path in [home, &tls.key, &home.join("password")] {
        chown(path, Some(uid), Some(gid)).expect("root may give files away");
    }
    (uid, gid)
}

fn under(user: Option<(u32, u32)>, program: &Path) -> Command {
    let Some((uid, gid)) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command.args([
        format!("--reuid={uid}"),
        format!("--regid={gid}"),
        "--clear-groups".to_owned(),
    ]);
    command.arg(program);
    command
}
