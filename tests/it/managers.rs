//! Who takes over is the manager whom the directory names, where nobody else said so: on a real slapd and a real Samba AD.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use offboard::{
    connectors::{Capabilities, Connector, Order, Readings, Shared, Subject},
    core::{
        fact::{Act, Receipt, Sight, Verdict},
        fault::{Fault, Reason},
        identity::{Account, Person},
    },
    drive::Link,
};
use serde_json::{Value, json};

use crate::{
    leaver::{Leaver, SYSTEM},
    operator::site::{PATIENCE, Site},
    support::{Samba, Slapd, poll, samba, slapd, unique},
};

fn policy() -> Value {
    json!({"transfer": {"to": "Manager", "fallback": "office@corp.test"}})
}

/// Somebody in slapd who leaves, and a group of which they are the owner.
struct InOpenLdap {
    uid: String,
    dn: String,
    group: String,
}

impl InOpenLdap {
    fn new() -> Self {
        let uid = unique("alice");
        let dn = slapd().add_person(&uid, "pw");
        let group = slapd().add_group(&unique("owned"), &[]);
        let this = Self { uid, dn, group };
        this.owns(&this.group);
        this
    }

    fn owns(&self, group: &str) {
        change(group, &format!("replace: owner\nowner: {}", self.dn));
    }

    fn reports_to(&self, managers: &[&str]) {
        let all: String = managers.iter().map(|dn| format!("manager: {dn}\n")).collect();
        change(&self.dn, &format!("replace: manager\n{}", all.trim_end()));
    }

    fn leaver(&self, policy: &Value) -> Leaver {
        let connector =
            json!({"definition": "openldap", "inputs": {"url": slapd().ldaps, "base": Slapd::BASE}});
        let secret = json!({"username": Slapd::SERVICE, "password": Slapd::SERVICE_PASSWORD, "ca.crt": slapd().tls.ca_pem()});
        let spec = json!({"employee": {"email": format!("{}@corp.test", self.uid)}, "urgency": "Immediate"});
        Leaver::new(connector, &secret, &spec, policy)
    }
}

fn change(dn: &str, changes: &str) {
    slapd().ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
}

fn owner(group: &str) -> Option<String> {
    let cn = group.split([',', '=']).nth(1).unwrap();
    let found = slapd().search(&format!("(cn={cn})"), &["owner"]);
    found
        .lines()
        .find_map(|line| line.strip_prefix("owner: ").map(str::to_owned))
}

#[tokio::test]
async fn the_manager_in_openldap_takes_over_and_stays_the_one_when_the_entry_loses_them() {
    let jane = InOpenLdap::new();
    let (bob, carl) = (unique("bob"), unique("carl"));
    let (bob_dn, carl_dn) = (slapd().add_person(&bob, "pw"), slapd().add_person(&carl, "pw"));
    jane.reports_to(&[&bob_dn]);
    let mut leaver = jane.leaver(&json!({"transfer": {"to": "Manager"}}));
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(owner(&jane.group).as_ref(), Some(&bob_dn));
    let known = leaver.status().manager.clone().unwrap();
    assert_eq!(
        (known.email, known.system),
        (Some(format!("{bob}@corp.test")), Some(SYSTEM.to_owned()))
    );
    // Another one is written there, and something turns up that is to be handed over.
    jane.reports_to(&[&carl_dn]);
    jane.owns(&jane.group);
    let mut leaver = leaver.restart();
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(owner(&jane.group).as_ref(), Some(&bob_dn));
}

