//! From the kinds users write to a [`Case`]: everything that can be wrong is found here, with its field and the fix.

mod agreement;
mod policy;
mod successor;
mod timeline;
mod uphold;
mod wish;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::Timestamp;
use thiserror::Error;

pub use policy::{Chosen, check, choose, rules};

use self::{agreement::Agreement, successor::Taker};
use super::Link;
use crate::{
    api::{
        Connector, Offboarding, OffboardingPolicySpec, OffboardingStatus,
        connector::ConnectorSpec,
        offboarding::{OffboardingSpec, Urgency},
    },
    core::{
        case::{Case, SUSPENDED, System, UnknownManager},
        commitment::Commitment,
        duplicate::{self, Duplicate, Own},
        fact::FactSpec,
        gate::{Decision, Gate, Safeguards, Vote, task_plan},
        identity::{Person, is_invisible},
        leavers,
        ledger::Ledger,
        schedule::{self, Anchors, LAST_ZONE},
        scope::{self, waive},
        task::Attestation,
    },
};

/// A field that cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Path of the field, such as `spec.cutoff.timeZone`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

#[expect(clippy::needless_pass_by_value, reason = "called with texts and with errors")]
fn invalid(field: impl Into<String>, problem: impl ToString) -> Invalid {
    Invalid {
        field: field.into(),
        problem: problem.to_string(),
    }
}

/// A Connector as far as a case needs it.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`.
    pub labels: &'a BTreeMap<String, String>,
    /// Its spec.
    pub spec: &'a ConnectorSpec,
    /// The facts of its definition; empty when the connector is broken.
    pub facts: &'a [FactSpec],
    /// It is a directory that knows people's managers, or may be one and is broken.
    pub knows_managers: bool,
}

impl<'a> Member<'a> {
    /// `connector`, whose name is `name`, with what came of putting it together.
    pub fn new(name: &'a str, connector: &'a Connector, link: &'a Link) -> Self {
        static UNLABELLED: BTreeMap<String, String> = BTreeMap::new();
        let (facts, knows_managers) = match link {
            Link::Ready(ready) => (ready.capabilities().facts.as_slice(), ready.knows_managers()),
            Link::Broken(..) => (&[][..], true),
        };
        Self {
            name,
            labels: connector.metadata.labels.as_ref().unwrap_or(&UNLABELLED),
            spec: &connector.spec,
            facts,
            knows_managers,
        }
    }
}

/// What a case is made of.
pub struct Given<'a> {
    /// The leaver.
    pub offboarding: &'a Offboarding,
    /// The policy that was chosen; the built-in one where there is none.
    pub policy: &'a Chosen,
    /// Why there is none.
    pub no_policy: Option<&'a Invalid>,
    /// The Connectors of the namespace.
    pub members: &'a [Member<'a>],
    /// Whether somebody, known by a work address, leaves too: they take nothing over.
    pub leaves_too: &'a dyn Fn(&str) -> bool,
    /// What people said about this leaver.
    pub votes: Vec<Vote>,
    /// What the record knows; none while it was not read.
    pub recorded: Option<&'a Ledger>,
    /// What is demanded whatever the policy says.
    pub safeguards: &'a Safeguards,
    /// Which person a user name is, as far as that is known.
    pub person_of: &'a dyn Fn(&str) -> Option<String>,
    /// A source found the person in an HR system: who is named as the manager is who HR names.
    pub from_hr: bool,
    /// The cluster does not vouch for who said it.
    pub untrusted: bool,
    /// Names of people who leave too: they approve nothing.
    pub leaving: Vec<String>,
    /// Other Offboardings about the same person.
    pub duplicates: Vec<Duplicate>,
}

/// Nothing is demanded but what policies demand.
static LENIENT: LazyLock<Safeguards> = LazyLock::new(Safeguards::none);

