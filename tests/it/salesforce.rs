//! The Salesforce definition against an organisation that keeps the vendor's rules. What proves the end is what the leaver
//! and the successor meet: the old password, session and app token are refused, and the successor opens the records.

use offboard::{
    api::definition::Grant,
    core::{
        fact::{Verdict, Why},
        fault::Reason,
        plan::TASK_AWAITED,
    },
};
use offboard_simulators::{
    salesforce::{Blocker, INTEGRATION, Right, Salesforce},
    server::{Entry, Mishap, Staleness},
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, Trial, person};

const JANE: &str = "jane.o'neill@corp.test";
const SAM: &str = "sam@corp.test";

/// An organisation with a leaver who is logged in, has let an app in, and owns records.
struct Scene {
    org: Salesforce,
    jane: String,
    sam: String,
    session: String,
    refresh: String,
    accounts: Vec<String>,
    leads: Vec<String>,
}

async fn scene() -> Scene {
    let org = Salesforce::start().await.unwrap();
    let jane = org.add_user(JANE, JANE, "old password");
    let sam = org.add_user(SAM, SAM, "sam's");
    let accounts = (0..7)
        .map(|n| org.add("Account", json!({"Name": format!("A{n}"), "OwnerId": jane})))
        .collect();
    let leads = (0..3)
        .map(|n| org.add("Lead", json!({"Name": format!("L{n}"), "OwnerId": jane})))
        .collect();
    org.add(
        "Lead",
        json!({"Name": "converted", "OwnerId": jane, "IsConverted": true}),
    );
    org.assign_permission_set(&jane, "Standard", true);
    org.assign_permission_set(&jane, "Sales", false);
    org.assign_permission_set(&jane, "Reports", false);
    org.add_to_group(&jane, "Everybody", "Regular");
    org.add_to_group(&jane, "Inbound", "Queue");
    let licence = org.add("PermissionSetLicense", json!({"DeveloperName": "Cpq"}));
    org.add(
        "PermissionSetLicenseAssign",
        json!({"AssigneeId": jane, "PermissionSetLicenseId": licence}),
    );
    let session = log_in(&org, JANE, "old password").await.expect("may log in");
    let refresh = org.authorize_app(&jane, "Data Loader");
    let scene = Scene {
        org,
        jane,
        sam,
        session,
        refresh,
        accounts,
        leads,
    };
    let access = scene.refreshed().await.expect("the app may work");
    assert!(scene.open(&scene.session).await && scene.open(&access).await);
    scene.org.control().clear_journal();
    scene
}

pub async fn log_in(org: &Salesforce, name: &str, password: &str) -> Option<String> {
    let answer = Client::new()
        .post(format!("{}/login", org.url()))
        .json(&json!({"username": name, "password": password}))
        .send()
        .await
        .unwrap();
    let body: Option<Value> = answer.json().await.ok();
    Some(body?["session"].as_str()?.to_owned())
}

