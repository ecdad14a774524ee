use std::sync::atomic::AtomicI64;

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::transport::{dial::Dialer, secret::Credentials};

type Fields = BTreeMap<String, String>;

/// What the token endpoint was asked, and what it answers.
struct Endpoint {
    asked: StdMutex<Vec<(HeaderMap, Fields)>>,
    answer: StdMutex<(u16, Value)>,
}

impl Endpoint {
    async fn start() -> (Arc<Self>, Url) {
        let endpoint = Arc::new(Self {
            asked: StdMutex::default(),
            answer: StdMutex::new((200, json!({"access_token": "t", "expires_in": 3600}))),
        });
        let app = Router::new()
            .route("/token", post(token))
            .with_state(endpoint.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (endpoint, url.parse().unwrap())
    }

    fn count(&self) -> usize {
        self.asked.lock().len()
    }

    fn last(&self) -> (HeaderMap, Fields) {
        self.asked.lock().last().unwrap().clone()
    }

    fn answer(&self, status: u16, body: Value) {
        *self.answer.lock() = (status, body);
    }
}

async fn token(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> (StatusCode, Json<Value>) {
    endpoint.asked.lock().push((headers, fields));
    tokio::task::yield_now().await;
    let (status, body) = endpoint.answer.lock().clone();
    (StatusCode::from_u16(status).unwrap(), Json(body))
}

fn tokens(grant: Grant, token_url: Url) -> (Tokens, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(Timestamp::now().as_second()));
    let clock: Clock = Arc::new({
        let seconds = seconds.clone();
        move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap()
    });
    let login = Login {
        grant,
        token_url,
        client_id: "client".into(),
        scopes: vec!["a".into(), "b".into()],
        audience: Some("https://audience".into()),
        subject: Some("admin@acme.example".into()),
    };
    (
        Tokens::new(login, Client::new(None, false, Dialer::trusted()).unwrap(), clock),
        seconds,
    )
}

fn secret() -> Secret {
    Secret::new("canary/+:secret".into())
}

fn soon() -> Instant {
    Instant::now() + std::time::Duration::from_secs(10)
}

fn signing(key: &KeyPair) -> Result<SigningKey, crate::transport::SetupError> {
    let data = [("privateKey".to_owned(), key.serialize_pem().into_bytes())];
    SigningKey::from_credentials(&Credentials::from_data(data, "1"), "privateKey", Some("kid-1"))
}

/// What the system sees in a signed JWT, after it has checked the signature and `exp`.
fn claims(jwt: &str, key: &DecodingKey, algorithm: Algorithm) -> Value {
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&["https://audience"]);
    let data = jsonwebtoken::decode::<Value>(jwt, key, &validation).unwrap();
    assert_eq!(data.header.kid.as_deref(), Some("kid-1"));
    let life = data.claims["exp"].as_i64().unwrap() - data.claims["iat"].as_i64().unwrap();
    assert!(
        (60..=180).contains(&life),
        "Salesforce takes at most three minutes"
    );
    data.claims
}

#[tokio::test]
async fn a_client_secret_goes_into_the_body_or_the_header() {
    let (endpoint, url) = Endpoint::start().await;
    let (body, _) = tokens(Grant::SecretInBody(secret()), url.clone());
    body.get(None, soon()).await.unwrap();
    let (headers, fields) = endpoint.last();
    assert_eq!(fields["grant_type"], "client_credentials");
    assert_eq!(fields["client_secret"], "canary/+:secret");
    assert_eq!(fields["scope"], "a b");
    assert!(!headers.contains_key(AUTHORIZATION));
    let (header, _) = tokens(Grant::SecretInHeader(secret()), url);
    header.get(None, soon()).await.unwrap();
    let (headers, fields) = endpoint.last();
    let expected = format!("Basic {}", BASE64_STANDARD.encode("client:canary%2F%2B%3Asecret"));
    assert_eq!(headers[AUTHORIZATION], expected);
    assert!(!fields.contains_key("client_secret"));
    assert!(!format!("{body:?}{header:?}").contains("canary"));
}

