//! What a message says: short, one thing to do, and only what its readers may know. Pure.
//!
//! # Why
//! A leaver who is `Confidential` is not named before the cutoff, on no channel: mail is forwarded and chat is read along.
//! The Offboarding's own name is said instead; whoever may read it finds the person there.
//!
//! Names come from HR systems and may hold anything. They become one line without control characters here, once for all
//! channels; each channel then escapes what it would understand as markup.

use jiff::{Timestamp, tz::TimeZone};

use crate::api::{
    Offboarding, OffboardingStatus,
    offboarding::{Notice, Visibility},
    policy::{Audience, NotifyOn},
};

/// The longest value that is shown of anything, in characters.
const LONGEST_VALUE: usize = 200;

/// A message, not yet in the form of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Who needs to do what; one line.
    pub subject: String,
    /// Whether somebody has to do something.
    pub urgent: bool,
    /// Sentences, one paragraph each.
    pub says: Vec<String>,
    /// Names and values that belong to it.
    pub facts: Vec<(&'static str, String)>,
}

impl Message {
    /// The whole of it as plain text.
    pub fn plain(&self) -> String {
        let mut text = self.says.join("\n\n");
        text.push_str("\n\n");
        let facts = self
            .facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"));
        text.extend(facts);
        text
    }
}

/// `text` as one line: no control characters, nothing that turns the direction of writing, not too long.
pub fn line(text: &str) -> String {
    let visible = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let clean: String = text.chars().map(|c| if visible(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    shortened(&words.join(" "), LONGEST_VALUE)
}

/// At most `most` characters, with a sign that something is missing.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Whether messages may name the leaver.
pub fn named(offboarding: &Offboarding, now: Timestamp) -> bool {
    let cutoff = offboarding.status.as_ref().and_then(|status| status.cutoff);
    offboarding.spec.visibility == Visibility::Normal || cutoff.is_some_and(|cutoff| cutoff <= now)
}

/// What `notice` says about `offboarding`.
pub fn compose(offboarding: &Offboarding, notice: &Notice, now: Timestamp) -> Message {
    let none = OffboardingStatus::default();
    let leaver = Leaver {
        offboarding,
        status: offboarding.status.as_ref().unwrap_or(&none),
        who: who(offboarding, now),
        about: nameless(&line(&notice.about), offboarding, now),
        ticket: offboarding
            .spec
            .reference
            .as_deref()
            .map(|ticket| nameless(&line(ticket), offboarding, now))
            .filter(|ticket| !ticket.is_empty()),
    };
    let (subject, says) = match notice.event {
        NotifyOn::Scheduled => leaver.scheduled(notice.audience),
        NotifyOn::ApprovalNeeded => leaver.approval(notice.audience),
        NotifyOn::Overdue => leaver.overdue(notice.audience),
        NotifyOn::Drift => leaver.drift(notice.audience),
        NotifyOn::Stalled => leaver.stalled(notice.audience),
        NotifyOn::Offboarded => leaver.offboarded(notice.audience),
        NotifyOn::Reinstated => leaver.reinstated(notice.audience),
        // A source tells of its guard, see [`guard_tripped`].
        NotifyOn::GuardTripped => (String::new(), vec![]),
    };
    Message {
        subject: format!("{subject} [{}]", leaver.reference()),
        urgent: matches!(
            notice.event,
            NotifyOn::ApprovalNeeded | NotifyOn::Overdue | NotifyOn::Drift | NotifyOn::Stalled
        ),
        says,
        facts: leaver.facts(notice.audience),
    }
}

/// What is said when the guard of the source `name` in `namespace` has tripped.
pub fn guard_tripped(namespace: &str, name: &str, notice: &Notice) -> Message {
    let (name, about) = (line(name), line(&notice.about));
    let mut facts = vec![("Source", name.clone())];
    let says = match notice.audience {
        Audience::It => {
            facts = vec![("Source", format!("{}/{name}", line(namespace)))];
            vec![
                format!("The guard of the source has tripped: {about}."),
                "No held leaver is offboarded until somebody decides: correct the feed, or release the held leavers with one Approval (gate Guard)."
                    .to_owned(),
            ]
        }
        Audience::Hr | Audience::Manager => vec![
            match about.split(':').next() {
                Some("Empty") => "The list of people is empty.".to_owned(),
                Some("Shrunken") => "Many people are missing from the list.".to_owned(),
                Some("Stale") => "The list of people is out of date.".to_owned(),
                _ => "An unusual number of people leave at once, or have a new last day.".to_owned(),
            },
            "Nobody on it loses access until you have checked. Please check the latest changes and tell IT whether they are correct."
                .to_owned(),
        ],
    };
    Message {
        subject: format!("New leavers are on hold [{name}]"),
        urgent: true,
        says,
        facts,
    }
}

/// The leaver in words.
fn who(offboarding: &Offboarding, now: Timestamp) -> String {
    let employee = &offboarding.spec.employee;
    let resource = offboarding.metadata.name.as_deref().unwrap_or_default();
    if !named(offboarding, now) {
        return line(resource);
    }
    let number = employee.employee_id.as_ref().map(|id| format!("employee {id}"));
    let known = [&employee.display_name, &employee.email, &number];
    let known = known.into_iter().flatten().map(|name| line(name));
    known
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| line(resource))
}

/// `text` without anything that tells who the leaver is, while that must not be said.
fn nameless(text: &str, offboarding: &Offboarding, now: Timestamp) -> String {
    if named(offboarding, now) {
        return text.to_owned();
    }
    let employee = &offboarding.spec.employee;
    let mut names: Vec<&str> = vec![];
    let emails = || employee.email.iter().chain(&employee.other_emails);
    names.extend(emails().map(String::as_str));
    names.extend(emails().filter_map(|email| email.split('@').next()));
    names.extend(employee.employee_id.as_deref());
    names.extend(employee.accounts.iter().map(|account| account.name.as_str()));
    names.extend(employee.display_name.as_deref());
    names.extend(
        employee
            .display_name
            .iter()
            .flat_map(|name| name.split_whitespace()),
    );
    let telling = names.into_iter().filter(|name| name.chars().count() > 2);
    telling.fold(text.to_owned(), |text, name| text.replace(name, "…"))
}

struct Leaver<'a> {
    offboarding: &'a Offboarding,
    status: &'a OffboardingStatus,
    who: String,
    about: String,
    ticket: Option<String>,
}

