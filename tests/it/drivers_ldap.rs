//! The LDAP driver against OpenLDAP and an Active Directory domain controller (Samba).

mod hostile;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use offboard::{
    api::definition,
    connectors::{
        driver::{Answer, Driver, LdapRequest, RANDOM, Resolved},
        ldap::LdapDriver,
    },
    core::fault::{Fault, FaultKind, Reason},
    transport::{dial::Dialer, secret::Credentials, system_clock, unreachable::REFUSED},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::{
    relay::Relay,
    support::{self, Samba, Slapd, unique},
};

fn driver(url: &str, username: &str, password: &str, ca: &str) -> LdapDriver {
    with_deadline(url, username, password, ca, "20s")
}

fn with_deadline(url: &str, username: &str, password: &str, ca: &str, deadline: &str) -> LdapDriver {
    let config = definition::LdapDriver {
        url: url.to_owned(),
        deadline: Some(deadline.to_owned()),
        ..Default::default()
    };
    let secret = [("username", username), ("password", password), ("ca.crt", ca)];
    let secret = secret.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    let limit = LdapDriver::limit(&config, system_clock());
    LdapDriver::new(
        &config,
        &Credentials::from_data(secret, "1"),
        limit,
        &Dialer::trusted(),
    )
    .unwrap()
}

fn slapd_as(url: &str, username: &str, password: &str) -> LdapDriver {
    driver(url, username, password, &support::slapd().tls.ca_pem())
}

fn slapd_admin() -> LdapDriver {
    slapd_as(&support::slapd().ldaps, Slapd::ADMIN, Slapd::ADMIN_PASSWORD)
}

fn samba_as(username: &str, password: &str) -> LdapDriver {
    let samba = support::samba();
    driver(&samba.ldaps, username, password, &samba.tls.ca_pem())
}

fn samba_admin() -> LdapDriver {
    samba_as(Samba::ADMIN, Samba::ADMIN_PASSWORD)
}

fn search(base: &str, filter: &str, attributes: &[&str]) -> Resolved {
    Resolved::Ldap(LdapRequest::Search {
        base: base.to_owned(),
        entry: false,
        filter: filter.to_owned(),
        attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
    })
}

fn entry(dn: &str, attributes: &[&str]) -> Resolved {
    Resolved::Ldap(LdapRequest::Search {
        base: dn.to_owned(),
        entry: true,
        filter: "(objectClass=*)".to_owned(),
        attributes: attributes.iter().map(|&name| name.to_owned()).collect(),
    })
}

type Values = BTreeMap<String, Vec<String>>;

fn one(name: &str, value: &str) -> Values {
    Values::from([(name.to_owned(), vec![value.to_owned()])])
}

fn modify(dn: &str, replace: Values, add: Values, remove: Values) -> Resolved {
    Resolved::Ldap(LdapRequest::Modify {
        dn: dn.to_owned(),
        replace,
        add,
        remove,
    })
}

fn swap(dn: &str, name: &str, from: &str, to: &str) -> Resolved {
    modify(dn, Values::new(), one(name, to), one(name, from))
}

async fn value(driver: &LdapDriver, request: &Resolved) -> Value {
    let answer = driver.perform(request).await.unwrap();
    assert_eq!(answer.fault, None);
    answer.value().clone()
}

async fn fault(driver: &LdapDriver, request: &Resolved) -> (Answer, Fault) {
    let answer = driver.perform(request).await.unwrap();
    let fault = answer.fault.clone().expect("it must be refused");
    assert!(
        answer.response.get("entries").is_none(),
        "a refusal is never an empty list"
    );
    (answer, fault)
}

fn socket(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

#[tokio::test]
async fn a_clear_text_port_is_upgraded_before_anything_is_said() {
    let slapd = support::slapd();
    let relay = Relay::to(socket(&slapd.url)).await;
    let url = format!("ldap://127.0.0.1:{}", relay.port);
    let driver = slapd_as(&url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let found = value(&driver, &entry(Slapd::SERVICE, &["uid", "objectClass[]"])).await;
    assert_eq!(found["uid"], "svc-offboard");
    assert_eq!(found["dn"], Slapd::SERVICE);
    assert!(
        found["objectClass"]
            .as_array()
            .unwrap()
            .contains(&json!("inetOrgPerson"))
    );
    let sent = String::from_utf8_lossy(&relay.sent()).into_owned();
    assert!(
        sent.contains("1.3.6.1.4.1.1466.20037"),
        "StartTLS is the first thing"
    );
    assert!(!sent.contains(Slapd::SERVICE_PASSWORD) && !sent.contains("svc-offboard"));
}

#[tokio::test]
async fn a_server_without_starttls_gets_no_login() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ldap://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4096];
        let length = client.read(&mut heard).await.unwrap();
        heard.truncate(length);
        // ExtendedResponse: protocolError
        let refusal = [0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 2, 4, 0, 4, 0];
        client.write_all(&refusal).await.unwrap();
        drop(client.read_to_end(&mut heard).await);
        heard
    });
    let driver = slapd_as(&url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let fault = driver.perform(&entry("", &[])).await.unwrap_err();
    assert_eq!(fault, Fault::permanent(Reason::Refused).with_code("ldap 2"));
    let heard = String::from_utf8_lossy(&server.await.unwrap()).into_owned();
    assert!(!heard.contains(Slapd::SERVICE_PASSWORD), "{heard}");
}

#[tokio::test]
async fn another_authority_or_host_name_is_refused() {
    let (slapd, samba) = (support::slapd(), support::samba());
    // The certificate is for localhost and 127.0.0.1.
    let elsewhere = Relay::at(Ipv4Addr::new(127, 0, 0, 2), socket(&slapd.ldaps)).await;
    let other_name = format!("ldaps://127.0.0.2:{}", elsewhere.port);
    for (url, ca, why) in [
        (slapd.ldaps.clone(), samba.tls.ca_pem(), "UnknownIssuer"),
        (slapd.url.clone(), samba.tls.ca_pem(), "UnknownIssuer"),
        (other_name, slapd.tls.ca_pem(), "NotValidForName"),
    ] {
        let driver = driver(&url, Slapd::ADMIN, Slapd::ADMIN_PASSWORD, &ca);
        let refused = driver.perform(&entry("", &[])).await.unwrap_err();
        let expected = Fault::needs_decision(Reason::Untrusted).with_code(format_args!("certificate {why}"));
        assert_eq!(refused, expected, "{url}");
    }
}

#[tokio::test]
async fn twelve_hundred_entries_come_completely_or_not_at_all() {
    let slapd = support::slapd();
    let mark = unique("many");
    let ldif: String = (0..1200)
        .map(|number| {
            format!(
                "dn: uid={mark}-{number},ou=people,{}\nobjectClass: inetOrgPerson\nuid: {mark}-{number}\ncn: c\nsn: {mark}\n\n",
                Slapd::BASE
            )
        })
        .collect();
    slapd.ldif_as_admin(&ldif);
    let all = search(Slapd::BASE, &format!("(sn={mark})"), &["uid"]);
    let service = slapd_as(&slapd.ldaps, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let found = value(&service, &all).await;
    let names: std::collections::BTreeSet<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["uid"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 1200);
    // Everybody else sees 500 at most: then the rest is unknown, and so is the whole.
    let alice = slapd.add_person(&unique("alice"), "pw");
    let cut = slapd_as(&slapd.ldaps, &alice, "pw")
        .perform(&all)
        .await
        .unwrap_err();
    assert_eq!(cut, Fault::transient(Reason::Incomplete).with_code("ldap 4"));
}

/// Each search that pages forgets what the server knew of another one on the same connection.
#[tokio::test]
async fn long_searches_at_the_same_time_do_not_break_each_other() {
    let slapd = support::slapd();
    let mark = unique("long");
    let ldif: String = (0..1100)
        .map(|number| {
            format!(
                "dn: uid={mark}-{number},ou=people,{}\nobjectClass: inetOrgPerson\nuid: {mark}-{number}\ncn: c\nsn: {mark}\n\n",
                Slapd::BASE
            )
        })
        .collect();
    slapd.ldif_as_admin(&ldif);
    let relay = Relay::to(socket(&slapd.ldaps)).await;
    let url = format!("ldaps://127.0.0.1:{}", relay.port);
    let driver = slapd_as(&url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let long = search(Slapd::BASE, &format!("(sn={mark})"), &["uid"]);
    let short = search(Slapd::BASE, &format!("(uid={mark}-7)"), &["uid"]);
    let look = entry(Slapd::SERVICE, &["uid"]);
    let asked = (0..8).flat_map(|_| [&long, &short, &look]);
    let found = futures::future::join_all(asked.map(|request| value(&driver, request))).await;
    for three in found.chunks(3) {
        assert_eq!(three[0].as_array().unwrap().len(), 1100);
        assert_eq!(three[1].as_array().unwrap().len(), 1);
        assert_eq!(three[2]["uid"], "svc-offboard");
    }
    assert_eq!(relay.connections(), 1);

    // One that is given up between two pages leaves nothing behind that the next one could stumble over.
    for pause in [0, 1, 2, 4, 8, 16, 32] {
        let given_up = tokio::time::timeout(Duration::from_millis(pause), driver.perform(&long)).await;
        drop(given_up);
        assert_eq!(value(&driver, &long).await.as_array().unwrap().len(), 1100);
    }
}

#[tokio::test]
async fn nobody_found_is_an_empty_list_and_a_missing_entry_is_not() {
    let driver = slapd_admin();
    let nobody = search(Slapd::BASE, &format!("(uid={})", unique("nobody")), &["uid"]);
    assert_eq!(value(&driver, &nobody).await, json!([]));
    let missing = format!("uid={},ou=people,{}", unique("nobody"), Slapd::BASE);
    let (answer, missing) = fault(&driver, &entry(&missing, &["uid"])).await;
    assert_eq!(
        missing,
        Fault::permanent(Reason::NotFoundUncorroborated).with_code("ldap 32")
    );
    assert_eq!(answer.response["code"], 32);
}

#[tokio::test]
async fn a_swap_with_a_stale_old_value_is_a_conflict() {
    let slapd = support::slapd();
    let name = unique("alice");
    let dn = slapd.add_person(&name, "pw");
    let driver = slapd_admin();
    value(&driver, &swap(&dn, "employeeNumber", &name, "two")).await;
    let (_, lost) = fault(&driver, &swap(&dn, "employeeNumber", &name, "three")).await;
    assert_eq!(lost, Fault::transient(Reason::Conflict).with_code("ldap 16"));
    assert_eq!(
        value(&driver, &entry(&dn, &["employeeNumber"])).await["employeeNumber"],
        "two"
    );

    let samba = support::samba();
    let dn = samba.add_person(&unique("al"), "First-Passw0rd!");
    let driver = samba_as(Samba::SERVICE, Samba::SERVICE_PASSWORD);
    value(&driver, &swap(&dn, "userAccountControl", "512", "514")).await;
    let (_, lost) = fault(&driver, &swap(&dn, "userAccountControl", "512", "66048")).await;
    assert_eq!(
        (lost.kind, lost.reason),
        (FaultKind::Transient, Reason::Conflict),
        "{lost}"
    );
    let control = value(&driver, &entry(&dn, &["userAccountControl"])).await;
    assert_eq!(control["userAccountControl"], "514");
}

#[tokio::test]
async fn removing_a_value_twice_is_no_harm_where_the_server_can_forgive_it() {
    let samba = support::samba();
    let al = samba.add_person(&unique("al"), "First-Passw0rd!");
    let group = samba.add_group(&unique("vpn"), &[&al]);
    let none = Values::new;
    let admin = samba_admin();
    value(&admin, &modify(&al, none(), one("otherTelephone", "7"), none())).await;
    let forget = modify(&al, none(), none(), one("otherTelephone", "7"));
    value(&admin, &forget).await;
    value(&admin, &forget).await;
    let left = value(
        &admin,
        &entry(&al, &["otherTelephone[]", "otherTelephone", "member"]),
    )
    .await;
    assert_eq!(left, json!({ "dn": al, "otherTelephone": [] }));

    // Samba does not forgive a membership that was there before.
    let service = samba_as(Samba::SERVICE, Samba::SERVICE_PASSWORD);
    let leave = modify(&group, none(), none(), one("member", &al));
    value(&service, &leave).await;
    let (_, again) = fault(&service, &leave).await;
    assert_eq!(again, Fault::permanent(Reason::Refused).with_code("ldap 53"));
    assert_eq!(
        value(&service, &entry(&group, &["member[]"])).await["member"],
        json!([])
    );

    // OpenLDAP does not list the control: a definition says that this refusal means "done already".
    let slapd = support::slapd();
    let alice = slapd.add_person(&unique("alice"), "pw");
    let group = slapd.add_group(&unique("vpn"), &[&alice]);
    let service = slapd_as(&slapd.ldaps, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let leave = modify(&group, none(), none(), one("member", &alice));
    value(&service, &leave).await;
    let (_, again) = fault(&service, &leave).await;
    assert_eq!(again, Fault::transient(Reason::Conflict).with_code("ldap 16"));
}

#[tokio::test]
async fn a_new_password_ends_the_old_one() {
    let samba = support::samba();
    let name = unique("al");
    let dn = samba.add_person(&name, "First-Passw0rd!");
    let upn = format!("{name}@{}", Samba::DOMAIN);
    assert_eq!(samba.login(&upn, "First-Passw0rd!"), Ok(()));
    let service = samba_as(Samba::SERVICE, Samba::SERVICE_PASSWORD);
    let none = Values::new;
    // Active Directory lets the last password in for an hour more; two new ones leave nothing of it.
    for _ in 0..2 {
        value(&service, &modify(&dn, one("unicodePwd", RANDOM), none(), none())).await;
    }
    assert_eq!(samba.login(&upn, "First-Passw0rd!"), Err("52e".to_owned()));
    let (answer, weak) = fault(&service, &modify(&dn, one("unicodePwd", "weak"), none(), none())).await;
    assert_eq!(weak, Fault::permanent(Reason::Refused).with_code("ldap 19"));
    assert_eq!(answer.response, json!({ "code": 19, "detail": "0000052D" }));
}

#[tokio::test]
async fn a_login_that_the_directory_refuses_says_why_and_is_not_tried_again() {
    let samba = support::samba();
    let name = unique("svc");
    let dn = samba.add_person(&name, "First-Passw0rd!");
    let upn = format!("{name}@{}", Samba::DOMAIN);
    let driver = samba_as(&upn, "First-Passw0rd!");
    let disabled = "dn: DN\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n";
    samba.ldif_as_admin(&disabled.replace("DN", &dn));
    let rejected = Fault::permanent(Reason::CredentialRejected).with_code("ldap 49 data 533");
    assert_eq!(driver.perform(&entry(&dn, &[])).await.unwrap_err(), rejected);
    samba.ldif_as_admin(&disabled.replace("DN", &dn).replace("514", "512"));
    assert_eq!(
        driver.perform(&entry(&dn, &[])).await.unwrap_err(),
        rejected,
        "remembered for a minute"
    );
    let another = samba_as(&upn, "First-Passw0rd!");
    assert!(another.perform(&entry(&dn, &[])).await.is_ok());
}

#[tokio::test]
async fn an_account_is_bound_by_its_guid_and_moved_by_it() {
    let samba = support::samba();
    let name = unique("al");
    let dn = samba.add_person(&name, "First-Passw0rd!");
    let driver = samba_admin();
    let filter = format!("(sAMAccountName={name})");
    let found = value(
        &driver,
        &search(Samba::BASE, &filter, &["objectGUID", "objectSid"]),
    )
    .await;
    let guid = found[0]["objectGUID"].as_str().unwrap();
    let ldap = samba.search(&filter, &["objectSid"]);
    assert_eq!(guid.len(), 36);
    assert!(
        found[0]["objectSid"].as_str().unwrap().starts_with("S-1-5-21-"),
        "{ldap}"
    );
    let by_guid = search(Samba::BASE, &format!("(objectGUID={guid})"), &["cn"]);
    assert_eq!(value(&driver, &by_guid).await[0]["cn"], name);
    let bound = format!("<GUID={guid}>");
    assert_eq!(value(&driver, &entry(&bound, &["cn"])).await["dn"], dn);
    let leavers = format!("OU=Leavers,{}", Samba::BASE);
    let into = leavers.clone();
    value(
        &driver,
        &Resolved::Ldap(LdapRequest::Move {
            dn: bound.clone(),
            into,
            new_rdn: None,
        }),
    )
    .await;
    let moved = value(&driver, &entry(&bound, &["cn"])).await;
    assert_eq!(moved["dn"], format!("CN={name},{leavers}"));
    value(
        &driver,
        &Resolved::Ldap(LdapRequest::Delete { dn: bound.clone() }),
    )
    .await;
    let (_, gone) = fault(&driver, &entry(&bound, &["cn"])).await;
    assert_eq!(gone.reason, Reason::NotFoundUncorroborated);
}

#[tokio::test]
async fn a_large_attribute_that_comes_in_parts_is_put_together() {
    let samba = support::samba();
    let people: Vec<String> = (0..5)
        .map(|_| samba.add_person(&unique("al"), "First-Passw0rd!"))
        .collect();
    let members: Vec<&str> = people.iter().map(String::as_str).collect();
    let group = samba.add_group(&unique("all"), &members);
    let driver = samba_admin();
    let found = value(&driver, &entry(&group, &["member;range=0-1[]"])).await;
    let mut found: Vec<&str> = found["member"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dn| dn.as_str().unwrap())
        .collect();
    found.sort_unstable();
    let mut expected = members.clone();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_missing_right_is_said_and_nothing_of_the_servers_text() {
    let samba = support::samba();
    let dn = samba.add_person(&unique("al"), "First-Passw0rd!");
    let service = samba_as(Samba::SERVICE, Samba::SERVICE_PASSWORD);
    let none = Values::new;
    let (answer, refused) = fault(&service, &modify(&dn, one("employeeID", "1"), none(), none())).await;
    assert_eq!(
        refused,
        Fault::permanent(Reason::PermissionDenied).with_code("ldap 50")
    );
    let mut keys: Vec<&String> = answer.response.as_object().unwrap().keys().collect();
    keys.retain(|key| *key != "detail");
    assert_eq!(keys, ["code"]);
}

#[tokio::test]
async fn a_server_that_went_away_is_found_again() {
    let slapd = support::slapd();
    let mut relay = Relay::to(socket(&slapd.ldaps)).await;
    let url = format!("ldaps://127.0.0.1:{}", relay.port);
    let driver = slapd_as(&url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let look = entry(Slapd::SERVICE, &["uid"]);
    value(&driver, &look).await;
    relay.cut().await;
    // The first call may be on its way when the end of the connection is noticed.
    let first = driver.perform(&look).await.unwrap_err();
    assert!(
        first.passes_by_itself() && first.reason == Reason::Unreachable,
        "{first}"
    );
    assert_eq!(
        driver.perform(&look).await.unwrap_err(),
        Fault::transient(Reason::Unreachable).with_code(REFUSED)
    );
    relay.mend().await;
    assert_eq!(value(&driver, &look).await["uid"], "svc-offboard");
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_the_outcome_unknown() {
    let slapd = support::slapd();
    let mut relay = Relay::to(socket(&slapd.ldaps)).await;
    let url = format!("ldaps://127.0.0.1:{}", relay.port);
    let (ca, password) = (slapd.tls.ca_pem(), Slapd::SERVICE_PASSWORD);
    let driver = with_deadline(&url, Slapd::SERVICE, password, &ca, "2s");
    let look = entry(Slapd::SERVICE, &["uid"]);
    value(&driver, &look).await;
    relay.freeze();
    let asked = Instant::now();
    let fault = driver.perform(&look).await.unwrap_err();
    assert_eq!(fault, Fault::unknown_outcome(Reason::Timeout));
    assert!(asked.elapsed() < Duration::from_secs(4));
    relay.cut().await;
    relay.mend().await;
    assert_eq!(
        value(&driver, &look).await["uid"],
        "svc-offboard",
        "on a new connection"
    );
}

#[tokio::test]
async fn many_at_once_share_one_connection() {
    let slapd = support::slapd();
    let relay = Relay::to(socket(&slapd.ldaps)).await;
    let url = format!("ldaps://127.0.0.1:{}", relay.port);
    let driver = slapd_as(&url, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let look = entry(Slapd::SERVICE, &["uid"]);
    let all = futures::future::join_all((0..50).map(|_| value(&driver, &look))).await;
    assert!(all.iter().all(|found| found["uid"] == "svc-offboard"));
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn no_password_is_ever_shown() {
    let slapd = support::slapd();
    let (shown, guard) = crate::relay::everything_logged();
    let right = slapd_as(&slapd.ldaps, Slapd::SERVICE, Slapd::SERVICE_PASSWORD);
    let wrong = slapd_as(&slapd.ldaps, Slapd::SERVICE, "canary-Passw0rd");
    let mut faults = Vec::new();
    value(&right, &entry(Slapd::SERVICE, &["uid"])).await;
    faults.push(wrong.perform(&entry(Slapd::SERVICE, &["uid"])).await.unwrap_err());
    drop(guard);
    assert_eq!(
        faults,
        [Fault::permanent(Reason::CredentialRejected).with_code("ldap 49")]
    );
    let secrets = [Slapd::SERVICE_PASSWORD, "canary-Passw0rd"].map(str::to_owned);
    shown.shows_none("rustls", &secrets, &format!("{right:?} {wrong:?} {faults:?}"));
}
