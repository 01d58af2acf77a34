//! How a bench's result is told.

use std::io::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// The percentiles told.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99];

/// Latencies in microseconds, three digits exact.
pub(super) struct Latencies(Histogram<u64>);

/// A result: facts in their order, as text and as JSON.
#[derive(Default)]
pub(super) struct Report {
    text: Vec<String>,
    json: Map<String, Value>,
}

// === impl Latencies ===

impl Latencies {
    pub(super) fn new() -> Self {
        Self(Histogram::new(3).expect("three digits are allowed"))
    }

    pub(super) fn record(&mut self, micros: u64) {
        self.0.record(micros).expect("a histogram that resizes itself takes all values");
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }
}

// === impl Report ===

impl Report {
    /// A fact with a name: one line of text, one field of JSON.
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.text.push(format!("{:<12} {shown}", name.replace('_', " ")));
        self.json.insert(name.to_owned(), value);
    }

    /// Records and bytes over a time.
    pub(super) fn throughput(&mut self, records: u64, value_bytes: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(f64::EPSILON);
        let (per_second, megabytes) = (records as f64 / seconds, value_bytes as f64 / 1e6 / seconds);
        self.text.push(format!(
            "{:<12} {per_second:.0} msg/s  {megabytes:.1} MB/s  ({records} records in {seconds:.2} s)",
            "throughput"
        ));
        self.json.insert("records".to_owned(), records.into());
        self.json.insert("seconds".to_owned(), seconds.into());
        self.json.insert("records_per_second".to_owned(), per_second.into());
        self.json.insert("megabytes_per_second".to_owned(), megabytes.into());
    }

    /// Percentiles, when anything was measured.
    pub(super) fn latencies(&mut self, name: &str, latencies: &Latencies) {
        let Latencies(histogram) = latencies;
        if histogram.is_empty() {
            return;
        }
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let mut text = format!("{name:<12}");
        let mut fields = Map::new();
        for percentile in PERCENTILES {
            let value = milliseconds(histogram.value_at_percentile(percentile));
            text.push_str(&format!(" p{percentile} {value:.2} "));
            fields.insert(format!("p{percentile}"), value.into());
        }
        let max = milliseconds(histogram.max());
        text.push_str(&format!(" max {max:.2} ms"));
        fields.insert("max".to_owned(), max.into());
        fields.insert("mean".to_owned(), (histogram.mean() / 1000.0).into());
        fields.insert("count".to_owned(), histogram.len().into());
        self.text.push(text);
        self.json.insert(format!("{name}_ms"), json!(fields));
    }

    /// A remark for people; nothing of it in the JSON.
    pub(super) fn remark(&mut self, text: impl Into<String>) {
        self.text.push(text.into());
    }

    /// Prints it.
    pub(super) fn print(self, as_json: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if as_json {
            return writeln!(stdout, "{}", Value::Object(self.json));
        }
        self.text.iter().try_for_each(|line| writeln!(stdout, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_the_same_facts_as_text_and_as_json() {
        let mut report = Report::default();
        report.fact("acks", "all");
        report.throughput(1000, 100_000, Duration::from_secs(2));
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|micros| latencies.record(micros * 1000));
        report.latencies("ack", &latencies);
        assert_eq!(report.json["records_per_second"], 500.0);
        assert_eq!(report.json["megabytes_per_second"], 0.05);
        assert_eq!(report.json["ack_ms"]["count"], 1000);
        let median = report.json["ack_ms"]["p50"].as_f64().unwrap();
        assert!((499.0..502.0).contains(&median), "{median}");
        let text = report.text.join("\n");
        assert!(text.contains("500 msg/s") && text.contains("p99.9"), "{text}");
    }
}
