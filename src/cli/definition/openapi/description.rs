//! An OpenAPI description, and what its references stand for.

use serde_json::Value;

/// The most schemas that refer to each other.
const DEEPEST: usize = 12;

/// A description, and what its references stand for.
#[derive(Clone, Copy)]
pub(super) struct Description<'d>(pub &'d Value);

impl<'d> Description<'d> {
    pub fn resolved(self, mut schema: &'d Value) -> &'d Value {
        for _ in 0..DEEPEST {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
                break;
            };
            let found = reference.strip_prefix('#').and_then(|to| self.0.pointer(to));
            schema = found.unwrap_or(&Value::Null);
        }
        schema
    }

    /// Every property of a schema with its own, those that it is put together from among them.
    pub fn properties(self, schema: &'d Value, depth: usize) -> Vec<(&'d str, &'d Value)> {
        let schema = self.resolved(schema);
        let own = schema.get("properties").and_then(Value::as_object);
        let mut all: Vec<_> = own
            .into_iter()
            .flatten()
            .map(|(name, of)| (name.as_str(), of))
            .collect();
        if depth > 0 {
            for part in ["allOf", "oneOf", "anyOf"] {
                let parts = schema.get(part).and_then(Value::as_array);
                all.extend(
                    parts
                        .into_iter()
                        .flatten()
                        .flat_map(|part| self.properties(part, depth - 1)),
                );
            }
        }
        all
    }

    /// The schema of what `operation` answers.
    pub fn answer(self, operation: &'d Value) -> &'d Value {
        let found = ["200", "default"].iter().find_map(|status| {
            let response = self.resolved(operation.get("responses")?.get(status)?);
            response.get("schema").or_else(|| json_schema(response))
        });
        self.resolved(found.unwrap_or(&Value::Null))
    }

    /// The schema of what `operation` is sent.
    pub fn body(self, operation: &'d Value) -> &'d Value {
        let of_2 = || {
            let parameters = operation.get("parameters")?.as_array()?;
            let body = parameters
                .iter()
                .map(|one| self.resolved(one))
                .find(|one| one["in"] == "body");
            body?.get("schema")
        };
        let of_3 = || json_schema(self.resolved(operation.get("requestBody")?));
        self.resolved(of_3().or_else(of_2).unwrap_or(&Value::Null))
    }

    pub fn query(self, operation: &'d Value) -> Vec<&'d str> {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let parameters = parameters.into_iter().flatten().map(|one| self.resolved(one));
        let query = parameters.filter(|one| one["in"] == "query");
        query.filter_map(|one| one["name"].as_str()).collect()
    }

    /// Where the elements of the list that `schema` describes are, and their schema.
    pub fn list(self, schema: &'d Value) -> Option<(Option<&'d str>, &'d Value)> {
        if let Some(items) = schema.get("items") {
            return Some((None, self.resolved(items)));
        }
        self.properties(schema, 2).into_iter().find_map(|(name, of)| {
            let items = self.resolved(of).get("items")?;
            Some((Some(name), self.resolved(items)))
        })
    }

    /// What every path is put behind.
    pub fn base(self) -> String {
        let servers = || self.0.pointer("/servers/0/url").and_then(Value::as_str);
        let path = match (self.0.get("basePath").and_then(Value::as_str), servers()) {
            (Some(path), _) => path,
            (None, Some(url)) => match url.split_once("://") {
                Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
                None => url,
            },
            (None, None) => "",
        };
        let path = path.trim_end_matches('/');
        if path.contains(['{', '}', '$']) {
            String::new()
        } else {
            path.to_owned()
        }
    }
}

fn json_schema(of: &Value) -> Option<&Value> {
    let content = of.get("content")?.as_object()?;
    let json = content.iter().find(|(kind, _)| kind.contains("json"));
    json.and_then(|(_, of)| of.get("schema"))
}
