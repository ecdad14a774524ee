//! Reads a folder of manifests: the same objects that would be applied to a cluster.
//!
//! # Why
//! What is wrong with one file or object stops what rests on it and nothing else, so all of it is collected, with its place. A
//! Connector that cannot be read is still a system in which somebody may have access: it stays, as broken.

pub(crate) mod document;
mod files;
mod kinds;
mod schema;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use self::{
    document::{Document, documents, segments},
    files::Files,
    kinds::{Meaning, OURS, meaning, name_fits},
};
use super::{
    approvals::Found,
    terminal::{one_line, tell},
};
use crate::{
    api::{Approval, Connector, ConnectorDefinition, ConnectorSpec, Offboarding, OffboardingPolicy},
    connectors::declarative::builtin,
    core::digest::digest_of,
    transport::{
        destination::{DEFINITIONS, HOSTS},
        secret::Credentials,
    },
};

/// A manifest that is larger than this, in bytes, is a mistake.
const LARGEST: u64 = 16 << 20;
/// And so are manifests that are larger than this together.
const LARGEST_ALL: u64 = 32 << 20;
/// As many objects are read from a folder.
const MOST_OBJECTS: usize = 100_000;
/// Where as much has to be mended, something is wrong with the folder, and not with what is in it.
const MOST_PROBLEMS: usize = 1_000;

/// Something in a folder that has to be mended, and why; it is not used, but where that would leave somebody with access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or folder.
    pub file: PathBuf,
    /// The line of the file, counted from 1.
    pub line: Option<u64>,
    /// Kind and name of the object, as far as they are known.
    pub object: String,
    /// What is wrong, and how to mend it.
    pub text: String,
    /// It is used all the same.
    pub used: bool,
}

impl Problem {
    fn new(file: &Path, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            object: String::new(),
            text: text.into(),
            used: false,
        }
    }

    /// The line for people: whether the object is used, and what is wrong.
    fn message(&self) -> String {
        if self.used {
            format!("used all the same: {self}")
        } else {
            format!("not used: {self}")
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.object.is_empty() {
            write!(f, ": {}", self.object)?;
        }
        write!(f, ": {}", self.text)
    }
}

impl std::error::Error for Problem {}

/// Everything that a folder says.
#[derive(Default)]
pub struct Manifests {
    /// The leavers.
    pub offboardings: Vec<Offboarding>,
    /// The connectors, by name; those too that cannot be used, without their spec.
    pub connectors: BTreeMap<String, Connector>,
    /// The policies, by name.
    pub policies: BTreeMap<String, OffboardingPolicy>,
    /// Users' own definitions, by name.
    pub definitions: BTreeMap<String, ConnectorDefinition>,
    /// What people said, whether anybody vouches for it or not.
    pub approvals: Vec<Found>,
    /// Secrets, by name.
    pub secrets: BTreeMap<String, Credentials>,
    /// What is not used, and why.
    pub problems: Vec<Problem>,
    /// What means nothing here: objects that others read, and files that are no manifests.
    pub ignored: Vec<String>,
    /// By kind and name: what cannot be used.
    broken: BTreeMap<(&'static str, String), Broken>,
    /// By kind and name: where it was read first.
    origins: BTreeMap<(&'static str, String), PathBuf>,
    /// How much was read, in bytes.
    size: u64,
    /// How many documents, and objects in lists, were read.
    objects: usize,
}

/// An object that cannot be used.
#[derive(Debug, Clone)]
struct Broken {
    why: String,
    /// A policy that would be chosen for nobody who does not name it.
    only_by_name: bool,
    /// A Connector whose labels are known.
    labelled: bool,
}

/// Where an object stands.
struct Place<'d> {
    file: &'d Path,
    document: &'d Document<'d>,
    /// Its path inside the document.
    path: Vec<Segment>,
}

impl Manifests {
    /// Reads every `*.yaml`, `*.yml` and `*.json` below `folder`, or the one file `folder`; not the state in `folder/state`.
    /// Secrets may also be folders of files, `secrets/NAME/KEY`.
    ///
    /// # Errors
    /// When `folder` itself cannot be read, or holds more than any does. What is wrong inside is in [`Self::problems`].
    pub fn read(folder: &Path) -> Result<Self, Problem> {
        Self::read_without(folder, &[&folder.join("state")])
    }

