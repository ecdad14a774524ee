//! Mailpit: an SMTP server that keeps what it gets, and tells.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use super::{
    certificate::Certificate,
    control_plane::asset,
    peer::{Peer, folder, free_port, run},
};

/// A running Mailpit. What a test sends carries a unique word; mail is found by it.
#[derive(Debug)]
pub struct Mailpit {
    /// Where mail is taken.
    pub port: u16,
    /// Authority and server certificate.
    pub tls: Certificate,
    /// The file with the password of [`Self::USER`].
    pub password: PathBuf,
    api: String,
    _peer: Peer,
}

impl Mailpit {
    /// Who may send.
    pub const USER: &str = "operator";
    pub const PASSWORD: &str = "mail-Passw0rd";

    /// One that wants STARTTLS and a login before it takes anything.
    pub fn start() -> Self {
        Self::start_with("--smtp-require-starttls")
    }

    /// One whose connections are encrypted from the beginning.
    pub fn start_implicit() -> Self {
        Self::start_with("--smtp-require-tls")
    }

    fn start_with(encryption: &str) -> Self {
        let home = folder("mailpit");
        let tls = Certificate::issue(&home, "DNS:localhost");
        let path = |name: &str| home.join(name);
        fs::write(path("auth"), format!("{}:{}\n", Self::USER, Self::PASSWORD)).expect("the folder is ours");
        fs::write(path("password"), format!("{}\n", Self::PASSWORD)).expect("the folder is ours");
        let (port, http) = (free_port(), free_port());
        let mut server = Command::new(asset("mailpit"));
        server
            .arg("--database")
            .arg(path("mail.db"))
            .arg("--smtp-auth-file")
            .arg(path("auth"))
            .arg("--smtp-tls-cert")
            .arg(&tls.chain)
            .arg("--smtp-tls-key")
            .arg(&tls.key)
            .args(["--smtp", &format!("127.0.0.1:{port}")])
            .args(["--listen", &format!("127.0.0.1:{http}")])
            .args([encryption, "--enable-chaos", "--disable-version-check"]);
        let api = format!("http://127.0.0.1:{http}");
        let live = format!("{api}/livez");
        let peer = Peer::start(&home, "TERM", &server, Duration::from_secs(30), || {
            run(Command::new("curl").args(["-sf", "-m", "2", &live]), "").ok()
        });
        Self {
            port,
            tls,
            password: path("password"),
            api,
            _peer: peer,
        }
    }

    fn curl(&self, path: &str, more: &[&str]) -> String {
        let url = format!("{}{path}", self.api);
        run(
            Command::new("curl")
                .args(["-sf", "-m", "10", "-G", &url])
                .args(more),
            "",
        )
        .expect_ok()
    }

    /// What it found by its own search: one summary for each mail.
    pub fn search(&self, query: &str) -> Vec<Value> {
        let query = format!("query={query}");
        let answer = self.curl("/api/v1/search", &["--data-urlencode", &query]);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["messages"].as_array().cloned().unwrap_or_default()
    }

    /// A mail as it was received.
    pub fn raw(&self, mail: &Value) -> String {
        self.curl(
            &format!("/api/v1/message/{}/raw", mail["ID"].as_str().expect("an id")),
            &[],
        )
    }

    /// A mail's text.
    pub fn text(&self, mail: &Value) -> String {
        let whole = self.curl(
            &format!("/api/v1/message/{}", mail["ID"].as_str().expect("an id")),
            &[],
        );
        let whole: Value = serde_json::from_str(&whole).expect("JSON");
        whole["Text"].as_str().unwrap_or_default().to_owned()
    }

    /// From now on so many of a hundred recipients are refused with this code.
    pub fn refuse(&self, code: u16, percent: u8) {
        let body = format!("{{\"Recipient\": {{\"ErrorCode\": {code}, \"Probability\": {percent}}}}}");
        let url = format!("{}/api/v1/chaos", self.api);
        run(
            Command::new("curl").args(["-sf", "-m", "10", "-X", "PUT", &url, "-d", &body]),
            "",
        )
        .expect_ok();
    }

    /// The settings of a channel that sends here, from `offboard@example.com` to these addresses.
    pub fn channel(&self, to: &[&str], more: &str) -> String {
        format!(
            "{{mail: {{server: localhost, port: {}, from: 'Offboarding <offboard@example.com>', to: {to:?}, user: {}, \
             passwordFile: '{}', caFile: '{}'{more}}}}}",
            self.port,
            Self::USER,
            self.password.display(),
            self.tls.ca.display()
        )
    }
}
