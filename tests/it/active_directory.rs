//! The built-in definition `active-directory`, driven against a real domain controller with a delegated account.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::TimeZone};
use offboard::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        fact::{Act, Exempt, Receipt, Sight, Verdict, Why},
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
    support::{self, Samba, unique},
};

const PASSWORD: &str = "First-Passw0rd!";

fn connector(more: Value) -> Value {
    let mut connector = json!({
        "definition": "active-directory",
        "inputs": { "url": support::samba().ldaps, "base": Samba::BASE }
    });
    merge(&mut connector, more);
    connector
}

fn secret() -> Value {
    json!({
        "username": Samba::SERVICE, "password": Samba::SERVICE_PASSWORD, "ca.crt": support::samba().tls.ca_pem()
    })
}

fn admin() -> Value {
    let mut secret = secret();
    merge(
        &mut secret,
        json!({ "username": Samba::ADMIN, "password": Samba::ADMIN_PASSWORD }),
    );
    secret
}

fn mail(name: &str) -> String {
    format!("{name}@{}", Samba::DOMAIN)
}

fn leaving(name: &str) -> Value {
    json!({ "employee": { "email": mail(name) }, "urgency": "Immediate" })
}

fn leaver(name: &str) -> Leaver {
    Leaver::new(connector(json!({})), &secret(), &leaving(name), &json!({}))
}

/// An enabled employee: the login name and the DN.
fn employee() -> (String, String) {
    let name = unique("al");
    let dn = support::samba().add_person(&name, PASSWORD);
    (name, dn)
}

fn attribute(dn: &str, name: &str) -> Option<String> {
    let found = support::samba().search(&format!("(distinguishedName={dn})"), &[name]);
    let prefix = format!("{name}: ");
    found
        .lines()
        .find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
}

/// Whether the entry is as it was before.
fn untouched(dn: &str) -> impl Fn() -> bool {
    let (dn, before) = (dn.to_owned(), attribute(dn, "uSNChanged"));
    assert!(before.is_some());
    move || attribute(&dn, "uSNChanged") == before
}

#[tokio::test]
async fn an_address_that_is_only_an_alias_leads_to_the_account() {
    let (name, dn) = employee();
    let former = unique("oldname");
    support::samba().ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modify\nadd: proxyAddresses\nproxyAddresses: SMTP:{}\nproxyAddresses: smtp:{}\n",
        mail(&name),
        mail(&former)
    ));
    let mut leaver = leaver(&former);
    leaver.settle(10).await;
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(support::samba().login(&mail(&name), PASSWORD).is_err());
}

#[tokio::test]
async fn an_everyday_and_an_administrators_account_of_one_number_are_both_named() {
    let samba = support::samba();
    let (everyday, _) = employee();
    let admin = format!("adm-{everyday}");
    let dn = samba.add_person(&admin, PASSWORD);
    samba.ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: employeeID\nemployeeID: {everyday}\n-\ndelete: mail\n"
    ));
    let mut spec = leaving(&everyday);
    spec["employee"]["employeeID"] = json!(everyday);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &spec, &json!({}));
    leaver.settle(2).await;
    let row = &leaver.status().systems[0];
    let identified = row.conditions.iter().find(|c| c.type_ == "Identified");
    let message = identified
        .expect("the row says between which accounts")
        .message
        .clone();
    for name in [&everyday, &admin] {
        assert!(
            message.contains(&format!("{{connector: {SYSTEM}, name: \"{name}\"}}")),
            "{message}"
        );
        assert_eq!(samba.login(&mail(name), PASSWORD), Ok(()), "nothing was changed");
    }
    spec["employee"]["accounts"] =
        json!([{ "connector": SYSTEM, "name": everyday }, { "connector": SYSTEM, "name": admin }]);
    // With these lines both are ended, in the same record or a new one, and also where nothing else is known.
    let mut both = leaver.changed(spec.clone());
    both.settle(10).await;
    assert_eq!(both.left(), []);
    let unknown = format!("{}@corp.test", unique("nobody"));
    spec["employee"] = json!({"email": unknown, "accounts": spec["employee"]["accounts"]});
    let mut named = Leaver::new(connector(json!({})), &secret(), &spec, &json!({}));
    named.settle(10).await;
    assert_eq!(named.left(), []);
    for name in [&everyday, &admin] {
        assert!(samba.login(&mail(name), PASSWORD).is_err());
        assert_eq!(
            both.verdict_in(&format!("{SYSTEM}/{name}"), "AccountDisabled"),
            Verdict::Verified
        );
    }
}

