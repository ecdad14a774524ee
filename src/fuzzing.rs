//! What holds for whatever strangers send, for the fuzz targets in `fuzz/`: each panics where it does not hold. The tests beside the parsers
//! try the same on what is right with a few changes.

use crate::{
    cli::manifests::document,
    connectors::{
        declarative::{hostile, xml},
        delimited, json,
        ldap::frame,
    },
};

/// A message of LDAP.
pub fn ber(bytes: &[u8]) {
    frame::takes(bytes);
}

/// A document that a system answers with.
pub fn xml(text: &str) {
    xml::takes(text);
}

/// An expression of a definition, a policy or a source.
pub fn expression(text: &str) {
    hostile::tried(text);
}

/// A table; the first byte chooses its shape.
pub fn table(shape: u8, text: &str) {
    delimited::takes(shape, text);
}

/// A file of manifests.
pub fn manifests(text: &str) {
    document::takes(text);
}

/// An answer in JSON.
pub fn json(bytes: &[u8]) {
    json::takes(bytes);
}
