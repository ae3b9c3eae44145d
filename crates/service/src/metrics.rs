//! A small registry of counters and gauges, shown in Prometheus' text format (version 0.0.4).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The metrics of one service; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Debug)]
struct Family {
    kind: &'static str,
    help: &'static str,
    series: BTreeMap<String, Arc<AtomicU64>>,
}

/// A number that only grows.
#[derive(Clone, Debug)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
}

impl Gauge {
    /// It is this now.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Metrics {
    /// The counter of that name and labels (`[("status", "2xx")]`), made when first asked for.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.series("counter", name, help, labels))
    }

    /// The gauge of that name and labels, made when first asked for.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.series("gauge", name, help, labels))
    }

    fn series(
        &self,
        kind: &'static str,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
    ) -> Arc<AtomicU64> {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name).or_insert_with(|| Family { kind, help, series: BTreeMap::new() });
        family.series.entry(labels_text(labels)).or_default().clone()
    }

    /// All of them, as Prometheus reads them.
    pub fn to_text(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, Family { kind, help, series }) in families.iter() {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (labels, value) in series {
                let _ = writeln!(text, "{name}{labels} {}", value.load(Ordering::Relaxed));
            }
        }
        text
    }
}

fn labels_text(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let list: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_read_as_prometheus_text_with_labels_escaped() {
        let metrics = Metrics::default();
        metrics.counter("a_total", "As.", &[("k", "x\"y")]).add(3);
        metrics.counter("a_total", "As.", &[("k", "x\"y")]).increment();
        metrics.gauge("b", "Bs.", &[]).set(7);
        let expected =
            "# HELP a_total As.\n# TYPE a_total counter\na_total{k=\"x\\\"y\"} 4\n# HELP b Bs.\n# TYPE b gauge\nb 7\n";
        assert_eq!(metrics.to_text(), expected);
    }
}
