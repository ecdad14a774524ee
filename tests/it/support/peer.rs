//! One server process of a test run: its folder, its log, and its end. Knows no protocol.
//!
//! # Why a shell stands between the test and the server
//! libtest leaves the process without dropping statics, and a test process may be killed. The shell below reads from
//! a pipe whose other end only the test process holds: when that end closes, for whatever reason, it stops the server
//! and removes the folder.

use std::{
    fs,
    io::Write as _,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// `$1` folder, `$2` stop signal, then the server's command line. TERM is ignored only once the server runs, so that
/// the server does not inherit that.
const KEEPER: &str = r#"
dir=$1 signal=$2; shift 2
"$@" </dev/null >>"$dir/log" 2>&1 &
server=$!
read -r _
trap '' TERM INT
kill -"$signal" "$server" 2>/dev/null
tries=0
while kill -0 "$server" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries+1)); done
kill -KILL "$server" 2>/dev/null
rm -rf -- "$dir"
kill -KILL 0
"#;

/// A running server. Lives as long as the test process, or until dropped.
#[derive(Debug)]
pub struct Peer {
    keeper: Child,
}

impl Peer {
    /// Starts `command`, its output in `folder/log`, and waits until `ready`.
    ///
    /// # Panics
    /// When it is not ready in `patience`; the end of its log is in the message.
    pub fn start(
        folder: &Path,
        signal: &str,
        command: &Command,
        patience: Duration,
        ready: impl Fn() -> bool,
    ) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "keeper"]).arg(folder).arg(signal);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let keeper = shell.spawn().expect("sh starts");
        let peer = Self { keeper };
        assert!(
            poll(patience, ready),
            "{} was not ready in {patience:?}; the end of its log:\n{}",
            command.get_program().display(),
            tail(&folder.join("log")),
        );
        peer
    }

    /// The id of the server's process: the keeper's only child.
    ///
    /// # Panics
    /// When the server has ended.
    pub fn process(&self) -> u32 {
        let keeper = self.keeper.id();
        let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children"));
        let children = children.expect("the keeper lives as long as this");
        let first = children.split_whitespace().next().and_then(|id| id.parse().ok());
        first.expect("the server runs")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Asks `ready` every 50 ms until it is true or `patience` is over; says which.
pub fn poll(patience: Duration, ready: impl Fn() -> bool) -> bool {
    poll_each(Duration::from_millis(50), patience, ready)
}

/// As [`poll`], with another pause between two questions.
pub fn poll_each(pause: Duration, patience: Duration, mut ready: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patience;
    loop {
        if ready() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(pause);
    }
}

fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// `target/peers`, where caches and the folders of running servers are.
pub fn peers() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    fs::create_dir_all(&path).expect("target/peers can be made");
    path
}

/// A new folder for one server of this process.
pub fn folder(name: &str) -> PathBuf {
    fresh(&peers(), name)
}

/// A new folder that goes when it is dropped, or at the latest with the next run of `tests/run`.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        Self(folder(name))
    }
}

impl std::ops::Deref for Scratch {
    type Target = Path;
    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// As [`folder`], but reachable for every user of the machine (servers that refuse to run as root change to another).
pub fn public_folder(name: &str) -> PathBuf {
    let home = peers();
    let reachable = home
        .ancestors()
        .all(|each| fs::metadata(each).is_ok_and(|about| about.permissions().mode() & 0o005 == 0o005));
    fresh(&if reachable { home } else { std::env::temp_dir() }, name)
}

fn fresh(home: &Path, name: &str) -> PathBuf {
    let path = home.join(format!("{name}-{}", unique("run")));
    fs::create_dir_all(&path).expect("a new folder can be made");
    path
}

/// `stem` with something behind it that no other call in any process of this machine returns.
pub fn unique(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{stem}{}x{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// Whether somebody could listen on that address now.
pub fn is_free(address: IpAddr, port: u16) -> bool {
    TcpListener::bind(SocketAddr::new(address, port)).is_ok()
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u"), "").stdout.trim() == "0"
}

/// What a finished command left.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// The output of a command that must succeed.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn expect_ok(self) -> String {
        assert!(
            self.code == 0,
            "exit code {}: {}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// Whether it ended with 0.
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

/// Runs a command to its end, with `input` as its standard input.
///
/// # Panics
/// When the program is not on this machine: `tests/install` brings it.
pub fn run(command: &mut Command, input: &str) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run tests/install", command.get_program().display()));
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    // A program that does not read its input has already said what it wanted to say.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
