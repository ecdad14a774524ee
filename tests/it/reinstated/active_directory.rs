//! Who comes back to Active Directory, on a real domain controller with a delegated account.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use offboard::core::fact::{Exempt, Verdict};
use serde_json::{Value, json};

use super::{
    GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, back, is_back, out, settle, stories, wanted_back, within,
};
use crate::{
    leaver::{Leaver, merge},
    support::{self, Samba, unique},
};

const PASSWORD: &str = "First-Passw0rd!";

/// A leaver who manages a group and two people, and a successor who is one of these.
struct Domain {
    name: String,
    successor: String,
    groups: String,
    /// What the Connector says beside its inputs.
    connector: Value,
    policy: Value,
    login: (&'static str, &'static str),
}

fn change(dn: &str, changes: &str) {
    support::samba().ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
}

fn mail(name: &str) -> String {
    format!("{name}@{}", Samba::DOMAIN)
}

impl Domain {
    fn new() -> Self {
        let samba = support::samba();
        let place = Self {
            name: unique("al"),
            successor: unique("bo"),
            groups: unique("g"),
            connector: json!({}),
            policy: json!({}),
            login: (Samba::SERVICE, Samba::SERVICE_PASSWORD),
        };
        let (dn, successor) = (
            samba.add_person(&place.name, PASSWORD),
            samba.add_person(&place.successor, PASSWORD),
        );
        for group in [KEPT[0], KEPT[1], TAKEN_BEFORE] {
            samba.add_group(&place.group(group), &[&dn, &successor]);
        }
        samba.add_group(&place.group(GIVEN_AFTER), &[&successor]);
        let (own, carl) = (
            samba.add_group(&place.group("own"), &[]),
            samba.add_person(&unique("ca"), PASSWORD),
        );
        change(&own, &format!("add: managedBy\nmanagedBy: {dn}"));
        change(&carl, &format!("add: manager\nmanager: {dn}"));
        change(&successor, &format!("add: manager\nmanager: {dn}"));
        change(&dn, "add: description\ndescription: Floor 2");
        place
    }

    fn dn(&self) -> String {
        let found = support::samba().search(&format!("(sAMAccountName={})", self.name), &["dn"]);
        found
            .lines()
            .find_map(|line| line.strip_prefix("dn: "))
            .unwrap()
            .to_owned()
    }

    fn group(&self, group: &str) -> String {
        format!("{}-{group}", self.groups)
    }

    fn member(&self, group: &str, what: &str) {
        change(
            &Samba::dn(&self.group(group)),
            &format!("{what}: member\nmember: {}", self.dn()),
        );
    }
}

/// A DN as a value in a filter.
fn escaped(dn: &str) -> String {
    dn.replace('\\', "\\5c").replace('(', "\\28").replace(')', "\\29")
}

