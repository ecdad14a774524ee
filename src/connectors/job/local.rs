//! Runs the program of a `job` definition on this machine.
//!
//! It gets the JSON on its standard input and in the file `OFFBOARD_INPUT`, and answers on its standard output or in the file
//! `OFFBOARD_OUTPUT`. It has no environment but what the definition names, a new empty folder to work in, and a time limit,
//! at the end of which it is killed with everything that it started.
//!
//! # Why
//! It has the rights of whoever calls `offboard run`: to give it less takes an operating system's own means, and a cluster has
//! them. So commands run only where that person says so on the command line, never because a folder of manifests has one.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
};

use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::{Instant, timeout},
};

use super::{Job, Ran, Runner};
use crate::{
    api::definition,
    core::fault::{Fault, Reason},
    transport::{
        SetupError,
        memory::{self, Reservation},
    },
};

/// The largest answer, in bytes.
const LARGEST_OUTPUT: usize = 1 << 20;
/// The file with the input.
const INPUT: &str = "input.json";
/// The file for the answer.
const OUTPUT: &str = "output.json";

/// Runs programs on this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalRunner;

#[async_trait]
impl Runner for LocalRunner {
    fn check(&self, _: &definition::JobDriver) -> Result<(), SetupError> {
        Ok(())
    }

    async fn run(&self, job: &Job<'_>) -> Result<Ran, Fault> {
        let input = serde_json::to_vec(&job.request.input)
            .map_err(|_| Fault::permanent(Reason::Malformed).with_code("input"))?;
        let folder = Folder::new(&input)?;
        let mut child = command(job, &folder.0)?
            .spawn()
            .map_err(|_| Fault::permanent(Reason::ConnectorNotReady).with_code("not started"))?;
        let group = Group::of(&child);
        // Before the time is over, so that it is said what was waited for.
        let room = Instant::now() + job.deadline * 3 / 4;
        let Ok(ended) = timeout(job.deadline, talk(&mut child, &group, &input, room)).await else {
            return Err(Fault::unknown_outcome(Reason::Timeout));
        };
        let mut ran = ended?;
        if ran.output.iter().all(u8::is_ascii_whitespace)
            && let Ok(file) = tokio::fs::File::open(folder.0.join(OUTPUT)).await
        {
            (ran.output, _) = read(file, room).await?;
        }
        Ok(ran)
    }
}

fn command(job: &Job<'_>, folder: &Path) -> Result<Command, Fault> {
    let malformed = || Fault::permanent(Reason::Malformed).with_code("run");
    let (program, arguments) = job.request.run.split_first().ok_or_else(malformed)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&job.section.environment)
        .env("OFFBOARD_INPUT", folder.join(INPUT))
        .env("OFFBOARD_OUTPUT", folder.join(OUTPUT))
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    for (variable, key) in &job.section.secrets {
        let missing = |_| Fault::needs_decision(Reason::ConnectorNotReady).with_code("secret");
        command.env(variable, job.credentials.get(key).map_err(missing)?.expose());
    }
    Ok(command)
}

/// Feeds the program, takes its answer, for which room is waited for until `deadline`, and waits for its end. What it left running ends with it, so that nobody holds the
/// other end of the pipe open.
async fn talk(child: &mut Child, group: &Group, input: &[u8], deadline: Instant) -> Result<Ran, Fault> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it gets.
            stdin.write_all(input).await.ok();
        }
    };
    let answer = async {
        match stdout {
            Some(stdout) => read(stdout, deadline).await,
            None => Ok((vec![], Reservation::default())),
        }
    };
    let end = async {
        let status = child.wait().await;
        group.kill();
        status
    };
    let ((), output, status) = tokio::join!(feed, answer, end);
    let status = status.map_err(|_| Fault::unknown_outcome(Reason::OperationFailed))?;
    let Some(exit) = status.code() else {
        let signal = status.signal().unwrap_or_default();
        return Err(Fault::unknown_outcome(Reason::OperationFailed).with_code(format!("signal {signal}")));
    };
    let (output, _coming) = output?;
    Ok(Ran { exit, output })
}

/// All of `from`, up to the limit, and the memory that is counted for it while it comes.
async fn read(from: impl AsyncRead + Unpin, deadline: Instant) -> Result<(Vec<u8>, Reservation), Fault> {
    let (mut output, mut coming) = (vec![], Reservation::default());
    let mut from = from.take(LARGEST_OUTPUT as u64 + 1);
    let incomplete = || Fault::unknown_outcome(Reason::Incomplete);
    while from.read_buf(&mut output).await.map_err(|_| incomplete())? > 0 {
        let size = (output.len(), LARGEST_OUTPUT);
        coming.count(&memory::COMING, size, deadline).await?;
    }
    if output.len() > LARGEST_OUTPUT {
        return Err(incomplete().with_code("too large"));
    }
    Ok((output, coming))
}

/// A process group of a program's own: it and what it starts. Killed when dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // There may be nobody left.
            killpg(group, Signal::SIGKILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new folder that only we can open; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(input: &[u8]) -> Result<Self, Fault> {
        let path = std::env::temp_dir().join(format!("offboard-{:032x}", rand::random::<u128>()));
        let failed = |_| Fault::transient(Reason::ConnectorNotReady).with_code("working folder");
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let folder = Self(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.0.join(INPUT));
        file.and_then(|mut file| file.write_all(input)).map_err(failed)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is not worth failing for.
        fs::remove_dir_all(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_a_program_says_is_counted_while_it_comes_and_has_an_end() {
        let soon = || Instant::now() + std::time::Duration::from_secs(1);
        let said = vec![b'x'; LARGEST_OUTPUT];
        let (output, coming) = read(&said[..], soon()).await.unwrap();
        assert_eq!(output.len(), LARGEST_OUTPUT);
        let all = async || {
            let mut others = Reservation::default();
            let all = (16 << 20, 16 << 20);
            others.count(&memory::COMING, all, soon()).await
        };
        let full = all().await.unwrap_err();
        assert_eq!(full.code.as_str(), memory::TOO_MUCH_AT_ONCE);
        drop(coming);
        let endless = read(tokio::io::repeat(b'x'), soon()).await.unwrap_err();
        assert_eq!(endless.code.as_str(), "too large");
    }
}