type Said = (String, Vec<String>);

fn said(subject: String, says: &[&str]) -> Said {
    (subject, says.iter().map(|text| (*text).to_owned()).collect())
}

impl Leaver<'_> {
    /// The ticket, else the Offboarding's name.
    fn reference(&self) -> String {
        let name = || line(self.offboarding.metadata.name.as_deref().unwrap_or_default());
        self.ticket.clone().unwrap_or_else(name)
    }

    /// When access ends, in the leaver's own time.
    fn ends(&self) -> String {
        let Some(cutoff) = self.status.cutoff else {
            return "the last day".to_owned();
        };
        let zone = self.offboarding.spec.cutoff.as_ref();
        let zone = zone.and_then(|c| c.time_zone.as_deref()).unwrap_or("UTC");
        let name = line(zone);
        let (zone, name) = TimeZone::get(zone).map_or((TimeZone::UTC, "UTC"), |zone| (zone, name.as_str()));
        let at = cutoff.to_zoned(zone);
        format!("{} ({name})", at.strftime("%-d %B %Y, %H:%M"))
    }

    fn facts(&self, audience: Audience) -> Vec<(&'static str, String)> {
        let mut facts = vec![("Leaver", self.who.clone()), ("Access ends", self.ends())];
        if let Some(ticket) = &self.ticket {
            facts.push(("Reference", ticket.clone()));
        }
        if let Some(progress) = &self.status.progress {
            facts.push(("Systems done", progress.replace('/', " of ")));
        }
        if audience == Audience::It {
            if let Some(left) = self.status.access_left.filter(|left| *left > 0) {
                facts.push(("Accesses left", left.to_string()));
            }
            let metadata = &self.offboarding.metadata;
            let place = metadata.namespace.as_deref().map(line).unwrap_or_default();
            let name = metadata.name.as_deref().map(line).unwrap_or_default();
            facts.push((
                "Offboarding",
                format!("{place}/{name}").trim_start_matches('/').to_owned(),
            ));
        }
        facts
    }

    fn scheduled(&self, audience: Audience) -> Said {
        let (who, ends) = (&self.who, self.ends());
        let subject = format!("Access of {who} ends on {ends}");
        match audience {
            Audience::It => said(
                subject,
                &["No action is needed: access is removed automatically in every connected system."],
            ),
            Audience::Hr => said(
                subject,
                &["No action is needed. If the date is wrong, please correct it before then."],
            ),
            Audience::Manager => said(
                format!("{who} leaves: access ends on {ends}"),
                &[
                    "Mail and files are handed over after that. If another person should receive them, please tell IT before then.",
                ],
            ),
        }
    }

    fn approval(&self, audience: Audience) -> Said {
        let who = &self.who;
        let name = self.about.split([':', ' ']).next().unwrap_or_default();
        let (what, until) = match name {
            "Revoke" => ("end the access", "Access is kept until then."),
            "Transfer" => ("hand over mail and files", "Nothing is handed over until then."),
            "Delete" => (
                "delete what is left of the accounts",
                "Nothing is deleted until then. A deletion cannot be undone.",
            ),
            "Waiver" => ("accept something as it is", "It is counted as open until then."),
            _ => (
                "do a manual task",
                "The task is open until somebody confirms that it is done.",
            ),
        };
        let subject = if what.ends_with("manual task") {
            format!("Please {what} for {who}")
        } else {
            format!("Your approval is needed to {what} of {who}")
        };
        match audience {
            Audience::It => said(
                subject,
                &[
                    &format!("{}.", self.about),
                    until,
                    "Review the Offboarding, then create an Approval that names this gate and this plan.",
                ],
            ),
            Audience::Hr | Audience::Manager => said(
                subject,
                &[
                    until,
                    "If you have to decide and need details, IT can show them to you and record your answer.",
                ],
            ),
        }
    }

    fn overdue(&self, audience: Audience) -> Said {
        let who = &self.who;
        let (what, detail) = self.about.split_once(':').unwrap_or((&self.about, ""));
        let detail = detail.trim();
        let (subject, others) = match what {
            "Data" => (
                format!("Mail and files of {who} are not handed over on time"),
                "IT is informed. Nothing is lost; it takes longer than planned.",
            ),
            "Task" => (
                format!("A manual task for {who} is not done on time"),
                "If it is your task, please do it and tell IT. If you know who has it, please remind them.",
            ),
            _ => (
                format!("{who} still has access, or its removal is not verified"),
                "IT is informed. If the person must not work any more, please prevent it in another way until you hear from us.",
            ),
        };
        match (audience, what) {
            (Audience::It, "Task") => said(
                subject,
                &[
                    &format!("Not done: {detail}."),
                    "Ask the assignee. The person who does the task confirms it with an Approval (gate Task).",
                ],
            ),
            (Audience::It, _) if detail.is_empty() => said(subject, &["It is retried automatically."]),
            (Audience::It, _) => said(subject, &[&format!("Still open: {detail}.")]),
            _ => said(subject, &[others]),
        }
    }

    fn drift(&self, audience: Audience) -> Said {
        let subject = format!("Access of {} came back", self.who);
        match audience {
            Audience::It => said(
                subject,
                &[
                    &format!("Access that was verified as removed came back: {}.", self.about),
                    "It is being removed again. Please find out who restored it, and why.",
                ],
            ),
            Audience::Hr | Audience::Manager => said(
                subject,
                &[
                    "Somebody restored access after the last day. It is being removed again. If this was intended, please tell IT.",
                ],
            ),
        }
    }

    fn stalled(&self, audience: Audience) -> Said {
        let subject = format!("The offboarding of {} needs a person", self.who);
        match audience {
            Audience::It => said(
                subject,
                &[&format!("{}.", self.about.trim_end_matches([':', ' ', '.']))],
            ),
            Audience::Hr | Audience::Manager => said(
                subject,
                &["IT is working on it. No action is needed unless IT asks you."],
            ),
        }
    }

    fn offboarded(&self, audience: Audience) -> Said {
        let subject = format!("{} is offboarded", self.who);
        match audience {
            Audience::It => said(
                subject,
                &[
                    "All access removed, and everything that is due is verified by reading back. It is checked again regularly.",
                ],
            ),
            Audience::Hr => said(
                subject,
                &["All access was removed, and the removal was checked. No action is needed."],
            ),
            Audience::Manager => said(
                subject,
                &["All access was removed. Mail and files are with the person who takes over."],
            ),
        }
    }

    fn reinstated(&self, audience: Audience) -> Said {
        let subject = format!("{} has access again", self.who);
        match audience {
            Audience::It => said(
                subject,
                &[
                    "Everything that was removed here is restored and verified by reading back. What others had removed before is not restored.",
                ],
            ),
            Audience::Hr | Audience::Manager => said(
                subject,
                &[
                    "What was removed for the person is restored, other than passwords and sessions. If something is missing, please tell IT.",
                ],
            ),
        }
    }
}

#[cfg(test)]
mod tests;
