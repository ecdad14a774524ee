//! The tables: code, cause, fix, one table for each driver and one for each of what they share.
//!
//! The first line that fits counts, so what is special comes before what is general. A cause without a fix passes by itself.

use super::Remedy;
use crate::core::{
    fault::Reason,
    identity::{ANOTHER_ACCOUNT, BY_NAME_ONLY, CAME_LATER, DOUBTFUL, FOUND_BEFORE, NEVER_FOUND, NO_WAY},
};

/// A table: codes, for which reason if it matters, the cause, and the fix.
macro_rules! table {
    ($name:ident: $($($code:expr),+ $(; $reason:ident)? => $cause:literal, $fix:literal;)+) => {
        const $name: &[Remedy] = &[$(Remedy {
            codes: &[$($code),+],
            reason: table!(@ $($reason)?),
            cause: $cause,
            fix: $fix,
        }),+];
    };
    (@) => { None };
    (@ $reason:ident) => { Some(Reason::$reason) };
}

/// Every table, with what it is about.
pub(super) const TABLES: &[(&str, &[Remedy])] = &[
    ("identity", IDENTITY),
    ("store", STORE),
    ("connection", CONNECTION),
    ("http", HTTP),
    ("ldap", LDAP),
    ("postgresql", POSTGRESQL),
    ("mysql", MYSQL),
    ("sql", SQL),
    ("sftp", SFTP),
    ("job", JOB),
    ("definition", DEFINITION),
];

table! { IDENTITY:
    FOUND_BEFORE; NotFoundUncorroborated =>
        "there was an account and no key finds it now", "find it there, and name it in a new Offboarding";
    NEVER_FOUND; NotFoundUncorroborated =>
        "nobody there has the login name that spec.employee.accounts gives", "correct it in a new Offboarding, or leave it out";
    NO_WAY =>
        "spec.employee has nothing that this system looks for", "add it in a new Offboarding";
    BY_NAME_ONLY =>
        "nobody gave a login name there", "name the account in a new Offboarding, or waive the facts of who has none";
    CAME_LATER =>
        "the account is newer than the last day", "keep it with spec.exceptions, or name it in a new Offboarding";
    "*disagrees" =>
        "the account has another one", "correct it there, or name the account in a new Offboarding";
    ANOTHER_ACCOUNT =>
        "the row names it", "keep it with a waiver of NoOtherAccount, or name it in a new Offboarding";
    DOUBTFUL =>
        "the row names it", "name it in a new Offboarding if it is theirs, else waive the facts there";
    "* accounts" =>
        "the row names the accounts", "name those that are theirs in a new Offboarding";
    "manager" =>
        "the directory names several managers", "name who takes over in spec.transfers";
    "last *"; Protected =>
        "nobody else could run the system", "give somebody else this right there";
}

