//! The built-in definition `openldap`, driven against a real slapd.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use offboard::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        fact::{Act, Exempt, Receipt, Sight, Truth, Verdict, Why},
        fault::{Fault, FaultKind, Reason},
        identity::{Account, Person},
        plan::TASK_AWAITED,
    },
    drive::Link,
};
use serde_json::{Value, json};

use crate::{
    leaver::{Leaver, SYSTEM, merge},
    relay::Relay,
    support::{self, Slapd, unique},
};

fn connector(more: Value) -> Value {
    let mut connector = json!({
        "definition": "openldap",
        "inputs": { "url": support::slapd().ldaps, "base": Slapd::BASE }
    });
    merge(&mut connector, more);
    connector
}

fn secret() -> Value {
    json!({
        "username": Slapd::SERVICE, "password": Slapd::SERVICE_PASSWORD, "ca.crt": support::slapd().tls.ca_pem()
    })
}

/// Somebody who leaves now, known by uid = mail local part = employee number.
fn leaving(uid: &str) -> Value {
    json!({ "employee": { "email": format!("{uid}@corp.test") }, "urgency": "Immediate" })
}

fn leaver(uid: &str) -> Leaver {
    Leaver::new(connector(json!({})), &secret(), &leaving(uid), &json!({}))
}

fn leaver_with_successor(uid: &str, successor: &str) -> Leaver {
    let mut offboarding = leaving(uid);
    offboarding["transfers"] = json!([{ "what": "Everything", "to": format!("{successor}@corp.test") }]);
    Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}))
}

fn attribute(dn_of: &str, name: &str) -> Option<String> {
    let found = support::slapd().search(&format!("(uid={dn_of})"), &[name]);
    let prefix = format!("{name}: ");
    found
        .lines()
        .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
}

fn change(dn: &str, changes: &str) {
    support::slapd().ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
}