/// What is left where somebody else has the leaver's keys by now.
fn other_account() -> [(String, Verdict); 1] {
    let fault = Fault::needs_decision(Reason::Ambiguous).with_code("another account");
    [("NoOtherAccount".into(), Verdict::Unknown(fault))]
}

fn members(group: &str) -> String {
    support::samba().search(&format!("(distinguishedName={group})"), &["member"])
}

fn change(dn: &str, changes: &str) {
    support::samba().ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
}

fn refused(name: &str) -> bool {
    // A wrong password is told before a disabled account is.
    support::samba().login(&mail(name), PASSWORD) == Err("52e".to_owned())
}

#[tokio::test]
async fn a_leaver_is_out_of_the_domain_and_the_successor_takes_over() {
    let samba = support::samba();
    let ((al, al_dn), (bo, bo_dn), (_, carl_dn)) = (employee(), employee(), employee());
    let group = samba.add_group(&unique("vpn"), &[&al_dn, &bo_dn]);
    let own = samba.add_group(&unique("own"), &[&bo_dn]);
    change(&own, &format!("add: managedBy\nmanagedBy: {al_dn}"));
    change(&carl_dn, &format!("add: manager\nmanager: {al_dn}"));
    change(&bo_dn, &format!("add: manager\nmanager: {al_dn}"));
    assert_eq!(samba.login(&mail(&al), PASSWORD), Ok(()));
    assert_eq!(samba.kinit(&al, PASSWORD), Ok(()));

    let mut offboarding = leaving(&al);
    offboarding["transfers"] = json!([{ "what": "Everything", "to": mail(&bo) }]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(5).await;

    assert_eq!(leaver.left(), [], "everything is proven");
    assert!(refused(&al));
    assert!(samba.kinit(&al, PASSWORD).is_err());
    assert!(!members(&group).contains(&al_dn) && members(&group).contains(&bo_dn));
    assert_eq!(attribute(&own, "managedBy").as_ref(), Some(&bo_dn));
    assert_eq!(attribute(&carl_dn, "manager").as_ref(), Some(&bo_dn));
    assert_eq!(attribute(&bo_dn, "manager"), None, "nobody manages themselves");
    assert_eq!(
        samba.login(&mail(&bo), PASSWORD),
        Ok(()),
        "nobody else is touched"
    );
    let left = leaver.snapshot("GroupsRemoved");
    assert_eq!(left[0]["name"], group.split(['=', ',']).nth(1).unwrap());
    assert_eq!(left[0]["id"].as_str().unwrap().len(), 36, "{left}");

    // Even enabled and unexpired again, the old password opens nothing, not once.
    change(&al_dn, "replace: userAccountControl\nuserAccountControl: 512");
    change(&al_dn, "replace: accountExpires\naccountExpires: 0");
    assert_eq!(samba.login(&mail(&al), PASSWORD), Err("52e".to_owned()));
    assert_eq!(samba.login(&mail(&al), PASSWORD), Err("52e".to_owned()));
    // And once we have disabled it again, not even a password that is right.
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    let known = support::unicode_password("Known-Passw0rd!");
    change(&al_dn, &format!("replace: unicodePwd\nunicodePwd:: {known}"));
    assert_eq!(samba.login(&mail(&al), "Known-Passw0rd!"), Err("533".to_owned()));
    let ticket = samba.kinit(&al, "Known-Passw0rd!").unwrap_err();
    assert!(ticket.contains("revoked"), "{ticket}");
    assert!(
        !leaver.written().contains(Samba::SERVICE_PASSWORD),
        "no secret is kept"
    );
}

#[tokio::test]
async fn an_account_that_does_not_exist_needs_nothing() {
    let mut leaver = leaver(&unique("no"));
    leaver.settle(2).await;
    assert_eq!(
        leaver.verdict("AccountDisabled"),
        Verdict::NotNeeded(Exempt::NoAccount)
    );
    let row = &leaver.outcome.as_ref().unwrap().rows[0];
    assert_eq!(row.looked_up_by.as_deref(), Some("looked up by email"));
}

#[tokio::test]
async fn before_the_cutoff_the_expiry_is_armed_and_nothing_else_is_touched() {
    let samba = support::samba();
    let (al, dn) = employee();
    let group = samba.add_group(&unique("vpn"), &[&dn]);
    let as_before = untouched(&group);
    let tomorrow = Timestamp::now()
        .to_zoned(TimeZone::UTC)
        .checked_add(1.day())
        .unwrap();
    let day = |date: jiff::civil::Date| json!(date.to_string());
    let mut offboarding = leaving(&al);
    merge(
        &mut offboarding,
        json!({
            "urgency": "Scheduled", "lastDay": day(tomorrow.date()), "cutoff": { "time": "17:00", "timeZone": "UTC" }
        }),
    );
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    assert_eq!(leaver.verdict("ExpiryArmed"), Verdict::Verified);
    assert!(matches!(leaver.verdict("AccountDisabled"), Verdict::NotDue(_)));
    let cutoff = tomorrow
        .with()
        .hour(17)
        .minute(0)
        .second(0)
        .subsec_nanosecond(0)
        .build()
        .unwrap()
        .timestamp();
    assert_eq!(attribute(&dn, "accountExpires"), Some(filetime(cutoff)));
    assert_eq!(attribute(&dn, "userAccountControl").as_deref(), Some("512"));
    assert_eq!(samba.login(&mail(&al), PASSWORD), Ok(()));
    assert!(as_before());
    // The last day is moved: what we armed ourselves moves along.
    let later = tomorrow.checked_add(3.days()).unwrap();
    let mut leaver = leaver.changed(json!({ "lastDay": day(later.date()) }));
    leaver.settle(2).await;
    let cutoff = cutoff + SignedDuration::from_hours(72);
    assert_eq!(attribute(&dn, "accountExpires"), Some(filetime(cutoff)));
    assert_eq!(leaver.verdict("ExpiryArmed"), Verdict::Verified);
    assert!(!leaver.written().contains("Drifted"), "nobody is blamed for that");
}

#[tokio::test]
async fn an_earlier_expiry_is_left_alone_and_ends_access_without_us() {
    let samba = support::samba();
    let (al, dn) = employee();
    let soon = filetime(Timestamp::now() - SignedDuration::from_secs(60));
    change(&dn, &format!("replace: accountExpires\naccountExpires: {soon}"));
    assert_eq!(samba.login(&mail(&al), PASSWORD), Err("701".to_owned()));
    let as_before = untouched(&dn);
    let mut offboarding = leaving(&al);
    merge(
        &mut offboarding,
        json!({ "urgency": "Scheduled", "lastDay": "2099-01-02", "cutoff": { "timeZone": "UTC" } }),
    );
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    assert_eq!(leaver.verdict("ExpiryArmed"), Verdict::Verified);
    assert!(as_before());
}

/// A FILETIME: 100 ns since 1601.
fn filetime(at: Timestamp) -> String {
    (at.as_nanosecond() / 100 + 116_444_736_000_000_000).to_string()
}

#[tokio::test]
async fn two_accounts_with_one_address_wait_for_a_person_and_are_not_touched() {
    let ((al, al_dn), (_, bo_dn)) = (employee(), employee());
    change(&bo_dn, &format!("replace: mail\nmail: {}", mail(&al)));
    let (one, two) = (untouched(&al_dn), untouched(&bo_dn));
    let mut leaver = leaver(&al);
    leaver.settle(2).await;
    let Verdict::Unknown(fault) = leaver.verdict("AccountDisabled") else {
        panic!("{:?}", leaver.left())
    };
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::NeedsDecision, Reason::Ambiguous)
    );
    assert!(one() && two());
}

