use super::*;
use crate::core::{
    case::Wanted,
    gate::{Gate, Rule},
    identity::{Account, Binding, key_digest},
};

fn noon() -> Timestamp {
    "2026-09-30T12:00:00Z".parse().unwrap()
}

#[test]
fn what_was_only_found_true_lets_nobody_begin() {
    let due = || Case {
        enforce: true,
        guard: vec![Rule::of(Gate::Guard)],
        systems: vec![System {
            row: "crm".into(),
            wanted: [("A".to_owned(), Wanted::At(noon()))].into(),
            ..Default::default()
        }],
        ..Case::default()
    };
    let ledger = |fact: FactLedger| {
        let mut ledger = Ledger::default();
        ledger
            .systems
            .entry("crm".into())
            .or_default()
            .facts
            .insert("A".into(), fact);
        ledger
    };
    let found = ledger(FactLedger {
        verified: Some(noon()),
        ..FactLedger::default()
    });
    let asked = ledger(FactLedger {
        tried: Some(noon()),
        ..FactLedger::default()
    });
    let mut case = due();
    admit(&mut case, &found, |_| None, noon());
    assert_eq!((case.admitted, case.gates.len()), (None, 1));
    let mut case = due();
    admit(&mut case, &asked, |_| None, noon());
    assert_eq!(case.admitted.map(|admitted| admitted.by), Some(AdmittedBy::Begun));
    let mut later = Case {
        suspended: true,
        ..due()
    };
    admit(&mut later, &found, |_| panic!("nothing is to be begun"), noon());
    assert_eq!((later.admitted, later.gates.len()), (None, 0));
}

#[test]
fn those_who_wait_pass_together_and_those_who_are_gone_hold_up_nobody() {
    let limits = FirstActs {
        max: 3,
        ..FirstActs::default()
    };
    let mut admissions = Admissions::default();
    let hour = |n: i64| noon() + SignedDuration::from_hours(n);
    let ask = |admissions: &mut Admissions, uid: &str, at: i64| {
        admissions.ask((uid, 1), std::iter::empty(), limits, hour(at))
    };
    assert!(["a", "b", "c"].iter().all(|uid| ask(&mut admissions, uid, 0)));
    assert!(
        !["d", "e", "f", "g"]
            .iter()
            .any(|uid| ask(&mut admissions, uid, 1))
    );
    assert!(!ask(&mut admissions, "d", 25), "four wait, and three fit");
    admissions.keep(|uid| uid != "g");
    assert!(ask(&mut admissions, "d", 25) && ask(&mut admissions, "e", 25) && ask(&mut admissions, "f", 25));
    assert!(!ask(&mut admissions, "h", 26));
}

/// Jane, with `others` beside her address, and the rows in which accounts show one key each.
fn bound(others: &[&str], named: &[&str], accounts: &[(&str, Option<&str>)]) -> (Case, Ledger) {
    let jane = Person {
        email: Some("jane@example.com".into()),
        ..Person::default()
    };
    let (mut case, mut ledger) = (Case::default(), Ledger::default());
    case.enforce = true;
    case.guard = vec![Rule::of(Gate::Guard)];
    for (row, key) in accounts {
        case.systems.push(System {
            row: (*row).to_owned(),
            who: Person {
                other_emails: others.iter().map(|email| (*email).to_owned()).collect(),
                account_name: row.split_once('/').map(|(_, name)| name.to_owned()),
                ..jane.clone()
            },
            certain: jane.clone(),
            named: named.iter().map(|name| (*name).to_owned()).collect(),
            wanted: [("A".to_owned(), Wanted::At(noon()))].into(),
            ..System::default()
        });
        let account = Account {
            id: (*row).to_owned(),
            name: (*row).to_owned(),
            item: serde_json::Value::Null.into(),
            doubt: None,
            keys: key.iter().map(|key| key_digest("email", key)).collect(),
        };
        let system = ledger.systems.entry((*row).to_owned()).or_default();
        system.account = Some(Binding::new(&account, "f", noon()));
    }
    (case, ledger)
}