impl Scene {
    fn setup(&self) -> Setup<'static> {
        let inputs = json!({"url": self.org.url(), "clientId": self.org.client_id()});
        let mut setup = Setup::new(
            "salesforce",
            inputs,
            ("clientSecret", self.org.client_secret()),
            JANE,
        );
        setup.successor = Some(person(SAM));
        setup
    }

    /// A new access token for the app, if its refresh token still works.
    async fn refreshed(&self) -> Option<String> {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", self.org.client_id()),
            ("refresh_token", &self.refresh),
        ];
        let request = Client::new().post(format!("{}/services/oauth2/token", self.org.url()));
        let body: Value = request.form(&form).send().await.unwrap().json().await.unwrap();
        Some(body["access_token"].as_str()?.to_owned())
    }

    async fn open(&self, session: &str) -> bool {
        let request = Client::new().get(format!("{}/services/oauth2/userinfo", self.org.url()));
        request.bearer_auth(session).send().await.unwrap().status() == 200
    }

    /// The old password, session and app token are refused; rights are gone but for the profile's own.
    async fn access_is_over(&self) {
        assert_eq!(
            log_in(&self.org, JANE, "old password").await,
            None,
            "the old password"
        );
        assert!(!self.open(&self.session).await, "the old session");
        assert_eq!(self.refreshed().await, None, "the app's token");
        let left = [
            ("AuthSession", "UsersId", 0),
            ("OauthToken", "UserId", 0),
            ("PermissionSetAssignment", "AssigneeId", 1),
            ("GroupMember", "UserOrGroupId", 0),
        ];
        for (object, field, count) in left {
            assert_eq!(self.org.count(object, field, &self.jane), count, "{object}");
        }
    }

    /// The successor opens every record with a session of their own.
    async fn successor_has_the_records(&self) {
        let session = log_in(&self.org, SAM, "sam's")
            .await
            .expect("the successor may log in");
        let records = self.accounts.iter().map(|id| ("Account", id));
        for (object, id) in records.chain(self.leads.iter().map(|id| ("Lead", id))) {
            let url = format!("{}/services/data/v64.0/sobjects/{object}/{id}", self.org.url());
            let answer = Client::new().get(url).bearer_auth(&session).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{object} {id}");
            let record: Value = answer.json().await.unwrap();
            assert_eq!(record["OwnerId"], self.sam);
        }
    }

    fn nothing_is_counted_once_records_move(&self) {
        let journal = self.org.control().journal();
        let counts = |entry: &Entry| entry.parameter("q").is_some_and(|q| q.contains("COUNT()"));
        let moved = journal
            .iter()
            .position(|e| e.path.ends_with("/composite/sobjects"))
            .unwrap();
        assert!(journal[..moved].iter().any(counts));
        assert!(!journal[moved..].iter().any(counts));
    }

    fn changes(&self, path: &str) -> Vec<Entry> {
        let all = self.org.control().journal();
        all.into_iter()
            .filter(|entry| entry.changes() && entry.path.contains(path))
            .collect()
    }
}

#[tokio::test]
async fn the_user_that_the_app_runs_as_does_not_take_its_own_access_away() {
    let org = Salesforce::start().await.unwrap();
    let inputs = json!({"url": org.url(), "clientId": org.client_id()});
    let setup = Setup::new(
        "salesforce",
        inputs,
        ("clientSecret", org.client_secret()),
        "offboard@example.org",
    );
    let mut trial = Trial::new(&setup);
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("LoginFrozen") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.reason, Reason::Protected);
    let journal = org.control().journal();
    let changes = journal
        .iter()
        .filter(|entry| entry.path.starts_with("/services/data") && entry.method != "GET");
    assert_eq!(changes.count(), 0);
}

#[tokio::test]
async fn a_leaver_loses_access_and_the_successor_gets_the_records() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(3).await, "{:?}", trial.all());
    scene.access_is_over().await;
    scene.successor_has_the_records().await;
    assert_eq!(scene.org.field("User", &scene.jane, "IsActive"), false);
    assert_eq!(
        scene
            .org
            .count("PermissionSetLicenseAssign", "AssigneeId", &scene.jane),
        0
    );
    let kept = &trial.ledger().snapshot;
    assert_eq!(kept["PermissionSetsRemoved"].as_array().unwrap().len(), 2);
    assert_eq!(kept["GroupsRemoved"].as_array().unwrap().len(), 2);
    let frozen = scene.changes("/sobjects/UserLogin/");
    let first = scene
        .org
        .control()
        .journal()
        .into_iter()
        .find(|e| e.changes() && e.path.contains("/data/"));
    assert_eq!(
        (frozen.len(), first.unwrap().path),
        (1, frozen[0].path.clone()),
        "freezing comes first"
    );
}

