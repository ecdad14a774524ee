//! Systems that no request reaches: programs, and people.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::connector::ConnectorLimits;

/// A program that speaks to the system. It gets one JSON object and answers with one JSON value; what its exit code
/// means is said by `faults`, else 0 is success, 69 and 75 pass by themselves (`sysexits.h`), 77 is a right that is
/// missing and anything else a refusal. `OFFBOARD_INPUT` names the file with the input, `OFFBOARD_OUTPUT` the file for
/// the answer. Where there is a standard input and output (`offboard run`), they may be used instead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobDriver {
    /// Template over `inputs`: the image in a cluster. Without one the definition works in `offboard run` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Template over `inputs`: the service account of the pod, for pulling the image. Its token is never mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
    /// All of the program's environment: templates over `inputs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Keys of the Secret that the program gets as environment variables, by variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What the container is given in a cluster, as request and limit: `cpu`, `memory`. Default 500m and 256Mi.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, String>,
    /// How hard the system may be pressed.
    #[serde(default)]
    pub limits: ConnectorLimits,
    /// How long one run may take, start of the container included. Default `30s`, at most `50s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^([0-9]+(ms|s))+$"))]
    pub deadline: Option<String>,
}

/// Work that people do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManualDriver {
    /// Name of an input with a list of tasks, each of which becomes a fact: `fact`, `class`, `title`, `assignee`, `dueIn`,
    /// `instructions`, as texts. Where it has any, the definition's own facts are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<String>,
}