table! { CONNECTION:
    "connection refused" =>
        "nothing listens there", "check address and port in spec.inputs, and whether the system runs";
    "unknown name" =>
        "no machine has the name in spec.inputs", "correct it, or the name server";
    "no name server" =>
        "nobody answers what the name stands for", "check the name server";
    "no TLS spoken there" =>
        "what listens there speaks no TLS", "check port and scheme in spec.inputs";
    "no route" =>
        "the network has no way there", "check routes and network policies";
    "no TLS" =>
        "the server offers no StartTLS", "use ldaps, or switch TLS on there";
    "unencrypted" =>
        "it has http, which shows passwords to the network", "use https, or spec.insecure: true";
    "host *"; DestinationRefused =>
        "its answer leads to a host that the Secret does not name, whose SHA-256 begins so",
        "add it to the Secret's annotation offboard.dev/hosts, if it is right";
    "egress *"; DestinationRefused =>
        "nothing may connect to such an address", "if a system is there, open its network with --allow-egress (chart: egress.allow)";
    "no host"; DestinationRefused =>
        "it is no address of a machine", "correct spec.inputs";
    "temporary folder" =>
        "nothing can be written to the folder for temporary files", "make it writable, or set TMPDIR";
    "no LDAP spoken there" =>
        "what it sent is no LDAP", "check the address in spec.inputs, and the server";
    "certificate Expired" =>
        "its certificate is over", "renew it there";
    "certificate NotValidYet" =>
        "its certificate is not valid yet", "check both clocks, and the certificate there";
    "certificate NotValidForName" =>
        "its certificate is for another name", "use that name in spec.inputs, or renew it there with this one";
    "certificate Revoked" =>
        "its certificate was revoked", "renew it there";
    "certificate UnknownIssuer" =>
        "", "put the authority that signed it into key ca.crt of the Connector's secretRef";
    "certificate *" =>
        "its certificate cannot be used", "renew it there";
    "host key changed", "host key unknown" =>
        "the server shows another key than the pinned one", "ask its keeper, then pin the new key";
    "host key *" =>
        "the server's key is not one that is pinned", "ask its keeper which one is right, and pin that";
    "ssh algorithms" =>
        "server and client have no algorithm in common", "switch on a current one there";
    "no way to log in" =>
        "the Secret has neither privateKey nor password", "add one of them";
    "publickey", "password" =>
        "the server refuses this login", "renew the Secret that spec.secretRef names, or allow this way there";
    "sftp subsystem" =>
        "the account may not use SFTP", "allow it there";
    "privateKey" =>
        "its key privateKey cannot sign", "renew the Secret that spec.secretRef names";
    "header" =>
        "the login has a character that no header may have", "renew the Secret that spec.secretRef names";
    "random" =>
        "the machine gives no random numbers", "";
    "token" =>
        "the token endpoint answers without a token", "check its address in spec.inputs";
    "token 40*" =>
        "the token endpoint refuses the login", "renew the Secret, or allow the client what the definition's rights name";
    "token *" =>
        "the token endpoint does not serve now", "";
}

table! { HTTP:
    "301", "301 *", "302", "302 *", "303", "303 *", "307", "307 *", "308", "308 *" =>
        "it answers from elsewhere: a digest is that of the host",
        "set the address in spec.inputs to where it is; a login page means that it wants another login";
    "400", "400 *", "422", "422 *" =>
        "it finds the change wrong, often for another attribute of the account", "mend the one that the code or its own log names";
    "401", "401 *" =>
        "it refuses the login", "renew the Secret that spec.secretRef names";
    "403", "403 *" =>
        "the login lacks a right", "give it what the definition's rights name, there";
    "404 reads.*", "410 reads.*" =>
        "what this read asks for is not there, or the account is gone",
        "look for the account there; else spec.inputs.url is wrong, or it has no such part";
    "404 *", "410 *" =>
        "what is asked for is not there, or the account is gone", "look for the account there, and check spec.inputs.url";
    "404", "410" =>
        "the account or what was to be changed is gone", "look for it there, and check spec.inputs.url";
    "405", "405 *", "501", "501 *" =>
        "it has no such operation", "check spec.inputs.url and its version";
    "406", "406 *", "415", "415 *" =>
        "it speaks another format", "check spec.inputs.url and its version";
    "408", "408 *", "425", "425 *" =>
        "it gave up waiting", "";
    "409", "409 *", "412", "412 *", "423", "423 *" =>
        "somebody else changes it now", "";
    "413", "413 *" =>
        "it takes no request of this size", "raise its limit there";
    "429", "429 *" =>
        "it wants to be asked less often", "";
    "500", "500 *", "502", "502 *", "503", "503 *", "504", "504 *", "507", "507 *", "529", "529 *" =>
        "it does not serve now", "";
    "2*"; Malformed =>
        "the answer is not JSON", "check that spec.inputs leads to the API, not to a page for people";
    "2*", "4*", "5*"; Incomplete =>
        "the connection broke in the middle of an answer", "";
    // SCIM: RFC 7644, section 3.12.
    "invalidPath", "noTarget" =>
        "it takes no change by such a path", "set spec.inputs.patch: false, so that users and groups are written whole";
    "mutability" =>
        "it lets nobody change this", "change it in the system that masters it, or skip the fact in spec.facts";
    "invalidFilter", "tooMany" =>
        "it does not take the filter", "check spec.inputs: everything can be read instead";
    "invalidValue", "invalidSyntax", "uniqueness" =>
        "it finds the change wrong, often for another attribute of the account", "mend the one that its own log names";
    "unlisted code *"; OperationFailed =>
        "it tried and failed", "its own log has the code, whose SHA-256 begins so: list it in the definition's http.codes";
    "unlisted code *"; Refused =>
        "it has a rule against it", "its own log has the code, whose SHA-256 begins so: list it in the definition's http.codes";
    "url" =>
        "the address is none", "correct it in spec.inputs";
    "method", "json", "envelope", "webhook-id" =>
        "the definition's request cannot be sent", "check the definition";
}

