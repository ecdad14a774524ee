//! One leaver of a folder of manifests, with links to the systems: what `plan`, `run` and `demo` have in common.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    path::Path,
    sync::Arc,
};

use async_trait::async_trait;
use clap::Args;
use ipnet::IpNet;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::{
    approvals::Voices,
    manifests::{Manifests, leaver_of},
    messages::Messages,
    safeguards,
};
use crate::{
    api::{
        ConditionStatus, Connector, ConnectorDefinitionSpec, Offboarding, OffboardingStatus,
        offboarding::Notice,
    },
    connectors::{
        People,
        assemble::{Assembly, Connected},
        job::LocalRunner,
    },
    core::{
        case::Case,
        fault::{Fault, Reason},
        gate::Vote,
        ledger::{Ledger, SystemLedger},
        scope,
    },
    drive::{
        Clock, Drive, Interim, Link, Memory, Outcome, Record, Row, Scope, Store, drive,
        folder::{self, Folder},
        report,
        validate::{Chosen, Given, Invalid, Member, choose, validate},
    },
    notify::Outbox,
    transport::{egress::Egress, secret::Credentials},
};

/// What whoever runs a folder answers for.
#[derive(Debug, Default, Args)]
pub struct Permissions {
    /// Run the programs of `job` definitions on this machine. Anybody who can change the manifests can then run any program here.
    #[arg(long)]
    pub local_commands: bool,
    /// Send credentials to any host that a Connector names, and let every definition use them. Anybody who can change the
    /// manifests can then read all credentials.
    #[arg(long)]
    pub trust_hosts: bool,
    /// Network that Connectors may connect to although it is closed by default: link-local and metadata addresses, and this
    /// machine if neither a Secret nor --trust-hosts names it. Repeatable.
    #[arg(long = "allow-egress", value_name = "CIDR", value_parser = network)]
    pub allow_egress: Vec<IpNet>,
    /// What people must say yes to.
    #[command(flatten)]
    pub safeguards: safeguards::Arguments,
}

impl Permissions {
    /// Where connections may go to with these permissions.
    pub fn egress(&self) -> Egress {
        Egress::new(self.allow_egress.clone()).with_named_loopback()
    }

    /// What puts connectors together with these permissions.
    pub fn assembly(&self) -> Assembly {
        let mut assembly = Assembly::default().with_egress(self.egress());
        if self.trust_hosts {
            assembly = assembly.trusting_hosts();
        }
        if self.local_commands {
            assembly = assembly.with_runner(Arc::new(LocalRunner));
        }
        assembly
    }
}

/// A network such as `10.1.0.0/16`, or one address.
///
/// # Errors
/// When it is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = |_| text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse().or_else(address);
    network.map_err(|_| format!("{text:?} is no network: write one such as 10.1.0.0/16 or fd00::/64"))
}

/// Links to all connectors of a folder, by connector name.
pub struct Links {
    by_name: BTreeMap<String, Link>,
    people: BTreeMap<String, Arc<dyn People>>,
    /// Connectors that are only asked for people: no leaver has a row for them.
    only_people: BTreeSet<String>,
}

impl Links {
    /// Puts every connector together. A broken one is a broken link, and hurts no other.
    pub fn new(manifests: &Manifests, assembly: &Assembly) -> Self {
        let own = manifests
            .definitions
            .iter()
            .map(|(name, d)| (name.clone(), d.spec.clone()))
            .collect();
        let mut links = Self {
            by_name: BTreeMap::new(),
            people: BTreeMap::new(),
            only_people: BTreeSet::new(),
        };
        for (name, connector) in &manifests.connectors {
            let definition = &connector.spec.definition;
            let known = assembly.definition(definition, &own);
            if known.is_ok_and(|definition| !definition.has_account()) {
                links.only_people.insert(name.clone());
            }
            let unreadable = manifests
                .broken("Connector", name)
                .or_else(|| manifests.broken("ConnectorDefinition", definition));
            let connected = match unreadable {
                Some(why) => Err(why.to_owned()),
                None => connected(name, connector, manifests, &own, assembly),
            };
            let link = match connected {
                Ok(connected) => {
                    if let Some(people) = connected.people {
                        links.people.insert(name.clone(), people);
                    }
                    Link::Ready(connected.connector)
                }
                Err(text) => Link::Broken(Fault::needs_decision(Reason::ConnectorNotReady), text),
            };
            links.by_name.insert(name.clone(), link);
        }
        links
    }