#[tokio::test]
async fn somebody_else_who_gets_the_leavers_name_is_untouched() {
    let samba = support::samba();
    let ((al, al_dn), (_, bo_dn)) = (employee(), employee());
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    leaver.pass().await;
    let rename = |dn: &str, to: &str| {
        samba.ldif_as_admin(&format!(
            "dn: {dn}\nchangetype: modrdn\nnewrdn: CN={to}\ndeleteoldrdn: 1\n"
        ));
    };
    let identity = |dn: &str, name: &str| {
        let address = mail(name);
        change(
            dn,
            &format!(
                "replace: sAMAccountName\nsAMAccountName: {name}\n-\nreplace: userPrincipalName\nuserPrincipalName: {address}\n-\n\
                 replace: mail\nmail: {address}"
            ),
        );
    };
    let former = unique("ex");
    rename(&al_dn, &former);
    let former_dn = format!("CN={former},OU=Staff,{}", Samba::BASE);
    identity(&former_dn, &former);
    rename(&bo_dn, &al);
    identity(&al_dn, &al);
    change(&former_dn, "replace: userAccountControl\nuserAccountControl: 512");
    let as_before = untouched(&al_dn);

    let mut leaver = leaver.restart();
    leaver.settle(5).await;

    assert_eq!(leaver.left(), other_account());
    assert!(as_before());
    assert_eq!(
        samba.login(&mail(&al), PASSWORD),
        Ok(()),
        "the colleague works on"
    );
    assert_eq!(
        attribute(&former_dn, "userAccountControl").as_deref(),
        Some("514")
    );
}