#[tokio::test]
async fn a_private_key_is_as_good_as_a_client_secret() {
    let scene = scene().await;
    let mut setup = scene.setup();
    setup.edit = |spec| {
        let login = spec.http.as_mut().unwrap().auth.oauth2.as_mut().unwrap();
        login.grant = Grant::JwtBearer;
        login.audience = Some("https://login.salesforce.com".into());
        login.subject = Some(INTEGRATION.into());
        let secret = spec.secret.remove("clientSecret").unwrap();
        spec.secret.insert("privateKey".into(), secret);
    };
    setup.secret = vec![("privateKey", scene.org.private_key())];
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(3).await, "{:?}", trial.all());
    scene.access_is_over().await;
}

#[tokio::test]
async fn many_records_move_in_batches_of_two_hundred() {
    let scene = scene().await;
    for n in 0..2450 {
        scene
            .org
            .add("Case", json!({"Name": n.to_string(), "OwnerId": scene.jane}));
    }
    scene.org.set_knobs(|knobs| knobs.page_size = Some(300));
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(30).await, "{:?}", trial.all());
    assert_eq!(scene.org.count("Case", "OwnerId", &scene.sam), 2450);
    let counted = &trial.ledger().snapshot["RecordsHandedOver"];
    assert_eq!(counted["to"], scene.sam);
    let cases = json!({"object": "Case", "records": 2450});
    assert!(counted["moved"].as_array().unwrap().contains(&cases), "{counted}");
    scene.nothing_is_counted_once_records_move();
    let sizes: Vec<_> = scene
        .changes("/composite/sobjects")
        .iter()
        .map(|entry| entry.body["records"].as_array().unwrap().len())
        .collect();
    assert!(
        sizes.iter().all(|size| *size <= 200) && sizes.contains(&200),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn the_objects_are_the_connectors_choice() {
    let scene = scene().await;
    let invoice = scene
        .org
        .add("Invoice__c", json!({"Name": "I", "OwnerId": scene.jane}));
    let mut setup = scene.setup();
    setup.inputs["objects"] = json!([{"object": "Invoice__c"}]);
    let mut trial = Trial::new(&setup);
    assert!(trial.settles(3).await, "{:?}", trial.all());
    assert_eq!(scene.org.field("Invoice__c", &invoice, "OwnerId"), scene.sam);
    assert_eq!(scene.org.count("Account", "OwnerId", &scene.jane), 7);
}

#[tokio::test]
async fn an_assignment_rule_takes_no_lead_away_from_the_successor() {
    let scene = scene().await;
    let other = scene.org.add_user("rule@corp.test", "rule@corp.test", "x");
    scene.org.assign_leads_to(&other);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(3).await, "{:?}", trial.all());
    scene.successor_has_the_records().await;
}

#[tokio::test]
async fn a_setting_in_the_way_is_named_and_everything_else_is_done() {
    for (blocker, code) in [
        (Blocker::DefaultLeadOwner, "DefaultLeadOwner"),
        (Blocker::DefaultCaseOwner, "DefaultCaseOwner"),
        (Blocker::DefaultWorkflowUser, "DefaultWorkflowUser"),
        (Blocker::LeadCreator, "WebToLeadCreator"),
        (Blocker::HierarchyField, "HierarchyField"),
    ] {
        let scene = scene().await;
        scene.org.block_deactivation(&scene.jane, blocker);
        let mut trial = Trial::new(&scene.setup());
        trial.settles(3).await;
        let Verdict::Unmet(Why::Failed(fault)) = trial.verdict("UserDeactivated") else {
            panic!("{:?}", trial.all())
        };
        assert_eq!((fault.reason, fault.code.as_str()), (Reason::Refused, code));
        scene.access_is_over().await;
        scene.successor_has_the_records().await;
        assert_eq!(scene.org.field("User", &scene.jane, "IsActive"), true);
        scene.org.unblock(&scene.jane);
        assert!(trial.settles(10).await, "{:?}", trial.all());
        assert_eq!(scene.org.field("User", &scene.jane, "IsActive"), false);
    }
}

