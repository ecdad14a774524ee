//! The driver for systems that speak HTTP.
//!
//! Sends one resolved request with the connector's login and says what the protocol's own table makes of the answer. Knows
//! no system, follows no redirect and no page, and never sends a request twice.

mod answer;
mod request;
mod soap;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{
    Request, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::Instant;

use super::{
    declarative::lasts,
    driver::{Answer, Driver, HttpRequest, Resolved, bytes, deadline},
    password,
};
use crate::{
    api::definition::{self, Auth, SecretIn},
    core::{
        codes::Codes,
        fault::{Fault, FaultKind, Reason},
    },
    transport::{
        Clock, SetupError,
        assertion::SigningKey,
        callback::Callbacks,
        dial::Dialer,
        http::{Client, loopback},
        limit::Limit,
        oauth::{self, Grant, Login, Token, Tokens, sensitive},
        secret::{Credentials, Secret},
        signature::Signer,
    },
};

/// How long one request may take where the definition says nothing.
const DEADLINE: Duration = Duration::from_secs(20);

const TOKEN_URL: &str = "http.auth.oauth2.tokenUrl";
const CALLBACK: &str = "http.callback.base";

/// Where a connector sends something, or has it sent, by the field that says so: the rest follows from answers and is checked
/// when it is asked for.
///
/// # Errors
/// When it is no address.
pub fn addresses(config: &definition::HttpDriver) -> Result<Vec<(&'static str, Url)>, SetupError> {
    let tokens = config.auth.oauth2.as_ref().map(|oauth2| &oauth2.token_url);
    let callback = config.callback.as_ref().map(|section| &section.base);
    let all = [
        ("http.base", Some(&config.base)),
        (TOKEN_URL, tokens),
        (CALLBACK, callback.filter(|base| !base.is_empty())),
    ];
    let all = all.into_iter().filter_map(|(field, text)| Some((field, text?)));
    all.map(|(field, text)| Ok((field, parsed(field, text)?)))
        .collect()
}

fn parsed(field: &'static str, text: &str) -> Result<Url, SetupError> {
    Url::parse(text).map_err(|_| SetupError::Field(field))
}

/// How requests prove who sends them.
#[derive(Debug)]
enum Identity {
    /// Not at all.
    Nobody,
    /// By the same header each time.
    Header(HeaderName, HeaderValue),
    /// By a user name and a password in the header of the SOAP envelope.
    Envelope(Secret, Secret),
    /// By a token from a token endpoint.
    Tokens(Box<Tokens>),
}

/// One HTTP system with its login, limits and deadlines. Shared by all leavers.
pub struct HttpDriver {
    client: Client,
    identity: Identity,
    signer: Option<Signer>,
    callbacks: Option<Callbacks>,
    headers: HeaderMap,
    limit: Arc<Limit>,
    deadline: Duration,
    credentials: Credentials,
    codes: Codes,
    clock: Clock,
}

impl fmt::Debug for HttpDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpDriver")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl HttpDriver {
    /// A driver from the definition's `http` section, in which every template is resolved. It connects where `dialer` does, and
    /// without encryption only to this machine, unless it is to be `insecure`. `limit` is the connector's own
    /// (see [`HttpDriver::limit`]) and is handed on when the driver is built anew, so that a rotated secret does not make it
    /// forget that the system wants silence.
    ///
    /// # Errors
    /// When a secret is missing or a field is not what it must be.
    pub fn new(
        config: &definition::HttpDriver,
        credentials: Credentials,
        limit: Arc<Limit>,
        clock: Clock,
        (dialer, insecure): (&Dialer, bool),
    ) -> Result<Self, SetupError> {
        for (field, url) in addresses(config)? {
            match url.scheme() {
                "http" if !insecure && !loopback(&url) && field != CALLBACK => {
                    return Err(SetupError::Plain(field));
                }
                "http" | "https" => {}
                _ => return Err(SetupError::Field(field)),
            }
        }
        let client = Client::new(credentials.optional("ca.crt")?, insecure, dialer.clone())?;
        let client = match &config.largest_answer {
            Some(text) => client.with_largest(bytes(text).ok_or(SetupError::Field("http.largestAnswer"))?),
            None => client,
        };
        let deadline = match &config.deadline {
            Some(text) => deadline(text).ok_or(SetupError::Field("http.deadline"))?,
            None => DEADLINE,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = request::header(name).ok_or(SetupError::Field("http.headers"))?;
            let value = HeaderValue::try_from(value).map_err(|_| SetupError::Field("http.headers"))?;
            headers.insert(name, value);
        }
        Ok(Self {
            identity: identity(&config.auth, &credentials, &client, &clock)?,
            signer: match &config.auth.signed {
                Some(signed) => Some(Signer::from_credentials(&credentials, &signed.key)?),
                None => None,
            },
            callbacks: callbacks(config, &credentials)?,
            client,
            headers,
            limit,
            deadline,
            credentials,
            codes: Codes::default().with(config.codes.iter().cloned()),
            clock,
        })
    }