#[tokio::test]
async fn a_client_can_be_known_by_a_signed_jwt() {
    let (endpoint, url) = Endpoint::start().await;
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let (tokens, _) = tokens(Grant::PrivateKeyJwt(signing(&key).unwrap()), url);
    tokens.get(None, soon()).await.unwrap();
    let (_, fields) = endpoint.last();
    assert_eq!(fields["grant_type"], "client_credentials");
    assert_eq!(
        fields["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    assert_eq!(fields["scope"], "a b");
    let public = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
    let claims = claims(&fields["client_assertion"], &public, Algorithm::RS256);
    assert_eq!(
        (&claims["iss"], &claims["sub"]),
        (&json!("client"), &json!("client"))
    );
    assert!(claims["jti"].as_str().unwrap().len() > 16);
}

#[tokio::test]
async fn a_signed_jwt_can_be_the_grant_for_one_subject_after_another() {
    let (endpoint, url) = Endpoint::start().await;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let public = DecodingKey::from_ec_pem(key.public_key_pem().as_bytes()).unwrap();
    let (tokens, _) = tokens(Grant::JwtBearer(signing(&key).unwrap()), url);
    for (subject, expected) in [
        (None, "admin@acme.example"),
        (Some("jo@acme.example"), "jo@acme.example"),
    ] {
        tokens.get(subject, soon()).await.unwrap();
        tokens.get(subject, soon()).await.unwrap();
        let (_, fields) = endpoint.last();
        assert_eq!(
            fields["grant_type"],
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        );
        assert!(!fields.contains_key("scope"));
        let claims = claims(&fields["assertion"], &public, Algorithm::ES256);
        assert_eq!(claims["iss"], "client");
        assert_eq!(claims["sub"], expected);
        assert_eq!(claims["scope"], "a b");
    }
    assert_eq!(endpoint.count(), 2, "each subject has a token of its own");
}

#[test]
fn a_key_that_cannot_sign_is_refused_before_it_is_needed() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let error = signing(&key).unwrap_err();
    assert_eq!(
        error,
        crate::transport::SetupError::PrivateKey("privateKey".into())
    );
    let data = [("privateKey".to_owned(), b"canary".to_vec())];
    let error = SigningKey::from_credentials(&Credentials::from_data(data, "1"), "privateKey", None);
    assert!(!error.unwrap_err().to_string().contains("canary"));
}

#[tokio::test]
async fn many_who_need_a_token_ask_once() {
    let (endpoint, url) = Endpoint::start().await;
    let (tokens, now) = tokens(Grant::SecretInBody(secret()), url);
    futures::future::join_all((0..50).map(|_| tokens.get(None, soon()))).await;
    assert_eq!(endpoint.count(), 1);
    now.fetch_add(3500, Ordering::SeqCst);
    tokens.get(None, soon()).await.unwrap();
    assert_eq!(
        endpoint.count(),
        1,
        "a token is used until shortly before its end"
    );
    now.fetch_add(45, Ordering::SeqCst);
    tokens.get(None, soon()).await.unwrap();
    assert_eq!(endpoint.count(), 2, "and not in its last minute");
}

#[tokio::test]
async fn many_who_are_refused_a_token_ask_once() {
    let (endpoint, url) = Endpoint::start().await;
    endpoint.answer(
        400,
        json!({"error": "invalid_client", "error_description": "canary"}),
    );
    let (tokens, _) = tokens(Grant::SecretInBody(secret()), url);
    let all = futures::future::join_all((0..50).map(|_| tokens.get(None, soon()))).await;
    let expected = Fault::permanent(Reason::CredentialRejected).with_code("token 400 invalid_client");
    assert!(all.into_iter().all(|result| result.unwrap_err() == expected));
    assert_eq!(endpoint.count(), 1);
    endpoint.answer(200, json!({"access_token": "t"}));
    assert!(tokens.get(None, soon()).await.is_ok(), "a later call asks again");
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_passes_by_itself() {
    let (endpoint, url) = Endpoint::start().await;
    let (tokens, _) = tokens(Grant::SecretInBody(secret()), url);
    for (status, body) in [
        (503, json!({})),
        (429, json!({})),
        (200, json!({"access_token": ""})),
    ] {
        endpoint.answer(status, body);
        let fault = tokens.get(None, soon()).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient, "{status}");
    }
}

#[tokio::test]
async fn a_token_that_worked_and_is_refused_is_asked_for_again_and_the_next_refusal_counts() {
    let (endpoint, url) = Endpoint::start().await;
    let (tokens, _) = tokens(Grant::SecretInBody(secret()), url);
    let first = tokens.get(None, soon()).await.unwrap();
    Tokens::accepted(&first);
    assert_eq!(
        tokens.refused(None, &first).await,
        Fault::transient(Reason::CredentialRejected)
    );
    let second = tokens.get(None, soon()).await.unwrap();
    assert_eq!(endpoint.count(), 2);
    assert_eq!(
        tokens.refused(None, &first).await,
        Fault::transient(Reason::CredentialRejected)
    );
    assert!(
        Arc::ptr_eq(&second, &tokens.get(None, soon()).await.unwrap()),
        "a late refusal drops no new token"
    );
    assert_eq!(
        tokens.refused(None, &second).await,
        Fault::permanent(Reason::CredentialRejected)
    );
}
