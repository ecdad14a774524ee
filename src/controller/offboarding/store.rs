//! The durable state of one leaver in the cluster: its `OffboardingRecord`, and whether it is still wanted.
//!
//! The record has no owner: it outlives its Offboarding, and an Offboarding that is made anew under the same name gets a
//! record of its own. It is always replaced as a whole, at the version that was read. What is too long for one object is split over
//! further ones, which are written before it and bound by a digest in it; they are no one's either, and have its label.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::Value;
use tokio::sync::Mutex;

mod parts;

use super::status::ProgressWriter;
use crate::{
    api::{
        Offboarding, OffboardingRecord, OffboardingRecordSpec,
        approval::BoundRef,
        record::{Parts, RecordOf},
    },
    controller::{
        Context,
        approval::index,
        runtime::{
            api_client::{ApiError, with_deadline},
            watch,
        },
    },
    core::{
        fault::{Fault, Reason},
        gate::Vote,
        ledger::{Ledger, SystemLedger},
    },
    drive::{Interim, Record, Store, approval::ApprovalTarget, evidence},
};

/// The longest part of an Offboarding's name in the name of its record, which leaves room for the name of a part.
const LONGEST_STEM: usize = 240;

/// The label of a record and of all of its parts: the uid of the Offboarding.
const LABEL: &str = "offboard.dev/offboarding-uid";

/// The name of the record of an Offboarding: its own name, and enough of its uid to tell it from another of that name.
pub fn record_name(name: &str, uid: &str) -> String {
    let stem: String = name.chars().take(LONGEST_STEM).collect();
    let suffix: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("{stem}-{suffix}")
}

/// Why there is no record to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRecord {
    /// It is there, and is not one of ours or not understood. It is never written over.
    Unreadable(String),
    /// Its evidence or its parts do not fit together: somebody else has changed it. Nothing is done by it, or written into it.
    Altered(String),
    /// The API server did not give it; later.
    Failed(ApiError),
}

/// What the record is that we may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its version at the API server.
    version: String,
    /// Its parts, if it has any.
    parts: Option<Parts>,
}

impl Stored {
    /// Whether it takes more than one object.
    pub fn is_large(&self) -> bool {
        self.parts.is_some()
    }

    fn of(object: OffboardingRecord) -> Option<Self> {
        Some(Self {
            version: object.resource_version()?,
            parts: object.spec.parts,
        })
    }
}

/// The record of `offboarding` as it is stored; without that when there is none yet.
///
/// # Errors
/// When it cannot be read, or not be understood.
pub async fn load(
    context: &Context,
    offboarding: &Offboarding,
) -> Result<(Record, Option<Stored>), NoRecord> {
    let uid = offboarding.uid().unwrap_or_default();
    let name = record_name(&offboarding.name_any(), &uid);
    let api: Api<OffboardingRecord> =
        watch::api(&context.client, &offboarding.namespace().unwrap_or_default());
    match with_deadline(api.get(&name)).await {
        Ok(record) if record.spec.offboarding.uid != uid => Err(NoRecord::Unreadable(format!(
            "{name} belongs to another Offboarding"
        ))),
        Ok(mut record) => {
            if let Some(what) = altered(&record.spec) {
                return Err(NoRecord::Altered(format!("{name}: {what}")));
            }
            parts::gather(&api, &name, &mut record).await?;
            let stored = Stored::of(record.clone());
            let record =
                understand(record.spec).map_err(|what| NoRecord::Unreadable(format!("{name}: {what}")))?;
            if let Some(fact) = record.ledger.first_altered() {
                let what = format!("what is kept of {fact} is not what was written");
                return Err(NoRecord::Altered(format!("{name}: {what}")));
            }
            Ok((record, stored))
        }
        Err(ApiError::NotFound) => Ok((Record::default(), None)),
        Err(ApiError::Unreadable) => Err(NoRecord::Unreadable(name)),
        Err(failed) => Err(NoRecord::Failed(failed)),
    }
}

/// What does not fit together in the evidence of a record, if anything.
fn altered(spec: &OffboardingRecordSpec) -> Option<String> {
    if let Some(at) = evidence::first_broken(&spec.evidence) {
        return Some(format!("spec.evidence[{at}] does not fit what stands before it"));
    }
    let head = spec.evidence.last().map(|entry| &entry.digest);
    if spec.head.as_ref() != head || usize::try_from(spec.entries) != Ok(spec.evidence.len()) {
        return Some("spec.evidence is not what spec.head and spec.entries say".to_owned());
    }
    None
}

