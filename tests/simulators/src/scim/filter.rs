//! The filter and path language of RFC 7644 sections 3.4.2.2 and 3.5.2, over resources as JSON.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::parser::Parser;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `userName eq "a"`.
    Compare(Attribute, Operator, Value),
    /// `title pr`.
    Present(Attribute),
    /// `emails[type eq "work"]`.
    Within(Attribute, Box<Filter>),
    /// Both.
    And(Box<Filter>, Box<Filter>),
    /// Either.
    Or(Box<Filter>, Box<Filter>),
    /// The opposite.
    Not(Box<Filter>),
}

/// An attribute and perhaps one of its sub-attributes. The schema's URN is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The URN of its schema, where that was named.
    pub schema: Option<String>,
    /// `members`.
    pub name: String,
    /// `value` of `members.value`.
    pub sub: Option<String>,
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less or equal.
    Le,
}

/// The target of a PATCH operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The attribute; its `sub` is the one after a value filter too.
    pub attribute: Attribute,
    /// `value eq "…"` of `members[value eq "…"]`.
    pub filter: Option<Filter>,
}

/// Not in the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    /// When the text is not one filter.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser::new(text);
        let filter = parser.either()?;
        parser.end()?;
        Ok(filter)
    }

    /// Whether `resource` matches.
    pub fn matches(&self, resource: &Map<String, Value>) -> bool {
        match self {
            Self::Compare(attribute, operator, wanted) => {
                let values = attribute.values(resource);
                if *operator == Operator::Ne {
                    return !values
                        .iter()
                        .any(|value| compares(attribute, value, Operator::Eq, wanted));
                }
                if values.is_empty() && *operator == Operator::Eq {
                    return wanted.is_null();
                }
                values
                    .iter()
                    .any(|value| compares(attribute, value, *operator, wanted))
            }
            Self::Present(attribute) => attribute
                .values(resource)
                .iter()
                .any(|value| !value.is_null() && value.as_str() != Some("")),
            Self::Within(attribute, filter) => match field(resource, &attribute.name) {
                Some(Value::Array(list)) => list
                    .iter()
                    .filter_map(Value::as_object)
                    .any(|element| filter.matches(element)),
                Some(Value::Object(one)) => filter.matches(one),
                _ => false,
            },
            Self::And(a, b) => a.matches(resource) && b.matches(resource),
            Self::Or(a, b) => a.matches(resource) || b.matches(resource),
            Self::Not(filter) => !filter.matches(resource),
        }
    }
}

impl Path {
    /// Parses the path of a PATCH operation.
    ///
    /// # Errors
    /// When the text is not one path.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut parser = Parser::new(text);
        let mut attribute = parser.attribute()?;
        let mut filter = None;
        if parser.eat('[') {
            filter = Some(parser.either()?);
            parser.blanks();
            if !parser.eat(']') {
                return Err(Malformed);
            }
            if parser.eat('.') {
                attribute.sub = Some(parser.attribute()?.name);
            }
        }
        parser.end()?;
        Ok(Self { attribute, filter })
    }
}

impl Attribute {
    /// Takes a name apart.
    ///
    /// # Errors
    /// When it is not a name.
    pub fn of(text: &str) -> Result<Self, Malformed> {
        // The URN of a schema holds dots and colons; the attribute comes after its last colon.
        let (schema, plain) = text
            .rsplit_once(':')
            .map_or((None, text), |(urn, name)| (Some(urn), name));
        let (name, sub) = match plain.split_once('.') {
            Some((name, sub)) => (name, Some(sub.to_owned())),
            None => (plain, None),
        };
        let sound = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$'))
        };
        if !sound(name) || !sub.as_deref().is_none_or(sound) {
            return Err(Malformed);
        }
        Ok(Self {
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            sub,
        })
    }

    /// All values that the attribute has in `resource`; of complex values without a sub-attribute, their `value`.
    fn values<'a>(&self, resource: &'a Map<String, Value>) -> Vec<&'a Value> {
        let sub = self.sub.as_deref();
        let inner = |value: &'a Value| match (value, sub) {
            (Value::Object(object), sub) => field(object, sub.unwrap_or("value")),
            (value, None) => Some(value),
            _ => None,
        };
        // An extension's attributes are in an object of its own (RFC 7643 section 3.3).
        let extension = self.schema.as_ref().and_then(|urn| field(resource, urn));
        let resource = extension.and_then(Value::as_object).unwrap_or(resource);
        match field(resource, &self.name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().filter_map(inner).collect(),
            Some(value) => inner(value).into_iter().collect(),
        }
    }

    /// RFC 7643: ids and external ids are compared exactly, as are references; most other texts are not.
    fn exact(&self) -> bool {
        ["id", "externalId", "members", "groups"]
            .iter()
            .any(|exact| exact.eq_ignore_ascii_case(&self.name))
    }
}

