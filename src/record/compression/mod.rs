//! The four codecs, both ways.
//!
//! Compressing makes what every client reads: Snappy in xerial's framing (as Java writes it, librdkafka reads both),
//! LZ4 frames of independent 64 KiB blocks, gzip and zstd as one member or frame. Decompressing takes whatever clients
//! send: raw or framed Snappy, linked or independent LZ4 blocks, members and frames one after another. It always runs
//! as a stream, a block at a time, and stops at the caller's cap; see [`Decoder`].

mod decoder;
mod lz4;
mod snappy;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

use bytes::Bytes;

pub(super) use decoder::Decoder;

use super::BatchError;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy, raw or in xerial's framing.
    Snappy,
    /// LZ4 in its frame format.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// A text that is not the name of a codec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a codec: {name:?}; one of none, gzip, snappy, lz4, zstd")]
pub struct ParseCompressionError {
    name: String,
}

// === impl Compression ===

impl Compression {
    /// Every codec, by its code.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of the code in a batch's attributes.
    ///
    /// # Errors
    /// `UnsupportedCompression`.
    pub fn from_code(code: i16) -> Result<Self, BatchError> {
        Self::ALL
            .into_iter()
            .find(|codec| codec.code() == code)
            .ok_or(BatchError::UnsupportedCompression { code })
    }

    /// The code in a batch's attributes.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The name, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// `bytes` compressed, at `level` or the codec's default.
    ///
    /// A level outside the codec's range is taken as the nearest; Snappy and LZ4 have none.
    #[must_use]
    pub fn compress(self, bytes: &[u8], level: Option<i32>) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
        self.compress_into(&mut out, bytes, level);
        out
    }

    /// Appends `bytes` compressed to `out`.
    pub(super) fn compress_into(self, out: &mut Vec<u8>, bytes: &[u8], level: Option<i32>) {
        match self {
            Self::None => out.extend_from_slice(bytes),
            Self::Gzip => {
                let level = level.map_or(flate2::Compression::default(), |level| {
                    flate2::Compression::new(level.clamp(0, 9).cast_unsigned())
                });
                let mut encoder = flate2::write::GzEncoder::new(out, level);
                encoder
                    .write_all(bytes)
                    .and_then(|()| encoder.try_finish())
                    .expect("a Vec takes every write");
            }
            Self::Snappy => snappy::compress_into(out, bytes),
            Self::Lz4 => lz4::compress_into(out, bytes),
            Self::Zstd => {
                let known = zstd::compression_level_range();
                let level = level.map_or(zstd::DEFAULT_COMPRESSION_LEVEL, |level| {
                    level.clamp(*known.start(), *known.end())
                });
                let compressed = zstd::bulk::compress(bytes, level).expect("a level in range is taken");
                out.extend_from_slice(&compressed);
            }
        }
    }

    /// `bytes` decompressed, if that has at most `limit_bytes`; a slice of `bytes` itself when they are not compressed.
    ///
    /// # Errors
    /// `Undecompressable`, also when anything follows the compressed data; `TooLargeDecompressed`.
    pub fn decompress(self, bytes: &Bytes, limit_bytes: usize) -> Result<Bytes, BatchError> {
        let Some(mut decoder) = Decoder::new(self, bytes, limit_bytes)? else {
            return Ok(bytes.clone());
        };
        // Only a first guess, from bytes that are there; the cap bounds it too.
        let mut out = Vec::with_capacity(bytes.len().saturating_mul(2).min(limit_bytes));
        while decoder.refill()? {
            out.extend_from_slice(decoder.chunk());
        }
        Ok(out.into())
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = ParseCompressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|codec| codec.name() == text);
        known.ok_or_else(|| ParseCompressionError { name: text.to_owned() })
    }
}
