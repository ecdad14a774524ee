//! Reads the filter and path language of RFC 7644 by recursive descent.

use std::{iter::Peekable, str::CharIndices};

use serde_json::Value;

use super::filter::{Attribute, Filter, Malformed, Operator};

/// Recursive descent; `or` binds weaker than `and`, `not` needs parentheses.
pub struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl<'a> Parser<'a> {
    /// Reads `text` from its start.
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            rest: text.char_indices().peekable(),
        }
    }

    /// A filter.
    pub fn either(&mut self) -> Result<Filter, Malformed> {
        let mut left = self.both()?;
        while self.eat_word("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, Malformed> {
        let mut left = self.one()?;
        while self.eat_word("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, Malformed> {
        let negated = self.eat_word("not");
        self.blanks();
        if self.eat('(') {
            let inner = self.either()?;
            self.blanks();
            if !self.eat(')') {
                return Err(Malformed);
            }
            return Ok(if negated {
                Filter::Not(Box::new(inner))
            } else {
                inner
            });
        }
        if negated {
            return Err(Malformed);
        }
        let attribute = self.attribute()?;
        if self.eat('[') {
            let inner = self.either()?;
            self.blanks();
            return if self.eat(']') {
                Ok(Filter::Within(attribute, Box::new(inner)))
            } else {
                Err(Malformed)
            };
        }
        let operator = match self.word().to_ascii_lowercase().as_str() {
            "pr" => return Ok(Filter::Present(attribute)),
            "eq" => Operator::Eq,
            "ne" => Operator::Ne,
            "co" => Operator::Co,
            "sw" => Operator::Sw,
            "ew" => Operator::Ew,
            "gt" => Operator::Gt,
            "ge" => Operator::Ge,
            "lt" => Operator::Lt,
            "le" => Operator::Le,
            _ => return Err(Malformed),
        };
        Ok(Filter::Compare(attribute, operator, self.value()?))
    }

    /// A name.
    pub fn attribute(&mut self) -> Result<Attribute, Malformed> {
        Attribute::of(self.word())
    }

    /// A JSON text, number, true, false or null.
    fn value(&mut self) -> Result<Value, Malformed> {
        self.blanks();
        let Some(&(start, '"')) = self.rest.peek() else {
            return serde_json::from_str(self.word()).map_err(|_| Malformed);
        };
        self.rest.next();
        let mut escaped = false;
        for (at, c) in self.rest.by_ref() {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    return serde_json::from_str(&self.text[start..=at]).map_err(|_| Malformed);
                }
                _ => escaped = false,
            }
        }
        Err(Malformed)
    }

    fn word(&mut self) -> &'a str {
        self.blanks();
        let start = self.at();
        while self
            .rest
            .next_if(|(_, c)| !c.is_whitespace() && !matches!(c, '(' | ')' | '[' | ']' | '"'))
            .is_some()
        {}
        &self.text[start..self.at()]
    }

    fn eat_word(&mut self, wanted: &str) -> bool {
        let before = self.rest.clone();
        if self.word().eq_ignore_ascii_case(wanted) {
            return true;
        }
        self.rest = before;
        false
    }

    /// Whether `wanted` came next; it is then behind.
    pub fn eat(&mut self, wanted: char) -> bool {
        self.rest.next_if(|(_, c)| *c == wanted).is_some()
    }

    /// Skips blanks.
    pub fn blanks(&mut self) {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn at(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    /// Nothing may be left.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.blanks();
        if self.rest.peek().is_none() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}