    /// As [`Self::read`], but nothing of `apart`: files and folders that are something else.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_without(folder: &Path, apart: &[&Path]) -> Result<Self, Problem> {
        let mut manifests = Self::default();
        if folder.is_file() {
            manifests.file(folder)?;
            manifests.keep_one_wish_each();
            return Ok(manifests);
        }
        let files = Files::of(folder, apart)?;
        manifests.problems = files.problems;
        let others = files.others.iter().map(|path| path.display().to_string());
        manifests.ignored.extend(others);
        for path in &files.manifests {
            manifests.file(path)?;
        }
        for path in files.secrets {
            manifests.secret_folder(&path, folder);
        }
        manifests.keep_one_wish_each();
        Ok(manifests)
    }

    /// Says what is not used, and gives what a command has to fail for in the end.
    pub fn say(&self) -> Vec<String> {
        for problem in &self.problems {
            tell!("{}", one_line(&problem.message()));
        }
        if !self.ignored.is_empty() {
            let ignored = self.ignored.join(", ");
            tell!("not read, nothing for offboard: {}", one_line(&ignored));
        }
        let all = self.problems.len();
        let first = self.problems.first().map(|problem| match all {
            1 => problem.message(),
            _ => format!("{all} files or objects have to be mended: see above"),
        });
        first.into_iter().collect()
    }

    /// Why the object of this kind and name cannot be used, if there is one.
    pub fn broken(&self, kind: &'static str, name: &str) -> Option<&str> {
        let broken = self.broken.get(&(kind, name.to_owned()));
        broken.map(|broken| broken.why.as_str())
    }

    /// A policy that cannot be used, and that may be the one of somebody who names none.
    pub fn broken_policy(&self) -> Option<(&str, &str)> {
        let mut broken = self.broken.iter();
        let (key, broken) =
            broken.find(|((kind, _), broken)| *kind == "OffboardingPolicy" && !broken.only_by_name)?;
        Some((&key.1, &broken.why))
    }

    /// Whether the labels of a Connector that cannot be used are not known either: any policy may select it.
    pub fn may_have_any_label(&self, connector: &str) -> bool {
        let broken = self.broken.get(&("Connector", connector.to_owned()));
        broken.is_some_and(|broken| !broken.labelled)
    }

    /// Whether the Connector of this row may be spoken to without encryption.
    pub fn is_insecure(&self, row: &str) -> bool {
        let name = row.split('/').next().unwrap_or_default();
        self.connectors
            .get(name)
            .is_some_and(|connector| connector.spec.insecure)
    }

    /// The file in which the object of this kind and name stands.
    pub fn file_of(&self, kind: &'static str, name: &str) -> Option<&Path> {
        self.origins.get(&(kind, name.to_owned())).map(PathBuf::as_path)
    }

    fn secret_folder(&mut self, path: &Path, below: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        let Some(name) = self.only("Secret", &name, path) else {
            return;
        };
        match Credentials::from_folder(path, below) {
            Ok(credentials) => drop(self.secrets.insert(name, credentials)),
            Err(error) => self.breaks("Secret", &name, None, Problem::new(path, error.to_string())),
        }
    }