#[tokio::test]
async fn late_reads_locks_and_lost_answers_end_well() {
    let scene = scene().await;
    let control = scene.org.control();
    scene.org.world().set_staleness(Staleness::Reads(12));
    scene.org.lock_row(&scene.accounts[3], 2);
    control.arrange("PATCH", "/sobjects/UserLogin/", 1, Mishap::LoseAnswer);
    control.arrange("DELETE", "/sobjects/AuthSession/", 1, Mishap::LoseAnswer);
    control.arrange("POST", "/services/oauth2/revoke", 1, Mishap::LoseAnswer);
    control.arrange("PATCH", "/composite/sobjects", 1, Mishap::LoseAnswer);
    control.arrange("DELETE", "/sobjects/GroupMember/", 1, Mishap::AcceptOnly);
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(60).await, "{:?}", trial.all());
    assert_eq!(control.arranged(), 0);
    scene.access_is_over().await;
    scene.successor_has_the_records().await;
}

#[tokio::test]
async fn a_spent_allocation_is_waited_for() {
    let scene = scene().await;
    scene.org.leave_requests(5);
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    let sent = scene.org.control().journal().len();
    trial.pass().await;
    assert_eq!(scene.org.control().journal().len(), sent, "silence");
    scene.org.leave_requests(10_000);
    assert!(trial.settles(10).await, "{:?}", trial.all());
    scene.access_is_over().await;
}

#[tokio::test]
async fn an_expired_login_of_ours_says_nothing_about_the_leaver() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    assert!(trial.settles(3).await, "{:?}", trial.all());
    scene.org.expire_connector();
    trial.wait(3600);
    assert!(trial.settles(10).await, "{:?}", trial.all());
}

#[tokio::test]
async fn a_short_answer_without_the_right_is_never_taken_for_nothing() {
    for (right, fact) in [
        (Right::ManageUsers, "LoginFrozen"),
        (Right::ManageUsers, "SessionsEnded"),
        (Right::CustomizeApplication, "OAuthTokensRevoked"),
        (Right::AssignPermissionSets, "PermissionSetsRemoved"),
        (Right::ViewAllData, "RecordsHandedOver"),
        (Right::ModifyAllData, "RecordsHandedOver"),
    ] {
        let scene = scene().await;
        scene.org.set_knobs(|knobs| knobs.lacks = vec![right]);
        let mut trial = Trial::new(&scene.setup());
        assert!(!trial.settles(4).await, "{right:?}");
        let (Verdict::Unknown(fault) | Verdict::Unmet(Why::Failed(fault))) = trial.verdict(fact) else {
            panic!("{right:?}: {:?}", trial.all())
        };
        assert_eq!(fault.reason, Reason::PermissionDenied, "{right:?} {fault}");
    }
}

#[tokio::test]
async fn an_inactive_successor_gets_nothing_and_the_reason_is_shown() {
    let scene = scene().await;
    scene.org.set("User", &scene.sam, &json!({"IsActive": false}));
    let mut trial = Trial::new(&scene.setup());
    trial.settles(4).await;
    let Verdict::Unmet(Why::Failed(fault)) = trial.verdict("RecordsHandedOver") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.code, "INACTIVE_OWNER_OR_USER");
    scene.access_is_over().await;
    assert_eq!(scene.org.count("Account", "OwnerId", &scene.jane), 7);
}

#[tokio::test]
async fn scheduled_jobs_hold_the_deactivation_back_where_that_is_asked_for() {
    let scene = scene().await;
    let job = scene
        .org
        .add("CronTrigger", json!({"OwnerId": scene.jane, "State": "WAITING"}));
    let mut setup = scene.setup();
    setup.include = &["AutomationHandedOver"];
    let mut trial = Trial::new(&setup);
    assert!(!trial.settles(4).await);
    assert_eq!(
        trial.verdict("AutomationHandedOver"),
        Verdict::Unmet(Why::Gated(TASK_AWAITED))
    );
    assert_eq!(scene.org.field("User", &scene.jane, "IsActive"), true);
    scene.access_is_over().await;
    scene.org.set("CronTrigger", &job, &json!({"OwnerId": scene.sam}));
    trial.wait(3600);
    assert!(trial.settles(4).await, "{:?}", trial.all());
    assert_eq!(scene.org.field("User", &scene.jane, "IsActive"), false);
}

