//! Where credentials go, tried as those would who write a Connector and do not keep the password.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, TcpListener},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use offboard::{
    api::{connector::ConnectorSpec, definition::ConnectorDefinitionSpec},
    connectors::{assemble::Assembly, declarative::parse},
    controller::runtime::perimeter::egress,
    core::fault::Reason,
    core::identity::Person,
    transport::{egress::Egress, secret::Credentials},
};
use serde_json::{Value, json};

use crate::{
    operator::site::{Site, application, logs_in},
    support::{self, Scratch, control_plane},
};

const CANARY: &str = "canary-5f3b";

/// Whoever points a Connector at a server of their own: counts who connects, by whatever address this machine has.
struct Thief {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Thief {
    fn new() -> Self {
        let (listener, port) = loop {
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            // One socket at `::` would take both, but only where the machine lets it.
            if let Ok(six) = TcpListener::bind(("::1", port)) {
                break ([listener, six], port);
            }
        };
        let connections = Arc::new(AtomicUsize::new(0));
        for listener in listener {
            let count = connections.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    count.fetch_add(1, Ordering::SeqCst);
                    drop(stream);
                }
            });
        }
        Self { port, connections }
    }

    fn met(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "offboard.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A folder with one leaver, one Connector and one Secret.
fn folder(definition: &str, inputs: &Value, annotations: Value, more: Value) -> Scratch {
    let folder = Scratch::new("trust");
    let mut spec = json!({"definition": definition, "inputs": inputs, "secretRef": {"name": "crm"}});
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let jane = json!({"employee": {"email": "jane@example.com"}, "urgency": "Immediate"});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "crm", "annotations": annotations},
        "stringData": {"token": CANARY}});
    for (name, object) in [
        ("crm", object("Connector", "crm", &spec)),
        ("jane", object("Offboarding", "jane", &jane)),
        ("secret", secret),
    ] {
        fs::write(folder.join(format!("{name}.json")), object.to_string()).unwrap();
    }
    folder
}

fn ran(folder: &Scratch, command: &str, more: &[&str]) -> Output {
    let mut offboard = Command::new(env!("CARGO_BIN_EXE_offboard"));
    offboard.arg(command).arg("-f").arg(&**folder).args(more);
    offboard.env("XDG_STATE_HOME", folder.join(".state"));
    offboard.output().unwrap()
}

