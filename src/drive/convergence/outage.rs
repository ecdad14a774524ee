//! L3: a fault that passes by itself slows its system no longer than it lasts, plus seconds.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Story, Trial, first_violation, range,
    world::{Dice, SETTLE, Sim, epoch},
};
use crate::{
    core::{
        fault::{Fault, Reason},
        mutants::Bug,
        plan::LONGEST_CALL,
        schedule::mix,
    },
    drive::Clock,
};

/// What a system in such a state needs at most when nothing is in the way: the last call, and two reads that prove.
const SECONDS: SignedDuration = SignedDuration::from_secs(60 + 2 * 20);

/// While one system does not answer as it should.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    from: Timestamp,
    until: Timestamp,
    how: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// 503, now and then or always.
    Refuses(u64),
    /// The connection breaks.
    Breaks,
    /// There is no answer until the call is given up.
    Hangs,
}

impl Outage {
    fn of(dice: &mut Dice) -> Self {
        let mut seconds =
            |most: u64| SignedDuration::from_millis(i64::try_from(dice.roll(most * 1000)).unwrap());
        let from = epoch() + seconds(5);
        let until = from + seconds(600);
        let how = match dice.roll(4) {
            0 => Way::Refuses(1),
            1 => Way::Refuses(2 + dice.roll(5)),
            2 => Way::Breaks,
            _ => Way::Hangs,
        };
        Self { from, until, how }
    }

    /// What happens to a call at `now`.
    pub async fn meet(self, now: Timestamp, roll: u64) -> Result<(), Fault> {
        if now < self.from || self.until <= now {
            return Ok(());
        }
        match self.how {
            Way::Refuses(one_in) if roll.is_multiple_of(one_in) => {
                Err(Fault::transient(Reason::SystemUnavailable).with_code("503"))
            }
            Way::Refuses(_) => Ok(()),
            Way::Breaks => Err(Fault::unknown_outcome(Reason::Unreachable)),
            Way::Hangs => {
                let given_up = self.until.min(now + LONGEST_CALL).duration_since(now);
                tokio::time::sleep(Duration::try_from(given_up).unwrap_or_default()).await;
                Err(Fault::unknown_outcome(Reason::Timeout))
            }
        }
    }

    /// When access must have ended.
    fn bound(self) -> Timestamp {
        let lasts = self.until.duration_since(self.from);
        let call = if matches!(self.how, Way::Hangs) {
            LONGEST_CALL
        } else {
            SETTLE
        };
        self.until + lasts + call + SECONDS
    }
}

impl Trial {
    /// One system goes away for a while, and nothing else goes wrong.
    pub(super) fn strike(&mut self) {
        let mut dice = Dice(mix(self.seed ^ 0x0F0F));
        self.without_faults();
        let at = usize::try_from(dice.roll(self.sims.len() as u64)).unwrap();
        let outage = Outage::of(&mut dice);
        self.sims[at].inner.lock().outage = Some(outage);
        // What is to be reached is counted from here on.
        self.store.changes.push(outage.until);
    }

    /// L3.
    pub(super) fn judge_recovery(&mut self) {
        for sim in &self.sims {
            let inner = sim.inner.lock();
            let Some(outage) = inner.outage else { continue };
            match inner.access_ended_at() {
                Some(at) if at <= outage.bound() => {}
                ended => self.wrong.push(format!(
                    "L3: access to {} ended at {ended:?}, {outage:?}",
                    sim.row
                )),
            }
        }
    }
}

impl Sim {
    /// What an outage does to a call that begins now.
    pub(super) async fn weather(&self) -> Result<(), Fault> {
        let (outage, roll) = {
            let mut inner = self.inner.lock();
            let Some(outage) = inner.outage else { return Ok(()) };
            (outage, inner.dice.roll(1000))
        };
        outage.meet(self.clock.now(), roll).await
    }
}

#[test]
fn a_fault_that_passes_slows_its_system_no_longer_than_it_lasts() {
    assert_eq!(
        first_violation(range(super::SEEDS / 10), Story::Outage, None),
        None
    );
}

#[test]
fn coming_back_late_is_caught() {
    let found = first_violation(0..300, Story::Outage, Some(Bug::ComesBackLate));
    assert!(found.is_some_and(|wrong| wrong.contains("L3")));
}
