//! Snappy: one raw block, or blocks in the framing of xerial's snappy-java.
//!
//! ```text
//! 82 'SNAPPY' 00 | version i32 | compatible version i32 | (length i32 | raw block)*
//! ```
//!
//! Big endian. A header may come again between two blocks, where streams were put one after another.

use super::decoder::DecodeError;

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";

/// The header as snappy-java writes it: version 1, readable by version 1.
const HEADER: &[u8; 16] = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";

/// Bytes per block, as snappy-java cuts them.
const BLOCK_BYTES: usize = 32 << 10;

/// The blocks of a raw or framed input.
pub(super) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    is_framed: bool,
    decoder: snap::raw::Decoder,
}

/// Appends `bytes` to `out`, compressed and framed.
pub(super) fn compress_into(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(HEADER);
    let mut encoder = snap::raw::Encoder::new();
    let mut compressed = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(bytes.len()))];
    for block in bytes.chunks(BLOCK_BYTES) {
        let length =
            encoder.compress(block, &mut compressed).expect("the buffer has the size for a whole block");
        let prefix = u32::try_from(length).expect("a block of 32 KiB stays below 4 GiB");
        out.extend_from_slice(&prefix.to_be_bytes());
        out.extend_from_slice(compressed.get(..length).expect("the encoder wrote within its buffer"));
    }
}

// === impl SnappyBlocks ===

impl<'a> SnappyBlocks<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, is_framed: bytes.starts_with(MAGIC), decoder: snap::raw::Decoder::new() }
    }

    /// Decompresses the next block with content to the front of `out` and returns its size; 0 at the end.
    pub(super) fn next_block(&mut self, out: &mut Vec<u8>, left_bytes: usize) -> Result<usize, DecodeError> {
        loop {
            if self.rest.is_empty() {
                return Ok(0);
            }
            let block = if self.is_framed {
                if self.rest.starts_with(MAGIC) {
                    let (_, rest) =
                        self.rest.split_first_chunk::<{ HEADER.len() }>().ok_or_else(truncated)?;
                    self.rest = rest;
                    continue;
                }
                let (length, rest) = self.rest.split_first_chunk::<4>().ok_or_else(truncated)?;
                let length = usize::try_from(u32::from_be_bytes(*length)).map_err(DecodeError::broken)?;
                let (block, rest) = rest.split_at_checked(length).ok_or_else(truncated)?;
                self.rest = rest;
                block
            } else {
                std::mem::take(&mut self.rest)
            };
            let size = self.decompress(block, out, left_bytes)?;
            if size > 0 {
                return Ok(size);
            }
        }
    }

    fn decompress(
        &mut self,
        block: &[u8],
        out: &mut Vec<u8>,
        left_bytes: usize,
    ) -> Result<usize, DecodeError> {
        let declared = snap::raw::decompress_len(block).map_err(DecodeError::broken)?;
        // The densest element is a copy: 64 bytes out of 3. A block that declares more lies.
        if declared / 64 > block.len() / 3 {
            return Err(DecodeError::broken("the declared size is beyond what the block can hold"));
        }
        if declared > left_bytes {
            return Err(DecodeError::TooLarge);
        }
        if out.len() < declared {
            out.resize(declared, 0);
        }
        self.decoder.decompress(block, out).map_err(DecodeError::broken)
    }
}

fn truncated() -> DecodeError {
    DecodeError::broken("the framing ends inside a block")
}
