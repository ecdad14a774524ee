//! What each kind of answer means, and what is kept of it.

use super::*;

const DATE: &str = "date: Mon, 23 Nov 2026 10:00:00 GMT\r\n";

async fn fault(status: u16, headers: &str, body: &str) -> Option<Fault> {
    let server = Raw::start(answer(status, headers, body)).await;
    let answer = driver(&config(&server.url), &[])
        .perform(&get(&server.url))
        .await
        .unwrap();
    answer.fault
}

/// Seconds from now until the system wants to be asked again.
async fn wait(status: u16, headers: &str) -> Option<f64> {
    match fault(status, headers, "").await.unwrap().kind {
        FaultKind::Throttled { until } => Some(until.duration_since(Timestamp::now()).as_secs_f64()),
        _ => None,
    }
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let transient = Fault::transient;
    let permanent = Fault::permanent;
    let table = [
        (301, permanent(Reason::Refused)),
        (304, permanent(Reason::Refused)),
        (400, permanent(Reason::Refused)),
        (401, permanent(Reason::CredentialRejected)),
        (403, permanent(Reason::PermissionDenied)),
        (404, permanent(Reason::NotFoundUncorroborated)),
        (408, transient(Reason::SystemUnavailable)),
        (409, transient(Reason::Conflict)),
        (410, permanent(Reason::NotFoundUncorroborated)),
        (412, transient(Reason::Conflict)),
        (422, permanent(Reason::Refused)),
        (423, transient(Reason::Conflict)),
        (425, transient(Reason::SystemUnavailable)),
        (429, transient(Reason::RateLimited)),
        (500, transient(Reason::SystemUnavailable)),
        (501, permanent(Reason::Refused)),
        (502, transient(Reason::SystemUnavailable)),
        (503, transient(Reason::SystemUnavailable)),
        (504, transient(Reason::SystemUnavailable)),
        (529, transient(Reason::SystemUnavailable)),
    ];
    for (status, expected) in table {
        let body = if status == 304 { "" } else { "{}" };
        assert_eq!(
            fault(status, "", body).await,
            Some(expected.with_code(status)),
            "{status}"
        );
    }
    for status in [200, 201, 202, 204] {
        let headers = "content-type: application/json\r\n";
        assert_eq!(
            fault(status, headers, if status == 204 { "" } else { "{}" }).await,
            None,
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_system_that_says_when_is_believed() {
    let seconds = wait(429, "retry-after: 30\r\n").await.unwrap();
    assert!((29.0..=30.0).contains(&seconds), "{seconds}");
    // Its clock is far from ours: what counts is the distance between its own two dates.
    let dates = format!("{DATE}retry-after: Mon, 23 Nov 2026 10:01:00 GMT\r\n");
    let seconds = wait(429, &dates).await.unwrap();
    assert!((59.0..=60.0).contains(&seconds), "{seconds}");
    let reset = Timestamp::now().as_second() + 40;
    for name in ["x-ratelimit-reset", "X-Rate-Limit-Reset"] {
        let seconds = wait(429, &format!("{name}: {reset}\r\n")).await.unwrap();
        assert!((38.0..=40.0).contains(&seconds), "{seconds}");
    }
    let seconds = wait(429, &format!("retry-after: 5\r\nx-ratelimit-reset: {reset}\r\n"))
        .await
        .unwrap();
    assert!((4.0..=5.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_system_that_is_unavailable_asks_nobody_to_be_silent() {
    let waits = ["retry-after: 30\r\n", "x-ratelimit-reset: 30\r\n"];
    for (status, headers) in [500, 502, 503, 504, 529]
        .into_iter()
        .flat_map(|status| waits.map(|headers| (status, headers)))
    {
        assert_eq!(
            fault(status, headers, "").await,
            Some(Fault::transient(Reason::SystemUnavailable).with_code(status)),
            "{status} {headers}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_not_believed() {
    for absurd in ["-5", "soon", "", "1e", "Mon, 23 Nov 2026 09:00:00 GMT"] {
        let headers = format!("{DATE}retry-after: {absurd}\r\n");
        assert_eq!(wait(429, &headers).await, None, "{absurd:?}");
    }
    let day = 86_400.0;
    for long in [
        "315360000",
        "999999999999999999999",
        "Mon, 23 Nov 2036 10:00:00 GMT",
    ] {
        let seconds = wait(429, &format!("{DATE}retry-after: {long}\r\n"))
            .await
            .unwrap();
        assert!((day - 5.0..=day).contains(&seconds), "{long}: {seconds}");
    }
    let seconds = wait(429, "retry-after: 0\r\n").await.unwrap();
    assert!((0.1..=1.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn only_a_code_is_kept_of_a_refusal() {
    let json = "content-type: application/json\r\n";
    let codes = [
        (
            r#"{"error":{"code":"accessDenied","message":"Jo Doe"}}"#,
            "400 accessDenied",
        ),
        (r#"{"error":"invalid_grant"}"#, "400 invalid_grant"),
        (r#"{"errorCode":"E0000001"}"#, "400 E0000001"),
        (r#"{"code":"already_exists"}"#, "400 already_exists"),
        (r#"{"errors":[{"reason":"quotaExceeded"}]}"#, "400 quotaExceeded"),
        (
            r#"{"error":{"code":403,"errors":[{"reason":"forbidden"}]}}"#,
            "400 forbidden",
        ),
        (r#"{"scimType":"mutability","detail":"x"}"#, "400 mutability"),
        (
            r#"[{"errorCode":"INVALID_SESSION_ID","message":"x"}]"#,
            "400 INVALID_SESSION_ID",
        ),
        (
            r#"{"errorMessage":"error-pattern-no-match","field":"phone","params":["phone"]}"#,
            "400 error-pattern-no-match phone",
        ),
        (
            r#"{"errors":[{"errorMessage":"a text","field":"costCentre"},{"field":"phone"}]}"#,
            "400 costCentre",
        ),
        (
            r#"[{"errorCode":"INVALID_FIELD","message":"x","fields":["Email","Jo Doe"]}]"#,
            "400 INVALID_FIELD Email",
        ),
        (r#"{"error":"invalid","field":"Jo Doe"}"#, "400 invalid"),
        (r#"{"error":"a text for people"}"#, "400"),
        (r#"{"message":"secretive"}"#, "400"),
        ("<html>no</html>", "400"),
    ];
    for (body, expected) in codes {
        assert_eq!(fault(400, json, body).await.unwrap().code, expected, "{body}");
    }
    let long = format!(r#"{{"code":"{}"}}"#, "x".repeat(65));
    assert_eq!(fault(400, json, &long).await.unwrap().code, "400");
}

#[tokio::test]
async fn a_code_that_echoes_a_secret_is_not_kept() {
    let body = r#"{"error":"canary-4711"}"#;
    let server = Raw::start(answer(400, "content-type: application/json\r\n", body)).await;
    let auth = definition::Auth {
        bearer: Some(definition::BearerAuth::default()),
        ..Default::default()
    };
    let config = definition::HttpDriver {
        auth,
        ..config(&server.url)
    };
    let answer = driver(&config, &[("token", "canary-4711")])
        .perform(&get(&server.url))
        .await
        .unwrap();
    assert_eq!(answer.fault.unwrap().code, "400");
    assert!(server.last().contains("authorization: Bearer canary-4711"));
}

#[tokio::test]
async fn a_body_is_what_its_type_says() {
    let cases = [
        ("application/json", r#"{"id":"7"}"#, json!({"id": "7"})),
        ("application/scim+json; charset=utf-8", "[1]", json!([1])),
        ("text/xml", "<a/>", json!("<a/>")),
        ("text/plain", "123", json!("123")),
        ("application/json", " \n", Value::Null),
        ("application/json", "", Value::Null),
    ];
    for (kind, body, expected) in cases {
        let headers = format!("Content-Type: {kind}\r\nLink: <a>\r\nlink: <b>\r\nset-cookie: s=1\r\n{DATE}");
        let server = Raw::start(answer(200, &headers, body)).await;
        let answer = driver(&config(&server.url), &[])
            .perform(&get(&server.url))
            .await
            .unwrap();
        assert_eq!(answer.fault, None);
        assert_eq!(*answer.value(), expected);
        assert_eq!(answer.response["body"], expected);
        assert_eq!(answer.response["status"], 200);
        assert_eq!(answer.response["headers"]["link"], "<a>, <b>");
        assert_eq!(answer.response["headers"]["content-type"], kind);
        assert_eq!(answer.response["headers"].get("set-cookie"), None);
        assert_eq!(answer.date, Some("2026-11-23T10:00:00Z".parse().unwrap()));
    }
}

#[tokio::test]
async fn json_that_is_none_is_no_success() {
    let found = fault(200, "content-type: application/json\r\n", "{\"id\":")
        .await
        .unwrap();
    assert_eq!(
        (found.kind, found.reason),
        (FaultKind::UnknownOutcome, Reason::Malformed)
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let found = fault(200, "content-type: application/json\r\n", &deep)
        .await
        .unwrap();
    assert_eq!(found.reason, Reason::Malformed);
}
