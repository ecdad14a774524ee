//! Searches, read to their very end: all pages (RFC 2696), all ranges of large attributes ([MS-ADTS] 3.1.1.3.1.3.3).
//!
//! A server that cannot show the end makes the whole search fail: a list is complete or there is none.

use std::time::Duration;

use ldap3::{
    LdapResult, ResultEntry, Scope, SearchOptions,
    controls::{Control, PagedResults, RawControl},
};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    frame::element,
    result::{Refusal, Trouble},
    session::Session,
    value,
};
use crate::{
    core::fault::{Fault, Reason},
    transport::memory::{self, Reservation},
};

/// Entries on a page. Active Directory's limit is 1000.
const PAGE: i32 = 500;

/// What a value costs beside its bytes.
const VALUE: usize = 64;

/// The most that one search may bring, in bytes of names and values, with what each costs beside.
const LARGEST: usize = 32 << 20;

const PAGED: &str = "1.2.840.113556.1.4.319";

/// One entry as the server sent it.
#[derive(Debug)]
pub(super) struct Entry {
    pub dn: String,
    pub attributes: Vec<Attribute>,
}

/// One attribute, or a part of its values.
#[derive(Debug)]
pub(super) struct Attribute {
    /// The name without a range.
    pub name: String,
    /// The place of the next value that was not sent; none: these are all, or the last ones.
    pub next: Option<u64>,
    pub values: Vec<Vec<u8>>,
}

impl Entry {
    /// Reads an entry; none for a referral, or for something that breaks the protocol.
    pub(super) fn parse(raw: ResultEntry) -> Option<Self> {
        let mut parts = raw.0.match_id(4)?.expect_constructed()?.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let name = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
            let values = parts.next()?.expect_constructed()?.into_iter();
            let values = values
                .map(ldap3::asn1::StructureTag::expect_primitive)
                .collect::<Option<_>>()?;
            let (name, next) = split_range(&name)?;
            attributes.push(Attribute { name, next, values });
        }
        Some(Self { dn, attributes })
    }

    fn size(&self) -> usize {
        let value = |value: &Vec<u8>| VALUE + value.len();
        let attribute = |attribute: &Attribute| {
            VALUE + attribute.name.len() + attribute.values.iter().map(value).sum::<usize>()
        };
        VALUE + self.dn.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// What a search has brought by now, in bytes of names and values with what each costs beside, and the memory counted for it.
#[derive(Debug, Default)]
struct Brought {
    size: usize,
    memory: Reservation,
}

impl Brought {
    async fn add(&mut self, size: usize, patience: Duration) -> Result<(), Fault> {
        self.size += size;
        if self.size > LARGEST {
            return Err(Fault::permanent(Reason::Incomplete).with_code("too large"));
        }
        let deadline = Instant::now() + patience;
        self.memory
            .count(&memory::COMING, (self.size, LARGEST), deadline)
            .await
    }
}

/// `member;range=0-1499` → `member`, 1500; `member;range=1500-*` → `member`, none.
fn split_range(name: &str) -> Option<(String, Option<u64>)> {
    let Some(at) = name.to_ascii_lowercase().find(";range=") else {
        return Some((name.to_owned(), None));
    };
    let (_, last) = name[at + ";range=".len()..].split_once('-')?;
    let next = match last {
        "*" => None,
        last => Some(last.parse::<u64>().ok()?.checked_add(1)?),
    };
    Some((name[..at].to_owned(), next))
}

/// One attribute that the definition asks for.
#[derive(Debug, PartialEq)]
struct Wanted {
    /// The key in the answer: as asked for, without brackets and range.
    key: String,
    /// What the server is asked for.
    ask: String,
    list: bool,
}

impl Wanted {
    fn parse(attribute: &str) -> Self {
        let (ask, list) = match attribute.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (attribute, false),
        };
        let key = split_range(ask).map_or_else(|| ask.to_owned(), |(name, _)| name);
        Self {
            key,
            ask: ask.to_owned(),
            list,
        }
    }
}

