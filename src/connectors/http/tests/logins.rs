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
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_secret_is_in_no_log_and_no_debug_output() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Libraries log by two crates; this takes both.
    let _guard = tracing_subscriber::util::SubscriberInitExt::set_default(subscriber);
    let (system, config) = system().await;
    let driver = driver(&config, &[("clientSecret", "canary-secret")]);
    let request = get(&format!("{}/x", config.base));
    driver.perform(&request).await.unwrap();
    system.good.store(99, Ordering::SeqCst);
    let refused = driver.perform(&request).await.unwrap().fault.unwrap();
    let shown = format!("{driver:?} {:?} {refused:?} {refused}", driver.identity);
    assert!(!shown.contains("canary"), "{shown}");
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("TRACE") || logged.contains("DEBUG"),
        "the log is on"
    );
    assert!(!logged.contains("canary"), "{logged}");
}
