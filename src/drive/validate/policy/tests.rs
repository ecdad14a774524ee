use serde_json::json;

use super::{
    super::tests::{Company, jane, policy, refused},
    *,
};

/// The name of the policy that is chosen of these.
fn choice(leaver: &Offboarding, policies: &[(&str, Value)]) -> Result<Option<String>, Invalid> {
    let policies: Vec<_> = policies
        .iter()
        .map(|(name, spec)| (*name, policy(spec.clone())))
        .collect();
    choose(leaver, policies.iter().map(|(name, spec)| (*name, spec))).map(|chosen| chosen.name)
}

fn sound(spec: Value) -> Result<(), Invalid> {
    let company = Company::new();
    // A broken connector hides its facts, and lets any name through.
    check("this", &policy(spec), &company.members()[..1], [])
}

#[test]
fn the_highest_priority_of_those_that_fit_is_chosen_then_the_default_then_none() {
    let policies = [
        ("default", json!({})),
        ("never", json!({"when": "false", "priority": 99})),
        (
            "dismissal",
            json!({"when": "offboarding.reason == 'Dismissal'", "priority": 20}),
        ),
        (
            "germany",
            json!({"when": "employee.country == 'DE'", "priority": 10}),
        ),
        ("by-name-only", json!({"priority": 100, "selectable": true})),
    ];
    let chosen = |more: &Value| choice(&jane(more), &policies).unwrap().unwrap();
    assert_eq!(chosen(&json!({})), "default");
    assert_eq!(chosen(&json!({"profile": {"country": "DE"}})), "germany");
    let both = json!({"profile": {"country": "DE"}, "reason": "Dismissal"});
    assert_eq!(chosen(&both), "dismissal");
    assert_eq!(
        chosen(&json!({"policyRef": {"name": "by-name-only"}})),
        "by-name-only"
    );
    assert_eq!(
        choice(&jane(&json!({})), &policies[1..]),
        Ok(None),
        "the built-in one"
    );
}

#[test]
fn who_asks_does_not_choose_a_weaker_policy_unless_it_may_be_chosen() {
    let policies = [
        ("default", json!({"gates": [{"gate": "Delete", "approvals": 2}]})),
        (
            "interns",
            json!({"when": "employee.country == 'US'", "priority": 1}),
        ),
        ("short", json!({"selectable": true})),
    ];
    let named = |name: &str| choice(&jane(&json!({"policyRef": {"name": name}})), &policies);
    refused(named("interns"), "spec.policyRef.name", "may not be chosen");
    assert_eq!(named("short"), Ok(Some("short".into())));
    assert_eq!(
        named("default"),
        Ok(Some("default".into())),
        "the one that fits anyway"
    );
}

#[test]
fn of_two_with_the_same_priority_it_is_always_the_same_one_until_somebody_mends_it() {
    let rivals = [
        ("b", json!({"when": "true", "priority": 5})),
        ("a", json!({"when": "true", "priority": 5})),
    ];
    assert_eq!(choice(&jane(&json!({})), &rivals), Ok(Some("a".into())));
    let specs = rivals.map(|(name, spec)| (name, policy(spec)));
    let others = || specs.iter().map(|(name, spec)| (*name, spec));
    refused(
        check("a", &specs[0].1, &[], others()),
        "spec.priority",
        "give one of them another",
    );
    let other = policy(json!({"when": "true", "priority": 6}));
    assert_eq!(check("c", &other, &[], others()), Ok(()));
    let by_name = policy(json!({"priority": 5}));
    assert_eq!(
        check("d", &by_name, &[], others()),
        Ok(()),
        "without a when it is no rival"
    );
}

#[test]
fn a_policy_that_is_not_there_or_has_no_answer_is_an_error_and_never_another_policy() {
    let leaver = jane(&json!({"policyRef": {"name": "none"}}));
    refused(
        choice(&leaver, &[("default", json!({}))]),
        "spec.policyRef.name",
        "create it, or leave policyRef out",
    );
    let asks = [("asks", json!({"when": "employee.attributes.clearance == 'high'"}))];
    refused(
        choice(&jane(&json!({})), &asks),
        "OffboardingPolicy asks: spec.when",
        "test with has()",
    );
    let costly = [(
        "costly",
        json!({"when": "lists.range(100000).exists(a, lists.range(100000).exists(b, a + b < 0))"}),
    )];
    refused(
        choice(&jane(&json!({})), &costly),
        "OffboardingPolicy costly: spec.when",
        "ExpressionTooCostly",
    );
    let knows = json!({"profile": {"attributes": {"clearance": "high"}}});
    assert_eq!(choice(&jane(&knows), &asks), Ok(Some("asks".into())));
}

#[test]
fn an_expression_sees_the_whole_leaver_and_nothing_else() {
    let leaver = jane(&json!({
        "employee": {"email": "jane@example.com", "employeeID": "7", "accounts": [{"connector": "crm", "name": "adm"}]},
        "profile": {"manager": "max@example.com", "department": "IT", "site": "Ulm", "kind": "Contractor"},
        "visibility": "Confidential", "legalHold": "Hold", "reference": "HR-1",
    }));
    for when in [
        "employee.employeeID == '7' && 'crm' in employee.accounts",
        "employee.manager == 'max@example.com' && employee.department == 'IT' && employee.site == 'Ulm'",
        "employee.kind == 'Contractor' && employee.country == ''",
        "offboarding.visibility == 'Confidential' && offboarding.legalHold == 'Hold'",
        "offboarding.urgency == 'Scheduled' && offboarding.reason == '' && offboarding.reference == 'HR-1'",
    ] {
        let only = [("only", json!({"when": when}))];
        assert_eq!(choice(&leaver, &only), Ok(Some("only".into())), "{when}");
    }
    refused(
        sound(json!({"when": "secrets.token == ''"})),
        "spec.when",
        "secrets",
    );
    refused(
        sound(json!({"when": "employee."})),
        "spec.when",
        "not an expression",
    );
}

