//! Moving a torn tail aside: the bytes are kept, in case somebody misses them.

use std::io;
use std::sync::Arc;

use super::names::{self, Kind};
use super::open::Opening;
use crate::env::{DiskFile, OpenMode};
use crate::types::Offset;

/// How much is copied at a time.
const COPY_BYTES: usize = 1 << 20;

// === impl Opening ===

impl Opening {
    /// Moves the bytes `[from, length)` to a `.cut` file, without the zeros at their end; how many there were.
    pub(super) fn move_tail_aside(
        &self,
        base_offset: Offset,
        file: &Arc<dyn DiskFile>,
        from: u64,
        length: u64,
    ) -> io::Result<u64> {
        let size_bytes = non_zero_end(file, from, length)? - from;
        let numbers =
            self.disk().read_dir(&self.dir)?.into_iter().filter_map(|name| match names::parse(&name) {
                Some((base, Kind::Cut(number))) if base == base_offset => Some(number),
                _ => None,
            });
        let newest = numbers.max();
        if let Some(newest) = newest
            && self.is_cut_already(&names::cut(base_offset, newest), file, from, size_bytes)?
        {
            return Ok(size_bytes);
        }
        let name = names::cut(base_offset, newest.map_or(0, |newest| newest + 1));
        let beside = self.dir.join(format!("{name}{}", names::BESIDE_SUFFIX));
        let copy = self.disk().open(&beside, OpenMode::Truncate)?;
        for_each_chunk(file, from, from + size_bytes, |position, chunk| {
            copy.write_all_at(chunk, position - from)
        })?;
        copy.sync_data()?;
        self.disk().rename(&beside, &self.dir.join(&name))?;
        self.disk().sync_dir(&self.dir)?;
        tracing::warn!(file = %self.dir.join(&name).display(), size_bytes, "a torn tail was cut off and kept here");
        Ok(size_bytes)
    }

    /// Whether a recovery that did not get further has moved these bytes already.
    fn is_cut_already(
        &self,
        name: &str,
        file: &Arc<dyn DiskFile>,
        from: u64,
        size_bytes: u64,
    ) -> io::Result<bool> {
        let copy = self.disk().open(&self.dir.join(name), OpenMode::Read)?;
        let mut same = copy.len()? == size_bytes;
        if same {
            for_each_chunk(file, from, from + size_bytes, |position, chunk| {
                let mut copied = vec![0; chunk.len()];
                copy.read_exact_at(&mut copied, position - from)?;
                same &= copied == chunk;
                Ok(())
            })?;
        }
        Ok(same)
    }
}

/// Where the pages of zeros at the end of `[from, length)` begin: blocks reserved ahead. A batch itself may end
/// with some zeros, so what is left of a page stays.
fn non_zero_end(file: &Arc<dyn DiskFile>, from: u64, length: u64) -> io::Result<u64> {
    let mut end = from;
    for_each_chunk(file, from, length, |position, chunk| {
        if let Some(index) = chunk.iter().rposition(|&byte| byte != 0) {
            end = position + index as u64 + 1;
        }
        Ok(())
    })?;
    Ok(end.next_multiple_of(4096).min(length))
}

fn for_each_chunk(
    file: &Arc<dyn DiskFile>,
    from: u64,
    to: u64,
    mut f: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut position = from;
    while position < to {
        let size_bytes = usize::try_from(to - position).unwrap_or(usize::MAX).min(COPY_BYTES);
        let chunk = &mut buffer[..size_bytes];
        file.read_exact_at(chunk, position)?;
        f(position, chunk)?;
        position += size_bytes as u64;
    }
    Ok(())
}
