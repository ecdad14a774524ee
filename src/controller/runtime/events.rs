//! Kubernetes Events: at most one for each change of a status and one for each thing that is late, none for a retry, and never a
//! person's name.

use kube::{
    Resource,
    runtime::events::{Event, EventType},
};

use super::api_client::with_deadline;
use crate::{
    api::{Condition, ConditionStatus, OffboardingStatus},
    controller::Context,
    core::fact::Verdict,
    drive::{Row, report::EXPOSURE_OPEN, validate::connector_of},
};

/// Something worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Of a leaver `Scheduled`, `SystemRevoked`, `ExposureOpen`, `Offboarded`, `DriftDetected`, `DriftCorrected`, `Stalled`,
    /// `AccessOverdue`, `DataOverdue`, `ManualTaskOverdue`; of a source
    /// `GuardTripped`, `RecordsUnusable`, `SourceDiffers`; of both `MessageNotSent`.
    pub reason: &'static str,
    /// Whether somebody should look.
    pub warning: bool,
    /// One line.
    pub note: String,
}

impl News {
    fn normal(reason: &'static str, note: String) -> Self {
        Self {
            reason,
            warning: false,
            note,
        }
    }

    /// Something that somebody should look at.
    pub fn warning(reason: &'static str, note: String) -> Self {
        Self {
            reason,
            warning: true,
            note,
        }
    }
}

/// What a pass changed: the most important piece of news, and what is late since then.
pub fn news(before: &OffboardingStatus, after: &OffboardingStatus, rows: &[Row]) -> Vec<News> {
    let first = first(before, after, rows);
    first.into_iter().chain(late(before, after)).collect()
}

/// What passed its deadline between two looks.
fn late(before: &OffboardingStatus, after: &OffboardingStatus) -> Vec<News> {
    let late = |status, type_| condition(status, type_).is_some_and(|c| c.reason == "DeadlineExceeded");
    let mut all = vec![];
    for (type_, reason) in [
        ("AccessRevoked", "AccessOverdue"),
        ("DataTransferred", "DataOverdue"),
    ] {
        if late(after, type_) && !late(before, type_) {
            let left = condition(after, type_).map(|c| c.message.clone());
            all.push(News::warning(reason, left.unwrap_or_default()));
        }
    }
    for row in &after.gates {
        let known = before
            .gates
            .iter()
            .any(|known| known.plan == row.plan && known.overdue == row.overdue);
        if let (Some(_), Some(task), false) = (row.overdue, &row.task, known) {
            let note = format!("{task}: {} done: ask who has the task", row.approvals);
            all.push(News::warning("ManualTaskOverdue", note));
        }
    }
    all
}

fn first(before: &OffboardingStatus, after: &OffboardingStatus, rows: &[Row]) -> Option<News> {
    let ready = condition(after, "Ready");
    let reason = |status| condition(status, "Ready").map(|c| c.reason.clone());
    let message = ready.map(|c| c.message.clone()).unwrap_or_default();
    let systems = || format!("{} systems", after.progress.clone().unwrap_or_default());
    if after.is_true("Stalled") && reason(before) != reason(after) {
        return Some(News::warning("Stalled", message));
    }
    let drifted = drifted(rows);
    if !drifted.is_empty() {
        return Some(if after.is_true("AccessRevoked") {
            News::normal(
                "DriftCorrected",
                format!("access came back and was revoked again: {drifted}"),
            )
        } else {
            News::warning("DriftDetected", format!("access came back: {drifted}"))
        });
    }
    if before.is_true("Drifted") && !after.is_true("Drifted") && after.is_true("AccessRevoked") {
        return Some(News::normal(
            "DriftCorrected",
            "access is revoked again".to_owned(),
        ));
    }
    if after.is_true("Ready") && reason(before) != reason(after) {
        return match reason(after).as_deref() {
            Some("Scheduled") => Some(News::normal(
                "Scheduled",
                format!("nothing is due yet: {}", systems()),
            )),
            Some(EXPOSURE_OPEN) => {
                let open = condition(after, "Ready").map(|c| c.message.clone());
                Some(News::normal(EXPOSURE_OPEN, open.unwrap_or_default()))
            }
            Some("Offboarded" | "Retention")
                if !before.is_true("Ready") || reason(before).as_deref() == Some(EXPOSURE_OPEN) =>
            {
                Some(News::normal(
                    "Offboarded",
                    format!("everything is verified by reading back: {}", systems()),
                ))
            }
            _ => None,
        };
    }
    let revoked: Vec<&str> = rows
        .iter()
        .filter(|row| revoked(row) && !was_revoked(before, row))
        .map(|row| connector_of(&row.name))
        .collect();
    (!revoked.is_empty()).then(|| News::normal("SystemRevoked", revoked.join(", ")))
}

