//! Files and directories as the log needs them, and nothing more.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::types::TimestampMs;

/// A file system. All calls block; none is made from a network task.
///
/// What a power cut may do, and so what a simulated disk does: any subset of the 4 KiB pages written since the
/// last sync of a file may be lost, in any order, and the file's length may be the old or a newer one; a
/// created, renamed or removed name is certain only once its directory was synced.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a directory and its parents; those that exist are fine. Durable only after [`Disk::sync_dir`] of each parent.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in any order.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Whether a file or directory of that name exists.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Renames, replacing a file of the target's name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file. Open files and maps of it stay usable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the directory's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes everything on the file system that holds `path` durable (`syncfs`).
    fn sync_file_system(&self, path: &Path) -> io::Result<()>;

    /// Bytes that ordinary writes can still take on the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Bytes that the file system that holds `path` has room for in all.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Takes the exclusive lock that `path` (a file, made when absent) stands for. It is held until the
    /// [`Lock`] is dropped or the process ends. `holder` is written into the file for the next one to read.
    fn lock(&self, path: &Path, holder: &str) -> Result<Box<dyn Lock>, LockError>;

    /// Reads a whole file of at most `limit_bytes`; a longer one is `InvalidData`.
    fn read(&self, path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let file = self.open(path, OpenMode::Read)?;
        let length = file.len()?;
        if length > limit_bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is {length} bytes long", path.display()),
            ));
        }
        let mut content = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut content, 0)?;
        Ok(content)
    }

    /// Replaces a file's content so that a crash leaves the old or the new one whole: writes beside it, syncs,
    /// renames, syncs the directory. The one way to replace a file; see ALICE (OSDI'14) for why.
    fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = Path::new(&beside);
        let file = self.open(beside, OpenMode::Truncate)?;
        file.write_all_at(content, 0)?;
        file.sync_data()?;
        self.rename(beside, path)?;
        let parent = path.parent().ok_or_else(|| io::Error::other("a file has a directory"))?;
        self.sync_dir(parent)
    }
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; must exist.
    Read,
    /// Read and write; must exist.
    Write,
    /// Read and write; made when absent.
    Create,
    /// Read and write; must not exist yet.
    CreateNew,
    /// Read and write; made when absent, emptied when present.
    Truncate,
}

/// An open file. Reads and writes are positioned; there is no cursor.
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// When the content last changed, by the wall clock.
    fn modified_ms(&self) -> io::Result<TimestampMs>;

    /// Reads exactly `buf.len()` bytes at `position`; `UnexpectedEof` when the file ends before.
    fn read_exact_at(&self, buf: &mut [u8], position: u64) -> io::Result<()>;

    /// Writes all of `buf` at `position`, growing the file where needed.
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()>;

    /// Writes the buffers one after another at `position`, as one call where the system can.
    fn write_all_vectored_at(&self, bufs: &[Bytes], position: u64) -> io::Result<()> {
        let mut position = position;
        for buf in bufs {
            self.write_all_at(buf, position)?;
            position += buf.len() as u64;
        }
        Ok(())
    }

    /// Reserves blocks for `[position, position + size_bytes)`, so that writes there cannot fail for want of
    /// space. Does not change the file's length.
    fn allocate(&self, position: u64, size_bytes: u64) -> io::Result<()>;

    /// Cuts or extends the file to `length` bytes, releasing blocks beyond it. Never below a mapped range.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Makes the content and the length durable (`fdatasync`). A failure is final: what was not synced is
    /// lost, and a later success says nothing about it.
    fn sync_data(&self) -> io::Result<()>;

    /// Forgets cached pages from `position` on, so that the next read sees what the medium holds.
    fn drop_cache(&self, position: u64) -> io::Result<()>;

    /// Maps the first `size_bytes` of the file for reading; they may reach beyond its present end.
    fn map(&self, size_bytes: u64) -> io::Result<Arc<dyn FileMap>>;
}

/// A read-only map of a file's start, shared with the file: later writes show in it.
pub trait FileMap: Send + Sync {
    /// How many bytes are mapped.
    fn size_bytes(&self) -> u64;

    /// A slice of the map, without copying. The slice keeps the map alive.
    ///
    /// The caller passes only ranges that were written and will never change, see `log`.
    fn slice(self: Arc<Self>, position: u64, size_bytes: usize) -> Bytes;

    /// Brings the range into memory, so that reading it does not wait for the disk; a medium error is
    /// returned here rather than raised as a signal at the read. What was brought there a moment ago may be taken for
    /// being there still.
    fn populate(&self, position: u64, size_bytes: usize) -> io::Result<()>;
}

/// A held lock; dropping it lets go.
pub trait Lock: Send + Sync {}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("in use by {holder}")]
    Held {
        /// What the holder wrote about itself.
        holder: String,
    },
    /// The file cannot be opened or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
}
