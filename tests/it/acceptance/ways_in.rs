//! Everything that somebody gets in with, tried again as often as one likes. None of it asks the operator or a connector.

use serde_json::Value;

use super::company::{Company, PASSWORD};
use crate::support::{self, Samba, Session, Slapd, Ticket};

/// What one person holds: a password, and what was opened or given for it before.
pub struct WaysIn {
    company: &'static Company,
    login: String,
    ticket: Ticket,
    warehouse: Session,
    shop: Session,
    online: Value,
    offline: Value,
}

/// The ways that [`WaysIn::open`] tries.
pub const WAYS: [&str; 11] = [
    "AD password",
    "AD ticket",
    "Kerberos password",
    "LDAP password",
    "warehouse password",
    "warehouse session",
    "shop password",
    "shop session",
    "SSO password",
    "SSO access token",
    "SSO refresh tokens",
];

impl WaysIn {
    /// Signs in everywhere, which all works.
    #[track_caller]
    pub fn of(company: &'static Company, login: &str) -> Self {
        let token = |scope: &str| company.realm.login(login, PASSWORD, scope).unwrap();
        let mut ways = Self {
            company,
            login: login.to_owned(),
            ticket: support::samba().ticket(login, PASSWORD).unwrap(),
            warehouse: support::postgres().session(login, PASSWORD, &company.name),
            shop: support::mariadb().session(login, PASSWORD),
            online: token("openid"),
            offline: token("openid offline_access"),
        };
        assert_eq!(ways.open(), WAYS, "{login}");
        ways
    }

    /// Which of [`WAYS`] are open now.
    pub fn open(&mut self) -> Vec<&'static str> {
        let (login, realm) = (self.login.as_str(), &self.company.realm);
        let refreshes = |token: &Value| realm.refresh(token["refresh_token"].as_str().unwrap()).is_ok();
        let address = format!("{login}@{}", Samba::DOMAIN);
        let hosts = ["localhost", "127.0.0.1"];
        let open = [
            support::samba().login(&address, PASSWORD).is_ok(),
            self.ticket.opens(),
            support::samba().kinit(login, PASSWORD).is_ok(),
            support::slapd().login(&Slapd::dn(login), PASSWORD),
            support::postgres().login(login, PASSWORD, "postgres"),
            self.warehouse.answers(),
            hosts
                .iter()
                .any(|host| support::mariadb().login(login, host, PASSWORD)),
            self.shop.answers(),
            realm.login(login, PASSWORD, "openid").is_ok(),
            realm.accepts(self.online["access_token"].as_str().unwrap()),
            refreshes(&self.online) || refreshes(&self.offline),
        ];
        let tried = WAYS.into_iter().zip(open);
        tried.filter(|(_, open)| *open).map(|(way, _)| way).collect()
    }
}
