//! All that comes from outside: time, disk, randomness.
//!
//! The engine and the log see the world only through one [`Env`], so a simulation runs the real code on a
//! manual clock, a faulty disk and a seed. What always holds: nothing below `server` reads the time, touches a
//! file or draws a random number by another way. Deliberately absent: the network, which only `kafka` and
//! `client` know, and any notion of logs or segments.

mod clock;
mod disk;
mod disk_os;
mod entropy;
mod limits;
mod priority;

use std::sync::Arc;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, FileMap, Lock, LockError, OpenMode};
pub use disk_os::OsDisk;
pub use entropy::{Entropy, OsEntropy};
pub use limits::ProcessLimits;
pub use priority::stand_back;

/// The world as the broker sees it. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Files and directories.
    pub disk: Arc<dyn Disk>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
}

// === impl Env ===

impl Env {
    /// The real world: the system's clock, files and random numbers.
    #[must_use]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            disk: Arc::new(OsDisk::new()),
            entropy: Arc::new(OsEntropy),
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