    /// Reads a file. What would be left unread might be a system, or a policy: so it is all or nothing.
    fn file(&mut self, path: &Path) -> Result<(), Problem> {
        let mut bytes = vec![];
        let read = fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        let size = bytes.len() as u64;
        self.size += size;
        let text = match read {
            Ok(_) if size > LARGEST => Err(format!("larger than {} MiB: no manifest is", LARGEST >> 20)),
            Ok(_) if self.size > LARGEST_ALL => {
                let most = LARGEST_ALL >> 20;
                let text =
                    format!("with it the manifests are larger than {most} MiB together: keep fewer here");
                return Err(Problem::new(path, text));
            }
            Ok(_) => String::from_utf8(bytes).map_err(|_| "not UTF-8: save it as UTF-8".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let text = match text {
            Ok(text) if text.trim().is_empty() => Err("is empty".to_owned()),
            other => other,
        };
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                self.problems.push(Problem::new(path, why));
                return self.is_within_limits(path);
            }
        };
        let mut approvals = 0;
        for document in documents(&text) {
            self.objects += 1;
            self.is_within_limits(path)?;
            match document.value() {
                Ok(value) => {
                    let place = Place {
                        file: path,
                        document: &document,
                        path: vec![],
                    };
                    self.objects(&place, &value, (&text, &mut approvals));
                }
                Err(flaw) => {
                    let problem = Problem {
                        line: flaw.line,
                        ..Problem::new(path, flaw.text)
                    };
                    let (kind, name) = document.likely().unwrap_or_default();
                    self.refuse(kind, name, None, problem);
                }
            }
        }
        self.is_within_limits(path)
    }

    /// Refuses a folder that is more than one, once `path` was read so far.
    fn is_within_limits(&self, path: &Path) -> Result<(), Problem> {
        if self.objects > MOST_OBJECTS {
            let text = format!("with it there are more than {MOST_OBJECTS} objects: keep fewer here");
            return Err(Problem::new(path, text));
        }
        match self.problems.get(MOST_PROBLEMS) {
            Some(_) => {
                let first = &self.problems[0];
                let text = format!(
                    "more than {MOST_PROBLEMS} files or objects have to be mended, and nothing is done; the first is {first}"
                );
                Err(Problem::new(path, text))
            }
            None => Ok(()),
        }
    }

    /// An object, or the objects of a list, and of lists in it.
    fn objects(&mut self, place: &Place<'_>, object: &Value, (text, nth): (&str, &mut usize)) {
        if object.is_null() {
            return;
        }
        let (version, kind) = (word(object, "/apiVersion"), word(object, "/kind"));
        if let Meaning::List(of) = meaning(version, kind) {
            let Some(Value::Array(items)) = object.get("items") else {
                return self.problem(place, object, "items: there is no list of objects");
            };
            self.objects += items.len();
            // Too many are refused with the next document, or at the end of the file.
            for (index, item) in items.iter().enumerate().take(MOST_OBJECTS) {
                let mut item = item.clone();
                if let (Some(kind), Some(item)) = (of, item.as_object_mut()) {
                    // What a list of one kind holds need not repeat it.
                    item.entry("kind").or_insert_with(|| kind.into());
                    item.entry("apiVersion").or_insert_with(|| version.into());
                }
                let mut path = place.path.clone();
                path.extend([Segment::Map { key: "items".into() }, Segment::Seq { index }]);
                let place = Place { path, ..*place };
                self.objects(&place, &item, (text, nth));
                if self.problems.len() > MOST_PROBLEMS {
                    break;
                }
            }
            return;
        }
        if kind == "Approval" && matches!(meaning(version, kind), Meaning::Ours) {
            if let Some(approval) = self.typed::<Approval>(place, object) {
                self.approvals.push(Found::new(place.file, text, *nth, approval));
            }
        } else {
            self.object(place, object);
        }
        *nth += 1;
    }

    fn object(&mut self, place: &Place<'_>, object: &Value) {
        let (version, kind) = (word(object, "/apiVersion"), word(object, "/kind"));
        match meaning(version, kind) {
            Meaning::Wrong(why) => return self.problem(place, object, &why),
            Meaning::Others => {
                let file = place.file.display();
                let name = word(object, "/metadata/name");
                return self.ignored.push(format!("{file}: {kind} {name}"));
            }
            Meaning::Ours | Meaning::Secret | Meaning::List(_) => {}
        }
        match kind {
            "Offboarding" => self.offboarding(place, object),
            "Connector" => {
                if let Some((name, connector)) = self.own(place, "Connector", object) {
                    self.connectors.insert(name, connector);
                }
            }
            "ConnectorDefinition" => {
                let name = word(object, "/metadata/name");
                if builtin(name).is_some() {
                    let why = format!(
                        "metadata.name: {name} is built in, and that one is used: choose another name"
                    );
                    return self.problem(place, object, &why);
                }
                if let Some((name, definition)) = self.own(place, "ConnectorDefinition", object) {
                    self.definitions.insert(name, definition);
                }
            }
            "OffboardingPolicy" => {
                if let Some((name, policy)) = self.own(place, "OffboardingPolicy", object) {
                    self.policies.insert(name, policy);
                }
            }
            _ => self.secret(place, object),
        }
    }

