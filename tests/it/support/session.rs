//! A database client that stays open, to see whether its session is ended.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// An open session of a command-line client. Ends when dropped.
#[derive(Debug)]
pub struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    /// Starts `client` and sees that the server answers.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub(super) fn open(mut client: Command) -> Self {
        let client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = client.spawn().expect("tests/install brings the client");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut session = Self { child, stdin, stdout };
        assert!(session.answers(), "the session opens");
        session
    }

    /// Whether the server still answers in this session.
    pub fn answers(&mut self) -> bool {
        let mut line = String::new();
        self.stdin.write_all(b"SELECT 'here';\n").is_ok()
            && self.stdout.read_line(&mut line).is_ok()
            && line.trim() == "here"
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