fn all(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

#[test]
fn a_folder_sends_no_credential_where_its_secret_does_not_say() {
    let thief = Thief::new();
    let url = json!({"url": format!("http://127.0.0.1:{}", thief.port)});
    let nobody = folder("scim", &url, json!({}), json!({}));
    let elsewhere = folder(
        "scim",
        &url,
        json!({"offboard.dev/hosts": "crm.example.com"}),
        json!({}),
    );
    let line = format!("offboard.dev/hosts: \"127.0.0.1:{}\"", thief.port);
    for folder in [&nobody, &elsewhere] {
        for (command, more) in [("plan", &[][..]), ("run", &["--wait", "1s"])] {
            let said = all(&ran(folder, command, more));
            assert!(said.contains(&line) && !said.contains(CANARY), "{said}");
        }
    }
    assert_eq!(thief.met(), 0);
    // Whoever runs it may answer for it, or the Secret says so.
    all(&ran(&nobody, "plan", &["--trust-hosts"]));
    let met = thief.met();
    assert!(met > 0);
    fs::create_dir_all(nobody.join("secrets/crm")).unwrap();
    fs::remove_file(nobody.join("secret.json")).unwrap();
    fs::write(nobody.join("secrets/crm/token"), CANARY).unwrap();
    assert!(all(&ran(&nobody, "plan", &[])).contains(&line));
    assert_eq!(thief.met(), met);
    fs::write(
        nobody.join("secrets/crm/hosts"),
        format!("crm.example.com\n127.0.0.1:{}\n", thief.port),
    )
    .unwrap();
    all(&ran(&nobody, "plan", &[]));
    assert!(thief.met() > met);
}

#[test]
fn a_definition_of_ones_own_takes_no_name_and_no_secret() {
    let thief = Thief::new();
    let url = format!("http://127.0.0.1:{}", thief.port);
    let hosts = json!({"offboard.dev/hosts": format!("127.0.0.1:{}", thief.port)});
    let own = include_str!("../../src/connectors/definitions/scim.yaml");
    let folder = folder("scim", &json!({"url": url}), hosts, json!({}));
    fs::write(folder.join("definition.yaml"), own).unwrap();
    let said = all(&ran(&folder, "plan", &[]));
    assert!(
        said.contains("scim is built in, and that one is used: choose another name"),
        "{said}"
    );
    let met = thief.met();
    fs::write(
        folder.join("definition.yaml"),
        own.replace("name: scim", "name: mine"),
    )
    .unwrap();
    let connector = fs::read_to_string(folder.join("crm.json")).unwrap();
    fs::write(
        folder.join("crm.json"),
        connector.replace(r#""definition":"scim""#, r#""definition":"mine""#),
    )
    .unwrap();
    let said = all(&ran(&folder, "plan", &[]));
    assert!(said.contains("offboard.dev/definitions: \"mine\""), "{said}");
    assert_eq!(thief.met(), met);
}

#[test]
fn nothing_goes_in_clear_unless_somebody_says_so_and_then_every_plan_says_it() {
    let url = json!({"url": "http://crm.example.com/scim"});
    let hosts = json!({"offboard.dev/hosts": "crm.example.com"});
    let plain = folder("scim", &url, hosts.clone(), json!({}));
    let said = all(&ran(&plain, "plan", &[]));
    assert!(said.contains("http.base: it is not encrypted"), "{said}");
    let insecure = folder("scim", &url, hosts, json!({"insecure": true}));
    let said = all(&ran(&insecure, "plan", &[]));
    assert!(
        said.contains("whoever is on the way can read what is sent"),
        "{said}"
    );
    let shown = ran(&insecure, "plan", &["-o", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["plans"][0]["insecure"], json!(["crm"]));
}

/// Where an honest system is, the only address of this machine that is open.
const OPEN: &str = "127.0.0.2";

/// A Connector with these inputs in a cluster, whose Secret may go anywhere; what looking for Jane comes to.
async fn looked(definition: &str, own: Option<&str>, inputs: Value, secret: &[(&str, &str)]) -> String {
    let assembly = Assembly::default()
        .with_egress(Egress::new(vec![format!("{OPEN}/32").parse().unwrap()]))
        .trusting_hosts();
    assembly.listen();
    let own: BTreeMap<String, ConnectorDefinitionSpec> =
        own.map(|text| parse(text).unwrap()).into_iter().collect();
    let compiled = assembly.definition(definition, &own).unwrap();
    let spec: ConnectorSpec = serde_json::from_value(json!({
        "definition": definition, "inputs": inputs, "secretRef": {"name": "x"}, "insecure": true,
    }))
    .unwrap();
    let secret = secret
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()));
    let credentials = Credentials::from_data(secret, "1");
    let connector = match assembly.connect("x", &spec, &compiled, credentials) {
        Ok(connected) => connected.connector,
        Err(error) => return error.to_string(),
    };
    let jane = Person {
        email: Some("jane@example.com".to_owned()),
        employee_id: Some("10442".to_owned()),
        ..Person::default()
    };
    match connector.find(&jane).await {
        Ok(_) => "found".to_owned(),
        Err(fault) if fault.reason == Reason::DestinationRefused => fault.to_string(),
        Err(fault) => format!("reached: {fault}"),
    }
}

/// Whether it was refused for where the address is, and for nothing else.
fn refused_inside(said: &str) -> bool {
    said.contains("nothing may connect to an address that is ") || said.contains("(egress ")
}

/// What leads to this machine, to link-local and to metadata addresses, in all the ways that an address can be written.
const INSIDE: [&str; 40] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.127.127.127",
    "0",
    "0.0.0.0",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0x1",
    "0000177.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LoCaLhOsT",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "１２７.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:7f00:1::1]",
    "[fe80::1]",
    "[fe80::5efe:127.0.0.1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
];

