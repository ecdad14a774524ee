//! A tenant with a leaver who is logged in, owns and belongs to groups and administers something, and a successor.

use std::collections::BTreeSet;

use jiff::Timestamp;
use offboard_simulators::microsoft365::{
    App, GLOBAL_ADMINISTRATOR, Microsoft365, TENANT,
    state::{GroupKind, POWER_BI},
};
use reqwest::Client;
use serde_json::{Value, json};

use crate::trial::{Setup, person};

pub const LEA: &str = "lea@example.com";
pub const SUE: &str = "sue@example.com";
pub const HELPDESK: &str = "729827e3-9c14-49f7-bb1b-9608f156bbb8";
/// The rights that the definition names.
pub const PERMISSIONS: [&str; 16] = [
    "Directory.Read.All",
    "User.Read.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "User.EnableDisableAccount.All",
    "User-PasswordProfile.ReadWrite.All",
    "User.RevokeSessions.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Device.ReadWrite.All",
    "MailboxSettings.ReadWrite",
    "LicenseAssignment.ReadWrite.All",
    "DeviceManagementManagedDevices.Read.All",
    "DeviceManagementManagedDevices.PrivilegedOperations.All",
];

/// A tenant with a leaver who is logged in, owns and belongs to groups, administers something, and a successor.
pub struct Scene {
    pub tenant: Microsoft365,
    pub app: App,
    pub lea: String,
    pub sue: String,
    pub team: String,
    pub refresh: String,
    pub client: Client,
}

impl Scene {
    pub async fn new() -> Self {
        let tenant = Microsoft365::start("example.com").await.unwrap();
        let app = tenant.register(&PERMISSIONS, true);
        let long_ago = Timestamp::from_second(1_750_000_000).unwrap();
        let (lea, sue, team, refresh) = tenant.seed(|tenant| {
            let lea = tenant.add_user("lea", "old password");
            let sue = tenant.add_user("sue", "sue's password");
            let root = tenant.add_user("root", "root password");
            tenant.assign(&root, GLOBAL_ADMINISTRATOR);
            tenant.assign(&lea, HELPDESK);
            let team = tenant.add_group("team", GroupKind::Unified, &[&lea, &sue], &[&lea]);
            tenant.add_group("both", GroupKind::Unified, &[&sue], &[&lea, &sue]);
            let staff = tenant.add_group("staff", GroupKind::Security, &[&lea, &sue], &[]);
            tenant.groups.get_mut(&staff).unwrap().licences = BTreeSet::from([POWER_BI.to_owned()]);
            let admins = tenant.add_group("admins", GroupKind::Security, &[&lea], &[]);
            tenant.groups.get_mut(&admins).unwrap().role_assignable = true;
            for kind in ["phone", "fido2", "microsoftAuthenticator", "external", "email"] {
                tenant.add_method(&lea, kind);
            }
            let user = tenant.users.get_mut(&lea).unwrap();
            user.default_method = Some(user.methods[0].id.clone());
            let (app_role, grant) = (tenant.id(), tenant.id());
            tenant
                .app_roles
                .insert(app_role, (lea.clone(), "crm".into(), "user".into()));
            tenant
                .grants
                .insert(grant, ["app", &lea, "graph", "Mail.Read"].map(ToOwned::to_owned));
            tenant.add_device(&lea, "laptop");
            let refresh = tenant.add_refresh_token(&lea, long_ago);
            (lea, sue, team, refresh)
        });
        let scene = Self {
            tenant,
            app,
            lea,
            sue,
            team,
            refresh,
            client: Client::new(),
        };
        assert_eq!(scene.ways_in().await, [true, true]);
        scene.tenant.control().clear_journal();
        scene
    }

    pub fn setup(&self) -> Setup<'static> {
        let inputs = json!({
            "tenant": TENANT, "clientId": self.app.client_id, "graph": self.tenant.graph(),
            "login": self.tenant.login(), "autoReply": "Lea has left.",
        });
        let mut setup = Setup::new("microsoft-365", inputs, ("clientSecret", &self.app.secret), LEA);
        setup.successor = Some(person(SUE));
        setup
    }

    pub async fn door(&self, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let url = format!("{}/end-user{path}", self.tenant.url());
        let mut request = if body.is_null() {
            self.client.get(url)
        } else {
            self.client.post(url).json(&body)
        };
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.json().await.unwrap_or(Value::Null),
        )
    }

    pub async fn log_in(&self, name: &str, password: &str) -> (u16, Value) {
        let method = self
            .tenant
            .truth(|tenant| tenant.user(name)?.methods.first().map(|method| method.id.clone()));
        self.door(
            "/login",
            None,
            json!({"username": name, "password": password, "method": method}),
        )
        .await
    }

    /// Old password with a second step, old refresh token.
    pub async fn ways_in(&self) -> [bool; 2] {
        let refresh = json!({"refresh_token": self.refresh});
        [
            self.log_in(LEA, "old password").await.0 == 200,
            self.door("/refresh", None, refresh).await.0 == 200,
        ]
    }

    /// Nobody gets in with anything old, not even if somebody enables the account by mistake.
    pub async fn is_over(&self) {
        assert_eq!(self.ways_in().await, [false; 2]);
        self.tenant
            .seed(|tenant| tenant.users.get_mut(&self.lea).unwrap().enabled = true);
        assert_eq!(
            self.ways_in().await,
            [false; 2],
            "although the account was let in again"
        );
    }

    /// The successor enters the leaver's team as its owner.
    pub async fn is_handed_over(&self) {
        let (_, tokens) = self.log_in(SUE, "sue's password").await;
        let token = tokens["access_token"].as_str().unwrap();
        let (status, team) = self
            .door(&format!("/teams/{}", self.team), Some(token), Value::Null)
            .await;
        assert_eq!((status, &team["owner"]), (200, &json!(true)));
    }

    pub fn memberships(&self) -> Vec<String> {
        self.tenant.truth(|tenant| {
            let groups = tenant
                .groups
                .values()
                .filter(|group| group.members.contains(&self.lea));
            groups.map(|group| group.name.clone()).collect()
        })
    }
}
