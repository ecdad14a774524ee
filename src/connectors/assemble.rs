//! Puts a connector together: its definition, its inputs, its credentials, its limits.
//!
//! Who reads the Connector and its Secret is somebody else; from here on nothing knows where they came from.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use thiserror::Error;

use super::{
    People, Shared,
    declarative::{Definition, Options, Problems, ResolvedDriver, builtin, parse},
    driver::Driver,
    http::HttpDriver,
    job::{JobDriver, NoDriver, Runner},
    ldap::LdapDriver,
    sftp::SftpDriver,
    sql::SqlDriver,
};
use crate::{
    api::{
        connector::{ConnectorLimits, ConnectorSpec},
        definition::ConnectorDefinitionSpec,
    },
    transport::{Clock, SetupError, limit::Limit, secret::Credentials, system_clock},
};

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
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            clock: system_clock(),
            limits: Mutex::default(),
            builtins: Mutex::default(),
            runner: None,
            listens: AtomicBool::new(false),
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

    /// From now on somebody listens for callbacks; connectors that ask for one are refused before.
    pub fn listen(&self) {
        self.listens.store(true, Ordering::Relaxed);
    }

    /// The definition `name`: a user's own one, which wins, or a built-in one.
    ///
    /// # Errors
    /// When there is none, or it is not sound.
    pub fn definition(
        &self,
        name: &str,
        own: &BTreeMap<String, ConnectorDefinitionSpec>,
    ) -> Result<Definition, Error> {
        let wrong = |problems| Error::Definition(name.to_owned(), problems);
        if let Some(spec) = own.get(name) {
            return Definition::compile(name, spec.clone()).map_err(wrong);
        }
        let mut compiled = self.builtins.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut protected = spec.protected.clone();
        protected.extend(own_names(&credentials));
        let driver = self.driver(name, spec, definition, credentials)?;
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
        let connector = Arc::new(connector);
        Ok(Connected {
            people: definition
                .has_people()
                .then(|| connector.clone() as Arc<dyn People>),
            has_account: definition.has_account(),
            connector,
        })
    }

    fn driver(
        &self,
        name: &str,
        spec: &ConnectorSpec,
        definition: &Definition,
        credentials: Credentials,
    ) -> Result<Arc<dyn Driver>, Error> {
        let own = spec.limits.clone().unwrap_or_default();
        Ok(
            match definition.resolve_driver(&spec.inputs).map_err(Error::Inputs)? {
                ResolvedDriver::Http(section) => {
                    let limit = self.limit(name, &lower(&section.limits, &own));
                    Arc::new(HttpDriver::new(&section, credentials, limit, self.clock.clone())?)
                }
                ResolvedDriver::Ldap(section) => {
                    let limit = self.limit(name, &lower(&section.limits, &own));
                    Arc::new(LdapDriver::new(&section, &credentials, limit)?)
                }
                ResolvedDriver::Sql(section) => {
                    let limit = self.limit(name, &lower(&section.limits, &own));
                    Arc::new(SqlDriver::new(&section, &credentials, limit)?)
                }
                ResolvedDriver::Sftp(section) => {
                    let limit = self.limit(name, &lower(&section.limits, &own));
                    Arc::new(SftpDriver::new(
                        &section,
                        &credentials,
                        limit,
                        self.clock.clone(),
                    )?)
                }
                ResolvedDriver::Job(section) => {
                    let limit = self.limit(name, &lower(&section.limits, &own));
                    let runner = self.runner.clone().ok_or(Error::NoRunner)?;
                    let secret = spec.secret_ref.as_ref().map(|secret| secret.name.as_str());
                    Arc::new(JobDriver::new(
                        section,
                        (name, secret),
                        credentials,
                        limit,
                        runner,
                    )?)
                }
                ResolvedDriver::Manual => Arc::new(NoDriver),
            },
        )
    }

    fn limit(&self, name: &str, limits: &ConnectorLimits) -> Arc<Limit> {
        let mut known = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
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
