//! Splitting a text that holds quoted names, such as a statement of a database.

/// The parts of `text` between the separators that stand neither in quotes (`` ` ``, `'`, `"`) nor in brackets.
pub(super) fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut begin, mut at) = (vec![], 0, 0);
    let (mut quote, mut depth) = (None, 0_usize);
    while let Some(letter) = text[at..].chars().next() {
        if quote.is_none() && depth == 0 && !separator.is_empty() && text[at..].starts_with(separator) {
            parts.push(&text[begin..at]);
            at += separator.len();
            begin = at;
            continue;
        }
        // A quote that is written twice ends the name and begins it again.
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '`' | '\'' | '"') => quote = Some(letter),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += letter.len_utf8();
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn only_what_stands_outside_of_names_separates() {
        let grant = "GRANT SELECT, INSERT (`a, b`, `c ON d`) ON `x``, y`.`)` TO `z`@`%`";
        assert_eq!(
            split(grant, " ON "),
            [
                "GRANT SELECT, INSERT (`a, b`, `c ON d`)",
                "`x``, y`.`)` TO `z`@`%`"
            ]
        );
        assert_eq!(
            split("SELECT, INSERT (`a, b`, `ü``, `)", ", "),
            ["SELECT", "INSERT (`a, b`, `ü``, `)"]
        );
        assert_eq!(
            split("`a, b`, 'c, ``', \", \"", ", "),
            ["`a, b`", "'c, ``'", "\", \""]
        );
        assert_eq!(split("", ", "), [""]);
        assert_eq!(split("a", ""), ["a"]);
        assert_eq!(split("`never closed, b", ", "), ["`never closed, b"]);
    }
}