#[tokio::test]
async fn who_is_known_there_by_a_former_address_is_found_and_two_accounts_are_a_question() {
    let slapd = support::slapd();
    let (roe, doe) = (unique("roe"), unique("doe"));
    let dn = slapd.add_person(&roe, "pw");
    let mut offboarding = leaving(&doe);
    offboarding["employee"]["otherEmails"] = json!([format!("{roe}@corp.test")]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!slapd.login(&dn, "pw"));

    let (roe, doe) = (unique("roe"), unique("doe"));
    let dns = [slapd.add_person(&roe, "pw"), slapd.add_person(&doe, "pw")];
    let mut offboarding = leaving(&doe);
    offboarding["employee"]["otherEmails"] = json!([format!("{roe}@corp.test")]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.pass().await;
    assert!(leaver.fault("AccountLocked").starts_with("Ambiguous"));
    assert!(
        dns.iter().all(|dn| slapd.login(dn, "pw")),
        "neither is taken for the other"
    );
}

#[tokio::test]
async fn a_leaver_is_locked_out_of_everything_and_the_successor_takes_over() {
    let slapd = support::slapd();
    let (alice, bob) = (unique("alice"), unique("bob"));
    let (alice_dn, bob_dn) = (slapd.add_person(&alice, "pw"), slapd.add_person(&bob, "pw"));
    let group = slapd.add_group(&unique("vpn"), &[&alice_dn, &bob_dn]);
    let own = slapd.add_group(&unique("owned"), &[&bob_dn]);
    change(&own, &format!("add: owner\nowner: {alice_dn}"));
    change(&bob_dn, &format!("add: manager\nmanager: {alice_dn}"));
    let carl = unique("carl");
    let carl_dn = slapd.add_person(&carl, "pw");
    change(&carl_dn, &format!("add: manager\nmanager: {alice_dn}"));
    let posix = unique("posix");
    slapd.ldif_as_admin(&format!(
        "dn: cn={posix},ou=groups,{}\nobjectClass: posixGroup\ncn: {posix}\ngidNumber: 9\nmemberUid: {alice}\nmemberUid: {bob}\n",
        Slapd::BASE
    ));
    assert!(slapd.login(&alice_dn, "pw"));

    let mut leaver = leaver_with_successor(&alice, &bob);
    leaver.settle(5).await;

    assert_eq!(leaver.left(), [], "everything is proven");
    assert_eq!(leaver.bound(), attribute(&alice, "entryUUID"));
    assert!(!slapd.login(&alice_dn, "pw"));
    assert_eq!(
        attribute(&alice, "pwdAccountLockedTime").as_deref(),
        Some("000001010000Z")
    );
    // The password is another one too: unlocked, the old one still does not open anything.
    change(&alice_dn, "delete: pwdAccountLockedTime");
    assert!(!slapd.login(&alice_dn, "pw"));
    assert!(slapd.login(&bob_dn, "pw"), "nobody else is touched");
    let members = slapd.search(
        &format!("(|(member={alice_dn})(memberUid={alice})(owner={alice_dn})(manager={alice_dn}))"),
        &["cn"],
    );
    assert_eq!(members, "");
    let owner = slapd.search(&format!("(owner={bob_dn})"), &["dn"]);
    assert!(owner.contains(&own), "{owner}");
    assert!(
        slapd
            .search(&format!("(member={bob_dn})"), &["dn"])
            .contains(&group)
    );
    assert_eq!(attribute(&carl, "manager"), Some(bob_dn));
    assert_eq!(attribute(&bob, "manager"), None, "nobody manages themselves");
    let left = leaver.snapshot("GroupsLeft");
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
    let written = leaver.written();
    assert!(!written.contains(Slapd::SERVICE_PASSWORD), "no secret is kept");
}

#[tokio::test]
async fn a_lock_that_the_policy_does_not_heed_is_no_lock() {
    // Its policies are everybody's.
    let slapd = support::slapd_alone();
    let (name, policy) = (unique("lax"), unique("policy"));
    let policy_dn = format!("cn={policy},ou=policies,{}", Slapd::BASE);
    let dn = slapd.add_person(&name, "pw");
    slapd.ldif_as_admin(&format!(
        "dn: {policy_dn}\nobjectClass: pwdPolicy\nobjectClass: device\ncn: {policy}\npwdAttribute: userPassword\npwdLockout: FALSE\n"
    ));
    let change =
        |dn: &str, changes: &str| slapd.ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
    change(
        &dn,
        &format!("add: pwdPolicySubentry\npwdPolicySubentry: {policy_dn}"),
    );
    let connector = json!({"definition": "openldap", "inputs": {"url": slapd.ldaps, "base": Slapd::BASE}});
    let secret = json!({
        "username": Slapd::SERVICE, "password": Slapd::SERVICE_PASSWORD, "ca.crt": slapd.tls.ca_pem()
    });
    let mut leaver = Leaver::new(connector, &secret, &leaving(&name), &json!({}));
    leaver.settle(5).await;
    let locked = slapd.search(&format!("(uid={name})"), &["pwdAccountLockedTime"]);
    assert!(locked.contains("000001010000Z"), "{locked}");
    assert_eq!(
        leaver.verdict("AccountLocked"),
        Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    assert!(
        leaver.says("AccountLocked").contains("pwdLockout"),
        "{}",
        leaver.says("AccountLocked")
    );
    assert!(
        !slapd.login(&dn, "pw"),
        "the password is another one all the same"
    );
    change(&policy_dn, "replace: pwdLockout\npwdLockout: TRUE");
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
}

#[tokio::test]
async fn a_lock_that_nobody_says_a_policy_heeds_is_proven_by_the_password_alone() {
    let slapd = support::slapd_alone();
    // The overlay's default is gone, and no entry names the policy that is there.
    let policies = format!("ou=policies,{}", Slapd::BASE);
    slapd.ldif_as_admin(&format!(
        "dn: cn=default,{policies}\nchangetype: delete\n\ndn: cn=other,{policies}\nchangetype: add\nobjectClass: pwdPolicy\n\
         objectClass: device\ncn: other\npwdAttribute: userPassword\npwdLockout: TRUE\n"
    ));
    let secret = json!({
        "username": Slapd::SERVICE, "password": Slapd::SERVICE_PASSWORD, "ca.crt": slapd.tls.ca_pem()
    });
    let ended = |name: &str, more: Value, policy: Value| {
        let dn = slapd.add_person(name, "pw");
        let mut inputs = json!({"url": slapd.ldaps, "base": Slapd::BASE});
        merge(&mut inputs, more);
        let connector = json!({"definition": "openldap", "inputs": inputs});
        (dn, Leaver::new(connector, &secret, &leaving(name), &policy))
    };
    let kept = json!({"timeline": [{"skip": ["PasswordRandomised"]}]});
    let (dn, mut open) = ended(&unique("open"), json!({}), kept.clone());
    open.settle(5).await;
    assert!(slapd.login(&dn, "pw"), "the lock is heeded by nothing");
    assert_eq!(
        open.verdict("AccountLocked"),
        Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    assert!(
        open.says("AccountLocked").contains("defaultPolicy"),
        "{}",
        open.says("AccountLocked")
    );
    let (dn, mut shut) = ended(&unique("shut"), json!({}), json!({}));
    shut.settle(5).await;
    assert_eq!(shut.left(), []);
    assert!(!slapd.login(&dn, "pw"));
    // Whoever says which policy applies is believed.
    let named = json!({"defaultPolicy": format!("cn=other,{policies}")});
    let (_, mut named) = ended(&unique("named"), named, kept);
    named.settle(5).await;
    assert_eq!(named.left(), []);
}

#[tokio::test]
async fn every_login_name_counts_in_any_spelling() {
    let slapd = support::slapd();
    let (first, second) = (unique("Jdoe"), unique("jane.doe"));
    let dn = slapd.add_person(&first, "pw");
    change(&dn, &format!("add: uid\nuid: {second}"));
    let spelled = first.to_lowercase();
    assert_ne!(first, spelled);
    for name in [&first, &second, &spelled] {
        let group = unique("unix");
        slapd.ldif_as_admin(&format!(
            "dn: cn={group},ou=groups,{}\nobjectClass: posixGroup\ncn: {group}\ngidNumber: 9\nmemberUid: {name}\nmemberUid: sam\n",
            Slapd::BASE
        ));
    }
    let mut leaver = leaver(&first);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    for name in [&first, &second, &spelled] {
        assert_eq!(
            slapd.search(&format!("(memberUid={name})"), &["cn"]),
            "",
            "{name}"
        );
    }
    assert_eq!(leaver.snapshot("GroupsLeft").as_array().unwrap().len(), 3);
    // Named by the second one, it is the same account.
    let mut offboarding =
        json!({ "employee": { "email": format!("{}@corp.test", unique("other")) }, "urgency": "Immediate" });
    offboarding["employee"]["accounts"] = json!([{ "connector": SYSTEM, "name": second }]);
    let mut named = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    named.settle(5).await;
    assert_eq!(
        named.verdict_in(&format!("{SYSTEM}/{second}"), "AccountLocked"),
        Verdict::Verified
    );
}

#[tokio::test]
async fn an_account_that_does_not_exist_needs_nothing() {
    let mut leaver = leaver(&unique("nobody"));
    leaver.settle(2).await;
    assert_eq!(
        leaver.verdict("AccountLocked"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
}

#[tokio::test]
async fn an_address_that_somebody_else_has_by_now_waits_for_a_person_who_names_the_account() {
    let slapd = support::slapd();
    let heir = unique("heir");
    let dn = slapd.add_person(&heir, "pw");
    let mut offboarding = leaving(&heir);
    offboarding["employee"]["employeeID"] = json!(unique("former"));
    let leaver = |offboarding: &Value| Leaver::new(connector(json!({})), &secret(), offboarding, &json!({}));
    let mut undecided = leaver(&offboarding);
    undecided.settle(2).await;
    let fault = undecided.fault("AccountLocked");
    assert!(
        fault.starts_with("Ambiguous") && fault.contains("employeeID disagrees"),
        "{fault}"
    );
    assert!(slapd.login(&dn, "pw"), "nothing was changed");
    // It is theirs all the same, a person says: that account, and no other one.
    offboarding["employee"]["accounts"] = json!([{ "connector": SYSTEM, "name": heir }]);
    let mut named = leaver(&offboarding);
    named.settle(5).await;
    assert_eq!(
        named.verdict_in(&format!("{SYSTEM}/{heir}"), "AccountLocked"),
        Verdict::Verified
    );
    assert_eq!(
        named.verdict("AccountLocked"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
    assert!(!slapd.login(&dn, "pw"));
}

#[tokio::test]
async fn who_is_given_an_account_after_access_had_ended_is_not_touched_by_the_old_offboarding() {
    let slapd = support::slapd();
    let back = unique("back");
    let mut offboarding = leaving(&back);
    offboarding["urgency"] = json!("Scheduled");
    offboarding["lastDay"] = json!("2020-01-02");
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    assert_eq!(
        leaver.verdict("AccountLocked"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
    let dn = slapd.add_person(&back, "pw");
    let mut leaver = leaver.restart();
    leaver.settle(2).await;
    let fault = leaver.fault("AccountLocked");
    assert!(
        fault.starts_with("Ambiguous") && fault.contains("came later"),
        "{fault}"
    );
    assert!(slapd.login(&dn, "pw"));
}

#[tokio::test]
async fn two_accounts_with_one_address_wait_for_a_person_and_are_not_touched() {
    let slapd = support::slapd();
    let (one, two) = (unique("alice"), unique("alice"));
    slapd.add_person(&one, "pw");
    let two_dn = slapd.add_person(&two, "pw");
    change(&two_dn, &format!("add: mail\nmail: {one}@corp.test"));
    let before = (attribute(&one, "entryCSN"), attribute(&two, "entryCSN"));
    let mut leaver = leaver(&one);
    leaver.settle(2).await;
    let Verdict::Unknown(fault) = leaver.verdict("AccountLocked") else {
        panic!("{:?}", leaver.left())
    };
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::NeedsDecision, Reason::Ambiguous)
    );
    assert_eq!((attribute(&one, "entryCSN"), attribute(&two, "entryCSN")), before);
}

#[tokio::test]
async fn the_number_and_the_address_of_two_people_wait_for_a_person() {
    let slapd = support::slapd();
    let (one, two) = (unique("alice"), unique("bob"));
    slapd.add_person(&one, "pw");
    slapd.add_person(&two, "pw");
    let mut offboarding = leaving(&one);
    offboarding["employee"]["employeeID"] = json!(two);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    assert!(
        leaver.fault("AccountLocked").contains("2 accounts"),
        "{:?}",
        leaver.left()
    );
    assert_eq!(attribute(&one, "pwdAccountLockedTime"), None);
}

#[tokio::test]
async fn somebody_else_who_gets_the_leavers_name_is_untouched() {
    let slapd = support::slapd();
    let (alice, bob) = (unique("alice"), unique("bob"));
    let alice_dn = slapd.add_person(&alice, "pw");
    let bob_dn = slapd.add_person(&bob, "pw");
    let mut leaver = leaver(&alice);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    let bound = leaver.bound();
    // The leaver is renamed, and a new colleague gets the name, the address and the place in the tree.
    let rename = |dn: &str, to: &str| {
        slapd.ldif_as_admin(&format!(
            "dn: {dn}\nchangetype: modrdn\nnewrdn: uid={to}\ndeleteoldrdn: 1\n"
        ));
    };
    let former = unique("former");
    rename(&alice_dn, &former);
    rename(&bob_dn, &alice);
    change(&alice_dn, &format!("replace: mail\nmail: {alice}@corp.test"));
    // Somebody gives the former one a way back in, so that there is something to do.
    let former_dn = format!("uid={former},ou=people,{}", Slapd::BASE);
    change(&former_dn, "delete: pwdAccountLockedTime");
    let before = attribute(&alice, "entryCSN");

    let mut leaver = leaver.restart();
    leaver.settle(5).await;

    // Whether that one is the leaver's too, only a person knows.
    let asked = Fault::needs_decision(Reason::Ambiguous).with_code("another account");
    assert_eq!(
        leaver.left(),
        [("NoOtherAccount".into(), Verdict::Unknown(asked))]
    );
    assert_eq!(leaver.bound(), bound);
    assert_eq!(attribute(&alice, "entryCSN"), before);
    assert!(slapd.login(&alice_dn, "pw"));
    assert_eq!(
        attribute(&former, "pwdAccountLockedTime").as_deref(),
        Some("000001010000Z")
    );
}

#[tokio::test]
async fn an_account_that_an_administrator_unlocks_is_locked_again_and_reported() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let group = slapd.add_group(&unique("vpn"), &[&dn]);
    let mut leaver = leaver(&alice);
    leaver.settle(5).await;
    // Seen once more, as by every recheck.
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
    change(
        &dn,
        "replace: userPassword\nuserPassword: again\n-\ndelete: pwdAccountLockedTime",
    );
    change(&group, &format!("add: member\nmember: {dn}"));
    assert!(slapd.login(&dn, "again"));
    leaver.pass().await;
    let mut drifted = leaver.drifted();
    drifted.sort();
    assert!(
        drifted.starts_with(&["AccountLocked".into(), "GroupsLeft".into()]),
        "{drifted:?}"
    );
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!slapd.login(&dn, "again"));
    assert_eq!(slapd.search(&format!("(member={dn})"), &["dn"]), "");
}

#[tokio::test]
async fn a_lock_that_ends_with_our_own_new_password_is_set_again_and_nobody_is_blamed() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    // Locked before the leaver was known, as also by us before a crash. slapd unlocks who gets a new password.
    change(
        &dn,
        "add: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z",
    );
    let mut leaver = leaver(&alice);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(
        attribute(&alice, "pwdAccountLockedTime").as_deref(),
        Some("000001010000Z")
    );
    assert!(!leaver.written().contains("Drifted"), "{}", leaver.written());
}

/// A connector whose server is slow to keep memberOf.
struct Late {
    inner: Shared,
    shows: AtomicBool,
}

#[async_trait]
impl Connector for Late {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.inner.find(who).await
    }
    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.inner.observe(subject, facts).await
    }
    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        if fact == "MembershipsGone" && self.shows.load(Ordering::Relaxed) {
            return Sight::of(Truth::DoesNotHold);
        }
        self.inner.sight(subject, fact, readings)
    }
    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        self.inner.act(subject, act, order).await
    }
}

