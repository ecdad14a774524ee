//! From a Connector, its definition and its Secret to a link that can be driven, or to the words that say what is wrong.
//!
//! Secrets are read one at a time by name, never listed or watched, and kept for a short while. A rotated Secret is noticed
//! by its revision at the next read; a refused login makes the next read come at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{
    api::{Connector, ConnectorDefinition},
    connectors::{
        People,
        assemble::{Assembly, Error},
        declarative::Definition,
        job::Runner,
    },
    controller::runtime::{
        api_client::{ApiError, with_deadline},
        watch,
    },
    core::fault::{Fault, Reason},
    drive::Link,
    transport::{
        SetupError,
        destination::{DEFINITIONS, HOSTS},
        egress::Egress,
        secret::Credentials,
    },
};

/// For how long a Secret that works is not read again.
const SECRET_LASTS: Duration = Duration::from_mins(1);
/// The same for one that does not, or that a system refused.
const SUSPECT_LASTS: Duration = Duration::from_secs(5);

/// The reason of a Connector whose Secret could not be had.
const NO_SECRET: &str = "SecretNotFound";
/// The reason of one whose Secret is there and cannot be used.
const UNFIT_SECRET: &str = "InvalidSecret";

/// What came of the last login with a connector.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Login {
    /// Not tried yet.
    #[default]
    Untried,
    /// The system answered.
    Good,
    /// The system refused it, or is not trusted, so that it was not tried.
    Bad(Fault),
}

impl Login {
    /// What a fault says about the login, if it does.
    pub fn of(fault: &Fault) -> Option<Self> {
        let about_login = matches!(fault.reason, Reason::CredentialRejected | Reason::Untrusted);
        about_login.then(|| Self::Bad(fault.clone()))
    }
}

/// A connector as far as it could be put together.
#[derive(Clone)]
pub struct ResolvedConnector {
    /// The link.
    pub link: Link,
    /// The people of an HR system, for the sources.
    pub people: Option<Arc<dyn People>>,
    /// It is only asked for people, and so has nothing to do with any leaver's accounts.
    pub only_people: bool,
    /// `Valid`, or one word for what is wrong.
    pub reason: &'static str,
    /// What is wrong and how to mend it.
    pub text: String,
    /// Another number for every link that was put together.
    pub revision: u64,
    /// What came of the last login.
    pub login: Login,
}

impl ResolvedConnector {
    /// Whether nothing is known that a person would have to mend.
    pub fn works(&self) -> bool {
        self.reason == "Valid" && matches!(self.login, Login::Untried | Login::Good)
    }
}

struct Entry {
    connector: (String, i64),
    definition: String,
    secret: String,
    read_at: Instant,
    made: Arc<ResolvedConnector>,
}

type Slot = Arc<AsyncMutex<Option<Entry>>>;
type Compiled = (String, Result<Definition, Error>);

/// All connectors that are in use.
#[derive(Default)]
pub struct ConnectorRegistry {
    assembly: Assembly,
    slots: Mutex<HashMap<(String, String), Slot>>,
    definitions: Mutex<HashMap<String, Compiled>>,
    next: AtomicU64,
}

impl ConnectorRegistry {
    /// None yet; programs of `job` definitions are run by `runner`, and nothing connects to what `egress` closes.
    pub fn new(runner: Arc<dyn Runner>, egress: Egress) -> Self {
        Self {
            assembly: Assembly::default().with_runner(runner).with_egress(egress),
            ..Self::default()
        }
    }

    /// From now on somebody listens for callbacks.
    pub fn listen(&self) {
        self.assembly.listen();
    }

    /// The definition `name`: a built-in one, or the cluster's; with what tells its versions apart.
    ///
    /// # Errors
    /// When there is none, or it is not sound.
    pub fn definition(
        &self,
        name: &str,
        own: Option<&ConnectorDefinition>,
    ) -> (String, Result<Definition, Error>) {
        let version = own.map_or_else(String::new, |own| {
            let generation = own.metadata.generation.unwrap_or_default();
            format!("{}/{generation}", own.metadata.uid.as_deref().unwrap_or_default())
        });
        let mut known = self.definitions.lock();
        if let Some((same, definition)) = known.get(name)
            && *same == version
        {
            return (version, definition.clone());
        }
        let specs = own
            .map(|own| (name.to_owned(), own.spec.clone()))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
        let definition = self.assembly.definition(name, &specs);
        known.insert(name.to_owned(), (version.clone(), definition.clone()));
        (version, definition)
    }

