//! What the operator holds is written nowhere, whatever is logged.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command};

use jiff::{Timestamp, tz::TimeZone};
use offboard::{company::Company, sources::wake::sign, transport::secret::Secret};
use offboard_simulators::salesforce::Salesforce;
use serde_json::json;

use super::site::{Operator, PATIENCE, Site};
use crate::{
    google_workspace, microsoft_365,
    notify::{receiver::Receiver, webhooks},
    sources::office::{Office, staff},
    support::{self, Mailpit, Scratch, Sshd, poll},
    without_api::flows::{Manner, Platform, signing_key},
};

/// What a key in PEM consists of, without what all keys begin with.
fn lines_of(key: &str) -> impl Iterator<Item = String> {
    let lines = key.lines().filter(|line| !line.starts_with("-----"));
    lines.skip(2).map(str::to_owned)
}

/// The texts, with what they are.
#[track_caller]
fn hold_none(held: &[String], texts: &[(&str, &str)]) {
    for (number, secret) in held.iter().enumerate() {
        assert!(secret.len() >= 8, "secret {number} is in everything");
        let secret = Secret::new(secret.clone());
        for (what, text) in texts {
            let found = text.lines().find(|line| secret.appears_in(line));
            assert!(found.is_none(), "secret {number} is in the {what}: {found:?}");
        }
    }
}

/// The secrets are in nothing that the operator writes anywhere.
#[track_caller]
fn written_nowhere(held: &[String], site: &Site, operator: &Operator) {
    let kinds = "offboardings,connectors,approvals,offboardingrecords,offboardingpolicies,leaversources,heldsets,\
                 connectordefinitions,events,leases";
    let objects = site.kubectl(&["get", kinds, "-o", "yaml"], "").expect_ok();
    let (log, metrics) = (operator.log(), operator.http("/metrics"));
    assert!(log.contains("\"level\":\"TRACE\""), "everything is logged");
    assert!(metrics.contains("200 OK"), "{metrics}");
    let printed = operator.printed();
    hold_none(
        held,
        &[
            ("log", &log),
            ("objects", &objects),
            ("metrics", &metrics),
            ("standard output", &printed),
        ],
    );
}

/// The company's secrets but names and certificates, and its annotations.
fn secrets_of(keys: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    let open = ["username", "ca.crt", "hosts", "definitions"];
    let held = keys.iter().filter(move |(key, _)| !open.contains(&key.as_str()));
    held.map(|(_, value)| value.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_in_a_log_or_an_object_though_everything_is_logged() {
    let company = Company::start().await.unwrap();
    let site = Site::new("canaries");
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let manifests = company.manifests(&now).unwrap();
    let held: Vec<String> = manifests.secrets.values().flat_map(secrets_of).collect();
    for (name, keys) in &manifests.secrets {
        let mut keys: BTreeMap<String, String> = keys.clone();
        let mut annotations = BTreeMap::new();
        for file in ["hosts", "definitions"] {
            annotations.extend(
                keys.remove(file)
                    .map(|text| (format!("offboard.dev/{file}"), text)),
            );
        }
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": keys,
            "metadata": {"name": name, "annotations": annotations}});
        site.apply(&secret.to_string());
    }
    assert!(held.len() >= 5, "{}", held.len());
    let (leaver, objects): (Vec<_>, Vec<_>) = manifests
        .objects
        .iter()
        .partition(|(path, _)| path.starts_with("jane"));
    for (_, text) in objects {
        site.apply(text);
    }
    let operator = site.start_tracing(&[]);
    for (_, text) in leaver {
        site.apply(text);
    }
    site.until("offboarding/jane-doe", "AccessRevoked", "True/Verified");
    written_nowhere(&held, &site, &operator);
}