#[tokio::test]
async fn an_account_that_an_administrator_enables_is_disabled_again_and_reported() {
    let samba = support::samba();
    let (al, dn) = employee();
    let group = samba.add_group(&unique("vpn"), &[&dn]);
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
    change(&dn, "replace: userAccountControl\nuserAccountControl: 66048");
    change(&group, &format!("add: member\nmember: {dn}"));
    leaver.pass().await;
    let mut drifted = leaver.drifted();
    drifted.sort();
    assert_eq!(drifted, ["AccountDisabled", "GroupsRemoved"]);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(
        attribute(&dn, "userAccountControl").as_deref(),
        Some("66050"),
        "only the one bit is ours"
    );
    assert!(!members(&group).contains(&dn));
    assert!(refused(&al));
}

#[tokio::test]
async fn a_right_that_is_missing_holds_up_its_own_fact_only() {
    let samba = support::samba();
    let (al, dn) = employee();
    let elsewhere = format!("CN={},CN=Users,{}", unique("far"), Samba::BASE);
    samba.ldif_as_admin(&format!("dn: {elsewhere}\nobjectClass: group\nmember: {dn}\n"));
    let groups: Vec<String> = (0..10).map(|_| samba.add_group(&unique("vpn"), &[&dn])).collect();
    let mut leaver = leaver(&al);
    leaver.settle(3).await;
    assert_eq!(leaver.fault("GroupsRemoved"), "PermissionDenied (ldap 50)");
    let left: Vec<String> = leaver.left().into_iter().map(|(fact, _)| fact).collect();
    assert_eq!(left, ["GroupsRemoved"]);
    assert!(refused(&al));
    assert!(!groups.iter().any(|group| members(group).contains(&dn)));
    assert!(members(&elsewhere).contains(&dn));
}

