//! The wrong person was offboarded: on the real API server, with the real operator and a real directory.

use std::collections::BTreeSet;

use crate::{
    operator::site::Site,
    support::{self, Slapd, unique},
};

/// What the directory says about somebody: the groups, and whether a known password lets in.
fn is(uid: &str) -> (BTreeSet<String>, bool) {
    let slapd = support::slapd();
    let found = slapd.search(&format!("(member={})", Slapd::dn(uid)), &["cn"]);
    let groups = found.lines().filter_map(|line| line.strip_prefix("cn: "));
    let locked = slapd.search(&format!("(uid={uid})"), &["pwdAccountLockedTime"]);
    (
        groups.map(str::to_owned).collect(),
        !locked.contains("pwdAccountLockedTime"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_the_wrong_person_gets_everything_back_and_the_right_one_leaves_by_another_offboarding() {
    let slapd = support::slapd();
    let (wrong, right) = (unique("smith"), unique("smythe"));
    for uid in [&wrong, &right] {
        slapd.add_person(uid, "pw");
    }
    slapd.add_group(&unique("vpn"), &[&Slapd::dn(&wrong), &Slapd::dn(&right)]);
    slapd.add_group(&unique("sales"), &[&Slapd::dn(&wrong)]);
    let before = is(&wrong);
    assert_eq!((before.0.len(), is(&right).0.len()), (2, 1));

    let site = Site::new("wrong");
    let authority = slapd.tls.ca_pem();
    let login = [
        ("username", Slapd::SERVICE),
        ("password", Slapd::SERVICE_PASSWORD),
        ("ca.crt", &authority),
    ];
    site.secrets("ldap", &login);
    site.connector(
        "ldap",
        "openldap",
        &format!("{{url: '{}', base: '{}'}}", slapd.ldaps, Slapd::BASE),
    );
    let _operator = site.start();
    let leaves = |uid: &str| format!("{{employee: {{email: '{uid}@corp.test'}}, urgency: Immediate}}");
    site.offboarding("leaver-1", &leaves(&wrong));
    let first = "offboarding/leaver-1";
    site.until(first, "Complete", "True/Verified");
    assert_eq!(is(&wrong), (BTreeSet::new(), false));

    // Whose Offboarding it is cannot be changed: the API server says what to do instead.
    let other = format!("{{\"spec\": {{\"employee\": {{\"email\": \"{right}@corp.test\"}}}}}}");
    let refused = site.kubectl(&["patch", first, "--type=merge", "-p", &other], "");
    assert!(
        !refused.ok() && refused.stderr.contains("create a new Offboarding instead"),
        "{}",
        refused.stderr
    );

    site.offboarding("leaver-2", &leaves(&right));
    let back = "{\"spec\": {\"desired\": \"Reinstated\"}}";
    site.kubectl(&["patch", first, "--type=merge", "-p", back], "")
        .expect_ok();
    let second = "offboarding/leaver-2";
    site.until(second, "Complete", "True/Verified");
    let told = site.until(first, "Ready", "True/Reinstated");
    assert_eq!(
        told,
        "1 cannot be restored, such as passwords and sessions: see status.systems"
    );
    assert_eq!(is(&wrong), before);
    assert_eq!(is(&right), (BTreeSet::new(), false));

    // The right one is watched, the wrong one is nobody's leaver.
    let annotate = ["annotate", first, "offboard.dev/look=again"];
    site.kubectl(&annotate, "").expect_ok();
    site.until(first, "Ready", "True/Reinstated");
    assert_eq!(is(&wrong), before);
}
