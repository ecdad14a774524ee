//! Who comes back to OpenLDAP, on a real slapd with a delegated account.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    GIVEN_AFTER, KEPT, Place, TAKEN_BEFORE, back, is_back, out, settle, stories, wanted_back, within,
};
use crate::{
    leaver::Leaver,
    support::{self, Slapd, unique},
};

/// A leaver who owns a group and manages two people, and a successor who is one of these.
struct Directory {
    uid: String,
    successor: String,
    groups: String,
    lock: Option<(&'static str, &'static str)>,
}

fn change(dn: &str, changes: &str) {
    support::slapd().ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
}

impl Directory {
    fn new() -> Self {
        let slapd = support::slapd();
        let place = Self {
            uid: unique("alice"),
            successor: unique("bob"),
            groups: unique("g"),
            lock: None,
        };
        let (dn, successor) = (
            slapd.add_person(&place.uid, "pw"),
            slapd.add_person(&place.successor, "pw"),
        );
        let carl = slapd.add_person(&unique("carl"), "pw");
        slapd.add_group(&place.group(KEPT[0]), &[&dn]);
        slapd.add_group(&place.group(TAKEN_BEFORE), &[&dn]);
        slapd.add_group(&place.group(GIVEN_AFTER), &[]);
        // One that lists login names.
        slapd.ldif_as_admin(&format!(
            "dn: {}\nobjectClass: posixGroup\ncn: {}\ngidNumber: 9\nmemberUid: {}\nmemberUid: other\n",
            place.group_dn(KEPT[1]),
            place.group(KEPT[1]),
            place.uid
        ));
        let own = slapd.add_group(&place.group("own"), &[]);
        let shared = slapd.add_group(&place.group("shared"), &[]);
        change(&own, &format!("add: owner\nowner: {dn}"));
        change(&shared, &format!("add: owner\nowner: {dn}\nowner: {successor}"));
        change(&carl, &format!("add: manager\nmanager: {dn}"));
        change(&successor, &format!("add: manager\nmanager: {dn}"));
        place
    }

    fn group(&self, group: &str) -> String {
        format!("{}-{group}", self.groups)
    }

    fn group_dn(&self, group: &str) -> String {
        format!("cn={},ou=groups,{}", self.group(group), Slapd::BASE)
    }

    fn member(&self, group: &str, what: &str) {
        let (attribute, value) = if group == KEPT[1] {
            ("memberUid", self.uid.clone())
        } else {
            ("member", Slapd::dn(&self.uid))
        };
        change(
            &self.group_dn(group),
            &format!("{what}: {attribute}\n{attribute}: {value}"),
        );
    }
}

