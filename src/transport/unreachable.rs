//! Why there is no connection, found in whatever error a library wraps that into.

use std::{error::Error, io};

use super::{
    dial::Refusal,
    trust::{chain, untrusted},
};
use crate::core::fault::{Fault, Reason};

/// The code when nothing listens at the address.
pub const REFUSED: &str = "connection refused";
/// The code when there is no machine of that name.
pub const UNKNOWN_NAME: &str = "unknown name";
/// The code when nobody answered what the name stands for.
pub const NO_NAME_SERVER: &str = "no name server";
/// The code when whoever answered does not speak TLS.
pub const NOT_TLS: &str = "no TLS spoken there";
/// The code when the network has no way there.
pub const NO_ROUTE: &str = "no route";

/// The fault of a connection that was not made. Nothing was sent. The error's own text is not used: it holds addresses.
pub fn unreachable(error: &(dyn Error + 'static)) -> Fault {
    if let Some(refusal) = chain(error).find_map(|error| error.downcast_ref::<Refusal>()) {
        return refusal.fault();
    }
    untrusted(error).unwrap_or_else(|| {
        let fault = Fault::transient(Reason::Unreachable);
        match cause(error) {
            Some(code) => fault.with_code(code),
            None => fault,
        }
    })
}

fn cause(error: &(dyn Error + 'static)) -> Option<&'static str> {
    chain(error).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::InvalidMessage(_)) => Some(NOT_TLS),
        _ => of_io(error.downcast_ref()?),
    })
}

fn of_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => return Some(REFUSED),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => return Some(NO_ROUTE),
        _ => {}
    }
    // The standard library has no kind for names that are not found, only this text.
    let text = error.to_string();
    let said = text.strip_prefix("failed to lookup address information")?;
    Some(if said.contains("Temporary failure") {
        NO_NAME_SERVER
    } else {
        UNKNOWN_NAME
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kept_a_connection_from_being_made_is_told_apart_however_deep_it_is_wrapped() {
        let garbage = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let name = |why: &str| io::Error::other(format!("failed to lookup address information: {why}"));
        for (error, code) in [
            (io::Error::from(io::ErrorKind::ConnectionRefused), REFUSED),
            (io::Error::from(io::ErrorKind::HostUnreachable), NO_ROUTE),
            (io::Error::other(garbage), NOT_TLS),
            (name("Name or service not known"), UNKNOWN_NAME),
            (name("Temporary failure in name resolution"), NO_NAME_SERVER),
            (io::Error::from(io::ErrorKind::ConnectionReset), ""),
        ] {
            let wrapped = io::Error::other(error);
            let fault = unreachable(&wrapped);
            assert_eq!((fault.reason, fault.code.as_str()), (Reason::Unreachable, code));
            assert!(fault.passes_by_itself());
        }
    }
}
