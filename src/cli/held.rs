//! `offboard held`: who is in the set of changes that the guard of a source holds, read from the cluster by whoever asks, with
//! their own rights.

use std::process::ExitCode;

use kube::{Api, Client, ResourceExt, api::ListParams};
use serde_json::json;

use crate::{
    api::{
        HeldSet, HeldSetSpec, LeaverSource,
        approval::BoundRef,
        held::{HeldChange, HeldKind},
    },
    cli::{
        exit,
        plan::Output,
        terminal::{self, BOLD, FAINT, PLAIN, RED, YELLOW, one_line, out, tell},
    },
    controller::runtime::api_client::{self, ApiError, with_deadline},
    sources::held::{Unlisted, whole},
};

/// Prints everybody in the set that the guard of `source` holds.
///
/// # Errors
/// When it cannot be read, or what is listed is not what is held.
pub async fn run(source: &str, namespace: Option<String>, output: Output) -> Result<ExitCode, exit::Error> {
    let client = api_client::client().await;
    let (client, default, _) = client.map_err(|why| exit::Error(format!("no cluster: {why}")))?;
    let namespace = namespace.unwrap_or(default);
    let api: Api<LeaverSource> = Api::namespaced(client.clone(), &namespace);
    let there = with_deadline(api.get(source)).await;
    let there = there.map_err(|failed| unread("get", "leaversource", source, &namespace, &failed))?;
    let status = there.status.clone().unwrap_or_default();
    let Some(plan) = status.guard.as_ref().and_then(|guard| guard.held.clone()) else {
        let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
        let message = ready.map_or("", |ready| ready.message.as_str());
        tell!(
            "{source} holds nothing that an Approval could let through. {}",
            message.trim()
        );
        if let Output::Json = output {
            terminal::json(&json!({"source": source, "plan": null, "changes": []}))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let of = BoundRef {
        name: there.name_any(),
        uid: there.uid().unwrap_or_default(),
    };
    let set = read(&client, &namespace, &of, &plan).await?;
    match output {
        Output::Json => {
            terminal::json(&json!({
                "source": source, "plan": set.plan, "shrunken": set.shrunken,
                "loosened": set.loosened, "changes": set.changes,
            }))?;
        }
        Output::Text => text(&set, &namespace),
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(
    client: &Client,
    namespace: &str,
    of: &BoundRef,
    plan: &str,
) -> Result<HeldSetSpec, exit::Error> {
    let api: Api<HeldSet> = Api::namespaced(client.clone(), namespace);
    let theirs = ListParams::default().fields(&format!("spec.sourceRef.name={}", of.name));
    let found = with_deadline(api.list(&theirs)).await;
    let found = found.map_err(|failed| unread("list", "heldsets", &of.name, namespace, &failed))?;
    whole(of, plan, found.items).map_err(|why| {
        exit::Error(match why {
            Unlisted::Incomplete => format!(
                "the list of what {} holds is not there as a whole: it may be changing, or could not be written \
                 (status.conditions of the source). Run this again in a minute, and approve nothing unseen",
                of.name
            ),
            Unlisted::Altered => format!(
                "the HeldSets of {} do not show the set that is held: somebody has changed them. Delete them, and the operator \
                 writes them anew; approve nothing unseen",
                of.name
            ),
        })
    })
}

fn unread(verb: &str, what: &str, name: &str, namespace: &str, failed: &ApiError) -> exit::Error {
    exit::Error(match failed {
        ApiError::Forbidden => format!(
            "{what} in namespace {namespace}: you have no right to {verb} them: the Role offboarding-approver has it"
        ),
        ApiError::NotFound => {
            format!("{what} {name:?} in namespace {namespace}: {failed}: name another with -n")
        }
        failed => format!("{what} {name:?} in namespace {namespace}: {failed}"),
    })
}

/// What would be done, in words.
fn word(kind: HeldKind) -> &'static str {
    match kind {
        HeldKind::New => "leaves",
        HeldKind::Moved => "other day",
        HeldKind::Renewed => "leaves after all",
        HeldKind::Withdrawn => "end taken back",
        HeldKind::Reinstated => "access given back",
    }
}

fn text(set: &HeldSetSpec, namespace: &str) {
    let urgent = set.changes.iter().filter(|change| change.immediate).count();
    let source = &set.source_ref;
    out!("{BOLD}{} holds {} changes{PLAIN}", source.name, set.total);
    if urgent > 0 {
        out!("{RED}{urgent} END ACCESS NOW{PLAIN}");
    }
    if let Some(feed) = set.shrunken {
        let (before, now) = (feed.before, feed.now);
        out!("{YELLOW}The feed had {before} people and has {now}: a yes believes it{PLAIN}");
    }
    for looser in &set.loosened {
        out!(
            "{YELLOW}The guard was loosened, {}: a yes lets it{PLAIN}",
            one_line(looser)
        );
    }
    if !set.changes.is_empty() {
        rows(&set.changes);
    }
    tell!(
        "\nExactly these, by one yes; kubectl create -n {namespace} -f - takes it:\n{{apiVersion: offboard.dev/v1alpha1, kind: Approval, \
         metadata: {{generateName: guard-}}, spec: {{gate: Guard, decision: Approved, approver: YOUR NAME, plan: '{}', \
         sourceRef: {{name: '{}', uid: '{}'}}}}}}",
        set.plan,
        source.name,
        source.uid
    );
}

fn rows(changes: &[HeldChange]) {
    const HEADS: [&str; 6] = ["NUMBER", "NAME", "ADDRESS", "CHANGE", "LAST DAY", "WAS"];
    let cells = |one: &HeldChange| {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let day = if one.immediate {
            "NOW".to_owned()
        } else {
            text(&one.last_day)
        };
        [
            text(&one.employee_id),
            text(&one.display_name),
            text(&one.email),
            word(one.change).to_owned(),
            day,
            text(&one.was),
        ]
    };
    let rows: Vec<[String; 6]> = changes.iter().map(cells).collect();
    let width = |at: usize| {
        let cells = rows.iter().map(|row| row[at].chars().count());
        cells.max().unwrap_or(0).max(HEADS[at].len())
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let padded = cells.iter().zip(&widths);
        let padded: Vec<String> = padded
            .map(|(cell, width)| format!("{:<width$}", one_line(cell)))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    out!("{FAINT}{}{PLAIN}", line(&HEADS));
    for row in &rows {
        out!("{}", line(&row.each_ref().map(String::as_str)));
    }
}
