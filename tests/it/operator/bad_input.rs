//! What users get wrong is said with the field and the fix, changes nothing in any system, and keeps nobody else waiting.
//!
//! Here: what is wrong with the person or the dates. In `connection`: logins, trust and definitions. In `answers`: systems
//! that answer what no system should. In `costly`: expressions that would take for ever.

mod answers;
mod connection;
mod costly;

use offboard_simulators::scim::Scim;

use super::site::{Operator, PASSWORD, PATIENCE, Site, application, logs_in};
use crate::support::{self, poll};

/// An operator, and a healthy application `crm` in which everybody has an account.
struct Scene {
    site: Site,
    crm: Scim,
    jane: String,
    email: String,
    operator: Operator,
}

impl Scene {
    /// `jane` is the leaver's name before the `@`.
    async fn new(stem: &str, jane: &str) -> Self {
        let email = format!("{jane}@example.com");
        let (crm, id) = application(&email).await;
        let site = Site::new(stem);
        site.connect("crm", &crm);
        let operator = site.start();
        Self {
            site,
            crm,
            jane: id,
            email,
            operator,
        }
    }

    /// Jane leaves now, as `leaver-1`.
    #[track_caller]
    fn leaves(&self) {
        self.site.leaver("leaver-1", &self.email);
    }

    /// The leaver can do nothing more in the healthy application.
    #[track_caller]
    fn the_healthy_system_is_done(&self) {
        assert!(
            poll(PATIENCE, || self.crm.is_active(&self.jane) == Some(false)),
            "{:#}",
            self.site.get("offboarding/leaver-1")["status"]
        );
        assert!(!logs_in(&self.crm, &self.email));
    }

    /// Another leaver beside the one with whom something is wrong is offboarded.
    #[track_caller]
    fn another_leaver_is_done(&self) {
        let name = format!("{}@example.com", support::unique("sam"));
        let sam = self.crm.add_user(&name, None, PASSWORD);
        self.site.leaver("healthy", &name);
        self.site.until("offboarding/healthy", "Ready", "True/Offboarded");
        assert_eq!(self.crm.is_active(&sam), Some(false));
    }

    /// What `leaver-1` shows as long as only a person can help.
    #[track_caller]
    fn stalled(&self, reason: &str) -> String {
        let message = self
            .site
            .until("offboarding/leaver-1", "Stalled", &format!("True/{reason}"));
        let ready = self.site.condition("offboarding/leaver-1", "Ready");
        assert_eq!(ready, (format!("False/{reason}"), message.clone()));
        message
    }

    /// What `leaver-1` shows, as long as it is tried again, once nothing but this is left.
    #[track_caller]
    fn is_said(&self, expected: &str) {
        let ready = || self.site.condition("offboarding/leaver-1", "Ready");
        let expected = ("False/SystemUnavailable".to_owned(), expected.to_owned());
        poll(PATIENCE, || ready() == expected);
        assert_eq!(ready(), expected);
        let retried = self.site.condition("offboarding/leaver-1", "Reconciling");
        assert_eq!(retried, ("True/ProgressingWithRetry".to_owned(), expected.1));
    }

    /// The spec of `leaver-1` cannot be used: nothing is done to her anywhere, and others are.
    #[track_caller]
    fn is_refused(&self, spec: &str, message: &str) {
        self.site.offboarding("leaver-1", spec);
        assert_eq!(self.stalled("InvalidSpec"), message);
        self.another_leaver_is_done();
        assert!(logs_in(&self.crm, &self.email));
        assert_eq!(changes(&self.crm, &self.jane), 0);
    }
}