    /// `connector` ready to use, put together anew when it, its definition or its Secret has changed.
    pub async fn resolve(
        &self,
        client: &Client,
        connector: &Connector,
        own: Option<&ConnectorDefinition>,
    ) -> Arc<ResolvedConnector> {
        let namespace = connector.namespace().unwrap_or_default();
        let slot = self.slot(&namespace, &connector.name_any());
        // One read of a Secret serves everybody who waits for it.
        let mut slot = slot.lock().await;
        let version = (
            connector.uid().unwrap_or_default(),
            connector.metadata.generation.unwrap_or_default(),
        );
        let (definition_version, definition) = self.definition(&connector.spec.definition, own);
        let same = slot
            .as_ref()
            .is_some_and(|e| e.connector == version && e.definition == definition_version);
        if let Some(entry) = slot
            .as_ref()
            .filter(|e| same && e.read_at.elapsed() < lasts(&e.made))
        {
            return entry.made.clone();
        }
        let read = secret(client, connector, &namespace).await;
        if let Some(entry) = slot.as_mut().filter(|_| same) {
            let unchanged = match &read {
                Ok(credentials) => entry.secret == credentials.revision(),
                // What is known is better than nothing while the API server does not answer.
                Err(missing) => missing.passes,
            };
            if unchanged && (read.is_err() || entry.made.reason != NO_SECRET) {
                entry.read_at = Instant::now();
                return entry.made.clone();
            }
        }
        let before = slot.as_ref().map(|e| e.made.clone());
        let (secret, made) = self.put_together(&namespace, connector, definition, read);
        let made = self.numbered(before, made);
        *slot = Some(Entry {
            connector: version,
            definition: definition_version,
            secret,
            read_at: Instant::now(),
            made: made.clone(),
        });
        made
    }

    /// The same brokenness as before is not a new link.
    fn numbered(
        &self,
        before: Option<Arc<ResolvedConnector>>,
        made: ResolvedConnector,
    ) -> Arc<ResolvedConnector> {
        match before {
            Some(before)
                if before.reason == made.reason && before.text == made.text && made.reason != "Valid" =>
            {
                before
            }
            _ => Arc::new(ResolvedConnector {
                revision: self.next.fetch_add(1, Ordering::Relaxed) + 1,
                ..made
            }),
        }
    }

    fn put_together(
        &self,
        namespace: &str,
        connector: &Connector,
        definition: Result<Definition, Error>,
        read: Result<Credentials, Missing>,
    ) -> (String, ResolvedConnector) {
        let revision = read.as_ref().map(|c| c.revision().to_owned()).unwrap_or_default();
        let definition = match definition {
            Ok(definition) => definition,
            Err(error) => return (revision, broken("InvalidDefinition", error.to_string())),
        };
        let only_people = !definition.has_account();
        let credentials = match read {
            Ok(credentials) => credentials,
            Err(missing) => {
                let made = broken(missing.reason, missing.text);
                return (revision, ResolvedConnector { only_people, ..made });
            }
        };
        let unique = format!("{namespace}/{}", connector.name_any());
        let made = match self
            .assembly
            .connect(&unique, &connector.spec, &definition, credentials)
        {
            Ok(connected) => ResolvedConnector {
                link: Link::Ready(connected.connector),
                people: connected.people,
                only_people,
                reason: "Valid",
                text: String::new(),
                revision: 0,
                login: Login::Untried,
            },
            Err(error) => ResolvedConnector {
                only_people,
                ..broken(reason_of(&error), self::text(connector, &error))
            },
        };
        (revision, made)
    }

    /// Notes what came of logging in with a link of `revision`; says whether that is news.
    pub async fn record_login(&self, namespace: &str, connector: &str, revision: u64, login: Login) -> bool {
        let slot = self.slot(namespace, connector);
        let mut slot = slot.lock().await;
        match slot.as_mut() {
            Some(entry) if entry.made.revision == revision && entry.made.login != login => {
                Arc::make_mut(&mut entry.made).login = login;
                true
            }
            _ => false,
        }
    }

    /// Hands in a link that no definition makes.
    #[cfg(test)]
    pub(crate) async fn hand_in(&self, connector: &Connector, link: Link) {
        let namespace = connector.namespace().unwrap_or_default();
        let version = (
            connector.uid().unwrap_or_default(),
            connector.metadata.generation.unwrap_or_default(),
        );
        *self.slot(&namespace, &connector.name_any()).lock().await = Some(Entry {
            connector: version,
            definition: String::new(),
            secret: String::new(),
            read_at: Instant::now(),
            made: Arc::new(ResolvedConnector {
                link,
                people: None,
                only_people: false,
                reason: "Valid",
                text: String::new(),
                revision: 1,
                login: Login::Untried,
            }),
        });
    }

