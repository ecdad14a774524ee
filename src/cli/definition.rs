//! `offboard definition check`: whether a definition is sound, without a cluster and without the system.

use std::{fs, path::PathBuf, process::ExitCode};

use super::{
    exit,
    terminal::{out, tell},
};
use crate::connectors::declarative::{Definition, builtin, builtins, parse};

/// Checks each file; all problems of all files are said.
///
/// # Errors
/// When a file cannot be read.
pub fn check(files: &[PathBuf]) -> Result<ExitCode, exit::Error> {
    let mut sound = true;
    for file in files {
        let text = fs::read_to_string(file).map_err(|e| exit::Error(format!("{}: {e}", file.display())))?;
        match parse(&text).and_then(|(name, spec)| Definition::compile(&name, spec)) {
            Ok(definition) => {
                let facts = definition.facts().len();
                let people = if definition.has_people() { ", people" } else { "" };
                out!(
                    "{}: {} is sound, {facts} facts{people}",
                    file.display(),
                    definition.name()
                );
            }
            Err(problems) => {
                sound = false;
                for problem in &problems.0 {
                    tell!("{}: {}: {}", file.display(), problem.path, problem.message);
                }
            }
        }
    }
    Ok(if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lists the built-in definitions, or prints one.
///
/// # Errors
/// When there is no such definition.
pub fn show(name: Option<&str>) -> Result<ExitCode, exit::Error> {
    match name {
        None => builtins().for_each(|name| out!("{name}")),
        Some(name) => {
            let text = builtin(name)
                .ok_or_else(|| exit::Error(format!("there is no built-in definition {name:?}")))?;
            out!("{}", text.trim_end());
        }
    }
    Ok(ExitCode::SUCCESS)
}
