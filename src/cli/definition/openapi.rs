//! What a vendor's OpenAPI description (2.0 and 3.x, JSON or YAML) tells for a definition to begin with.
//!
//! # Why
//! A description names paths and fields; what they mean only a person knows. So what is found by its usual name is filled in, what
//! is not stays as in the template, and every guess is a line that can be read.

mod description;

use std::fmt::Write;

use serde_json::{Map, Value};

use self::description::Description;

/// What collections of people are called, the likeliest first.
const PEOPLE: [&str; 6] = ["users", "members", "accounts", "people", "employees", "user"];
/// What a durable id is called.
const IDS: [&str; 4] = ["id", "uuid", "guid", "uid"];
/// What a login name is called.
const NAMES: [&str; 5] = ["username", "login", "loginname", "name", "displayname"];
/// What an address is called.
const EMAILS: [&str; 5] = ["email", "mail", "emailaddress", "primaryemail", "useremail"];
/// Parameters that look for anything.
const SEARCHES: [&str; 4] = ["q", "query", "search", "filter"];
/// Fields that say whether somebody may log in, and the value that ends it.
const FLAGS: [(&str, bool); 11] = [
    ("active", false),
    ("isactive", false),
    ("enabled", false),
    ("accountenabled", false),
    ("disabled", true),
    ("suspended", true),
    ("blocked", true),
    ("locked", true),
    ("deactivated", true),
    ("prohibitlogin", true),
    ("deleted", true),
];
/// Words in the name of what belongs to a person, and the class that it has then.
const BELONGINGS: [(&str, &str); 12] = [
    ("session", "Sessions"),
    ("token", "Credentials"),
    ("key", "Credentials"),
    ("password", "Credentials"),
    ("factor", "Credentials"),
    ("credential", "Credentials"),
    ("grant", "Credentials"),
    ("group", "Entitlements"),
    ("role", "Entitlements"),
    ("team", "Entitlements"),
    ("membership", "Entitlements"),
    ("permission", "Entitlements"),
];
/// A definition called `name` of what `text` describes.
///
/// # Errors
/// It is no OpenAPI description, or it tells of no collection of people.
pub(super) fn drafted(name: &str, text: &str) -> Result<String, String> {
    let document: Value = serde_saphyr::from_str(text).map_err(|error| format!("not YAML: {error}"))?;
    let description = Description(&document);
    let paths = document.get("paths").and_then(Value::as_object);
    let paths = paths.ok_or("no OpenAPI description: it has no `paths`")?;
    let (collection, item) = people(paths).ok_or_else(|| {
        format!(
            "no path ends with one of {} and has an item below it",
            PEOPLE.join(", ")
        )
    })?;
    Ok(Draft::of(description, paths, collection, item).text(name))
}

/// The likeliest collection of people, and the path of one of them.
fn people(paths: &Map<String, Value>) -> Option<(&str, &str)> {
    let candidates = paths.keys().filter_map(|item| {
        let (collection, last) = item.trim_end_matches('/').rsplit_once('/')?;
        let word = collection.rsplit('/').next()?.to_lowercase();
        let rank = PEOPLE.iter().position(|known| *known == word)?;
        let listed = ["", "/"].iter().find_map(|end| {
            let (path, there) = paths.get_key_value(&format!("{collection}{end}"))?;
            there.get("get").map(|_| path)
        })?;
        let changes = ["patch", "put"]
            .iter()
            .any(|verb| paths[item].get(verb).is_some());
        let order = (collection.matches('{').count(), !changes, rank, item.len());
        last.starts_with('{').then_some((order, listed, item))
    });
    let (_, collection, item) = candidates.min_by(|a, b| a.0.cmp(&b.0))?;
    Some((collection, item))
}

/// Where one of the people at `item` is read: there, or at another path that ends alike.
fn shown<'p>(paths: &'p Map<String, Value>, item: &'p str) -> &'p str {
    let is_read = |path: &str| paths[path].get("get").is_some();
    let mut words = item.rsplitn(3, '/');
    let ending = (words.next(), words.next());
    let alike = paths.keys().filter(|path| {
        let mut words = path.rsplitn(3, '/');
        (words.next(), words.next()) == ending && is_read(path)
    });
    let other = || alike.min_by_key(|path| (path.matches('{').count(), path.len()));
    if is_read(item) {
        item
    } else {
        other().map_or(item, String::as_str)
    }
}