#[tokio::test]
async fn a_membership_that_shows_for_a_while_after_the_group_was_left_is_looked_at_again() {
    let alice = unique("alice");
    support::slapd().add_person(&alice, "pw");
    let mut leaver = leaver(&alice);
    let late = Arc::new(Late {
        inner: leaver.connector(),
        shows: AtomicBool::new(true),
    });
    leaver.links = BTreeMap::from([(SYSTEM.to_owned(), Link::Ready(late.clone()))]);
    leaver.pass().await;
    assert_eq!(leaver.verdict("MembershipsGone"), Verdict::Unmet(Why::NoAct));
    late.shows.store(false, Ordering::Relaxed);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
}

#[tokio::test]
async fn the_only_member_of_a_group_is_reported_and_everything_else_is_done() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let alone = unique("alone");
    slapd.ldif_as_admin(&format!(
        "dn: cn={alone},ou=groups,{}\nobjectClass: groupOfNames\ncn: {alone}\nmember: {dn}\n",
        Slapd::BASE
    ));
    let others: Vec<String> = (0..10).map(|_| slapd.add_group(&unique("vpn"), &[&dn])).collect();
    let mut leaver = leaver(&alice);
    leaver.settle(3).await;
    assert_eq!(leaver.fault("GroupsLeft"), "Refused (ldap 65)");
    assert_eq!(leaver.says("GroupsLeft"), "leave 1 group");
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(leaver.verdict("PasswordRandomised"), Verdict::Verified);
    let left = slapd.search(&format!("(member={dn})"), &["dn"]);
    assert!(
        left.contains(&alone) && !others.iter().any(|group| left.contains(group)),
        "{left}"
    );
    assert!(!slapd.login(&dn, "pw"));
}

