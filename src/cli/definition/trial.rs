//! `offboard definition try` and `record`: a definition on one leaver, request by request and expression by expression.
//!
//! # Why
//! A definition that is sound may still mean something else than its author thinks. Both commands look as a plan does, by the same
//! connectors with the same rules of who may send a Secret where; nothing but what finds and reads is sent.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{Connector, Offboarding},
    cli::{
        exit,
        local::{self, Links, Permissions, credentials_of},
        manifests::Manifests,
        terminal::{BOLD, FAINT, GREEN, PLAIN, RED, YELLOW, one_line, out, tell},
    },
    connectors::{
        Keys,
        declarative::{Declarative, Evaluated, Trial, TriedAccount, TriedFact, Trier, Way},
        driver::RANDOM,
        transcript::{Exchanged, Tap, Transcript, without_credentials},
    },
    core::{case::System, fact::Truth},
    drive::{Clock, SystemClock},
    transport::secret::Credentials,
};

/// The most of a value that is shown, in characters.
const LONGEST_SHOWN: usize = 240;
/// The file of a recording that says as of when it is.
const RECORDING: &str = "recording.json";

/// What is tried, on whom.
#[derive(Debug, Args)]
pub struct Subject {
    /// A folder of manifests with the Connector, its definition and the leaver, or one file.
    #[arg(short, long = "file", value_name = "DIR")]
    pub file: PathBuf,
    /// The Offboarding of the leaver, by name.
    #[arg(long, value_name = "NAME")]
    pub leaver: String,
    /// The Connector. Default: the only one of the folder.
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// What whoever runs it answers for.
    #[command(flatten)]
    pub permissions: Permissions,
}

/// When a recording was made, without which expressions over instants would ask for something else.
#[derive(Debug, Serialize, Deserialize)]
struct Recording {
    connector: String,
    now: Timestamp,
}

/// Tries a definition against its system, or over `answers`, a folder that [`record`] wrote.
///
/// # Errors
/// When the folder, the leaver, the Connector or the recording cannot be used.
pub async fn run(subject: &Subject, answers: Option<&Path>) -> Result<ExitCode, exit::Error> {
    let transcript = Arc::new(Transcript::default());
    let (tap, now) = match answers {
        None => (Tap::Record(transcript.clone()), SystemClock.now()),
        Some(folder) => {
            let (recording, exchanges) = recorded(folder)?;
            (
                Tap::Replay(transcript.clone(), Arc::new(exchanges)),
                recording.now,
            )
        }
    };
    let mut apart: Vec<&Path> = vec![];
    apart.extend(answers);
    let tried = tried(subject, &apart, tap, now).await?;
    let text = Text {
        credentials: &tried.credentials,
    };
    text.exchanges(&transcript.exchanges());
    text.trial(&tried.trial);
    let missing = transcript.missing();
    for request in &missing {
        tell!(
            "no recorded answer for {}",
            one_line(&line_of(request, &Credentials::default()))
        );
    }
    if !missing.is_empty() {
        return Err(exit::Error(format!(
            "{} request(s) have no recorded answer: record them with `offboard definition record --leaver {} --to DIR`",
            missing.len(),
            subject.leaver
        )));
    }
    tell!("Nothing was changed.");
    Ok(if is_understood(&tried.trial) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Asks the system what [`run`] asks it, and writes one file for each request into `to`.
///
/// # Errors
/// As [`run`], and when `to` has files already or cannot be written.
pub async fn record(subject: &Subject, to: &Path) -> Result<ExitCode, exit::Error> {
    if to.exists() && fs::read_dir(to)?.next().is_some() {
        let problem = format!("{} is not empty: name a new folder", to.display());
        return Err(exit::Error(problem));
    }
    let transcript = Arc::new(Transcript::default());
    let now = SystemClock.now();
    let tap = Tap::Record(transcript.clone());
    let tried = tried(subject, &[to], tap, now).await?;
    // A recording names people.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    let recording = Recording {
        connector: tried.connector,
        now,
    };
    write(&to.join(RECORDING), &recording)?;
    let exchanges = transcript.exchanges();
    for (at, exchanged) in exchanges.iter().enumerate() {
        write(&to.join(format!("{:03}.json", at + 1)), exchanged)?;
    }
    let folder = to.display();
    tell!(
        "{} exchanges are in {folder}, without credentials; they name people. Next: offboard definition try --answers {folder}",
        exchanges.len()
    );
    Ok(if tried.trial.accounts.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn write(path: &Path, what: &impl Serialize) -> Result<(), exit::Error> {
    let text = serde_json::to_string_pretty(what).map_err(|error| exit::Error(error.to_string()))?;
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all((text + "\n").as_bytes()))
        .map_err(|error| exit::Error(format!("{}: {error}", path.display())))
}

fn recorded(folder: &Path) -> Result<(Recording, Vec<Exchanged>), exit::Error> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| exit::Error(format!("{}: {error}", folder.display())))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let (about, exchanges): (Vec<_>, Vec<_>) = paths
        .into_iter()
        .partition(|path| path.file_name().is_some_and(|name| name == RECORDING));
    let Some(about) = about.first() else {
        let problem = format!("{}: there is no {RECORDING}", folder.display());
        return Err(exit::Error(problem));
    };
    let recording = parsed(about)?;
    let exchanges: Result<_, _> = exchanges.iter().map(|path| parsed(path)).collect();
    Ok((recording, exchanges?))
}

