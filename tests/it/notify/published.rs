//! Messages against what the vendors published: the schema of Adaptive Cards, Slack's schema of messages, and Slack's own
//! client, which knows the limits of Block Kit. `tests/install` fetches them; without them these checks say that they were
//! skipped.

use std::{path::Path, process::Command};

use offboard::notify::{slack, teams, text::Message};
use serde_json::{Value, json};

use crate::support::{self, Ran};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn python(script: &str, input: &Value) -> Option<Ran> {
    let packages = here("target/peers/chat");
    if !packages.join("complete").exists() {
        eprintln!("skipped the check against what was published: run tests/install first");
        return None;
    }
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", packages).args(["-c", script]);
    Some(support::run(&mut python, &input.to_string()))
}

const CARD: &str = r"
import json, sys, pathlib, adaptivecard, jsonschema
path = pathlib.Path(adaptivecard.__file__).parent / 'schemas' / 'schema.json'
schema = json.loads(path.read_text())
# The schema has placeholders of a type that JSON does not have: they match nothing.
known = {'object', 'array', 'string', 'number', 'integer', 'boolean', 'null'}
def mended(node):
    if isinstance(node, list):
        return [mended(each) for each in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get('type'), str) and node['type'] not in known:
        return {'not': {}}
    return {key: mended(each) for key, each in node.items()}
schema = mended(schema)
for card in json.load(sys.stdin):
    jsonschema.Draft6Validator(schema).validate(card)
";

const BLOCKS: &str = r"
import json, sys
from slack_sdk.models.blocks import Block
for message in json.load(sys.stdin):
    blocks = message['blocks']
    assert 0 < len(blocks) <= 50
    for block, given in zip(Block.parse_all(blocks), blocks):
        shown = block.to_dict()
        assert shown == given, (shown, given)
";

const MESSAGE: &str = r"
import json, sys, jsonschema
specification, messages = json.load(sys.stdin)
schemas = specification['components']['schemas']
schema = {'$ref': '#/components/schemas/objs_message', 'components': {'schemas': schemas}}
for message in messages:
    shown = {key: message[key] for key in ('text', 'blocks')}
    jsonschema.Draft4Validator(schema).validate({**shown, 'type': 'message', 'ts': '1503435956.000247'})
";

/// Short, long and strange.
fn messages() -> Vec<Message> {
    let message = |subject: &str, says: &str, value: &str| Message {
        subject: subject.to_owned(),
        urgent: subject.len() > 60,
        says: vec![says.to_owned(), "Second paragraph.".to_owned()],
        facts: vec![
            ("Leaver", value.to_owned()),
            ("Access ends", "30 September 2026".to_owned()),
        ],
    };
    vec![
        message(
            "Jane is offboarded [HR-2291]",
            "All access has ended.",
            "Jane Doe",
        ),
        message(&"&<>".repeat(80), &"<x>".repeat(2000), &"& *_`".repeat(900)),
        Message {
            subject: "alone".to_owned(),
            ..Message::default()
        },
    ]
}

#[test]
fn what_teams_gets_is_an_adaptive_card_by_the_published_schema() {
    let cards = |body: Value| body["attachments"][0]["content"].clone();
    let all: Vec<Value> = messages().iter().map(teams::body).map(cards).collect();
    if let Some(ran) = python(CARD, &json!(all)) {
        ran.expect_ok();
        let mut wrong = all[0].clone();
        wrong["body"][0]["weight"] = json!("Heavy");
        assert!(
            !python(CARD, &json!([wrong])).unwrap().ok(),
            "the schema refuses nothing"
        );
    }
}

#[test]
fn what_slack_gets_is_what_slacks_own_client_would_send() {
    let all: Vec<Value> = messages().iter().map(slack::body).collect();
    if let Some(ran) = python(BLOCKS, &json!(all)) {
        ran.expect_ok();
        let mut wrong = all[0].clone();
        wrong["blocks"][0]["text"]["text"] = json!("x".repeat(151));
        assert!(
            !python(BLOCKS, &json!([wrong])).unwrap().ok(),
            "the client refuses nothing"
        );
    }
}

#[test]
fn what_slack_gets_is_a_message_by_slacks_published_schema() {
    let Ok(specification) = std::fs::read_to_string(here("../shared/specs/slack.json")) else {
        eprintln!("skipped the check against Slack's schema: shared/specs/slack.json is not there");
        return;
    };
    let specification: Value = serde_json::from_str(&specification).unwrap();
    let all: Vec<Value> = messages().iter().map(slack::body).collect();
    if let Some(ran) = python(MESSAGE, &json!([specification, all])) {
        ran.expect_ok();
        let mut wrong = all[0].clone();
        wrong["blocks"][0].as_object_mut().unwrap().remove("type");
        assert!(!python(MESSAGE, &json!([specification, [wrong]])).unwrap().ok());
    }
}
