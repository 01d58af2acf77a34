//! What a fuzzer calls: one function per kind of bytes that the broker or the client does not make itself.
//!
//! `fuzz/` wraps each of [`TARGETS`] for libFuzzer; a plain `cargo test` replays the kept corpus of `fuzz/corpus` and the
//! [`seeds`] through the same functions, without a fuzzer. What always holds: an input is run in a fresh world, so that a
//! finding needs nothing but its bytes; an error is as good as an answer, a panic is a finding, and so is an answer
//! that the target knows to be wrong.

mod data_dir;
mod log_files;
mod requests;
mod responses;
pub mod seeds;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::SimWorld;
use crate::engine::{Engine, EngineConfig, Job, OpenError, Pool, config};
use crate::types::BrokerId;

/// One way in for bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its binary in `fuzz/` and of its folder in `fuzz/corpus`.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "requests", run: requests::run },
    Target { name: "batches", run: crate::record::fuzz::exercise },
    Target { name: "responses", run: responses::run },
    Target { name: "log_files", run: log_files::run },
    Target { name: "data_dir", run: data_dir::run },
];

/// Runs one input of the target with this name.
///
/// # Panics
/// When there is no such target, or the input is a finding.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(input);
}

/// Runs jobs in the order they came, when told to; at once while the engine opens, which waits for them.
struct QueuePool {
    jobs: Mutex<VecDeque<Job>>,
    inline: AtomicBool,
}

// === impl QueuePool ===

impl QueuePool {
    fn new() -> Arc<Self> {
        Arc::new(Self { jobs: Mutex::default(), inline: AtomicBool::new(true) })
    }

    /// Runs one job; false when there is none.
    fn step(&self) -> bool {
        let job = self.jobs.lock().pop_front();
        job.map(|job| job()).is_some()
    }

    /// Lets go of the jobs that are queued: they never happen.
    fn forget(&self) {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        drop(jobs);
    }
}

impl Pool for QueuePool {
    fn spawn(&self, job: Job) {
        if self.inline.load(Ordering::Relaxed) {
            job();
        } else {
            self.jobs.lock().push_back(job);
        }
    }

    fn has_waiting(&self) -> bool {
        !self.jobs.lock().is_empty()
    }
}

/// Opens the engine on `/data` of a world. Nothing runs before [`QueuePool::step`].
fn open_engine(world: &SimWorld) -> Result<(Arc<Engine>, Arc<QueuePool>), OpenError> {
    let pool = QueuePool::new();
    let config = EngineConfig {
        data_dir: "/data".into(),
        broker_id: BrokerId(1),
        settings: config::Overrides::new(),
        holder: "a fuzzer".into(),
        shown_settings: Vec::new(),
        own_timer: false,
    };
    let engine = Engine::open(config, world.env.clone(), Arc::clone(&pool) as _)?;
    pool.inline.store(false, Ordering::Relaxed);
    Ok((engine, pool))
}

/// Lets go of an engine when all is done that it has queued.
///
/// # Panics
/// When something else keeps it: it would be in memory for ever.
fn let_go(engine: Arc<Engine>, pool: &Arc<QueuePool>) {
    while pool.step() {}
    drop(engine);
    assert_eq!(Arc::strong_count(pool), 1, "the engine is kept by something");
}

/// Takes one byte off the front; 0 when there is none left.
fn byte(input: &mut &[u8]) -> u8 {
    match input.split_first() {
        Some((&first, rest)) => {
            *input = rest;
            first
        }
        None => 0,
    }
}

/// Takes a big-endian number of two bytes off the front.
fn number(input: &mut &[u8]) -> usize {
    usize::from(byte(input)) << 8 | usize::from(byte(input))
}

/// What is done to a file: its new content by the first byte of the input and what follows.
fn altered(content: &[u8], input: &mut &[u8]) -> Vec<u8> {
    let mut altered = content.to_vec();
    match byte(input) % 4 {
        0 => altered = input.to_vec(),
        1 => {
            let from = number(input) % (content.len() + 1);
            altered.resize(content.len().max(from + input.len()), 0);
            altered[from..from + input.len()].copy_from_slice(input);
        }
        2 => altered.truncate(number(input) % (content.len() + 1)),
        _ => {
            // Flips bits one by one: what rot does.
            while !input.is_empty() && !altered.is_empty() {
                let at = number(input) % altered.len();
                altered[at] ^= 1 << (byte(input) % 8);
            }
        }
    }
    altered
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn corpus(target: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
    }

    /// Replays the seeds and the kept corpus of a target.
    fn replay(name: &str) {
        let seeds = seeds::of(name);
        assert!(!seeds.is_empty());
        let dir = corpus(name);
        for (seed, bytes) in &seeds {
            println!("{name}: the seed {seed}");
            run(name, bytes);
        }
        let mut replayed = 0;
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            // The last line tells which input it was when it panics.
            println!("{name}: {}", path.display());
            run(name, &std::fs::read(&path).unwrap());
            replayed += 1;
        }
        assert!(replayed > 0, "no corpus in {}", dir.display());
    }

    #[test]
    fn f22_the_corpus_of_requests_is_survived() {
        replay("requests");
    }

    #[test]
    fn f20_the_corpus_of_batches_is_survived() {
        replay("batches");
    }

    #[test]
    fn f22_the_corpus_of_responses_is_survived_by_the_client() {
        replay("responses");
    }

    #[test]
    fn f06_the_corpus_of_log_files_is_survived() {
        replay("log_files");
    }

    #[test]
    fn f07_the_corpus_of_data_directories_is_survived() {
        replay("data_dir");
    }

    #[test]
    fn every_target_has_a_binary() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
            assert!(fuzz.join(format!("fuzz_targets/{}.rs", target.name)).exists(), "{}", target.name);
        }
    }
}
