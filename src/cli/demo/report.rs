//! The demo's report: one HTML file without script, for screens (light and dark) and paper, and the same as JSON.

use std::{fmt::Write as _, fs, io, path::Path};

use jiff::Timestamp;

use super::findings::{FactShown, Findings, seconds};
use crate::{
    cli::{
        plan::{Mark, words_of},
        status::checks,
    },
    connectors::declarative::counted,
};

const STYLE: &str = include_str!("report/style.css");

/// Writes `report.html` and `report.json` into `folder`.
pub(super) fn write(findings: &Findings, folder: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(findings).map_err(io::Error::other)?;
    fs::write(folder.join("report.json"), json + "\n")?;
    fs::write(folder.join("report.html"), html(findings))
}

fn html(findings: &Findings) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Evidence of offboarding – {0}</title>\n<style>\n{STYLE}</style></head><body>\n\
         <h1>Evidence of offboarding</h1>\
         <div class=\"mut\">{0} · handed over to {1} · cutoff {2} · plan <code>{3}</code> · <b>a demo, of simulated systems</b></div>\n",
        escape(&findings.leaver),
        escape(&findings.successor),
        findings.cutoff.strftime("%Y-%m-%d %H:%M UTC"),
        findings.plan.digest,
    );
    for part in [
        verdict,
        numbers,
        removed,
        tries,
        data,
        drift,
        not_covered,
        facts,
        chain,
    ] {
        page.push_str(&part(findings));
    }
    page.push_str("</body></html>\n");
    page
}

fn verdict(findings: &Findings) -> String {
    let (class, text) = if findings.proven() {
        ("verdict", "✔ All access removed. All data handed over.")
    } else {
        ("verdict bad", "✘ Not everything is proven.")
    };
    let count = |what: &str| {
        findings
            .facts
            .iter()
            .filter(|fact| fact.verdict.starts_with(what))
            .count()
    };
    let mut page = format!(
        "<div class=\"{class}\"><b>{text}</b><br>{}. \
         Finished {:.1} s after the start; last checked at {} UTC.</div>\n",
        checks(count("Verified"), count("Asserted")),
        findings.seconds,
        clock(findings.facts.iter().filter_map(|fact| fact.verified).max()),
    );
    if !findings.left.is_empty() {
        page.push_str("<ul class=\"bad\">");
        for left in &findings.left {
            put(&mut page, &format!("<li>Not done: {}</li>", escape(left)));
        }
        page.push_str("</ul>\n");
    }
    page
}

fn numbers(findings: &Findings) -> String {
    let before: usize = findings.owned.iter().map(|owned| owned.before).sum();
    let arrived: usize = findings.owned.iter().map(|owned| owned.arrived).sum();
    let cells = [
        (findings.accounts().to_string(), "accounts"),
        (
            format!("{} / {}", findings.after.refused(), findings.after.made),
            "old ways in refused",
        ),
        (format!("{arrived} / {before}"), "items handed over"),
        (
            format!("{} / {}", findings.control.worked, findings.control.made),
            "successor's ways in still work",
        ),
        (format!("{:.1} s", findings.seconds), "from start to last proof"),
    ];
    let mut page = "<div class=\"numbers\">".to_owned();
    for (number, what) in cells {
        put(&mut page, &format!("<div><b>{number}</b>{what}</div>"));
    }
    page + "</div>\n"
}

/// A row for each account: what was there, when the last of it was seen gone, how that is known.
fn removed(findings: &Findings) -> String {
    let mut page = table(
        "Access removed",
        &["System", "Account", "What was done", "Ended (UTC)", "Read back"],
    );
    for facts in findings.facts.chunk_by(|one, other| one.system == other.system) {
        let Some(first) = facts.first() else { continue };
        let security: Vec<&FactShown> = facts.iter().filter(|fact| fact.security).collect();
        let verified = security.iter().filter(|fact| fact.verdict == "Verified").count();
        let lines = findings.plan.lines.iter();
        let done: Vec<&str> = lines
            .filter(|line| line.system == first.system && line.mark == Mark::Revoke)
            .map(|line| line.text.as_str())
            .collect();
        let sign = if verified == security.len() {
            format!("<span class=\"good\">✔</span> {verified} of {}", security.len())
        } else {
            format!("<span class=\"bad\">✘</span> {verified} of {}", security.len())
        };
        let ended = clock(security.iter().filter_map(|fact| fact.first).max());
        let cells = [&first.system, &first.account, &done.join(", "), &ended].map(|text| escape(text));
        put(
            &mut page,
            &format!("<tr><td>{}</td><td>{sign}</td></tr>\n", cells.join("</td><td>")),
        );
    }
    page + END
}

fn tries(findings: &Findings) -> String {
    let mut page = table(
        "Login tries, made without the connectors",
        &[
            "System",
            "Old passwords, sessions, keys, tokens",
            "Worked before",
            "Work after",
            "Successor's own that still work",
        ],
    );
    for (system, (made, worked)) in &findings.before.systems {
        let of = |tries: &super::findings::Tries| tries.systems.get(system).copied().unwrap_or_default();
        let (_, after) = of(&findings.after);
        let (controls, control) = of(&findings.control);
        let numbers = [
            made.to_string(),
            worked.to_string(),
            after.to_string(),
            format!("{control} of {controls}"),
        ];
        row(&mut page, &[&[(*system).to_owned()], &numbers[..]].concat());
    }
    page.push_str(END);
    for open in &findings.after.open {
        put(
            &mut page,
            &format!("<p class=\"bad\">Still open: {}</p>\n", escape(open)),
        );
    }
    page
}

