//! What the status says of what is not ours to end, or not yet.

use super::*;
use crate::{
    core::{
        case::System,
        duplicate::{Duplicate, Hold},
        fact::{Class, FactSpec, FactState},
    },
    drive::Interim,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const LATE: &str = "2026-10-05T12:00:00Z";

/// A case whose deadlines are long over, with these systems, and a row of one access fact for each.
fn scene(systems: &[(&str, bool, Verdict)]) -> (Case, Outcome) {
    let fact = || FactSpec::plain("AccountDisabled", Class::Access);
    let system = |(row, observe_only, _): &(&str, bool, Verdict)| System {
        row: (*row).into(),
        observe_only: *observe_only,
        wanted: [(fact().name, Wanted::At(Timestamp::UNIX_EPOCH))].into(),
        ..System::default()
    };
    let row = |(name, _, verdict): &(&str, bool, Verdict)| Row {
        account: Some(("7".into(), "jane".into())),
        ..Row::new(*name, vec![FactState::unseen(fact(), verdict.clone())])
    };
    let case = Case {
        enforce: true,
        connectors: systems.len(),
        systems: systems.iter().map(system).collect(),
        ..Case::default()
    };
    let outcome = Outcome {
        rows: systems.iter().map(row).collect(),
        ..Outcome::default()
    };
    (case, outcome)
}

fn said((case, outcome): &(Case, Outcome)) -> (Vec<String>, OffboardingStatus) {
    let status = status(case, outcome, &OffboardingStatus::default(), at(LATE));
    let words = status.conditions.iter();
    let words = words.map(|c| format!("{}={:?}/{}", c.type_, c.status, c.reason));
    (words.collect(), status)
}

fn observed() -> Verdict {
    Verdict::Unmet(Why::Gated(OBSERVED_ONLY))
}

#[test]
fn what_is_only_observed_is_left_and_never_overdue() {
    let (words, status) = said(&scene(&[
        ("crm", true, observed()),
        ("erp", false, Verdict::Verified),
    ]));
    assert_eq!(
        words,
        [
            "Ready=False/ObservedOnly",
            "AccessRevoked=False/ObservedOnly",
            "DataTransferred=True/NothingToTransfer",
            "Complete=False/InProgress"
        ]
    );
    assert_eq!(status.access_left, Some(1));
    let marked = |row: &SystemRow| row.conditions.iter().any(|c| c.type_ == "Enforced");
    assert_eq!(
        status.systems.iter().map(marked).collect::<Vec<_>>(),
        [true, false]
    );
    // What is ours is late all the same.
    let open = Verdict::Unmet(Why::NotTried);
    let (words, _) = said(&scene(&[("crm", true, observed()), ("erp", false, open)]));
    assert!(
        words.contains(&"Ready=False/DeadlineExceeded".to_owned()),
        "{words:?}"
    );
    assert!(
        words.contains(&"AccessRevoked=False/DeadlineExceeded".to_owned()),
        "{words:?}"
    );
    // What was not even seen there is unknown, and not late either.
    let unseen = Verdict::Unknown(Fault::transient(Reason::Unreachable));
    let (words, _) = said(&scene(&[("crm", true, unseen)]));
    assert!(
        words.contains(&"AccessRevoked=Unknown/CannotVerify".to_owned()),
        "{words:?}"
    );
    assert!(
        !words.iter().any(|word| word.contains("DeadlineExceeded")),
        "{words:?}"
    );
}

#[test]
fn what_nobody_can_shorten_is_neither_access_left_nor_late_and_not_complete() {
    let closes_at = at("2026-10-05T13:30:00Z");
    let (words, status) = said(&scene(&[
        ("crm", false, Verdict::Exposed(closes_at)),
        ("erp", false, Verdict::Verified),
    ]));
    assert_eq!(
        words,
        [
            "Ready=True/ExposureOpen",
            "AccessRevoked=True/Verified",
            "DataTransferred=True/NothingToTransfer",
            "Complete=False/ExposureOpen"
        ]
    );
    assert_eq!(status.exposure, Some(Exposure { closes_at }));
    assert_eq!(
        (status.access_left, status.progress.as_deref()),
        (Some(0), Some("2/2"))
    );
    assert_eq!(
        status.conditions[0].message,
        "crm: AccountDisabled ExposureOpen (expires by 2026-10-05 13:30:00Z)"
    );
    // Beside it what is left is left.
    let open = Verdict::Unmet(Why::NotTried);
    let (words, _) = said(&scene(&[
        ("crm", false, Verdict::Exposed(closes_at)),
        ("erp", false, open),
    ]));
    assert!(
        words.contains(&"Ready=False/DeadlineExceeded".to_owned()),
        "{words:?}"
    );
}

#[test]
fn what_nobody_looks_after_is_named_where_data_is_called_handed_over() {
    let (case, mut outcome) = scene(&[("crm", false, Verdict::Verified)]);
    outcome.rows[0].not_covered = vec!["what was written there".into(), "tokens".into()];
    let message = |scene: &(Case, Outcome)| {
        let (_, status) = said(scene);
        let mut conditions = status.conditions.into_iter();
        conditions.find(|c| c.type_ == "DataTransferred").unwrap().message
    };
    let covered = "not covered: crm: what was written there, tokens";
    let known = (case, outcome);
    assert_eq!(message(&known), covered);
    let (case, outcome) = scene(&[("crm", false, Verdict::Verified)]);
    assert_eq!(message(&(case, outcome)), "");
}

#[test]
fn who_has_no_account_was_looked_for_by_what_the_row_says() {
    let (case, mut outcome) = scene(&[("crm", false, Verdict::NotNeeded(Exempt::NoAccount))]);
    outcome.rows[0].looked_up_by = Some("looked up by email; not by employeeID".into());
    let (_, status) = said(&(case, outcome));
    let condition = &status.systems[0].conditions[0];
    assert_eq!(
        (condition.reason.as_str(), condition.message.as_str()),
        ("NoAccount", "looked up by email; not by employeeID")
    );
}

#[test]
fn a_duplicate_is_said_always_and_stops_only_until_its_date() {
    let (mut case, outcome) = scene(&[("crm", false, Verdict::Unmet(Why::NotTried))]);
    case.duplicates = vec![Duplicate {
        name: "jane-again".into(),
        ends: Some(at("2027-01-31T16:00:00Z")),
        reinstates: false,
    }];
    case.hold = case.duplicates[0].ends.map(Hold::Until);
    let (words, status) = said(&(case.clone(), outcome));
    for word in [
        "Ready=False/DuplicateOffboarding",
        "Stalled=True/DuplicateOffboarding",
        "AccessRevoked=False/DuplicateOffboarding",
        "Duplicate=True/SamePerson",
    ] {
        assert!(words.contains(&word.to_owned()), "{word} in {words:?}");
    }
    assert!(
        status.conditions[0]
            .message
            .contains("jane-again (ends 2027-01-31 16:00 UTC)")
    );
    let (_, gone) = scene(&[("crm", false, Verdict::Verified)]);
    case.hold = None;
    let (words, _) = said(&(case, gone));
    assert!(words.contains(&"Ready=True/Offboarded".to_owned()), "{words:?}");
    assert!(
        words.contains(&"Duplicate=True/SamePerson".to_owned()),
        "{words:?}"
    );
}

/// The status in the middle of a pass that has `finished` these of the scene's rows and knows the others from the pass before.
fn midway(
    (case, outcome): &(Case, Outcome),
    finished: &[&str],
    earlier: &OffboardingStatus,
) -> Option<OffboardingStatus> {
    let rows = outcome.rows.iter().cloned();
    let (finished, known) = rows.partition(|row| finished.contains(&row.name.as_str()));
    so_far(case, &[].into(), &Interim { finished, known }, earlier, at(LATE))
}

#[test]
fn a_system_that_is_tried_again_stays_what_it_was_until_it_has_answered() {
    let silent = || Verdict::Unknown(Fault::transient(Reason::Timeout));
    let scene = scene(&[("crm", false, Verdict::Verified), ("erp", false, silent())]);
    let (_, before) = said(&scene);
    assert!(
        before.conditions[0]
            .message
            .starts_with("erp: AccountDisabled Timeout")
    );
    assert_eq!(midway(&scene, &["crm"], &before), None);
}

#[test]
fn nothing_is_reached_before_every_system_has_been_looked_at() {
    let before = said(&scene(&[
        ("crm", false, Verdict::Unmet(Why::NotTried)),
        ("erp", false, Verdict::Verified),
    ]))
    .1;
    let after = scene(&[
        ("crm", false, Verdict::Verified),
        ("erp", false, Verdict::Verified),
    ]);
    assert_eq!(midway(&after, &["crm"], &before), None);
    let reached = midway(&after, &["crm", "erp"], &before).unwrap();
    assert!(reached.is_true("AccessRevoked") && reached.is_true("Complete"));
}

#[test]
fn what_the_time_has_overtaken_is_not_taken_for_known() {
    let scene = scene(&[
        ("crm", false, Verdict::Unmet(Why::NotTried)),
        ("erp", false, Verdict::NotDue(at("2026-10-05T11:59:59Z"))),
    ]);
    let status = midway(&scene, &["crm"], &OffboardingStatus::default()).unwrap();
    let [_, erp] = &status.systems[..] else { panic!() };
    assert_eq!(erp.conditions, []);
}

#[test]
fn what_was_proven_for_this_spec_is_so_until_a_look_says_otherwise() {
    let known = scene(&[
        ("crm", false, Verdict::Verified),
        ("erp", false, Verdict::Verified),
    ]);
    let (_, before) = said(&known);
    let erp = &known.0.systems[1];
    let verdict = |proven: &OffboardingStatus| {
        let fact = FactSpec::plain("AccountDisabled", Class::Access);
        let row = so_far::under_way(erp, vec![fact], proven, at(LATE));
        row.facts[0].verdict.clone()
    };
    assert_eq!(verdict(&before), Verdict::Verified);
    assert_eq!(verdict(&OffboardingStatus::default()), Verdict::Pending(at(LATE)));
}

#[test]
fn nothing_is_given_back_while_access_ends_by_another_offboarding() {
    let (mut case, outcome) = scene(&[("crm", false, Verdict::Unmet(Why::NotTried))]);
    case.reinstate = true;
    case.duplicates = vec![Duplicate {
        name: "jane-again".into(),
        ends: Some(Timestamp::MIN),
        reinstates: false,
    }];
    case.hold = Some(Hold::From(Timestamp::MIN));
    let mut given = (case, outcome);
    let (words, _) = said(&given);
    for word in [
        "Ready=False/DuplicateOffboarding",
        "Stalled=True/DuplicateOffboarding",
        "Duplicate=True/SamePerson",
    ] {
        assert!(words.contains(&word.to_owned()), "{word} in {words:?}");
    }
    // Access that ends later is no contradiction yet.
    given.0.hold = Some(Hold::From(Timestamp::MAX));
    let (words, _) = said(&given);
    assert!(words.contains(&"Ready=False/Reinstating".to_owned()), "{words:?}");
    assert!(
        !words.iter().any(|word| word.starts_with("Duplicate")),
        "{words:?}"
    );
}

#[test]
fn who_keeps_all_access_is_not_offboarded() {
    let waived = || Verdict::NotNeeded(Exempt::Waived);
    let (words, _) = said(&scene(&[("crm", false, waived()), ("wiki", false, waived())]));
    for word in [
        "Ready=False/NothingToRevoke",
        "Stalled=True/NothingToRevoke",
        "AccessRevoked=Unknown/NothingToRevoke",
        "Complete=False/InProgress",
    ] {
        assert!(words.contains(&word.to_owned()), "{word} in {words:?}");
    }
    // What one system keeps by an exception, others end.
    let (words, _) = said(&scene(&[
        ("crm", false, waived()),
        ("wiki", false, Verdict::Verified),
    ]));
    assert!(words.contains(&"Ready=True/Offboarded".to_owned()), "{words:?}");
}
