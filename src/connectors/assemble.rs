//! Puts a connector together: its definition, its inputs, its credentials, its limits.
//!
//! Who reads the Connector and its Secret is somebody else; from here on nothing knows where they came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use reqwest::Url;
use serde_json::Value;
use thiserror::Error;

use super::{
    People, Shared,
    declarative::{Declarative, Definition, Options, Problems, ResolvedDriver, builtin, parse},
    driver::{Contained, Driver},
    http::{self, HttpDriver},
    job::{JobDriver, NoDriver, Runner},
    ldap::LdapDriver,
    sftp::SftpDriver,
    sql::{self, SqlDriver},
    transcript::{Recording, Replay, Tap},
};
use crate::{
    api::{
        connector::{ConnectorLimits, ConnectorSpec},
        definition::ConnectorDefinitionSpec,
    },
    transport::{
        Clock, SetupError,
        destination::Place,
        dial::{Dialer, Refusal},
        egress::{Closed, Egress},
        limit::Limit,
        secret::Credentials,
        ssh, system_clock,
    },
};

/// What is said of a connector whose `insecure` is true.
pub const INSECURE: &str =
    "spec.insecure: whoever is on the way can read what is sent, the credentials too, and change it";

/// Why a connector cannot be put together. The text names the field and the fix, and is fit for a condition.
#[derive(Debug, Clone, Error)]
pub enum Error {
    /// There is no such definition.
    #[error(
        "spec.definition: there is no definition {0:?}: use a built-in one or create a ConnectorDefinition"
    )]
    NoDefinition(String),
    /// The definition is not sound.
    #[error("definition {0}: {1}")]
    Definition(String, Problems),
    /// The inputs or facts do not fit the definition.
    #[error("{0}")]
    Inputs(Problems),
    /// Nobody said that programs may be run.
    #[error(
        "spec.definition: it runs programs on this machine: allow that with --local-commands, if you trust these manifests"
    )]
    NoRunner,
    /// Nobody hears what the system would answer later.
    #[error(
        "spec.inputs: a callback is asked for and nobody listens for it here: start the operator with --wake (chart: \
         wake.enabled); without a cluster leave its address out"
    )]
    NoDoor,
    /// The credentials or the address cannot be used.
    #[error("{0}")]
    Setup(#[from] SetupError),
}

/// Everything that outlives a connector's being put together anew, so that a rotated secret does not make it forget
/// that the system wants silence.
pub struct Assembly {
    clock: Clock,
    limits: Mutex<BTreeMap<String, (ConnectorLimits, Arc<Limit>)>>,
    builtins: Mutex<BTreeMap<String, Definition>>,
    runner: Option<Arc<dyn Runner>>,
    listens: AtomicBool,
    egress: Arc<Egress>,
    trusts_hosts: bool,
    tap: Option<Tap>,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            clock: system_clock(),
            limits: Mutex::default(),
            builtins: Mutex::default(),
            runner: None,
            listens: AtomicBool::new(false),
            egress: Arc::new(Egress::new(vec![])),
            trusts_hosts: false,
            tap: None,
        }
    }
}

/// A connector that was put together.
pub struct Connected {
    /// Its accounts. Without any fact where the definition only lists people.
    pub connector: Shared,
    /// Its people, if the definition can list them.
    pub people: Option<Arc<dyn People>>,
    /// It knows accounts, and so concerns every leaver.
    pub has_account: bool,
}

