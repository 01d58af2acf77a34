//! What a broker has used meanwhile, and how figures of it are told.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Process;

/// A broker from a moment on.
pub(crate) struct Meter {
    process: Process,
    since: Instant,
    /// Processor seconds until then, in user and in kernel mode.
    used: (f64, f64),
}

/// How long a load lasts.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Window {
    /// Nothing counts before this is over.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup_seconds: f64,
    #[arg(long, default_value_t = 4.0)]
    pub(crate) seconds: f64,
}

/// A window on the clock.
#[derive(Clone, Copy)]
pub(crate) struct Period {
    pub(crate) start: Instant,
    pub(crate) end: Instant,
}

// === impl Meter ===

impl Meter {
    pub(crate) fn start(pid: u32) -> Self {
        let process = Process(pid);
        let used = process.cpu_seconds();
        Self { process, since: Instant::now(), used }
    }

    fn used(&self) -> (f64, f64) {
        let now = self.process.cpu_seconds();
        (now.0 - self.used.0, now.1 - self.used.1)
    }

    /// Processor seconds since the start.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let (user, system) = self.used();
        user + system
    }

    /// What it took to move `records` of `bytes` in all since the start.
    pub(crate) fn told(&self, records: u64, bytes: u64) -> Value {
        let (user, system) = self.used();
        let seconds = self.since.elapsed().as_secs_f64();
        let gigabytes = bytes as f64 / 1e9;
        json!({
            "gigabytes": gigabytes,
            "megabytes_per_second": gigabytes * 1e3 / seconds,
            "records_per_second": records as f64 / seconds,
            "user_seconds_per_gb": user / gigabytes,
            "system_seconds_per_gb": system / gigabytes,
            "cpu_seconds_per_gb": (user + system) / gigabytes,
        })
    }
}

// === impl Window ===

impl Window {
    /// The window of a load that begins now.
    pub(crate) fn begin(self) -> Period {
        let start = Instant::now() + Duration::from_secs_f64(self.warmup_seconds);
        Period { start, end: start + Duration::from_secs_f64(self.seconds) }
    }
}

// === impl Period ===

impl Period {
    /// Waits for its end; the processor seconds that a broker used in it.
    pub(crate) async fn cpu_seconds(self, pid: u32) -> f64 {
        tokio::time::sleep_until(self.start.into()).await;
        let meter = Meter::start(pid);
        tokio::time::sleep_until(self.end.into()).await;
        meter.cpu_seconds()
    }

    pub(crate) fn contains(self, moment: Instant) -> bool {
        (self.start..self.end).contains(&moment)
    }
}