#[tokio::test]
async fn an_administrators_membership_is_reported_while_the_account_is_disabled() {
    let samba = support::samba();
    let (al, dn) = employee();
    change(
        &format!("CN=Domain Admins,CN=Users,{}", Samba::BASE),
        &format!("add: member\nmember: {dn}"),
    );
    let mut leaver = leaver(&al);
    leaver.settle(3).await;
    assert_eq!(
        leaver.verdict("PrivilegedNone"),
        Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    let says = leaver.says("PrivilegedNone");
    // Domain Admins are Administrators too.
    assert!(
        says.starts_with("still in ") && says.contains("protected groups"),
        "{says}"
    );
    assert_eq!(leaver.fault("GroupsRemoved"), "PermissionDenied (ldap 50)");
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(samba.login(&mail(&al), PASSWORD).is_err());
}

/// The RID of a group.
fn rid(group: &str) -> String {
    let found = support::samba().search(&format!("(distinguishedName={group})"), &["primaryGroupToken"]);
    let rid = found
        .lines()
        .find_map(|line| line.strip_prefix("primaryGroupToken: "));
    rid.unwrap().to_owned()
}

#[tokio::test]
async fn the_last_administrator_stays_until_another_one_can_sign_in() {
    let samba = support::samba();
    let ((al, al_dn), (_, bo_dn)) = (employee(), employee());
    let inner = samba.add_group(&unique("in"), &[&al_dn]);
    let admins = samba.add_group(&unique("adm"), &[&inner, &bo_dn]);
    let more = json!({ "inputs": { "administratorsRid": rid(&admins) } });
    change(&bo_dn, "replace: userAccountControl\nuserAccountControl: 514");
    let (account, group) = (untouched(&al_dn), untouched(&inner));
    let mut leaver = Leaver::new(connector(more), &secret(), &leaving(&al), &json!({}));
    leaver.settle(2).await;
    let held = "Protected (last domain administrator)";
    for fact in [
        "ExpiryArmed",
        "AccountDisabled",
        "PasswordRandomised",
        "GroupsRemoved",
    ] {
        assert_eq!(leaver.fault(fact), held, "{fact}");
    }
    assert!(account() && group());

    let past = filetime(Timestamp::now() - SignedDuration::from_secs(60));
    change(
        &bo_dn,
        &format!("replace: accountExpires\naccountExpires: {past}"),
    );
    change(&bo_dn, "replace: userAccountControl\nuserAccountControl: 512");
    leaver.pass().await;
    assert_eq!(leaver.fault("AccountDisabled"), held);
    assert!(account() && group());

    change(&bo_dn, "replace: accountExpires\naccountExpires: 0");
    leaver.settle_ahead(10).await;
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(!members(&inner).contains(&al_dn));
    assert!(refused(&al));

    // Without the input nobody is kept.
    let (bo, _) = bo_dn.split_once(',').unwrap();
    let off = json!({ "inputs": { "administratorsRid": "" } });
    let mut leaver = Leaver::new(connector(off), &secret(), &leaving(&bo[3..]), &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
}

#[tokio::test]
async fn the_last_of_domain_admins_stays_until_the_built_in_administrator_is_enabled() {
    let samba = support::another_samba();
    let al = unique("al");
    let dn = samba.add_person(&al, PASSWORD);
    let as_al = |ldif: &str| samba.ldif_as(&mail(&al), PASSWORD, ldif).expect_ok();
    let domain_admins = format!("CN=Domain Admins,CN=Users,{}", Samba::BASE);
    samba.ldif_as_admin(&format!(
        "dn: {domain_admins}\nchangetype: modify\nadd: member\nmember: {dn}\n"
    ));
    let built_in = |control: &str| {
        format!(
            "dn: {}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: {control}\n",
            Samba::ADMIN
        )
    };
    as_al(&built_in("514"));
    // Another one is locked out for now.
    let bo = unique("bo");
    as_al(&Samba::person(&bo, PASSWORD, Samba::DOMAIN));
    as_al(&format!(
        "dn: {}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n\n\
         dn: {domain_admins}\nchangetype: modify\nadd: member\nmember: {}\n",
        Samba::BASE,
        Samba::dn(&bo)
    ));
    for _ in 0..2 {
        assert!(samba.login(&mail(&bo), "wrong").is_err());
    }
    assert_eq!(samba.login(&mail(&bo), PASSWORD), Err("775".to_owned()));
    let more = json!({ "inputs": { "url": samba.ldaps } });
    let mut secret = secret();
    secret["ca.crt"] = json!(samba.tls.ca_pem());
    let mut leaver = Leaver::new(connector(more), &secret, &leaving(&al), &json!({}));
    leaver.settle(2).await;
    assert_eq!(
        leaver.fault("AccountDisabled"),
        "Protected (last domain administrator)"
    );
    as_al(&built_in("512"));
    leaver.settle_ahead(10).await;
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(samba.login(&mail(&al), PASSWORD).is_err());
}

#[tokio::test]
async fn an_administrator_by_the_primary_group_alone_is_one_too() {
    let samba = support::samba();
    let (al, al_dn) = employee();
    let admins = samba.add_group(&unique("adm"), &[&al_dn]);
    let rid = rid(&admins);
    change(&al_dn, &format!("replace: primaryGroupID\nprimaryGroupID: {rid}"));
    let as_before = untouched(&al_dn);
    let more = json!({ "inputs": { "administratorsRid": rid } });
    let mut leaver = Leaver::new(connector(more), &secret(), &leaving(&al), &json!({}));
    leaver.settle(2).await;
    assert_eq!(
        leaver.fault("PrimaryGroupNeutral"),
        "Protected (last domain administrator)"
    );
    assert!(as_before());
    let (_, bo_dn) = employee();
    change(&admins, &format!("add: member\nmember: {bo_dn}"));
    change(&bo_dn, &format!("replace: primaryGroupID\nprimaryGroupID: {rid}"));
    leaver.settle_ahead(10).await;
    assert_eq!(leaver.left(), []);
    assert!(refused(&al));
}

#[tokio::test]
async fn a_membership_through_other_groups_ends_with_the_direct_one() {
    let samba = support::samba();
    let (al, dn) = employee();
    let inner = samba.add_group(&unique("in"), &[&dn]);
    let outer = samba.add_group(&unique("out"), &[&inner]);
    change(
        &format!("CN=Backup Operators,CN=Builtin,{}", Samba::BASE),
        &format!("add: member\nmember: {outer}"),
    );
    let chain = format!("(&(adminCount=1)(member:1.2.840.113556.1.4.1941:={dn}))");
    assert!(samba.search(&chain, &["cn"]).contains("Backup Operators"));
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!samba.search(&chain, &["cn"]).contains("Backup Operators"));
    assert!(members(&outer).contains(&inner), "groups stay in groups");
}

#[tokio::test]
async fn another_primary_group_is_made_neutral_and_left() {
    let samba = support::samba();
    let (al, dn) = employee();
    let group = samba.add_group(&unique("prim"), &[&dn]);
    let rid = rid(&group);
    change(&dn, &format!("replace: primaryGroupID\nprimaryGroupID: {rid}"));
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(attribute(&dn, "primaryGroupID").as_deref(), Some("513"));
    assert!(!members(&group).contains(&dn));
    assert_eq!(attribute(&dn, "memberOf"), None);
    assert_eq!(leaver.snapshot("PrimaryGroupNeutral"), json!(rid));
    assert_eq!(leaver.drifted(), [""; 0], "our own change is nobody's drift");
}

#[tokio::test]
async fn the_only_member_of_a_group_leaves_it() {
    let samba = support::samba();
    let (al, dn) = employee();
    let group = samba.add_group(&unique("one"), &[&dn]);
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(!members(&group).contains("member:"));
}

#[tokio::test]
async fn an_account_named_in_the_offboarding_is_found_by_its_name_alone() {
    let samba = support::samba();
    let (al, _) = employee();
    let name = unique("adm-");
    let admin_dn = samba.add_person(&name, PASSWORD);
    let mut offboarding = leaving(&al);
    offboarding["employee"]["accounts"] = json!([{ "connector": SYSTEM, "name": name }]);
    let mut leaver = Leaver::new(connector(json!({})), &secret(), &offboarding, &json!({}));
    leaver.settle(5).await;
    let row = format!("{SYSTEM}/{name}");
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert_eq!(leaver.verdict_in(&row, "AccountDisabled"), Verdict::Verified);
    assert!(refused(&al) && refused(&name));
    assert_eq!(attribute(&admin_dn, "userAccountControl").as_deref(), Some("514"));
}

#[tokio::test]
async fn the_built_in_administrator_and_the_connectors_own_account_are_refused() {
    let samba = support::samba();
    let (al, dn) = employee();
    let as_before = untouched(&dn);
    let mut offboarding = leaving(&al);
    let accounts = ["Administrator", "krbtgt", "svc-offboard"];
    let named = accounts.map(|name| json!({ "connector": SYSTEM, "name": name }));
    offboarding["employee"]["accounts"] = json!(named);
    let guarded = connector(json!({ "protected": [al.to_uppercase()] }));
    let mut leaver = Leaver::new(guarded, &secret(), &offboarding, &json!({}));
    leaver.settle(2).await;
    let rows = accounts.map(|name| format!("{SYSTEM}/{name}"));
    for row in rows.iter().map(String::as_str).chain([SYSTEM]) {
        let Verdict::Unknown(fault) = leaver.verdict_in(row, "AccountDisabled") else {
            panic!("{row}: {:?}", leaver.verdict_in(row, "AccountDisabled"))
        };
        assert_eq!(
            (fault.kind, fault.reason),
            (FaultKind::NeedsDecision, Reason::Protected),
            "{row}"
        );
    }
    assert!(as_before());
    assert_eq!(samba.login(Samba::SERVICE, Samba::SERVICE_PASSWORD), Ok(()));
}

#[tokio::test]
async fn moving_and_deleting_are_done_only_where_they_are_asked_for() {
    let samba = support::samba();
    let (al, dn) = employee();
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    let more = json!({
        "inputs": { "leaversOU": leavers }, "facts": { "include": ["MovedToLeaversOU", "AccountDeleted", "KerberosWindowClosed"] }
    });
    let mut leaver = Leaver::new(connector(more.clone()), &admin(), &leaving(&al), &json!({}));
    leaver.settle(2).await;
    assert_eq!(leaver.verdict("MovedToLeaversOU"), Verdict::Verified);
    assert_eq!(
        leaver.verdict("AccountDeleted"),
        Verdict::NotNeeded(Exempt::Waived),
        "no policy wants it"
    );
    let Verdict::Exposed(until) = leaver.verdict("KerberosWindowClosed") else {
        panic!("{:?}", leaver.left())
    };
    let hours = until.duration_since(Timestamp::now()).as_secs() / 60;
    assert!((595..=600).contains(&hours), "{hours} minutes");
    assert_eq!(attribute(&dn, "cn"), None);
    assert!(
        samba
            .search(&format!("(sAMAccountName={al})"), &["dn"])
            .contains(&leavers)
    );
    assert!(refused(&al));

    let (bo, bo_dn) = employee();
    let policy = json!({
        "retention": { "accounts": "0s" }, "timeline": [{ "want": ["AccountDeleted"], "at": "cutoff" }]
    });
    let more = json!({ "facts": { "include": ["AccountDeleted"] } });
    let mut leaver = Leaver::new(connector(more), &admin(), &leaving(&bo), &policy);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(leaver.verdict("AccountDeleted"), Verdict::Verified);
    assert_eq!(attribute(&bo_dn, "cn"), None);
}

/// An entry of this common name in the leavers' unit.
fn namesake(cn: &str, leavers: &str) {
    let cn = cn.replace(',', "\\,");
    support::samba().ldif_as_admin(&format!(
        "dn: CN={cn},{leavers}\nchangetype: add\nobjectClass: contact\n"
    ));
}

#[tokio::test]
async fn a_name_that_is_taken_where_the_account_moves_to_is_given_the_login_name() {
    let samba = support::samba();
    let (al, dn) = employee();
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    // As long as a name can be.
    let cn = format!("{:l<64}", format!("Roe, {al} the "));
    samba.ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modrdn\nnewrdn: CN={}\ndeleteoldrdn: 1\n",
        cn.replace(',', "\\,")
    ));
    namesake(&cn, &leavers);
    let more = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    let mut leaver = Leaver::new(connector(more), &admin(), &leaving(&al), &json!({}));
    leaver.settle(2).await;
    assert_eq!(leaver.left(), []);
    let moved = samba.search(&format!("(sAMAccountName={al})"), &["cn"]);
    let free = format!("{} ({al})", &cn[..61 - al.len()]);
    assert!(
        moved.contains(&leavers) && moved.contains(&format!("cn: {free}\n")),
        "{moved}"
    );
    let other = samba.search(&format!("(cn={cn})"), &["objectClass"]);
    assert!(other.contains("contact") && !other.contains("user"), "{other}");
    assert!(refused(&al));
}

