//! Two Offboardings about one person: a person says which is meant, and nothing happens early meanwhile.

use super::site::{Site, application};

const JANE: &str = "offboarding/leaver-1";
const AGAIN: &str = "offboarding/jane-again";

#[tokio::test(flavor = "multi_thread")]
async fn the_earlier_date_does_not_act_by_itself_and_what_was_ended_stays_so() {
    let (crm, id) = application("jane@example.com").await;
    let site = Site::new("twice");
    site.connect("crm", &crm);
    let later = "{employee: {email: Jane@Example.com}, lastDay: '2099-01-31', cutoff: {timeZone: UTC}}";
    site.offboarding("jane-again", later);
    let operator = site.start();
    site.until(AGAIN, "Ready", "True/Scheduled");
    site.gone("leaver-1", "jane@example.com");
    let message = site.until(JANE, "Stalled", "True/DuplicateOffboarding");
    assert_eq!(
        message,
        "same person as Offboarding jane-again (ends 2099-01-31 17:00 UTC): remove all but one of them"
    );
    let message = site.until(AGAIN, "Duplicate", "True/SamePerson");
    assert!(
        message.contains("Offboarding leaver-1 (ends 2026-01-31"),
        "{message}"
    );
    assert_eq!(site.condition(AGAIN, "Ready").0, "True/Scheduled");
    assert_eq!(crm.is_active(&id), Some(true), "{}", operator.log());
    // A person says which is meant.
    site.kubectl(&["delete", AGAIN], "").expect_ok();
    site.until(JANE, "Ready", "True/Offboarded");
    assert_eq!(crm.is_active(&id), Some(false));
    assert_eq!(site.condition(JANE, "Duplicate").0, "");
    site.offboarding("jane-again", later);
    site.until(JANE, "Duplicate", "True/SamePerson");
    assert_eq!(site.condition(JANE, "Ready").0, "True/Offboarded");
    assert_eq!(crm.is_active(&id), Some(false));
}
