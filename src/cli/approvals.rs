//! What people said, without a cluster: Approvals in the folder, each signed by who says it.
//!
//! # Why
//! In a cluster the API server knows who makes an Approval. A folder knows nobody: whoever can write a file there can write
//! any name into it, and a reviewed pull request says who merged, not who decides. So an Approval counts only with a signature
//! of its approver beside it (`FILE.sig`, made by `ssh-keygen -Y sign -n offboard`), and only by a key that whoever starts
//! `offboard run` has named (`--approvers`, as OpenSSH's and git's `allowed_signers`). From there on everything is as in the
//! cluster: bound to the uid and the plan, self-approval, quorum, expiry.
//!
//! Without `--approvers` there is nobody to ask: whoever runs this answers for what the manifests say, and nothing waits but
//! what a policy or `--gate-floor` demands.
//!
//! A signature has no time that could be believed: an Approval counts from when a run first saw it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;

use crate::{
    api::{Approval, Offboarding, offboarding::GateState},
    cli::{
        exit,
        local::{self, Links},
        manifests::Manifests,
        safeguards,
    },
    core::{
        case::Case,
        departures::DepartureIndex,
        digest::digest_of,
        duplicate::Duplicate,
        gate::{Gate, Safeguards, Vote},
        guard::{self, Admissions, AdmittedBy, FirstActs},
        ledger::Ledger,
    },
    drive::{
        approval::{ApprovalTarget, vote},
        departures::{departure, duplicates},
        folder::{self, Folder},
    },
    transport::ssh::signers::Signers,
};

/// What signatures are made for.
pub const NAMESPACE: &str = "offboard";

/// An Approval and the file that it stands in.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub file: PathBuf,
    /// The Approval; its uid is a digest of the file, so that another text is another Approval.
    pub approval: Approval,
}

impl Found {
    /// Approval number `index` of the file with this text.
    pub fn new(file: &Path, text: &str, index: usize, mut approval: Approval) -> Self {
        approval.metadata.uid = Some(id(text, index));
        Self {
            file: file.to_owned(),
            approval,
        }
    }
}

fn id(text: &str, index: usize) -> String {
    format!("{}-{index}", digest_of([text]))
}

/// Whether `id` is one of an Approval in this text.
fn is_of(id: &str, text: &str) -> bool {
    id.rsplit_once('-')
        .is_some_and(|(digest, _)| digest == digest_of([text]))
}

/// What is said in a folder, as far as somebody vouches for it, and who leaves.
pub struct Voices {
    believed: Vec<Found>,
    /// Approvals that nobody vouches for, and why.
    pub refused: Vec<String>,
    about: Vec<Approval>,
    signers: Option<PathBuf>,
    departures: DepartureIndex,
    demands: Safeguards,
    first_acts: FirstActs,
    admissions: Mutex<Admissions>,
}

impl Voices {
    /// Reads who may sign from `signers`, and looks which Approvals are signed. Without one none counts.
    ///
    /// # Errors
    /// When the file with the signers cannot be used.
    pub fn hear(
        manifests: &Manifests,
        links: &Links,
        state: &Path,
        signers: Option<&Path>,
        demands: &safeguards::Arguments,
        now: Timestamp,
    ) -> Result<Self, exit::Error> {
        let known = signers.map(read).transpose().map_err(exit::Error)?;
        let (mut believed, mut refused) = (vec![], vec![]);
        for found in &manifests.approvals {
            match &known {
                None => refused.push(format!(
                    "{}: the author cannot be verified: name the approvers and their keys with --approvers",
                    found.file.display()
                )),
                Some(known) => match signed(found, known) {
                    Ok(()) => believed.push(found.clone()),
                    Err(why) => refused.push(format!("{}: {why}", found.file.display())),
                },
            }
        }
        Ok(Self {
            believed,
            refused,
            about: manifests
                .approvals
                .iter()
                .map(|found| found.approval.clone())
                .collect(),
            signers: signers.map(Path::to_owned),
            departures: departures(manifests, links, state, now),
            demands: match signers {
                Some(_) => demands.safeguards(),
                None => demands.floor_only(),
            },
            first_acts: demands.first_acts(),
            admissions: Mutex::default(),
        })
    }