#[tokio::test]
async fn no_address_of_the_inside_is_connected_to_however_it_is_written() {
    let thief = Thief::new();
    let port = thief.port;
    let token = [("token", CANARY)];
    let login = [("username", "x"), ("password", CANARY)];
    let key = [("clientSecret", CANARY)];
    for host in INSIDE {
        let url = format!("http://{host}:{port}/");
        let said = looked("scim", None, json!({ "url": url }), &token).await;
        assert!(refused_inside(&said), "{host}: {said}");
    }
    // The same for each protocol, and for the addresses beside the first.
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::ffff:7f00:1]",
        "[::1]",
        "169.254.169.254",
    ] {
        let directory = json!({"url": format!("ldap://{host}:{port}"), "base": "dc=x"});
        let bare = host.trim_matches(['[', ']']);
        let database = json!({"host": bare, "port": port});
        let files = json!({"host": bare, "port": port, "exports": "x", "requests": "y", "hostKeys": "SHA256:uNiVztksCsDhcc0u9e8BrwQzVKlnSzHP2MpwmiSQvWk"});
        let keycloak = json!({"url": format!("https://{host}:{port}"), "realm": "x"});
        for (definition, inputs, secret) in [
            ("openldap", directory.clone(), &login[..]),
            ("active-directory", directory, &login),
            ("postgresql", database.clone(), &login),
            ("mysql", database, &login),
            ("payroll-file", files, &login),
            ("keycloak", keycloak, &key),
        ] {
            // Databases take no address of IPv6: a definition of one's own does.
            let own = (definition.ends_with("sql") && bare.contains(':')).then(|| {
                let dialect = if definition == "mysql" {
                    "Mysql"
                } else {
                    "Postgresql"
                };
                DATABASE.replace("DIALECT", dialect)
            });
            let definition = if own.is_some() { "database" } else { definition };
            let said = looked(definition, own.as_deref(), inputs, secret).await;
            assert!(refused_inside(&said), "{definition} {host}: {said}");
        }
    }
    assert_eq!(thief.met(), 0);
}

/// A definition whose database may be anywhere.
const DATABASE: &str = r"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: {name: database}
spec:
  title: A database
  inputs:
    host: {description: Where it is.}
    port: {description: At which port., type: Integer}
  sql: {dialect: DIALECT, host: '${inputs.host}', port: '${inputs.port}'}
  account:
    find: [{statement: SELECT 1 AS id}]
    id: string(item.id)
    name: string(item.id)
    same: 'true'
  facts:
    Gone: {class: Access, proof: None, act: [{statement: SELECT 1}]}
";

/// A definition that can be led elsewhere by its inputs, and by what the system answers.
const LED: &str = r#"
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: {name: led}
spec:
  title: A system
  inputs:
    url: {description: Where the system is.}
    tokens: {description: Where it gives tokens., optional: true}
    status: {description: Where it shows how far something is., optional: true}
    callback: {description: Where it answers later., optional: true}
  http:
    base: ${inputs.url}
    auth: AUTH
    callback: {base: "${has(inputs.callback) ? inputs.callback : ''}"}
  account:
    find:
      - get: ''
        base: '${has(inputs.status) ? inputs.status : inputs.url}'
        items: response.body.items
        page: {next: 'has(response.body.next) ? response.body.next : null'}
    id: item.id
    name: item.id
    same: 'true'
  facts:
    Gone:
      class: Access
      proof: None
      act: [{delete: '/${account.id}'}]
"#;

/// A system at [`OPEN`] that answers everything with what it is given; counts who connects.
struct Answering {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Answering {
    fn with(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        let listener = TcpListener::bind((OPEN, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                let mut head = [0; 8192];
                if stream.read(&mut head).is_ok() {
                    drop(stream.write_all(answer.as_bytes()));
                }
            }
        });
        Self { url, connections }
    }