#[tokio::test]
async fn a_right_that_is_missing_holds_up_its_own_fact_only() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    // The login may not change members outside of ou=groups.
    let hidden = unique("admins");
    slapd.ldif_as_admin(&format!(
        "dn: cn={hidden},ou=services,{}\nobjectClass: groupOfNames\ncn: {hidden}\nmember: {dn}\nmember: {}\n",
        Slapd::BASE,
        Slapd::SERVICE
    ));
    let group = slapd.add_group(&unique("vpn"), &[&dn]);
    let mut leaver = leaver(&alice);
    leaver.settle(3).await;
    assert_eq!(leaver.fault("GroupsLeft"), "PermissionDenied (ldap 50)");
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert!(!slapd.search(&format!("(member={dn})"), &["dn"]).contains(&group));
    assert!(!slapd.login(&dn, "pw"));
}

#[tokio::test]
async fn without_a_successor_only_what_is_handed_over_waits() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let own = slapd.add_group(&unique("owned"), &[]);
    change(&own, &format!("add: owner\nowner: {dn}"));
    let mut leaver = leaver(&alice);
    leaver.settle(3).await;
    let left: Vec<String> = leaver.left().into_iter().map(|(fact, _)| fact).collect();
    assert_eq!(left, ["OwnershipHandedOver"]);
    assert!(leaver.fault("OwnershipHandedOver").starts_with("NoSuccessor"));
}