fn condition<'s>(status: &'s OffboardingStatus, type_: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|c| c.type_ == type_)
}

fn drifted(rows: &[Row]) -> String {
    let each = rows.iter().filter(|row| !row.drifted.is_empty());
    let each = each.map(|row| format!("{}: {}", connector_of(&row.name), row.drifted.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}

/// Whether all access in a system that is wanted gone by now is proven gone.
pub fn revoked(row: &Row) -> bool {
    let mut due = row
        .facts
        .iter()
        .filter(|state| {
            state.spec.class.security()
                && state.verdict.due()
                && !matches!(&state.verdict, Verdict::NotNeeded(_))
        })
        .peekable();
    due.peek().is_some() && due.all(|state| state.verdict.at_rest())
}

/// Whether `before` already shows all access of the row as gone.
pub fn was_revoked(before: &OffboardingStatus, row: &Row) -> bool {
    let Some(earlier) = before.systems.iter().find(|s| s.name == row.name) else {
        return false;
    };
    let security = row.facts.iter().filter(|state| state.spec.class.security());
    security.clone().count() > 0
        && security.into_iter().all(|state| {
            let known = earlier.conditions.iter().find(|c| c.type_ == state.spec.name);
            known.is_none_or(|c| c.status == ConditionStatus::True || c.reason == EXPOSURE_OPEN)
        })
}

/// Tells `news` about `object`, found out while doing `action`. An event that is lost is only logged: it is a convenience, the
/// status is the truth.
pub async fn tell<K: Resource<DynamicType = ()>>(context: &Context, object: &K, action: &str, news: News) {
    if context.tenure.over() {
        return;
    }
    let event = Event {
        type_: if news.warning {
            EventType::Warning
        } else {
            EventType::Normal
        },
        reason: news.reason.to_owned(),
        note: (!news.note.is_empty()).then(|| news.note.chars().take(1000).collect()),
        action: action.to_owned(),
        secondary: None,
    };
    let reference = object.object_ref(&());
    if let Err(failed) = with_deadline(context.recorder.publish(&event, &reference)).await {
        tracing::warn!(%failed, "event not published");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(data: &str, gates: Value) -> OffboardingStatus {
        let condition = json!({"type": "DataTransferred", "status": "False", "reason": data, "message": "2 left",
            "lastTransitionTime": "2026-09-30T15:00:00Z"});
        serde_json::from_value(json!({"conditions": [condition], "gates": gates})).unwrap()
    }

    fn gates(overdue: Value) -> Value {
        json!([{"gate": "Task", "task": "front-desk", "plan": "sha256:1", "state": "Waiting", "approvals": "0/2",
            "since": "2026-09-30T15:00:00Z", "overdue": overdue}])
    }

    #[test]
    fn what_is_late_is_told_once() {
        let late = status("DeadlineExceeded", gates("2026-10-01T15:00:00Z".into()));
        let told = |before: &OffboardingStatus| {
            let news = news(before, &late, &[]).into_iter();
            news.map(|n| (n.reason, n.note)).collect::<Vec<_>>()
        };
        let data = ("DataOverdue", "2 left".to_owned());
        let task = (
            "ManualTaskOverdue",
            "front-desk: 0/2 done: ask who has the task".to_owned(),
        );
        assert_eq!(
            told(&status("InProgress", gates(Value::Null))),
            [data, task.clone()]
        );
        assert_eq!(told(&status("DeadlineExceeded", gates(Value::Null))), [task]);
        assert_eq!(told(&late), []);
    }
}
