//! What a `LeaverSource` wants, read once and checked.

use jiff::{SignedDuration, Timestamp};

use super::{Invalid, mapping::Mapping};
use crate::{
    api::{
        LeaverSourceSpec,
        source::{Guard, OnDateMoved, OnLeave, OnWithdrawn},
    },
    core::{
        guard::Limits,
        leavers::{Rules, compare::Wishes},
        schedule,
    },
};

/// No source is read more often.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);

/// What a source wants.
#[derive(Debug)]
pub struct Settings {
    /// Time between two looks.
    pub every: SignedDuration,
    /// The guard's limits.
    pub limits: Limits,
    /// What happens when something changes.
    pub wishes: Wishes,
    /// The user's expressions.
    pub mapping: Mapping,
    look_ahead: SignedDuration,
    look_back: SignedDuration,
    bridge_days: i64,
    leave_is_leaving: bool,
    protected: Vec<String>,
    max_unusable_percent: u32,
}

impl Settings {
    /// Reads `spec`.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn read(spec: &LeaverSourceSpec) -> Result<Self, Invalid> {
        let bridge = length("spec.rehireBridge", spec.rehire_bridge.as_deref(), "3d")?;
        Ok(Self {
            every: length("spec.every", spec.every.as_deref(), "15m")?.max(SHORTEST),
            look_ahead: length("spec.lookAhead", spec.look_ahead.as_deref(), "14d")?,
            look_back: length("spec.lookBack", spec.look_back.as_deref(), "365d")?,
            bridge_days: bridge.as_hours() / 24,
            leave_is_leaving: spec.on_leave == OnLeave::Offboard,
            max_unusable_percent: spec.max_unusable_percent.unwrap_or(5),
            protected: spec
                .protected
                .iter()
                .map(|key| key.trim().to_lowercase())
                .collect(),
            limits: limits(&spec.guard)?,
            wishes: Wishes {
                ask_when_moved: spec.on_date_moved == OnDateMoved::Ask,
                reinstate_when_withdrawn: spec.on_withdrawn == OnWithdrawn::Reinstate,
            },
            mapping: Mapping::compile(&spec.map, spec.when.as_deref())?,
        })
    }

    /// Whether so many of so many records are more than may be unusable; one always may.
    pub fn too_many_unusable(&self, unusable: usize, records: usize) -> bool {
        let share = records.saturating_mul(usize::try_from(self.max_unusable_percent).unwrap_or(100)) / 100;
        unusable > share.max(1)
    }

    /// The rules at `now`.
    pub fn rules(&self, now: Timestamp) -> Rules {
        Rules {
            bridge_days: self.bridge_days,
            leave_is_leaving: self.leave_is_leaving,
            protected: self.protected.iter().cloned().collect(),
            ..Rules::at(now, self.look_ahead, self.look_back)
        }
    }
}

/// The limits of `guard`.
///
/// # Errors
/// The first field that cannot be used.
pub fn limits(guard: &Guard) -> Result<Limits, Invalid> {
    Ok(Limits {
        window: length("spec.guard.window", Some(&guard.window), "24h")?,
        max_new: guard.max_new,
        max_percent: guard.max_percent,
        max_shrink_percent: guard.max_shrink_percent,
        max_age: length("spec.guard.maxAge", Some(&guard.max_age), "36h")?,
    })
}

fn length(field: &str, text: Option<&str>, default: &str) -> Result<SignedDuration, Invalid> {
    schedule::duration(text.unwrap_or(default)).map_err(|error| Invalid {
        field: field.to_owned(),
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_has_a_default() {
        let settings = Settings::read(&LeaverSourceSpec::default()).unwrap();
        assert_eq!(settings.every, SignedDuration::from_mins(15));
        assert_eq!(settings.limits, Limits::default(), "needs nobody's yes");
        let rules = settings.rules("2026-09-15T12:00:00Z".parse().unwrap());
        assert_eq!(rules.ahead_until.to_string(), "2026-09-29");
        assert_eq!(rules.history_before.to_string(), "2025-09-15");
        assert_eq!(rules.bridge_days, 3, "over a weekend");
    }

    #[test]
    fn one_record_may_be_unusable_and_so_may_a_small_share() {
        let settings = |percent| {
            let spec = LeaverSourceSpec {
                max_unusable_percent: percent,
                ..LeaverSourceSpec::default()
            };
            Settings::read(&spec).unwrap()
        };
        for (percent, unusable, records, expected) in [
            (None, 0, 0, false),
            (None, 1, 3, false),
            (None, 2, 3, true),
            (None, 5, 100, false),
            (None, 6, 100, true),
            (Some(0), 2, 100_000, true),
            (Some(100), 100, 100, false),
        ] {
            let tripped = settings(percent).too_many_unusable(unusable, records);
            assert_eq!(tripped, expected, "{percent:?} {unusable} of {records}");
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named() {
        let mut spec = LeaverSourceSpec {
            every: Some("soon".into()),
            ..LeaverSourceSpec::default()
        };
        assert_eq!(Settings::read(&spec).unwrap_err().field, "spec.every");
        spec.every = Some("1s".into());
        assert_eq!(Settings::read(&spec).unwrap().every, SHORTEST);
        spec.guard.window = "day".into();
        assert_eq!(Settings::read(&spec).unwrap_err().field, "spec.guard.window");
    }
}
