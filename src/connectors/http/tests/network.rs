//! What happens when there is no complete answer, and what is never done.

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::*;
use crate::{connectors::driver::RANDOM, core::codes::unlisted, transport::unreachable};

async fn fails(config: &definition::HttpDriver, url: &str) -> Fault {
    driver(config, &[]).perform(&get(url)).await.unwrap_err()
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(
        fails(&config(&url), &url).await,
        Fault::transient(Reason::Unreachable).with_code(unreachable::REFUSED)
    );
    let url = "https://does-not-exist.invalid";
    let fault = fails(&config(url), url).await;
    // Where no name server answers, nobody knows whether there is such a name.
    let codes = [unreachable::UNKNOWN_NAME, unreachable::NO_NAME_SERVER];
    assert!(codes.contains(&fault.code.as_str()), "{fault:?}");
    assert_eq!(
        fault,
        Fault::transient(Reason::Unreachable).with_code(&fault.code)
    );
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    let silent = Raw::start("").await;
    let fault = fails(&config(&silent.url), &silent.url).await;
    assert_eq!(fault, Fault::unknown_outcome(Reason::Unreachable));
    assert_eq!(silent.count(), 1, "never sent again");
    let garbage = Raw::start("SSH-2.0-OpenSSH_9.9\r\n").await;
    let fault = fails(&config(&garbage.url), &garbage.url).await;
    assert_eq!(fault.kind, FaultKind::UnknownOutcome);
}

#[tokio::test]
async fn a_body_that_is_cut_is_no_answer() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"groups\":[]}";
    let server = Raw::start(cut).await;
    let fault = fails(&config(&server.url), &server.url).await;
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Incomplete)
    );
    let cut = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\n[1,2\r\n";
    let server = Raw::start(cut).await;
    let fault = fails(&config(&server.url), &server.url).await;
    assert_eq!(
        (fault.kind, fault.reason),
        (FaultKind::UnknownOutcome, Reason::Incomplete)
    );
}

#[tokio::test]
async fn a_server_that_dribbles_is_left_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        receive(&mut socket).await;
        drop(
            socket
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
                .await,
        );
        while socket.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let config = definition::HttpDriver {
        deadline: Some("300ms".into()),
        ..config(&url)
    };
    let start = Instant::now();
    assert_eq!(
        fails(&config, &url).await,
        Fault::unknown_outcome(Reason::Timeout)
    );
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_huge_answer_is_left_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    tokio::spawn({
        let sent = sent.clone();
        async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            receive(&mut socket).await;
            drop(
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
                    .await,
            );
            let block = vec![b'x'; 1 << 16];
            while sent.load(Ordering::SeqCst) < 1 << 30 && socket.write_all(&block).await.is_ok() {
                sent.fetch_add(block.len(), Ordering::SeqCst);
            }
        }
    });
    let fault = fails(&config(&url), &url).await;
    assert_eq!(
        fault,
        Fault::unknown_outcome(Reason::Incomplete).with_code("too large")
    );
    assert!(sent.load(Ordering::SeqCst) < 64 << 20, "the rest was never read");
}

