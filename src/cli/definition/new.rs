//! `offboard definition new`: a definition to begin with.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::openapi;
use crate::{
    cli::{exit, terminal::tell},
    connectors::declarative::{builtin, builtins, nearest},
};

/// A sound definition with comments.
const TEMPLATE: &str = include_str!("template.yaml");
/// The name in the template.
const TEMPLATE_NAME: &str = "acme";

/// Writes `NAME.yaml` into `folder`: the template, the built-in definition `like` under the new name, or a draft of what the
/// OpenAPI description `from` tells.
///
/// # Errors
/// When the name cannot be one or is taken, there is no `like`, `from` cannot be used, or the file is there already.
pub fn run(
    name: &str,
    like: Option<&str>,
    from: Option<&Path>,
    folder: &Path,
) -> Result<ExitCode, exit::Error> {
    let template = text_of(name, like).map_err(exit::Error)?;
    let text = match from {
        None => template,
        Some(from) => fs::read_to_string(from)
            .map_err(|error| error.to_string())
            .and_then(|description| openapi::drafted(name, &description))
            .map_err(|why| exit::Error(format!("{}: {why}", from.display())))?,
    };
    let path: PathBuf = folder.join(format!("{name}.yaml"));
    let shown = path.display();
    let mut file = File::create_new(&path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exit::Error(format!("{shown}: is there already, and is left as it is")),
        _ => exit::Error(format!("{shown}: {error}")),
    })?;
    file.write_all(text.as_bytes())?;
    tell!("{shown} is written. Next: offboard definition check {shown}");
    Ok(ExitCode::SUCCESS)
}

fn text_of(name: &str, like: Option<&str>) -> Result<String, String> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > 63
        || !name.chars().all(is_letter)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        return Err(format!(
            "{name:?} cannot be a name: write small letters, digits and hyphens, at most 63"
        ));
    }
    if builtin(name).is_some() {
        return Err(format!("{name} is a built-in definition: choose another name"));
    }
    let (text, old) = match like {
        None => (TEMPLATE, TEMPLATE_NAME),
        Some(like) => {
            let known: Vec<String> = builtins().map(str::to_owned).collect();
            let none = || {
                format!(
                    "there is no built-in definition '{like}'{}",
                    nearest(like, known.iter())
                )
            };
            (builtin(like).ok_or_else(none)?, like)
        }
    };
    Ok(renamed(text, old, name))
}

/// `text` with another `metadata.name`, and nothing else changed.
fn renamed(text: &str, old: &str, new: &str) -> String {
    let (from, to) = (format!("name: {old}"), format!("name: {new}"));
    text.replacen(&from, &to, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectors::declarative::check_file;

    #[test]
    fn what_is_written_is_sound_and_has_the_new_name() {
        for like in [None].into_iter().chain(builtins().map(Some)) {
            let text = text_of("my-system", like).unwrap();
            let checked = check_file(&text);
            let definition = checked[0]
                .as_ref()
                .unwrap_or_else(|problems| panic!("{like:?} {problems:?}"));
            assert_eq!(definition.name(), "my-system", "{like:?}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_one_and_an_unknown_model_are_refused() {
        assert!(text_of("My System", None).is_err());
        assert!(text_of("openldap", None).is_err());
        let error = text_of("mine", Some("openldp")).unwrap_err();
        assert_eq!(
            error,
            "there is no built-in definition 'openldp'; 'openldap' is meant?"
        );
    }
}
