use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::{
    api::connector::ConnectorMode,
    core::{case::Wanted, fact::Class},
};

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Jane, who leaves on the last day of September in Berlin, with more in her spec.
pub(super) fn jane(more: &Value) -> Offboarding {
    let mut leaver = json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "Offboarding", "metadata": {"name": "jane", "uid": "u1"},
        "spec": {"employee": {"email": "jane@example.com"}, "lastDay": "2026-09-30", "cutoff": {"timeZone": "Europe/Berlin"}},
    });
    for (field, value) in more.as_object().unwrap() {
        leaver["spec"][field] = value.clone();
    }
    serde_json::from_value(leaver).unwrap()
}

pub(super) fn policy(spec: Value) -> OffboardingPolicySpec {
    serde_json::from_value(spec).unwrap()
}

pub(super) fn chosen(spec: Value) -> Chosen {
    Chosen {
        name: Some("default".into()),
        spec: policy(spec),
    }
}

pub(super) fn fact(name: &str, class: Class) -> FactSpec {
    FactSpec::plain(name, class)
}

/// A Connector of a company and what its definition can prove.
pub(super) struct Company {
    spec: ConnectorSpec,
    labels: BTreeMap<String, String>,
    facts: Vec<FactSpec>,
}

impl Company {
    pub(super) fn new() -> Self {
        Self {
            spec: serde_json::from_value(json!({"definition": "crm"})).unwrap(),
            labels: BTreeMap::from([("site".to_owned(), "berlin".to_owned())]),
            facts: vec![
                fact("AccountDisabled", Class::Access),
                fact("GroupsRemoved", Class::Entitlements),
                fact("FilesHandedOver", Class::Data),
                fact("AccountDeleted", Class::Deletion),
            ],
        }
    }

    pub(super) fn members(&self) -> Vec<Member<'_>> {
        let member = |name, facts| Member {
            name,
            labels: &self.labels,
            spec: &self.spec,
            facts,
            knows_managers: false,
        };
        vec![member("crm", &self.facts), member("broken", &[])]
    }
}

/// The case of `leaver` under `policy`.
pub(super) fn case(leaver: &Offboarding, policy: &Chosen) -> Result<Case, Invalid> {
    let company = Company::new();
    validate(
        Given::alone(leaver, policy, &company.members()),
        at("2026-09-01T12:00:00Z"),
    )
}

/// The field that is wrong, whose fix speaks of `fix`.
#[track_caller]
pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Invalid>, field: &str, fix: &str) {
    let invalid = result.unwrap_err();
    assert_eq!(invalid.field, field, "{invalid}");
    assert!(invalid.problem.contains(fix), "{invalid}");
}

fn system<'c>(case: &'c Case, row: &str) -> &'c System {
    case.systems.iter().find(|system| system.row == row).unwrap()
}

#[test]
fn an_immediate_cutoff_is_when_it_was_asked_for_however_often_we_begin_anew() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut leaver = jane(&json!({"urgency": "Immediate", "lastDay": null}));
    let cutoff = |leaver: &Offboarding, now| {
        validate(Given::alone(leaver, &Chosen::default(), &[]), now)
            .unwrap()
            .cutoff
    };
    // A file: nobody knows since when.
    assert_eq!(cutoff(&leaver, at(70)), at(70));
    leaver.metadata.creation_timestamp = Some(Time(at(50)));
    leaver.metadata.generation = Some(1);
    assert_eq!(cutoff(&leaver, at(70)), at(50));
    assert_eq!(cutoff(&leaver, at(90)), at(50));
    // Made urgent later: when that was, only the status and the record tell.
    leaver.metadata.generation = Some(2);
    assert_eq!(cutoff(&leaver, at(90)), at(90));
    leaver.status.get_or_insert_default().cutoff = Some(at(80));
    assert_eq!(cutoff(&leaver, at(90)), at(80));
    // The record is written before the status: the process may end in between.
    let policy = Chosen::default();
    let recorded = Ledger {
        at_once: Some(at(85)),
        ..Ledger::default()
    };
    let given = Given {
        recorded: Some(&recorded),
        ..Given::alone(&leaver, &policy, &[])
    };
    assert_eq!(validate(given, at(90)).unwrap().cutoff, at(85));
}

