//! A SOAP service with the part of Workday that tells who works there, on a SOAP stack that is not ours (spyne).

use std::{fs, net::TcpStream, path::PathBuf, process::Command, time::Duration};

use serde_json::{Value, json};

use super::peer::{Peer, folder, free_port, peers};

const STACK: &str = "spyne-2.14.0";

/// A running service. `workday.py` beside this says what its people look like.
#[derive(Debug)]
pub struct Workday {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: PathBuf,
    _peer: Peer,
}

impl Workday {
    /// The user that may ask.
    pub const USER: &str = "isu@acme";
    /// Its password, with characters that XML escapes.
    pub const PASSWORD: &str = "canary<&\"7";

    pub(super) fn start() -> Self {
        let stack = peers().join(STACK);
        assert!(
            stack.join("complete").exists(),
            "{} is missing; run tests/install",
            stack.display()
        );
        let home = folder("workday");
        let state = home.join("state.json");
        let port = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/workday.py");
        let mut server = Command::new("python3");
        server
            .args(["-W", "ignore", script, &port.to_string()])
            .arg(&state);
        server.env("PYTHONPATH", stack);
        let peer = Peer::start(&home, "TERM", &server, Duration::from_secs(60), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let workday = Self {
            url: format!("http://127.0.0.1:{port}"),
            state,
            _peer: peer,
        };
        workday.employ(&[]);
        workday
    }

    /// These and nobody else work there.
    pub fn employ(&self, workers: &[Value]) {
        self.write(workers, "");
    }

    /// The same, and the service is broken: `short`, `endless` or `padded`.
    pub fn break_down(&self, workers: &[Value], how: &str) {
        self.write(workers, how);
    }

    fn write(&self, workers: &[Value], broken: &str) {
        let state = json!({
            "user": Self::USER, "password": Self::PASSWORD, "workers": workers, "broken": broken
        });
        fs::write(&self.state, state.to_string()).expect("the folder is ours");
    }
}