/// `name` as names are compared here.
fn plain(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

/// The name among `names` that is one of `known`, the likeliest first.
fn one_of<'n>(names: &[&'n str], known: &[&str]) -> Option<&'n str> {
    known
        .iter()
        .find_map(|known| names.iter().copied().find(|name| plain(name) == *known))
}

/// `name` as fields are read in expressions.
fn field(of: &str, name: &str) -> String {
    let mut letters = name.chars();
    let is_word = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if is_word {
        format!("{of}.{name}")
    } else {
        format!("{of}['{}']", name.replace('\'', "\\'"))
    }
}

/// `name` with a capital letter for each of its words.
fn titled(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// A text as YAML writes it, whatever is in it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What somebody has that a fact is about.
struct Belonging {
    name: String,
    list: String,
    items: Option<String>,
    delete: String,
    class: &'static str,
}

/// What is known of the system.
struct Draft {
    title: String,
    base: String,
    inputs: Vec<String>,
    finds: Vec<String>,
    items: Option<String>,
    id: String,
    name: String,
    email: Option<String>,
    user: String,
    /// Holds, and the request, with what takes it back.
    blocked: Option<(String, String, Option<String>)>,
    belongings: Vec<Belonging>,
}

impl Draft {
    fn of(description: Description<'_>, paths: &Map<String, Value>, collection: &str, item: &str) -> Self {
        let list = &paths[collection]["get"];
        let listed = description.list(description.answer(list));
        let (items, element) = listed.unwrap_or((None, &Value::Null));
        let shown = shown(paths, item);
        let one = description.answer(&paths[shown]["get"]);
        let mut names: Vec<&str> = description
            .properties(one, 3)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        if names.is_empty() {
            names = description
                .properties(element, 3)
                .into_iter()
                .map(|(name, _)| name)
                .collect();
        }
        let parameter = item
            .rsplit('{')
            .next()
            .unwrap_or_default()
            .trim_end_matches(['}', '/']);
        let by_name = names.iter().copied().find(|name| plain(name) == plain(parameter));
        let by_login = NAMES
            .contains(&plain(parameter).as_str())
            .then(|| one_of(&names, &NAMES))
            .flatten();
        let id = by_name
            .or(by_login)
            .or_else(|| one_of(&names, &IDS))
            .unwrap_or("id");
        let name = one_of(&names, &NAMES).unwrap_or("login");
        let email = one_of(&names, &EMAILS);
        let mut inputs: Vec<String> = vec![];
        let mut path = |path: &str, of: &str| {
            let parts = path.split('/').map(|part| match part.strip_prefix('{') {
                None => part.to_owned(),
                Some(part) => {
                    let input: String = plain(part);
                    if !inputs.contains(&input) {
                        inputs.push(input.clone());
                    }
                    format!("${{inputs.{input}}}")
                }
            });
            let before = parts.collect::<Vec<_>>().join("/");
            before + of
        };
        let collection_path = path(collection, "");
        let mut one_at = |item: &str| {
            let (before, _) = item.trim_end_matches('/').rsplit_once('/').unwrap_or_default();
            path(before, "/${account.id}")
        };
        let (changed, user) = (one_at(item), one_at(shown));
        let query = description.query(list);
        let by = |known: &[&str], who: &str| {
            let parameter = one_of(&query, known)?;
            let value = format!("${{who.{who}}}");
            Some(format!(
                "{{ list: {}, query: {{ {}: {} }} }}",
                quoted(&collection_path),
                quoted(parameter),
                quoted(&value)
            ))
        };
        let mut finds: Vec<String> = [
            by(&EMAILS, "email").or_else(|| by(&SEARCHES, "email")),
            by(&NAMES, "accountName"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if finds.is_empty() {
            finds.push(format!("{{ list: {} }}", quoted(&collection_path)));
        }
        let mut belongings = belongings(description, paths, (shown, &user), vec![]);
        if shown != item {
            belongings = self::belongings(description, paths, (item, &changed), belongings);
        }
        Self {
            title: description
                .0
                .pointer("/info/title")
                .and_then(Value::as_str)
                .unwrap_or("System")
                .to_owned(),
            base: description.base(),
            inputs,
            finds,
            items: items.map(|items| field("response.body", items)),
            id: field("item", id),
            name: field("item", name),
            email: email.map(|email| field("item", email)),
            blocked: blocked(description, paths, (item, &changed), &names),
            user,
            belongings,
        }
    }

    fn text(&self, name: &str) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line(
            "# Drafted from the system's OpenAPI description: read every line, and try it on a test account with",
        );
        line("# `offboard definition try`. `offboard definition explain` tells about every field.");
        line("apiVersion: offboard.dev/v1alpha1\nkind: ConnectorDefinition\nmetadata:");
        line(&format!("  name: {name}\nspec:"));
        line(&format!(
            "  title: {}",
            quoted(&self.title.chars().take(100).collect::<String>())
        ));
        line("  category: Other\n  criticality: Medium");
        line(
            "  # What the login must be allowed, in the system's own words: to read, to change, to delete accounts.",
        );
        line("  rights: { read: [read users], write: [change users] }\n  inputs:");
        line(
            "    url: { description: Address of the system., identifies: true, pattern: 'https?://[A-Za-z0-9.:-]+' }",
        );
        for input in &self.inputs {
            line(&format!(
                "    {input}: {{ description: Part of every path., identifies: true }}"
            ));
        }
        line(
            "  # The Secret of the Connector has the key `token`; it is sent as `Authorization: Bearer …`.\n  http:",
        );
        line(&format!(
            "    base: {}\n    auth: {{ bearer: {{}} }}",
            quoted(&format!("${{inputs.url}}{}", self.base))
        ));
        line(
            "    # How the system answers a list, which is read to its end: compare the pages with its description.",
        );
        let items = self
            .items
            .as_ref()
            .map(|items| format!("items: {}, ", quoted(items)));
        let next = "\"'link' in response.headers ? link(response.headers.link, 'next') : null\"";
        line(&format!(
            "    lists: {{ {}page: {{ next: {next} }} }}",
            items.unwrap_or_default()
        ));
        line("  account:\n    find:");
        for find in &self.finds {
            line(&format!("      - {find}"));
        }
        line("    # Never changes and is never given to somebody else: every change goes to it.");
        line(&format!("    id: {}", quoted(&format!("string({})", self.id))));
        line(&format!("    name: {}\n    keys:", quoted(&self.name)));
        if let Some(email) = &self.email {
            line(&format!("      email: {}", quoted(email)));
        }
        line(&format!(
            "      accountName: {}\n    shows: user\n  reads:",
            quoted(&self.name)
        ));
        line(&format!("    user: {{ get: {} }}", quoted(&self.user)));
        for one in &self.belongings {
            let items = one
                .items
                .as_ref()
                .map(|items| format!(", items: {}", quoted(items)));
            let (name, items) = (&one.name, items.unwrap_or_default());
            line(&format!(
                "    {}: {{ list: {}{items} }}",
                read_name(name),
                quoted(&one.list)
            ));
        }
        text + &self.facts()
    }

    fn facts(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push('\n');
        };
        line("  facts:\n    AccountDisabled:\n      class: Access");
        let (holds, act, undo) = self.blocked.clone().unwrap_or_else(|| {
            let request = |active| {
                format!(
                    "{{ patch: {}, json: {{ active: {active} }} }}",
                    quoted(&self.user)
                )
            };
            line(
                "      # The description has no field that says so: look in the system's own documentation.",
            );
            (
                "!reads.user.active".to_owned(),
                request(false),
                Some(request(true)),
            )
        });
        line(&format!("      holds: {}\n      act: [{act}]", quoted(&holds)));
        if let Some(undo) = undo {
            line(&format!("      undo: [{undo}]"));
        }
        line("      says: disable the account");
        for one in &self.belongings {
            let read = read_name(&one.name);
            line(&format!(
                "    {}Removed:\n      class: {}\n      after: [AccountDisabled]",
                one.name, one.class
            ));
            line(&format!(
                "      none: reads.{read}\n      act: [{{ delete: {} }}]",
                quoted(&one.delete)
            ));
            line(&format!(
                "      says: {}",
                quoted(&format!("remove ${{counted(count, '{read}')}}"))
            ));
        }
        text
    }
}

fn read_name(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

/// Whether somebody is barred, what bars them, and what takes that back, of the person at `user`, in the description at `item`.
fn blocked(
    description: Description<'_>,
    paths: &Map<String, Value>,
    (item, user): (&str, &str),
    names: &[&str],
) -> Option<(String, String, Option<String>)> {
    let flag = |names: &[&str]| {
        FLAGS
            .iter()
            .find_map(|(flag, ends)| Some((one_of(names, &[flag])?.to_owned(), *ends)))
    };
    let shown = |flag: &str, ends: bool| {
        let field = field("reads.user", flag);
        if ends { field } else { format!("!{field}") }
    };
    for verb in ["patch", "put"] {
        let Some(operation) = paths[item].get(verb) else {
            continue;
        };
        let body = description.properties(description.body(operation), 3);
        let body: Vec<&str> = body.into_iter().map(|(name, _)| name).collect();
        if let Some((name, ends)) = flag(&body) {
            let request = |value| {
                format!(
                    "{{ {verb}: {}, json: {{ {}: {value} }} }}",
                    quoted(user),
                    quoted(&name)
                )
            };
            return Some((shown(&name, ends), request(ends), Some(request(!ends))));
        }
    }
    let (name, ends) = flag(names)?;
    let actions = ["deactivate", "disable", "suspend", "block", "lock"];
    let path = actions.iter().find_map(|action| {
        let here = |path: &&String| {
            let below = path.strip_prefix(item);
            below.is_some_and(|below| below.ends_with(&format!("/{action}")) && !below.contains('{'))
        };
        let path = paths.keys().find(here)?;
        paths[path].get("post").map(|_| &path[item.len()..])
    })?;
    let mut request = String::new();
    write!(request, "{{ post: {} }}", quoted(&format!("{user}{path}"))).ok()?;
    Some((shown(&name, ends), request, None))
}

/// `all`, and what is listed below the person at `user`, in the description at `item`, and can be removed one by one.
fn belongings(
    description: Description<'_>,
    paths: &Map<String, Value>,
    (item, user): (&str, &str),
    mut all: Vec<Belonging>,
) -> Vec<Belonging> {
    for (path, operations) in paths {
        let below = path.strip_prefix(item).and_then(|below| below.strip_prefix('/'));
        let Some(below) = below.filter(|below| !below.is_empty() && !below.contains(['/', '{'])) else {
            continue;
        };
        let word = plain(below);
        let Some((_, class)) = BELONGINGS.iter().find(|(part, _)| word.contains(part)) else {
            continue;
        };
        let single = paths.iter().find(|(one, of)| {
            let parameter = one
                .strip_prefix(path.as_str())
                .and_then(|one| one.strip_prefix("/{"));
            parameter.is_some_and(|one| one.find('}') == Some(one.len() - 1)) && of.get("delete").is_some()
        });
        let (Some(get), Some((single, _))) = (operations.get("get"), single) else {
            continue;
        };
        let Some((items, element)) = description.list(description.answer(get)) else {
            continue;
        };
        let parameter = single
            .rsplit('{')
            .next()
            .unwrap_or_default()
            .trim_end_matches('}');
        let names: Vec<&str> = description
            .properties(element, 3)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let id = one_of(&names, &[&plain(parameter)])
            .or_else(|| one_of(&names, &IDS))
            .unwrap_or("id");
        let name = titled(below);
        let starts_with_a_letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
        if starts_with_a_letter && all.iter().all(|one| one.name != name) {
            all.push(Belonging {
                name,
                list: format!("{user}/{below}"),
                items: Some(items.map_or_else(
                    || "response.body".to_owned(),
                    |items| field("response.body", items),
                )),
                delete: format!("{user}/{below}/${{string({})}}", field("item", id)),
                class,
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::declarative::check_file;

    const DESCRIPTION: &str = r#"
openapi: 3.0.0
info: { title: "Acme: chat" }
servers: [{ url: https://chat.example/api/v2 }]
paths:
  /teams/{team}/members: { get: {} }
  /teams/{team}/members/{member}: { put: {} }
  /users:
    get:
      parameters: [{ name: email, in: query }, { $ref: '#/components/parameters/login' }]
      responses: { '200': { content: { application/json: { schema: { properties: { users: { type: array, items: { $ref: '#/components/schemas/User' } } } } } } } }
  /users/{userId}:
    get: { responses: { '200': { content: { application/json: { schema: { $ref: '#/components/schemas/User' } } } } } }
    patch: { requestBody: { content: { application/json: { schema: { properties: { suspended: { type: boolean } } } } } } }
  /users/{userId}/access-tokens:
    get: { responses: { '200': { content: { application/json: { schema: { type: array, items: { properties: { token_id: {} } } } } } } } }
  /users/{userId}/access-tokens/{tokenId}: { delete: {} }
  /users/{userId}/posts: { get: {} }
components:
  parameters: { login: { name: login, in: query } }
  schemas:
    Base: { properties: { id: {}, login: {} } }
    User: { allOf: [{ $ref: '#/components/schemas/Base' }, { properties: { mail: {}, suspended: {} } }] }
"#;

    #[test]
    fn what_a_description_tells_is_filled_in() {
        let text = drafted("acme", DESCRIPTION).unwrap();
        let checked = check_file(&text);
        let definition = checked[0]
            .as_ref()
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let spec = definition.spec();
        assert_eq!(spec.title, "Acme: chat");
        assert_eq!(spec.http.as_ref().unwrap().base, "${inputs.url}/api/v2");
        let account = spec.account.as_ref().unwrap();
        let keys: Vec<_> = account.find.iter().flat_map(|find| find.query.iter()).collect();
        let wanted = [("email", "${who.email}"), ("login", "${who.accountName}")];
        assert!(
            keys.iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .eq(wanted)
        );
        assert_eq!(account.find[0].items.as_deref(), Some("response.body.users"));
        assert_eq!(
            (account.id.as_str(), account.name.as_str()),
            ("string(item.id)", "item.login")
        );
        assert_eq!(account.keys.email.as_deref(), Some("item.mail"));
        assert_eq!(
            spec.facts["AccountDisabled"].holds.as_deref(),
            Some("reads.user.suspended")
        );
        let tokens = &spec.facts["AccessTokensRemoved"];
        let delete = tokens.act[0].delete.as_deref();
        assert_eq!(
            delete,
            Some("/users/${account.id}/access-tokens/${string(item.token_id)}")
        );
        assert_eq!(spec.facts.len(), 2, "posts are nobody's access");
    }

    /// People are changed at one path and read at another, by their login names.
    #[test]
    fn who_is_read_elsewhere_is_read_there() {
        let text = drafted(
            "forge",
            r#"
swagger: "2.0"
basePath: /api/v1
paths:
  /admin/users: { get: {} }
  /admin/users/{username}:
    patch: { parameters: [{ in: body, schema: { properties: { active: {} } } }] }
  /admin/users/{username}/keys: { get: { responses: { '200': { schema: { type: array, items: {} } } } } }
  /admin/users/{username}/keys/{id}: { delete: {} }
  /users/{username}: { get: { responses: { '200': { schema: { properties: { id: {}, login: {}, active: {} } } } } } }
"#,
        )
        .unwrap();
        let checked = check_file(&text);
        let definition = checked[0]
            .as_ref()
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let spec = definition.spec();
        assert_eq!(spec.account.as_ref().unwrap().id, "string(item.login)");
        assert_eq!(spec.reads["user"].get.as_deref(), Some("/users/${account.id}"));
        let disabled = &spec.facts["AccountDisabled"].act[0];
        assert_eq!(disabled.patch.as_deref(), Some("/admin/users/${account.id}"));
        let keys = &spec.facts["KeysRemoved"].act[0];
        let delete = keys.delete.as_deref();
        assert_eq!(delete, Some("/admin/users/${account.id}/keys/${string(item.id)}"));
    }

    #[test]
    fn what_is_no_description_or_knows_nobody_is_refused() {
        assert!(drafted("x", "a: [").unwrap_err().starts_with("not YAML"));
        assert!(drafted("x", "{}").unwrap_err().contains("it has no `paths`"));
        assert!(
            drafted("x", "paths: { /pets: { get: {} } }")
                .unwrap_err()
                .contains("no path ends with")
        );
    }

    /// What vendors publish, where it is beside the project.
    #[test]
    fn what_vendors_publish_gives_sound_definitions() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/specs");
        for name in [
            "asana",
            "gitea",
            "gitlab",
            "jira",
            "keycloak",
            "okta",
            "pagerduty",
            "sentry",
        ] {
            let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.json"))) else {
                continue;
            };
            let text = match drafted("drafted", &text) {
                Ok(text) => text,
                Err(why) => {
                    assert!(why.contains("no path ends with"), "{name}: {why}");
                    continue;
                }
            };
            let checked = check_file(&text);
            assert!(
                checked[0].is_ok(),
                "{name}: {:?}\n{text}",
                checked[0].as_ref().err()
            );
        }
    }
}