    /// The limits that the definition, or the connector, asks for.
    pub fn limit(config: &definition::HttpDriver, clock: Clock) -> Arc<Limit> {
        let limits = &config.limits;
        Arc::new(Limit::new(limits.requests_per_second, limits.concurrent, clock))
    }

    /// Sends one request when it is its turn.
    async fn exchange(&self, asked: &HttpRequest) -> Result<Answer, Fault> {
        let start = Instant::now();
        let deadline = start + self.deadline;
        // Waiting may take half of the time: a request that has to be cut off right after it was sent is worse than none.
        let _turn = self.limit.enter(start + self.deadline / 2).await?;
        let mut request = request::build(asked, &self.headers)?;
        let subject = asked.subject.as_deref();
        let token = self.log_in(&mut request, subject, deadline).await?;
        if let Some(signer) = &self.signer {
            signer.sign(&mut request, (self.clock)())?;
        }
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let reply = self.client.send(request, deadline).await?;
        let memory = answer::counted(&reply, deadline).await?;
        let mut answer = answer::read(&reply, (&host, (self.clock)()), &self.codes, |code| {
            self.reveals(code, token.as_deref())
        });
        answer.memory = memory;
        if let Some(token) = &token {
            match (&mut answer.fault, &self.identity) {
                (Some(fault), Identity::Tokens(tokens)) if reply.status == 401 => {
                    let code = std::mem::take(&mut fault.code);
                    *fault = tokens.refused(subject, token).await.with_code(code);
                }
                _ => Tokens::accepted(token),
            }
        }
        if let Some(FaultKind::Throttled { until }) = answer.fault.as_ref().map(|fault| fault.kind) {
            self.limit.park(until);
        }
        Ok(answer)
    }

    /// Puts the login into the request.
    async fn log_in(
        &self,
        request: &mut Request,
        subject: Option<&str>,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, Fault> {
        match &self.identity {
            Identity::Nobody => Ok(None),
            Identity::Header(name, value) => {
                request.headers_mut().insert(name, value.clone());
                Ok(None)
            }
            Identity::Envelope(user, password) => {
                let text = request
                    .body()
                    .and_then(|body| std::str::from_utf8(body.as_bytes()?).ok());
                let signed = text.and_then(|text| soap::with_token(text, user.expose(), password.expose()));
                // Whatever is no envelope would go out without a login.
                let signed =
                    signed.ok_or_else(|| Fault::permanent(Reason::Malformed).with_code("envelope"))?;
                *request.body_mut() = Some(signed.as_str().to_owned().into());
                Ok(None)
            }
            Identity::Tokens(tokens) => {
                let token = tokens.get(subject, deadline).await?;
                let value = sensitive(&format!("Bearer {}", token.secret().expose()))?;
                request.headers_mut().insert(AUTHORIZATION, value);
                Ok(Some(token))
            }
        }
    }

    /// Whether a code that the system sent has one of our secrets in it.
    fn reveals(&self, code: &str, token: Option<&Token>) -> bool {
        self.credentials.appear_in(code) || token.is_some_and(|token| token.secret().appears_in(code))
    }
}

#[async_trait]
impl Driver for HttpDriver {
    async fn perform(&self, request: &Resolved) -> Result<Answer, Fault> {
        match request {
            Resolved::Http(request) => self.exchange(request).await,
            Resolved::Ldap(_) | Resolved::Sql(_) | Resolved::Sftp(_) | Resolved::Job(_) => {
                Err(Fault::permanent(Reason::Malformed).with_code("driver"))
            }
        }
    }

