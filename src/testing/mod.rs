//! A world for tests: a clock that stands still, random numbers from a seed, a disk that fails on demand.
//!
//! Used by the tests of this crate, and by those of its users under the feature `testing`. Everything here is
//! deterministic: the same seed and the same calls give the same world, byte for byte. The real code runs in it,
//! through [`Env`], and does not know.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use millrace::env::OpenMode;
//! use millrace::testing::SimWorld;
//!
//! let world = SimWorld::new(42);
//! let path = std::path::Path::new("/data/file");
//! world.env.disk.create_dir_all(path.parent().unwrap()).unwrap();
//! let file = world.env.disk.open(path, OpenMode::CreateNew).unwrap();
//! file.write_all_at(b"never synced", 0).unwrap();
//! world.disk.power_cut();
//! assert!(file.sync_data().is_err());
//! world.disk.restart(7); // some subset of what was not synced is there, decided by this seed
//! # }
//! ```

mod clock;
mod entropy;
pub mod fuzz;
pub mod golden;
mod pool;
mod sim_disk;

use std::sync::Arc;

pub use clock::ManualClock;
pub use entropy::{Rng, SeededEntropy};
pub use pool::SteppedPool;
pub use sim_disk::{Fault, Op, PAGE_BYTES, SimDisk};

use crate::env::Env;

/// A simulated world and the handles to steer it.
#[derive(Debug, Clone)]
pub struct SimWorld {
    /// What the code under test gets.
    pub env: Env,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its disk.
    pub disk: SimDisk,
}

// === impl SimWorld ===

impl SimWorld {
    /// An empty world whose random numbers come from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::new());
        let disk = SimDisk::new(Arc::clone(&clock));
        let env = Env {
            clock: Arc::<ManualClock>::clone(&clock),
            disk: Arc::new(disk.clone()),
            entropy: Arc::new(SeededEntropy::new(seed)),
        };
        Self { env, clock, disk }
    }
}