/// One search.
#[derive(Debug)]
pub(super) struct Search<'a> {
    session: &'a Session,
    base: &'a str,
    scope: Scope,
    filter: String,
    wanted: Vec<Wanted>,
    deadline: Duration,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        session: &'a Session,
        base: &'a str,
        entry: bool,
        filter: &str,
        attributes: &[String],
        deadline: Duration,
    ) -> Self {
        let wanted = attributes.iter().map(|attribute| Wanted::parse(attribute));
        Self {
            session,
            base,
            scope: if entry { Scope::Base } else { Scope::Subtree },
            filter: if filter.is_empty() {
                "(objectClass=*)".to_owned()
            } else {
                value::filter(filter)
            },
            wanted: wanted
                .filter(|wanted| !wanted.key.eq_ignore_ascii_case("dn"))
                .collect(),
            deadline,
        }
    }

    /// All entries, and the memory that is counted for them.
    pub(super) async fn run(&self) -> Result<(Vec<Value>, Reservation), Trouble> {
        let mut asks: Vec<String> = self.wanted.iter().map(|wanted| wanted.ask.clone()).collect();
        if asks.is_empty() {
            // "No attributes" (RFC 4511, 4.5.1.8); an empty list would mean all of them.
            asks.push("1.1".to_owned());
        }
        let mut brought = Brought::default();
        let mut found = Vec::new();
        for entry in self.pages(&asks, &mut brought).await? {
            let entry = self.complete(entry, &mut brought).await?;
            found.push(self.shape(&entry));
        }
        Ok((found, brought.memory))
    }

    async fn pages(&self, asks: &[String], brought: &mut Brought) -> Result<Vec<Entry>, Trouble> {
        let mut found = Vec::new();
        let mut cookie = Vec::new();
        let paged = self.scope != Scope::Base;
        loop {
            let first = cookie.is_empty();
            let page = PagedResults { size: PAGE, cookie };
            let controls = if paged { vec![page.into()] } else { Vec::new() };
            let (entries, result) = self
                .page(self.base, self.scope, &self.filter, asks, controls, brought)
                .await?;
            found.extend(entries);
            match next_page(&result.ctrls)? {
                Some(next) if next.is_empty() => return Ok(found),
                Some(next) => cookie = next,
                // A server that knows pages and shows no end, or stops to speak of pages, has not told everything.
                None if paged && (!first || self.session.supports(PAGED)) => {
                    return Err(Fault::transient(Reason::Incomplete)
                        .with_code("no last page")
                        .into());
                }
                None => return Ok(found),
            }
        }
    }

    async fn page(
        &self,
        base: &str,
        scope: Scope,
        filter: &str,
        asks: &[String],
        controls: Vec<RawControl>,
        brought: &mut Brought,
    ) -> Result<(Vec<Entry>, LdapResult), Trouble> {
        let mut ldap = self.session.ldap.clone();
        let seconds = i32::try_from(self.deadline.as_secs().max(1)).unwrap_or(i32::MAX);
        ldap.with_search_options(SearchOptions::new().timelimit(seconds));
        ldap.with_controls(controls);
        let mut stream = ldap.streaming_search(base, scope, filter, asks.to_vec()).await?;
        let mut found = Vec::new();
        while let Some(raw) = stream.next().await? {
            // A referral names another server; what is there belongs to another connector.
            if raw.is_ref() || raw.is_intermediate() {
                brought.add(VALUE, self.deadline).await?;
                continue;
            }
            let entry = Entry::parse(raw).ok_or(Fault::permanent(Reason::Malformed).with_code("entry"))?;
            brought.add(entry.size(), self.deadline).await?;
            found.push(entry);
        }
        let result = stream.finish().await;
        Refusal::check(&result)?;
        Ok((found, result))
    }

    /// Fetches the rest of attributes that came in part, where a whole list was asked for.
    async fn complete(&self, mut entry: Entry, brought: &mut Brought) -> Result<Entry, Trouble> {
        for attribute in &mut entry.attributes {
            let listed = |wanted: &Wanted| wanted.list && wanted.key.eq_ignore_ascii_case(&attribute.name);
            if !self.wanted.iter().any(listed) {
                continue;
            }
            while let Some(next) = attribute.next {
                let ask = vec![format!("{};range={next}-*", attribute.name)];
                let all = "(objectClass=*)";
                let (rest, _) = self
                    .page(&entry.dn, Scope::Base, all, &ask, Vec::new(), brought)
                    .await?;
                let rest = rest.into_iter().flat_map(|entry| entry.attributes);
                let part = rest
                    .into_iter()
                    .find(|rest| rest.name.eq_ignore_ascii_case(&attribute.name) && !rest.values.is_empty());
                let incomplete = Fault::transient(Reason::Incomplete).with_code("range");
                let part = part.ok_or(incomplete)?;
                attribute.values.extend(part.values);
                attribute.next = part.next;
            }
        }
        Ok(entry)
    }

    /// The entry under the names that were asked for. `*` and `+` bring further ones under the server's names.
    fn shape(&self, entry: &Entry) -> Value {
        let mut shaped = Map::from_iter([("dn".to_owned(), json!(entry.dn))]);
        let everything = self
            .wanted
            .iter()
            .any(|wanted| matches!(wanted.ask.as_str(), "*" | "+"));
        let named = |name: &str| -> Vec<String> {
            let attributes = entry
                .attributes
                .iter()
                .filter(|found| found.name.eq_ignore_ascii_case(name));
            let decoded = |found: &Attribute| {
                found
                    .values
                    .iter()
                    .map(|value| value::decode(name, value))
                    .collect()
            };
            attributes.flat_map::<Vec<String>, _>(decoded).collect()
        };
        for attribute in entry.attributes.iter().filter(|_| everything) {
            if let Some(value) = named(&attribute.name).first() {
                shaped.insert(attribute.name.clone(), json!(value));
            }
        }
        for wanted in self
            .wanted
            .iter()
            .filter(|wanted| !matches!(wanted.ask.as_str(), "*" | "+"))
        {
            let values = named(&wanted.key);
            if wanted.list {
                shaped.insert(wanted.key.clone(), json!(values));
            } else if let Some(value) = values.first() {
                shaped.insert(wanted.key.clone(), json!(value));
            }
        }
        Value::Object(shaped)
    }
}