impl<'a> Given<'a> {
    /// A leaver about whom nobody said anything, who leaves alone, and for whom nothing is demanded but what the policy does.
    pub fn alone(offboarding: &'a Offboarding, policy: &'a Chosen, members: &'a [Member<'a>]) -> Self {
        Self {
            offboarding,
            policy,
            no_policy: None,
            members,
            leaves_too: &|_| false,
            votes: vec![],
            recorded: None,
            safeguards: &LENIENT,
            person_of: &|_| None,
            from_hr: false,
            untrusted: false,
            leaving: vec![],
            duplicates: vec![],
        }
    }
}

/// Makes a case. Where something cannot be used, and access has ended, what was agreed then goes on: the case says what is wrong,
/// and begins nothing.
///
/// # Errors
/// The first field that cannot be used.
pub fn validate(given: Given<'_>, now: Timestamp) -> Result<Case, Invalid> {
    match usable(&given, now) {
        Ok(case) => Ok(completed(case, given)),
        Err(invalid) => match uphold::case(&given, &invalid, now) {
            Some(case) => Ok(completed(case, given)),
            None => Err(invalid),
        },
    }
}

/// `case` with what is as it is given.
fn completed(case: Case, given: Given<'_>) -> Case {
    let offboarding = given.offboarding;
    Case {
        uid: offboarding.metadata.uid.clone().unwrap_or_default(),
        name: offboarding.metadata.name.clone().unwrap_or_default(),
        generation: offboarding.metadata.generation.unwrap_or_default(),
        who: person(&offboarding.spec),
        at_once: offboarding.spec.urgency == Urgency::Immediate,
        admitted: offboarding.status.as_ref().and_then(|status| status.admitted),
        untrusted: given.untrusted,
        votes: given.votes,
        connectors: given.members.len(),
        duplicates: given.duplicates,
        ..case
    }
}

/// The case, but for what is as it is given; see [`completed`].
fn usable(given: &Given<'_>, now: Timestamp) -> Result<Case, Invalid> {
    if let Some(invalid) = given.no_policy {
        return Err(invalid.clone());
    }
    let policy = &given.policy.spec;
    let zone = zone(&given.offboarding.spec, policy);
    check_names(&given.offboarding.spec)?;
    let ineligible = ineligible(given);
    let (wished, known) = wish::wished(given, zone, now)?;
    let agreement = Agreement::new(
        given,
        (wished, &known),
        &ineligible,
        zone.unwrap_or(LAST_ZONE),
        now,
    )?;
    let agreed = &agreement.end;
    let cutoff = agreed.cutoff;
    let from_cutoff = |field: &str, text: &str| {
        let length = schedule::duration(text).map_err(|e| invalid(field, e))?;
        Ok(schedule::later(cutoff, length))
    };
    let deadline = from_cutoff(
        "policy.spec.deadlines.accessRevoked",
        &policy.deadlines.access_revoked,
    )?;
    let data_deadline = from_cutoff(
        "policy.spec.deadlines.dataTransferred",
        &policy.deadlines.data_transferred,
    )?;
    let anchors = Anchors::of_names(cutoff, &agreed.dates);
    let timeline = timeline::timeline(given.policy, given, &anchors, zone.unwrap_or(LAST_ZONE))?;
    let mut systems = systems(given, agreed)?;
    let unknown_manager = unknown_manager(given, &systems)?;
    for system in &mut systems {
        let facts = facts_of(given.members, &system.row);
        let wanted = facts.iter().map(|f| (f.name.clone(), timeline.wanted(f, cutoff)));
        system.wanted = wanted.collect();
        scope::want_as_agreed(system, facts, agreed);
        attest(given, system, &ineligible);
    }
    let hold = hold(given, agreed);
    Ok(Case {
        policy: given.policy.name.clone(),
        access_deadline: deadline,
        data_deadline,
        unknown_manager,
        hold,
        ineligible,
        systems,
        ..agreement.case()
    })
}

/// The rows that today's configuration has.
fn rows_of_today(given: &Given<'_>) -> Vec<String> {
    let members = given.members.iter();
    let selected = members.filter(|member| selected(&given.policy.spec, member));
    let named = given.offboarding.spec.employee.accounts.iter();
    let named = named.map(|account| format!("{}/{}", account.connector, account.name));
    selected
        .map(|member| member.name.to_owned())
        .chain(named)
        .collect()
}

