//! After everything is done: silence while nothing changes, and correction when somebody gives access back.

use super::site::{PASSWORD, PATIENCE, Site, application};
use crate::support::{Slapd, poll, slapd, unique};

#[tokio::test(flavor = "multi_thread")]
async fn looking_again_and_again_writes_nothing() {
    let (crm, _) = application("jane@example.com").await;
    let site = Site::new("idle");
    site.connect("crm", &crm);
    site.policy("{recheck: {every: 1s}}");
    let _operator = site.start();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    site.until("connector/crm", "Ready", "True/LoginOK");
    site.until("offboardingpolicy/default", "Ready", "True/Valid");
    let looks = || crm.control().journal().len();
    let further = |more: usize| {
        let before = looks();
        assert!(poll(PATIENCE, || looks() >= before + more), "nobody looks again");
    };
    // The last event may still be on its way.
    further(8);
    // Definitions are the cluster's: another test may make one meanwhile.
    let writes = || {
        let mut writes = site.writes();
        writes.retain(|write| write.resource != "connectordefinitions/status");
        writes
    };
    let before = writes();
    further(40);
    assert_eq!(writes(), before);
    let changes = crm
        .control()
        .journal()
        .iter()
        .rev()
        .take(40)
        .filter(|e| e.changes())
        .count();
    assert_eq!(changes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_that_somebody_gives_back_is_taken_again_and_told() {
    let directory = slapd();
    let uid = unique("jane");
    let dn = directory.add_person(&uid, PASSWORD);
    directory.add_group(&unique("staff"), &[&dn]);
    assert!(directory.login(&dn, PASSWORD));
    let site = Site::new("drift");
    let authorities = std::fs::read_to_string(&directory.tls.ca).unwrap();
    let login = [
        ("username", Slapd::SERVICE),
        ("password", Slapd::SERVICE_PASSWORD),
        ("ca.crt", authorities.as_str()),
    ];
    site.secrets("ldap", &login);
    site.connector(
        "ldap",
        "openldap",
        &format!("{{url: '{}', base: '{}'}}", directory.ldaps, Slapd::BASE),
    );
    site.policy("{recheck: {every: 1s}}");
    let operator = site.start();
    site.leaver("leaver-1", &format!("{uid}@corp.test"));
    site.until("offboarding/leaver-1", "AccessRevoked", "True/Verified");
    assert!(!directory.login(&dn, PASSWORD));
    let locked = || {
        directory
            .search(&format!("(uid={uid})"), &["pwdAccountLockedTime"])
            .contains("pwdAccountLockedTime:")
    };
    assert!(locked());
    let drifts = || {
        operator
            .http("/metrics")
            .contains("offboarding_drift_total{connector=\"ldap\"}")
    };
    assert!(!drifts());
    // Only what was seen again after it was proven can be called given back.
    let passes = operator.passes("done");
    assert!(poll(PATIENCE, || operator.passes("done") >= passes + 2));
    directory.ldif_as_admin(&format!(
        "dn: {dn}\nchangetype: modify\ndelete: pwdAccountLockedTime\n"
    ));
    assert!(
        poll(PATIENCE, || drifts() && locked()),
        "{}",
        operator.http("/metrics")
    );
    site.until("offboarding/leaver-1", "AccessRevoked", "True/Verified");
    let told = || {
        site.kubectl(&["get", "events", "-o", "json"], "")
            .stdout
            .contains("\"DriftCorrected\"")
    };
    assert!(poll(PATIENCE, told), "{:#}", site.get("events"));
    let record = site.records()[0]["spec"]["evidence"].to_string();
    assert!(record.contains("\"Drifted\""), "{record}");
}
