//! A client that stays open, to see whether its session is ended.

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
    question: &'static str,
    answer: &'static str,
}

impl Session {
    /// Starts the client of a database and sees that the server answers.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub(super) fn open(client: Command) -> Self {
        Self::asking(client, "SELECT 'here';\n", "here")
    }

    /// Starts a client that is asked this line, and answers with a line that begins so.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub(super) fn asking(mut client: Command, question: &'static str, answer: &'static str) -> Self {
        let client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = client.spawn().expect("tests/install brings the client");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut session = Self {
            child,
            stdin,
            stdout,
            question,
            answer,
        };
        assert!(session.answers(), "the session opens");
        session
    }

    /// Whether the server still answers in this session.
    pub fn answers(&mut self) -> bool {
        if self.stdin.write_all(self.question.as_bytes()).is_err() {
            return false;
        }
        let lines = (&mut self.stdout).lines().map_while(Result::ok);
        let mut answers = lines.skip_while(String::is_empty);
        answers.next().is_some_and(|line| line.starts_with(self.answer))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
