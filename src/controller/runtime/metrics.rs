//! What is counted. No label names a person.

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// By Connector.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByConnector {
    connector: String,
}

/// By the reason of `Ready`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: String,
}

/// By `LeaverSource`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BySource {
    namespace: String,
    source: String,
}

/// By how a pass ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

/// By channel, event and what became of the message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByMessage {
    channel: String,
    event: String,
    result: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    offboardings: Family<ByState, Gauge>,
    left: Family<ByConnector, Gauge>,
    revocation: Histograms<ByConnector>,
    drift: Family<ByConnector, Counter>,
    reconcile: Histograms<ByResult>,
    synced: Family<BySource, Gauge>,
    messages: Family<ByMessage, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("offboarding");
        let offboardings = Family::default();
        let left = Family::default();
        let drift = Family::default();
        let revocation: Histograms<ByConnector> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.05, 4.0, 12)));
        let reconcile: Histograms<ByResult> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 10)));
        registry.register("offboardings", "Offboardings by state", offboardings.clone());
        registry.register(
            "access_left",
            "Security facts that are wanted now and not proven",
            left.clone(),
        );
        registry.register_with_unit(
            "revocation",
            "From the cutoff, or the request if that came later, until all access of one leaver in one system was proven gone",
            Unit::Seconds,
            revocation.clone(),
        );
        registry.register(
            "drift",
            "Facts that somebody else undid after they were proven",
            drift.clone(),
        );
        registry.register_with_unit(
            "reconcile",
            "Passes over one leaver",
            Unit::Seconds,
            reconcile.clone(),
        );
        let synced = Family::default();
        registry.register_with_unit(
            "source_last_success_timestamp",
            "When all people of an HR system were last read and believed",
            Unit::Seconds,
            synced.clone(),
        );
        let messages = Family::default();
        registry.register(
            "messages",
            "Messages to people, by what became of them",
            messages.clone(),
        );
        Self {
            registry,
            offboardings,
            left,
            revocation,
            drift,
            reconcile,
            synced,
            messages,
        }
    }
}

impl Metrics {
    /// One pass ended.
    pub fn pass(&self, result: &'static str, seconds: f64) {
        self.reconcile
            .get_or_create(&ByResult { result })
            .observe(seconds);
    }

    /// All access of one leaver in one system was proven gone.
    pub fn revoked(&self, connector: &str, seconds: f64) {
        let connector = connector.to_owned();
        self.revocation
            .get_or_create(&ByConnector { connector })
            .observe(seconds);
    }

    /// Somebody else undid `facts` facts.
    pub fn drifted(&self, connector: &str, facts: usize) {
        let connector = connector.to_owned();
        self.drift
            .get_or_create(&ByConnector { connector })
            .inc_by(facts as u64);
    }

    /// All people of a source were read and believed.
    pub fn synced(&self, namespace: &str, source: &str, at: jiff::Timestamp) {
        let by = BySource {
            namespace: namespace.to_owned(),
            source: source.to_owned(),
        };
        self.synced.get_or_create(&by).set(at.as_second());
    }

    /// Something became of a message: `sent`, `failed`, `unsure`, or `retried` later.
    pub fn message(&self, channel: &str, event: String, result: &'static str) {
        let channel = channel.to_owned();
        let by = ByMessage {
            channel,
            event,
            result,
        };
        self.messages.get_or_create(&by).inc();
    }

    /// The text that Prometheus reads, with these gauges.
    pub fn text(
        &self,
        states: impl IntoIterator<Item = (String, usize)>,
        left: impl IntoIterator<Item = (String, usize)>,
    ) -> String {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.offboardings.clear();
        for (state, n) in states {
            self.offboardings.get_or_create(&ByState { state }).set(count(n));
        }
        self.left.clear();
        for (connector, n) in left {
            self.left.get_or_create(&ByConnector { connector }).set(count(n));
        }
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("metrics could not be written as text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_dashboards_and_alerts_use() {
        let metrics = Metrics::default();
        metrics.pass("done", 0.2);
        metrics.revoked("crm", 3.0);
        metrics.drifted("crm", 2);
        metrics.synced("people", "bamboo", jiff::Timestamp::UNIX_EPOCH);
        metrics.message("hr", "Offboarded".to_owned(), "sent");
        let text = metrics.text([("Offboarded".to_owned(), 2)], [("crm".to_owned(), 0)]);
        for line in [
            "offboarding_offboardings{state=\"Offboarded\"} 2",
            "offboarding_access_left{connector=\"crm\"} 0",
            "offboarding_revocation_seconds_count{connector=\"crm\"} 1",
            "offboarding_drift_total{connector=\"crm\"} 2",
            "offboarding_source_last_success_timestamp_seconds{namespace=\"people\",source=\"bamboo\"} 0",
            "offboarding_reconcile_seconds_count{result=\"done\"} 1",
            "offboarding_messages_total{channel=\"hr\",event=\"Offboarded\",result=\"sent\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
