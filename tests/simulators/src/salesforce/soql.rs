//! The part of SOQL that an administrator's queries need: fields and relationships, `COUNT()`, `WHERE`, `ORDER BY`,
//! `LIMIT`. No aggregates, subqueries or bind variables.

use super::refusal::Refused;

/// A parsed query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Paths such as `Owner.Name`; none: `COUNT()`.
    pub fields: Option<Vec<String>>,
    /// After `FROM`.
    pub object: String,
    /// After `WHERE`.
    pub filter: Option<Condition>,
    /// Path and whether descending.
    pub order: Option<(String, bool)>,
    /// The most rows.
    pub limit: Option<usize>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// Path, operator, literals (one, but for `IN`).
    Compare(String, Operator, Vec<Literal>),
    /// All of them.
    All(Vec<Condition>),
    /// Any of them.
    Any(Vec<Condition>),
    /// The opposite.
    Not(Box<Condition>),
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`.
    Eq,
    /// `!=` and `<>`.
    Ne,
    /// `<`.
    Lt,
    /// `<=`.
    Le,
    /// `>`.
    Gt,
    /// `>=`.
    Ge,
    /// `LIKE`.
    Like,
    /// `IN`.
    In,
    /// `NOT IN`.
    NotIn,
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `'text'`, unescaped.
    Text(String),
    /// Anything else: `true`, `null`, a number, a date.
    Word(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

fn malformed(why: &str) -> Refused {
    Refused::new(400, "MALFORMED_QUERY", why)
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// `MALFORMED_QUERY`.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
        };
        let query = parser.query()?;
        if parser.at < parser.tokens.len() {
            return Err(malformed("unexpected token"));
        }
        Ok(query)
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Refused> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => {}
            '\'' => found.push(Token::Text(quoted(&mut rest)?)),
            '(' | ')' | ',' | '=' => found.push(Token::Sign(c.to_string())),
            '<' | '>' | '!' => {
                let mut sign = c.to_string();
                if let Some(next) = rest.next_if(|next| *next == '=' || (c == '<' && *next == '>')) {
                    sign.push(next);
                }
                found.push(Token::Sign(sign));
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.') => {
                let mut word = c.to_string();
                while let Some(next) =
                    rest.next_if(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | ':'))
                {
                    word.push(next);
                }
                found.push(Token::Word(word));
            }
            _ => return Err(malformed("unexpected character")),
        }
    }
    Ok(found)
}

/// The rest of a text whose first quote was read. The escapes are those of "Quoted String Escape Sequences".
fn quoted(rest: &mut impl Iterator<Item = char>) -> Result<String, Refused> {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '\'' => return Ok(text),
            '\\' => match rest.next() {
                Some('n' | 'N') => text.push('\n'),
                Some('r' | 'R') => text.push('\r'),
                Some('t' | 'T') => text.push('\t'),
                Some('b' | 'B') => text.push('\u{8}'),
                Some('f' | 'F') => text.push('\u{c}'),
                // In LIKE these stay escaped: the pattern needs to know.
                Some(c @ ('_' | '%')) => {
                    text.push('\\');
                    text.push(c);
                }
                Some(c @ ('\'' | '"' | '\\')) => text.push(c),
                _ => return Err(malformed("invalid string escape")),
            },
            '\n' | '\r' => return Err(malformed("line break in a string")),
            c => text.push(c),
        }
    }
    Err(malformed("unterminated string"))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn query(&mut self) -> Result<Query, Refused> {
        self.keyword("SELECT")?;
        let fields = self.fields()?;
        self.keyword("FROM")?;
        let object = self.word()?;
        let filter = if self.eat("WHERE") {
            Some(self.condition()?)
        } else {
            None
        };
        let mut order = None;
        if self.eat("ORDER") {
            self.keyword("BY")?;
            let path = self.word()?;
            let descending = self.eat("DESC");
            if !descending {
                self.eat("ASC");
            }
            order = Some((path, descending));
        }
        let mut limit = None;
        if self.eat("LIMIT") {
            limit = Some(
                self.word()?
                    .parse()
                    .map_err(|_| malformed("LIMIT needs a number"))?,
            );
        }
        Ok(Query {
            fields,
            object,
            filter,
            order,
            limit,
        })
    }

    fn fields(&mut self) -> Result<Option<Vec<String>>, Refused> {
        let first = self.word()?;
        if first.eq_ignore_ascii_case("COUNT") && self.sign("(") {
            return if self.sign(")") {
                Ok(None)
            } else {
                Err(malformed("only COUNT() is supported"))
            };
        }
        let mut fields = vec![first];
        while self.sign(",") {
            fields.push(self.word()?);
        }
        Ok(Some(fields))
    }

    /// SOQL has no precedence between AND and OR: mixing them without parentheses is an error.
    fn condition(&mut self) -> Result<Condition, Refused> {
        let mut parts = vec![self.one()?];
        if self.peek("AND") {
            while self.eat("AND") {
                parts.push(self.one()?);
            }
            if self.peek("OR") {
                return Err(malformed("unexpected token: 'OR'"));
            }
            return Ok(Condition::All(parts));
        }
        while self.eat("OR") {
            parts.push(self.one()?);
        }
        if self.peek("AND") {
            return Err(malformed("unexpected token: 'AND'"));
        }
        Ok(Condition::Any(parts))
    }

    fn one(&mut self) -> Result<Condition, Refused> {
        if self.eat("NOT") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.sign("(") {
            let inner = self.condition()?;
            return if self.sign(")") {
                Ok(inner)
            } else {
                Err(malformed("expecting a right parentheses"))
            };
        }
        let path = self.word()?;
        let operator = self.operator()?;
        let mut literals = Vec::new();
        if matches!(operator, Operator::In | Operator::NotIn) {
            if !self.sign("(") {
                return Err(malformed("IN needs a list"));
            }
            literals.push(self.literal()?);
            while self.sign(",") {
                literals.push(self.literal()?);
            }
            if !self.sign(")") {
                return Err(malformed("expecting a right parentheses"));
            }
        } else {
            literals.push(self.literal()?);
        }
        Ok(Condition::Compare(path, operator, literals))
    }

    fn operator(&mut self) -> Result<Operator, Refused> {
        if self.eat("LIKE") {
            return Ok(Operator::Like);
        }
        if self.eat("IN") {
            return Ok(Operator::In);
        }
        if self.eat("NOT") {
            self.keyword("IN")?;
            return Ok(Operator::NotIn);
        }
        let operator = match self.tokens.get(self.at) {
            Some(Token::Sign(sign)) => match sign.as_str() {
                "=" => Operator::Eq,
                "!=" | "<>" => Operator::Ne,
                "<" => Operator::Lt,
                "<=" => Operator::Le,
                ">" => Operator::Gt,
                ">=" => Operator::Ge,
                _ => return Err(malformed("unknown operator")),
            },
            _ => return Err(malformed("an operator is missing")),
        };
        self.at += 1;
        Ok(operator)
    }

    fn literal(&mut self) -> Result<Literal, Refused> {
        let literal = match self.tokens.get(self.at) {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) => Literal::Word(word.clone()),
            _ => return Err(malformed("a value is missing")),
        };
        self.at += 1;
        Ok(literal)
    }

    fn word(&mut self) -> Result<String, Refused> {
        match self.tokens.get(self.at) {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            _ => Err(malformed("a name is missing")),
        }
    }

    fn peek(&self, wanted: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted))
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let there = self.peek(wanted);
        self.at += usize::from(there);
        there
    }

    fn keyword(&mut self, wanted: &str) -> Result<(), Refused> {
        if self.eat(wanted) {
            Ok(())
        } else {
            Err(malformed("a keyword is missing"))
        }
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let there = matches!(self.tokens.get(self.at), Some(Token::Sign(sign)) if sign == wanted);
        self.at += usize::from(there);
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_keeps_quotes_and_backslashes() {
        let query = Query::parse(r"SELECT Id FROM User WHERE Email = 'o\'neill\\x@y.org'").unwrap();
        let wanted = Literal::Text(r"o'neill\x@y.org".into());
        assert_eq!(
            query.filter,
            Some(Condition::Any(vec![Condition::Compare(
                "Email".into(),
                Operator::Eq,
                vec![wanted]
            )]))
        );
    }

    #[test]
    fn what_soql_refuses_is_refused() {
        for bad in [
            "SELECT FROM User",
            "SELECT Id FROM User WHERE Email = 'o'neill'",
            "SELECT Id FROM User WHERE Email = 'x",
            r"SELECT Id FROM User WHERE Email = 'a\q'",
            "SELECT Id FROM User WHERE A = 1 AND B = 2 OR C = 3",
            "SELECT Id FROM User; DELETE",
            "SELECT COUNT(Id) FROM User",
        ] {
            assert_eq!(Query::parse(bad).unwrap_err().code, "MALFORMED_QUERY", "{bad}");
        }
    }

    #[test]
    fn count_lists_and_relationships_are_understood() {
        let query = Query::parse(
            "select count() from PermissionSetAssignment where AssigneeId in ('a','b') \
             and PermissionSet.IsOwnedByProfile = false",
        )
        .unwrap();
        assert_eq!(query.fields, None);
        assert!(matches!(query.filter, Some(Condition::All(parts)) if parts.len() == 2));
    }
}
