//! A message as a `CloudEvent` (1.0, structured JSON), signed as the Standard Webhooks specification says.
//!
//! # Why
//! The id of the event is the key of the message, so whoever receives it twice can tell. The signature covers id, time and
//! body: `webhook-signature: v1,base64(HMAC-SHA256(key, "id.timestamp.body"))`. A key file that begins with `whsec_` holds
//! the key in base64, any other is the key itself.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, Message};
use crate::{
    api::{Offboarding, offboarding::Notice},
    transport::secret::Secret,
};

/// What the body is.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// The event about a leaver. It says no more than the message in words.
pub fn of_leaver(offboarding: &Offboarding, notice: &Notice, message: &Message, now: Timestamp) -> Value {
    let metadata = &offboarding.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    let mut leaver = json!({"name": name});
    if text::named(offboarding, now) {
        let employee = &offboarding.spec.employee;
        for (field, value) in [
            ("email", &employee.email),
            ("employeeID", &employee.employee_id),
            ("displayName", &employee.display_name),
        ] {
            if let Some(value) = value {
                leaver[field] = json!(value);
            }
        }
    }
    let mut data = data(notice, message);
    data["leaver"] = leaver;
    if let Some(status) = &offboarding.status {
        data["cutoff"] = json!(status.cutoff.map(|at| at.to_string()));
        data["progress"] = json!(status.progress);
        data["accessLeft"] = json!(status.access_left);
    }
    envelope(metadata.namespace.as_deref(), "offboardings", name, notice, &data)
}

/// The event about a source.
pub fn of_source(namespace: &str, name: &str, notice: &Notice, message: &Message) -> Value {
    let mut data = data(notice, message);
    data["source"] = json!({"name": name});
    envelope(Some(namespace), "leaversources", name, notice, &data)
}

fn data(notice: &Notice, message: &Message) -> Value {
    json!({"event": notice.event, "subject": message.subject, "text": message.plain()})
}

fn envelope(namespace: Option<&str>, kind: &str, name: &str, notice: &Notice, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": notice.key,
        "source": format!("/apis/offboard.dev/namespaces/{}/{kind}", namespace.unwrap_or("local")),
        "type": format!("dev.offboard.{}", format!("{:?}", notice.event).to_lowercase()),
        "subject": name,
        "time": notice.at.to_string(),
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// The headers that prove where the body comes from.
pub fn signature(id: &str, at: Timestamp, body: &str, key: &Secret) -> Vec<(&'static str, String)> {
    let key = key.expose();
    let decoded = key
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok());
    let key = decoded.unwrap_or_else(|| key.as_bytes().to_vec());
    let seconds = at.as_second();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(tag))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let key = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let headers = signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            r#"{"test": 2432232314}"#,
            &key,
        );
        let signature = &headers
            .iter()
            .find(|(name, _)| *name == "webhook-signature")
            .unwrap()
            .1;
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
