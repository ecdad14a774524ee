//! Answers that no system should give: without an end, far too large, not what they say they are, or one byte at a time.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode},
    response::Response,
};
use futures::{StreamExt, stream};
use tokio::net::TcpListener;

use super::{PATIENCE, Scene};
use crate::support::{Postgres, poll, poll_each, postgres, unique};

/// A system that answers every request in the same odd way.
struct Odd {
    url: String,
    asked: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
}

impl Odd {
    /// `answer` is handed the number of the request.
    async fn start(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> Self {
        let (asked, changes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (asks, changing) = (Arc::clone(&asked), Arc::clone(&changes));
        let router = axum::Router::new().fallback(move |method: Method| {
            let number = asks.fetch_add(1, Ordering::SeqCst);
            if method != Method::GET {
                changing.fetch_add(1, Ordering::SeqCst);
            }
            std::future::ready(answer(number))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, changes }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

/// A definition of its own for a test.
struct Own<'a> {
    scene: &'a Scene,
    name: String,
}

impl<'a> Own<'a> {
    /// `text` under another name than `stem`, the one it has.
    fn new(scene: &'a Scene, stem: &str, text: &str) -> Self {
        let name = unique(stem);
        let named = text.replacen(&format!("name: {stem}"), &format!("name: {name}"), 1);
        scene.site.apply(&named);
        Self { scene, name }
    }

    /// That of the demo's git forge, whose lists have pages.
    fn forge(scene: &'a Scene) -> Self {
        let text = include_str!("../../../../src/company/forge/definition.yaml");
        Self::new(scene, "forge", text)
    }

    #[track_caller]
    fn connect(&self, name: &str, system: &Odd) {
        let site = &self.scene.site;
        site.secret(name, "token", "t");
        site.connector(name, &self.name, &format!("{{url: '{}'}}", system.url));
    }
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let site = &self.scene.site;
        drop(site.kubectl(&["delete", "connectordefinition", &self.name], ""));
    }
}

fn answer(kind: &str, body: impl Into<Body>) -> Response {
    let response = Response::builder().status(StatusCode::OK);
    response.header("content-type", kind).body(body.into()).unwrap()
}

/// Waits until everything about the system `name` is unknown for `reason`; nothing of it may ever count as done.
#[track_caller]
fn unknown(scene: &Scene, name: &str, reason: &str) {
    let row = || {
        let status = scene.site.get("offboarding/leaver-1")["status"].clone();
        let rows = status["systems"].as_array().cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row["name"] == name);
        row.unwrap_or_default()["conditions"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let all = |row: &[serde_json::Value]| {
        !row.is_empty()
            && row
                .iter()
                .all(|c| c["status"] == "Unknown" && c["reason"] == reason)
    };
    assert!(poll(PATIENCE, || all(&row())), "{name}: {:#?}", row());
    let (revoked, _) = scene.site.condition("offboarding/leaver-1", "AccessRevoked");
    assert!(!revoked.starts_with("True"), "{revoked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_a_gigabyte_is_cut_and_costs_no_memory() {
    const BLOCK: usize = 1 << 16;
    let scene = Scene::new("gigabyte", "jane").await;
    let sent = Arc::new(AtomicUsize::new(0));
    let odd = {
        let sent = Arc::clone(&sent);
        Odd::start(move |_| {
            let sent = Arc::clone(&sent);
            let block = Bytes::from(vec![b' '; BLOCK]);
            let blocks = stream::iter(0..(1 << 30) / BLOCK).map(move |_| {
                sent.fetch_add(BLOCK, Ordering::SeqCst);
                Ok::<_, Infallible>(block.clone())
            });
            answer("application/json", Body::from_stream(blocks))
        })
        .await
    };
    let forge = Own::forge(&scene);
    forge.connect("odd", &odd);
    let before = scene.operator.peak_memory();
    scene.leaves();
    unknown(&scene, "odd", "Incomplete");
    scene.is_said(
        "odd: AccountBlocked Incomplete (too large): an answer is larger than is read: raise largestAnswer in the \
         definition, or let it ask for less",
    );
    scene.the_healthy_system_is_done();
    let (asked, grown) = (odd.asked(), scene.operator.peak_memory() - before);
    eprintln!("{asked} answers of 1 GiB cost {} MiB at most", grown >> 20);
    assert!(grown < 128 << 20, "{grown} bytes");
    assert!(
        sent.load(Ordering::SeqCst) < asked * (64 << 20),
        "the rest was read"
    );
    assert_eq!(odd.changes(), 0);
}

/// Eight megabytes that would be half a gigabyte of values, five at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_large_only_once_it_is_read_is_counted_before() {
    const LARGEST: usize = 8 << 20;
    let scene = Scene::new("values", "jane").await;
    let zeros = Bytes::from(format!("[{}0]", "0,".repeat(LARGEST / 2 - 2)));
    let odd = Odd::start(move |_| answer("application/json", zeros.clone())).await;
    let forge = Own::forge(&scene);
    forge.connect("odd", &odd);
    let many = Bytes::from(format!(
        r#"{{"totalResults":1,"itemsPerPage":1,"startIndex":1,"Resources":[{}0]}}"#,
        "0,".repeat(LARGEST / 2 - 64)
    ));
    let large = Odd::start(move |_| answer("application/scim+json", many.clone())).await;
    for n in 0..4 {
        let name = format!("large-{n}");
        scene.site.secret(&name, "token", "t");
        let inputs = format!("{{url: '{}'}}", large.url);
        scene.site.connector(&name, "scim", &inputs);
    }
    let before = scene.operator.peak_memory();
    scene.leaves();
    unknown(&scene, "odd", "Incomplete");
    scene.the_healthy_system_is_done();
    assert!(poll(PATIENCE, || large.asked() >= 12), "{}", large.asked());
    let grown = scene.operator.peak_memory() - before;
    eprintln!(
        "{} and {} such answers cost {} MiB at most",
        odd.asked(),
        large.asked(),
        grown >> 20
    );
    assert!(grown < 128 << 20, "{grown} bytes");
    assert!(scene.operator.http("/livez").contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_answers_a_gigabyte_of_rows_is_left_in_time() {
    let scene = Scene::new("rows", "jane").await;
    let huge = Own::new(&scene, "huge", include_str!("huge.yaml"));
    let ca = postgres().tls.ca_pem();
    let login = [
        ("username", Postgres::OPERATOR),
        ("password", Postgres::OPERATOR_PASSWORD),
        ("ca.crt", ca.as_str()),
    ];
    scene.site.secrets("odd", &login);
    let inputs = format!("{{port: {}}}", postgres().port);
    scene.site.connector("odd", &huge.name, &inputs);
    let before = scene.operator.peak_memory();
    scene.leaves();
    unknown(&scene, "odd", "Incomplete");
    let message = scene.stalled("Incomplete");
    assert!(
        message.starts_with("odd: AccountLocked Incomplete (too large): "),
        "{message}"
    );
    scene.the_healthy_system_is_done();
    let grown = scene.operator.peak_memory() - before;
    eprintln!("1 GiB of rows cost {} MiB at most", grown >> 20);
    assert!(grown < 256 << 20, "{grown} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_it_says_is_never_taken_for_an_empty_one() {
    let scene = Scene::new("malformed", "jane").await;
    let forge = Own::forge(&scene);
    let jane = r#"{"id": 1, "login": "jane", "email": "jane@example.com"}"#;
    let cases = [
        ("cut-json", "application/json", format!("[{jane}, {{\"id\":")),
        ("page", "text/html", "<html>Please log in</html>".to_owned()),
        ("number", "application/json", "42".to_owned()),
        ("nothing", "application/json", String::new()),
        ("object", "application/json", jane.to_owned()),
        (
            "no-id",
            "application/json",
            r#"[{"email": "jane@example.com"}]"#.to_owned(),
        ),
        (
            "no-email",
            "application/json",
            r#"[{"id": 1, "login": "jane"}]"#.to_owned(),
        ),
        ("not-utf8", "application/json", "[\"\u{fffd}".to_owned()),
    ];
    let mut systems = vec![];
    for (name, kind, body) in cases {
        let odd = Odd::start(move |_| answer(kind, body.clone())).await;
        forge.connect(name, &odd);
        systems.push((name, odd));
    }
    scene.leaves();
    for (name, odd) in &systems {
        unknown(&scene, name, "Malformed");
        assert!(odd.asked() > 0);
        assert_eq!(odd.changes(), 0);
    }
    let (_, message) = scene.site.condition("offboarding/leaver-1", "Ready");
    let advice = "the answer is not JSON: check that spec.inputs leads to the API, not to a page for people";
    assert!(message.contains(advice), "{message}");
    scene.the_healthy_system_is_done();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_byte_by_byte_is_left_at_the_deadline() {
    let scene = Scene::new("dribble", "jane").await;
    let odd = Odd::start(|_| {
        let bytes = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
        });
        answer("application/json", Body::from_stream(bytes))
    })
    .await;
    let forge = Own::forge(&scene);
    forge.connect("odd", &odd);
    scene.leaves();
    // Long before the odd system is given up.
    scene.the_healthy_system_is_done();
    unknown(&scene, "odd", "Timeout");
    scene.is_said(
        "odd: AccountBlocked Timeout: no complete answer in time, tried again: if it stays, check spec.inputs",
    );
    // Through the whole next attempt nothing else is shown.
    let ready = || scene.site.condition("offboarding/leaver-1", "Ready");
    let (shown, asked) = (ready(), odd.asked());
    let tried_again = poll_each(Duration::from_millis(500), PATIENCE, || {
        assert_eq!(ready(), shown);
        odd.asked() > asked + 1
    });
    assert!(tried_again);
    assert_eq!(odd.changes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_without_an_end_are_noticed() {
    let scene = Scene::new("endless", "jane").await;
    let page = |next: usize| {
        let somebody = format!(
            "{{\"id\": {next}, \"login\": \"x{next}\", \"email\": \"x{next}@example.com\", \"about\": \"{}\"}}",
            "x".repeat(16 << 10)
        );
        let mut response = answer("application/json", format!("[{somebody}]"));
        let link = format!("</admin/users?page={next}>; rel=\"next\"");
        response.headers_mut().insert("link", link.parse().unwrap());
        response
    };
    let same = Odd::start(move |_| page(1)).await;
    let other = Odd::start(page).await;
    let forge = Own::forge(&scene);
    forge.connect("same-again", &same);
    forge.connect("ever-new", &other);
    scene.leaves();
    unknown(&scene, "same-again", "Incomplete");
    unknown(&scene, "ever-new", "Incomplete");
    let (_, message) = scene.site.condition("offboarding/leaver-1", "Ready");
    let advice = "all pages together are more than is read: let the definition ask for less";
    let said = format!("ever-new: AccountBlocked Incomplete (too much): {advice}; same-again: ");
    assert!(message.starts_with(&said), "{message}");
    let repeated = "AccountBlocked Incomplete (repeated page)";
    assert!(message.contains(repeated), "{message}");
    scene.the_healthy_system_is_done();
    assert_eq!(same.changes() + other.changes(), 0);
    let pages = other.asked.load(Ordering::SeqCst);
    assert!(
        pages > 100,
        "only {pages} pages were read: it ended for another reason"
    );
}
