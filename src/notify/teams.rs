//! A message as an Adaptive Card, for a Teams workflow that waits for a webhook.
//!
//! # Why
//! Version 1.4 and only elements that every client of Teams shows. Texts of a card may hold Markdown, so what means something
//! there is escaped.

use serde_json::{Value, json};

use super::text::Message;

/// The body of the request.
pub fn body(message: &Message) -> Value {
    let mut elements = vec![json!({
        "type": "TextBlock",
        "text": escaped(&message.subject),
        "weight": "Bolder",
        "size": "Medium",
        "color": if message.urgent { "Attention" } else { "Default" },
        "wrap": true,
    })];
    for text in message.says.iter().filter(|text| !text.is_empty()) {
        elements.push(json!({"type": "TextBlock", "text": escaped(text), "wrap": true}));
    }
    let facts: Vec<Value> = message
        .facts
        .iter()
        .map(|(name, value)| json!({"title": name, "value": escaped(value)}))
        .collect();
    if !facts.is_empty() {
        elements.push(json!({"type": "FactSet", "facts": facts}));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": elements,
            },
        }],
    })
}

/// With a backslash before everything that begins markup, and nothing that Teams reads as HTML or as a mention.
fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '*' | '_' | '[' | ']' | '(' | ')' | '`' | '~' | '#' | '!' => {
                shown.push('\\');
                shown.push(letter);
            }
            other => shown.push(other),
        }
    }
    shown
}