table! { LDAP:
    "ldap 2", "ldap 3", "ldap 4", "ldap 11", "no last page" =>
        "the server cuts the list",
        "raise size and time limits of the Connector's account there (OpenLDAP: limits … size.prtotal=unlimited)";
    "range" =>
        "the values of one attribute came in part only", "";
    "ldap 8", "ldap 13" =>
        "the server wants a safer connection", "use ldaps";
    "ldap 10" =>
        "the entry is on another server", "set spec.inputs.url to the one that holds it";
    "ldap 16", "ldap 20" =>
        "somebody else changes it now", "";
    "ldap 17", "ldap 65" =>
        "the server's schema has no such attribute for this entry", "extend the schema, or skip the fact in spec.facts";
    "ldap 19", "ldap 19 *" =>
        "a rule of the server forbids the value, such as a password policy", "check that rule there";
    "ldap 21" =>
        "the server takes no such value", "check the definition";
    "ldap 34" =>
        "a name in spec.inputs is no DN", "correct it";
    "ldap 0", "ldap 32" =>
        "the entry is not there", "look for the account there, and check the base in spec.inputs";
    "ldap 32 *", "ldap 48*" =>
        "the server knows no such login", "correct username in the Secret that spec.secretRef names";
    "ldap 49 data 533" =>
        "the Connector's account is disabled", "enable it there";
    "ldap 49 data 532", "ldap 49 data 773" =>
        "the password of the Connector's account is over", "renew it and the Secret";
    "ldap 49 data 701" =>
        "the Connector's account has expired", "extend it there";
    "ldap 49 data 775" =>
        "the Connector's account is locked", "unlock it there, and renew the Secret";
    "ldap 49*" =>
        "the server refuses the login", "renew the Secret that spec.secretRef names";
    "ldap 50*" =>
        "the Connector's account lacks a right there", "give it what the definition's rights name";
    "ldap 53*" =>
        "the server is not willing, by a rule of its own or for want of encryption", "check that rule there; use ldaps";
    "ldap 64", "ldap 66", "ldap 67", "ldap 69" =>
        "the tree does not allow this change", "check the place of the entry there";
    "ldap 68", "ldap 68 *" =>
        "an entry of this name is there already", "rename or move that one, in the unit that the account moves to";
    "ldap 1", "ldap 51", "ldap 52", "ldap 80" =>
        "the server does not serve now", "";
    "ldap *" =>
        "the server refuses it by a rule of its own", "its log says which";
    "empty modify", "dn", "entry", "page" =>
        "the server's answer is not what LDAP allows", "check that spec.inputs.url is a directory";
}

table! { POSTGRESQL:
    "28000*", "28P01*" =>
        "the server refuses the login", "renew the Secret, or allow it in pg_hba.conf";
    "42501 successor lacks *" =>
        "without it the objects cannot become the successor's", "grant it to the successor there";
    "42501 connector lacks *" =>
        "without it this cannot be done", "grant it to the Connector's account there";
    "42501 only *" =>
        "DROP OWNED takes only what the Connector may", "let that role revoke it, or grant it to the Connector's account there";
    "42501*" =>
        "a right is missing: the Connector's, or CREATE on the schema for the successor who takes the objects over",
        "grant it in that database";
    "0LP01 *" =>
        "who the code names has the right from the leaver, and the Connector has it from them", "let another role grant it there";
    "0LP01*" =>
        "the right came from another grantor, whom the Connector cannot speak for", "make it a member of that role";
    "3D000*" =>
        "there is no such database", "correct spec.inputs";
    "42704*" =>
        "there is no such role", "look for it there";
    "2BP01*" =>
        "others depend on it: objects in other databases, or rights that were passed on", "hand those over or drop them there";
    "55006*" =>
        "it is in use", "";
    "40001*", "40P01*", "55P03*", "XX000*" =>
        "somebody else changes it now", "";
    "57014*" =>
        "the statement took too long", "";
    "08*", "53*", "57P*" =>
        "the server does not serve now", "";
    "42601*" =>
        "the definition's statement is not this server's SQL", "check the definition and the version";
}

