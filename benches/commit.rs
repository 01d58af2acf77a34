//! How to make N dirty files durable: one `fdatasync` after another, several in parallel, or one `syncfs`.
//!
//! `engine::commit` takes its strategy and its threshold from here: `cargo bench --bench commit`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot write has nothing to say")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace::env::{Disk, DiskFile, OpenMode, OsDisk};
use support::{in_turns, print_times, timed};

/// What each partition has un-synced when a commit begins: a few small batches.
const DIRTY_BYTES: usize = 16 << 10;
/// As many as the engine's sync jobs.
const THREADS: usize = 16;

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("MILLRACE_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    println!("commit: {DIRTY_BYTES} dirty bytes a file");
    for (count, rounds) in [(1, 41), (4, 31), (16, 21), (128, 11), (1000, 5)] {
        compare(directory.path(), count, rounds);
    }
}

fn compare(directory: &Path, count: usize, rounds: usize) {
    let disk = OsDisk::new();
    let files: Vec<Arc<dyn DiskFile>> = (0..count)
        .map(|index| {
            let file =
                disk.open(&directory.join(format!("{count}-{index}.log")), OpenMode::CreateNew).unwrap();
            file.allocate(0, 4 << 20).unwrap();
            file.sync_data().unwrap();
            file
        })
        .collect();
    let batch = vec![7; DIRTY_BYTES];
    let position = std::cell::Cell::new(0);
    let dirty = || {
        for file in &files {
            file.write_all_at(&batch, position.get()).unwrap();
        }
        position.set(position.get() + DIRTY_BYTES as u64);
    };
    let mut serial = || {
        dirty();
        timed(|| files.iter().for_each(|file| file.sync_data().unwrap()))
    };
    let mut parallel = || {
        dirty();
        timed(|| in_parallel(&files))
    };
    let mut whole = || {
        dirty();
        timed(|| disk.sync_file_system(directory).unwrap())
    };
    let contenders = in_turns(
        rounds,
        &mut [
            ("fdatasync, one after another", &mut serial),
            ("fdatasync, 16 threads", &mut parallel),
            ("one syncfs", &mut whole),
        ],
    );
    print_times(&format!("commit of {count} dirty partitions (median of {rounds} rounds)"), &contenders);
}

fn in_parallel(files: &[Arc<dyn DiskFile>]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(files.len()) {
            scope.spawn(|| {
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    file.sync_data().unwrap();
                }
            });
        }
    });
}
