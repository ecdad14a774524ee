//! The driver for systems that a program speaks to: one JSON object in, one JSON value out.
//!
//! What runs the program is a [`Runner`]: a Kubernetes Job in a cluster (the controller's), a command of this machine in
//! `offboard run` ([`LocalRunner`]). This module knows neither.
//!
//! # Why
//! The program is a list of arguments, never a text for a shell, and what is known of a person is in the JSON alone: nobody's
//! name can become an option, a file or a command.

mod local;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    driver::{Answer, Driver, JobRequest, Resolved, deadline},
    json,
};
use crate::{
    api::definition,
    core::fault::{Fault, Reason},
    transport::{
        SetupError,
        limit::Limit,
        memory::{self, Reservation},
        secret::Credentials,
    },
};

pub use local::LocalRunner;

/// How long one run may take where the definition says nothing.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much longer than a program may run its answer waits for room.
const MARGIN: Duration = Duration::from_secs(5);
/// The largest answer of a program, in bytes.
const LARGEST_ANSWER: usize = 8 << 20;
/// No definition may say more: a call takes no longer than a minute.
pub const LONGEST_RUN: Duration = Duration::from_secs(50);

/// One run of a program, with all that it needs.
#[derive(Debug, Clone, Copy)]
pub struct Job<'j> {
    /// The connector, unique in this process.
    pub connector: &'j str,
    /// The definition's section, in which every template is resolved.
    pub section: &'j definition::JobDriver,
    /// The Secret that the connector names.
    pub secret: Option<&'j str>,
    /// What is in it.
    pub credentials: &'j Credentials,
    /// What is run, and what it gets.
    pub request: &'j JobRequest,
    /// How long it may take.
    pub deadline: Duration,
}

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub exit: i32,
    /// What it answered.
    pub output: Vec<u8>,
}

/// Runs programs.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Whether a definition can be run at all.
    ///
    /// # Errors
    /// The field that is missing or wrong.
    fn check(&self, section: &definition::JobDriver) -> Result<(), SetupError>;

    /// Runs one program to its end, within the deadline. The same act, known by the key of its request, is never run twice
    /// at the same time.
    ///
    /// # Errors
    /// Only when it did not come to an end: `Transient` or `Permanent` when it cannot have done anything, else
    /// `UnknownOutcome`.
    async fn run(&self, job: &Job<'_>) -> Result<Ran, Fault>;
}

/// One system that a program speaks to.
pub struct JobDriver {
    runner: Arc<dyn Runner>,
    section: definition::JobDriver,
    connector: String,
    secret: Option<String>,
    credentials: Credentials,
    limit: Arc<Limit>,
    deadline: Duration,
}

impl JobDriver {
    /// A driver from the definition's `job` section, in which every template is resolved, for the connector of this name.
    ///
    /// # Errors
    /// When a secret is missing, or a field is not what the runner needs.
    pub fn new(
        section: definition::JobDriver,
        (connector, secret): (&str, Option<&str>),
        credentials: Credentials,
        limit: Arc<Limit>,
        runner: Arc<dyn Runner>,
    ) -> Result<Self, SetupError> {
        for key in section.secrets.values() {
            credentials.get(key)?;
        }
        runner.check(&section)?;
        let deadline = match &section.deadline {
            Some(text) => deadline(text).ok_or(SetupError::Field("job.deadline"))?,
            None => DEADLINE,
        };
        Ok(Self {
            runner,
            connector: connector.to_owned(),
            secret: secret.map(str::to_owned),
            credentials,
            limit,
            deadline: deadline.min(LONGEST_RUN),
            section,
        })
    }

    async fn exchange(&self, request: &JobRequest) -> Result<Answer, Fault> {
        let start = Instant::now();
        let _turn = self.limit.enter(start + self.deadline / 2).await?;
        let job = Job {
            connector: &self.connector,
            section: &self.section,
            secret: self.secret.as_deref(),
            credentials: &self.credentials,
            request,
            deadline: self.deadline,
        };
        let ran = self.runner.run(&job).await?;
        let mut memory = Reservation::default();
        let cost = cost(&ran.output).unwrap_or_default();
        memory
            .count(&memory::READ, (cost, cost), start + self.deadline + MARGIN)
            .await?;
        Ok(Answer {
            memory,
            ..answer(&ran)
        })
    }
}

#[async_trait]
impl Driver for JobDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        match request {
            Resolved::Job(request) => self.exchange(request).await,
            _ => Err(Fault::permanent(Reason::Malformed).with_code("driver")),
        }
    }

    fn park(&self, until: Timestamp) {
        self.limit.park(until);
    }
}

/// Nothing is ever asked where people do the work.
pub struct NoDriver;

#[async_trait]
impl Driver for NoDriver {
    async fn perform(&self, _: &Resolved) -> Result<Answer, Fault> {
        Err(Fault::permanent(Reason::Malformed).with_code("driver"))
    }
}

/// What reading an answer costs in bytes; none: it has more values than any.
fn cost(output: &[u8]) -> Option<usize> {
    json::cost(output, LARGEST_ANSWER)
}

fn answer(ran: &Ran) -> Answer {
    let empty = ran.output.iter().all(u8::is_ascii_whitespace);
    let parsed = if empty {
        Some(Value::Null)
    } else {
        cost(&ran.output).and_then(|_| json::read(&ran.output))
    };
    let fault = match (table(ran.exit), &parsed) {
        (None, None) => Some(Fault::unknown_outcome(Reason::Malformed).with_code("output")),
        (fault, _) => fault,
    };
    let output = parsed.unwrap_or(Value::Null);
    Answer {
        response: json!({ "exit": ran.exit, "output": output }),
        value: Value::Null,
        part: Some("output"),
        fault,
        date: None,
        retry_at: None,
        rows: None,
        memory: Reservation::default(),
    }
}

/// What exit codes mean by themselves: those of `sysexits.h`, as far as they say what to do next.
fn table(exit: i32) -> Option<Fault> {
    let fault = match exit {
        0 => return None,
        69 | 75 => Fault::transient(Reason::SystemUnavailable),
        77 => Fault::permanent(Reason::PermissionDenied),
        126 | 127 => Fault::permanent(Reason::ConnectorNotReady),
        _ => Fault::permanent(Reason::Refused),
    };
    Some(fault.with_code(format!("exit {exit}")))
}

#[cfg(test)]
mod tests;
