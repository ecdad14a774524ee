//! A file with definitions, as whoever writes one wants it checked: every mistake of every document, each with its line.

use serde_json::Value;

use super::{
    load::{Definition, not_yaml, parse_value},
    problems::{Problem, Problems},
};

/// How many unknown fields are taken out of one document, at most, to find the next.
const MOST_UNKNOWN: usize = 50;

/// A definition of a file; or everything that is wrong with it, with the line, counted from one, where it is known.
pub type Checked = Result<Definition, Vec<(Option<usize>, Problem)>>;

/// Checks every `ConnectorDefinition` of a file; documents of other kinds are passed over.
pub fn check_file(text: &str) -> Vec<Checked> {
    let documents = documents(text).into_iter();
    documents
        .filter_map(|(before, document)| checked(document, before))
        .collect()
}

/// The documents of a file, each with how many lines are before it.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = vec![];
    let (mut begin, mut begin_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" {
            found.push((begin_line, &text[begin..at]));
            begin = at + line.len();
            begin_line = number + 1;
        }
        at += line.len();
    }
    found.push((begin_line, &text[begin..]));
    let is_empty = |document: &str| {
        let lines = document.lines().map(str::trim);
        lines.clone().all(|line| line.is_empty() || line.starts_with('#'))
    };
    found.retain(|(_, document)| !is_empty(document));
    found
}

fn checked(document: &str, before: usize) -> Option<Checked> {
    let place = |problem: Problem| {
        let line = line_of(document, &problem.path);
        (line.map(|line| line + before), problem)
    };
    let refused = |problems: Problems| Some(Err(problems.0.into_iter().map(place).collect()));
    let mut value: Value = match serde_saphyr::from_str(document) {
        Ok(value) => value,
        Err(error) => {
            let line = error.location().and_then(|at| usize::try_from(at.line()).ok());
            let problem = Problem {
                path: "(file)".to_owned(),
                message: not_yaml(&error),
            };
            return Some(Err(vec![(line.map(|line| line + before), problem)]));
        }
    };
    let kind = value.get("kind").and_then(Value::as_str);
    if kind.is_some_and(|kind| kind != "ConnectorDefinition") {
        return None;
    }
    let mut problems = Problems::default();
    let parsed = loop {
        match parse_value(&value) {
            Ok(parsed) => break Some(parsed),
            Err(found) => {
                let unknown = found.0.first().and_then(|problem| mend(&mut value, problem));
                problems.0.extend(found.0.into_iter().map(suggested));
                if unknown.is_none() || problems.0.len() > MOST_UNKNOWN {
                    break None;
                }
            }
        }
    };
    let Some((name, spec)) = parsed else {
        return refused(problems);
    };
    match Definition::compile(&name, spec) {
        Ok(definition) if problems.0.is_empty() => Some(Ok(definition)),
        Ok(_) => refused(problems),
        Err(more) => {
            problems.0.extend(more.0);
            refused(problems)
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'p> {
    Key(&'p str),
    Index(usize),
}

/// `facts`, `A`, `act`, 0, `delete` of `facts.A.act[0].delete`.
fn segments(path: &str) -> Vec<Segment<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let index = part.strip_suffix(']').and_then(|index| index.parse().ok());
            index.map_or(Segment::Key(part), Segment::Index)
        })
        .collect()
}

/// Makes a document readable as far as `problem` goes, so that the next one is found too: an unknown field is taken out, and a
/// word that is none of those that may stand there becomes one of them. None where it is something else.
fn mend(document: &mut Value, problem: &Problem) -> Option<()> {
    let way = segments(&problem.path);
    let (Segment::Key(last), way) = way.split_last()? else {
        return None;
    };
    let pointers = ["", "/spec"].map(|start| {
        way.iter().fold(start.to_owned(), |pointer, part| match part {
            Segment::Key(key) => format!("{pointer}/{key}"),
            Segment::Index(index) => format!("{pointer}/{index}"),
        })
    });
    let holds = |pointer: &&String| {
        document
            .pointer(pointer)
            .is_some_and(|there| there.get(*last).is_some())
    };
    let pointer = pointers.iter().find(holds)?;
    let object = document.pointer_mut(pointer)?.as_object_mut()?;
    if problem.message.starts_with("unknown field") {
        object.remove(*last)?;
        return Some(());
    }
    let words = problem.message.strip_prefix("unknown variant")?;
    let allowed = words.split('`').nth(3)?;
    object.insert((*last).to_owned(), allowed.into());
    Some(())
}

