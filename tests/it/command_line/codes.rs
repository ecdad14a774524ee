//! Whoever may write a Connector, and reads nothing but what offboard says, learns nothing of what a server answers.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::*;

/// What must be nowhere: it looks like a code, or it does not.
const CANARIES: [&str; 2] = ["canary-4f1c", "canary 4f1c is Jane's salary"];

type Reply = Arc<Mutex<(u16, &'static str, String)>>;

/// A server with a secret, which puts it wherever a code or a text about an error can stand.
struct Indiscreet {
    url: String,
    reply: Reply,
}

impl Indiscreet {
    async fn start() -> Self {
        let reply: Reply = Arc::new(Mutex::new((500, "text/plain", String::new())));
        let app = Router::new().fallback(answer).with_state(reply.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, reply }
    }

    fn answers(&self, status: u16, kind: &'static str, body: String) {
        *self.reply.lock().unwrap() = (status, kind, body);
    }
}

async fn answer(State(reply): State<Reply>) -> Response {
    let (status, kind, body) = reply.lock().unwrap().clone();
    let headers = [
        ("content-type", kind),
        ("location", "/canary-4f1c?login=canary-4f1c"),
        ("www-authenticate", "Bearer error=\"canary-4f1c\""),
        ("retry-after", "0"),
    ];
    (StatusCode::from_u16(status).unwrap(), headers, body).into_response()
}

/// A directory that refuses whatever is asked, with a text, and the name of an entry.
fn directory(canary: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 512];
            let read = stream.read(&mut asked).unwrap_or(0);
            // LDAPMessage: a sequence of the number of the message and the operation.
            let Some(number) = asked[..read].get(4) else {
                continue;
            };
            let text = |text: &str| [&[4, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let result = [vec![10, 1, 53], text(canary), text(canary)].concat();
            let length = u8::try_from(result.len()).unwrap();
            let message = [&[2, 1, *number, 0x78, length][..], &result].concat();
            let length = u8::try_from(message.len()).unwrap();
            drop(stream.write_all(&[&[0x30, length][..], &message].concat()));
        }
    });
    port
}

/// A definition of somebody's own that reads out what it is answered.
fn definition(name: &str, code: &str) -> Value {
    json!({
        "apiVersion": "offboard.dev/v1alpha1", "kind": "ConnectorDefinition", "metadata": {"name": name},
        "spec": {
            "title": name,
            "inputs": {"url": {"description": "Where it is."}},
            "secret": {"token": {"description": "A token."}},
            "http": {"base": "${inputs.url}", "auth": {"bearer": {}}},
            "faults": [{"when": "true", "is": "Permanent", "reason": "Refused", "code": code}],
            "account": {
                "find": [{"get": "/users", "query": {"email": "${who.email}"}}],
                "id": "string(item.id)", "name": "item.login", "keys": {"email": "item.email"}, "shows": "user",
            },
            "reads": {"user": {"get": "/users/${account.id}"}},
            "facts": {"Blocked": {
                "class": "Access", "effect": "Nobody signs in with it any more.", "holds": "reads.user.blocked",
                "act": [{"post": "/users/${account.id}/block"}],
            }},
        },
    })
}

fn desk(url: &str, ldap: u16) -> Desk {
    let desk = Desk(Scratch::new("desk"));
    let object = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let own = [
        ("by-code", "response.body.error.code"),
        ("by-text", "response.body.error_description"),
        (
            "by-fault",
            "xml(response.body, 'Envelope/Body/Fault/faultstring')[0].text",
        ),
        ("by-body", "string(response.body)"),
        ("by-header", "response.headers['www-authenticate']"),
    ];
    let secret = json!({
        "token": "t", "clientSecret": "c", "username": "cn=u,dc=x", "password": "p",
    });
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "any"}, "stringData": secret}),
        object(
            "Offboarding",
            "jane",
            json!({"employee": {"email": "jane@example.com"}, "urgency": "Immediate"}),
        ),
    ];
    objects.extend(own.iter().map(|(name, code)| definition(name, code)));
    let built_in = [
        ("scim", json!({"url": url})),
        ("keycloak", json!({"url": url, "realm": "r"})),
        ("salesforce", json!({"url": url, "clientId": "i"})),
        (
            "microsoft-365",
            json!({"tenant": "t", "clientId": "i", "graph": url, "login": url}),
        ),
        (
            "openldap",
            json!({"url": format!("ldap://127.0.0.1:{ldap}"), "base": "dc=x"}),
        ),
    ];
    let own = own.iter().map(|(name, _)| (*name, json!({"url": url})));
    for (name, inputs) in built_in.into_iter().chain(own) {
        let spec = json!({"definition": name, "inputs": inputs, "secretRef": {"name": "any"}});
        objects.push(object("Connector", name, spec));
    }
    for (number, object) in objects.iter().enumerate() {
        fs::write(desk.0.join(format!("{number}.json")), object.to_string()).unwrap();
    }
    desk
}

/// All that is below `folder`.
fn written(folder: &std::path::Path) -> String {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let each = paths.map(|path| {
        if path.is_dir() {
            written(&path)
        } else {
            fs::read_to_string(path).unwrap()
        }
    });
    each.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_a_server_says_about_an_error_is_shown_but_codes_that_are_known() {
    let server = Indiscreet::start().await;
    for canary in CANARIES {
        let json = json!({
            "error": {"code": canary, "status": canary, "message": canary, "errors": [{"reason": canary}],
                      "details": [{"target": canary}]},
            "error_description": canary, "errorCode": canary, "code": canary, "scimType": canary, "detail": canary,
            "errorMessage": canary, "field": canary, "errors": [{"code": canary, "field": canary}],
        });
        let flat = json!({"error": canary, "error_description": canary, "scimType": canary, "field": canary});
        let list = json!([{"errorCode": canary, "message": canary, "fields": [canary]}]);
        let soap = format!(
            "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><e:Fault><faultcode>{0}</faultcode>\
             <faultstring>{0}</faultstring><detail>{0}</detail></e:Fault></e:Body></e:Envelope>",
            canary.replace('\'', "&apos;")
        );
        let mut shown = String::new();
        for (status, kind, body) in [
            (400, "application/json", json.to_string()),
            (401, "application/json", flat.to_string()),
            (403, "application/json", list.to_string()),
            (422, "application/scim+json", flat.to_string()),
            (302, "application/json", json.to_string()),
            (500, "text/xml", soap),
            (404, "text/plain", canary.to_owned()),
            (200, "application/json", json.to_string()),
        ] {
            server.answers(status, kind, body);
            let desk = desk(&server.url, directory(canary));
            for (command, more) in [
                ("plan", &["--trust-hosts"][..]),
                ("plan", &["--trust-hosts", "-o", "json"]),
                ("run", &["--trust-hosts", "--wait", "1s"]),
            ] {
                let output = desk
                    .command(command, more)
                    .env("RUST_LOG", "debug")
                    .output()
                    .unwrap();
                shown += text(&output.stdout);
                shown += text(&output.stderr);
            }
            let status_of = desk.status(&["jane"]);
            shown += text(&status_of.stdout);
            shown += &written(&desk.state());
            let at = shown
                .find("canary")
                .map(|at| &shown[at.saturating_sub(300)..at + 100]);
            assert_eq!(at, None, "{status}");
        }
        // It can be compared, and found by whoever may read the system's own log.
        let digest = &offboard::core::digest::sha256_of(canary)[..8];
        assert!(shown.contains(&format!("unlisted code {digest}")), "{shown}");
        assert!(shown.contains("ldap 53") || shown.contains("no TLS"), "{shown}");
    }
}