    /// What was said about `leaver`, oldest first.
    ///
    /// # Errors
    /// When the state of the leaver cannot be used.
    pub fn votes(
        &self,
        leaver: &Offboarding,
        folder: &Folder,
        now: Timestamp,
    ) -> Result<Vec<Vote>, folder::Error> {
        let leaver = ApprovalTarget::leaver(leaver);
        let ids: Vec<String> = self
            .believed
            .iter()
            .filter(|found| vote(&found.approval, &leaver).is_some())
            .filter_map(|found| found.approval.metadata.uid.clone())
            .collect();
        let seen = folder.first_seen(&ids, now)?;
        let heard = self.believed.iter().filter_map(|found| {
            let mut approval = found.approval.clone();
            let at = *seen.get(approval.metadata.uid.as_deref().unwrap_or_default())?;
            approval.metadata.creation_timestamp = Some(Time(at));
            let vote = vote(&approval, &leaver)?;
            // Whoever runs this has named them.
            let person = Some(vote.approver.clone());
            let principal = vote.on_behalf_of.clone();
            Some(Vote {
                person,
                principal,
                ..vote
            })
        });
        let mut votes: Vec<Vote> = heard.collect();
        votes.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(votes)
    }

    /// Whether something is said about `leaver`, or would have to be, and nobody vouches for anything.
    pub fn untrusted(&self, leaver: &Offboarding, asks: bool) -> bool {
        let leaver = ApprovalTarget::leaver(leaver);
        let said = || {
            self.about
                .iter()
                .any(|approval| vote(approval, &leaver).is_some())
        };
        self.signers.is_none() && (asks || said())
    }

    /// What is demanded of people whatever the policies say.
    pub fn safeguards(&self) -> &Safeguards {
        &self.demands
    }

    /// Whether something is demanded for every leaver.
    pub fn asks(&self) -> bool {
        !self.demands.floor.is_empty()
    }

    /// Lets work on `case` begin, or has it wait for a yes, by what the statuses below `state` say of the others.
    pub fn admit(&self, case: &mut Case, ledger: &Ledger, state: &Path, now: Timestamp) {
        if case.guard.is_empty() {
            return;
        }
        let uid = case.uid.clone();
        let ask = |places| {
            // What cannot be read is said where it is opened.
            let known = folder::leavers(state)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|uid| {
                    let admitted = Folder::look(state, &uid).status().ok()??.admitted?;
                    (admitted.by == AdmittedBy::Room).then_some((uid, admitted))
                });
            let mut admissions = self.admissions.lock();
            let room = admissions.ask((&uid, places), known, self.first_acts, now);
            room.then_some(AdmittedBy::Room)
        };
        guard::admit(case, ledger, ask, now);
    }

    /// Of those who said something, who leaves too.
    pub fn leaving(&self, votes: &[Vote], uid: &str, now: Timestamp) -> Vec<String> {
        self.departures.departed_voters(votes, uid, now)
    }

    /// The other leavers of the folder that are the same person as `leaver`.
    pub fn duplicates(&self, leaver: &Offboarding) -> Vec<Duplicate> {
        duplicates(&self.departures, leaver)
    }

    /// Whether somebody known by `name` leaves until `when`.
    pub fn leaves_too(&self, name: &str, uid: &str, when: Timestamp) -> bool {
        self.departures.has_left(name, uid, when)
    }

    /// Says of votes whether they are still there as they were, and still vouched for, by reading everything again.
    pub fn stands(&self) -> folder::Stands {
        let files: BTreeMap<String, PathBuf> = self
            .believed
            .iter()
            .filter_map(|found| Some((found.approval.metadata.uid.clone()?, found.file.clone())))
            .collect();
        let signers = self.signers.clone();
        Box::new(move |votes| {
            let Some(Ok(signers)) = signers.as_deref().map(read) else {
                return votes.is_empty();
            };
            votes.iter().all(|vote| {
                let Some(file) = files.get(&vote.id) else {
                    return false;
                };
                fs::read_to_string(file).is_ok_and(|text| {
                    is_of(&vote.id, &text) && vouched(file, &text, &vote.approver, &signers).is_ok()
                })
            })
        })
    }
}

