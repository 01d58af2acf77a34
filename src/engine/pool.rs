//! Threads for work that waits for the disk: appends, syncs, cold reads, changes of the catalog.
//!
//! A simulation runs the same jobs one by one on its own thread, see [`crate::testing`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::env::stand_back;

/// A piece of work.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs, each once, in any order and at the same time.
pub trait Pool: Send + Sync {
    /// Queues a job. Jobs are begun in the order in which they are queued.
    fn spawn(&self, job: Job);

    /// Queues a job that nobody waits for: one that stands back behind the others, and behind other such jobs.
    fn spawn_in_background(&self, job: Job) {
        self.spawn(job);
    }

    /// Whether jobs are queued that no thread has begun.
    fn has_waiting(&self) -> bool;

    /// Has so many threads from now on. A pool without threads of its own does not care.
    fn set_threads_max(&self, _threads_max: usize) {}
}

/// A pool that starts a thread when all are busy, up to a limit, and ends those that have idled for a while.
///
/// While jobs wait, one thread at a time is on its way to them: a burst of short jobs is done by the first that comes,
/// and does not wake a thread each; a job that takes long does not hold the others up.
///
/// Jobs in the background have one thread of their own, of a lower priority: a thread that somebody waits for does not
/// have to wait until the scheduler takes the processor from it.
pub struct ThreadPool {
    shared: Arc<Shared>,
    background: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    name: &'static str,
    stands_back: bool,
}

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    threads_max: usize,
    idle: usize,
    /// Whether a thread was woken or started and has not come yet.
    coming: bool,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// Jobs call no deep recursion; many threads should not mean much memory.
const STACK_BYTES: usize = 512 << 10;

// === impl ThreadPool ===

impl ThreadPool {
    /// A pool without threads yet, of one until it is told otherwise.
    #[must_use]
    pub fn new() -> Self {
        let shared = |name, stands_back| {
            let state = State { jobs: VecDeque::new(), threads: 0, threads_max: 1, idle: 0, coming: false };
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), name, stands_back })
        };
        Self { shared: shared("disk", false), background: shared("background", true) }
    }
}

impl Default for ThreadPool {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool for ThreadPool {
    fn spawn(&self, job: Job) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(job);
        self.shared.call_thread(state);
    }

    fn spawn_in_background(&self, job: Job) {
        let mut state = self.background.state.lock();
        state.jobs.push_back(job);
        self.background.call_thread(state);
        let mut state = self.background.state.lock();
        if state.threads == 0 {
            // The system gives no thread: then it is work as any other.
            let jobs = std::mem::take(&mut state.jobs);
            drop(state);
            jobs.into_iter().for_each(|job| self.spawn(job));
        }
    }

    fn has_waiting(&self) -> bool {
        !self.shared.state.lock().jobs.is_empty()
    }

    /// Threads beyond it end with the job that they are at.
    fn set_threads_max(&self, threads_max: usize) {
        let mut state = self.shared.state.lock();
        state.threads_max = threads_max.max(1);
        self.shared.call_thread(state);
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
        if state.threads < state.threads_max {
            state.coming = true;
            state.threads += 1;
            drop(state);
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name(self.name.into()).stack_size(STACK_BYTES);
            if let Err(error) = thread.spawn(move || shared.run()) {
                // The threads there are will come to it; with none at all nothing ever would.
                let mut state = self.state.lock();
                state.coming = false;
                state.threads -= 1;
                assert!(state.threads > 0 || self.stands_back, "the system gives no thread: {error}");
            }
        }
    }

    fn run(self: &Arc<Self>) {
        if self.stands_back {
            stand_back();
        }
        let mut state = self.state.lock();
        state.coming = false;
        loop {
            if state.threads > state.threads_max {
                state.threads -= 1;
                // It may have been the one that was on its way.
                return self.call_thread(state);
            }
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

    fn of(threads_max: usize) -> ThreadPool {
        let pool = ThreadPool::new();
        pool.set_threads_max(threads_max);
        pool
    }

    #[test]
    fn threads_become_more_and_fewer_while_jobs_run() {
        let pool = of(1);
        let (begun, beginnings) = mpsc::channel();
        let jobs = |count: usize| -> Vec<mpsc::Sender<()>> {
            let job = |_| {
                let (release, stuck) = mpsc::channel::<()>();
                let begun = begun.clone();
                pool.spawn(Box::new(move || {
                    begun.send(()).unwrap();
                    _ = stuck.recv();
                }));
                release
            };
            (0..count).map(job).collect()
        };
        let first = jobs(3);
        beginnings.recv().unwrap();
        assert_eq!(pool.shared.state.lock().threads, 1);
        pool.set_threads_max(3);
        (0..2).for_each(|_| beginnings.recv().unwrap());
        pool.set_threads_max(1);
        let second = jobs(3);
        assert!(beginnings.try_recv().is_err(), "three are still at it");
        drop(first);
        // One after the other now.
        for release in second {
            beginnings.recv().unwrap();
            assert_eq!((pool.shared.state.lock().threads, beginnings.try_recv().is_err()), (1, true));
            drop(release);
        }
    }

    #[test]
    fn a_burst_is_done_to_its_end_even_if_each_job_waits_for_the_next() {
        let pool = of(8);
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
    fn work_in_the_background_is_done_in_turn_and_holds_nothing_up() {
        let pool = of(2);
        let (release, stuck) = mpsc::channel::<()>();
        let (done, results) = mpsc::channel();
        let tell = |what: &'static str| {
            let done = done.clone();
            move || done.send((what, rustix::process::getpriority_process(None).unwrap())).unwrap()
        };
        let first = tell("first");
        pool.spawn_in_background(Box::new(move || {
            _ = stuck.recv();
            first();
        }));
        pool.spawn_in_background(Box::new(tell("second")));
        pool.spawn(Box::new(tell("other")));
        let (what, usual) = results.recv().unwrap();
        assert_eq!(what, "other");
        release.send(()).unwrap();
        let lower = (usual + 5).min(19);
        assert_eq!(results.iter().take(2).collect::<Vec<_>>(), [("first", lower), ("second", lower)]);
    }

    #[test]
    fn a_stuck_job_does_not_hold_up_the_others() {
        let pool = of(4);
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
