//! A pool that runs a job when the test says so.

use parking_lot::Mutex;

use super::Rng;
use crate::engine::{Job, Pool};

/// Queues jobs for a test that runs them one by one on its own thread, in an order that a seed decides.
pub struct SteppedPool {
    state: Mutex<State>,
}

struct State {
    jobs: Vec<Job>,
    rng: Rng,
    /// Run each job as it comes: for the opening of an engine, which waits for its jobs.
    at_once: bool,
}

// === impl SteppedPool ===

impl SteppedPool {
    /// A pool that runs each job as it comes, until [`Self::queue_from_now_on`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Mutex::new(State { jobs: Vec::new(), rng: Rng::new(seed), at_once: true }) }
    }

    /// Runs nothing any more but by [`Self::step`].
    pub fn queue_from_now_on(&self) {
        self.state.lock().at_once = false;
    }

    /// Runs one of the queued jobs; whether there was one.
    pub fn step(&self) -> bool {
        let job = {
            let State { jobs, rng, .. } = &mut *self.state.lock();
            let count = jobs.len() as u64;
            (count > 0).then(|| jobs.swap_remove(rng.below(count) as usize))
        };
        // Outside of the lock: a job may queue others.
        job.map(|job| job()).is_some()
    }

    /// How many jobs are queued.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().jobs.len()
    }

    /// Whether no job is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the queued jobs away, as a disk does that does not answer them. Keep them: dropping a job tells its caller.
    #[must_use]
    pub fn take(&self) -> Vec<Job> {
        std::mem::take(&mut self.state.lock().jobs)
    }

    /// Queues the jobs that were taken away.
    pub fn put_back(&self, taken: &mut Vec<Job>) {
        self.state.lock().jobs.append(taken);
    }
}

impl Pool for SteppedPool {
    fn spawn(&self, job: Job) {
        let mut state = self.state.lock();
        if state.at_once {
            drop(state);
            job();
        } else {
            state.jobs.push(job);
        }
    }

    fn has_waiting(&self) -> bool {
        !self.is_empty()
    }
}

impl std::fmt::Debug for SteppedPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SteppedPool").field("jobs", &self.len()).finish_non_exhaustive()
    }
}
