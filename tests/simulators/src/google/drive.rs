//! Drive files as one user sees them. A suspended user's Drive can still be listed by delegation, not read.

use serde_json::{Value, json};

use super::{
    calls::{Call, Reply, invalid, not_found, refuse},
    state::{Domain, File},
};

const READ: [&str; 5] = [
    "drive",
    "drive.readonly",
    "drive.metadata",
    "drive.metadata.readonly",
    "drive.file",
];

pub(crate) fn serve(call: &Call<'_>, path: &[&str]) -> Reply {
    call.needs(&READ)?;
    let Some(me) = call.subject.as_deref() else {
        // A service account has a Drive of its own, with nothing in it.
        return call.page("files", "drive#fileList", Vec::new(), ("pageSize", 100, 1000));
    };
    match (call.method, path) {
        ("GET", ["files"]) => list(call, me),
        ("GET", ["files", id]) => call
            .look(|domain| {
                domain
                    .files
                    .get(*id)
                    .filter(|file| visible(file, me))
                    .map(|file| show(domain, file, me))
            })
            .ok_or_else(|| not_found(&format!("File not found: {id}."))),
        ("GET", ["about"]) => {
            if call.parameter("fields").is_none() {
                return Err(refuse(
                    400,
                    "required",
                    "The 'fields' parameter is required for this method.",
                ));
            }
            call.look(|domain| {
                domain
                    .users
                    .get(me)
                    .map(|user| json!({"kind": "drive#about", "user": {"emailAddress": user.email}}))
            })
            .ok_or_else(|| not_found("Not Found"))
        }
        _ => Err(not_found("Not Found")),
    }
}

fn list(call: &Call<'_>, me: &str) -> Reply {
    let terms = terms(call.parameter("q").unwrap_or_default()).ok_or_else(|| invalid("Invalid Value"))?;
    let all = call.look(|domain| {
        let files = domain.files.values().filter(|file| visible(file, me));
        let wanted = files.filter(|file| terms.iter().all(|term| matches(domain, file, term, me)));
        wanted.map(|file| show(domain, file, me)).collect()
    });
    let mut answer = call.page("files", "drive#fileList", all, ("pageSize", 100, 1000))?;
    answer["incompleteSearch"] = json!(false);
    if answer.get("files").is_none() {
        answer["files"] = json!([]);
    }
    Ok(answer)
}

enum Term {
    OwnedBy(String),
    Trashed(bool),
}

/// The part of the query language that is understood; none: the query is wrong, or of another part.
fn terms(query: &str) -> Option<Vec<Term>> {
    if query.trim().is_empty() {
        return Some(Vec::new());
    }
    query
        .split(" and ")
        .map(
            |term| match term.split_whitespace().collect::<Vec<_>>().as_slice() {
                [who, "in", "owners"] => Some(Term::OwnedBy(
                    who.strip_prefix('\'')?.strip_suffix('\'')?.replace("\\'", "'"),
                )),
                ["trashed", "=", "true"] => Some(Term::Trashed(true)),
                ["trashed", "=", "false"] => Some(Term::Trashed(false)),
                _ => None,
            },
        )
        .collect()
}

fn matches(domain: &Domain, file: &File, term: &Term, me: &str) -> bool {
    match term {
        Term::OwnedBy(who) if who == "me" => file.owner == me,
        Term::OwnedBy(who) => domain.user(who).is_some_and(|user| user.id == file.owner),
        Term::Trashed(wanted) => file.trashed == *wanted,
    }
}

fn visible(file: &File, me: &str) -> bool {
    file.owner == me || file.shared_with.iter().any(|user| user == me)
}

fn show(domain: &Domain, file: &File, me: &str) -> Value {
    let owner = domain.users.get(&file.owner).map(|user| user.email.clone());
    json!({
        "kind": "drive#file",
        "id": file.id,
        "name": file.name,
        "mimeType": "text/plain",
        "trashed": file.trashed,
        "ownedByMe": file.owner == me,
        "owners": [{"kind": "drive#user", "emailAddress": owner}],
        "shared": !file.shared_with.is_empty(),
    })
}