fn read(signers: &Path) -> Result<Signers, String> {
    let text = fs::read_to_string(signers).map_err(|e| format!("{}: {e}", signers.display()))?;
    Signers::parse(&text).map_err(|why| format!("{}: {why}", signers.display()))
}

fn signed(found: &Found, signers: &Signers) -> Result<(), String> {
    let text = fs::read_to_string(&found.file).map_err(|e| e.to_string())?;
    if !is_of(found.approval.metadata.uid.as_deref().unwrap_or_default(), &text) {
        return Err("it is being changed: run this again".to_owned());
    }
    vouched(&found.file, &text, &found.approval.spec.approver, signers)
}

/// Whether a signature of `approver` over `text` is beside `file`.
fn vouched(file: &Path, text: &str, approver: &str, signers: &Signers) -> Result<(), String> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".sig");
    let beside = PathBuf::from(beside);
    let signature = fs::read_to_string(&beside).map_err(|_| {
        format!(
            "not signed: there is no {}: {approver} makes it with ssh-keygen -Y sign -n {NAMESPACE} -f KEY {}",
            beside.display(),
            file.display()
        )
    })?;
    if signers.signed(approver, NAMESPACE, text.as_bytes(), &signature) {
        Ok(())
    } else {
        Err(format!(
            "its signature is not by a key that --approvers has for {approver}, or not of this text"
        ))
    }
}

/// Who of the folder leaves, and when.
pub(super) fn departures(
    manifests: &Manifests,
    links: &Links,
    state: &Path,
    now: Timestamp,
) -> DepartureIndex {
    let departures = DepartureIndex::default();
    for leaver in &manifests.offboardings {
        let mut leaver = leaver.clone();
        let known = Folder::look(state, leaver.metadata.uid.as_deref().unwrap_or_default()).status();
        let mut status = known.ok().flatten().unwrap_or_default();
        if status.cutoff.is_none() {
            let case = local::case(&leaver, manifests, links, Some(&status), now);
            status.cutoff = case.ok().map(|case| case.cutoff);
        }
        leaver.status = Some(status);
        let uid = leaver.metadata.uid.clone().unwrap_or_default();
        departures.record(&uid, departure(&leaver));
    }
    departures
}

/// For each thing that waits for a person's word, how to give it.
pub fn how_to(leaver: &Offboarding, status: &crate::api::OffboardingStatus) -> Vec<String> {
    let about = &leaver.metadata;
    let name = about.name.as_deref().unwrap_or_default();
    let uid = about.uid.as_deref().unwrap_or_default();
    let waits = status.gates.iter().filter(|row| row.state != GateState::Open);
    waits
        .map(|row| {
            let (what, connector, decision) = match (&row.gate, &row.task) {
                (Gate::Task, Some(connector)) => (
                    format!("{connector}: tasks {} done", row.approvals),
                    format!(" connector: {connector},"),
                    "Done",
                ),
                (gate, _) => {
                    let loosens = row.loosens.iter().map(|what| format!("; {what}"));
                    let loosens: String = loosens.collect();
                    (format!("{gate:?} {}{loosens}", row.approvals), String::new(), "Approved")
                }
            };
            format!(
                "{name} waits for a person ({what}). Who may say so puts a file beside the manifests:\n  \
                 {{apiVersion: offboard.dev/v1alpha1, kind: Approval, metadata: {{name: {name}-{}}}, spec: {{gate: {:?},{connector} \
                 decision: {decision}, approver: YOUR NAME, plan: '{}', offboardingRef: {{name: {name}, uid: '{uid}'}}}}}}\n\
                 signs it: ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE\n\
                 and you run this again with --approvers FILE, a file with lines such as: alice@example.com ssh-ed25519 AAAA…",
                decision.to_lowercase(),
                row.gate,
                row.plan,
            )
        })
        .collect()
}
