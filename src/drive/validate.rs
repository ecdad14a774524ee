//! From the kinds users write to a [`Case`]: everything that can be wrong is found here, with its field and the fix.

mod agreement;
mod policy;
mod successor;
mod timeline;

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use policy::{Chosen, check, choose, rules};

use self::{agreement::Agreement, successor::Taker};
use super::Link;
use crate::{
    api::{
        Condition, Connector, Offboarding, OffboardingPolicySpec, OffboardingStatus,
        connector::{ConnectorMode, ConnectorSpec},
        offboarding::{Desired, LegalHold, OffboardingSpec, Urgency},
        policy::Enforcement,
    },
    core::{
        case::{Case, SUSPENDED, System, UnknownManager},
        commitment::{Commitment, Kept},
        duplicate::{self, Duplicate, Own},
        fact::FactSpec,
        gate::{Attestation, Decision, Gate, Safeguards, Vote, task_plan},
        identity::{Person, is_invisible},
        leavers,
        ledger::Ledger,
        schedule::{self, Anchors, LAST_ZONE},
        scope::waive,
    },
};

/// Used where neither the Offboarding nor the policy names a time of day.
const DEFAULT_TIME: &str = "17:00";

/// A last day before this is a mistake in the year, when it is first read.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// So is one that is further ahead.
const NEVER: SignedDuration = SignedDuration::from_hours(100 * 365 * 24);

/// Reasons of `AccessRevoked` once the end of access has begun.
pub const BEGUN: [&str; 5] = [
    "Verified",
    "Revoking",
    "CannotVerify",
    "DeadlineExceeded",
    "AccessReappeared",
];

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
    /// The policy that was chosen.
    pub policy: &'a Chosen,
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

