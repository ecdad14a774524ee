//! Logins, limits that are shared, and secrets that are never shown.

use axum::{Json, Router, extract::State, http::HeaderMap, http::StatusCode, routing};
use jiff::SignedDuration;

use super::*;

/// A system that gives out tokens `t1`, `t2`, … and takes only those from `good` on.
#[derive(Default)]
struct System {
    given: AtomicUsize,
    good: AtomicUsize,
    requests: AtomicUsize,
}

async fn give(State(system): State<Arc<System>>) -> Json<Value> {
    let number = system.given.fetch_add(1, Ordering::SeqCst) + 1;
    Json(json!({"access_token": format!("canary-t{number}"), "expires_in": 3600}))
}

async fn take(State(system): State<Arc<System>>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    system.requests.fetch_add(1, Ordering::SeqCst);
    let token = headers["authorization"]
        .to_str()
        .unwrap()
        .trim_start_matches("Bearer canary-t");
    let good = token
        .parse::<usize>()
        .is_ok_and(|number| number >= system.good.load(Ordering::SeqCst));
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::UNAUTHORIZED
    };
    (status, Json(json!({"error": "canary-t1"})))
}

async fn system() -> (Arc<System>, definition::HttpDriver) {
    let system = Arc::new(System::default());
    let app = Router::new()
        .route("/token", routing::post(give))
        .route("/x", routing::get(take))
        .with_state(system.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let auth = serde_json::from_value(json!({"oauth2": {
        "grant": "ClientCredentials", "tokenUrl": format!("{base}/token"), "clientId": "c"
    }}));
    (
        system,
        definition::HttpDriver {
            auth: auth.unwrap(),
            ..config(&base)
        },
    )
}

#[tokio::test]
async fn a_revoked_token_is_replaced_by_the_next_call_and_a_refused_new_one_is_final() {
    let (system, config) = system().await;
    let driver = driver(&config, &[("clientSecret", "canary")]);
    let request = get(&format!("{}/x", config.base));
    let call = async || driver.perform(&request).await.unwrap().fault;
    let rejected = |fault: Fault| Some(fault.with_code("401"));
    assert_eq!(call().await, None);
    system.good.store(2, Ordering::SeqCst);
    assert_eq!(
        call().await,
        rejected(Fault::transient(Reason::CredentialRejected))
    );
    assert_eq!(
        system.requests.load(Ordering::SeqCst),
        2,
        "a call never tries again by itself"
    );
    assert_eq!(call().await, None);
    system.good.store(99, Ordering::SeqCst);
    assert_eq!(
        call().await,
        rejected(Fault::transient(Reason::CredentialRejected))
    );
    assert_eq!(
        call().await,
        rejected(Fault::permanent(Reason::CredentialRejected))
    );
    assert_eq!(system.given.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn fixed_logins_are_sent_as_the_definition_says() {
    let secret = [
        ("username", "jo"),
        ("password", "pä:ss\n"),
        ("token", "t0"),
        ("apiKey", "k0"),
    ];
    let cases = [
        (json!({"basic": {}}), "authorization: Basic am86cMOkOnNz\r\n"),
        (json!({"bearer": {}}), "authorization: Bearer t0\r\n"),
        (
            json!({"header": {"name": "X-Key", "key": "apiKey", "prefix": "SSWS "}}),
            "x-key: SSWS k0\r\n",
        ),
    ];
    for (auth, expected) in cases {
        let server = Raw::start(answer(200, "", "{}")).await;
        let auth = serde_json::from_value(auth).unwrap();
        let config = definition::HttpDriver {
            auth,
            ..config(&server.url)
        };
        driver(&config, &secret).perform(&get(&server.url)).await.unwrap();
        assert!(server.last().contains(expected), "{}", server.last());
        let limit = HttpDriver::limit(&config, system_clock());
        let error = HttpDriver::new(
            &config,
            credentials(&[]),
            limit,
            system_clock(),
            (&Dialer::trusted(), false),
        )
        .unwrap_err();
        assert!(error.to_string().contains("is missing"), "{error}");
    }
}

#[tokio::test]
async fn two_users_of_a_connector_share_its_silence() {
    let server = Raw::start(answer(429, "retry-after: 30\r\n", "")).await;
    let seconds = Arc::new(AtomicI64::new(1_000_000));
    let clock: Clock = Arc::new({
        let seconds = seconds.clone();
        move || Timestamp::from_second(seconds.load(Ordering::SeqCst)).unwrap()
    });
    let config = config(&server.url);
    let limit = HttpDriver::limit(&config, clock.clone());
    let user = || {
        HttpDriver::new(
            &config,
            credentials(&[]),
            limit.clone(),
            clock.clone(),
            (&Dialer::trusted(), false),
        )
        .unwrap()
    };
    let (one, other) = (user(), user());
    let request = get(&server.url);
    let until = clock() + SignedDuration::from_secs(30);
    let first = one.perform(&request).await.unwrap().fault.unwrap();
    assert_eq!(first.kind, FaultKind::Throttled { until });
    seconds.fetch_add(29, Ordering::SeqCst);
    let both = futures::future::join(one.perform(&request), other.perform(&request)).await;
    assert_eq!(both.0.unwrap_err(), Fault::throttled(until));
    assert_eq!(both.1.unwrap_err(), Fault::throttled(until));
    assert_eq!(server.count(), 1, "nothing is sent before the system wants it");
    seconds.fetch_add(1, Ordering::SeqCst);
    assert!(other.perform(&request).await.is_ok());
    assert_eq!(server.count(), 2);
    other.park(clock() + SignedDuration::from_secs(60));
    assert!(one.perform(&request).await.is_err());
    assert_eq!(server.count(), 2);
}

#[tokio::test]
async fn a_passing_503_holds_up_no_other_request() {
    let server = Raw::start(answer(503, "retry-after: 30\r\n", "")).await;
    let mut config = config(&server.url);
    config.deadline = Some("1900ms".into());
    let limit = HttpDriver::limit(&config, system_clock());
    let user = || {
        HttpDriver::new(
            &config,
            credentials(&[]),
            limit.clone(),
            system_clock(),
            (&Dialer::trusted(), false),
        )
        .unwrap()
    };
    let (one, other) = (user(), user());
    let request = get(&server.url);
    // More than the slowest rate that a refusal teaches would let through.
    for sent in 0..20 {
        let asked = if sent % 2 == 0 { &one } else { &other };
        let answer = asked.perform(&request).await.unwrap();
        let unavailable = Fault::transient(Reason::SystemUnavailable).with_code("503");
        assert_eq!(answer.fault, Some(unavailable));
        assert!(answer.retry_at.is_some(), "a definition may call it throttling");
    }
    assert_eq!(server.count(), 20);
}

#[tokio::test]
async fn two_users_of_a_connector_share_its_rate() {
    let server = Raw::start(answer(200, "", "{}")).await;
    let mut config = config(&server.url);
    config.limits.requests_per_second = Some(4);
    config.deadline = Some("1900ms".into());
    let limit = HttpDriver::limit(&config, system_clock());
    let user = || {
        HttpDriver::new(
            &config,
            credentials(&[]),
            limit.clone(),
            system_clock(),
            (&Dialer::trusted(), false),
        )
        .unwrap()
    };
    let (one, other) = (user(), user());
    let request = get(&server.url);
    let calls = (0..4).flat_map(|_| [one.perform(&request), other.perform(&request)]);
    let results = futures::future::join_all(calls).await;
    let sent = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!((sent, server.count()), (4, 4));
    let throttled = |fault: &Fault| matches!(fault.kind, FaultKind::Throttled { .. });
    assert!(
        results
            .iter()
            .filter_map(|result| result.as_ref().err())
            .all(throttled)
    );
}

/// Keeps everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that is logged on this thread, by whichever of the two crates that libraries log with.
fn everything_logged() -> (Log, tracing::subscriber::DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    (log, guard)
}

impl Log {
    /// All of it, which is not nothing.
    fn text(&self) -> String {
        let text = String::from_utf8(self.0.lock().clone()).unwrap();
        assert!(text.contains(" TRACE "), "the log is on");
        text
    }
}

#[tokio::test]
async fn a_secret_is_in_no_log_and_no_debug_output() {
    let (log, _guard) = everything_logged();
    let (system, config) = system().await;
    let driver = driver(&config, &[("clientSecret", "canary-secret")]);
    let request = get(&format!("{}/x", config.base));
    driver.perform(&request).await.unwrap();
    system.good.store(99, Ordering::SeqCst);
    let refused = driver.perform(&request).await.unwrap().fault.unwrap();
    let shown = format!("{driver:?} {:?} {refused:?} {refused}", driver.identity);
    assert!(!shown.contains("canary"), "{shown}");
    let logged = log.text();
    assert!(!logged.contains("canary"), "{logged}");
}

/// What went out as a proof of who we are: a header, a field of a form, or a password in an envelope.
fn proofs(request: &str) -> Vec<String> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let headers = ["authorization: ", "x-key: ", "webhook-signature: "];
    let headers = head
        .lines()
        .filter_map(|line| headers.iter().find_map(|name| line.strip_prefix(name)))
        // Not the name of the scheme.
        .map(|value| value.rsplit([' ', ',']).next().unwrap());
    let fields = ["client_secret=", "client_assertion=", "assertion="];
    let fields = body
        .split('&')
        .filter_map(|pair| fields.iter().find_map(|name| pair.strip_prefix(name)));
    let password = body.split_once("#PasswordText\">").map(|(_, after)| after);
    let password = password.and_then(|after| Some(after.split_once("</")?.0));
    headers.chain(fields).chain(password).map(str::to_owned).collect()
}

#[tokio::test]
async fn whatever_proves_who_we_are_is_sent_and_in_no_log() {
    let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)
        .unwrap()
        .serialize_pem();
    let token = Raw::start(answer(
        200,
        "",
        r#"{"access_token": "canary-token", "expires_in": 60}"#,
    ))
    .await;
    let oauth2 = |grant: &str, secret_in: &str| {
        json!({"oauth2": {"grant": grant, "secretIn": secret_in, "clientId": "c", "tokenUrl": token.url,
            "subject": "admin@example.com", "scopes": ["a"]}})
    };
    let envelope = "<e:Envelope xmlns:e=\"x\"><e:Body><a/></e:Body></e:Envelope>";
    let secret = [
        ("username", "jo"),
        ("password", "canary-password"),
        ("token", "canary-bearer"),
        ("apiKey", "canary-key"),
        ("clientSecret", "canary-client"),
        ("signingKey", "canary-signing-key-of-enough-length"),
        ("privateKey", rsa.as_str()),
    ];
    let (log, _guard) = everything_logged();
    let mut held: Vec<String> = secret[1..6].iter().map(|(_, text)| (*text).to_owned()).collect();
    held.extend(
        rsa.lines()
            .filter(|line| !line.starts_with("-----"))
            .skip(2)
            .map(str::to_owned),
    );
    let mut shown = String::new();
    for (auth, sent) in [
        (json!({"basic": {}}), 1),
        (json!({"bearer": {}}), 1),
        (
            json!({"header": {"name": "X-Key", "key": "apiKey", "prefix": "SSWS "}}),
            1,
        ),
        (json!({"bearer": {}, "signed": {}}), 2),
        (json!({"wsSecurity": {}}), 1),
        (oauth2("ClientCredentials", "Body"), 2),
        (oauth2("ClientCredentials", "Header"), 2),
        (oauth2("PrivateKeyJwt", "Body"), 2),
        (oauth2("JwtBearer", "Body"), 2),
    ] {
        let server = Raw::start(answer(200, "", "{}")).await;
        let config = definition::HttpDriver {
            auth: serde_json::from_value(auth.clone()).unwrap(),
            ..config(&server.url)
        };
        let before = token.count();
        let driver = driver(&config, &secret);
        let request = post(&server.url, Body::Xml(envelope.to_owned()));
        let answered = driver.perform(&request).await.unwrap();
        assert_eq!(answered.fault, None, "{auth}");
        let mut went_out = proofs(&server.last());
        if token.count() > before {
            went_out.extend(proofs(&token.last()));
        }
        assert_eq!(went_out.len(), sent, "{auth}: {went_out:?}");
        shown += &format!("{driver:?} {:?} {}", driver.identity, answered.response);
        held.extend(went_out);
    }
    let logged = log.text();
    for secret in held {
        let secret = Secret::new(secret);
        let found = logged
            .lines()
            .chain(shown.lines())
            .find(|line| secret.appears_in(line));
        assert_eq!(found, None, "{}", secret.expose());
    }
}
