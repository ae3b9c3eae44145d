//! A small registry of counters, gauges and histograms, shown in Prometheus' text format (version 0.0.4).

mod histogram;
mod process;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use histogram::Histogram;

/// Series that a family has at most: labels are meant to be few, and what comes from outside is none.
const MOST_SERIES: usize = 1000;

/// The metrics of one service; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<&'static str, Family>>>);

#[derive(Debug)]
struct Family {
    help: &'static str,
    series: Kind,
}

/// By labels as text.
#[derive(Debug)]
enum Kind {
    Counter(BTreeMap<String, Counter>),
    Gauge(BTreeMap<String, Gauge>),
    Histogram(BTreeMap<String, Histogram>),
}

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

/// A number that goes up and down.
#[derive(Clone, Debug, Default)]
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

    /// One more, until what is returned is dropped.
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }
}

/// One that a gauge counts.
#[derive(Debug)]
pub struct Held(Gauge);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// The counter of that name and labels (`[("status", "2xx")]`), made when first asked for.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Counter {
        self.family(
            name,
            help,
            || Kind::Counter(BTreeMap::new()),
            |kind| match kind {
                Kind::Counter(series) => series_of(series, labels),
                _ => Counter::default(),
            },
        )
    }

    /// The gauge of that name and labels, made when first asked for.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Gauge {
        self.family(
            name,
            help,
            || Kind::Gauge(BTreeMap::new()),
            |kind| match kind {
                Kind::Gauge(series) => series_of(series, labels),
                _ => Gauge::default(),
            },
        )
    }

    /// The histogram of times of that name (`…_seconds`) and labels, made when first asked for.
    pub fn histogram(&self, name: &'static str, help: &'static str, labels: &[(&str, &str)]) -> Histogram {
        self.family(
            name,
            help,
            || Kind::Histogram(BTreeMap::new()),
            |kind| match kind {
                Kind::Histogram(series) => series_of(series, labels),
                _ => Histogram::default(),
            },
        )
    }

    fn family<T>(
        &self,
        name: &'static str,
        help: &'static str,
        make: fn() -> Kind,
        take: impl FnOnce(&mut Kind) -> T,
    ) -> T {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut families.entry(name).or_insert_with(|| Family { help, series: make() }).series)
    }

    /// All of them and what the process uses, as Prometheus reads them.
    pub fn to_text(&self) -> String {
        let mut text = self.own_text();
        process::write(&mut text);
        text
    }

    fn own_text(&self) -> String {
        let families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, Family { help, series }) in families.iter() {
            // Writing into a String cannot fail, here and below.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", series.name());
            match series {
                Kind::Counter(series) => {
                    for (labels, counter) in series {
                        write_value(&mut text, name, labels, &counter.0);
                    }
                }
                Kind::Gauge(series) => {
                    for (labels, gauge) in series {
                        write_value(&mut text, name, labels, &gauge.0);
                    }
                }
                Kind::Histogram(series) => {
                    for (labels, histogram) in series {
                        histogram.write(&mut text, name, labels);
                    }
                }
            }
        }
        text
    }
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// The series of these labels; one that is not shown, if there are too many.
fn series_of<T: Clone + Default>(series: &mut BTreeMap<String, T>, labels: &[(&str, &str)]) -> T {
    let labels = labels_text(labels);
    if series.len() >= MOST_SERIES && !series.contains_key(&labels) {
        tracing::debug!("a metric has {MOST_SERIES} series already, {labels} is not shown");
        return T::default();
    }
    series.entry(labels).or_default().clone()
}

fn write_value(text: &mut String, name: &str, labels: &str, value: &AtomicU64) {
    let value = value.load(Ordering::Relaxed);
    let _ =
        if labels.is_empty() { writeln!(text, "{name} {value}") } else { writeln!(text, "{name}{{{labels}}} {value}") };
}

/// Without the braces: `status="2xx",kind="app"`.
fn labels_text(labels: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let list: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    list.join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn metrics_read_as_prometheus_text_with_labels_escaped() {
        let metrics = Metrics::default();
        metrics.counter("a_total", "As.", &[("k", "x\"y")]).add(3);
        metrics.counter("a_total", "As.", &[("k", "x\"y")]).increment();
        metrics.gauge("b", "Bs.", &[]).set(7);
        let expected =
            "# HELP a_total As.\n# TYPE a_total counter\na_total{k=\"x\\\"y\"} 4\n# HELP b Bs.\n# TYPE b gauge\nb 7\n";
        assert_eq!(metrics.own_text(), expected);
    }

    #[test]
    fn a_histogram_counts_each_time_in_all_buckets_that_hold_it() {
        let metrics = Metrics::default();
        for millis in [1, 2, 20, 60_000] {
            metrics.histogram("c_seconds", "Cs.", &[("route", "/x")]).observe(Duration::from_millis(millis));
        }
        let text = metrics.own_text();
        for line in [
            "# TYPE c_seconds histogram",
            "c_seconds_bucket{route=\"/x\",le=\"0.0005\"} 0",
            "c_seconds_bucket{route=\"/x\",le=\"0.001\"} 1",
            "c_seconds_bucket{route=\"/x\",le=\"0.0025\"} 2",
            "c_seconds_bucket{route=\"/x\",le=\"0.025\"} 3",
            "c_seconds_bucket{route=\"/x\",le=\"10\"} 3",
            "c_seconds_bucket{route=\"/x\",le=\"+Inf\"} 4",
            "c_seconds_sum{route=\"/x\"} 60.023",
            "c_seconds_count{route=\"/x\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn no_family_grows_without_end() {
        let metrics = Metrics::default();
        for label in 0..2 * MOST_SERIES {
            metrics.counter("d_total", "Ds.", &[("k", &label.to_string())]).increment();
        }
        assert_eq!(metrics.own_text().lines().count(), 2 + MOST_SERIES);
    }
}