/// The values of one attribute of what matches.
fn values(filter: &str, attribute: &str) -> Vec<String> {
    let found = support::slapd().search(filter, &[attribute]);
    let prefix = format!("{attribute}: ");
    found
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

impl Place for Directory {
    const GROUPS: &str = "GroupsLeft";
    const LOST: &[&str] = &["PasswordRandomised"];

    fn leaver(&self) -> Leaver {
        let slapd = support::slapd();
        let mut connector =
            json!({"definition": "openldap", "inputs": {"url": slapd.ldaps, "base": Slapd::BASE}});
        let mut login = (Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
        if let Some((attribute, value)) = self.lock {
            connector["inputs"]["lockAttribute"] = json!(attribute);
            connector["inputs"]["lockValue"] = json!(value);
            login = (Slapd::ADMIN, Slapd::ADMIN_PASSWORD);
        }
        let secret = json!({"username": login.0, "password": login.1, "ca.crt": slapd.tls.ca_pem()});
        let offboarding = json!({
            "employee": {"email": format!("{}@corp.test", self.uid)}, "urgency": "Immediate",
            "transfers": [{"what": "Everything", "to": format!("{}@corp.test", self.successor)}],
        });
        Leaver::new(connector, &secret, &offboarding, &json!({}))
    }

    fn has(&self) -> BTreeSet<String> {
        let (me, dn) = (format!("(uid={})", self.uid), Slapd::dn(&self.uid));
        let mut has = BTreeSet::from([format!("category {}", values(&me, "businessCategory").concat())]);
        if values(&me, "pwdAccountLockedTime").is_empty() {
            has.insert("open".to_owned());
        }
        let own = format!("{}-", self.groups);
        for group in values(&format!("(|(member={dn})(memberUid={}))", self.uid), "cn") {
            has.insert(within(group.strip_prefix(&own).unwrap_or(&group)));
        }
        let by_itself: BTreeSet<String> = values(&me, "memberOf").into_iter().collect();
        let by_groups: BTreeSet<String> = values(&format!("(member={dn})"), "dn").into_iter().collect();
        assert_eq!(by_itself, by_groups);
        for attribute in ["owner", "manager"] {
            let there = values(&format!("({attribute}={dn})"), "dn");
            for what in there {
                let all = values(&format!("(entryDN={what})"), attribute).len();
                has.insert(format!("{attribute} of {what}, one of {all}"));
            }
        }
        has
    }

    async fn admits(&self) -> bool {
        let dn = Slapd::dn(&self.uid);
        let locked = values(&format!("(uid={})", self.uid), "pwdAccountLockedTime");
        change(&dn, "replace: userPassword\nuserPassword: known");
        // The password policy lifts the lock with a new password.
        if let Some(since) = locked.first() {
            change(
                &dn,
                &format!("replace: pwdAccountLockedTime\npwdAccountLockedTime: {since}"),
            );
        }
        support::slapd().login(&dn, "known")
    }

    fn give(&self, group: &str) {
        self.member(group, "add");
    }

    fn take(&self, group: &str) {
        self.member(group, "delete");
    }

    fn delete(&self, group: &str) {
        support::slapd().ldif_as_admin(&format!("dn: {}\nchangetype: delete\n", self.group_dn(group)));
    }
}

stories!(Directory::new());

#[tokio::test]
async fn a_group_is_found_again_under_a_new_name_and_another_of_its_old_name_is_left_alone() {
    let slapd = support::slapd();
    let place = Directory::new();
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let (old, moved) = (place.group(KEPT[0]), unique("moved"));
    let rename = |from: &str, to: &str| {
        slapd.ldif_as_admin(&format!(
            "dn: cn={from},ou=groups,{}\nchangetype: modrdn\nnewrdn: cn={to}\ndeleteoldrdn: 1\n",
            Slapd::BASE
        ));
    };
    rename(&old, &moved);
    let other = slapd.add_group(&old, &[]);
    back(&place, leaver).await;
    let members = slapd.search(&format!("(entryDN={other})"), &["member"]);
    assert!(!members.contains(&place.uid), "{members}");
    slapd.ldif_as_admin(&format!("dn: {other}\nchangetype: delete\n"));
    rename(&moved, &old);
    assert_eq!(place.has(), before);
}

#[tokio::test]
async fn what_somebody_else_decided_since_is_not_overwritten() {
    let place = Directory::new();
    let before = place.has();
    let mut leaver = place.leaver();
    out(&place, &mut leaver).await;
    let dora = support::slapd().add_person(&unique("dora"), "pw");
    let own = place.group_dn("own");
    change(&own, &format!("replace: owner\nowner: {dora}"));
    let mut leaver = wanted_back(leaver);
    settle(&place, &mut leaver).await;
    is_back(&place, &leaver, &["OwnershipHandedOver"]).await;
    assert_eq!(values(&format!("(entryDN={own})"), "owner"), [dora]);
    let mut expected = before;
    expected.retain(|what| !what.contains(&own));
    assert_eq!(place.has(), expected);
}

#[tokio::test]
async fn a_lock_that_has_taken_the_place_of_something_gives_it_back() {
    let mut place = Directory::new();
    place.lock = Some(("businessCategory", "closed"));
    change(
        &Slapd::dn(&place.uid),
        "add: businessCategory\nbusinessCategory: sales",
    );
    let before = place.has();
    let mut leaver = place.leaver();
    settle(&place, &mut leaver).await;
    assert_eq!(leaver.left(), []);
    assert!(place.has().contains("category closed"), "{:?}", place.has());
    back(&place, leaver).await;
    assert_eq!(place.has(), before);
}
