//! A README as a script: its commands, what they print, and its dates.

use std::collections::VecDeque;

use jiff::{ToSpan, civil::Date};

/// The commands of a README's console blocks with what is shown below each.
pub fn commands(readme: &str) -> VecDeque<(String, String)> {
    let mut commands = VecDeque::<(String, String)>::new();
    let mut within = false;
    for line in readme.lines() {
        match (within, line) {
            (false, "```console") => within = true,
            (true, "```") => within = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => commands.push_back((command.to_owned(), String::new())),
                None => {
                    let (_, shown) = commands.back_mut().expect("output follows a command");
                    *shown += line;
                    shown.push('\n');
                }
            },
            _ => {}
        }
    }
    commands
}

/// The words of each line but ages, which are not the same twice.
pub fn words(text: &str) -> Vec<Vec<&str>> {
    let age = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.ends_with(['s', 'm', 'h', 'd'])
            && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| line.split_whitespace().filter(|word| !age(word)).collect())
        .collect()
}

/// `text` with every date moved by so many days.
pub fn moved(text: &str, days: i32) -> String {
    let mut moved = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let day = rest.get(..10).filter(|day| day.starts_with("202"));
        if let Some(Ok(day)) = day.map(str::parse::<Date>) {
            moved += &day.checked_add(days.days()).unwrap().to_string();
            rest = &rest[10..];
        } else {
            moved.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    moved
}

#[test]
fn a_readme_is_read_as_commands_with_their_output_and_dates_move_together() {
    let readme = "Say:\n\n```console\n$ kubectl get leavers\nNAME  AGE\njane  3m\n$ kubectl delete x\n```\n```yaml\n$ no\n```\n";
    let commands = commands(readme);
    assert_eq!(commands.len(), 2);
    assert_eq!(words(&commands[0].1), words("NAME AGE\n\njane   14s\n"));
    assert_ne!(words("jane True"), words("jane False"));
    assert_eq!(
        moved("on 2026-06-30, not 9999-12-31 …", 2),
        "on 2026-07-02, not 9999-12-31 …"
    );
}