fn understand(spec: OffboardingRecordSpec) -> Result<Record, String> {
    let mut systems = BTreeMap::new();
    for (row, value) in spec.systems {
        let ledger: SystemLedger = serde_path_to_error::deserialize(value)
            // The error's own text may quote a value.
            .map_err(|error| format!("spec.systems[{row:?}].{} is not understood", error.path()))?;
        systems.insert(row, ledger);
    }
    let manager = spec.manager.map(serde_path_to_error::deserialize).transpose();
    let manager = manager.map_err(|error| format!("spec.manager.{} is not understood", error.path()))?;
    let terms = spec.terms.map(serde_path_to_error::deserialize).transpose();
    let terms = terms.map_err(|error| format!("spec.terms.{} is not understood", error.path()))?;
    Ok(Record {
        ledger: Ledger {
            systems,
            at_once: spec.at_once,
            terms,
            handed_over: spec.handed_over,
            manager,
        },
        evidence: spec.evidence,
    })
}

fn write_down(of: RecordOf, record: &Record) -> Result<OffboardingRecordSpec, Fault> {
    let mut systems = BTreeMap::<String, Value>::new();
    for (row, ledger) in &record.ledger.systems {
        let value = serde_json::to_value(ledger).map_err(|_| Fault::permanent(Reason::StoreUnavailable))?;
        systems.insert(row.clone(), value);
    }
    let manager = record
        .ledger
        .manager
        .as_ref()
        .map(serde_json::to_value)
        .transpose();
    let manager = manager.map_err(|_| Fault::permanent(Reason::StoreUnavailable))?;
    let terms = record.ledger.terms.as_ref().map(serde_json::to_value).transpose();
    let terms = terms.map_err(|_| Fault::permanent(Reason::StoreUnavailable))?;
    Ok(OffboardingRecordSpec {
        systems,
        at_once: record.ledger.at_once,
        terms,
        handed_over: record.ledger.handed_over,
        manager,
        evidence: record.evidence.clone(),
        entries: i64::try_from(record.evidence.len()).unwrap_or(i64::MAX),
        head: record.evidence.last().map(|entry| entry.digest.clone()),
        ..OffboardingRecordSpec::empty(of)
    })
}

/// The state of one leaver during one pass.
pub struct ClusterStore<'a> {
    context: &'a Context,
    namespace: String,
    of: RecordOf,
    generation: Option<i64>,
    version: Mutex<Version>,
    shown: ProgressWriter<'a>,
}

/// Which version of the record we may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// There is none: it is created.
    None,
    /// This one.
    Of(Stored),
    /// A write failed or somebody else wrote: the record must be read again before anything is written.
    Lost,
}

impl<'a> ClusterStore<'a> {
    /// The state of `offboarding`, whose record is `stored`.
    pub fn new(
        context: &'a Context,
        offboarding: &Offboarding,
        stored: Option<Stored>,
        shown: ProgressWriter<'a>,
    ) -> Self {
        Self {
            context,
            namespace: offboarding.namespace().unwrap_or_default(),
            of: RecordOf {
                name: offboarding.name_any(),
                uid: offboarding.uid().unwrap_or_default(),
            },
            generation: offboarding.metadata.generation,
            version: Mutex::new(stored.map_or(Version::None, Version::Of)),
            shown,
        }
    }

    /// The version of the record after the pass, and what was shown during it.
    pub fn finish(self) -> (Version, Option<Arc<Offboarding>>) {
        (self.version.into_inner(), self.shown.finish())
    }

    /// The name of the record.
    pub fn record_name(&self) -> String {
        record_name(&self.of.name, &self.of.uid)
    }

    fn same(&self, offboarding: &Offboarding) -> bool {
        offboarding.metadata.uid.as_deref() == Some(self.of.uid.as_str())
            && offboarding.metadata.generation == self.generation
            && offboarding.metadata.deletion_timestamp.is_none()
    }

    async fn write(&self, version: &Version, record: &Record) -> Result<OffboardingRecord, Fault> {
        let stored = match version {
            Version::None => None,
            Version::Of(stored) => Some(stored),
            Version::Lost => return Err(Fault::transient(Reason::StoreUnavailable)),
        };
        let api: Api<OffboardingRecord> = watch::api(&self.context.client, &self.namespace);
        let name = self.record_name();
        let before = stored.and_then(|stored| stored.parts.as_ref());
        let mut spec = write_down(self.of.clone(), record)?;
        let lasts = || !self.context.tenure.over();
        parts::spread(&api, &name, &mut spec, before, &lasts).await?;
        let mut object = object(&name, spec);
        let written = match stored {
            None => with_deadline(api.create(&PostParams::default(), &object)).await,
            Some(stored) => {
                object.metadata.resource_version = Some(stored.version.clone());
                with_deadline(api.replace(&name, &PostParams::default(), &object)).await
            }
        };
        let written = written?;
        if before.is_some() && written.spec.parts.is_none() {
            parts::clear(&api, &name).await;
        }
        Ok(written)
    }
}

/// An object of this kind with the label that all objects of one Offboarding have.
fn object(name: &str, spec: OffboardingRecordSpec) -> OffboardingRecord {
    let label = (LABEL.to_owned(), spec.offboarding.uid.clone());
    let mut object = OffboardingRecord::new(name, spec);
    object.metadata.labels = Some(BTreeMap::from([label]));
    object
}