    /// The people of the Connector `name`, if its definition can list them and it could be put together.
    pub fn people(&self, name: &str) -> Option<&Arc<dyn People>> {
        self.people.get(name)
    }

    /// The links of one leaver's systems, by row: rows of one connector share it.
    pub fn of(&self, case: &Case) -> BTreeMap<String, Link> {
        let row = |row: &str| {
            let name = row.split('/').next().unwrap_or_default();
            self.by_name.get(name).map(|link| (row.to_owned(), link.clone()))
        };
        case.systems
            .iter()
            .filter_map(|system| row(&system.row))
            .collect()
    }
}

/// `connector` put together, or why it cannot be.
fn connected(
    name: &str,
    connector: &Connector,
    manifests: &Manifests,
    own: &BTreeMap<String, ConnectorDefinitionSpec>,
    assembly: &Assembly,
) -> Result<Connected, String> {
    let spec = &connector.spec;
    let credentials = credentials_of(connector, manifests)?;
    let definition = assembly.definition(&spec.definition, own);
    let definition = definition.map_err(|e| e.to_string())?;
    assembly
        .connect(name, spec, &definition, credentials)
        .map_err(|e| e.to_string())
}

/// The credentials of `connector`.
///
/// # Errors
/// When its Secret is not there, or cannot be read.
pub(super) fn credentials_of(connector: &Connector, manifests: &Manifests) -> Result<Credentials, String> {
    match &connector.spec.secret_ref {
        None => Ok(Credentials::default()),
        Some(secret) => credentials(&secret.name, manifests),
    }
}

fn credentials(secret: &str, manifests: &Manifests) -> Result<Credentials, String> {
    let field = "spec.secretRef.name";
    if let Some(why) = manifests.broken("Secret", secret) {
        return Err(format!("{field}: {why}"));
    }
    let none = || {
        format!("{field}: there is no Secret {secret:?} among the manifests, nor a folder secrets/{secret}")
    };
    manifests.secrets.get(secret).cloned().ok_or_else(none)
}

/// The case of `leaver`, by the policy that is its own.
///
/// # Errors
/// The first field that cannot be used.
pub fn case(
    leaver: &Offboarding,
    manifests: &Manifests,
    links: &Links,
    status: Option<&OffboardingStatus>,
    now: Timestamp,
) -> Result<Case, Invalid> {
    make(leaver, manifests, links, (status, None), (None, vec![]), now)
}

/// The case of `leaver` with what people said about it, and what the record knows.
fn make(
    leaver: &Offboarding,
    manifests: &Manifests,
    links: &Links,
    (status, recorded): (Option<&OffboardingStatus>, Option<&Ledger>),
    (voices, votes): (Option<&Voices>, Vec<Vote>),
    now: Timestamp,
) -> Result<Case, Invalid> {
    let chosen = policy(leaver, manifests);
    let usual = Chosen::default();
    let policy = chosen.as_ref().unwrap_or(&usual);
    let mut members = vec![];
    for (name, connector) in &manifests.connectors {
        let Some(link) = links
            .by_name
            .get(name)
            .filter(|_| !links.only_people.contains(name))
        else {
            continue;
        };
        let mut member = Member::new(name, connector, link);
        if manifests.may_have_any_label(name) {
            member.labels = &policy.spec.connectors.match_labels;
        }
        members.push(member);
    }
    let mut known = leaver.clone();
    known.status = status.cloned();
    let alone = Given {
        recorded,
        no_policy: chosen.as_ref().err(),
        ..Given::alone(&known, policy, &members)
    };
    let Some(voices) = voices else {
        return validate(alone, now);
    };
    let uid = uid(leaver);
    let until = status
        .and_then(|status| status.cutoff)
        .map_or(now, |ends| ends.max(now));
    let given = Given {
        safeguards: voices.safeguards(),
        leaves_too: &|name| voices.leaves_too(name, &uid, until),
        untrusted: voices.untrusted(leaver, !policy.spec.gates.is_empty() || voices.asks()),
        leaving: voices.leaving(&votes, &uid, now),
        duplicates: voices.duplicates(leaver),
        votes,
        ..alone
    };
    validate(given, now)
}