#[tokio::test]
async fn an_answer_about_somebody_else_stops_all_changes() {
    let scene = scene().await;
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    scene.org.control().clear_journal();
    scene
        .org
        .set_knobs(|knobs| knobs.impostor = Some(scene.sam.clone()));
    trial.wait(3600);
    trial.pass().await;
    assert!(trial.ledger().identity_mismatch, "{:?}", trial.all());
    assert!(scene.changes("/data/").is_empty());
    assert_eq!(scene.org.field("User", &scene.sam, "IsActive"), true);
}

#[tokio::test]
async fn two_users_with_one_address_are_a_decision_for_a_person() {
    let scene = scene().await;
    scene.org.add_user("jane.sandbox@corp.test", JANE, "x");
    let mut trial = Trial::new(&scene.setup());
    trial.pass().await;
    let Verdict::Unknown(fault) = trial.verdict("LoginFrozen") else {
        panic!("{:?}", trial.all())
    };
    assert_eq!(fault.reason, Reason::Ambiguous);
    assert!(scene.changes("/data/").is_empty());
}

#[tokio::test]
async fn the_last_administrator_is_frozen_once_another_one_can_log_in() {
    let scene = scene().await;
    let may = |set: &str, permissions: &[&str]| {
        let set = &scene.org.values("PermissionSet", "Name", set, "Id")[0];
        for permission in permissions {
            let field = format!("Permissions{permission}");
            scene.org.set("PermissionSet", set, &json!({ field: true }));
        }
    };
    let give = |user: &str, profile: &str, permissions: &[&str]| {
        scene.org.assign_permission_set(user, profile, true);
        may(profile, permissions);
    };
    // By the profile and a permission set together; who else may do both is frozen, or a program.
    may("Standard", &["ModifyAllData"]);
    may("Sales", &["ManageUsers"]);
    let ada = scene.org.add_user("ada@corp.test", "ada@corp.test", "x");
    give(&ada, "System Administrator", &["ModifyAllData", "ManageUsers"]);
    give(&scene.sam, "Operator", &["ModifyAllData"]);
    let integration = scene.org.values("User", "Username", INTEGRATION, "Id").remove(0);
    give(&integration, "Program", &["ModifyAllData", "ManageUsers"]);
    let login = scene.org.values("UserLogin", "UserId", &ada, "Id").remove(0);
    scene.org.set("UserLogin", &login, &json!({"IsFrozen": true}));
    let held = |trial: &Trial| {
        for fact in [
            "LoginFrozen",
            "OAuthTokensRevoked",
            "SessionsEnded",
            "PermissionSetsRemoved",
            "UserDeactivated",
        ] {
            let verdict = trial.verdict(fact);
            assert!(
                matches!(&verdict, Verdict::Unmet(Why::Failed(fault))
                    if fault.reason == Reason::Protected && fault.code == "last administrator"),
                "{fact}: {verdict:?}"
            );
        }
    };
    let mut setup = scene.setup();
    setup.successor = None;
    let mut trial = Trial::new(&setup);
    trial.settles(4).await;
    held(&trial);
    assert!(scene.changes("/data/").is_empty());
    assert!(scene.open(&scene.session).await);
    scene.org.set("UserLogin", &login, &json!({"IsFrozen": false}));
    scene.org.set("User", &ada, &json!({"IsActive": false}));
    trial.wait(3600);
    trial.pass().await;
    held(&trial);
    scene.org.set("User", &ada, &json!({"IsActive": true}));
    trial.wait(3600);
    trial.settles(10).await;
    assert_eq!(trial.verdict("LoginFrozen"), Verdict::Verified);
    scene.access_is_over().await;

    setup.who = person("ada@corp.test");
    setup.inputs["keepLastAdministrator"] = json!(false);
    let mut trial = Trial::new(&setup);
    trial.settles(10).await;
    assert_eq!(trial.verdict("LoginFrozen"), Verdict::Verified);
}
