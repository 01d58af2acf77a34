//! The system's file system: positioned I/O, blocks allocated ahead, read-only maps, locks.
//!
//! Used by every broker outside a simulation. What always holds: files are written by positioned writes only,
//! never through a map, so that a full or failing disk is an [`io::Error`] and not a signal. Deliberately absent: any
//! cache of contents (the kernel has one) and any retry of a failed sync.

mod map;
mod release;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use map::OsMap;
use parking_lot::Mutex;
use release::{InUse, Releaser};
use rustix::io::Errno;

use super::{Disk, DiskFile, FileMap, Lock, LockError, OpenMode};
use crate::types::TimestampMs;

/// `IOV_MAX` of Linux and macOS: how many buffers one vectored write takes.
const VECTORED_BUFFERS_MAX: usize = 1024;
/// How much one call writes at most. Linux keeps what a call writes in folios as large as its length and its place allow;
/// those of 2 MiB have to be found in memory, or be given by a host, at several times what the copy costs.
const WRITE_BYTES_MAX: usize = 1 << 20;
/// What is read of the holder's text in a lock file.
const HOLDER_BYTES_MAX: u64 = 4096;

/// The system's file system.
#[derive(Debug, Default)]
pub struct OsDisk {
    /// Directories on which `syncfs` was called, kept open: the kernel reports a write-back error once to each
    /// descriptor that was open when it happened, so a fresh descriptor could miss one.
    synced_file_systems: Mutex<HashMap<PathBuf, Arc<File>>>,
    releaser: Arc<Releaser>,
}

/// One open file.
#[derive(Debug)]
struct OsFile {
    file: File,
    /// The last to go, as in a map: whoever sees it gone may cut the file.
    in_use: Arc<InUse>,
}

/// A held `flock`; closing the file lets go.
struct OsLock {
    _file: File,
}

// === impl OsDisk ===

impl OsDisk {
    /// The system's file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn file_system(&self, path: &Path) -> io::Result<Arc<File>> {
        if let Some(file) = self.synced_file_systems.lock().get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(path)?);
        self.synced_file_systems.lock().insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o640);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
            OpenMode::Truncate => {
                options.write(true).create(true).truncate(true);
            }
        }
        let file = open_without_atime(&mut options, path)?;
        let in_use = self.releaser.note_use(&file)?;
        Ok(Arc::new(OsFile { file, in_use }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path)? {
            // A name that is not UTF-8 is none of ours, and there is nothing to be done with it.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    #[expect(clippy::disallowed_methods, reason = "this is what env::Disk is made of")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let replaced = Releaser::leaving(to);
        std::fs::rename(from, to)?;
        self.releaser.gone(replaced);
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "this is what env::Disk is made of")]
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = Releaser::leaving(path);
        std::fs::remove_file(path)?;
        self.releaser.gone(removed);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        // A link goes, and what it leads to stays.
        if !path.symlink_metadata()?.is_dir() {
            return std::fs::remove_dir_all(path);
        }
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            // Large files go one by one; what is no directory and no file of ours goes with the rest.
            let removed = match entry.file_type()? {
                kind if kind.is_dir() => self.remove_dir_all(&entry.path()),
                kind if kind.is_file() => self.remove_file(&entry.path()),
                _ => Ok(()),
            };
            match removed {
                // `NotFound`: somebody else was faster.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn sync_file_system(&self, path: &Path) -> io::Result<()> {
        let file = self.file_system(path)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(&*file)?;
        // Elsewhere there is no call that waits and reports; a full sync of the directory is the nearest.
        #[cfg(not(target_os = "linux"))]
        file.sync_all()?;
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Lock>, LockError> {
        // Not truncated at opening: a broker that is refused must leave the holder's text as it is.
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = Vec::new();
                file.take(HOLDER_BYTES_MAX).read_to_end(&mut text)?;
                let holder = String::from_utf8_lossy(&text).trim().to_owned();
                return Err(LockError::Held { holder });
            }
            Err(error) => return Err(LockError::Io(error.into())),
        }
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(holder.as_bytes())?;
        Ok(Box::new(OsLock { _file: file }))
    }
}

/// Opens a file whose time of access is not kept. Mapping a file notes it, which may have to wait for the journal of a
/// disk that stands still, and the process can map, unmap and start threads no more meanwhile.
fn open_without_atime(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    match options.custom_flags(rustix::fs::OFlags::NOATIME.bits().cast_signed()).open(path) {
        // Another user's file.
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            options.custom_flags(0);
        }
        opened => return opened,
    }
    options.open(path)
}

// === impl OsFile ===

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<TimestampMs> {
        let since = self.file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(TimestampMs::try_from(since.as_millis()).unwrap_or(TimestampMs::MAX))
    }

    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, position)
    }

    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        let mut position = position;
        for piece in buf.chunks(WRITE_BYTES_MAX) {
            self.file.write_all_at(piece, position)?;
            position += piece.len() as u64;
        }
        Ok(())
    }

    fn write_all_vectored_at(&self, bufs: &[Bytes], position: u64) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = bufs.iter().map(|buf| IoSlice::new(buf)).collect();
        let mut slices = slices.as_mut_slice();
        let mut position = position;
        // Empty buffers at the front would make a finished write look like one that makes no progress.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match write_piece(&self.file, slices, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    IoSlice::advance_slices(&mut slices, written);
                    position += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn allocate(&self, position: u64, size_bytes: u64) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        loop {
            // The length stays true: readers of the file, Kafka's tools among them, see only what was written.
            match rustix::fs::fallocate(
                &self.file,
                rustix::fs::FallocateFlags::KEEP_SIZE,
                position,
                size_bytes,
            ) {
                // A file system that cannot reserve still writes; then a full disk shows at the write.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (position, size_bytes);
            Ok(())
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn drop_cache(&self, position: u64) -> io::Result<()> {
        drop_cache(&self.file, position)
    }

    fn map(&self, size_bytes: u64) -> io::Result<Arc<dyn FileMap>> {
        Ok(Arc::new(OsMap::new(&self.file, size_bytes, Arc::clone(&self.in_use))?))
    }
}

fn drop_cache(file: &File, position: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::fadvise(file, position, None, rustix::fs::Advice::DontNeed)?;
    #[cfg(not(target_os = "linux"))]
    let _ = (file, position);
    Ok(())
}

/// Writes the first of `slices`, which is not empty, and what else one call takes; tells how many bytes were written.
fn write_piece(file: &File, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    let mut size_bytes = 0;
    let whole = slices.iter().take(VECTORED_BUFFERS_MAX).take_while(|slice| {
        size_bytes += slice.len();
        size_bytes <= WRITE_BYTES_MAX
    });
    match whole.count() {
        0 => write_vectored(file, &[IoSlice::new(&slices[0][..WRITE_BYTES_MAX])], position),
        whole => write_vectored(file, &slices[..whole], position),
    }
}

#[cfg(not(target_os = "macos"))]
fn write_vectored(file: &File, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, slices, position)?)
}

#[cfg(target_os = "macos")]
fn write_vectored(file: &File, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
    let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..]);
    file.write_at(first, position)
}

// === impl OsLock ===

impl Lock for OsLock {}

#[cfg(test)]
mod tests;
