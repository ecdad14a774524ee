//! Puts a WS-Security `UsernameToken` into the header of a SOAP envelope, so that no expression ever sees the password.

use quick_xml::{Reader, escape::escape, events::Event};
use zeroize::Zeroizing;

const SECURITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const PASSWORD_TEXT: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText";

/// `envelope` with the token in its header, which is made if there is none. None if it is no SOAP envelope.
pub fn with_token(envelope: &str, user: &str, password: &str) -> Option<Zeroizing<String>> {
    let (from, to, before, after) = place(envelope)?;
    let prefix = prefix(envelope)?;
    let token = Zeroizing::new(format!(
        "<wsse:Security {prefix}mustUnderstand=\"1\" xmlns:wsse=\"{SECURITY}\"><wsse:UsernameToken>\
         <wsse:Username>{}</wsse:Username><wsse:Password Type=\"{PASSWORD_TEXT}\">{}</wsse:Password>\
         </wsse:UsernameToken></wsse:Security>",
        escape(user),
        *Zeroizing::new(escape(password).into_owned()),
    ));
    let parts = [&envelope[..from], &before, &token, &after, &envelope[to..]];
    Some(Zeroizing::new(parts.concat()))
}

/// What to replace, from where to where, and what to put before and after the token.
fn place(envelope: &str) -> Option<(usize, usize, String, String)> {
    let mut reader = Reader::from_str(envelope);
    let mut depth = 0;
    loop {
        let start = usize::try_from(reader.buffer_position()).ok()?;
        let event = reader.read_event().ok()?;
        let end = usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Start(element) => {
                let qualified = element.name().into_inner().to_owned();
                match (depth, element.local_name().into_inner()) {
                    (0, "Envelope") => {}
                    (1, "Header") => return Some((end, end, String::new(), String::new())),
                    (1, "Body") => {
                        let header = qualified.replace("Body", "Header");
                        return Some((start, start, format!("<{header}>"), format!("</{header}>")));
                    }
                    _ => return None,
                }
                depth += 1;
            }
            Event::Empty(element) => {
                let header = element.name().into_inner().to_owned();
                if depth != 1 || element.local_name().into_inner() != "Header" {
                    return None;
                }
                return Some((start, end, format!("<{header}>"), format!("</{header}>")));
            }
            Event::Text(_) | Event::Comment(_) | Event::Decl(_) => {}
            _ => return None,
        }
    }
}

/// The namespace prefix of the envelope, with its colon.
fn prefix(envelope: &str) -> Option<String> {
    let mut reader = Reader::from_str(envelope);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                let name = element.name().into_inner().to_owned();
                return Some(
                    name.split_once(':')
                        .map_or_else(String::new, |(prefix, _)| format!("{prefix}:")),
                );
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stands_in_the_header_whether_there_is_one_or_not() {
        for envelope in [
            "<e:Envelope xmlns:e='x'><e:Body><a/></e:Body></e:Envelope>",
            "<e:Envelope xmlns:e='x'><e:Header/><e:Body><a/></e:Body></e:Envelope>",
            "<?xml version='1.0'?>\n<e:Envelope xmlns:e='x'>\n <e:Header><b/></e:Header> <e:Body><a/></e:Body></e:Envelope>",
        ] {
            let signed = with_token(envelope, "isu@tenant", "a<b&\"c").unwrap();
            let (head, rest) = signed
                .split_once("<e:Header><wsse:Security e:mustUnderstand=\"1\"")
                .unwrap();
            assert!(head.contains("<e:Envelope xmlns:e='x'>"), "{signed:?}");
            assert!(
                rest.contains("<wsse:Username>isu@tenant</wsse:Username>"),
                "{signed:?}"
            );
            assert!(rest.contains(">a&lt;b&amp;&quot;c</wsse:Password>"), "{signed:?}");
            assert_eq!(rest.matches("</e:Header>").count(), 1);
            assert!(rest.ends_with("<e:Body><a/></e:Body></e:Envelope>"), "{signed:?}");
        }
    }

    #[test]
    fn what_is_no_envelope_gets_no_password() {
        for body in [
            "",
            "<a/>",
            "{}",
            "<Envelope><other/></Envelope>",
            "<Envelope>",
            "<!DOCTYPE a><Envelope><Body/></Envelope>",
        ] {
            assert_eq!(with_token(body, "u", "canary"), None, "{body}");
        }
    }
}