#[tokio::test]
async fn a_name_of_which_no_other_is_free_either_is_named() {
    let (al, _) = employee();
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    namesake(&al, &leavers);
    namesake(&format!("{al} ({al})"), &leavers);
    let more = json!({"inputs": {"leaversOU": leavers}, "facts": {"include": ["MovedToLeaversOU"]}});
    let mut leaver = Leaver::new(connector(more), &admin(), &leaving(&al), &json!({}));
    leaver.settle(2).await;
    let Verdict::Unmet(Why::Failed(fault)) = leaver.verdict("MovedToLeaversOU") else {
        panic!("{:?}", leaver.verdict("MovedToLeaversOU"))
    };
    assert_eq!(
        (fault.reason, fault.code),
        (Reason::Conflict, format!("ldap 68 {al} {al}"))
    );
    assert_eq!(leaver.verdict("AccountDisabled"), Verdict::Verified);
    assert!(refused(&al));
}

#[tokio::test]
async fn an_account_that_somebody_else_deletes_is_unknown_and_never_done() {
    let (al, dn) = employee();
    let mut leaver = leaver(&al);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    support::samba().ldif_as_admin(&format!("dn: {dn}\nchangetype: delete\n"));
    leaver.pass().await;
    assert_eq!(
        leaver.fault("AccountDisabled"),
        "NotFoundUncorroborated (ldap 32 reads.user)"
    );
    assert!(!leaver.verdict("GroupsRemoved").settled());
}