/// The DNs, or the values of one attribute, of what matches.
fn values(filter: &str, attribute: &str) -> Vec<String> {
    let found = support::samba().search(filter, &[attribute]);
    let prefix = format!("{attribute}: ");
    found
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

impl Place for Domain {
    const GROUPS: &str = "GroupsRemoved";
    const LOST: &[&str] = &["PasswordRandomised"];

    fn leaver(&self) -> Leaver {
        let samba = support::samba();
        let mut connector = json!({
            "definition": "active-directory", "inputs": {"url": samba.ldaps, "base": Samba::BASE}
        });
        merge(&mut connector, self.connector.clone());
        let secret =
            json!({"username": self.login.0, "password": self.login.1, "ca.crt": samba.tls.ca_pem()});
        let offboarding = json!({
            "employee": {"email": mail(&self.name)}, "urgency": "Immediate",
            "transfers": [{"what": "Everything", "to": mail(&self.successor)}],
        });
        Leaver::new(connector, &secret, &offboarding, &self.policy)
    }

    fn has(&self) -> BTreeSet<String> {
        let (me, dn) = (format!("(sAMAccountName={})", self.name), self.dn());
        let one = |attribute: &str| values(&me, attribute).concat();
        let mut has = BTreeSet::from([
            format!("below {}", dn.split_once(',').unwrap().1),
            format!("expires {}", one("accountExpires")),
            format!("primary group {}", one("primaryGroupID")),
            format!("described {}", one("description")),
        ]);
        if one("userAccountControl") == "512" {
            has.insert("open".to_owned());
        }
        let (own, dn) = (format!("{}-", self.groups), escaped(&dn));
        for group in values(&format!("(member={dn})"), "sAMAccountName") {
            has.insert(within(group.strip_prefix(&own).unwrap_or(&group)));
        }
        for (attribute, word) in [("managedBy", "owns"), ("manager", "manages")] {
            let there = values(&format!("({attribute}={dn})"), "dn");
            has.extend(there.into_iter().map(|what| format!("{word} {what}")));
        }
        has
    }

    async fn admits(&self) -> bool {
        let password = support::unicode_password("Known-Passw0rd!");
        change(
            &self.dn(),
            &format!("replace: unicodePwd\nunicodePwd:: {password}"),
        );
        let samba = support::samba();
        let (ldap, kerberos) = (
            samba.login(&mail(&self.name), "Known-Passw0rd!"),
            samba.kinit(&self.name, "Known-Passw0rd!"),
        );
        assert_eq!(ldap.is_ok(), kerberos.is_ok(), "{ldap:?}, {kerberos:?}");
        ldap.is_ok()
    }

    fn give(&self, group: &str) {
        self.member(group, "add");
    }

    fn take(&self, group: &str) {
        self.member(group, "delete");
    }

    fn delete(&self, group: &str) {
        let dn = Samba::dn(&self.group(group));
        support::samba().ldif_as_admin(&format!("dn: {dn}\nchangetype: delete\n"));
    }
}

stories!(Domain::new());

#[tokio::test]
async fn a_group_that_was_renamed_and_another_primary_group_are_given_back() {
    let samba = support::samba();
    let place = Domain::new();
    let primary = samba.add_group(&place.group("primary"), &[&place.dn()]);
    let rid = values(&format!("(distinguishedName={primary})"), "primaryGroupToken").concat();
    change(
        &place.dn(),
        &format!("replace: primaryGroupID\nprimaryGroupID: {rid}"),
    );
    let before = place.has();
    assert!(before.contains(&format!("primary group {rid}")), "{before:?}");
    let mut leaver = place.leaver();
    settle(&place, &mut leaver).await;
    assert_eq!(leaver.left(), []);
    let renamed = unique("new");
    let group = place.group(KEPT[0]);
    change(
        &Samba::dn(&group),
        &format!("replace: sAMAccountName\nsAMAccountName: {renamed}"),
    );
    back(&place, leaver).await;
    change(
        &Samba::dn(&group),
        &format!("replace: sAMAccountName\nsAMAccountName: {group}"),
    );
    assert_eq!(place.has(), before);
}

#[tokio::test]
async fn what_somebody_else_decided_since_is_not_overwritten() {
    let place = Domain::new();
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    // A contract to the end of the year, a group with another owner, a report of somebody else.
    let next_year = Timestamp::now() + SignedDuration::from_hours(24 * 365);
    let expires = (next_year.as_nanosecond() / 100 + 116_444_736_000_000_000).to_string();
    change(
        &place.dn(),
        &format!("replace: accountExpires\naccountExpires: {expires}"),
    );
    let dora = support::samba().add_person(&unique("do"), PASSWORD);
    let own = Samba::dn(&place.group("own"));
    let carl = before
        .iter()
        .find_map(|what| what.strip_prefix("manages CN=ca"))
        .unwrap();
    let carl = format!("CN=ca{carl}");
    change(&own, &format!("replace: managedBy\nmanagedBy: {dora}"));
    change(&carl, &format!("replace: manager\nmanager: {dora}"));

    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    is_back(&place, &leaver, &["ManagedByHandedOver", "ReportsHandedOver"]).await;
    let mut expected = before;
    expected.retain(|what| !what.starts_with("expires") && !what.ends_with(&own) && !what.ends_with(&carl));
    expected.insert(format!("expires {expires}"));
    assert_eq!(place.has(), expected);
    assert_eq!(
        leaver.verdict("ManagedByHandedOverUndone"),
        Verdict::NotNeeded(Exempt::GoneMeanwhile(1))
    );
}

#[tokio::test]
async fn who_was_moved_is_moved_back_also_by_a_name_with_a_comma() {
    let mut place = Domain::new();
    place.connector = json!({
        "inputs": {"leaversOU": format!("OU=Leavers,{}", Samba::BASE)}, "facts": {"include": ["MovedToLeaversOU"]}
    });
    place.policy = json!({"timeline": [{"want": ["MovedToLeaversOU"], "at": "cutoff"}]});
    place.login = (Samba::ADMIN, Samba::ADMIN_PASSWORD);
    support::samba().ldif_as_admin(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: CN=Roe\\, {}\ndeleteoldrdn: 1\n",
        place.dn(),
        place.name
    ));
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    assert!(place.dn().contains("OU=Leavers"), "{}", place.dn());
    back(&place, leaver).await;
    assert_eq!(place.has(), before);
}