#[test]
fn a_cutoff_is_the_leavers_time_of_day_before_the_policys_and_a_zone_is_never_guessed() {
    let policy = chosen(json!({"cutoff": {"time": "12:00", "timeZone": "Asia/Tokyo"}}));
    let cutoff = |leaver: &Value, policy: &Chosen| case(&jane(leaver), policy).map(|case| case.cutoff);
    let own = json!({"cutoff": {"time": "18:00", "timeZone": "Europe/Berlin"}});
    assert_eq!(cutoff(&own, &policy), Ok(at("2026-09-30T16:00:00Z")));
    assert_eq!(
        cutoff(&json!({}), &policy),
        Ok(at("2026-09-30T10:00:00Z")),
        "the leaver's zone"
    );
    assert_eq!(
        cutoff(&json!({"cutoff": null}), &policy),
        Ok(at("2026-09-30T03:00:00Z")),
        "the policy's"
    );
    let none = Chosen::default();
    assert_eq!(
        cutoff(&json!({}), &none),
        Ok(at("2026-09-30T15:00:00Z")),
        "at five"
    );
    refused(
        cutoff(&json!({"cutoff": null}), &none),
        "spec.cutoff.timeZone",
        "cutoff.timeZone in the policy",
    );
    let past = json!({"cutoff": null, "lastDay": "2026-08-01"});
    assert_eq!(
        cutoff(&past, &none),
        Ok(at("2026-08-02T05:00:00Z")),
        "over everywhere: no zone is needed"
    );
    let wrong = |zone: &str| json!({"cutoff": {"timeZone": zone}});
    refused(
        cutoff(&wrong("Mars/Base"), &none),
        "spec.cutoff.timeZone",
        "Mars/Base",
    );
    let policy = chosen(json!({"cutoff": {"time": "25:00"}}));
    refused(cutoff(&json!({}), &policy), "policy.spec.cutoff.time", "25:00");
    refused(
        cutoff(&json!({"lastDay": null}), &none),
        "spec.lastDay",
        "urgency: Immediate",
    );
}

#[test]
fn what_hr_does_not_say_follows_the_last_day_and_is_never_earlier() {
    let timeline = json!({"timeline": [
        {"want": ["FilesHandedOver"], "at": "paidThrough"}, {"want": ["GroupsRemoved"], "at": "employmentEnds"}]});
    let wanted = |more: &Value| {
        let case = case(&jane(more), &chosen(timeline.clone())).unwrap();
        let wanted = &system(&case, "crm").wanted;
        (wanted["GroupsRemoved"], wanted["FilesHandedOver"])
    };
    let end = |text: &str| Wanted::At(at(text));
    let last = end("2026-09-30T22:00:00Z");
    assert_eq!(
        wanted(&json!({})),
        (last, last),
        "the end of the last day, in Berlin"
    );
    assert_eq!(
        wanted(&json!({"dates": {"employmentEnds": "2026-10-31"}})),
        (end("2026-10-31T23:00:00Z"), end("2026-10-31T23:00:00Z"))
    );
    assert_eq!(
        wanted(&json!({"dates": {"paidThrough": "2026-12-31"}})),
        (last, end("2026-12-31T23:00:00Z"))
    );
    let notice = jane(&json!({"dates": {"notice": "soon"}}));
    refused(case(&notice, &Chosen::default()), "spec.dates.notice", "soon");
}

#[test]
fn an_exception_keeps_a_system_or_some_facts_until_the_end_of_its_day() {
    let except = |more: &Value| {
        let mut exception = json!({"connector": "crm", "until": "2026-12-31", "reason": "closes the books"});
        for (field, value) in more.as_object().unwrap() {
            exception[field] = value.clone();
        }
        case(&jane(&json!({"exceptions": [exception]})), &Chosen::default())
    };
    let until = at("2026-12-31T23:00:00Z");
    let whole = except(&json!({})).unwrap();
    assert_eq!(system(&whole, "crm").kept_until, Some(until));
    assert_eq!(system(&whole, "broken").kept_until, None);
    let some = except(&json!({"facts": ["GroupsRemoved"]})).unwrap();
    assert_eq!(system(&some, "crm").kept_until, None);
    assert_eq!(
        system(&some, "crm").kept_facts,
        BTreeMap::from([("GroupsRemoved".to_owned(), until)])
    );
    refused(
        except(&json!({"facts": ["GroupsRemovd"]})),
        "spec.exceptions[0].facts",
        "no fact \"GroupsRemovd\"",
    );
    refused(
        except(&json!({"until": "2026-02-30"})),
        "spec.exceptions[0].until",
        "2026-02-30",
    );
    assert!(
        except(&json!({"connector": "broken", "facts": ["Anything"]})).is_ok(),
        "a broken connector hides its facts"
    );
}

