//! Threads for work that waits for the disk: appends, syncs, cold reads, changes of the catalog.
//!
//! A simulation runs the same jobs one by one on its own thread, see [`crate::testing`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs, each once, in any order and at the same time.
pub trait Pool: Send + Sync {
    /// Queues a job. Jobs are begun in the order in which they are queued.
    fn spawn(&self, job: Job);

    /// Whether jobs are queued that no thread has begun.
    fn has_waiting(&self) -> bool;
}

/// A pool that starts a thread when all are busy, up to a limit, and ends those that have idled for a while.
///
/// While jobs wait, one thread at a time is on its way to them: a burst of short jobs is done by the first that comes,
/// and does not wake a thread each; a job that takes long does not hold the others up.
pub struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Whether a thread was woken or started and has not come yet.
    coming: bool,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Jobs call no deep recursion; many threads should not mean much memory.
const STACK_BYTES: usize = 512 << 10;

// === impl ThreadPool ===

impl ThreadPool {
    /// A pool without threads yet.
    #[must_use]
    pub fn new(threads_max: usize) -> Self {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), threads_max };
        Self { shared: Arc::new(shared) }
    }
}

impl Pool for ThreadPool {
    fn spawn(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(job);
        self.shared.call_thread(state);
    }

    fn has_waiting(&self) -> bool {
        !self.shared.state.lock().jobs.is_empty()
    }
}

impl std::fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ThreadPool")
            .field("threads", &self.shared.state.lock().threads)
            .finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    /// Sees to it that a thread is on its way if jobs wait.
    fn call_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.jobs.is_empty() || state.coming {
            return;
        }
        if state.idle > 0 {
            state.coming = true;
            drop(state);
            self.work.notify_one();
            return;
        }
        if state.threads < self.threads_max {
            state.coming = true;
            state.threads += 1;
            drop(state);
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("disk".into()).stack_size(STACK_BYTES);
            if let Err(error) = thread.spawn(move || shared.run()) {
                // The threads there are will come to it; with none at all nothing ever would.
                let mut state = self.state.lock();
                state.coming = false;
                state.threads -= 1;
                assert!(state.threads > 0, "the system gives no thread: {error}");
            }
        }
    }

    fn run(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.coming = false;
        loop {
            if let Some(job) = state.jobs.pop_front() {
                // Nobody knows how long this one takes.
                self.call_thread(state);
                job();
                state = self.state.lock();
                continue;
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, IDLE_TIMEOUT).timed_out();
            state.idle -= 1;
            state.coming = false;
            if timed_out && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_burst_is_done_to_its_end_even_if_each_job_waits_for_the_next() {
        let pool = ThreadPool::new(8);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..8).map(|_| mpsc::channel::<()>()).unzip();
        let mut receivers = receivers.into_iter();
        let (done, results) = mpsc::channel();
        let last = receivers.next();
        for (next, sender) in receivers.zip(senders.clone()) {
            let done = done.clone();
            pool.spawn(Box::new(move || {
                next.recv().unwrap();
                sender.send(()).unwrap();
                done.send(()).unwrap();
            }));
        }
        pool.spawn(Box::new(move || senders[7].send(()).unwrap()));
        assert_eq!(results.iter().take(7).count(), 7);
        last.unwrap().recv().unwrap();
        assert!(!pool.has_waiting());
    }

    #[test]
    fn a_stuck_job_does_not_hold_up_the_others() {
        let pool = ThreadPool::new(4);
        let (release, stuck) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel();
        pool.spawn(Box::new(move || _ = stuck.recv()));
        for number in 0..100 {
            let done = done.clone();
            pool.spawn(Box::new(move || done.send(number).unwrap()));
        }
        let mut numbers: Vec<i32> = results.iter().take(100).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        drop(release);
    }
}