    fn callbacks(&self) -> Option<&Callbacks> {
        self.callbacks.as_ref()
    }

    fn park(&self, until: Timestamp) {
        self.limit.park(until);
    }
}

/// Where the system may answer later, if the definition asks for that and the inputs say where.
fn callbacks(
    config: &definition::HttpDriver,
    credentials: &Credentials,
) -> Result<Option<Callbacks>, SetupError> {
    let Some(section) = config
        .callback
        .as_ref()
        .filter(|section| !section.base.is_empty())
    else {
        return Ok(None);
    };
    let key = section.key.as_deref().unwrap_or("callbackKey");
    Callbacks::new(&section.base, credentials, key, lasts(section)).map(Some)
}

/// The login that the definition asks for, with the connector's secrets.
fn identity(
    auth: &Auth,
    credentials: &Credentials,
    client: &Client,
    clock: &Clock,
) -> Result<Identity, SetupError> {
    let illegal = |field: &'static str| move |_| SetupError::Field(field);
    if let Some(basic) = &auth.basic {
        let user = credentials.get(&basic.username_key)?;
        let password = match &basic.password {
            Some(fixed) => fixed,
            None => credentials.get(&basic.password_key)?.expose(),
        };
        let value = oauth::basic(user.expose(), password).map_err(illegal("http.auth.basic"))?;
        return Ok(Identity::Header(AUTHORIZATION, value));
    }
    if let Some(bearer) = &auth.bearer {
        let token = credentials.get(&bearer.token_key)?;
        let value = sensitive(&format!("Bearer {}", token.expose())).map_err(illegal("http.auth.bearer"))?;
        return Ok(Identity::Header(AUTHORIZATION, value));
    }
    if let Some(header) = &auth.header {
        let name =
            HeaderName::try_from(&header.name).map_err(|_| SetupError::Field("http.auth.header.name"))?;
        let value = format!("{}{}", header.prefix, credentials.get(&header.key)?.expose());
        return Ok(Identity::Header(
            name,
            sensitive(&value).map_err(illegal("http.auth.header"))?,
        ));
    }
    if let Some(token) = &auth.ws_security {
        let user = credentials.get(&token.username_key)?.clone();
        let password = match &token.password {
            Some(fixed) => Secret::new(fixed.clone()),
            None => credentials.get(&token.password_key)?.clone(),
        };
        return Ok(Identity::Envelope(user, password));
    }
    let Some(config) = &auth.oauth2 else {
        return Ok(Identity::Nobody);
    };
    let login = login(config, credentials)?;
    Ok(Identity::Tokens(Box::new(Tokens::new(
        login,
        client.clone(),
        clock.clone(),
    ))))
}

/// The definition's `oauth2` section with the connector's secrets.
fn login(config: &definition::OAuth2, credentials: &Credentials) -> Result<Login, SetupError> {
    let secret = || {
        credentials
            .get(config.client_secret_key.as_deref().unwrap_or("clientSecret"))
            .cloned()
    };
    let key = || {
        let name = config.private_key_key.as_deref().unwrap_or("privateKey");
        SigningKey::from_credentials(credentials, name, config.key_id.as_deref())
    };
    let grant = match (config.grant, config.secret_in) {
        (definition::Grant::ClientCredentials, SecretIn::Body) => Grant::SecretInBody(secret()?),
        (definition::Grant::ClientCredentials, SecretIn::Header) => Grant::SecretInHeader(secret()?),
        (definition::Grant::PrivateKeyJwt, _) => Grant::PrivateKeyJwt(key()?),
        (definition::Grant::JwtBearer, _) => Grant::JwtBearer(key()?),
    };
    let token_url = parsed(TOKEN_URL, &config.token_url)?;
    Ok(Login {
        grant,
        // As written, not as parsed: some endpoints compare the audience byte by byte.
        audience: Some(
            config
                .audience
                .clone()
                .unwrap_or_else(|| config.token_url.clone()),
        ),
        token_url,
        client_id: config.client_id.clone(),
        scopes: config.scopes.clone(),
        subject: config.subject.clone(),
    })
}

#[cfg(test)]
mod tests;