table! { MYSQL:
    "1045*", "1698*", "4151*" =>
        "the server refuses the login", "renew the Secret, or the account's host there";
    "1044*", "1142*", "1143*", "1227*", "1370*" =>
        "the Connector's account lacks a right", "grant what the definition's rights name";
    "1049*" =>
        "there is no such database", "correct spec.inputs";
    "1064*" =>
        "the definition's statement is not this server's SQL", "check the definition and the version";
    "1205*", "1213*" =>
        "somebody else changes it now", "";
    "1969*", "3024*" =>
        "the statement took too long", "";
    "1040*", "1053*", "1203*", "1226*", "1317*", "1927*", "1037*", "1038*", "1041*", "1129*" =>
        "the server does not serve now", "";
}

table! { SQL:
    "column *" =>
        "a column has a type that cannot be read", "let the definition cast it to text";
    "database" =>
        "the name of a database is empty", "check the definition";
    "parameter", "placeholder *", "unknown placeholder", "second statement", "open quote", "identifier*", "literal" =>
        "the definition's statement cannot be sent with these values", "check the definition";
}

table! { SFTP:
    "sftp 2" =>
        "there is no such file or folder", "check the path in spec.inputs";
    "sftp 3" =>
        "the account may not read or write there", "give it the right there";
    "sftp 6", "sftp 7", "sftp limit" =>
        "the connection broke", "";
    "sftp", "sftp *" =>
        "the server refuses it", "its log says why";
    "still written" =>
        "the file is being written", "";
    "stale" =>
        "the newest file is older than the definition believes", "see why no newer one comes";
    "dated ahead" =>
        "the file is dated in the future", "check the clock of whoever writes it";
    "no date", "date", "pattern", "zone" =>
        "the file has no date where the definition looks for one", "check the name or the pattern in spec.inputs";
    "no trailer", "no count in trailer", "trailer counts other rows", "quote not closed*", "a row inside quotes*" =>
        "the file is cut", "have it written again";
    "no table", "no header", "no column *", "two columns of one name", "delimiter", "row *", "values in row *", "line break in row *", "rows" =>
        "the table is not what spec.inputs says", "check columns, delimiter and header";
    "not UTF-8", "letter not in Latin1" =>
        "the file has another encoding", "set the encoding in spec.inputs";
    "not a file", "path" =>
        "the path leads to no file", "check it in spec.inputs";
    "too many files" =>
        "the folder has more files than are read", "have old ones taken away";
}

table! { JOB:
    "exit 126", "exit 127", "not started" =>
        "the program cannot be started", "check its path or image in the definition";
    "exit 137", "signal 9" =>
        "the program was killed, mostly for want of memory", "raise its limit";
    "exit *", "signal *" =>
        "the program failed", "see its log";
    "output", "run" =>
        "the program's answer is not JSON, or there is none", "see its log";
    "input", "job" =>
        "the program's input cannot be made", "check the definition";
    "secret" =>
        "the Secret lacks a key that the program needs", "add it to the one that spec.secretRef names";
    "working folder" =>
        "no working folder can be made", "make room on this machine";
    "namespace" =>
        "the Connector has no namespace to run a Job in", "run it in a cluster";
    "job deleted", "pod lost", "job runs on" =>
        "the Job went or did not end in time", "";
    "kubernetes 403" =>
        "the operator may not make Jobs here", "switch jobs on in the chart";
    "kubernetes 413", "kubernetes 422" =>
        "the API server does not take the Job", "check the definition";
    "kubernetes *" =>
        "the API server does not serve now", "";
}

table! { STORE:
    "StorageFull", "QuotaExceeded"; StoreUnavailable =>
        "the disk of the state folder is full", "make room there";
    "PermissionDenied", "ReadOnlyFilesystem"; StoreUnavailable =>
        "the state folder cannot be written", "give the right to";
    "413*", "500*"; StoreUnavailable =>
        "the API server does not take the record, which may be too large for one object", "see its log";
    "record too large"; StoreUnavailable =>
        "the record has grown beyond all that is kept of a leaver", "waive what is left, and begin anew with another Offboarding";
    "only to look", "lease lost", "timeout", "no answer"; StoreUnavailable =>
        "", "";
}

