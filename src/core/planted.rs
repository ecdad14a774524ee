//! Bugs planted on purpose, to show that the tests would see them. Outside tests every switch is a constant `false`.

/// A bug that a careless change could bring in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Counts the answer to an act as proof.
    ReceiptIsProof,
    /// Counts a read from before the last act as proof.
    StaleReadIsProof,
    /// Rounds "could not be read" up to "done".
    UnreadableIsDone,
    /// Sends an unrepeatable act again when its answer was lost.
    RepeatsBlindly,
    /// Sends an unrepeatable act before its intent is durable.
    NoIntent,
    /// Removes before the snapshot is durable.
    NoSnapshot,
    /// Lets a later look shrink the snapshot.
    SnapshotShrinks,
    /// Forgets what a fact requires.
    ForgetsRequirements,
    /// Goes on after the Offboarding was deleted.
    IgnoresDeletion,
    /// Sends before the time that the system named.
    IgnoresThrottling,
    /// Addresses changes by what `find` shows now, not by the bound id.
    ActsByName,
    /// Gives up after a fault that passes by itself.
    GivesUp,
    /// Does not ask again for what cannot be read after access came back.
    AssertsForEver,
    /// Counts a running operation as finished.
    OperationIsDone,
    /// Deletes in spite of a legal hold.
    IgnoresHold,
    /// Counts the retention from the cutoff, whether or not everything was handed over.
    KeepsFromCutoff,
    /// Gives back what the ledger does not say was taken by us.
    GivesBackMore,
    /// Takes an account for the leaver's that came after access had ended.
    TakesLateAccounts,
    /// Takes an id for the same account's in whatever system the Connector leads to now.
    BindsToAnySystem,
    /// Lets a fact that is refused for good hold up what comes after it.
    WaitsForTheRefused,
    /// Judges whose account it is when it is bound, and never again.
    NeverLooksAgain,
    /// Takes who is not found any more for somebody who never had an account.
    ForgetsWhoWasFound,
    /// Waits the longest after the first fault that passes by itself.
    ComesBackLate,
    /// Proves only what today's configuration has.
    ForgetsTheRecord,
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether `bug` is planted in this thread.
#[cfg(test)]
pub fn planted(bug: Bug) -> bool {
    PLANTED.with(|planted| planted.get() == Some(bug))
}

/// Never, outside tests.
#[cfg(not(test))]
pub const fn planted(_: Bug) -> bool {
    false
}

/// The bug that is planted in this thread.
#[cfg(test)]
pub fn current() -> Option<Bug> {
    PLANTED.with(std::cell::Cell::get)
}

/// Plants `bug` in this thread, or takes it away.
#[cfg(test)]
pub fn plant(bug: Option<Bug>) {
    PLANTED.with(|planted| planted.set(bug));
}

/// Runs `f` with `bug` planted in this thread.
#[cfg(test)]
pub fn with<R>(bug: Option<Bug>, f: impl FnOnce() -> R) -> R {
    plant(bug);
    let result = f();
    plant(None);
    result
}