fn parsed<T: for<'d> Deserialize<'d>>(path: &Path) -> Result<T, exit::Error> {
    let text = fs::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|error| exit::Error(format!("{}: {error}", path.display())))
}

struct Tried {
    trial: Trial,
    connector: String,
    credentials: Credentials,
}

async fn tried(subject: &Subject, apart: &[&Path], tap: Tap, now: Timestamp) -> Result<Tried, exit::Error> {
    let manifests = Manifests::read_without(&subject.file, apart)?;
    let leaver = leaver_of(&manifests, &subject.leaver)?;
    let (name, connector) = connector_of(&manifests, subject.connector.as_deref())?;
    let replays = matches!(tap, Tap::Replay(..));
    let assembly = subject.permissions.assembly().with_tap(tap);
    let credentials = if replays {
        Credentials::default()
    } else {
        credentials_of(connector, &manifests).map_err(exit::Error)?
    };
    let own: BTreeMap<_, _> = manifests
        .definitions
        .iter()
        .map(|(name, definition)| (name.clone(), definition.spec.clone()))
        .collect();
    let broken = manifests
        .broken("Connector", name)
        .or_else(|| manifests.broken("ConnectorDefinition", &connector.spec.definition));
    if let Some(why) = broken {
        return Err(exit::Error(format!("Connector {name}: {why}")));
    }
    let wrong = |error: crate::connectors::assemble::Error| exit::Error(format!("Connector {name}: {error}"));
    let definition = assembly
        .definition(&connector.spec.definition, &own)
        .map_err(wrong)?;
    let declarative: Arc<Declarative> = assembly
        .declarative(name, &connector.spec, &definition, credentials.clone())
        .map_err(wrong)?;
    let system = system_of(leaver, &manifests, subject, name, now)?;
    let trial = declarative
        .tried(&Trier {
            who: system.0.who,
            successor: system.0.successor,
            cutoff: system.1,
            now,
            keys: Keys::default(),
        })
        .await;
    Ok(Tried {
        trial,
        connector: name.to_owned(),
        credentials,
    })
}

