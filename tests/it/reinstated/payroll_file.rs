//! Who comes back to a payroll that is asked by files.

use jiff::SignedDuration;
use serde_json::json;

use super::wanted_back;
use crate::{
    leaver::Leaver,
    payroll_file::{Payroll, system},
};

#[tokio::test]
async fn who_comes_back_is_paid_again_once_a_later_export_says_so() {
    let payroll = Payroll::new();
    payroll.exports("1.csv", "E7;active\nE8;active\n");
    let (connector, secret) = system(&payroll);
    let offboarding = json!({"employee": {"employeeID": "E7"}, "urgency": "Immediate"});
    let mut leaver = Leaver::new(connector, &secret, &offboarding, &json!({}));
    leaver.pass().await;
    leaver.wait(SignedDuration::from_mins(1));
    payroll.exports_at("2.csv", "E8;active\n", leaver.now());
    leaver.wait(SignedDuration::from_secs(1));
    leaver.pass().await;
    assert_eq!(leaver.left(), []);

    let mut leaver = wanted_back(leaver);
    for _ in 0..2 {
        leaver.pass().await;
    }
    let restores = payroll
        .asked()
        .into_iter()
        .filter(|name| name.starts_with("restore-E7-"))
        .count();
    assert_eq!(
        (restores, leaver.condition("Ready")),
        (1, "False/Reinstating".to_owned()),
        "asked once"
    );

    // What was asked for today is believed when the export of the day after has it.
    leaver.wait(SignedDuration::from_hours(49));
    payroll.exports_at("3.csv", "E7;active\nE8;active\n", leaver.now());
    leaver.wait(SignedDuration::from_secs(1));
    leaver.pass().await;
    assert_eq!(leaver.left(), []);
    assert_eq!(leaver.condition("Ready"), "True/Reinstated", "{:?}", leaver.all());
    assert_eq!(payroll.asked().len(), 2, "{:?}", payroll.asked());
}