    /// The object with its name, unless it cannot be used.
    fn own<T: DeserializeOwned>(
        &mut self,
        place: &Place<'_>,
        kind: &'static str,
        object: &Value,
    ) -> Option<(String, T)> {
        let typed = self.typed(place, object)?;
        let name = self.only(kind, word(object, "/metadata/name"), place.file)?;
        Some((name, typed))
    }

    fn offboarding(&mut self, place: &Place<'_>, object: &Value) {
        let Some(mut leaver) = self.typed::<Offboarding>(place, object) else {
            return;
        };
        identify(&mut leaver);
        let name = leaver.metadata.name.clone().unwrap_or_default();
        if let Some(first) = self.file_of("Offboarding", &name) {
            let first = first.display();
            let own = &leaver.metadata.uid;
            // Access of two people ends, whatever they are called.
            let used = !self.offboardings.iter().any(|known| known.metadata.uid == *own);
            let text = if used {
                format!("somebody else has this name in {first}: give one of them another name")
            } else {
                format!("there is another of this name in {first}: remove one of both")
            };
            let problem = Problem {
                used,
                ..Self::about(place, object, &text)
            };
            self.refuse("Offboarding", &name, Some(object), problem);
        }
        let key = ("Offboarding", name);
        self.origins.entry(key).or_insert_with(|| place.file.to_owned());
        self.offboardings.push(leaver);
    }

    /// The same wish twice is one wish. Of two that differ nobody knows which is meant.
    fn keep_one_wish_each(&mut self) {
        let mut wishes: BTreeMap<String, Vec<Offboarding>> = BTreeMap::new();
        let uid = |leaver: &Offboarding| leaver.metadata.uid.clone().unwrap_or_default();
        let order: Vec<String> = self.offboardings.iter().map(uid).collect();
        for leaver in self.offboardings.drain(..) {
            wishes.entry(uid(&leaver)).or_default().push(leaver);
        }
        for uid in order {
            let mut same = wishes.remove(&uid).unwrap_or_default();
            if same.windows(2).all(|two| two[0].spec == two[1].spec) {
                self.offboardings.extend(same.drain(..).take(1));
            }
        }
    }

    fn secret(&mut self, place: &Place<'_>, object: &Value) {
        let name = word(object, "/metadata/name");
        match credentials(object) {
            Ok(credentials) => {
                if let Some(name) = self.only("Secret", name, place.file) {
                    self.secrets.insert(name, credentials);
                }
            }
            Err((path, why)) => {
                let line = place.line(&path);
                let problem = Problem {
                    line,
                    object: format!("Secret {name}"),
                    ..Problem::new(place.file, why)
                };
                self.breaks("Secret", name, None, problem);
            }
        }
    }

    /// `name`, if no other object of this kind has it. If one has, neither is used.
    fn only(&mut self, kind: &'static str, name: &str, file: &Path) -> Option<String> {
        let key = (kind, name.to_owned());
        let Some(first) = self.origins.get(&key) else {
            self.origins.insert(key.clone(), file.to_owned());
            return Some(key.1);
        };
        let text = format!(
            "there is another of this name in {}: remove one of both",
            first.display()
        );
        let problem = Problem {
            object: format!("{kind} {name}"),
            ..Problem::new(file, text)
        };
        self.secrets.retain(|known, _| kind != "Secret" || known != name);
        self.policies
            .retain(|known, _| kind != "OffboardingPolicy" || known != name);
        self.definitions
            .retain(|known, _| kind != "ConnectorDefinition" || known != name);
        self.breaks(kind, name, None, problem);
        None
    }