/// The policy that `leaver` names, the one named `default`, or the built-in one.
///
/// # Errors
/// When it names one that is not there.
fn policy(leaver: &Offboarding, manifests: &Manifests) -> Result<Chosen, Invalid> {
    let named = leaver.spec.policy_ref.as_ref().map(|named| named.name.as_str());
    let unreadable = match named {
        Some(name) => manifests.broken("OffboardingPolicy", name).map(|why| (name, why)),
        None => manifests.broken_policy(),
    };
    if let Some((name, why)) = unreadable {
        return Err(Invalid {
            field: "spec.policyRef.name".to_owned(),
            problem: match named {
                Some(_) => format!("OffboardingPolicy {name} cannot be used: {why}"),
                None => {
                    format!("OffboardingPolicy {name}, which may be the one that fits, cannot be used: {why}")
                }
            },
        });
    }
    let policies = manifests
        .policies
        .iter()
        .map(|(name, policy)| (name.as_str(), &policy.spec));
    choose(leaver, policies)
}

/// One leaver being driven from a folder.
pub struct Local {
    /// The leaver, validated.
    pub case: Case,
    /// The state.
    pub folder: Folder,
    links: BTreeMap<String, Link>,
    record: Record,
    memory: Memory,
    /// The status after the last pass.
    pub status: OffboardingStatus,
    messages: Option<Messages>,
}

/// Why a leaver of a folder cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is wrong.
    #[error("Offboarding {0}: {1}")]
    Invalid(String, Invalid),
    /// The state cannot be used.
    #[error(transparent)]
    State(#[from] folder::Error),
}

impl Local {
    /// Opens the state of `leaver` below `state`.
    ///
    /// # Errors
    /// When a field of the leaver, or the state, cannot be used.
    pub fn open(
        leaver: &Offboarding,
        manifests: &Manifests,
        links: &Links,
        state: &Path,
        now: Timestamp,
    ) -> Result<Self, Error> {
        known_as_another(leaver, manifests, state)?;
        let folder = Folder::open(state, &uid(leaver))?;
        Self::within(folder, leaver, manifests, links, None, now)
    }

