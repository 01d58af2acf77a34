//! A long log that takes little of the disk, in the directory of a partition whose broker stopped in order.
//!
//! The broker's own log writes it, with all its segments, indexes and checkpoints, onto a disk that keeps the length of
//! every segment but leaves out most batches: holes. What is kept are the batches at many places, evenly spread, those at
//! the end of each segment, where a reader makes sure of its index, and those at the end of the log. A broker that looks at
//! more of it than it needs finds the holes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millrace::env::{Disk, DiskFile, Env, FileMap, Lock, LockError, OpenMode, OsDisk};
use millrace::log::{AppendBatch, LastStop, Log, LogConfig, LogLimits, LogResources};
use millrace::record::Batch;
use millrace::types::{LeaderEpoch, Offset, TimestampMs};
use serde_json::{Value, json};

use crate::raw::batch;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The partition's directory. Its log is empty.
    #[arg(long)]
    directory: PathBuf,
    /// How long the log is to be.
    #[arg(long)]
    bytes: u64,
    /// Bytes of each batch, about.
    #[arg(long, default_value_t = 64 << 10)]
    batch_bytes: usize,
    /// How many places are kept.
    #[arg(long, default_value_t = 1000)]
    places: u64,
    /// How much is kept at each.
    #[arg(long, default_value_t = 1 << 20)]
    place_bytes: u64,
    /// How much is kept at the end.
    #[arg(long, default_value_t = 512 << 20)]
    end_bytes: u64,
}

/// Which bytes of the log are kept, by their position in all of it.
#[derive(Clone, Copy)]
struct Kept {
    /// From one place to the next.
    every: u64,
    /// At each place, with what lies just before it.
    bytes: u64,
    /// How much before: a reader enters at an index entry.
    before: u64,
    /// From here on all.
    from: u64,
    /// In each segment from this position on all.
    segment_from: u64,
}

/// How offsets become positions: all batches are alike.
#[derive(Clone, Copy)]
struct Shape {
    records: u64,
    batch_bytes: u64,
}

/// A disk that writes only what is kept of segments.
struct SparseDisk {
    disk: OsDisk,
    shape: Shape,
    kept: Kept,
}

struct SparseFile {
    file: Arc<dyn DiskFile>,
    /// Where the segment begins in the whole log.
    begin: u64,
    kept: Kept,
}

/// How many batches are appended together.
const TOGETHER: u64 = 16;
/// How fast the records came, as their timestamps tell: about 600 MB/s.
const BATCHES_PER_MS: u64 = 10;

pub(crate) fn run(options: &Options) -> Value {
    let sample = batch(options.batch_bytes, 0);
    let shape = Shape {
        records: u64::try_from(sample.header().record_count).unwrap(),
        batch_bytes: sample.bytes().len() as u64,
    };
    // A whole number of batches from one place to the next, so that readers can tell where the places are.
    let batches_each = options.bytes.div_ceil(options.places * shape.batch_bytes);
    let count = options.places * batches_each;
    let before = shape.batch_bytes * 4;
    let kept = Kept {
        every: batches_each * shape.batch_bytes,
        bytes: options.place_bytes + 2 * before,
        before,
        from: (count * shape.batch_bytes).saturating_sub(options.end_bytes),
        segment_from: u64::from(LogConfig::default().segment_bytes) - 2 * before,
    };
    let env = Env { disk: Arc::new(SparseDisk { disk: OsDisk::new(), shape, kept }), ..Env::system() };
    let now_ms = env.clock.now_ms();
    let resources = LogResources::new(env, LogLimits { maps: 64, files: 64, index_bytes: 1 << 20 });
    let stop = LastStop { clean: true, ..LastStop::default() };
    let directory = options.directory.clone();
    let (log, _) =
        Log::open(directory, LogConfig::default(), resources, LeaderEpoch(0), stop, now_ms).unwrap();
    let mut appended = 0;
    while appended < count {
        let timestamp_ms = now_ms - TimestampMs::try_from((count - appended) / BATCHES_PER_MS).unwrap();
        let first = batch(options.batch_bytes, timestamp_ms);
        let append = |batch: Batch| AppendBatch { batch, stamp_append_time: None };
        let together = TOGETHER.min(count - appended);
        let batches = (0..together).map(|_| append(first.clone())).collect();
        log.append(batches, now_ms).into_iter().for_each(|outcome| _ = outcome.unwrap());
        appended += together;
    }
    log.close_clean(now_ms).unwrap();
    json!({ "bytes": log.size_bytes(), "segments": log.segment_count(), "records": log.log_end_offset() })
}

// === impl Kept ===

impl Kept {
    /// Whether anything is kept of so many bytes at a position of the segment that begins at `segment`.
    fn touches(&self, segment: u64, position: u64, size_bytes: u64) -> bool {
        let begin = segment + position;
        // Distances count from just before a place.
        let into = (begin + self.before) % self.every;
        let is_at_a_place = into < self.bytes || into + size_bytes > self.every;
        is_at_a_place || begin + size_bytes > self.from || position + size_bytes > self.segment_from
    }
}

// === impl SparseDisk ===

impl Disk for SparseDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        let base_offset = (path.extension() == Some("log".as_ref()))
            .then(|| path.file_stem()?.to_str()?.parse::<Offset>().ok())
            .flatten();
        let Some(base_offset) = base_offset else { return Ok(file) };
        let begin = u64::try_from(base_offset).unwrap() / self.shape.records * self.shape.batch_bytes;
        Ok(Arc::new(SparseFile { file, begin, kept: self.kept }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.read_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_file_system(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.total_bytes(path)
    }

    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Lock>, LockError> {
        self.disk.lock(path, holder)
    }
}

// === impl SparseFile ===

impl DiskFile for SparseFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        if self.kept.touches(self.begin, position, buf.len() as u64) {
            return self.file.write_all_at(buf, position);
        }
        self.file.set_len(position + buf.len() as u64)
    }

    fn write_all_vectored_at(&self, bufs: &[Bytes], position: u64) -> io::Result<()> {
        let size_bytes = bufs.iter().map(|buf| buf.len() as u64).sum();
        if self.kept.touches(self.begin, position, size_bytes) {
            return self.file.write_all_vectored_at(bufs, position);
        }
        self.file.set_len(position + size_bytes)
    }

    /// Blocks are what is to be saved.
    fn allocate(&self, _position: u64, _size_bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        self.file.modified_ms()
    }

    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, position)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        self.file.drop_cache(position)
    }

    fn map(&self, size_bytes: u64) -> io::Result<Arc<dyn FileMap>> {
        self.file.map(size_bytes)
    }
}
