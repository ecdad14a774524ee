//! What HR puts right after an Offboarding was made from it.

use serde_json::{Value, json};

use super::office::{Office, ending, in_days, person, staff, with};
use crate::{operator::site::PATIENCE, support::poll};

const LEAVER: &str = "leaver-0001";

impl Office {
    /// What a person is asked about the leaver.
    fn question(&self) -> String {
        let ran = self
            .site
            .kubectl(&["get", "offboarding", LEAVER, "-o", "json"], "");
        let leaver: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let asked = &leaver["metadata"]["annotations"]["offboard.dev/asks"];
        asked.as_str().unwrap_or_default().to_owned()
    }

    fn stopped(&self) -> bool {
        self.leaver(LEAVER, "suspend") == true
    }

    /// Waits until nothing is done about the leaver, because of this question.
    #[track_caller]
    fn until_held(&self, question: &str) {
        self.until_leaver(LEAVER, "suspend", true);
        let asked = || self.question().contains(question);
        assert!(poll(PATIENCE, asked), "{}; {}", self.question(), self.status());
    }

    #[track_caller]
    fn until_released(&self) {
        let goes_on = || !self.stopped() && self.question().is_empty();
        assert!(poll(PATIENCE, goes_on), "{}; {}", self.question(), self.status());
    }

    #[track_caller]
    fn patch(&self, spec: &Value) {
        let patch = json!({ "spec": spec }).to_string();
        let patch = ["patch", "offboarding", LEAVER, "--type=merge", "-p", &patch];
        self.site.kubectl(&patch, "").expect_ok();
    }

    fn has(&self, people: &[Value]) {
        self.hr.has(&[staff(100), people.to_vec()].concat());
    }
}

/// Whose record says more.
fn jane(day: &str) -> Value {
    let jane = with(ending(1, day), "boss", "person1001@example.com");
    with(with(jane, "reason", "Resignation"), "department", "Sales")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hr_puts_right_is_followed_and_what_somebody_set_here_stays() {
    let office = Office::new("follows").await;
    let (day, later) = (in_days(5), in_days(40));
    office.has(&[with(jane(&day), "zone", "PST")]);
    office.source("");
    let operator = office.site.start();
    let said = office.until("True/Synced");
    assert_eq!(
        said,
        "timeZone: no zone of IANA or Windows: the policy's counts (record 101)"
    );
    office.until_leaver(LEAVER, "reason", "Resignation");
    assert_eq!(office.leaver(LEAVER, "cutoff"), Value::Null);
    office.patch(&json!({"profile": {"department": "Set here"}}));

    let corrected = with(jane(&day), "zone", "Pacific Standard Time");
    let corrected = with(
        with(corrected, "boss", "person1002@example.com"),
        "reason",
        "Dismissal",
    );
    office.has(&[with(
        with(corrected, "contract", &*later),
        "department",
        "Marketing",
    )]);
    office.until_leaver(LEAVER, "cutoff", json!({"timeZone": "America/Los_Angeles"}));
    office.until_leaver(LEAVER, "dates", json!({"employmentEnds": later}));
    office.until_leaver(LEAVER, "reason", "Dismissal");
    let profile = json!({"manager": "person1002@example.com", "department": "Set here", "kind": "Employee"});
    office.until_leaver(LEAVER, "profile", profile.clone());
    office.another_look(&operator);
    let writes = office.writes().0;
    office.another_look(&operator);
    assert_eq!(office.writes().0, writes, "nothing is left to write");
    assert_eq!(office.leaver(LEAVER, "profile"), profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_waits_for_an_answer() {
    let office = Office::new("who-is-meant").await;
    let day = in_days(5);
    office.has(&[jane(&day)]);
    office.source("");
    let operator = office.site.start();
    office.until_leaver(LEAVER, "lastDay", &*day);
    let married = |day: &str| with(jane(day), "mail", "jane.smith@example.com");
    office.has(&[married(&day)]);
    office.until_held("another address");
    assert!(!office.question().contains("smith"), "{}", office.question());
    // HR takes it back.
    office.has(&[jane(&day)]);
    office.until_released();
    // Somebody lets it go on as it is: its day is followed, and nobody is asked again.
    office.has(&[married(&day)]);
    office.until_held("another address");
    office.patch(&json!({"suspend": false}));
    let later = in_days(7);
    office.has(&[married(&later)]);
    office.until_leaver(LEAVER, "lastDay", &*later);
    office.another_look(&operator);
    assert!(!office.stopped());
    // Or has it made anew.
    office
        .site
        .kubectl(&["delete", "offboarding", LEAVER, "--wait=false"], "")
        .expect_ok();
    let employee = || office.leaver(LEAVER, "employee")["email"].clone();
    assert!(
        poll(PATIENCE, || employee() == "jane.smith@example.com"),
        "{}",
        employee()
    );
    office.another_look(&operator);
    assert_eq!((office.stopped(), office.question().as_str()), (false, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_usable_or_not_alone_any_more_holds_what_was_made_from_it() {
    let office = Office::new("not-usable").await;
    let day = in_days(5);
    office.has(&[jane(&day)]);
    office.source(", maxUnusablePercent: 100");
    let operator = office.site.start();
    office.until_leaver(LEAVER, "lastDay", &*day);
    for (broken, why) in [
        (vec![jane("04.12.26")], "lastDay: not a date"),
        (
            vec![with(jane(&day), "status", "Left the company")],
            "status: not Active",
        ),
        (
            vec![jane(&day), with(person(2), "mail", "person1@example.com")],
            "another person has the same address",
        ),
    ] {
        office.has(&broken);
        office.until_held(why);
        office.has(&[jane(&day)]);
        office.until_released();
    }
    // The same person under another id, whose work goes on; the old id is gone.
    let converted = with(with(person(1), "person", "90001"), "id", "90001");
    office.has(&[converted]);
    office.until_held("another id");
    // Of whom nothing is known is not let go.
    office.has(&[]);
    office.another_look(&operator);
    assert!(office.stopped());
    office.has(&[jane(&day)]);
    office.until_released();
}