#[tokio::test]
async fn an_account_named_in_the_offboarding_is_found_by_its_name_alone() {
    let slapd = support::slapd();
    let (alice, admin) = (unique("alice"), unique("adm-alice"));
    slapd.add_person(&alice, "pw");
    let admin_dn = slapd.add_person(&admin, "pw");
    let mut offboarding = leaving(&alice);
    offboarding["employee"]["accounts"] = json!([{ "connector": SYSTEM, "name": admin }]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(
        leaver.verdict_in(&format!("{SYSTEM}/{admin}"), "AccountLocked"),
        Verdict::Verified
    );
    assert!(!slapd.login(&admin_dn, "pw"));
}

#[tokio::test]
async fn a_protected_account_and_the_connectors_own_are_refused() {
    let slapd = support::slapd();
    let alice = unique("alice");
    slapd.add_person(&alice, "pw");
    let before = attribute(&alice, "entryCSN");
    let guarded = connector(json!({ "protected": [alice.to_uppercase()] }));
    let mut leaver = Leaver::new(guarded, &secret(), &leaving(&alice), &json!({}));
    leaver.settle(2).await;
    assert_eq!(leaver.fault("AccountLocked"), "Protected");
    assert_eq!(attribute(&alice, "entryCSN"), before);

    let mut offboarding = leaving(&unique("nobody"));
    offboarding["employee"]["accounts"] = json!([{ "connector": SYSTEM, "name": "svc-offboard" }]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    let Verdict::Unknown(fault) = leaver.verdict_in(&format!("{SYSTEM}/svc-offboard"), "AccountLocked")
    else {
        panic!("{:?}", leaver.left())
    };
    assert_eq!(fault.reason, Reason::Protected);
    assert!(slapd.login(Slapd::SERVICE, Slapd::SERVICE_PASSWORD));
}

#[tokio::test]
async fn another_attribute_can_be_the_lock() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let inputs = json!({ "inputs": { "lockAttribute": "employeeType", "lockValue": "left" } });
    let mut admin = secret();
    admin["username"] = json!(Slapd::ADMIN);
    admin["password"] = json!(Slapd::ADMIN_PASSWORD);
    let mut leaver = Leaver::new(connector(inputs), &admin, &leaving(&alice), &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(attribute(&alice, "employeeType").as_deref(), Some("left"));
    assert_eq!(attribute(&alice, "pwdAccountLockedTime"), None);
    assert!(!slapd.login(&dn, "pw"), "the password is another one");
}

#[tokio::test]
async fn the_entry_is_moved_and_deleted_only_where_that_is_asked_for() {
    let slapd = support::slapd();
    let alice = unique("alice");
    slapd.add_person(&alice, "pw");
    let mut admin = secret();
    admin["username"] = json!(Slapd::ADMIN);
    admin["password"] = json!(Slapd::ADMIN_PASSWORD);
    let leavers = format!("ou=leavers,{}", Slapd::BASE);
    let more = json!({
        "inputs": { "leaversOU": leavers }, "facts": { "include": ["MovedToLeaversOU", "EntryDeleted"] }
    });
    let mut leaver = Leaver::new(connector(more.clone()), &admin, &leaving(&alice), &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(
        slapd
            .search(&format!("(uid={alice})"), &["dn"])
            .contains(&leavers)
    );
    assert_eq!(
        leaver.verdict("EntryDeleted"),
        Verdict::NotNeeded(Exempt::Waived),
        "no policy wants it"
    );

    let bob = unique("bob");
    slapd.add_person(&bob, "pw");
    let policy = json!({
        "retention": { "accounts": "0s" }, "timeline": [{ "want": ["EntryDeleted"], "at": "cutoff" }]
    });
    let more = json!({ "facts": { "include": ["EntryDeleted"] } });
    let mut leaver = Leaver::new(connector(more), &admin, &leaving(&bob), &policy);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(leaver.verdict("EntryDeleted"), Verdict::Verified);
    assert_eq!(slapd.search(&format!("(uid={bob})"), &["dn"]), "");
}

#[tokio::test]
async fn an_entry_whose_name_is_taken_where_it_moves_to_gets_one_value_more_and_gives_it_back() {
    let slapd = support::slapd();
    let (alice, other) = (unique("alice"), unique("other"));
    let dn = slapd.add_person(&alice, "pw");
    let leavers = format!("ou=leavers,{}", Slapd::BASE);
    // A comma, a sign that joins values, and a name that two people have.
    let name = format!("cn=Roe\\, A+ {alice}").replace("A+", "A\\+");
    slapd.ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modrdn\nnewrdn: {name}\ndeleteoldrdn: 0\n"
    ));
    slapd.ldif_as_admin(&format!(
        "dn: {name},{leavers}\nobjectClass: inetOrgPerson\nsn: x\nuid: {other}\nmail: {other}@corp.test\n"
    ));
    let entry = |uid: &str| slapd.search(&format!("(uid={uid})"), &["cn", "sn", "uid", "employeeNumber"]);
    let (before, namesake) = (entry(&alice), entry(&other));
    let mut admin = secret();
    admin["username"] = json!(Slapd::ADMIN);
    admin["password"] = json!(Slapd::ADMIN_PASSWORD);
    let more = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    let policy = json!({"timeline": [{"want": ["MovedToLeaversOU"], "at": "cutoff"}]});
    let mut leaver = Leaver::new(connector(more), &admin, &leaving(&alice), &policy);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    let there = entry(&alice);
    let shown = there.lines().next().unwrap();
    assert!(
        shown.ends_with(&leavers) && shown.contains(&format!("employeeNumber={alice}")),
        "{there}"
    );
    assert_eq!(
        there.split_once('\n').unwrap().1,
        before.split_once('\n').unwrap().1,
        "no attribute changes"
    );
    assert_eq!(entry(&other), namesake);
    let mut leaver = leaver.changed(json!({"desired": "Reinstated"}));
    leaver.settle(5).await;
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    assert_eq!((entry(&alice), entry(&other)), (before, namesake));
}

#[tokio::test]
async fn an_entry_that_somebody_else_deletes_is_unknown_and_never_done() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let mut leaver = leaver(&alice);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    slapd.ldif_as_admin(&format!("dn: {dn}\nchangetype: delete\n"));
    leaver.pass().await;
    assert_eq!(leaver.fault("AccountLocked"), "NotFoundUncorroborated");
    assert!(!matches!(
        leaver.verdict("GroupsLeft"),
        Verdict::Verified | Verdict::Unmet(Why::NoAct)
    ));
}

#[tokio::test]
async fn neither_a_password_nor_a_name_is_ever_sent_in_clear_text() {
    let slapd = support::slapd();
    let alice = unique("alice");
    let dn = slapd.add_person(&alice, "pw");
    let target = slapd.url.split_once("://").unwrap().1.parse().unwrap();
    let relay = Relay::to(target).await;
    let url = format!("ldap://127.0.0.1:{}", relay.port);
    let inputs = json!({ "inputs": { "url": url } });
    let mut leaver = Leaver::new(connector(inputs), &secret(), &leaving(&alice), &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!slapd.login(&dn, "pw"));
    let sent = String::from_utf8_lossy(&relay.sent()).into_owned();
    assert!(
        sent.contains("1.3.6.1.4.1.1466.20037"),
        "StartTLS is the first thing"
    );
    assert!(!sent.contains(Slapd::SERVICE_PASSWORD) && !sent.contains(&alice));
}
