//! Decompression as a stream of chunks, under a cap.

use std::fmt;

use flate2::bufread::MultiGzDecoder;

use super::lz4::Lz4Frames;
use super::snappy::SnappyBlocks;
use super::{BatchError, Compression};

/// Bytes that gzip and zstd give at a time.
const CHUNK_BYTES: usize = 32 << 10;

/// Decompresses a chunk at a time and stops at a cap.
///
/// At any time it holds one chunk: 32 KiB for gzip and zstd (plus the window zstd asks for, of which no more is ever
/// touched than was decompressed), one block for LZ4 and framed Snappy, the whole for raw Snappy, which has no blocks.
/// The sizes that the data declares are believed only as far as the compressed bytes there can make them true.
pub(in crate::record) struct Decoder<'a> {
    compression: Compression,
    stream: Stream<'a>,
    /// The chunk is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that may still be produced.
    left_bytes: usize,
    limit_bytes: usize,
}

enum Stream<'a> {
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyBlocks<'a>),
    Lz4(Lz4Frames<'a>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

/// Why a codec refuses its input.
pub(super) enum DecodeError {
    /// The input is not of the codec.
    Broken(String),
    /// The next block alone is larger than what is left of the cap.
    TooLarge,
}

// === impl Decoder ===

impl<'a> Decoder<'a> {
    /// A decoder of `bytes`; None when they are not compressed.
    pub(in crate::record) fn new(
        compression: Compression,
        bytes: &'a [u8],
        limit_bytes: usize,
    ) -> Result<Option<Self>, BatchError> {
        let stream = match compression {
            Compression::None => return Ok(None),
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(bytes))),
            Compression::Snappy => Stream::Snappy(SnappyBlocks::new(bytes)),
            Compression::Lz4 => Stream::Lz4(Lz4Frames::new(bytes)),
            Compression::Zstd => {
                Stream::Zstd(zstd::stream::read::Decoder::with_buffer(bytes).map_err(|error| {
                    BatchError::Undecompressable { compression, reason: error.to_string() }
                })?)
            }
        };
        let buffer = Vec::new();
        Ok(Some(Self { compression, stream, buffer, start: 0, end: 0, left_bytes: limit_bytes, limit_bytes }))
    }

    /// Refuses what not every client can read, though this decoder can.
    pub(in crate::record) fn only_for_everybody(mut self) -> Self {
        if let Stream::Lz4(frames) = &mut self.stream {
            frames.only_independent();
        }
        self
    }

    /// What is decompressed and not yet consumed.
    pub(in crate::record) fn chunk(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Consumes `count` bytes of the chunk.
    pub(in crate::record) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "no more is consumed than the chunk holds");
    }

    /// Replaces the chunk, whatever is left of it, by the next one; false at the end of the data.
    ///
    /// # Errors
    /// `Undecompressable`, `TooLargeDecompressed`.
    pub(in crate::record) fn refill(&mut self) -> Result<bool, BatchError> {
        self.start = 0;
        self.end = 0;
        let produced = match &mut self.stream {
            Stream::Gzip(decoder) => read_chunk(decoder.as_mut(), &mut self.buffer),
            Stream::Zstd(decoder) => read_chunk(decoder, &mut self.buffer),
            Stream::Snappy(blocks) => blocks.next_block(&mut self.buffer, self.left_bytes),
            Stream::Lz4(frames) => frames.next_block(&mut self.buffer),
        };
        let produced = match produced {
            Ok(produced) if produced <= self.left_bytes => produced,
            Ok(_) | Err(DecodeError::TooLarge) => {
                let Self { compression, limit_bytes, .. } = *self;
                return Err(BatchError::TooLargeDecompressed { compression, limit_bytes });
            }
            Err(DecodeError::Broken(reason)) => {
                return Err(BatchError::Undecompressable { compression: self.compression, reason });
            }
        };
        self.left_bytes -= produced;
        self.end = produced;
        Ok(produced > 0)
    }
}

impl fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("compression", &self.compression)
            .field("left_bytes", &self.left_bytes)
            .finish_non_exhaustive()
    }
}

// === impl DecodeError ===

impl DecodeError {
    #[expect(clippy::needless_pass_by_value, reason = "so that it is what `map_err` calls")]
    pub(super) fn broken(reason: impl ToString) -> Self {
        Self::Broken(reason.to_string())
    }
}

fn read_chunk(reader: &mut impl std::io::Read, buffer: &mut Vec<u8>) -> Result<usize, DecodeError> {
    buffer.resize(CHUNK_BYTES, 0);
    reader.read(buffer).map_err(DecodeError::broken)
}
