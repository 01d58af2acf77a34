//! Writes the protocol's primitive values into a list of parts.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::reader::MAX_STRING_BYTES;

/// Bytes shorter than this are cheaper to copy than to hand to the kernel as a part of their own.
const SPLICE_FROM_BYTES: usize = 512;

/// The room a new writer starts with: enough for most messages without record bytes.
const INITIAL_CHUNK_BYTES: usize = 256;

/// Collects a message as parts: chunks of its own, and shared slices (record batches) spliced in between.
///
/// Writing cannot fail. A length that does not fit its field is written as the field's maximum; it can only come
/// from a frame beyond 2 GiB, which [`Writer::finish_frame`] refuses.
#[derive(Debug, Default)]
pub struct Writer {
    /// The first chunk, apart from the other parts once something is spliced in: the frame's size goes into it.
    head: Option<BytesMut>,
    /// Finished parts after the head.
    parts: VecDeque<Bytes>,
    /// The chunk being written.
    chunk: BytesMut,
    /// The bytes in `head` and `parts`.
    finished_bytes: usize,
    /// Whether lengths are compact and structs end in tagged fields (KIP-482).
    flexible: bool,
}

/// What a writer has written: parts in order, for vectored writes. It is a [`Buf`], so
/// `AsyncWriteExt::write_all_buf` sends it without joining the parts.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    parts: VecDeque<Bytes>,
    size_bytes: usize,
}

/// A frame whose size does not fit the 31 bits in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {size_bytes} bytes; 2147483647 is the most")]
pub struct FrameTooLarge {
    /// The bytes after the size field.
    pub size_bytes: usize,
}

/// The size field in front of every request and response.
const SIZE_FIELD_BYTES: usize = 4;

// === impl Writer ===

impl Writer {
    /// An empty writer of the older, non-flexible encoding.
    #[must_use]
    pub fn new() -> Self {
        Self { chunk: BytesMut::with_capacity(INITIAL_CHUNK_BYTES), ..Self::default() }
    }

    /// A writer that has left room for the frame's size; close it with [`Self::finish_frame`].
    #[must_use]
    pub fn new_frame() -> Self {
        let mut writer = Self::new();
        writer.chunk.put_bytes(0, SIZE_FIELD_BYTES);
        writer
    }

    /// Writes on in the flexible encoding, or in the older one.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Whether the flexible encoding is being written.
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// How many bytes are written.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.finished_bytes + self.chunk.len()
    }

    /// Copies `bytes`.
    pub fn put(&mut self, bytes: &[u8]) {
        self.chunk.put_slice(bytes);
    }

    /// Takes `bytes` as they are, without copying unless they are few.
    pub fn splice(&mut self, bytes: Bytes) {
        if bytes.len() < SPLICE_FROM_BYTES {
            self.put(&bytes);
            return;
        }
        self.close_chunk();
        self.finished_bytes += bytes.len();
        self.parts.push_back(bytes);
    }

    fn close_chunk(&mut self) {
        let chunk = self.chunk.split();
        self.finished_bytes += chunk.len();
        if self.head.is_none() {
            self.head = Some(chunk);
        } else if !chunk.is_empty() {
            self.parts.push_back(chunk.freeze());
        }
    }

    /// An unsigned variable-length integer: 7 bits a byte, lowest first.
    pub fn unsigned_varint(&mut self, value: u32) {
        let mut rest = value;
        while rest > 0x7f {
            self.chunk.put_u8(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.chunk.put_u8(rest.to_le_bytes()[0]);
    }

    /// The length of a byte field, or the count of an array; `None` for null.
    pub(super) fn long_length(&mut self, length: Option<usize>) {
        if self.flexible {
            self.compact_length(length);
        } else {
            self.put(&length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX)).to_be_bytes());
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        self.unsigned_varint(
            length.map_or(0, |length| {
                u32::try_from(length).map_or(u32::MAX, |length| length.saturating_add(1))
            }),
        );
    }

    /// A string, or null. Beyond Kafka's 32,767 bytes it is cut, at the end of a character: nothing but free text,
    /// such as an error message, is ever that long.
    pub(super) fn string(&mut self, text: Option<&str>) {
        let text = text.map(|text| text.split_at(text.floor_char_boundary(MAX_STRING_BYTES)).0);
        let length = text.map(str::len);
        if self.flexible {
            self.compact_length(length);
        } else {
            self.put(&length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX)).to_be_bytes());
        }
        self.put(text.unwrap_or_default().as_bytes());
    }

    /// One tagged field; `write` writes its value.
    pub(super) fn tagged_field(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        let mut value = Self { flexible: true, ..Self::new() };
        write(&mut value);
        let value = value.finish();
        self.unsigned_varint(tag);
        self.unsigned_varint(u32::try_from(value.size_bytes()).unwrap_or(u32::MAX));
        for part in value.into_parts() {
            self.splice(part);
        }
    }

    /// The parts written, in order.
    #[must_use]
    pub fn finish(mut self) -> Parts {
        self.close_chunk();
        let size_bytes = self.finished_bytes;
        let mut parts = self.parts;
        if let Some(head) = self.head.filter(|head| !head.is_empty()) {
            parts.push_front(head.freeze());
        }
        Parts { parts, size_bytes }
    }

    /// The parts written, with their size in front. The writer must come from [`Self::new_frame`].
    ///
    /// # Errors
    /// [`FrameTooLarge`] beyond 2 GiB.
    pub fn finish_frame(mut self) -> Result<Parts, FrameTooLarge> {
        let size_bytes = self.size_bytes().saturating_sub(SIZE_FIELD_BYTES);
        let size = i32::try_from(size_bytes).map_err(|_| FrameTooLarge { size_bytes })?;
        let head = self.head.as_mut().unwrap_or(&mut self.chunk);
        *head.first_chunk_mut().expect("new_frame put the size field there") = size.to_be_bytes();
        Ok(self.finish())
    }
}

// === impl Parts ===

impl Parts {
    /// The bytes in all parts.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The parts, in order; none is empty.
    #[must_use]
    pub fn into_parts(self) -> VecDeque<Bytes> {
        self.parts
    }

    /// All parts joined into one; copies unless there is only one.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.parts.len() > 1 {
            self.copy_to_bytes(self.size_bytes)
        } else {
            self.parts.pop_front().unwrap_or_default()
        }
    }
}

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.size_bytes
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(&self.parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        count
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.size_bytes, "advanced {count} of {} bytes", self.size_bytes);
        self.size_bytes -= count;
        let mut left = count;
        while let Some(part) = self.parts.front_mut() {
            if part.len() > left {
                part.advance(left);
                return;
            }
            left -= part.len();
            self.parts.pop_front();
        }
    }
}
