//! MariaDB with TLS required. One server per test process; accounts and databases are shared by all its tests.

use std::{path::Path, process::Command, time::Duration};

use super::{
    certificate::Certificate,
    peer::{Peer, Ran, folder, free_port, run},
    session::Session,
};

/// A running server. Isolation between tests: unique account and database names.
#[derive(Debug)]
pub struct Mariadb {
    /// The port on `localhost`.
    pub port: u16,
    /// Authority and server certificate.
    pub tls: Certificate,
    socket: std::path::PathBuf,
    _peer: Peer,
}

impl Mariadb {
    /// What the definition's notes ask for: locks accounts, ends sessions and sees programs, reads no data.
    pub const OPERATOR: &str = "offboarder";
    /// The operator's password.
    pub const OPERATOR_PASSWORD: &str = "operator-Passw0rd";

    pub(super) fn start() -> Self {
        let home = folder("mariadb");
        let tls = Certificate::issue(&home, "DNS:localhost,IP:127.0.0.1");
        let data = home.join("data");
        let mut init = Command::new("mariadb-install-db");
        init.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        init.arg("--user=root")
            .arg(format!("--datadir={}", data.display()));
        run(&mut init, "").expect_ok();
        let (port, socket) = (
            free_port(),
            std::env::temp_dir().join(super::unique("offboard-mariadb")),
        );
        let mut server = Command::new("/usr/sbin/mariadbd");
        server.args([
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--require-secure-transport=ON",
            "--user=root",
        ]);
        server.args([
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        ]);
        let at = |option: &str, path: &Path| format!("--{option}={}", path.display());
        server.args([
            at("datadir", &data),
            at("socket", &socket),
            at("pid-file", &home.join("pid")),
        ]);
        server.args([
            at("ssl-ca", &tls.ca),
            at("ssl-cert", &tls.chain),
            at("ssl-key", &tls.key),
        ]);
        server.arg(format!("--port={port}"));
        let peer = Peer::start(&home, "TERM", &server, Duration::from_mins(1), || {
            run(&mut administrator(&socket), "SELECT 1").ok()
        });
        let mariadb = Self {
            port,
            tls,
            socket,
            _peer: peer,
        };
        mariadb.sql_as_admin(&format!(
            "CREATE USER {0}@'%' IDENTIFIED BY '{1}';
             GRANT CREATE USER, CONNECTION ADMIN, PROCESS, SHOW VIEW, TRIGGER ON *.* TO {0}@'%'; GRANT SELECT ON mysql.* TO {0}@'%';",
            Self::OPERATOR,
            Self::OPERATOR_PASSWORD
        ));
        mariadb
    }

    /// `mysql://localhost:PORT/DATABASE`, without a user.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://localhost:{}/{database}", self.port)
    }

    /// Whether this account and password open a session through `host` (`localhost` or `127.0.0.1`), asked with the
    /// `mariadb` command over TCP.
    pub fn login(&self, user: &str, host: &str, password: &str) -> bool {
        run(&mut self.client(user, host, password), "SELECT 1").ok()
    }

    /// Runs statements as root; the rows come back with tabs between columns.
    ///
    /// # Panics
    /// When a statement fails.
    #[track_caller]
    pub fn sql_as_admin(&self, sql: &str) -> String {
        run(&mut administrator(&self.socket), sql)
            .expect_ok()
            .trim_end()
            .to_owned()
    }

    /// Runs statements as anybody and stops at the first error.
    pub fn sql_as(&self, user: &str, password: &str, sql: &str) -> Ran {
        run(&mut self.client(user, "localhost", password), sql)
    }

    /// A session through `localhost` that stays open.
    #[track_caller]
    pub fn session(&self, user: &str, password: &str) -> Session {
        let mut client = self.client(user, "localhost", password);
        client.args(["--unbuffered", "--skip-reconnect"]);
        Session::open(client)
    }

    fn client(&self, user: &str, host: &str, password: &str) -> Command {
        let mut command = Command::new("mariadb");
        command.args([
            "--no-defaults",
            "--protocol=tcp",
            "--batch",
            "--skip-column-names",
        ]);
        command.args(["-h", host, "-P", &self.port.to_string(), "-u", user]);
        command
            .arg(format!("--ssl-ca={}", self.tls.ca.display()))
            .arg("--ssl-verify-server-cert");
        command.env("MYSQL_PWD", password);
        command
    }
}

fn administrator(socket: &Path) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--batch", "--skip-column-names", "-u", "root"]);
    command.arg(format!("--socket={}", socket.display()));
    command
}
