//! Creating a log, and opening one that was left: in order, by a crash, or with damage.
//!
//! The files decide, never a marker alone: a missing or unreadable side file is rebuilt from the batches. The
//! steps can be interrupted anywhere and begun again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};

use super::Log;
use super::clean::{self, Progress, Structure};
use super::config::LogConfig;
use super::epochs::Epochs;
use super::error::LogError;
use super::index_checkpoint::IndexRecords;
use super::names::{self, Kind};
use super::recovery::RecoveredTail;
use super::resources::LogResources;
use super::roll::{RollError, begin_segment};
use super::segment::{Segment, SegmentParts};
use super::sync::{Synced, SyncedUpTo};
use super::write::Writer;
use crate::env::{Disk, OpenMode};
use crate::types::{LeaderEpoch, Offset, TimestampMs};

/// What is known of how a log was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastStop {
    /// The broker stopped in order and [`Log::close_clean`] succeeded: nothing is scanned.
    pub clean: bool,
    /// The newest checkpoint; None when there is none or it cannot be read: then more is scanned.
    pub synced: Option<SyncedUpTo>,
    /// Where the log started as far as known, else 0. The log itself may know of a later start.
    pub log_start_offset: Offset,
}

/// What opening a log found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes whose checksums were looked at.
    pub scanned_bytes: u64,
    /// Bytes of a torn tail that were moved to a `.cut` file.
    pub cut_bytes: u64,
    /// Damaged or missing offset ranges found, half open.
    pub damaged: Vec<(Offset, Offset)>,
    /// Side files (indexes, epochs, snapshots) that were missing or bad and are rebuilt.
    pub rebuilt_files: u32,
}

/// The work of opening one log.
pub(super) struct Opening {
    pub(super) dir: Arc<Path>,
    pub(super) config: LogConfig,
    pub(super) resources: Arc<LogResources>,
    pub(super) last_stop: LastStop,
    pub(super) now_ms: TimestampMs,
    pub(super) report: RecoveryReport,
    /// The epochs, if their file was good.
    pub(super) epochs: Option<Epochs>,
    /// Whether batches showed epochs that the file lacks.
    pub(super) epochs_changed: bool,
    /// What is vouched for of the index files.
    pub(super) index_records: IndexRecords,
    pub(super) log_start_offset: Offset,
}

/// The files of a directory that matter for opening.
#[derive(Default)]
pub(super) struct Files {
    /// Base offsets with the lengths of the files.
    pub(super) segments: BTreeMap<Offset, u64>,
    pub(super) snapshots: Vec<Offset>,
    /// Log starts that are told by a name.
    pub(super) starts: Vec<Offset>,
    /// Cleaned segments that were about to take the place of others: base offset and end.
    swaps: Vec<(Offset, Offset)>,
    /// Left over from replacing a file.
    beside: Vec<String>,
}

// === impl Log ===

impl Log {
    /// Makes an empty log at offset 0 in `dir`, durable but for the names of `dir` and its parents, which the
    /// caller syncs.
    ///
    /// # Errors
    /// `Exists` when there is a log already; `Io`.
    pub fn create(
        dir: PathBuf,
        config: LogConfig,
        resources: Arc<LogResources>,
        epoch: LeaderEpoch,
        now_ms: TimestampMs,
    ) -> Result<Self, LogError> {
        let files = list(&*resources.env().disk, &dir).map_err(LogError::at(&dir))?;
        if !files.segments.is_empty() {
            return Err(LogError::Exists { path: dir });
        }
        Ok(Self::open(dir, config, resources, epoch, LastStop::default(), now_ms)?.0)
    }

    /// Opens the log in `dir`, recovering it where needed; makes an empty one where there is none.
    ///
    /// After an orderly stop nothing is scanned. Otherwise the checksums of what was not known to be synced are,
    /// a torn tail is moved aside, and what is kept is synced. The high watermark begins at the log end offset:
    /// all that is there is durable.
    ///
    /// # Errors
    /// `Io` when the disk gives an error for a file that is there. Damage is no error, see the report.
    pub fn open(
        dir: PathBuf,
        config: LogConfig,
        resources: Arc<LogResources>,
        epoch: LeaderEpoch,
        last_stop: LastStop,
        now_ms: TimestampMs,
    ) -> Result<(Self, RecoveryReport), LogError> {
        let opening = Opening {
            dir: Arc::from(dir),
            config,
            resources,
            last_stop,
            now_ms,
            report: RecoveryReport::default(),
            epochs: None,
            epochs_changed: false,
            index_records: IndexRecords::new(),
            log_start_offset: last_stop.log_start_offset,
        };
        let at = Arc::clone(&opening.dir);
        opening.run(epoch).map_err(LogError::at(&*at))
    }
}

