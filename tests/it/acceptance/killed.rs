//! The operator is killed at random moments and started again, as often as it takes; nothing of that is left in the end.
//!
//! A *round* is one SIGKILL while a fresh leaver is being worked on: at a random moment of the time that a run takes, or
//! right after one of the acts that the operator announces. It is started again at once, in the same pod, and the next
//! round begins: so a kill often meets leavers of earlier rounds too, who are being taken up again. A kill that came after
//! its leaver was complete does not count as a round. In the end each leaver is compared with one who was worked on in peace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, thread,
    time::{Duration, Instant},
};

use offboard::core::schedule::mix;
use serde_json::{Value, json};

use super::{
    AS_INSTALLED,
    company::{BYSTANDER, Company, Employee, PASSWORD, company, example},
    connected, picture, record_of, wait_for,
    ways_in::WaysIn,
};
use crate::{
    operator::site::{Operator, Site},
    support::{self, Samba, Slapd, poll, poll_each, unique},
};

/// Rounds that count.
const ROUNDS: usize = 50;
/// Leavers who are employed, and proven gone, together.
const AT_ONCE: usize = 10;
/// The pod in which the operator is started again and again.
const POD: &str = "offboard-0";

/// When the operator is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So long after its leaver was applied.
    After(Duration),
    /// So long after it has announced so many more acts.
    AtAct(usize, Duration),
}

/// One leaver, and the kill meant for them.
struct Round {
    seed: u64,
    moment: Moment,
    employee: Employee,
    ways: WaysIn,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (seed {}, killed {:?})",
            self.employee.login, self.seed, self.moment
        )
    }
}

/// A run without a kill.
struct Peaceful {
    took: Duration,
    acts: usize,
    servers: BTreeMap<String, Value>,
    objects: Value,
}

impl Moment {
    /// Drawn from a seed: over the time that a run takes, or over its acts.
    fn of(seed: u64, peaceful: &Peaceful) -> Self {
        let part = |of: u128, salt: u64| u128::from(mix(seed ^ salt)) % of.max(1);
        let millis = |of: u128, salt: u64| Duration::from_millis(part(of, salt).try_into().unwrap());
        if mix(seed).is_multiple_of(2) {
            return Self::After(millis(peaceful.took.as_millis(), 1));
        }
        let act = 1 + usize::try_from(part(peaceful.acts as u128, 2)).unwrap();
        Self::AtAct(act, millis(30, 3))
    }

    /// Waits for it; `patience` is for acts that are not announced any more.
    fn come(self, operator: &Operator, patience: Duration) {
        match self {
            Self::After(delay) => thread::sleep(delay),
            Self::AtAct(act, delay) => {
                let before = operator.acts("");
                poll_each(Duration::from_millis(3), patience, || {
                    operator.acts("") >= before + act
                });
                thread::sleep(delay);
            }
        }
    }
}

fn employee() -> Employee {
    let login = unique("k");
    Employee {
        colleague: format!("{login}r"),
        login,
    }
}

/// The leaver of the example, as somebody else.
fn leaver(site: &Site, employee: &Employee) -> String {
    let mut leaver = example("leaver.yaml")[0].clone();
    leaver["metadata"] = json!({"name": employee.login, "namespace": site.namespace});
    leaver["spec"]["employee"]["email"] = json!(format!("{}@example.com", employee.login));
    leaver.to_string()
}

/// One leaver from beginning to end, with nobody disturbing.
fn in_peace(company: &'static Company, site: &Site, operator: &Operator) -> Peaceful {
    let employee = employee();
    company.employ(std::slice::from_ref(&employee));
    let mut ways = WaysIn::of(company, &employee.login);
    let began = Instant::now();
    site.apply(&leaver(site, &employee));
    wait_for(site, &employee.login, "Complete", operator);
    let took = began.elapsed();
    assert_eq!(ways.open(), [""; 0]);
    drop(ways);
    let object = site.get(&format!("offboarding/{}", employee.login));
    let record = record_of(&site.records(), &employee.login);
    let objects = picture::of_objects(company, &employee, &object, &record);
    picture::assert_good(&objects);
    Peaceful {
        took,
        acts: operator.acts(object["metadata"]["uid"].as_str().unwrap()),
        servers: picture::of_servers(company, &employee),
        objects,
    }
}

/// What is different from a leaver who was worked on in peace.
fn differences(company: &Company, site: &Site, round: &mut Round, peaceful: &Peaceful) -> Vec<String> {
    let employee = &round.employee;
    let mut found: Vec<String> = vec![];
    for way in round.ways.open() {
        found.push(format!("{way} is still open"));
    }
    for (system, picture) in picture::of_servers(company, employee) {
        found.extend(difference(&system, &peaceful.servers[&system], &picture));
    }
    let object = site.get(&format!("offboarding/{}", employee.login));
    let record = record_of(&site.records(), &employee.login);
    let objects = picture::of_objects(company, employee, &object, &record);
    for (part, picture) in objects.as_object().unwrap() {
        found.extend(difference(part, &peaceful.objects[part], picture));
    }
    let colleague = &employee.colleague;
    let mail = format!("{colleague}@{}", Samba::DOMAIN);
    let works = support::samba().login(&mail, PASSWORD).is_ok()
        && support::slapd().login(&Slapd::dn(colleague), PASSWORD)
        && support::postgres().login(colleague, PASSWORD, "postgres")
        && support::mariadb().login(colleague, "localhost", PASSWORD)
        && company.realm.login(colleague, PASSWORD, "openid").is_ok();
    if !works {
        found.push("a colleague cannot work on".to_owned());
    }
    found
}

