//! OpenSSH's sshd, for files only. Nobody may do anything but SFTP.
//!
//! As root it runs as `nobody`, so that the permissions of files mean something. Passwords are checked by PAM with a list of
//! its own (`pam_wrapper`), so that no account of the machine is touched.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::peer::{Peer, Ran, free_port, is_root, public_folder, run};

/// `nobody` and `nogroup` of Debian.
const NOBODY: u32 = 65534;

/// A running sshd. Isolation between tests: each has a folder of its own.
#[derive(Debug)]
pub struct Sshd {
    /// The port on 127.0.0.1.
    pub port: u16,
    home: PathBuf,
    _peer: Peer,
}

impl Sshd {
    /// The password of [`Self::user`].
    pub const PASSWORD: &str = "files-Passw0rd";

    pub(super) fn start() -> Self {
        Self::start_with("")
    }

    /// One with these arguments for its SFTP server, such as `-P fsync` for one that cannot do that.
    pub fn start_with(arguments: &str) -> Self {
        let home = public_folder("sshd");
        for key in [
            "host_ed25519",
            "host_rsa",
            "client_ed25519",
            "client_rsa",
            "other",
        ] {
            keygen(
                &home.join(key),
                if key.ends_with("rsa") { "rsa" } else { "ed25519" },
            );
        }
        let public = |key: &str| fs::read_to_string(home.join(key)).expect("it was just made");
        let clients = public("client_ed25519.pub") + &public("client_rsa.pub");
        write(&home.join("authorized_keys"), &clients);
        let user = if is_root() { "nobody".to_owned() } else { whoami() };
        write(
            &home.join("passwords"),
            &format!("{user}:{}:sshd\n", Self::PASSWORD),
        );
        fs::create_dir(home.join("pam")).expect("the folder is ours");
        // Where Debian has `pam_wrapper`.
        let wrapper = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        let module = format!(
            "{wrapper}/pam_wrapper/pam_matrix.so passdb={}/passwords",
            home.display()
        );
        let pam: String = ["auth", "account", "password", "session"]
            .map(|kind| format!("{kind} required {module}\n"))
            .concat();
        write(&home.join("pam/sshd"), &pam);
        let port = free_port();
        write(&home.join("config"), &configuration(&home, port, arguments));
        fs::create_dir(home.join("files")).expect("the folder is ours");
        let mut server = Command::new("/usr/sbin/sshd");
        if is_root() {
            give_away(&home);
            server = Command::new("setpriv");
            let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            server.args(ids).args(["--clear-groups", "/usr/sbin/sshd"]);
        }
        server.args(["-D", "-e", "-f"]).arg(home.join("config"));
        server.env("LD_PRELOAD", format!("{wrapper}/libpam_wrapper.so"));
        server.env("PAM_WRAPPER", "1");
        server.env("PAM_WRAPPER_SERVICE_DIR", home.join("pam"));
        let log = home.join("log");
        let peer = Peer::start(&home, "TERM", &server, Duration::from_secs(30), || {
            fs::read_to_string(&log).is_ok_and(|log| log.contains("Server listening on 127.0.0.1"))
        });
        Self {
            port,
            home,
            _peer: peer,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The only user that can log in.
    pub fn user(&self) -> String {
        if is_root() { "nobody".to_owned() } else { whoami() }
    }

    /// A key of these: `host_ed25519`, `host_rsa` (the server's own), `client_ed25519`, `client_rsa` (who may log in),
    /// `other` (unknown).
    pub fn private_key(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).expect("the key is there")
    }

    /// The public half, as `known_hosts` has it behind the host names.
    pub fn public_key(&self, name: &str) -> String {
        let line = fs::read_to_string(self.home.join(format!("{name}.pub"))).expect("the key is there");
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// What `ssh-keygen -l` says of a key.
    pub fn fingerprint(&self, name: &str) -> String {
        let mut keygen = Command::new("ssh-keygen");
        keygen.arg("-lf").arg(self.home.join(format!("{name}.pub")));
        run(&mut keygen, "").expect_ok().trim().to_owned()
    }

    /// Everything that the server logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).expect("the log is there")
    }

    /// A new folder that the user owns, by the path that the server knows it by too.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.home.join("files").join(super::unique(name));
        fs::create_dir(&folder).expect("the folder is ours");
        give_away(&folder);
        folder
    }

    /// Puts a file there, for the user to own.
    pub fn put(path: &Path, content: impl AsRef<[u8]>) {
        fs::write(path, content).expect("the folder is ours");
        give_away(path);
    }

    /// Runs commands of OpenSSH's own `sftp`.
    pub fn sftp(&self, commands: &str) -> Ran {
        let known = format!("[127.0.0.1]:{} {}\n", self.port, self.public_key("host_ed25519"));
        let file = self.home.join(super::unique("known"));
        write(&file, &known);
        // The client wants a key that only its own user can read.
        let key = self.home.join(super::unique("key"));
        write(&key, &self.private_key("client_ed25519"));
        let mut client = Command::new("sftp");
        client
            .args(["-q", "-b", "-", "-P", &self.port.to_string(), "-i"])
            .arg(&key);
        client
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", file.display()));
        for option in ["StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"] {
            client.args(["-o", option]);
        }
        client.arg(format!("{}@127.0.0.1", self.user()));
        run(&mut client, commands)
    }
}

fn configuration(home: &Path, port: u16, arguments: &str) -> String {
    let home = home.display();
    format!(
        "ListenAddress 127.0.0.1:{port}
HostKey {home}/host_ed25519
HostKey {home}/host_rsa
PidFile none
AuthorizedKeysFile {home}/authorized_keys
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM yes
StrictModes no
AllowTcpForwarding no
X11Forwarding no
PermitTTY no
MaxStartups 100
LogLevel DEBUG1
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {home}/files {arguments}
"
    )
}

fn keygen(path: &Path, kind: &str) {
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-t", kind, "-N", "", "-C", "test", "-f"])
        .arg(path);
    run(&mut keygen, "").expect_ok();
}

fn whoami() -> String {
    run(Command::new("id").arg("-un"), "")
        .expect_ok()
        .trim()
        .to_owned()
}

/// Only its owner may read it: keys are among them.
fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

/// As root: to the user that the server runs as.
fn give_away(path: &Path) {
    if !is_root() {
        return;
    }
    chown(path, Some(NOBODY), Some(NOBODY)).expect("root may do that");
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("the folder is ours") {
            give_away(&entry.expect("the folder is ours").path());
        }
    }
}
