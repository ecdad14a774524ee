//! The company as a user of offboard would describe it: definitions, connectors, a policy, a leaver, and the
//! credentials of the connectors' own accounts.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use jiff::Zoned;
use reqwest::Url;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Company, crm,
    directory::acme,
    forge, mail,
    people::{JANE, SAM},
    wiki,
};
use crate::{
    api::{
        Connector, ConnectorSpec, LocalRef, Offboarding, OffboardingPolicy, OffboardingPolicySpec,
        OffboardingSpec,
        offboarding::{Cutoff, Employee, NamedAccount, Transfer, TransferWhat},
    },
    transport::{
        destination::Place,
        secret::{DEFINITIONS_FILE, HOSTS_FILE},
    },
};

/// Files to be written, by path inside the folder.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    /// Objects in YAML: what `plan -f` and `run -f` read.
    pub objects: BTreeMap<String, String>,
    /// Credentials: by name of the secret, its keys and values.
    pub secrets: BTreeMap<String, BTreeMap<String, String>>,
}

impl Manifests {
    /// Writes all files below `folder`, those with credentials for their owner only.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (path, text) in &self.objects {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        for (name, keys) in &self.secrets {
            let parent = folder.join("secrets").join(name);
            fs::create_dir_all(&parent)?;
            for (key, value) in keys {
                write_private(&parent.join(key), value)?;
            }
        }
        Ok(())
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

impl Company {
    /// The company's manifests. The leaver's last day is the day of `now`, and the cutoff is its current minute.
    ///
    /// # Errors
    /// When an object cannot be written as YAML.
    pub fn manifests(&self, now: &Zoned) -> io::Result<Manifests> {
        let mut manifests = Manifests::default();
        let mut put = |path: &str, text: String| manifests.objects.insert(path.to_owned(), text);
        put("definitions/forge.yaml", forge::DEFINITION.to_owned());
        put("definitions/mail.yaml", mail::DEFINITION.to_owned());
        for connector in self.connectors() {
            let name = connector.metadata.name.as_deref().unwrap_or_default();
            put(&format!("connectors/{name}.yaml"), yaml(&connector)?);
        }
        put("policy.yaml", yaml(&OffboardingPolicy::new("default", policy()))?);
        put("jane-doe.yaml", yaml(&Offboarding::new("jane-doe", leaver(now)))?);
        let token = |token: &str| BTreeMap::from([("token".to_owned(), token.to_owned())]);
        manifests.secrets = BTreeMap::from([
            (
                acme::NAME.to_owned(),
                BTreeMap::from([
                    ("username".to_owned(), acme::SERVICE.to_owned()),
                    (
                        "password".to_owned(),
                        self.directory.service_password().to_owned(),
                    ),
                    ("ca.crt".to_owned(), self.authority.clone()),
                ]),
            ),
            (mail::NAME.to_owned(), token(self.mail.admin_token())),
            (
                crm::NAME.to_owned(),
                BTreeMap::from([(
                    "clientSecret".to_owned(),
                    self.crm.salesforce().client_secret().to_owned(),
                )]),
            ),
            (wiki::NAME.to_owned(), token(self.wiki.scim().token())),
            (forge::NAME.to_owned(), token(self.forge.admin_token())),
        ]);
        for (name, url, definition) in self.reached_at() {
            let Some(keys) = manifests.secrets.get_mut(name) else {
                continue;
            };
            // Where the credentials may go, and which definition may use them that is not built in.
            if let Some(place) = Url::parse(&url).ok().as_ref().and_then(Place::of) {
                keys.insert(HOSTS_FILE.to_owned(), place.to_string());
            }
            if let Some(definition) = definition {
                keys.insert(DEFINITIONS_FILE.to_owned(), definition.to_owned());
            }
        }
        Ok(manifests)
    }

    /// Each system's name and address, and its definition where that is the company's own.
    fn reached_at(&self) -> [(&'static str, String, Option<&'static str>); 5] {
        [
            (acme::NAME, self.directory.url().to_owned(), None),
            (mail::NAME, self.mail.url().to_owned(), Some("mail")),
            (crm::NAME, self.crm.salesforce().url().to_owned(), None),
            (wiki::NAME, self.wiki.scim().base(), None),
            (forge::NAME, self.forge.url().to_owned(), Some("forge")),
        ]
    }

    fn connectors(&self) -> [Connector; 5] {
        let connector = |name: &str, definition: &str, inputs: &[(&str, Value)]| {
            Connector::new(
                name,
                ConnectorSpec {
                    definition: definition.to_owned(),
                    inputs: inputs
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), value.clone()))
                        .collect(),
                    secret_ref: Some(LocalRef {
                        name: name.to_owned(),
                    }),
                    insecure: false,
                    limits: None,
                    mode: crate::api::connector::ConnectorMode::Enforce,
                    facts: None,
                    protected: Vec::new(),
                },
            )
        };
        let organisation = [
            ("url", json!(self.crm.salesforce().url())),
            ("clientId", json!(self.crm.salesforce().client_id())),
        ];
        let directory = [("url", json!(self.directory.url())), ("base", json!(acme::BASE))];
        [
            connector(acme::NAME, "openldap", &directory),
            connector(mail::NAME, "mail", &[("url", json!(self.mail.url()))]),
            connector(crm::NAME, "salesforce", &organisation),
            connector(wiki::NAME, "scim", &[("url", json!(self.wiki.scim().base()))]),
            connector(forge::NAME, "forge", &[("url", json!(self.forge.url()))]),
        ]
    }
}

fn policy() -> OffboardingPolicySpec {
    OffboardingPolicySpec::default()
}

fn leaver(now: &Zoned) -> OffboardingSpec {
    OffboardingSpec {
        employee: Employee {
            email: Some(JANE.email.to_owned()),
            other_emails: vec![],
            employee_id: Some(JANE.number.to_owned()),
            display_name: Some(JANE.name.to_owned()),
            accounts: vec![NamedAccount {
                connector: acme::NAME.to_owned(),
                name: acme::ADMIN.to_owned(),
            }],
        },
        last_day: Some(now.date().to_string()),
        cutoff: Some(Cutoff {
            time: Some(now.strftime("%H:%M").to_string()),
            time_zone: now.time_zone().iana_name().map(str::to_owned),
        }),
        reason: Some("Resignation".to_owned()),
        transfers: vec![Transfer {
            what: TransferWhat::Everything,
            connector: None,
            to: SAM.email.to_owned(),
        }],
        ..OffboardingSpec::default()
    }
}

fn yaml(object: &impl Serialize) -> io::Result<String> {
    serde_saphyr::to_string(object).map_err(io::Error::other)
}
