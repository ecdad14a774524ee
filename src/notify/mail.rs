//! A message as e-mail, over SMTP.
//!
//! # Why
//! One command after the other, not a ready-made transport: only who knows how far the conversation came can say whether the
//! mail may have been taken. Until its last line is sent it was not, and it may be sent again.
//!
//! The connection is encrypted before anything is said, or not used.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use lettre::{
    Address,
    address::Envelope,
    message::{
        Mailbox, Message as Mail,
        header::{self, ContentType},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail as From, Rcpt},
        extension::ClientId,
    },
};
use tokio::time::timeout;

use super::{
    Sending,
    settings::{self, Recipient, Tls},
    text::Message,
};
use crate::{
    api::Offboarding,
    transport::{dial::Dialer, install_crypto, secret::Secret, trust::untrusted},
};

/// Says that no person wrote this, so that nobody's absence note answers.
#[derive(Debug, Clone)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends `message`, about `offboarding` if it is about one, where `dialer` connects.
pub async fn send(
    channel: &settings::Mail,
    key: &str,
    message: &Message,
    offboarding: Option<&Offboarding>,
    (dialer, deadline): (&Dialer, Duration),
) -> Sending {
    let to = recipients(channel, offboarding);
    if to.is_empty() {
        return Sending::Failed("nobody to send it to".to_owned());
    }
    let Some(mail) = compose(channel, key, message, &to) else {
        return Sending::Failed("mail not valid".to_owned());
    };
    let handed_over = AtomicBool::new(false);
    match timeout(deadline, talk(channel, dialer, &mail, &handed_over)).await {
        Ok(sending) => sending,
        Err(_) if handed_over.load(Ordering::Relaxed) => Sending::Unsure("Timeout".to_owned()),
        Err(_) => Sending::again("Timeout"),
    }
}

/// Who gets it: never the leaver.
fn recipients(channel: &settings::Mail, offboarding: Option<&Offboarding>) -> Vec<Mailbox> {
    let spec = offboarding.map(|offboarding| &offboarding.spec);
    let said = spec.and_then(|spec| spec.profile.as_ref()?.manager.as_ref());
    let told = || offboarding?.status.as_ref()?.manager.as_ref()?.email.as_ref();
    let manager = said
        .or_else(told)
        .and_then(|manager| manager.parse::<Address>().ok())
        .map(|address| Mailbox::new(None, address));
    let leaver = spec.and_then(|spec| spec.employee.email.as_deref());
    let mut all: Vec<Mailbox> = vec![];
    for recipient in &channel.to {
        let mailbox = match recipient {
            Recipient::Address(mailbox) => Some(mailbox.clone()),
            Recipient::Manager => manager.clone(),
        };
        let Some(mailbox) = mailbox else { continue };
        let address = mailbox.email.to_string();
        let same = |other: &str| other.eq_ignore_ascii_case(&address);
        if !leaver.is_some_and(same) && !all.iter().any(|m| same(m.email.as_ref())) {
            all.push(mailbox);
        }
    }
    all
}

fn compose(channel: &settings::Mail, key: &str, message: &Message, to: &[Mailbox]) -> Option<Mail> {
    let domain = channel.from.0.email.domain();
    let mut mail = Mail::builder()
        .from(channel.from.0.clone())
        .subject(message.subject.clone())
        .message_id(Some(format!("<{key}@{domain}>")))
        .date_now()
        .header(AutoSubmitted)
        .header(ContentType::TEXT_PLAIN);
    for mailbox in to {
        mail = mail.to(mailbox.clone());
    }
    mail.body(message.plain()).ok()
}

/// The whole conversation. Sets `handed_over` right before the first byte of the mail itself.
async fn talk(channel: &settings::Mail, dialer: &Dialer, mail: &Mail, handed_over: &AtomicBool) -> Sending {
    let mut connection = match connect(channel, dialer).await {
        Ok(connection) => connection,
        Err(sending) => return sending,
    };
    let sending = deliver(&mut connection, mail.envelope(), &mail.formatted(), handed_over).await;
    // The answer is known already.
    connection.quit().await.ok();
    sending
}