fn data(findings: &Findings) -> String {
    let mut page = table(
        "Data handed over",
        &["System", "To", "Items before", "Arrived", "Left behind"],
    );
    for owned in &findings.owned {
        let numbers = [owned.before, owned.arrived, owned.left].map(|number| number.to_string());
        let names = [owned.system.clone(), findings.successor.clone()];
        row(&mut page, &[&names[..], &numbers[..]].concat());
    }
    page + END
}

fn drift(findings: &Findings) -> String {
    let Some(drift) = &findings.drift else {
        return String::new();
    };
    let facts: Vec<String> = drift.facts.iter().map(|fact| words_of(fact)).collect();
    format!(
        "<h2>Access given back by hand</h2>\n<p>At {} {} was made active again in {}, and {} worked. It was seen ({}), taken \
         away, and {} after {:.1} s.</p>\n",
        clock(Some(drift.given_back_at)),
        escape(&findings.leaver),
        escape(&drift.system),
        counted(i64::try_from(drift.open_meanwhile).unwrap_or(i64::MAX), "old way") + " in",
        escape(&facts.join(", ")),
        if drift.open_after == 0 {
            "refused again".to_owned()
        } else {
            format!("{} still worked", drift.open_after)
        },
        drift.seconds,
    )
}

/// What nobody may conclude from this page.
fn not_covered(findings: &Findings) -> String {
    let mut page = "<h2>Not covered</h2>\n<ul>\n".to_owned();
    let mut say = |text: &str| put(&mut page, &format!("<li>{text}</li>\n"));
    say(
        "The systems are simulations inside the program. Their rules are those that the vendors document; what a real \
         tenant does is not shown here.",
    );
    let asserted = findings
        .facts
        .iter()
        .filter(|fact| fact.verdict.starts_with("Asserted"));
    let asserted: Vec<String> = asserted
        .map(|fact| format!("{}: {}", escape(&fact.system), words_of(&fact.fact)))
        .collect();
    if !asserted.is_empty() {
        say(&format!(
            "Asked for, and cannot be read back: {}.",
            asserted.join(", ")
        ));
    }
    if findings.not_wanted.is_empty() {
        say("Nothing was deleted, and no account is gone: the policy wants no deletion.");
    } else {
        say(&format!(
            "Not wanted now: {}.",
            escape(&findings.not_wanted.join(", "))
        ));
    }
    say(
        "Systems without a connector, devices, badges, shared passwords, private accounts, and what was copied before the cutoff.",
    );
    say(
        "This file is not signed. Its chain shows a change of one entry, not that somebody wrote all of it anew.",
    );
    page + "</ul>\n"
}

fn facts(findings: &Findings) -> String {
    let mut page = format!(
        "<details open><summary>All {} facts</summary>\n",
        findings.facts.len()
    );
    page.push_str(&head(&[
        "System",
        "Account",
        "Fact",
        "Class",
        "Verdict",
        "Known by",
        "First (UTC)",
        "Last (UTC)",
    ]));
    let mut last = "";
    for fact in &findings.facts {
        let (system, account) = if fact.system == last {
            ("", "")
        } else {
            (fact.system.as_str(), fact.account.as_str())
        };
        last = &fact.system;
        let class = if fact.verdict == "Verified" {
            "good"
        } else {
            "warn"
        };
        let cells = [system, account, &words_of(&fact.fact), &fact.class].map(escape);
        put(
            &mut page,
            &format!(
                "<tr><td>{}</td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                cells.join("</td><td>"),
                escape(&fact.verdict),
                escape(&fact.proof),
                clock(fact.first),
                clock(fact.verified),
            ),
        );
    }
    page + END + "</details>\n"
}

fn chain(findings: &Findings) -> String {
    let mut page = format!(
        "<details><summary>Event chain: {} entries</summary>\n",
        findings.evidence.len()
    );
    page.push_str(&head(&["#", "When (UTC)", "System", "Fact", "What", "Digest"]));
    for (n, entry) in findings.evidence.iter().enumerate() {
        let digest = entry.digest.get(..16).unwrap_or(&entry.digest);
        let number = (n + 1).to_string();
        let at = clock(Some(entry.at));
        let cells = [&number, &at, &entry.system, &entry.fact, &entry.event, digest];
        row(&mut page, &cells.map(str::to_owned));
    }
    let head = findings.evidence.last().map_or("", |entry| &entry.digest);
    let sound = if findings.chain_sound {
        "unbroken"
    } else {
        "broken"
    };
    put(
        &mut page,
        &format!(
            "{END}</details>\n<p class=\"mut\">The chain is {sound}; head <code>sha256:{head}</code>. Each digest binds the \
             entry and everything before it. Took {:.2} s in all.</p>\n",
            findings
                .evidence
                .first()
                .zip(findings.evidence.last())
                .map_or(0.0, |(a, b)| seconds(a.at, b.at)),
        ),
    );
    page
}

/// How a table ends.
const END: &str = "</tbody></table></div>\n";

fn table(title: &str, heads: &[&str]) -> String {
    format!("<h2>{title}</h2>\n{}", head(heads))
}

fn head(heads: &[&str]) -> String {
    let cells: Vec<String> = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    let cells = cells.concat();
    format!("<div class=\"wide\"><table><thead><tr>{cells}</tr></thead><tbody>\n")
}

fn row(page: &mut String, cells: &[String]) {
    page.push_str("<tr>");
    for cell in cells {
        put(page, &format!("<td>{}</td>", escape(cell)));
    }
    page.push_str("</tr>\n");
}

fn clock(at: Option<Timestamp>) -> String {
    at.map_or("–".to_owned(), |at| at.strftime("%H:%M:%S%.3f").to_string())
}

fn put(page: &mut String, text: &str) {
    write!(page, "{text}").expect("a String takes every text");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