/// Adds to `system` what people said about its facts.
fn attest(given: &Given<'_>, system: &mut System, ineligible: &[String]) {
    let uid = given.offboarding.metadata.uid.clone().unwrap_or_default();
    let facts = facts_of(given.members, &system.row);
    system.attested = attested(given, &uid, connector_of(&system.row), facts, ineligible);
    waive(system, &given.votes, ineligible);
}

/// When nothing is done because of another Offboarding about the same person.
fn hold(given: &Given<'_>, agreed: &Commitment) -> Option<duplicate::Hold> {
    let status = given.offboarding.status.as_ref();
    let own = Own {
        ends: agreed.cutoff,
        immediate: given.offboarding.spec.urgency == Urgency::Immediate,
        begun: status.is_some_and(|status| has_begun(status, agreed.cutoff)),
        reinstates: agreed.reinstated,
    };
    duplicate::hold(own, &given.duplicates)
}

/// Where the manager takes over, while a directory may know who that is and was not asked.
fn unknown_manager(given: &Given<'_>, systems: &[System]) -> Result<Option<UnknownManager>, Invalid> {
    let mut rows = vec![];
    let mut asked_for = vec![];
    let unknown = successor::may_be_known(given);
    for system in systems {
        if successor::of(given, connector_of(&system.row))? == Taker::Manager {
            rows.push(system.row.clone());
        } else if system.successor_is_asked_for && unknown {
            asked_for.push(system.row.clone());
        }
    }
    let nobody = rows.is_empty() && asked_for.is_empty();
    Ok((!nobody).then(|| UnknownManager {
        rows,
        asked_for,
        fallback: successor::fallback(given),
    }))
}

/// The Connector of a row; the text after the slash is a login name.
pub fn connector_of(row: &str) -> &str {
    row.split('/').next().unwrap_or_default()
}