#[tokio::test]
async fn who_was_given_another_name_where_they_were_moved_to_gets_the_old_one_back() {
    let mut place = Domain::new();
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    place.connector = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    place.policy = json!({"timeline": [{"want": ["MovedToLeaversOU"], "at": "cutoff"}]});
    place.login = (Samba::ADMIN, Samba::ADMIN_PASSWORD);
    let namesake = format!("CN={},{leavers}", place.name);
    support::samba().ldif_as_admin(&format!("dn: {namesake}\nobjectClass: contact\n"));
    let (before, dn) = (place.has(), place.dn());
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    assert_eq!(place.dn(), format!("CN={0} ({0}),{leavers}", place.name));
    back(&place, leaver).await;
    assert_eq!((place.has(), place.dn()), (before, dn));
    assert_eq!(values(&format!("(cn={})", place.name), "dn").len(), 2);
}

#[tokio::test]
async fn a_name_that_somebody_else_gave_after_the_move_is_kept() {
    let mut place = Domain::new();
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    place.connector = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    place.policy = json!({"timeline": [{"want": ["MovedToLeaversOU"], "at": "cutoff"}]});
    place.login = (Samba::ADMIN, Samba::ADMIN_PASSWORD);
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let newer = unique("married");
    support::samba().ldif_as_admin(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: CN={newer}\ndeleteoldrdn: 1\n",
        place.dn()
    ));
    back(&place, leaver).await;
    assert_eq!((place.has(), place.dn()), (before, Samba::dn(&newer)));
}

#[tokio::test]
async fn an_end_that_was_moved_before_it_came_is_taken_back_to_the_first() {
    let place = Domain::new();
    let before = place.has();
    let spec = json!({"urgency": "Scheduled", "lastDay": "2099-01-02", "cutoff": {"timeZone": "UTC"}});
    let mut leaver = place.leaver().changed(spec);
    leaver.settle(2).await;
    let mut leaver = leaver.changed(json!({"lastDay": "2099-02-03"}));
    leaver.settle(2).await;
    assert_ne!(place.has(), before, "it is armed");
    let mut leaver = wanted_back(leaver);
    leaver.settle(2).await;
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    assert_eq!(place.has(), before);
    assert_eq!(
        support::samba().login(&mail(&place.name), PASSWORD),
        Ok(()),
        "the old password still lets in"
    );
}

#[tokio::test]
async fn of_an_account_that_was_deleted_nothing_can_be_given_back() {
    let mut place = Domain::new();
    place.connector = json!({"facts": {"include": ["AccountDeleted"]}});
    place.login = (Samba::ADMIN, Samba::ADMIN_PASSWORD);
    place.policy = json!({
        "timeline": [{"want": ["AccountDeleted"], "at": "cutoff"}], "retention": {"accounts": "0s"}
    });
    let mut leaver = place.leaver();
    leaver.settle(10).await;
    assert_eq!(leaver.left(), []);
    let gone = values(&format!("(sAMAccountName={})", place.name), "dn");
    assert_eq!(gone, [""; 0]);
    let mut leaver = wanted_back(leaver);
    leaver.settle(10).await;
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    for (fact, verdict) in leaver.all() {
        assert_eq!(verdict, Verdict::NotNeeded(Exempt::NotRestorable), "{fact}");
    }
}