#[tokio::test]
async fn a_header_longer_than_any_is_no_answer_and_cookies_are_not_looked_at() {
    let links = |size: usize| "<>, ".repeat(size / 4);
    let half = links(9 << 10);
    let two = format!("link: {half}\r\nlink: {half}\r\n");
    for headers in [format!("link: {}\r\n", links(40 << 10)), two] {
        let server = Raw::start(answer(200, &headers, "{}")).await;
        assert_eq!(
            fails(&config(&server.url), &server.url).await,
            Fault::unknown_outcome(Reason::Malformed).with_code("header too long")
        );
    }
    let headers = format!("link: {half}\r\nset-cookie: {}\r\n", links(40 << 10));
    let server = Raw::start(answer(200, &headers, "{}")).await;
    let found = driver(&config(&server.url), &[]).perform(&get(&server.url)).await;
    assert_eq!(found.unwrap().fault, None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let trap = Raw::start(answer(200, "", "{}")).await;
    let elsewhere = format!("302 to https {}", unlisted("hunter2.example.com"));
    for (to, code) in [
        (trap.url.as_str(), "302 to http"),
        ("https://127.0.0.1/login?token=hunter2", "302 to https"),
        ("https://hunter2.example.com/login", elsewhere.as_str()),
        ("hunter2://127.0.0.1/", "302 to another scheme"),
        ("/hunter2", "302 to another path"),
    ] {
        let server = Raw::start(answer(302, &format!("location: {to}\r\n"), "")).await;
        let found = driver(&config(&server.url), &[]).perform(&get(&server.url)).await;
        let fault = found.unwrap().fault.unwrap();
        assert_eq!((fault.reason, fault.code.as_str()), (Reason::Refused, code));
    }
    assert_eq!(trap.count(), 0);
}

#[tokio::test]
async fn nothing_goes_unencrypted_to_other_machines_unless_somebody_says_so() {
    let other = "http://192.0.2.1/users";
    let fault = fails(&config("https://api.acme.example"), other).await;
    assert_eq!(
        fault,
        Fault::permanent(Reason::ConnectorNotReady).with_code("unencrypted")
    );
    let plain = definition::HttpDriver {
        deadline: Some("200ms".into()),
        ..config("http://192.0.2.1")
    };
    let made = |insecure| {
        let limit = HttpDriver::limit(&plain, system_clock());
        let dialer = Dialer::trusted();
        HttpDriver::new(
            &plain,
            credentials(&[]),
            limit,
            system_clock(),
            (&dialer, insecure),
        )
    };
    assert_eq!(made(false).unwrap_err(), SetupError::Plain("http.base"));
    let fault = made(true).unwrap().perform(&get(other)).await.unwrap_err();
    assert_ne!(fault.reason, Reason::ConnectorNotReady);
}

#[tokio::test]
async fn no_definition_says_whom_a_request_is_for_or_where_it_ends() {
    let system = Raw::start(answer(200, "", "{}")).await;
    for name in [
        "host",
        "Host",
        "connection",
        "transfer-encoding",
        "content-length",
        "te",
        "upgrade",
    ] {
        let headers = std::collections::BTreeMap::from([(name.to_owned(), "evil.example.com".to_owned())]);
        let odd = definition::HttpDriver {
            headers: headers.clone(),
            ..config(&system.url)
        };
        let limit = HttpDriver::limit(&odd, system_clock());
        let made = HttpDriver::new(
            &odd,
            credentials(&[]),
            limit,
            system_clock(),
            (&Dialer::trusted(), false),
        );
        assert_eq!(made.unwrap_err(), SetupError::Field("http.headers"), "{name}");
        let Resolved::Http(mut request) = get(&system.url) else {
            panic!("no HTTP")
        };
        request.headers = headers;
        let sent = driver(&config(&system.url), &[])
            .perform(&Resolved::Http(request))
            .await;
        assert_eq!(
            sent,
            Err(Fault::permanent(Reason::Malformed).with_code("header")),
            "{name}"
        );
    }
    assert_eq!(system.count(), 0);
}

/// Where the credential may go is asked at every request, whatever led to its address, and before a token is asked for.
#[tokio::test]
async fn a_credential_goes_nowhere_but_where_its_secret_says() {
    let system = Raw::start(answer(200, "", r#"{"access_token": "t"}"#)).await;
    let thief = Raw::start(answer(200, "", r#"{"access_token": "t"}"#)).await;
    let egress = std::sync::Arc::new(Egress::new(vec![]).with_named_loopback());
    let place = |url: &str| Place::of(&Url::parse(url).unwrap()).unwrap();
    let secret = credentials(&[
        ("token", "s3cret"),
        ("clientSecret", "s3cret"),
        ("username", "s3cret"),
        ("password", "s3cret"),
        ("signingKey", "a key of at least twenty-four bytes"),
    ]);
    let secret = secret
        .with_scope(Some(&place(&system.url).to_string()), None)
        .unwrap();
    let made = |auth: &Value| {
        let mut config = config(&system.url);
        config.auth = serde_json::from_value(auth.clone()).unwrap();
        let limit = HttpDriver::limit(&config, system_clock());
        let dialer = Dialer::new(egress.clone(), secret.destinations().clone());
        HttpDriver::new(&config, secret.clone(), limit, system_clock(), (&dialer, false)).unwrap()
    };
    let tokens = |at: &str| {
        let url = format!("{at}/token");
        json!({"oauth2": {"grant": "ClientCredentials", "clientId": "c", "tokenUrl": url}})
    };
    let refused = Fault::needs_decision(Reason::DestinationRefused)
        .with_code(format_args!("host {}", unlisted(&place(&thief.url).to_string())));
    for auth in [
        json!({"bearer": {}}),
        json!({"basic": {}}),
        json!({"header": {"name": "x-key", "key": "token"}}),
        json!({"bearer": {}, "signed": {}}),
        tokens(&system.url),
    ] {
        let driver = made(&auth);
        let before = system.count();
        assert_eq!(driver.perform(&get(&system.url)).await.unwrap().fault, None);
        assert!(system.count() > before);
        // A next page, a status address, another base.
        for path in ["?page=2", "/status/0011", "/v2/users"] {
            let elsewhere = driver.perform(&get(&format!("{}{path}", thief.url))).await;
            assert_eq!(elsewhere.unwrap_err(), refused, "{auth} {path}");
        }
    }
    // The token endpoint itself: nothing is sent to the system without a token.
    let (before, driver) = (system.count(), made(&tokens(&thief.url)));
    assert_eq!(driver.perform(&get(&system.url)).await.unwrap_err(), refused);
    assert_eq!((system.count(), thief.count()), (before, 0));
}

#[tokio::test]
async fn a_server_is_trusted_only_by_its_authority() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    crate::transport::install_crypto();
    let tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else {
                continue;
            };
            let mut buffer = [0; 4096];
            drop(socket.read(&mut buffer).await);
            drop(socket.write_all(answer(200, "", "[]").as_bytes()).await);
            drop(socket.shutdown().await);
        }
    });
    let stranger = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    for secret in [vec![], vec![("ca.crt", stranger.cert.pem())]] {
        let secret: Vec<_> = secret.iter().map(|(key, pem)| (*key, pem.as_str())).collect();
        let fault = driver(&config(&url), &secret)
            .perform(&get(&url))
            .await
            .unwrap_err();
        assert_eq!(
            fault,
            Fault::needs_decision(Reason::Untrusted).with_code("certificate UnknownIssuer")
        );
    }
    let trusting = driver(&config(&url), &[("ca.crt", &made.cert.pem())]);
    assert_eq!(trusting.perform(&get(&url)).await.unwrap().value(), &json!([]));
    let limit = HttpDriver::limit(&config(&url), system_clock());
    let broken = credentials(&[("ca.crt", "no certificate")]);
    let error = HttpDriver::new(
        &config(&url),
        broken,
        limit,
        system_clock(),
        (&Dialer::trusted(), false),
    )
    .unwrap_err();
    assert_eq!(error, SetupError::Trust);
}

#[tokio::test]
async fn bodies_and_headers_arrive_as_asked() {
    let server = Raw::start(answer(204, "", "")).await;
    let mut config = config(&server.url);
    config.headers.insert("X-Version".into(), "2".into());
    let driver = driver(&config, &[]);
    let form = BTreeMap::from([
        ("a b".to_owned(), "ü&=+".to_owned()),
        ("c".to_owned(), String::new()),
    ]);
    let xml = "<a>ü</a>";
    let cases = [
        (Body::Empty, "", ""),
        (Body::Json(json!({"a": [1]})), "application/json", r#"{"a":[1]}"#),
        (
            Body::Form(form),
            "application/x-www-form-urlencoded",
            "a%20b=%C3%BC%26%3D%2B&c=",
        ),
        (Body::Xml(xml.into()), "text/xml; charset=utf-8", xml),
    ];
    for (body, kind, expected) in cases {
        driver
            .perform(&post(&format!("{}/x?q=%2F", server.url), body))
            .await
            .unwrap();
        let request = server.last();
        assert!(request.starts_with("POST /x?q=%2F HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("x-version: 2\r\n"));
        assert_eq!(request.contains("content-type: "), !kind.is_empty());
        assert!(request.contains(kind));
        assert!(request.ends_with(&format!("\r\n\r\n{expected}")), "{request}");
    }
    let Resolved::Http(mut request) = post(&server.url, Body::Json(json!(1))) else {
        unreachable!()
    };
    request
        .headers
        .insert("Content-Type".into(), "application/scim+json".into());
    driver.perform(&Resolved::Http(request)).await.unwrap();
    assert_eq!(server.last().matches("content-type").count(), 1);
    assert!(server.last().contains("content-type: application/scim+json\r\n"));
}

#[tokio::test]
async fn what_a_system_calls_its_bodies_is_sent_with_bodies_only() {
    let server = Raw::start(answer(200, "", "")).await;
    let mut config = config(&server.url);
    let kind = "application/scim+json";
    config.headers.insert("content-type".into(), kind.into());
    let driver = driver(&config, &[]);
    for (body, times) in [(Body::Empty, 0), (Body::Json(json!({})), 1)] {
        driver.perform(&post(&server.url, body)).await.unwrap();
        assert_eq!(server.last().matches("content-type: ").count(), times);
        assert_eq!(server.last().contains(kind), times == 1);
    }
}

#[tokio::test]
async fn a_random_password_is_made_when_it_is_sent_and_is_the_same_everywhere_in_a_request() {
    let server = Raw::start(answer(204, "", "")).await;
    let driver = driver(&config(&server.url), &[]);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let body = Body::Json(json!({"password": RANDOM, "again": [format!("x{RANDOM}")]}));
        let Resolved::Http(mut request) = post(&format!("{}?p=%01random%01", server.url), body) else {
            unreachable!()
        };
        request.headers.insert("x-password".into(), RANDOM.into());
        driver.perform(&Resolved::Http(request)).await.unwrap();
        let sent = server.last();
        let body: Value = serde_json::from_str(sent.split_once("\r\n\r\n").unwrap().1).unwrap();
        let password = body["password"].as_str().unwrap().to_owned();
        assert_eq!(password.len(), 40);
        assert_eq!(body["again"][0], format!("x{password}"));
        assert!(
            sent.contains(&format!("?p={password} "))
                && sent.contains(&format!("x-password: {password}\r\n"))
        );
        assert!(!sent.contains("random"));
        seen.push(password);
    }
    assert_ne!(seen[0], seen[1]);
}