impl Assembly {
    /// The same with somebody who runs the programs of `job` definitions; without one they are refused.
    #[must_use]
    pub fn with_runner(mut self, runner: Arc<dyn Runner>) -> Self {
        self.runner = Some(runner);
        self
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The same, where connectors may connect to what `egress` leaves open.
    #[must_use]
    pub fn with_egress(mut self, egress: Egress) -> Self {
        self.egress = Arc::new(egress);
        self
    }

    /// The same, where whoever runs it answers for every host and definition that credentials go to.
    #[must_use]
    pub fn trusting_hosts(mut self) -> Self {
        self.trusts_hosts = true;
        self
    }

    /// The same, where what is asked and answered is written down, or answered from what was written down.
    #[must_use]
    pub fn with_tap(mut self, tap: Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// From now on somebody listens for callbacks; connectors that ask for one are refused before.
    pub fn listen(&self) {
        self.listens.store(true, Ordering::Relaxed);
    }

    /// The definition `name`: a built-in one, whose name nobody can take, or a user's own one.
    ///
    /// # Errors
    /// When there is none, or it is not sound.
    pub fn definition(
        &self,
        name: &str,
        own: &BTreeMap<String, ConnectorDefinitionSpec>,
    ) -> Result<Definition, Error> {
        let wrong = |problems| Error::Definition(name.to_owned(), problems);
        if let Some(spec) = own.get(name).filter(|_| builtin(name).is_none()) {
            return Definition::compile(name, spec.clone()).map_err(wrong);
        }
        let mut compiled = self.builtins.lock();
        if let Some(definition) = compiled.get(name) {
            return Ok(definition.clone());
        }
        let text = builtin(name).ok_or_else(|| Error::NoDefinition(name.to_owned()))?;
        let (_, spec) = parse(text).map_err(wrong)?;
        let definition = Definition::compile(name, spec).map_err(wrong)?;
        compiled.insert(name.to_owned(), definition.clone());
        Ok(definition)
    }

    /// A connector named `name` (unique among all that share this assembly).
    ///
    /// # Errors
    /// When inputs, facts, credentials or addresses do not fit.
    pub fn connect(
        &self,
        name: &str,
        spec: &ConnectorSpec,
        definition: &Definition,
        credentials: Credentials,
    ) -> Result<Connected, Error> {
        let connector = self.declarative(name, spec, definition, credentials)?;
        Ok(Connected {
            people: definition
                .has_people()
                .then(|| connector.clone() as Arc<dyn People>),
            has_account: definition.has_account(),
            connector,
        })
    }

    /// The same, as the connector made of data that it is.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn declarative(
        &self,
        name: &str,
        spec: &ConnectorSpec,
        definition: &Definition,
        credentials: Credentials,
    ) -> Result<Arc<Declarative>, Error> {
        let credentials = if self.trusts_hosts {
            credentials.trusted()
        } else {
            credentials
        };
        let replays = matches!(self.tap, Some(Tap::Replay(..)));
        if !replays && builtin(&spec.definition).is_none() && !credentials.allows(&spec.definition) {
            return Err(SetupError::DefinitionNotNamed(spec.definition.clone()).into());
        }
        let mut protected = spec.protected.clone();
        protected.extend(own_names(&credentials));
        let driver: Arc<dyn Driver> = match &self.tap {
            None => self.driver(name, spec, definition, credentials)?,
            Some(Tap::Record(transcript)) => Arc::new(Recording {
                driver: self.driver(name, spec, definition, credentials.clone())?,
                credentials,
                transcript: transcript.clone(),
            }),
            Some(Tap::Replay(transcript, exchanges)) => Arc::new(Replay::new(exchanges, transcript.clone())),
        };
        if driver.callbacks().is_some() && !self.listens.load(Ordering::Relaxed) {
            return Err(Error::NoDoor);
        }
        let choice = spec.facts.clone().unwrap_or_default();
        let options = Options {
            include: choice.include,
            skip: choice.skip,
            protected,
        };
        let connector = definition
            .build(&spec.inputs, options, driver)
            .map_err(Error::Inputs)?;
        Ok(Arc::new(connector))
    }

    fn driver(
        &self,
        name: &str,
        spec: &ConnectorSpec,
        definition: &Definition,
        credentials: Credentials,
    ) -> Result<Arc<dyn Driver>, Error> {
        let own = spec.limits.clone().unwrap_or_default();
        let dialer = Dialer::new(self.egress.clone(), credentials.destinations().clone());
        let resolved = definition.resolve_driver(&spec.inputs).map_err(Error::Inputs)?;
        permitted(&dialer, places(definition, &spec.inputs)?)?;
        Ok(match resolved {
            ResolvedDriver::Http(section) => {
                let limit = self.limit(name, &lower(&section.limits, &own));
                Arc::new(Contained(HttpDriver::new(
                    &section,
                    credentials,
                    limit,
                    self.clock.clone(),
                    (&dialer, spec.insecure),
                )?))
            }
            ResolvedDriver::Ldap(section) => {
                let limit = self.limit(name, &lower(&section.limits, &own));
                Arc::new(Contained(LdapDriver::new(
                    &section,
                    &credentials,
                    limit,
                    &dialer,
                )?))
            }
            ResolvedDriver::Sql(section) => {
                let limit = self.limit(name, &lower(&section.limits, &own));
                let driver = SqlDriver::new(&section, &credentials, limit, &dialer)?;
                Arc::new(Contained(driver.with_codes(definition.codes())))
            }
            ResolvedDriver::Sftp(section) => {
                let limit = self.limit(name, &lower(&section.limits, &own));
                Arc::new(Contained(SftpDriver::new(
                    &section,
                    &credentials,
                    limit,
                    self.clock.clone(),
                    &dialer,
                )?))
            }
            ResolvedDriver::Job(section) => {
                let limit = self.limit(name, &lower(&section.limits, &own));
                let runner = self.runner.clone().ok_or(Error::NoRunner)?;
                let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
                Arc::new(Contained(JobDriver::new(
                    section,
                    (name, secret),
                    credentials,
                    limit,
                    runner,
                )?))
            }
            ResolvedDriver::Manual => Arc::new(NoDriver),
        })
    }

    fn limit(&self, name: &str, limits: &ConnectorLimits) -> Arc<Limit> {
        let mut known = self.limits.lock();
        if let Some((same, limit)) = known.get(name)
            && same == limits
        {
            return limit.clone();
        }
        let limit = Arc::new(Limit::new(
            limits.requests_per_second,
            limits.concurrent,
            self.clock.clone(),
        ));
        known.insert(name.to_owned(), (limits.clone(), limit.clone()));
        limit
    }
}

/// Where a connector goes by its inputs alone, with the field that says so.
///
/// # Errors
/// When inputs do not fit, or that is no address of a machine.
pub fn places(
    definition: &Definition,
    inputs: &BTreeMap<String, Value>,
) -> Result<Vec<(&'static str, Place)>, Error> {
    let mut places = of_section(&definition.resolve_driver(inputs).map_err(Error::Inputs)?)?;
    for base in definition.other_bases(inputs).map_err(Error::Inputs)? {
        let field = "base";
        let place = Url::parse(&base).ok().as_ref().and_then(Place::of);
        places.push((field, place.ok_or(SetupError::Field(field))?));
    }
    Ok(places)
}

fn of_section(driver: &ResolvedDriver) -> Result<Vec<(&'static str, Place)>, SetupError> {
    let of = |field: &'static str, place: Option<Place>| {
        Ok::<_, SetupError>((field, place.ok_or(SetupError::Field(field))?))
    };
    let at = |[host, port]: [&'static str; 2], name: &str, number: &str, usual| {
        let number = number.parse().map_err(|_| SetupError::Field(port))?;
        of(host, Place::new(name, number, usual))
    };
    match driver {
        ResolvedDriver::Http(section) => {
            let all = http::addresses(section)?.into_iter();
            all.map(|(field, url)| of(field, Place::of(&url))).collect()
        }
        ResolvedDriver::Ldap(section) => {
            let url = Url::parse(&section.url).ok();
            Ok(vec![of("ldap.url", url.as_ref().and_then(Place::of))?])
        }
        ResolvedDriver::Sql(section) => {
            let usual = sql::usual_port(section.dialect);
            Ok(vec![at(
                ["sql.host", "sql.port"],
                &section.host,
                &section.port,
                usual,
            )?])
        }
        ResolvedDriver::Sftp(section) => Ok(vec![at(
            ["sftp.host", "sftp.port"],
            &section.host,
            &section.port,
            ssh::PORT,
        )?]),
        ResolvedDriver::Job(_) | ResolvedDriver::Manual => Ok(vec![]),
    }
}