#[tokio::test]
async fn neither_a_password_nor_a_name_is_ever_sent_in_clear_text() {
    let samba = support::samba();
    let (al, _) = employee();
    let relay = Relay::to((samba.address, 389).into()).await;
    let url = format!("ldap://localhost:{}", relay.port);
    let inputs = json!({ "inputs": { "url": url } });
    let mut leaver = Leaver::new(connector(inputs), &secret(), &leaving(&al), &json!({}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert!(refused(&al));
    let sent = String::from_utf8_lossy(&relay.sent()).into_owned();
    assert!(
        sent.contains("1.3.6.1.4.1.1466.20037"),
        "StartTLS is the first thing"
    );
    assert!(!sent.contains(Samba::SERVICE_PASSWORD) && !sent.contains(&al) && !sent.contains("svc-offboard"));
}

/// A connector under which an administrator changes the account between our look and our first act.
struct Meddled {
    inner: Shared,
    dn: String,
    acts: AtomicUsize,
}

#[async_trait]
impl Connector for Meddled {
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
        self.inner.sight(subject, fact, readings)
    }
    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        if act.fact == "AccountDisabled" && self.acts.fetch_add(1, Ordering::Relaxed) == 0 {
            // The password never expires from now on.
            change(&self.dn, "replace: userAccountControl\nuserAccountControl: 66048");
        }
        self.inner.act(subject, act, order).await
    }
}

#[tokio::test]
async fn a_change_between_look_and_act_is_kept_and_the_account_is_disabled_all_the_same() {
    let (al, dn) = employee();
    let mut leaver = leaver(&al);
    let meddled = Arc::new(Meddled {
        inner: leaver.connector(),
        dn: dn.clone(),
        acts: AtomicUsize::new(0),
    });
    leaver.links = BTreeMap::from([(SYSTEM.to_owned(), Link::Ready(meddled.clone()))]);
    leaver.pass().await;
    assert_eq!(meddled.acts.load(Ordering::Relaxed), 1);
    let Verdict::Unmet(Why::Failed(fault)) = leaver.verdict("AccountDisabled") else {
        panic!("{:?}", leaver.verdict("AccountDisabled"))
    };
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::Transient, Reason::Conflict)
    );
    leaver.settle(10).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(attribute(&dn, "userAccountControl").as_deref(), Some("66050"));
    assert!(refused(&al));
}