fn facts_of<'m>(members: &'m [Member<'_>], row: &str) -> &'m [FactSpec] {
    let own = members.iter().find(|m| m.name == connector_of(row));
    own.map_or(&[][..], |m| m.facts)
}

fn zone<'s>(spec: &'s OffboardingSpec, policy: &'s OffboardingPolicySpec) -> Option<&'s str> {
    let own = spec.cutoff.as_ref().and_then(|c| c.time_zone.as_deref());
    own.or_else(|| policy.cutoff.as_ref().and_then(|c| c.time_zone.as_deref()))
}

/// Approvers whose vote about this leaver is ignored: the leaver, also by the accounts that were found, who asked for it or
/// changed it, and other current leavers.
fn ineligible(given: &Given<'_>) -> Vec<String> {
    let spec = &given.offboarding.spec;
    let employee = &spec.employee;
    let own = [&employee.email, &employee.employee_id];
    let users = || spec.requested_by.iter().chain(&spec.changed_by);
    let people = users().filter_map(|user| (given.person_of)(user));
    let recorded = given
        .recorded
        .into_iter()
        .flat_map(|ledger| ledger.systems.values());
    let bound = recorded.filter_map(|system| system.account.as_ref());
    let bound = bound.flat_map(|account| [account.name.clone(), account.id.clone()]);
    let accounts = employee.accounts.iter().map(|account| &account.name);
    own.into_iter()
        .flatten()
        .chain(&employee.other_emails)
        .chain(users())
        .chain(accounts)
        .chain(&given.leaving)
        .cloned()
        .chain(people)
        .chain(bound)
        .collect()
}

/// The newest word about each task of `connector` by somebody who may give it, about exactly these tasks.
fn attested(
    given: &Given<'_>,
    uid: &str,
    connector: &str,
    facts: &[FactSpec],
    ineligible: &[String],
) -> BTreeMap<String, Attestation> {
    let tasks: Vec<&str> = facts
        .iter()
        .filter(|f| f.by_hand)
        .map(|f| f.name.as_str())
        .collect();
    let mut attested = BTreeMap::new();
    if tasks.is_empty() {
        return attested;
    }
    let plan = task_plan(uid, connector, tasks.iter().copied());
    // Votes come oldest first.
    let words = given.votes.iter().filter(|vote| {
        vote.gate == Gate::Task
            && vote.connector.as_deref() == Some(connector)
            && vote.plan == plan
            && vote.person.is_some()
            && !ineligible.iter().any(|name| vote.is_of(name))
    });
    for vote in words {
        for task in tasks
            .iter()
            .filter(|task| vote.fact.as_deref().is_none_or(|fact| fact == **task))
        {
            if vote.decision == Decision::Done {
                let word = Attestation {
                    by: vote.approver.clone(),
                    at: vote.at,
                    plan: plan.clone(),
                };
                attested.insert((*task).to_owned(), word);
            } else {
                attested.remove(*task);
            }
        }
    }
    attested
}

/// Names and addresses are what people read: one with a character that nobody sees finds nobody.
fn check_names(spec: &OffboardingSpec) -> Result<(), Invalid> {
    let employee = &spec.employee;
    let field = |name: &str| format!("spec.employee.{name}");
    let others = employee.other_emails.iter().enumerate();
    let accounts = employee.accounts.iter().enumerate();
    let given = (employee.email.iter().map(|email| (field("email"), email)))
        .chain(others.map(|(index, email)| (field(&format!("otherEmails[{index}]")), email)))
        .chain(
            employee
                .employee_id
                .iter()
                .map(|number| (field("employeeID"), number)),
        )
        .chain(accounts.map(|(index, known)| (field(&format!("accounts[{index}].name")), &known.name)));
    for (field, text) in given {
        if let Some(c) = text.chars().find(|c| is_invisible(*c)) {
            let problem = format!(
                "has a character that nobody sees (U+{:04X}): type it anew",
                u32::from(c)
            );
            return Err(invalid(field, problem));
        }
        let is_address = field.starts_with("spec.employee.email") || field.contains("otherEmails");
        if is_address && !leavers::is_address(text) {
            return Err(invalid(
                field,
                "is not an address: write one such as jane@example.com",
            ));
        }
    }
    Ok(())
}

fn systems(given: &Given<'_>, agreed: &Commitment) -> Result<Vec<System>, Invalid> {
    let spec = &given.offboarding.spec;
    let mut systems = vec![];
    let still_there = still_there(given, agreed);
    let still = |row: &str| still_there.contains(row);
    let is_there = |member: &&Member<'_>| selected(&given.policy.spec, member) || still(member.name);
    for member in given.members.iter().filter(is_there) {
        systems.push(system(given, member, None, agreed)?);
    }
    for (index, account) in spec.employee.accounts.iter().enumerate() {
        let field = format!("spec.employee.accounts[{index}].connector");
        if let Some(member) = member(given, &account.connector, field)? {
            systems.push(system(given, member, Some(&account.name), agreed)?);
        }
    }
    let named: Vec<String> = systems.iter().map(|system| system.row.clone()).collect();
    for row in still_there.iter().filter(|row| !named.contains(row)) {
        let own = given
            .members
            .iter()
            .find(|member| member.name == connector_of(row));
        if let (Some(member), Some((_, account))) = (own, row.split_once('/')) {
            systems.push(system(given, member, Some(account), agreed)?);
        }
    }
    // A name that fits none would hand over nothing.
    for (index, transfer) in spec.transfers.iter().enumerate() {
        if let Some(name) = &transfer.connector {
            member(given, name, format!("spec.transfers[{index}].connector"))?;
        }
    }
    Ok(systems)
}

/// The rows that are left out, and go on because nobody agreed to that.
fn still_there(given: &Given<'_>, agreed: &Commitment) -> BTreeSet<String> {
    let (Some(ledger), true) = (given.recorded, has_ended(given)) else {
        return BTreeSet::new();
    };
    let exists = |name: &str| given.members.iter().any(|member| member.name == name);
    let mut rows = scope::left_out(ledger, &rows_of_today(given), exists);
    rows.retain(|row| !agreed.reach.iter().any(|reach| reach.left_out.contains(row)));
    rows
}

/// Whether an end was agreed.
fn has_ended(given: &Given<'_>) -> bool {
    let terms = given.recorded.and_then(|ledger| ledger.terms.as_ref());
    terms.is_some_and(|terms| terms.end.is_some())
}

/// The Connector that `field` names; none for one that was there when the Offboarding was last driven and is gone: its rows are
/// in the record.
fn member<'g>(given: &Given<'g>, name: &str, field: String) -> Result<Option<&'g Member<'g>>, Invalid> {
    if let Some(member) = given.members.iter().find(|member| member.name == name) {
        return Ok(Some(member));
    }
    let status = given.offboarding.status.as_ref();
    let mut rows = status.into_iter().flat_map(|status| &status.systems);
    if rows.any(|row| connector_of(&row.name) == name) {
        return Ok(None);
    }
    let problem = format!("there is no Connector {name:?} in this namespace");
    Err(invalid(field, problem))
}