async fn connect(channel: &settings::Mail, dialer: &Dialer) -> Result<AsyncSmtpConnection, Sending> {
    install_crypto();
    let usable = |path: &std::path::PathBuf| settings::secret(path);
    let authorities = channel.ca_file.as_ref().map(usable).transpose();
    let authorities = authorities.map_err(|_| Sending::again("caFile not readable"))?;
    let password = channel.password_file.as_ref().map(usable).transpose();
    let password = password.map_err(|_| Sending::again("passwordFile not readable"))?;
    let tls = || encryption(&channel.server, authorities.as_ref());
    let (port, implicit) = match channel.tls {
        Tls::StartTls => (587, None),
        Tls::Implicit => (465, Some(tls()?)),
        Tls::None => (25, None),
    };
    let found = dialer
        .addresses(&channel.server, channel.port.unwrap_or(port), port)
        .await;
    let found = found.map_err(|fault| Sending::again(&fault.to_string()))?;
    let hello = ClientId::default();
    // The certificate is still asked for the server's name.
    let connection = AsyncSmtpConnection::connect_tokio1(&*found, None, &hello, implicit, None).await;
    let mut connection = connection.map_err(|error| before(&error))?;
    if channel.tls == Tls::StartTls {
        let upgraded = connection.starttls(tls()?, &hello).await;
        upgraded.map_err(|error| before(&error))?;
    }
    if let (Some(user), Some(password)) = (&channel.user, password) {
        let login = Credentials::new(user.clone(), password.expose().to_owned());
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        let answer = connection.auth(&mechanisms, &login).await;
        // A login that is refused today may be mended tomorrow.
        answer.map_err(|error| Sending::again(&word(&error)))?;
    }
    Ok(connection)
}

fn encryption(server: &str, authorities: Option<&Secret>) -> Result<TlsParameters, Sending> {
    let unusable = || Sending::again("caFile not usable");
    let mut parameters = TlsParameters::builder(server.to_owned());
    if let Some(authorities) = authorities {
        let authorities = Certificate::from_pem(authorities.expose().as_bytes());
        parameters = parameters
            .certificate_store(CertificateStore::None)
            .add_root_certificate(authorities.map_err(|_| unusable())?);
    }
    parameters.build_rustls().map_err(|_| unusable())
}

async fn deliver(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    mail: &[u8],
    handed_over: &AtomicBool,
) -> Sending {
    let from = envelope.from().cloned();
    if let Err(error) = connection.command(From::new(from, vec![])).await {
        return before(&error);
    }
    let mut refused = vec![];
    for address in envelope.to() {
        match connection.command(Rcpt::new(address.clone(), vec![])).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() => refused.push(word(&error)),
            Err(error) => return before(&error),
        }
    }
    if refused.len() == envelope.to().len() {
        return Sending::Failed(refused.swap_remove(0));
    }
    if let Err(error) = connection.command(Data).await {
        return before(&error);
    }
    handed_over.store(true, Ordering::Relaxed);
    match connection.message(mail).await {
        Ok(_) if refused.is_empty() => Sending::Sent(None),
        Ok(_) => Sending::Sent(Some(format!(
            "{} of {} refused",
            refused.len(),
            envelope.to().len()
        ))),
        // The server has said that it does not keep it.
        Err(error) if error.is_transient() => Sending::again(&word(&error)),
        Err(error) if error.is_permanent() => Sending::Failed(word(&error)),
        Err(error) => Sending::Unsure(word(&error)),
    }
}

/// What a failure means before the mail itself was sent.
fn before(error: &Error) -> Sending {
    if error.is_permanent() {
        return Sending::Failed(word(error));
    }
    Sending::again(&word(error))
}

/// A code or one word, never what the server said.
fn word(error: &Error) -> String {
    if let Some(code) = error.status() {
        return code.to_string();
    }
    if let Some(fault) = untrusted(error) {
        return fault.to_string();
    }
    let word = match () {
        () if error.is_timeout() => "Timeout",
        () if error.is_tls() => "Untrusted",
        () if error.is_client() => "not offered by the server",
        () if error.is_response() => "Malformed",
        () => "Unreachable",
    };
    word.to_owned()
}
