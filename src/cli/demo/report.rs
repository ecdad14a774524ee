//! The demo's report: one HTML file without script, and the same as JSON.

use std::{fmt::Write as _, fs, io, path::Path};

use super::findings::{Findings, Tries};

const STYLE: &str = "@page{size:A4;margin:18mm}body{font:13px/1.45 'DejaVu Sans',sans-serif;max-width:860px;\
margin:24px auto;padding:0 16px;color:#1d2329}h1{font-size:20px;margin:0 0 2px}h2{font-size:15px;margin:20px 0 6px}\
table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #dfe3e6;padding:5px 6px;text-align:left;\
vertical-align:top}th{color:#667079;font-weight:600}.v{background:#dff3e7;border-left:5px solid #1f7a4d;padding:9px 12px;\
border-radius:4px;font-size:15px}.x{background:#fbe3e1;border-left-color:#a62b1f}.mut{color:#667079}\
code{font:12px 'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}.k{white-space:nowrap}";

/// Writes `report.html` and `report.json` into `folder`.
pub(super) fn write(findings: &Findings, folder: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(findings).map_err(io::Error::other)?;
    fs::write(folder.join("report.json"), json + "\n")?;
    fs::write(folder.join("report.html"), html(findings))
}

fn html(findings: &Findings) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Evidence of offboarding – {0}</title><style>{STYLE}</style></head><body>\n\
         <h1>Evidence of offboarding</h1>\
         <div class=\"mut\">{0} · {1} accounts · demo of {2} · plan <code>{3}</code></div>\n",
        escape(&findings.leaver),
        findings.accounts(),
        findings.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
        findings.plan.digest,
    );
    page.push_str(&verdict(findings));
    page.push_str(&facts(findings));
    page.push_str(&proof(findings));
    page.push_str(&data(findings));
    page.push_str(&drift(findings));
    page.push_str(&chain(findings));
    page.push_str("</body></html>\n");
    page
}

fn verdict(findings: &Findings) -> String {
    let (class, text) = if findings.proven() {
        ("v", "All access ended. All data handed over.")
    } else {
        ("v x", "Not everything is proven.")
    };
    let verified = findings
        .facts
        .iter()
        .filter(|fact| fact.verdict == "Verified")
        .count();
    let asserted = findings
        .facts
        .iter()
        .filter(|fact| fact.verdict.starts_with("Asserted"))
        .count();
    let mut page = format!(
        "<p class=\"{class}\"><b>{text}</b><br>Of {} facts, {verified} were read back as true, {asserted} can only be \
         asked for. {:.2} s from the start to the last proof.</p>\n",
        findings.facts.len(),
        findings.seconds,
    );
    for left in &findings.left {
        put(&mut page, &format!("<p>Not done: {}</p>\n", escape(left)));
    }
    page
}

fn facts(findings: &Findings) -> String {
    let mut page = table(
        "Facts",
        &[
            "System",
            "Account",
            "Class",
            "Fact",
            "Verdict",
            "Proof",
            "Read back (UTC)",
        ],
    );
    for fact in &findings.facts {
        let at = fact
            .verified
            .map_or(String::new(), |at| at.strftime("%H:%M:%S%.3f").to_string());
        let cells = [
            &fact.system,
            &fact.account,
            &fact.class,
            &fact.fact,
            &fact.verdict,
            &fact.proof,
            &at,
        ];
        row(&mut page, cells.map(String::as_str));
    }
    page + "</table>\n"
}

fn proof(findings: &Findings) -> String {
    let mut page = table(
        "Login tries, made without the connectors",
        &["Who", "When", "Tries", "Refused", "Still open"],
    );
    let leaver = escape(&findings.leaver);
    let successor = escape(&findings.successor);
    for (who, when, tries) in [
        (&leaver, "before", &findings.before),
        (&leaver, "after", &findings.after),
        (&successor, "after", &findings.control),
    ] {
        let Tries { made, open, .. } = tries;
        let open = if when == "after" && who == &leaver {
            open.join(", ")
        } else {
            tries.worked.to_string()
        };
        row(
            &mut page,
            [who, when, &made.to_string(), &tries.refused().to_string(), &open],
        );
    }
    page + "</table>\n"
}

fn data(findings: &Findings) -> String {
    let mut page = table(
        "Data handed over",
        &["System", "To", "Items before", "Arrived", "Left behind"],
    );
    for owned in &findings.owned {
        let numbers = [owned.before, owned.arrived, owned.left].map(|number| number.to_string());
        row(
            &mut page,
            [
                &owned.system,
                &findings.successor,
                &numbers[0],
                &numbers[1],
                &numbers[2],
            ],
        );
    }
    page + "</table>\n"
}

fn drift(findings: &Findings) -> String {
    let Some(drift) = &findings.drift else {
        return String::new();
    };
    let mut page = table(
        "Drift",
        &[
            "System",
            "Given back (UTC)",
            "Seen by",
            "Ways in meanwhile",
            "Ways in after",
            "Lasted",
        ],
    );
    row(
        &mut page,
        [
            &drift.system,
            &drift.given_back_at.strftime("%H:%M:%S%.3f").to_string(),
            &drift.facts.join(", "),
            &drift.open_meanwhile.to_string(),
            &drift.open_after.to_string(),
            &format!("{:.2} s", drift.seconds),
        ],
    );
    page + "</table>\n"
}

fn chain(findings: &Findings) -> String {
    let mut page = table(
        "Event chain",
        &["#", "When (UTC)", "System", "Fact", "What", "Digest"],
    );
    for (n, entry) in findings.evidence.iter().enumerate() {
        let digest = entry.digest.get(..16).unwrap_or(&entry.digest);
        row(
            &mut page,
            [
                &(n + 1).to_string(),
                &entry.at.strftime("%H:%M:%S%.3f").to_string(),
                &entry.system,
                &entry.fact,
                &entry.event,
                digest,
            ],
        );
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
            "</table>\n<p class=\"mut\">{} entries, {sound}; head <code>sha256:{head}</code>. Each digest binds the entry \
             and everything before it. Systems of the demo are simulations on this machine.</p>\n",
            findings.evidence.len()
        ),
    );
    page
}

fn table(title: &str, heads: &[&str]) -> String {
    let mut page = format!("<h2>{title}</h2>\n<table><tr>");
    for head in heads {
        put(&mut page, &format!("<th>{head}</th>"));
    }
    page + "</tr>\n"
}

fn row<const N: usize>(page: &mut String, cells: [&str; N]) {
    page.push_str("<tr>");
    for cell in cells {
        put(page, &format!("<td>{}</td>", escape(cell)));
    }
    page.push_str("</tr>\n");
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
