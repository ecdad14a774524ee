//! Why a server's certificate was not trusted, found in whatever error a library wraps that into.

use std::{error::Error, io};

use rustls::CertificateError;

use crate::core::fault::{Fault, Reason};

/// The error, and what it wraps, from the outside to the inside.
pub(super) fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| {
        let error: &'e (dyn Error + 'static) = *error;
        // An I/O error hides what it wraps from `source`.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    })
}

/// The fault of a connection that failed because of the server's certificate; none when it failed for another reason.
pub fn untrusted(error: &(dyn Error + 'static)) -> Option<Fault> {
    chain(error).find_map(|error| match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let code = format_args!("certificate {}", word(why));
            Some(Fault::needs_decision(Reason::Untrusted).with_code(code))
        }
        _ => None,
    })
}

/// One word, never a name out of the certificate.
fn word(why: &CertificateError) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match why {
        // Signed by somebody of the same name as one whom we trust.
        UnknownIssuer | BadSignature => "UnknownIssuer",
        Expired | ExpiredContext { .. } => "Expired",
        NotValidYet | NotValidYetContext { .. } => "NotValidYet",
        NotValidForName | NotValidForNameContext { .. } => "NotValidForName",
        Revoked => "Revoked",
        _ => "Invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_not_trusted_is_found_however_deep_it_is_wrapped() {
        let why = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, why));
        let fault = Fault::needs_decision(Reason::Untrusted).with_code("certificate UnknownIssuer");
        assert_eq!(untrusted(&wrapped), Some(fault));
        let other = io::Error::other(rustls::Error::DecryptError);
        assert_eq!(untrusted(&other), None);
    }
}