/// The cookie of the next page: empty after the last one, none when the server did not speak of pages.
fn next_page(controls: &[Control]) -> Result<Option<Vec<u8>>, Fault> {
    let Some(control) = controls.iter().find(|control| control.1.ctype == PAGED) else {
        return Ok(None);
    };
    let malformed = Fault::permanent(Reason::Malformed).with_code("page");
    let value = control.1.val.as_deref().unwrap_or_default();
    cookie(value).map(|cookie| Some(cookie.to_vec())).ok_or(malformed)
}

/// Reads `SEQUENCE { size INTEGER, cookie OCTET STRING }`. The library's own reader panics on anything else.
fn cookie(value: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = element(0x30, value)?;
    let (_, rest) = element(0x02, sequence)?;
    Some(element(0x04, rest)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_tells_where_the_rest_begins() {
        assert_eq!(
            split_range("member;range=0-1499"),
            Some(("member".to_owned(), Some(1500)))
        );
        assert_eq!(
            split_range("member;Range=1500-*"),
            Some(("member".to_owned(), None))
        );
        assert_eq!(
            split_range("userCertificate;binary"),
            Some(("userCertificate;binary".to_owned(), None))
        );
        assert_eq!(split_range("member;range=x"), None);
    }

    #[tokio::test]
    async fn what_is_in_an_entry_is_weighed_however_short_it_is() {
        let entry = |attributes: usize, values: usize| Entry {
            dn: "cn=x".to_owned(),
            attributes: (0..attributes)
                .map(|_| Attribute {
                    name: "a".to_owned(),
                    next: None,
                    values: vec![Vec::new(); values],
                })
                .collect(),
        };
        assert_eq!(entry(1, 0).size() - entry(0, 0).size(), VALUE + 1);
        assert_eq!(entry(1, 7).size() - entry(1, 0).size(), 7 * VALUE);
        let patience = Duration::from_secs(60);
        for heavy in [entry(1, LARGEST / VALUE), entry(LARGEST / VALUE, 0)] {
            let mut brought = Brought::default();
            let fault = brought.add(heavy.size(), patience).await.unwrap_err();
            assert_eq!(fault.code, "too large");
        }
    }

    #[test]
    fn brackets_ask_for_a_list() {
        let wanted = Wanted::parse("memberOf[]");
        assert_eq!(
            (wanted.key.as_str(), wanted.ask.as_str(), wanted.list),
            ("memberOf", "memberOf", true)
        );
        let wanted = Wanted::parse("member;range=0-9[]");
        assert_eq!(
            (wanted.key.as_str(), wanted.ask.as_str()),
            ("member", "member;range=0-9")
        );
    }

    #[test]
    fn a_page_without_a_cookie_is_the_last_one() {
        assert_eq!(cookie(&[0x30, 5, 2, 1, 0, 4, 0]), Some(&b""[..]));
        assert_eq!(
            cookie(&[0x30, 0x81, 7, 2, 1, 0, 4, 2, b'a', b'b']),
            Some(&b"ab"[..])
        );
    }

    #[test]
    fn a_page_that_breaks_the_protocol_is_no_last_page() {
        assert_eq!(cookie(&[]), None);
        assert_eq!(cookie(&[0x30, 5, 2, 1, 0]), None);
        assert_eq!(cookie(&[0x30, 0x8f, 0xff]), None);
    }
}
