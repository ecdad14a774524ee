//! E-mail, on a real mail server; what arrived is asked of its own search.

use std::time::Duration;

use offboard::{
    notify::{Sending, mail, settings, text},
    transport::dial::Dialer,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

use super::{jane, offboarded, outbox};
use crate::support::{Certificate, Mailpit, Scratch, unique};

#[tokio::test]
async fn a_mail_arrives_over_starttls_with_a_login() {
    let server = Mailpit::start();
    let (outbox, _files) = outbox(&format!(
        "{{hr: {}}}",
        server.channel(&["hr@example.com", "Manager"], "")
    ));
    let ticket = unique("HR-");
    let jane = jane(&ticket, json!({"profile": {"manager": "sam.lee@example.com"}}));
    assert_eq!(outbox.send(&jane, &offboarded("hr")).await, Sending::Sent(None));
    let found = server.search(&format!("subject:\"{ticket}\""));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["Subject"], format!("Jane Doe is offboarded [{ticket}]"));
    assert_eq!(found[0]["From"]["Address"], "offboard@example.com");
    let to: Vec<_> = found[0]["To"]
        .as_array()
        .unwrap()
        .iter()
        .map(|to| to["Address"].clone())
        .collect();
    assert_eq!(to, ["hr@example.com", "sam.lee@example.com"]);
    assert!(server.text(&found[0]).contains("All access was removed"));
    let raw = server.raw(&found[0]);
    for header in [
        "Auto-Submitted: auto-generated",
        "Message-ID: <00112233445566778899aabbccddeeff@example.com>",
    ] {
        assert!(raw.contains(header), "{header} is not in\n{raw}");
    }
}

#[tokio::test]
async fn a_mail_arrives_over_a_connection_that_is_encrypted_from_the_beginning() {
    let server = Mailpit::start_implicit();
    let (outbox, _files) = outbox(&format!(
        "{{hr: {}}}",
        server.channel(&["hr@example.com"], ", tls: Implicit")
    ));
    assert_eq!(
        outbox.send(&jane("HR-1", json!({})), &offboarded("hr")).await,
        Sending::Sent(None)
    );
    assert_eq!(server.search("subject:HR-1").len(), 1);
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_trusted_or_not_encrypted() {
    let server = Mailpit::start();
    let other = Scratch::new("other-ca");
    let other = Certificate::issue(&other, "DNS:localhost");
    let wrong = server.channel(&["hr@example.com"], "").replace(
        &server.tls.ca.display().to_string(),
        &other.ca.display().to_string(),
    );
    let platform = server.channel(&["hr@example.com"], "");
    let (start, _) = platform.split_once(", caFile").unwrap();
    // A wire that cannot be encrypted: somebody answers who does not offer it.
    let plain = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut wire, _)) = plain.accept().await {
            wire.write_all(b"220 hello\r\n").await.ok();
            let mut said = vec![0; 4096];
            let length = wire.read(&mut said).await.unwrap_or_default();
            assert!(said[..length].starts_with(b"EHLO"));
            wire.write_all(b"250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
                .await
                .ok();
            let length = wire.read(&mut said).await.unwrap_or_default();
            let said = String::from_utf8_lossy(&said[..length]).into_owned();
            assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
        }
    });
    let stripped = server
        .channel(&["hr@example.com"], "")
        .replace(&format!("port: {}", server.port), &format!("port: {port}"));
    let channels = format!("{{wrong: {wrong}, platform: {start}}}}}, stripped: {stripped}}}");
    let (outbox, _files) = outbox(&channels);
    for channel in ["wrong", "platform", "stripped"] {
        let sending = outbox.send(&jane("HR-7", json!({})), &offboarded(channel)).await;
        assert!(matches!(sending, Sending::Again { .. }), "{channel}: {sending:?}");
    }
    assert_eq!(server.search("subject:HR-7").len(), 0);
}