#[async_trait]
impl Store for ClusterStore<'_> {
    async fn save(&self, record: &Record) -> Result<(), Fault> {
        let mut version = self.version.lock().await;
        if self.context.tenure.over() {
            *version = Version::Lost;
            return Err(Fault::transient(Reason::StoreUnavailable).with_code("lease lost"));
        }
        let written = self.write(&version, record).await;
        let (stored, result) = match written {
            Ok(object) => (Stored::of(object), Ok(())),
            // It may have been written: only a read tells.
            Err(fault) => (None, Err(fault)),
        };
        *version = stored.map_or(Version::Lost, Version::Of);
        result
    }

    fn current(&self) -> bool {
        if !self.context.acts() {
            return false;
        }
        let seen = self.context.caches.offboarding(&self.namespace, &self.of.name);
        seen.is_some_and(|offboarding| self.same(&offboarding))
    }

    async fn confirm(&self, votes: &[&Vote]) -> Result<bool, Fault> {
        let api: Api<Offboarding> = watch::api(&self.context.client, &self.namespace);
        let offboarding = match with_deadline(api.get(&self.of.name)).await {
            Ok(offboarding) => offboarding,
            Err(ApiError::NotFound) => return Ok(false),
            Err(failed) => return Err(failed.into()),
        };
        let about = ApprovalTarget::Leaver(BoundRef {
            name: self.of.name.clone(),
            uid: self.of.uid.clone(),
        });
        for vote in votes {
            if !index::stands(self.context, &self.namespace, &about, vote).await? {
                return Ok(false);
            }
        }
        Ok(self.same(&offboarding) && self.context.acts())
    }

    async fn progress(&self, interim: &Interim) {
        self.shown.progress(interim, Timestamp::now()).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{api::record::PartSet, core::parts::MOST_PIECES};

    #[test]
    fn an_offboarding_made_anew_never_shares_a_record() {
        let name = record_name("jane", "0f3c-11aa-bb");
        assert_eq!(name, "jane-0f3c11aa");
        assert_ne!(name, record_name("jane", "0f3c-11ab-bb"));
        let longest = record_name(&"x".repeat(253), "0f3c-11aa-bb");
        assert!(parts::part_name(&longest, PartSet::A, MOST_PIECES - 1).len() <= 253);
    }

    #[test]
    fn what_was_written_down_is_understood_again() {
        let mut record = Record::default();
        let ledger: SystemLedger = serde_json::from_value(json!({
            "account": {"id": "7", "name": "jane", "boundAt": "2026-09-30T15:00:00Z"},
            "snapshot": {"GroupsRemoved": ["a", "b"]},
            "facts": {"AccountDisabled": {"accepted": "2026-09-30T15:00:01Z"}},
        }))
        .unwrap();
        record.ledger.systems.insert("crm".into(), ledger);
        let spec = write_down(RecordOf::default(), &record).unwrap();
        assert_eq!(understand(spec), Ok(record));
    }

    #[test]
    fn evidence_that_somebody_changed_cut_or_added_to_is_noticed() {
        let mut record = Record::default();
        for fact in ["AccountDisabled", "SessionsRevoked", "GroupsRemoved"] {
            let happening = evidence::Happening {
                at: Timestamp::UNIX_EPOCH,
                system: "crm".into(),
                fact: fact.into(),
                event: crate::core::event::Event::Verified,
                account: "7".into(),
            };
            evidence::append(&mut record.evidence, happening);
        }
        let spec = write_down(RecordOf::default(), &record).unwrap();
        assert_eq!(altered(&spec), None);
        let change = |change: fn(&mut OffboardingRecordSpec)| {
            let mut changed = spec.clone();
            change(&mut changed);
            altered(&changed)
        };
        let broken = change(|spec| spec.evidence[1].event = "Asked".into());
        assert_eq!(
            broken.as_deref(),
            Some("spec.evidence[1] does not fit what stands before it")
        );
        let changes: [fn(&mut OffboardingRecordSpec); 5] = [
            |spec| drop(spec.evidence.remove(0)),
            |spec| drop(spec.evidence.pop()),
            |spec| spec.evidence.clear(),
            |spec| spec.head = None,
            |spec| spec.entries = 2,
        ];
        for changed in changes {
            assert!(change(changed).is_some());
        }
    }

    #[test]
    fn a_record_that_is_not_understood_says_where_and_quotes_nothing() {
        let spec = OffboardingRecordSpec {
            systems: BTreeMap::from([("crm".into(), json!({"facts": {"F": {"intent": "canary"}}}))]),
            ..OffboardingRecordSpec::empty(RecordOf::default())
        };
        let text = understand(spec).unwrap_err();
        assert_eq!(text, "spec.systems[\"crm\"].facts.F.intent is not understood");
    }
}