/// How many places are taken where there are `room`, and the rows that wait.
fn taken(case: &mut Case, ledger: &Ledger, room: u32) -> (u32, Vec<String>) {
    let ask = |places| (places <= room).then_some(AdmittedBy::Room);
    admit(case, ledger, ask, noon());
    let guarded = case.gates.iter().any(|rule| rule.gate == Gate::Guard);
    let systems = case.systems.iter();
    let waits = systems.filter(|system| guarded && holds(system, &ledger.systems[&system.row]));
    let waits = waits.map(|system| system.row.clone()).collect();
    (case.admitted.map_or(0, |admitted| admitted.places), waits)
}

#[test]
fn a_leaver_takes_one_place_in_however_many_systems_and_another_address_one_more() {
    let systems: Vec<String> = (0..12).map(|n| format!("s{n}")).collect();
    let all =
        |key| -> Vec<(&str, Option<&str>)> { systems.iter().map(|row| (row.as_str(), Some(key))).collect() };
    let (mut case, ledger) = bound(&[], &[], &all("jane@example.com"));
    assert_eq!(taken(&mut case, &ledger, 1), (1, vec![]));
    assert!(case.gates.is_empty(), "nothing is counted again");
    let (mut case, ledger) = bound(&["jane.doe@example.com"], &[], &all("jane@example.com"));
    assert_eq!(
        taken(&mut case, &ledger, 1),
        (1, vec![]),
        "it leads to nobody else"
    );
    let (mut case, ledger) = bound(&["Jane.Roe@example.com"], &[], &all("jane.roe@example.com"));
    assert_eq!(taken(&mut case, &ledger, 10), (2, vec![]), "a name of before");
}

#[test]
fn seventeen_addresses_or_accounts_take_seventeen_places_and_what_has_no_room_waits_by_itself() {
    let people: Vec<String> = (0..16).map(|n| format!("p{n}@example.com")).collect();
    let systems: Vec<String> = (0..16).map(|n| format!("s{n}")).collect();
    let others: Vec<&str> = people.iter().map(String::as_str).collect();
    let rows = systems.iter().zip(&others);
    let mut accounts: Vec<(&str, Option<&str>)> = rows.map(|(row, key)| (row.as_str(), Some(*key))).collect();
    accounts.push(("own", Some("jane@example.com")));
    let (mut case, mut ledger) = bound(&others, &[], &accounts);
    assert_eq!(taken(&mut case.clone(), &ledger, 17), (17, vec![]));
    assert_eq!(
        taken(&mut case.clone(), &ledger, 16),
        (1, systems.clone()),
        "but not her own"
    );
    // What has begun goes on.
    let begun = FactLedger {
        tried: Some(noon()),
        ..FactLedger::default()
    };
    let system = ledger.systems.get_mut("s3").unwrap();
    system.facts.insert("A".into(), begun);
    let (_, waits) = taken(&mut case, &ledger, 1);
    assert!(waits.len() == 15 && !waits.contains(&"s3".to_owned()));

    let named: Vec<String> = (0..17).map(|n| format!("a{n}")).collect();
    let rows: Vec<String> = named.iter().map(|name| format!("crm/{name}")).collect();
    let accounts: Vec<_> = rows
        .iter()
        .map(|row| (row.as_str(), Some("jane@example.com")))
        .collect();
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    let (mut case, ledger) = bound(&[], &names, &accounts);
    assert_eq!(taken(&mut case.clone(), &ledger, 17), (17, vec![]));
    assert_eq!(taken(&mut case, &ledger, 9), (1, rows[1..].to_vec()));
}

#[test]
fn further_places_are_counted_for_others_and_hold_up_nobody() {
    let limits = FirstActs {
        max: 4,
        ..FirstActs::default()
    };
    let mut admissions = Admissions::default();
    let mut ask = |uid: &str, places: u32, known: &[(&str, u32)]| {
        let known = known.iter().map(|(uid, places)| {
            let admission = Admission {
                at: noon(),
                by: AdmittedBy::Room,
                places: *places,
            };
            ((*uid).to_owned(), admission)
        });
        admissions.ask(
            (uid, places),
            known.collect::<Vec<_>>().into_iter(),
            limits,
            noon(),
        )
    };
    assert!(ask("a", 1, &[]) && !ask("a", 9, &[]));
    assert!(ask("b", 1, &[]), "that one waits for more is nothing to others");
    assert!(ask("a", 3, &[("a", 1)]));
    assert!(!ask("c", 1, &[("a", 1)]), "an older status makes no room");
}
