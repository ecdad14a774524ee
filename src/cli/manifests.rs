//! Reads a folder of manifests: the same objects that would be applied to a cluster.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::approvals::Found;
use crate::{
    api::{Approval, Connector, ConnectorDefinition, Offboarding, OffboardingPolicy},
    core::digest::digest_of,
    transport::secret::Credentials,
};

/// A folder or file that cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// It is not YAML.
    #[error("{0}: not YAML: {1}")]
    Yaml(PathBuf, String),
    /// An object in it has a wrong field.
    #[error("{file}: {kind} {name}: {path}: {problem}")]
    Field {
        /// The file.
        file: PathBuf,
        /// The kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// Path of the field.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Two objects of one kind have the same name.
    #[error("{0}: there are two objects {1} {2}")]
    Twice(PathBuf, String, String),
}

/// Everything that a folder says.
#[derive(Default)]
pub struct Manifests {
    /// The leavers.
    pub offboardings: Vec<Offboarding>,
    /// The connectors, by name.
    pub connectors: BTreeMap<String, Connector>,
    /// The policies, by name.
    pub policies: BTreeMap<String, OffboardingPolicy>,
    /// Users' own definitions, by name.
    pub definitions: BTreeMap<String, ConnectorDefinition>,
    /// What people said, whether anybody vouches for it or not.
    pub approvals: Vec<Found>,
    /// Secrets, by name.
    pub secrets: BTreeMap<String, Credentials>,
    /// Kinds that mean nothing here.
    pub ignored: Vec<String>,
}

impl Manifests {
    /// Reads every `*.yaml`, `*.yml` and `*.json` below `folder`, or the one file `folder`. Secrets may also be folders
    /// of files, `secrets/NAME/KEY`.
    ///
    /// # Errors
    /// The first file or field that cannot be used.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut manifests = Self::default();
        if folder.is_file() {
            manifests.file(folder)?;
        } else {
            manifests.folder(folder)?;
        }
        Ok(manifests)
    }

    fn folder(&mut self, folder: &Path) -> Result<(), Error> {
        let wrong = |error| Error::Io(folder.to_owned(), error);
        let mut paths = vec![];
        for entry in fs::read_dir(folder).map_err(wrong)? {
            paths.push(entry.map_err(wrong)?.path());
        }
        paths.sort();
        for path in paths {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default()
                .to_owned();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() && name == "secrets" {
                self.secret_folders(&path)?;
            } else if path.is_dir() && !path.join("lock").exists() && name != "state" {
                self.folder(&path)?;
            } else if path.is_file() && matches!(extension, "yaml" | "yml" | "json") {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn secret_folders(&mut self, folder: &Path) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(|e| Error::Io(folder.to_owned(), e))? {
            let path = entry.map_err(|e| Error::Io(folder.to_owned(), e))?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else {
                continue;
            };
            let credentials = Credentials::from_folder(&path)
                .map_err(|e| Error::Io(path.clone(), std::io::Error::other(e.to_string())))?;
            self.secrets.insert(name.to_owned(), credentials);
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|e| Error::Io(path.to_owned(), e))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|e| {
            let first = e.to_string().lines().next().unwrap_or_default().to_owned();
            Error::Yaml(path.to_owned(), first)
        })?;
        for (index, document) in documents.into_iter().filter(|d| !d.is_null()).enumerate() {
            if document["kind"] == "Approval" {
                let name = document.pointer("/metadata/name").and_then(Value::as_str);
                let name = name.unwrap_or_default().to_owned();
                let approval: Approval = typed(path, "Approval", &name, document)?;
                let found = Found::new(path, &text, index, approval);
                self.approvals.push(found);
            } else {
                self.object(path, document)?;
            }
        }
        Ok(())
    }

    fn object(&mut self, file: &Path, object: Value) -> Result<(), Error> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (kind, name, group) = (text("/kind"), text("/metadata/name"), text("/apiVersion"));
        let ours = group.starts_with("offboard.dev/");
        match (ours, kind.as_str()) {
            (true, "Offboarding") => {
                let mut leaver: Offboarding = typed(file, &kind, &name, object)?;
                identify(&mut leaver);
                if self
                    .offboardings
                    .iter()
                    .any(|o| o.metadata.uid == leaver.metadata.uid)
                {
                    return Err(Error::Twice(file.to_owned(), kind, name));
                }
                self.offboardings.push(leaver);
            }
            (true, "Connector") => keep(&mut self.connectors, file, &kind, &name, object)?,
            (true, "ConnectorDefinition") => keep(&mut self.definitions, file, &kind, &name, object)?,
            (true, "OffboardingPolicy") => keep(&mut self.policies, file, &kind, &name, object)?,
            (false, "Secret") => {
                self.secrets.insert(name.clone(), secret(file, &name, &object)?);
            }
            (true, _) => {
                let problem = "there is no such kind".to_owned();
                return Err(Error::Field {
                    file: file.to_owned(),
                    kind,
                    name,
                    path: "kind".into(),
                    problem,
                });
            }
            (false, _) => self.ignored.push(format!("{kind} {name}")),
        }
        Ok(())
    }
}

/// How long the digest is that makes a name a uid.
pub const UID: usize = 24;

/// Without a cluster nobody hands out uids: the same name and person are the same leaver.
fn identify(leaver: &mut Offboarding) {
    let employee = &leaver.spec.employee;
    let parts = [
        leaver.metadata.namespace.as_deref(),
        leaver.metadata.name.as_deref(),
        employee.email.as_deref(),
        employee.employee_id.as_deref(),
    ];
    let mut uid = digest_of(parts.map(Option::unwrap_or_default));
    uid.truncate(UID);
    leaver.metadata.uid = Some(format!(
        "{}-{uid}",
        leaver.metadata.name.as_deref().unwrap_or_default()
    ));
    leaver.metadata.generation = Some(1);
}

fn keep<T: DeserializeOwned>(
    map: &mut BTreeMap<String, T>,
    file: &Path,
    kind: &str,
    name: &str,
    object: Value,
) -> Result<(), Error> {
    let object = typed(file, kind, name, object)?;
    match map.insert(name.to_owned(), object) {
        None => Ok(()),
        Some(_) => Err(Error::Twice(file.to_owned(), kind.to_owned(), name.to_owned())),
    }
}

fn typed<T: DeserializeOwned>(file: &Path, kind: &str, name: &str, object: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(object).map_err(|error| Error::Field {
        file: file.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        path: error.path().to_string(),
        problem: error.into_inner().to_string(),
    })
}

fn secret(file: &Path, name: &str, object: &Value) -> Result<Credentials, Error> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let wrong = |path: String, problem: &str| Error::Field {
        file: file.to_owned(),
        kind: "Secret".into(),
        name: name.to_owned(),
        path,
        problem: problem.to_owned(),
    };
    let mut data = vec![];
    for (field, encoded) in [("data", true), ("stringData", false)] {
        let Some(map) = object.get(field).and_then(Value::as_object) else {
            continue;
        };
        for (key, value) in map {
            let path = format!("{field}.{key}");
            let text = value
                .as_str()
                .ok_or_else(|| wrong(path.clone(), "must be a text"))?;
            let bytes = if encoded {
                STANDARD.decode(text).map_err(|_| wrong(path, "must be base64"))?
            } else {
                text.as_bytes().to_vec()
            };
            data.push((key.clone(), bytes));
        }
    }
    Ok(Credentials::from_data(data, "manifest"))
}
