//! `offboard definition`: whether a definition is sound, without a cluster and without the system; and what it does, with it.

pub mod explain;
pub mod new;
mod openapi;
pub mod trial;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    exit,
    terminal::{out, tell},
};
use crate::{
    api::definition::ConnectorDefinitionSpec,
    connectors::declarative::{Definition, builtin, builtins, check_file},
};

/// Checks each file; all problems of all definitions in them are printed, with file and line.
///
/// # Errors
/// When a file cannot be read, or has no definition.
pub fn check(files: &[PathBuf]) -> Result<ExitCode, exit::Error> {
    let mut sound = true;
    for file in files {
        let text = fs::read_to_string(file).map_err(|e| exit::Error(format!("{}: {e}", file.display())))?;
        let all = check_file(&text);
        if all.is_empty() {
            let problem = format!("{}: there is no ConnectorDefinition in it", file.display());
            return Err(exit::Error(problem));
        }
        for definition in all {
            match definition {
                Ok(definition) => print_sound(file, &definition, &without_effect(definition.spec())),
                Err(problems) => {
                    sound = false;
                    for (line, problem) in problems {
                        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                        tell!("{}{line}: {}: {}", file.display(), problem.path, problem.message);
                    }
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

fn print_sound(file: &Path, definition: &Definition, open: &[String]) {
    let facts = definition.facts().len();
    let people = if definition.has_people() { ", people" } else { "" };
    out!(
        "{}: {} is sound, {facts} facts{people}",
        file.display(),
        definition.name()
    );
    if !open.is_empty() {
        let facts = open.join(", ");
        out!("  say in `effect` what makes {facts} effective in the system, and what goes on all the same");
    }
}

/// The facts that close a way in and do not say how far: a flag is not its effect.
fn without_effect(spec: &ConnectorDefinitionSpec) -> Vec<String> {
    let facts = spec.facts.iter();
    let open = facts.filter(|(_, fact)| fact.class.closes_a_way_in() && fact.effect.is_empty());
    open.map(|(name, _)| name.clone()).collect()
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