// === impl Opening ===

impl Opening {
    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.resources.env().disk)
    }

    fn run(mut self, epoch: LeaderEpoch) -> io::Result<(Log, RecoveryReport)> {
        let mut files = list(&*self.disk(), &self.dir)?;
        for name in &files.beside {
            self.disk().remove_file(&self.dir.join(name))?;
        }
        if !files.swaps.is_empty() {
            for &(base_offset, next_offset) in &files.swaps {
                clean::finish_swap_on_disk(&*self.disk(), &self.dir, base_offset, next_offset)?;
            }
            files = list(&*self.disk(), &self.dir)?;
        }
        self.load_epochs(&files)?;
        self.load_index_records();
        self.remove_below_start(&mut files)?;
        let mut segments = Vec::with_capacity(files.segments.len() + 1);
        let mut bases = files.segments.iter().peekable();
        let mut last = None;
        while let Some((&base_offset, &size_bytes)) = bases.next() {
            match bases.peek() {
                Some(&(&next_offset, _)) => segments.push(self.sealed(base_offset, size_bytes, next_offset)),
                None => last = Some(base_offset),
            }
        }
        let active = match last {
            Some(base_offset) => {
                let tail = self.recover_tail(base_offset)?;
                self.place_tail(tail, &mut segments)?
            }
            None => self.begin_where_nothing_is()?,
        };
        segments.push(Arc::clone(&active));
        self.finish(segments, &active, &files, epoch)
    }

    /// Removes segments that a deletion had moved below the log start.
    fn remove_below_start(&self, files: &mut Files) -> io::Result<()> {
        let bases: Vec<Offset> = files.segments.keys().copied().collect();
        for pair in bases.windows(2) {
            if pair[1] > self.log_start_offset {
                break;
            }
            for name in [names::log(pair[0]), names::index(pair[0]), names::time_index(pair[0])] {
                match self.disk().remove_file(&self.dir.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            files.segments.remove(&pair[0]);
        }
        Ok(())
    }

    /// A segment that was sealed: its bytes are on the disk, its index is loaded when needed.
    fn sealed(&self, base_offset: Offset, size_bytes: u64, next_offset: Offset) -> Arc<Segment> {
        // A record of the time when the segment was active vouches for entries, not for all of them, and not for the
        // largest timestamp.
        let index_record = self.index_records.get(&base_offset).copied();
        let parts = SegmentParts::sealed(&self.dir, base_offset, next_offset, size_bytes, index_record);
        Segment::new(parts, Arc::clone(&self.resources))
    }

    fn begin(&self, base_offset: Offset) -> io::Result<Arc<Segment>> {
        begin_segment(&self.dir, &self.resources, self.config.segment_bytes, base_offset).map_err(|error| {
            match error {
                RollError::Sync(_, source) | RollError::Io(_, source) => source,
            }
        })
    }

    /// The first segment of a log that has none; not at an offset that was given to a record before.
    fn begin_where_nothing_is(&mut self) -> io::Result<Arc<Segment>> {
        self.disk().create_dir_all(&self.dir)?;
        let synced = self.last_stop.synced.map_or(0, |synced| synced.offset);
        let base_offset = self.log_start_offset.max(synced);
        if base_offset > self.log_start_offset {
            self.report.damaged.push((self.log_start_offset, base_offset));
        }
        self.begin(base_offset)
    }

    /// Makes the last segment the active one; after damage it stays as it is, and a new one begins behind it.
    fn place_tail(
        &mut self,
        tail: RecoveredTail,
        segments: &mut Vec<Arc<Segment>>,
    ) -> io::Result<Arc<Segment>> {
        let base_offset = tail.base_offset;
        let lost_upto = self.synced_offset_in(base_offset).unwrap_or(0);
        let whole = tail.damage.is_empty() && lost_upto <= tail.next_offset;
        let parts = SegmentParts {
            base_offset,
            dir: Arc::clone(&self.dir),
            size_bytes: tail.size_bytes,
            next_offset: tail.next_offset,
            sealed: false,
            map_bytes: u64::from(self.config.segment_bytes).max(tail.size_bytes),
            index_record: tail.index.record(false),
            index: Some(tail.index),
        };
        let segment = Segment::new(parts, Arc::clone(&self.resources));
        if let Some(first_append_ms) = tail.first_append_ms {
            segment.note_append_ms(first_append_ms);
            segment.note_append_ms(tail.modified_ms);
        }
        if whole {
            return Ok(segment);
        }
        for damage in tail.damage {
            self.report.damaged.push((damage.offsets.start, damage.offsets.end));
            segment.note_damage(damage);
        }
        if lost_upto > tail.next_offset {
            self.report.damaged.push((tail.next_offset, lost_upto));
        }
        segment.seal();
        segments.push(segment);
        // Never the name of the damaged segment, whose bytes stay as they are.
        self.begin(tail.next_offset.max(lost_upto).max(base_offset + 1))
    }

    /// The offset up to which the checkpoint says that the log is on the disk, if it speaks of this segment or a
    /// later one.
    pub(super) fn synced_offset_in(&self, base_offset: Offset) -> Option<Offset> {
        self.last_stop.synced.filter(|synced| synced.segment >= base_offset).map(|synced| synced.offset)
    }

    fn finish(
        mut self,
        segments: Vec<Arc<Segment>>,
        active: &Arc<Segment>,
        files: &Files,
        epoch: LeaderEpoch,
    ) -> io::Result<(Log, RecoveryReport)> {
        let next_offset = active.next_offset();
        let log_start_offset = self.log_start_offset.min(next_offset);
        if let Some(first) = segments.first()
            && first.base_offset > log_start_offset
            && self.report.damaged.first().is_none_or(|damaged| damaged.0 != log_start_offset)
        {
            self.report.damaged.insert(0, (log_start_offset, first.base_offset));
        }
        let (epochs, epochs_changed) = self.settle_epochs(&segments, log_start_offset)?;
        let (producers, snapshot_offset) = self.load_producers(&segments, files, next_offset)?;
        let up_to =
            SyncedUpTo { offset: next_offset, segment: active.base_offset, position: active.size_bytes() };
        let writer = Writer {
            active: Arc::clone(active),
            position: active.size_bytes(),
            next_offset,
            allocated_to: 0,
            must_roll: false,
            producers,
            append_time_ms: self.newest_append_time(active)?,
            closed: false,
            epochs_changed,
            snapshot_offset,
            snapshot_durable: false,
            kept_snapshot_offset: snapshot_offset,
            bytes_since_kept_snapshot: 0,
        };
        self.count();
        let known = std::mem::take(&mut self.index_records);
        let cleaned = Progress::load(&*self.disk(), &self.dir, active.base_offset);
        let log = Log {
            dir: self.dir,
            config: ArcSwap::from_pointee(self.config),
            resources: self.resources,
            epoch,
            segments: ArcSwap::from_pointee(segments),
            log_start_offset: AtomicI64::new(log_start_offset),
            log_end_offset: AtomicI64::new(next_offset),
            high_watermark: AtomicI64::new(next_offset),
            epochs: RwLock::new(epochs),
            structure: Mutex::new(Structure::default()),
            cleaned,
            writer: Mutex::new(writer),
            synced: Mutex::new(Synced { up_to, bytes: 0 }),
            appended_bytes: AtomicU64::new(0),
            fenced: AtomicBool::new(false),
        };
        let rebuilt = active.index_record();
        if rebuilt.is_some() && rebuilt != known.get(&active.base_offset).copied() {
            log.write_index_checkpoint();
        }
        Ok((log, self.report))
    }
}

/// What lies in a log's directory; nothing when there is no directory.
fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Files> {
    let mut files = Files::default();
    let names = match disk.read_dir(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error),
    };
    for name in names {
        match names::parse(&name) {
            Some((base_offset, Kind::Log)) => {
                let length = disk.open(&dir.join(&name), OpenMode::Read)?.len()?;
                files.segments.insert(base_offset, length);
            }
            Some((offset, Kind::Snapshot)) => files.snapshots.push(offset),
            Some((offset, Kind::Start)) => files.starts.push(offset),
            Some((offset, Kind::Swap(next_offset))) => files.swaps.push((offset, next_offset)),
            Some(_) => {}
            None if name.ends_with(names::BESIDE_SUFFIX) => files.beside.push(name),
            None => {}
        }
    }
    files.snapshots.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}