/// The smallest parts that differ, each with its place.
fn difference(place: &str, in_peace: &Value, now: &Value) -> Vec<String> {
    let parts: Vec<String> = match (in_peace, now) {
        _ if in_peace == now => return vec![],
        (Value::Object(before), Value::Object(after)) => before.keys().chain(after.keys()).cloned().collect(),
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            (0..before.len()).map(|index| index.to_string()).collect()
        }
        _ => return vec![format!("{place}: {now}; in peace {in_peace}")],
    };
    let parts: BTreeSet<String> = parts.into_iter().collect();
    let at = |value: &Value, part: &str| match value {
        Value::Array(list) => list[part.parse::<usize>().unwrap()].clone(),
        object => object[part].clone(),
    };
    let deeper = parts
        .iter()
        .map(|part| difference(&format!("{place}/{part}"), &at(in_peace, part), &at(now, part)));
    deeper.flatten().collect()
}

fn complete(site: &Site, leaver: &str) -> bool {
    site.condition(&format!("offboarding/{leaver}"), "Complete").0 == "True/Verified"
}

#[test]
fn killed_at_any_moment_it_ends_as_if_nothing_had_been() {
    let company = company();
    let first_seed = std::env::var("KILL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let site = connected(company, "killed");
    let untouched = company.marks(BYSTANDER);
    let mut operator = site.start_in(POD, AS_INSTALLED);
    let peaceful = in_peace(company, &site, &operator);
    let (mut counted, mut seeds) = (0, first_seed..);
    while counted < ROUNDS {
        let employees: Vec<Employee> = (0..AT_ONCE).map(|_| employee()).collect();
        company.employ(&employees);
        let mut rounds: Vec<Round> = employees
            .into_iter()
            .zip(&mut seeds)
            .map(|(employee, seed)| Round {
                seed,
                moment: Moment::of(seed, &peaceful),
                ways: WaysIn::of(company, &employee.login),
                employee,
            })
            .collect();
        for round in &rounds {
            thread::scope(|scope| {
                scope.spawn(|| site.apply(&leaver(&site, &round.employee)));
                round.moment.come(&operator, peaceful.took * 2);
                operator.kill();
            });
            counted += usize::from(!complete(&site, &round.employee.login));
            operator = site.start_in(POD, AS_INSTALLED);
        }
        let mut differ = vec![];
        for round in &mut rounds {
            wait_for(&site, &round.employee.login, "Complete", &operator);
            let found = differences(company, &site, round, &peaceful);
            differ.extend(found.iter().map(|found| format!("{round}: {found}")));
        }
        assert!(differ.is_empty(), "{}", differ.join("\n"));
        let tries = usize::try_from(seeds.start - first_seed).unwrap();
        assert!(tries <= 2 * ROUNDS, "only {counted} of {tries} kills met work");
    }
    assert_eq!(company.marks(BYSTANDER), untouched);
    eprintln!(
        "{counted} rounds; in peace a leaver takes {:?} and {} acts",
        peaceful.took, peaceful.acts
    );
}

#[test]
fn killed_for_good_another_pod_goes_on_where_it_was() {
    let company = company();
    let site = connected(company, "taken-over");
    let acts = |operator: &Operator| operator.log().contains("the lease is ours");
    let start = |pod: &str| site.start_in(pod, AS_INSTALLED);
    let mut acting = start("offboard-0");
    assert!(poll(Duration::from_mins(1), || acts(&acting)), "{}", acting.log());
    let mut waiting = start("offboard-1");
    let peaceful = in_peace(company, &site, &acting);
    for seed in 1..=2 {
        let employee = employee();
        company.employ(std::slice::from_ref(&employee));
        let mut round = Round {
            seed,
            moment: Moment::AtAct(usize::try_from(seed).unwrap() * peaceful.acts / 3, Duration::ZERO),
            ways: WaysIn::of(company, &employee.login),
            employee,
        };
        thread::scope(|scope| {
            scope.spawn(|| site.apply(&leaver(&site, &round.employee)));
            round.moment.come(&acting, peaceful.took * 2);
            acting.kill();
        });
        assert!(!acts(&waiting), "two at once: {}", waiting.log());
        assert!(
            poll(Duration::from_mins(1), || acts(&waiting)),
            "{}",
            waiting.log()
        );
        wait_for(&site, &round.employee.login, "Complete", &waiting);
        assert_eq!(
            differences(company, &site, &mut round, &peaceful),
            [""; 0],
            "{round}"
        );
        acting = std::mem::replace(&mut waiting, start(&format!("offboard-{}", seed + 1)));
    }
}
