//! A plan as people read it.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::{Access, Mark, Plan};
use crate::{
    api::Offboarding,
    cli::terminal::{BOLD, FAINT, GREEN, PLAIN, RED, YELLOW, one_line},
    connectors::{assemble::INSECURE, declarative::counted},
};

impl Mark {
    fn colour(self) -> &'static str {
        match self {
            Self::Revoke | Self::Delete => RED,
            Self::HandOver | Self::GiveBack => GREEN,
            Self::Unknown | Self::Person | Self::Refused => YELLOW,
            Self::Keep | Self::Follow => FAINT,
        }
    }
}

impl Plan {
    /// The plan as people read it, with colours.
    pub fn text(&self, leaver: &Offboarding, now: Timestamp) -> String {
        let mut text = format!("{}\n", self.head(leaver, now));
        for remark in &self.remarks {
            put(&mut text, &format!("{YELLOW}!{PLAIN} {}\n", one_line(remark)));
        }
        put(&mut text, "\n");
        let widths = (
            width(self.lines.iter().map(|l| &l.system).chain(&self.no_account)),
            width(self.lines.iter().filter_map(|l| l.login.as_ref())).max(1),
        );
        let texts = width(self.lines.iter().map(|l| &l.text)).min(60);
        let mut last = "";
        for line in &self.lines {
            let (system, login) = if line.system == last {
                ("", "")
            } else {
                (line.system.as_str(), line.login.as_deref().unwrap_or("?"))
            };
            let system = one_line(system);
            last = &line.system;
            let (one, two) = widths;
            let (sign, said, when) = (line.mark.sign(), &line.text, &line.when);
            let (login, said) = (one_line(login), one_line(said));
            let said = format!("{said:<texts$}  {when}");
            let colour = line.mark.colour();
            put(
                &mut text,
                &format!(
                    "  {system:<one$}  {login:<two$}  {colour}{sign}{PLAIN} {}\n",
                    said.trim_end()
                ),
            );
        }
        for system in &self.no_account {
            let system = one_line(system);
            let (one, two) = widths;
            put(
                &mut text,
                &format!("  {system:<one$}  {:<two$}  {FAINT}·{PLAIN} no account\n", "–"),
            );
        }
        for (system, what) in &self.not_covered {
            let ((one, two), what) = (widths, what.join(", "));
            let (system, what) = (one_line(system), one_line(&what));
            put(
                &mut text,
                &format!(
                    "  {system:<one$}  {:<two$}  {FAINT}·{PLAIN} not covered: {what}\n",
                    "–"
                ),
            );
        }
        for system in &self.insecure {
            let system = one_line(system);
            let (one, two) = widths;
            put(
                &mut text,
                &format!("  {system:<one$}  {:<two$}  ! {INSECURE}\n", "–"),
            );
        }
        put(&mut text, &format!("\n{}\n", self.sum()));
        text
    }

    /// Who it is about, what the look showed, and when access is to end in their own time.
    fn head(&self, leaver: &Offboarding, now: Timestamp) -> String {
        let employee = &leaver.spec.employee;
        let number = employee.employee_id.as_ref().map(|id| format!("employee {id}"));
        let who = [employee.display_name.clone(), employee.email.clone(), number];
        let who: Vec<String> = who.into_iter().flatten().collect();
        let zone = leaver
            .spec
            .cutoff
            .as_ref()
            .and_then(|cutoff| cutoff.time_zone.as_deref());
        let zoned = zone.and_then(|name| Some((TimeZone::get(name).ok()?, name)));
        let (zone, name) = zoned.unwrap_or((TimeZone::UTC, "UTC"));
        let local = self.ends.to_zoned(zone).strftime("%Y-%m-%d %H:%M").to_string();
        let at = format!("{local} {name} ({})", distance(now, self.ends));
        // Whether the moment has come says nothing of what is so.
        let access = match self.access {
            Access::GivenBack => "access is given back".to_owned(),
            Access::NoAccount => format!("no account found, access to end by {at}"),
            Access::NoSystems => format!("nothing to look at, access to end by {at}"),
            Access::NotWanted => format!("nothing wanted that ends access, to end by {at}"),
            Access::Gone => format!("access gone, to end by {at}"),
            Access::Open => format!("access open, to end by {at}"),
            Access::Unknown => format!("access unknown, to end by {at}"),
        };
        format!(
            "{BOLD}{}{PLAIN} · {} · {access}",
            self.offboarding,
            one_line(&who.join(" · "))
        )
    }

    /// The last line: digest and counts.
    pub fn sum(&self) -> String {
        let count = |mark: Mark| self.lines.iter().filter(|l| l.mark == mark).count();
        let mut accounts: Vec<_> = self
            .lines
            .iter()
            .filter_map(|l| Some((&l.system, l.account.as_ref()?)))
            .collect();
        accounts.dedup();
        let mut sum = format!(
            "Plan {}: {} · {} to revoke · {} to hand over · {} to delete · {} kept · {} unknown",
            self.digest,
            counted(i64::try_from(accounts.len()).unwrap_or(i64::MAX), "account"),
            count(Mark::Revoke),
            count(Mark::HandOver),
            count(Mark::Delete),
            count(Mark::Keep),
            count(Mark::Unknown)
        );
        for (mark, what) in [
            (Mark::GiveBack, "to give back"),
            (Mark::Person, "for a person"),
            (Mark::Refused, "to be decided"),
        ] {
            if count(mark) > 0 {
                put(&mut sum, &format!(" · {} {what}", count(mark)));
            }
        }
        sum
    }
}

/// How far `to` is from `now`: `in 2 d 4 h`, `3 h 20 min ago`.
pub fn distance(now: Timestamp, to: Timestamp) -> String {
    let length: SignedDuration = to.duration_since(now).abs();
    let (minutes, hours) = (length.as_mins(), length.as_hours());
    let length = match () {
        () if hours >= 24 => format!("{} d {} h", hours / 24, hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () => format!("{minutes} min"),
    };
    if to > now {
        format!("in {length}")
    } else {
        format!("{length} ago")
    }
}

fn put(text: &mut String, more: &str) {
    text.push_str(more);
}

fn width<'t>(texts: impl Iterator<Item = &'t String>) -> usize {
    texts.map(|t| t.chars().count()).max().unwrap_or(0)
}