#[tokio::test]
async fn without_a_manager_who_can_take_over_in_openldap_the_fallback_does() {
    let office_dn = slapd().search("(uid=office)", &["dn"]);
    if office_dn.is_empty() {
        slapd().add_person("office", "pw");
    }
    for managers in ["nobody", "themselves", "somebody unknown"] {
        let jane = InOpenLdap::new();
        match managers {
            "themselves" => jane.reports_to(&[&jane.dn]),
            "somebody unknown" => jane.reports_to(&[&Slapd::dn("gone")]),
            _ => {}
        }
        let mut leaver = jane.leaver(&policy());
        leaver.settle(5).await;
        assert_eq!(leaver.left(), [], "{managers}");
        assert_eq!(owner(&jane.group), Some(Slapd::dn("office")), "{managers}");
    }
    // Of two managers nobody here chooses one.
    let jane = InOpenLdap::new();
    let two = [unique("bob"), unique("carl")].map(|uid| slapd().add_person(&uid, "pw"));
    jane.reports_to(&[&two[0], &two[1]]);
    let mut leaver = jane.leaver(&policy());
    leaver.settle(5).await;
    assert_eq!(leaver.fault("OwnershipHandedOver"), "Ambiguous (manager)");
    assert_eq!(leaver.verdict("AccountLocked"), Verdict::Verified);
    assert_eq!(owner(&jane.group), Some(jane.dn));
}

/// A directory that cannot be asked for managers while it is down; everything else works.
struct Silent {
    inner: Shared,
    down: Arc<AtomicBool>,
}

#[async_trait]
impl Connector for Silent {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn knows_managers(&self) -> bool {
        self.inner.knows_managers()
    }
    async fn manager(&self, subject: &Subject) -> Result<Option<Person>, Fault> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Fault::transient(Reason::Timeout));
        }
        self.inner.manager(subject).await
    }
    async fn find(&self, who: &Person) -> Result<Vec<Account>, Fault> {
        self.inner.find(who).await
    }
    async fn observe(&self, subject: &Subject, facts: &[&str]) -> Readings {
        self.inner.observe(subject, facts).await
    }
    fn sight(&self, subject: &Subject, fact: &str, readings: &Readings) -> Sight {
        self.inner.sight(subject, fact, readings)
    }
    async fn act(&self, subject: &Subject, act: &Act, order: &Order<'_>) -> Result<Receipt, Fault> {
        self.inner.act(subject, act, order).await
    }
}

#[tokio::test]
async fn while_the_directory_cannot_be_asked_only_what_is_handed_over_waits_and_no_fallback_gets_it() {
    let jane = InOpenLdap::new();
    let bob_dn = slapd().add_person(&unique("bob"), "pw");
    jane.reports_to(&[&bob_dn]);
    let mut leaver = jane.leaver(&policy());
    let down = Arc::new(AtomicBool::new(true));
    let silent = Silent {
        inner: leaver.connector(),
        down: down.clone(),
    };
    leaver
        .links
        .insert(SYSTEM.to_owned(), Link::Ready(Arc::new(silent)));
    leaver.settle(5).await;
    assert!(!slapd().login(&jane.dn, "pw"));
    let left: Vec<String> = leaver.left().into_iter().map(|(fact, _)| fact).collect();
    assert_eq!(left, ["OwnershipHandedOver"]);
    assert_eq!(leaver.fault("OwnershipHandedOver"), "Timeout");
    let ready = leaver
        .status()
        .conditions
        .iter()
        .find(|c| c.type_ == "Ready")
        .unwrap()
        .clone();
    assert_eq!(ready.reason, "SystemUnavailable");
    assert!(
        leaver.outcome.as_ref().unwrap().wake.is_some(),
        "it is asked again"
    );
    assert_eq!(leaver.status().manager, None);
    assert_eq!(owner(&jane.group).as_ref(), Some(&jane.dn));
    down.store(false, Ordering::SeqCst);
    leaver.settle(5).await;
    assert_eq!(leaver.left(), []);
    assert_eq!(owner(&jane.group).as_ref(), Some(&bob_dn));
}

