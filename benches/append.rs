//! Appending 16 KiB batches: the log against bare write loops into the same file system, in one run.
//!
//! The bare loops are the ways a segment could be stored: a growing file, blocks allocated ahead (with the file's
//! length moved or kept), stores into a map. The log is the last row. `cargo bench --bench append`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot write has nothing to say")]
#![expect(unsafe_code, reason = "the contender that stores into a map; the crate itself does not")]

mod support;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use millrace::env::Env;
use millrace::log::{AppendBatch, Log, LogConfig, LogLimits, LogResources};
use millrace::record::{Batch, BatchBuilder, Compression};
use millrace::types::LeaderEpoch;
use rustix::fs::FallocateFlags;
use support::{in_turns, print_rates, timed};

const BATCH_BYTES: usize = 16 << 10;
const TOTAL_BYTES: usize = 256 << 20;
const ALLOCATION_BYTES: u64 = 16 << 20;
const ROUNDS: usize = 9;

/// How a bare loop gets its blocks.
#[derive(Clone, Copy)]
enum Blocks {
    Growing,
    Allocated,
    AllocatedKeepingLength,
}

fn main() {
    let directory =
        tempfile::tempdir_in(std::env::var("MILLRACE_BENCH_DIR").unwrap_or_else(|_| ".".into())).unwrap();
    let path = directory.path();
    let batch = batch();
    println!(
        "append: {} MiB as batches of {} bytes, into the page cache",
        TOTAL_BYTES >> 20,
        batch.bytes().len()
    );
    let bytes = batch.bytes().clone();
    let mut growing = || bare(path, &bytes, Blocks::Growing);
    let mut allocated = || bare(path, &bytes, Blocks::Allocated);
    let mut keeping = || bare(path, &bytes, Blocks::AllocatedKeepingLength);
    let mut mapped = || stores(path, &bytes);
    let mut log = || appends(path, &batch);
    let contenders = in_turns(
        ROUNDS,
        &mut [
            ("bare positioned writes, growing file", &mut growing),
            ("bare positioned writes, blocks allocated", &mut allocated),
            ("bare positioned writes, blocks allocated, length kept", &mut keeping),
            ("stores into a map of allocated blocks", &mut mapped),
            ("the log", &mut log),
        ],
    );
    print_rates("append of 16 KiB batches", TOTAL_BYTES as f64 / 1e9, "GB", &contenders);
}

/// One batch of about 16 KiB with 16 records.
fn batch() -> Batch {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'v'; (BATCH_BYTES - 61) / 16 - 12];
    for _ in 0..16 {
        builder.append(1_700_000_000_000, None, Some(&value), &[]).expect("a small record fits");
    }
    Batch::parse(builder.build()).unwrap()
}

fn fresh(directory: &Path) -> (File, PathBuf) {
    let path = directory.join("bare");
    let _ = std::fs::remove_dir_all(directory.join("log"));
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    (file, path)
}

fn bare(directory: &Path, batch: &Bytes, blocks: Blocks) -> Duration {
    let (file, _) = fresh(directory);
    timed(|| {
        let mut allocated = 0;
        let mut position = 0;
        while position < TOTAL_BYTES as u64 {
            if position + batch.len() as u64 > allocated {
                match blocks {
                    Blocks::Growing => {}
                    Blocks::Allocated => {
                        rustix::fs::fallocate(&file, FallocateFlags::empty(), allocated, ALLOCATION_BYTES)
                            .unwrap();
                    }
                    Blocks::AllocatedKeepingLength => {
                        rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, allocated, ALLOCATION_BYTES)
                            .unwrap();
                    }
                }
                allocated += ALLOCATION_BYTES;
            }
            file.write_all_at(batch, position).unwrap();
            position += batch.len() as u64;
        }
    })
}

fn stores(directory: &Path, batch: &Bytes) -> Duration {
    let (file, _) = fresh(directory);
    timed(|| {
        let size = TOTAL_BYTES + batch.len();
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size as u64).unwrap();
        // SAFETY: the file is this function's own, is not shortened while mapped, and nobody else maps it.
        let mut map = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
        let mut position = 0;
        while position < TOTAL_BYTES {
            map[position..position + batch.len()].copy_from_slice(batch);
            position += batch.len();
        }
    })
}

fn appends(directory: &Path, batch: &Batch) -> Duration {
    let (_, bare) = fresh(directory);
    File::options().write(true).open(bare).unwrap().set_len(0).unwrap();
    let env = Env::system();
    let now_ms = env.clock.now_ms();
    let resources = LogResources::new(env, LogLimits { maps: 64, files: 64, index_bytes: 1 << 20 });
    let log =
        Log::create(directory.join("log"), LogConfig::default(), resources, LeaderEpoch(0), now_ms).unwrap();
    timed(|| {
        let mut written = 0;
        while written < TOTAL_BYTES {
            let append = AppendBatch { batch: batch.clone(), stamp_append_time: None };
            for outcome in log.append(vec![append], now_ms) {
                outcome.unwrap();
            }
            written += batch.bytes().len();
        }
    })
}
