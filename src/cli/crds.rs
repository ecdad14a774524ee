//! `offboard crds`: the `CustomResourceDefinition`s, printed or written into a folder. Reads nothing, needs no cluster.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::terminal::out;
use crate::api::crds::{render, templates};

/// Prints every definition as one YAML stream, or writes one file for each into `write`, which is made if need be.
///
/// # Errors
/// The folder cannot be written.
pub fn run(write: Option<PathBuf>) -> io::Result<()> {
    let Some(folder) = write else {
        for (_, text) in render() {
            out!("---\n{}", text.trim_end());
        }
        return Ok(());
    };
    store(&folder, render())
}

/// Writes the templates of the chart that install the definitions into `folder`.
///
/// # Errors
/// The folder cannot be written.
pub fn chart(folder: &Path) -> io::Result<()> {
    store(folder, templates())
}

/// Writes files by name into a folder, which is made if need be.
fn store(folder: &Path, files: Vec<(String, String)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    files
        .into_iter()
        .try_for_each(|(file, text)| fs::write(folder.join(file), text))
}
