//! Who comes back, or never went.

use serde_json::Value;

use super::{
    fact,
    staff::{EVERYWHERE, NOWHERE},
    story::Story,
};

#[test]
fn rehire_gives_back_exactly_what_was_taken_and_nobody_is_watched_who_came_back() {
    let mut story = Story::open("rehire", &["jane.doe"]);
    let before = story.staff.memberships("jane.doe");
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(
        story.staff.memberships("jane.doe"),
        (String::new(), String::new())
    );

    story.export("workers-rehired.csv");
    story.next("kubectl get leavers");
    assert_eq!(
        story.staff.memberships("jane.doe"),
        (String::new(), String::new())
    );
    story.next("kubectl patch");
    story.next("kubectl get leavers");
    story
        .site
        .until("offboarding/leaver-0117", "AccessRevoked", "False/Reinstated");
    assert_eq!(story.staff.memberships("jane.doe"), before);
    // The login is back; a password that nobody knows is not.
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    story.staff.new_password("jane.doe");
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);

    // What others do to the account from now on is theirs.
    story.after_a_pass(|| {
        let annotate = ["annotate", "leaver", "leaver-0117", "offboard.dev/look=again"];
        story.site.kubectl(&annotate, "").expect_ok();
    });
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);

    story.next("kubectl patch");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(
        story.staff.memberships("jane.doe"),
        (String::new(), String::new())
    );
    story.end();
}

#[test]
fn withdrawn_before_the_cutoff_disarms_what_was_prepared() {
    let mut story = Story::open("withdrawn-before-the-cutoff", &["jane.doe"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    story.until(|| story.staff.expiry("jane.doe") != "infinity");
    // Who goes all the same goes on as if nothing had been.
    let suspended = |story: &Story| story.leaver("leaver-0117")["spec"]["suspend"] == true;
    story.export("workers-withdrawn.csv");
    story.until(|| suspended(&story));
    story.export("workers.csv");
    story.until(|| !suspended(&story));
    story
        .site
        .until("offboarding/leaver-0117", "Ready", "True/Scheduled");

    story.export("workers-withdrawn.csv");
    story.next("kubectl get leavers");
    story.next("kubectl get leaver");
    story.next("kubectl patch");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.expiry("jane.doe"), "infinity");
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    story.end();
}

#[test]
fn withdrawn_after_the_cutoff_gives_nothing_back_until_a_person_says_so() {
    let mut story = Story::open("withdrawn-after-the-cutoff", &["jane.doe"]);
    let before = story.staff.memberships("jane.doe");
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    story.export("workers-withdrawn.csv");
    story.next("kubectl get leaver");
    story.until(|| story.source()["counts"]["asked"] == 1);
    assert_eq!(story.leaver("leaver-0117")["spec"]["suspend"], Value::Bool(false));
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(
        story.staff.memberships("jane.doe"),
        (String::new(), String::new())
    );
    story.next("kubectl patch");
    story.next("kubectl get leavers");
    assert_eq!(story.staff.memberships("jane.doe"), before);
    story.staff.new_password("jane.doe");
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    story.end();
}

#[test]
fn long_leave_and_return_rests_the_login_and_nothing_else() {
    let mut story = Story::open("long-leave-and-return", &["jane.doe"]);
    let before = story.staff.memberships("jane.doe");
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    assert_eq!(story.staff.gets_in("jane.doe"), NOWHERE);
    assert_eq!(story.staff.memberships("jane.doe"), before);
    story.export("workers-back.csv");
    story.next("kubectl get leavers");
    // With the password that she had.
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    assert_eq!(story.staff.memberships("jane.doe"), before);
    // And another leave.
    story.export("workers.csv");
    story.until(|| story.staff.gets_in("jane.doe") == NOWHERE);
    let jane = story.leaver("leaver-0117");
    assert_eq!(
        (&jane["spec"]["reason"], &jane["status"]["policy"]),
        (&"Leave".into(), &"leave".into())
    );
    assert_eq!(fact(&jane, "directory", "GroupsLeft"), "");
    story.end();
}

#[test]
fn converted_contractor_is_not_offboarded() {
    let mut story = Story::open("converted-contractor", &["jane.doe", "joe.ray"]);
    story.export("workers.csv");
    story.begin();
    story.next("kubectl get leavers");
    story.next("kubectl get leaversource");
    assert_eq!(story.leavers(), ["leaver-7032"]);
    assert_eq!(story.staff.gets_in("jane.doe"), EVERYWHERE);
    assert_eq!(story.staff.gets_in("joe.ray"), NOWHERE);
    story.end();
}