/// Whether the credential may go wherever its connector goes by its inputs.
fn permitted(dialer: &Dialer, places: Vec<(&'static str, Place)>) -> Result<(), SetupError> {
    let mut unnamed = BTreeSet::new();
    for (field, place) in places {
        match dialer.check(&place) {
            Ok(()) => {}
            Err(Refusal::Host(place)) => drop(unnamed.insert(place.to_string())),
            Err(Refusal::Address(Closed(why))) => return Err(SetupError::Closed { field, why }),
            Err(Refusal::NoHost) => return Err(SetupError::Field(field)),
        }
    }
    if unnamed.is_empty() {
        return Ok(());
    }
    let unnamed: Vec<String> = unnamed.into_iter().collect();
    Err(SetupError::Destination(unnamed.join(" ")))
}

/// The names that the connector's own account goes by, which it must never change (R6): the name it logs in with, and that
/// without a Windows domain before it.
fn own_names(credentials: &Credentials) -> Vec<String> {
    let Ok(Some(name)) = credentials.optional("username") else {
        return vec![];
    };
    let name = name.expose();
    let short = name.split_once('\\').map(|(_, short)| short);
    short.into_iter().chain([name]).map(str::to_owned).collect()
}

/// The lower of the definition's and the connector's own limits.
fn lower(definition: &ConnectorLimits, own: &ConnectorLimits) -> ConnectorLimits {
    let least = |a: Option<u32>, b: Option<u32>| a.into_iter().chain(b).min();
    ConnectorLimits {
        requests_per_second: least(definition.requests_per_second, own.requests_per_second),
        concurrent: least(definition.concurrent, own.concurrent),
    }
}
