//! Who is who, and who takes over.

use crate::support::{self, Slapd};

use super::{
    fact,
    staff::{EVERYWHERE, NOWHERE},
    story::Story,
};

#[test]
fn two_people_with_the_same_name_are_two_people_and_two_entries_with_one_address_are_asked_about() {
    let mut story = Story::open(
        "two-people-with-the-same-name",
        &["jane.doe", "jane.doe2", "kim.wu", "kim.wu2"],
    );
    let named = |login: String| {
        let dn = Slapd::dn(&login);
        format!("dn: {dn}\nchangetype: modify\nreplace: cn\ncn: Jane Doe\n\n")
    };
    let names = ["jane.doe", "jane.doe2"].map(|name| named(story.staff.login(name)));
    let [kim, other] = ["kim.wu", "kim.wu2"].map(|name| story.staff.login(name));
    let mistake = format!(
        "dn: {}\nchangetype: modify\nreplace: mail\nmail: {kim}@example.com\n",
        Slapd::dn(&other)
    );
    support::slapd().ldif_as_admin(&(names.concat() + &mistake));
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    story.next("kubectl get leaver");
    assert_eq!(story.leavers(), ["leaver-0117", "leaver-0119"]);
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(story.staff.gets_in("jane.doe2"), EVERYWHERE);
    // The database knew who is meant, the directory did not.
    assert_eq!(story.staff.gets_in("kim.wu"), ["directory"]);
    assert_eq!(story.staff.gets_in("kim.wu2"), EVERYWHERE);
    story.end();
}

#[test]
fn manager_left_too_and_takes_nothing_over() {
    let mut story = Story::open(
        "manager-left-too",
        &[
            "jane.doe", "joe.ray", "max.berg", "ann.old", "kim.wu", "lea.oak", "tom.fir",
        ],
    );
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    for name in ["jane.doe", "joe.ray", "max.berg"] {
        assert_eq!(story.staff.gets_in(name), NOWHERE, "{name}");
        assert!(story.staff.has_what_was_of("sam.lee", name), "{name}");
    }

    story.next("kubectl apply");
    story.next("kubectl wait");
    assert_eq!(story.staff.gets_in("kim.wu"), NOWHERE);
    story.next("kubectl get leaver kim-wu");
    story.next("kubectl get leaver kim-wu");
    let kim = story.leaver("kim-wu");
    assert_eq!(
        fact(&kim, "warehouse", "ObjectsReassigned"),
        "Unknown/NoSuccessor"
    );
    assert_eq!(
        story.site.condition("offboarding/kim-wu", "DataTransferred").0,
        "False/InProgress"
    );
    assert!(!story.staff.has_what_was_of("sam.lee", "kim.wu"));
    story.next("kubectl patch");
    story.next("kubectl get leaver kim-wu");
    assert!(story.staff.has_what_was_of("sam.lee", "kim.wu"));
    a_manager_who_was_known_as_the_successor_leaves(&story);
    story.end();
}

/// Lea's manager is to take over, which the database knows already, and leaves before her.
fn a_manager_who_was_known_as_the_successor_leaves(story: &Story) {
    let address = |name: &str| format!("{}@example.com", story.staff.login(name));
    let spec = |more: &str| {
        format!(
            "{{employee: {{email: {}}}, profile: {{manager: {}}}, {more}}}",
            address("lea.oak"),
            address("tom.fir")
        )
    };
    let site = &story.site;
    site.offboarding("lea-oak", &spec("lastDay: '2099-01-31', cutoff: {timeZone: UTC}"));
    site.until("offboarding/lea-oak", "Ready", "True/Scheduled");
    let bound = || {
        let records = site.records();
        let of_lea = records
            .iter()
            .find(|record| record["spec"]["offboarding"]["name"] == "lea-oak");
        of_lea.is_some_and(|record| {
            record["spec"]["systems"]["warehouse"]["successor"]["name"] == story.staff.login("tom.fir")
        })
    };
    story.until(bound);
    site.leaver("tom-fir", &address("tom.fir"));
    site.until("offboarding/tom-fir", "Complete", "True/Verified");
    site.offboarding("lea-oak", &spec("urgency: Immediate"));
    site.until("offboarding/lea-oak", "Complete", "True/Verified");
    assert!(story.staff.has_what_was_of("sam.lee", "lea.oak"));
}
