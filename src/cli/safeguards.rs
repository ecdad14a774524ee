//! What whoever starts the operator, or runs a folder, demands of people whatever the policies say.

use std::collections::BTreeSet;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use jiff::SignedDuration;

use crate::{
    api::policy::GateRule,
    core::{
        gate::{Gate, Rule, Safeguards},
        guard::FirstActs,
        schedule,
    },
    drive::validate,
};

/// The arguments for what is demanded.
#[derive(Debug, Clone, Args)]
#[group(id = "safeguards")]
pub struct Arguments {
    /// Gates for every leaver, in addition to those of the policies: a list like spec.gates of a policy, in JSON or YAML.
    #[arg(long = "gate-floor", value_name = "RULES", default_value = "[]", hide_default_value = true, value_parser = floor)]
    pub floor: Floor,
    /// Built-in gate to switch off. Repeatable. Account: an account that the Offboarding names and that shows nothing of the
    /// leaver. Transfer: a hand-over to a person whom only the Offboarding names. Reinstate and Loosen: giving access back, or
    /// loosening, after access has ended. Guard: more leavers than --guard-max.
    #[arg(long, value_name = "GATE", value_parser = gate())]
    pub ungated: Vec<Gate>,
    /// Number of leavers that may begin within --guard-window before each further one needs an approval.
    #[arg(long, value_name = "LEAVERS", default_value_t = FirstActs::default().max)]
    pub guard_max: u32,
    /// Length of the guard window, such as 24h.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = window)]
    pub guard_window: SignedDuration,
}

/// Gates that no policy undercuts.
#[derive(Debug, Clone, Default)]
pub struct Floor(Vec<Rule>);

impl Default for Arguments {
    fn default() -> Self {
        let FirstActs { max, window } = FirstActs::default();
        Self {
            floor: Floor::default(),
            ungated: vec![],
            guard_max: max,
            guard_window: window,
        }
    }
}

impl Arguments {
    /// What they demand.
    pub fn safeguards(&self) -> Safeguards {
        Safeguards {
            floor: self.floor.0.clone(),
            ungated: self.ungated.iter().copied().collect::<BTreeSet<_>>(),
        }
    }

    /// What they demand where there is nobody to ask: the floor alone.
    pub fn floor_only(&self) -> Safeguards {
        Safeguards {
            floor: self.floor.0.clone(),
            ..Safeguards::none()
        }
    }

    /// With how many leavers work may begin in a while.
    pub fn first_acts(&self) -> FirstActs {
        FirstActs {
            window: self.guard_window,
            max: self.guard_max,
        }
    }
}

fn floor(text: &str) -> Result<Floor, String> {
    let rules: Vec<GateRule> = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let rules = validate::rules(&rules, "gate-floor", schedule::LAST_ZONE).map_err(|e| e.to_string())?;
    let odd = rules
        .iter()
        .find(|rule| matches!(rule.gate, Gate::Task | Gate::Waiver));
    match odd {
        Some(rule) => Err(format!("{:?} is no gate that can be demanded", rule.gate)),
        None => Ok(Floor(rules)),
    }
}

fn gate() -> impl TypedValueParser<Value = Gate> {
    let names = ["Account", "Transfer", "Reinstate", "Loosen", "Guard"];
    PossibleValuesParser::new(names).map(|name| match &*name {
        "Account" => Gate::Account,
        "Transfer" => Gate::Transfer,
        "Reinstate" => Gate::Reinstate,
        "Loosen" => Gate::Loosen,
        _ => Gate::Guard,
    })
}

fn window(text: &str) -> Result<SignedDuration, String> {
    schedule::duration(text).map_err(|e| e.to_string())
}
