//! What the machine itself takes, beside the good client: a thread that asks the broker for nothing and puts a little on
//! the same disk at the same pace. A machine that stands still holds up both, a broker that is late only the client.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::good::{PACE, percentile};

/// As much as one batch of the good client.
const WRITE_BYTES: usize = 100;

/// A yardstick at work.
pub(crate) struct Yardstick {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Duration>>,
}

impl Yardstick {
    /// Begins, on a file of its own in `dir`.
    pub(crate) fn start(dir: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let mut file = File::create(dir.join("yardstick")).unwrap();
        let thread = std::thread::spawn(move || {
            let mut times = Vec::new();
            // Once at least, however late this thread has come to it.
            while times.is_empty() || !stopped.load(Ordering::Relaxed) {
                let due = Instant::now() + PACE;
                std::thread::sleep(PACE);
                file.write_all(&[0; WRITE_BYTES]).unwrap();
                file.sync_data().unwrap();
                times.push(due.elapsed());
            }
            times
        });
        Self { stop, thread }
    }

    /// Ends; tells p99 and maximum of how long it took from when a write was due until it was on disk.
    pub(crate) fn stop(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().unwrap();
        (percentile(&mut times, 99), percentile(&mut times, 100))
    }
}