/// Makes a case.
///
/// # Errors
/// The first field that cannot be used.
pub fn validate(given: Given<'_>, now: Timestamp) -> Result<Case, Invalid> {
    let (offboarding, policy) = (given.offboarding, &given.policy.spec);
    let spec = &offboarding.spec;
    let zone = zone(spec, policy);
    check_names(spec)?;
    let earlier = offboarding
        .status
        .as_ref()
        .filter(|status| !has_come_back(spec, status));
    let earlier = earlier.and_then(|status| status.cutoff);
    let known = offboarding.status.as_ref().and_then(|status| status.cutoff);
    let at_once = given.recorded.and_then(|ledger| ledger.at_once);
    let earlier = at_once.or(earlier).or_else(|| made_as_it_is(offboarding));
    let cutoff = cutoff(spec, policy, zone, (earlier, known), now)?;
    let wished = Commitment {
        cutoff,
        dates: anchors(offboarding, cutoff, zone)?.named(),
        watched_for: schedule::duration(&policy.recheck.for_)
            .map_err(|e| invalid("policy.spec.recheck.for", e))?,
        kept: exceptions(&given, zone)?,
        suspended: spec.suspend,
        plan_only: policy.enforcement == Enforcement::Plan,
        deletes: spec.legal_hold == LegalHold::None,
        reinstated: spec.desired == Desired::Reinstated,
    };
    let ineligible = ineligible(&given);
    let uid = offboarding.metadata.uid.clone().unwrap_or_default();
    let agreement = Agreement::new(&given, wished, &ineligible, zone.unwrap_or(LAST_ZONE), now)?;
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
    let recheck_every = schedule::duration(&policy.recheck.every);
    let anchors = Anchors::of_names(cutoff, &agreed.dates);
    let timeline = timeline::timeline(given.policy, &given, &anchors, zone.unwrap_or(LAST_ZONE))?;
    let mut systems = systems(&given, agreed)?;
    let unknown_manager = unknown_manager(&given, &systems)?;
    for system in &mut systems {
        let facts = facts_of(given.members, &system.row);
        let wanted = facts.iter().map(|f| (f.name.clone(), timeline.wanted(f, cutoff)));
        system.wanted = wanted.collect();
        system.attested = attested(&given, &uid, connector_of(&system.row), facts, &ineligible);
        waive(system, &given.votes, &ineligible);
    }
    let own = Own {
        ends: cutoff,
        immediate: spec.urgency == Urgency::Immediate,
        begun: offboarding
            .status
            .as_ref()
            .is_some_and(|status| has_begun(status, cutoff)),
        reinstates: agreed.reinstated,
    };
    Ok(Case {
        uid,
        name: offboarding.metadata.name.clone().unwrap_or_default(),
        generation: offboarding.metadata.generation.unwrap_or_default(),
        policy: given.policy.name.clone(),
        who: person(spec),
        cutoff,
        at_once: spec.urgency == Urgency::Immediate,
        access_deadline: deadline,
        data_deadline,
        enforce: !agreed.plan_only,
        suspended: agreed.suspended,
        legal_hold: !agreed.deletes,
        reinstate: agreed.reinstated,
        guard: agreement.guard,
        asks_people: agreement.asks_people,
        gates: agreement.gates,
        loosenings: agreement.loosenings,
        terms: agreement.terms,
        admitted: offboarding.status.as_ref().and_then(|status| status.admitted),
        untrusted: given.untrusted,
        ineligible,
        votes: given.votes,
        recheck_until: schedule::later(cutoff, agreement.end.watched_for),
        recheck_every: recheck_every.map_err(|e| invalid("policy.spec.recheck.every", e))?,
        unknown_manager,
        hold: duplicate::hold(own, &given.duplicates),
        duplicates: given.duplicates,
        connectors: given.members.len(),
        systems,
    })
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
    for member in given.members.iter().filter(|m| selected(&given.policy.spec, m)) {
        systems.push(system(given, member, None, agreed)?);
    }
    for (index, account) in spec.employee.accounts.iter().enumerate() {
        let field = format!("spec.employee.accounts[{index}].connector");
        if let Some(member) = member(given, &account.connector, field)? {
            systems.push(system(given, member, Some(&account.name), agreed)?);
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

/// The instants that a policy counts from. What HR did not say follows the last day of work; that is the field's rule, and
/// never earlier than it.
fn anchors(offboarding: &Offboarding, cutoff: Timestamp, zone: Option<&str>) -> Result<Anchors, Invalid> {
    let spec = &offboarding.spec;
    let dates = spec.dates.clone().unwrap_or_default();
    let zone = zone.unwrap_or(LAST_ZONE);
    let end = |field: &str, date: Option<&String>| {
        let end = date.map(|date| schedule::end_of_day(date, zone)).transpose();
        end.map_err(|e| invalid(format!("spec.{field}"), e))
    };
    let last_day = end("lastDay", spec.last_day.as_ref())?.map_or(cutoff, |end| end.max(cutoff));
    let employment_ends = end("dates.employmentEnds", dates.employment_ends.as_ref())?.unwrap_or(last_day);
    let paid_through = end("dates.paidThrough", dates.paid_through.as_ref())?.unwrap_or(employment_ends);
    let made = offboarding.metadata.creation_timestamp.as_ref();
    let notice = match &dates.notice {
        Some(date) => schedule::start_of_day(date, zone).map_err(|e| invalid("spec.dates.notice", e))?,
        None => made.map_or(cutoff, |made| made.0).min(cutoff),
    };
    Ok(Anchors {
        notice,
        cutoff,
        employment_ends,
        paid_through,
    })
}

/// Whether somebody leaves again who was given everything back: their access ends anew, and not when it did before.
fn has_come_back(spec: &OffboardingSpec, status: &OffboardingStatus) -> bool {
    let back = |condition: &Condition| condition.type_ == "Ready" && condition.reason == "Reinstated";
    spec.desired == Desired::Offboarded && status.conditions.iter().any(back)
}

/// Whether the end of access has begun by this very date.
fn has_begun(status: &OffboardingStatus, cutoff: Timestamp) -> bool {
    let reason = |type_: &str| {
        let condition = status.conditions.iter().find(|c| c.type_ == type_);
        condition.map_or("", |c| c.reason.as_str())
    };
    let acts = !matches!(reason("Ready"), "PlanOnly" | SUSPENDED);
    status.cutoff == Some(cutoff) && acts && BEGUN.contains(&reason("AccessRevoked"))
}

/// When an Offboarding was made that nobody has changed since.
fn made_as_it_is(offboarding: &Offboarding) -> Option<Timestamp> {
    let about = &offboarding.metadata;
    let made = about.creation_timestamp.as_ref()?;
    (about.generation == Some(1)).then_some(made.0)
}

/// When access ends. `Immediate` means the moment when that was asked for: when the object was made, else the first moment
/// we heard of it, which the record and the status remember. It must not move in a crash before the first status: accounts are made to
/// expire at it. `known` is the one that the status has.
fn cutoff(
    spec: &OffboardingSpec,
    policy: &OffboardingPolicySpec,
    zone: Option<&str>,
    (earlier, known): (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<Timestamp, Invalid> {
    if spec.urgency == Urgency::Immediate {
        return Ok(earlier.filter(|at| *at <= now).unwrap_or(now));
    }
    let day = spec.last_day.as_deref();
    let day = day.ok_or_else(|| invalid("spec.lastDay", "set either lastDay, or urgency: Immediate"))?;
    let time = spec.cutoff.as_ref().and_then(|c| c.time.as_deref());
    let time = time
        .or_else(|| policy.cutoff.as_ref().and_then(|c| c.time.as_deref()))
        .unwrap_or(DEFAULT_TIME);
    let at = schedule::cutoff(day, time, zone.unwrap_or(LAST_ZONE)).map_err(|e| {
        use schedule::Error::{Time, Zone};
        let own = spec.cutoff.as_ref();
        let field = match e {
            Time(_) if own.is_some_and(|c| c.time.is_some()) => "spec.cutoff.time",
            Time(_) => "policy.spec.cutoff.time",
            Zone(_) if own.is_some_and(|c| c.time_zone.is_some()) => "spec.cutoff.timeZone",
            Zone(_) => "policy.spec.cutoff.timeZone",
            _ => "spec.lastDay",
        };
        invalid(field, e)
    })?;
    if known != Some(at) {
        plausible(at, now)?;
    }
    if zone.is_none() && at > now {
        let problem = "the employee's time zone is not known: set it here, or cutoff.timeZone in the policy";
        return Err(invalid("spec.cutoff.timeZone", problem));
    }
    Ok(at)
}

/// Refuses a year that somebody mistyped: access would end now, or never.
fn plausible(at: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    let problem = match () {
        () if at < schedule::later(now, -LONG_AGO) => {
            "is more than twenty years ago: check the year; if access is to end now, set urgency: Immediate"
        }
        () if at > schedule::later(now, NEVER) => "is more than a hundred years ahead: check the year",
        () => return Ok(()),
    };
    Err(invalid("spec.lastDay", problem))
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
    let successor = match successor::of(given, member.name)? {
        Taker::Known(person) => Some(person),
        Taker::Nobody | Taker::Manager => None,
    };
    Ok(System {
        named: named.map(|known| known.name.clone()).collect(),
        row: account.map_or_else(
            || member.name.to_owned(),
            |account| format!("{}/{account}", member.name),
        ),
        who: Person {
            account_name: account.map(str::to_owned),
            ..person(spec)
        },
        certain: Person {
            other_emails: if given.from_hr {
                spec.employee.other_emails.clone()
            } else {
                vec![]
            },
            ..person(spec)
        },
        successor_is_asked_for: successor
            .as_ref()
            .is_some_and(|taker| successor::is_asked_for(given, member.name, taker)),
        successor,
        kept_until: kept.all,
        kept_facts: kept.facts,
        observe_only: member.spec.mode == ConnectorMode::Observe,
        ..System::default()
    })
}

/// What the exceptions leave alone, by connector.
fn exceptions(given: &Given<'_>, zone: Option<&str>) -> Result<BTreeMap<String, Kept>, Invalid> {
    let mut all: BTreeMap<String, Kept> = BTreeMap::new();
    for (index, exception) in given.offboarding.spec.exceptions.iter().enumerate() {
        let field = format!("spec.exceptions[{index}]");
        // A name that fits none would leave alone nothing.
        let member = member(given, &exception.connector, format!("{field}.connector"))?;
        let until = schedule::end_of_day(&exception.until, zone.unwrap_or(LAST_ZONE));
        let until = until.map_err(|e| invalid(format!("{field}.until"), e))?;
        let kept = all.entry(exception.connector.clone()).or_default();
        if exception.facts.is_empty() {
            kept.all = kept.all.max(Some(until));
        }
        for fact in &exception.facts {
            // A broken connector hides its facts.
            let facts = member.map_or(&[][..], |member| member.facts);
            if !facts.is_empty() && !facts.iter().any(|f| f.name == *fact) {
                let problem = format!("{:?} has no fact {fact:?}", exception.connector);
                return Err(invalid(format!("{field}.facts"), problem));
            }
            kept.facts.insert(fact.clone(), until);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