/// The row of the leaver for the Connector `name`, and when access ends.
fn system_of(
    leaver: &Offboarding,
    manifests: &Manifests,
    subject: &Subject,
    name: &str,
    now: Timestamp,
) -> Result<(System, Timestamp), exit::Error> {
    let links = Links::new(manifests, &subject.permissions.assembly());
    let case = local::case(leaver, manifests, &links, None, now)
        .map_err(|invalid| exit::Error(format!("Offboarding {}: {invalid}", subject.leaver)))?;
    let cutoff = case.cutoff;
    let mut systems = case.systems.into_iter();
    let system = systems.find(|system| system.connector() == name);
    let none = || {
        exit::Error(format!(
            "the policy of {} does not select Connector {name}",
            subject.leaver
        ))
    };
    Ok((system.ok_or_else(none)?, cutoff))
}

fn leaver_of<'m>(manifests: &'m Manifests, name: &str) -> Result<&'m Offboarding, exit::Error> {
    let known = |leaver: &&Offboarding| leaver.metadata.name.as_deref() == Some(name);
    manifests.offboardings.iter().find(known).ok_or_else(|| {
        let names: Vec<&str> = manifests
            .offboardings
            .iter()
            .filter_map(|leaver| leaver.metadata.name.as_deref())
            .collect();
        exit::Error(format!(
            "there is no Offboarding {name:?}; there are: {}",
            names.join(", ")
        ))
    })
}

fn connector_of<'m>(
    manifests: &'m Manifests,
    name: Option<&str>,
) -> Result<(&'m str, &'m Connector), exit::Error> {
    let mut connectors = manifests.connectors.iter();
    let found = match name {
        Some(name) => connectors.find(|(known, _)| *known == name),
        None if manifests.connectors.len() == 1 => connectors.next(),
        None => None,
    };
    let found = found.map(|(name, connector)| (name.as_str(), connector));
    found.ok_or_else(|| {
        let names: Vec<&str> = manifests.connectors.keys().map(String::as_str).collect();
        let problem = match name {
            Some(name) => format!("there is no Connector {name:?}; there are"),
            None => "name one with --connector; there are".to_owned(),
        };
        exit::Error(format!("{problem}: {}", names.join(", ")))
    })
}

/// A request in a line: `GET https://…`, or as JSON.
fn line_of(request: &Value, credentials: &Credentials) -> String {
    let request = without_credentials(request, credentials);
    let Some(http) = request.get("http") else {
        return shown(&request);
    };
    let text = |name: &str| http.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut line = format!("{} {}", text("method"), text("url"));
    if let Some(body) = http.get("body").filter(|body| *body != "empty") {
        line.push(' ');
        line.push_str(&shown(body));
    }
    line
}

/// A value as it is shown: in a line, not too long, with stand-ins named.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    let stand_in = serde_json::to_string(RANDOM).unwrap_or_default();
    let text = text.replace(stand_in.trim_matches('"'), "<random>");
    let text = text.replace("\\u0001", "");
    if text.chars().count() <= LONGEST_SHOWN {
        return text;
    }
    let start: String = text.chars().take(LONGEST_SHOWN).collect();
    format!("{start}… ({} bytes)", text.len())
}

/// Prints a trial, without credentials.
struct Text<'t> {
    credentials: &'t Credentials,
}

