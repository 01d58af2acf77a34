//! The first consumer: the latest sample of each host as a table that stays in place on a terminal.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use millrace::client::Consumer;

use crate::Error;
use crate::feed::{self, Finish, Placed};
use crate::sample::Sample;

/// Follows the topic until the finish; returns what it read.
pub(crate) async fn run(consumer: Consumer, finish: Finish) -> Result<Vec<Placed>, Error> {
    let mut latest: BTreeMap<String, Sample> = BTreeMap::new();
    let terminal = std::io::stdout().is_terminal();
    feed::follow(consumer, finish, |sample| {
        let drawn = if latest.is_empty() { 0 } else { latest.len() + 1 };
        // Partitions are read in no order.
        if latest.get(&sample.host).is_some_and(|shown| shown.time_ms > sample.time_ms) {
            return Ok(());
        }
        latest.insert(sample.host.clone(), sample.clone());
        let mut out = std::io::stdout().lock();
        if terminal && drawn > 0 {
            // Back up over the table drawn before, and draw over it.
            write!(out, "\x1b[{drawn}A")?;
        }
        if terminal || drawn == 0 {
            writeln!(
                out,
                "{:<20} {:>7} {:>7} {:>17} {:>6} {:>21} {:>21}",
                "host", "sample", "cpu %", "memory MiB", "load", "disk r/w KiB/s", "net in/out KiB/s"
            )?;
        }
        for sample in latest.values() {
            writeln!(out, "{}", row(sample))?;
        }
        Ok(())
    })
    .await
}

fn row(sample: &Sample) -> String {
    let pair = |a: f64, b: f64| format!("{:.1}/{:.1}", a / 1024.0, b / 1024.0);
    format!(
        "{:<20} {:>7} {:>7.1} {:>17} {:>6.2} {:>21} {:>21}",
        sample.host,
        sample.sequence,
        sample.cpu_percent,
        format!("{}/{}", sample.memory_used_bytes >> 20, sample.memory_total_bytes >> 20),
        sample.load,
        pair(sample.disk_read_bytes_per_second, sample.disk_written_bytes_per_second),
        pair(sample.network_received_bytes_per_second, sample.network_sent_bytes_per_second),
    )
}
