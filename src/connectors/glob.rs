//! Patterns of file names: `*` is any text, `?` any one character, and a backslash makes the next character itself.

/// Whether a pattern matches anything but one name.
pub fn is_wild(pattern: &str) -> bool {
    letters(pattern).any(|letter| matches!(letter, Letter::Any | Letter::Many))
}

/// Adds a text that means only itself.
pub fn literal(pattern: &mut String, text: &str) {
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
}

/// The one name that a pattern which is not wild matches.
pub fn plain(pattern: &str) -> String {
    letters(pattern).map(Letter::text).collect()
}

/// Whether `name` matches, as a whole and case by case.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<Letter> = letters(pattern).collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and up to where it reaches.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(Letter::Many) => {
                star = Some((p, n));
                p += 1;
            }
            Some(Letter::Any) => (p, n) = (p + 1, n + 1),
            Some(Letter::One(c)) if *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, reach)) = star else { return false };
                star = Some((at, reach + 1));
                (p, n) = (at + 1, reach + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == Letter::Many)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    One(char),
    Any,
    Many,
}

impl Letter {
    fn text(self) -> char {
        match self {
            Self::One(c) => c,
            Self::Any => '?',
            Self::Many => '*',
        }
    }
}

fn letters(pattern: &str) -> impl Iterator<Item = Letter> {
    let mut rest = pattern.chars();
    std::iter::from_fn(move || {
        Some(match rest.next()? {
            '*' => Letter::Many,
            '?' => Letter::Any,
            '\\' => Letter::One(rest.next().unwrap_or('\\')),
            c => Letter::One(c),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        for (pattern, name, expected) in [
            ("hr-*.csv", "hr-2026.csv", true),
            ("hr-*.csv", "hr-.csv", true),
            ("hr-*.csv", "hr-2026.csv.part", false),
            ("*", "", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("*aab", "aaaab", true),
            ("h?.csv", "hä.csv", true),
            ("h?.csv", "h.csv", false),
            ("HR.csv", "hr.csv", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_literal_matches_only_itself() {
        for text in ["a*b", "a?b", "a\\b", "plain"] {
            let mut pattern = String::new();
            literal(&mut pattern, text);
            assert!(
                !is_wild(&pattern) && matches(&pattern, text) && plain(&pattern) == text,
                "{pattern}"
            );
            assert!(!matches(&pattern, "axb"), "{pattern}");
        }
        assert!(is_wild("a*") && is_wild("\\*?"));
    }
}
