//! Keeps the listing of what the guard holds: there while it is held, gone once it is not.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};

use super::SourceSync;
use crate::{
    api::{HeldSet, LeaverSource, approval::BoundRef, held::Shrunken},
    controller::runtime::{
        api_client::{ApiError, with_deadline},
        watch,
    },
    core::{
        guard::{State, Tripped},
        leavers::compare::Change,
    },
    sources::{
        held::{self, Beside},
        look::Seen,
    },
};

/// Where a person reads who is in the held set.
pub struct Listing<'f> {
    /// The namespace of the source.
    pub namespace: &'f str,
    /// Its name.
    pub source: &'f str,
    /// Why it could not be written.
    pub failed: Option<ApiError>,
}

impl Listing<'_> {
    /// How a person reads who they are.
    pub fn text(&self) -> String {
        match &self.failed {
            None => format!("who: offboard held {} -n {}", self.source, self.namespace),
            Some(failed) => format!("who they are could not be listed ({failed})"),
        }
    }

    /// What is left of a listing that nobody needs any more.
    pub fn left(&self) -> Option<String> {
        let failed = self.failed.as_ref()?;
        Some(format!(
            "the HeldSets of what was held could not be deleted ({failed})"
        ))
    }
}

impl SourceSync<'_> {
    /// Lists exactly the `waiting` changes if one Approval could let them through, and takes every other listing of this source
    /// away. Says why it could not.
    pub(super) async fn list(
        &mut self,
        state: &State,
        seen: &Seen,
        waiting: &[&Change],
        loosened: &[String],
    ) -> Option<ApiError> {
        if state.held.is_none() && self.pass.unlisted {
            return None;
        }
        let wanted = self.listing(state, seen, waiting, loosened);
        let failed = self.replace_listing(&wanted).await.err();
        if let Some(failed) = &failed {
            tracing::warn!(source = self.source.uid(), %failed, "the listing of held changes is not as it should be");
        }
        self.pass.unlisted = wanted.is_empty() && failed.is_none();
        failed
    }

    /// Sees to it that these are the only listings of this source.
    async fn replace_listing(&self, wanted: &[HeldSet]) -> Result<(), ApiError> {
        let names: BTreeSet<String> = wanted.iter().map(ResourceExt::name_any).collect();
        let api: Api<HeldSet> = watch::api(&self.context.client, &self.namespace);
        let ours = ListParams::default().fields(&format!("spec.sourceRef.name={}", self.source.name_any()));
        let there: BTreeSet<String> = match with_deadline(api.list_metadata(&ours)).await {
            Ok(there) => there.items.iter().map(ResourceExt::name_any).collect(),
            // The kind is not installed.
            Err(ApiError::NotFound) if wanted.is_empty() => return Ok(()),
            Err(failed) => return Err(failed),
        };
        for set in wanted.iter().filter(|set| !there.contains(&set.name_any())) {
            self.still_acting()?;
            with_deadline(api.create(&PostParams::default(), set)).await?;
        }
        for name in there.difference(&names) {
            self.still_acting()?;
            match with_deadline(api.delete(name, &DeleteParams::default())).await {
                Ok(_) | Err(ApiError::NotFound) => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }

    fn still_acting(&self) -> Result<(), ApiError> {
        if self.context.acts() {
            Ok(())
        } else {
            Err(ApiError::Conflict)
        }
    }

    fn listing(
        &mut self,
        state: &State,
        seen: &Seen,
        waiting: &[&Change],
        loosened: &[String],
    ) -> Vec<HeldSet> {
        let Some(plan) = &state.held else {
            return vec![];
        };
        let source = BoundRef {
            name: self.source.name_any(),
            uid: self.source.uid().unwrap_or_default(),
        };
        let there = self.there();
        let shrunken = (state.tripped == Some(Tripped::Shrunken)).then_some(Shrunken {
            before: state.population,
            now: seen.feed.people,
        });
        let known = |name: &str| there.get(name).map(AsRef::as_ref);
        let beside = Beside {
            shrunken,
            loosened: loosened.to_vec(),
        };
        let mut sets = held::parts(&source, plan, waiting, known, &beside);
        let owner = OwnerReference {
            api_version: LeaverSource::api_version(&()).into_owned(),
            kind: LeaverSource::kind(&()).into_owned(),
            name: source.name,
            uid: source.uid,
            ..OwnerReference::default()
        };
        for set in &mut sets {
            set.metadata.owner_references = Some(vec![owner.clone()]);
        }
        sets
    }
}