/// Whether the end of access has begun by this very date.
fn has_begun(status: &OffboardingStatus, cutoff: Timestamp) -> bool {
    let reason = |type_: &str| {
        let condition = status.conditions.iter().find(|c| c.type_ == type_);
        condition.map_or("", |c| c.reason.as_str())
    };
    let begun = [
        "Verified",
        "Revoking",
        "CannotVerify",
        "DeadlineExceeded",
        "AccessReappeared",
    ];
    let acts = !matches!(reason("Ready"), "PlanOnly" | SUSPENDED);
    let begun = acts && begun.contains(&reason("AccessRevoked"));
    status.cutoff == Some(cutoff) && (begun || status.watched.is_some())
}

fn selected(policy: &OffboardingPolicySpec, member: &Member<'_>) -> bool {
    policy
        .connectors
        .match_labels
        .iter()
        .all(|(key, value)| member.labels.get(key) == Some(value))
}

fn person(spec: &OffboardingSpec) -> Person {
    Person {
        email: spec.employee.email.clone(),
        other_emails: spec.employee.other_emails.clone(),
        employee_id: spec.employee.employee_id.clone(),
        display_name: spec.employee.display_name.clone(),
        account_name: None,
    }
}

/// The leaver by nothing but what the request is about, and what HR has.
fn certain(given: &Given<'_>) -> Person {
    let spec = &given.offboarding.spec;
    let other_emails = if given.from_hr {
        spec.employee.other_emails.clone()
    } else {
        vec![]
    };
    Person {
        other_emails,
        ..person(spec)
    }
}

fn system(
    given: &Given<'_>,
    member: &Member<'_>,
    account: Option<&str>,
    agreed: &Commitment,
) -> Result<System, Invalid> {
    let spec = &given.offboarding.spec;
    let named = spec
        .employee
        .accounts
        .iter()
        .filter(|known| known.connector == member.name);
    let kept = agreed.kept.get(member.name).cloned().unwrap_or_default();
    let reach = agreed.reach.as_ref();
    let row = account.map_or_else(
        || member.name.to_owned(),
        |account| format!("{}/{account}", member.name),
    );
    let successor = match successor::of(given, member.name)? {
        Taker::Known(person) => Some(person),
        Taker::Nobody | Taker::Manager => None,
    };
    Ok(System {
        named: named.map(|known| known.name.clone()).collect(),
        who: Person {
            account_name: account.map(str::to_owned),
            ..person(spec)
        },
        certain: certain(given),
        successor_is_asked_for: successor
            .as_ref()
            .is_some_and(|taker| successor::is_asked_for(given, member.name, taker)),
        successor,
        kept_until: kept.all,
        kept_facts: kept.facts,
        observe_only: reach.is_some_and(|reach| reach.observed.contains(&row)),
        shielded: reach.is_some_and(|reach| reach.protected.contains(&row)),
        row,
        ..System::default()
    })
}

#[cfg(test)]
mod tests;