    /// Drops what is known of a connector that is gone.
    pub fn forget(&self, namespace: &str, connector: &str) {
        let mut slots = self.slots.lock();
        slots.remove(&(namespace.to_owned(), connector.to_owned()));
    }

    fn slot(&self, namespace: &str, connector: &str) -> Slot {
        let mut slots = self.slots.lock();
        let key = (namespace.to_owned(), connector.to_owned());
        slots.entry(key).or_default().clone()
    }
}

fn lasts(made: &ResolvedConnector) -> Duration {
    if made.works() { SECRET_LASTS } else { SUSPECT_LASTS }
}

fn broken(reason: &'static str, text: String) -> ResolvedConnector {
    ResolvedConnector {
        link: Link::Broken(Fault::needs_decision(Reason::ConnectorNotReady), text.clone()),
        people: None,
        only_people: false,
        reason,
        text,
        revision: 0,
        login: Login::Untried,
    }
}

fn reason_of(error: &Error) -> &'static str {
    match error {
        Error::NoDefinition(_) | Error::Definition(..) | Error::NoRunner => "InvalidDefinition",
        Error::Inputs(_) | Error::NoDoor => "InvalidInputs",
        Error::Setup(SetupError::Secret(_)) => UNFIT_SECRET,
        Error::Setup(SetupError::Destination(_)) => "HostNotNamed",
        Error::Setup(SetupError::DefinitionNotNamed(_)) => "DefinitionNotNamed",
        Error::Setup(SetupError::Closed { .. }) => "AddressClosed",
        Error::Setup(SetupError::NotAllowed(..)) => "NotAllowed",
        Error::Setup(SetupError::Plain(_)) => "Unencrypted",
        Error::Setup(_) => "InvalidSetup",
    }
}

fn text(connector: &Connector, error: &Error) -> String {
    match (error, &connector.spec.secret_ref) {
        (Error::Setup(SetupError::Secret(what)), Some(secret)) => {
            format!(
                "spec.secretRef.name: Secret {:?}: {what}: put it there",
                secret.name
            )
        }
        (Error::Setup(SetupError::Secret(what)), None) => {
            format!("spec.secretRef: name the Secret with the credentials: {what}")
        }
        (Error::Setup(SetupError::Trust | SetupError::PrivateKey(_) | SetupError::SigningKey(_)), _) => {
            format!("spec.secretRef.name: {error}: replace it")
        }
        (Error::Setup(SetupError::Destination(_)), Some(secret)) => {
            format!("spec.secretRef.name: Secret {:?}: {error}", secret.name)
        }
        (Error::Setup(SetupError::Field(_)), _) => {
            format!("spec.inputs: {error}: the definition makes it of the inputs")
        }
        _ => error.to_string(),
    }
}

/// A Secret that could not be had.
struct Missing {
    reason: &'static str,
    text: String,
    /// Nothing is wrong with the Secret; the API server did not answer.
    passes: bool,
}

async fn secret(client: &Client, connector: &Connector, namespace: &str) -> Result<Credentials, Missing> {
    let Some(reference) = &connector.spec.secret_ref else {
        return Ok(Credentials::default());
    };
    let name = &reference.name;
    let failed = |text: String, passes| Missing {
        reason: NO_SECRET,
        text,
        passes,
    };
    match with_deadline(watch::api::<Secret>(client, namespace).get(name)).await {
        Ok(secret) => {
            let revision = format!(
                "{}/{}",
                secret.metadata.uid.unwrap_or_default(),
                secret.metadata.resource_version.unwrap_or_default()
            );
            let annotations = secret.metadata.annotations.unwrap_or_default();
            let annotation = |name: &str| annotations.get(name).map(String::as_str);
            let data = secret.data.unwrap_or_default();
            let data = data.into_iter().map(|(key, value)| (key, value.0));
            Credentials::from_data(data, revision)
                .with_scope(annotation(HOSTS), annotation(DEFINITIONS))
                .map_err(|error| Missing {
                    reason: UNFIT_SECRET,
                    text: format!("spec.secretRef.name: Secret {name:?}: metadata.annotations.{error}"),
                    passes: false,
                })
        }
        Err(ApiError::NotFound) => Err(failed(
            format!("spec.secretRef.name: there is no Secret {name:?} in this namespace: create it"),
            false,
        )),
        Err(ApiError::Forbidden) => Err(failed(
            format!(
                "spec.secretRef.name: the operator may not get Secret {name:?}: add it to the chart's connectorSecrets"
            ),
            false,
        )),
        Err(other) => Err(failed(
            format!("spec.secretRef.name: Secret {name:?} could not be read: {other}"),
            true,
        )),
    }
}
