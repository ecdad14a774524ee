//! A message in Slack's Block Kit, for an incoming webhook.
//!
//! # Why
//! Everything that is shown is `plain_text`: Slack reads no markup in it, so a name like `<!channel>` or `*x*` is only a
//! name. What Slack asks to be escaped everywhere is.

use serde_json::{Value, json};

use super::text::{Message, shortened};

/// Slack's limit for a header.
const HEADER: usize = 150;
/// Slack's limit for the text of a section.
const SECTION: usize = 3000;
/// Slack's limit for a field of a section.
const FIELD: usize = 2000;
/// Slack's limit for the fields of a section.
const FIELDS: usize = 10;

/// The body of the request.
pub fn body(message: &Message) -> Value {
    let mut blocks = vec![json!({"type": "header", "text": plain(&message.subject, HEADER)})];
    for text in message.says.iter().filter(|text| !text.is_empty()) {
        blocks.push(json!({"type": "section", "text": plain(text, SECTION)}));
    }
    let fields: Vec<Value> = message
        .facts
        .iter()
        .take(FIELDS)
        .map(|(name, value)| plain(&format!("{name}\n{value}"), FIELD))
        .collect();
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    json!({
        // For notifications of telephones and for screen readers.
        "text": escaped(&shortened(&message.subject, SECTION)),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn plain(text: &str, most: usize) -> Value {
    // Escaped, a letter may be five; what is cut must not be cut inside one.
    let mut length = most;
    let mut shown = escaped(&shortened(text, length));
    while shown.chars().count() > most {
        length -= 1;
        shown = escaped(&shortened(text, length));
    }
    json!({"type": "plain_text", "text": shown, "emoji": false})
}

/// The three letters that Slack gives a meaning in every text.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