    /// As [`Self::open`], with what people said.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn hear(
        leaver: &Offboarding,
        manifests: &Manifests,
        links: &Links,
        state: &Path,
        voices: &Voices,
        now: Timestamp,
    ) -> Result<Self, Error> {
        known_as_another(leaver, manifests, state)?;
        let mut folder = Folder::open(state, &uid(leaver))?;
        folder.ask(voices.stands());
        let mut local = Self::within(folder, leaver, manifests, links, Some(voices), now)?;
        voices.admit(&mut local.case, &local.record.ledger, state, now);
        Ok(local)
    }

    /// As [`Self::hear`], only to look: makes no folder, and another process may be at work on it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn look(
        leaver: &Offboarding,
        manifests: &Manifests,
        links: &Links,
        state: &Path,
        voices: &Voices,
        now: Timestamp,
    ) -> Result<Self, Error> {
        known_as_another(leaver, manifests, state)?;
        let folder = Folder::look(state, &uid(leaver));
        Self::within(folder, leaver, manifests, links, Some(voices), now)
    }

    fn within(
        folder: Folder,
        leaver: &Offboarding,
        manifests: &Manifests,
        links: &Links,
        voices: Option<&Voices>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let name = leaver.metadata.name.clone().unwrap_or_default();
        let status = folder.status()?;
        let votes = voices
            .map(|voices| voices.votes(leaver, &folder, now))
            .transpose()?;
        let said = (voices, votes.unwrap_or_default());
        let record = folder.record()?;
        let earlier = (status.as_ref(), Some(&record.ledger));
        let mut case =
            make(leaver, manifests, links, earlier, said, now).map_err(|e| Error::Invalid(name, e))?;
        scope::include_recorded(&mut case, &record.ledger, |name| links.by_name.contains_key(name));
        scope::keep_wanted(&mut case, &record.ledger, now);
        let links = links.of(&case);
        Ok(Self {
            case,
            folder,
            links,
            record,
            memory: Memory::default(),
            status: status.unwrap_or_default(),
            messages: None,
        })
    }

    /// From now on people are told by `outbox`, if the policy of `leaver` wants that.
    ///
    /// # Errors
    /// When the policy is not there.
    pub fn tell_by(
        &mut self,
        leaver: &Offboarding,
        manifests: &Manifests,
        outbox: Arc<Outbox>,
    ) -> Result<(), Error> {
        let policy = match policy(leaver, manifests) {
            // What goes on without one is said where that is shown.
            Err(_) if self.case.invalid.is_some() => return Ok(()),
            chosen => chosen.map_err(|e| Error::Invalid(self.case.name.clone(), e))?,
        };
        let wanted = !policy.spec.notify.is_empty();
        self.messages = wanted.then(|| Messages::new(leaver, policy.spec, outbox));
        Ok(())
    }

    /// One pass; with `Scope::Everything` nothing is changed and nothing is kept.
    ///
    /// # Errors
    /// When the status cannot be written.
    pub async fn pass(&mut self, scope: Scope, clock: &dyn Clock) -> Result<Outcome, Error> {
        self.pass_shown(scope, clock, &mut |_| {}).await
    }

    /// As [`Self::pass`]; the rows of systems that are finished go into the status, and to `show`, while others are still
    /// being worked on.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub async fn pass_shown(
        &mut self,
        scope: Scope,
        clock: &dyn Clock,
        show: &mut ShowRows<'_>,
    ) -> Result<Outcome, Error> {
        let shown = Shown {
            folder: &self.folder,
            case: &self.case,
            links: &self.links,
            clock,
            status: Mutex::new(self.status.clone()),
            show: Mutex::new(show),
        };
        let store: &dyn Store = if scope == Scope::Everything {
            &self.folder
        } else {
            &shown
        };
        let job = Drive {
            case: &self.case,
            links: &self.links,
            clock,
            store,
            scope,
        };
        if scope == Scope::Everything {
            let (mut record, mut memory) = (self.record.clone(), self.memory.clone());
            return Ok(drive(&job, &mut record, &mut memory).await);
        }
        let outcome = drive(&job, &mut self.record, &mut self.memory).await;
        // What was so earlier in this pass is so since then.
        self.status = shown.status.into_inner();
        if let Some(manager) = &outcome.manager {
            // Whoever was waited for is known now, and every system is looked at again.
            self.case.know_manager(manager.who.as_ref());
            self.memory.rested.clear();
        }
        let status = report::status(&self.case, &outcome, &self.status, clock.now());
        let head = self.record.evidence.last().map(|entry| entry.digest.as_str());
        let mut status = report::with_evidence(status, "record.json", head);
        let messages = self.messages.as_mut();
        let due = messages.map(|m| m.note(&mut status, &self.record.evidence, clock.now()));
        self.keep(status, due.unwrap_or_default())?;
        Ok(outcome)
    }

    /// Writes `status` down, then sends what it says is being sent.
    fn keep(&mut self, status: OffboardingStatus, due: Vec<Notice>) -> Result<(), Error> {
        if status != self.status {
            self.folder.save_status(&status)?;
            self.status = status;
        }
        if let Some(messages) = &mut self.messages {
            messages.send(due, &self.status);
        }
        Ok(())
    }

    /// Waits for messages that are on their way, and tries a few times what could not be sent.
    ///
    /// # Errors
    /// When the status cannot be written.
    pub async fn end_messages(&mut self) -> Result<(), Error> {
        while let Some(messages) = &mut self.messages {
            let mut status = self.status.clone();
            let Some(due) = messages.next(&mut status).await else {
                break;
            };
            self.keep(status, due)?;
        }
        Ok(())
    }

    /// What is wrong with the leaver, of whom only what was agreed goes on.
    pub fn invalid(&self) -> Option<String> {
        let invalid = self.case.invalid.as_ref()?;
        let name = &self.case.name;
        Some(format!(
            "Offboarding {name}: {invalid}; until that is mended only what was agreed when access ended goes on"
        ))
    }

    /// Everything that is durable about the leaver.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

