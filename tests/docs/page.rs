//! A page in Markdown, as far as its truth can be checked.

use std::collections::{BTreeSet, VecDeque};

/// One page.
pub struct Page {
    /// Its path in the repository.
    pub file: String,
    /// The fenced blocks.
    pub blocks: Vec<Block>,
    /// Code within the text.
    pub codes: Vec<String>,
    /// The targets of links.
    pub links: Vec<String>,
    /// The anchors of headings.
    pub headings: BTreeSet<String>,
    /// The tables, each with the heading above it.
    pub tables: Vec<Table>,
}

/// A fenced block.
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// The word behind the fence.
    pub language: String,
    /// What is in it.
    pub text: String,
}

/// A table.
pub struct Table {
    /// The anchor of the heading above it.
    pub heading: String,
    /// The cells, row by row, the heads first.
    pub rows: Vec<Vec<String>>,
}

impl Page {
    /// Reads `text`, the content of `file`.
    pub fn new(file: &str, text: &str) -> Self {
        let mut page = Self {
            file: file.to_owned(),
            blocks: vec![],
            codes: vec![],
            links: vec![],
            headings: BTreeSet::new(),
            tables: vec![],
        };
        let mut prose = String::new();
        let mut open: Option<Block> = None;
        let mut heading = String::new();
        let mut in_table = false;
        for (index, line) in text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (Some(_), Some(_)) => page.blocks.extend(open.take()),
                (None, Some(language)) => {
                    open = Some(Block {
                        line: index + 1,
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(block), None) => {
                    block.text += line;
                    block.text.push('\n');
                }
                (None, None) => {
                    if line.starts_with('#') {
                        heading = anchor(line.trim_start_matches('#'));
                        page.headings.insert(heading.clone());
                    }
                    if let Some(row) = line.strip_prefix('|') {
                        if !in_table {
                            let (heading, rows) = (heading.clone(), vec![]);
                            page.tables.push(Table { heading, rows });
                        }
                        let cells: Vec<String> = row
                            .trim_end_matches('|')
                            .split('|')
                            .map(|cell| cell.trim().to_owned())
                            .collect();
                        if !cells.iter().all(|cell| cell.chars().all(|c| c == '-')) {
                            page.tables.last_mut().unwrap().rows.push(cells);
                        }
                    }
                    in_table = line.starts_with('|');
                    prose += line;
                    prose.push('\n');
                }
            }
        }
        assert!(open.is_none(), "{file}: a block does not end");
        page.codes = codes(&prose);
        let without_codes: String = prose.split('`').step_by(2).collect();
        let links = without_codes.split("](").skip(1);
        page.links = links
            .map(|rest| rest.split(')').next().unwrap().to_owned())
            .collect();
        page
    }

    /// The commands of the console blocks, each with the line of its block and what is shown below it.
    pub fn commands(&self) -> VecDeque<(usize, String, String)> {
        let mut all = VecDeque::<(usize, String, String)>::new();
        for block in self.blocks.iter().filter(|block| block.language == "console") {
            for line in block.text.lines() {
                match line.strip_prefix("$ ") {
                    Some(command) => all.push_back((block.line, command.to_owned(), String::new())),
                    None => {
                        let (_, _, shown) = all.back_mut().expect("output follows a command");
                        *shown += line;
                        shown.push('\n');
                    }
                }
            }
        }
        all
    }

    /// The table below the heading with this anchor.
    pub fn table(&self, heading: &str) -> &Table {
        let mut tables = self.tables.iter();
        let found = tables.find(|table| table.heading == heading);
        found.unwrap_or_else(|| panic!("{} has no table below {heading}", self.file))
    }
}

impl Table {
    /// What stands as code in the first cells.
    pub fn names(&self) -> Vec<String> {
        let cells = self.rows.iter().skip(1);
        cells.flat_map(|row| codes(&row[0])).collect()
    }
}

/// What stands between backquotes.
fn codes(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A `b` c!\n\nsee [d](e.md#f) and `g](h)`\n\n```console\n$ i\nj\n```\n\n| k | l |\n|---|---|\n| `m`, `n` | o |\n";
    let page = Page::new("p.md", text);
    assert_eq!(page.headings.iter().collect::<Vec<_>>(), ["a-b-c"]);
    assert_eq!(page.links, ["e.md#f"]);
    assert_eq!(page.codes, ["b", "g](h)", "m", "n"]);
    assert_eq!(page.commands(), [(5, "i".to_owned(), "j\n".to_owned())]);
    assert_eq!(page.table("a-b-c").names(), ["m", "n"]);
}