    fn met(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The definition, with this login.
fn led(auth: &str) -> String {
    LED.replace("AUTH", auth)
}

#[tokio::test]
async fn nothing_that_a_system_answers_or_an_input_says_beside_its_address_leads_inside() {
    let thief = Thief::new();
    let bearer = led("{bearer: {}}");
    let tokens = led("{oauth2: {grant: ClientCredentials, tokenUrl: '${inputs.tokens}', clientId: c}}");
    let token = [("token", CANARY)];
    let callback = [("token", CANARY), ("callbackKey", "a key of twenty-four bytes")];
    let secret = [("clientSecret", CANARY)];
    let honest = Answering::with("200 OK", "", r#"{"items": []}"#);
    let asked = json!({"url": honest.url});
    assert_eq!(looked("led", Some(&bearer), asked, &token).await, "found");
    assert_eq!(honest.met(), 1);
    for host in INSIDE {
        let inside = format!("http://{host}:{}/x", thief.port);
        // What the system answers.
        let redirecting = Answering::with("307 Temporary Redirect", &format!("location: {inside}\r\n"), "");
        let inputs = json!({"url": redirecting.url});
        let said = looked("led", Some(&bearer), inputs, &token).await;
        assert!(said.contains("Refused (307"), "{host}: {said}");
        let next = json!({"items": [], "next": inside}).to_string();
        let paging = Answering::with("200 OK", "", &next);
        let said = looked("led", Some(&bearer), json!({"url": paging.url}), &token).await;
        assert!(said.contains("next page on another host"), "{host}: {said}");
        assert_eq!((redirecting.met(), paging.met()), (1, 1), "{host}");
        // What an input says.
        for (field, own, secret) in [
            ("tokens", &tokens, &secret[..]),
            ("status", &bearer, &token),
            ("callback", &bearer, &callback),
        ] {
            let inputs = json!({"url": honest.url, field: inside});
            let said = looked("led", Some(own), inputs, secret).await;
            // The system calls back, not the operator: of a name nothing is asked here.
            let named = field == "callback" && host.to_lowercase().starts_with("localhost");
            assert!(
                refused_inside(&said) || named && said == "found",
                "{field} {host}: {said}"
            );
        }
    }
    assert_eq!(thief.met(), 0);
    // A next page elsewhere outside, and at another port of the same machine, is no way out for the credential either.
    let other = Answering::with("200 OK", "", r#"{"items": []}"#);
    for elsewhere in [
        other.url.clone(),
        other.url.replace("http://", "http://x@"),
        other.url.replace("http:", ""),
        "https://evil.example.com/".to_owned(),
    ] {
        let next = json!({"items": [], "next": elsewhere}).to_string();
        let paging = Answering::with("200 OK", "", &next);
        let said = looked("led", Some(&bearer), json!({"url": paging.url}), &token).await;
        assert!(said.contains("next page on another host"), "{elsewhere}: {said}");
    }
    assert_eq!(other.met(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_the_networks_of_services_and_the_api_server_are_closed() {
    let site = Site::new("perimeter");
    let client = control_plane().client_of(&site.namespace, "offboard").await;
    let services = "10.0.0.1".parse().unwrap();
    let server = "192.0.2.7".parse().unwrap();
    let around = Some("10.96.0.1".parse().unwrap());
    let known = egress(&client, (Some("192.0.2.7"), around), vec![]).await;
    let closed = |egress: &Egress, address: IpAddr| egress.check(address, true).err().map(|why| why.0);
    // The cluster says that its Services are in 10.0.0.0/24, so nothing is guessed.
    assert_eq!(closed(&known, services), Some("service network"));
    assert_eq!(
        closed(&known, "10.0.0.254".parse().unwrap()),
        Some("service network")
    );
    assert_eq!(
        closed(&known, "::ffff:10.0.0.1".parse().unwrap()),
        Some("service network")
    );
    assert_eq!(closed(&known, "10.0.1.1".parse().unwrap()), None);
    assert_eq!(closed(&known, "10.96.0.9".parse().unwrap()), None);
    assert_eq!(closed(&known, server), Some("API server"));
    let opened = egress(&client, (None, around), vec!["10.0.0.1/32".parse().unwrap()]).await;
    assert_eq!(closed(&opened, services), None);
    assert_eq!(closed(&opened, server), None);
    // Who may not ask closes what is around the API server's own Service.
    site.kubectl(&["create", "serviceaccount", "nobody"], "")
        .expect_ok();
    let nobody = control_plane().client_of(&site.namespace, "nobody").await;
    let guessed = egress(&nobody, (None, around), vec![]).await;
    assert_eq!(
        closed(&guessed, "10.96.255.9".parse().unwrap()),
        Some("service network")
    );
    assert_eq!(closed(&guessed, services), None);
    // The same at a Connector, in its condition.
    site.secret("inside", "token", CANARY);
    let hosts = "offboard.dev/hosts=10.0.0.1:443";
    site.kubectl(&["annotate", "--overwrite", "secret", "inside", hosts], "")
        .expect_ok();
    site.connector("inside", "scim", "{url: 'https://10.0.0.1'}");
    let _operator = site.start();
    let message = site.until("connector/inside", "Ready", "False/AddressClosed");
    assert!(
        message.contains("an address that is service network"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_condition_shows_what_is_insecure_and_a_secret_names_ones_own_definition() {
    let site = Site::new("named");
    let (crm, _) = application("jane@example.com").await;
    site.secret("crm", "token", crm.token());
    let inputs = format!("{{url: '{}'}}", crm.base());
    site.connector_with("crm", "scim", &inputs, ", insecure: true");
    let own = support::unique("own");
    let definition = include_str!("../../src/connectors/definitions/scim.yaml");
    site.apply(&definition.replace("name: scim\n", &format!("name: {own}\n")));
    site.secret("mine", "token", crm.token());
    site.connector("mine", &own, &inputs);
    let unnamed = "offboard.dev/definitions=another";
    site.kubectl(&["annotate", "--overwrite", "secret", "mine", unnamed], "")
        .expect_ok();
    let _operator = site.start();
    let message = site.until("connector/crm", "Ready", "True/Valid");
    assert!(
        message.contains("whoever is on the way can read what is sent"),
        "{message}"
    );
    let message = site.until("connector/mine", "Ready", "False/DefinitionNotNamed");
    let line = format!("offboard.dev/definitions: \"{own}\"");
    assert!(message.contains(&line), "{message}");
    let named = line.replace(": \"", "=").replace('"', "");
    site.kubectl(&["annotate", "--overwrite", "secret", "mine", &named], "")
        .expect_ok();
    let message = site.until("connector/mine", "Ready", "True/Valid");
    assert!(!message.contains("whoever is on the way"), "{message}");
    site.kubectl(&["delete", "connectordefinition", &own], "")
        .expect_ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_connectors_author_does_not_read_the_secrets_of_others() {
    let site = Site::new("thief");
    let (crm, _) = application("jane@example.com").await;
    let thief = Thief::new();
    site.secret("crm", "token", crm.token());
    let own = format!("offboard.dev/hosts={}", crm.base().split('/').nth(2).unwrap());
    site.kubectl(&["annotate", "--overwrite", "secret", "crm", &own], "")
        .expect_ok();
    let spec = |url: &str| {
        format!(
            "{{apiVersion: offboard.dev/v1alpha1, kind: Connector, metadata: {{name: mine}}, \
             spec: {{definition: scim, inputs: {{url: '{url}'}}, secretRef: {{name: crm}}}}}}"
        )
    };
    site.apply(&spec(&format!("http://127.0.0.1:{}", thief.port)));
    let _operator = site.start();
    let message = site.until("connector/mine", "Ready", "False/HostNotNamed");
    let line = format!("offboard.dev/hosts: \"127.0.0.1:{}\"", thief.port);
    assert!(message.contains(&line), "{message}");
    // A definition that is called like a built-in one is not used.
    let scim = include_str!("../../src/connectors/definitions/scim.yaml");
    site.apply(scim);
    site.until("connectordefinition/scim", "Ready", "False/NameReserved");
    site.kubectl(&["delete", "connectordefinition", "scim"], "")
        .expect_ok();
    site.leaver("leaver-1", "jane@example.com");
    site.until("offboarding/leaver-1", "Ready", "False/ConnectorNotReady");
    assert_eq!(thief.met(), 0);
    site.apply(&spec(&crm.base()));
    site.until("connector/mine", "Ready", "True/LoginOK");
    site.until("offboarding/leaver-1", "Ready", "True/Offboarded");
    assert!(!logs_in(&crm, "jane@example.com"));
    assert_eq!(thief.met(), 0);
}
