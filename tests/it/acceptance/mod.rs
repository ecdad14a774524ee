//! The whole story: the files of `examples/company` applied to a real API server, five real servers connected, the real
//! binary as the operator with the chart's rights, and in the end a leaver who gets in nowhere.
//!
//! It takes longest, and by its name it is started first.
//!
//! | module | what it is for |
//! |---|---|
//! | `company` | the company of the example on the servers of this machine, and its staff |
//! | `ways_in` | passwords, tickets, tokens and open sessions, tried as their holder would |
//! | `picture` | what is left of a leaver everywhere, so that two can be compared |
//! | `killed` | the same story with the operator killed all the time |

mod company;
mod killed;
mod picture;
mod ways_in;

use serde_json::Value;

use self::{
    company::{Company, Employee, ONLOOKER, PASSWORD, SUCCESSOR, company, quoted},
    ways_in::WaysIn,
};
use crate::{
    operator::site::{Operator, Site},
    support::{self, Samba, Slapd},
};

/// As the chart starts it.
const AS_INSTALLED: &[&str] = &["--lease=offboard"];
/// How long `kubectl wait` waits, on a machine that does other things too.
const PATIENCE: &str = "--timeout=180s";

/// A namespace with everything of the example but the leaver.
fn connected(company: &Company, stem: &str) -> Site {
    let site = Site::new(stem);
    let files = ["secrets.yaml", "connectors.yaml", "policy.yaml"];
    site.apply(&company.manifests(&site.namespace, &files));
    site
}

#[track_caller]
fn wait_for(site: &Site, leaver: &str, condition: &str, operator: &Operator) {
    let what = format!("offboarding/{leaver}");
    let condition = format!("--for=condition={condition}");
    let ran = site.kubectl(&["wait", &what, &condition, PATIENCE], "");
    assert!(
        ran.ok(),
        "{}{:#}\n{}",
        ran.stderr,
        site.get(&what)["status"],
        operator.log()
    );
}

/// The only record of an Offboarding.
#[track_caller]
fn record_of(records: &[Value], leaver: &str) -> Value {
    let mut of = records
        .iter()
        .filter(|record| record["spec"]["offboarding"]["name"] == leaver);
    let record = of.next().unwrap().clone();
    assert!(of.next().is_none(), "{leaver} has two records");
    record
}

#[test]
fn a_leaver_of_the_example_gets_in_nowhere_and_the_successor_has_what_was_theirs() {
    let company = company();
    let jane = Employee {
        login: "jane.doe".to_owned(),
        colleague: "jane.doe.report".to_owned(),
    };
    company.employ(std::slice::from_ref(&jane));
    let view = |definer: &str| {
        let name = &company.name;
        support::mariadb().sql_as_admin(&format!(
            "CREATE OR REPLACE DEFINER=`{definer}`@'%' VIEW {name}.totals AS SELECT SUM(n) FROM {name}.orders"
        ));
    };
    view(&jane.login);
    let mut ways = WaysIn::of(company, &jane.login);
    let mut others = [ONLOOKER, &jane.colleague, SUCCESSOR].map(|login| WaysIn::of(company, login));
    let untouched = company.marks(ONLOOKER);
    let site = connected(company, "company");
    let operator = site.start_in("offboard-0", AS_INSTALLED);

    site.apply(&company.manifests(&site.namespace, &["leaver.yaml"]));
    // Only who owns a program can make it anew with another definer, and only the rights that it runs with wait for that.
    site.until("offboarding/jane-doe", "Ready", "False/AwaitingManualTask");
    assert_eq!(site.get("offboarding/jane-doe")["status"]["accessLeft"], 1);
    assert_eq!(ways.open(), [""; 0]);
    view(SUCCESSOR);
    site.kubectl(
        &["annotate", "offboarding/jane-doe", "example.com/view=made-anew"],
        "",
    )
    .expect_ok();
    wait_for(&site, "jane-doe", "Complete", &operator);
    site.until("offboarding/jane-doe", "Ready", "True/Offboarded");
    site.until("offboarding/jane-doe", "DataTransferred", "True/Verified");

    assert_eq!(ways.open(), [""; 0]);
    for others in &mut others {
        assert_eq!(others.open(), ways_in::WAYS);
    }
    assert_eq!(company.marks(ONLOOKER), untouched);
    the_successor_has(company, &jane);
    let record = record_of(&site.records(), "jane-doe");
    let objects = picture::of_objects(company, &jane, &site.get("offboarding/jane-doe"), &record);
    picture::assert_good(&objects);
    let said = format!("{record}{}", operator.log());
    for secret in [
        PASSWORD,
        Samba::SERVICE_PASSWORD,
        Slapd::SERVICE_PASSWORD,
        &company.realm.secret,
    ] {
        assert!(!said.contains(secret));
    }

    let writes = site.writes();
    let about = |write: &&support::Write| {
        write.resource.starts_with("offboarding") && !write.resource.contains("polic")
    };
    let about: Vec<_> = writes.iter().filter(about).collect();
    eprintln!(
        "{} writes to the Offboarding and its record, of {} in all",
        about.len(),
        writes.len()
    );
    // The annotation may come between a pass's look at the object and its status, which is then written by the next one.
    let overtaken = |write: &support::Write| write.resource == "offboardings/status" && write.status == 409;
    let refused: Vec<_> = about.iter().filter(|write| write.status >= 300).collect();
    assert!(
        refused.len() <= 1 && refused.iter().all(|write| overtaken(write)),
        "{about:#?}"
    );
}

fn the_successor_has(company: &Company, leaver: &Employee) {
    let search = |server: &dyn Fn(&str) -> String, filter: &str, name: &str| {
        let found = server(filter);
        assert!(found.contains(name), "{filter}: {found}");
    };
    let sam = Samba::dn(SUCCESSOR);
    let ad = |filter: &str| support::samba().search(filter, &["dn"]);
    search(&ad, &format!("(managedBy={sam})"), &leaver.owned());
    search(&ad, &format!("(manager={sam})"), &leaver.colleague);
    let sam = Slapd::dn(SUCCESSOR);
    let ldap = |filter: &str| support::slapd().search(filter, &["dn"]);
    search(&ldap, &format!("(owner={sam})"), &leaver.owned());
    search(&ldap, &format!("(manager={sam})"), &leaver.colleague);
    // By using it, not by asking whose it is.
    let table = format!("{}.orders", quoted(&leaver.login));
    let use_it = format!("INSERT INTO {table} VALUES (8); SELECT sum(n) FROM {table}");
    let used = support::postgres().sql_as(SUCCESSOR, PASSWORD, &company.name, &use_it);
    assert_eq!(used.expect_ok().trim(), "15");
}