/// How many requests were to change something about an account, or anything at all if `about` is empty.
fn changes(scim: &Scim, about: &str) -> usize {
    let journal = scim.control().journal();
    let asked = |entry: &&offboard_simulators::server::Entry| {
        entry.path.contains(about) || entry.body.to_string().contains(about)
    };
    journal
        .iter()
        .filter(|entry| entry.changes() && entry.path.contains("/scim/"))
        .filter(asked)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_employee_whom_no_system_knows_is_not_taken_for_done() {
    let scene = Scene::new("unknown", "jane").await;
    scene.site.leaver("leaver-1", "jnae@example.com");
    assert_eq!(
        scene.stalled("EmployeeNotFound"),
        "spec.employee: no account in any of 1 systems: correct email or employeeID in a new Offboarding"
    );
    let (revoked, _) = scene.site.condition("offboarding/leaver-1", "AccessRevoked");
    assert_eq!(revoked, "Unknown/EmployeeNotFound");
    assert_eq!(changes(&scene.crm, ""), 0);
    assert!(logs_in(&scene.crm, "jane@example.com"));
    scene.another_leaver_is_done();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_accounts_that_match_neither_is_touched() {
    let scene = Scene::new("several", "jane").await;
    let app = Scim::start().await.unwrap();
    let by_address = app.add_user("jane@example.com", None, PASSWORD);
    let by_number = app.add_user("jane.d@example.com", Some("10442"), PASSWORD);
    app.add_group("staff", &[&by_address, &by_number]);
    scene.site.connect("app", &app);
    let spec = "{employee: {email: jane@example.com, employeeID: '10442'}, urgency: Immediate}";
    scene.site.offboarding("leaver-1", spec);
    assert_eq!(
        scene.stalled("Ambiguous"),
        "app: AccountDisabled Ambiguous (2 accounts): the row names the accounts: name those that are theirs in a new Offboarding"
    );
    scene.the_healthy_system_is_done();
    assert_eq!(changes(&app, ""), 0);
    assert!(logs_in(&app, "jane@example.com") && logs_in(&app, "jane.d@example.com"));
    scene.another_leaver_is_done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_account_is_refused_and_says_what_protects_it() {
    let scene = Scene::new("protected", "jane").await;
    let (app, _) = application("jane@example.com").await;
    scene.site.secret("app", "token", app.token());
    let inputs = format!("{{url: '{}'}}", app.base());
    scene
        .site
        .connector_with("app", "scim", &inputs, ", protected: [Jane@example.com]");
    scene.leaves();
    assert_eq!(
        scene.stalled("Protected"),
        "app: AccountDisabled Protected: the Connector's spec.protected or its definition forbids it: end it by hand"
    );
    scene.the_healthy_system_is_done();
    assert_eq!(changes(&app, ""), 0);
    assert!(logs_in(&app, "jane@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_cannot_be_their_own_successor() {
    let scene = Scene::new("successor", "jane").await;
    // Where CEL sees it, the object is not even taken.
    let refused = scene.site.kubectl(
        &["apply", "-f", "-"],
        "{apiVersion: offboard.dev/v1alpha1, kind: Offboarding, metadata: {name: leaver-1}, spec: {employee: \
         {email: jane@example.com}, urgency: Immediate, transfers: [{what: Everything, to: Jane@Example.com}]}}",
    );
    assert!(!refused.ok());
    let message = "spec.transfers: the successor must be somebody else than the leaver";
    assert!(refused.stderr.contains(message), "{}", refused.stderr);
    // The successor of the policy is seen only by the operator.
    scene.site.policy("{transfer: {to: JANE@example.com}}");
    scene.is_refused(
        "{employee: {email: jane@example.com}, urgency: Immediate}",
        "policy.spec.transfer.to: the successor must be somebody else than the leaver: name another in spec.transfers",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_zone_that_does_not_exist_is_named() {
    let scene = Scene::new("zone", "jane").await;
    scene.is_refused(
        "{employee: {email: jane@example.com}, lastDay: '2026-01-31', cutoff: {timeZone: Europe/Belrin}}",
        "spec.cutoff.timeZone: \"Europe/Belrin\" is not an IANA time zone: write one such as Europe/Berlin",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_zone_of_the_policy_that_does_not_exist_is_named_there() {
    let scene = Scene::new("zone", "jane").await;
    scene.site.policy("{cutoff: {timeZone: UTC+25}}");
    let message =
        "spec.cutoff.timeZone: \"UTC+25\" is not an IANA time zone: write one such as Europe/Berlin";
    let shown = scene
        .site
        .until("offboardingpolicy/default", "Ready", "False/Invalid");
    assert_eq!(shown, message);
    scene.is_refused(
        "{employee: {email: jane@example.com}, lastDay: '2026-01-31'}",
        &format!("policy.{message}"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_to_come_without_a_time_zone_is_never_guessed() {
    let scene = Scene::new("nozone", "jane").await;
    scene.is_refused(
        "{employee: {email: jane@example.com}, lastDay: '2099-01-31'}",
        "spec.cutoff.timeZone: the employee's time zone is not known: set it here, or cutoff.timeZone in the policy",
    );
    // Mended by the policy, without a change of the Offboarding.
    scene.site.policy("{cutoff: {timeZone: Europe/Berlin}}");
    scene
        .site
        .until("offboarding/leaver-1", "Ready", "True/Scheduled");
}