#[tokio::test]
async fn a_wrong_password_is_tried_again_with_the_right_one() {
    let server = Mailpit::start();
    let right = std::fs::read(&server.password).unwrap();
    std::fs::write(&server.password, "canary-wrong").unwrap();
    let (outbox, _files) = outbox(&format!("{{hr: {}}}", server.channel(&["hr@example.com"], "")));
    let sending = outbox.send(&jane("HR-1", json!({})), &offboarded("hr")).await;
    assert_eq!(sending, Sending::again("535"));
    std::fs::write(&server.password, right).unwrap();
    assert_eq!(
        outbox.send(&jane("HR-1", json!({})), &offboarded("hr")).await,
        Sending::Sent(None)
    );
    assert_eq!(server.search("subject:HR-1").len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_for_now_gets_it_later_and_once_and_one_that_refuses_for_good_does_not() {
    let server = Mailpit::start();
    let (outbox, _files) = outbox(&format!("{{hr: {}}}", server.channel(&["hr@example.com"], "")));
    server.refuse(451, 100);
    for _ in 0..3 {
        let sending = outbox.send(&jane("HR-1", json!({})), &offboarded("hr")).await;
        assert_eq!(sending, Sending::again("451"));
    }
    server.refuse(451, 0);
    assert_eq!(
        outbox.send(&jane("HR-1", json!({})), &offboarded("hr")).await,
        Sending::Sent(None)
    );
    assert_eq!(server.search("subject:HR-1").len(), 1);
    server.refuse(550, 100);
    let sending = outbox.send(&jane("HR-2", json!({})), &offboarded("hr")).await;
    assert_eq!(sending, Sending::Failed("550".to_owned()));
    assert_eq!(server.search("subject:HR-2").len(), 0);
}

#[tokio::test]
async fn a_name_with_a_line_break_makes_no_header_and_no_recipient() {
    let server = Mailpit::start();
    let (outbox, _files) = outbox(&format!("{{hr: {}}}", server.channel(&["hr@example.com"], "")));
    let evil = "Eve\r\nBcc: all@example.com\r\nX-Evil: yes\r\n\r\nbody";
    let employee = json!({"email": "eve@example.com", "displayName": evil});
    let eve = jane("HR-3\r\nX-More: yes", json!({"employee": employee}));
    assert_eq!(outbox.send(&eve, &offboarded("hr")).await, Sending::Sent(None));
    let found = server.search("subject:\"HR-3\"");
    assert_eq!(found.len(), 1);
    let raw = server.raw(&found[0]);
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    for line in head.lines() {
        let name = line.split(':').next().unwrap();
        assert!(!["Bcc", "X-Evil", "X-More"].contains(&name), "{head}");
    }
    assert!(
        found[0]["Bcc"].as_array().is_none_or(Vec::is_empty),
        "{}",
        found[0]
    );
}

#[tokio::test]
async fn a_message_never_goes_to_the_leaver() {
    let server = Mailpit::start();
    let (outbox, _files) = outbox(&format!(
        "{{both: {}, alone: {}}}",
        server.channel(&["JANE@example.com", "hr@example.com"], ""),
        server.channel(&["jane@example.com"], ""),
    ));
    assert_eq!(
        outbox.send(&jane("HR-1", json!({})), &offboarded("both")).await,
        Sending::Sent(None)
    );
    let found = server.search("subject:HR-1");
    assert_eq!(found[0]["To"].as_array().unwrap().len(), 1);
    let sending = outbox.send(&jane("HR-2", json!({})), &offboarded("alone")).await;
    assert!(matches!(sending, Sending::Failed(_)), "{sending:?}");
}

/// A server that stops talking: at once, or after it got a whole mail.
async fn falls_silent(takes_mail: bool) -> settings::Mail {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (wire, _) = listener.accept().await.unwrap();
        let mut wire = BufReader::new(wire);
        let mut line = String::new();
        let mut answer = "220 hello";
        loop {
            if !takes_mail {
                return std::future::pending::<()>().await;
            }
            if !answer.is_empty() {
                wire.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
            }
            line.clear();
            wire.read_line(&mut line).await.unwrap();
            answer = match line.split([' ', '\r']).next().unwrap() {
                "EHLO" | "MAIL" | "RCPT" => "250 ok",
                "DATA" => "354 go on",
                _ => "",
            };
        }
    });
    let folder = Scratch::new("notify");
    let file = folder.join("channels");
    let text = format!(
        "channels: {{hr: {{mail: {{server: localhost, port: {port}, tls: None, from: a@example.com, to: [b@example.com]}}}}}}"
    );
    std::fs::write(&file, text).unwrap();
    settings::read(&file).unwrap()["hr"].mail.clone().unwrap()
}

#[tokio::test]
async fn silence_before_the_mail_was_handed_over_is_tried_again_and_silence_after_it_is_not() {
    let jane = jane("HR-9", json!({}));
    let notice = offboarded("hr");
    let message = text::compose(&jane, &notice, notice.at);
    for (takes_mail, becomes) in [
        (false, Sending::again("Timeout")),
        (true, Sending::Unsure("Timeout".to_owned())),
    ] {
        let server = falls_silent(takes_mail).await;
        let deadline = Duration::from_secs(3);
        let sending = mail::send(
            &server,
            &notice.key,
            &message,
            Some(&jane),
            (&Dialer::trusted(), deadline),
        )
        .await;
        assert_eq!(sending, becomes);
    }
}
