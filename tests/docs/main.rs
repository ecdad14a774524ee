//! README.md and the pages of `docs/src`: every manifest, command, link, path and table that people read there is true.
//!
//! | module | what it checks |
//! |---|---|
//! | `page` | reads a page: its blocks, inline code, links, tables and headings |
//! | `manifests` | blocks in YAML: objects, settings of the chart, channels, parts of a policy |
//! | `commands` | blocks and inline code with commands |
//! | `reference` | tables of fields, values, reasons and metrics |
//! | `systems` | the table of systems in README.md, which it also writes |

#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "tests are written to be read"
)]
// In a test, a panic is the report.

mod commands;
mod manifests;
mod page;
mod reference;
mod systems;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use page::Page;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The chapters of the book, without its table of contents.
fn chapters() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("docs/src")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "SUMMARY.md").collect()
}

/// README.md and all chapters.
fn pages() -> Vec<Page> {
    let files = chapters().into_iter().map(|name| format!("docs/src/{name}"));
    let all = std::iter::once("README.md".to_owned()).chain(files);
    all.map(|file| Page::new(&file, &read(&file))).collect()
}

#[test]
fn the_readme_is_short_and_begins_with_what_it_does_and_the_two_commands() {
    let readme = read("README.md");
    assert!(readme.lines().count() <= 140, "{}", readme.lines().count());
    let page = Page::new("README.md", &readme);
    let commands: Vec<String> = page
        .commands()
        .into_iter()
        .map(|(_, command, _)| command)
        .collect();
    assert_eq!(commands[..2], ["cargo run --release -- demo", "tests/run"]);
    assert_eq!(page.blocks[0].language, "mermaid");
}

#[test]
fn the_table_of_contents_lists_every_chapter_once() {
    let summary = Page::new("docs/src/SUMMARY.md", &read("docs/src/SUMMARY.md"));
    let listed: BTreeSet<String> = summary.links.iter().cloned().collect();
    assert_eq!(listed.len(), summary.links.len());
    assert_eq!(listed, chapters());
    for chapter in chapters() {
        let text = read(&format!("docs/src/{chapter}"));
        let title = text.lines().next().unwrap().strip_prefix("# ").unwrap();
        assert!(
            read("docs/src/SUMMARY.md").contains(&format!("[{title}]({chapter})")),
            "{title}"
        );
    }
}

#[test]
fn every_relative_link_leads_to_a_page_and_a_heading_of_it() {
    let mut followed = 0;
    for page in pages() {
        let folder = Path::new(&page.file).parent().unwrap();
        for link in page.links.iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                PathBuf::from(&page.file)
            } else {
                folder.join(file)
            };
            assert!(root().join(&target).is_file(), "{}: {link}", page.file);
            // A book has its chapters and nothing else of the repository.
            let inside = page.file == "README.md" || target.parent() == Some(Path::new("docs/src"));
            assert!(inside, "{}: {link} leads out of the book", page.file);
            if !heading.is_empty() {
                let target = Page::new(link, &read(target.to_str().unwrap()));
                assert!(target.headings.contains(heading), "{}: {link}", page.file);
            }
            followed += 1;
        }
    }
    assert!(followed > 30, "{followed}");
}

#[test]
fn every_path_of_the_repository_that_is_named_is_there() {
    let mut named = 0;
    for page in pages() {
        for code in &page.codes {
            let ours = [
                "src/",
                "tests/",
                "examples/",
                "charts/",
                "crds/",
                "fuzz/",
                "benches/",
                "docs/",
            ];
            if ours.iter().any(|folder| code.starts_with(folder)) && !code.contains(' ') {
                let module = root().join(format!("{code}.rs"));
                assert!(
                    root().join(code).exists() || module.exists(),
                    "{}: there is no {code}",
                    page.file
                );
                named += 1;
            }
        }
    }
    assert!(named > 15, "{named}");
}

#[test]
fn every_block_is_in_a_language_that_is_checked_or_a_picture() {
    for page in pages() {
        for block in &page.blocks {
            let known = ["yaml", "console", "mermaid", "text"];
            assert!(
                known.contains(&block.language.as_str()),
                "{}:{}: a block in {:?}",
                page.file,
                block.line,
                block.language
            );
        }
    }
}
