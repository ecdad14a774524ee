//! A small company inside the process: its directory, mail, CRM, wiki and forge on loopback, with a leaver, a successor and
//! colleagues. For the demo and for tests.
//!
//! It knows nothing of connectors: what people can get in with is tried by the protocols they use, so that a refusal
//! here is proof of its own. Nothing is on disk and nothing leaves the machine.

mod crm;
pub mod directory;
pub mod forge;
mod http;
pub mod mail;
mod manifests;
pub mod people;
#[cfg(test)]
mod tests;
mod tls;
mod wiki;

use std::io;

use self::{crm::Crm, forge::Forge, mail::Mail, tls::Tls, wiki::Wiki};
pub use self::{
    directory::acme::Acme,
    http::Attempt,
    manifests::Manifests,
    people::{JANE, SAM, Worker},
};

/// A running company. Dropping it closes everything.
#[derive(Debug)]
pub struct Company {
    authority: String,
    directory: Acme,
    crm: Crm,
    forge: Forge,
    mail: Mail,
    wiki: Wiki,
}

impl Company {
    /// Starts all systems.
    ///
    /// # Errors
    /// When one of them cannot start.
    pub async fn start() -> io::Result<Self> {
        let tls = Tls::new()?;
        let (directory, mail, crm, wiki, forge) = tokio::try_join!(
            Acme::start(&tls),
            Mail::start(),
            Crm::start(),
            Wiki::start(),
            Forge::start()
        )?;
        Ok(Self {
            authority: tls.authority,
            directory,
            crm,
            forge,
            mail,
            wiki,
        })
    }

    /// Names of the systems with the protocols they speak, for people.
    pub fn systems(&self) -> [(&'static str, &'static str); 5] {
        [
            (directory::acme::NAME, "LDAP"),
            (mail::NAME, "HTTP"),
            (crm::NAME, "SOQL"),
            (wiki::NAME, "SCIM"),
            (forge::NAME, "HTTP"),
        ]
    }

    /// Tries everything that `worker` could get in with when the company started, in every system, without any connector.
    ///
    /// # Errors
    /// When a system gives no answer to a try: that would prove nothing.
    pub async fn attempts(&self, worker: &Worker) -> io::Result<Vec<Attempt>> {
        let (directory, mail, crm, wiki, forge) = tokio::try_join!(
            self.directory.attempts(worker),
            self.mail.attempts(worker),
            self.crm.attempts(worker),
            self.wiki.attempts(worker),
            self.forge.attempts(worker),
        )?;
        Ok([directory, mail, crm, wiki, forge].concat())
    }

    /// How many things belong to `worker`, by system; systems in which nothing is owned are left out.
    pub fn owned_by(&self, worker: &Worker) -> [(&'static str, usize); 4] {
        [
            (directory::acme::NAME, self.directory.owned_by(worker)),
            (mail::NAME, self.mail.owned_by(worker)),
            (crm::NAME, self.crm.owned_by(worker)),
            (forge::NAME, self.forge.owned_by(worker)),
        ]
    }

    /// How many requests the CRM and the wiki were sent: how far whoever works on them has come.
    pub fn requests(&self) -> usize {
        let crm = self.crm.salesforce().control().journal().len();
        crm + self.wiki.scim().control().journal().len()
    }

    /// Gives the leaver one access back, as an administrator would by hand, and says in which system.
    pub fn tamper(&self) -> &'static str {
        self.crm.reactivate(&JANE);
        crm::NAME
    }
}