    fn typed<T: DeserializeOwned>(&mut self, place: &Place<'_>, object: &Value) -> Option<T> {
        let name = word(object, "/metadata/name");
        if !name_fits(name) {
            let why = if name.is_empty() {
                "metadata.name: it has none".to_owned()
            } else {
                format!("metadata.name: {name:?}: lower case letters, digits, - and . only")
            };
            self.problem(place, object, &why);
            return None;
        }
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        let strange = object.as_object().into_iter().flat_map(|fields| fields.keys());
        if let Some(strange) = strange.into_iter().find(|key| !known.contains(&key.as_str())) {
            let why = format!("{strange}: there is no such field: it belongs below spec, or nowhere");
            self.problem(place, object, &why);
            return None;
        }
        match serde_path_to_error::deserialize(object) {
            Ok(typed) => {
                let kind = word(object, "/kind");
                let Some(refusal) = schema::refusal(kind, object) else {
                    return Some(typed);
                };
                let path: Vec<Segment> = place.path.iter().chain(&refusal.path).cloned().collect();
                let problem = Problem {
                    line: place.document.place(&path).map(|(line, _)| line),
                    object: format!("{kind} {name}"),
                    ..Problem::new(place.file, format!("{}: {}", shown(&refusal.path), refusal.why))
                };
                self.refuse(kind, name, Some(object), problem);
                None
            }
            Err(error) => {
                let path = segments(&place.path, error.path());
                let words = error.inner().to_string();
                let (line, written) = place.document.place(&path).unzip();
                let field = error.path().to_string();
                let why = format!("{field}: {}", mended(&words, written));
                let problem = Problem {
                    line,
                    object: format!("{} {name}", word(object, "/kind")),
                    ..Problem::new(place.file, why)
                };
                self.refuse(word(object, "/kind"), name, Some(object), problem);
                None
            }
        }
    }

    /// Notes that `object` cannot be used.
    fn problem(&mut self, place: &Place<'_>, object: &Value, why: &str) {
        let (kind, name) = (word(object, "/kind"), word(object, "/metadata/name"));
        let problem = Self::about(place, object, why);
        self.refuse(kind, name, Some(object), problem);
    }

    /// What is wrong with the object.
    fn about(place: &Place<'_>, object: &Value, why: &str) -> Problem {
        let (kind, name) = (word(object, "/kind"), word(object, "/metadata/name"));
        let about = if kind.is_empty() { "an object" } else { kind };
        Problem {
            line: place.line(&[]),
            object: format!("{about} {name}").trim_end().to_owned(),
            ..Problem::new(place.file, why)
        }
    }

    /// Notes that something of this kind and name cannot be used; its content, if it could be read at all.
    fn refuse(&mut self, kind: &str, name: &str, object: Option<&Value>, problem: Problem) {
        let ours = OURS.iter().chain(&["Secret"]).find(|ours| **ours == kind);
        match ours {
            Some(kind) if !name.is_empty() => self.breaks(kind, name, object, problem),
            _ => self.problems.push(problem),
        }
    }

    fn breaks(&mut self, kind: &'static str, name: &str, object: Option<&Value>, mut problem: Problem) {
        if problem.object.is_empty() {
            problem.object = format!("{kind} {name}");
        }
        let labels = object.map(|object| object.pointer("/metadata/labels"));
        let labels = labels.map(|labels| {
            labels
                .cloned()
                .and_then(|labels| serde_json::from_value(labels).ok())
        });
        let key = (kind, name.to_owned());
        // A leaver's own name may be taken by somebody else.
        if kind != "Offboarding" {
            let broken = Broken {
                why: problem.to_string(),
                only_by_name: name != "default"
                    && object.is_some_and(|object| object.pointer("/spec/when").is_none()),
                labelled: labels.is_some(),
            };
            self.broken.insert(key.clone(), broken);
            self.origins.entry(key).or_insert_with(|| problem.file.clone());
        }
        if kind == "Connector" {
            let mut connector = Connector::new(name, ConnectorSpec::default());
            connector.metadata.labels = labels.flatten();
            self.connectors.insert(name.to_owned(), connector);
        }
        self.problems.push(problem);
    }
}

