//! One sample of this host's metrics, from /proc.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The state of a host at one moment. Rates are over the time since the sample before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) host: String,
    /// Counts the samples of one run, from 0.
    pub(crate) sequence: u64,
    pub(crate) time_ms: i64,
    /// Share of all processors that was not idle, 0 to 100.
    pub(crate) cpu_percent: f64,
    pub(crate) memory_used_bytes: u64,
    pub(crate) memory_total_bytes: u64,
    /// Load average over one minute.
    pub(crate) load: f64,
    pub(crate) disk_read_bytes_per_second: f64,
    pub(crate) disk_written_bytes_per_second: f64,
    pub(crate) network_received_bytes_per_second: f64,
    pub(crate) network_sent_bytes_per_second: f64,
}

/// Takes samples; keeps the counters of the last one, since /proc counts from the start of the system.
pub(crate) struct Sampler {
    host: String,
    sequence: u64,
    last: Counters,
}

/// /proc's running totals.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    time_ms: i64,
    cpu_busy: u64,
    cpu_total: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
    network_received_bytes: u64,
    network_sent_bytes: u64,
}

/// The unit of /proc/diskstats, whatever the device's own sector size is.
const SECTOR_BYTES: u64 = 512;

// === impl Sampler ===

impl Sampler {
    pub(crate) fn new() -> Result<Self, Error> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_err(|error| format!("this example reads /proc, which this system does not have: {error}"))?;
        Ok(Self { host: host.trim().to_owned(), sequence: 0, last: Counters::read()? })
    }

    pub(crate) fn sample(&mut self) -> Result<Sample, Error> {
        let now = Counters::read()?;
        let seconds = ((now.time_ms - self.last.time_ms).max(1)) as f64 / 1e3;
        let rate = |now: u64, last: u64| now.saturating_sub(last) as f64 / seconds;
        let total = now.cpu_total.saturating_sub(self.last.cpu_total);
        let busy = now.cpu_busy.saturating_sub(self.last.cpu_busy);
        let (memory_used_bytes, memory_total_bytes) = memory()?;
        let sample = Sample {
            host: self.host.clone(),
            sequence: self.sequence,
            time_ms: now.time_ms,
            cpu_percent: if total == 0 { 0.0 } else { busy as f64 * 100.0 / total as f64 },
            memory_used_bytes,
            memory_total_bytes,
            load: load()?,
            disk_read_bytes_per_second: rate(now.disk_read_bytes, self.last.disk_read_bytes),
            disk_written_bytes_per_second: rate(now.disk_written_bytes, self.last.disk_written_bytes),
            network_received_bytes_per_second: rate(
                now.network_received_bytes,
                self.last.network_received_bytes,
            ),
            network_sent_bytes_per_second: rate(now.network_sent_bytes, self.last.network_sent_bytes),
        };
        self.sequence += 1;
        self.last = now;
        Ok(sample)
    }
}

// === impl Counters ===

impl Counters {
    #[expect(
        clippy::disallowed_methods,
        reason = "an example is not the engine: it reads the system's clock"
    )]
    fn read() -> Result<Self, Error> {
        let mut counters = Self {
            time_ms: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
            ..Self::default()
        };
        let stat = std::fs::read_to_string("/proc/stat")?;
        let cpu = numbers(stat.lines().next().unwrap_or_default(), 1);
        // user nice system idle iowait irq softirq steal; the guest columns are part of user already.
        counters.cpu_total = cpu.iter().take(8).sum();
        counters.cpu_busy = counters.cpu_total - cpu.iter().skip(3).take(2).sum::<u64>();
        for line in std::fs::read_to_string("/proc/diskstats")?.lines() {
            let name = line.split_whitespace().nth(2).unwrap_or_default();
            // Whole devices only: a partition's traffic is its device's too.
            if std::path::Path::new("/sys/block").join(name).exists() && !name.starts_with("loop") {
                let fields = numbers(line, 3);
                counters.disk_read_bytes += fields.get(2).copied().unwrap_or(0) * SECTOR_BYTES;
                counters.disk_written_bytes += fields.get(6).copied().unwrap_or(0) * SECTOR_BYTES;
            }
        }
        for line in std::fs::read_to_string("/proc/net/dev")?.lines().skip(2) {
            if let Some((_, fields)) = line.split_once(':') {
                let fields = numbers(fields, 0);
                counters.network_received_bytes += fields.first().copied().unwrap_or(0);
                counters.network_sent_bytes += fields.get(8).copied().unwrap_or(0);
            }
        }
        Ok(counters)
    }
}

fn numbers(line: &str, skip: usize) -> Vec<u64> {
    line.split_whitespace().skip(skip).filter_map(|word| word.parse().ok()).collect()
}

/// Used and total bytes.
fn memory() -> Result<(u64, u64), Error> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let kib = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| numbers(line, 1).first().copied())
            .ok_or_else(|| format!("/proc/meminfo has no {name}"))
    };
    let total = kib("MemTotal:")?;
    Ok((total.saturating_sub(kib("MemAvailable:")?) * 1024, total * 1024))
}

fn load() -> Result<f64, Error> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().ok_or("/proc/loadavg is empty")?.parse()?)
}