/// A field by its name in any case (RFC 7643 section 2.1).
pub fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    })
}

fn compares(attribute: &Attribute, value: &Value, operator: Operator, wanted: &Value) -> bool {
    let fold = |text: &str| {
        if attribute.exact() {
            text.to_owned()
        } else {
            text.to_lowercase()
        }
    };
    let ordering = match (value, wanted) {
        (Value::String(a), Value::String(b)) => {
            let (a, b) = (fold(a), fold(b));
            match operator {
                Operator::Co => return a.contains(&b),
                Operator::Sw => return a.starts_with(&b),
                Operator::Ew => return a.ends_with(&b),
                _ => Some(a.cmp(&b)),
            }
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (a, b) => (a == b).then_some(Ordering::Equal),
    };
    match operator {
        Operator::Eq => ordering == Some(Ordering::Equal),
        Operator::Gt => ordering == Some(Ordering::Greater),
        Operator::Lt => ordering == Some(Ordering::Less),
        Operator::Ge => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        Operator::Le => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
        Operator::Ne | Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(filter: &str, resource: &Value) -> bool {
        Filter::parse(filter)
            .unwrap()
            .matches(resource.as_object().unwrap())
    }

    #[test]
    fn quotes_and_backslashes_inside_a_value_are_part_of_it() {
        let odd = json!({"userName": r#"a"b\c"#});
        assert!(matches(r#"userName eq "a\"b\\c""#, &odd));
        assert!(!matches(r#"userName eq "a""#, &odd));
        assert_eq!(Filter::parse(r#"userName eq "a"b""#), Err(Malformed));
    }

    #[test]
    fn a_value_that_tries_to_be_a_filter_stays_a_value() {
        let all = json!({"userName": "jane", "id": "1"});
        assert!(!matches(r#"userName eq "x\" or id pr or id eq \"""#, &all));
    }

    #[test]
    fn and_binds_tighter_than_or() {
        let user = json!({"userName": "jane", "active": false});
        assert!(matches(
            r#"userName eq "jane" or userName eq "bob" and active eq true"#,
            &user
        ));
        assert!(!matches(
            r#"(userName eq "jane" or userName eq "bob") and active eq true"#,
            &user
        ));
        assert!(matches("not (active eq true) and userName pr", &user));
    }

    #[test]
    fn names_and_user_names_ignore_case_but_external_ids_do_not() {
        let user = json!({"userName": "Jane@x.org", "externalId": "E1"});
        assert!(matches(r#"USERNAME EQ "jane@X.org""#, &user));
        assert!(matches(
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "jane@x.org""#,
            &user
        ));
        assert!(!matches(r#"externalId eq "e1""#, &user));
    }

    #[test]
    fn values_of_lists_are_reached_by_dot_and_by_bracket() {
        let group = json!({"members": [{"value": "1"}, {"value": "2", "type": "User"}]});
        assert!(matches(r#"members.value eq "2""#, &group));
        assert!(matches(r#"members eq "2""#, &group));
        assert!(!matches(r#"members[value eq "1" and type eq "User"]"#, &group));
    }

    #[test]
    fn a_path_names_one_target() {
        let path = Path::parse(r#"members[value eq "a]b"]"#).unwrap();
        assert_eq!(path.attribute.name, "members");
        assert!(path.filter.is_some());
        assert_eq!(
            Path::parse("name.familyName").unwrap().attribute.sub.as_deref(),
            Some("familyName")
        );
        for bad in ["", "members[", "a b", "1x", r#"members[value eq "a""#] {
            assert_eq!(Path::parse(bad), Err(Malformed), "{bad}");
        }
    }
}
