//! A system that is talked to by files, and when a file of it is believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::connector::ConnectorLimits;

/// A system that is talked to by files over SFTP. Login: key `username` of the Secret with `privateKey` (and `passphrase`) or
/// `password`, or both where the server asks for both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SftpDriver {
    /// Template over `inputs`: host name.
    pub host: String,
    /// Template over `inputs`: port.
    pub port: String,
    /// Template over `inputs`: what every relative path is put behind. Default: where the login begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Template over `inputs`: the host keys to trust, one a line: as in `known_hosts`, as `ssh-keygen -l` prints them, or
    /// `SHA256:…`. Those in key `known_hosts` of the Secret are trusted too. Without any nothing is connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_keys: Option<String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: ConnectorLimits,
    /// How long one request may take, the transfer of its file included. Default `60s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s|m))+$"))]
    pub deadline: Option<String>,
}

/// A table in a file, a line for each row. Blanks around a value are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Csv {
    /// Template: the one character between two values; `\t` is a tab. Default: a comma.
    pub delimiter: String,
    /// Whether the first row has the names of the columns.
    pub header: bool,
    /// Templates. With a header: columns that must be there; if any are named, no others are kept. Without one: the names of
    /// all columns, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Template: how many lines there are before the table. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Whether values may be in double quotes.
    pub quotes: bool,
    /// Whether a value in quotes may have line breaks, as CSV allows. A quote that is not closed, or that swallowed a row, is
    /// refused in any case.
    pub line_breaks: bool,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            delimiter: ",".into(),
            header: true,
            columns: vec![],
            skip: None,
            quotes: true,
            line_breaks: true,
        }
    }
}

/// When a file is believed. A rule whose template is one hole that gives null does not apply. A file whose name begins with
/// a dot or ends in `.part`, `.partial`, `.filepart` or `.tmp` is never taken for one that matches a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Trust {
    /// Template: a file that is older is refused as stale: `26h`. The age is that of `date` where there is one, else of the
    /// file's last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Template: a file that was changed within this time is still being written: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
    /// Template: only a file is read beside which there is one of the same name with this behind it: `.done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The last line tells how many rows there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trailer: Option<Trailer>,
    /// The file says itself of which day or instant it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<FileDate>,
}

/// A last line that tells how many rows there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Trailer {
    /// Template: a regular expression for the whole line, whose first group is the number, such as `TRAILER;(\d+)`.
    pub pattern: String,
    /// Template: how many lines are counted that are no rows, such as the header and the trailer itself. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<String>,
}

/// Where a file says of which day or instant it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileDate {
    /// Where it stands.
    #[serde(rename = "in")]
    pub place: DatePlace,
    /// Template: a regular expression, whose first group is the date, such as `_(\d{8})`.
    pub pattern: String,
    /// Template: how the date is written, as in `strftime`: `%Y%m%d`.
    pub format: String,
    /// Template: the IANA time zone of a date that tells no offset. A date without a time is the beginning of that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Where a date stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatePlace {
    /// In the file's name. The newest file is then the one of the latest date.
    Name,
    /// In the first line.
    FirstLine,
    /// In the last line that is not empty.
    LastLine,
}