/// The line of the field at `path` in a document, counted from one, or of the last field on the way to it that is written there.
/// Found by keys and indentation.
fn line_of(document: &str, path: &str) -> Option<usize> {
    let lines: Vec<&str> = document.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut block = (0, lines.len());
    let mut found = None;
    let spec = lines.iter().position(|line| line.starts_with("spec:"));
    let at_root = ["metadata", "kind", "apiVersion", "spec"];
    if let Some(spec) = spec.filter(|_| !at_root.iter().any(|root| path.starts_with(root))) {
        block.0 = spec + 1;
    }
    for segment in segments(path) {
        let within = |(at, line): &(usize, &&str)| *at >= block.0 && *at < block.1 && !line.trim().is_empty();
        let outer = lines
            .iter()
            .enumerate()
            .filter(within)
            .map(|(_, line)| indent(line))
            .min();
        let here = match segment {
            Segment::Key(key) => {
                let rank = |line: &&str| {
                    let text = line
                        .trim_start()
                        .trim_start_matches("- ")
                        .trim_start_matches(['"', '\'']);
                    let starts = text
                        .strip_prefix(key)
                        .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':'));
                    let flow = ["{ ", ", ", "{"]
                        .iter()
                        .any(|before| line.contains(&format!("{before}{key}:")));
                    (starts, flow)
                };
                let mut all = lines.iter().enumerate().filter(within);
                let own = all
                    .clone()
                    .find(|(_, line)| rank(line).0 && Some(indent(line)) <= outer.map(|i| i + 2));
                own.or_else(|| all.find(|(_, line)| rank(line).0 || rank(line).1))
                    .map(|(at, _)| at)
            }
            Segment::Index(index) => {
                let items = lines.iter().enumerate().filter(within);
                let mut items = items
                    .filter(|(_, line)| line.trim_start().starts_with("- ") && Some(indent(line)) == outer);
                items.nth(index).map(|(at, _)| at)
            }
        };
        let Some(here) = here else { continue };
        found = Some(here);
        let deeper = |line: &&str| {
            line.trim().is_empty()
                || indent(line) > indent(lines[here])
                || indent(line) == indent(lines[here])
                    && line.trim_start().starts_with("- ")
                    && !lines[here].trim_start().starts_with("- ")
        };
        let inside = lines
            .iter()
            .skip(here + 1)
            .take_while(|line| deeper(line))
            .count();
        let flows = lines[here].contains('{');
        block = (
            if flows || inside == 0 || matches!(segment, Segment::Index(_)) {
                here
            } else {
                here + 1
            },
            here + 1 + inside,
        );
    }
    found.map(|at| at + 1)
}

/// The suggestion for a field that is not known.
fn suggested(mut problem: Problem) -> Problem {
    let mut quoted = problem.message.split('`').skip(1).step_by(2);
    let what = ["unknown field", "unknown variant"];
    if let Some(what) = what.into_iter().find(|what| problem.message.starts_with(what))
        && let Some(wrong) = quoted.next()
    {
        let known: Vec<String> = quoted.map(str::to_owned).collect();
        let nearest = super::graph::nearest(wrong, known.iter());
        problem.message = format!("{what} '{wrong}'{nearest}");
    }
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "apiVersion: offboard.dev/v1alpha1
kind: Connector
metadata: { name: a }
---
apiVersion: offboard.dev/v1alpha1
kind: ConnectorDefinition
metadata: { name: forge }
spec:
  title: Forge
  inputs:
    url: { pattern: 'https://.+' }
  http: { base: '${inputs.url}' }
  account:
    find:
      - get: /users
        query: { mail: '${who.email}' }
      - { gett: '/users/${who.accountName}' }
    id: string(item.id)
    name: item.login
    keys: { email: item.mail }
    shows: user
  reads:
    user: { get: '/users/${account.id}' }
  facts:
    Blocked:
      class: Acces
      hold: reads.user.blocked
      holds: size(reads.user) == '1'
      act: [{ patch: '/users/{account.id}' }]
";

    #[test]
    fn every_mistake_is_found_at_once_with_its_line() {
        let checked = check_file(TWO);
        assert_eq!(checked.len(), 1);
        let problems = checked[0].as_ref().unwrap_err();
        let shown: Vec<String> = problems
            .iter()
            .map(|(line, problem)| format!("{}: {}: {}", line.unwrap_or(0), problem.path, problem.message))
            .collect();
        let expected = [
            "17: account.find[1].gett: unknown field 'gett'; 'get' is meant?",
            "26: facts.Blocked.class: unknown variant 'Acces'; 'Access' is meant?",
            "27: facts.Blocked.hold: unknown field 'hold'; 'holds' is meant?",
            "28: facts.Blocked.holds: compares a number with a text",
            "29: facts.Blocked.act[0].patch: {account.id} is sent as it stands",
        ];
        for part in expected {
            assert!(
                shown.iter().any(|line| line.starts_with(part)),
                "{part} in {shown:#?}"
            );
        }
    }
}