#[test]
fn of_two_exceptions_of_one_system_the_longer_counts() {
    let one = |until: &str| json!({"connector": "crm", "until": until, "reason": "x"});
    let both = json!({"exceptions": [one("2026-12-31"), one("2026-11-30")]});
    let case = case(&jane(&both), &Chosen::default()).unwrap();
    assert_eq!(system(&case, "crm").kept_until, Some(at("2026-12-31T23:00:00Z")));
}

fn waiver(by: &str, connector: &str, fact: &str) -> Vote {
    Vote {
        id: "a1".into(),
        name: "waiver".into(),
        gate: Gate::Waiver,
        connector: Some(connector.into()),
        fact: Some(fact.into()),
        plan: String::new(),
        approver: by.into(),
        person: Some(by.into()),
        on_behalf_of: None,
        principal: None,
        decision: Decision::Approved,
        at: at("2026-09-01T00:00:00Z"),
        until: Some(at("2026-10-15T00:00:00Z")),
    }
}

#[test]
fn a_waiver_keeps_one_fact_of_one_system_and_nobody_waives_their_own() {
    let leaver = jane(&json!({"requestedBy": "rita"}));
    let kept = |vote: Vote| {
        let company = Company::new();
        let (policy, members) = (Chosen::default(), company.members());
        let given = Given {
            votes: vec![vote],
            leaving: vec!["leo".into()],
            ..Given::alone(&leaver, &policy, &members)
        };
        let case = validate(given, at("2026-09-01T12:00:00Z")).unwrap();
        system(&case, "crm")
            .kept_facts
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(kept(waiver("alice", "crm", "GroupsRemoved")), ["GroupsRemoved"]);
    for partial in ["rita", "jane@example.com", "oidc:JANE@example.com", "leo"] {
        assert_eq!(
            kept(waiver(partial, "crm", "GroupsRemoved")),
            [""; 0],
            "{partial}"
        );
    }
    assert_eq!(kept(waiver("alice", "broken", "GroupsRemoved")), [""; 0]);
    let denied = Vote {
        decision: Decision::Denied,
        ..waiver("alice", "crm", "GroupsRemoved")
    };
    assert_eq!(kept(denied), [""; 0]);
}

#[test]
fn a_policy_selects_systems_by_label_and_named_accounts_are_rows_of_their_own() {
    let berlin = |site: &str| chosen(json!({"connectors": {"matchLabels": {"site": site}}}));
    let rows = |leaver: &Offboarding, policy: &Chosen| {
        let case = case(leaver, policy).unwrap();
        case.systems.iter().map(|s| s.row.clone()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&jane(&json!({})), &berlin("berlin")), ["crm", "broken"]);
    assert_eq!(rows(&jane(&json!({})), &berlin("ulm")), [""; 0]);
    let accounts = |connector: &str| json!({"employee": {"email": "j@x", "accounts": [{"connector": connector, "name": "adm"}]}});
    assert_eq!(rows(&jane(&accounts("crm")), &berlin("ulm")), ["crm/adm"]);
    refused(
        case(&jane(&accounts("erp")), &Chosen::default()),
        "spec.employee.accounts[0].connector",
        "no Connector \"erp\"",
    );
}

#[test]
fn another_offboarding_about_the_same_person_holds_up_the_earlier_date_only() {
    use crate::core::duplicate::Duplicate;
    let policy = chosen(json!({}));
    let company = Company::new();
    let held = |leaver: &Offboarding, ends: &str| {
        let duplicates = vec![Duplicate {
            name: "again".into(),
            ends: Some(at(ends)),
            reinstates: false,
        }];
        let members = company.members();
        let given = Given {
            duplicates,
            ..Given::alone(leaver, &policy, &members)
        };
        let now = at("2026-09-01T12:00:00Z");
        let case = validate(given, now).unwrap();
        (case.is_held(now), case.duplicates.len())
    };
    let (before, after) = ("2026-08-01T00:00:00Z", "2027-01-31T16:00:00Z");
    assert_eq!(held(&jane(&json!({})), after), (true, 1));
    assert_eq!(held(&jane(&json!({})), before), (false, 1));
    assert_eq!(held(&jane(&json!({"urgency": "Immediate"})), after), (false, 1));
    // Nothing is given back from the other's date on.
    assert_eq!(held(&jane(&json!({"desired": "Reinstated"})), after), (false, 1));
    assert_eq!(held(&jane(&json!({"desired": "Reinstated"})), before), (true, 1));
    let known = |ready: &str, access: (&str, &str), cutoff: &str| {
        let condition = |type_: &str, (status, reason): (&str, &str)| json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": cutoff});
        let mut leaver = jane(&json!({}));
        leaver.status = serde_json::from_value(json!({
            "observedGeneration": 1, "cutoff": cutoff,
            "conditions": [condition("Ready", ("False", ready)), condition("AccessRevoked", access)],
        }))
        .unwrap();
        held(&leaver, after).0
    };
    let own = "2026-09-30T15:00:00Z";
    for (ready, access, cutoff, is_held) in [
        ("Offboarded", ("True", "Verified"), own, false),
        ("Revoking", ("False", "Revoking"), own, false),
        ("Unreachable", ("Unknown", "CannotVerify"), own, false),
        ("DeadlineExceeded", ("False", "DeadlineExceeded"), own, false),
        // Another date was meant, or nothing was done by it.
        ("Revoking", ("False", "Revoking"), "2026-09-29T15:00:00Z", true),
        ("Scheduled", ("Unknown", "NotDue"), own, true),
        ("PlanOnly", ("False", "Revoking"), own, true),
        ("Suspended", ("False", "Revoking"), own, true),
        (
            "DuplicateOffboarding",
            ("False", "DuplicateOffboarding"),
            own,
            true,
        ),
    ] {
        assert_eq!(
            known(ready, access, cutoff),
            is_held,
            "{ready} {access:?} {cutoff}"
        );
    }
}

#[test]
fn a_year_that_somebody_mistyped_ends_no_access_and_keeps_none() {
    let dated = |day: &str| {
        case(
            &jane(&json!({"lastDay": day})),
            &chosen(json!({"cutoff": {"timeZone": "Europe/Berlin"}})),
        )
    };
    for day in ["1026-09-30", "2206-09-30"] {
        refused(dated(day), "spec.lastDay", "check the year");
    }
    for day in ["2020-01-02", "2099-01-31"] {
        assert!(dated(day).is_ok(), "{day}");
    }
    for day in ["20260930", "2026-9-30", "2026-09-30T12:00"] {
        refused(dated(day), "spec.lastDay", "write YYYY-MM-DD");
    }
}

#[test]
fn what_is_no_address_finds_nobody_and_is_refused() {
    for (field, employee) in [
        ("spec.employee.email", json!({"email": "mailto:jane@example.com"})),
        ("spec.employee.email", json!({"email": "Jane <jane@example.com>"})),
        (
            "spec.employee.otherEmails[1]",
            json!({"email": "jane@example.com", "otherEmails": ["j@example.com", "jane"]}),
        ),
    ] {
        let leaver = jane(&json!({"employee": employee}));
        refused(
            case(&leaver, &chosen(json!({"cutoff": {"timeZone": "Europe/Berlin"}}))),
            field,
            "is not an address",
        );
    }
}

/// What is recorded of Jane, whose access ended on the last day of September: an account in `crm`, and one who was looked for in
/// `broken`.
fn ended() -> Ledger {
    let company = Company::new();
    let (leaver, policy, members) = (jane(&json!({})), Chosen::default(), company.members());
    let mut ledger = Ledger::default();
    let system = ledger.systems.entry("crm".into()).or_default();
    let bound = json!({"id": "7", "name": "jane", "boundAt": "2026-09-30T15:00:00Z"});
    system.account = Some(serde_json::from_value(bound).unwrap());
    for fact in &company.facts {
        system.scope.insert(fact.name.clone(), fact.class);
    }
    let given = Given {
        recorded: Some(&ledger),
        ..Given::alone(&leaver, &policy, &members)
    };
    ledger.terms = Some(validate(given, at("2026-10-01T12:00:00Z")).unwrap().terms);
    assert!(ledger.terms.as_ref().unwrap().end.is_some());
    ledger
}

/// The case of Jane in the afternoon of 1 October, with `more` in her spec and in the policy.
fn afterwards(
    ledger: &Ledger,
    more: &Value,
    spec: Value,
    no_policy: Option<&Invalid>,
) -> Result<Case, Invalid> {
    let company = Company::new();
    let (leaver, policy, members) = (jane(more), chosen(spec), company.members());
    let given = Given {
        recorded: Some(ledger),
        no_policy,
        ..Given::alone(&leaver, &policy, &members)
    };
    validate(given, at("2026-10-01T15:00:00Z"))
}

#[test]
fn what_was_agreed_goes_on_whatever_cannot_be_read_any_more() {
    let ledger = ended();
    let gone = invalid("spec.policyRef.name", "there is no OffboardingPolicy \"x\"");
    let nothing = || json!({});
    for (more, policy, no_policy, field) in [
        (json!({"lastDay": "soon"}), nothing(), None, "spec.lastDay"),
        (
            json!({"cutoff": {"timeZone": "Mars/Base"}}),
            nothing(),
            None,
            "spec.cutoff.timeZone",
        ),
        (
            json!({"exceptions": [{"connector": "cmr", "until": "2026-12-31", "reason": "x"}]}),
            nothing(),
            None,
            "spec.exceptions[0].connector",
        ),
        (
            json!({"transfers": [{"what": "Files", "connector": "cmr", "to": "bob@example.com"}]}),
            nothing(),
            None,
            "spec.transfers[0].connector",
        ),
        (
            nothing(),
            json!({"recheck": {"for": "ever"}}),
            None,
            "policy.spec.recheck.for",
        ),
        (
            nothing(),
            json!({"recheck": {"every": "often"}}),
            None,
            "policy.spec.recheck.every",
        ),
        (
            nothing(),
            json!({"deadlines": {"accessRevoked": "at some time"}}),
            None,
            "policy.spec.deadlines.accessRevoked",
        ),
        (
            nothing(),
            json!({"timeline": [{"want": ["Access"], "at": "never"}]}),
            None,
            "policy.spec.timeline[0].at",
        ),
        (nothing(), nothing(), Some(&gone), "spec.policyRef.name"),
    ] {
        let case = afterwards(&ledger, &more, policy, no_policy).unwrap();
        let why = case.invalid.as_ref().unwrap();
        assert!(why.starts_with(&format!("{field}: ")), "{why}");
        assert_eq!(case.cutoff, at("2026-09-30T15:00:00Z"));
        assert!(case.enforce && !case.suspended && case.recheck_until > at("2026-12-01T00:00:00Z"));
        assert_eq!(case.recheck_every, SignedDuration::from_hours(6), "{field}");
        assert_eq!(Some(&case.terms), ledger.terms.as_ref());
        let [system] = &case.systems[..] else {
            panic!("{field}: {:?}", case.systems)
        };
        let wanted: Vec<_> = system
            .wanted
            .iter()
            .map(|(fact, at)| (fact.as_str(), *at))
            .collect();
        let ends = Wanted::At(case.cutoff);
        assert_eq!(wanted, [("AccountDisabled", ends), ("GroupsRemoved", ends)]);
        assert_eq!(system.successor, None);
    }
}

#[test]
fn what_is_invalid_before_an_end_was_agreed_or_after_it_was_given_back_stops() {
    let mut ledger = ended();
    let wrong = json!({"lastDay": "soon"});
    let given_back = ledger.terms.as_mut().unwrap().end.as_mut().unwrap();
    given_back.end.reinstated = true;
    refused(
        afterwards(&ledger, &wrong, json!({}), None),
        "spec.lastDay",
        "soon",
    );
    refused(
        afterwards(&Ledger::default(), &wrong, json!({}), None),
        "spec.lastDay",
        "soon",
    );
}

#[test]
fn what_people_agreed_to_leave_out_stays_so_when_nothing_can_be_read() {
    let mut ledger = ended();
    let end = ledger.terms.as_mut().unwrap().end.as_mut().unwrap();
    let reach = end.end.reach.as_mut().unwrap();
    reach.left_out.insert("crm".into());
    let case = afterwards(&ledger, &json!({"lastDay": "soon"}), json!({}), None).unwrap();
    assert!(case.invalid.is_some() && case.systems.is_empty());
}

#[test]
fn a_system_that_is_dropped_or_only_looked_at_goes_on_as_agreed() {
    let ledger = ended();
    let dropped = json!({"connectors": {"matchLabels": {"site": "paris"}}});
    let case = afterwards(&ledger, &json!({}), dropped.clone(), None).unwrap();
    assert_eq!(case.systems.len(), 0, "nothing is gated here: it needs no yes");

    let safeguards = Safeguards::default();
    let company = Company::new();
    let observes = ConnectorSpec {
        mode: ConnectorMode::Observe,
        ..company.spec.clone()
    };
    let mut members = company.members();
    for member in &mut members {
        member.spec = &observes;
    }
    let (leaver, policy) = (jane(&json!({})), chosen(dropped));
    let given = |ledger| Given {
        recorded: Some(ledger),
        safeguards: &safeguards,
        ..Given::alone(&leaver, &policy, &members)
    };
    let case = validate(given(&ledger), at("2026-10-01T15:00:00Z")).unwrap();
    let [system] = &case.systems[..] else {
        panic!("{:?}", case.systems)
    };
    assert!(system.row == "crm" && !system.observe_only);
    assert_eq!(case.loosenings.len(), 1);
    let unknown = Ledger {
        systems: BTreeMap::new(),
        ..ledger.clone()
    };
    let case = validate(given(&unknown), at("2026-10-01T15:00:00Z")).unwrap();
    assert_eq!((case.systems.len(), case.loosenings.len()), (0, 0));
}