impl Place<'_> {
    fn line(&self, below: &[Segment]) -> Option<u64> {
        let path: Vec<Segment> = self.path.iter().chain(below).cloned().collect();
        self.document.place(&path).map(|(line, _)| line)
    }
}

fn word<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A path as people write it, such as `spec.gates[0].approvals`.
fn shown(path: &[Segment]) -> String {
    let each = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("[{index}]"),
        Segment::Map { key } | Segment::Enum { variant: key } => format!(".{key}"),
        Segment::Unknown => ".?".to_owned(),
    });
    let shown = each.collect::<String>();
    match shown.trim_start_matches('.') {
        "" => "spec".to_owned(),
        shown => shown.to_owned(),
    }
}

/// What serde says about a field, in words that tell what to do. `written` is what stands there in the file.
fn mended(words: &str, written: Option<&str>) -> String {
    let is = |kind: &str| words.starts_with(&format!("invalid type: {kind}"));
    let what = match () {
        () if is("integer") || is("floating point") => "a number",
        () if is("boolean") => "a truth value",
        () => return words.to_owned(),
    };
    if !words.contains("expected a string") && !words.contains("expected string") {
        return words.to_owned();
    }
    match written {
        Some(written) if !written.is_empty() && !written.contains('"') => {
            format!("{what} where a text is needed: quote it: \"{written}\"")
        }
        _ => format!("{what} where a text is needed: quote it"),
    }
}

/// How long the digest is that makes a name a uid.
const DIGEST: usize = 24;

/// Without a cluster nobody hands out uids: the same name and person are the same leaver. Who has a number keeps it when an
/// address is corrected.
fn identify(leaver: &mut Offboarding) {
    let employee = &leaver.spec.employee;
    let name = leaver.metadata.name.clone().unwrap_or_default();
    let namespace = leaver.metadata.namespace.as_deref().unwrap_or_default();
    let (kind, key) = match (&employee.employee_id, &employee.email) {
        (Some(number), _) => ("number", number.as_str()),
        (None, email) => ("address", email.as_deref().unwrap_or_default()),
    };
    let mut digest = digest_of([namespace, &name, kind, key]);
    digest.truncate(DIGEST);
    leaver.metadata.uid = Some(format!("{name}-{digest}"));
    leaver.metadata.generation = Some(1);
}

/// The name of the leaver whose uid, and folder of state, this is.
pub fn leaver_of(uid: &str) -> &str {
    match uid.rsplit_once('-') {
        Some((name, digest)) if digest.len() == DIGEST && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            name
        }
        _ => uid,
    }
}

/// The credentials in a Secret, or the path of the entry that cannot be used, and why.
fn credentials(object: &Value) -> Result<Credentials, (Vec<Segment>, String)> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let mut data = vec![];
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some(map) = object.get(field).and_then(Value::as_object) else {
            continue;
        };
        for (key, value) in map {
            let wrong = |why: &str| {
                let path = [field, key].map(|key| Segment::Map { key: key.to_owned() });
                (path.to_vec(), format!("{field}.{key}: {why}"))
            };
            let text = value.as_str().ok_or_else(|| wrong("must be a text: quote it"))?;
            let bytes = if encoded {
                STANDARD.decode(text).map_err(|_| wrong("must be base64"))?
            } else {
                text.as_bytes().to_vec()
            };
            data.push((key.clone(), bytes));
        }
    }
    let annotation = |name: &str| {
        object
            .pointer(&format!("/metadata/annotations/{}", name.replace('/', "~1")))?
            .as_str()
    };
    Credentials::from_data(data, "manifest")
        .with_scope(annotation(HOSTS), annotation(DEFINITIONS))
        .map_err(|error| {
            let path = ["metadata", "annotations", HOSTS].map(|key| Segment::Map { key: key.to_owned() });
            (path.to_vec(), format!("metadata.annotations.{error}"))
        })
}