#[test]
fn a_contradiction_in_a_timeline_is_named_with_its_field_and_the_fix() {
    let timeline = |entries: Value| sound(json!({"timeline": entries}));
    let late = json!({"want": ["FilesHandedOver"], "at": "cutoff + 7d"});
    assert_eq!(timeline(json!([late])), Ok(()));
    refused(
        timeline(json!([late, {"skip": ["FilesHandedOver"]}])),
        "spec.timeline[1]",
        "settled by an earlier entry",
    );
    let contractors = json!({"skip": ["FilesHandedOver"], "when": "employee.kind == 'Contractor'"});
    assert_eq!(
        timeline(json!([contractors, late])),
        Ok(()),
        "an exception for some comes first"
    );
    refused(
        timeline(json!([{"skip": ["FilesHanded"]}, late])),
        "spec.timeline[0]",
        "neither a class nor a fact",
    );
    let ends = json!({"want": ["FilesHandedOver"], "at": "cutoff + 7d", "until": "cutoff + 7d"});
    refused(
        timeline(json!([ends])),
        "spec.timeline[0].until",
        "nothing would ever be wanted",
    );
    refused(
        timeline(json!([{"want": ["FilesHandedOver"], "at": "payday"}])),
        "spec.timeline[0].at",
        "payday",
    );
    refused(
        timeline(json!([{"want": ["FilesHandedOver"], "at": "cutoff", "when": "true ||"}])),
        "spec.timeline[0].when",
        "not an expression",
    );
}

#[test]
fn security_is_never_skipped_as_a_class_and_waits_for_no_office_and_no_end() {
    let timeline = |entry: Value| sound(json!({"timeline": [entry]}));
    refused(
        timeline(json!({"skip": ["Access"]})),
        "spec.timeline[0].skip",
        "by their own names",
    );
    assert_eq!(timeline(json!({"skip": ["AccountDisabled"]})), Ok(()));
    for name in ["Access", "AccountDisabled"] {
        let hours = json!({"want": [name], "at": "cutoff", "during": "BusinessHours"});
        refused(
            timeline(hours),
            "spec.timeline[0].during",
            "waits for no office hours",
        );
        let until = json!({"want": [name], "at": "cutoff", "until": "cutoff + 9d"});
        refused(timeline(until), "spec.timeline[0].until", "remove until");
    }
    let mail = json!({"want": ["Mail"], "at": "cutoff", "until": "cutoff + 9d", "during": "BusinessHours"});
    assert_eq!(timeline(mail), Ok(()));
}

#[test]
fn every_clock_that_cannot_be_read_is_named() {
    for (field, spec) in [
        ("spec.cutoff.time", json!({"cutoff": {"time": "5pm"}})),
        ("spec.cutoff.timeZone", json!({"cutoff": {"timeZone": "Berlin"}})),
        (
            "spec.deadlines.accessRevoked",
            json!({"deadlines": {"accessRevoked": "soon"}}),
        ),
        (
            "spec.retention.accounts",
            json!({"retention": {"accounts": "a year"}}),
        ),
        ("spec.recheck.every", json!({"recheck": {"every": "1w"}})),
        ("spec.recheck.for", json!({"recheck": {"for": "-1d"}})),
        (
            "spec.businessHours",
            json!({"businessHours": {"from": "17:00", "to": "09:00"}}),
        ),
        (
            "spec.gates[0].expiresAfter",
            json!({"gates": [{"gate": "Delete", "expiresAfter": "never"}]}),
        ),
        (
            "spec.gates[0].remindEvery",
            json!({"gates": [{"gate": "Delete", "remindEvery": "x"}]}),
        ),
        (
            "spec.gates[0].escalation.after",
            json!({"gates": [{"gate": "Delete", "escalation": {"after": "x", "approvers": [{"user": "a"}]}}]}),
        ),
        (
            "spec.gates[0].approvers[0].delegate.until",
            json!({"gates": [{"gate": "Delete", "approvers": [{"user": "a", "delegate": {"user": "b", "until": "x"}}]}]}),
        ),
    ] {
        refused(sound(spec), field, "");
    }
}

#[test]
fn a_gate_that_could_never_open_is_refused() {
    let gate = |more: Value| {
        let mut gate = json!({"gate": "Delete"});
        for (field, value) in more.as_object().unwrap() {
            gate[field] = value.clone();
        }
        gate
    };
    let alice = json!([{"user": "alice"}, {"user": "alice"}]);
    refused(
        sound(json!({"gates": [gate(json!({"approvals": 2, "approvers": alice}))]})),
        "spec.gates[0].approvals",
        "name more approvers",
    );
    refused(
        sound(json!({"gates": [gate(json!({})), gate(json!({"approvals": 2}))]})),
        "spec.gates[1].gate",
        "remove one",
    );
    assert_eq!(
        sound(json!({"gates": [gate(json!({"approvals": 8}))]})),
        Ok(()),
        "whoever may approve"
    );
}