table! { DEFINITION:
    "next page on another host" =>
        "the next page is on another host, where no login goes", "set spec.inputs.url to the address that the system calls itself";
    "too large" =>
        "an answer is larger than is read", "raise largestAnswer in the definition, or let it ask for less";
    "header too long" =>
        "a header of the answer is longer than any of a system", "check what answers at the address in spec.inputs";
    "too many values" =>
        "the answer has more values than any of a system", "check what answers at the address in spec.inputs";
    "too much at once" =>
        "other large answers take the memory", "";
    "too much" =>
        "all pages together are more than is read", "let the definition ask for less";
    "moved" =>
        "the list changed while it was read", "";
    "short", "repeated page", "endless" =>
        "the pages do not add up to the list", "check the paging in the definition";
    "no effect" =>
        "it was accepted and nothing has changed", "find out there what gives it back";
    "no act" =>
        "", "";
    "internal error"; Malformed =>
        "internal error while handling the answer of the system", "see the log of offboard, and report it";
    "people", "people.everyone" =>
        "the definition cannot list people", "name another one";
    "dueIn" =>
        "how long the task may take is no length of time", "correct spec.inputs";
    "driver", "act" =>
        "the definition's request cannot be sent", "check the definition";
    "facts.*", "reads.*", "values.*", "account.*", "people.*", "http.*",
        "ldap.*", "sql.*", "sftp.*", "job.*", "manual.*", "successor.*"; Malformed =>
        "the definition does not fit what the system answers at this place", "mend that expression or request in the definition";
}

/// What a reason alone says, where no code says more. What mostly passes by itself has no text.
pub(super) const REASONS: &[(Reason, &str)] = &[
    (
        Reason::Unreachable,
        "check the address in the Connector's spec.inputs, and the network",
    ),
    (
        Reason::Timeout,
        "no complete answer in time, tried again: if it stays, check spec.inputs",
    ),
    (
        Reason::Untrusted,
        "put the authority that signed it into key ca.crt of the Connector's secretRef",
    ),
    (
        Reason::CredentialRejected,
        "renew the Secret that the Connector's spec.secretRef names",
    ),
    (
        Reason::PermissionDenied,
        "give the Connector's account the right that this needs",
    ),
    (
        Reason::NotFoundUncorroborated,
        "the account is gone and nothing says why: look for it there",
    ),
    (
        Reason::FilterIgnored,
        "it answers with others than were asked for: its filter or this way is not usable",
    ),
    (
        Reason::NotShown,
        "the answer lacks what proves it: let this login see that, or prove it in another way",
    ),
    (
        Reason::Ambiguous,
        "the row names the accounts: name those that are theirs in a new Offboarding",
    ),
    (
        Reason::Protected,
        "the Connector's spec.protected or its definition forbids it: end it by hand",
    ),
    (
        Reason::OthersAffected,
        "it took others out of a group too, so nothing more is sent: let the Connector ask otherwise, or waive it",
    ),
    (
        Reason::Refused,
        "the system has a rule against it: its code says which",
    ),
    (
        Reason::Malformed,
        "the answer is not what the definition expects: check the definition, and spec.inputs",
    ),
    (
        Reason::Incomplete,
        "the answer was cut, endless or too large: check spec.inputs and the definition",
    ),
    (
        Reason::ConnectorGone,
        "apply the Connector again, or waive each fact by an Approval",
    ),
    (
        Reason::FactGone,
        "its definition, spec.facts.skip or an answer of the system took it away: bring it back, or waive it by an Approval",
    ),
    (
        Reason::SystemChanged,
        "spec.inputs leads to another system than the account is in: set it back, or make another Connector",
    ),
    (
        Reason::NoSuccessor,
        "name somebody with an active account there in spec.transfers",
    ),
    (
        Reason::IdentityMismatch,
        "it shows another account than the bound one: find out there what became of it",
    ),
    (
        Reason::OperationFailed,
        "it was accepted and failed later: see its log",
    ),
];