impl Text<'_> {
    fn value(&self, value: &Value) -> String {
        one_line(&shown(&without_credentials(value, self.credentials))).into_owned()
    }

    fn exchanges(&self, exchanges: &[Exchanged]) {
        out!("{BOLD}requests{PLAIN}");
        for exchanged in exchanges {
            let request = line_of(&exchanged.request, self.credentials);
            out!("  {}", one_line(&request));
            match &exchanged.answer {
                Ok(answer) => {
                    let outcome = answer.fault.as_ref().map(|fault| format!("{RED}{fault}{PLAIN} "));
                    out!(
                        "    {}{FAINT}{}{PLAIN}",
                        outcome.unwrap_or_default(),
                        self.value(&answer.response)
                    );
                }
                Err(fault) => out!("    {RED}{fault}{PLAIN}"),
            }
        }
    }

    fn trial(&self, trial: &Trial) {
        for way in &trial.ways {
            self.way(way);
        }
        match &trial.accounts {
            Err(fault) => out!("{RED}no account can be told: {fault}{PLAIN}"),
            Ok(accounts) if accounts.is_empty() => out!("{YELLOW}no account found{PLAIN}"),
            Ok(accounts) => accounts.iter().for_each(|account| self.account(account)),
        }
    }

    fn way(&self, way: &Way) {
        out!("{BOLD}{}{PLAIN}", way.path);
        match &way.elements {
            Err(fault) => out!("  {RED}{fault}{PLAIN}"),
            Ok(elements) if elements.is_empty() => out!("  found nobody"),
            Ok(elements) => {
                for element in elements {
                    out!("  found {}", self.value(&element.item));
                    self.evaluated(&element.evaluated, "    ");
                    let verdict = match (&element.is_theirs, element.disagrees) {
                        (Err(why), _) => format!("{RED}cannot be told: {why}{PLAIN}"),
                        (Ok(true), None) => format!("{GREEN}theirs{PLAIN}"),
                        (Ok(true), Some(key)) => format!("{YELLOW}theirs, but {key} disagrees{PLAIN}"),
                        (Ok(false), _) => "not theirs: no key agrees".to_owned(),
                    };
                    out!("    → {}", verdict);
                }
            }
        }
    }

    fn account(&self, tried: &TriedAccount) {
        let account = &tried.account;
        out!(
            "{BOLD}account{PLAIN} {} {}",
            one_line(&account.id),
            one_line(&account.name)
        );
        for (name, read) in &tried.readings {
            match read {
                Ok(value) => out!("  reads.{name} = {}", self.value(value)),
                Err(fault) => out!("  reads.{name} {RED}{fault}{PLAIN}"),
            }
        }
        self.evaluated(&tried.evaluated, "  ");
        for fact in &tried.facts {
            self.fact(fact);
        }
    }

    fn fact(&self, fact: &TriedFact) {
        let sight = &fact.sight;
        out!("  {BOLD}{}{PLAIN}: {}", fact.name, truth(&sight.truth));
        self.evaluated(&fact.evaluated, "    ");
        if let Some(refused) = &sight.refused {
            out!("    {YELLOW}not without a person: {refused}{PLAIN}");
        }
        if let Some(task) = &sight.task {
            out!("    a person: {}", one_line(&task.title));
        }
        if let Some(act) = &sight.act {
            out!("    would {}", one_line(&sight.says));
            for request in &act.requests {
                out!("      {}", one_line(&line_of(request, self.credentials)));
            }
        }
    }

    fn evaluated(&self, all: &[Evaluated], indent: &str) {
        for evaluated in all {
            let (path, text) = (&evaluated.path, one_line(&evaluated.text));
            match &evaluated.value {
                Ok(value) => out!("{indent}{path}: {FAINT}{text}{PLAIN} = {}", self.value(value)),
                Err(why) => {
                    // The evaluator tells of data.
                    let why = self.value(&why.as_str().into());
                    out!("{indent}{path}: {FAINT}{text}{PLAIN} {RED}{why}{PLAIN}");
                }
            }
        }
    }
}

/// Whether everything that was asked for has a value.
fn is_understood(trial: &Trial) -> bool {
    let unreadable = |fact: &TriedFact| matches!(fact.sight.truth, Truth::Unreadable(_) | Truth::NotRead);
    let accounts = trial.accounts.as_ref();
    accounts.is_ok_and(|accounts| !accounts.iter().any(|a| a.facts.iter().any(unreadable)))
}

fn truth(truth: &Truth) -> String {
    match truth {
        Truth::Holds => format!("{GREEN}holds{PLAIN}"),
        Truth::DoesNotHold => format!("{YELLOW}does not hold{PLAIN}"),
        Truth::NotApplicable => "not applicable".to_owned(),
        Truth::Running => "running".to_owned(),
        Truth::HoldsFrom(from) => format!("holds from {from}"),
        Truth::NotRead => format!("{RED}not read{PLAIN}"),
        Truth::Unreadable(fault) => format!("{RED}unknown: {fault}{PLAIN}"),
    }
}