/// All files below a folder, but those that hold the secrets.
fn texts(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            texts(&path, all);
        } else {
            *all += &String::from_utf8_lossy(&fs::read(&path).unwrap());
            all.push('\n');
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_shows_and_keeps_no_credential_either_nor_that_of_a_program() {
    let company = Company::start().await.unwrap();
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    let manifests = company.manifests(&now).unwrap();
    let (folder, state) = (Scratch::new("canaries"), Scratch::new("canaries-state"));
    manifests.write(&folder).unwrap();
    let mut held: Vec<String> = manifests.secrets.values().flat_map(secrets_of).collect();
    // A program that logs in with what it is given, and shows it to whoever reads along.
    let canary = "canary-of-the-legacy-system";
    held.push(canary.to_owned());
    let definition = include_str!("../without_api/legacy.yaml");
    fs::write(folder.join("definitions/legacy.yaml"), definition).unwrap();
    let program = folder.join("legacy.sh");
    fs::write(
        &program,
        "#!/bin/sh\necho \"$LEGACY_PASSWORD\" >&2\necho \"$LEGACY_PASSWORD\"\nexit 69\n",
    )
    .unwrap();
    support::run(Command::new("chmod").arg("700").arg(&program), "").expect_ok();
    let connector = json!({"apiVersion": "offboard.dev/v1alpha1", "kind": "Connector", "metadata": {"name": "legacy"},
        "spec": {"definition": "legacy", "inputs": {"program": program}, "secretRef": {"name": "legacy"}}});
    fs::write(folder.join("connectors/legacy.json"), connector.to_string()).unwrap();
    fs::create_dir_all(folder.join("secrets/legacy")).unwrap();
    fs::write(folder.join("secrets/legacy/password"), canary).unwrap();
    fs::write(folder.join("secrets/legacy/definitions"), "legacy\n").unwrap();
    let offboard = |command: &str, more: &[&str]| {
        let mut offboard = Command::new(env!("CARGO_BIN_EXE_offboard"));
        offboard.args([command, "-f"]).arg(&*folder).args(more);
        offboard.env("XDG_STATE_HOME", &*state).env("RUST_LOG", "trace");
        let ran = support::run(&mut offboard, "");
        ran.stdout + &ran.stderr
    };
    let planned = offboard("plan", &["--local-commands"]);
    let ran = offboard("run", &["--local-commands", "--wait", "20s"]);
    assert!(
        planned.contains("legacy") && ran.contains("legacy"),
        "{planned}{ran}"
    );
    let shown = offboard("status", &[]);
    let mut kept = String::new();
    texts(&state, &mut kept);
    assert!(kept.len() > 1000, "something is kept");
    hold_none(
        &held,
        &[
            ("plan", &planned),
            ("run", &ran),
            ("status", &shown),
            ("state", &kept),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_token_or_secret_address_of_vendors_flows_files_wakes_and_messages_is_either() {
    let (google, tenant) = (
        google_workspace::scene::Scene::new().await,
        microsoft_365::scene::Scene::new().await,
    );
    let org = Salesforce::start().await.unwrap();
    org.add_user("lea@example.com", "lea@example.com", "old password");
    let office = Office::new("canaries-more").await;
    let site = &office.site;
    let mut held: Vec<String> = vec![];
    // Vendors, by a key and by client secrets.
    site.secret("google", "privateKey", &google.account.private_key);
    held.extend(lines_of(&google.account.private_key));
    site.connector("google", "google-workspace", &google.setup().inputs.to_string());
    for (name, definition, inputs, secret) in [
        (
            "entra",
            "microsoft-365",
            tenant.setup().inputs,
            tenant.app.secret.clone(),
        ),
        (
            "crm",
            "salesforce",
            json!({"url": org.url(), "clientId": org.client_id()}),
            org.client_secret().to_owned(),
        ),
    ] {
        site.secret(name, "clientSecret", &secret);
        site.connector(name, definition, &inputs.to_string());
        held.push(secret);
    }
    // A server of files, by a password and by a key.
    let server = Sshd::start_with("");
    let exports = server.folder("canaries");
    let inputs = json!({
        "host": "127.0.0.1", "port": server.port, "hostKeys": server.public_key("host_ed25519"),
        "exports": format!("{}/*.csv", exports.display()), "requests": exports, "quiet": "0s",
    });
    for (name, key, value) in [
        ("files", "password", Sshd::PASSWORD.to_owned()),
        ("payroll", "privateKey", server.private_key("client_ed25519")),
    ] {
        site.secrets(name, &[("username", &server.user()), (key, &value)]);
        let facts = ", facts: {include: [PayrollEnded]}";
        site.connector_with(name, "payroll-file", &inputs.to_string(), facts);
        held.extend(if key == "password" {
            vec![value]
        } else {
            lines_of(&value).collect()
        });
    }
    // A flow that calls back.
    let platform = Platform::start(Manner::Usual).await;
    let door = SocketAddr::from(([127, 0, 0, 1], support::free_port()));
    let callback = "canary-callback-key-of-24-bytes";
    site.secrets(
        "flow",
        &[("signingKey", &signing_key()), ("callbackKey", callback)],
    );
    held.extend([signing_key(), callback.to_owned()]);
    let mut inputs = platform.inputs(false);
    inputs["callbackUrl"] = json!(format!("http://{door}"));
    site.connector("flow", "ipaas", &inputs.to_string());
    // A source that is woken.
    let wake = "canary-wake-key-of-twenty-four-bytes";
    site.secret("wake", "key", wake);
    office.hr.has(&staff(50));
    office.source(", wake: {secretRef: {name: wake}}");
    held.push(wake.to_owned());
    // Messages.
    let (receiver, mail, files) = (
        Receiver::start().await,
        Mailpit::start(),
        Scratch::new("canaries"),
    );
    let hooks = webhooks::channels(&receiver, &files);
    let letters = mail.channel(&["hr@example.com"], "");
    let notifications = files.join("notifications.yaml");
    fs::write(
        &notifications,
        format!("channels: {}, hr: {letters}}}\n", &hooks[..hooks.len() - 1]),
    )
    .unwrap();
    held.extend(["T0-secret", "canary-key", "canary-token", Mailpit::PASSWORD].map(str::to_owned));
    let channels = ["slack", "teams", "events", "hr"];
    let rules = channels.map(|name| format!("{{channel: {name}, events: [Scheduled], audience: It}}"));
    site.policy(&format!("{{notify: [{}]}}", rules.join(", ")));

    let operator = site.start_tracing(&[
        &format!("--wake={door}"),
        "--notifications",
        notifications.to_str().unwrap(),
    ]);
    office.until("True/Synced");
    let lea = "{employee: {email: lea@example.com, employeeID: '10442'}, urgency: Immediate}";
    site.offboarding("lea", lea);
    let later = "{employee: {email: sue@example.com}, lastDay: '2040-01-31', cutoff: {timeZone: UTC}, reference: HR-77}";
    site.offboarding("sue", later);
    for name in ["google", "entra", "crm"] {
        site.until(&format!("connector/{name}"), "Ready", "True/LoginOK");
    }
    let called = || !platform.flow.lock().unwrap().addresses().is_empty();
    assert!(poll(PATIENCE, called), "{}", operator.log());
    let addresses = platform.flow.lock().unwrap().addresses();
    held.extend(
        addresses
            .iter()
            .map(|address| address.rsplit('/').next().unwrap().to_owned()),
    );
    let accepted = |way: &str| server.log().contains(&format!("Accepted {way} for"));
    assert!(
        poll(PATIENCE, || accepted("password") && accepted("publickey")),
        "{}",
        server.log()
    );
    let sent = || {
        let got = |path: &str| !receiver.received(path).is_empty();
        let hooks = got("/slack/T0-secret") && got("/teams/T0-secret") && got("/events");
        hooks && !mail.search("subject:\"HR-77\"").is_empty()
    };
    assert!(
        poll(PATIENCE, sent),
        "{:#}",
        site.get("offboarding/sue")["status"]
    );
    let path = format!("{}/hr", site.namespace);
    let timestamp = Timestamp::now().as_second().to_string();
    let signature = sign(&Secret::new(wake.to_owned()), &path, &timestamp, b"{}");
    let mut woken = Command::new("curl");
    woken.args([
        "-s",
        "-m",
        "5",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-d",
        "{}",
    ]);
    woken.args(["-H", &format!("x-offboard-timestamp: {timestamp}")]);
    woken.args(["-H", &format!("x-offboard-signature: {signature}")]);
    let answer = support::run(woken.arg(format!("http://{door}/wake/{path}")), "").expect_ok();
    assert_eq!(answer, "202");
    written_nowhere(&held, site, &operator);
}