#[tokio::test]
async fn the_manager_in_active_directory_takes_over_and_one_whose_account_is_disabled_does_not() {
    const PASSWORD: &str = "First-Passw0rd!";
    let samba = samba();
    let mail = |name: &str| format!("{name}@{}", Samba::DOMAIN);
    let change = |dn: &str, changes: &str| {
        samba.ldif_as_admin(&format!("dn: {dn}\nchangetype: modify\n{changes}\n"));
    };
    let managed_by = |group: &str| {
        let found = samba.search(&format!("(distinguishedName={group})"), &["managedBy"]);
        found
            .lines()
            .find_map(|line| line.strip_prefix("managedBy: ").map(str::to_owned))
    };
    let (bo, office) = (unique("bo"), unique("of"));
    let (bo_dn, office_dn) = (
        samba.add_person(&bo, PASSWORD),
        samba.add_person(&office, PASSWORD),
    );
    for disabled in [false, true] {
        let al = unique("al");
        let al_dn = samba.add_person(&al, PASSWORD);
        let own = samba.add_group(&unique("own"), &[]);
        change(&own, &format!("add: managedBy\nmanagedBy: {al_dn}"));
        change(&al_dn, &format!("add: manager\nmanager: {bo_dn}"));
        if disabled {
            change(&bo_dn, "replace: userAccountControl\nuserAccountControl: 514");
        }
        let connector =
            json!({"definition": "active-directory", "inputs": {"url": samba.ldaps, "base": Samba::BASE}});
        let secret = json!({"username": Samba::SERVICE, "password": Samba::SERVICE_PASSWORD, "ca.crt": samba.tls.ca_pem()});
        let spec = json!({"employee": {"email": mail(&al)}, "urgency": "Immediate"});
        let policy = json!({"transfer": {"to": "Manager", "fallback": mail(&office)}});
        let mut leaver = Leaver::new(connector, &secret, &spec, &policy);
        leaver.settle(5).await;
        assert_eq!(leaver.left(), []);
        let taker = if disabled { &office_dn } else { &bo_dn };
        assert_eq!(managed_by(&own).as_ref(), Some(taker), "disabled: {disabled}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_manager_who_leaves_too_is_skipped_and_one_who_stays_is_shown() {
    let site = Site::new("managers");
    let authorities = slapd().tls.ca_pem();
    let login = [
        ("username", Slapd::SERVICE),
        ("password", Slapd::SERVICE_PASSWORD),
        ("ca.crt", authorities.as_str()),
    ];
    site.secrets("ldap", &login);
    let inputs = format!("{{url: '{}', base: '{}'}}", slapd().ldaps, Slapd::BASE);
    site.connector("ldap", "openldap", &inputs);
    let (boss, other) = (unique("boss"), unique("other"));
    let (boss_dn, other_dn) = (slapd().add_person(&boss, "pw"), slapd().add_person(&other, "pw"));
    site.policy(&format!(
        "{{transfer: {{to: Manager, fallback: {other}@corp.test}}}}"
    ));
    let operator = site.start();
    let stays = InOpenLdap::new();
    stays.reports_to(&[&boss_dn]);
    site.leaver("stays", &format!("{}@corp.test", stays.uid));
    site.until("offboarding/stays", "DataTransferred", "True/Verified");
    assert_eq!(owner(&stays.group).as_ref(), Some(&boss_dn), "{}", operator.log());
    let manager = site.get("offboarding/stays")["status"]["manager"].clone();
    assert_eq!(manager["email"], format!("{boss}@corp.test"));
    let recorded = || {
        site.records()
            .iter()
            .any(|record| record["spec"]["manager"]["who"]["email"] == manager["email"])
    };
    assert!(poll(PATIENCE, recorded));
    // Nobody was told that this leaver is stuck while the directory was asked.
    let events = site.get("events.events.k8s.io").to_string();
    assert!(!events.contains("\"Stalled\""), "{events}");
    // Now the manager leaves too.
    site.leaver("boss", &format!("{boss}@corp.test"));
    site.until("offboarding/boss", "AccessRevoked", "True/Verified");
    let left = InOpenLdap::new();
    left.reports_to(&[&boss_dn]);
    site.leaver("left", &format!("{}@corp.test", left.uid));
    site.until("offboarding/left", "DataTransferred", "True/Verified");
    assert_eq!(owner(&left.group).as_ref(), Some(&other_dn), "{}", operator.log());
}