/// Shows the rows of systems that are finished.
type ShowRows<'a> = dyn FnMut(&[Row]) + Send + 'a;

/// The folder of a leaver, with what is shown while a pass goes on.
struct Shown<'a> {
    folder: &'a Folder,
    case: &'a Case,
    links: &'a BTreeMap<String, Link>,
    clock: &'a dyn Clock,
    /// What the folder says now.
    status: Mutex<OffboardingStatus>,
    show: Mutex<&'a mut ShowRows<'a>>,
}

#[async_trait]
impl Store for Shown<'_> {
    async fn save(&self, record: &Record) -> Result<(), Fault> {
        self.folder.save(record).await
    }

    fn current(&self) -> bool {
        self.folder.current()
    }

    async fn confirm(&self, votes: &[&Vote]) -> Result<bool, Fault> {
        self.folder.confirm(votes).await
    }

    /// Whoever is interrupted, or asks meanwhile, finds what was done. That it cannot be written is told at the end.
    async fn progress(&self, interim: &Interim) {
        let mut known = self.status.lock();
        let status = report::so_far(self.case, self.links, interim, &known, self.clock.now());
        if let Some(status) = status.filter(|status| self.folder.save_status(status).is_ok()) {
            *known = status;
        }
        let mut show = self.show.lock();
        show(&interim.finished);
    }
}

/// Refuses a leaver who was another person when that name was last driven, or the same one, known by another number or address:
/// accounts that were found then, and are not done with, must not be forgotten.
fn known_as_another(leaver: &Offboarding, manifests: &Manifests, state: &Path) -> Result<(), Error> {
    let own = uid(leaver);
    let is_another = |folder: &String| {
        let named_so = leaver_of(folder) == leaver_of(&own) && leaver_of(folder) != folder;
        named_so && *folder != own && !manifests.offboardings.iter().any(|known| uid(known) == *folder)
    };
    // Whether there is a state, and it can be read, is said where it is opened.
    let folders = folder::leavers(state).unwrap_or_default();
    for other in folders.iter().filter(|folder| is_another(folder)) {
        let known = Folder::look(state, other);
        let status = known.status()?.unwrap_or_default();
        let is_over = status.conditions.iter().any(|condition| {
            let (type_, reason) = (condition.type_.as_str(), condition.reason.as_str());
            condition.status == ConditionStatus::True && (type_ == "Complete" || reason == "Reinstated")
        });
        let record = known.record()?;
        if is_over
            || !record
                .ledger
                .systems
                .values()
                .any(SystemLedger::concerns_somebody)
        {
            continue;
        }
        let problem = format!(
            "has another number or address than when accounts were found, which are not done with; what is known of them is in \
             {}. The same person: call that folder {own}. Somebody else: give this Offboarding another metadata.name",
            state.join(other).display()
        );
        let field = "spec.employee".to_owned();
        return Err(Error::Invalid(
            leaver.metadata.name.clone().unwrap_or_default(),
            Invalid { field, problem },
        ));
    }
    Ok(())
}

/// What the leaver's folder is called.
fn uid(leaver: &Offboarding) -> String {
    let metadata = &leaver.metadata;
    metadata
        .uid
        .as_ref()
        .or(metadata.name.as_ref())
        .cloned()
        .unwrap_or_default()
}
